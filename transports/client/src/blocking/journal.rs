//! `client.journal()`, for callers that block.

use std::path::PathBuf;

use cycles_proto::Receipt;
use cycles_proto::journal::{EntryError, JournalEntry, RecordsElsewhere};

use super::Client;

/// The journal of a client: the costs on disk that are not settled, or that were set aside for a person.
///
/// Everything here is safe beside running clients of any SDK, in this process and in others. An entry is a snapshot: its
/// file is read again when something is done with it, and nothing is done if it is no longer the same cost. Files are
/// renamed and never removed; every cost is only ever sent under its own key.
///
/// Listing sends nothing and changes nothing. [`retry`](Self::retry) and [`as_event`](Self::as_event) also start the
/// replay of the journal, as the first reservation of a client does.
#[derive(Clone, Debug)]
pub struct Journal {
    client: Client,
    journal: crate::Journal,
}

impl Client {
    /// Returns the journal of this client's server and principal, to list it and to look after its costs. Does not block.
    pub fn journal(&self) -> Journal {
        Journal {
            client: self.clone(),
            journal: self.0.journal(),
        }
    }
}

impl Journal {
    /// Returns the same journal without two checks:
    ///
    /// - Costs are sent even if the server may have forgotten their keys. **This may charge a cost twice**: if an attempt
    ///   got through back then and only its response was lost, the server may not remember it. Look for the cost in the
    ///   ledger first.
    /// - The files of runs and the marks of dispatched actions are settled or discarded even if their owners are not known
    ///   to be gone. If one is alive after all, what it spends later may not be charged.
    #[must_use]
    pub fn forced(self) -> Self {
        Self {
            journal: self.journal.forced(),
            ..self
        }
    }

    /// Lists every file that is or may be a cost: oldest first, files that are not records last. Costs in the memory of a
    /// client whose records are not written yet are not listed. Blocks on the disk.
    ///
    /// # Errors
    /// [`EntryError::Client`] if the client cannot be used, [`EntryError::Unavailable`] if the journal is switched off or
    /// cannot be read. If there is no journal yet, the list is empty.
    pub fn entries(&self) -> Result<Vec<JournalEntry>, EntryError> {
        self.client.wait_for(self.journal.entries())
    }

    /// Counts the records in the journal's base directory that this client does not send, because they were written with
    /// another base URL (even if only `localhost` became `127.0.0.1`), another tenant or another API key. A client with
    /// the configuration that they were written with lists and settles them. Blocks on the disk.
    ///
    /// # Errors
    /// The same errors as [`entries`](Self::entries).
    pub fn elsewhere(&self) -> Result<Vec<RecordsElsewhere>, EntryError> {
        self.client.wait_for(self.journal.elsewhere())
    }

    /// Sends the cost of an entry again, under its own key, and returns its receipt after the first attempt. More attempts
    /// may follow in the background, as for every cost. For costs that are pending, waiting, rejected or stale, and for
    /// discarded ones, which this takes back. A pause that the server asked for is not waited for.
    ///
    /// A record that was set aside first gets the name back under which every SDK settles it, so a retry that is
    /// interrupted is continued by any client.
    ///
    /// # Errors
    /// [`EntryError`]; the receipt says if the ledger refused the cost once more.
    pub fn retry(&self, entry: &JournalEntry) -> Result<Receipt, EntryError> {
        self.client.wait_for(self.journal.retry(entry))
    }

    /// Charges the cost of an entry as an event, under its own key, because its commit cannot be accepted any more: the
    /// reservation is looked up first, and unless the ledger says that it has expired, nothing is sent.
    ///
    /// # Errors
    /// [`EntryError::NotExpired`] with the status that was found, [`EntryError::Lookup`] if the ledger does not know, and
    /// any other [`EntryError`].
    pub fn as_event(&self, entry: &JournalEntry) -> Result<Receipt, EntryError> {
        self.client.wait_for(self.journal.as_event(entry))
    }

    /// Charges the estimate of a [dispatched](cycles_proto::journal::EntryKind::Dispatched) action whose cost nobody
    /// knows, because you have found that its provider did charge for it, and returns the receipt after the first attempt.
    /// The estimate is committed under the key of the mark; only if the ledger says that the reservation has expired, it
    /// is charged as an event under the same key. To charge another amount, use `create_event`, and
    /// [`discard`](Self::discard) the mark.
    ///
    /// # Errors
    /// [`EntryError::OwnerRuns`] while the process that runs the action lives, [`EntryError::OwnerUnknown`] if that cannot
    /// be known, unless [`forced`](Self::forced); [`EntryError::NotDispatched`] if the entry is no mark; and any other
    /// [`EntryError`].
    pub fn charge_estimate(&self, entry: &JournalEntry) -> Result<Receipt, EntryError> {
        self.client.wait_for(self.journal.charge_estimate(entry))
    }

    /// Gives the cost of an entry up: renames its file so that it ends in `.discarded`, and returns its new path. No SDK
    /// reads such files; [`retry`](Self::retry) takes the cost back. A pending cost that the process which made it is
    /// still sending may be charged all the same. Blocks on the disk.
    ///
    /// # Errors
    /// [`EntryError`]; [`EntryError::Busy`] while the journal is being replayed.
    pub fn discard(&self, entry: &JournalEntry) -> Result<PathBuf, EntryError> {
        self.client.wait_for(self.journal.discard(entry))
    }
}
