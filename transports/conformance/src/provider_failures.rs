//! Actions whose provider fails: what they are charged, by what they said before.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cycles_proto::Event;
use cycles_proto::models::{Amount, ReservationId};
use cycles_proto::outcome::ActualSource;
use cycles_proto::run::{RunConfig, Step};
use cycles_proto::with_cycles_config::{OnError, WithCyclesConfig};
use cycles_sandbox::ReservationStatus;

use super::test_setup::{TestSetup, request};
use super::{ActionFailed, Adapter, Client as _, Guard as _, Metering, Run as _, Spending};

/// The estimate of each action, and of each step.
const ESTIMATE: i64 = 100;
/// What an action reports as spent, if it does.
const SPENT: i64 = 30;

/// How the provider fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It refuses the request, such as for a wrong key.
    Refused,
    /// It answers 429.
    TooManyRequests,
    /// It answers 5xx.
    ServerError,
    /// Its answer does not come in time.
    TimedOut,
    /// The stream of its answer ends too early, and no item had a price.
    StreamCut,
    /// Somebody cuts the action off.
    OuterTimeOut,
    /// The code that reads its answer panics.
    Panic,
}

/// What the action had said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Dispatched,
    /// That a request left, and what was spent.
    Spent,
    /// That a request left, and that is on disk.
    Durably,
}

/// The table of the README: the charge of an action that had said nothing, that a request left, or what was spent. That it
/// is on disk too makes no difference as long as the process lives.
const TABLE: [(Failure, [i64; 3]); 7] = [
    (Failure::Refused, [0, 0, SPENT]),
    (Failure::TooManyRequests, [0, 0, SPENT]),
    (Failure::ServerError, [0, ESTIMATE, SPENT]),
    (Failure::TimedOut, [0, ESTIMATE, SPENT]),
    (Failure::StreamCut, [0, ESTIMATE, SPENT]),
    (Failure::OuterTimeOut, [0, ESTIMATE, SPENT]),
    (Failure::Panic, [0, ESTIMATE, SPENT]),
];

const SAID: [Said; 4] = [Said::Nothing, Said::Dispatched, Said::Spent, Said::Durably];

fn rows() -> impl Iterator<Item = (Failure, Said, i64)> {
    TABLE.into_iter().flat_map(|(failure, charges)| {
        let [_, dispatched, _] = charges;
        SAID.into_iter()
            .zip(charges.into_iter().chain([dispatched]))
            .map(move |(said, charge)| (failure, said, charge))
    })
}

fn tokens(amount: i64) -> Amount {
    Amount::tokens(amount)
}

fn config() -> WithCyclesConfig {
    WithCyclesConfig::new(tokens(ESTIMATE)).action("llm.completion", "gpt-4o")
}

/// What an action or a step does until its provider has failed.
fn call_provider(failure: Failure, said: Said, action: &dyn Spending) {
    match said {
        Said::Nothing => {}
        Said::Dispatched | Said::Spent => action.dispatched(),
        Said::Durably => action.dispatched_durably().unwrap(),
    }
    if said == Said::Spent {
        action.spent(&tokens(SPENT)).unwrap();
    }
    if matches!(failure, Failure::Refused | Failure::TooManyRequests) {
        action.not_charged();
    }
}

/// Runs an action whose provider fails.
fn act<A: Adapter>(setup: &TestSetup<A>, failure: Failure, said: Said) -> ReservationId {
    let mut id = None;
    match failure {
        Failure::StreamCut => {
            let guard = setup.client.reserve(request(ESTIMATE)).unwrap();
            id = Some(guard.reservation_id());
            match said {
                Said::Nothing => {}
                Said::Dispatched | Said::Spent => guard.dispatched(),
                Said::Durably => guard.dispatched_durably().unwrap(),
            }
            if said == Said::Spent {
                guard.spent(&tokens(SPENT)).unwrap();
            }
            let consumed = guard.meter(vec![Err(ActionFailed)], ALL);
            assert_eq!(consumed.seen, [None]);
        }
        Failure::OuterTimeOut => setup.client.cut_off(config(), |action| {
            id = Some(action.reservation_id());
            call_provider(failure, said, action);
        }),
        Failure::Panic => {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                setup
                    .client
                    .with_config(config(), |action| -> Result<((), Amount), ActionFailed> {
                        id = Some(action.reservation_id());
                        call_provider(failure, said, action);
                        std::panic::resume_unwind(Box::new("on purpose"));
                    })
            }));
            assert!(panicked.is_err());
        }
        Failure::Refused | Failure::TooManyRequests | Failure::ServerError | Failure::TimedOut => {
            let failed = setup
                .client
                .with_config(config(), |action| -> Result<((), Amount), _> {
                    id = Some(action.reservation_id());
                    call_provider(failure, said, action);
                    Err(ActionFailed)
                });
            assert!(failed.is_err());
        }
    }
    id.unwrap()
}

