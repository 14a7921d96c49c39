//! What a replayer gets to see of the journal, and who is told of the rest.

use std::path::Path;

use cycles_proto::Event;
use cycles_proto::record::JournalRecord;
use cycles_proto::step::Aside;

use super::{Claim, Journal, JournalError};
use crate::observer::Observers;

/// What a [`Replayer`](cycles_proto::Replayer) asked for.
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
    /// [at work](cycles_proto::Replayer::is_at_work). Nothing if another process has it, or another client.
    pub claim: Option<Claim>,
}

impl Journal {
    /// Reads what a [`Replayer`](cycles_proto::Replayer) asks for: the [records](Self::scan), and if it wants
    /// them those that were [set aside](Self::set_aside) as stale after them. What cannot be read is told to
    /// `observers`. Nothing if that is the directory.
    pub fn read(&self, with_stale: bool, observers: &Observers) -> Option<Reading> {
        let tell = |file: &Path, reason: String| {
            observers.tell(Event::record_unreadable(file.display().to_string(), reason));
        };
        let unreadable = |error: JournalError| {
            tell(self.dir().unwrap_or(Path::new("")), error.to_string());
        };
        // What is read with the claim is what nobody else is settling.
        let claim = self.claim();
        let scan = self.scan().map_err(unreadable).ok()?;
        let set_aside = scan.problems.iter().filter(|problem| problem.moved_to.is_some());
        let set_aside = set_aside.count();
        let mut unread = scan.problems.len() - set_aside;
        for problem in &scan.problems {
            tell(problem.found_at(), problem.reason.clone());
        }
        for (id, file) in scan.waiting {
            if self.files().is_some_and(|files| files.note_news(&id)) {
                observers.tell(Event::second_cost(id, file.display().to_string()));
            }
        }
        if let Some(files) = self.files().filter(|files| files.note_first_reading()) {
            let folder = files.folder().path().map_err(unreadable).ok()?;
            let elsewhere = scan.of_others + super::scan::beside(folder);
            if elsewhere > 0 {
                let base = folder.parent().unwrap_or(folder).display().to_string();
                observers.tell(Event::records_elsewhere(elsewhere, base));
            }
        }
        let mut records = scan.records;
        if with_stale {
            for aside in self.set_aside(Aside::Stale).map_err(unreadable).ok()? {
                match aside.record {
                    Some(record) => records.push(record),
                    None => {
                        unread += 1;
                        tell(
                            &aside.path,
                            "it was set aside, and is no record any more".to_owned(),
                        );
                    }
                }
            }
        }
        Some(Reading {
            records,
            set_aside,
            unread,
            claim,
        })
    }
}
