//! `client.journal()`: the costs on disk, for a person who looks after them.

use std::path::PathBuf;
use std::sync::Arc;

use cycles_proto::Receipt;
use cycles_proto::journal::{Entries, EntryError, JournalEntry, RecordsElsewhere};
use cycles_proto::session::EntryChange;

use crate::client::{Client, Ready};

/// The journal of a client: the costs on disk that are not settled, or that were set aside for a person.
///
/// Everything here is safe beside running clients of any SDK, in this process and in others. An entry is a snapshot: its
/// file is read again when something is done with it, and nothing is done if it is no longer the same cost. Files are
/// renamed and never removed; every cost is only ever sent under its own key.
///
/// Listing sends nothing and changes nothing. [`retry`](Self::retry) and [`as_event`](Self::as_event) also start the
/// replay of the journal, as the first reservation of a client does.
///
/// The futures may be dropped: what has begun on the disk continues, and a cost that was sent again is settled in the
/// background.
#[derive(Clone, Debug)]
pub struct Journal {
    client: Client,
    is_forced: bool,
}

impl Client {
    /// Returns the journal of this client's server and principal, to list it and to look after its costs.
    pub fn journal(&self) -> Journal {
        Journal {
            client: self.clone(),
            is_forced: false,
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
            is_forced: true,
            ..self
        }
    }

    /// Lists every file that is or may be a cost: oldest first, files that are not records last. Costs in the memory of a
    /// client whose records are not written yet are not listed.
    ///
    /// # Errors
    /// [`EntryError::Client`] if the client cannot be used, [`EntryError::Unavailable`] if the journal is switched off or
    /// cannot be read. If there is no journal yet, the list is empty.
    pub async fn entries(&self) -> Result<Vec<JournalEntry>, EntryError> {
        let ready = self.client.ready()?;
        let shared = ready.engine.shared();
        let mut entries = self.list(ready).await?.entries;
        shared.look(|session, now| session.complete_entries(now, &ready.caller, &mut entries));
        Ok(entries)
    }

    /// Counts the records in the journal's base directory that this client does not send, because they were written with
    /// another base URL (even if only `localhost` became `127.0.0.1`), another tenant or another API key. A client with
    /// the configuration that they were written with lists and settles them.
    ///
    /// # Errors
    /// The same errors as [`entries`](Self::entries).
    pub async fn elsewhere(&self) -> Result<Vec<RecordsElsewhere>, EntryError> {
        Ok(self.list(self.client.ready()?).await?.elsewhere)
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
    pub async fn retry(&self, entry: &JournalEntry) -> Result<Receipt, EntryError> {
        let is_forced = self.is_forced;
        self.send(entry, EntryChange::Retry { is_forced }).await
    }

    /// Charges the cost of an entry as an event, under its own key, because its commit cannot be accepted any more: the
    /// reservation is looked up first, and unless the ledger says that it has expired, nothing is sent.
    ///
    /// # Errors
    /// [`EntryError::NotExpired`] with the status that was found, [`EntryError::Lookup`] if the ledger does not know, and
    /// any other [`EntryError`].
    pub async fn as_event(&self, entry: &JournalEntry) -> Result<Receipt, EntryError> {
        let is_forced = self.is_forced;
        let change = EntryChange::AsEvent { is_forced };
        let ready = self.client.ready()?;
        self.check(ready, entry, change)?;
        let Some(id) = &entry.reservation_id else {
            return Err(EntryError::NotARecord);
        };
        JournalEntry::check_expired(self.client.get_reservation(id).await)?;
        self.send(entry, change).await
    }

    /// Charges the estimate of a [dispatched](cycles_proto::journal::EntryKind::Dispatched) action whose cost nobody
    /// knows, because you have found that its provider did charge for it, and returns the receipt after the first attempt.
    /// The estimate is committed under the key of the mark; only if the ledger says that the reservation has expired, it
    /// is charged as an event under the same key. To charge another amount, use `create_event`, and
    /// [`discard`](Self::discard) the mark.
    ///
    /// # Errors
    /// Unless [`forced`](Self::forced): [`EntryError::OwnerRuns`] while the process that runs the action lives,
    /// [`EntryError::OwnerUnknown`] if that cannot be known, and [`EntryError::MayCountTwice`] if the mark is older than six
    /// days, because that process may have charged the cost and then failed to remove the mark. Even if forced:
    /// [`EntryError::NotDispatched`] if the entry is not a mark. Any other [`EntryError`].
    pub async fn charge_estimate(&self, entry: &JournalEntry) -> Result<Receipt, EntryError> {
        let is_forced = self.is_forced;
        self.send(entry, EntryChange::ChargeEstimate { is_forced }).await
    }

    /// Gives the cost of an entry up: renames its file so that it ends in `.discarded`, and returns its new path. No SDK
    /// reads such files; [`retry`](Self::retry) takes the cost back. A pending cost that the process which made it is
    /// still sending may be charged all the same.
    ///
    /// # Errors
    /// [`EntryError`]; [`EntryError::Busy`] while the journal is being replayed.
    pub async fn discard(&self, entry: &JournalEntry) -> Result<PathBuf, EntryError> {
        let is_forced = self.is_forced;
        let ready = self.client.ready()?;
        self.check(ready, entry, EntryChange::Discard { is_forced })?;
        let (caller, entry) = (ready.caller.clone(), entry.clone());
        let discarding = ready
            .engine
            .shared()
            .on_disk(ready.caller.principal(), move |shared, journal| {
                let path = journal.discard(&entry, is_forced)?;
                shared.with(|session, _| session.note_discarded(&caller, &entry));
                Ok(path)
            });
        discarding.await
    }

    async fn list(&self, ready: &Arc<Ready>) -> Result<Entries, EntryError> {
        let shared = ready.engine.shared();
        let now = shared.now().wall;
        let principal = ready.caller.principal();
        shared
            .on_disk(principal, move |_, journal| journal.entries(now))
            .await
    }

    fn check(&self, ready: &Ready, entry: &JournalEntry, change: EntryChange) -> Result<(), EntryError> {
        let shared = ready.engine.shared();
        shared.look(|session, now| session.check_entry(now, &ready.caller, entry, change))
    }

    async fn send(&self, entry: &JournalEntry, change: EntryChange) -> Result<Receipt, EntryError> {
        let ready = self.client.ready()?;
        self.check(ready, entry, change)?;
        let (caller, entry) = (ready.caller.clone(), entry.clone());
        let sending = ready
            .engine
            .shared()
            .on_disk(ready.caller.principal(), move |shared, journal| {
                let record = journal.restore(&entry, change, shared.now().wall)?;
                shared.settle_entry(&caller, record, change)
            });
        sending.await?.receipt().await
    }
}
