//! What a person does with the journal: listing it, and bringing a record back or discarding it.

use std::path::PathBuf;

use cycles_proto::UnixMillis;
use cycles_proto::journal::{self, Entries, EntryChange, EntryError, JournalEntry, JournalRecord};

use super::{Journal, JournalError};

impl Journal {
    /// Lists every file that is or may be a cost, and counts the records of other addresses and principals. Changes
    /// nothing. `now` is the time that ages are counted to.
    ///
    /// # Errors
    /// [`EntryError::Unavailable`] if the journal is switched off or cannot be read. A missing directory is not an
    /// error.
    pub fn entries(&self, now: UnixMillis) -> Result<Entries, EntryError> {
        let files = self.files().ok_or(JournalError::Off).map_err(unavailable)?;
        // Continues even if the directory does not exist, because records beside it are listed too.
        self.existing().map_err(unavailable)?;
        let folder = files.folder().path().map_err(unavailable)?;
        let listed = files.run(folder, journal::entries(files.base_url(), now));
        Ok(listed.map_err(unavailable)?.within(folder))
    }

    /// Gives the record of an entry the name under which clients settle it, and returns it. To
    /// [charge an estimate](EntryChange::ChargeEstimate), a mark becomes a record.
    ///
    /// # Errors
    /// The reason why that was not done.
    pub fn restore(
        &self,
        entry: &JournalEntry,
        change: EntryChange,
        now: UnixMillis,
    ) -> Result<JournalRecord, EntryError> {
        let (files, folder) = self.existing().map_err(unavailable)?.ok_or(EntryError::Gone)?;
        let restoring = journal::restore(files.base_url(), entry, change, now);
        let restored = files.execute_by_hand(folder, restoring)?;
        files.seen().note(&restored.changed);
        Ok(restored.record)
    }

    /// Renames the file of an entry so that it ends in `.discarded`, and returns its new path. For a cost that clients
    /// send by themselves, the claim is needed, so that no replay is sending it meanwhile. With `is_forced`, also a mark
    /// whose owner may live.
    ///
    /// # Errors
    /// The reason why that was not done; [`EntryError::Busy`] if the claim cannot be had.
    pub fn discard(&self, entry: &JournalEntry, is_forced: bool) -> Result<PathBuf, EntryError> {
        let (files, folder) = self.existing().map_err(unavailable)?.ok_or(EntryError::Gone)?;
        let _claim = match entry.kind.is_replayed() {
            true => Some(self.claim().ok_or(EntryError::Busy)?),
            false => None,
        };
        let name = files.execute_by_hand(folder, journal::discard(files.base_url(), entry, is_forced))?;
        Ok(folder.join(name))
    }
}

fn unavailable(error: JournalError) -> EntryError {
    EntryError::Unavailable(error.to_string())
}