const ALL: Metering = Metering {
    take: usize::MAX,
    stop_at: None,
    panics: false,
};

/// Asserts what the ledger has charged to the reservation, and that the event says where the amount comes from.
#[track_caller]
fn assert_charged<A: Adapter>(setup: &TestSetup<A>, id: &ReservationId, charge: i64, what: &str) {
    setup.flush_everything();
    assert!(setup.files("dispatched").is_empty(), "{what}");
    let reservation = setup.reservation(id);
    if charge == 0 {
        assert_eq!(reservation.status, ReservationStatus::Released, "{what}");
        return;
    }
    assert_eq!(reservation.charged, Some(charge), "{what}");
    let expected = match charge {
        ESTIMATE => ActualSource::Estimate,
        _ => ActualSource::Partial,
    };
    setup.wait_for_event(|event| {
        matches!(event, Event::Committed { reservation_id, source, .. }
            if reservation_id == id && *source == expected)
    });
    let commits = setup.commits();
    let marked = format!(r#""actual_source":"{expected}""#);
    assert!(commits.last().unwrap().contains(&marked), "{what}: {commits:?}");
}

pub fn an_action_whose_provider_fails_is_charged_what_the_table_says<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let mut spent = 0;
    for (failure, said, charge) in rows() {
        let id = act(&setup, failure, said);
        assert_charged(&setup, &id, charge, &format!("{failure:?}, {said:?}"));
        spent += charge;
        setup.assert_spent(spent);
    }
}

pub fn a_step_whose_provider_fails_is_charged_what_the_table_says<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(RunConfig::new(tokens(10_000))).unwrap();
    let mut spent = 0;
    for (failure, said, charge) in rows() {
        let step = || Step::new(tokens(ESTIMATE)).name("model");
        match failure {
            Failure::OuterTimeOut => run.cut_off(step(), |step| call_provider(failure, said, step)),
            Failure::Panic => {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    run.step(step(), tokens(1), |step| {
                        call_provider(failure, said, step);
                        std::panic::resume_unwind(Box::new("on purpose"));
                    })
                }));
                assert!(panicked.is_err());
            }
            Failure::Refused
            | Failure::TooManyRequests
            | Failure::ServerError
            | Failure::TimedOut
            | Failure::StreamCut => {
                let failed = run.step(step(), tokens(1), |step| {
                    call_provider(failure, said, step);
                    Err(ActionFailed)
                });
                assert!(failed.is_err());
            }
        }
        spent += charge;
        assert_eq!(run.left(), tokens(10_000 - spent), "{failure:?}, {said:?}");
    }
    let receipt = run.finish().unwrap().unwrap();
    assert_eq!(receipt.source(), Some(ActualSource::Estimate));
    setup.flush_everything();
    setup.assert_spent(spent);
    let commits = setup.commits();
    let said = [
        r#""actual_source":"estimate""#,
        r#""estimated_steps":10"#,
        r#""partial_steps":7"#,
    ];
    assert!(said.iter().all(|said| commits[0].contains(said)), "{commits:?}");
}

pub fn a_metered_stream_that_is_cut_after_its_request_left_costs_what_was_read_or_the_estimate<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    for (items, take, charge) in [
        (vec![Ok(5), Ok(7), Err(ActionFailed)], usize::MAX, 12),
        (vec![Ok(5), Ok(7)], 1, 5),
        (vec![Ok(5)], 0, ESTIMATE),
        // An item without a price, such as the first chunk of an answer, is not a cost.
        (vec![Ok(0), Err(ActionFailed)], usize::MAX, ESTIMATE),
    ] {
        let guard = setup.client.reserve(request(ESTIMATE)).unwrap();
        let id = guard.reservation_id();
        guard.dispatched();
        let what = format!("{items:?}");
        let consumed = guard.meter(items, Metering { take, ..ALL });
        let receipt = consumed.settled.unwrap().unwrap();
        let expected = match charge {
            ESTIMATE => ActualSource::Estimate,
            _ => ActualSource::Partial,
        };
        assert_eq!(receipt.source(), Some(expected), "{what}");
        assert_charged(&setup, &id, charge, &what);
    }
}

