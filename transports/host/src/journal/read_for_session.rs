//! Reads the journal for a session.

use std::path::Path;

use cycles_proto::Event;
use cycles_proto::journal::{self, FoundRecords};
use cycles_proto::session::Scanned;

use super::{Claim, Journal, JournalError};

impl Journal {
    /// Reads what a [`Session`](cycles_proto::Session) asks for: the [records](Self::scan) and, with `with_stale`, also
    /// those that were [set aside](Self::set_aside) as stale. The claim is taken before the records are read; hold it
    /// until the session gives it back. The claim is `None` if another process or another client has it. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// The event to report if the directory cannot be read.
    pub fn read(&self, with_stale: bool) -> Result<(Scanned, Option<Claim>), Box<Event>> {
        // Taken first, so that no other holder is settling the records that are read.
        let claim = self.claim();
        let (found, events) = self.look(with_stale).map_err(|error| self.unreadable(&error))?;
        let mut scanned = Scanned::default();
        scanned.has_claim = claim.is_some();
        scanned.quarantined = found.quarantined();
        scanned.unread = found.unread();
        if let Some(files) = self.files() {
            scanned.unknown = found.unknown(&files.seen());
        }
        scanned.events = events;
        scanned.records = found.into_records();
        Ok((scanned, claim))
    }

    fn look(&self, with_stale: bool) -> Result<(FoundRecords, Vec<Event>), JournalError> {
        let Some(files) = self.files() else {
            return Ok(Default::default());
        };
        // Continues even if the directory does not exist, because records of other principals alongside it are reported
        // too.
        self.existing()?;
        let folder = files.folder().path()?;
        let found = journal::read(files.base_url(), with_stale, &files.seen());
        let found = files.run(folder, found)?;
        let events = found.events(&mut files.seen(), folder);
        Ok((found, events))
    }

    fn unreadable(&self, error: &JournalError) -> Box<Event> {
        let dir = self.dir().unwrap_or(Path::new(""));
        let event = Event::record_unreadable(dir.display().to_string(), error.to_string());
        Box::new(event)
    }
}
