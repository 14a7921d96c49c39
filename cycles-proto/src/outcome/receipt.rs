//! The receipt of a cost.

use std::sync::Arc;

use crate::models::{Amount, CommitResponse, EventCreateResponse, ReservationStatus};
use crate::outcome::{ActualSource, Aside, Error};

/// What became of a cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Receipt {
    /// The reservation was committed. If there is no response, an earlier attempt had committed it.
    Committed(Charged<Option<Arc<CommitResponse>>>),
    /// The reservation had ended, and an event charged the cost instead.
    RecoveredViaEvent(Charged<Arc<EventCreateResponse>>),
    /// The cost is not settled yet.
    #[non_exhaustive]
    Pending {
        /// The last error, if there was one.
        error: Option<Box<Error>>,
        /// Whether the cost is in a record, from which later attempts settle it. Without a record, this was the last
        /// attempt.
        is_recorded: bool,
    },
    /// The ledger refused the cost for good. Its record, if there is one, is set aside.
    #[non_exhaustive]
    Rejected {
        /// The ledger's error.
        error: Option<Box<Error>>,
        /// What the action cost; `None` if the record was written by another program and does not say.
        actual: Option<Amount>,
        /// The reservation's final status, if the ledger said that the reservation is finalized or that the key was
        /// used for another request, and if the status is known. `COMMITTED`: it was committed under another
        /// key, or with another amount under this one. `RELEASED`: the budget was given back although it was spent.
        found: Option<ReservationStatus>,
        /// What the ledger has charged to the reservation instead of the cost, if that is known.
        charged: Option<Amount>,
        /// Whether its record is kept for a person. If not, there is no journal or it cannot be written, and the cost
        /// is not on disk.
        is_recorded: bool,
    },
    /// The server may have forgotten the key, so that sending the cost again could count it twice. The record is set
    /// aside.
    Stale,
    /// The lease was lost while the action ran, and its [policy](crate::with_cycles_config::HeartbeatPolicy) says to
    /// report that. The inner receipt says what became of the cost.
    LeaseLost(Box<Self>),
    /// The action ran in [shadow mode](crate::Mode::Shadow): nothing was charged, and nothing will be.
    #[non_exhaustive]
    Shadow {
        /// What the action cost, and would have been charged.
        actual: Amount,
        /// Where that amount comes from.
        source: ActualSource,
    },
}

/// How a cost came into the ledger.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Charged<R> {
    /// The ledger's response.
    pub response: R,
    /// Where the amount comes from.
    pub source: ActualSource,
}

impl<R> Charged<R> {
    /// Creates the answer to a cost that comes from there.
    pub const fn new(response: R, source: ActualSource) -> Self {
        Self { response, source }
    }
}

