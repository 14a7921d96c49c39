//! The file of a run: the total of its steps so far, as the record of a commit, under a name that no SDK reads.
//!
//! A total that is committed too early would be charged, and the rest of the run lost, because a reservation is
//! committed only once. So the file belongs to its owner, the client that runs the run, until the owner is known to be
//! gone; its age proves nothing, because a live owner may only sleep. Then a scan renames it to a record, and the total
//! is settled under the key in it like any other cost.
//!
//! At the end of the run its owner does the same: the final total replaces the last one in the file, in one step, and
//! then the file is renamed. So there is never a record of the total beside an older total, and at every moment one
//! file has all that the finished steps cost.

use std::ffi::{OsStr, OsString};
use std::io;

use super::change::{Changed, place, prepare};
use super::file::{File, Files};
use super::op::{FileOp, OpFailure, OpOutcome, Owner};
use super::record::{JournalRecord, RecordId, file_name, stem_of_cost};
use super::temporary_file::{Temp, has_ending};

/// The ending of a run's file.
const ENDING: &str = ".run";

/// The file of the run that is settled under this key, while `owner` runs it: `v2-<sha256 of the reservation's id>.<half
/// of the sha256 of the key>.<owner>.run`.
pub fn run_file_name(reservation_and_key: &RecordId, owner: &str) -> String {
    format!("{}.{owner}{ENDING}", stem_of_cost(&of_run(reservation_and_key)))
}

/// The lock file of an owner, which it keeps locked as long as it lives: `run-<owner>.lock`. No SDK reads it.
pub fn owner_lock_name(owner: &str) -> String {
    format!("{LOCK}{owner}.lock")
}

const LOCK: &str = "run-";

/// The id of a run, whatever its total is: a cost without an amount.
pub(super) fn of_run(id: &RecordId) -> RecordId {
    RecordId {
        actual: None,
        ..id.clone()
    }
}

/// Whether this is a run's file.
pub(super) fn is_run(name: &OsStr) -> bool {
    has_ending(name, ENDING)
}

/// The owner in the name of a temporary file for a run's total; `None` if it is not one. No step has ended with that
/// total, and the run's file has all with which one has, so it is never used.
pub(super) fn owner_of_unfinished(temp: &OsStr) -> Option<&str> {
    let (run, _) = temp.to_str()?.strip_suffix(".tmp")?.split_once(".run.")?;
    let (_, owner) = run.rsplit_once('.')?;
    Some(owner)
}

/// The owner in the name of a run's file.
pub(super) fn owner_of(name: &OsStr) -> Option<&str> {
    let (_, owner) = name.to_str()?.strip_suffix(ENDING)?.rsplit_once('.')?;
    Some(owner)
}

/// The owner in the name of a lock file.
pub(super) fn owner_of_lock(name: &OsStr) -> Option<&str> {
    name.to_str()?.strip_prefix(LOCK)?.strip_suffix(".lock")
}

/// Stores the total of a run.
pub(super) async fn put_total(files: &Files<'_>, total: &JournalRecord) -> Result<Changed, OpFailure> {
    prepare(files).await?;
    let stored = match store(files, total).await {
        // The directory was deleted, or the temporary file of a suspended process was cleaned up.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare(files).await?;
            store(files, total).await
        }
        result => result,
    };
    let home = OsString::from(file_name(total.reservation_id()));
    stored.map_err(|cause| OpFailure::of("write the total of the run for", &home, cause))?;
    Ok(Changed::of_run(total.id(), true))
}

/// Writes the total into the run's file, in place of the one before. Returns the file's name.
async fn store(files: &Files<'_>, total: &JournalRecord) -> io::Result<OsString> {
    let name = own_name(files, total.id()).await?;
    let temp = Temp::write(files, &name, total).await?;
    temp.rename_over(files, &name).await?;
    Ok(name)
}

async fn own_name(files: &Files<'_>, id: &RecordId) -> io::Result<OsString> {
    let owner = files.own().await?;
    Ok(run_file_name(id, &owner).into())
}

/// Makes the run's file the record of its final total. Returns whether the record waits for another cost of the
/// reservation. If this fails, the file stays, with the final total or the last one.
pub(super) async fn become_record(
    files: &Files<'_>,
    home: &OsStr,
    total: &JournalRecord,
) -> io::Result<bool> {
    let name = store(files, total).await?;
    let mut file = Temp::at(name);
    let waits = place(files, &mut file, home, total.id()).await?;
    // If it replaced an older record of the same cost, that one has its name now.
    file.put_down(files).await;
    Ok(waits)
}

/// Removes the file of a run that is settled.
pub(super) async fn remove_total(files: &Files<'_>, id: &RecordId) -> Result<(), OpFailure> {
    let name = own_name(files, id).await;
    let removed = match &name {
        Ok(name) => files.remove(name).await,
        Err(error) => Err(error.kind().into()),
    };
    let name = name.unwrap_or_else(|_| file_name(&id.reservation).into());
    removed.map_err(|cause| OpFailure::of("remove the total of the run for", &name, cause))
}

/// What a scan does with the file of a run.
pub(super) enum Left {
    /// Its owner is gone, and this is the total that it left.
    Total(Box<JournalRecord>),
    /// Its owner is gone, and the file is to be looked at like any other that should be a record.
    Other,
    /// Its owner runs, or the file is gone.
    InUse,
    /// It cannot be known whether its owner runs.
    Unknown,
}

/// Looks at the file of a run.
pub(super) async fn look_at_run(files: &Files<'_>, name: &OsStr) -> Left {
    let Some(owner) = owner_of(name) else {
        return Left::Unknown;
    };
    match files.owner(owner).await {
        Owner::Running => return Left::InUse,
        Owner::Unknown => return Left::Unknown,
        Owner::Gone => {}
    }
    // Read only now, because its owner may have changed it until then.
    match files.read(name).await {
        Ok(File::Record(total)) if files.is_ours(&total) => Left::Total(total),
        Ok(File::Nothing) => Left::InUse,
        Ok(File::Record(_) | File::Invalid(_)) | Err(_) => Left::Other,
    }
}

impl Files<'_> {
    /// The name of this client as the owner of runs in this directory.
    pub(super) async fn own(&self) -> io::Result<String> {
        let owner = self.temporary(FileOp::Own).await?;
        owner
            .into_string()
            .map_err(|_| io::Error::other("the driver returned a name that is not text"))
    }

    pub(super) async fn owner(&self, owner: &str) -> Owner {
        let op = FileOp::LookForOwner {
            owner: owner.to_owned(),
        };
        match self.ask(op).await {
            Ok(OpOutcome::Owner(owner)) => owner,
            Ok(_) | Err(_) => Owner::Unknown,
        }
    }
}
