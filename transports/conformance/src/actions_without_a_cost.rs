//! Actions that end without a cost, or with an invalid one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cycles_proto::models::{Amount, CommitRequest, CyclesMetrics, JsonObject, ReservationId};
use cycles_proto::{Error, Event, InvalidCommit};
use cycles_sandbox::ReservationStatus;

use super::test_setup::{PATIENCE, TestSetup, actual, commit, request};
use super::{ActionFailed, Adapter, Client as _, Guard as _, Unsettled};

/// Asserts that the reservation was released without any spending.
#[track_caller]
fn assert_released<A: Adapter>(setup: &TestSetup<A>, id: &ReservationId) {
    setup.flush_everything();
    assert_eq!(setup.status(id), ReservationStatus::Released);
    setup.assert_spent(0);
}

/// Asserts that exactly `tokens` are charged, and that the commit is marked as partial.
#[track_caller]
fn assert_partial<A: Adapter>(setup: &TestSetup<A>, id: &ReservationId, tokens: i64) {
    setup.flush_everything();
    assert_eq!(setup.reservation(id).charged, Some(tokens));
    setup.assert_spent(tokens);
    let commits = setup.commits();
    assert_eq!(commits.len(), 1);
    assert!(commits[0].contains(&actual(tokens)), "{commits:?}");
    assert!(commits[0].contains(r#""actual_source":"partial""#), "{commits:?}");
}

fn panicking<A: Adapter>(setup: &TestSetup<A>, spent: Option<i64>) -> ReservationId {
    let mut id = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        setup.client.with_cycles(
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
    let setup = TestSetup::<A>::new();
    let id = panicking(&setup, None);
    assert_released(&setup, &id);
}

pub fn an_action_that_panics_is_charged_what_it_had_spent<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let id = panicking(&setup, Some(17));
    assert_partial(&setup, &id, 17);
}

pub fn an_action_that_fails_gives_its_budget_back_and_keeps_its_error<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let mut id = None;
    let outcome = setup
        .client
        .with_cycles(Amount::tokens(100), |action| -> Result<((), Amount), _> {
            id = Some(action.reservation_id());
            Err(ActionFailed)
        });
    let Err(Error::Action(error)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(error.to_string(), ActionFailed.to_string());
    assert_released(&setup, &id.unwrap());
}

pub fn a_dropped_guard_gives_its_budget_back<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    drop(guard);
    assert_released(&setup, &id);
}

pub fn a_dropped_guard_is_charged_what_was_spent<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    for tokens in [5, 30, 12] {
        guard.spent(&Amount::tokens(tokens)).unwrap();
    }
    drop(guard);
    assert_partial(&setup, &id, 30);
}

pub fn a_release_after_something_was_spent_charges_it<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    guard.spent(&Amount::tokens(9)).unwrap();
    guard.release("changed its mind").unwrap();
    assert_partial(&setup, &id, 9);
}

pub fn a_commit_over_a_limit_goes_on_without_what_is_too_long<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
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
    assert_eq!(setup.reservation(&id).charged, Some(42));
    setup.assert_spent(42);
    setup.wait_for_event(
        |event| matches!(event, Event::CommitTrimmed { reservation_id, .. } if *reservation_id == id),
    );
    setup.flush_everything();
}

pub fn a_commit_goes_on_without_what_is_nested_deeper_than_servers_read<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
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
    setup.assert_spent(42);
    setup.wait_for_event(
        |event| matches!(event, Event::CommitTrimmed { reservation_id, .. } if *reservation_id == id),
    );
    let [commit] = setup.commits().try_into().unwrap();
    assert_eq!(commit.matches(r#""kept":7"#).count(), 2, "{commit}");
    setup.flush_everything();
}

pub fn a_cost_in_another_unit_is_not_taken_and_nothing_is_released<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let wrong = CommitRequest::builder()
        .actual(Amount::usd_microcents(42))
        .build();
    let error = guard.commit(wrong).unwrap_err();
    assert!(
        matches!(error, Error::InvalidCommit(InvalidCommit::WrongUnit { .. })),
        "{error:?}"
    );
    let negative = setup.client.reserve(request(50)).unwrap();
    let error = negative.commit(commit(-1)).unwrap_err();
    assert!(
        matches!(error, Error::InvalidCommit(InvalidCommit::Invalid(_))),
        "{error:?}"
    );
    setup.wait_for_event(|event| {
        matches!(event, Event::CostNotTaken { reservation_id, charged: None, .. } if *reservation_id == id)
    });
    setup.flush_all_but(2);
    assert_eq!(setup.status(&id), ReservationStatus::Active);
    assert_eq!((setup.budget().reserved, setup.budget().spent), (150, 0));
    assert!(setup.commits().is_empty());

    // The action's value is returned anyway.
    let (value, receipt) = setup
        .client
        .with_cycles(Amount::tokens(100), |_| Ok(("value", Amount::usd_microcents(1))))
        .unwrap();
    assert_eq!(value, "value");
    assert!(
        matches!(receipt, Err(InvalidCommit::WrongUnit { .. })),
        "{receipt:?}"
    );
    let untaken = || {
        let events = setup.events();
        events
            .iter()
            .filter(|event| matches!(event, Event::CostNotTaken { .. }))
            .count()
    };
    setup.wait_until("the action's is reported too", || untaken() == 3);
    setup.flush_all_but(3);

    // The spend that was reported earlier is charged, but the cost itself stays unrecorded.
    for wrong in [Amount::usd_microcents(9), Amount::tokens(-9)] {
        let (value, receipt) = setup
            .client
            .with_cycles(Amount::tokens(100), |action| {
                action.spent(&Amount::tokens(7)).unwrap();
                Ok(("value", wrong.clone()))
            })
            .unwrap();
        assert!(value == "value" && receipt.is_err(), "{receipt:?}");
    }
    setup.flush_all_but(5);
    assert_eq!(setup.budget().spent, 14);
}

pub fn a_cost_that_was_charged_for_less_is_told_and_counted<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let allocated = setup.budget().allocated;
    let guard = setup.client.reserve(request(100)).unwrap();
    let id = guard.reservation_id();
    let receipt = guard.commit(commit(allocated + 750)).unwrap();
    assert!(receipt.is_settled());
    assert_eq!(receipt.uncharged(), Some(Amount::tokens(750)));
    setup.assert_spent(allocated);
    setup.wait_for_event(|event| {
        matches!(event, Event::ChargedLess { reservation_id, actual, charged, .. }
            if *reservation_id == id
                && (actual, charged) == (&Amount::tokens(allocated + 750), &Amount::tokens(allocated)))
    });
    let left = setup.client.flush(PATIENCE).unwrap();
    assert_eq!(
        left,
        Unsettled {
            charged_less: 1,
            ..Unsettled::NOTHING
        }
    );
}
