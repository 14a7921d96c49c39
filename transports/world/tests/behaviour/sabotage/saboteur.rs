//! A wrapper between the driver and a good session that tampers with what passes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::Reader;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{Amount, CommitRequest, ReleaseResponse, ReservationCreateRequest};
use cycles_proto::outcome::StoreFailure;
use cycles_proto::outcome::{ActualSource, Charged, ReleaseReason, Released};
use cycles_proto::session::{Caller, FlushKey, Key, ReservationKey, Scanned, Session, Step, StepKey};
use cycles_proto::with_cycles_config::OnError;
use cycles_proto::{Call, Error, Failure, Flushed, Now, Receipt, Seed, Ticket, UnixMillis};
use cycles_proto::{InvalidCommit, Outcome};
use cycles_sandbox::{DEFAULT_API_KEY, Operation};
use cycles_world::Machine;
use http::Response;

use super::tampering::{released, rename, unmarked, unreadable};

/// The misbehaviour of a saboteur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    SendsBeforeStore,
    NewKeyOnRetry,
    NewKeyAfterRestart,
    OtherBytesOnRetry,
    ImpatientAfterThrottling,
    ForgetsToStorePause,
    CommitsInsteadOfReleasing,
    ChargesMore,
    BelievesEvery410,
    LivesInThePast,
    ReleasesAfterOpenCommit,
    WaitsInThePast,
    WaitsForEver,
    Repeats,
    NeverDone,
    BeatsWithoutPause,
    SwallowsBeatFailures,
    GivesUpWithTheHeartbeat,
    SwallowsJournalFailures,
    SwallowsUntakenCosts,
    SwallowsShortfalls,
    /// It forgets that requests leave.
    ForgetsDispatches,
    ForgetsDispatchesOfSteps,
    /// It forgets that the provider refused a request.
    ForgetsRefusals,
    /// It takes every action for one whose request has left.
    DispatchesEverything,
    /// It charges what an action on hold may have cost.
    ChargesWhatIsOnHold,
    SwallowsUnknownCosts,
    CountsNoUnknownCosts,
    PassesEstimatesOff,
    HidesThatACostIsNowhere,
    RemovesRecordFirst,
    WritesWhatCannotBeRead,
    LeavesSettledRecord,
    LeavesRefusedRecord,
    GivesUpWithTheFirstFailure,
    ClaimsToHaveCommitted,
    ClaimsToHaveReleased,
    TellsTheKey,
    CountsPolls,
}

#[derive(Debug)]
pub(crate) struct Saboteur {
    inner: Session,
    sabotage: Sabotage,
    polls: Option<u64>,
    has_told: bool,
    was_throttled: bool,
    /// The number of calls, changes and scans in progress.
    out: usize,
    has_failed: bool,
    /// Whether its own callers have asked for anything.
    has_reserved: bool,
    has_journal: bool,
    /// The number of flushes that are not over.
    flushes: usize,
    /// The number of costs that it reported as unknown.
    unknown: usize,
    lie: Option<Outcome>,
    /// A call to repeat.
    again: Vec<Call>,
    /// The owner of each issued ticket.
    tickets: BTreeMap<Ticket, ReservationKey>,
    /// The reservations that callers asked for; all others are resumed from the journal.
    own: BTreeSet<ReservationKey>,
    of: BTreeMap<ReservationKey, Of>,
}

/// Its state for one reservation.
#[derive(Debug, Default)]
struct Of {
    settlements: u32,
    has_failed: bool,
    open_commit: Option<Call>,
}

impl Saboteur {
    pub(crate) fn new(inner: Session, sabotage: Sabotage) -> Self {
        let lie = match sabotage {
            Sabotage::ClaimsToHaveCommitted => Some(Outcome::Settled(Receipt::Committed(Charged::new(
                None,
                ActualSource::Action,
            )))),
            Sabotage::ClaimsToHaveReleased => {
                let reply = r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":1}}"#;
                let reply: ReleaseResponse = serde_json::from_str(reply).unwrap();
                Some(Outcome::Released(Released::Confirmed(Box::new(reply))))
            }
            Sabotage::HidesThatACostIsNowhere => Some(Outcome::Settled(Receipt::Stale)),
            _ => None,
        };
        Self {
            inner,
            sabotage,
            polls: (sabotage == Sabotage::CountsPolls).then_some(0),
            has_told: false,
            was_throttled: false,
            out: 0,
            has_failed: false,
            has_reserved: false,
            has_journal: false,
            flushes: 0,
            unknown: 0,
            lie,
            again: Vec::new(),
            tickets: BTreeMap::new(),
            own: BTreeSet::new(),
            of: BTreeMap::new(),
        }
    }

