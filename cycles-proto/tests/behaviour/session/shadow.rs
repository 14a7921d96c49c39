//! Shadow mode: actions run at once whatever the ledger says, nothing is held or charged, and one event says what would
//! have been decided and what the action cost.

use std::time::Duration;

use cycles_proto::journal::JournalWrite;
use cycles_proto::models::*;
use cycles_proto::outcome::{ActualSource, ReleaseReason};
use cycles_proto::session::{Caller, ReservationKey};
use cycles_proto::stats::{ShadowStats, TenantStats};
use cycles_proto::with_cycles_config::OnError;
use cycles_proto::{CyclesConfig, Error, Event, FailureKind, InvalidCommit, Mode, Receipt};
use serde_json::{Value, json};

use super::desk::{Desk, Fate, config, is_transport, request};

/// A desk whose caller is in shadow mode.
pub(super) fn desk() -> Desk {
    Desk::with(config().with_mode(Mode::Shadow).into())
}

pub(super) fn asks_for(tokens: i64) -> ReservationCreateRequest {
    let mut request = request();
    request.estimate = Amount::tokens(tokens);
    request
}

/// An action that asks for this much. It may run before the session was polled.
pub(super) fn begin(desk: &mut Desk, tokens: i64) -> ReservationKey {
    let caller = desk.caller.clone();
    let key = desk.reserve_as(&caller, asks_for(tokens));
    let (id, response) = desk.session.granted(key).unwrap().unwrap();
    assert!(id.as_str().starts_with("shadow-"), "{id}");
    assert!(response.decision.is_allowed() && response.reserved.is_none());
    key
}

/// What the last events of shadowed actions say, as JSON.
pub(super) fn told(desk: &Desk) -> Vec<Value> {
    let shadowed = desk.events.iter().map(|(_, event)| event);
    let shadowed = shadowed.filter(|event| matches!(event, Event::Shadowed { .. }));
    shadowed
        .map(|event| serde_json::to_value(event).unwrap())
        .collect()
}

/// What the last event of the only shadowed action says.
pub(super) fn told_once(desk: &Desk) -> Value {
    let [told] = told(desk).try_into().unwrap();
    told
}

pub(super) fn stats(desk: &Desk) -> TenantStats {
    let stats = desk.session.stats().snapshot(desk.now().wall);
    stats.tenant("acme-corp").unwrap().clone()
}

pub(super) fn shadow(desk: &Desk) -> ShadowStats {
    stats(desk).shadow
}

/// Asserts that the ledger, the journal and the numbers of enforced actions know nothing of what happened.
#[track_caller]
pub(super) fn assert_untouched(desk: &mut Desk) {
    assert!(
        desk.sent.iter().all(|sent| sent == "POST /v1/reservations"),
        "{:?}",
        desk.sent
    );
    assert_eq!(desk.ledger.reservation_ids().count(), 0);
    let budget = desk
        .ledger
        .budget("tenant:acme-corp", cycles_sandbox::Unit::Tokens)
        .unwrap();
    assert_eq!((budget.spent, budget.reserved), (0, 0));
    assert!(desk.journal.is_empty() && desk.totals.is_empty() && desk.open_stores.is_empty());
    let mut enforced = stats(desk);
    enforced.tenant = None;
    enforced.shadow = ShadowStats::default();
    assert_eq!(enforced, TenantStats::default());
    let (now, caller) = (desk.now(), desk.caller.clone());
    let left = desk.session.left(now, &caller);
    assert_eq!((left.ending, left.recorded, left.unrecorded), (0, 0, 0));
}

#[test]
fn an_action_that_would_be_denied_runs_and_its_denial_is_told_beside_its_cost() {
    let mut desk = desk();
    let key = begin(&mut desk, 2_000_000);
    desk.settle();
    desk.pass_ms(1_500);
    desk.commit(key, 1_234);
    desk.settle();
    let receipt = desk.receipt(key).unwrap();
    assert!(matches!(&receipt, Receipt::Shadow { actual, .. } if *actual == Amount::tokens(1_234)));
    assert!(receipt.is_settled() && receipt.is_shadow() && receipt.charged().is_none());
    let told = told_once(&desk);
    assert_eq!(
        told,
        json!({
            "kind": "shadowed",
            "reservation_id": told["reservation_id"],
            "subject": {"tenant": "acme-corp"},
            "action": {"kind": "llm.completion", "name": "gpt-4o"},
            "estimate": {"unit": "TOKENS", "amount": 2_000_000},
            "decision": "DENY",
            "decision_is_independent": true,
            "reason": "BUDGET_EXCEEDED",
            "affected_scopes": ["tenant:acme-corp"],
            "error": told["error"],
            "actual": {"unit": "TOKENS", "amount": 1_234},
            "source": "action",
            "took_ms": 1_500,
        })
    );
    let numbers = shadow(&desk);
    assert_eq!(numbers.denied.of(&DecisionReasonCode::BudgetExceeded), 1);
    assert_eq!((numbers.actions(), numbers.actuals.of(&Unit::Tokens)), (1, 1_234));
    assert_untouched(&mut desk);
}

