//! Sums and the text of the statistics. What is counted when is in the tests of the session.

use super::*;
use crate::time::UnixMillis;

fn stats() -> Stats {
    let acme = TenantStats {
        tenant: Some("acme".into()),
        reserved: 3,
        denied: Denials([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        committed: 1,
        live: 2,
        pending: 1,
        oldest_pending: Some(Duration::from_millis(1_500)),
        held: Amounts([0, 7, 0, 0]),
        charged: Amounts([250, 5, 0, 0]),
        shadow: ShadowStats {
            allowed: 4,
            denied: Denials([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            unknown: 1,
            actuals: Amounts([0, 70, 0, 0]),
            ..ShadowStats::default()
        },
        ..TenantStats::default()
    };
    let nobody = TenantStats {
        reserved: 1,
        charged: Amounts([50, 0, 0, 0]),
        ..TenantStats::default()
    };
    Stats {
        calls_in_flight: 4,
        tenants: vec![acme, nobody],
    }
}

#[test]
fn the_text_for_prometheus_has_a_line_for_each_number_of_each_tenant() {
    let text = stats().to_prometheus();
    for line in [
        "# TYPE cycles_reserved_total counter",
        r#"cycles_reserved_total{tenant="acme"} 3"#,
        r#"cycles_reserved_total{tenant=""} 1"#,
        r#"cycles_denied_total{tenant="acme",reason="BUDGET_EXCEEDED"} 2"#,
        r#"cycles_denied_total{tenant="acme",reason="OTHER"} 1"#,
        r#"cycles_charged_total{tenant="acme",unit="USD_MICROCENTS"} 250"#,
        r#"cycles_charged_total{tenant="acme",unit="TOKENS"} 5"#,
        r#"cycles_shadow_allowed_total{tenant="acme"} 4"#,
        r#"cycles_shadow_denied_total{tenant="acme",reason="BUDGET_EXCEEDED"} 2"#,
        r#"cycles_shadow_actuals_total{tenant="acme",unit="TOKENS"} 70"#,
        "# TYPE cycles_held gauge",
        r#"cycles_held{tenant="acme",unit="TOKENS"} 7"#,
        r#"cycles_pending_costs{tenant="acme"} 1"#,
        r#"cycles_oldest_pending_cost_seconds{tenant="acme"} 1"#,
        r#"cycles_oldest_pending_cost_seconds{tenant=""} 0"#,
        "cycles_calls_in_flight 4",
    ] {
        assert_eq!(text.lines().filter(|it| *it == line).count(), 1, "{line}\n{text}");
    }
    // Each metric has one head, before its samples.
    let mut known = std::collections::BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(head) => assert!(known.insert(head.split(' ').next().unwrap().to_owned()), "{line}"),
            None if line.starts_with('#') => {}
            None => {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(known.contains(name), "{line}");
            }
        }
    }
}

#[test]
fn a_tenant_cannot_break_out_of_its_label() {
    let mut stats = stats();
    stats.tenants[0].tenant = Some("a\"} 1\nb\\".into());
    let text = stats.to_prometheus();
    assert!(
        text.contains(r#"cycles_live_reservations{tenant="a\"} 1\nb\\"} 2"#),
        "{text}"
    );
}

#[test]
fn the_total_is_the_sum_over_all_tenants() {
    let total = stats().total();
    assert_eq!((total.reserved, total.denied.total(), total.live), (4, 3, 2));
    assert_eq!(total.charged.of(&Unit::UsdMicrocents), 300);
    assert_eq!(
        (total.shadow.actions(), total.shadow.actuals.of(&Unit::Tokens)),
        (7, 70)
    );
    assert_eq!(total.charged.of(&Unit::from("GOLD")), 0);
    assert_eq!(total.oldest_pending, Some(Duration::from_millis(1_500)));
    assert_eq!(
        stats()
            .tenant("acme")
            .unwrap()
            .denied
            .of(&DecisionReasonCode::BudgetExceeded),
        2
    );
    assert!(stats().tenant("other").is_none());
}

#[test]
fn two_keys_of_one_tenant_count_as_one() {
    let (first, second, other) = (
        Counters::of(Some("acme".into())),
        Counters::of(Some("acme".into())),
        Counters::of(None),
    );
    first.follow_with(&second);
    second.follow_with(&other);
    for counters in [&first, &second, &second] {
        counters.charge(&Amount::tokens(5));
    }
    let live = Live::new(&first);
    let stats = live.snapshot(UnixMillis(0));
    assert_eq!(stats.tenants.len(), 2, "{stats:?}");
    assert_eq!(stats.tenant("acme").unwrap().charged.of(&Unit::Tokens), 15);
}
