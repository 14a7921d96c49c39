//! What a person may do with an entry of the journal, as file operations. Each begins by taking the file away from its
//! name and checking that it is still the cost that was listed, so that of several processes only one does it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::change::{Changed, place};
use super::entries::hash;
use super::entry::{DISCARDED, EntryKind, JournalEntry};
use super::entry_error::{EntryError, EntryFailure};
use super::file::{File, Files};
use super::op::{FileOp, Found, OpFailure, Owner, with_room_for_more};
use super::owned_file::{Owned, leave_steps, owner_in, unfinished_charge_name};
use super::procedure::Next;
use super::record::{JournalRecord, RecordId, file_name, may_be_forgotten, waiting_file_name};
use super::temporary_file::Temp;
use crate::time::UnixMillis;

/// What a person wants to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryChange {
    /// Send the cost again under its own key.
    Retry {
        /// Whether to send it even if the server may have forgotten the key, or if a run may still be adding to it.
        is_forced: bool,
    },
    /// Charge the cost as an event under its own key, because its reservation has expired.
    AsEvent {
        /// As above.
        is_forced: bool,
    },
    /// Charge the estimate of an action that was dispatched and whose cost nobody knows.
    ChargeEstimate {
        /// Whether to charge it even if its process may still be running, or if the server may have forgotten that it
        /// was charged: the process may have done so without being able to remove the mark.
        is_forced: bool,
    },
    /// Give the cost up.
    Discard {
        /// Whether to do so even if a run may still be adding to it.
        is_forced: bool,
    },
}

impl EntryChange {
    pub(crate) fn is_forced(self) -> bool {
        match self {
            Self::Retry { is_forced }
            | Self::AsEvent { is_forced }
            | Self::ChargeEstimate { is_forced }
            | Self::Discard { is_forced } => is_forced,
        }
    }
}

/// A record that is to be sent again.
#[derive(Debug)]
#[must_use]
pub struct Restored {
    /// The record.
    pub record: JournalRecord,
    /// The change to the directory, for [`Seen::note`](super::Seen::note).
    pub changed: Changed,
}

/// Gives the record of an entry the name under which clients settle it: the reservation's, or the name of a second cost
/// if the reservation has another one. If it has such a name, it is only read. The mark of a
/// [dispatched](EntryKind::Dispatched) action becomes the record of its estimate, as of `now`, if that is what the change
/// asks for. Survives a crash of the machine.
pub fn restore<'a>(
    base_url: &'a str,
    entry: &'a JournalEntry,
    change: EntryChange,
    now: UnixMillis,
) -> Next<'a, Result<Restored, EntryFailure>> {
    Next::of(move |mailbox| async move {
        let files = Files::new(mailbox, base_url);
        match change {
            EntryChange::ChargeEstimate { is_forced } => charge(&files, entry, now, is_forced).await,
            EntryChange::Retry { .. } | EntryChange::AsEvent { .. } | EntryChange::Discard { .. } => {
                bring_back(&files, entry).await
            }
        }
    })
}

/// Renames the file of an entry so that it ends in `.discarded`; never removes it. Returns the new name. With
/// `is_forced`, also a mark if it is not known whether its owner is gone. Survives a crash of the machine.
pub fn discard<'a>(
    base_url: &'a str,
    entry: &'a JournalEntry,
    is_forced: bool,
) -> Next<'a, Result<OsString, EntryFailure>> {
    Next::of(move |mailbox| async move { give_up(&Files::new(mailbox, base_url), entry, is_forced).await })
}

async fn bring_back(files: &Files<'_>, entry: &JournalEntry) -> Result<Restored, EntryFailure> {
    let (name, id) = (name(entry), entry.id.as_ref().ok_or(EntryError::NotARecord)?);
    let read = |name: OsString| async move {
        let file = files.read(&name).await;
        match file.map_err(|cause| OpFailure::of("read the record", &name, cause)) {
            Ok(File::Record(record)) if files.is_of(&record, id) => Ok(Some(*record)),
            Ok(File::Record(_) | File::Invalid(_) | File::Nothing) => Ok(None),
            Err(failure) => Err(EntryFailure::Failed(failure)),
        }
    };
    let record = match read(name.to_owned()).await? {
        Some(record) => record,
        // A second cost may have got the reservation's name.
        None if entry.kind.is_replayed() => {
            let record = read(file_name(&id.reservation).into()).await?;
            record.ok_or(EntryError::Gone)?
        }
        None => return Err(EntryError::Gone.into()),
    };
    if record.dispatched().is_some() {
        return Err(EntryError::NotByHand(EntryKind::Dispatched).into());
    }
    if entry.kind.is_replayed() {
        let changed = Changed::default();
        return Ok(Restored { record, changed });
    }
    let failed = |cause| OpFailure::of("rename", name, cause);
    keep_steps(files, entry.kind, &record).await?;
    let temp = Temp::take(files, name, id).await.map_err(failed)?;
    let temp = temp.ok_or(EntryError::Gone)?;
    let waits = send_again(files, temp, id).await.map_err(failed)?;
    sync(files).await?;
    let changed = Changed::of_waiting(id, waits);
    Ok(Restored { record, changed })
}

