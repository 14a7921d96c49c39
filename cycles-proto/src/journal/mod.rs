//! The journal: known costs that are not settled yet, one file each, in a directory that the SDKs of all languages share.
//!
//! Everything that is decided about its files is decided here: what they are called, what a change does to them, what a
//! scan makes of a directory. Nothing here touches a disk. [`change`], [`scan`], [`read`] and [`set_aside`] ask for
//! [one operation](FileOp) at a time, and go on with what came of it:
//!
//! ```
//! use cycles_proto::journal::{self, JournalWrite, Memory, RecordId, Seen};
//!
//! let mut files = Memory::default();
//! let mut seen = Seen::default();
//! let settled = JournalWrite::Remove(RecordId::new("rsv_1", "key", None));
//! // A driver with a disk executes each operation there.
//! let changed = journal::change(&settled, "http://localhost:7878", &seen).run(|op| files.execute(1, op));
//! seen.note(&changed?);
//! # Ok::<(), journal::ChangeFailure>(())
//! ```
//!
//! # Names
//!
//! | ending | what it is | |
//! |---|---|---|
//! | `.json` | a cost to be settled: `v2-<sha256 of the reservation's id>.json`, and under older names | every SDK looks at it |
//! | `.waiting` | a second cost of a reservation, under another key or of another amount | |
//! | `.stale`, `.rejected` | not sent any more: see [`Aside`] | for a person |
//! | `.corrupt` | no record, or one of a newer format | for a person |
//! | `.tmp` | being written | every SDK removes what is old |
//! | `.taken` | on its way to another name | |
//!
//! # What holds at every moment
//!
//! - A change concerns one cost. What another one has, or what may be one, is not replaced, removed or overwritten.
//! - A record that was there is at every moment in some file that the next scan finds: a process may end between any
//!   two operations, and another may do its own between them.
//! - A name is given in one step that replaces nothing, or that exchanges two files, as far as the file system has such
//!   steps. Where it has none, a moment remains in which two processes could take the same name.

mod change;
mod file;
mod memory;
mod op;
mod procedure;
mod reading;
pub mod record;
mod scan;
mod seen;
mod temp;
mod write;

pub use self::change::{ChangeFailure, Changed, change};
pub use self::memory::{Lacks, Memory};
pub use self::op::{Answer, FileOp, Found, How, Looks, Outcome, Temporary};
pub use self::procedure::{Next, Paused};
pub use self::reading::{Reading, read};
pub use self::record::{JournalRecord, RecordId};
pub use self::scan::{Failure, Problem, Scan, SetAside, scan, set_aside};
pub use self::seen::Seen;
pub use self::write::{JournalWrite, STORE_DEADLINE};
pub use crate::outcome::{Aside, StoreFailure};

#[cfg(test)]
mod tests;
