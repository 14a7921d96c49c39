//! Why a heartbeat ends.

/// Why a lease is not prolonged any more. It lasts as long as it lasts, and commits are still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Two successes in a row left no time to recover from a failure: the lease is shorter than its own
    /// safety budget.
    TooShort,
    /// No whole attempt fits any more before the lease may end.
    NoTimeToRecover,
    /// The server throttles, and not so that an attempt would still fit.
    Throttled,
    /// The server refused, and would again.
    Refused,
}
