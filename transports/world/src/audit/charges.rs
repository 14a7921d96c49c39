//! The check that the ledger charges every cost only once.

use std::time::Duration;

use cycles_proto::time::UnixMillis;
use cycles_sandbox::Operation;

use super::{CheckResult, broken};
use crate::job::Job;
use crate::rule::Rule;

/// Checks that a cost that the ledger charged was not charged before.
pub(crate) fn check_charged_once(job: &Job, by: Operation, now: UnixMillis) -> CheckResult {
    /// How long the server remembers the key of an event.
    const KEPT: Duration = Duration::from_secs(7 * 86_400);
    match job.charges.last() {
        None => Ok(()),
        // The client was in time by its own clock (another rule checks that), but not by the server's, which the client
        // cannot know.
        Some(last) if (last.by, by) == FORGETFUL && now.saturating_since(last.at) > KEPT => Ok(()),
        Some(last) => broken(
            Rule::SettledOnce,
            format!(
                "{} after {}: the cost is in the ledger twice",
                by.name(),
                last.by.name()
            ),
        ),
    }
}

/// The operations for which the server charges a cost twice, once it has forgotten the first one.
const FORGETFUL: (Operation, Operation) = (Operation::CreateEvent, Operation::CreateEvent);