/// Keeps what the total of a run says about steps whose requests had left, before the total goes its own way.
async fn keep_steps(files: &Files<'_>, kind: EntryKind, total: &JournalRecord) -> Result<(), OpFailure> {
    if kind != EntryKind::Run {
        return Ok(());
    }
    let kept = leave_steps(files, total).await;
    kept.map(drop).map_err(|cause| {
        OpFailure::of(
            "write the mark of the steps of",
            file_name(total.reservation_id()).as_ref(),
            cause,
        )
    })
}

/// Makes a mark the record of its estimate.
async fn charge(
    files: &Files<'_>,
    entry: &JournalEntry,
    now: UnixMillis,
    is_forced: bool,
) -> Result<Restored, EntryFailure> {
    let (name, id) = (name(entry), entry.id.as_ref().ok_or(EntryError::NotARecord)?);
    check_owner(files, name, is_forced).await?;
    let file = files.read(name).await;
    let mark = match file.map_err(|cause| OpFailure::of("read the record", name, cause))? {
        File::Record(mark) if files.is_of(&mark, id) => *mark,
        File::Record(_) | File::Invalid(_) | File::Nothing => return Err(EntryError::Gone.into()),
    };
    if mark.dispatched().is_none() {
        return Err(EntryError::NotDispatched.into());
    }
    // As old as the mark, because its process may have sent the key at that time.
    let is_old = may_be_forgotten(mark.recorded_at(), now);
    let since = if is_old && is_forced {
        now
    } else {
        mark.recorded_at()
    };
    let record = mark.into_cost(since);
    let failed = |cause| OpFailure::of("rename", name, cause);
    let temp = Temp::take(files, name, id).await.map_err(failed)?;
    let mut temp = temp.ok_or(EntryError::Gone)?;
    let home = OsString::from(file_name(&id.reservation));
    // If this process ends before that is done, no scan takes it for a cost, and the mark stays.
    let unfinished = OsString::from(unfinished_charge_name(id));
    let waits = match temp.rewrite_unless_gone(files, &unfinished, &record).await {
        // From here on, the next scan would make it a record too.
        Ok(true) => place(files, &mut temp, &home, id).await,
        // This process was suspended, and somebody else has dealt with the mark.
        Ok(false) => return Err(EntryError::Gone.into()),
        Err(error) => Err(error),
    };
    temp.put_down(files).await;
    let waits = waits.map_err(failed)?;
    sync(files).await?;
    let changed = Changed::of_waiting(id, waits);
    Ok(Restored { record, changed })
}

/// Refuses to touch a mark whose owner lives, or may live.
async fn check_owner(files: &Files<'_>, name: &OsStr, is_forced: bool) -> Result<(), EntryError> {
    if Owned::of(name) != Some(Owned::Mark) {
        return Ok(());
    }
    let owner = match owner_in(name) {
        Some(owner) => files.owner(owner).await,
        None => Owner::Unknown,
    };
    match owner {
        Owner::Running => Err(EntryError::OwnerRuns),
        Owner::Unknown if !is_forced => Err(EntryError::OwnerUnknown),
        Owner::Unknown | Owner::Gone => Ok(()),
    }
}

