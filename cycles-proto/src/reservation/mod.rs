//! One reservation, from its request to its end.
//!
//! ```text
//!           ┌───────────── Reserving ──── refused, failed, dry run ───────────────┐
//!           │ granted,         │ granted                                          │
//!           │ no time left     ▼                                                  ▼
//!           │                 Held ◄──┐ beats, manual extensions                Ended
//!           ▼                │   │ └──┘                                       ▲ ▲ ▲ ▲
//!      Verifying ─ extended ►│   │ commit, or left with a known cost          │ │ │ │
//!           │                │   └───► its Settlement (and beats) ─ receipt ──┘ │ │ │
//!           │                │ release, or left                                 │ │ │
//!           │                └───────► Releasing ───── confirmed, or expired ───┘ │ │
//!           │                          Resumed, from a record ── receipt ─────────┘ │
//!           └── over, or not extended: a stale replay, the action must not run ─────┘
//! ```
//!
//! In shadow mode there is only `Shadow`, which goes to `Ended` once its action has ended and its decision is known.
//!
//! One loop drives the machine: [`poll`](Reservation::poll) says what to do, `handle_*` reports the result, and the
//! caller's own actions ([`commit`](Reservation::commit), [`release`](Reservation::release), …) may come at any time in
//! between. Every input is legal at any time. An input that nothing waits for is ignored, with one exception: a grant
//! that arrives too late is released.

mod common;
mod cost_record;
mod dispatched;
mod facts;
pub(crate) mod heartbeat;
mod held;
mod mark;
mod phase;
mod releasing;
mod reserving;
mod results;
mod resumed;
pub(crate) mod run;
mod shadow;
mod verifying_grant;

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;

use self::common::{Attempt, Attempted, Common};
#[cfg(feature = "parts")]
pub use self::heartbeat::schedule;
use self::held::Held;
use self::phase::Phase;
use self::releasing::Releasing;
use self::reserving::{DEFAULT_TTL_MS, Granted, Reserving};
pub use self::results::Results;
use self::shadow::Shadow;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::journal::record::Purpose;
use crate::meter::{End, Meter, Settle};
use crate::models::{
    Amount, CommitRequest, ReleaseResponse, ReservationCreateRequest, ReservationCreateResponse,
    ReservationExtendResponse,
};
use crate::outcome::{
    Error, Failure, FailureKind, Grant, InvalidCommit, OperationKind, Outcome, Receipt, ReleaseReason,
    StoreFailure,
};
use crate::settlement::Settlement;
use crate::step::{Events, Step};
use crate::ticket::Ticket;
use crate::time::{Now, millis_ceil};
use crate::wire::{Answer, Reader, Reads};

/// One reservation, from its request to its end.
#[derive(Debug)]
pub struct Reservation {
    common: Common,
    phase: Phase,
}

impl Reservation {
    /// Requests a reservation. Levels that the request's subject leaves out come from the configuration.
    ///
    /// # Errors
    /// [`Error::Validation`] if the request breaks a limit. In that case, nothing is sent.
    pub fn new(
        config: Arc<CyclesConfig>,
        request: ReservationCreateRequest,
        seed: Seed,
    ) -> Result<Self, Error> {
        let mut common = Common::new(config, seed);
        let reserving = Reserving::new(&mut common, request)?;
        Ok(Self {
            common,
            phase: Phase::Reserving(Box::new(reserving)),
        })
    }

    /// Sends each beat up to an eighth of its wait earlier than the protocol says, depending on the seed, so that
    /// leases that were made together do not all beat at the same time.
    pub fn spread_beats(mut self) -> Self {
        self.common.spreads_beats = true;
        self
    }

    /// Returns the next thing to do. An unnecessary call changes nothing.
    pub fn poll(&mut self, now: Now) -> Step {
        let now = self.common.at(now);
        if let Some(ticket) = Attempt::overdue(self.phase.attempt(), now) {
            let said = self.reader(ticket).read(Err(Failure::new(FailureKind::Timeout)));
            let sent = None;
            self.attempted(now, Attempted { ticket, sent, said });
        }
        loop {
            if let Some(event) = self.common.events.pop() {
                return Step::Notify(event.with_info(self.common.info.as_ref()));
            }
            let common = &mut self.common;
            // Before a release: if the process dies in between, the mark of an action that costs nothing is gone.
            if let Some(step) = common.poll_mark() {
                return step;
            }
            let step = match &mut self.phase {
                Phase::Reserving(reserving) => Ok(Some(reserving.poll(common, now))),
                Phase::Verifying(verifying) => Ok(Some(verifying.poll(common, now))),
                Phase::Held(held) => held.poll(common, now),
                Phase::Shadow(shadow) => shadow.poll(common, now),
                Phase::Releasing(releasing) => releasing.poll(common, now).map(Some),
                Phase::Ended(_) if common.is_marking() => Ok(Some(Step::Wait(None))),
                Phase::Ended(_) => Ok(Some(Step::Done)),
                Phase::Resumed(settlement) => match (settlement.poll(now), settlement.outcome()) {
                    (Step::Done, Some(receipt)) => Err(Phase::ended(Outcome::Settled(receipt.clone()))),
                    (step, _) => Ok(Some(step)),
                },
            };
            match step {
                Ok(Some(Step::Notify(event))) => {
                    return Step::Notify(event.with_info(self.common.info.as_ref()));
                }
                Ok(Some(step)) => return step,
                Ok(None) => {}
                Err(phase) => self.enter(now, phase),
            }
        }
    }

