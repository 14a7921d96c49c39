//! A run: one reservation that many steps draw from, without a call for each.
//!
//! ```text
//!  reserved = charged + what open steps may cost + kept for later + left
//! ```
//!
//! Here is the arithmetic of it, and which total is stored. What is done with that is decided in `reservation/run.rs`:
//! the total is stored after each step that cost something, and committed at the end.
//!
//! Invariants:
//!
//! - A step begins only if its estimate is left, so as long as no step costs more than its estimate, the total is never
//!   more than the reserved amount.
//! - In [shadow mode](crate::Mode::Shadow) a step begins in any case, and draws what is left if that is less than its
//!   estimate.
//! - A cost that a step hands over is added to the total, whatever it is; only a total above 2⁶³ − 1 is refused.

mod config;
mod shadow;
mod stored;
mod summary;

use core::time::Duration;
use std::collections::BTreeMap;

pub use self::config::{RunConfig, Step};
use self::summary::Summary;
pub(crate) use self::summary::{DISPATCHED, SUMMARY};
use crate::dispatch::{Dispatches, Unreported};
use crate::models::{Amount, IdempotencyKey, JsonObject, Unit};
use crate::outcome::{ActualSource, StoreFailure};
use crate::ticket::Ticket;
use crate::with_cycles_config::OnError;

/// How a run is run and settled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// How long the run may last after its grant. Then it starts no more steps, and its lease is not extended any more.
    pub max_duration: Duration,
    /// The key of the commit. Default: a fresh key.
    pub commit_key: Option<IdempotencyKey>,
    /// The metadata of the commit, to which `cycles_run` is added.
    pub metadata: Option<JsonObject>,
    /// What is charged for a step that was dispatched and ends without a cost, unless the step says otherwise.
    pub on_error: OnError,
}

impl RunOptions {
    /// Creates options with this limit.
    pub fn new(max_duration: Duration) -> Self {
        Self {
            max_duration,
            commit_key: None,
            metadata: None,
            on_error: OnError::default(),
        }
    }
}

/// What a run has, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunBudget {
    /// What the run holds.
    pub reserved: Amount,
    /// What the finished steps cost.
    pub charged: Amount,
    /// The estimates of the open steps.
    pub open: Amount,
    /// What is kept for later and not drawn yet.
    pub kept: Amount,
    /// What a new step may ask for; 0 if steps cost more than the run holds.
    pub left: Amount,
}

/// The steps of a run: what is open, what is kept, and what the finished ones cost.
#[derive(Debug)]
pub(crate) struct Draws {
    pub(crate) options: RunOptions,
    /// When the run must not start any more steps.
    pub(crate) until: Duration,
    pub(crate) unit: Unit,
    pub(crate) reserved: i64,
    /// What is charged: the sum of all finished steps.
    total: i64,
    /// The estimates of the open steps.
    open_sum: i64,
    open: BTreeMap<u64, Open>,
    kept_sum: i64,
    /// What is left of each kept amount.
    keeps: BTreeMap<u64, i64>,
    summary: Summary,
    /// How many steps and kept amounts there were.
    numbered: u64,
    /// Which total is the current one: the number of steps that raised it.
    version: u64,
    /// The newest total that is stored, or whose store has failed.
    stored: u64,
    /// The total that is being stored.
    storing: Option<(Ticket, u64)>,
    is_finishing: bool,
    has_unknown_cost: bool,
    /// The estimates of the steps whose cost is unknown by their policy; `None` if there was no such step.
    held: Option<i64>,
    /// The estimates of the marked steps whose cost nobody knows.
    left_marked: i64,
    /// The newest total that could not be stored, unless a newer one was.
    failed: Option<(u64, StoreFailure)>,
}

/// A step that has begun.
#[derive(Debug)]
struct Open {
    estimate: i64,
    /// What is set aside for it: its estimate, or what was left if that was less.
    drawn: i64,
    name: Option<Box<str>>,
    /// A lower bound on its cost so far.
    spent: i64,
    /// Its requests that may have to be paid for.
    dispatches: Dispatches,
    /// The kept amount that it draws from.
    keep: Option<u64>,
    /// The total that says that its request has left, if it is to be known even if this process dies.
    marked: Option<u64>,
}

impl Open {
    /// What is charged if it ends without a cost.
    fn unreported(&self) -> Unreported {
        self.dispatches.unreported(self.spent)
    }
}

/// Why a step cannot begin: what is left to it.
#[derive(Debug)]
pub(crate) struct TooLittle {
    pub(crate) left: i64,
}

/// The total would be above 2⁶³ − 1.
#[derive(Debug)]
pub(crate) struct Overflow;

