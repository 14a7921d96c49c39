//! Actions that end without a cost, or with an invalid one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cycles_proto::models::{Amount, CommitRequest, CyclesMetrics, JsonObject, ReservationId};
use cycles_proto::{Error, Event, InvalidCommit};
use cycles_sandbox::ReservationStatus;

use super::stage::{PATIENCE, Stage, actual, commit, request};
use super::{ActionFailed, Adapter, Client as _, Guard as _, Left};

/// Asserts that the reservation was released and nothing was spent.
#[track_caller]
fn assert_released<A: Adapter>(stage: &Stage<A>, id: &ReservationId) {
    stage.flush_everything();
    assert_eq!(stage.status(id), ReservationStatus::Released);
    stage.assert_spent(0);
}

/// Asserts that exactly `tokens` are charged, and that the commit is marked as partial.
#[track_caller]
fn assert_partial<A: Adapter>(stage: &Stage<A>, id: &ReservationId, tokens: i64) {
    stage.flush_everything();
    assert_eq!(stage.reservation(id).charged, Some(tokens));
    stage.assert_spent(tokens);
    let commits = stage.commits();
    assert_eq!(commits.len(), 1);
    assert!(commits[0].contains(&actual(tokens)), "{commits:?}");
    assert!(commits[0].contains(r#""actual_source":"partial""#), "{commits:?}");
}

fn panicking<A: Adapter>(stage: &Stage<A>, spent: Option<i64>) -> ReservationId {
    let mut id = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        stage.client.with_cycles(
            Amount::tokens(100),
            |action| -> Result<((), Amount), ActionFailed> {
                id = Some(action.reservation_id());
                if let Some(tokens) = spent {
                    action.spent(&Amount::tokens(tokens)).unwrap();
                }
                std::panic::resume_unwind(Box::new("on purpose"));
            },
        )
    }));
    assert!(outcome.is_err(), "the panic reaches the caller");
    id.unwrap()
}

pub fn an_action_that_panics_gives_its_budget_back<A: Adapter>() {
    let stage = Stage::<A>::new();
    let id = panicking(&stage, None);
    assert_released(&stage, &id);
}

pub fn an_action_that_panics_is_charged_what_it_had_spent<A: Adapter>() {
    let stage = Stage::<A>::new();
    let id = panicking(&stage, Some(17));
    assert_partial(&stage, &id, 17);
}

