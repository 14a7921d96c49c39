//! Any bytes as a journal file, and any cost as a record.
//!
//! - A record that was read can be written and read again unchanged, with the same bytes in its bodies.
//! - A record is settled with exactly its own bytes, under the key that they contain.
//! - A record's file name depends on the bytes of its reservation's id.
//! - No part of a record is a record: a file that a crash cut off is recognized as truncated.
//! - A file that has another version, or whose body has no key, is not a record; one without a time counts as from
//!   1970, and is therefore too old for an event.
//! - An event has the content of the commit, and the subject and the action of the reservation.
//! - A pause that a record asks for ends within an hour.
//!
//! Bytes: 0 and a file, or 1 and the decisions that make a cost.

use core::time::Duration;
use std::sync::{Arc, LazyLock};

use cycles_proto::models::*;
use cycles_proto::parts::{Settlement, Step};
use cycles_proto::record::{InvalidRecord, JournalRecord, Mode, Purpose, file_name, legacy_file_name};
use cycles_proto::{Call, CyclesConfig, Now, Seed, UnixMillis};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::KEY;
use crate::input::Input;

/// Runs one execution.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    if input.byte() & 1 == 0 {
        read(input.rest());
    } else {
        written(&mut input);
    }
}

fn read(file: &[u8]) {
    let Ok(record) = JournalRecord::parse(file) else {
        return;
    };
    let text = core::str::from_utf8(file).expect("a record is UTF-8");
    assert!(
        text.contains(record.body()),
        "the body is the file's own, to the byte"
    );
    keeps(&record);
    says_what_the_file_says(&record, text);
    if let Some(event) = record.into_event() {
        assert_eq!(event.mode(), Mode::Event);
        assert!(text.contains(event.body()));
        keeps(&event);
    }
}

/// Checks, against the file, the members that decide whether it is a record and how old it is.
fn says_what_the_file_says(record: &JournalRecord, text: &str) {
    // Skips files with numbers or strings that a `Value` cannot hold.
    let Ok(file) = serde_json::from_str::<Value>(text) else {
        return;
    };
    assert_eq!(file["version"].to_string(), "1", "another version is read");
    let body = match record.mode() {
        Mode::Commit => &file["commit_body"],
        Mode::Event => &file["event_fallback_body"],
    };
    let key = body["idempotency_key"].as_str();
    assert!(key.is_some_and(|key| !key.is_empty()), "a body without a key");
    assert_eq!(record.idempotency_key().map(IdempotencyKey::as_str), key);
    let ms = match &file["recorded_at_ms"] {
        Value::Null => 0,
        time => time.as_i64().expect("a time is a number"),
    };
    assert_eq!(record.recorded_at().0, u64::try_from(ms).unwrap_or(0));
}

fn written(input: &mut Input<'_>) {
    let key = IdempotencyKey::from(format!("k{}", input.text()));
    let id = ReservationId::from(format!("r{}", input.text()));
    let mut purpose = Purpose {
        subject: Subject::tenant(input.text()),
        action: Action::new(input.text(), input.text()),
    };
    let actual = Amount::tokens(input.number() as i64 & i64::MAX);
    let mut commit = CommitRequest::builder().actual(actual.clone()).build();
    commit.metadata = input.maybe(|input| {
        let mut object = JsonObject::new();
        for _ in 0..input.below(4) {
            object.insert(input.text(), input.text());
        }
        object
    });
    let now = UnixMillis(input.number());
    let base_url = input.text();
    let pause = input.maybe(Input::number);
    let cut = input.byte();
    commit.metrics = input.maybe(metrics);
    if let Some(agent) = input.maybe(Input::text) {
        purpose.subject.agent = Some(agent);
        purpose.subject.dimensions = Some([(input.text(), input.text())].into());
        purpose.action.tags = Some(vec![input.text(), input.text()]);
    }
    let purpose = Arc::new(purpose);
    let metrics = commit.metrics.clone();
    let made = JournalRecord::new(&base_url, &id, &purpose, key.clone(), commit, now);
    let made = made.expect("every cost has a record");
    let record = match pause {
        Some(pause) => made.with_not_before(UnixMillis(pause)),
        None => made,
    };
    assert_eq!((record.reservation_id(), record.mode()), (&id, Mode::Commit));
    assert_eq!(record.idempotency_key(), Some(&key));
    assert_eq!(record.recorded_at().0, now.0.min(i64::MAX as u64));
    assert_eq!(record.base_url(), base_url);
    torn(&record.to_json(), cut);
    keeps(&record);

    let body: Value = serde_json::from_str(record.body()).expect("it is JSON");
    assert_eq!(body["actual"]["amount"].as_i64(), Some(actual.amount));
    let said = body.get("metrics").cloned();
    let said = said.map(|said| serde_json::from_value(said).expect("metrics"));
    assert_eq!(said, metrics, "the metrics that were handed over");
    let event = record.into_event().expect("it has a body for an event");
    keeps(&event);
    let event: Value = serde_json::from_str(event.body()).expect("it is JSON");
    assert_eq!(
        (&event["actual"], &event["idempotency_key"]),
        (&body["actual"], &body["idempotency_key"])
    );
    assert_eq!(event.get("metrics"), body.get("metrics"), "the commit's metrics");
    let subject: Subject = serde_json::from_value(event["subject"].clone()).expect("a subject");
    let action: Action = serde_json::from_value(event["action"].clone()).expect("an action");
    assert_eq!((&subject, &action), (&purpose.subject, &purpose.action));
    assert_eq!(event["metadata"]["recovered_reservation_id"], id.as_str());
    let kept = event["metadata"].as_object().map_or(0, serde_json::Map::len);
    let ours = ["recovered_reservation_id", "recovery_reason"];
    let of_the_caller = body["metadata"].as_object().into_iter().flatten();
    let of_the_caller = of_the_caller.filter(|(name, _)| !ours.contains(&name.as_str()));
    assert_eq!(
        kept,
        of_the_caller.count() + 2,
        "the caller's metadata and our two members"
    );
}

