//! Why a run refuses a step. Both are decided here, without the ledger.

use core::fmt;
use core::time::Duration;

use crate::models::{Amount, ReservationId};
use crate::text::shortened;

/// What a run has left is not enough for a step. The ledger was not asked, so this is not a denial; other steps may
/// still give back what they do not need.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunExhausted {
    /// The reservation of the run.
    pub reservation_id: ReservationId,
    /// The name of the step, if it has one.
    pub step: Option<Box<str>>,
    /// What the step, or [`keep`](crate::Session::keep), asked for.
    pub asked: Amount,
    /// What was left to it. For a step on a kept amount, this is what is left of that amount.
    pub left: Amount,
    /// What is kept for later.
    pub kept: Amount,
    /// What the finished steps cost.
    pub charged: Amount,
    /// What the run holds.
    pub reserved: Amount,
}

/// A run is over, so it starts no more steps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOver {
    /// The reservation of the run.
    pub reservation_id: ReservationId,
    /// The name of the step, if it has one.
    pub step: Option<Box<str>>,
    /// Why the run is over.
    pub why: RunEnd,
}

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// It was finished, or the client is closing.
    Finished,
    /// Its lease is lost: its budget is free, or soon will be.
    LeaseLost,
    /// It has run for this long, which is its limit.
    MaxDuration(Duration),
}

impl RunExhausted {
    pub(crate) fn new(
        reservation_id: ReservationId,
        step: Option<&str>,
        asked: Amount,
        left: i64,
        kept: i64,
        charged: i64,
        reserved: i64,
    ) -> Self {
        let amount = |amount| Amount::new(asked.unit.clone(), amount);
        Self {
            reservation_id,
            step: step.map(Into::into),
            left: amount(left),
            kept: amount(kept),
            charged: amount(charged),
            reserved: amount(reserved),
            asked,
        }
    }
}

impl fmt::Display for RunExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = shortened(self.reservation_id.as_str());
        let Self {
            asked,
            left,
            kept,
            charged,
            reserved,
            ..
        } = self;
        write!(f, "the run {id} has {left} left, but ")?;
        write_step(f, self.step.as_deref())?;
        write!(
            f,
            " asks for {asked} (of {reserved}, finished steps cost {charged}, and {kept} are kept; open steps and \
             those whose cost nobody knows hold the rest). The step did not run, and the ledger was not asked. Ask for less, \
             wait until open steps end, or reserve more for the next run"
        )
    }
}

impl fmt::Display for RunOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = shortened(self.reservation_id.as_str());
        write!(f, "the run {id} is over, because ")?;
        match self.why {
            RunEnd::Finished => f.write_str("it was finished, or the client is closing")?,
            RunEnd::LeaseLost => f.write_str("its lease is lost")?,
            RunEnd::MaxDuration(most) => write!(f, "its max_duration of {most:?} has passed")?,
        }
        f.write_str(": ")?;
        write_step(f, self.step.as_deref())?;
        f.write_str(
            " did not run. What earlier steps cost is charged once the run is finished or dropped; start another run for \
             more",
        )
    }
}

fn write_step(f: &mut fmt::Formatter<'_>, step: Option<&str>) -> fmt::Result {
    match step {
        Some(name) => write!(f, "the step {:?}", shortened(name)),
        None => f.write_str("a step"),
    }
}
