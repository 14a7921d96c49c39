//! Whether what is said of the end of a reservation is so.

use cycles_proto::models::ReservationStatus;
use cycles_proto::outcome::{Aside, Released};
use cycles_proto::{Outcome, Receipt};

use super::{Cleared, Held, Watch, broken};
use crate::life::Life;
use crate::rule::Rule;

impl Watch {
    /// The reservation has ended with this outcome.
    pub(crate) fn ended(&self, life: &mut Life, outcome: &Outcome, is_released: bool) -> Held {
        let lie = |what: &str| broken(Rule::TrueReceipt, format!("{what}: {outcome:?}"));
        if let Outcome::Settled(receipt) = outcome {
            if receipt.is_settled() && life.settled.is_empty() {
                return lie("it is said to be settled, and the ledger knows nothing of it");
            }
            if matches!(receipt, Receipt::Rejected { .. }) && self.was_settled {
                return lie("it is said to be refused, and it was in the ledger when it was asked");
            }
            let is_last_word = matches!(
                receipt,
                Receipt::Rejected { .. }
                    | Receipt::Stale
                    | Receipt::Pending {
                        is_recorded: false,
                        ..
                    }
            );
            life.book.was_surfaced |= is_last_word;
            if matches!(
                receipt,
                Receipt::Pending {
                    is_recorded: true,
                    ..
                }
            ) && !life.book.was_durable
            {
                return lie("it is said to be recorded, and no record was ever stored");
            }
            if matches!(
                receipt,
                Receipt::Pending {
                    is_recorded: false,
                    ..
                }
            ) && self.has_journal
                && self.has_stored
            {
                return lie("it is said to be in no record, and one was stored, which may yet be settled");
            }
            self.has_cleared(receipt)?;
            self.has_told_shortfall(life, receipt)?;
        }
        if life.book.untaken && !self.is_resumed && !self.has_told_untaken {
            return broken(
                Rule::UntakenTold,
                "a cost could not be taken, and no event told of it",
            );
        }
        if let Outcome::Released(Released::Confirmed(reply)) = outcome
            && (!is_released || reply.status != ReservationStatus::Released)
        {
            return lie("it is said to be released, and the ledger does not know");
        }
        Ok(())
    }

    /// What is over is in nobody's way.
    fn has_cleared(&self, receipt: &Receipt) -> Held {
        let due = match receipt {
            Receipt::Committed(_) | Receipt::RecoveredViaEvent(_) => Some(Cleared::Removed),
            Receipt::Rejected { .. } => Some(Cleared::Aside(Aside::Rejected)),
            Receipt::Stale => Some(Cleared::Aside(Aside::Stale)),
            // Nothing is decided yet; and a lost lease is for adapters to tell.
            Receipt::Pending { .. } | Receipt::LeaseLost(_) | _ => None,
        };
        if self.has_journal && due.is_some() && due != self.cleared {
            return broken(
                Rule::RecordCleared,
                format!(
                    "its record had to be {due:?} and was {:?}: {receipt:?}",
                    self.cleared
                ),
            );
        }
        Ok(())
    }

    /// Of a cost in the ledger it is told whether that is all of it.
    fn has_told_shortfall(&self, life: &Life, receipt: &Receipt) -> Held {
        let (Some(cost), Some(last)) = (&life.cost, life.settled.last()) else {
            return Ok(());
        };
        let due = (last.charged < cost.amount).then_some((cost.amount, last.charged));
        if receipt.is_settled() && self.told_shortfall != due {
            return broken(
                Rule::ShortfallTold,
                format!(
                    "{due:?} had to be told as charged for less, and {:?} was",
                    self.told_shortfall
                ),
            );
        }
        Ok(())
    }
}
