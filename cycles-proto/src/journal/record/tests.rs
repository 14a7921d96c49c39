//! The journal's format, against files that another SDK wrote.

use super::*;
use crate::config::CyclesConfig;
use crate::models::{Amount, CyclesMetrics};

const COMMIT: &str = include_str!("../../../tests/data/journal/python-commit.json");
const EVENT: &str = include_str!("../../../tests/data/journal/python-event.json");
const THROTTLED: &str = include_str!("../../../tests/data/journal/python-429.json");

/// The text of a member that is an object, exactly as in the file.
fn member<'a>(file: &'a str, name: &str, next: &str) -> &'a str {
    let start = file.find(&format!("\"{name}\": ")).unwrap() + name.len() + 4;
    let end = file.find(&format!(", \"{next}\": ")).unwrap();
    &file[start..end]
}

#[test]
fn a_record_of_another_sdk_is_sent_with_the_bytes_it_holds() {
    let record = JournalRecord::parse(COMMIT.as_bytes()).unwrap();
    assert_eq!(
        (record.mode(), record.reservation_id().as_str()),
        (Mode::Commit, "rsv_0001")
    );
    assert_eq!(record.base_url(), "http://127.0.0.1:18787");
    assert_eq!(
        record.body(),
        member(COMMIT, "commit_body", "event_fallback_body")
    );
    assert!(
        record.body().contains(r#""zeta": 1, "alpha": 2"#),
        "order and spaces are kept"
    );
    assert_eq!(
        record.idempotency_key().unwrap().as_str(),
        "d229144e-59d0-49d7-bb02-54efcca37631"
    );
    assert_eq!(record.recorded_at(), UnixMillis(1_795_357_129_489));

    let record = JournalRecord::parse(EVENT.as_bytes()).unwrap();
    assert_eq!(
        (record.mode(), record.reservation_id().as_str()),
        (Mode::Event, "rsv_0002")
    );
    assert_eq!(
        record.body(),
        member(EVENT, "event_fallback_body", "recorded_at_ms")
    );
    assert!(record.body().contains(r"R&D \u00e9"), "escapes are kept");
}

#[test]
fn a_record_that_was_read_is_written_with_the_same_bodies() {
    for file in [COMMIT, EVENT, THROTTLED] {
        let record = JournalRecord::parse(file.as_bytes()).unwrap();
        let again = JournalRecord::parse(record.to_json().as_bytes()).unwrap();
        assert_eq!((again.body(), again.mode()), (record.body(), record.mode()));
        assert_eq!(again.to_json(), record.to_json());
    }
}

#[test]
fn a_pause_is_kept_and_never_longer_than_an_hour() {
    let record = JournalRecord::parse(THROTTLED.as_bytes()).unwrap();
    let written = record.recorded_at();
    assert_eq!(record.not_before(written), Some(UnixMillis(1_795_357_264_545)));
    let far = record.with_not_before(UnixMillis(u64::MAX));
    assert_eq!(far.not_before(UnixMillis(1_000)), Some(UnixMillis(3_601_000)));
    assert_eq!(
        far.into_event().unwrap().not_before(written),
        None,
        "the pause was for the commit"
    );
}

#[test]
fn an_event_is_sent_under_the_key_in_its_own_body() {
    // No SDK writes two keys; a server refuses a request whose header has another key than its body.
    let key = "d229144e-59d0-49d7-bb02-54efcca37631";
    let (before, after) = COMMIT.rsplit_once(key).unwrap();
    let record = JournalRecord::parse(format!("{before}another{after}").as_bytes()).unwrap();
    assert_eq!(record.idempotency_key().unwrap().as_str(), key);
    let event = record.into_event().unwrap();
    assert!(event.body().contains(r#""idempotency_key": "another""#));
    assert_eq!(event.idempotency_key().unwrap().as_str(), "another");
}

#[test]
fn a_commit_record_becomes_an_event_with_what_it_holds() {
    let record = JournalRecord::parse(COMMIT.as_bytes()).unwrap();
    let event = record.clone().into_event().unwrap();
    assert_eq!(
        event.body(),
        member(COMMIT, "event_fallback_body", "recorded_at_ms")
    );
    assert_eq!(event.idempotency_key(), record.idempotency_key());
    let without = COMMIT.replace(member(COMMIT, "event_fallback_body", "recorded_at_ms"), "null");
    assert!(
        JournalRecord::parse(without.as_bytes())
            .unwrap()
            .into_event()
            .is_none()
    );
}

#[test]
fn our_own_record_has_the_members_of_the_format_in_its_order() {
    let purpose = Purpose {
        subject: Subject {
            agent: Some("support-bot".into()),
            ..Subject::tenant("acme")
        },
        action: Action::new("llm.completion", "gpt-4"),
    };
    let commit = CommitRequest::builder()
        .actual(Amount::usd_microcents(420))
        .metrics(CyclesMetrics {
            tokens_input: Some(150),
            ..Default::default()
        })
        .metadata(JsonObject::new().with("zeta", 1).with("alpha", 2))
        .build();
    let (id, key) = (ReservationId::from("rsv_0019"), IdempotencyKey::from("k-1"));
    let record =
        JournalRecord::new("http://h/", &id, &Arc::new(purpose), key, commit, UnixMillis(5)).unwrap();
    assert_eq!(
        record.to_json(),
        r#"{"version":1,"reservation_id":"rsv_0019","base_url":"http://h/","mode":"commit","commit_body":{"idempotency_key":"k-1","actual":{"unit":"USD_MICROCENTS","amount":420},"metrics":{"tokens_input":150},"metadata":{"zeta":1,"alpha":2}},"event_fallback_body":{"idempotency_key":"k-1","subject":{"tenant":"acme","agent":"support-bot"},"action":{"kind":"llm.completion","name":"gpt-4"},"actual":{"unit":"USD_MICROCENTS","amount":420},"metadata":{"zeta":1,"alpha":2,"recovered_reservation_id":"rsv_0019","recovery_reason":"commit_after_reservation_expired"},"metrics":{"tokens_input":150}},"recorded_at_ms":5,"not_before_ms":null}"#
    );
}

#[test]
fn a_record_that_was_cut_off_anywhere_is_told_from_other_damage() {
    for end in 1..COMMIT.len() {
        let error = JournalRecord::parse(&COMMIT.as_bytes()[..end]).unwrap_err();
        assert_eq!(error, InvalidRecord::Truncated(end));
    }
    assert_eq!(
        JournalRecord::parse(b"").unwrap_err(),
        InvalidRecord::Truncated(0)
    );
    for text in ["[]", "5", "null", "no json", "{}x", "\u{feff}{}"] {
        assert_eq!(
            JournalRecord::parse(text.as_bytes()).unwrap_err(),
            InvalidRecord::NotJson,
            "{text}"
        );
    }
    assert_eq!(
        JournalRecord::parse(b"{\"\xff\":1}").unwrap_err(),
        InvalidRecord::NotJson
    );
}

#[test]
fn what_cannot_be_settled_is_no_record() {
    let body = r#"{"idempotency_key":"k"}"#;
    let parse = |text: &str| JournalRecord::parse(text.as_bytes());
    let missing = |text: &str| {
        let error = parse(text).unwrap_err();
        let InvalidRecord::Missing(name) = error else {
            panic!("{error:?}")
        };
        name
    };
    assert_eq!(missing("{}"), "version");
    assert_eq!(missing(r#"{"version":1}"#), "reservation_id");
    assert_eq!(missing(r#"{"version":1,"reservation_id":"r"}"#), "commit_body");
    assert_eq!(
        missing(r#"{"version":1,"reservation_id":"r","mode":"event"}"#),
        "event_fallback_body"
    );
    assert_eq!(
        parse(r#"{"version":2}"#).unwrap_err(),
        InvalidRecord::Version("2".into())
    );
    assert_eq!(
        parse(r#"{"version":"1"}"#).unwrap_err(),
        InvalidRecord::Version("\"1\"".into())
    );
    for (members, name) in [
        (r#""reservation_id":"""#, "reservation_id"),
        (r#""reservation_id":5"#, "reservation_id"),
        (r#""reservation_id":"r","mode":"refund""#, "mode"),
        (r#""reservation_id":"r","commit_body":"text""#, "commit_body"),
        (r#""reservation_id":"r","commit_body":{}"#, "commit_body"),
        (r#""reservation_id":"r","commit_body":["k"]"#, "commit_body"),
        (
            r#""reservation_id":"r","commit_body":{"idempotency_key":""}"#,
            "commit_body",
        ),
        (
            &format!(r#""reservation_id":"r","commit_body":{body},"base_url":1"#),
            "base_url",
        ),
        (
            &format!(r#""reservation_id":"r","commit_body":{body},"recorded_at_ms":"x""#),
            "recorded_at_ms",
        ),
        (
            &format!(r#""reservation_id":"r","commit_body":{body},"not_before_ms":1.5"#),
            "not_before_ms",
        ),
    ] {
        let error = parse(&format!(r#"{{"version":1,{members}}}"#)).unwrap_err();
        assert_eq!(error, InvalidRecord::Malformed(name), "{members}");
    }
}

#[test]
fn what_older_sdks_left_out_is_tolerated() {
    let text = r#"{"version":1,"reservation_id":"r","commit_body":{"idempotency_key":"k"},"future":[1]}"#;
    let record = JournalRecord::parse(text.as_bytes()).unwrap();
    assert_eq!(
        (record.mode(), record.base_url(), record.recorded_at()),
        (Mode::Commit, "", UnixMillis(0))
    );
    let before_1970 = text.replace("\"future\":[1]", "\"recorded_at_ms\":-5,\"not_before_ms\":-1");
    let record = JournalRecord::parse(before_1970.as_bytes()).unwrap();
    assert_eq!(record.recorded_at(), UnixMillis(0));
    assert_eq!(record.not_before(UnixMillis(9)), Some(UnixMillis(0)));
}

#[test]
fn the_partition_is_named_after_the_tenant_or_else_after_the_key() {
    let of = |builder: crate::CyclesConfigBuilder| Partition::of(&builder.build().unwrap());
    let tenant = of(CyclesConfig::builder("cyc_live_test", "http://localhost:7878/").tenant("acme"));
    assert_eq!(
        (tenant.password.as_str(), tenant.salt.as_str()),
        ("tenant\nacme", "runcycles-commit-journal\nhttp://localhost:7878/")
    );
    assert!(of(CyclesConfig::builder("cyc_live_other", "http://localhost:7878/").tenant("acme")) == tenant);
    let key = of(CyclesConfig::builder("cyc_live_test", "http://localhost:7878"));
    assert_eq!(key.password, "key\ncyc_live_test");
}

#[test]
fn a_record_that_is_cut_within_a_number_is_known_as_torn() {
    for number in ["-5", "1.5", "-1.5e-7", "2E+9"] {
        let file = format!(
            r#"{{"version":1,"reservation_id":"r","commit_body":{{"idempotency_key":"k","metadata":{{"n":{number}}}}}}}"#
        );
        JournalRecord::parse(file.as_bytes()).unwrap();
        for end in 0..file.len() {
            let torn = JournalRecord::parse(&file.as_bytes()[..end]).unwrap_err();
            assert_eq!(torn, InvalidRecord::Truncated(end), "{}", &file[..end]);
        }
    }
    let wrong = br#"{"version":1,"n":-}"#;
    assert_eq!(JournalRecord::parse(wrong).unwrap_err(), InvalidRecord::NotJson);
}