#[test]
fn an_action_does_not_wait_for_the_ledger_and_is_told_once_both_are_over() {
    let mut desk = desk();
    desk.calls = |_| Fate::Held;
    let first = begin(&mut desk, 10);
    desk.settle();
    desk.commit(first, 3);
    assert!(
        desk.session.outcome(first).is_some(),
        "nothing is to be waited for"
    );
    desk.settle();
    assert!(told(&desk).is_empty());
    let call = desk.open.pop().unwrap();
    desk.answer(call);
    desk.settle();
    assert_eq!(told_once(&desk)["decision"], "ALLOW");

    // The other way round.
    desk.calls = |_| Fate::Done;
    let second = begin(&mut desk, 10);
    desk.settle();
    desk.pass(Duration::from_secs(3_600));
    assert_eq!(told(&desk).len(), 1);
    assert!(!desk.session.lease_is_lost(desk.now(), second));
    desk.commit(second, 4);
    desk.settle();
    assert_eq!(told(&desk).len(), 2);
    assert_eq!(desk.sent.len(), 2, "there is no heartbeat");
    assert_untouched(&mut desk);
}

#[test]
fn decisions_are_independent_of_one_another() {
    let mut desk = desk();
    for _ in 0..10 {
        let key = begin(&mut desk, 600_000);
        desk.settle();
        desk.commit(key, 600_000);
    }
    desk.settle();
    assert_eq!(shadow(&desk).allowed, 10);
    assert!(
        told(&desk)
            .iter()
            .all(|told| told["decision_is_independent"] == true)
    );
    assert_eq!(shadow(&desk).estimates.of(&Unit::Tokens), 6_000_000);
    assert_untouched(&mut desk);
}

#[test]
fn an_outage_blocks_nothing_and_is_told_as_unknown() {
    let mut desk = desk();
    desk.calls = |_| Fate::Held;
    let key = begin(&mut desk, 10);
    desk.settle();
    desk.commit(key, 3);
    // The check is given up like any attempt that takes too long, and not repeated.
    desk.pass(Duration::from_secs(8));
    assert_eq!(told_once(&desk)["decision"], "UNKNOWN");
    assert_eq!(desk.open.len(), 1);
    let Some((_, Event::Shadowed { decision, actual, .. })) =
        desk.events.iter().find(|(_, event)| event.is_end())
    else {
        panic!("{:?}", desk.events)
    };
    assert!(is_transport(decision.error().unwrap(), FailureKind::Timeout));
    assert_eq!(actual.as_ref(), Some(&Amount::tokens(3)));
    assert_eq!(shadow(&desk).unknown, 1);
    desk.open.clear();
    assert_untouched(&mut desk);
}

#[test]
fn a_check_whose_connection_is_lost_is_repeated_once_under_its_key() {
    let mut desk = desk();
    desk.calls = |_| Fate::Held;
    begin(&mut desk, 10);
    desk.settle();
    let first = desk.open.pop().unwrap();
    desk.fail(&first, FailureKind::Lost);
    desk.settle();
    let second = desk.open.pop().unwrap();
    assert_eq!(first.request.body(), second.request.body());
    desk.fail(&second, FailureKind::Lost);
    desk.settle();
    assert!(desk.open.is_empty());
}

