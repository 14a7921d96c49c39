//! Runs: steps draw from one reservation without calls, at the same time, and are charged exactly.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cycles_proto::models::Amount;
use cycles_proto::outcome::RunEnd;
use cycles_proto::run::{RunConfig, Step};
use cycles_proto::{Error, Event};
use cycles_sandbox::ReservationStatus;

use super::test_setup::{TestSetup, actual};
use super::{ActionFailed, Adapter, Client as _, Run};

fn tokens(amount: i64) -> Amount {
    Amount::tokens(amount)
}

fn config(amount: i64) -> RunConfig {
    RunConfig::new(tokens(amount)).action("agent.run", "research")
}

/// A step that costs as much as it asks for.
fn step(run: &impl Run, amount: i64) -> Result<(), Error> {
    run.step(tokens(amount).into(), tokens(amount), |_| Ok(()))
}

/// The paths of the requests that are not beats.
fn calls<A: Adapter>(setup: &TestSetup<A>) -> Vec<String> {
    let seen = setup.seen();
    let paths = seen.iter().map(|request| request.uri().path().to_owned());
    paths.filter(|path| !path.ends_with("/extend")).collect()
}

pub fn a_run_of_a_thousand_steps_64_at_a_time_is_exact_with_two_calls<A: Adapter>() {
    const STEPS: usize = 1_000;
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100_000)).unwrap();
    let (next, charged, most) = (AtomicUsize::new(0), AtomicI64::new(0), AtomicUsize::new(0));
    let open = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= STEPS {
                        break;
                    }
                    // Some cost less than they ask for, some more, some nothing.
                    let cost = i64::try_from(number % 13).unwrap();
                    let step = Step::new(tokens(6)).name(format!("tool {}", number % 40));
                    run.step(step, tokens(cost), |_| {
                        most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                        open.fetch_sub(1, Ordering::Relaxed);
                        Ok(())
                    })
                    .unwrap();
                    charged.fetch_add(cost, Ordering::Relaxed);
                }
            });
        }
    });
    let charged = charged.into_inner();
    assert_eq!(run.left(), tokens(100_000 - charged));
    assert!(run.finish().unwrap().unwrap().is_settled());
    setup.flush_everything();
    setup.assert_spent(charged);
    assert_eq!(calls(&setup).len(), 2, "{:?}", calls(&setup));
    assert!(setup.files("run").is_empty());
    let commits = setup.commits();
    assert!(
        commits[0].contains(&actual(charged)) && commits[0].contains(r#""steps":1000"#),
        "{commits:?}"
    );
    assert_eq!(commits[0].matches("\"tool ").count(), 32, "{commits:?}");
}

pub fn a_run_that_has_too_little_left_refuses_a_step_and_a_denial_is_something_else<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100)).unwrap();
    step(&run, 60).unwrap();
    let ran = AtomicUsize::new(0);
    let refused = run.step(Step::new(tokens(41)).name("search"), tokens(1), |_| {
        ran.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let error = refused.unwrap_err();
    assert!(!error.is_denied() && !error.is_retryable());
    let said = error.to_string();
    let Error::RunExhausted(why) = error else {
        panic!("{said}")
    };
    assert_eq!(
        (&why.left, &why.asked, &why.charged),
        (&tokens(40), &tokens(41), &tokens(60))
    );
    assert!(
        said.contains(run.reservation_id().as_str()) && said.contains("\"search\""),
        "{said}"
    );
    assert_eq!(ran.into_inner(), 0);
    step(&run, 40).unwrap();
    let wrong = run
        .step(Amount::credits(1).into(), tokens(1), |_| Ok(()))
        .unwrap_err();
    assert!(matches!(wrong, Error::Validation(_)), "{wrong}");
    assert!(run.finish().unwrap().unwrap().is_settled());
    let over = step(&run, 0).unwrap_err();
    assert!(
        matches!(&over, Error::RunOver(over) if over.why == RunEnd::Finished),
        "{over}"
    );
    assert_eq!(calls(&setup).len(), 2, "{:?}", calls(&setup));
    let denied = setup.client.run(config(i64::MAX)).unwrap_err();
    assert!(denied.is_denied(), "{denied}");
}

pub fn a_step_within_a_step_draws_from_the_run_as_well<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100)).unwrap();
    run.nested(tokens(30), tokens(50)).unwrap();
    assert_eq!(run.left(), tokens(20));
    let error = run.nested(tokens(15), tokens(6)).unwrap_err();
    assert!(error.to_string().contains("5 TOKENS left"), "{error}");
    assert_eq!(run.left(), tokens(20), "the outer step failed and gave back");
    run.finish().unwrap();
    setup.assert_spent(80);
}