    /// The time that the session behind is polled with.
    fn told(&self, now: Now) -> Now {
        const DAYS_MS: u64 = 5 * 86_400_000;
        match self.sabotage {
            Sabotage::LivesInThePast if !self.has_reserved => Now {
                wall: UnixMillis(now.wall.0 - DAYS_MS),
                ..now
            },
            _ => now,
        }
    }

    fn tamper(&mut self, now: Now, step: Step) -> Step {
        match (self.sabotage, step) {
            (Sabotage::SendsBeforeStore, Step::Store(ticket, _, JournalWrite::Put(_)))
            | (Sabotage::LeavesSettledRecord, Step::Store(ticket, _, JournalWrite::Remove(_)))
            | (Sabotage::LeavesRefusedRecord, Step::Store(ticket, _, JournalWrite::SetAside(..))) => {
                self.inner.handle_stored(now, ticket, Ok(()));
                self.inner.poll(now)
            }
            (Sabotage::RemovesRecordFirst, Step::Store(ticket, whose, JournalWrite::Put(record))) => {
                Step::Store(ticket, whose, JournalWrite::Remove(record))
            }
            (Sabotage::WritesWhatCannotBeRead, Step::Store(ticket, whose, JournalWrite::Put(record))) => {
                Step::Store(ticket, whose, JournalWrite::Put(unreadable(&record)))
            }
            (Sabotage::ForgetsToStorePause, Step::Store(ticket, whose, JournalWrite::Put(record))) => {
                let record = record.with_not_before(UnixMillis(0));
                Step::Store(ticket, whose, JournalWrite::Put(record))
            }
            (Sabotage::PassesEstimatesOff, Step::Store(ticket, whose, JournalWrite::Put(record))) => {
                Step::Store(ticket, whose, JournalWrite::Put(unmarked(&record)))
            }
            (_, Step::Send(call)) => self.tamper_call(now, call),
            // Otherwise the deadlines of calls in progress would pass too, which is another defect.
            (Sabotage::ImpatientAfterThrottling, Step::Wait(Some(at)))
                if self.was_throttled && self.out == 0 =>
            {
                self.was_throttled = false;
                self.inner.poll(Now { mono: at, ..now })
            }
            (Sabotage::WaitsInThePast, Step::Wait(Some(_))) => Step::Wait(Some(now.mono)),
            (Sabotage::WaitsForEver, Step::Wait(Some(_))) if self.has_failed && self.flushes == 0 => {
                Step::Wait(None)
            }
            (Sabotage::NeverDone, Step::Wait(None)) => Step::Wait(Some(Duration::MAX)),
            (
                Sabotage::SwallowsBeatFailures,
                Step::Notify(_, Event::BeatFailed { .. } | Event::HeartbeatStopped { .. }),
            )
            | (Sabotage::SwallowsJournalFailures, Step::Notify(_, Event::JournalFailed { .. }))
            | (Sabotage::SwallowsUntakenCosts, Step::Notify(_, Event::CostNotTaken { .. }))
            | (Sabotage::SwallowsUnknownCosts, Step::Notify(_, Event::CostUnknown { .. }))
            | (Sabotage::SwallowsShortfalls, Step::Notify(_, Event::ChargedLess { .. })) => self.poll(now),
            (Sabotage::GivesUpWithTheHeartbeat, Step::Notify(observer, event @ Event::BeatFailed { .. })) => {
                for key in self.own.clone() {
                    self.inner.abandon(now, key);
                }
                Step::Notify(observer, event)
            }
            (_, step) => step,
        }
    }

