//! The journal record: a known cost that is not settled yet, in its form on disk.
//!
//! The SDKs of all languages share the format: one JSON object per file, in a directory for each server and principal.
//! The two bodies are kept byte for byte, because the server compares them that way: a replay sends the same bytes as
//! the first attempt.

mod age;
mod id;
mod name;
mod read;

use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

pub(crate) use self::age::{REMEMBERED, may_be_forgotten};
pub use self::id::RecordId;
use self::name::push_hex;
pub use self::name::{Partition, file_name, legacy_file_name, waiting_file_name};
pub(super) use self::name::{stem, stem_of_cost};
use self::read::{actual_in, actual_source_in, dispatched_steps_in, key_of, purpose_in};
use crate::backoff::LONGEST_PAUSE;
use crate::meter::estimated;
use crate::models::{
    Action, Amount, CommitRequest, CyclesMetrics, IdempotencyKey, JsonObject, ReservationId, Subject,
};
use crate::outcome::ActualSource;
pub use crate::outcome::Purpose;
use crate::run::DISPATCHED;
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
    #[serde(rename = "dispatched", skip_serializing_if = "Mark::is_not_written")]
    mark: Option<Box<Mark>>,
    /// The key in the body to send.
    #[serde(skip)]
    key: Option<IdempotencyKey>,
    #[serde(skip)]
    id: RecordId,
}

/// How to settle a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Commit the reservation.
    Commit,
    /// Charge an event, because the reservation has ended.
    Event,
}

