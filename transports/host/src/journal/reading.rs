//! What a replayer gets to see of the journal, and who is told of the rest.

use std::path::Path;

use cycles_proto::Event;
use cycles_proto::journal::{self, JournalRecord};

use super::{Claim, Journal, JournalError};
use crate::observer::Observers;

/// What a [`Session`](cycles_proto::Session) asked for.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reading {
    /// The records.
    pub records: Vec<JournalRecord>,
    /// How many files that may be records were set aside, because they are none.
    pub set_aside: usize,
    /// How many files that may be records could not be read.
    pub unread: usize,
    /// The claim to them, taken before they were read: to be held for as long as the replayer is
    /// at work. Nothing if another process has it, or another client.
    pub claim: Option<Claim>,
}

impl Journal {
    /// Reads what a [`Session`](cycles_proto::Session) asks for: the [records](Self::scan), and if it wants
    /// them those that were [set aside](Self::set_aside) as stale after them. What cannot be read is told to
    /// `observers`. Nothing if that is the directory.
    pub fn read(&self, with_stale: bool, observers: &Observers) -> Option<Reading> {
        let unreadable = |error: JournalError| {
            let dir = self.dir().unwrap_or(Path::new(""));
            observers.tell(Event::record_unreadable(
                dir.display().to_string(),
                error.to_string(),
            ));
        };
        // What is read with the claim is what nobody else is settling.
        let claim = self.claim();
        let found = self.look(with_stale, observers).map_err(unreadable).ok()?;
        Some(Reading {
            set_aside: found.set_aside(),
            unread: found.unread(),
            records: found.into_records(),
            claim,
        })
    }

    fn look(&self, with_stale: bool, observers: &Observers) -> Result<journal::Reading, JournalError> {
        let Some(files) = self.files() else {
            return Ok(journal::Reading::default());
        };
        // Whether it exists or not: what lies beside it is told all the same.
        self.existing()?;
        let folder = files.folder().path()?;
        let reading = journal::read(files.base_url(), with_stale, &files.seen());
        let reading = files.run(folder, reading)?;
        let events = reading.events(&mut files.seen(), folder);
        events.into_iter().for_each(|event| observers.tell(event));
        Ok(reading)
    }
}