    fn tamper_call(&mut self, now: Now, mut call: Call) -> Step {
        let Some(Key::Reservation(key)) = self.inner.whose(call.ticket) else {
            return Step::Send(call);
        };
        self.tickets.insert(call.ticket, key);
        let is_resumed = !self.own.contains(&key);
        let of = self.of.entry(key).or_default();
        if of.has_failed && self.sabotage == Sabotage::GivesUpWithTheFirstFailure {
            // It is never sent again.
            return self.poll(now);
        }
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        if operation == Operation::ExtendReservation && self.sabotage == Sabotage::BeatsWithoutPause {
            self.again = vec![call.clone(); 5];
        }
        if !is_settlement(operation) {
            return Step::Send(call);
        }
        of.settlements += 1;
        let is_retry = of.settlements > 1;
        match self.sabotage {
            Sabotage::NewKeyOnRetry if is_retry => rename(&mut call, "again"),
            Sabotage::NewKeyAfterRestart if is_resumed => rename(&mut call, "restarted"),
            // A first event may follow the commits.
            Sabotage::OtherBytesOnRetry if is_retry && operation == Operation::CommitReservation => {
                let text = String::from_utf8_lossy(call.request.body()).replacen('{', "{ ", 1);
                *call.request.body_mut() = Bytes::from(text);
            }
            Sabotage::ChargesMore => {
                let text =
                    String::from_utf8_lossy(call.request.body()).replace("\"amount\":", "\"amount\":1");
                *call.request.body_mut() = Bytes::from(text);
            }
            Sabotage::ReleasesAfterOpenCommit if operation == Operation::CommitReservation => {
                if of.has_failed {
                    return Step::Send(released(call));
                }
                of.open_commit = Some(call.clone());
            }
            _ => {}
        }
        Step::Send(call)
    }

    fn counted(&self, mut flushed: Flushed) -> Flushed {
        if self.sabotage == Sabotage::CountsNoUnknownCosts {
            flushed.unrecorded -= self.unknown.min(flushed.unrecorded);
        }
        flushed
    }

    /// Whether it reports the end of a reservation after the first failed attempt.
    fn has_given_up(&self, key: ReservationKey) -> bool {
        self.sabotage == Sabotage::GivesUpWithTheFirstFailure
            && self.of.get(&key).is_some_and(|of| of.has_failed)
    }
}

fn is_settlement(operation: Operation) -> bool {
    matches!(operation, Operation::CommitReservation | Operation::CreateEvent)
}

impl Machine for Saboteur {
    fn session(&self) -> &Session {
        &self.inner
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.inner
    }

    fn poll(&mut self, now: Now) -> Step {
        if let Some(polls) = &mut self.polls {
            *polls += 1;
        }
        if self.sabotage == Sabotage::TellsTheKey && !self.has_told {
            self.has_told = true;
            let event = Event::record_unreadable("v2-1.json", format!("of {DEFAULT_API_KEY}"));
            return Step::Notify(Default::default(), event);
        }
        if let Some(call) = self.again.pop() {
            return Step::Send(call);
        }
        let told = self.told(now);
        let step = self.inner.poll(told);
        self.unknown += usize::from(matches!(step, Step::Notify(_, Event::CostUnknown { .. })));
        let goes_out = matches!(step, Step::Send(_) | Step::Store(..) | Step::Scan { .. });
        self.out += usize::from(goes_out);
        if let (Sabotage::Repeats, Step::Wait(_)) = (self.sabotage, &step) {
            let event = Event::record_unreadable("v2-1.json", "again and again");
            return Step::Notify(Default::default(), event);
        }
        self.tamper(told, step)
    }

    fn handle(
        &mut self,
        now: Now,
        ticket: Ticket,
        reader: &Reader,
        result: Result<&Response<Bytes>, Failure>,
    ) {
        self.out = self.out.saturating_sub(1);
        let key = self.tickets.get(&ticket);
        let of = key.and_then(|key| self.of.get_mut(key));
        self.was_throttled |= result.as_ref().is_ok_and(|response| response.status() == 429);
        if let Some(of) = of.filter(|of| of.settlements > 0) {
            of.has_failed |= match &result {
                Ok(response) => response.status().is_server_error(),
                Err(_) => true,
            };
            self.has_failed |= of.has_failed;
        }
        let answer = match result {
            Ok(response) if self.sabotage == Sabotage::BelievesEvery410 && response.status() == 410 => {
                let mut named = response.clone();
                *named.body_mut() =
                    Bytes::from_static(br#"{"error":"RESERVATION_EXPIRED","message":"m","request_id":"r"}"#);
                reader.read(Ok(&named))
            }
            result => reader.read(result),
        };
        self.inner.handle(now, ticket, answer);
    }

    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.has_journal = true;
        self.out = self.out.saturating_sub(1);
        self.inner.handle_stored(now, ticket, stored);
    }

