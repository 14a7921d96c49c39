//! Why a heartbeat stops.

/// Why the heartbeat no longer extends a lease. The lease runs out on its own, and commits are still accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Two beats in a row succeeded and still left no time to recover from a failure: the lease is shorter than its
    /// own safety budget.
    TooShort,
    /// A whole attempt no longer fits in before the lease may end.
    NoTimeToRecover,
    /// The server throttles for so long that no attempt would fit in.
    Throttled,
    /// The server refused, and would refuse again.
    Refused,
    /// The action has been running for longer than [`max_lease_age`](crate::config::Settings::max_lease_age) allows.
    TooOld,
    /// The run has lasted as long as it may.
    MaxDuration,
}
