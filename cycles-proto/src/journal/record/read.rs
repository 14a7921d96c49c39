//! Parsing of records, which are not trusted until every member is checked.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Fallback, InvalidRecord, JournalRecord, Mark, Mode, RecordId, VERSION};
use crate::models::{Action, Amount, IdempotencyKey, JsonObject, ReservationId, Subject};
use crate::outcome::{ActualSource, Purpose};
use crate::run::{DISPATCHED, SUMMARY};

impl JournalRecord {
    /// Parses a record of any SDK.
    ///
    /// # Errors
    /// Why it cannot be read, so that it can be quarantined for that reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        if bytes.len() > Self::LARGEST {
            return Err(InvalidRecord::TooLarge);
        }
        let text = core::str::from_utf8(bytes).map_err(|error| match error.error_len() {
            None => InvalidRecord::Truncated(bytes.len()),
            Some(_) => InvalidRecord::NotJson,
        })?;
        // By default, serde also accepts a list of the members' values for a struct.
        if !text.trim_start().is_empty() && !text.trim_start().starts_with('{') {
            return Err(InvalidRecord::NotJson);
        }
        let file: File = serde_json::from_str(text).map_err(|error| {
            if error.is_eof() || ends_in_a_number(text) {
                InvalidRecord::Truncated(bytes.len())
            } else {
                InvalidRecord::NotJson
            }
        })?;
        file.try_into()
    }
}

/// Whether a number is cut off after its sign, point or exponent: the parser reports that as an invalid number, but
/// with one more digit, it reports a text that ends too early.
fn ends_in_a_number(text: &str) -> bool {
    let more = serde_json::from_str::<serde::de::IgnoredAny>(&format!("{text}0"));
    more.is_err_and(|error| error.is_eof())
}

/// The members of a file; which of them are required depends on the others.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(default)]
    reservation_id: Lenient<ReservationId>,
    #[serde(default)]
    base_url: Lenient<String>,
    #[serde(default)]
    mode: Lenient<Mode>,
    #[serde(default)]
    commit_body: Lenient<Body>,
    #[serde(default)]
    event_fallback_body: Lenient<Body>,
    #[serde(default)]
    recorded_at_ms: Lenient<i64>,
    #[serde(default)]
    not_before_ms: Lenient<i64>,
    #[serde(default)]
    dispatched: Lenient<Amount>,
}

/// A member that is absent (or null), valid, or invalid.
#[derive(Default)]
enum Lenient<T> {
    #[default]
    Absent,
    Good(T),
    Bad,
}

impl<T> Lenient<T> {
    fn optional(self, name: &'static str) -> Result<Option<T>, InvalidRecord> {
        match self {
            Self::Absent => Ok(None),
            Self::Good(value) => Ok(Some(value)),
            Self::Bad => Err(InvalidRecord::Malformed(name)),
        }
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(match raw.get() {
            "null" => Self::Absent,
            text => serde_json::from_str(text).map_or(Self::Bad, Self::Good),
        })
    }
}

/// A request body with a key, exactly as written.
struct Body(Box<RawValue>);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        match serde_json::from_str::<Key>(raw.get()) {
            Ok(Key {
                idempotency_key: Some(key),
            }) if !key.as_str().is_empty() && raw.get().starts_with('{') => Ok(Self(raw)),
            _ => Err(D::Error::custom("not an object with an idempotency key")),
        }
    }
}

#[derive(Deserialize)]
struct Key {
    idempotency_key: Option<IdempotencyKey>,
}

pub(super) fn actual_in(body: &str) -> Option<Amount> {
    #[derive(Deserialize)]
    struct Body {
        actual: Amount,
    }
    serde_json::from_str::<Body>(body).ok().map(|body| body.actual)
}

pub(super) fn purpose_in(body: &str) -> Option<Purpose> {
    #[derive(Deserialize)]
    struct Body {
        subject: Subject,
        action: Action,
    }
    let Body { subject, action } = serde_json::from_str(body).ok()?;
    Some(Purpose { subject, action })
}

pub(super) fn actual_source_in(body: &str) -> ActualSource {
    #[derive(Deserialize)]
    struct Body {
        metadata: Option<JsonObject>,
    }
    let metadata = serde_json::from_str::<Body>(body)
        .ok()
        .and_then(|body| body.metadata);
    ActualSource::in_metadata(metadata.as_ref())
}

/// What the summary of a run in the metadata says about steps whose requests have left.
pub(super) fn dispatched_steps_in(body: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Body {
        metadata: Option<JsonObject>,
    }
    let metadata = serde_json::from_str::<Body>(body).ok()?.metadata?;
    let summary = metadata.get::<JsonObject>(SUMMARY)?;
    summary.get(DISPATCHED)
}

pub(super) fn key_of(body: &RawValue) -> Option<IdempotencyKey> {
    serde_json::from_str::<Key>(body.get()).ok()?.idempotency_key
}

impl TryFrom<File<'_>> for JournalRecord {
    type Error = InvalidRecord;

    fn try_from(file: File<'_>) -> Result<Self, InvalidRecord> {
        match file.version.map(RawValue::get) {
            Some("1") => {}
            Some(other) => return Err(InvalidRecord::Version(crate::text::shortened(other))),
            None => return Err(InvalidRecord::Missing("version")),
        }
        let reservation_id = file
            .reservation_id
            .optional("reservation_id")?
            .ok_or(InvalidRecord::Missing("reservation_id"))?;
        if reservation_id.as_str().is_empty() {
            return Err(InvalidRecord::Malformed("reservation_id"));
        }
        let mode = file.mode.optional("mode")?.unwrap_or(Mode::Commit);
        let commit_body = file.commit_body.optional("commit_body")?.map(|body| body.0);
        let event_fallback_body = file
            .event_fallback_body
            .optional("event_fallback_body")?
            .map(|body| body.0);
        match mode {
            Mode::Commit if commit_body.is_none() => return Err(InvalidRecord::Missing("commit_body")),
            Mode::Event if event_fallback_body.is_none() => {
                return Err(InvalidRecord::Missing("event_fallback_body"));
            }
            Mode::Commit | Mode::Event => {}
        }
        let body = match mode {
            Mode::Commit => commit_body.as_deref(),
            Mode::Event => event_fallback_body.as_deref(),
        };
        let mark = file.dispatched.optional("dispatched")?;
        let named = commit_body.as_deref().or(body);
        let id = RecordId::new(
            reservation_id.clone(),
            named.and_then(key_of).unwrap_or_else(|| "".into()),
            named.and_then(|body| actual_in(body.get())),
        );
        Ok(Self {
            key: body.and_then(key_of),
            id,
            version: VERSION,
            reservation_id,
            base_url: file.base_url.optional("base_url")?.unwrap_or_default(),
            mode,
            commit_body,
            event_fallback_body: event_fallback_body.map(Fallback::Written),
            recorded_at_ms: file.recorded_at_ms.optional("recorded_at_ms")?.unwrap_or(0),
            not_before_ms: file.not_before_ms.optional("not_before_ms")?,
            mark: mark.map(|estimate| Box::new(Mark::Is(estimate))),
        })
    }
}
