//! Changes to the journal, as file operations. A change concerns the record of one cost; if another file has a name
//! that the change needs, that file stays where it is.

use core::fmt;
use std::ffi::{OsStr, OsString};
use std::io;

use super::file::{File, Files, LOOKS};
use super::op::{FileOp, OpFailure};
use super::owned_file::{
    OwnFile, Owned, become_record, end_owned, leave_mark, put_owned, remove_owned, without_amount,
};
use super::procedure::Next;
use super::record::{JournalRecord, RecordId, file_name, legacy_file_name, waiting_file_name};
use super::second_costs_seen::Seen;
use super::temporary_file::{Temp, remove_superseded};
use super::write::JournalWrite;
use crate::outcome::{Aside, StoreFailure};

/// The result of a change, for [`Seen::note`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Changed {
    /// The costs whose records have started or stopped waiting.
    pub(super) waiting: Vec<(RecordId, bool)>,
    /// The run or the mark whose file now exists, or, with `None`, does not exist any more.
    pub(super) owned: Option<(RecordId, Option<Owned>)>,
    /// The mark that this client has left behind.
    pub(super) left: Option<RecordId>,
    needs_sync: bool,
}

/// Why a change was not made, or may not be durable.
#[derive(Debug, thiserror::Error)]
#[error("{why}. {consequence}")]
#[non_exhaustive]
pub struct ChangeFailure {
    /// What failed.
    pub why: OpFailure,
    /// What the failure means for the cost.
    pub consequence: &'static str,
    /// Whether the change was made anyway, so that only a crash of the machine could undo it.
    pub is_made: bool,
}

/// Makes a change in the directory of `base_url`, which is the server's address exactly as in the records. Once it is
/// made, the change survives the process; after a [`Sync`](FileOp::Sync), if it [needs](Changed::needs_sync) one, it
/// also survives a crash of the machine.
///
/// Make the changes for one reservation one after another.
pub fn change<'a>(
    write: &'a JournalWrite,
    base_url: &'a str,
    seen: &Seen,
) -> Next<'a, Result<Changed, ChangeFailure>> {
    let next = match write {
        JournalWrite::Put(_)
        | JournalWrite::PutRun(_)
        | JournalWrite::PutMark(_)
        | JournalWrite::RemoveMark(_)
        | JournalWrite::LeaveMark(_) => None,
        JournalWrite::Remove(_) | JournalWrite::SetAside(..) => seen.next_after(write.id()),
    };
    let own = seen.own_file(&write.id_of_owned());
    Next::of(move |mailbox| async move {
        let files = Files::new(mailbox, base_url);
        let changed = match write {
            JournalWrite::PutRun(total) => put_owned(&files, Owned::Run, total).await,
            JournalWrite::PutMark(mark) => put_owned(&files, Owned::Mark, mark).await,
            JournalWrite::RemoveMark(_) => remove_mark(&files, own).await,
            JournalWrite::LeaveMark(record) => match &own {
                Some(own) => leave_mark(&files, own, record).await,
                None => Ok(Changed::default()),
            },
            JournalWrite::Put(record) => put(&files, record, own).await,
            JournalWrite::Remove(record) => remove(&files, record, next, own).await,
            JournalWrite::SetAside(record, aside) => set_aside(&files, record, *aside, next, own).await,
        };
        changed.map_err(|why| ChangeFailure {
            why,
            consequence: write.consequence(),
            is_made: false,
        })
    })
}

async fn put(files: &Files<'_>, record: &JournalRecord, own: Option<OwnFile>) -> Result<Changed, OpFailure> {
    let home = OsString::from(file_name(record.reservation_id()));
    prepare(files).await?;
    let result = match write(files, &home, record, own.as_ref()).await {
        // The directory was deleted, or the temporary file of a suspended process was cleaned up.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            prepare(files).await?;
            write(files, &home, record, own.as_ref()).await
        }
        result => result,
    };
    let waits = result.map_err(|cause| OpFailure::of("write the record", &home, cause))?;
    Ok(Changed {
        waiting: waits.then(|| (record.id().clone(), true)).into_iter().collect(),
        left: own.as_ref().and_then(|own| own.left_by(record)),
        owned: own.map(|own| (own.id, None)),
        needs_sync: true,
    })
}

