//! Servers and HTTP clients that repeat the API key.

use super::super::*;
use super::desk::*;
use http::Response;

#[test]
fn a_key_that_a_server_echoes_is_in_no_error_event_outcome_or_debug() {
    let escaped = KEY.replace('_', "\\u005f");
    let echo = |status| {
        let body = format!(
            r#"{{"error":"{KEY}","message":"{escaped}","request_id":"{KEY}","details":{{"k":"{KEY}"}}}}"#
        );
        let response = Response::builder().status(status).header("x-request-id", KEY);
        Ok(response.body(Bytes::from(body)).unwrap())
    };
    let page = || answer(500, KEY);
    let grant = ok(&format!(
        r#"{{"decision":"ALLOW","reservation_id":"r-1","affected_scopes":["{KEY}"],"expires_at_ms":1,"remaining_ttl_ms":60000,"scope_path":"{escaped}"}}"#
    ));
    let release = ok(&format!(
        r#"{{"status":"RELEASED","released":{{"unit":"TOKENS","amount":9}},"x":"{KEY}"}}"#
    ));
    let mut refused = Desk::new();
    refused.run([page(), echo(409)]);
    let mut released = Desk::new();
    released.run([page(), grant.clone(), page(), extended(60_000), echo(403)]);
    released.release();
    released.run([page(), release]);
    let mut settled = Desk::new();
    settled.run([grant]);
    settled.commit(5).unwrap();
    settled.run([page(), echo(401)]);
    let mut doubted = Desk::new();
    doubted.run([granted(0), page(), page()]);
    for desk in [refused, released, settled, doubted] {
        assert_quiet(&desk);
        assert!(desk.reservation.outcome().is_some());
    }
}

#[test]
fn a_key_in_the_words_of_an_http_client_is_in_no_error_event_or_debug() {
    let cause = std::io::Error::other(format!("sending {KEY} failed"));
    let failure = |kind| Failure::caused_by(kind, &cause);
    let fail = |desk: &mut Desk, kind| {
        desk.settle();
        let (call, _) = desk.open.pop_front().unwrap();
        let now = desk.now();
        desk.reservation
            .handle_failure(now, call.ticket, None, failure(kind));
        desk.settle();
    };
    let mut unreserved = Desk::new();
    fail(&mut unreserved, FailureKind::Lost);
    fail(&mut unreserved, FailureKind::Connect);
    let mut committing = Desk::held();
    committing.commit(5).unwrap();
    fail(&mut committing, FailureKind::Lost);
    let mut beating = Desk::held();
    beating.pass_s(49);
    fail(&mut beating, FailureKind::Tls);
    let mut releasing = Desk::held();
    releasing.release();
    fail(&mut releasing, FailureKind::Lost);
    for desk in [unreserved, committing, beating, releasing] {
        assert!(!desk.events.is_empty());
        assert_quiet(&desk);
    }
}

fn assert_quiet(desk: &Desk) {
    let mut said = format!("{:?} {:?} {:?}", desk.reservation, desk.events, desk.calls);
    let errors = desk.events.iter().map(|event| format!("{event:?}"));
    said.extend(errors);
    said.push_str(&format!("{:?}", desk.reservation.outcome()));
    if let Some(Outcome::NotReserved(error)) = desk.reservation.outcome() {
        said.push_str(&error.to_string());
    }
    for record in &desk.records {
        said.push_str(&record.to_json());
    }
    assert!(!said.contains(KEY), "{said}");
    assert!(!said.contains(&KEY.replace('_', "\\u005f")), "{said}");
}

#[test]
fn a_key_that_is_a_part_of_an_answer_changes_nothing_that_is_read_of_it() {
    let id = "26abc5a-1";
    for key in [
        "abc",
        "a",
        "1",
        "-",
        "26abc5a-1",
        "60000",
        "5",
        "ALLOW",
        "COMMITTED",
        "status",
        "amount",
        "TOKENS",
        "reservation_id",
        "RESERVATION_EXPIRED",
        "request_id",
        "APPLIED",
        ":",
        ",",
    ] {
        let config = || CyclesConfig::builder(key, "http://h").build().unwrap();
        for expires in [false, true] {
            let mut desk = Desk::with(config(), reserve());
            desk.run([decided("ALLOW", id, 60_000)]);
            assert_eq!(
                desk.reservation.grant().unwrap().reservation_id.as_str(),
                id,
                "{key}"
            );
            desk.run([extended(60_000)]);
            desk.commit(5).unwrap();
            if expires {
                desk.run([refusal(410, "RESERVATION_EXPIRED"), answer(201, APPLIED)]);
            } else {
                desk.run([ok(COMMITTED)]);
            }
            let settled = desk.receipt();
            assert!(settled.is_settled(), "{key}: {settled:?}");
            if let Receipt::Committed(crate::outcome::Charged {
                response: Some(reply),
                ..
            }) = &settled
            {
                assert_eq!(reply.charged, Amount::tokens(5), "{key}");
            }
            let paths = desk.calls.iter().map(|call| call.request.uri().path());
            let of_the_reservation = paths.filter(|path| path.contains("reservations/"));
            for path in of_the_reservation {
                assert!(path.contains(&format!("reservations/{id}/")), "{key}: {path}");
            }
        }
    }
}
