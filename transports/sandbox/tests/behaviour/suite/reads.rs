//! Balances and the list of reservations: filters, order and pages.

use std::collections::BTreeSet;

use cycles_proto::time::UnixMillis;
use cycles_sandbox::Unit;
use serde_json::{Value, json};

use crate::common::{Answer, Budget, Desk};

fn paths(answer: &Answer) -> BTreeSet<String> {
    let rows = answer.body["balances"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", answer.body));
    rows.iter()
        .map(|row| {
            format!(
                "{} {}",
                row["scope_path"].as_str().unwrap(),
                row["spent"]["unit"].as_str().unwrap()
            )
        })
        .collect()
}

fn ids(answer: &Answer) -> Vec<String> {
    let rows = answer.body["reservations"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", answer.body));
    rows.iter()
        .map(|row| row["reservation_id"].as_str().unwrap().to_owned())
        .collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn balances_show_descendants_in_every_unit() {
    let Some(mut desk) = Desk::with_tokens(10) else {
        return;
    };
    desk.add_budget(Budget::new("tenant:acme/app:web/agent:bot", Unit::Credits, 1));
    desk.add_budget(Budget::new("tenant:acme/agent:bot", Unit::Tokens, 1));
    desk.add_budget(Budget::new("tenant:acme/agent:bottle", Unit::Tokens, 1));
    desk.add_budget(Budget::new("tenant:rival/agent:bot", Unit::Tokens, 1));
    let bots = [
        "tenant:acme/app:web/agent:bot CREDITS",
        "tenant:acme/agent:bot TOKENS",
    ];
    let all = [
        bots[0],
        bots[1],
        "tenant:acme TOKENS",
        "tenant:acme/agent:bottle TOKENS",
    ];
    let rows: [(&str, &[&str]); 7] = [
        ("tenant=acme", &all),
        ("tenant=acme&include_children=false", &all),
        ("agent=bot", &bots),
        ("agent=BOT", &bots),
        ("agent=bot&app=web", &bots[..1]),
        ("agent=nobody", &[]),
        ("tenant=", &[]),
    ];
    for (query, expected) in rows {
        let answer = desk.get(&format!("/v1/balances?{query}"));
        assert_eq!(paths(&answer), set(expected), "{query}");
        assert_eq!(
            (&answer.body["has_more"], &answer.body["next_cursor"]),
            (&json!(false), &Value::Null)
        );
    }
    let unknown = desk.get("/v1/balances?agent=nobody");
    assert_eq!(
        unknown.bytes,
        r#"{"balances":[],"has_more":false,"next_cursor":null}"#
    );
    for (query, status) in [
        ("", 400),
        ("?limit=0&tenant=acme", 400),
        ("?tenant=acme&cursor=junk", 500),
    ] {
        assert_eq!(
            desk.get(&format!("/v1/balances{query}")).status,
            status,
            "{query}"
        );
    }
}

#[test]
fn pages_of_balances_cover_each_budget_once() {
    let Some(mut desk) = Desk::new() else { return };
    for index in 0..10 {
        for tenant in ["acme", "rival"] {
            let scope = format!("tenant:{tenant}/agent:a{index}");
            desk.add_budget(Budget::new(&scope, Unit::Tokens, 1));
        }
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = desk.get(&format!("/v1/balances?tenant=acme&limit=3&cursor={cursor}"));
        seen.extend(paths(&answer));
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    // A scan of a store that grows meanwhile may return a budget twice.
    assert!(seen.len() == 10 || desk.is_live(), "{seen:?}");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 10);
}

/// Five reservations, some time apart: amounts 3 1 2 1 3, the second committed, the third released.
fn five() -> Option<(Desk, Vec<String>)> {
    let mut desk = Desk::with_tokens(100)?;
    let mut made = Vec::new();
    for (index, amount) in [3, 1, 2, 1, 3].into_iter().enumerate() {
        let more = json!({
            "idempotency_key": format!("create-{index}"),
            "subject": {"tenant": "acme", "agent": format!("Bot{}", index % 2)},
            "metadata": {"index": index},
            "ttl_ms": 600_000 - 1_000 * index,
        });
        made.push(desk.reserve(amount, &more).id());
        desk.pass(20);
    }
    desk.commit(&made[1], 1, &json!({"metadata": {"done": true}}));
    desk.release(&made[2], &Value::Null);
    Some((desk, made))
}

#[test]
fn lists_are_filtered_by_status_key_scope_and_time() {
    let Some((mut desk, made)) = five() else { return };
    let pick = |places: &[usize]| {
        places
            .iter()
            .map(|place| made[*place].clone())
            .collect::<BTreeSet<_>>()
    };
    let times: Vec<(u64, u64)> = made.iter().map(|id| desk.times(id)).collect();
    let time = |ms: u64| UnixMillis(ms).to_string();
    let an_hour_east = |ms: u64| {
        let local = UnixMillis(ms + 3_600_000).to_string();
        format!("{}%2B01:00", local.trim_end_matches('Z'))
    };
    let (second, third) = (times[1].0, times[2].0);
    let rows: [(String, &[usize]); 15] = [
        (String::new(), &[0, 1, 2, 3, 4]),
        ("tenant=acme".into(), &[0, 1, 2, 3, 4]),
        ("tenant=".into(), &[]),
        ("status=ACTIVE".into(), &[0, 3, 4]),
        ("status=COMMITTED".into(), &[1]),
        ("idempotency_key=create-3".into(), &[3]),
        ("idempotency_key=".into(), &[]),
        ("agent=bot1".into(), &[1, 3]),
        ("workspace=".into(), &[]),
        ("unknown=1&from=".into(), &[0, 1, 2, 3, 4]),
        (format!("from={}&to={}", time(second), time(third)), &[1, 2]),
        (format!("from={0}&to={0}", an_hour_east(second)), &[1]),
        (format!("expires_from={}", time(times[2].1)), &[0, 1, 2]),
        (format!("finalized_from={}", time(second)), &[1, 2]),
        (format!("finalized_to={}", time(second)), &[]),
    ];
    for (query, expected) in rows {
        let answer = desk.get(&format!("/v1/reservations?{query}"));
        assert_eq!(
            ids(&answer).into_iter().collect::<BTreeSet<_>>(),
            pick(expected),
            "{query}"
        );
    }
}

#[test]
fn faults_of_a_list_query_come_in_order() {
    let Some((mut desk, _)) = five() else { return };
    let rows = [
        (
            "limit=0&status=x",
            400,
            "Validation failed: limit: must be greater than or equal to 1",
        ),
        (
            "limit=201",
            400,
            "Validation failed: limit: must be less than or equal to 200",
        ),
        ("status=active&sort_by=x", 400, "Invalid status filter: active"),
        ("status=", 400, "Invalid status filter: "),
        ("sort_by=&sort_dir=x", 400, "Invalid sort_by: "),
        ("sort_dir=up&from=x", 400, "Invalid sort_dir: up"),
        ("from=2026-11-22&tenant=rival", 400, "Invalid from: 2026-11-22 is"),
        ("to=1795000000000", 400, "Invalid to: "),
        ("to=2026-11-22T10:00:00", 400, "Invalid to: "),
        (
            "from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z",
            400,
            "from must be less than or equal to to",
        ),
        ("to=2026-11-22T24:00:01Z", 400, "Invalid to: "),
        ("to=%2B999999999-12-31T23:59:59Z", 500, "Internal error"),
        ("expires_from=-999999999-01-01T00:00:00Z", 500, "Internal error"),
        ("to=12026-11-22T00:00:00Z", 400, "Invalid to: "),
        ("to=%202026-11-22T00:00:00Z", 400, "Invalid to: "),
        (
            "status=ACTIVE&status=ACTIVE",
            400,
            "Invalid status filter: ACTIVE,ACTIVE. ",
        ),
        ("limit=%20", 500, "Internal error"),
        ("limit=-0x1", 400, "Validation failed: limit: "),
        ("tenant=rival&cursor=junk", 403, ""),
        ("cursor=junk", 500, "Internal error"),
        ("cursor=-1", 200, ""),
        ("cursor=5x", 500, "Internal error"),
        (
            "cursor=5&sort_by=status",
            400,
            "cursor contains an invalid sorted-list boundary",
        ),
        (
            "cursor=junk&sort_by=status",
            400,
            "cursor contains an invalid sorted-list boundary",
        ),
    ];
    for (query, status, message) in rows {
        let answer = desk.get(&format!("/v1/reservations?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert!(
            answer.message().starts_with(message),
            "{query}: {}",
            answer.message()
        );
    }
    for fine in [
        "to=2026-11-22T10:00:00%2B01:00",
        "from=1999-02-28t10:00:00.123456789z",
        "to=2026-11-22T24:00:00Z",
        "to=2016-12-31T23:59:60-01:00:30",
        "to=-0001-01-01T00:00:00.Z",
        "to=%2B12026-01-01T00:00:00Z",
        "sort_by=STATUS&sort_dir=ASC",
        "limit=0x1F",
        "limit=%2B1%200",
        "limit=",
    ] {
        assert_eq!(
            desk.get(&format!("/v1/reservations?{fine}")).status,
            200,
            "{fine}"
        );
    }
}

#[test]
fn sorted_lists_break_ties_by_id_in_both_directions() {
    let Some((mut desk, made)) = five() else { return };
    let tied = |a: usize, b: usize| {
        let (a, b) = (made[a].clone(), made[b].clone());
        if a < b { [a, b] } else { [b, a] }
    };
    let (ones, threes) = (tied(1, 3), tied(0, 4));
    let descending = [&threes[..], &[made[2].clone()], &ones[..]].concat();
    let ascending = [&ones[..], &[made[2].clone()], &threes[..]].concat();
    assert_eq!(ids(&desk.get("/v1/reservations?sort_by=reserved")), descending);
    assert_eq!(
        ids(&desk.get("/v1/reservations?sort_by=reserved&sort_dir=asc")),
        ascending
    );
    let newest_first: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(ids(&desk.get("/v1/reservations?sort_dir=desc")), newest_first);
    assert_eq!(ids(&desk.get("/v1/reservations?sort_dir=asc")), made);
    for key in [
        "reservation_id",
        "tenant",
        "scope_path",
        "status",
        "expires_at_ms",
    ] {
        assert_eq!(
            ids(&desk.get(&format!("/v1/reservations?sort_by={key}"))).len(),
            5,
            "{key}"
        );
    }
}

#[test]
fn sorted_pages_are_exact_and_their_cursors_bound_to_the_question() {
    let Some((mut desk, made)) = five() else { return };
    for key in ["reserved", "created_at_ms", "status", "tenant"] {
        let whole = ids(&desk.get(&format!("/v1/reservations?sort_by={key}")));
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = desk.get(&format!("/v1/reservations?sort_by={key}&limit=2&cursor={cursor}"));
            seen.extend(ids(&page));
            let next = page.body["next_cursor"].as_str().map(str::to_owned);
            assert_eq!(page.body["has_more"], next.is_some());
            let Some(next) = next else { break };
            let unsorted = desk.get(&format!("/v1/reservations?limit=2&cursor={next}"));
            let sorted = desk.get(&format!(
                "/v1/reservations?sort_by={key}&limit=2&cursor={next}&include=metadata"
            ));
            assert_eq!(ids(&unsorted), ids(&sorted), "the cursor knows its order");
            for other in [
                "sort_by=expires_at_ms",
                "sort_dir=asc",
                "sort_by=reserved&status=ACTIVE",
            ] {
                let refused = desk.get(&format!("/v1/reservations?{other}&cursor={next}"));
                assert_eq!(refused.fault(), (400, "INVALID_REQUEST"), "{other}");
            }
            cursor = next;
        }
        assert_eq!(seen, whole, "{key}");
        assert_eq!(seen.len(), made.len());
    }
}

#[test]
fn a_cursor_knows_what_is_not_asked_for_and_is_bound_to_filters_as_they_were_sent() {
    let Some((mut desk, _)) = five() else { return };
    let first = desk.get("/v1/reservations?sort_by=reserved&sort_dir=asc&limit=2");
    let next = first.body["next_cursor"].as_str().unwrap().to_owned();
    let second = ids(&desk.get(&format!("/v1/reservations?limit=2&cursor={next}")));
    for (asked, is_the_same) in [
        ("sort_by=reserved", true),
        ("sort_dir=asc", true),
        ("sort_by=created_at_ms", false),
        ("sort_dir=desc", false),
    ] {
        let answer = desk.get(&format!("/v1/reservations?{asked}&limit=2&cursor={next}"));
        assert_eq!(answer.status, if is_the_same { 200 } else { 400 }, "{asked}");
        assert!(!is_the_same || ids(&answer) == second, "{asked}");
    }
    let blank = desk.get(&format!("/v1/reservations?limit=2&workspace=&cursor={next}"));
    assert_eq!(
        (blank.status, ids(&blank)),
        (200, Vec::new()),
        "it counts as absent there, and matches nothing"
    );
    let filtered = desk.get("/v1/reservations?sort_by=reserved&limit=1&tenant=acme&agent=bot0");
    let next = filtered.body["next_cursor"].as_str().unwrap();
    let other = desk.get(&format!(
        "/v1/reservations?sort_by=reserved&limit=1&tenant=acme&agent=BOT0&cursor={next}"
    ));
    assert_eq!(other.fault(), (400, "INVALID_REQUEST"));
}

#[test]
fn unsorted_pages_cover_each_match_once_and_may_end_with_an_empty_one() {
    let Some((mut desk, made)) = five() else { return };
    for (filter, expected) in [("", &made[..]), ("status=COMMITTED&", &made[1..2])] {
        for limit in 1..=5 {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = desk.get(&format!("/v1/reservations?{filter}limit={limit}&cursor={cursor}"));
                assert_eq!(page.body["has_more"], !page.body["next_cursor"].is_null());
                seen.extend(ids(&page));
                let Some(next) = page.body["next_cursor"].as_str() else {
                    break;
                };
                assert_eq!(ids(&page).len(), limit, "a page that promises more is full");
                cursor = next.to_owned();
            }
            seen.sort();
            if desk.is_live() {
                seen.dedup();
            }
            let mut all = expected.to_vec();
            all.sort();
            assert_eq!(seen, all, "{filter}limit={limit}");
        }
    }
}

#[test]
fn rows_show_metadata_only_on_request_and_the_charge_always() {
    let Some((mut desk, made)) = five() else { return };
    let plain = desk.get("/v1/reservations?status=COMMITTED").body["reservations"][0].clone();
    assert_eq!(plain["committed"], json!({"unit": "TOKENS", "amount": 1}));
    assert!(plain["finalized_at_ms"].as_u64() > plain["created_at_ms"].as_u64());
    assert!(plain.get("metadata").is_none() && plain.get("committed_metadata").is_none());
    let query = "/v1/reservations?status=COMMITTED&include=,Metadata,%20committed_metadata,other";
    let full = desk.get(query).body["reservations"][0].clone();
    assert_eq!(
        (&full["metadata"], &full["committed_metadata"]),
        (&json!({"index": 1}), &json!({"done": true}))
    );
    let detail = desk.get(&format!("/v1/reservations/{}", made[1]));
    assert_eq!(detail.body, full);
    let released = desk.get(&format!("/v1/reservations/{}", made[2])).body;
    assert!(released.get("committed").is_none() && released.get("finalized_at_ms").is_some());
}
