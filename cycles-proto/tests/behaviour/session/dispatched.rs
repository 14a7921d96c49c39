//! Requests of actions and steps that left and got no usable answer: what a run, a flush and the end of a session make
//! of them.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::Amount;
use cycles_proto::outcome::ActualSource;
use cycles_proto::run::{RunConfig, Step as Ask};
use cycles_proto::session::{Close, ReservationKey, StepKey};
use cycles_proto::with_cycles_config::OnError;

use super::desk::{Desk, Fate};

/// A run that holds 1,000 tokens.
fn run(desk: &mut Desk, on_error: OnError) -> ReservationKey {
    let key = desk.held();
    let config = RunConfig::new(Amount::tokens(1_000)).on_error(on_error);
    desk.session.begin_run(desk.now(), key, config.options()).unwrap();
    key
}

/// A step of 100 tokens, of which a request has left.
fn dispatched(desk: &mut Desk, run: ReservationKey) -> StepKey {
    let now = desk.now();
    let ask = Ask::new(Amount::tokens(100)).name("search");
    let step = desk.session.draw(now, run, &ask, None).unwrap();
    desk.session.step_dispatched(step);
    step
}

fn finish(desk: &mut Desk, run: ReservationKey) {
    desk.session.finish_run(desk.now(), run);
    desk.settle();
}

/// Where the charge of the only commit comes from.
fn source(desk: &Desk) -> Option<ActualSource> {
    desk.events.iter().find_map(|(_, event)| {
        if let Event::Committed { source, .. } = event {
            return Some(*source);
        }
        None
    })
}

fn unknown(desk: &Desk) -> Vec<(i64, Option<i64>)> {
    let told = desk.events.iter().filter_map(|(_, event)| {
        if let Event::CostUnknown {
            estimate, charged, ..
        } = event
        {
            return Some((estimate.amount, charged.as_ref().map(|charged| charged.amount)));
        }
        None
    });
    told.collect()
}

/// What the last total in the journal says about the steps.
fn last_total(desk: &Desk) -> String {
    desk.totals
        .values()
        .last()
        .map(|total| total.body().to_owned())
        .unwrap()
}

