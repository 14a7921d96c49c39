//! The last errors of costs that are not settled. Records do not say why their costs are not settled, so a person who
//! lists the journal sees what this process knows.

use std::collections::BTreeMap;

use crate::journal::RecordId;
use crate::outcome::{Error, Receipt};

/// The last error of each cost that is not settled, as far as this process has seen one.
#[derive(Debug, Default)]
pub(super) struct LastErrors(BTreeMap<RecordId, Box<Error>>);

/// How many errors are kept: more than a person reads.
const MOST: usize = 1_024;

impl LastErrors {
    pub(super) fn note(&mut self, id: &RecordId, error: &Error) {
        if self.0.len() < MOST || self.0.contains_key(id) {
            self.0.insert(id.clone(), Box::new(error.clone()));
        }
    }

    /// Notes the end of a reservation. The error of a settled cost is no longer of interest.
    pub(super) fn note_end(&mut self, id: &RecordId, receipt: Option<&Receipt>) {
        if receipt.is_some_and(Receipt::is_settled) {
            self.forget(id);
        }
    }

    pub(super) fn forget(&mut self, id: &RecordId) {
        self.0.remove(id);
    }

    pub(super) fn of(&self, id: &RecordId) -> Option<&Error> {
        self.0.get(id).map(|error| &**error)
    }
}
