//! What a person does with a journal, one file operation at a time, so that anything may happen between two of them.

use std::ffi::OsStr;
use std::io;

use cycles_proto::UnixMillis;
use cycles_proto::journal::{
    self, EntryChange, EntryFailure, JournalEntry, Next, OpOutcome, RecordId, Restored,
};

use super::{Client, Journal};

/// A change by a person that is being made.
#[derive(Debug)]
pub(crate) struct ChangeByHand {
    pub(crate) entry: JournalEntry,
    pub(crate) change: EntryChange,
    /// When it was begun, on the clock of its process.
    begun: UnixMillis,
    /// The results of its operations so far. Everything that it does follows from them.
    results: Vec<Result<OpOutcome, io::ErrorKind>>,
}

/// What a person's change has done; `None` if it discarded the entry.
pub(crate) type Changed = Option<Restored>;

impl ChangeByHand {
    pub(crate) const fn new(entry: JournalEntry, change: EntryChange, begun: UnixMillis) -> Self {
        Self {
            entry,
            change,
            begun,
            results: Vec::new(),
        }
    }
}

impl Journal {
    /// The entries of this client's directory.
    pub(crate) fn entries(&mut self, client: &Client, now: UnixMillis) -> Vec<JournalEntry> {
        let listed = journal::entries(&client.base_url, now).run(|op| self.execute(client, op));
        // Reading a directory in memory never fails.
        listed.map(|listed| listed.entries).unwrap_or_default()
    }

    /// Makes the next operation of a person's change. Returns the result of the change once it is over.
    pub(crate) fn go_on_by_hand(
        &mut self,
        client: &Client,
        by_hand: &mut ChangeByHand,
    ) -> Option<Result<Changed, EntryFailure>> {
        let url = client.base_url.clone();
        let ChangeByHand {
            entry,
            change,
            begun,
            results,
        } = by_hand;
        if let EntryChange::Discard { is_forced } = change {
            let discarding = journal::discard(&url, entry, *is_forced);
            let discarded = self.go_on(client, entry.id(), discarding, results)?;
            return Some(discarded.map(|_| None));
        }
        let restoring = journal::restore(&url, entry, *change, *begun);
        Some(self.go_on(client, entry.id(), restoring, results)?.map(Some))
    }

    fn go_on<T>(
        &mut self,
        client: &Client,
        id: Option<&RecordId>,
        begun: Next<'_, T>,
        results: &mut Vec<Result<OpOutcome, io::ErrorKind>>,
    ) -> Option<T> {
        let mut next = begun;
        for result in results.iter() {
            next = match next {
                Next::Do(_, paused) => paused.resume(result.clone().map_err(io::Error::from)),
                done @ Next::Done(_) => done,
            };
        }
        match next {
            Next::Done(done) => Some(done),
            Next::Do(op, _) => {
                let result = match id {
                    Some(id) => self.execute_for(client, id, op),
                    None => self.execute(client, op),
                };
                results.push(result.map_err(|error| error.kind()));
                None
            }
        }
    }

    /// Whether the owner in the name of this mark's file runs.
    pub(crate) fn does_owner_run(&self, file: &OsStr) -> bool {
        let name = file.to_str().and_then(|name| name.strip_suffix(".dispatched"));
        let owner = name.and_then(|name| name.rsplit('.').next());
        owner.is_some_and(|owner| owner.parse::<u32>().is_ok() && !self.has_owner_ended(owner))
    }
}
