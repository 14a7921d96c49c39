//! The journal record: a known cost that is not settled yet, as it is kept on disk.
//!
//! The format is shared by the SDKs of all languages: one JSON object a file, in a directory for each server
//! and principal. The two bodies are kept to the byte, because the server compares them so: whatever replays
//! a record sends the bytes that the first attempt sent.

mod id;
mod name;
mod read;

use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

pub use self::id::RecordId;
pub use self::name::{Partition, file_name, legacy_file_name, waiting_file_name};
pub(super) use self::name::{stem, stem_of_cost};
use self::read::{actual_in, key_of};
use crate::backoff::LONGEST_PAUSE;
use crate::models::{
    Action, Amount, CommitRequest, CyclesMetrics, IdempotencyKey, JsonObject, ReservationId, Subject,
};
use crate::time::UnixMillis;

/// The version of the format.
const VERSION: u64 = 1;

/// A known cost that is not settled yet.
#[derive(Clone, Debug, Serialize)]
pub struct JournalRecord {
    version: u64,
    reservation_id: ReservationId,
    base_url: String,
    mode: Mode,
    commit_body: Option<Box<RawValue>>,
    event_fallback_body: Option<Fallback>,
    recorded_at_ms: i64,
    not_before_ms: Option<i64>,
    /// The key in the body that is to be sent.
    #[serde(skip)]
    key: Option<IdempotencyKey>,
    #[serde(skip)]
    id: RecordId,
}

/// What a reservation is for. An event in its place repeats it.
#[derive(Clone, Debug, PartialEq)]
pub struct Purpose {
    /// Whose budget it is.
    pub subject: Subject,
    /// What is done with it.
    pub action: Action,
}

/// How a record is to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By committing the reservation.
    Commit,
    /// By an event, because the reservation is over.
    Event,
}

