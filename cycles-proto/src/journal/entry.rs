//! An entry of the journal as a person sees it: one file, and what is known about its cost.

use core::fmt;
use core::time::Duration;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::record::{InvalidRecord, JournalRecord, Mode, RecordId};
use crate::models::{Action, Amount, IdempotencyKey, ReservationId, Subject};
use crate::outcome::Error;
use crate::time::{UnixMillis, millis_floor};

/// One file of the journal, and what is known about its cost. `Display` is one line for an operator; serialized, an
/// entry is an object with durations and times in milliseconds.
///
/// An entry is a snapshot: when something is done with it, its file is read again, and nothing happens if the file is
/// no longer the same cost.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct JournalEntry {
    /// What the file is.
    pub kind: EntryKind,
    /// The file.
    #[serde(serialize_with = "path")]
    pub path: PathBuf,
    /// The reservation that the cost belongs to; `None` if the file is not a record, like the other fields about the
    /// cost.
    pub reservation_id: Option<ReservationId>,
    /// The key that the cost is sent under.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The cost, or the estimate of a [dispatched](EntryKind::Dispatched) action; also `None` in a record of another
    /// program that does not express it in the protocol's terms.
    pub actual: Option<Amount>,
    /// Of a [run](EntryKind::Run): the estimates of its steps whose requests have left and whose cost is not in the total.
    /// Once the run's process is gone, the next scan makes them a [mark](EntryKind::Dispatched).
    pub dispatched: Option<Amount>,
    /// Who spent it; `None` if the record has no body for an event.
    pub subject: Option<Subject>,
    /// What it was spent on; `None` likewise.
    pub action: Option<Action>,
    /// Whether the cost is sent as a commit or as an event.
    pub mode: Option<Mode>,
    /// When the record was written, on the clock of the machine that wrote it; `None` also if the record does not say.
    #[serde(rename = "recorded_at_ms")]
    pub recorded_at: Option<UnixMillis>,
    /// How long ago the record was written.
    #[serde(rename = "age_ms", serialize_with = "milliseconds")]
    pub age: Option<Duration>,
    /// When the cost is sent next: the time that this client has planned, or else the end of the pause that the server
    /// asked for. `None` if no time is known, or if the cost is no longer sent.
    #[serde(rename = "next_attempt_ms")]
    pub next_attempt: Option<UnixMillis>,
    /// The last error of the cost, if this client has seen one. Errors of earlier processes are not kept.
    #[serde(serialize_with = "shown")]
    pub last_error: Option<Box<Error>>,
    /// Why the file is not a record, or cannot be read.
    pub problem: Option<String>,
    /// Whether this client is settling the cost or, of a [dispatched](EntryKind::Dispatched) action, whether the process
    /// that runs the action lives. It can then be neither sent again nor discarded.
    pub is_in_progress: bool,
    /// Whether the server may have forgotten the key, so that an event for this cost could be charged twice. Set for
    /// costs that are events already, and for [marks](EntryKind::Dispatched).
    pub may_count_twice: bool,
    /// The cost, to recognize it.
    #[serde(skip)]
    pub(super) id: Option<RecordId>,
    /// The hash of a file that is not a record, to recognize it; `None` if it is not a regular file.
    #[serde(skip)]
    pub(super) content: Option<[u8; 32]>,
    #[serde(skip)]
    listed_at: UnixMillis,
}

/// What a file of the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// `.json`: a cost that clients send until it is settled.
    Pending,
    /// `.waiting`: a second cost of a reservation, sent like the first.
    Waiting,
    /// `.rejected`: a cost that the ledger refused for good.
    Rejected,
    /// `.stale`: a cost whose key the server may have forgotten.
    Stale,
    /// Not a record that this version can read: a file that ends in `.corrupt`, or one that will.
    Corrupt,
    /// `.run`: what a run has spent so far. The run may still be going on, in this process or in another.
    Run,
    /// `.dispatched`: an action that may have cost up to about its estimate. Its request had left when its process ended,
    /// or it was put on [hold](crate::with_cycles_config::OnError::Hold); or it is still running. Nothing charges it but
    /// a person, with `charge_estimate`.
    Dispatched,
    /// A record under a temporary name: it is being written or renamed, or the process that did that was killed, and
    /// the next replay recovers it.
    Temporary,
    /// `.discarded`: a cost that a person has given up.
    Discarded,
}

