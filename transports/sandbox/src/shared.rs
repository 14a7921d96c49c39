//! What the planes and the `Sandbox` share: the ledger, its clock, the faults, and who is told what.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::{Request, Response, StatusCode};

use crate::clock::Clock;
use crate::cors::CorsOrigin;
use crate::exchange::{Exchange, Observer, Plane};
use crate::fault::{Fault, FaultCount, FaultPlan, FaultRule};
use crate::ledger::Ledger;
use crate::masks::Masks;
use crate::operation::Operation;
use crate::page::Recent;

/// The state that the HTTP server shares with the `Sandbox`: the ledger, its clock and the faults.
#[derive(Debug)]
pub(crate) struct Shared {
    ledger: Mutex<Ledger>,
    /// What a reset goes back to.
    before: (Ledger, Vec<FaultRule>),
    faults: Mutex<FaultPlan>,
    /// Lets requests skip a lock while there are no faults.
    has_faults: AtomicBool,
    observer: Option<Observer>,
    /// Answers in place of the ledger.
    answer_override: Option<AnswerOverride>,
    clock: Clock,
    pub(crate) front: Front,
    /// The keys to hide in what is shown.
    masks: Masks,
    /// How many resets there were.
    resets: AtomicU64,
    /// How many calls of clients are not answered yet.
    unanswered: AtomicUsize,
    /// Whether it was told that reservations are forgotten.
    has_forgotten: AtomicBool,
    /// The last requests, for the page.
    recent: Mutex<Recent>,
    /// Grows with every change that the page shows.
    changes: AtomicU64,
}

/// How the server treats connections.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) head_timeout: Duration,
    /// The key of the control plane.
    pub(crate) control_key: String,
    pub(crate) accept_failed: Option<AcceptFailed>,
    pub(crate) forgets: Option<Forgets>,
    /// Whose pages may call.
    pub(crate) cors: Vec<CorsOrigin>,
}

impl Shared {
    pub(crate) fn new(
        ledger: Ledger,
        faults: Vec<FaultRule>,
        observer: Option<Observer>,
        answer_override: Option<AnswerOverride>,
        clock: Clock,
        front: Front,
    ) -> Self {
        let keys = ledger.secrets().chain([front.control_key.as_str()]);
        let shared = Self {
            masks: Masks::of(keys),
            answer_override,
            ledger: Mutex::new(ledger.clone()),
            before: (ledger, faults),
            faults: Mutex::default(),
            has_faults: AtomicBool::new(false),
            observer,
            clock,
            front,
            resets: AtomicU64::new(0),
            unanswered: AtomicUsize::new(0),
            has_forgotten: AtomicBool::new(false),
            recent: Mutex::default(),
            changes: AtomicU64::new(0),
        };
        shared.inject_those_before();
        shared
    }

    fn inject_those_before(&self) {
        for rule in &self.before.1 {
            self.inject(rule.clone());
        }
    }

    pub(crate) fn reset(&self) {
        self.resets.fetch_add(1, Ordering::SeqCst);
        self.ledger().reset_to(&self.before.0);
        self.clear_faults();
        self.inject_those_before();
        self.recent().clear();
        self.changed();
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// A number that grows with every change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn resets(&self) -> u64 {
        self.resets.load(Ordering::SeqCst)
    }

    /// The ledger, after what is due by now.
    pub(crate) fn ledger_caught_up(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger();
        ledger.tick(self.now());
        ledger
    }

    /// Whether nothing is reserved, and every call of a client is answered.
    pub(crate) fn is_idle(&self) -> bool {
        !self.ledger_caught_up().holds_anything() && self.unanswered.load(Ordering::SeqCst) == 0
    }

    /// The time, and the state of the ledger.
    pub(crate) fn state_json(&self) -> String {
        let ledger = self.ledger_caught_up();
        let now = format!(r#"{{"now_ms":{}}}"#, self.now().0);
        one_object(&[&now, &ledger.to_json()])
    }

    /// The ledger, even if a thread panicked while it held the lock: the server keeps running.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(crate) const fn masks(&self) -> &Masks {
        &self.masks
    }

    /// The ledger as of now. If somebody else moves the clock, it catches up first: it may not have had a request since.
    pub(crate) fn ledger_now(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger();
        if self.clock.is_given() {
            ledger.tick(self.now());
        }
        ledger
    }

    /// Moves the clock forward by `by`, and runs what is due then.
    pub(crate) fn advance_and_tick(&self, by: Duration) {
        self.clock.advance(by);
        self.ledger().tick(self.now());
        self.changed();
    }