#[test]
fn the_key_of_the_caller_is_not_sent_and_works_when_it_is_enforced() {
    let mut desk = desk();
    let caller = desk.caller.clone();
    let mut asked = asks_for(2_000_000);
    asked.idempotency_key = Some("order-17".into());
    desk.calls = |call| {
        let body = String::from_utf8_lossy(call.request.body()).into_owned();
        assert!(!body.contains("order-17"), "{body}");
        assert!(body.contains(r#""dry_run":true"#), "{body}");
        assert_ne!(call.request.headers()["x-idempotency-key"], "order-17");
        Fate::Done
    };
    for _ in 0..2 {
        let key = desk.reserve_as(&caller, asked.clone());
        desk.settle();
        desk.session.release(desk.now(), key, ReleaseReason::from("done"));
        desk.settle();
    }
    assert_eq!(
        told(&desk)
            .iter()
            .filter(|told| told["decision"] == "DENY")
            .count(),
        2
    );
    desk.calls = |_| Fate::Done;
    let enforced = caller.in_mode(Some(Mode::Enforce));
    asked.estimate = Amount::tokens(10);
    let key = desk.reserve_as(&enforced, asked);
    desk.settle();
    let (id, _) = desk.session.granted(key).unwrap().unwrap();
    assert!(!id.as_str().starts_with("shadow-"), "{id}");
}

#[test]
fn a_dry_run_and_an_action_that_is_enforced_are_what_they_are_without_shadow_mode() {
    let mut desk = desk();
    let caller = desk.caller.clone();
    let mut dry = asks_for(10);
    dry.dry_run = true;
    let key = desk.reserve_as(&caller, dry);
    desk.settle();
    assert!(matches!(desk.refusal(key), Some(Error::DryRun(_))));
    let enforced = caller.in_mode(Some(Mode::Enforce));
    assert_eq!(
        (enforced.mode(), caller_mode(&desk)),
        (Mode::Enforce, Mode::Shadow)
    );
    let key = desk.reserve_as(&enforced, asks_for(2_000_000));
    desk.settle();
    assert!(desk.refusal(key).unwrap().is_denied());
    assert_eq!(desk.told(|event| matches!(event, Event::ShadowStarted { .. })), 0);
}

fn caller_mode(desk: &Desk) -> Mode {
    desk.caller.clone().in_mode(None).mode()
}

#[test]
fn the_start_is_told_once_for_each_tenant() {
    let mut desk = desk();
    for _ in 0..3 {
        begin(&mut desk, 10);
    }
    let other = CyclesConfig::builder(super::desk::OTHER_KEY, "http://localhost:7878").tenant("globex");
    let other = desk.session.caller(other.build().unwrap().into()).unwrap();
    let other: Caller = other.in_mode(Some(Mode::Shadow));
    desk.reserve_as(&other, asks_for(10));
    desk.settle();
    let started: Vec<_> = desk
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::ShadowStarted { .. }))
        .map(|(_, event)| serde_json::to_value(event).unwrap())
        .collect();
    let expected = ["acme-corp", "globex"].map(|tenant| json!({"kind": "shadow_started", "tenant": tenant}));
    assert_eq!(started, expected);
}

#[test]
fn what_would_be_charged_follows_the_rules_for_costs() {
    type Act = fn(&mut Desk, ReservationKey);
    let dispatched: Act = |desk, key| desk.session.dispatched(key);
    let spent: Act = |desk, key| desk.session.spent(key, &Amount::tokens(7)).unwrap();
    let taken_back: Act = |desk, key| {
        desk.session.dispatched(key);
        desk.session.not_charged(key);
    };
    let held: Act = |desk, key| {
        desk.session.set_on_error(key, OnError::Hold);
        desk.session.dispatched(key);
    };
    let wrong_unit: Act = |desk, key| {
        let wrong = desk.session.spent(key, &Amount::credits(7));
        assert!(matches!(wrong, Err(InvalidCommit::WrongUnit { .. })));
    };
    for (act, actual, source, is_unknown) in [
        ((|_, _| {}) as Act, None, ActualSource::Action, false),
        (spent, Some(7), ActualSource::Partial, false),
        (dispatched, Some(100), ActualSource::Estimate, false),
        (taken_back, None, ActualSource::Action, false),
        (held, None, ActualSource::Action, true),
        (wrong_unit, None, ActualSource::Action, true),
    ] {
        let mut desk = desk();
        let key = begin(&mut desk, 100);
        act(&mut desk, key);
        desk.session.abandon(desk.now(), key);
        desk.settle();
        let Some((_, event)) = desk.events.iter().find(|(_, event)| event.is_end()) else {
            panic!("{:?}", desk.events)
        };
        let Event::Shadowed {
            actual: told,
            source: from,
            has_unknown_cost,
            ..
        } = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(told.as_ref().map(|told| told.amount), actual, "{event:?}");
        assert_eq!((*from, *has_unknown_cost), (source, is_unknown), "{event:?}");
        assert!(desk.session.released(key).unwrap().unwrap(), "nothing was held");
        assert_untouched(&mut desk);
    }
}

