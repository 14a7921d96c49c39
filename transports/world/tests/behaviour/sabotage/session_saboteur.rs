//! A wrapper around a good session that breaks the rules for a session as a whole: its timers, places, claims,
//! principals and end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::Reader;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{Action, Amount, CommitRequest, Subject};
use cycles_proto::outcome::StoreFailure;
use cycles_proto::record::{JournalRecord, Purpose, RecordId};
use cycles_proto::session::{
    Caller, Close, EndedStep, FlushKey, Key, Principal, ReservationKey, Scanned, Session, Step,
};
use cycles_proto::{Call, Error, Failure, FailureKind, Flushed, Now, Seed, Ticket, Urgency};
use cycles_sandbox::DEFAULT_TENANT;
use cycles_world::{Machine, World};
use http::Response;

/// The misbehaviour of a session saboteur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionSabotage {
    None,
    /// It forgets a timer once a caller has gone away.
    ForgetsItsTimer,
    /// It runs more exchanges at once than there are places.
    TakesEveryPlace,
    /// Its settlements take the places of leases.
    PutsLeasesLast,
    /// Its leases get no place while settlements are in progress.
    StarvesLeases,
    /// A withdrawn call may begin.
    LetsWithdrawnBegin,
    /// It waits too long for a change to the journal.
    WaitsForStores,
    /// A flush does not end.
    NeverFlushed,
    /// A flush reports that everything is settled.
    AlwaysFlushed,
    /// A panic affects other reservations.
    PanicsSpread,
    /// A panic is not reported.
    PanicsInSilence,
    /// A record goes to another principal's journal.
    MixesJournals,
    /// A call is made under another principal's key.
    MixesKeys,
    /// A waiting caller is not woken.
    WakesNobody,
    /// It sends records that another session has claimed.
    TakesWhatIsClaimed,
    /// A replay continues although its key is refused.
    GoesOnAgainstRefusals,
    /// A closed session sends calls.
    SendsWhenClosed,
    /// A closed session reports that it is through too early.
    EndsTooEarly,
    /// A step counts as charged before its cost is stored.
    ChargesStepsTooEarly,
    /// The total of a run is not stored, but is said to be.
    LosesTotals,
    /// A mark is not stored, but is said to be.
    LosesMarks,
    /// It removes the marks of actions that are on hold.
    RemovesMarksOnHold,
    /// It tells nobody of the marks that others left.
    TellsNoMarks,
    /// No flush counts them.
    CountsNoMarks,
    /// It charges them by itself.
    ChargesMarks,
}

#[derive(Debug)]
pub(crate) struct SessionSaboteur {
    inner: Session,
    how: SessionSabotage,
    has_forgotten: bool,
    /// The settlements in progress.
    settlements: BTreeSet<Ticket>,
    withdrawn: BTreeSet<Ticket>,
    stores: BTreeSet<Ticket>,
    own: BTreeSet<ReservationKey>,
    principals: Vec<Principal>,
    keys: BTreeMap<Principal, http::HeaderValue>,
    /// A call to repeat after it is closed.
    held_back: Vec<Call>,
    closed: Option<Close>,
}

impl SessionSaboteur {
    pub(crate) fn new(inner: Session, how: SessionSabotage) -> Self {
        Self {
            inner,
            how,
            has_forgotten: false,
            settlements: BTreeSet::new(),
            withdrawn: BTreeSet::new(),
            stores: BTreeSet::new(),
            own: BTreeSet::new(),
            principals: Vec::new(),
            keys: BTreeMap::new(),
            closed: None,
            held_back: Vec::new(),
        }
    }

    fn sends(&mut self, now: Now, mut call: Call) -> Step {
        let is_lease = matches!(call.urgency, Urgency::Lease(_));
        if call.urgency == Urgency::Settlement {
            self.settlements.insert(call.ticket);
        }
        match self.how {
            SessionSabotage::StarvesLeases if is_lease && !self.settlements.is_empty() => {
                let queued = call.reader.read(Err(Failure::new(FailureKind::Queued)));
                self.inner.handle(now, call.ticket, queued);
                return self.poll(now);
            }
            SessionSabotage::MixesKeys => {
                let key = call.request.headers().get("x-cycles-api-key").cloned();
                let other = self.keys.values().find(|other| Some(*other) != key.as_ref());
                if let (Some(other), Some(key)) =
                    (other, call.request.headers_mut().get_mut("x-cycles-api-key"))
                {
                    *key = other.clone();
                }
            }
            SessionSabotage::SendsWhenClosed => self.held_back.push(call.clone()),
            _ => {}
        }
        Step::Send(call)
    }