    pub(crate) fn fault_counts(&self) -> Vec<FaultCount> {
        self.faults().counts()
    }

    pub(crate) fn inject(&self, rule: FaultRule) {
        self.faults().add(rule);
        self.has_faults.store(true, Ordering::Release);
        self.changed();
    }

    /// Removes the first of the rules that are the same as this one, and says whether there was one.
    pub(crate) fn remove_fault(&self, rule: &FaultRule) -> bool {
        let was_there = self.faults().remove(rule);
        self.changed();
        was_there
    }

    pub(crate) fn clear_faults(&self) {
        self.faults().clear();
        self.has_faults.store(false, Ordering::Release);
        self.changed();
    }

    fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn strike(&self, plane: Plane, request: &Request<Bytes>) -> Option<Fault> {
        if plane != Plane::Runtime || !self.has_faults.load(Ordering::Acquire) {
            return None;
        }
        let operation = Operation::of(request.method(), request.uri().path());
        self.faults().strike(self.now(), operation)
    }

    pub(crate) fn handle(&self, plane: Plane, request: &Request<Bytes>) -> Response<Bytes> {
        if let Some(answer_override) = &self.answer_override {
            return (answer_override.0)(request);
        }
        let secret = match plane {
            Plane::Runtime | Plane::Control => None,
            Plane::Admin => {
                let mut secret = [0; 24];
                // Without randomness no key can be created, so the request is refused.
                if getrandom::fill(&mut secret).is_err() {
                    return bare(StatusCode::INTERNAL_SERVER_ERROR);
                }
                Some(secret)
            }
        };
        let answer = catch_unwind(AssertUnwindSafe(|| {
            // The time is read under the lock, so that the ledger never sees it go back.
            let mut ledger = self.ledger();
            let now = self.now();
            match secret {
                None => {
                    let answer = ledger.handle(now, request);
                    let forgets = ledger.forgotten_reservations() + ledger.forgotten_events() > 0;
                    drop(ledger);
                    if forgets {
                        self.tell_that_it_forgets();
                    }
                    answer
                }
                Some(secret) => ledger.handle_admin(now, secret, request),
            }
        }));
        answer.unwrap_or_else(|_| bare(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn tell_that_it_forgets(&self) {
        if let Some(Forgets(tell)) = &self.front.forgets
            && !self.has_forgotten.swap(true, Ordering::SeqCst)
        {
            tell();
        }
    }

    pub(crate) fn observe(
        &self,
        plane: Plane,
        request: &Request<Bytes>,
        response: Option<&Response<Bytes>>,
        fault: Option<&Fault>,
    ) {
        let exchange = Exchange::new(self, plane, request, response, fault);
        if let Some(observer) = &self.observer {
            observer.see(&exchange);
        }
        // Only the page shows them, and not its own requests.
        if plane != Plane::Control && !self.front.control_key.is_empty() {
            self.recent().add(exchange.summary());
            self.changed();
        }
    }
}

/// One JSON object with the members of several, none of which is empty.
pub(crate) fn one_object(objects: &[&str]) -> String {
    let inside = |object: &&str| object.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
    let members: Vec<String> = objects.iter().filter_map(inside).collect();
    format!("{{{}}}", members.join(","))
}

/// The function that `SandboxBuilder::answered_by` registered; it runs on the server's thread.
pub(crate) struct AnswerOverride(pub(crate) Box<Answer>);

type Answer = dyn Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync;

/// The function that `SandboxBuilder::accept_failed` registered; it runs on the server's thread.
pub(crate) struct AcceptFailed(pub(crate) Box<dyn Fn(&io::Error) + Send + Sync>);

/// The function that `SandboxBuilder::forgets` registered; it runs on the server's thread.
pub(crate) struct Forgets(pub(crate) Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Forgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgets")
    }
}

impl fmt::Debug for AcceptFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptFailed")
    }
}

impl fmt::Debug for AnswerOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerOverride")
    }
}

/// A call of a client that is not answered yet.
pub(crate) struct Unanswered<'a>(Option<&'a Shared>);

impl<'a> Unanswered<'a> {
    pub(crate) fn begin(shared: &'a Shared, plane: Plane) -> Self {
        let counts = (plane == Plane::Runtime).then_some(shared);
        if let Some(shared) = counts {
            shared.unanswered.fetch_add(1, Ordering::SeqCst);
        }
        Self(counts)
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

pub(crate) fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