impl Draws {
    pub(crate) fn new(options: RunOptions, granted: Duration, unit: Unit, reserved: i64) -> Self {
        Self {
            until: granted.saturating_add(options.max_duration),
            options,
            unit,
            reserved,
            total: 0,
            open_sum: 0,
            open: BTreeMap::new(),
            kept_sum: 0,
            keeps: BTreeMap::new(),
            summary: Summary::default(),
            numbered: 0,
            version: 0,
            stored: 0,
            storing: None,
            is_finishing: false,
            has_unknown_cost: false,
            held: None,
            left_marked: 0,
            failed: None,
        }
    }

    /// What the finished steps cost.
    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    pub(crate) fn kept(&self) -> i64 {
        self.kept_sum
    }

    /// What a new step may ask for. Negative if steps cost more than the run holds.
    fn left(&self) -> i64 {
        let used = i128::from(self.total) + i128::from(self.open_sum) + i128::from(self.kept_sum);
        i64::try_from(i128::from(self.reserved) - used).unwrap_or(i64::MIN)
    }

    pub(crate) fn report(&self) -> RunBudget {
        let amount = |amount| Amount::new(self.unit.clone(), amount);
        RunBudget {
            reserved: amount(self.reserved),
            charged: amount(self.total),
            open: amount(self.open_sum),
            kept: amount(self.kept_sum),
            left: amount(self.left().max(0)),
        }
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Begins a step, and returns its number.
    pub(crate) fn draw(
        &mut self,
        estimate: i64,
        name: Option<&str>,
        keep: Option<u64>,
        on_error: Option<OnError>,
    ) -> Result<u64, TooLittle> {
        match keep {
            None => self.take(estimate)?,
            Some(keep) => {
                let kept = self.keeps.get_mut(&keep).ok_or(TooLittle { left: 0 })?;
                let left = *kept;
                *kept = left
                    .checked_sub(estimate)
                    .filter(|rest| *rest >= 0)
                    .ok_or(TooLittle { left })?;
                self.kept_sum -= estimate;
            }
        }
        Ok(self.begin(estimate, estimate, name, keep, on_error))
    }

    fn begin(
        &mut self,
        estimate: i64,
        drawn: i64,
        name: Option<&str>,
        keep: Option<u64>,
        on_error: Option<OnError>,
    ) -> u64 {
        self.open_sum += drawn;
        let number = self.number();
        let name = name.map(Into::into);
        let dispatches = Dispatches::new(on_error.unwrap_or(self.options.on_error));
        self.open.insert(
            number,
            Open {
                estimate,
                drawn,
                name,
                spent: 0,
                dispatches,
                keep,
                marked: None,
            },
        );
        number
    }

    /// Checks that this much is left.
    fn take(&self, amount: i64) -> Result<(), TooLittle> {
        let left = self.left();
        match amount <= left {
            true => Ok(()),
            false => Err(TooLittle { left: left.max(0) }),
        }
    }

    /// Keeps an amount for later, and returns its number.
    pub(crate) fn keep(&mut self, amount: i64) -> Result<u64, TooLittle> {
        self.take(amount)?;
        Ok(self.set_aside(amount))
    }

    fn set_aside(&mut self, amount: i64) -> u64 {
        let number = self.number();
        self.kept_sum += amount;
        self.keeps.insert(number, amount);
        number
    }

    /// Gives back what is left of a kept amount. Steps that draw from it give back to the run from now on.
    pub(crate) fn give_back(&mut self, keep: u64) {
        if let Some(left) = self.keeps.remove(&keep) {
            self.kept_sum -= left;
        }
    }

    /// What is left of a kept amount.
    pub(crate) fn left_of(&self, keep: u64) -> i64 {
        self.keeps.get(&keep).copied().unwrap_or(0)
    }

    pub(crate) fn is_open(&self, step: u64) -> bool {
        self.open.contains_key(&step)
    }

    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Raises the spend of an open step to at least this amount.
    pub(crate) fn spent(&mut self, step: u64, amount: i64) {
        if let Some(open) = self.open.get_mut(&step) {
            open.spent = open.spent.max(amount);
        }
    }

    /// Notes that a request of an open step leaves that may have to be paid for.
    pub(crate) fn dispatched(&mut self, step: u64) {
        if let Some(open) = self.open.get_mut(&step) {
            open.dispatches.note();
        }
    }

    /// Notes that a request of an open step leaves, and that the next total is to say so. Returns the number of the total
    /// that does.
    pub(crate) fn dispatched_durably(&mut self, step: u64) -> Option<u64> {
        let open = self.open.get_mut(&step)?;
        open.dispatches.note();
        if open.marked.is_none() {
            self.version += 1;
            open.marked = Some(self.version);
        }
        open.marked
    }

    /// Notes that the latest request of an open step is not charged.
    pub(crate) fn not_charged(&mut self, step: u64) {
        let Some(open) = self.open.get_mut(&step) else {
            return;
        };
        open.dispatches.take_back();
        if !open.dispatches.is_any_open() && open.marked.take().is_some() {
            self.version += 1;
        }
    }

    /// The estimates of the steps whose requests have left, as the stored total is to say; 0 if there are none.
    pub(crate) fn marked(&self) -> i64 {
        let open = self.open.values().filter(|open| open.marked.is_some());
        open.map(|open| open.estimate)
            .fold(self.left_marked, i64::saturating_add)
    }

    /// Whether the marks cover all steps whose cost is unknown by their policy.
    pub(crate) fn is_all_marked(&self) -> bool {
        self.held == Some(self.marked())
    }

    /// Ends a step that cost `actual`, and returns the number of the total that has to be stored before it counts as
    /// charged; 0 if it cost nothing.
    pub(crate) fn end(&mut self, step: u64, actual: i64) -> Result<u64, Overflow> {
        self.charge(step, actual, ActualSource::Action)
    }

    fn charge(&mut self, step: u64, actual: i64, source: ActualSource) -> Result<u64, Overflow> {
        let total = self.total.checked_add(actual).ok_or(Overflow)?;
        let Some(open) = self.close(step, actual) else {
            return Ok(0);
        };
        self.total = total;
        self.summary.note(open.name.as_deref(), actual, source);
        if actual == 0 && open.marked.is_none() {
            return Ok(0);
        }
        self.version += 1;
        Ok(self.version)
    }

    /// Ends a step that ended without a cost: what it has spent is charged, and the rest is given back. After a request
    /// of the step was dispatched, its policy decides.
    pub(crate) fn abandon(&mut self, step: u64) -> Result<u64, Overflow> {
        let Some(open) = self.open.get(&step) else {
            return Ok(0);
        };
        let estimate = open.estimate;
        match open.unreported() {
            Unreported::Nothing => {
                let closed = self.close(step, 0);
                if closed.is_none_or(|open| open.marked.is_none()) {
                    return Ok(0);
                }
                self.version += 1;
                Ok(self.version)
            }
            Unreported::Spent(spent) => self.charge(step, spent, ActualSource::Partial),
            Unreported::Estimate => self.charge(step, estimate, ActualSource::Estimate),
            Unreported::Unknown => {
                self.end_unknown(step);
                self.held = Some(self.held.unwrap_or(0).saturating_add(estimate));
                Ok(0)
            }
        }
    }

    /// Ends a step whose cost could not be added, or is not known. The estimate is not given back, because something was
    /// or may have been spent.
    pub(crate) fn end_unknown(&mut self, step: u64) {
        if let Some(open) = self.open.remove(&step) {
            if open.marked.is_some() {
                self.left_marked = self.left_marked.saturating_add(open.estimate);
            }
            // What it has drawn stays in the sum of the open steps.
            self.has_unknown_cost = true;
            self.summary.note_unknown();
        }
    }

    /// Whether a step has spent something that is not in the total.
    pub(crate) fn has_unknown_cost(&self) -> bool {
        self.has_unknown_cost
    }

    /// The estimates of the steps whose cost is unknown by their policy; `None` if there was no such step.
    pub(crate) fn held(&self) -> Option<i64> {
        self.held
    }

    /// What an open step is charged if it ends without a cost; 0 if that is nothing, or unknown.
    pub(crate) fn charge_without_a_cost(&self, step: u64) -> i64 {
        self.open.get(&step).map_or(0, |open| match open.unreported() {
            Unreported::Nothing | Unreported::Unknown => 0,
            Unreported::Spent(spent) => spent,
            Unreported::Estimate => open.estimate,
        })
    }

    /// The steps that are open.
    pub(crate) fn open_steps(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    /// Removes a step, and gives what it did not need back to where it came from.
    fn close(&mut self, step: u64, actual: i64) -> Option<Open> {
        let open = self.open.remove(&step)?;
        self.open_sum -= open.drawn;
        if let Some(kept) = open.keep.and_then(|keep| self.keeps.get_mut(&keep)) {
            let unused = open.drawn.saturating_sub(actual).max(0);
            *kept += unused;
            self.kept_sum += unused;
        }
        Some(open)
    }

    /// Starts no more steps from now on.
    pub(crate) fn finish(&mut self) {
        self.is_finishing = true;
    }

    pub(crate) fn is_finishing(&self) -> bool {
        self.is_finishing
    }

    /// Where the total comes from, if some steps did not report their cost.
    pub(crate) fn source(&self) -> Option<ActualSource> {
        self.summary.source()
    }

    /// The member `cycles_run` of the commit's metadata.
    pub(crate) fn summary(&self) -> serde_json::Value {
        self.summary.to_json(self.marked())
    }
}

#[cfg(test)]
mod tests;
