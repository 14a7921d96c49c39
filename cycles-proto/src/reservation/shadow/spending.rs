//! What an action in shadow mode spends, and how it ends. The rules are those of a held reservation, in
//! `reservation/held.rs`, except that nothing is charged.

use core::time::Duration;

use super::{Ended, Shadow};
use crate::dispatch::{Dispatches, Unreported};
use crate::meter::Meter;
use crate::models::{Amount, CommitRequest};
use crate::outcome::{ActualSource, Event, InvalidCommit, Outcome, Receipt, Released};
use crate::reservation::Reservation;
use crate::reservation::common::Common;
use crate::ticket::Ticket;
use crate::time::Now;

impl Reservation {
    /// Changes what the action in shadow mode has dispatched, unless it is a run.
    pub(in crate::reservation) fn change_shadow(&mut self, change: impl FnOnce(&mut Dispatches)) {
        if let Some((_, shadow)) = self.shadow_mut()
            && shadow.run.is_none()
        {
            change(&mut shadow.dispatches);
        }
    }
}

impl Shadow {
    pub(in crate::reservation) fn spent(
        &mut self,
        common: &Common,
        amount: &Amount,
    ) -> Result<(), InvalidCommit> {
        self.spent = self.spent.max(self.check_spent(common, amount)?);
        Ok(())
    }

    pub(in crate::reservation) fn counted(
        &mut self,
        common: &Common,
        amount: &Amount,
    ) -> Result<(), InvalidCommit> {
        self.counted = self.check_spent(common, amount)?;
        Ok(())
    }

    pub(in crate::reservation) fn end_meter(&mut self, meter: &mut Meter) {
        self.has_uncounted_item |= meter.uncounted().is_some();
        meter.note_dispatched(self.dispatches);
        meter.raise_to(self.spent);
    }

    /// A ticket for an extension, which has nothing to extend.
    pub(in crate::reservation) fn extend(&self, common: &mut Common) -> Option<Ticket> {
        self.ended.is_none().then(|| common.tickets.take())
    }

    fn check_spent(&mut self, common: &Common, amount: &Amount) -> Result<i64, InvalidCommit> {
        self.check_runs()?;
        common
            .check_amount("spent", amount)
            .inspect_err(|_| self.has_untaken = true)?;
        Ok(amount.amount)
    }

    /// What would be charged if no commit comes.
    pub(super) fn unreported(&self) -> Unreported {
        self.dispatches.unreported(self.spent.max(self.counted))
    }

    /// Whether spending was reported that no commit contains yet.
    pub(in crate::reservation) fn has_spent(&self) -> bool {
        self.ended.is_none() && matches!(self.unreported(), Unreported::Spent(_))
    }

    /// Fails if the action has ended, or is a run, whose cost is what its steps cost.
    fn check_runs(&self) -> Result<(), InvalidCommit> {
        match &self.ended {
            Some(ended) if ended.actual().is_some() => Err(InvalidCommit::AlreadyCommitted),
            Some(_) => Err(InvalidCommit::NotHeld),
            None if self.run.is_some() => Err(InvalidCommit::of_a_run()),
            None => Ok(()),
        }
    }

    pub(in crate::reservation) fn commit(
        &mut self,
        common: &mut Common,
        now: Now,
        mut request: CommitRequest,
    ) -> Result<(), InvalidCommit> {
        self.check_runs()?;
        let key = request.idempotency_key.as_ref();
        let key_is_valid = key.map_or(Ok(()), |key| key.check().map_err(InvalidCommit::Invalid));
        common
            .check_amount("actual", &request.actual)
            .and(key_is_valid)
            .inspect_err(|_| self.has_untaken = true)?;
        self.tell_trimmed(common, &mut request);
        let source = ActualSource::in_metadata(request.metadata.as_ref());
        // A new cost replaces one that could not be accepted, but not an item that could not be counted.
        self.end(
            common,
            now,
            Some((request.actual, source)),
            self.has_uncounted_item,
        );
        Ok(())
    }

    /// Reports what a real commit would have left out.
    pub(super) fn tell_trimmed(&self, common: &mut Common, request: &mut CommitRequest) {
        for problem in request.trim() {
            common.events.push(Event::CommitTrimmed {
                info: None,
                reservation_id: self.grant.reservation_id.clone(),
                problem,
            });
        }
    }

    /// Ends the action without a commit, as in `Held::end_without_a_commit`.
    pub(in crate::reservation) fn end_without_a_commit(&mut self, common: &Common, now: Now) {
        if self.ended.is_some() {
            return;
        }
        if self.run.is_some() {
            return self.end_of_all_steps(common, now);
        }
        let unreported = self.unreported();
        let estimate = common.estimate().ok().cloned();
        let charge = match (unreported, estimate) {
            (Unreported::Spent(spent), Some(estimate)) => {
                Some((Amount::new(estimate.unit, spent), ActualSource::Partial))
            }
            (Unreported::Estimate, Some(estimate)) => Some((estimate, ActualSource::Estimate)),
            _ => None,
        };
        let has_unknown_cost =
            self.has_untaken || self.has_uncounted_item || unreported == Unreported::Unknown;
        self.end(common, now, charge, has_unknown_cost);
    }

    pub(super) fn end(
        &mut self,
        common: &Common,
        now: Now,
        actual: Option<(Amount, ActualSource)>,
        has_unknown_cost: bool,
    ) {
        let source = actual
            .as_ref()
            .map_or(ActualSource::Action, |(_, source)| *source);
        let outcome = match actual {
            Some((actual, _)) => Outcome::Settled(Receipt::Shadow { actual, source }),
            None => Outcome::Released(Released::Shadow),
        };
        let took: Duration = common.took(now);
        self.ended = Some(Ended {
            outcome,
            source,
            has_unknown_cost,
            took,
        });
    }
}

impl Ended {
    /// What the action cost, if that is known and not nothing.
    pub(super) fn actual(&self) -> Option<&Amount> {
        match &self.outcome {
            Outcome::Settled(Receipt::Shadow { actual, .. }) => Some(actual),
            Outcome::Settled(_) | Outcome::NotReserved(_) | Outcome::Evaluated(_) | Outcome::Released(_) => {
                None
            }
        }
    }
}