    fn stores(&mut self, ticket: Ticket, principal: Principal, write: JournalWrite) -> Step {
        self.stores.insert(ticket);
        let other = self.principals.iter().find(|other| **other != principal);
        match (self.how, other) {
            (SessionSabotage::MixesJournals, Some(other)) => Step::Store(ticket, *other, write),
            _ => Step::Store(ticket, principal, write),
        }
    }

    fn waits(&self, until: Option<Duration>) -> Step {
        let is_forgotten = match self.how {
            SessionSabotage::ForgetsItsTimer => self.has_forgotten && self.stores.is_empty(),
            SessionSabotage::WaitsForStores => !self.stores.is_empty(),
            _ => false,
        };
        Step::Wait(until.filter(|_| !is_forgotten))
    }
}

impl Machine for SessionSaboteur {
    fn session(&self) -> &Session {
        &self.inner
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.inner
    }

    fn poll(&mut self, now: Now) -> Step {
        if self.how == SessionSabotage::SendsWhenClosed
            && self.closed == Some(Close::WritingOnly)
            && let Some(call) = self.held_back.pop()
            && self.inner.whose(call.ticket).is_some()
        {
            return Step::Send(call);
        }
        match self.inner.poll(now) {
            Step::Send(call) => self.sends(now, call),
            Step::Withdraw(ticket) => {
                self.withdrawn.insert(ticket);
                Step::Withdraw(ticket)
            }
            // One that says that a step was dispatched is a mark as well.
            Step::Store(ticket, _, JournalWrite::PutRun(total))
                if self.how == SessionSabotage::LosesTotals && !total.body().contains("dispatched") =>
            {
                self.inner.handle_stored(now, ticket, Ok(()));
                self.poll(now)
            }
            Step::Store(ticket, _, JournalWrite::PutMark(_)) if self.how == SessionSabotage::LosesMarks => {
                self.inner.handle_stored(now, ticket, Ok(()));
                self.poll(now)
            }
            Step::Store(ticket, principal, JournalWrite::LeaveMark(mark))
                if self.how == SessionSabotage::RemovesMarksOnHold =>
            {
                Step::Store(ticket, principal, JournalWrite::RemoveMark(mark.id().clone()))
            }
            Step::Store(ticket, principal, write) => self.stores(ticket, principal, write),
            Step::Notify(_, Event::Panicked { .. }) if self.how == SessionSabotage::PanicsInSilence => {
                self.poll(now)
            }
            Step::Wait(until) => self.waits(until),
            step => step,
        }
    }

    fn begun(&mut self, now: Now, ticket: Ticket) -> bool {
        let may_begin = self.inner.begun(now, ticket);
        may_begin || self.how == SessionSabotage::LetsWithdrawnBegin && self.withdrawn.contains(&ticket)
    }

