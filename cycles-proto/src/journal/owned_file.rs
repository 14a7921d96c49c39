//! Files that belong to one client as long as it lives, under names that no SDK reads: the total of a run so far
//! (`.run`), and the mark of an action whose request has left (`.dispatched`). The content of both is a record.
//!
//! A total that is committed too early would be charged, and the rest of the run lost, because a reservation is
//! committed only once. A mark that is charged too early would be charged although the action goes on. So such a file
//! belongs to its owner until the owner is known to be gone; its age proves nothing, because a live owner may only
//! sleep. Then a scan renames a total to a record, which is settled like any other cost; a mark is only reported,
//! because nobody knows whether it cost anything.
//!
//! When the owner knows the cost, it does the same: the record of the cost replaces what is in the file, in one step,
//! and then the file is renamed. So there is never a record of the cost beside an older total or beside a mark, and at
//! every moment one file has all that is known.

use std::ffi::{OsStr, OsString};
use std::io;

use super::change::{Changed, place, prepare};
use super::file::{File, Files};
use super::op::{FileOp, OpFailure, OpOutcome, Owner};
use super::record::{JournalRecord, RecordId, file_name, stem_of_cost};
use super::temporary_file::{Temp, has_ending};

/// What an owned file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owned {
    Run,
    Mark,
}

/// A file that belongs to this client.
#[derive(Clone, Debug)]
pub(super) struct OwnFile {
    pub(super) kind: Owned,
    pub(super) id: RecordId,
}

impl OwnFile {
    /// The mark that is left behind when this file ends with that record: that of an action, or that of the steps of a
    /// run.
    pub(super) fn left_by(&self, record: &JournalRecord) -> Option<RecordId> {
        let left = match self.kind {
            Owned::Mark => record.dispatched().map(|_| record.id().clone()),
            Owned::Run => record.mark_of_steps().map(|mark| mark.id().clone()),
        };
        left.map(|id| without_amount(&id))
    }
}

/// The file of the run that is settled under this key, while `owner` runs it: `v2-<sha256 of the reservation's id>.<half
/// of the sha256 of the key>.<owner>.run`.
pub fn run_file_name(reservation_and_key: &RecordId, owner: &str) -> String {
    Owned::Run.file_name(reservation_and_key, owner)
}

/// The file that marks an action whose request has left, while `owner` runs it; its cost would be settled under this
/// key: `v2-<sha256 of the reservation's id>.<half of the sha256 of the key>.<owner>.dispatched`.
pub fn mark_file_name(reservation_and_key: &RecordId, owner: &str) -> String {
    Owned::Mark.file_name(reservation_and_key, owner)
}

/// The lock file of an owner, which it keeps locked as long as it lives: `run-<owner>.lock`. No SDK reads it.
pub fn owner_lock_name(owner: &str) -> String {
    format!("{LOCK}{owner}.lock")
}

const LOCK: &str = "run-";

/// In place of an owner, in the name of a mark whose action has ended without a cost.
const NOBODY: &str = "ended";

/// In place of an owner, in the name of a temporary file of a person's charge.
const CHARGED: &str = "charged";

impl Owned {
    const ALL: [Self; 2] = [Self::Run, Self::Mark];

    const fn ending(self) -> &'static str {
        match self {
            Self::Run => ".run",
            Self::Mark => ".dispatched",
        }
    }

    /// What the file is, by its name.
    pub(super) fn of(name: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| has_ending(name, kind.ending()))
    }

    fn file_name(self, id: &RecordId, owner: &str) -> String {
        format!("{}.{owner}{}", stem_of_cost(&without_amount(id)), self.ending())
    }

    /// What the file is to say when it cannot be written.
    const fn writing(self) -> &'static str {
        match self {
            Self::Run => "write the total of the run for",
            Self::Mark => "write the mark of the dispatched request for",
        }
    }

    const fn removing(self) -> &'static str {
        match self {
            Self::Run => "remove the total of the run for",
            Self::Mark => "remove the mark of the dispatched request for",
        }
    }
}

/// The id of a run or a mark, whatever its amount is.
pub(super) fn without_amount(id: &RecordId) -> RecordId {
    RecordId {
        actual: None,
        ..id.clone()
    }
}

/// What a temporary file is that was written for an owned one.
pub(super) enum Unfinished<'a> {
    /// A total or a mark of this owner. Nobody relies on what it says: no step has ended with that total, and no request
    /// has left with that mark. So it is never used.
    Of(&'a str),
    /// A mark that is being left behind.
    Left,
    /// What a person's charge was about to put into the place of a mark, or the mark whose place it has taken. It is never
    /// used.
    Charge,
}

