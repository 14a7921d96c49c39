//! Says, in a failure by time, how long was waited and which setting changes that.

use core::time::Duration;

use crate::config::CyclesConfig;
use crate::outcome::{Failure, FailureKind};

impl CyclesConfig {
    /// Adds to the failure of an attempt how long it waited, and the names of the settings. A failure with a detail of
    /// its own is left as it is.
    pub(crate) fn explained(&self, failure: Failure, timeout: Duration) -> Failure {
        if !failure.detail().is_empty() {
            return failure;
        }
        let detail = match failure.kind() {
            FailureKind::Timeout => {
                format!("gave up after {timeout:?}; connect_timeout and read_timeout set this limit")
            }
            FailureKind::ConnectTimeout => {
                let timeout = self.connect_timeout.min(timeout);
                format!("gave up after {timeout:?}; connect_timeout sets this limit")
            }
            FailureKind::Queued => {
                let calls = self.max_concurrent_calls;
                format!("waited {timeout:?} for one of {calls}; max_concurrent_calls sets this limit")
            }
            FailureKind::Dns
            | FailureKind::Connect
            | FailureKind::Tls
            | FailureKind::Proxy
            | FailureKind::Lost
            | FailureKind::TooLarge
            | FailureKind::NotMade
            | FailureKind::Withdrawn => return failure,
        };
        failure.with_detail(detail)
    }

    /// The failure of a reservation that has used up its [whole time](Self::longest_reserve).
    pub(crate) fn reserve_timed_out(&self) -> Failure {
        let whole = self.longest_reserve();
        Failure::new(FailureKind::Timeout).with_detail(format!(
            "gave up after {whole:?}; reserve_timeout sets this limit"
        ))
    }
}
