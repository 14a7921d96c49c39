//! The journal: known costs that are not settled yet, one file each, in a directory that the SDKs of all languages
//! share.
//!
//! All decisions about its files are made here: their names, the steps of a change, and the reading of a directory.
//! Nothing here touches a disk. [`change`], [`scan`], [`read`] and [`set_aside`] ask for [one operation](FileOp) at a
//! time, and continue with its result:
//!
//! ```
//! use cycles_proto::journal::{self, JournalWrite, Memory, RecordId, Seen};
//!
//! let mut files = Memory::default();
//! let mut seen = Seen::default();
//! let not_charged = JournalWrite::RemoveMark(RecordId::new("rsv_1", "key", None));
//! // A driver with a disk executes each operation there.
//! let changed = journal::change(&not_charged, "http://localhost:7878", &seen).run(|op| files.execute(1, op));
//! seen.note(&changed?);
//! # Ok::<(), journal::ChangeFailure>(())
//! ```
//!
//! # Names
//!
//! | ending | content | for |
//! |---|---|---|
//! | `.json` | a cost to settle: `v2-<sha256 of the reservation's id>.json`, and older names | every SDK |
//! | `.waiting` | a second cost of a reservation, under another key or of another amount | this SDK |
//! | `.run` | the total of a run so far, while its owner lives; then a scan makes it a record | this SDK |
//! | `.dispatched` | the estimate of an action whose request has left, while nobody knows its cost | this SDK, which never settles it by itself |
//! | `.stale`, `.rejected` | a cost that is no longer sent: see [`Aside`] | a person |
//! | `.corrupt` | quarantined: not a record, or one of a newer format | a person |
//! | `.tmp` | a file that is being written | every SDK, which removes old ones |
//! | `.taken` | a file that is being renamed | this SDK |
//! | `.discarded` | a cost that a person has given up | a person |
//!
//! *Set aside* means `.stale` or `.rejected`: a record that the client stops sending. *Quarantined* means `.corrupt`.
//!
//! # Invariants
//!
//! - A change concerns one cost. It never replaces, removes or overwrites a file that has, or may have, another cost.
//! - At every moment, an existing record is in some file that the next scan finds, even if a process ends or other
//!   processes act between any two operations.
//! - A file gets its name in a single step that replaces nothing or exchanges two files, if the file system has such
//!   steps. If it has none, two processes could take the same name at the same moment.

mod abandoned_temporary;
mod change;
mod entries;
mod entry;
mod entry_changes;
mod entry_error;
mod file;
mod found_records;
mod memory;
mod op;
mod owned_file;
mod procedure;
mod quarantine;
pub mod record;
mod scan;
mod scan_result;
mod second_costs_seen;
mod temporary_file;
mod write;

pub use self::change::{ChangeFailure, Changed, change};
pub use self::entries::{Entries, entries};
pub use self::entry::{EntryKind, JournalEntry, RecordsElsewhere};
pub(crate) use self::entry_changes::check_kind;
pub use self::entry_changes::{EntryChange, Restored, discard, restore};
pub use self::entry_error::{EntryError, EntryFailure};
pub use self::found_records::{FoundRecords, read};
pub use self::memory::{Lacks, Memory};
pub use self::op::{FileOp, Found, How, Looks, OpFailure, OpOutcome, OpResult, Owner, Temporary};
pub use self::owned_file::{mark_file_name, owner_lock_name, run_file_name};
pub use self::procedure::{Next, Paused};
pub use self::record::{JournalRecord, RecordId};
pub use self::scan::{scan, set_aside};
pub use self::scan_result::{Problem, Scan, SetAside};
pub use self::second_costs_seen::Seen;
pub use self::write::{JournalWrite, STORE_DEADLINE};
pub use crate::outcome::{Aside, StoreFailure};

#[cfg(test)]
pub(crate) mod tests;
