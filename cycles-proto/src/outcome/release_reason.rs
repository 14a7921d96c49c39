//! The reason that goes with a release.

use std::borrow::Cow;

/// Why a reservation is released: at most 256 characters of text, which the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseReason(Cow<'static, str>);

impl ReleaseReason {
    /// The action failed.
    pub const ACTION_FAILED: Self = Self(Cow::Borrowed("action_failed"));
    /// The caller that made the reservation went away.
    pub const ABANDONED: Self = Self(Cow::Borrowed("abandoned"));
    /// The grant arrived after the caller had stopped waiting for it.
    pub const LATE_GRANT: Self = Self(Cow::Borrowed("late_grant"));
    /// This client does not know the ledger's decision.
    pub const UNKNOWN_DECISION: Self = Self(Cow::Borrowed("unknown_decision"));

    /// Creates a reason from the caller's own text, cut after 256 characters. The ledger keeps the text, so do not put
    /// the message of an action's error into it.
    pub fn new(text: &str) -> Self {
        Self(Cow::Owned(text.chars().take(256).collect()))
    }

    /// The text of the reason.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for ReleaseReason {
    fn from(text: T) -> Self {
        Self::new(&text.into())
    }
}
