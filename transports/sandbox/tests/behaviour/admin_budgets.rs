//! Budgets on the admin plane: creating, funding, freezing and changing them.

use cycles_sandbox::{Budget, BudgetStatus, TenantStatus, Unit};
use serde_json::{Value, json};

use crate::common::{DAY_MS, Desk};
use crate::operator::{FREEZE, FUND, UNFREEZE, UPDATE, admin, budget, tokens};

#[test]
fn a_budget_is_made_in_lower_case_and_can_be_reserved_from() {
    let mut desk = Desk::inside();
    let mut body = budget("tenant:acme/agent:Bot", 500);
    body["overdraft_limit"] = tokens(50);
    body["rollover_policy"] = json!("NONE");
    let made = admin(&mut desk, "POST", "/v1/admin/budgets", &body);
    assert_eq!(made.status, 201);
    assert_eq!(made.body["scope"], "tenant:acme/agent:bot");
    assert_eq!(made.body["tenant_id"], "acme");
    assert_eq!(
        (made.amount("remaining"), made.amount("overdraft_limit")),
        (Some(500), Some(50))
    );
    assert_eq!(
        (&made.body["status"], &made.body["is_over_limit"]),
        (&json!("ACTIVE"), &json!(false))
    );
    assert_eq!(made.body["rollover_policy"], "NONE");
    let subject = json!({"subject": {"tenant": "acme", "agent": "Bot"}});
    assert_eq!(desk.reserve(100, &subject).status, 200);
    let twice = admin(&mut desk, "POST", "/v1/admin/budgets", &body);
    assert_eq!(twice.fault(), (409, "DUPLICATE_RESOURCE"));
}

#[test]
fn refusals_of_new_budgets() {
    let mut desk = Desk::inside();
    desk.ledger()
        .set_tenant_status("rival", TenantStatus::Suspended)
        .unwrap();
    let merged = |more: Value| {
        let mut body = budget("tenant:acme", 1);
        crate::common::merge(&mut body, &more);
        body
    };
    for (body, fault) in [
        (merged(json!({"scope": "agent:a"})), (400, "INVALID_REQUEST")),
        (
            merged(json!({"scope": "tenant:acme/agent:a/app:b"})),
            (400, "INVALID_REQUEST"),
        ),
        (
            merged(json!({"scope": "tenant:acme/florb:a"})),
            (400, "INVALID_REQUEST"),
        ),
        (
            merged(json!({"scope": "tenant:acme/agent:*"})),
            (400, "INVALID_REQUEST"),
        ),
        (
            merged(json!({"scope": "tenant:acme//agent:a"})),
            (400, "INVALID_REQUEST"),
        ),
        (merged(json!({"scope": "tenant:rival"})), (400, "INVALID_REQUEST")),
        (merged(json!({"tenant_id": null})), (400, "INVALID_REQUEST")),
        (merged(json!({"unit": "CREDITS"})), (400, "UNIT_MISMATCH")),
        (merged(json!({"unit": null})), (400, "INVALID_REQUEST")),
        (merged(json!({"allocated": tokens(-1)})), (400, "INVALID_REQUEST")),
        (
            merged(json!({"tenant_id": "none", "scope": "tenant:none"})),
            (404, "TENANT_NOT_FOUND"),
        ),
        (
            merged(json!({"tenant_id": "rival", "scope": "tenant:rival"})),
            (400, "INVALID_REQUEST"),
        ),
    ] {
        let refused = admin(&mut desk, "POST", "/v1/admin/budgets", &body);
        assert_eq!(refused.fault(), fault, "{body}");
    }
}

#[test]
fn funding_step_by_step() {
    let mut desk = Desk::inside_with_tokens(1_000);
    desk.event(300, &json!({}));
    desk.reserve(100, &json!({}));
    // Operation and amount, then allocated, remaining, reserved and spent.
    for (operation, amount, numbers) in [
        ("CREDIT", 500, (1_500, 1_100, 100, 300)),
        ("DEBIT", 100, (1_400, 1_000, 100, 300)),
        ("RESET", 600, (600, 200, 100, 300)),
        ("REPAY_DEBT", 10, (610, 210, 100, 300)),
        ("RESET_SPENT", 1_000, (1_000, 900, 100, 0)),
    ] {
        let before = desk.tokens("tenant:acme");
        let body = json!({"operation": operation, "amount": tokens(amount)});
        let funded = admin(&mut desk, "POST", FUND, &body);
        assert_eq!(funded.status, 200, "{}", funded.body);
        let after = desk.tokens("tenant:acme");
        assert_eq!(
            (after.allocated, after.remaining, after.reserved, after.spent),
            numbers
        );
        assert_eq!(funded.body["operation"], operation);
        assert_eq!(funded.amount("previous_remaining"), Some(before.remaining));
        assert_eq!(funded.amount("new_remaining"), Some(after.remaining));
        assert_eq!(funded.amount("new_spent"), Some(after.spent));
    }
    let body = json!({"operation": "RESET_SPENT", "amount": tokens(1_000), "spent": tokens(250)});
    assert_eq!(
        admin(&mut desk, "POST", FUND, &body).amount("new_remaining"),
        Some(650)
    );
    let body = json!({"operation": "DEBIT", "amount": tokens(651)});
    assert_eq!(
        admin(&mut desk, "POST", FUND, &body).fault(),
        (409, "BUDGET_EXCEEDED")
    );
}