/// Why a file is no record. It is set aside, never deleted: it may be a cost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// It is a link, a directory, a pipe: nothing that is read.
    #[error("it is not a regular file")]
    NoFile,
    /// The file is larger than [any record](JournalRecord::LARGEST).
    #[error("it is larger than {LARGEST} bytes", LARGEST = JournalRecord::LARGEST)]
    TooLarge,
    /// The file ends too early: its writer was interrupted.
    #[error("the record is cut off after {0} bytes")]
    Truncated(usize),
    /// The file is no JSON object.
    #[error("the file is no JSON object")]
    NotJson,
    /// The record is of another version than this program reads.
    #[error("the record has version {0}, and this program reads version 1")]
    Version(String),
    /// A member is missing that the record cannot be settled without.
    #[error("the record has no `{0}`")]
    Missing(&'static str),
    /// A member has a value that it cannot have.
    #[error("the record's `{0}` is none")]
    Malformed(&'static str),
}

impl JournalRecord {
    /// The most bytes that a record has as it is [written](Self::to_json), and that are to be read of a file: 1 MiB.
    pub const LARGEST: usize = 1 << 20;

    /// As large as a new record may be: its [pause](Self::with_not_before) is written later.
    pub(crate) const LARGEST_NEW: usize = Self::LARGEST - 64;

    /// The record of an action's cost, written before the first commit is sent. Both bodies carry `key`.
    ///
    /// # Errors
    /// [`InvalidRecord::Malformed`] if a body cannot be written as JSON.
    pub fn new(
        base_url: &str,
        reservation: &ReservationId,
        purpose: &Arc<Purpose>,
        key: IdempotencyKey,
        commit: CommitRequest,
        now: UnixMillis,
    ) -> Result<Self, InvalidRecord> {
        let commit_body = CommitBody::new(&key, &commit);
        let actual = commit.actual.clone();
        Ok(Self {
            version: VERSION,
            reservation_id: reservation.clone(),
            base_url: base_url.to_owned(),
            mode: Mode::Commit,
            commit_body: Some(raw(&commit_body, "commit_body")?),
            event_fallback_body: Some(Fallback::Unwritten(Box::new(Unwritten {
                key: key.clone(),
                reservation: reservation.clone(),
                purpose: Arc::clone(purpose),
                commit,
            }))),
            recorded_at_ms: i64::try_from(now.0).unwrap_or(i64::MAX),
            not_before_ms: None,
            id: RecordId::new(reservation.clone(), key.clone(), Some(actual)),
            key: Some(key),
        })
    }

    /// The record as it is written: compact JSON.
    pub fn to_json(&self) -> String {
        // Strings, integers and JSON that was parsed before cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Which cost it is: the same for as long as there is a record of it, also where another SDK gave the event a
    /// key of its own.
    pub fn id(&self) -> &RecordId {
        &self.id
    }

    /// The reservation whose cost it is.
    pub fn reservation_id(&self) -> &ReservationId {
        &self.reservation_id
    }

    /// The server that it belongs to, as the client that wrote it was configured. A record is settled only by
    /// a client with exactly this address.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// How it is to be settled.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The body to send, to the byte.
    pub fn body(&self) -> &str {
        let body = match (self.mode, &self.event_fallback_body) {
            (Mode::Commit, _) => self.commit_body.as_ref(),
            (Mode::Event, Some(Fallback::Written(body))) => Some(body),
            (Mode::Event, Some(Fallback::Unwritten(_)) | None) => None,
        };
        // No way of making a record leaves out the body of its mode.
        body.map_or("{}", |body| body.get())
    }

    /// The key in the body, the same in every attempt.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// The cost in the body, if it can be read: a record of another program may have any.
    pub fn actual(&self) -> Option<Amount> {
        match (self.mode, &self.id.actual) {
            // The record has its name from this body.
            (Mode::Commit, named) => named.clone().map(|(unit, amount)| Amount::new(unit, amount)),
            (Mode::Event, _) => actual_in(self.body()),
        }
    }

    /// When it was written.
    pub fn recorded_at(&self) -> UnixMillis {
        millis(self.recorded_at_ms)
    }

    /// Before when it is not to be sent, because the server asked for a pause; an hour from `now` at most,
    /// whatever the record says.
    pub fn not_before(&self, now: UnixMillis) -> Option<UnixMillis> {
        let latest = now.saturating_add(LONGEST_PAUSE);
        self.not_before_ms.map(|ms| millis(ms).min(latest))
    }

    /// Before when it is not to be sent, as it is written.
    pub(crate) fn floor(&self) -> Option<UnixMillis> {
        self.not_before_ms.map(millis)
    }

    /// The same record, not to be sent before `time`.
    #[must_use]
    pub fn with_not_before(mut self, time: UnixMillis) -> Self {
        self.not_before_ms = Some(i64::try_from(time.0).unwrap_or(i64::MAX));
        self
    }

    /// The same record, to be settled by an event; `None` if it has no body for one. A pause that the server
    /// asked for concerned the commit.
    #[must_use]
    pub fn into_event(mut self) -> Option<Self> {
        let body = match self.event_fallback_body? {
            Fallback::Written(body) => body,
            Fallback::Unwritten(event) => raw(&event.body(), "event_fallback_body").ok()?,
        };
        // Ours have one key in both bodies; what another program wrote need not.
        self.key = key_of(&body);
        self.event_fallback_body = Some(Fallback::Written(body));
        self.mode = Mode::Event;
        self.not_before_ms = None;
        Some(self)
    }
}

/// A commit under the key of its record.
#[derive(Serialize)]
struct CommitBody<'a> {
    idempotency_key: &'a IdempotencyKey,
    actual: &'a Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<&'a CyclesMetrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a JsonObject>,
}

impl<'a> CommitBody<'a> {
    fn new(idempotency_key: &'a IdempotencyKey, commit: &'a CommitRequest) -> Self {
        // Every member by its name: one that is added later has to be sent too. Its own key is that of the record.
        let CommitRequest {
            idempotency_key: _,
            actual,
            metrics,
            metadata,
        } = commit;
        Self {
            idempotency_key,
            actual,
            metrics: metrics.as_ref(),
            metadata: metadata.as_ref(),
        }
    }
}

/// The body of an event in place of the commit. Most costs never need one, so it is written when it is asked for:
/// the same bytes each time.
#[derive(Clone, Debug)]
enum Fallback {
    Written(Box<RawValue>),
    Unwritten(Box<Unwritten>),
}

#[derive(Clone, Debug)]
struct Unwritten {
    key: IdempotencyKey,
    reservation: ReservationId,
    purpose: Arc<Purpose>,
    commit: CommitRequest,
}

impl Serialize for Fallback {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Written(body) => body.serialize(serializer),
            Self::Unwritten(event) => event.body().serialize(serializer),
        }
    }
}

impl Unwritten {
    fn body(&self) -> EventBody<'_> {
        let Purpose { subject, action } = &*self.purpose;
        let CommitBody {
            idempotency_key,
            actual,
            metrics,
            metadata,
        } = CommitBody::new(&self.key, &self.commit);
        EventBody {
            idempotency_key,
            subject,
            action,
            actual,
            metadata: recovery_metadata(metadata, &self.reservation),
            metrics,
        }
    }
}

#[derive(Serialize)]
struct EventBody<'a> {
    idempotency_key: &'a IdempotencyKey,
    subject: &'a Subject,
    action: &'a Action,
    actual: &'a Amount,
    metadata: JsonObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<&'a CyclesMetrics>,
}

/// What an event says about the reservation that it stands for, beside the commit's own metadata.
fn recovery_metadata(metadata: Option<&JsonObject>, reservation: &ReservationId) -> JsonObject {
    metadata
        .cloned()
        .unwrap_or_default()
        .with("recovered_reservation_id", reservation.as_str())
        .with("recovery_reason", "commit_after_reservation_expired")
}

fn raw(body: &impl Serialize, name: &'static str) -> Result<Box<RawValue>, InvalidRecord> {
    serde_json::value::to_raw_value(body).map_err(|_| InvalidRecord::Malformed(name))
}

/// Times before 1970 are 1970.
fn millis(ms: i64) -> UnixMillis {
    UnixMillis(u64::try_from(ms).unwrap_or(0))
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Event => "event",
        })
    }
}

#[cfg(test)]
mod tests;
