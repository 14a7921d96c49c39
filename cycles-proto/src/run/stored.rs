//! Which total is on disk: one at a time is stored, and the next one has all steps that end meanwhile.

use super::Draws;
use crate::outcome::StoreFailure;
use crate::ticket::Ticket;

impl Draws {
    /// Whether there may be a stored total, or one that is being stored.
    pub(crate) fn may_be_stored(&self) -> bool {
        self.stored > 0 || self.storing.is_some()
    }

    /// Why this total is not stored, if its store has failed.
    pub(crate) fn store_failure(&self, version: u64) -> Option<&StoreFailure> {
        let (failed, failure) = self.failed.as_ref()?;
        Some(failure).filter(|_| version <= *failed)
    }

    /// Whether there is a total that has to be stored now. While one is being stored, the next one waits, and has all
    /// steps that end meanwhile.
    pub(crate) fn is_due(&self) -> bool {
        self.storing.is_none() && self.version > self.stored
    }

    /// Notes that the current total is being stored under this ticket.
    pub(crate) fn begin_storing(&mut self, ticket: Ticket) {
        self.storing = Some((ticket, self.version));
    }

    /// Notes that a total was stored, or could not be. Returns whether the ticket was that of a total.
    pub(crate) fn end_storing(&mut self, ticket: Ticket, failure: Option<&StoreFailure>) -> bool {
        match self.storing {
            Some((waited_for, version)) if waited_for == ticket => {
                self.stored = version;
                self.storing = None;
                let failure = failure.filter(|failure| !failure.is_made);
                self.failed = failure.map(|failure| (version, failure.clone()));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Notes that the final total was stored, or could not be, or is not going to be.
    pub(crate) fn note_all_stored(&mut self) {
        self.stored = self.version;
        self.storing = None;
    }

    /// Whether no step waits for this total any more.
    pub(crate) fn is_stored(&self, version: u64) -> bool {
        self.stored >= version
    }
}
