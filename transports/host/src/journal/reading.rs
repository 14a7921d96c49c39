//! What a session gets to see of the journal.

use std::path::Path;

use cycles_proto::Event;
use cycles_proto::journal::{self, Reading};
use cycles_proto::session::Scanned;

use super::{Claim, Journal, JournalError};

impl Journal {
    /// Reads what a [`Session`](cycles_proto::Session) asks for: the [records](Self::scan), and if it wants
    /// them those that were [set aside](Self::set_aside) as stale after them. The claim to them, taken before they were
    /// read, is to be held for as long as the session does not give it back; there is none if another process has it, or
    /// another client.
    ///
    /// # Errors
    /// What is to be told if the directory cannot be read.
    pub fn read(&self, with_stale: bool) -> Result<(Scanned, Option<Claim>), Box<Event>> {
        // What is read with the claim is what nobody else is settling.
        let claim = self.claim();
        let (reading, events) = self.look(with_stale).map_err(|error| self.unreadable(&error))?;
        let mut scanned = Scanned::default();
        scanned.has_claim = claim.is_some();
        scanned.set_aside = reading.set_aside();
        scanned.unread = reading.unread();
        scanned.events = events;
        scanned.records = reading.into_records();
        Ok((scanned, claim))
    }

    fn look(&self, with_stale: bool) -> Result<(Reading, Vec<Event>), JournalError> {
        let Some(files) = self.files() else {
            return Ok(Default::default());
        };
        // Whether it exists or not: what lies beside it is told all the same.
        self.existing()?;
        let folder = files.folder().path()?;
        let reading = journal::read(files.base_url(), with_stale, &files.seen());
        let reading = files.run(folder, reading)?;
        let events = reading.events(&mut files.seen(), folder);
        Ok((reading, events))
    }

    fn unreadable(&self, error: &JournalError) -> Box<Event> {
        let dir = self.dir().unwrap_or(Path::new(""));
        let event = Event::record_unreadable(dir.display().to_string(), error.to_string());
        Box::new(event)
    }
}