    /// Reports the response to a call; `sent` is when the call was sent, on the monotonic clock.
    pub fn handle_response(
        &mut self,
        now: Now,
        ticket: Ticket,
        sent: Duration,
        response: &http::Response<Bytes>,
    ) {
        let answer = self.reader(ticket).read(Ok(response));
        self.handle(now, ticket, Some(sent), answer);
    }

    /// Reports that a call got no answer; `sent` is when the call was sent, if it was sent at all.
    pub fn handle_failure(&mut self, now: Now, ticket: Ticket, sent: Option<Duration>, failure: Failure) {
        let answer = self.reader(ticket).read(Err(failure));
        self.handle(now, ticket, sent, answer);
    }

    /// Reports the result of a call; `sent` is when the call was sent, if it was sent at all.
    pub fn handle(&mut self, now: Now, ticket: Ticket, sent: Option<Duration>, answer: Answer) {
        let now = self.at(now);
        if ticket.is_of_a_settlement() {
            if let Some(settlement) = self.phase.settlement_mut() {
                settlement.handle(now, ticket, answer);
            }
            return;
        }
        let said = answer;
        self.attempted(now, Attempted { ticket, sent, said });
    }

    /// Notes that an extension waits for a place, until this time at the latest.
    pub(crate) fn queued(&mut self, now: Now, ticket: Ticket, until: Duration) {
        self.at(now);
        if let Some(attempt) = self.phase.attempt_of(ticket) {
            attempt.deadline = until;
        }
    }

    /// Notes that a call got a place: its time starts now. Returns whether it may still be sent.
    pub(crate) fn placed(&mut self, now: Now, ticket: Ticket) -> bool {
        let now = self.at(now);
        let settlement = self.phase.settlement_mut();
        let may_be_sent = settlement.is_none_or(|settlement| settlement.placed(now, ticket));
        if let Some(attempt) = self.phase.attempt_of(ticket) {
            attempt.begins(now);
        }
        may_be_sent
    }

    /// The events that wait to be handed out, so that a session can lend memory for them.
    pub(crate) fn events(&mut self) -> &mut Events {
        &mut self.common.events
    }

    /// Notes that a record was written after its deadline.
    pub(crate) fn note_late_record(&mut self) {
        if let Some(settlement) = self.phase.settlement_mut() {
            settlement.note_late_record();
        }
    }

    /// The reader of the answer to this call.
    fn reader(&self, ticket: Ticket) -> Reader {
        let reads = match (&self.phase, self.phase.settlement()) {
            (_, Some(settlement)) if ticket.is_of_a_settlement() => settlement.reads(),
            _ if self.common.is_of_a_reservation(ticket) => {
                let dry_run = matches!(&self.phase, Phase::Reserving(reserving) if reserving.is_dry_run());
                Reads::of::<ReservationCreateResponse>(OperationKind::CreateReservation { dry_run })
            }
            (Phase::Shadow(_), _) => Shadow::reads(),
            (Phase::Verifying(verifying), _) => verifying.reads(),
            (Phase::Releasing(_), _) => Reads::of::<ReleaseResponse>(OperationKind::ReleaseReservation),
            _ => Reads::of::<ReservationExtendResponse>(OperationKind::ExtendReservation),
        };
        Reader::new(self.common.config.api_key(), reads)
    }

