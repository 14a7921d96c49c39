//! The effect of commits and events on budgets under the three overage policies.

use cycles_sandbox::{BudgetStatus, Funding, OperatorError, OveragePolicy, Unit};
use serde_json::{Value, json};

use crate::common::{Budget, Desk, policy};

const REJECT: OveragePolicy = OveragePolicy::Reject;
const AIA: OveragePolicy = OveragePolicy::AllowIfAvailable;
const AWO: OveragePolicy = OveragePolicy::AllowWithOverdraft;
const TENANT: &str = "tenant:acme";

/// One reservation, committed on a single scope.
struct Row {
    allocated: i64,
    overdraft: i64,
    policy: OveragePolicy,
    reserve: i64,
    commit: i64,
    outcome: Result<i64, &'static str>,
    /// remaining, reserved, spent, debt
    after: (i64, i64, i64, i64),
    over_limit: bool,
    /// The answer that a reservation of 0 gets next.
    next: Option<&'static str>,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { allocated: 1000, overdraft: 0, policy: AIA, reserve: 100, commit: 40, outcome: Ok(40), after: (960, 0, 40, 0), over_limit: false, next: None },
    Row { allocated: 1000, overdraft: 0, policy: AIA, reserve: 100, commit: 100, outcome: Ok(100), after: (900, 0, 100, 0), over_limit: false, next: None },
    Row { allocated: 1000, overdraft: 0, policy: AIA, reserve: 100, commit: 0, outcome: Ok(0), after: (1000, 0, 0, 0), over_limit: false, next: None },
    Row { allocated: 1000, overdraft: 0, policy: REJECT, reserve: 100, commit: 101, outcome: Err("BUDGET_EXCEEDED"), after: (900, 100, 0, 0), over_limit: false, next: None },
    Row { allocated: 1000, overdraft: 0, policy: AIA, reserve: 100, commit: 300, outcome: Ok(300), after: (700, 0, 300, 0), over_limit: false, next: None },
    Row { allocated: 150, overdraft: 0, policy: AIA, reserve: 100, commit: 200, outcome: Ok(150), after: (0, 0, 150, 0), over_limit: true, next: Some("OVERDRAFT_LIMIT_EXCEEDED") },
    Row { allocated: 100, overdraft: 0, policy: AIA, reserve: 100, commit: 170, outcome: Ok(100), after: (0, 0, 100, 0), over_limit: true, next: Some("OVERDRAFT_LIMIT_EXCEEDED") },
    Row { allocated: 100, overdraft: 50, policy: AWO, reserve: 60, commit: 120, outcome: Ok(120), after: (-20, 0, 100, 20), over_limit: false, next: Some("BUDGET_EXCEEDED") },
    Row { allocated: 100, overdraft: 50, policy: AWO, reserve: 60, commit: 151, outcome: Err("OVERDRAFT_LIMIT_EXCEEDED"), after: (40, 60, 0, 0), over_limit: false, next: None },
    Row { allocated: 100, overdraft: 50, policy: AWO, reserve: 60, commit: 150, outcome: Ok(150), after: (-50, 0, 100, 50), over_limit: false, next: Some("BUDGET_EXCEEDED") },
    Row { allocated: 100, overdraft: 0, policy: AWO, reserve: 60, commit: 120, outcome: Ok(100), after: (0, 0, 100, 0), over_limit: true, next: Some("OVERDRAFT_LIMIT_EXCEEDED") },
    Row { allocated: i64::MAX, overdraft: 0, policy: AIA, reserve: i64::MAX, commit: i64::MAX, outcome: Ok(i64::MAX), after: (0, 0, i64::MAX, 0), over_limit: false, next: None },
];

#[test]
fn a_commit_on_one_scope_leaves_the_worked_numbers() {
    for (index, row) in ROWS.iter().enumerate() {
        let Some(mut desk) = Desk::new() else { return };
        desk.add_budget(Budget::new(TENANT, Unit::Tokens, row.allocated).overdraft_limit(row.overdraft));
        let id = desk.reserve(row.reserve, &policy(row.policy)).id();
        let answer = desk.commit(&id, row.commit, &Value::Null);
        match row.outcome {
            Ok(charged) => {
                assert_eq!(answer.status, 200, "row {index}: {}", answer.body);
                assert_eq!(answer.amount("charged"), Some(charged), "row {index}");
                let released = (charged < row.reserve).then_some(row.reserve - charged);
                assert_eq!(answer.amount("released"), released, "row {index}");
            }
            Err(code) => assert_eq!(answer.fault(), (409, code), "row {index}"),
        }
        assert_eq!(desk.numbers(TENANT), row.after, "row {index}");
        assert_eq!(desk.tokens(TENANT).is_over_limit, row.over_limit, "row {index}");
        let next = desk.reserve(0, &Value::Null);
        assert_eq!(next.body["error"].as_str(), row.next, "row {index}");
    }
}

