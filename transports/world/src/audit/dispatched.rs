//! Checks that nothing is free in silence which may have cost something: after a request was dispatched, an action that
//! ends without a cost is charged, or somebody is told.

use cycles_proto::Outcome;
use serde::Deserialize;

use super::{CheckResult, broken};
use crate::job::Job;
use crate::rule::Rule;

/// The relevant members of a settlement.
#[derive(Default, Deserialize)]
struct Settlement {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    actual_source: Option<String>,
}

impl Job {
    /// Checks how the job ended in the session that began it, whose process is alive.
    pub(crate) fn check_not_free(&self, outcome: Option<&Outcome>) -> CheckResult {
        let provider = &self.notes.provider;
        if provider.is_estimated && matches!(outcome, Some(Outcome::Released(_))) {
            return self.is_free("its estimate is given back");
        }
        match (provider.owes_report, provider.reported) {
            (due, reported) if due == reported => Ok(()),
            (Some(_), None) => self.is_free("nobody is told that its cost is unknown"),
            (due, reported) => broken(
                Rule::DispatchedNotFree,
                format!(
                    "up to {due:?} may have been spent that is not charged, but {reported:?} is reported"
                ),
            ),
        }
    }

    /// Checks, once everything is over, that the ledger, a person or an observer knows of what may have been spent.
    /// `is_lost` is whether the only process that knew of it is gone.
    pub(crate) fn check_known_to_someone(&self, is_lost: bool) -> CheckResult {
        let notes = &self.notes;
        let may_have_cost = notes.provider.is_estimated || notes.provider.owes_report.is_some();
        let is_charged = !self.charges.is_empty() || notes.was_surfaced;
        let is_told = self.is_told() || notes.marks.decided.is_some();
        if !may_have_cost || is_charged || is_told || (is_lost && !notes.was_durable) {
            return Ok(());
        }
        self.is_free("it is neither charged nor told")
    }

    /// Checks that a settlement says whether its amount is an estimate. Only the session that the caller told about its
    /// requests can be held to that: another one sends what it finds.
    pub(super) fn check_mark(&self, body: &[u8]) -> CheckResult {
        let is_estimated = match &self.notes.run {
            Some(run) => run.estimated > 0,
            None => self.notes.provider.is_estimated,
        };
        let said: Settlement = serde_json::from_slice(body).unwrap_or_default();
        let is_marked = said.metadata.actual_source.as_deref() == Some("estimate");
        if is_marked != is_estimated {
            return broken(
                Rule::EstimateMarked,
                format!("an estimate in it: {is_estimated}, but it is marked as one: {is_marked}"),
            );
        }
        Ok(())
    }

    /// The violation by a job that is free although it may have cost something.
    pub(super) fn is_free(&self, what: &str) -> CheckResult {
        let bill = match &self.notes.run {
            Some(_) => "what its steps charge".to_owned(),
            None => self.notes.provider.requests.bill().to_string(),
        };
        broken(
            Rule::DispatchedNotFree,
            format!(
                "a request was dispatched, and it ended without a cost: {what}; its provider charges {bill}"
            ),
        )
    }
}
