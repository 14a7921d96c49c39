//! What is charged for an action that ended without a cost after its request had left.
//!
//! Money may be gone then that nobody has reported: a provider that answers too late has often done the work. So an
//! action says when its request leaves, and from there on a missing cost is not free.

/// What is charged for an action that was [dispatched](crate::Session::dispatched) and then ended without a cost: it
/// failed, panicked, timed out or was dropped. Default: [`Estimate`](Self::Estimate).
///
/// In every case, what the action reported as [spent](crate::Session::spent) is charged if that is more than 0. An action
/// that was not dispatched costs only that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// As if the action had not been dispatched: the budget is given back, unless something was spent.
    Release,
    /// What was spent, even if that is 0; then the budget is given back.
    Spent,
    /// What was spent or, if that is 0, the estimate. A commit of the estimate is marked `actual_source: "estimate"` in
    /// its metadata.
    #[default]
    Estimate,
    /// What was spent. If that is 0, nothing is charged and nothing is given back: the lease is not extended any more,
    /// and the budget is held until it ends. [`Event::CostUnknown`](crate::Event::CostUnknown) reports the reservation,
    /// and a flush counts it as [unrecorded](crate::Flushed::unrecorded). A run keeps the step's estimate until the run
    /// ends, and reports it then.
    Hold,
}

/// The requests of an action that may have to be paid for, and what is charged if it ends without a cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispatches {
    /// How many were dispatched and not taken back.
    open: u32,
    pub(crate) on_error: OnError,
}

/// What is charged for an action that ended without a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreported {
    /// Nothing was spent.
    Nothing,
    /// This much, which is more than 0.
    Spent(i64),
    Estimate,
    /// Something may have been spent, and nothing is charged for it.
    Unknown,
}

impl Dispatches {
    pub(crate) fn new(on_error: OnError) -> Self {
        Self { open: 0, on_error }
    }

    /// Notes that a request leaves.
    pub(crate) fn note(&mut self) {
        self.open = self.open.saturating_add(1);
    }

    /// Notes that the latest request costs nothing. Those before it may still have to be paid for.
    pub(crate) fn take_back(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Whether any request may have to be paid for.
    pub(crate) fn is_any_open(self) -> bool {
        self.open > 0
    }

    /// What is charged if the action ends without a cost and has reported this much as spent.
    pub(crate) fn unreported(self, spent: i64) -> Unreported {
        match (spent, self.open, self.on_error) {
            (1.., ..) => Unreported::Spent(spent),
            (_, 0, _) | (.., OnError::Release | OnError::Spent) => Unreported::Nothing,
            (.., OnError::Estimate) => Unreported::Estimate,
            (.., OnError::Hold) => Unreported::Unknown,
        }
    }
}