#[test]
fn a_rejected_commit_can_be_repeated_with_the_same_key_and_less() {
    let Some(mut desk) = Desk::with_tokens(1000) else {
        return;
    };
    let id = desk.reserve(100, &policy(REJECT)).id();
    let key = json!({"idempotency_key": "settle"});
    assert_eq!(desk.commit(&id, 101, &key).fault(), (409, "BUDGET_EXCEEDED"));
    assert_eq!(desk.commit(&id, 100, &key).status, 200);
}

/// Parent and child budgets, each as (allocated, overdraft limit).
fn parent_and_child(parent: (i64, i64), child: (i64, i64)) -> Option<Desk> {
    let mut desk = Desk::new()?;
    for (scope, (allocated, limit)) in [(TENANT, parent), ("tenant:acme/agent:bot", child)] {
        desk.add_budget(Budget::new(scope, Unit::Tokens, allocated).overdraft_limit(limit));
    }
    Some(desk)
}

#[test]
fn capping_takes_the_minimum_of_all_scopes_and_flags_only_the_short_ones() {
    let Some(mut desk) = parent_and_child((150, 0), (1000, 0)) else {
        return;
    };
    let bot = json!({"subject": {"tenant": "acme", "agent": "bot"}});
    let id = desk.reserve(100, &bot).id();
    assert_eq!(desk.commit(&id, 200, &Value::Null).amount("charged"), Some(150));
    assert_eq!(desk.numbers(TENANT), (0, 0, 150, 0));
    assert_eq!(desk.numbers("tenant:acme/agent:bot"), (850, 0, 150, 0));
    assert!(desk.tokens(TENANT).is_over_limit);
    assert!(!desk.tokens("tenant:acme/agent:bot").is_over_limit);
    assert_eq!(desk.reserve(0, &bot).fault(), (409, "OVERDRAFT_LIMIT_EXCEEDED"));
}

#[test]
fn a_scope_without_overdraft_caps_what_its_child_would_borrow() {
    let Some(mut desk) = parent_and_child((150, 0), (100, 100)) else {
        return;
    };
    let more =
        json!({"subject": {"tenant": "acme", "agent": "bot"}, "overage_policy": "ALLOW_WITH_OVERDRAFT"});
    let id = desk.reserve(100, &more).id();
    assert_eq!(desk.commit(&id, 200, &Value::Null).amount("charged"), Some(150));
    assert_eq!(desk.numbers(TENANT), (0, 0, 150, 0));
    assert_eq!(desk.numbers("tenant:acme/agent:bot"), (-50, 0, 100, 50));
    assert!(desk.tokens(TENANT).is_over_limit);
    assert!(!desk.tokens("tenant:acme/agent:bot").is_over_limit);
}

#[test]
fn two_overdrafts_add_up_and_a_release_does_not_repay_them() {
    for settle_second_by_release in [false, true] {
        let Some(mut desk) = Desk::new() else { return };
        desk.add_budget(Budget::new(TENANT, Unit::Tokens, 100).overdraft_limit(100));
        let first = desk.reserve(40, &policy(AWO)).id();
        let second = desk.reserve(40, &policy(AWO)).id();
        assert_eq!(desk.commit(&first, 90, &Value::Null).amount("charged"), Some(90));
        assert_eq!(desk.numbers(TENANT), (-30, 40, 60, 30));
        if settle_second_by_release {
            assert_eq!(desk.release(&second, &Value::Null).amount("released"), Some(40));
            assert_eq!(desk.numbers(TENANT), (10, 0, 60, 30));
            assert_eq!(
                desk.reserve(10, &Value::Null).status,
                200,
                "debt below the limit does not block"
            );
        } else {
            assert_eq!(desk.commit(&second, 60, &Value::Null).amount("charged"), Some(60));
            assert_eq!(desk.numbers(TENANT), (-50, 0, 100, 50));
        }
        assert!(!desk.tokens(TENANT).is_over_limit);
    }
}

