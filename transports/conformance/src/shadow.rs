//! Shadow mode: actions run whatever the ledger says, what would have happened is told, and the ledger and the journal
//! know nothing of it.

use std::time::Duration;

use cycles_proto::config::Mode;
use cycles_proto::models::{Amount, DecisionReasonCode, Unit};
use cycles_proto::run::{RunConfig, Step};
use cycles_proto::with_cycles_config::{OnError, WithCyclesConfig};
use cycles_proto::{Error, Event, Receipt};
use serde_json::Value;

use super::test_setup::{TestSetup, commit, request};
use super::{ActionFailed, Adapter, Client as _, Guard as _, Metering, Run as _};

fn tokens(amount: i64) -> Amount {
    Amount::tokens(amount)
}

fn shadow<A: Adapter>() -> TestSetup<A> {
    TestSetup::with(|config| config.mode(Mode::Shadow))
}

/// Runs an action that costs this much, and asserts that it is charged nothing.
fn act<A: Adapter>(setup: &TestSetup<A>, config: WithCyclesConfig, cost: i64) {
    let (value, receipt) = setup
        .client
        .with_config(config, |_| Ok(("value", tokens(cost))))
        .unwrap();
    assert_eq!(value, "value");
    let receipt = receipt.unwrap();
    assert!(matches!(&receipt, Receipt::Shadow { actual, .. } if *actual == tokens(cost)));
    assert!(receipt.is_settled() && receipt.charged().is_none());
}

fn config(estimate: i64) -> WithCyclesConfig {
    WithCyclesConfig::new(tokens(estimate)).action("llm.completion", "gpt-4o")
}

/// What the last events of shadowed actions say, as JSON, once there are this many.
fn told<A: Adapter>(setup: &TestSetup<A>, actions: usize) -> Vec<Value> {
    let shadowed = || {
        let mut events = setup.events();
        events.retain(|event| matches!(event, Event::Shadowed { .. }));
        events
    };
    setup.wait_until("all shadowed actions are told", || shadowed().len() == actions);
    let events = shadowed();
    events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect()
}

