//! References to evidence: the answers that have them, and their replays.
//!
//! A live server has to be started with an identity, which other tests do not expect, so these tests need a separate
//! run: `CYCLES_EVIDENCE_SERVER_ID=… cargo test -p cycles-sandbox evidence::`.

use serde_json::{Value, json};

use cycles_sandbox::Unit;

use crate::common::{Answer, Budget, Desk, live, tally};

/// A desk with 100 tokens, on a server with an identity.
fn desk() -> Option<(Desk, String)> {
    let Some((server_id, signer_did)) = live::evidence_identity() else {
        tally::skipped("it needs a server with an evidence identity, named by CYCLES_EVIDENCE_SERVER_ID");
        return None;
    };
    let mut desk = Desk::with_tokens(100)?;
    if !desk.is_live() {
        desk.ledger().set_evidence_identity(&server_id, &signer_did);
    }
    Some((desk, format!("{}/evidence/", server_id.trim_end_matches('/'))))
}

/// Checks the reference in an answer, and returns its id.
fn evidence(answer: &Answer, base: &str) -> String {
    let reference = &answer.body["cycles_evidence"];
    let id = reference["evidence_id"]
        .as_str()
        .unwrap_or_else(|| panic!("none in {}", answer.body));
    assert!(
        id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        "{id}"
    );
    assert_eq!(
        *reference,
        json!({"evidence_id": id, "cycles_evidence_url": format!("{base}{id}")})
    );
    id.to_owned()
}

#[test]
fn decisions_and_settlements_refer_to_evidence_and_replays_to_the_same() {
    let Some((mut desk, base)) = desk() else { return };
    let id = desk.reserve(10, &Value::Null).id();
    let released = desk.reserve(10, &Value::Null).id();
    let calls = [
        ("/v1/decide".to_owned(), desk.costing("estimate", 5, &Value::Null)),
        (
            "/v1/decide".to_owned(),
            desk.costing("estimate", 500, &Value::Null),
        ),
        (
            "/v1/reservations".to_owned(),
            desk.costing("estimate", 5, &Value::Null),
        ),
        (
            "/v1/reservations".to_owned(),
            desk.costing("estimate", 5, &json!({"dry_run": true})),
        ),
        (
            "/v1/reservations".to_owned(),
            desk.costing("estimate", 500, &json!({"dry_run": true})),
        ),
        (
            format!("/v1/reservations/{id}/commit"),
            json!({"idempotency_key": "c", "actual": {"unit": "TOKENS", "amount": 3}}),
        ),
        (
            format!("/v1/reservations/{released}/release"),
            json!({"idempotency_key": "r"}),
        ),
    ];
    let mut seen = Vec::new();
    for (path, body) in calls {
        let first = desk.post(&path, &body);
        assert_eq!(first.status, 200, "{path}: {}", first.body);
        seen.push(evidence(&first, &base));
        assert_eq!(
            desk.post(&path, &body).body["cycles_evidence"],
            first.body["cycles_evidence"],
            "{path}"
        );
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7, "each has its own");
}

#[test]
fn refusals_about_budgets_and_states_have_new_evidence_each_time() {
    let Some((mut desk, base)) = desk() else { return };
    desk.add_budget(Budget::new("tenant:acme", Unit::Credits, 10));
    let id = desk.reserve(10, &Value::Null).id();
    let credits = json!({"actual": {"unit": "CREDITS", "amount": 1}});
    for _ in 0..2 {
        let refused = [
            desk.reserve(1_000, &json!({"idempotency_key": "same"})),
            desk.reserve(1, &json!({"estimate": {"unit": "RISK_POINTS", "amount": 1}})),
            desk.decide(1, &json!({"estimate": {"unit": "RISK_POINTS", "amount": 1}})),
            desk.commit(&id, 1, &credits),
        ];
        let mut ids: Vec<String> = refused.iter().map(|answer| evidence(answer, &base)).collect();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }
    desk.commit(&id, 1, &Value::Null);
    for finalized in [desk.commit(&id, 1, &Value::Null), desk.release(&id, &Value::Null)] {
        assert_eq!(finalized.fault(), (409, "RESERVATION_FINALIZED"));
        evidence(&finalized, &base);
    }
}

#[test]
fn the_signers_key_is_in_the_key_set() {
    let Some((mut desk, _)) = desk() else { return };
    let answer = desk.send("GET", "/v1/.well-known/cycles-jwks.json", &[], b"");
    assert_eq!(answer.header("cache-control"), Some("max-age=300, public"));
    let (_, signer_did) = live::evidence_identity().unwrap();
    let key = &answer.body["keys"][0];
    assert_eq!(key["kid"], signer_did[..16]);
    assert_eq!(key["x"].as_str().map(str::len), Some(43));
    assert_eq!(
        (&key["cycles_nbf_ms"], &key["status"]),
        (&json!(0), &json!("active"))
    );
}

#[test]
fn what_is_not_attested_refers_to_nothing() {
    let Some((mut desk, _)) = desk() else { return };
    let id = desk.reserve(10, &Value::Null).id();
    let key = json!({"idempotency_key": "once"});
    desk.decide(1, &key);
    let plain = [
        desk.extend(&id, 1_000, &Value::Null),
        desk.event(1, &Value::Null),
        desk.event(1_000, &json!({"overage_policy": "REJECT"})),
        desk.get("/v1/balances?tenant=acme"),
        desk.decide(2, &key),
        desk.reserve(-1, &Value::Null),
        desk.reserve(1, &json!({"subject": {"tenant": "rival"}})),
        desk.reserve(1, &json!({"subject": {"agent": "nomad"}})),
        desk.commit("nothing", 1, &Value::Null),
    ];
    for answer in plain {
        assert!(answer.body.get("cycles_evidence").is_none(), "{}", answer.body);
    }
    desk.release(&id, &Value::Null);
    assert!(
        desk.extend(&id, 1_000, &Value::Null)
            .body
            .get("cycles_evidence")
            .is_none()
    );
}

#[test]
fn a_reservation_shows_the_evidence_of_its_life_to_those_who_ask() {
    let Some((mut desk, _)) = desk() else { return };
    let made = desk.reserve(10, &Value::Null);
    let path = format!("/v1/reservations/{}", made.id());
    let reserve = &made.body["cycles_evidence"];
    assert_eq!(desk.get(&path).body["evidence"], json!({"reserve": reserve}));
    let commit = desk.commit(&made.id(), 1, &Value::Null).body["cycles_evidence"].clone();
    let both = json!({"reserve": reserve, "commit": commit});
    assert_eq!(desk.get(&path).body["evidence"], both);
    let row = |desk: &mut Desk, query: &str| {
        desk.get(&format!("/v1/reservations{query}")).body["reservations"][0].clone()
    };
    assert_eq!(row(&mut desk, "?include=evidence")["evidence"], both);
    assert!(row(&mut desk, "").get("evidence").is_none());
}
