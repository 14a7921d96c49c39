//! Requests that leave once they are marked on disk: what becomes of the mark if the process dies, and what a person does
//! with it.

use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::journal::{EntryChange, EntryKind, JournalEntry};
use cycles_proto::models::Amount;
use cycles_proto::run::RunOptions;
use cycles_proto::with_cycles_config::OnError;
use cycles_sandbox::Operation::{CommitReservation, CreateEvent};
use cycles_world::{JournalHealth, ProcessId, Remains, Rule, World};

use crate::story::Story;

/// The estimate of the story's action.
const ESTIMATE: i64 = 100;

const CHARGE: EntryChange = EntryChange::ChargeEstimate { is_forced: false };
const DISCARD: EntryChange = EntryChange::Discard { is_forced: false };

/// A story whose action has sent a request that costs 80 tokens, after it was marked.
fn marked() -> Story {
    let mut story = Story::new();
    story.world.call_provider_durably(story.job, 80, false);
    story.world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(marks(&story.world), 1);
    story
}

/// The same, after the process was killed and another one has read the journal.
fn left() -> (Story, ProcessId) {
    let mut story = marked();
    story.world.crash(story.process);
    let process = story.world.restart(story.process);
    story.world.run_for(Duration::from_secs(1)).unwrap();
    (story, process)
}

fn marks(world: &World) -> usize {
    let names = world.journal().files().map(|(_, name, _)| name);
    names.filter(|name| name.ends_with(".dispatched")).count()
}

/// How often it was told that another process has left a mark of this estimate.
fn told(story: &Story, estimate: i64) -> usize {
    let events = story.world.jobs().flat_map(|(_, job)| &job.events);
    let is_told = |event: &Event| {
        let Event::UnknownCostLeft {
            info, reservation_id, ..
        } = event
        else {
            return false;
        };
        let said = info.as_ref().and_then(|info| info.estimate.clone());
        assert_eq!(
            (said, reservation_id),
            (Some(Amount::tokens(estimate)), story.reservation())
        );
        true
    };
    events.filter(|reported| is_told(&reported.event)).count()
}

fn list(world: &mut World, process: ProcessId) -> Vec<JournalEntry> {
    let caller = world.caller(process);
    world.list_entries(caller)
}

/// A person makes this change to all entries of a list.
fn change(world: &mut World, process: ProcessId, list: &[JournalEntry], change: EntryChange) {
    let caller = world.caller(process);
    for entry in list {
        world.change_by_hand(caller, entry, change);
    }
}

#[test]
fn a_killed_action_is_told_of_by_every_later_process_and_charged_by_none() {
    let (mut story, process) = left();
    assert_eq!(told(&story, ESTIMATE), 1);
    story.outlive_the_lease();
    story.world.restart(process);
    story.finish();
    assert_eq!(told(&story, ESTIMATE), 2);
    assert_eq!((story.charges().len(), marks(&story.world)), (0, 1));
}

#[test]
fn the_record_of_a_cost_takes_the_place_of_its_mark_whenever_the_process_is_killed() {
    for operations in 0..12 {
        let mut story = marked();
        story.commit(80);
        story
            .world
            .crash_leaving(story.process, Remains::After(operations));
        story.world.restart(story.process);
        story.finish();
        let charges = story.charges();
        let is_charged = charges == [(CommitReservation, 80)];
        assert!(is_charged || charges.is_empty(), "{operations}: {charges:?}");
        assert_eq!(told(&story, ESTIMATE), usize::from(!is_charged), "{operations}");
    }
}

#[test]
fn a_mark_on_hold_stays_for_others_while_its_process_lives() {
    let mut story = marked();
    story.world.set_on_error(story.job, OnError::Hold);
    story.world.abandon(story.job);
    story.world.run_for(Duration::from_secs(1)).unwrap();
    assert!(story.has_event(|event| matches!(event, Event::CostUnknown { .. })));
    story.world.start_process();
    story.finish();
    assert_eq!((told(&story, ESTIMATE), marks(&story.world)), (1, 1));
}

#[test]
fn a_refused_request_and_one_that_could_not_be_marked_leave_nothing_behind() {
    for is_disk_full in [false, true] {
        let mut story = Story::new();
        if is_disk_full {
            story.world.journal_mut().set_health(JournalHealth::Fails);
        }
        story.world.call_provider_durably(story.job, 80, false);
        story.world.run_for(Duration::from_secs(1)).unwrap();
        if !is_disk_full {
            story.world.refuse(story.job);
        }
        story.world.run_for(Duration::from_secs(1)).unwrap();
        story.world.crash(story.process);
        story.world.restart(story.process);
        story.finish();
        assert_eq!((told(&story, ESTIMATE), story.charges().len()), (0, 0));
    }
}

#[test]
fn two_persons_with_the_same_list_charge_a_mark_once() {
    for has_expired in [false, true] {
        let (mut story, process) = left();
        if has_expired {
            story.outlive_the_lease();
        }
        let other = story.world.start_process();
        let old = list(&mut story.world, process);
        assert_eq!(old[0].kind, EntryKind::Dispatched);
        for process in [process, other, process] {
            change(&mut story.world, process, &old, CHARGE);
        }
        story.world.run_for(Duration::from_secs(200)).unwrap();
        change(&mut story.world, other, &old, CHARGE);
        story.world.clear_faults();
        story.finish();
        let by = if has_expired {
            CreateEvent
        } else {
            CommitReservation
        };
        assert_eq!(story.charges(), [(by, ESTIMATE)]);
        assert_eq!(marks(&story.world), 0);
    }
}