pub fn an_action_that_fails_gives_its_budget_back_and_keeps_its_error<A: Adapter>() {
    let stage = Stage::<A>::new();
    let mut id = None;
    let outcome = stage
        .client
        .with_cycles(Amount::tokens(100), |action| -> Result<((), Amount), _> {
            id = Some(action.reservation_id());
            Err(ActionFailed)
        });
    let Err(Error::Action(error)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(error.to_string(), ActionFailed.to_string());
    assert_released(&stage, &id.unwrap());
}

pub fn a_dropped_guard_gives_its_budget_back<A: Adapter>() {
    let stage = Stage::<A>::new();
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    drop(guard);
    assert_released(&stage, &id);
}

pub fn a_dropped_guard_is_charged_what_was_spent<A: Adapter>() {
    let stage = Stage::<A>::new();
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    for tokens in [5, 30, 12] {
        guard.spent(&Amount::tokens(tokens)).unwrap();
    }
    drop(guard);
    assert_partial(&stage, &id, 30);
}

pub fn a_release_after_something_was_spent_charges_it<A: Adapter>() {
    let stage = Stage::<A>::new();
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    guard.spent(&Amount::tokens(9)).unwrap();
    guard.release("changed its mind").unwrap();
    assert_partial(&stage, &id, 9);
}

pub fn a_commit_over_a_limit_goes_on_without_what_is_too_long<A: Adapter>() {
    let stage = Stage::<A>::new();
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let request = CommitRequest::builder()
        .actual(Amount::tokens(42))
        .metrics(CyclesMetrics {
            tokens_input: Some(-1),
            model_version: Some("m".repeat(129)),
            ..Default::default()
        })
        .build();
    assert!(guard.commit(request).unwrap().is_settled());
    assert_eq!(stage.reservation(&id).charged, Some(42));
    stage.assert_spent(42);
    stage.wait_for_event(
        |event| matches!(event, Event::CommitTrimmed { reservation_id, .. } if *reservation_id == id),
    );
    stage.flush_everything();
}

pub fn a_commit_goes_on_without_what_is_nested_deeper_than_servers_read<A: Adapter>() {
    let stage = Stage::<A>::new();
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let nested = format!(r#"{{"deep":{}1{},"kept":7}}"#, "[".repeat(200), "]".repeat(200));
    let nested: JsonObject = serde_json::from_str(&nested).unwrap();
    let request = CommitRequest::builder()
        .actual(Amount::tokens(42))
        .metrics(CyclesMetrics {
            custom: Some(nested.clone()),
            ..Default::default()
        })
        .metadata(nested)
        .build();
    assert!(guard.commit(request).unwrap().is_settled());
    stage.assert_spent(42);
    stage.wait_for_event(
        |event| matches!(event, Event::CommitTrimmed { reservation_id, .. } if *reservation_id == id),
    );
    let [commit] = stage.commits().try_into().unwrap();
    assert_eq!(commit.matches(r#""kept":7"#).count(), 2, "{commit}");
    stage.flush_everything();
}

pub fn a_cost_in_another_unit_is_not_taken_and_nothing_is_released<A: Adapter>() {
    let stage = Stage::<A>::new();
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let wrong = CommitRequest::builder()
        .actual(Amount::usd_microcents(42))
        .build();
    let error = guard.commit(wrong).unwrap_err();
    assert!(
        matches!(error, Error::InvalidCommit(InvalidCommit::WrongUnit { .. })),
        "{error:?}"
    );
    let negative = stage.client.reserve(request(50)).unwrap();
    let error = negative.commit(commit(-1)).unwrap_err();
    assert!(
        matches!(error, Error::InvalidCommit(InvalidCommit::Invalid(_))),
        "{error:?}"
    );
    stage.wait_for_event(|event| {
        matches!(event, Event::CostNotTaken { reservation_id, charged: None, .. } if *reservation_id == id)
    });
    stage.flush_all_but(2);
    assert_eq!(stage.status(&id), ReservationStatus::Active);
    assert_eq!((stage.budget().reserved, stage.budget().spent), (150, 0));
    assert!(stage.commits().is_empty());

    // The action's value is returned anyway.
    let (value, receipt) = stage
        .client
        .with_cycles(Amount::tokens(100), |_| Ok(("value", Amount::usd_microcents(1))))
        .unwrap();
    assert_eq!(value, "value");
    assert!(
        matches!(receipt, Err(InvalidCommit::WrongUnit { .. })),
        "{receipt:?}"
    );
    let untaken = || {
        let events = stage.events();
        events
            .iter()
            .filter(|event| matches!(event, Event::CostNotTaken { .. }))
            .count()
    };
    stage.wait_until("the action's is reported too", || untaken() == 3);
    stage.flush_all_but(3);

    // The spend that was reported before is charged, but the cost itself stays unrecorded.
    for wrong in [Amount::usd_microcents(9), Amount::tokens(-9)] {
        let (value, receipt) = stage
            .client
            .with_cycles(Amount::tokens(100), |action| {
                action.spent(&Amount::tokens(7)).unwrap();
                Ok(("value", wrong.clone()))
            })
            .unwrap();
        assert!(value == "value" && receipt.is_err(), "{receipt:?}");
    }
    stage.flush_all_but(5);
    assert_eq!(stage.budget().spent, 14);
}

pub fn a_cost_that_was_charged_for_less_is_told_and_counted<A: Adapter>() {
    let stage = Stage::<A>::new();
    let allocated = stage.budget().allocated;
    let guard = stage.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let receipt = guard.commit(commit(allocated + 750)).unwrap();
    assert!(receipt.is_settled());
    assert_eq!(receipt.uncharged(), Some(Amount::tokens(750)));
    stage.assert_spent(allocated);
    stage.wait_for_event(|event| {
        matches!(event, Event::ChargedLess { reservation_id, actual, charged, .. }
            if *reservation_id == id
                && (actual, charged) == (&Amount::tokens(allocated + 750), &Amount::tokens(allocated)))
    });
    let left = stage.client.flush(PATIENCE).unwrap();
    assert_eq!(
        left,
        Left {
            charged_less: 1,
            ..Left::NOTHING
        }
    );
}