#[test]
fn commits_go_through_on_scopes_that_are_over_limit() {
    let Some(mut desk) = Desk::with_tokens(300) else {
        return;
    };
    let (first, second) = (
        desk.reserve(100, &Value::Null).id(),
        desk.reserve(100, &Value::Null).id(),
    );
    assert_eq!(desk.event(101, &Value::Null).amount("charged"), Some(100));
    desk.credit(TENANT, 0);
    assert!(
        !desk.tokens(TENANT).is_over_limit,
        "any funding recomputes the flag"
    );
    assert_eq!(desk.event(1, &Value::Null).amount("charged"), Some(0));
    assert!(desk.tokens(TENANT).is_over_limit);
    assert_eq!(desk.commit(&first, 50, &Value::Null).amount("charged"), Some(50));
    assert_eq!(
        desk.commit(&second, 500, &Value::Null).amount("charged"),
        Some(150)
    );
    assert_eq!(desk.numbers(TENANT), (0, 0, 300, 0));
    assert!(desk.tokens(TENANT).is_over_limit);
}

#[test]
fn settlement_succeeds_on_frozen_and_closed_budgets() {
    for status in [BudgetStatus::Frozen, BudgetStatus::Closed] {
        let Some(mut desk) = Desk::with_tokens(1000) else {
            return;
        };
        let ids: Vec<String> = (0..3).map(|_| desk.reserve(100, &Value::Null).id()).collect();
        desk.set_budget_status(TENANT, Unit::Tokens, status);
        assert_eq!(desk.extend(&ids[0], 1_000, &Value::Null).status, 200);
        assert_eq!(
            desk.commit(&ids[0], 300, &Value::Null).amount("charged"),
            Some(300)
        );
        assert_eq!(desk.release(&ids[1], &Value::Null).status, 200);
        assert_eq!(
            desk.reserve(1, &Value::Null).body["error"],
            format!("BUDGET_{}", status.name())
        );
        assert_eq!(
            desk.event(1, &Value::Null).body["error"],
            format!("BUDGET_{}", status.name())
        );
    }
}

#[test]
fn a_budget_that_is_not_active_is_not_funded() {
    let mut desk = Desk::inside();
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, 10).status(BudgetStatus::Frozen));
    let funding = desk.ledger().fund(TENANT, Unit::Tokens, Funding::Credit(1));
    assert_eq!(funding, Err(OperatorError::NotActive));
}

#[test]
fn events_are_charged_by_the_same_rules() {
    // allocated, limit, policy, amount -> outcome (charged as shown), numbers, over-limit
    let rows = [
        (100, 0, AIA, 200, Ok(Some(100)), (0, 0, 100, 0), true),
        (100, 0, AIA, 100, Ok(None), (0, 0, 100, 0), false),
        (100, 50, AWO, 120, Ok(None), (-20, 0, 100, 20), false),
        (
            100,
            50,
            AWO,
            151,
            Err("OVERDRAFT_LIMIT_EXCEEDED"),
            (100, 0, 0, 0),
            false,
        ),
        (100, 0, AWO, 120, Ok(Some(100)), (0, 0, 100, 0), true),
        (100, 0, REJECT, 100, Ok(None), (0, 0, 100, 0), false),
        (100, 0, REJECT, 101, Err("BUDGET_EXCEEDED"), (100, 0, 0, 0), false),
    ];
    for (index, (allocated, limit, overage, amount, outcome, after, over_limit)) in
        rows.into_iter().enumerate()
    {
        let Some(mut desk) = Desk::new() else { return };
        desk.add_budget(Budget::new(TENANT, Unit::Tokens, allocated).overdraft_limit(limit));
        let answer = desk.event(amount, &policy(overage));
        match outcome {
            Ok(charged) => {
                assert_eq!(
                    (answer.status, answer.amount("charged")),
                    (201, charged),
                    "row {index}"
                );
                assert_eq!(answer.body["status"], "APPLIED");
            }
            Err(code) => assert_eq!(answer.fault(), (409, code), "row {index}"),
        }
        assert_eq!(desk.numbers(TENANT), after, "row {index}");
        assert_eq!(desk.tokens(TENANT).is_over_limit, over_limit, "row {index}");
    }
}

