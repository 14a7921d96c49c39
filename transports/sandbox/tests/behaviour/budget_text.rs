//! Budgets as text: the grammar, and the errors for anything else.

use cycles_sandbox::{Budget, BudgetStatus, Unit};
use serde_json::json;

use crate::common::Desk;

#[test]
fn budgets_that_can_be_written_as_text() {
    use BudgetStatus::{Active, Closed, Frozen};
    for (text, scope, unit, allocated, overdraft, status) in [
        (
            "tenant:acme=TOKENS:6000",
            "tenant:acme",
            Unit::Tokens,
            6_000,
            0,
            Active,
        ),
        (
            "tenant:Acme/agent:A1=CREDITS:0",
            "tenant:acme/agent:a1",
            Unit::Credits,
            0,
            0,
            Active,
        ),
        (
            "tenant:a/workspace:b/app:c/workflow:d/agent:e/toolset:f=RISK_POINTS:1",
            "tenant:a/workspace:b/app:c/workflow:d/agent:e/toolset:f",
            Unit::RiskPoints,
            1,
            0,
            Active,
        ),
        (
            "tenant:acme=TOKENS:1,overdraft=500",
            "tenant:acme",
            Unit::Tokens,
            1,
            500,
            Active,
        ),
        (
            "tenant:acme=TOKENS:1,status=FROZEN",
            "tenant:acme",
            Unit::Tokens,
            1,
            0,
            Frozen,
        ),
        (
            "tenant:acme=TOKENS:1,status=CLOSED,overdraft=2",
            "tenant:acme",
            Unit::Tokens,
            1,
            2,
            Closed,
        ),
        (
            "tenant:acme=USD_MICROCENTS:9223372036854775807",
            "tenant:acme",
            Unit::UsdMicrocents,
            i64::MAX,
            0,
            Active,
        ),
    ] {
        let budget: Budget = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((budget.scope(), budget.unit()), (scope, unit));
        let mut desk = Desk::inside();
        desk.ledger().add_budget(budget);
        let state = desk.ledger().budget(scope, unit).unwrap();
        assert_eq!(
            (state.allocated, state.overdraft_limit, state.status),
            (allocated, overdraft, status)
        );
    }
}

#[test]
fn caps_go_on_to_the_end_of_the_text() {
    let text = r#"tenant:acme=TOKENS:9,overdraft=1,caps={"max_tokens":50,"tool_denylist":["a,b"]}"#;
    let mut desk = Desk::inside();
    desk.ledger().add_budget(text.parse().unwrap());
    let decided = desk.decide(1, &json!({}));
    assert_eq!(decided.body["decision"], "ALLOW_WITH_CAPS");
    assert_eq!(
        decided.body["caps"],
        json!({"max_tokens": 50, "tool_denylist": ["a,b"]})
    );
}

#[test]
fn a_slip_of_the_pen_is_told_what_would_be_right() {
    for (text, hint) in [
        ("tenant:acme", "is not SCOPE=UNIT:AMOUNT"),
        ("", "is not SCOPE=UNIT:AMOUNT"),
        ("tenant:acme=TOKENS", "`TOKENS` is not UNIT:AMOUNT"),
        (
            "tenant:acme=tokens:5",
            "use USD_MICROCENTS, TOKENS, CREDITS, RISK_POINTS",
        ),
        (
            "tenant:acme=TOKENS:-5",
            "`-5` is not a whole number from 0 to 9223372036854775807",
        ),
        ("tenant:acme=TOKENS:+5", "`+5` is not a whole number"),
        ("tenant:acme=TOKENS:5k", "`5k` is not a whole number"),
        ("tenant:acme=TOKENS:9223372036854775808", "is not a whole number"),
        ("acme=TOKENS:5", "`acme` in `acme` is not of the form LEVEL:ID"),
        ("agent:a=TOKENS:5", "does not begin with tenant:ID"),
        (
            "tenant:acme/bot:a=TOKENS:5",
            "`bot` in `tenant:acme/bot:a` is not a level",
        ),
        (
            "tenant:acme/agent:a/app:b=TOKENS:5",
            "the order is tenant, workspace, app",
        ),
        ("tenant:acme/tenant:acme=TOKENS:5", "comes too late"),
        ("tenant:=TOKENS:5", "is not an id"),
        ("tenant:a b=TOKENS:5", "is not an id"),
        (
            "tenant:acme=TOKENS:5,limit=1",
            "`limit=1` is neither overdraft=N, status=STATUS nor caps=JSON",
        ),
        ("tenant:acme=TOKENS:5,", "`` is neither"),
        ("tenant:acme=TOKENS:5,overdraft=x", "`x` is not a whole number"),
        (
            "tenant:acme=TOKENS:5,overdraft=1,overdraft=2",
            "`overdraft` is given twice",
        ),
        ("tenant:acme=TOKENS:5,status=frozen", "use ACTIVE, FROZEN, CLOSED"),
        ("tenant:acme=TOKENS:5,caps={\"max\":1}", "is not valid caps"),
        ("tenant:acme=TOKENS:5,caps={},status=FROZEN", "is not valid caps"),
    ] {
        let error = text.parse::<Budget>().unwrap_err().to_string();
        assert!(error.contains(hint), "{text}: {error}");
    }
}