fn metrics(input: &mut Input<'_>) -> CyclesMetrics {
    CyclesMetrics {
        tokens_input: input.maybe(|input| input.number() as i64),
        tokens_output: input.maybe(|input| input.number() as i64),
        latency_ms: input.maybe(|input| input.number() as i64),
        model_version: input.maybe(Input::text),
        custom: input.maybe(|input| {
            let mut custom = JsonObject::new();
            custom.insert(input.text(), input.text());
            custom
        }),
    }
}

/// Checks that a record is the same after writing and reading it, and that it is settled unchanged.
fn keeps(record: &JournalRecord) {
    let json = record.to_json();
    let again = JournalRecord::parse(json.as_bytes()).expect("what we write we read");
    assert_eq!(again.to_json(), json);
    assert_eq!(
        (
            again.reservation_id(),
            again.base_url(),
            again.mode(),
            again.body()
        ),
        (
            record.reservation_id(),
            record.base_url(),
            record.mode(),
            record.body()
        )
    );
    assert_eq!(
        (again.idempotency_key(), again.recorded_at()),
        (record.idempotency_key(), record.recorded_at())
    );
    for now in [UnixMillis(0), record.recorded_at(), UnixMillis(u64::MAX)] {
        let pause = record.not_before(now);
        assert_eq!(again.not_before(now), pause);
        assert!(pause.is_none_or(|until| until <= now.saturating_add(Duration::from_secs(3_600))));
    }
    let key = record.idempotency_key().expect("a record has a key");
    assert!(!key.as_str().is_empty());
    if let Ok(body) = serde_json::from_str::<Value>(record.body()) {
        assert_eq!(
            body["idempotency_key"],
            key.as_str(),
            "the key is the one in the body"
        );
    }
    let id = record.reservation_id();
    let hash = Sha256::digest(id.as_str().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        file_name(id),
        format!("v2-{hash}.json"),
        "the file of the id to the byte: {id:?}"
    );
    let legacy = legacy_file_name(id);
    assert!(!legacy.contains(['/', '\\', '\0']) && !legacy.starts_with('.'));
    settles(record);
}

/// Checks that a replay sends the record's bytes and nothing else.
fn settles(record: &JournalRecord) {
    let mut now = Now {
        mono: Duration::from_secs(1),
        wall: record.recorded_at().saturating_add(Duration::from_secs(7_200)),
    };
    let latest = now.mono + Duration::from_secs(3_600);
    let mut settlement = Settlement::resume(Arc::clone(&CONFIG), record.clone(), Seed([7; 16]), now, true);
    for _ in 0..20 {
        match settlement.poll(now) {
            Step::Send(Call { request, .. }) => {
                assert_eq!(request.body(), record.body().as_bytes(), "the record's own bytes");
                let path = request.uri().path();
                assert_eq!(path == "/v1/events", record.mode() == Mode::Event);
                if let Some(header) = request.headers().get("x-idempotency-key") {
                    let key = record.idempotency_key().map(IdempotencyKey::as_str);
                    assert_eq!(header.to_str().ok(), key);
                }
                return;
            }
            Step::Store(ticket, _) => {
                settlement.handle_stored(ticket, Ok(()));
            }
            Step::Notify(event) => assert!(!format!("{event:?}").contains(KEY)),
            Step::Wait(until) => {
                let until = until.filter(|until| (now.mono..=latest).contains(until));
                now.mono = until.expect("a pause within the hour");
            }
            Step::Done => {
                let id = record.reservation_id().as_str();
                let is_unfit = id == "." || id == ".." || id.chars().count() > 128;
                assert!(
                    is_unfit && record.mode() == Mode::Commit,
                    "only an id without a path is not sent: {id:?}"
                );
                return;
            }
        }
    }
    panic!("it is never sent: {settlement:?}");
}

fn torn(json: &str, cut: u8) {
    let end = json.len() * usize::from(cut) / 256;
    let result = JournalRecord::parse(&json.as_bytes()[..end]);
    assert!(
        matches!(result, Err(InvalidRecord::Truncated(bytes)) if bytes == end),
        "{end} of {} bytes: {result:?}",
        json.len()
    );
}

static CONFIG: LazyLock<Arc<CyclesConfig>> =
    LazyLock::new(|| Arc::new(CyclesConfig::new(KEY, "http://localhost:7878").expect("it is valid")));
