//! Actions that call a provider and end without a cost. The provider knows what it charges, and the client does not.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::models::Amount;
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::run::RunOptions;
use cycles_proto::with_cycles_config::OnError;
use cycles_sandbox::Operation::{CommitReservation, CreateEvent};
use cycles_sandbox::ReservationStatus;
use cycles_world::Remains;

use crate::story::Story;

/// The estimate of the story's action.
const ESTIMATE: i64 = 100;

/// A story whose action has sent a request that costs 80 tokens.
fn dispatched() -> Story {
    let mut story = Story::new();
    story.world.call_provider(story.job, 80, true);
    story
}

fn status(story: &Story) -> ReservationStatus {
    let id = story.reservation().as_str();
    story.world.ledger().reservation(id).unwrap().status
}

#[test]
fn an_action_whose_request_left_is_charged_its_estimate_whether_it_fails_or_is_dropped() {
    for is_dropped in [false, true] {
        let mut story = dispatched();
        match is_dropped {
            true => story.world.abandon(story.job),
            false => story.world.release(story.job, ReleaseReason::ACTION_FAILED),
        }
        story.finish();
        assert_eq!(story.charges(), [(CommitReservation, ESTIMATE)]);
    }
}

#[test]
fn an_action_that_does_not_say_that_its_request_left_is_free_whatever_its_provider_charges() {
    let mut story = Story::new();
    story.world.call_provider(story.job, 80, false);
    story.world.abandon(story.job);
    story.finish();
    assert_eq!(
        (story.charges().len(), status(&story)),
        (0, ReservationStatus::Released)
    );
}

#[test]
fn a_retry_at_another_provider_that_refuses_does_not_make_the_first_one_free() {
    for (is_first_refused, charges) in [(true, 0), (false, 1)] {
        let mut story = Story::new();
        for is_refused in [is_first_refused, true] {
            story.world.call_provider(story.job, 80, true);
            if is_refused {
                story.world.refuse(story.job);
            }
        }
        story.world.abandon(story.job);
        story.finish();
        assert_eq!(story.charges().len(), charges, "{is_first_refused}");
    }
}

#[test]
fn the_estimate_of_an_action_survives_a_crash_and_the_end_of_its_lease() {
    let mut story = dispatched();
    story.world.abandon(story.job);
    story.world.crash_leaving(story.process, Remains::All);
    story.outlive_the_lease();
    story.world.clear_faults();
    story.world.restart(story.process);
    story.finish();
    assert_eq!(story.charges(), [(CreateEvent, ESTIMATE)]);
}

#[test]
fn an_action_whose_process_is_killed_before_it_ends_is_not_charged() {
    let mut story = dispatched();
    story.world.crash(story.process);
    story.world.run_for(Duration::from_secs(600)).unwrap();
    story.world.restart(story.process);
    story.finish();
    assert!(story.charges().is_empty());
}

#[test]
fn an_action_on_hold_is_told_of_and_what_it_has_spent_is_charged() {
    for (spent, told) in [(0, true), (30, false)] {
        let mut story = Story::new();
        story.world.set_on_error(story.job, OnError::Hold);
        story.world.call_provider(story.job, 80, true);
        story.world.spent(story.job, &Amount::tokens(spent)).unwrap();
        story.world.abandon(story.job);
        story.finish();
        let is_told = |event: &Event| matches!(event, Event::CostUnknown { .. });
        assert_eq!(story.has_event(is_told), told, "{spent}");
        assert_eq!(story.charges().len(), usize::from(spent > 0), "{spent}");
    }
}

#[test]
fn a_run_is_charged_the_estimates_of_its_failed_steps_and_tells_of_those_on_hold() {
    let mut story = Story::new();
    let (job, world) = (story.job, &mut story.world);
    world.begin_run(job, RunOptions::new(Duration::from_secs(600)));
    for (step, on_error) in [(1, None), (2, Some(OnError::Hold)), (3, None)] {
        assert!(world.begin_step(job, step, 20, on_error));
        world.call_provider_in_step(job, step, 15);
    }
    world.refuse_step(job, 3);
    for step in 1..=3 {
        world.fail_step(job, step);
    }
    world.finish_run(job);
    story.finish();
    assert_eq!(story.charges(), [(CommitReservation, 20)]);
    assert!(story.has_event(|event| {
        matches!(event, Event::CostUnknown { estimate, .. } if *estimate == Amount::tokens(20))
    }));
}