impl Receipt {
    /// Whether the cost is in the ledger. Also true in [shadow mode](crate::Mode::Shadow), where there is nothing to
    /// settle; [`is_shadow`](Self::is_shadow) tells the two apart.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Committed(_) | Self::RecoveredViaEvent(_) | Self::Shadow { .. } => true,
            Self::LeaseLost(inner) => inner.is_settled(),
            Self::Pending { .. } | Self::Rejected { .. } | Self::Stale => false,
        }
    }

    /// Whether the action ran in [shadow mode](crate::Mode::Shadow), so that nothing was charged.
    pub fn is_shadow(&self) -> bool {
        match self {
            Self::Shadow { .. } => true,
            Self::LeaseLost(inner) => inner.is_shadow(),
            Self::Committed(_)
            | Self::RecoveredViaEvent(_)
            | Self::Pending { .. }
            | Self::Rejected { .. }
            | Self::Stale => false,
        }
    }

    /// Whether the reservation was over, and an event was charged in its place.
    pub fn is_recovered_via_event(&self) -> bool {
        match self {
            Self::RecoveredViaEvent(_) => true,
            Self::LeaseLost(inner) => inner.is_recovered_via_event(),
            Self::Committed(_)
            | Self::Pending { .. }
            | Self::Rejected { .. }
            | Self::Stale
            | Self::Shadow { .. } => false,
        }
    }

    /// What the ledger charged, if that is known. If an earlier attempt had committed the reservation, it is not known.
    /// `None` in shadow mode.
    pub fn charged(&self) -> Option<&Amount> {
        match self {
            Self::Committed(Charged { response, .. }) => Some(&response.as_ref()?.charged),
            // An event that was charged in full does not say so.
            Self::RecoveredViaEvent(Charged { response, .. }) => {
                response.charged.as_ref().or(response.actual.as_ref())
            }
            Self::Rejected { charged, .. } => charged.as_ref(),
            Self::LeaseLost(inner) => inner.charged(),
            Self::Pending { .. } | Self::Stale | Self::Shadow { .. } => None,
        }
    }

    /// Where the amount comes from that was charged, or would have been in shadow mode: the action reported it, it is what
    /// was [spent](crate::Session::spent) before the action failed, or it is the estimate. `None` if nothing is charged
    /// yet.
    pub fn source(&self) -> Option<ActualSource> {
        match self {
            Self::Committed(Charged { source, .. })
            | Self::RecoveredViaEvent(Charged { source, .. })
            | Self::Shadow { source, .. } => Some(*source),
            Self::LeaseLost(inner) => inner.source(),
            Self::Pending { .. } | Self::Rejected { .. } | Self::Stale => None,
        }
    }

    /// This receipt of a cost whose amount comes from there.
    pub(crate) fn with_source(mut self, from: ActualSource) -> Self {
        match &mut self {
            Self::Committed(Charged { source, .. })
            | Self::RecoveredViaEvent(Charged { source, .. })
            | Self::Shadow { source, .. } => *source = from,
            Self::Pending { .. } | Self::Rejected { .. } | Self::Stale | Self::LeaseLost(_) => {}
        }
        self
    }

    /// Whether the cost has no record and the client has given up on it. As far as is known, it is not in the ledger;
    /// if the last answers were lost, it may be, and the [error](Self::error) says so.
    pub fn is_unrecorded(&self) -> bool {
        match self {
            Self::Pending { is_recorded, .. } | Self::Rejected { is_recorded, .. } => !is_recorded,
            Self::LeaseLost(inner) => inner.is_unrecorded(),
            Self::Committed(_) | Self::RecoveredViaEvent(_) | Self::Stale | Self::Shadow { .. } => false,
        }
    }

    /// Whether the cost is not in the ledger and its record is kept for a person to decide about.
    pub fn is_set_aside(&self) -> bool {
        self.aside().is_some() && !self.is_unrecorded()
    }

    /// The part of a settled cost that was not charged, because the budget had less left and the overage policy
    /// `ALLOW_IF_AVAILABLE` charges only what is left. The whole cost if the server charged in another unit.
    pub fn uncharged(&self) -> Option<Amount> {
        let (actual, charged) = self.charged_less()?;
        Some(Amount::new(
            actual.unit.clone(),
            actual.amount - paid(actual, charged),
        ))
    }

    /// The cost and the charge, if the charge is less.
    pub(crate) fn charged_less(&self) -> Option<(&Amount, &Amount)> {
        let (actual, charged) = match self {
            Self::Committed(Charged { response, .. }) => {
                let reply = response.as_ref()?;
                (reply.actual.as_ref()?, &reply.charged)
            }
            Self::RecoveredViaEvent(Charged { response, .. }) => {
                (response.actual.as_ref()?, response.charged.as_ref()?)
            }
            Self::LeaseLost(inner) => return inner.charged_less(),
            Self::Pending { .. } | Self::Rejected { .. } | Self::Stale | Self::Shadow { .. } => return None,
        };
        (paid(actual, charged) < actual.amount).then_some((actual, charged))
    }

    /// Why the cost is not in the ledger, if an answer said so.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Pending { error, .. } | Self::Rejected { error, .. } => error.as_deref(),
            Self::LeaseLost(inner) => inner.error(),
            Self::Committed(_) | Self::RecoveredViaEvent(_) | Self::Stale | Self::Shadow { .. } => None,
        }
    }

    /// This receipt, now that it is known whether the cost is in a record. A cost that should have been set aside but
    /// has no record becomes `pending`, with no attempt to follow.
    pub(crate) fn stored(self, is_stored: bool, pending: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Stale if !is_stored => pending(),
            Self::Rejected {
                error,
                actual,
                found,
                charged,
                is_recorded: _,
            } => Self::Rejected {
                error,
                actual,
                found,
                charged,
                is_recorded: is_stored,
            },
            other @ (Self::Committed(_)
            | Self::RecoveredViaEvent(_)
            | Self::Pending { .. }
            | Self::Stale
            | Self::Shadow { .. }
            | Self::LeaseLost(_)) => other,
        }
    }

    /// Why the cost is set aside; `None` if it is not.
    pub(crate) fn aside(&self) -> Option<Aside> {
        match self {
            Self::Rejected { .. } => Some(Aside::Rejected),
            Self::Stale => Some(Aside::Stale),
            Self::LeaseLost(inner) => inner.aside(),
            Self::Committed(_) | Self::RecoveredViaEvent(_) | Self::Pending { .. } | Self::Shadow { .. } => {
                None
            }
        }
    }

    /// Returns the error if the cost is not in the ledger and has no record to settle it from, or else the receipt.
    ///
    /// # Errors
    /// The ledger's error, or [`Error::Unrecorded`] with the last error.
    pub fn into_result(self) -> Result<Self, Error> {
        match self {
            Self::Rejected {
                error: Some(error), ..
            } => Err(*error),
            Self::Pending {
                error: Some(error),
                is_recorded: false,
            } => Err(Error::Unrecorded(error)),
            Self::LeaseLost(inner) => Ok(Self::LeaseLost(Box::new(inner.into_result()?))),
            other @ (Self::Committed(_)
            | Self::RecoveredViaEvent(_)
            | Self::Pending { .. }
            | Self::Rejected { .. }
            | Self::Stale
            | Self::Shadow { .. }) => Ok(other),
        }
    }
}

