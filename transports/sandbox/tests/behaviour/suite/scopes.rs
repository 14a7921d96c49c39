//! From subjects to scopes, and their visibility.

use cycles_sandbox::Unit;
use serde_json::{Value, json};

use crate::common::{Budget, Desk, OTHER_KEY};

#[test]
fn scopes_follow_the_order_of_levels_in_lower_case_and_skip_what_is_absent() {
    let rows = [
        (
            json!({"tenant": "acme", "agent": "Bot"}),
            vec!["tenant:acme", "tenant:acme/agent:bot"],
        ),
        (
            json!({"toolset": "T", "app": "A"}),
            vec!["app:a", "app:a/toolset:t"],
        ),
        (
            json!({"toolset": "6", "agent": "5", "workflow": "4", "app": "3", "workspace": "2", "tenant": "acme"}),
            vec![
                "tenant:acme",
                "tenant:acme/workspace:2",
                "tenant:acme/workspace:2/app:3",
                "tenant:acme/workspace:2/app:3/workflow:4",
                "tenant:acme/workspace:2/app:3/workflow:4/agent:5",
                "tenant:acme/workspace:2/app:3/workflow:4/agent:5/toolset:6",
            ],
        ),
    ];
    for (subject, scopes) in rows {
        let Some(mut desk) = Desk::with_tokens(10) else {
            return;
        };
        let answer = desk.decide(1, &json!({"subject": subject}));
        assert_eq!(answer.body["affected_scopes"], json!(scopes));
    }
}

#[test]
fn a_reservation_answers_with_all_scopes_and_the_balances_of_budgeted_ones() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_budget(Budget::new("tenant:acme/app:web", Unit::Tokens, 500).overdraft_limit(9));
    let subject = json!({"tenant": "acme", "app": "Web", "agent": "Bot", "dimensions": {"run": "1"}});
    let answer = desk.reserve(100, &json!({"subject": subject}));
    let id = answer.id();
    let expires = answer.body["expires_at_ms"].as_i64().unwrap();
    assert_eq!(
        std::str::from_utf8(&answer.bytes).unwrap(),
        format!(
            "{{\"decision\":\"ALLOW\",\"reservation_id\":\"{id}\",\"affected_scopes\":[\"tenant:acme\",\
             \"tenant:acme/app:web\",\"tenant:acme/app:web/agent:bot\"],\"expires_at_ms\":{expires},\
             \"remaining_ttl_ms\":60000,\"scope_path\":\"tenant:acme/app:web/agent:bot\",\
             \"reserved\":{{\"unit\":\"TOKENS\",\"amount\":100}},\"balances\":[{{\"scope\":\"app:web\",\
             \"scope_path\":\"tenant:acme/app:web\",\"remaining\":{{\"unit\":\"TOKENS\",\"amount\":400}},\
             \"reserved\":{{\"unit\":\"TOKENS\",\"amount\":100}},\"spent\":{{\"unit\":\"TOKENS\",\"amount\":0}},\
             \"allocated\":{{\"unit\":\"TOKENS\",\"amount\":500}},\
             \"overdraft_limit\":{{\"unit\":\"TOKENS\",\"amount\":9}}}}]}}"
        )
    );
    let read = desk.get(&format!("/v1/reservations/{id}"));
    assert_eq!(
        read.body["subject"],
        json!({"tenant": "acme", "workspace": null, "app": "Web", "workflow": null, "agent": "Bot",
               "toolset": null, "dimensions": {"run": "1"}})
    );
    assert_eq!(
        read.body["action"],
        json!({"kind": "llm.completion", "name": "m", "tags": null})
    );
}

#[test]
fn a_subject_without_tenant_is_not_given_one() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let agent = json!({"subject": {"agent": "nomad"}});
    assert_eq!(desk.reserve(1, &agent).fault(), (404, "NOT_FOUND"));
    desk.add_budget(Budget::new("agent:nomad", Unit::Tokens, 10));
    let id = desk.reserve(1, &agent).id();
    desk.key = OTHER_KEY;
    assert_eq!(
        desk.reserve(2, &agent).body["balances"][0]["reserved"]["amount"],
        3,
        "shared by every tenant"
    );
    assert_eq!(
        desk.commit(&id, 1, &Value::Null).fault(),
        (403, "FORBIDDEN"),
        "but owned by its maker"
    );
}

#[test]
fn another_tenants_name_is_forbidden_in_exactly_its_case() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    for name in ["rival", "Acme"] {
        let subject = json!({"subject": {"tenant": name}});
        assert_eq!(desk.reserve(1, &subject).fault(), (403, "FORBIDDEN"));
        assert_eq!(desk.decide(1, &subject).fault(), (403, "FORBIDDEN"));
        assert_eq!(desk.event(1, &subject).fault(), (403, "FORBIDDEN"));
    }
}

#[test]
fn another_tenants_reservation_is_403_and_an_unknown_one_404() {
    let Some(mut desk) = Desk::with_tokens(100) else {
        return;
    };
    let id = desk.reserve(1, &Value::Null).id();
    desk.key = OTHER_KEY;
    for (id, status) in [
        (id.as_str(), 403),
        ("00000000-0000-4000-8000-000000000000", 404),
        ("res_x", 404),
    ] {
        let answers = [
            desk.get(&format!("/v1/reservations/{id}")),
            desk.commit(id, 1, &Value::Null),
            desk.release(id, &Value::Null),
            desk.extend(id, 1, &Value::Null),
        ];
        for answer in answers {
            assert_eq!(answer.status, status, "{id}: {}", answer.body);
        }
    }
    assert_eq!(
        desk.get("/v1/reservations?tenant=acme").fault(),
        (403, "FORBIDDEN")
    );
    assert_eq!(desk.get("/v1/balances?tenant=acme").fault(), (403, "FORBIDDEN"));
    assert_eq!(desk.get("/v1/reservations").body["reservations"], json!([]));
}
