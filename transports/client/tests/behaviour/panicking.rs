//! A transport that panics on the thread of a blocking caller.
#![cfg(feature = "blocking")]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::Virtual;
use cycles_client::blocking::{Client, try_with_cycles};
use cycles_client::models::{Amount, CommitRequest, Subject};
use cycles_client::proto::Call;
use cycles_client::{
    Background, CyclesConfig, Done, Error, Options, Run, Running, Timer, Transport, WithCyclesConfig,
};
use cycles_conformance::request;
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Operation, Unit};

const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that runs in real time.
static BACKGROUND: Background<()> = Background::new("cycles-panicking", prepare);

fn prepare() -> io::Result<((), Run<()>)> {
    Ok(((), Box::new(Running::serve_here)))
}

/// Returns the ledger's response at once. The first calls of an operation panic, before or after they begin.
#[derive(Clone)]
struct Panicking(Arc<Panics>);

struct Panics {
    world: Virtual,
    clock: cycles_host::Clock,
    panics: Operation,
    has_begun: bool,
    may_wait: bool,
    left: AtomicUsize,
}

impl Transport for Panicking {
    fn start(&self, call: Call, mut done: Done) {
        let Panics { world, clock, .. } = &*self.0;
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        let is_panicking = operation == self.0.panics
            && self
                .0
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        if (!is_panicking || self.0.has_begun) && !done.begin() {
            return;
        }
        if is_panicking {
            resume_unwind(Box::new("a transport of a test that panics"));
        }
        let now = clock.now().wall;
        let response = world.with_ledger(|ledger| ledger.handle(now, &call.request));
        done.finish(Ok(response));
    }

    fn may_wait_here(&self) -> bool {
        self.0.may_wait
    }
}

impl Panicking {
    fn new(panics: Operation, has_begun: bool, may_wait: bool) -> Self {
        Self(Arc::new(Panics {
            world: Virtual::default(),
            clock: cycles_host::Clock::new(),
            panics,
            has_begun,
            may_wait,
            left: AtomicUsize::new(1),
        }))
    }

    fn client(&self) -> Client {
        let config = CyclesConfig::builder(DEFAULT_API_KEY, "http://ledger")
            .tenant(DEFAULT_TENANT)
            .journal_enabled(false);
        let options = Options {
            transport: Some(Arc::new(self.clone())),
            clock: Some(Arc::new(Timer::new(&BACKGROUND))),
            ..Options::default()
        };
        let client = options.client(config.build().unwrap(), "panicking", |_, _| {
            unreachable!("both are given")
        });
        Client::new(client)
    }

    /// The spent and the held amount.
    fn budget(&self) -> (i64, i64) {
        let budget = |ledger: &mut cycles_sandbox::Ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens);
        let budget = self.0.world.with_ledger(budget).unwrap();
        (budget.spent, budget.reserved)
    }

    fn has_panicked(&self) -> bool {
        self.0.left.load(Ordering::SeqCst) == 0
    }
}

#[test]
fn a_transport_that_panics_has_lost_its_call_and_the_caller_goes_on() {
    for has_begun in [false, true] {
        let transport = Panicking::new(Operation::CommitReservation, has_begun, true);
        let client = transport.client();
        let guard = client.reserve(request(10)).unwrap();
        let cost = CommitRequest::builder().actual(Amount::tokens(7)).build();
        // Not settled by the first attempt, and not recorded.
        let _ = guard.commit(cost);
        assert!(transport.has_panicked());
        assert!(client.flush(PATIENCE).unwrap().is_complete());
        assert_eq!(transport.budget(), (7, 0));
    }
}

#[test]
fn a_transport_that_panics_while_an_action_does_leaves_the_program_alive_and_the_budget_is_given_back() {
    for (has_begun, may_wait) in [(false, false), (true, false), (false, true), (true, true)] {
        let transport = Panicking::new(Operation::ReleaseReservation, has_begun, may_wait);
        let client = transport.client();
        let config = WithCyclesConfig::new(Amount::tokens(10))
            .subject(Subject::tenant(DEFAULT_TENANT))
            .action("llm.completion", "gpt-4o");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let action = |_| -> Result<_, Error> { resume_unwind(Box::new("the action's own")) };
            try_with_cycles::<(), _, _>(&client, config, action)
        }));
        let panic = panicked.expect_err("the action's panic is the caller's to see");
        assert_eq!(panic.downcast_ref(), Some(&"the action's own"));
        while transport.budget() != (0, 0) || !transport.has_panicked() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
