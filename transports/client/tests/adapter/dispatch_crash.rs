//! Processes that are killed after their requests have left: what is on disk is told, and charged only on a person's word.
//! The tests of each adapter have it as a module: `runcycles` is their crate.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use cycles_conformance::{ActionFailed, Adapter, Client as _, Guard as _, Run as _, TempDir, files, request};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use runcycles::models::Amount;
use runcycles::{CyclesClient, CyclesConfig, EntryError, EntryKind, OnError, RunConfig};

use crate::adapter::{Tested, park_on};

const ESTIMATE: i64 = 100;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the process had done with its request when it was killed, and how many marks it leaves.
const CASES: [(&str, usize); 6] = [
    ("nothing", 0),
    ("dispatched", 0),
    ("durably", 1),
    ("durably, and refused", 0),
    ("a step", 0),
    ("a step, durably", 1),
];

struct Scene {
    sandbox: Sandbox,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::start().unwrap(),
            dir: TempDir::new(),
        }
    }

    fn client(&self) -> CyclesClient {
        CyclesClient::builder(DEFAULT_API_KEY, self.sandbox.base_url())
            .tenant(DEFAULT_TENANT)
            .journal_dir(self.dir.path())
            .build()
    }

    fn spent(&self) -> i64 {
        let budget = self
            .sandbox
            .with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
        budget.unwrap().spent
    }

    /// A process that does this, and is killed then.
    fn live_and_be_killed(&self, what: &str) {
        let mut child = self.process(what);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let has_left = stdout.lines().any(|line| line.unwrap() == "left");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_left, "{what}");
    }

    fn process(&self, what: &str) -> std::process::Child {
        crate::alone::process("dispatch_crash::child")
            .env("CYCLES_TEST_URL", self.sandbox.base_url())
            .env("CYCLES_TEST_DIR", self.dir.path())
            .env("CYCLES_TEST_TASK", what)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Not a test by itself: what the processes of the tests do.
#[test]
fn child() {
    let Ok(url) = std::env::var("CYCLES_TEST_URL") else {
        return;
    };
    let what = std::env::var("CYCLES_TEST_TASK").unwrap();
    let config = CyclesConfig::builder(DEFAULT_API_KEY, url)
        .tenant(DEFAULT_TENANT)
        .journal_dir(std::env::var_os("CYCLES_TEST_DIR").unwrap())
        .build();
    let client = Tested::client(config.unwrap(), |_| {});
    let leave = || -> ! {
        println!("\nleft");
        loop {
            std::thread::park();
        }
    };
    if what.starts_with("a step") {
        let run = client.run(RunConfig::new(Amount::tokens(1_000))).unwrap();
        run.step(Amount::tokens(50).into(), Amount::tokens(7), |_| Ok(()))
            .unwrap();
        let _ = run.step(
            Amount::tokens(ESTIMATE).into(),
            Amount::tokens(1),
            |step| -> Result<(), ActionFailed> {
                match what.as_str() {
                    "a step" => step.dispatched(),
                    _ => step.dispatched_durably().unwrap(),
                }
                leave()
            },
        );
    }
    let guard = client.reserve(request(ESTIMATE)).unwrap();
    match what.as_str() {
        "nothing" => {}
        "dispatched" => guard.dispatched(),
        _ => guard.dispatched_durably().unwrap(),
    }
    if what == "durably, and refused" {
        guard.not_charged();
        while !files(
            std::env::var_os("CYCLES_TEST_DIR").unwrap().as_ref(),
            "dispatched",
        )
        .is_empty()
        {
            std::thread::yield_now();
        }
    }
    leave();
}

#[test]
fn a_killed_process_leaves_what_it_marked_and_nothing_of_it_is_charged_by_itself() {
    for (what, marks) in CASES {
        let scene = Scene::new();
        scene.live_and_be_killed(what);
        let known = if what.starts_with("a step") { 7 } else { 0 };
        for is_over in [false, true] {
            if is_over {
                // The lease and its grace period.
                scene.sandbox.advance(Duration::from_secs(24 * 3_600));
            }
            let client = scene.client();
            let left = wait!(client.flush(PATIENCE)).unwrap();
            assert_eq!((left.unknown, left.is_complete()), (marks, marks == 0), "{what}");
            assert_eq!(scene.spent(), known, "{what}");
            let entries = wait!(client.journal().entries()).unwrap();
            let kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
            assert_eq!(kinds, vec![EntryKind::Dispatched; marks], "{what}");
        }
    }
}

#[test]
fn a_person_charges_or_discards_what_a_killed_process_marked() {
    for (what, is_over) in [
        ("durably", false),
        ("durably", true),
        ("a step, durably", false),
        ("a step, durably", true),
    ] {
        for discards in [false, true] {
            let scene = Scene::new();
            scene.live_and_be_killed(what);
            if is_over {
                scene.sandbox.advance(Duration::from_secs(24 * 3_600));
            }
            let known = if what.starts_with("a step") { 7 } else { 0 };
            let client = scene.client();
            let _ = wait!(client.flush(PATIENCE)).unwrap();
            let journal = client.journal();
            let [entry] = &wait!(journal.entries()).unwrap()[..] else {
                panic!("{what}")
            };
            assert_eq!(entry.actual, Some(Amount::tokens(ESTIMATE)));
            assert!(entry.reservation_id.is_some() && entry.age.is_some() && !entry.is_in_progress);
            let refused = wait!(journal.retry(entry));
            assert!(
                matches!(refused, Err(EntryError::NotByHand(EntryKind::Dispatched))),
                "{refused:?}"
            );
            match discards {
                true => drop(wait!(journal.discard(entry)).unwrap()),
                false => {
                    let receipt = wait!(journal.charge_estimate(entry)).unwrap();
                    assert!(receipt.is_settled(), "{receipt:?}");
                    let by_event = is_over || what.starts_with("a step");
                    assert_eq!(receipt.is_recovered_via_event(), by_event, "{what} {is_over}");
                }
            }
            let left = wait!(client.flush(PATIENCE)).unwrap();
            assert!(left.is_complete(), "{left:?}");
            let charged = if discards { 0 } else { ESTIMATE };
            assert_eq!(scene.spent(), known + charged, "{what} {is_over}");
            let again = wait!(journal.charge_estimate(entry));
            assert!(matches!(again, Err(EntryError::Gone)), "{again:?}");
        }
    }
}

#[test]
fn while_the_process_lives_its_mark_can_be_neither_charged_nor_discarded() {
    let scene = Scene::new();
    let mut child = scene.process("durably");
    let stdout = BufReader::new(child.stdout.take().unwrap());
    assert!(stdout.lines().any(|line| line.unwrap() == "left"));
    let client = scene.client();
    let left = wait!(client.flush(PATIENCE)).unwrap();
    assert!(left.is_complete(), "{left:?}");
    let journal = client.journal();
    let [entry] = &wait!(journal.entries()).unwrap()[..] else {
        panic!("no mark")
    };
    assert!(entry.is_in_progress);
    for journal in [journal.clone(), journal.forced()] {
        let charged = wait!(journal.charge_estimate(entry));
        assert!(matches!(charged, Err(EntryError::OwnerRuns)), "{charged:?}");
        let discarded = wait!(journal.discard(entry));
        assert!(matches!(discarded, Err(EntryError::OwnerRuns)), "{discarded:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scene.spent(), 0);
}

#[test]
fn what_is_on_hold_and_marked_counts_until_a_person_has_charged_or_discarded_it_here() {
    for discards in [false, true] {
        let scene = Scene::new();
        let client = scene.client();
        let guard = wait!(client.reserve(request(ESTIMATE))).unwrap();
        guard.set_on_error(OnError::Hold);
        assert!(park_on(guard.dispatched_durably()).is_ok());
        drop(guard);
        let left = wait!(client.flush(PATIENCE)).unwrap();
        assert_eq!((left.unrecorded, left.unknown), (1, 0), "{left:?}");
        let journal = client.journal();
        let [entry] = &wait!(journal.entries()).unwrap()[..] else {
            panic!("no mark")
        };
        match discards {
            true => drop(wait!(journal.discard(entry)).unwrap()),
            false => assert!(wait!(journal.charge_estimate(entry)).unwrap().is_settled()),
        }
        let left = wait!(client.flush(PATIENCE)).unwrap();
        assert!(left.is_complete(), "{left:?}");
        assert_eq!(scene.spent(), if discards { 0 } else { ESTIMATE });
    }
}
