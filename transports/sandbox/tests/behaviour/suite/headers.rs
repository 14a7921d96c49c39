//! Headers, authentication and routing, as seen by any caller.

use cycles_proto::time::UnixMillis;
use cycles_sandbox::{KeyStatus, TenantStatus};
use serde_json::Value;

use crate::common::{ADMIN_KEY, Answer, ApiKey, Desk, KEY, START};

type Headers<'a> = &'a [(&'a str, &'a str)];

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn with_headers(headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-cycles-api-key", KEY)];
    all.extend_from_slice(headers);
    Desk::with_enough_tokens().send("GET", "/v1/balances?tenant=acme", &all, b"")
}

#[test]
fn ids_stand_in_headers_and_error_bodies_alike() {
    let mut desk = Desk::with_enough_tokens();
    let first = desk.get("/v1/nowhere");
    let second = desk.get("/v1/nowhere");
    assert_eq!(first.header("x-request-id").unwrap(), first.body["request_id"]);
    assert_eq!(first.header("x-cycles-trace-id").unwrap(), first.body["trace_id"]);
    assert_ne!(first.body["request_id"], second.body["request_id"]);
    let id = first.header("x-request-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
    assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
}

#[test]
fn the_trace_id_is_taken_from_the_caller_if_it_is_usable() {
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let other = "1".repeat(32);
    let rows: &[(Headers<'_>, Option<&str>)] = &[
        (&[("traceparent", &parent)], Some(TRACE)),
        (&[("traceparent", &parent.to_uppercase())], Some(TRACE)),
        (
            &[("traceparent", &parent), ("x-cycles-trace-id", &other)],
            Some(TRACE),
        ),
        (&[("x-cycles-trace-id", &TRACE.to_uppercase())], Some(TRACE)),
        (
            &[("traceparent", "junk"), ("x-cycles-trace-id", TRACE)],
            Some(TRACE),
        ),
        (&[("traceparent", &parent.replacen("00", "01", 1))], None),
        (
            &[(
                "traceparent",
                &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            )],
            None,
        ),
        (
            &[("traceparent", &format!("00-{TRACE}-0000000000000000-01"))],
            None,
        ),
        (&[("x-cycles-trace-id", &"0".repeat(32))], None),
        (&[("x-cycles-trace-id", "abc")], None),
        (&[], None),
    ];
    for (headers, expected) in rows {
        let answer = with_headers(headers);
        let trace = answer.header("x-cycles-trace-id").unwrap();
        assert_eq!(trace.len(), 32);
        match expected {
            Some(expected) => assert_eq!(trace, *expected, "{headers:?}"),
            None => assert!(trace != TRACE && trace != "0".repeat(32), "{headers:?}"),
        }
    }
}

#[test]
fn tenant_and_rate_limit_headers_appear_once_the_caller_is_known() {
    let Some(mut desk) = Desk::with_tokens(1) else {
        return;
    };
    for answer in [
        desk.get("/v1/balances?tenant=acme"),
        desk.get("/v1/nowhere"),
        desk.reserve(2, &Value::Null),
    ] {
        assert_eq!(answer.header("x-cycles-tenant"), Some("acme"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some("-1"));
        assert_eq!(answer.header("x-ratelimit-reset"), Some("0"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("retry-after"), None);
    }
    let unknown = desk.send("GET", "/v1/balances", &[], b"");
    assert_eq!(unknown.fault(), (401, "UNAUTHORIZED"));
    for absent in ["x-cycles-tenant", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert_eq!(unknown.header(absent), None, "{absent}");
    }
    assert_eq!(
        unknown.header("content-type"),
        Some("application/json;charset=UTF-8")
    );
}

#[test]
fn every_way_to_fail_authentication_has_its_reason() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_api_key(ApiKey::new("revoked-key-0001-x", "acme").status(KeyStatus::Revoked));
    desk.add_api_key(ApiKey::new("expired-key-0001-x", "acme").status(KeyStatus::Expired));
    desk.add_api_key(ApiKey::new("over-key-00000001-x", "acme").expires_at(UnixMillis(desk.now() - 1_000)));
    desk.add_api_key(ApiKey::new("nobody-key-00001-x", ""));
    desk.add_api_key(ApiKey::new("free-key-0000001-x", "no-record"));
    let rows = [
        ("", "Missing API key"),
        ("  ", "Missing API key"),
        ("unknown", "KEY_NOT_FOUND"),
        ("revoked-key-0001-x", "KEY_REVOKED"),
        ("expired-key-0001-x", "KEY_EXPIRED"),
        ("over-key-00000001-x", "KEY_EXPIRED"),
        ("cyc_live_acme_wrong", "INVALID_KEY"),
        ("nobody-key-00001-x", "KEY_NOT_OWNED_BY_TENANT"),
    ];
    for (key, reason) in rows {
        let answer = desk.send(
            "GET",
            "/v1/balances?tenant=acme",
            &[("x-cycles-api-key", key)],
            b"",
        );
        assert_eq!(
            (answer.fault(), answer.message()),
            ((401, "UNAUTHORIZED"), reason),
            "{key:?}"
        );
    }
    let free = [("x-cycles-api-key", "free-key-0000001-x")];
    assert_eq!(
        desk.send("GET", "/v1/balances?agent=a", &free, b"").status,
        200,
        "no record is no restriction"
    );
    for (status, reason) in [
        (TenantStatus::Suspended, "TENANT_SUSPENDED"),
        (TenantStatus::Closed, "TENANT_CLOSED"),
    ] {
        desk.set_tenant_status("acme", status);
        assert_eq!(desk.get("/v1/balances?tenant=acme").message(), reason);
    }
}

#[test]
fn what_has_no_route_is_a_server_error() {
    let Some(mut desk) = Desk::with_tokens(10) else {
        return;
    };
    let key = ("x-cycles-api-key", KEY);
    let body = desk.costing("estimate", 1, &Value::Null).to_string();
    let rows: [(&str, &str, Headers<'_>); 8] = [
        ("GET", "/v1/events", &[key]),
        ("PUT", "/v1/decide", &[key, ("content-type", "application/json")]),
        ("POST", "/v1/decide", &[key]),
        ("POST", "/v1/decide", &[key, ("content-type", "text/plain")]),
        (
            "POST",
            "/v1/decide/",
            &[key, ("content-type", "application/json")],
        ),
        ("GET", "/", &[key]),
        ("GET", "/v1/reservations?limit=ten", &[key]),
        ("GET", "/v1/balances?tenant=acme&include_children=maybe", &[key]),
    ];
    for (method, path, headers) in rows {
        let answer = desk.send(method, path, headers, body.as_bytes());
        assert_eq!(
            (answer.fault(), answer.message()),
            ((500, "INTERNAL_ERROR"), "Internal error"),
            "{method} {path}"
        );
    }
    let headers = [key, ("content-type", "application/json; charset=utf-8")];
    assert_eq!(
        desk.send("POST", "/v1/decide", &headers, body.as_bytes()).status,
        200
    );
}

#[test]
fn odd_addresses_are_refused_before_anybody_asks_who_calls() {
    let mut desk = Desk::with_enough_tokens();
    for path in [
        "/v1/x%2Fy",
        "/v1/x%5c",
        "/v1/%00",
        "/v1/%zz",
        "/v1/x%80",
        "/v1/x|y",
        "/v1/balances?agent={",
    ] {
        let answer = desk.send("GET", path, &[], b"");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("text/html;charset=utf-8")),
            "{path}"
        );
        assert_eq!(answer.header("x-request-id"), None);
    }
    for path in [
        "/v1/x;y",
        "/v1//decide",
        "/v1/./decide",
        "/v1/%2e%2e/decide",
        "/v1/x%25",
        "/v1/%0a",
    ] {
        let answer = desk.send("GET", path, &[], b"");
        assert_eq!((answer.status, answer.bytes.len()), (403, 0), "{path}");
        assert!(answer.header("x-request-id").is_some() && answer.header("content-type").is_none());
    }
}

#[test]
fn the_admin_key_counts_on_three_routes_only() {
    let Some(mut desk) = Desk::with_tokens(10) else {
        return;
    };
    if !desk.has_admin_key() {
        return;
    }
    let id = desk.reserve(1, &Value::Null).id();
    let admin = [("x-admin-api-key", ADMIN_KEY)];
    let get = desk.send("GET", &format!("/v1/reservations/{id}"), &admin, b"");
    assert_eq!((get.status, get.header("x-cycles-tenant")), (200, None));
    assert_eq!(
        desk.send("GET", "/v1/reservations?tenant=acme", &admin, b"")
            .status,
        200
    );
    assert_eq!(
        desk.send("GET", "/v1/reservations", &admin, b"").fault(),
        (400, "INVALID_REQUEST")
    );
    assert_eq!(
        desk.send("GET", "/v1/balances?tenant=acme", &admin, b"")
            .message(),
        "Missing API key"
    );
    let wrong = [("x-admin-api-key", "wrong"), ("x-cycles-api-key", KEY)];
    let refused = desk.send("GET", "/v1/reservations", &wrong, b"");
    assert_eq!(
        (refused.fault(), refused.message()),
        ((401, "UNAUTHORIZED"), "Invalid admin API key")
    );
    assert_eq!(
        desk.send("GET", "/v1/balances?tenant=acme", &wrong, b"").status,
        200
    );
}

#[test]
fn without_an_admin_key_of_its_own_the_server_fails_those_who_send_one() {
    let mut unset = cycles_sandbox::Ledger::new(1);
    let request = http::Request::get("/v1/reservations").header("x-admin-api-key", "x");
    let response = unset.handle(UnixMillis(START), &request.body(bytes::Bytes::new()).unwrap());
    assert_eq!(response.status(), 500);
}

#[test]
fn evidence_and_keys_that_nobody_published_are_404_without_a_key() {
    let mut desk = Desk::with_enough_tokens();
    let id = "ab".repeat(32);
    let path = format!("/v1/evidence/{id}");
    let missing = desk.send("GET", &path, &[], b"");
    assert_eq!(missing.fault(), (404, "NOT_FOUND"));
    assert_eq!(missing.message(), format!("Resource not found: {id}"));
    assert_eq!(
        desk.send("GET", "/v1/evidence/XYZ", &[], b"").fault(),
        (400, "INVALID_REQUEST")
    );
    let jwks = "/v1/.well-known/cycles-jwks.json";
    assert_eq!(
        desk.send("GET", jwks, &[], b"").message(),
        "Resource not found: cycles-jwks.json"
    );
}

#[test]
fn evidence_and_keys_are_served_as_published() {
    let mut desk = Desk::inside();
    let id = "ab".repeat(32);
    let path = format!("/v1/evidence/{id}");
    let jwks = "/v1/.well-known/cycles-jwks.json";
    // With unusual white space, which must be preserved.
    let envelope = include_str!("../../data/evidence/02-reserve-allow.json").replacen('{', "{ ", 1);
    desk.ledger().publish_evidence(id, envelope.clone());
    desk.ledger().publish_jwks(&b"{\"keys\":[]}"[..]);
    let found = desk.send("GET", &path, &[], b"");
    assert_eq!(found.bytes, envelope);
    assert_eq!(
        found.header("cache-control"),
        Some("max-age=31536000, public, immutable")
    );
    assert_eq!(
        desk.send("GET", jwks, &[], b"").header("cache-control"),
        Some("max-age=300, public")
    );
}

#[test]
fn public_paths_are_throttled_by_the_minute_and_say_when_to_come_back() {
    let mut desk = Desk::inside();
    desk.ledger().set_public_rate_limit(Some(2));
    desk.pass(20_000);
    let window_end = 1_795_000_020 / 60 * 60 + 60;
    let jwks = "/v1/.well-known/cycles-jwks.json";
    assert_eq!(desk.send("GET", jwks, &[], b"").status, 404);
    assert_eq!(
        desk.send("GET", jwks, &[], b"").header("x-ratelimit-remaining"),
        Some("-1")
    );
    let throttled = desk.send("GET", jwks, &[], b"");
    assert_eq!(throttled.fault(), (429, "LIMIT_EXCEEDED"));
    assert_eq!(throttled.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(
        throttled.header("x-ratelimit-reset").unwrap(),
        window_end.to_string()
    );
    assert_eq!(
        throttled.header("retry-after").unwrap(),
        (window_end - 1_795_000_020).to_string()
    );
    assert_eq!(
        desk.get("/v1/balances?tenant=acme").status,
        200,
        "authenticated calls are never throttled"
    );
    desk.pass((window_end - 1_795_000_020) * 1_000);
    assert_eq!(desk.send("GET", jwks, &[], b"").status, 404);
}

#[test]
fn probes_need_no_key() {
    let mut desk = Desk::with_enough_tokens();
    for path in ["/actuator/health/liveness", "/actuator/health/readiness"] {
        let answer = desk.send("GET", path, &[], b"");
        assert_eq!(
            (answer.status, answer.body["status"].as_str()),
            (200, Some("UP")),
            "{path}"
        );
        assert_eq!(answer.header("x-ratelimit-remaining"), None);
    }
    assert_eq!(
        desk.send("GET", "/actuator/info", &[], b"").message(),
        "Missing X-Admin-API-Key header"
    );
}

#[test]
fn the_sandbox_shows_its_health_to_everybody() {
    let answer = Desk::inside().send("GET", "/actuator/health", &[], b"");
    assert_eq!(answer.bytes, "{\"status\":\"UP\"}");
}