/// What this temporary file is, if it was written for an owned one.
pub(super) fn unfinished(temp: &OsStr) -> Option<Unfinished<'_>> {
    let temp = temp.to_str()?.strip_suffix(".tmp")?;
    let name = Owned::ALL
        .into_iter()
        .find_map(|kind| Some(temp.split_once(&format!("{}.", kind.ending()))?.0))?;
    Some(match name.rsplit_once('.')? {
        (_, NOBODY) => Unfinished::Left,
        (_, CHARGED) => Unfinished::Charge,
        (_, owner) => Unfinished::Of(owner),
    })
}

/// The name to write a cost for that is to take the place of a mark.
pub(super) fn unfinished_charge_name(id: &RecordId) -> String {
    mark_file_name(id, CHARGED)
}

/// The owner in the name of an owned file.
pub(super) fn owner_in(name: &OsStr) -> Option<&str> {
    let kind = Owned::of(name)?;
    let (_, owner) = name.to_str()?.strip_suffix(kind.ending())?.rsplit_once('.')?;
    Some(owner)
}

/// The owner in the name of a lock file.
pub(super) fn owner_of_lock(name: &OsStr) -> Option<&str> {
    name.to_str()?.strip_prefix(LOCK)?.strip_suffix(".lock")
}

/// Stores the total of a run, or a mark, in place of the one before.
pub(super) async fn put_owned(
    files: &Files<'_>,
    kind: Owned,
    record: &JournalRecord,
) -> Result<Changed, OpFailure> {
    prepare(files).await?;
    let stored = match store(files, kind, record.id(), record).await {
        // The directory was deleted, or the temporary file of a suspended process was cleaned up.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare(files).await?;
            store(files, kind, record.id(), record).await
        }
        result => result,
    };
    let home = OsString::from(file_name(record.reservation_id()));
    stored.map_err(|cause| OpFailure::of(kind.writing(), &home, cause))?;
    Ok(Changed::of_owned(record.id(), Some(kind)))
}

/// Writes the record into the file of `id`, in place of what is there. Returns the file's name.
async fn store(
    files: &Files<'_>,
    kind: Owned,
    id: &RecordId,
    record: &JournalRecord,
) -> io::Result<OsString> {
    let name = own_name(files, kind, id).await?;
    Temp::at(name.clone()).rewrite(files, record).await?;
    Ok(name)
}

async fn own_name(files: &Files<'_>, kind: Owned, id: &RecordId) -> io::Result<OsString> {
    let owner = files.own().await?;
    Ok(kind.file_name(id, &owner).into())
}

/// Makes the file the record of this cost. Returns whether the record waits for another cost of the reservation. If
/// this fails, the file stays, with this cost or with what it had before.
pub(super) async fn become_record(
    files: &Files<'_>,
    own: &OwnFile,
    home: &OsStr,
    record: &JournalRecord,
) -> io::Result<bool> {
    let name = store(files, own.kind, &own.id, record).await?;
    if own.kind == Owned::Run {
        leave_steps(files, record).await?;
    }
    let mut file = Temp::at(name);
    let waits = place(files, &mut file, home, record.id()).await?;
    // If it replaced an older record of the same cost, that one has its name now.
    file.put_down(files).await;
    Ok(waits)
}

/// Removes the file.
pub(super) async fn remove_owned(files: &Files<'_>, own: &OwnFile) -> Result<(), OpFailure> {
    let name = own_name(files, own.kind, &own.id).await;
    let removed = match &name {
        Ok(name) => files.remove(name).await,
        Err(error) => Err(error.kind().into()),
    };
    let name = name.unwrap_or_else(|_| file_name(&own.id.reservation).into());
    removed.map_err(|cause| OpFailure::of(own.kind.removing(), &name, cause))
}

/// Removes the file, because the cost in that record is settled. What it says about dispatched steps is kept.
pub(super) async fn end_owned(
    files: &Files<'_>,
    own: &OwnFile,
    settled: &JournalRecord,
) -> Result<(), OpFailure> {
    if own.kind == Owned::Run {
        let kept = leave_steps(files, settled).await;
        let home = file_name(settled.reservation_id());
        kept.map_err(|cause| OpFailure::of(Owned::Mark.writing(), home.as_ref(), cause))?;
    }
    remove_owned(files, own).await
}

/// Keeps the mark of an action, or of the steps of the run with this total, that has ended without a cost: this client
/// no longer owns it.
pub(super) async fn leave_mark(
    files: &Files<'_>,
    own: &OwnFile,
    record: &JournalRecord,
) -> Result<Changed, OpFailure> {
    let name = own_name(files, own.kind, &own.id).await;
    let left = match (&name, own.kind) {
        (Err(error), _) => Err(error.kind().into()),
        (Ok(name), Owned::Mark) => leave(files, &mut Temp::at(name.clone()), &own.id).await,
        (Ok(name), Owned::Run) => leave_run(files, name, record).await,
    };
    let name = name.unwrap_or_else(|_| file_name(&own.id.reservation).into());
    left.map_err(|cause| OpFailure::of("rename", &name, cause))?;
    Ok(Changed::of_left_mark(&own.id, own.left_by(record)))
}

