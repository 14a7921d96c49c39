//! Runs in shadow mode: they report exhaustion and never fail.

use std::time::Duration;

use cycles_proto::models::*;
use cycles_proto::outcome::RunEnd;
use cycles_proto::run::{RunConfig, Step as Ask};
use cycles_proto::{Error, Event, InvalidCommit, Receipt};
use serde_json::json;

use super::desk::Desk;
use super::shadow::*;

#[test]
fn a_run_in_shadow_mode_reports_exhaustion_and_never_fails() {
    let mut desk = desk();
    let run = begin(&mut desk, 100);
    let most = Duration::from_secs(60);
    let config = RunConfig::new(Amount::tokens(100)).max_duration(most);
    desk.session.begin_run(desk.now(), run, config.options()).unwrap();
    let left = |desk: &Desk| desk.session.run_budget(run).unwrap().left.amount;
    let step = |desk: &mut Desk, estimate: i64, cost: i64| {
        let ask = Ask::new(Amount::tokens(estimate)).name("search");
        let step = desk.session.draw(desk.now(), run, &ask, None).unwrap();
        let ended = desk
            .session
            .end_step(desk.now(), step, &Amount::tokens(cost))
            .unwrap();
        assert!(desk.session.is_step_stored(ended), "there is nothing to store");
        desk.settle();
    };
    step(&mut desk, 60, 50);
    let kept = desk.session.keep(desk.now(), run, &Amount::tokens(70)).unwrap();
    assert_eq!(desk.session.left_of_keep(kept), Some(Amount::tokens(50)));
    assert_eq!(left(&desk), 0);
    step(&mut desk, 40, 30);
    // Even the largest estimate does not make it overflow.
    step(&mut desk, i64::MAX, 45);
    assert_eq!(left(&desk), 0);
    desk.session.give_back(kept);
    assert_eq!(left(&desk), 0, "steps cost more than the run has");
    desk.pass(most);
    step(&mut desk, 0, 1);
    desk.session.finish_run(desk.now(), run);
    let settled = desk.session.settled(run).unwrap().unwrap().unwrap();
    assert!(matches!(settled, Receipt::Shadow { actual, .. } if actual == Amount::tokens(126)));
    desk.settle();
    let exhausted: Vec<_> = desk
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::ShadowExhausted { .. }))
        .map(|(_, event)| serde_json::to_value(event).unwrap())
        .collect();
    let missing: Vec<_> = exhausted
        .iter()
        .map(|event| event["missing"]["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(missing, [20, 40, i64::MAX, 0]);
    assert_eq!(
        (&exhausted[1]["step"], &exhausted[3]["is_late"]),
        (&json!("search"), &json!(true))
    );
    let told = told_once(&desk);
    assert_eq!(
        (&told["actual"]["amount"], &told["exhausted"]),
        (&json!(126), &json!(4))
    );
    assert_eq!(shadow(&desk).exhausted, 4);
    // Only a run that was finished begins no more steps.
    let over = desk
        .session
        .draw(desk.now(), run, &Ask::new(Amount::tokens(1)), None);
    assert!(matches!(over, Err(Error::RunOver(over)) if over.why == RunEnd::Finished));
    assert_untouched(&mut desk);
}

#[test]
fn steps_of_a_run_in_shadow_mode_cost_what_they_would_cost() {
    let mut desk = desk();
    let run = begin(&mut desk, 100);
    let options = RunConfig::new(Amount::tokens(100)).options();
    desk.session.begin_run(desk.now(), run, options).unwrap();
    let draw = |desk: &mut Desk| {
        let ask = Ask::new(Amount::tokens(10));
        desk.session.draw(desk.now(), run, &ask, None).unwrap()
    };
    let failed = draw(&mut desk);
    desk.session.step_spent(failed, &Amount::tokens(2)).unwrap();
    desk.session.abandon_step(desk.now(), failed);
    let dispatched = draw(&mut desk);
    desk.session.step_dispatched(dispatched);
    desk.session.abandon_step(desk.now(), dispatched);
    let wrong = draw(&mut desk);
    let refused = desk.session.end_step(desk.now(), wrong, &Amount::credits(1));
    assert!(matches!(refused, Err(InvalidCommit::WrongUnit { .. })));
    let open = draw(&mut desk);
    desk.session.abandon(desk.now(), run);
    let late = desk.session.end_step(desk.now(), open, &Amount::tokens(5));
    assert_eq!(late.unwrap_err(), InvalidCommit::AlreadyCommitted);
    desk.settle();
    let told = told_once(&desk);
    assert_eq!(
        (
            &told["actual"]["amount"],
            &told["source"],
            &told["has_unknown_cost"]
        ),
        (&json!(12), &json!("estimate"), &json!(true))
    );
    assert_untouched(&mut desk);
}