/// Writes the record. Returns whether it waits because another cost has the reservation's name.
async fn write(
    files: &Files<'_>,
    home: &OsStr,
    record: &JournalRecord,
    own: Option<&OwnFile>,
) -> io::Result<bool> {
    if let Some(own) = own {
        return become_record(files, own, home, record).await;
    }
    let mut temp = Temp::write(files, home, record).await?;
    let waits = place(files, &mut temp, home, record.id()).await;
    temp.put_down(files).await;
    waits
}

/// Gives the file the reservation's name if that is free or has the same cost, and otherwise its waiting name.
pub(super) async fn place(
    files: &Files<'_>,
    temp: &mut Temp,
    home: &OsStr,
    id: &RecordId,
) -> io::Result<bool> {
    for _ in 0..LOOKS {
        let is_named = match files.read(home).await {
            Ok(File::Nothing) => temp.name_unless_taken(files, home).await?,
            Ok(File::Record(there)) if files.is_of(&there, id) => temp.replace(files, home, id).await?,
            Ok(File::Record(_) | File::Invalid(_)) | Err(_) => break,
        };
        if is_named {
            // An older record of this cost, from when another cost had the name.
            let waiting = OsString::from(waiting_file_name(id));
            remove_superseded(files, &waiting, id, [home, &waiting]).await?;
            return Ok(false);
        }
    }
    temp.let_wait(files, id).await.map(|()| true)
}

/// Removes the record of a cost, even if it waits, has an outdated name, or was set aside as stale and settled by
/// force.
async fn remove(
    files: &Files<'_>,
    record: &JournalRecord,
    next: Option<RecordId>,
    own: Option<OwnFile>,
) -> Result<Changed, OpFailure> {
    let id = record.id();
    // First, because the other one has the final cost.
    if let Some(own) = &own {
        end_owned(files, own, record).await?;
    }
    for name in places(id).into_iter().chain(stale(id)) {
        let removed = match Temp::take(files, &name, id).await {
            Ok(Some(temp)) => temp.remove(files).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|cause| OpFailure::of("remove the record", &name, cause))?;
    }
    Ok(Changed {
        waiting: bring_forward(files, id, next).await,
        left: own.as_ref().and_then(|own| own.left_by(record)),
        owned: own.map(|own| (own.id, None)),
        // If the record comes back, it is sent under its old key, so it counts once.
        needs_sync: false,
    })
}

/// Removes a mark, if there is one.
async fn remove_mark(files: &Files<'_>, own: Option<OwnFile>) -> Result<Changed, OpFailure> {
    let Some(own) = own else {
        return Ok(Changed::default());
    };
    remove_owned(files, &own).await?;
    // If it comes back, it says what was true until now.
    let needs_sync = false;
    Ok(Changed {
        needs_sync,
        ..Changed::of_owned(&own.id, None)
    })
}

