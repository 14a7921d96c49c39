//! Runs: steps draw from one reservation without calls, and what they cost is stored, and committed once.

use std::time::Duration;

use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{Amount, CommitRequest};
use cycles_proto::outcome::{RunEnd, Stop};
use cycles_proto::run::{RunConfig, RunOptions, Step as Ask};
use cycles_proto::session::{Close, ReservationKey, StepKey};
use cycles_proto::{Error, Event, InvalidCommit};

use super::desk::{Desk, Fate};

const HOUR: Duration = Duration::from_secs(3600);

/// A run that holds 1,000 tokens.
fn run(desk: &mut Desk) -> ReservationKey {
    run_for(desk, HOUR)
}

fn run_for(desk: &mut Desk, most: Duration) -> ReservationKey {
    let key = desk.held();
    desk.session
        .begin_run(desk.now(), key, RunOptions::new(most))
        .unwrap();
    key
}

fn draw(desk: &mut Desk, run: ReservationKey, estimate: i64) -> Result<StepKey, Error> {
    let now = desk.now();
    desk.session
        .draw(now, run, &Ask::new(Amount::tokens(estimate)).name("search"), None)
}

/// A step that has ended and cost this much.
fn step(desk: &mut Desk, run: ReservationKey, estimate: i64, actual: i64) {
    let step = draw(desk, run, estimate).unwrap();
    let ended = desk
        .session
        .end_step(desk.now(), step, &Amount::tokens(actual))
        .unwrap();
    desk.settle();
    assert!(desk.session.is_step_stored(ended));
}

fn finish(desk: &mut Desk, run: ReservationKey) {
    desk.session.finish_run(desk.now(), run);
    desk.settle();
}

fn over(error: Result<StepKey, Error>) -> RunEnd {
    match error {
        Err(error @ Error::RunOver(_)) => {
            assert!(!error.is_denied() && !error.is_retryable());
            let Error::RunOver(over) = error else {
                unreachable!()
            };
            over.why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_two_calls_however_many_steps_it_has() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    for _ in 0..100 {
        step(&mut desk, run, 10, 7);
    }
    finish(&mut desk, run);
    assert_eq!(desk.charged(), [Some(700)]);
    assert_eq!(desk.sent.len(), 2, "{:?}", desk.sent);
    assert!(desk.journal.is_empty() && desk.totals.is_empty());
    assert!(desk.session.settled(run).unwrap().unwrap().unwrap().is_settled());
}

#[test]
fn a_step_that_asks_for_more_than_is_left_is_refused_without_a_call_and_is_not_denied() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    let open = draw(&mut desk, run, 900).unwrap();
    let calls = desk.sent.len();
    let error = draw(&mut desk, run, 101).unwrap_err();
    assert!(!error.is_denied() && !error.is_budget_exceeded() && !error.is_retryable());
    let said = error.to_string();
    let Error::RunExhausted(why) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (why.asked.amount, why.left.amount, why.reserved.amount),
        (101, 100, 1000)
    );
    assert!(
        said.contains("has 100 TOKENS left") && said.contains("\"search\""),
        "{said}"
    );
    desk.session
        .end_step(desk.now(), open, &Amount::tokens(1))
        .unwrap();
    draw(&mut desk, run, 999).unwrap();
    desk.settle();
    assert_eq!(desk.sent.len(), calls);
}

#[test]
fn a_step_waits_for_a_store_that_has_its_cost_and_one_store_has_many_steps() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    desk.stores = Fate::Held;
    let steps: Vec<StepKey> = (0..10).map(|_| draw(&mut desk, run, 10).unwrap()).collect();
    let ended: Vec<_> = steps
        .into_iter()
        .map(|step| {
            let ended = desk
                .session
                .end_step(desk.now(), step, &Amount::tokens(3))
                .unwrap();
            desk.settle();
            ended
        })
        .collect();
    let is_stored = |desk: &Desk| -> Vec<bool> {
        ended
            .iter()
            .map(|ended| desk.session.is_step_stored(*ended))
            .collect()
    };
    assert_eq!(is_stored(&desk), [false; 10]);
    assert_eq!(desk.open_stores.len(), 1);
    desk.store_next();
    desk.settle();
    assert!(is_stored(&desk)[0] && !is_stored(&desk)[1]);
    let write = desk.store_next();
    assert!(matches!(&write, JournalWrite::PutRun(total) if total.actual() == Some(Amount::tokens(30))));
    desk.settle();
    assert_eq!(is_stored(&desk), [true; 10]);
    assert!(desk.open_stores.is_empty());
}

