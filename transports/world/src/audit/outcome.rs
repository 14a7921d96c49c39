//! Checks that the reported outcome of a reservation is true.

use cycles_proto::models::ReservationStatus;
use cycles_proto::outcome::{Aside, Released};
use cycles_proto::{Outcome, Receipt};

use super::{CheckResult, Cleared, ReservationWatch, broken};
use crate::job::Job;
use crate::rule::Rule;

impl ReservationWatch {
    /// Checks the outcome of the ended reservation.
    pub(crate) fn check_outcome(&self, job: &mut Job, outcome: &Outcome, is_released: bool) -> CheckResult {
        let lie = |what: &str| broken(Rule::TrueReceipt, format!("{what}: {outcome:?}"));
        if let Outcome::Settled(receipt) = outcome {
            if receipt.is_settled() && job.charges.is_empty() {
                return lie("it is reported as settled, but it is not in the ledger");
            }
            if let Receipt::Rejected { actual, .. } = receipt {
                // A later total of a run may have arrived after this one was found.
                let charged = job.charges.last().map(|last| last.amount);
                let is_another = job.notes.run.is_some() && charged != actual.as_ref().map(|it| it.amount);
                if self.was_settled && !self.has_old_total && !is_another {
                    return lie("it is reported as refused, but it was in the ledger at the last attempt");
                }
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
            job.notes.was_surfaced |= is_last_word;
            if matches!(
                receipt,
                Receipt::Pending {
                    is_recorded: true,
                    ..
                }
            ) && !job.notes.was_durable
            {
                return lie("it is reported as recorded, but no record was ever stored");
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
                return lie(
                    "it is reported as unrecorded, but a record was stored, which may yet be settled",
                );
            }
            self.check_cleared(receipt)?;
            self.check_shortfall_reported(job, receipt)?;
        }
        if job.notes.untaken && !self.is_resumed && !self.has_reported_untaken {
            return broken(
                Rule::UntakenCostReported,
                "a cost could not be accepted, but no event reported that",
            );
        }
        if let Outcome::Released(Released::Confirmed(reply)) = outcome
            && (!is_released || reply.status != ReservationStatus::Released)
        {
            return lie("it is reported as released, but it is not released in the ledger");
        }
        Ok(())
    }

    /// Checks that no later replay will find the record of a finished cost.
    fn check_cleared(&self, receipt: &Receipt) -> CheckResult {
        let due = match receipt {
            Receipt::Committed(_) | Receipt::RecoveredViaEvent(_) => Some(Cleared::Removed),
            Receipt::Rejected { .. } => Some(Cleared::Aside(Aside::Rejected)),
            Receipt::Stale => Some(Cleared::Aside(Aside::Stale)),
            // Nothing is decided yet, or the lease was lost, which only adapters report.
            Receipt::Pending { .. } | Receipt::LeaseLost(_) | _ => None,
        };
        if self.has_journal && due.is_some() && due != self.cleared {
            return broken(
                Rule::RecordCleared,
                format!(
                    "its record had to be {due:?} but was {:?}: {receipt:?}",
                    self.cleared
                ),
            );
        }
        Ok(())
    }

    /// Checks that a partial charge, and only that, was reported.
    fn check_shortfall_reported(&self, job: &Job, receipt: &Receipt) -> CheckResult {
        let (Some(cost), Some(last)) = (&job.cost, job.charges.last()) else {
            return Ok(());
        };
        let due = (last.amount < cost.amount).then_some((cost.amount, last.amount));
        if receipt.is_settled() && self.reported_shortfall != due {
            return broken(
                Rule::ShortfallReported,
                format!(
                    "the partial charge {due:?} had to be reported, but {:?} was",
                    self.reported_shortfall
                ),
            );
        }
        Ok(())
    }
}