/// Names the file as a cost to settle. Returns whether it waits because another cost has the reservation's name.
async fn send_again(files: &Files<'_>, mut temp: Temp, id: &RecordId) -> io::Result<bool> {
    let home = OsString::from(file_name(&id.reservation));
    // The cost may be there already: a process was killed while it set the record aside.
    for (name, waits) in [(home.clone(), false), (waiting_file_name(id).into(), true)] {
        if files.holds(&name, id).await {
            return temp.remove(files).await.map(|()| waits);
        }
    }
    let waits = match temp.name_unless_taken(files, &home).await {
        Ok(true) => Ok(false),
        Ok(false) => temp.let_wait(files, id).await.map(|()| true),
        Err(error) => Err(error),
    };
    temp.put_down(files).await;
    waits
}

async fn give_up(files: &Files<'_>, entry: &JournalEntry, is_forced: bool) -> Result<OsString, EntryFailure> {
    let name = name(entry);
    check_owner(files, name, is_forced).await?;
    if let (EntryKind::Run, Ok(File::Record(total))) = (entry.kind, files.read(name).await) {
        keep_steps(files, entry.kind, &total).await?;
    }
    let taken = match &entry.id {
        Some(id) => Temp::take(files, name, id).await,
        None => take_other(files, name, entry.content).await,
    };
    let failed = |cause| OpFailure::of("rename", name, cause);
    let mut temp = taken.map_err(failed)?.ok_or(EntryError::Gone)?;
    let discarded = name_discarded(files, &mut temp, name).await;
    temp.put_down(files).await;
    let discarded = discarded.map_err(failed)?;
    sync(files).await?;
    Ok(discarded)
}

/// Takes away a file that is not a record, if it still has this content.
async fn take_other(files: &Files<'_>, name: &OsStr, content: Option<[u8; 32]>) -> io::Result<Option<Temp>> {
    let is_it = |found: Found| !matches!(found, Found::Nothing) && hash(&found) == content;
    if !is_it(files.found(name).await?) {
        return Ok(None);
    }
    let take = FileOp::Take {
        name: name.to_owned(),
    };
    let taken = match files.temporary(take).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let is_it = files.found(&taken).await.is_ok_and(is_it);
    let temp = Temp::taken(taken, name);
    match is_it {
        true => Ok(Some(temp)),
        false => temp.give_back(files).await.map(|()| None),
    }
}

async fn name_discarded(files: &Files<'_>, temp: &mut Temp, was: &OsStr) -> io::Result<OsString> {
    /// How many files of one name a person may discard.
    const MOST: u32 = 1_000;

    let stem = Path::new(was).file_stem().unwrap_or_default();
    for number in 1..=MOST {
        let mut free = with_room_for_more(stem);
        if number > 1 {
            free.push(format!(".{number}"));
        }
        free.push(DISCARDED);
        if temp.name_unless_taken(files, &free).await? {
            return Ok(free);
        }
    }
    Err(io::Error::other(
        "too many files of that name have been discarded",
    ))
}

async fn sync(files: &Files<'_>) -> Result<(), OpFailure> {
    let synced = files.done(FileOp::Sync).await;
    synced.map_err(|cause| OpFailure::of_directory("sync", cause))
}

/// The name of the entry's file, whether it was turned into a path or not.
fn name(entry: &JournalEntry) -> &OsStr {
    entry.path.file_name().unwrap_or_default()
}

/// Refuses what cannot be done to a file of this kind, whatever it contains.
///
/// # Errors
/// [`EntryError::NotByHand`] or [`EntryError::NotDispatched`].
pub(crate) fn check_kind(kind: EntryKind, change: EntryChange) -> Result<(), EntryError> {
    let is_refused = match (kind, change) {
        // A discarded mark is taken back by charging it.
        (EntryKind::Dispatched | EntryKind::Discarded, EntryChange::ChargeEstimate { .. }) => false,
        (_, EntryChange::ChargeEstimate { .. }) => return Err(EntryError::NotDispatched),
        (EntryKind::Temporary, _) => true,
        (EntryKind::Run, change) => !change.is_forced(),
        (EntryKind::Discarded, EntryChange::Discard { .. }) => true,
        (EntryKind::Dispatched, change) => !matches!(change, EntryChange::Discard { .. }),
        (
            EntryKind::Pending
            | EntryKind::Waiting
            | EntryKind::Rejected
            | EntryKind::Stale
            | EntryKind::Corrupt
            | EntryKind::Discarded,
            _,
        ) => false,
    };
    match is_refused {
        true => Err(EntryError::NotByHand(kind)),
        false => Ok(()),
    }
}

impl From<OpFailure> for EntryFailure {
    fn from(failure: OpFailure) -> Self {
        Self::Failed(failure)
    }
}