#[test]
fn a_step_does_not_wait_for_a_disk_that_fails_or_hangs_for_longer_than_five_seconds() {
    for fate in [Fate::Fails, Fate::Held] {
        let mut desk = Desk::new();
        let run = run(&mut desk);
        desk.stores = fate;
        let step = draw(&mut desk, run, 10).unwrap();
        let ended = desk
            .session
            .end_step(desk.now(), step, &Amount::tokens(3))
            .unwrap();
        desk.pass_ms(4_999);
        assert_eq!(desk.session.is_step_stored(ended), fate == Fate::Fails);
        desk.pass_ms(1);
        assert!(desk.session.is_step_stored(ended));
        assert_eq!(desk.told(|event| matches!(event, Event::JournalFailed { .. })), 1);
        desk.stores = Fate::Done;
        finish(&mut desk, run);
        assert_eq!(desk.charged(), [Some(3)]);
    }
}

#[test]
fn a_finished_run_waits_for_its_open_steps_and_starts_no_more() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 10, 7);
    let open = draw(&mut desk, run, 10).unwrap();
    finish(&mut desk, run);
    assert!(desk.session.settled(run).is_none());
    assert_eq!(over(draw(&mut desk, run, 1)), RunEnd::Finished);
    desk.session
        .end_step(desk.now(), open, &Amount::tokens(2))
        .unwrap();
    desk.settle();
    assert_eq!(desk.charged(), [Some(9)]);
    assert_eq!(over(draw(&mut desk, run, 1)), RunEnd::Finished);
}

#[test]
fn a_run_that_spent_nothing_is_given_back() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 10, 0);
    let failed = draw(&mut desk, run, 10).unwrap();
    desk.session.abandon_step(desk.now(), failed);
    finish(&mut desk, run);
    assert!(desk.sent.last().unwrap().ends_with("/release"), "{:?}", desk.sent);
    assert!(matches!(desk.session.settled(run), Some(Ok(None))));
}

#[test]
fn a_run_that_is_dropped_is_charged_what_its_steps_cost_and_its_open_steps_have_spent() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 10, 7);
    let open = draw(&mut desk, run, 10).unwrap();
    desk.session.step_spent(open, &Amount::tokens(4)).unwrap();
    draw(&mut desk, run, 10).unwrap();
    desk.session.forget(desk.now(), run);
    desk.settle();
    assert_eq!(desk.charged(), [Some(11)]);
}

#[test]
fn a_step_that_fails_is_charged_what_it_has_spent() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    let failed = draw(&mut desk, run, 100).unwrap();
    desk.session.step_spent(failed, &Amount::tokens(4)).unwrap();
    desk.session.step_spent(failed, &Amount::tokens(2)).unwrap();
    let ended = desk.session.abandon_step(desk.now(), failed);
    desk.settle();
    assert!(desk.session.is_step_stored(ended));
    assert_eq!(desk.session.run_budget(run).unwrap().left, Amount::tokens(996));
    finish(&mut desk, run);
    assert_eq!(desk.charged(), [Some(4)]);
}

#[test]
fn a_kept_amount_is_for_steps_that_draw_from_it() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    let now = desk.now();
    let kept = desk.session.keep(now, run, &Amount::tokens(300)).unwrap();
    assert!(draw(&mut desk, run, 701).is_err());
    let ask = Ask::new(Amount::tokens(200));
    let last = desk.session.draw(now, run, &ask, Some(kept)).unwrap();
    assert_eq!(desk.session.left_of_keep(kept), Some(Amount::tokens(100)));
    desk.session.end_step(now, last, &Amount::tokens(150)).unwrap();
    assert_eq!(desk.session.left_of_keep(kept), Some(Amount::tokens(150)));
    desk.session.give_back(kept);
    assert_eq!(desk.session.run_budget(run).unwrap().left, Amount::tokens(850));
    finish(&mut desk, run);
    assert_eq!(desk.charged(), [Some(150)]);
}

