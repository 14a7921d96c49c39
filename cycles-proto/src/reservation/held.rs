//! A held reservation: the action runs, or its cost is on its way into the ledger. In both cases the heartbeat extends
//! the lease. [`Held::end_without_a_commit`] decides what becomes of the budget if the caller goes away.

use core::time::Duration;
use std::sync::Arc;

use super::Phase;
use super::common::{Attempt, Attempted, Common};
use super::heartbeat::{Heartbeat, Scene};
use super::releasing::Releasing;
use super::reserving::Granted;
use super::run::AtTheEnd;
use crate::dispatch::{Dispatches, Unreported};
use crate::meter::{Meter, estimated, partial};
use crate::models::{Amount, CommitRequest};
use crate::outcome::{ActualSource, Event, Grant, InvalidCommit, Outcome, ReleaseReason, Released};
use crate::run::Draws;
use crate::settlement::Settlement;
use crate::step::Step;
use crate::ticket::Ticket;
use crate::time::Now;

#[derive(Debug)]
pub(super) struct Held {
    pub(super) grant: Grant,
    /// The requested length of the lease, in milliseconds.
    ttl_ms: u64,
    heartbeat: Heartbeat,
    /// A lower bound on the cost so far.
    spent: i64,
    /// The cost of a metered stream so far.
    counted: i64,
    /// The requests of the action that may have to be paid for.
    pub(super) dispatches: Dispatches,
    /// Why a cost that was handed over or reported could not be accepted. This proves that there is a cost.
    untaken: Option<Box<InvalidCommit>>,
    settlement: Option<Box<Settlement>>,
    /// The steps, if the reservation is a run.
    pub(super) run: Option<Box<Draws>>,
}

impl Held {
    pub(super) fn new(common: &mut Common, ttl_ms: u64, granted: Granted) -> Self {
        let Granted {
            id,
            response,
            observed,
        } = granted;
        let heartbeat = Heartbeat::new(common, ttl_ms, observed);
        let grant = Grant {
            reservation_id: id,
            decision: response.decision.clone(),
            caps: response.caps.clone().map(Box::new),
            reserved: response.reserved.clone(),
            expires_at: observed.expires_at_ms,
        };
        let response = Arc::new(response);
        common.events.push(Event::Granted { info: None, response });
        Self {
            grant,
            ttl_ms,
            heartbeat,
            spent: 0,
            counted: 0,
            dispatches: Dispatches::default(),
            untaken: None,
            settlement: None,
            run: None,
        }
    }

    /// Returns the next thing to do; `None` if there are events to hand out first.
    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Result<Option<Step>, Phase> {
        let mut wake = None;
        if let Some(settlement) = &mut self.settlement {
            match settlement.poll(now) {
                Step::Wait(at) => wake = at,
                Step::Done => {
                    if let Some(receipt) = settlement.receipt() {
                        let (heartbeat, mut scene) = self.heartbeat(common, now);
                        heartbeat.dismiss(&mut scene);
                        return Err(Phase::ended(Outcome::Settled(receipt)));
                    }
                }
                step @ (Step::Send(_) | Step::Store(..) | Step::Notify(_)) => return Ok(Some(step)),
            }
        }
        if let Some(step) = self.poll_run(common, now) {
            return Ok(Some(step));
        }
        self.tell_if_lost(common, now);
        let is_settling = self.settlement.is_some();
        let ends = self.end_of_run(now);
        let (heartbeat, mut scene) = self.heartbeat(common, now);
        if let Some(step) = heartbeat.poll(&mut scene) {
            return Ok(Some(step));
        }
        if !scene.common.events.is_empty() {
            return Ok(None);
        }
        Ok(Some(Step::Wait(
            wake.into_iter()
                .chain(heartbeat.wake(is_settling))
                .chain(ends)
                .min(),
        )))
    }

    /// Reports the lease as lost if it is over before a settlement has begun.
    pub(super) fn tell_if_lost(&mut self, common: &mut Common, now: Now) {
        if self.is_lost(now) {
            let (heartbeat, mut scene) = self.heartbeat(common, now);
            heartbeat.tell_lost(&mut scene);
        }
    }