#[test]
fn an_event_is_capped_by_its_poorest_scope() {
    let Some(mut desk) = parent_and_child((50, 0), (950, 0)) else {
        return;
    };
    let bot = json!({"subject": {"tenant": "acme", "agent": "bot"}});
    assert_eq!(desk.event(100, &bot).amount("charged"), Some(50));
    assert_eq!(desk.numbers(TENANT), (0, 0, 50, 0));
    assert_eq!(desk.numbers("tenant:acme/agent:bot"), (900, 0, 50, 0));
    assert!(desk.tokens(TENANT).is_over_limit && !desk.tokens("tenant:acme/agent:bot").is_over_limit);
}

#[test]
fn an_event_in_the_red_charges_nothing_and_flags_the_scope() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, 100).overdraft_limit(10));
    desk.event(105, &policy(AWO));
    assert_eq!(desk.numbers(TENANT), (-5, 0, 100, 5));
    assert_eq!(desk.event(3, &Value::Null).amount("charged"), Some(0));
    assert_eq!(desk.numbers(TENANT), (-5, 0, 100, 5));
    assert!(desk.tokens(TENANT).is_over_limit);
}

#[test]
fn an_event_of_nothing_in_the_red_leaves_the_flag_alone_and_meets_debt_beyond_the_limit() {
    for (debt, limit, status) in [(20, 50, 201), (60, 50, 409)] {
        let Some(mut desk) = Desk::new() else { return };
        desk.add_budget(
            Budget::new(TENANT, Unit::Tokens, 0)
                .overdraft_limit(limit)
                .debt(debt),
        );
        assert_eq!(desk.event(0, &Value::Null).status, 201);
        assert!(!desk.tokens(TENANT).is_over_limit);
        assert_eq!(
            desk.event(0, &policy(AWO)).status,
            status,
            "debt {debt} of {limit}"
        );
    }
}

#[test]
fn debt_blocks_new_reservations_only_where_no_overdraft_is_allowed() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, 100).overdraft_limit(50));
    desk.event(120, &policy(AWO));
    desk.credit(TENANT, 100);
    assert_eq!(desk.tokens(TENANT).debt, 20);
    assert_eq!(desk.reserve(1, &Value::Null).status, 200);
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, 100).debt(20));
    assert_eq!(desk.reserve(1, &Value::Null).fault(), (409, "DEBT_OUTSTANDING"));
    assert_eq!(
        desk.decide(1, &Value::Null).body["reason_code"],
        "DEBT_OUTSTANDING"
    );
    assert_eq!(desk.event(1, &Value::Null).status, 201);
}

#[test]
fn repaying_debt_credits_what_is_left_over() {
    let mut desk = Desk::inside();
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, 200).debt(20));
    let state = desk
        .ledger()
        .fund(TENANT, Unit::Tokens, Funding::RepayDebt(30))
        .unwrap();
    assert_eq!((state.debt, state.allocated, state.remaining), (0, 210, 210));
}

#[test]
fn amounts_stay_exact_up_to_the_end_of_64_bits() {
    let Some(mut desk) = Desk::new() else { return };
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, i64::MAX).overdraft_limit(i64::MAX));
    assert_eq!(desk.event(i64::MAX, &policy(AWO)).status, 201);
    assert_eq!(desk.event(i64::MAX, &policy(AWO)).status, 201);
    assert_eq!(desk.numbers(TENANT), (-i64::MAX, 0, i64::MAX, i64::MAX));
    assert_eq!(
        desk.event(1, &policy(AWO)).fault(),
        (409, "OVERDRAFT_LIMIT_EXCEEDED")
    );
    let balances = desk.get("/v1/balances?tenant=acme");
    assert_eq!(
        balances.body["balances"][0]["debt"]["amount"],
        json!(9_223_372_036_854_775_807_i64)
    );
}

#[test]
fn a_funding_beyond_64_bits_is_refused() {
    let mut desk = Desk::inside();
    desk.add_budget(Budget::new(TENANT, Unit::Tokens, i64::MAX));
    let funding = desk.ledger().fund(TENANT, Unit::Tokens, Funding::Credit(1));
    assert_eq!(funding, Err(OperatorError::OutOfRange));
}