#[test]
fn a_cost_that_cannot_be_charged_is_told_and_does_not_free_the_budget() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    let [bad, negative] = [(); 2].map(|()| draw(&mut desk, run, 100).unwrap());
    desk.session.step_spent(negative, &Amount::tokens(6)).unwrap();
    let now = desk.now();
    let wrong = desk.session.end_step(now, bad, &Amount::credits(5)).unwrap_err();
    assert!(matches!(wrong, InvalidCommit::WrongUnit { .. }));
    desk.session
        .end_step(now, negative, &Amount::tokens(-1))
        .unwrap_err();
    desk.settle();
    assert_eq!(desk.told(|event| matches!(event, Event::CostNotTaken { .. })), 2);
    assert_eq!(desk.session.run_budget(run).unwrap().left, Amount::tokens(894));
    finish(&mut desk, run);
    assert_eq!(desk.charged(), [Some(6)]);
}

#[test]
fn a_run_whose_only_cost_is_unknown_is_not_given_back() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    let bad = draw(&mut desk, run, 100).unwrap();
    desk.session
        .end_step(desk.now(), bad, &Amount::credits(5))
        .unwrap_err();
    finish(&mut desk, run);
    assert!(
        !desk.sent.iter().any(|sent| sent.ends_with("/release")),
        "{:?}",
        desk.sent
    );
}

#[test]
fn a_run_that_lost_its_lease_starts_no_steps_and_is_charged_by_an_event() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    let open = draw(&mut desk, run, 10).unwrap();
    desk.calls = |_| Fate::Fails;
    desk.pass_ms(300_000);
    assert_eq!(over(draw(&mut desk, run, 1)), RunEnd::LeaseLost);
    desk.calls = |_| Fate::Done;
    desk.session
        .end_step(desk.now(), open, &Amount::tokens(5))
        .unwrap();
    finish(&mut desk, run);
    assert!(desk.sent.last().unwrap().ends_with("/events"), "{:?}", desk.sent);
}

#[test]
fn a_run_that_has_lasted_long_enough_is_not_extended_any_more() {
    let mut desk = Desk::new();
    let run = run_for(&mut desk, Duration::from_secs(120));
    let open = draw(&mut desk, run, 10).unwrap();
    desk.pass_ms(119_999);
    draw(&mut desk, run, 1).unwrap();
    let beats = |desk: &Desk| desk.sent.iter().filter(|sent| sent.ends_with("/extend")).count();
    assert!(beats(&desk) >= 1);
    desk.pass_ms(1);
    assert_eq!(
        over(draw(&mut desk, run, 1)),
        RunEnd::MaxDuration(Duration::from_secs(120))
    );
    desk.settle();
    assert_eq!(
        desk.told(|event| matches!(
            event,
            Event::HeartbeatStopped {
                reason: Stop::MaxDuration,
                ..
            }
        )),
        1
    );
    let before = beats(&desk);
    desk.pass_ms(600_000);
    assert_eq!(beats(&desk), before);
    assert_eq!(desk.told(|event| matches!(event, Event::LeaseLost { .. })), 1);
    desk.session
        .end_step(desk.now(), open, &Amount::tokens(5))
        .unwrap();
    desk.session.forget(desk.now(), run);
    desk.settle();
    assert!(desk.sent.last().unwrap().ends_with("/events"), "{:?}", desk.sent);
}

#[test]
fn a_run_cannot_be_committed_as_a_whole() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 10, 7);
    let cost = CommitRequest::builder().actual(Amount::tokens(1)).build();
    assert!(desk.session.commit(desk.now(), run, cost).is_err());
    assert!(desk.session.spent(run, &Amount::tokens(900)).is_err());
    finish(&mut desk, run);
    assert_eq!(desk.charged(), [Some(7)]);
}

#[test]
fn a_session_that_closes_at_once_charges_what_is_known_and_tells_what_comes_too_late() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 10, 7);
    let open = draw(&mut desk, run, 10).unwrap();
    desk.session.close(desk.now(), Close::Leaving);
    desk.settle();
    assert_eq!(desk.charged(), [Some(7)]);
    let late = desk
        .session
        .end_step(desk.now(), open, &Amount::tokens(5))
        .unwrap_err();
    assert_eq!(late, InvalidCommit::AlreadyCommitted);
    desk.settle();
    assert_eq!(desk.told(|event| matches!(event, Event::CostNotTaken { .. })), 1);
}