    fn handle_scanned(&mut self, now: Now, ticket: Ticket, scanned: Option<Scanned>) -> bool {
        self.out = self.out.saturating_sub(1);
        self.inner.handle_scanned(self.told(now), ticket, scanned)
    }

    fn reserve(
        &mut self,
        now: Now,
        caller: &Caller,
        request: ReservationCreateRequest,
        seed: Seed,
    ) -> Result<ReservationKey, Error> {
        self.has_reserved = true;
        let key = self.inner.reserve(now, caller, request, seed)?;
        self.own.insert(key);
        Ok(key)
    }

    fn dispatched(&mut self, key: ReservationKey) {
        if self.sabotage != Sabotage::ForgetsDispatches {
            self.inner.dispatched(key);
        }
    }

    fn not_charged(&mut self, key: ReservationKey) {
        if self.sabotage != Sabotage::ForgetsRefusals {
            self.inner.not_charged(key);
        }
    }

    fn set_on_error(&mut self, key: ReservationKey, on_error: OnError) {
        if (self.sabotage, on_error) != (Sabotage::ChargesWhatIsOnHold, OnError::Hold) {
            self.inner.set_on_error(key, on_error);
        }
    }

    fn step_dispatched(&mut self, step: StepKey) {
        if self.sabotage != Sabotage::ForgetsDispatchesOfSteps {
            self.inner.step_dispatched(step);
        }
    }

    fn abandon(&mut self, now: Now, key: ReservationKey) {
        if self.sabotage == Sabotage::DispatchesEverything {
            self.inner.dispatched(key);
        }
        self.inner.abandon(now, key);
    }

    fn release(&mut self, now: Now, key: ReservationKey, reason: ReleaseReason) {
        if self.sabotage == Sabotage::CommitsInsteadOfReleasing {
            let request = CommitRequest::builder().actual(Amount::tokens(1)).build();
            let _: Result<(), InvalidCommit> = self.inner.commit(now, key, request);
        }
        self.inner.release(now, key, reason);
    }

    fn flush(&mut self, now: Now, caller: &Caller, until: Duration) -> FlushKey {
        self.flushes += 1;
        self.inner.flush(now, caller, until, false)
    }

    fn forget_flush(&mut self, key: FlushKey) {
        self.flushes -= 1;
        self.inner.forget_flush(key);
    }

    fn flushed(&self, key: FlushKey) -> Option<Flushed> {
        self.inner.flushed(key).map(|flushed| self.counted(flushed))
    }

    fn outcome(&self, key: ReservationKey) -> Option<&Outcome> {
        let outcome = self.inner.outcome(key);
        match (&self.lie, outcome) {
            (Some(lie), Some(Outcome::Settled(receipt)))
                if self.sabotage == Sabotage::HidesThatACostIsNowhere =>
            {
                let is_nowhere = !self.has_journal && receipt.is_unrecorded();
                if is_nowhere { Some(lie) } else { outcome }
            }
            (Some(_), _) if self.sabotage == Sabotage::HidesThatACostIsNowhere => outcome,
            (Some(lie), Some(_)) => Some(lie),
            (None, None) if self.has_given_up(key) => Some(&NOTHING),
            (_, outcome) => outcome,
        }
    }

    fn is_over(&self, key: ReservationKey) -> bool {
        match self.sabotage {
            Sabotage::NeverDone if self.own.contains(&key) => false,
            _ => self.has_given_up(key) || self.inner.is_over(key),
        }
    }

    fn left(&mut self, now: Now, caller: &Caller) -> Flushed {
        let left = self.inner.left(now, caller);
        let mut left = self.counted(left);
        match self.sabotage {
            Sabotage::HidesThatACostIsNowhere if !self.has_journal => {
                let is_nowhere = |key: &&ReservationKey| {
                    self.inner
                        .receipt(**key)
                        .is_some_and(|receipt| receipt.is_unrecorded())
                };
                left.unrecorded -= self.own.iter().filter(is_nowhere).count().min(left.unrecorded);
            }
            Sabotage::GivesUpWithTheFirstFailure => (left.ending, left.recorded) = (0, 0),
            _ => {}
        }
        left
    }
}

/// The false report about the cost.
static NOTHING: Outcome = Outcome::Released(Released::NothingHeld);
