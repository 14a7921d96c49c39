//! Tests of the check itself: it finds each kind of violation in an otherwise valid exchange.

use bytes::Bytes;
use cycles_conformance::contract::{DEVIATIONS, Spec};
use http::{Request, Response};

use super::spec;

const RESERVE: &str = r#"{"idempotency_key":"k","subject":{"tenant":"acme"},"action":{"kind":"k","name":"n"},
    "estimate":{"unit":"TOKENS","amount":5}}"#;
const DENIED: &str = r#"{"error":"BUDGET_EXCEEDED","message":"m","request_id":"r"}"#;
const TIME: &str = "/v1/reservations?from=2026-11-22T00%3A00%3A00.000Z&limit=200&include=metadata,evidence";
const COMMIT: &str = "/v1/reservations/r-1/commit";

#[test]
fn a_planted_violation_in_a_request_is_found() {
    let Some(spec) = spec() else { return };
    let valid = |target: &str, body: &str, headers: &[(&str, &str)]| {
        let found = spec.request(&request(target, body, headers));
        assert!(found.is_empty(), "{found:?}");
    };
    valid("/v1/reservations", RESERVE, &[("x-idempotency-key", "k")]);
    valid(TIME, "", &[]);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    valid("/v1/balances?tenant=a%20b", "", &[("traceparent", parent)]);

    let with = |from: &str, to: &str| RESERVE.replacen(from, to, 1);
    for (target, body, headers, part) in [
        (
            "/v1/reservations",
            with(r#""name":"n""#, r#""name":7"#),
            &[][..],
            "body",
        ),
        ("/v1/reservations", with(r#""kind":"k","#, ""), &[], "body"),
        ("/v1/reservations", with("5", "-5"), &[], "body"),
        ("/v1/reservations", with("5", "9223372036854775808"), &[], "body"),
        ("/v1/reservations", with("TOKENS", "tokens"), &[], "body"),
        ("/v1/reservations", with("{", r#"{"extra":1,"#), &[], "body"),
        ("/v1/reservations", with("acme", &"é".repeat(129)), &[], "body"),
        ("/v1/reservations", "{".to_owned(), &[], "body"),
        (
            "/v1/reservations",
            RESERVE.to_owned(),
            &[("x-idempotency-key", "other")],
            "header x-idempotency-key",
        ),
        (
            "/v1/reservations",
            RESERVE.to_owned(),
            &[("x-surprise", "1")],
            "header x-surprise",
        ),
        (
            "/v1/reservations",
            RESERVE.to_owned(),
            &[("x-cycles-trace-id", "ABC")],
            "header x-cycles-trace-id",
        ),
        (
            "/v1/reservations",
            RESERVE.to_owned(),
            &[("traceparent", "00-1-2-3")],
            "header traceparent",
        ),
        (
            "/v1/reservations",
            RESERVE.to_owned(),
            &[("content-type", "text/plain")],
            "header content-type",
        ),
        ("/v1/reservations?limit=201", String::new(), &[], "query limit"),
        ("/v1/reservations?limit=many", String::new(), &[], "query limit"),
        (
            "/v1/reservations?limit=1&limit=2",
            String::new(),
            &[],
            "query limit",
        ),
        (
            "/v1/reservations?from=yesterday",
            String::new(),
            &[],
            "query from",
        ),
        ("/v1/reservations?status=LOST", String::new(), &[], "query status"),
        ("/v1/reservations?colour=red", String::new(), &[], "query colour"),
        (
            "/v1/balances?include_children=maybe",
            String::new(),
            &[],
            "query include_children",
        ),
        ("/v1/evidence/XYZ", String::new(), &[], "path evidence_id"),
        (
            &format!("/v1/reservations/{}", "i".repeat(129)),
            String::new(),
            &[],
            "path reservation_id",
        ),
        ("/v1/nowhere", String::new(), &[], "path"),
    ] {
        let parts: Vec<_> = spec
            .request(&request(target, &body, headers))
            .into_iter()
            .map(|one| one.part)
            .collect();
        assert!(
            parts.contains(&part.to_owned()),
            "{target} {body} {headers:?}: {parts:?}"
        );
    }
    let mut keyless = request("/v1/reservations", RESERVE, &[]);
    keyless.headers_mut().remove("x-cycles-api-key");
    assert_eq!(spec.request(&keyless)[0].part, "header");
    let mut public = request("/v1/.well-known/cycles-jwks.json", "", &[]);
    assert_eq!(
        spec.request(&public)[0].part,
        "header x-cycles-api-key",
        "nobody asked for the key"
    );
    public.headers_mut().remove("x-cycles-api-key");
    assert_eq!(spec.request(&public), []);
}

#[test]
fn a_planted_violation_in_an_answer_is_found() {
    let Some(spec) = spec() else { return };
    let committed = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;
    assert_eq!(parts(spec, COMMIT, 200, committed, &[]), [""; 0]);
    assert_eq!(parts(spec, COMMIT, 409, DENIED, &[]), [""; 0]);
    for (status, body, headers, part) in [
        (200, committed.replace("COMMITTED", "DONE"), &[][..], "body"),
        (200, committed.replace("5", "-5"), &[], "body"),
        (200, committed.replace("5", "null"), &[], "body"),
        (200, committed.replace('{', r#"{"surprise":1,"#), &[], "body"),
        (200, DENIED.to_owned(), &[], "body"),
        (409, committed.to_owned(), &[], "body"),
        (409, DENIED.replace("BUDGET_EXCEEDED", "POOR"), &[], "body"),
        (409, "<html>".to_owned(), &[], "body"),
        (201, committed.to_owned(), &[], "status"),
        (418, DENIED.to_owned(), &[], "status"),
        (
            200,
            committed.to_owned(),
            &[("x-cycles-trace-id", "ABC")],
            "header x-cycles-trace-id",
        ),
        (
            409,
            DENIED.to_owned(),
            &[("content-type", "text/html")],
            "header content-type",
        ),
    ] {
        let parts = parts(spec, COMMIT, status, &body, headers);
        assert!(parts.contains(&part.to_owned()), "{status} {body}: {parts:?}");
    }
}

#[test]
fn a_deviation_covers_what_it_names_and_nothing_beside() {
    let Some(spec) = spec() else { return };
    let row = r#"{"reservation_id":"r","status":"ACTIVE","subject":{"tenant":"acme"},
        "action":{"kind":"k","name":"n"},"reserved":{"unit":"TOKENS","amount":5},"created_at_ms":1,"expires_at_ms":2,
        "scope_path":"tenant:acme","affected_scopes":[]}"#;
    let uncovered = |target: &str, status: u16, body: &str| {
        let answer = answer(status, body, &[]);
        let found = spec.answer(&request(target, "", &[]), &answer).into_iter();
        let left = found.filter(|one| !DEVIATIONS.iter().any(|deviation| (deviation.covers)(one)));
        left.map(|one| one.to_string()).collect::<Vec<_>>()
    };
    let with = |from: &str, to: &str| format!(r#"{{"reservations":[{}]}}"#, row.replacen(from, to, 1));
    for (body, is_covered) in [
        (with("", ""), true),
        (
            with(
                r#""tenant":"acme""#,
                r#""tenant":"acme","agent":null,"dimensions":null"#,
            ),
            true,
        ),
        (with(r#""name":"n""#, r#""name":"n","tags":null"#), true),
        (with(r#""name":"n""#, r#""name":null"#), false),
        (with(r#""tenant":"acme""#, r#""tenant":7"#), false),
        (with(r#""amount":5"#, r#""amount":null"#), false),
        (with("", "").replacen('{', r#"{"next_cursor":null,"#, 1), true),
        (with("", "").replacen('{', r#"{"next_cursor":5,"#, 1), false),
    ] {
        let left = uncovered("/v1/reservations", 200, &body);
        assert_eq!(left.is_empty(), is_covered, "{body}: {left:?}");
    }
    assert!(
        !uncovered("/v1/balances?tenant=acme", 400, "<html>").is_empty(),
        "an address like any other"
    );
}

fn parts(spec: &Spec, target: &str, status: u16, body: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let found = spec.answer(&request(target, "{}", &[]), &answer(status, body, headers));
    found.into_iter().map(|violation| violation.part).collect()
}

/// A `POST` if there is a body, else a `GET`.
fn request(target: &str, body: &str, headers: &[(&str, &str)]) -> Request<Bytes> {
    let mut request = Request::builder()
        .uri(target)
        .method(if body.is_empty() { "GET" } else { "POST" })
        .header("x-cycles-api-key", "key")
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    if !body.is_empty() {
        request
            .headers_mut()
            .insert("content-type", "application/json".parse().unwrap());
    }
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *answer.status_mut() = status.try_into().unwrap();
    answer
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}
