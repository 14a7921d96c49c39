//! What a replayer gets to see of the journal, and who is told of the rest.

use std::path::Path;

use cycles_proto::Event;
use cycles_proto::record::JournalRecord;
use cycles_proto::step::Aside;

use super::{Journal, JournalError};
use crate::observer::Observers;

impl Journal {
    /// Reads what a [`Replayer`](cycles_proto::Replayer) asks for: the [records](Self::scan), and if it wants
    /// them those that were [set aside](Self::set_aside) as stale after them. What cannot be read is told to
    /// `observers`. Nothing if that is the directory.
    pub fn read(&self, with_stale: bool, observers: &Observers) -> Option<Vec<JournalRecord>> {
        let tell = |file: &Path, reason: String| {
            observers.tell(Event::record_unreadable(file.display().to_string(), reason));
        };
        let unreadable = |error: JournalError| {
            tell(self.dir().unwrap_or(Path::new("")), error.to_string());
        };
        let scan = self.scan().map_err(unreadable).ok()?;
        for problem in &scan.problems {
            tell(problem.found_at(), problem.reason.clone());
        }
        let mut records = scan.records;
        if with_stale {
            for aside in self.set_aside(Aside::Stale).map_err(unreadable).ok()? {
                match aside.record {
                    Some(record) => records.push(record),
                    None => tell(
                        &aside.path,
                        "it was set aside, and is no record any more".to_owned(),
                    ),
                }
            }
        }
        Some(records)
    }
}