#[test]
fn a_step_whose_request_left_is_charged_its_estimate_and_the_commit_says_so() {
    let mut desk = Desk::new();
    let run = run(&mut desk, OnError::Estimate);
    let failed = dispatched(&mut desk, run);
    let ended = desk.session.abandon_step(desk.now(), failed);
    assert!(
        !desk.session.is_step_stored(ended),
        "the caller waits until the charge is on disk"
    );
    desk.settle();
    assert!(desk.session.is_step_stored(ended));
    assert!(
        last_total(&desk).contains(r#""estimated_steps":1"#),
        "{}",
        last_total(&desk)
    );
    assert_eq!(desk.session.run_budget(run).unwrap().left, Amount::tokens(900));
    finish(&mut desk, run);
    assert_eq!(
        (desk.charged(), source(&desk)),
        (vec![Some(100)], Some(ActualSource::Estimate))
    );
}

#[test]
fn a_step_is_charged_what_it_had_spent_and_a_refused_one_gives_back() {
    let mut desk = Desk::new();
    let run = run(&mut desk, OnError::Estimate);
    let spent = dispatched(&mut desk, run);
    desk.session.step_spent(spent, &Amount::tokens(30)).unwrap();
    desk.session.abandon_step(desk.now(), spent);
    let refused = dispatched(&mut desk, run);
    desk.session.step_not_charged(refused);
    desk.session.abandon_step(desk.now(), refused);
    assert_eq!(desk.session.run_budget(run).unwrap().left, Amount::tokens(970));
    finish(&mut desk, run);
    assert_eq!(
        (desk.charged(), source(&desk)),
        (vec![Some(30)], Some(ActualSource::Partial))
    );
}

#[test]
fn a_step_may_have_another_policy_than_its_run() {
    for (of_run, of_step, charged) in [
        (OnError::Release, None, None),
        (OnError::Spent, None, None),
        (OnError::Release, Some(OnError::Estimate), Some(100)),
        (OnError::Estimate, Some(OnError::Release), None),
    ] {
        let mut desk = Desk::new();
        let run = run(&mut desk, of_run);
        let mut ask = Ask::new(Amount::tokens(100));
        if let Some(of_step) = of_step {
            ask = ask.on_error(of_step);
        }
        let step = desk.session.draw(desk.now(), run, &ask, None).unwrap();
        desk.session.step_dispatched(step);
        desk.session.abandon_step(desk.now(), step);
        finish(&mut desk, run);
        assert_eq!(desk.charged(), [charged], "{of_run:?} {of_step:?}");
    }
}

#[test]
fn a_step_on_hold_keeps_its_draw_and_is_told_at_the_end_of_the_run() {
    for reported in [0, 40] {
        let mut desk = Desk::new();
        let run = run(&mut desk, OnError::Hold);
        for _ in 0..2 {
            let step = dispatched(&mut desk, run);
            desk.session.abandon_step(desk.now(), step);
        }
        let other = dispatched(&mut desk, run);
        desk.session
            .end_step(desk.now(), other, &Amount::tokens(reported))
            .unwrap();
        desk.settle();
        let left = desk.session.run_budget(run).unwrap().left;
        assert_eq!(left, Amount::tokens(800 - reported));
        assert_eq!(unknown(&desk), []);
        finish(&mut desk, run);
        let charged = Some(reported).filter(|reported| *reported > 0);
        assert_eq!(desk.charged(), [charged]);
        assert_eq!(unknown(&desk), [(200, charged)], "once, for both");
        let is_released = desk.sent.iter().any(|call| call.ends_with("/release"));
        assert!(!is_released, "{:?}", desk.sent);
        let key = desk.flush(Duration::from_secs(1));
        desk.pass_ms(1_000);
        let left = desk.session.flushed(key).unwrap();
        assert!(!left.is_complete());
        assert_eq!(left.unrecorded, 1);
    }
}

#[test]
fn a_run_that_is_dropped_is_charged_for_its_open_steps_whose_requests_left() {
    let mut desk = Desk::new();
    let run = run(&mut desk, OnError::Estimate);
    dispatched(&mut desk, run);
    desk.session.forget(desk.now(), run);
    desk.settle();
    assert_eq!(desk.charged(), [Some(100)]);
}

#[test]
fn an_estimate_that_stands_in_for_a_cost_is_on_disk_before_it_is_sent() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.session.dispatched(key);
    desk.session.abandon(desk.now(), key);
    desk.settle();
    let sent = desk.sent.len();
    let write = desk.store_next();
    assert!(matches!(&write, JournalWrite::Put(record) if record.body().contains("estimate")));
    desk.stores = Fate::Done;
    desk.settle();
    assert_eq!(desk.sent.len(), sent + 1);
    assert_eq!(
        (desk.charged().len(), source(&desk)),
        (1, Some(ActualSource::Estimate))
    );
}

#[test]
fn a_session_that_leaves_charges_for_actions_whose_requests_left_and_one_that_waits_lets_them_end() {
    for how in [Close::Leaving, Close::WhenDone] {
        let mut desk = Desk::new();
        let (left, idle) = (desk.held(), desk.held());
        desk.session.dispatched(left);
        desk.session
            .shut_down(desk.now(), how, desk.mono + Duration::from_secs(1));
        desk.pass_ms(1_000);
        desk.settle();
        let charged = desk.charged();
        assert!(charged[1].is_none(), "{how:?}: {charged:?}");
        assert_eq!(charged[0].is_some(), how == Close::Leaving, "{charged:?}");
        assert_eq!(desk.session.receipt(left).is_some(), how == Close::Leaving);
        assert!(desk.session.receipt(idle).is_none());
        if how == Close::WhenDone {
            // Its cost may still come.
            desk.commit(left, 5);
            desk.pass_ms(1_000);
            assert_eq!(desk.charged(), [Some(5), None]);
        }
    }
}

#[test]
fn an_action_that_may_have_cost_something_cannot_become_a_run_which_would_charge_only_its_steps() {
    type Act = fn(&mut Desk, ReservationKey);
    let acts: [(Act, Option<i64>); 3] = [
        (|desk, key| desk.session.dispatched(key), Some(1_000)),
        (
            |desk, key| desk.session.spent(key, &Amount::tokens(30)).unwrap(),
            Some(30),
        ),
        (
            |desk, key| {
                desk.session.dispatched(key);
                desk.session.not_charged(key);
            },
            None,
        ),
    ];
    for (act, charged) in acts {
        let mut desk = Desk::new();
        let key = desk.held();
        act(&mut desk, key);
        let config = RunConfig::new(Amount::tokens(1_000));
        let begun = desk.session.begin_run(desk.now(), key, config.options());
        assert_eq!(begun.is_err(), charged.is_some(), "{charged:?}: {begun:?}");
        desk.session.abandon(desk.now(), key);
        desk.settle();
        assert_eq!(desk.charged(), [charged]);
    }
}