/// Records that this client does not send, because they were written with another base URL, tenant or API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecordsElsewhere {
    /// The directory that they are in.
    #[serde(serialize_with = "path")]
    pub directory: PathBuf,
    /// The base URL that they were written with, if they are in this client's own directory. Records in other
    /// directories are counted by their names, and not read.
    pub base_url: Option<String>,
    /// How many of them are to be settled.
    pub records: usize,
    /// How many of them were set aside, or mark an action whose cost nobody knows.
    pub set_aside: usize,
}

impl EntryKind {
    /// The kind of the files with this name; `None` for files that hold no cost.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        const ENDINGS: [(&[u8], EntryKind); 10] = [
            (b".json", EntryKind::Pending),
            (b".waiting", EntryKind::Waiting),
            (b".rejected", EntryKind::Rejected),
            (b".stale", EntryKind::Stale),
            (b".corrupt", EntryKind::Corrupt),
            (b".run", EntryKind::Run),
            (b".dispatched", EntryKind::Dispatched),
            (b".tmp", EntryKind::Temporary),
            (b".taken", EntryKind::Temporary),
            (DISCARDED.as_bytes(), EntryKind::Discarded),
        ];
        let known = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
        known.map(|(_, kind)| *kind)
    }

    /// Whether clients send costs of this kind by themselves. A change to such a file needs the claim, so that no other
    /// process is sending the cost meanwhile.
    pub fn is_replayed(self) -> bool {
        matches!(self, Self::Pending | Self::Waiting)
    }

    /// The name, as in the serialized form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Corrupt => "corrupt",
            Self::Run => "run",
            Self::Dispatched => "dispatched",
            Self::Temporary => "temporary",
            Self::Discarded => "discarded",
        }
    }
}

/// The ending of a cost that a person has given up. No SDK reads files with this ending.
pub(super) const DISCARDED: &str = ".discarded";

impl JournalEntry {
    /// The entry of a record.
    pub(super) fn of_record(kind: EntryKind, name: PathBuf, record: &JournalRecord, now: UnixMillis) -> Self {
        let purpose = record.purpose();
        let (subject, action) = purpose.map(|purpose| (purpose.subject, purpose.action)).unzip();
        let of_steps = (kind == EntryKind::Run).then(|| record.mark_of_steps()).flatten();
        let recorded_at = Some(record.recorded_at()).filter(|at| at.0 > 0);
        let pause = record.not_before(now).filter(|until| *until > now);
        Self {
            reservation_id: Some(record.reservation_id().clone()),
            idempotency_key: record.idempotency_key().cloned(),
            actual: record.actual(),
            dispatched: of_steps.and_then(|mark| mark.actual()),
            subject,
            action,
            mode: Some(record.mode()),
            recorded_at,
            age: recorded_at.map(|at| now.saturating_since(at)),
            next_attempt: pause.filter(|_| kind.is_replayed()),
            id: Some(record.id().clone()),
            ..Self::new(kind, name, now)
        }
    }

    /// The entry of a file that is not a record, with this hash of its content.
    pub(super) fn of_other(
        name: PathBuf,
        invalid: &InvalidRecord,
        content: Option<[u8; 32]>,
        now: UnixMillis,
    ) -> Self {
        Self {
            problem: Some(invalid.to_string()),
            content,
            ..Self::new(EntryKind::Corrupt, name, now)
        }
    }