    /// Reports that a change to the journal was made, or why it could not be made.
    pub fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.common.at(now);
        if self.common.handle_mark_stored(ticket, &stored) {
            return;
        }
        if let Phase::Held(held) = &mut self.phase
            && !ticket.is_of_a_settlement()
        {
            return held.handle_total_stored(&mut self.common, ticket, stored);
        }
        if let Some(settlement) = self.phase.settlement_mut()
            && settlement.handle_stored(ticket, stored)
        {
            self.common.forget_mark();
        }
        if let Phase::Held(held) = &mut self.phase {
            held.note_record_stored();
        }
    }

    /// Raises the reported spend to at least this amount; a lower amount changes nothing. If no cost is handed over
    /// later, this amount is committed.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed; [`InvalidCommit::AlreadyCommitted`] once a cost has been
    /// handed over.
    pub fn spent(&mut self, amount: &Amount) -> Result<(), InvalidCommit> {
        if let Some((common, shadow)) = self.shadow_mut() {
            return shadow.spent(common, amount);
        }
        let (common, held) = self.held()?;
        held.spent(common, amount)
    }

    /// Returns a meter that counts what the action consumes, for streams.
    pub fn meter(&self, now: Now) -> Meter {
        // If nothing is held, nothing will be accepted, in any unit.
        let estimate = self.grant().and(self.common.estimate().ok()).cloned();
        let estimate = estimate.unwrap_or_else(|| Amount::tokens(0));
        Meter::new(estimate, now)
    }

    /// Reports the amount that a [meter](Self::meter) has counted so far, which may be more or less than before. If
    /// the meter never reaches its [end](Self::end_meter), this amount is committed, unless more was
    /// [spent](Self::spent).
    ///
    /// # Errors
    /// [`InvalidCommit`] if the amount could not be committed.
    pub fn counted(&mut self, amount: &Amount) -> Result<(), InvalidCommit> {
        if let Some((common, shadow)) = self.shadow_mut() {
            return shadow.counted(common, amount);
        }
        let (common, held) = self.held()?;
        held.counted(common, amount)
    }

    /// Ends the metered stream, and returns what to do with the reservation. If more was reported as
    /// [spent](Self::spent) than the meter counted, that is the cost. An item that was [not counted](Meter::uncounted)
    /// is reported by an [event](crate::outcome::Event::CostNotTaken) when the rest is settled.
    pub fn end_meter(&mut self, now: Now, mut meter: Meter, end: End) -> Settle {
        let now = self.at(now);
        if let Some((_, shadow)) = self.shadow_mut() {
            shadow.end_meter(&mut meter);
        } else if let Ok((_, held)) = self.held() {
            held.end_meter(&mut meter);
        }
        meter.end(end, now)
    }

    /// Commits the cost of the action. From now on the cost is known: it is settled in any case, or kept where a person
    /// can find it.
    ///
    /// Metrics and metadata that break a limit are left out, with an event.
    ///
    /// # Errors
    /// [`InvalidCommit`] if the cost could not be committed; the reservation is then unchanged.
    pub fn commit(&mut self, now: Now, request: CommitRequest) -> Result<(), InvalidCommit> {
        let now = self.at(now);
        if let Some((common, shadow)) = self.shadow_mut() {
            return shadow.commit(common, now, request);
        }
        let (common, held) = self.held()?;
        held.commit(common, now, request)
    }

    /// Gives the budget back, because the action did not run or spent nothing. If [spending](Self::spent) was reported,
    /// that amount is committed instead.
    pub fn release(&mut self, now: Now, reason: ReleaseReason) {
        let now = self.at(now);
        let common = &mut self.common;
        let next = match &mut self.phase {
            Phase::Reserving(reserving) => reserving.abandon(common),
            Phase::Verifying(verifying) => verifying.abandon(reason),
            Phase::Held(held) => held.end_without_a_commit(common, now, reason),
            Phase::Shadow(shadow) => {
                shadow.end_without_a_commit(common, now);
                None
            }
            Phase::Resumed(_) | Phase::Releasing(_) | Phase::Ended(_) => None,
        };
        if let Some(phase) = next {
            self.enter(now, phase);
        }
    }

    /// Ends a reservation whose caller has gone away, like a [release](Self::release). `Held::end_without_a_commit`
    /// decides between a commit and a release.
    pub fn abandon(&mut self, now: Now) {
        self.release(now, ReleaseReason::ABANDONED);
    }

    /// Extends the lease manually, by 1 ms to a day. The heartbeat continues, and a beat that is under way goes first.
    /// The ticket comes back in [`Event::LeaseExtended`](crate::outcome::Event::LeaseExtended) or
    /// [`Event::ExtendFailed`](crate::outcome::Event::ExtendFailed). If the heartbeat had stopped for any reason except
    /// its [age](crate::outcome::Stop::TooOld), it starts again.
    /// Returns `None` if nothing is held.
    pub fn extend(&mut self, by: Duration) -> Option<Ticket> {
        if let Some((common, shadow)) = self.shadow_mut() {
            return shadow.extend(common);
        }
        let (common, held) = self.held().ok()?;
        Some(held.extend(common, millis_ceil(by)))
    }

    /// Sets the age at which the heartbeat of a held reservation stops, counted from its grant.
    pub fn set_max_lease_age(&mut self, age: Duration) {
        if let Ok((_, held)) = self.held() {
            held.set_max_lease_age(age);
        }
    }

    /// The grant; `None` before the reservation is granted, and after it is released or settled.
    pub fn grant(&self) -> Option<&Grant> {
        match self.shadow() {
            Some(shadow) => shadow.grant(),
            None => Some(&self.phase.holding()?.grant),
        }
    }

    /// What the budget is held for: the action, and the request's subject, completed from the configuration.
    pub fn purpose(&self) -> Option<&Arc<Purpose>> {
        self.grant()?;
        Some(&self.common.info.as_ref()?.purpose)
    }

    /// Whether the lease is over by the clock, even if the machine has not been polled since.
    pub(crate) fn is_lost(&self, now: Now) -> bool {
        self.phase.holding().is_some_and(|held| held.is_lost(now))
    }

    /// How the reservation ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Ended(outcome) => Some(outcome),
            Phase::Releasing(releasing) => releasing.outcome(),
            Phase::Shadow(shadow) => shadow.outcome(),
            Phase::Reserving(_) | Phase::Verifying(_) | Phase::Held(_) | Phase::Resumed(_) => None,
        }
    }

    /// Whether the reservation has ended and all its events have been handed out. Until then, poll it.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Ended(_)) && self.common.events.is_empty() && !self.common.is_marking()
    }

    /// The receipt for a caller that waits for its cost, if there is one yet; see [`Settlement::receipt`].
    pub fn receipt(&self) -> Option<Receipt> {
        match self.outcome() {
            Some(Outcome::Settled(receipt)) => Some(receipt.clone()),
            Some(Outcome::NotReserved(_) | Outcome::Evaluated(_) | Outcome::Released(_)) => None,
            None => self.phase.settlement().and_then(Settlement::receipt),
        }
    }

    /// Advances the machine to the time of an input. A lease that is over by then is reported as lost, whatever the
    /// input is, because the caller may already have seen this from the clock.
    fn at(&mut self, now: Now) -> Now {
        let now = self.common.at(now);
        if let Phase::Held(held) = &mut self.phase {
            held.tell_if_lost(&mut self.common, now);
        }
        now
    }

    fn attempted(&mut self, now: Now, answer: Attempted) {
        let common = &mut self.common;
        let next = match &mut self.phase {
            Phase::Reserving(reserving) => reserving.handle(common, now, answer),
            Phase::Verifying(verifying) => verifying.handle(common, now, answer),
            Phase::Releasing(releasing) => releasing.handle(common, now, answer),
            Phase::Held(held) => {
                held.handle(common, now, answer);
                None
            }
            Phase::Shadow(shadow) => {
                shadow.handle(common, answer);
                None
            }
            Phase::Ended(outcome) => released_late(common, now, outcome, answer),
            Phase::Resumed(_) => None,
        };
        if let Some(phase) = next {
            self.enter(now, phase);
        }
    }

    /// Goes to the next phase. The end of a reservation is reported once, even if a late grant is released after it.
    fn enter(&mut self, now: Now, next: Phase) {
        let last = core::mem::replace(&mut self.phase, next);
        if let Phase::Ended(outcome) = &self.phase {
            self.common.end_mark(outcome);
        }
        if let Phase::Ended(outcome) = &self.phase
            && !core::mem::replace(&mut self.common.has_ended, true)
        {
            self.common.events.extend(last.end(&self.common, now, outcome));
        }
    }

    fn held(&mut self) -> Result<(&mut Common, &mut Held), InvalidCommit> {
        match &mut self.phase {
            Phase::Held(held) => Ok((&mut self.common, held)),
            Phase::Ended(outcome) if matches!(**outcome, Outcome::Settled(_)) => {
                Err(InvalidCommit::AlreadyCommitted)
            }
            Phase::Resumed(_) => Err(InvalidCommit::AlreadyCommitted),
            Phase::Reserving(_)
            | Phase::Verifying(_)
            | Phase::Releasing(_)
            | Phase::Shadow(_)
            | Phase::Ended(_) => Err(InvalidCommit::NotHeld),
        }
    }
}

/// Releases a grant that arrives after the outcome was reported; the outcome does not change. A grant with no time left
/// is the replay of an old key. It is not released, because the caller that reserved it may be settling it.
fn released_late(common: &Common, now: Now, outcome: &Outcome, answer: Attempted) -> Option<Phase> {
    if !matches!(outcome, Outcome::NotReserved(_)) {
        return None;
    }
    let granted = Granted::late(common, now, answer).filter(|granted| !granted.is_old())?;
    let releasing = Releasing::of(&granted, DEFAULT_TTL_MS, ReleaseReason::LATE_GRANT);
    Some(Phase::Releasing(Box::new(releasing.and_then(outcome.clone()))))
}

#[cfg(test)]
mod tests;