/// Makes what the total of a run says about its steps a mark, and then removes the run's file, unless it has a cost.
async fn leave_run(files: &Files<'_>, name: &OsStr, total: &JournalRecord) -> io::Result<()> {
    leave_steps(files, total).await?;
    match files.read(name).await? {
        File::Record(there) if !costs_nothing(&there) => Ok(()),
        File::Record(_) | File::Invalid(_) | File::Nothing => files.remove(name).await,
    }
}

/// Whether this is the total of a run none of whose steps has cost anything.
pub(super) fn costs_nothing(total: &JournalRecord) -> bool {
    total.actual().is_some_and(|actual| actual.amount == 0)
}

/// Writes the mark of the steps whose requests had left, according to the total of their run, to a file of its own. Does
/// no harm if that was done before.
pub(super) async fn leave_steps(
    files: &Files<'_>,
    total: &JournalRecord,
) -> io::Result<Option<JournalRecord>> {
    let Some(mark) = total.mark_of_steps() else {
        return Ok(None);
    };
    let name = OsString::from(left_name(mark.id()));
    let mut temp = Temp::write(files, &name, &mark).await?;
    let left = leave(files, &mut temp, mark.id()).await;
    temp.put_down(files).await;
    left.map(|()| Some(mark))
}

/// Gives a mark the name of one that nobody owns. If it is there already, this one is removed; a file that has the name
/// and is something else stays, and so does this one.
pub(super) async fn leave(files: &Files<'_>, mark: &mut Temp, id: &RecordId) -> io::Result<()> {
    let left = OsString::from(left_name(id));
    if mark.name_unless_taken(files, &left).await? {
        return Ok(());
    }
    match files.read(&left).await? {
        File::Record(there)
            if there.dispatched().is_some() && without_amount(there.id()) == without_amount(id) =>
        {
            mark.remove_it(files).await
        }
        File::Record(_) | File::Invalid(_) | File::Nothing => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// The name of a mark that nobody owns any more.
pub(super) fn left_name(id: &RecordId) -> String {
    mark_file_name(id, NOBODY)
}

/// What a scan does with an owned file.
pub(super) enum Left {
    /// Its owner is gone, and this is the cost that it left.
    Cost(Box<JournalRecord>),
    /// Its owner is gone, and this is the total of the run that it left.
    Total(Box<JournalRecord>),
    /// A mark that its owner left, or may have left.
    Mark(Box<JournalRecord>),
    /// Its owner is gone, and the file is to be looked at like any other that should be a record.
    Other,
    /// Its owner runs, or the file is gone.
    InUse,
    /// It cannot be known whether the owner of this run is gone.
    Unknown,
}

/// Looks at an owned file.
pub(super) async fn look_at_owned(files: &Files<'_>, name: &OsStr) -> Left {
    let owner = match owner_in(name) {
        Some(owner) => files.owner(owner).await,
        None => Owner::Unknown,
    };
    match (owner, Owned::of(name)) {
        (Owner::Running, _) => return Left::InUse,
        (Owner::Unknown, Some(Owned::Run) | None) => return Left::Unknown,
        (Owner::Unknown, Some(Owned::Mark)) | (Owner::Gone, _) => {}
    }
    // Read only now, because its owner may have changed it until then.
    match files.read(name).await {
        Ok(File::Record(mark)) if mark.dispatched().is_some() && files.is_ours(&mark) => Left::Mark(mark),
        Ok(File::Record(record)) if !files.is_ours(&record) => Left::Other,
        Ok(File::Record(_)) if owner == Owner::Unknown => Left::Unknown,
        Ok(File::Record(total)) if Owned::of(name) == Some(Owned::Run) => Left::Total(total),
        Ok(File::Record(cost)) => Left::Cost(cost),
        Ok(File::Nothing) => Left::InUse,
        Ok(File::Invalid(_)) | Err(_) => Left::Other,
    }
}

impl Files<'_> {
    /// The name of this client as an owner in this directory.
    pub(super) async fn own(&self) -> io::Result<String> {
        let owner = self.temporary(FileOp::Own).await?;
        owner
            .into_string()
            .map_err(|_| io::Error::other("the driver returned a name that is not text"))
    }

    pub(super) async fn owner(&self, owner: &str) -> Owner {
        if owner == NOBODY {
            return Owner::Gone;
        }
        let op = FileOp::LookForOwner {
            owner: owner.to_owned(),
        };
        match self.ask(op).await {
            Ok(OpOutcome::Owner(owner)) => owner,
            Ok(_) | Err(_) => Owner::Unknown,
        }
    }
}
