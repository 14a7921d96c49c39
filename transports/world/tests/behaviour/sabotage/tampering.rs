//! The changes that a saboteur makes.

use std::sync::Arc;

use bytes::Bytes;
use cycles_proto::Call;
use cycles_proto::models::{Action, CommitRequest, JsonObject, Subject};
use cycles_proto::record::{JournalRecord, Purpose};
use cycles_sandbox::DEFAULT_TENANT;
use http::Uri;
use http::header::HeaderValue;

/// Sends a settlement under another key, in the header and in the body.
pub(super) fn rename(call: &mut Call, suffix: &str) {
    let header = call.request.headers_mut().get_mut("x-idempotency-key").unwrap();
    let key = header.to_str().unwrap().to_owned();
    let other = format!("{key}-{suffix}");
    *header = HeaderValue::from_str(&other).unwrap();
    let text = String::from_utf8_lossy(call.request.body()).replace(&key, &other);
    *call.request.body_mut() = Bytes::from(text);
}

/// The record of the same cost, with more text than any reader accepts.
pub(super) fn unreadable(record: &JournalRecord) -> JournalRecord {
    let commit = CommitRequest::builder()
        .actual(record.actual().unwrap())
        .metadata(JsonObject::new().with("transcript", "x".repeat(JournalRecord::LARGEST / 2)))
        .build();
    let purpose = Purpose {
        subject: Subject::tenant(DEFAULT_TENANT),
        action: Action::new("k", "n"),
    };
    let (url, id) = (record.base_url(), record.id());
    JournalRecord::new(
        url,
        &id.reservation,
        &Arc::new(purpose),
        id.key.clone(),
        commit,
        record.recorded_at(),
    )
    .unwrap()
}

/// The record of the same cost, which does not say that it is an estimate.
pub(super) fn unmarked(record: &JournalRecord) -> JournalRecord {
    let text = record
        .to_json()
        .replace(
            r#"\"actual_source\":\"estimate\""#,
            r#"\"actual_source\":\"action\""#,
        )
        .replace(r#""actual_source":"estimate""#, r#""actual_source":"action""#);
    JournalRecord::parse(text.as_bytes()).unwrap()
}

/// A release of the reservation, in place of its commit.
pub(super) fn released(mut call: Call) -> Call {
    let uri = call.request.uri().to_string().replace("/commit", "/release");
    *call.request.uri_mut() = uri.parse::<Uri>().unwrap();
    let key = call.request.headers()["x-idempotency-key"].to_str().unwrap();
    *call.request.body_mut() = Bytes::from(format!(r#"{{"idempotency_key":"{key}"}}"#));
    call
}