#[test]
fn a_discarded_mark_is_told_no_more_until_somebody_takes_it_back() {
    let (mut story, process) = left();
    let entries = list(&mut story.world, process);
    change(&mut story.world, process, &entries, DISCARD);
    story.world.run_for(Duration::from_secs(200)).unwrap();
    let process = story.world.restart(process);
    story.world.run_for(Duration::from_secs(200)).unwrap();
    assert_eq!(told(&story, ESTIMATE), 1);
    let entries = list(&mut story.world, process);
    assert_eq!(entries[0].kind, EntryKind::Discarded);
    change(&mut story.world, process, &entries, CHARGE);
    story.finish();
    // By then, the reservation has expired.
    assert_eq!(story.charges(), [(CreateEvent, ESTIMATE)]);
}

#[test]
fn a_person_leaves_the_mark_of_a_running_action_alone() {
    let mut story = marked();
    let other = story.world.start_process();
    let entries = list(&mut story.world, other);
    assert!(entries[0].is_in_progress);
    change(&mut story.world, other, &entries, CHARGE);
    let forced = EntryChange::Discard { is_forced: true };
    change(&mut story.world, other, &entries, forced);
    story.world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(marks(&story.world), 1);
    story.commit(80);
    story.finish();
    assert_eq!(story.charges(), [(CommitReservation, 80)]);
}

#[test]
fn a_person_whose_process_dies_in_the_middle_charges_once_or_not_at_all() {
    for discards in [false, true] {
        let mut ends = [0, 0];
        // Some of its operations take long.
        for milliseconds in (0..60).step_by(3).chain((1..60).map(|seconds| seconds * 1_000)) {
            let (mut story, process) = left();
            let entries = list(&mut story.world, process);
            let word = if discards { DISCARD } else { CHARGE };
            change(&mut story.world, process, &entries, word);
            story.world.run_for(Duration::from_millis(milliseconds)).unwrap();
            story.world.crash(process);
            story.world.restart(process);
            story.finish();
            let charges = story.charges();
            assert!(charges.is_empty() || !discards && charges == [(CommitReservation, ESTIMATE)]);
            ends[usize::from(marks(&story.world) > 0)] += 1;
        }
        assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
    }
}

#[test]
fn a_run_that_dies_is_charged_its_total_and_its_marked_step_only_by_a_person() {
    let mut story = Story::new();
    let (job, world) = (story.job, &mut story.world);
    world.begin_run(job, RunOptions::new(Duration::from_secs(600)));
    assert!(world.begin_step(job, 1, 20, None));
    world.end_step(job, 1, &Amount::tokens(15));
    assert!(world.begin_step(job, 2, 30, None));
    world.call_provider_durably_in_step(job, 2, 25, false);
    world.run_for(Duration::from_secs(1)).unwrap();
    world.crash(story.process);
    let process = world.restart(story.process);
    world.run_for(Duration::from_secs(60)).unwrap();
    assert_eq!(story.charges(), [(CommitReservation, 15)]);
    assert_eq!(told(&story, 30), 1);
    let entries = list(&mut story.world, process);
    change(&mut story.world, process, &entries, CHARGE);
    story.finish();
    let charges = story.world.jobs().flat_map(|(_, job)| &job.charges);
    let charges: Vec<_> = charges.map(|charge| (charge.by, charge.amount)).collect();
    assert_eq!(charges, [(CommitReservation, 15), (CreateEvent, 30)]);
}

#[test]
fn a_mark_that_is_left_beside_the_record_is_caught() {
    let mut story = marked();
    story.world.journal_mut().leave_marks_beside_records();
    story.commit(80);
    story.world.crash_leaving(story.process, Remains::Nothing);
    story.world.restart(story.process);
    // The process was killed before it wrote the record, so there is only the mark.
    story.world.run_for(Duration::from_secs(1)).unwrap();

    let mut story = marked();
    story.world.journal_mut().leave_marks_beside_records();
    story.world.inject("commit:503".parse().unwrap());
    story.commit(80);
    story.world.run_for(Duration::from_secs(1)).unwrap();
    story.world.crash(story.process);
    story.world.restart(story.process);
    let caught = story.world.run_for(Duration::from_secs(1));
    assert_eq!(caught.unwrap_err().rule, Rule::MarkTrue);
}

#[test]
fn a_mark_that_is_told_or_charged_while_its_owner_lives_is_caught() {
    let mut story = marked();
    story.world.journal_mut().take_owners_for_gone();
    story.world.start_process();
    let caught = story.world.run_for(Duration::from_secs(1));
    assert_eq!(caught.unwrap_err().rule, Rule::MarkTrue);

    let mut story = marked();
    let other = story.world.start_process();
    let entries = list(&mut story.world, other);
    story.world.journal_mut().take_owners_for_gone();
    change(&mut story.world, other, &entries, CHARGE);
    let caught = story.world.run_for(Duration::from_secs(200));
    assert_eq!(caught.unwrap_err().rule, Rule::MarkByHand);
}