#[test]
fn what_a_crash_leaves_of_a_run_is_the_total_of_the_steps_that_resolved_under_the_key_of_the_commit() {
    let mut desk = Desk::new();
    let key = desk.held();
    let mut options = RunOptions::new(HOUR);
    options.commit_key = Some("run-7".into());
    options.metadata = Some(cycles_proto::models::JsonObject::new().with("job", "7"));
    desk.session.begin_run(desk.now(), key, options).unwrap();
    step(&mut desk, key, 10, 7);
    step(&mut desk, key, 10, 1);
    let total = desk.totals.values().next().unwrap();
    let body: serde_json::Value = serde_json::from_str(total.body()).unwrap();
    assert_eq!(body["idempotency_key"], "run-7");
    assert_eq!(body["actual"]["amount"], 8);
    assert_eq!(body["metadata"]["job"], "7");
    assert_eq!(body["metadata"]["cycles_run"]["by_name"]["search"]["amount"], 8);
    // The same bytes are committed at the end, so a total that is sent twice counts once.
    let stored = total.body().to_owned();
    desk.stores = Fate::Held;
    finish(&mut desk, key);
    let JournalWrite::Put(last) = &desk.open_stores[0].2 else {
        panic!()
    };
    assert_eq!(last.body(), stored);
}

#[test]
fn the_lease_of_a_run_is_as_long_as_its_duration_needs() {
    for (config, ttl, most) in [
        (RunConfig::new(Amount::tokens(1)), 60_000, 660),
        (
            RunConfig::new(Amount::tokens(1)).max_duration(HOUR),
            327_273,
            3600,
        ),
        (
            RunConfig::new(Amount::tokens(1)).max_duration(Duration::from_secs(1)),
            60_000,
            1,
        ),
        (RunConfig::new(Amount::tokens(1)).ttl_ms(1_000), 1_000, 11),
        (
            RunConfig::new(Amount::tokens(1)).max_duration(HOUR * 10_000),
            86_400_000,
            36_000_000,
        ),
    ] {
        assert_eq!(config.request().ttl_ms, Some(ttl));
        assert_eq!(config.options().max_duration, Duration::from_secs(most));
    }
}

#[test]
fn a_run_without_an_open_step_ends_at_once_when_actions_are_asked_to_stop() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 100, 35);
    desk.session
        .shut_down(desk.now(), Close::Leaving, desk.mono + HOUR);
    desk.settle();
    let left = desk.session.left_at_end().expect("nothing is waited for");
    assert!(left.is_complete(), "{left:?}");
    assert_eq!(desk.charged(), [Some(35)]);
    assert_eq!(over(draw(&mut desk, run, 1)), RunEnd::Finished);
}

#[test]
fn a_run_with_an_open_step_ends_with_it_when_actions_are_asked_to_stop() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 100, 35);
    let open = draw(&mut desk, run, 100).unwrap();
    desk.session
        .shut_down(desk.now(), Close::Leaving, desk.mono + HOUR);
    desk.settle();
    assert!(desk.session.left_at_end().is_none());
    assert_eq!(over(draw(&mut desk, run, 1)), RunEnd::Finished);
    desk.session.step_spent(open, &Amount::tokens(3)).unwrap();
    desk.session.abandon_step(desk.now(), open);
    desk.settle();
    let left = desk.session.left_at_end().expect("its step has ended");
    assert!(left.is_complete(), "{left:?}");
    assert_eq!(desk.charged(), [Some(38)]);
}

#[test]
fn when_the_time_of_a_close_is_up_what_the_steps_cost_is_on_disk() {
    let mut desk = Desk::new();
    let run = run(&mut desk);
    step(&mut desk, run, 100, 35);
    let now = desk.now();
    desk.session
        .shut_down(now, Close::WhenDone, desk.mono + Duration::from_secs(10));
    desk.settle();
    // It may go on until then.
    step(&mut desk, run, 100, 7);
    desk.calls = |_| Fate::Held;
    desk.pass(Duration::from_secs(10));
    let left = desk.session.left_at_end().expect("its time is up");
    assert_eq!((left.running, left.ending), (1, 1), "{left:?}");
    let recorded: Vec<_> = desk.journal.values().map(|record| record.actual()).collect();
    assert_eq!(recorded, [Some(Amount::tokens(42))]);
    assert_eq!(over(draw(&mut desk, run, 1)), RunEnd::Finished);
}
