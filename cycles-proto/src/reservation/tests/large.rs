//! A record can be read again whatever goes with the cost: data that would make it too large is left out, never the
//! cost.

use proptest::collection::vec;
use proptest::prelude::*;

use super::desk::*;
use crate::journal::record::JournalRecord;
use crate::models::{Amount, CommitRequest, CyclesMetrics, JsonObject};
use crate::outcome::Event;
use crate::time::UnixMillis;

/// The record of this commit, and what was left out of it.
fn recorded(request: CommitRequest) -> (JournalRecord, Vec<String>) {
    let mut desk = Desk::held();
    desk.reservation.commit(desk.now(), request).unwrap();
    desk.settle();
    let mut trimmed = Vec::new();
    for event in &desk.events {
        if let Event::CommitTrimmed { problem, .. } = event {
            trimmed.push(problem.field().to_owned());
        }
    }
    (desk.records[0].clone(), trimmed)
}

/// Checks that it can be read as it was written, in each of its forms.
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

/// An object with this many members, each of which takes many more bytes in JSON than its name has.
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

/// An object with one member nested as given, each level a list or an object, and one flat member.
fn nested(is_list: &[bool]) -> JsonObject {
    let mut deep = "1".to_owned();
    for is_list in is_list {
        deep = if *is_list {
            format!("[0,{deep}]")
        } else {
            format!(r#"{{"\"":{deep}}}"#)
        };
    }
    serde_json::from_str(&format!(r#"{{"deep":{deep},"kept":"[[["}}"#)).unwrap()
}

/// The servers' parsers stop at 128 levels, and so does this one.
fn assert_servers_read(record: &JournalRecord) -> serde_json::Value {
    let event = record.clone().into_event().unwrap();
    let _: serde_json::Value = serde_json::from_str(event.body()).unwrap();
    serde_json::from_str(record.body()).unwrap()
}

#[test]
fn what_is_nested_deeper_than_servers_read_is_left_out_and_told_and_the_rest_stays() {
    for levels in [1, 2, 99, 100, 101, 124, 126, 127, 128, 129, 1_001] {
        for is_list in [false, true] {
            let object = nested(&vec![is_list; levels - 1]);
            let (record, told) = recorded(request(Some(object.clone()), Some(object)));
            let is_kept = levels <= 100;
            let expected: &[&str] = if is_kept {
                &[]
            } else {
                &["metrics.custom", "metadata"]
            };
            assert_eq!(told, expected, "{levels}");
            assert_readable(&record);
            let body = assert_servers_read(&record);
            assert_eq!(body["metrics"]["tokens_input"], 7);
            for object in [&body["metadata"], &body["metrics"]["custom"]] {
                assert_eq!(object.get("deep").is_some(), is_kept, "{levels}");
                assert_eq!(object["kept"], "[[[");
            }
        }
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

    #[test]
    fn any_cost_that_is_taken_is_read_by_servers(
        metadata in vec(any::<bool>(), 0..300),
        custom in vec(any::<bool>(), 0..300),
    ) {
        let (record, _) = recorded(request(Some(nested(&metadata)), Some(nested(&custom))));
        prop_assert_eq!(&assert_servers_read(&record)["actual"]["amount"], 5);
    }
}