    /// The entry of a file that cannot be read.
    pub(super) fn of_unread(kind: EntryKind, name: PathBuf, problem: String, now: UnixMillis) -> Self {
        Self {
            problem: Some(problem),
            ..Self::new(kind, name, now)
        }
    }

    fn new(kind: EntryKind, path: PathBuf, listed_at: UnixMillis) -> Self {
        Self {
            kind,
            path,
            reservation_id: None,
            idempotency_key: None,
            actual: None,
            dispatched: None,
            subject: None,
            action: None,
            mode: None,
            recorded_at: None,
            age: None,
            next_attempt: None,
            last_error: None,
            problem: None,
            is_in_progress: false,
            may_count_twice: false,
            id: None,
            content: None,
            listed_at,
        }
    }

    /// The id of the cost; `None` if the file is not a record.
    pub fn id(&self) -> Option<&RecordId> {
        self.id.as_ref()
    }

    /// Turns the file's name into a path in this directory.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        self.path = directory.join(self.path);
        self
    }
}

/// One line: what it is, the reservation, the cost, what it was spent on and by whom, how old it is, and what is known
/// about its next and last attempt.
impl fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10}", self.kind.as_str())?;
        if let Some(reservation) = &self.reservation_id {
            write!(f, " {}", shortened(reservation.as_str()))?;
            match &self.actual {
                Some(actual) => write!(f, " {} {}", actual.amount, shortened(actual.unit.as_str()))?,
                None => f.write_str(" of an unknown amount")?,
            }
        }
        if let Some(dispatched) = &self.dispatched {
            let unit = shortened(dispatched.unit.as_str());
            write!(f, " and {} {unit} dispatched", dispatched.amount)?;
        }
        match (self.kind, self.mode) {
            (EntryKind::Dispatched, _) => f.write_str(" estimated")?,
            (_, Some(mode)) => write!(f, ", {mode}")?,
            (_, None) => {}
        }
        if let Some(action) = &self.action {
            write!(f, ", {} {}", shortened(&action.kind), shortened(&action.name))?;
        }
        if let Some(subject) = &self.subject {
            for (at, (level, value)) in subject.named_levels().enumerate() {
                let separator = if at == 0 { ", " } else { "/" };
                write!(f, "{separator}{level}:{}", shortened(value))?;
            }
        }
        if let Some(age) = self.age {
            write!(f, ", {} old", spoken(age))?;
        }
        match (self.is_in_progress, self.kind) {
            (true, EntryKind::Dispatched) => f.write_str(", its process runs")?,
            (true, _) => f.write_str(", being settled")?,
            (false, _) => {}
        }
        if self.may_count_twice {
            f.write_str(", may count twice if it is sent")?;
        }
        match self.next_attempt {
            Some(at) if at > self.listed_at => {
                write!(
                    f,
                    ", next attempt in {}",
                    spoken(at.saturating_since(self.listed_at))
                )?;
            }
            Some(_) => f.write_str(", next attempt now")?,
            None => {}
        }
        let comma = if self.reservation_id.is_some() { "," } else { "" };
        write!(f, "{comma} {:?}", self.path)?;
        if let Some(problem) = &self.problem {
            write!(f, ": {}", shortened(problem))?;
        }
        if let Some(error) = &self.last_error {
            write!(f, ": {}", shortened(&error.to_string()))?;
        }
        Ok(())
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for RecordsElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            directory,
            base_url,
            records,
            set_aside,
        } = self;
        write!(
            f,
            "{records} to settle and {set_aside} set aside in {directory:?}"
        )?;
        match base_url {
            Some(url) => write!(f, ", written for {}", shortened(url)),
            None => f.write_str(", written with another base URL, tenant or API key"),
        }
    }
}

/// Text from a file, on one line.
fn shortened(text: &str) -> String {
    crate::text::shortened(text)
}

/// A duration in its two largest units.
fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(millis_floor).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn shown<S: Serializer>(error: &Option<Box<Error>>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ToString::to_string).serialize(serializer)
}