/// Why a file is not a record. Such a file is quarantined and never deleted, because it may be a cost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// It is a link, a directory, a pipe or the like, and is not read.
    #[error("it is not a regular file")]
    NoFile,
    /// The file is larger than [any record](JournalRecord::LARGEST).
    #[error("it is larger than {LARGEST} bytes", LARGEST = JournalRecord::LARGEST)]
    TooLarge,
    /// The file ends too early: its writer was interrupted.
    #[error("the record is cut off after {0} bytes")]
    Truncated(usize),
    /// The file is not a JSON object.
    #[error("the file is not a JSON object")]
    NotJson,
    /// The record has a version that this program cannot read.
    #[error("the record has version {0}, but this program reads version 1")]
    Version(String),
    /// A member that is needed to settle the record is missing.
    #[error("the record has no `{0}`")]
    Missing(&'static str),
    /// A member has an invalid value.
    #[error("the record's `{0}` is not valid")]
    Malformed(&'static str),
}

impl JournalRecord {
    /// The maximum size of a record as [written](Self::to_json), and of a file to read: 1 MiB.
    pub const LARGEST: usize = 1 << 20;

    /// The maximum size of a new record, which leaves room for a [pause](Self::with_not_before).
    pub(crate) const LARGEST_NEW: usize = Self::LARGEST - 64;

    /// Creates the record of an action's cost, to be written before the first commit is sent. Both bodies have `key`.
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
            mark: None,
            id: RecordId::new(reservation.clone(), key.clone(), Some(actual)),
            key: Some(key),
        })
    }

    /// Writes the record as compact JSON.
    pub fn to_json(&self) -> String {
        // Writing strings, integers and parsed JSON cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The id of the cost, which never changes while there is a record of it, even if another SDK gave the event a key
    /// of its own.
    pub fn id(&self) -> &RecordId {
        &self.id
    }

    /// The reservation that the cost belongs to.
    pub fn reservation_id(&self) -> &ReservationId {
        &self.reservation_id
    }

    /// The address of the server, as configured in the client that wrote the record. Only a client with exactly this
    /// address settles it.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// How to settle the cost.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The body to send, byte for byte.
    pub fn body(&self) -> &str {
        let body = match (self.mode, &self.event_fallback_body) {
            (Mode::Commit, _) => self.commit_body.as_ref(),
            (Mode::Event, Some(Fallback::Written(body))) => Some(body),
            (Mode::Event, Some(Fallback::Unwritten(_)) | None) => None,
        };
        // Every record has the body of its mode.
        body.map_or("{}", |body| body.get())
    }

    /// The key in the body, which is the same in every attempt.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// The cost in the body, if it can be read: a record from another program may have any body.
    pub fn actual(&self) -> Option<Amount> {
        match (self.mode, &self.id.actual) {
            // The record's id comes from this body.
            (Mode::Commit, named) => named.clone().map(|(unit, amount)| Amount::new(unit, amount)),
            (Mode::Event, _) => actual_in(self.body()),
        }
    }

    /// The subject and the action of the reservation, read from the body for an event; `None` if the record has no such
    /// body, or if it cannot be read.
    pub fn purpose(&self) -> Option<Purpose> {
        match self.event_fallback_body.as_ref()? {
            Fallback::Unwritten(event) => Some((*event.purpose).clone()),
            Fallback::Written(body) => purpose_in(body.get()),
        }
    }

    /// Where the amount comes from, as the metadata of the body to send says.
    pub(crate) fn actual_source(&self) -> ActualSource {
        actual_source_in(self.body())
    }

    /// When the record was written.
    pub fn recorded_at(&self) -> UnixMillis {
        millis(self.recorded_at_ms)
    }

    /// The time before which the cost must not be sent, because the server asked for a pause. It is at most an hour
    /// from `now`, whatever the record says.
    pub fn not_before(&self, now: UnixMillis) -> Option<UnixMillis> {
        let latest = now.saturating_add(LONGEST_PAUSE);
        self.not_before_ms.map(|ms| millis(ms).min(latest))
    }

    /// The time before which the cost must not be sent, as written in the record.
    pub(crate) fn floor(&self) -> Option<UnixMillis> {
        self.not_before_ms.map(millis)
    }

    /// Returns the same record, not to be sent before `time`.
    #[must_use]
    pub fn with_not_before(mut self, time: UnixMillis) -> Self {
        self.not_before_ms = Some(i64::try_from(time.0).unwrap_or(i64::MAX));
        self
    }

    /// In a mark: what an action may have cost whose request has left. Then the record is of its estimate, and nobody
    /// knows whether that was spent. `None` in the record of a known cost.
    pub fn dispatched(&self) -> Option<&Amount> {
        match self.mark.as_deref() {
            Some(Mark::Is(estimate)) => Some(estimate),
            Some(Mark::Was(_)) | None => None,
        }
    }

    /// Returns the mark of an action that may have cost what the record says.
    #[must_use]
    pub(crate) fn into_mark(mut self) -> Self {
        self.mark = self.actual().map(|estimate| Box::new(Mark::Is(estimate)));
        self
    }

    /// Returns the record of a mark as a cost to settle, because a person has decided so. Its key may have been sent
    /// `since` then.
    #[must_use]
    pub(crate) fn into_cost(mut self, since: UnixMillis) -> Self {
        self.mark = None;
        self.recorded_at_ms = i64::try_from(since.0).unwrap_or(i64::MAX);
        self
    }

    /// Returns the same record, in place of the mark under this key.
    #[must_use]
    pub(crate) fn in_place_of_mark(mut self, key: &IdempotencyKey) -> Self {
        self.mark = Some(Box::new(Mark::Was(key.clone())));
        self
    }

    /// Of the total of a run: the mark of its steps whose requests had left, as one cost of all their estimates. It is
    /// an event under a key of its own, because the commit of the reservation is taken by the total.
    pub(in crate::journal) fn mark_of_steps(&self) -> Option<Self> {
        let total = self.actual()?;
        let estimate = dispatched_steps_in(self.body()).filter(|estimate| *estimate > 0)?;
        let key = key_of_steps(&self.id.key);
        let commit = CommitRequest::builder()
            .actual(Amount::new(total.unit, estimate))
            .metadata(estimated())
            .build();
        let purpose = Arc::new(self.purpose()?);
        let (url, reservation) = (&self.base_url, &self.reservation_id);
        let mark = Self::new(url, reservation, &purpose, key, commit, self.recorded_at());
        Some(mark.ok()?.into_event()?.into_mark())
    }

    /// The id of the mark whose place the record takes, if there is one. Also that of a run with this record.
    pub(in crate::journal) fn mark_id(&self) -> RecordId {
        let key = match self.mark.as_deref() {
            Some(Mark::Was(key)) => key,
            Some(Mark::Is(_)) | None => &self.id.key,
        };
        RecordId::new(self.reservation_id.clone(), key.clone(), None)
    }

    /// Returns the same record, to be settled by an event; `None` if it has no body for one. The pause is dropped,
    /// because the server asked for it only for the commit.
    #[must_use]
    pub fn into_event(mut self) -> Option<Self> {
        let body = match self.event_fallback_body? {
            Fallback::Written(body) => body,
            Fallback::Unwritten(event) => raw(&event.body(), "event_fallback_body").ok()?,
        };
        // Our records have one key in both bodies; those of other programs may not.
        self.key = key_of(&body);
        self.event_fallback_body = Some(Fallback::Written(body));
        self.mode = Mode::Event;
        self.not_before_ms = None;
        Some(self)
    }
}

/// The key of the mark of a run's steps, if the run is settled under this key.
pub(in crate::journal) fn key_of_steps(run: &IdempotencyKey) -> IdempotencyKey {
    let mut key = String::new();
    push_hex(
        &mut key,
        &Sha256::digest(format!("{}\n{DISPATCHED}", run.as_str())),
    );
    key.into()
}

/// What a record has to do with the mark of a dispatched action.
#[derive(Clone, Debug)]
enum Mark {
    /// It is one, of this estimate.
    Is(Amount),
    /// It takes the place of the one under this key.
    Was(IdempotencyKey),
}

impl Mark {
    #[expect(clippy::ref_option, reason = "serde passes the field")]
    fn is_not_written(mark: &Option<Box<Self>>) -> bool {
        !matches!(mark.as_deref(), Some(Self::Is(_)))
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(estimate) => estimate.serialize(serializer),
            // Never written.
            Self::Was(_) => serializer.serialize_none(),
        }
    }
}

/// The body of a commit, under the key of its record.
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
        // Names all members, so that a new one cannot be forgotten. The key is that of the record.
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

/// The body of an event in place of the commit. Most costs never need one, so it is written on demand, with the same
/// bytes each time.
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

/// The metadata of an event in place of a commit: the commit's own, and the reservation that it replaces.
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

/// Turns a time before 1970 into 1970.
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