/// Moves the record to a name of its own, from wherever it is; if there is none, writes it from memory.
async fn set_aside(
    files: &Files<'_>,
    record: &JournalRecord,
    aside: Aside,
    next: Option<RecordId>,
    own: Option<OwnFile>,
) -> Result<Changed, OpFailure> {
    prepare(files).await?;
    let id = record.id();
    if let Some(own) = &own {
        // Its record could not be written before.
        let home = OsString::from(file_name(&id.reservation));
        let became = become_record(files, own, &home, record).await;
        became.map_err(|cause| OpFailure::of("write the record", &home, cause))?;
    }
    let names = aside.file_names(id).map(OsString::from);
    let mut is_kept = false;
    let stale = stale(id).into_iter().filter(|name| !names.contains(name));
    for from in places(id).into_iter().chain(stale) {
        // The record proper, if there is one, comes first; any later ones are removed.
        let moved = match Temp::take(files, &from, id).await {
            Ok(Some(temp)) if is_kept => temp.remove(files).await.map(|()| true),
            Ok(Some(temp)) => keep_as(files, temp, &names, id).await.map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        is_kept |= moved.map_err(|cause| OpFailure::of("set aside the record", &from, cause))?;
    }
    // Another process may already have set it aside.
    if !is_kept && !is_at_one(files, &names, id).await {
        let home = OsString::from(file_name(&id.reservation));
        let written = match Temp::write(files, &home, record).await {
            Ok(temp) => keep_as(files, temp, &names, id).await,
            Err(error) => Err(error),
        };
        written.map_err(|cause| OpFailure::of("write the record", &names[0], cause))?;
    }
    Ok(Changed {
        waiting: bring_forward(files, id, next).await,
        left: own.as_ref().and_then(|own| own.left_by(record)),
        owned: own.map(|own| (own.id, None)),
        needs_sync: true,
    })
}

/// Keeps the file under the first of these names that no other cost has.
async fn keep_as(files: &Files<'_>, mut temp: Temp, names: &[OsString], id: &RecordId) -> io::Result<()> {
    let result = name_one_of(files, &mut temp, names, id).await;
    temp.put_down(files).await;
    result
}

async fn name_one_of(
    files: &Files<'_>,
    temp: &mut Temp,
    names: &[OsString],
    id: &RecordId,
) -> io::Result<()> {
    for _ in 0..LOOKS {
        for name in names {
            if temp.name_unless_taken(files, name).await?
                || files.holds(name, id).await && temp.replace(files, name, id).await?
            {
                return Ok(());
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

async fn is_at_one(files: &Files<'_>, names: &[OsString], id: &RecordId) -> bool {
    for name in names {
        if files.holds(name, id).await {
            return true;
        }
    }
    false
}

/// Gives the reservation's name, which other SDKs look for, to its next cost when one has ended.
async fn bring_forward(files: &Files<'_>, ended: &RecordId, next: Option<RecordId>) -> Vec<(RecordId, bool)> {
    let mut waiting = vec![(ended.clone(), false)];
    if let Some(id) = next {
        let (from, to) = (waiting_file_name(&id), file_name(&id.reservation));
        // If that fails, the record waits for the next scan, which settles it where it is.
        let moved = files.move_unless_taken(from.as_ref(), to.as_ref()).await;
        waiting.push((id, matches!(moved, Ok(false))));
    }
    waiting
}

pub(super) async fn prepare(files: &Files<'_>) -> Result<(), OpFailure> {
    let prepared = files.done(FileOp::Prepare).await;
    prepared.map_err(|cause| OpFailure::of_directory("use", cause))
}

/// The names that the record of an unsettled cost may have, the record proper first.
fn places(id: &RecordId) -> [OsString; 3] {
    [
        file_name(&id.reservation),
        waiting_file_name(id),
        // Several reservations may share a name in the old format.
        legacy_file_name(&id.reservation),
    ]
    .map(OsString::from)
}

fn stale(id: &RecordId) -> [OsString; 2] {
    Aside::Stale.file_names(id).map(OsString::from)
}

impl Changed {
    /// The change of a record that was brought back, and that now waits or does not.
    pub(super) fn of_waiting(id: &RecordId, waits: bool) -> Self {
        Self {
            waiting: vec![(id.clone(), waits)],
            owned: None,
            left: None,
            needs_sync: false,
        }
    }

    /// A change of the file of a run or a mark, which exists now or does not exist any more.
    pub(super) fn of_owned(id: &RecordId, exists: Option<Owned>) -> Self {
        Self {
            waiting: Vec::new(),
            owned: Some((without_amount(id), exists)),
            left: None,
            needs_sync: true,
        }
    }

    /// The change of a mark that this client has left behind.
    pub(super) fn of_left_mark(own: &RecordId, left: Option<RecordId>) -> Self {
        Self {
            left,
            ..Self::of_owned(own, None)
        }
    }

    /// Whether the change needs a [`Sync`](FileOp::Sync) to survive a crash of the machine. One sync serves all changes
    /// that were made before it began.
    pub fn needs_sync(&self) -> bool {
        self.needs_sync
    }
}

impl ChangeFailure {
    /// Creates the failure of a change that was made, but whose sync failed.
    pub fn not_durable(cause: io::Error) -> Self {
        Self {
            why: OpFailure::of_directory("sync", cause),
            consequence: "The record is written, but it may be lost if the machine crashes",
            is_made: true,
        }
    }

    /// Converts into the report for the state machine that asked for the change. `describe` puts the failed operation
    /// into words, because the driver knows the path of the directory and what to do about the error.
    pub fn into_store_failure<D: fmt::Display>(self, describe: impl FnOnce(OpFailure) -> D) -> StoreFailure {
        StoreFailure {
            message: format!("{}. {}", describe(self.why), self.consequence),
            is_made: self.is_made,
        }
    }
}
