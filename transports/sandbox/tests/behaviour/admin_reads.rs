//! What the admin plane shows: tenants, keys and budgets, listed with filters and looked up.

use cycles_sandbox::{ApiKey, Budget, Unit};
use serde_json::{Value, json};

use crate::common::{DAY_MS, Desk, KEY, OTHER_KEY};
use crate::operator::{
    FREEZE, LOOKUP, READER, admin, budget, column, five_budgets, five_tenants, get, get_as,
};

#[test]
fn a_tenant_reads_as_it_was_made() {
    let mut desk = Desk::inside();
    let body = json!({"tenant_id": "acme-corp", "name": "Acme", "metadata": {"tier": "1"}});
    let made = admin(&mut desk, "POST", "/v1/admin/tenants", &body);
    let read = get(&mut desk, "/v1/admin/tenants/acme-corp");
    assert_eq!((read.status, &read.bytes), (200, &made.bytes));
    let missing = get(&mut desk, "/v1/admin/tenants/nobody");
    assert_eq!(missing.fault(), (404, "TENANT_NOT_FOUND"));
}

#[test]
fn tenants_are_listed_with_the_youngest_first() {
    let mut desk = five_tenants();
    let listed = get(&mut desk, "/v1/admin/tenants");
    assert_eq!(
        column(&listed, "tenants", "tenant_id"),
        ["acme", "rival", "theta", "eta", "zeta"],
        "those without a time come first in a descending list"
    );
    assert_eq!(
        listed.body["tenants"][2],
        get(&mut desk, "/v1/admin/tenants/theta").body
    );
    assert_eq!(listed.body["has_more"], false);
    assert_eq!(listed.body.get("next_cursor"), None);
}

#[test]
fn tenants_are_found_and_sorted_by_what_the_query_says() {
    let mut desk = five_tenants();
    let closed = json!({"status": "CLOSED"});
    assert_eq!(
        admin(&mut desk, "PATCH", "/v1/admin/tenants/eta", &closed).status,
        200
    );
    for (query, ids) in [
        ("status=CLOSED", vec!["eta"]),
        ("status=SUSPENDED", vec![]),
        ("status=", vec!["acme", "rival", "theta", "eta", "zeta"]),
        ("parent_tenant_id=zeta", vec!["theta", "eta"]),
        ("parent_tenant_id=zeta&status=ACTIVE", vec!["theta"]),
        ("parent_tenant_id=", vec![]),
        ("observe_mode=any", vec!["acme", "rival", "theta", "eta", "zeta"]),
        ("search=%20bLuE%20", vec!["theta", "zeta"]),
        (
            "search=eta&sort_by=tenant_id&sort_dir=asc",
            vec!["eta", "theta", "zeta"],
        ),
        ("search=eta&sort_by=tenant_id", vec!["zeta", "theta", "eta"]),
        (
            "sort_by=name&sort_dir=ASC",
            vec!["zeta", "theta", "eta", "acme", "rival"],
        ),
        ("sort_by=status", vec!["eta", "acme", "rival", "theta", "zeta"]),
        ("sort_by=created_at&sort_dir=asc&limit=2", vec!["zeta", "eta"]),
    ] {
        let listed = get(&mut desk, &format!("/v1/admin/tenants?{query}"));
        assert_eq!(column(&listed, "tenants", "tenant_id"), ids, "{query}");
    }
}