#[test]
fn a_repeated_funding_key_pays_once() {
    let mut desk = Desk::inside_with_tokens(100);
    let body = json!({"operation": "CREDIT", "amount": tokens(7), "idempotency_key": "top-up"});
    for _ in 0..2 {
        assert_eq!(
            admin(&mut desk, "POST", FUND, &body).amount("new_allocated"),
            Some(107)
        );
    }
    let other = json!({"operation": "CREDIT", "amount": tokens(8), "idempotency_key": "top-up"});
    assert_eq!(
        admin(&mut desk, "POST", FUND, &other).fault(),
        (409, "IDEMPOTENCY_MISMATCH")
    );
    desk.pass(DAY_MS + 1);
    assert_eq!(
        admin(&mut desk, "POST", FUND, &body).amount("new_allocated"),
        Some(114)
    );
}

#[test]
fn refusals_of_funding() {
    let mut desk = Desk::inside_with_tokens(100);
    desk.ledger()
        .add_budget(Budget::new("tenant:rival", Unit::Tokens, 1));
    let credit = json!({"operation": "CREDIT", "amount": tokens(1)});
    let at = |query: &str| format!("/v1/admin/budgets/fund?{query}");
    for (query, body, fault) in [
        ("scope=tenant:acme&unit=TOKENS", &credit, (400, "INVALID_REQUEST")),
        ("tenant_id=acme&unit=TOKENS", &credit, (400, "INVALID_REQUEST")),
        (
            "tenant_id=acme&scope=tenant:acme&unit=GOLD",
            &credit,
            (400, "INVALID_REQUEST"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme&unit=CREDITS",
            &credit,
            (400, "UNIT_MISMATCH"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme/agent:x&unit=TOKENS",
            &credit,
            (404, "BUDGET_NOT_FOUND"),
        ),
        (
            "tenant_id=acme&scope=tenant:rival&unit=TOKENS",
            &credit,
            (403, "FORBIDDEN"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme&unit=TOKENS",
            &json!({"operation": "CREDIT", "amount": tokens(1), "spent": tokens(1)}),
            (400, "INVALID_REQUEST"),
        ),
        (
            "tenant_id=acme&scope=tenant:acme&unit=TOKENS",
            &json!({"amount": tokens(1)}),
            (400, "INVALID_REQUEST"),
        ),
    ] {
        let refused = admin(&mut desk, "POST", &at(query), body);
        assert_eq!(refused.fault(), fault, "{query}");
    }
    for (status, error) in [
        (BudgetStatus::Frozen, "BUDGET_FROZEN"),
        (BudgetStatus::Closed, "BUDGET_CLOSED"),
    ] {
        desk.ledger()
            .set_budget_status("tenant:acme", Unit::Tokens, status)
            .unwrap();
        assert_eq!(admin(&mut desk, "POST", FUND, &credit).fault(), (409, error));
    }
}

#[test]
fn freezing_and_unfreezing_once_each() {
    let mut desk = Desk::inside_with_tokens(100);
    let reason = json!({"reason": "audit"});
    let frozen = admin(&mut desk, "POST", FREEZE, &reason);
    assert_eq!((frozen.status, &frozen.body["status"]), (200, &json!("FROZEN")));
    assert_eq!(
        admin(&mut desk, "POST", FREEZE, &Value::Null).fault(),
        (409, "INVALID_REQUEST")
    );
    assert_eq!(desk.reserve(1, &json!({})).fault(), (409, "BUDGET_FROZEN"));
    assert_eq!(admin(&mut desk, "POST", UNFREEZE, &Value::Null).status, 200);
    assert_eq!(
        admin(&mut desk, "POST", UNFREEZE, &Value::Null).fault(),
        (409, "INVALID_REQUEST")
    );
    assert_eq!(desk.reserve(1, &json!({})).status, 200);
}

#[test]
fn a_changed_overdraft_limit_counts_from_the_next_commit_and_ends_an_over_limit() {
    let mut desk = Desk::inside_with_tokens(100);
    let overdraft = json!({"overage_policy": "ALLOW_WITH_OVERDRAFT"});
    let id = desk.reserve(100, &overdraft).id();
    assert_eq!(desk.commit(&id, 130, &json!({})).amount("charged"), Some(100));
    assert!(desk.tokens("tenant:acme").is_over_limit);
    let body = json!({"overdraft_limit": tokens(50), "commit_overage_policy": "REJECT"});
    let changed = admin(&mut desk, "PATCH", UPDATE, &body);
    assert_eq!(
        (changed.status, changed.amount("overdraft_limit")),
        (200, Some(50))
    );
    assert_eq!(changed.body["is_over_limit"], false);
    assert_eq!(desk.event(20, &overdraft).status, 201);
    assert_eq!(desk.tokens("tenant:acme").debt, 20);
}