    fn handle(
        &mut self,
        now: Now,
        ticket: Ticket,
        reader: &Reader,
        result: Result<&Response<Bytes>, Failure>,
    ) {
        self.settlements.remove(&ticket);
        let is_refused = result.as_ref().is_ok_and(|response| response.status() == 401);
        let answer = match self.how {
            SessionSabotage::GoesOnAgainstRefusals if is_refused => {
                let page = Response::builder().status(400).body(Bytes::from_static(
                    br#"{"error":"INVALID_REQUEST","message":"m","request_id":"r"}"#,
                ));
                reader.read(Ok(&page.unwrap()))
            }
            _ => reader.read(result),
        };
        self.inner.handle(now, ticket, answer);
    }

    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.stores.remove(&ticket);
        self.inner.handle_stored(now, ticket, stored);
    }

    fn handle_scanned(&mut self, now: Now, ticket: Ticket, scanned: Option<Scanned>) -> bool {
        let scanned = scanned.map(|mut scanned| {
            scanned.has_claim |= self.how == SessionSabotage::TakesWhatIsClaimed;
            match self.how {
                SessionSabotage::TellsNoMarks => {
                    let is_kept = |event: &Event| !matches!(event, Event::UnknownCostLeft { .. });
                    scanned.events.retain(is_kept);
                }
                SessionSabotage::CountsNoMarks => scanned.unknown.clear(),
                SessionSabotage::ChargesMarks => {
                    let marks = scanned.unknown.iter();
                    scanned.records.extend(marks.filter_map(|id| charged(id, now)));
                }
                _ => {}
            }
            scanned
        });
        self.inner.handle_scanned(now, ticket, scanned)
    }

    fn is_step_stored(&self, step: EndedStep) -> bool {
        self.how == SessionSabotage::ChargesStepsTooEarly || self.inner.is_step_stored(step)
    }

    fn pop_changed(&mut self) -> Option<Key> {
        let changed = self.inner.pop_changed();
        match self.how {
            SessionSabotage::WakesNobody => None,
            _ => changed,
        }
    }

    fn set_places(&mut self, places: usize) {
        self.inner.set_places(match self.how {
            SessionSabotage::TakesEveryPlace => 1_000,
            // Pretends that none of them are for leases.
            SessionSabotage::PutsLeasesLast => places + places / 4,
            _ => places,
        });
    }

    fn caller(&mut self, config: std::sync::Arc<cycles_proto::CyclesConfig>) -> Caller {
        let caller = self.inner.caller(config).unwrap();
        let principal = caller.principal();
        self.principals.push(principal);
        let key = http::HeaderValue::from_str(caller.config().api_key().expose()).unwrap();
        self.keys.insert(principal, key);
        caller
    }

    fn reserve(
        &mut self,
        now: Now,
        caller: &Caller,
        request: cycles_proto::models::ReservationCreateRequest,
        seed: Seed,
    ) -> Result<ReservationKey, Error> {
        let key = self.inner.reserve(now, caller, request, seed)?;
        self.own.insert(key);
        Ok(key)
    }

    fn forget(&mut self, now: Now, key: ReservationKey) {
        self.has_forgotten = true;
        self.inner.forget(now, key);
    }

    fn close(&mut self, now: Now, how: Close) {
        self.closed = Some(how);
        self.inner.close(now, how);
    }

    fn panic_in(&mut self, key: ReservationKey) {
        if self.how == SessionSabotage::PanicsSpread {
            for key in self.own.clone() {
                let panics = || self.inner.panic_in(key);
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
            }
        }
        self.inner.panic_in(key);
    }

    fn flushed(&self, key: FlushKey) -> Option<Flushed> {
        match self.how {
            SessionSabotage::NeverFlushed => None,
            SessionSabotage::AlwaysFlushed => {
                let flushed = self.inner.flushed(key)?;
                Some(all_settled(flushed))
            }
            _ => self.inner.flushed(key),
        }
    }

    fn is_written(&self) -> bool {
        self.how == SessionSabotage::EndsTooEarly || self.inner.is_written()
    }

    fn is_idle(&self) -> bool {
        self.how == SessionSabotage::EndsTooEarly || self.inner.is_idle()
    }

    fn left(&mut self, now: Now, caller: &Caller) -> Flushed {
        let left = self.inner.left(now, caller);
        match self.how {
            SessionSabotage::EndsTooEarly if self.closed.is_some() => all_settled(left),
            _ => left,
        }
    }
}

/// The record of the cost that a mark may stand for.
fn charged(mark: &RecordId, now: Now) -> Option<JournalRecord> {
    let amount = mark.actual.as_ref()?.1;
    let purpose = Purpose {
        subject: Subject::tenant(DEFAULT_TENANT),
        action: Action::new("llm.completion", "model"),
    };
    JournalRecord::new(
        &World::config().base_url,
        &mark.reservation,
        &Arc::new(purpose),
        mark.key.clone(),
        CommitRequest::builder().actual(Amount::tokens(amount)).build(),
        now.wall,
    )
    .ok()
}

fn all_settled(mut flushed: Flushed) -> Flushed {
    (flushed.ending, flushed.recorded, flushed.unrecorded) = (0, 0, 0);
    (flushed.charged_less, flushed.set_aside, flushed.is_certain) = (0, 0, true);
    flushed
}