pub fn a_run_keeps_an_amount_for_the_steps_that_draw_from_it<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100)).unwrap();
    let (last, kept, left) = run
        .keep_and_step(tokens(40), tokens(30).into(), tokens(20))
        .unwrap();
    last.unwrap();
    assert_eq!((kept, left), (tokens(20), tokens(60)));
    assert_eq!(run.left(), tokens(80), "what was kept is given back");
    let (last, kept, left) = run
        .keep_and_step(tokens(70), tokens(71).into(), tokens(1))
        .unwrap();
    assert!(matches!(last, Err(Error::RunExhausted(_))), "{last:?}");
    assert_eq!((kept, left), (tokens(70), tokens(10)));
    let too_much = run
        .keep_and_step(tokens(81), tokens(1).into(), tokens(1))
        .unwrap_err();
    assert!(matches!(too_much, Error::RunExhausted(_)), "{too_much}");
    run.finish().unwrap();
    setup.assert_spent(20);
}

pub fn a_step_that_fails_or_panics_gives_back_or_is_charged_what_it_had_spent<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100)).unwrap();
    let failed = run
        .step(tokens(50).into(), tokens(50), |_| Err(ActionFailed))
        .unwrap_err();
    assert!(matches!(&failed, Error::Action(_)), "{failed}");
    assert_eq!(run.left(), tokens(100));
    run.step(tokens(50).into(), tokens(50), |context| {
        context.spent(&tokens(7)).unwrap();
        Err(ActionFailed)
    })
    .unwrap_err();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        run.step(tokens(50).into(), tokens(50), |context| {
            context.spent(&tokens(5)).unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    }));
    assert!(panicked.is_err());
    setup.wait_until("the dropped step gave back", || run.left() == tokens(88));
    run.finish().unwrap();
    setup.assert_spent(12);
}

pub fn a_run_whose_lease_is_lost_refuses_steps_and_is_charged_by_an_event<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100).ttl_ms(2_000)).unwrap();
    step(&run, 10).unwrap();
    setup.advance(Duration::from_secs(120));
    setup.wait_for_event(|event| matches!(event, Event::LeaseLost { .. }));
    assert!(run.is_lost());
    let over = step(&run, 1).unwrap_err();
    assert!(
        matches!(&over, Error::RunOver(over) if over.why == RunEnd::LeaseLost),
        "{over}"
    );
    assert!(run.finish().unwrap().unwrap().is_settled());
    assert_eq!(setup.events_applied(), 1);
    setup.assert_spent(10);
}

pub fn a_dropped_run_is_charged_what_its_steps_cost<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100)).unwrap();
    step(&run, 10).unwrap();
    assert_eq!(setup.files("run").len(), 1, "the total is on disk");
    drop(run);
    setup.flush_everything();
    setup.assert_spent(10);
    assert!(setup.files("run").is_empty());
}

pub fn a_run_that_cost_nothing_is_given_back<A: Adapter>() {
    let setup = TestSetup::<A>::new();
    let run = setup.client.run(config(100)).unwrap();
    let id = run.reservation_id();
    run.step(tokens(50).into(), tokens(0), |_| Ok(())).unwrap();
    assert!(run.finish().unwrap().is_none());
    setup.flush_everything();
    assert_eq!(setup.status(&id), ReservationStatus::Released);
    setup.assert_spent(0);
}

pub fn a_run_is_exact_though_its_journal_cannot_be_written<A: Adapter>() {
    let setup = TestSetup::<A>::without_journal();
    let run = setup.client.run(config(100)).unwrap();
    step(&run, 10).unwrap();
    step(&run, 5).unwrap();
    setup.wait_for_event(|event| matches!(event, Event::JournalFailed { .. }));
    assert!(run.finish().unwrap().unwrap().is_settled());
    setup.assert_spent(15);
}