/// Asserts that the ledger has no reservation and no charge, and that nothing was written to the journal.
#[track_caller]
fn assert_untouched<A: Adapter>(setup: &TestSetup<A>) {
    assert!(setup.files("").is_empty(), "{:?}", setup.files(""));
    setup.assert_spent(0);
    assert_eq!(setup.events_applied(), 0);
    for request in setup.seen() {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        assert_eq!(request.uri().path(), "/v1/reservations", "{body}");
        assert!(body.contains(r#""dry_run":true"#), "{body}");
    }
    let total = setup.client.stats().total();
    assert_eq!((total.reserved, total.committed, total.released), (0, 0, 0));
    assert_eq!((total.live, total.pending, total.unrecorded), (0, 0, 0));
    assert_eq!((total.denied.total(), total.not_reserved), (0, 0));
    setup.flush_everything();
}

pub fn in_shadow_mode_a_denied_action_runs_and_its_denial_is_told_beside_its_cost<A: Adapter>() {
    let setup = shadow::<A>();
    act(&setup, config(i64::MAX), 42);
    let [denied] = told(&setup, 1).try_into().unwrap();
    assert_eq!(denied["decision"], "DENY", "{denied}");
    assert_eq!(denied["reason"], "BUDGET_EXCEEDED", "{denied}");
    assert_eq!(denied["affected_scopes"][0], "tenant:acme-corp", "{denied}");
    assert_eq!(denied["estimate"]["amount"], i64::MAX, "{denied}");
    assert_eq!(denied["actual"]["amount"], 42, "{denied}");
    assert_eq!(denied["decision_is_independent"], true, "{denied}");
    // Two that do not fit together are both allowed: nothing is held between them.
    let allocated = setup.budget().allocated;
    for _ in 0..2 {
        let guard = setup.client.reserve(request(allocated)).unwrap();
        assert!(guard.reservation_id().as_str().starts_with("shadow-"));
        guard.extend(60_000).unwrap();
        assert!(guard.commit(commit(1)).unwrap().is_shadow());
    }
    for event in &told(&setup, 3)[1..] {
        assert_eq!(event["decision"], "ALLOW", "{event}");
    }
    let shadowed = setup.client.stats().total().shadow;
    assert_eq!((shadowed.allowed, shadowed.unknown), (2, 0));
    assert_eq!(shadowed.denied.of(&DecisionReasonCode::BudgetExceeded), 1);
    assert_eq!(shadowed.actuals.of(&Unit::Tokens), 44);
    let text = setup.client.stats().to_prometheus();
    let line = "cycles_shadow_denied_total{tenant=\"acme-corp\",reason=\"BUDGET_EXCEEDED\"} 1\n";
    assert!(text.contains(line), "{text}");
    let started = setup.events();
    let started = started
        .iter()
        .filter(|event| matches!(event, Event::ShadowStarted { .. }));
    assert_eq!(started.count(), 1);
    assert_untouched(&setup);
}

pub fn in_shadow_mode_an_outage_blocks_nothing_and_is_told_as_unknown<A: Adapter>() {
    let setup = shadow::<A>();
    setup.inject("reserve:503@1");
    act(&setup, config(10), 1);
    let [failed] = told(&setup, 1).try_into().unwrap();
    assert_eq!(
        (&failed["decision"], &failed["actual"]["amount"]),
        (&"UNKNOWN".into(), &1.into())
    );
    assert_untouched(&setup);
    setup.kill_server();
    act(&setup, config(10), 3);
    let gone = told(&setup, 2).remove(1);
    assert_eq!(gone["decision"], "UNKNOWN", "{gone}");
    assert!(gone["error"].is_string(), "{gone}");
    assert_eq!(setup.client.stats().total().shadow.unknown, 2);
    assert!(setup.records().is_empty());

    // A server that takes its time holds up neither the action nor a flush.
    let setup = shadow::<A>();
    setup.inject("reserve:delay=6s@1");
    act(&setup, config(10), 2);
    setup.flush_everything();
    let told = setup.events();
    let told = told
        .iter()
        .filter(|event| matches!(event, Event::Shadowed { .. }));
    assert_eq!(told.count(), 0, "nobody waited for the answer");
}

pub fn in_shadow_mode_the_key_of_an_action_is_not_used_up<A: Adapter>() {
    let setup = shadow::<A>();
    let config = |estimate| config(estimate).idempotency_key("shadow-order-17".into());
    act(&setup, config(i64::MAX), 3);
    assert_eq!(told(&setup, 1)[0]["decision"], "DENY");
    assert_untouched(&setup);
    // The same key, enforced: no denial sticks to it, and the ledger takes the cost.
    let enforced = config(100).mode(Mode::Enforce);
    let (_, receipt) = setup
        .client
        .with_config(enforced, |_| Ok(((), tokens(3))))
        .unwrap();
    assert!(matches!(receipt.unwrap(), Receipt::Committed(_)));
    setup.flush_everything();
    setup.assert_spent(3);
    let keys: Vec<_> = setup
        .seen()
        .iter()
        .filter(|request| request.uri().path() == "/v1/reservations")
        .map(|request| {
            request.headers()["x-idempotency-key"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_ne!(keys[0], "shadow-order-17");
    assert_eq!(keys[1], "shadow-order-17");
}

pub fn an_action_can_be_pinned_to_a_mode_whatever_the_mode_of_its_client<A: Adapter>() {
    let setup = shadow::<A>();
    let pinned = WithCyclesConfig::new(tokens(i64::MAX)).mode(Mode::Enforce);
    let denied = setup
        .client
        .with_config(pinned, |_| Ok(((), tokens(1))))
        .unwrap_err();
    assert!(denied.is_denied(), "{denied}");
    let denied = setup
        .client
        .run(RunConfig::new(tokens(i64::MAX)).mode(Mode::Enforce))
        .unwrap_err();
    assert!(denied.is_denied(), "{denied}");
    let enforcing = TestSetup::<A>::new();
    act(&enforcing, config(i64::MAX).mode(Mode::Shadow), 1);
    assert!(
        enforcing
            .client
            .reserve(request(i64::MAX))
            .is_err_and(|error| error.is_denied())
    );
    assert_eq!(told(&enforcing, 1)[0]["decision"], "DENY");
    enforcing.assert_spent(0);
    let total = enforcing.client.stats().total();
    assert_eq!((total.denied.total(), total.shadow.denied.total()), (1, 1));
}

pub fn in_shadow_mode_every_end_of_an_action_says_what_it_would_have_cost<A: Adapter>() {
    let setup = shadow::<A>();
    let client = &setup.client;
    let failed = |config: WithCyclesConfig, act: fn(&dyn super::Action)| {
        let failed = client.with_config(config, |context| -> Result<((), Amount), _> {
            act(context);
            Err(ActionFailed)
        });
        assert!(matches!(failed, Err(Error::Action(_))), "{failed:?}");
    };
    // The answers may come in any order, so each has an estimate of its own.
    failed(config(101), |_| {});
    failed(config(102), |context| context.spent(&tokens(7)).unwrap());
    failed(config(103), |context| context.dispatched_durably().unwrap());
    let on_hold = config(104).on_error(OnError::Hold);
    failed(on_hold, |context| context.dispatched());
    client.cut_off(config(105), |context| context.dispatched());
    let dropped = client.reserve(request(106)).unwrap();
    dropped.spent(&tokens(8)).unwrap();
    drop(dropped);
    let released = client.reserve(request(107)).unwrap().release("not needed");
    assert!(released.unwrap(), "there is nothing to release");
    let metering = Metering {
        take: 2,
        stop_at: None,
        panics: false,
    };
    let items = vec![Ok(4), Ok(5), Ok(6)];
    let consumed = client.reserve(request(108)).unwrap().meter(items, metering);
    assert!(consumed.settled.unwrap().unwrap().is_shadow());
    let mut costs: Vec<_> = told(&setup, 8)
        .iter()
        .map(|event| {
            let source = event["source"].as_str().map(str::to_owned);
            (
                event["estimate"]["amount"].as_i64().unwrap(),
                event["actual"]["amount"].as_i64(),
                source,
            )
        })
        .collect();
    costs.sort_unstable();
    let text = |source: &str| Some(source.to_owned());
    let expected = [
        (101, None, None),
        (102, Some(7), text("partial")),
        (103, Some(103), text("estimate")),
        (104, None, None),
        (105, Some(105), text("estimate")),
        (106, Some(8), text("partial")),
        (107, None, None),
        (108, Some(9), text("partial")),
    ];
    assert_eq!(costs, expected);
    assert_untouched(&setup);
}

pub fn a_run_in_shadow_mode_reports_exhaustion_and_never_fails<A: Adapter>() {
    let setup = shadow::<A>();
    let run = setup
        .client
        .run(RunConfig::new(tokens(100)).action("agent.run", "research"))
        .unwrap();
    let step = |estimate, cost| {
        run.step(Step::new(tokens(estimate)).name("search"), tokens(cost), |_| {
            Ok(())
        })
    };
    step(60, 60).unwrap();
    let (kept, left_of_kept, left) = run
        .keep_and_step(tokens(70), tokens(80).into(), tokens(30))
        .unwrap();
    kept.unwrap();
    assert!(
        left_of_kept.amount >= 0 && left.amount >= 0,
        "{left_of_kept} {left}"
    );
    step(50, 50).unwrap();
    assert_eq!(run.left(), tokens(0));
    assert!(!run.is_lost());
    let receipt = run.finish().unwrap().unwrap();
    assert!(matches!(receipt, Receipt::Shadow { actual, .. } if actual == tokens(140)));
    let [ended] = told(&setup, 1).try_into().unwrap();
    assert_eq!(
        (&ended["actual"]["amount"], &ended["exhausted"]),
        (&140.into(), &3.into()),
        "{ended}"
    );
    let exhausted = setup.events();
    let exhausted = exhausted
        .iter()
        .filter(|event| matches!(event, Event::ShadowExhausted { .. }));
    assert_eq!(exhausted.count(), 3);
    assert_untouched(&setup);
}

pub fn in_shadow_mode_a_flush_waits_shortly_for_what_would_have_been_decided<A: Adapter>() {
    let setup = shadow::<A>();
    setup.inject("reserve:delay=300ms@1");
    act(&setup, config(10), 1);
    setup.client.flush(Duration::from_secs(30)).unwrap();
    let shadowed = setup.client.stats().total().shadow;
    assert_eq!((shadowed.allowed, shadowed.unknown), (1, 0));
    setup.assert_spent(0);
}
