//! What a reservation is for, as events and errors say it.

use core::fmt;
use std::sync::Arc;

use crate::models::{Action, Amount, Subject};

/// The subject and action of a reservation, which an event in its place repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The subject that spends.
    pub subject: Subject,
    /// The action.
    pub action: Action,
}

/// What a reservation, a decision or an event is for: who spends, on what, and how much. Cheap to clone.
///
/// `Display` is one phrase: `500 TOKENS, llm.completion gpt-4o, tenant:acme/agent:planner`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReservationInfo {
    /// The subject, completed from the configuration, and the action.
    pub purpose: Arc<Purpose>,
    /// The estimate; for an event, the amount to charge. `None` if an earlier run made the reservation, because its
    /// record does not have the estimate.
    pub estimate: Option<Amount>,
}

impl ReservationInfo {
    pub(crate) fn new(purpose: Arc<Purpose>, estimate: Option<Amount>) -> Self {
        Self { purpose, estimate }
    }

    /// Who spends.
    pub fn subject(&self) -> &Subject {
        &self.purpose.subject
    }

    /// What for.
    pub fn action(&self) -> &Action {
        &self.purpose.action
    }
}

/// As `Display`, so that an event stays one readable line.
impl fmt::Debug for ReservationInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ReservationInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Purpose { subject, action } = &*self.purpose;
        if let Some(estimate) = &self.estimate {
            write!(f, "{estimate}, ")?;
        }
        write!(f, "{} {}", action.kind, action.name)?;
        for (at, (level, value)) in subject.named_levels().enumerate() {
            write!(f, "{}{level}:{value}", if at == 0 { ", " } else { "/" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_is_described_by_its_amount_its_action_and_its_subject() {
        let subject = Subject {
            agent: Some("planner".into()),
            ..Subject::tenant("acme")
        };
        let action = Action::new("llm.completion", "gpt-4o");
        let purpose = Arc::new(Purpose { subject, action });
        let mut info = ReservationInfo::new(purpose, Some(Amount::tokens(500)));
        assert_eq!(
            info.to_string(),
            "500 TOKENS, llm.completion gpt-4o, tenant:acme/agent:planner"
        );
        info.estimate = None;
        assert_eq!(
            info.to_string(),
            "llm.completion gpt-4o, tenant:acme/agent:planner"
        );
    }
}