/// The part of the cost that a charge covers: nothing if the charge is in another unit or negative.
fn paid(actual: &Amount, charged: &Amount) -> i64 {
    if actual.unit == charged.unit {
        charged.amount.max(0)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_lease_does_not_hide_that_the_cost_is_nowhere() {
        let error = Error::LeaseLost("r-1".into());
        let refused = Receipt::Rejected {
            error: Some(Box::new(error.clone())),
            actual: None,
            found: None,
            charged: None,
            is_recorded: true,
        };
        let gone = Receipt::Pending {
            error: Some(Box::new(error)),
            is_recorded: false,
        };
        for inner in [refused, gone] {
            assert!(inner.clone().into_result().is_err());
            assert!(Receipt::LeaseLost(Box::new(inner)).into_result().is_err());
        }
        let settled = Receipt::LeaseLost(Box::new(Receipt::Committed(Charged::new(
            None,
            ActualSource::Action,
        ))));
        assert!(matches!(settled.into_result(), Ok(Receipt::LeaseLost(inner)) if inner.is_settled()));
    }

    #[test]
    fn a_receipt_says_what_was_charged_and_whether_by_an_event() {
        let commit: CommitResponse =
            serde_json::from_str(r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#).unwrap();
        let event: EventCreateResponse = serde_json::from_str(
            r#"{"status":"APPLIED","event_id":"e-1","charged":{"unit":"TOKENS","amount":3}}"#,
        )
        .unwrap();
        for (receipt, charged, by_event) in [
            (
                Receipt::Committed(Charged::new(Some(Arc::new(commit)), ActualSource::Action)),
                Some(5),
                false,
            ),
            (
                Receipt::RecoveredViaEvent(Charged::new(Arc::new(event), ActualSource::Action)),
                Some(3),
                true,
            ),
            (
                Receipt::Committed(Charged::new(None, ActualSource::Action)),
                None,
                false,
            ),
            (Receipt::Stale, None, false),
        ] {
            for receipt in [receipt.clone(), Receipt::LeaseLost(Box::new(receipt))] {
                let amount = receipt.charged().map(|charged| charged.amount);
                assert_eq!((amount, receipt.is_recovered_via_event()), (charged, by_event));
            }
        }
    }

    #[test]
    fn a_charge_pays_what_it_has_of_the_unit_of_the_cost() {
        for (actual, charged, expected) in [
            (Amount::tokens(5), Amount::tokens(3), 3),
            (Amount::tokens(5), Amount::tokens(-3), 0),
            (Amount::tokens(5), Amount::tokens(i64::MIN), 0),
            (Amount::tokens(5), Amount::credits(5), 0),
            (Amount::tokens(0), Amount::credits(5), 0),
        ] {
            assert_eq!(paid(&actual, &charged), expected, "{charged} for {actual}");
        }
    }

    #[test]
    fn a_cost_is_in_the_ledger_or_in_a_record_or_set_aside_or_nowhere() {
        let error = || Some(Box::new(Error::LeaseLost("r-1".into())));
        let pending = |is_recorded| Receipt::Pending {
            error: error(),
            is_recorded,
        };
        let rejected = Receipt::Rejected {
            error: error(),
            actual: None,
            found: None,
            charged: None,
            is_recorded: true,
        };
        // Settled, nowhere, with an error, set aside.
        for (receipt, is) in [
            (
                Receipt::Committed(Charged::new(None, ActualSource::Action)),
                [true, false, false, false],
            ),
            (pending(true), [false, false, true, false]),
            (pending(false), [false, true, true, false]),
            (rejected, [false, false, true, true]),
            (Receipt::Stale, [false, false, false, true]),
            // Nothing is left to do for a cost that is not charged.
            (
                Receipt::Shadow {
                    actual: Amount::tokens(5),
                    source: ActualSource::Action,
                },
                [true, false, false, false],
            ),
        ] {
            for receipt in [receipt.clone(), Receipt::LeaseLost(Box::new(receipt))] {
                let told = [
                    receipt.is_settled(),
                    receipt.is_unrecorded(),
                    receipt.error().is_some(),
                    receipt.aside().is_some(),
                ];
                assert_eq!(told, is, "{receipt:?}");
            }
        }
    }
}