    /// Whether the lease is over before a settlement has begun.
    pub(super) fn is_lost(&self, now: Now) -> bool {
        self.settlement.is_none() && self.heartbeat.is_lost(now)
    }

    /// The extension that the machine waits for.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.heartbeat.attempt()
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.heartbeat.attempt_mut()
    }

    /// Handles the answer to any call except one of the settlement.
    pub(super) fn handle(&mut self, common: &mut Common, now: Now, answer: Attempted) {
        let (heartbeat, mut scene) = self.heartbeat(common, now);
        if let Some(expires_at) = heartbeat.handle(&mut scene, answer) {
            self.grant.expires_at = Some(expires_at);
        }
    }

    pub(super) fn settlement(&self) -> Option<&Settlement> {
        self.settlement.as_deref()
    }

    pub(super) fn settlement_mut(&mut self) -> Option<&mut Settlement> {
        self.settlement.as_deref_mut()
    }

    pub(super) fn extend(&mut self, common: &mut Common, by_ms: u64) -> Ticket {
        self.heartbeat.extend(common, by_ms)
    }

    pub(super) fn set_max_lease_age(&mut self, age: Duration) {
        self.heartbeat.set_max_age(age);
    }

    /// Whether spending was reported that no commit contains yet.
    pub(super) fn has_spent(&self) -> bool {
        self.settlement.is_none() && matches!(self.unreported(), Unreported::Spent(_))
    }

    /// What is charged if no commit comes.
    pub(super) fn unreported(&self) -> Unreported {
        self.dispatches.unreported(self.spent.max(self.counted))
    }

    pub(super) fn spent(&mut self, common: &Common, amount: &Amount) -> Result<(), InvalidCommit> {
        self.spent = self.spent.max(self.check(common, amount)?);
        Ok(())
    }

    pub(super) fn counted(&mut self, common: &Common, amount: &Amount) -> Result<(), InvalidCommit> {
        self.counted = self.check(common, amount)?;
        Ok(())
    }

    pub(super) fn end_meter(&mut self, meter: &mut Meter) {
        if let Some(why) = meter.uncounted() {
            self.untaken = Some(Box::new(why.clone()));
        }
        meter.note_dispatched(self.dispatches);
        meter.raise_to(self.spent);
    }

    /// Checks the cost so far and returns its amount. Once a cost has been handed over, it can no longer change.
    fn check(&mut self, common: &Common, amount: &Amount) -> Result<i64, InvalidCommit> {
        if self.settlement.is_some() {
            return Err(InvalidCommit::AlreadyCommitted);
        }
        self.check_is_no_run()?;
        common
            .check_amount("spent", amount)
            .inspect_err(|why| self.untaken = Some(Box::new(why.clone())))?;
        Ok(amount.amount)
    }

    pub(super) fn commit(
        &mut self,
        common: &mut Common,
        now: Now,
        request: CommitRequest,
    ) -> Result<(), InvalidCommit> {
        self.check_is_no_run()?;
        self.settle(common, now, request)
    }

    /// Begins to settle this cost.
    pub(super) fn settle(
        &mut self,
        common: &mut Common,
        now: Now,
        request: CommitRequest,
    ) -> Result<(), InvalidCommit> {
        if self.settlement.is_some() {
            return Err(InvalidCommit::AlreadyCommitted);
        }
        let actual = request.actual.clone();
        let source = ActualSource::in_metadata(request.metadata.as_ref());
        let record = common
            .record(&self.grant.reservation_id, request, now)
            .inspect_err(|why| self.untaken = Some(Box::new(why.clone())))?;
        common.stop_marking();
        let record = match common.mark_key() {
            Some(mark) => record.in_place_of_mark(mark),
            None => record,
        };
        // A new cost replaces one that could not be accepted, but not an item that could not be counted.
        let untaken = self.untaken.take();
        if let Some(why) = untaken.filter(|why| why.is_of_an_item()) {
            self.tell_untaken(common, why, Some(actual));
        }
        let settlement = Settlement::new(Arc::clone(&common.config), record, common.seed, now);
        self.settlement = Some(Box::new(settlement.about(common.info.clone(), source)));
        Ok(())
    }

    /// Decides what happens if no commit comes, because the guard was dropped or the action failed:
    ///
    /// - a cost that was handed over before is settled as usual;
    /// - spending that was reported or counted is committed, marked as partial;
    /// - the total of a run is committed, with what its open steps have spent;
    /// - after a request of the action was dispatched, its policy decides: by default, the estimate is committed;
    /// - if it is only known that something was spent, the budget stays held until the lease ends;
    /// - without spending, the budget is released.
    pub(super) fn end_without_a_commit(
        &mut self,
        common: &mut Common,
        now: Now,
        reason: ReleaseReason,
    ) -> Option<Phase> {
        if self.settlement.is_some() {
            return None;
        }
        match self.end_of_all_steps(common, now) {
            AtTheEnd::Settles => return None,
            AtTheEnd::SpentSomething => return Some(self.leave_to_expire(common, now)),
            AtTheEnd::SpentNothing => {}
        }
        let untaken = self.untaken.take();
        let unreported = self.unreported();
        // Every reservation of this process has an estimate.
        let estimate = common.estimate().cloned().unwrap_or_else(|_| Amount::tokens(0));
        let charge = match unreported {
            Unreported::Nothing | Unreported::Unknown => None,
            Unreported::Spent(spent) => Some((Amount::new(estimate.unit.clone(), spent), partial())),
            Unreported::Estimate => Some((estimate.clone(), estimated())),
        };
        if let Some((actual, metadata)) = charge {
            let request = CommitRequest::builder()
                .actual(actual.clone())
                .metadata(metadata)
                .build();
            // The amount was checked when it was reported or reserved, and there is no settlement yet.
            if self.commit(common, now, request).is_ok() {
                if let Some(why) = untaken {
                    self.tell_untaken(common, why, Some(actual));
                }
                return None;
            }
        }
        if let Some(why) = untaken.or_else(|| self.untaken.take()) {
            self.tell_untaken(common, why, None);
            return Some(self.leave_to_expire(common, now));
        }
        if unreported == Unreported::Unknown {
            self.tell_unknown(common, estimate, None);
            return Some(self.leave_to_expire(common, now));
        }
        let until = self.heartbeat.lasts_until();
        let ttl = Duration::from_millis(self.ttl_ms);
        let until = until.unwrap_or_else(|| now.mono.saturating_add(ttl));
        common.remove_mark();
        let (heartbeat, mut scene) = self.heartbeat(common, now);
        heartbeat.dismiss(&mut scene);
        let id = self.grant.reservation_id.clone();
        Some(Phase::Releasing(Box::new(Releasing::new(id, reason, until))))
    }

    /// Something was or may have been spent, so the budget is not given back before the lease ends.
    fn leave_to_expire(&mut self, common: &mut Common, now: Now) -> Phase {
        common.leave_mark();
        let (heartbeat, mut scene) = self.heartbeat(common, now);
        heartbeat.dismiss(&mut scene);
        Phase::ended(Outcome::Released(Released::LeftToExpire(None)))
    }

    pub(super) fn tell_untaken(&self, common: &mut Common, why: Box<InvalidCommit>, charged: Option<Amount>) {
        common.events.push(Event::CostNotTaken {
            info: None,
            reservation_id: self.grant.reservation_id.clone(),
            why,
            charged,
        });
    }

    pub(super) fn heartbeat<'a>(
        &'a mut self,
        common: &'a mut Common,
        now: Now,
    ) -> (&'a mut Heartbeat, Scene<'a>) {
        let scene = Scene {
            common,
            id: &self.grant.reservation_id,
            now,
            is_settling: self.settlement.is_some(),
        };
        (&mut self.heartbeat, scene)
    }
}