pub fn the_policy_of_an_action_decides_what_a_request_that_left_costs<A: Adapter>() {
    for (policy, charge) in [
        (OnError::Release, 0),
        (OnError::Spent, 0),
        (OnError::Estimate, ESTIMATE),
    ] {
        let setup = TestSetup::<A>::new();
        let mut id = None;
        let failed =
            setup
                .client
                .with_config(config().on_error(policy), |action| -> Result<((), Amount), _> {
                    id = Some(action.reservation_id());
                    action.dispatched();
                    Err(ActionFailed)
                });
        assert!(failed.is_err());
        assert_charged(&setup, &id.unwrap(), charge, &format!("{policy:?}"));
        let guard = setup.client.reserve(request(ESTIMATE)).unwrap();
        let id = guard.reservation_id();
        guard.set_on_error(policy);
        guard.dispatched();
        drop(guard);
        assert_charged(&setup, &id, charge, &format!("{policy:?}"));
    }
    let setup = TestSetup::<A>::new();
    let mut id = None;
    setup.client.cut_off(config().on_error(OnError::Hold), |action| {
        id = Some(action.reservation_id());
        action.dispatched();
    });
    let id = id.unwrap();
    setup.wait_for_event(|event| {
        matches!(event, Event::CostUnknown { reservation_id, estimate, charged: None, .. }
            if *reservation_id == id && *estimate == tokens(ESTIMATE))
    });
    setup.flush_all_but(1);
    assert_eq!(setup.status(&id), ReservationStatus::Active);
    assert_eq!((setup.budget().spent, setup.budget().reserved), (0, ESTIMATE));
    assert_eq!(setup.client.stats().total().unrecorded, 1);
}

pub fn a_refused_request_is_free_and_a_retry_at_another_provider_is_not<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    // Whether each of the requests was refused.
    for (refused, charge) in [
        (&[true, true] as &[bool], 0),
        (&[true, false], ESTIMATE),
        (&[false, true], ESTIMATE),
    ] {
        let guard = setup.client.reserve(request(ESTIMATE)).unwrap();
        let id = guard.reservation_id();
        for refused in refused {
            guard.dispatched();
            if *refused {
                guard.not_charged();
            }
        }
        guard.release("the provider failed").unwrap();
        assert_charged(&setup, &id, charge, &format!("{refused:?}"));
    }
}

pub fn a_step_on_hold_keeps_its_draw_and_is_told_at_the_end_of_the_run<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let config = RunConfig::new(tokens(1_000)).on_error(OnError::Hold);
    let run = setup.client.run(config).unwrap();
    let id = run.reservation_id();
    let failed = run.step(tokens(ESTIMATE).into(), tokens(1), |step| {
        step.dispatched();
        Err(ActionFailed)
    });
    assert!(failed.is_err());
    run.step(tokens(50).into(), tokens(40), |_| Ok(())).unwrap();
    assert_eq!(run.left(), tokens(1_000 - ESTIMATE - 40));
    assert!(run.finish().unwrap().unwrap().is_settled());
    setup.wait_for_event(|event| {
        matches!(event, Event::CostUnknown { reservation_id, estimate, charged: Some(charged), .. }
            if *reservation_id == id && *estimate == tokens(ESTIMATE) && *charged == tokens(40))
    });
    setup.flush_all_but(1);
    setup.assert_spent(40);
    let commits = setup.commits();
    assert!(commits[0].contains(r#""unknown_steps":1"#), "{commits:?}");
}

pub fn a_request_that_leaves_is_on_disk_and_on_hold_it_stays_there_for_a_person<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let guard = setup.client.reserve(request(ESTIMATE)).unwrap();
    guard.dispatched_durably().unwrap();
    let [mark] = &setup.files("dispatched")[..] else {
        panic!("no mark")
    };
    let mark = std::fs::read_to_string(mark).unwrap();
    assert!(mark.contains(guard.reservation_id().as_str()), "{mark}");
    assert!(!mark.contains(cycles_sandbox::DEFAULT_API_KEY), "{mark}");
    guard.not_charged();
    guard.dispatched();
    guard.set_on_error(OnError::Hold);
    guard.dispatched_durably().unwrap();
    drop(guard);
    setup.flush_all_but(1);
    assert_eq!(setup.files("dispatched").len(), 1);
    assert_eq!((setup.budget().spent, setup.budget().reserved), (0, ESTIMATE));

    let run = setup
        .client
        .run(RunConfig::new(tokens(1_000)).on_error(OnError::Hold))
        .unwrap();
    let failed = run.step(tokens(ESTIMATE).into(), tokens(1), |step| {
        step.dispatched_durably().unwrap();
        assert_eq!(setup.files("run").len(), 1);
        Err(ActionFailed)
    });
    assert!(failed.is_err());
    run.step(tokens(50).into(), tokens(40), |_| Ok(())).unwrap();
    assert!(run.finish().unwrap().unwrap().is_settled());
    setup.flush_all_but(2);
    assert_eq!(
        (setup.files("run").len(), setup.files("dispatched").len()),
        (0, 2)
    );
    assert_eq!((setup.budget().spent, setup.budget().reserved), (40, ESTIMATE));
}

pub fn a_step_on_hold_that_is_cut_off_leaves_its_mark_when_its_run_ends<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup
        .client
        .run(RunConfig::new(tokens(1_000)).on_error(OnError::Hold))
        .unwrap();
    run.cut_off(tokens(ESTIMATE).into(), |step| {
        step.dispatched_durably().unwrap();
    });
    assert!(run.finish().unwrap().is_none());
    setup.flush_all_but(1);
    assert_eq!(
        (setup.files("run").len(), setup.files("dispatched").len()),
        (0, 1)
    );
}
