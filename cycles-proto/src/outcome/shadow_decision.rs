//! What the ledger would have decided about an action in shadow mode.

use crate::models::{Caps, Decision, DecisionReasonCode, ReservationCreateResponse};
use crate::outcome::Error;

/// What the ledger would have decided about an action in [shadow mode](crate::Mode::Shadow), which ran in any case.
///
/// Nothing is held in that mode, so each decision is independent of all others.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ShadowDecision {
    /// The action would have been allowed, perhaps with [caps](Self::caps), to which it was not held.
    Allowed(Box<ReservationCreateResponse>),
    /// The action would have been denied; [`Error::reason`] says why.
    Denied(Box<Error>),
    /// There is no decision: the ledger could not be reached, did not answer in time, or refused the request for a reason
    /// other than the budget or a policy. When decisions are enforced, such an action does not run either.
    Unknown(Box<Error>),
}

impl ShadowDecision {
    /// The name: `ALLOW`, `ALLOW_WITH_CAPS`, `DENY` or `UNKNOWN`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Allowed(response) => response.decision.as_str(),
            Self::Denied(_) => "DENY",
            Self::Unknown(_) => "UNKNOWN",
        }
    }

    /// Whether the action would have been denied.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }

    /// Whether there is no decision.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// Whether the action would have been allowed within limits.
    pub fn is_capped(&self) -> bool {
        matches!(self, Self::Allowed(response) if response.decision == Decision::AllowWithCaps)
    }

    /// Why the action would have been denied, if the ledger says so.
    pub fn reason(&self) -> Option<&DecisionReasonCode> {
        match self {
            Self::Denied(error) => error.reason(),
            Self::Allowed(_) | Self::Unknown(_) => None,
        }
    }

    /// The limits that the action would have had to keep to, if there are any.
    pub fn caps(&self) -> Option<&Caps> {
        match self {
            Self::Allowed(response) => response.caps.as_ref(),
            Self::Denied(_) | Self::Unknown(_) => None,
        }
    }

    /// The scopes that were checked, broadest first; empty if the ledger did not name them.
    pub fn affected_scopes(&self) -> &[String] {
        match self {
            Self::Allowed(response) => &response.affected_scopes,
            Self::Denied(error) | Self::Unknown(error) => {
                let decision = error.reply().and_then(|reply| reply.decision.as_deref());
                decision.map_or(&[], |response| &response.affected_scopes)
            }
        }
    }

    /// The denial, or why there is no decision.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Denied(error) | Self::Unknown(error) => Some(error),
            Self::Allowed(_) => None,
        }
    }
}
