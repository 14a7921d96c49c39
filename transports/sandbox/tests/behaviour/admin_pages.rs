//! The pages of the admin plane's lists, and the queries that no list understands.

use cycles_sandbox::Tenant;
use serde_json::json;

use crate::common::Desk;
use crate::operator::{admin, column, five_budgets, five_tenants, get, tenant};

/// One member of each row of all pages, of which each but the last must be full. `path` has a query.
fn all_pages(desk: &mut Desk, path: &str, limit: usize, rows: &str, member: &str) -> Vec<String> {
    let mut cells = Vec::new();
    let mut page = get(desk, &format!("{path}&limit={limit}"));
    loop {
        let found = column(&page, rows, member);
        cells.extend_from_slice(&found);
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            assert_eq!(page.body["has_more"], false);
            return cells;
        };
        assert_eq!((&page.body["has_more"], found.len()), (&json!(true), limit));
        let next = format!("{path}&limit={limit}&cursor={}", cursor.replace('|', "%7C"));
        page = get(desk, &next);
    }
}

#[test]
fn pages_of_any_size_show_every_row_once() {
    let mut desk = five_budgets();
    for (id, name) in [("zeta", "Z"), ("eta", "Same"), ("theta", "Same")] {
        tenant(&mut desk, id, name, json!({}));
        let body = json!({"tenant_id": id, "name": "key"});
        assert_eq!(admin(&mut desk, "POST", "/v1/admin/api-keys", &body).status, 201);
    }
    for (path, rows, member, count) in [
        ("/v1/admin/tenants?sort_by=name", "tenants", "tenant_id", 5),
        (
            "/v1/admin/tenants?status=ACTIVE&sort_dir=asc",
            "tenants",
            "tenant_id",
            5,
        ),
        ("/v1/admin/api-keys?sort_by=name", "keys", "key_id", 6),
        ("/v1/admin/api-keys?tenant_id=acme", "keys", "key_id", 2),
        ("/v1/admin/budgets?sort_by=unit", "ledgers", "ledger_id", 5),
        (
            "/v1/admin/budgets?tenant_id=acme&sort_by=debt",
            "ledgers",
            "ledger_id",
            4,
        ),
    ] {
        let whole = all_pages(&mut desk, path, 100, rows, member);
        assert_eq!(whole.len(), count, "{path}");
        for limit in 1..=count {
            assert_eq!(
                all_pages(&mut desk, path, limit, rows, member),
                whole,
                "{path} {limit}"
            );
        }
    }
}

#[test]
fn a_cursor_across_tenants_names_the_tenant_and_one_within_a_tenant_does_not() {
    let mut desk = five_budgets();
    let whole = get(&mut desk, "/v1/admin/budgets");
    let first = whole.body["ledgers"][0]["ledger_id"].as_str().unwrap();
    let across = get(&mut desk, "/v1/admin/budgets?limit=1");
    assert_eq!(across.body["next_cursor"], format!("acme|{first}"));
    let within = get(&mut desk, "/v1/admin/budgets?tenant_id=acme&limit=1");
    assert_eq!(within.body["next_cursor"], first);
    let after = column(
        &get(&mut desk, &format!("/v1/admin/budgets?cursor={first}")),
        "ledgers",
        "scope",
    );
    assert_eq!(after.len(), 4, "the tenant may be missing");
    let tenants = get(&mut desk, "/v1/admin/tenants?limit=1");
    assert_eq!(tenants.body["next_cursor"], "acme");
}

#[test]
fn a_cursor_is_good_for_the_filters_that_it_came_with() {
    let mut desk = five_tenants();
    let page = get(&mut desk, "/v1/admin/tenants?search=eta&limit=1");
    assert_eq!(page.body["next_cursor"], "theta");
    let other = get(&mut desk, "/v1/admin/tenants?search=red&cursor=theta");
    assert_eq!(other.fault(), (400, "INVALID_REQUEST"));
}

#[test]
fn a_limit_outside_its_range_is_the_nearest_one_inside() {
    let mut desk = Desk::inside();
    for place in 0..101 {
        desk.ledger().add_tenant(Tenant::new(format!("tenant-{place}")));
    }
    for (query, count) in [
        ("", 50),
        ("limit=", 50),
        ("limit=0", 1),
        ("limit=-7", 1),
        ("limit=1000", 100),
        ("limit=0x10", 16),
    ] {
        let listed = get(&mut desk, &format!("/v1/admin/tenants?{query}"));
        assert_eq!(column(&listed, "tenants", "tenant_id").len(), count, "{query}");
    }
}

#[test]
fn queries_that_no_list_understands_are_refused() {
    let mut desk = five_budgets();
    let long = format!("search={}", "x".repeat(129));
    for path in ["/v1/admin/tenants", "/v1/admin/api-keys", "/v1/admin/budgets"] {
        for query in [
            "status=active",
            "limit=many",
            "limit=1.5",
            "sort_by=colour",
            "sort_by=TENANT_ID",
            "sort_dir=down",
            "sort_dir=",
            "cursor=nobody",
            "cursor=acme%7Cnobody",
            "search=acme&cursor=zzz",
            &long,
        ] {
            let refused = get(&mut desk, &format!("{path}?{query}"));
            assert_eq!(refused.fault(), (400, "INVALID_REQUEST"), "{path}?{query}");
        }
        for query in [&format!("search=%20{}%20", "x".repeat(128)), "status=%20"] {
            assert_eq!(get(&mut desk, &format!("{path}?{query}")).status, 200, "{query}");
        }
    }
    for query in [
        "unit=tokens",
        "over_limit=maybe",
        "has_debt=2",
        "utilization_min=much",
        "utilization_min=-0.1",
        "utilization_max=1.01",
        "utilization_max=NaN",
        "utilization_min=0.6&utilization_max=0.5",
    ] {
        let refused = get(&mut desk, &format!("/v1/admin/budgets?{query}"));
        assert_eq!(refused.fault(), (400, "INVALID_REQUEST"), "{query}");
    }
}