#[test]
fn keys_are_listed_without_their_secrets() {
    let mut desk = Desk::inside();
    let body = json!({
        "tenant_id": "acme", "name": "dev", "description": "of a developer", "scope_filter": ["agent:*"],
        "permissions": ["budgets:read"], "metadata": {"team": 1},
    });
    let made = admin(&mut desk, "POST", "/v1/admin/api-keys", &body);
    let secret = made.body["key_secret"].as_str().unwrap();
    let listed = get(&mut desk, "/v1/admin/api-keys?tenant_id=acme&search=dev");
    let expected = json!({
        "key_id": made.body["key_id"], "tenant_id": "acme", "key_prefix": secret[..14], "status": "ACTIVE",
        "created_at": "2026-11-18T11:06:40Z", "expires_at": "2027-02-16T11:06:40Z", "name": "dev",
        "description": "of a developer", "permissions": ["budgets:read"], "scope_filter": ["agent:*"],
        "metadata": {"team": 1},
    });
    assert_eq!(listed.body, json!({"keys": [expected], "has_more": false}));

    desk.ledger().add_api_key(ApiKey::new("short", "acme"));
    for path in ["/v1/admin/api-keys", "/v1/admin/api-keys?tenant_id=acme"] {
        let listed = get(&mut desk, path);
        let text = String::from_utf8_lossy(&listed.bytes);
        for secret in [secret, KEY, OTHER_KEY, "short"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn keys_are_found_and_sorted_by_what_the_query_says() {
    let mut desk = Desk::inside();
    for (tenant, name) in [("acme", "one"), ("rival", "two"), ("acme", "three")] {
        let body = json!({"tenant_id": tenant, "name": name});
        assert_eq!(admin(&mut desk, "POST", "/v1/admin/api-keys", &body).status, 201);
        desk.pass(DAY_MS);
    }
    let all = get(&mut desk, "/v1/admin/api-keys?sort_dir=asc");
    let id = |row: usize| all.body["keys"][row]["key_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/admin/api-keys/{}", id(2));
    assert_eq!(admin(&mut desk, "DELETE", &path, &Value::Null).status, 200);
    for (query, names) in [
        ("", vec!["null", "null", "three", "two", "one"]),
        ("tenant_id=acme", vec!["null", "three", "one"]),
        ("tenant_id=%20", vec!["null", "null", "three", "two", "one"]),
        ("tenant_id=nobody", vec![]),
        ("status=REVOKED", vec!["three"]),
        ("status=EXPIRED", vec![]),
        ("search=TWO", vec!["two"]),
        ("search=t&sort_by=name&sort_dir=asc", vec!["three", "two"]),
        (
            "sort_by=expires_at&sort_dir=asc&limit=3",
            vec!["one", "two", "three"],
        ),
        ("sort_by=tenant_id&search=o", vec!["two", "one"]),
        ("sort_by=status&limit=1", vec!["three"]),
    ] {
        let listed = get(&mut desk, &format!("/v1/admin/api-keys?{query}"));
        assert_eq!(column(&listed, "keys", "name"), names, "{query}");
    }
    let by_id = get(&mut desk, &format!("/v1/admin/api-keys?search={}", id(0)));
    assert_eq!(column(&by_id, "keys", "name"), ["one"]);
}

#[test]
fn keys_that_were_set_up_without_the_admin_plane_have_ids_by_which_they_can_be_revoked() {
    let mut desk = Desk::inside();
    let listed = get(&mut desk, "/v1/admin/api-keys?tenant_id=acme");
    assert_eq!(listed.body["keys"][0]["created_at"], Value::Null);
    let id = listed.body["keys"][0]["key_id"].as_str().unwrap();
    let path = format!("/v1/admin/api-keys/{id}");
    assert_eq!(admin(&mut desk, "DELETE", &path, &Value::Null).status, 200);
    assert_eq!(desk.get("/v1/balances?tenant=acme").message(), "KEY_REVOKED");
    assert_eq!(
        get(&mut desk, "/v1/admin/api-keys?tenant_id=acme").body["keys"][0]["status"],
        "REVOKED"
    );
}

#[test]
fn a_budget_reads_as_it_stands() {
    let mut desk = Desk::inside();
    let mut body = budget("tenant:acme", 500);
    body["rollover_policy"] = json!("NONE");
    admin(&mut desk, "POST", "/v1/admin/budgets", &body);
    desk.reserve(100, &json!({}));
    desk.event(30, &json!({}));
    let frozen = admin(&mut desk, "POST", FREEZE, &Value::Null);
    let read = get(&mut desk, &LOOKUP.replace("acme", "ACME"));
    assert_eq!((read.status, &read.bytes), (200, &frozen.bytes));
    assert_eq!(
        ["allocated", "remaining", "reserved", "spent", "debt"].map(|member| read.amount(member)),
        [500, 370, 100, 30, 0].map(Some)
    );
    let listed = get(&mut desk, "/v1/admin/budgets");
    assert_eq!(listed.body, json!({"ledgers": [read.body], "has_more": false}));
}

#[test]
fn budgets_that_were_set_up_without_the_admin_plane_keep_their_ids() {
    let ids = || {
        let mut desk = Desk::inside_with_tokens(5);
        desk.ledger()
            .add_budget(Budget::new("tenant:acme", Unit::Credits, 5));
        let first = column(&get(&mut desk, "/v1/admin/budgets"), "ledgers", "ledger_id");
        desk.ledger()
            .add_budget(Budget::new("tenant:acme", Unit::Credits, 6));
        let second = column(&get(&mut desk, "/v1/admin/budgets"), "ledgers", "ledger_id");
        assert_eq!(first, second);
        first
    };
    let first = ids();
    assert_eq!((first.len(), first[0].len()), (2, 36));
    assert_ne!(first[0], first[1]);
    assert_eq!(first, ids());
}

#[test]
fn budgets_are_found_and_sorted_by_what_the_query_says() {
    let mut desk = five_budgets();
    desk.event(
        5,
        &json!({"subject": {"tenant": "acme", "agent": "b"}, "overage_policy": "ALLOW_WITH_OVERDRAFT"}),
    );
    // The event took 5 of the tenant, too, and agent:b owes 5.
    let (acme, a, b, c) = (
        "tenant:acme",
        "tenant:acme/agent:a",
        "tenant:acme/agent:b",
        "tenant:acme/app:c",
    );
    let rival = "tenant:rival";
    for (query, scopes) in [
        ("tenant_id=acme", vec![acme, c, a, b]),
        ("tenant_id=nobody", vec![]),
        ("scope_prefix=tenant:acme/a", vec![c, a, b]),
        ("scope_prefix=tenant:ACME", vec![]),
        ("unit=CREDITS", vec![]),
        ("status=ACTIVE&unit=TOKENS&tenant_id=rival", vec![rival]),
        ("status=FROZEN", vec![]),
        ("has_debt=true", vec![b]),
        ("has_debt=no&search=AGENT", vec![a]),
        ("over_limit=1", vec![]),
        ("over_limit=off&search=rival", vec![rival]),
        ("has_debt=%20&search=rival", vec![rival]),
        ("utilization_min=0.5", vec![acme, c]),
        ("utilization_max=0.5&utilization_min=0.2", vec![c, a]),
        ("utilization_max=0&tenant_id=acme", vec![b]),
        ("sort_by=scope&sort_dir=asc", vec![acme, a, b, c, rival]),
        ("sort_by=tenant_id&limit=1", vec![rival]),
        ("sort_by=debt&limit=1", vec![b]),
        ("sort_by=commit_overage_policy&sort_dir=asc&limit=1", vec![rival]),
    ] {
        let listed = get(&mut desk, &format!("/v1/admin/budgets?{query}"));
        assert_eq!(column(&listed, "ledgers", "scope"), scopes, "{query}");
    }
    desk.ledger()
        .add_budget(Budget::new(acme, Unit::UsdMicrocents, 1));
    desk.ledger()
        .add_budget(Budget::new(acme, Unit::Credits, 1).over_limit(true));
    let by_unit = get(
        &mut desk,
        "/v1/admin/budgets?sort_by=unit&scope_prefix=tenant:acme&search=acme",
    );
    assert_eq!(column(&by_unit, "ledgers", "unit")[0], "USD_MICROCENTS");
    let over_limit = get(&mut desk, "/v1/admin/budgets?over_limit=yes");
    assert_eq!(column(&over_limit, "ledgers", "unit"), ["CREDITS"]);
}

#[test]
fn look_ups_of_budgets_that_are_refused() {
    let mut desk = five_budgets();
    for (query, fault) in [
        ("unit=TOKENS", (400, "INVALID_REQUEST")),
        ("scope=tenant:acme", (400, "INVALID_REQUEST")),
        ("scope=tenant:acme&unit=", (400, "INVALID_REQUEST")),
        ("scope=tenant:acme&unit=GOLD", (400, "INVALID_REQUEST")),
        ("scope=tenant:acme&unit=CREDITS", (404, "BUDGET_NOT_FOUND")),
        ("scope=tenant:acme/agent:z&unit=TOKENS", (404, "BUDGET_NOT_FOUND")),
        ("scope=&unit=TOKENS", (404, "BUDGET_NOT_FOUND")),
    ] {
        let path = format!("/v1/admin/budgets/lookup?{query}");
        assert_eq!(get(&mut desk, &path).fault(), fault, "{query}");
        assert_eq!(get_as(&mut desk, READER, &path).fault(), fault, "{query}");
    }
}