#[test]
fn what_an_action_may_do_once_it_may_not_do_twice() {
    let mut desk = desk();
    let key = begin(&mut desk, 100);
    desk.commit(key, 5);
    let again = CommitRequest::builder().actual(Amount::tokens(5)).build();
    let again = desk.session.commit(desk.now(), key, again);
    assert_eq!(again, Err(InvalidCommit::AlreadyCommitted));
    assert_eq!(
        desk.session.spent(key, &Amount::tokens(5)),
        Err(InvalidCommit::AlreadyCommitted)
    );
    assert!(desk.session.grant(key).is_none() && desk.session.purpose(key).is_none());
    let released = begin(&mut desk, 100);
    desk.session
        .release(desk.now(), released, ReleaseReason::from("done"));
    assert_eq!(
        desk.session.spent(released, &Amount::tokens(5)),
        Err(InvalidCommit::NotHeld)
    );
    assert!(
        desk.session
            .extend(desk.now(), released, Duration::from_secs(1))
            .is_none()
    );
    desk.settle();
    assert_eq!(told(&desk).len(), 2);
}

#[test]
fn an_extension_succeeds_without_a_call() {
    let mut desk = desk();
    let key = begin(&mut desk, 100);
    let extended = desk
        .session
        .extend(desk.now(), key, Duration::from_secs(30))
        .unwrap();
    let until = desk.session.extended(extended).unwrap().unwrap();
    assert_eq!(until, desk.now().wall.saturating_add(Duration::from_secs(30)));
    desk.settle();
    assert_eq!(desk.sent.len(), 1);
    assert_eq!(desk.told(|event| matches!(event, Event::LeaseExtended { .. })), 0);
}

#[test]
fn a_request_that_breaks_a_limit_does_not_stop_the_action_and_is_told() {
    let mut desk = desk();
    let caller = desk.caller.clone();
    let mut invalid = asks_for(10);
    invalid.ttl_ms = Some(1);
    let key = desk.reserve_as(&caller, invalid);
    assert!(desk.session.granted(key).unwrap().is_ok());
    desk.commit(key, 3);
    desk.settle();
    let told = told_once(&desk);
    assert_eq!(told["decision"], "UNKNOWN");
    assert!(told["error"].as_str().unwrap().contains("ttl_ms"), "{told}");
    assert!(desk.sent.is_empty());
}

#[test]
fn caps_are_told_and_not_imposed() {
    let mut desk = desk();
    desk.ledger.add_budget(
        r#"tenant:acme-corp=TOKENS:1000000,caps={"max_tokens":5}"#
            .parse()
            .unwrap(),
    );
    let key = begin(&mut desk, 100);
    desk.settle();
    desk.commit(key, 50);
    desk.settle();
    let told = told_once(&desk);
    assert_eq!(
        (&told["decision"], &told["caps"]["max_tokens"]),
        (&json!("ALLOW_WITH_CAPS"), &json!(5))
    );
    assert_eq!(shadow(&desk).allowed_with_caps, 1);
}

#[test]
fn a_shadowed_action_stores_nothing_even_beside_an_enforced_one() {
    let mut desk = Desk::new();
    desk.stores = Fate::Held;
    let shadowed = desk.caller.clone().in_mode(Some(Mode::Shadow));
    let key = desk.reserve_as(&shadowed, asks_for(10));
    desk.commit(key, 3);
    let enforced = desk.held();
    desk.commit(enforced, 4);
    desk.settle();
    let [(_, _, JournalWrite::Put(record))] = &desk.open_stores[..] else {
        panic!("{:?}", desk.open_stores)
    };
    assert!(record.body().contains(r#""amount":4"#), "{}", record.body());
    assert_eq!(shadow(&desk).allowed, 1);
    assert_eq!(stats(&desk).reserved, 1);
}

#[test]
fn a_bug_in_a_shadowed_action_counts_as_no_cost() {
    let mut desk = desk();
    let key = begin(&mut desk, 10);
    desk.commit(key, 3);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.session.panic_in(key)));
    assert!(panicked.is_err());
    desk.settle();
    assert_eq!(desk.told(|event| matches!(event, Event::Panicked { .. })), 1);
    let (now, caller) = (desk.now(), desk.caller.clone());
    let left = desk.session.left(now, &caller);
    assert_eq!((left.ending, left.unrecorded), (0, 0));
}
