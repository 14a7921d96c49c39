//! Whatever goes with a cost, its record can be read again: what would make it too large is left out, never the cost.

use proptest::prelude::*;

use super::desk::*;
use crate::models::{Amount, CommitRequest, CyclesMetrics, JsonObject};
use crate::record::JournalRecord;
use crate::step::Event;
use crate::time::UnixMillis;

/// What the record of this commit is, and what was left out of it.
fn recorded(request: CommitRequest) -> (JournalRecord, Vec<String>) {
    let mut desk = Desk::held();
    desk.life.commit(desk.now(), request).unwrap();
    desk.settle();
    let mut trimmed = Vec::new();
    for event in &desk.events {
        if let Event::CommitTrimmed { problem, .. } = event {
            trimmed.push(problem.field().to_owned());
        }
    }
    (desk.records[0].clone(), trimmed)
}

/// It is read as it was written, in every form that it takes.
fn assert_readable(record: &JournalRecord) {
    let event = record.clone().into_event().unwrap();
    for record in [
        record.clone(),
        record.clone().with_not_before(UnixMillis(u64::MAX)),
        event.clone().with_not_before(UnixMillis(u64::MAX)),
        event,
    ] {
        let written = record.to_json();
        let read = JournalRecord::parse(written.as_bytes()).unwrap();
        assert_eq!(read.to_json(), written);
        assert_eq!((read.id(), read.body()), (record.id(), record.body()));
    }
}

fn request(metadata: Option<JsonObject>, custom: Option<JsonObject>) -> CommitRequest {
    let mut request = CommitRequest::builder().actual(Amount::tokens(5)).build();
    request.metadata = metadata;
    request.metrics = Some(CyclesMetrics {
        tokens_input: Some(7),
        custom,
        ..Default::default()
    });
    request
}

fn text(bytes: usize) -> JsonObject {
    JsonObject::new().with("text", "x".repeat(bytes))
}

/// So many members, each of which takes many more bytes than its name has.
fn quotes(members: usize) -> JsonObject {
    let name = |number| format!("\u{1}\"\"\"\"{number}");
    (0..members)
        .map(|number| (name(number), serde_json::Value::from(number)))
        .collect()
}

#[test]
fn what_makes_a_record_too_large_is_left_out_and_told_and_the_rest_stays() {
    const LARGE: usize = 600_000;
    for (request, left_out) in [
        (request(None, Some(text(LARGE))), vec!["metrics.custom"]),
        (request(Some(text(524_000)), None), vec!["metadata"]),
        (request(Some(quotes(22_000)), None), vec!["metadata"]),
        (
            request(Some(text(300_000)), Some(text(LARGE))),
            vec!["metrics.custom"],
        ),
        (
            request(Some(text(520_000)), Some(text(519_000))),
            vec!["metadata"],
        ),
        (
            request(Some(text(524_000)), Some(text(524_200))),
            vec!["metrics.custom", "metadata"],
        ),
        (request(Some(text(200_000)), Some(text(200_000))), vec![]),
        (request(None, None), vec![]),
    ] {
        let (record, told) = recorded(request.clone());
        assert_eq!(told, left_out);
        assert_readable(&record);
        for kept in [r#""actual":{"unit":"TOKENS","amount":5}"#, r#""tokens_input":7"#] {
            assert!(record.body().contains(kept));
        }
    }
}

#[test]
fn deep_nesting_is_written_and_read() {
    for depth in [126, 127, 128, 129, 10_000] {
        let nested = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let nested: JsonObject = serde_json::from_str(&nested).unwrap();
        let (record, told) = recorded(request(Some(nested.clone()), Some(nested)));
        assert!(told.is_empty());
        assert_readable(&record);
    }
}

/// Objects of a few bytes, and of sizes around everything that could be a limit.
fn objects() -> impl Strategy<Value = Option<JsonObject>> {
    let name = prop_oneof![
        Just(String::new()),
        "[a-z]{1,20}",
        "[\"\\\\\u{1}\u{7f}é\u{2028}]{1,20}"
    ];
    let members = prop_oneof![4 => 0_usize..4, 1 => 2_000_usize..8_000];
    let size = prop_oneof![4 => 0_usize..100, 1 => 50_000_usize..530_000];
    let unit = prop_oneof![Just("x"), Just("\""), Just("\u{1}"), Just("é")];
    let object = (name, members, size, unit).prop_map(|(name, members, size, unit)| {
        let named = (0..members).map(|number| (format!("{name}{number}"), serde_json::Value::from(number)));
        let mut object: JsonObject = named.collect();
        object.insert("text", unit.repeat(size));
        object
    });
    proptest::option::of(object)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_cost_that_is_taken_survives_a_write_and_a_read(metadata in objects(), custom in objects()) {
        let (record, _) = recorded(request(metadata, custom));
        prop_assert!(record.to_json().len() <= JournalRecord::LARGEST);
        assert_readable(&record);
    }
}
