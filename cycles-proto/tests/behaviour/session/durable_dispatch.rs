//! The durable mark of a request: what is on disk before it leaves, and what becomes of that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{Amount, CommitRequest};
use cycles_proto::outcome::NotMarked;
use cycles_proto::run::{RunConfig, Step as Ask};
use cycles_proto::session::{ReservationKey, Scanned, StepKey};
use cycles_proto::with_cycles_config::OnError;
use cycles_proto::{CyclesConfig, Event};

use super::desk::{Desk, Fate, KEY};

/// A held reservation of which a request has left, and which is marked.
fn marked(desk: &mut Desk) -> ReservationKey {
    let key = desk.held();
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    assert_eq!(desk.session.marked(key), None);
    desk.settle();
    assert_eq!(desk.session.marked(key), Some(Ok(())));
    assert_eq!(desk.marks.len(), 1);
    key
}

fn count(desk: &Desk, is_it: fn(&Event) -> bool) -> usize {
    desk.events.iter().filter(|(_, event)| is_it(event)).count()
}

fn open_stores(desk: &Desk) -> Vec<&JournalWrite> {
    desk.open_stores.iter().map(|(_, _, write)| write).collect()
}

#[test]
fn a_request_is_marked_with_the_estimate_before_it_leaves_and_the_record_of_the_cost_takes_its_place() {
    let mut desk = Desk::new();
    let key = marked(&mut desk);
    let estimate = desk.marks[0].dispatched().cloned();
    assert!(estimate.is_some_and(|estimate| estimate.amount > 0));
    assert!(desk.marks[0].body().contains(r#""actual_source":"estimate""#));
    desk.stores = Fate::Held;
    desk.commit(key, 5);
    desk.settle();
    let [JournalWrite::Put(record)] = open_stores(&desk)[..] else {
        panic!("{:?}", desk.open_stores)
    };
    assert!(record.dispatched().is_none());
    desk.store_next();
    assert_eq!(desk.marks.len(), 0);
    desk.stores = Fate::Done;
    desk.settle();
    assert_eq!(desk.charged(), [Some(5)]);
    assert!(desk.session.is_over(key) && desk.journal.is_empty());
}

#[test]
fn the_mark_is_under_the_key_of_the_commit_unless_that_has_a_key_of_its_own() {
    for own in [None, Some("my-key")] {
        let mut desk = Desk::new();
        let key = marked(&mut desk);
        let of_mark = desk.marks[0].id().key.clone();
        let mut commit = CommitRequest::builder().actual(Amount::tokens(5)).build();
        commit.idempotency_key = own.map(Into::into);
        desk.stores = Fate::Held;
        desk.session.commit(desk.now(), key, commit).unwrap();
        desk.settle();
        let [JournalWrite::Put(record)] = open_stores(&desk)[..] else {
            panic!("{:?}", desk.open_stores)
        };
        assert_eq!(record.id().key == of_mark, own.is_none());
    }
}

#[test]
fn a_second_request_of_a_marked_action_waits_for_nothing() {
    let mut desk = Desk::new();
    let key = marked(&mut desk);
    desk.stores = Fate::Held;
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    assert_eq!(desk.session.marked(key), Some(Ok(())));
    assert!(desk.open_stores.is_empty());
}

#[test]
fn a_request_that_is_refused_takes_its_mark_along_and_the_release_follows() {
    let mut desk = Desk::new();
    let key = marked(&mut desk);
    desk.session.dispatched(key);
    desk.session.not_charged(key);
    desk.settle();
    assert_eq!(desk.marks.len(), 1, "the first request may have to be paid for");
    desk.session.not_charged(key);
    desk.settle();
    assert_eq!(desk.marks.len(), 0);
    desk.session.abandon(desk.now(), key);
    desk.settle();
    assert_eq!(desk.charged(), [None]);
    assert!(desk.session.is_over(key));
}

#[test]
fn a_request_after_a_refused_one_is_marked_again() {
    let mut desk = Desk::new();
    let key = marked(&mut desk);
    desk.session.not_charged(key);
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    assert_eq!(
        desk.session.marked(key),
        Some(Ok(())),
        "its removal had not begun"
    );
    desk.settle();
    assert_eq!(desk.marks.len(), 1);
    desk.session.not_charged(key);
    desk.stores = Fate::Held;
    desk.settle();
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    assert_eq!(desk.session.marked(key), None, "first the old one is removed");
    desk.stores = Fate::Done;
    assert!(matches!(desk.store_next(), JournalWrite::RemoveMark(_)));
    desk.settle();
    assert_eq!((desk.session.marked(key), desk.marks.len()), (Some(Ok(())), 1));
}

#[test]
fn a_mark_that_waits_to_be_written_again_is_not_written_beside_the_record() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    // The first request is refused and the second one is to leave while the mark of the first one is being written.
    desk.session.not_charged(key);
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.calls = |_| Fate::Held;
    desk.commit(key, 5);
    desk.settle();
    while !desk.open_stores.is_empty() {
        desk.store_next();
        desk.settle();
    }
    assert_eq!((desk.marks.len(), desk.journal.len()), (0, 1));
    assert_eq!(desk.session.marked(key), Some(Ok(())));
}

#[test]
fn an_action_that_ends_without_a_cost_leaves_a_mark_only_on_hold() {
    for (policy, charged, is_left) in [
        (OnError::Release, false, false),
        (OnError::Spent, false, false),
        (OnError::Estimate, true, false),
        (OnError::Hold, false, true),
    ] {
        let mut desk = Desk::new();
        let key = marked(&mut desk);
        desk.session.set_on_error(key, policy);
        desk.session.abandon(desk.now(), key);
        desk.settle();
        assert_eq!(desk.charged()[0].is_some(), charged, "{policy:?}");
        assert_eq!(desk.marks.len(), usize::from(is_left), "{policy:?}");
        assert_eq!(desk.left_marks.len(), usize::from(is_left), "{policy:?}");
        let told = count(&desk, |event| matches!(event, Event::CostUnknown { .. }));
        assert_eq!(told, usize::from(is_left));
        assert!(desk.session.is_over(key));
    }
}

#[test]
fn a_mark_is_removed_before_the_budget_is_given_back() {
    let mut desk = Desk::new();
    let key = marked(&mut desk);
    desk.session.set_on_error(key, OnError::Release);
    desk.stores = Fate::Held;
    desk.calls = |_| Fate::Held;
    desk.session.abandon(desk.now(), key);
    desk.settle();
    assert!(matches!(open_stores(&desk)[..], [JournalWrite::RemoveMark(_)]));
    assert_eq!(desk.open.len(), 1, "the release does not wait for the disk");
}

#[test]
fn a_disk_that_fails_is_told_and_the_request_counts_as_dispatched_all_the_same() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Fails;
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    let refused = desk.session.marked(key);
    assert!(
        matches!(&refused, Some(Err(NotMarked::Failed(failure))) if failure.message.contains("no space")),
        "{refused:?}"
    );
    assert_eq!(
        count(&desk, |event| matches!(event, Event::JournalFailed { .. })),
        1
    );
    // The next request tries it again.
    desk.stores = Fate::Done;
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    assert_eq!(desk.session.marked(key), Some(Ok(())));
    desk.session.abandon(desk.now(), key);
    desk.settle();
    assert!(desk.charged()[0].is_some());
    assert!(desk.marks.is_empty());
}

#[test]
fn a_disk_that_hangs_holds_a_request_up_for_five_seconds_and_its_late_mark_is_removed_at_the_end() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.pass_ms(4_999);
    assert_eq!(desk.session.marked(key), None);
    desk.pass_ms(1);
    assert!(matches!(
        desk.session.marked(key),
        Some(Err(NotMarked::Failed(_)))
    ));
    desk.store_next();
    desk.stores = Fate::Done;
    desk.session.set_on_error(key, OnError::Release);
    desk.session.abandon(desk.now(), key);
    desk.settle();
    assert!(desk.marks.is_empty());
}

#[test]
fn a_mark_whose_record_could_not_be_written_is_removed_once_the_cost_is_in_the_ledger() {
    // Whether the removal of the record, which may have been written after all, fails too.
    for removal_fails in [false, true] {
        let mut desk = Desk::new();
        let key = marked(&mut desk);
        desk.stores = Fate::Fails;
        let mut commit = CommitRequest::builder().actual(Amount::tokens(5)).build();
        commit.idempotency_key = Some("my-key".into());
        desk.session.commit(desk.now(), key, commit).unwrap();
        desk.calls = |_| Fate::Held;
        desk.settle();
        desk.calls = |_| Fate::Done;
        desk.stores = Fate::Held;
        let call = desk.open.remove(0);
        desk.answer(call);
        desk.settle();
        let (ticket, principal, write) = desk.open_stores.remove(0);
        assert!(matches!(write, JournalWrite::Remove(_)), "{write:?}");
        match removal_fails {
            true => desk.store_fails(ticket),
            false => desk.store(ticket, principal, write),
        }
        desk.stores = Fate::Done;
        desk.settle();
        assert_eq!(desk.charged(), [Some(5)]);
        assert!(desk.marks.is_empty() && desk.session.is_over(key));
    }
}

#[test]
fn without_a_journal_or_a_reservation_there_is_no_mark_and_the_caller_learns_why() {
    let config = CyclesConfig::builder(KEY, "http://localhost:7878")
        .tenant("acme-corp")
        .journal_enabled(false)
        .build();
    let mut desk = Desk::with(Arc::new(config.unwrap()));
    let key = desk.held();
    let marking = desk.session.dispatched_durably(desk.now(), key);
    assert_eq!(marking, Err(NotMarked::NoJournal));
    desk.session.abandon(desk.now(), key);
    desk.settle();
    assert!(desk.charged()[0].is_some(), "it was dispatched all the same");

    let mut desk = Desk::new();
    let key = desk.held();
    desk.commit(key, 5);
    let marking = desk.session.dispatched_durably(desk.now(), key);
    assert_eq!(marking, Err(NotMarked::NotHeld));
}

#[test]
fn a_flush_counts_the_marks_that_other_processes_left_and_is_not_complete() {
    let mut desk = Desk::new();
    desk.scans = Fate::Held;
    let key = desk.flush(Duration::from_secs(1));
    desk.settle();
    let (ticket, _) = desk.open_scans.remove(0);
    let mut scanned = Scanned::new(Vec::new(), true);
    let mut other = Desk::new();
    marked(&mut other);
    scanned.unknown = BTreeSet::from([other.marks[0].id().clone()]);
    desk.session.handle_scanned(desk.now(), ticket, Some(scanned));
    desk.settle();
    let left = desk.session.flushed(key).unwrap();
    assert_eq!(
        (left.unknown, left.is_complete(), left.is_certain),
        (1, false, true)
    );
}

/// A run that holds 1,000 tokens, and a step of 100 of which a request has left, and which is marked.
fn marked_step(desk: &mut Desk, policy: OnError) -> (ReservationKey, StepKey) {
    let key = desk.held();
    let config = RunConfig::new(Amount::tokens(1_000)).on_error(policy);
    desk.session.begin_run(desk.now(), key, config.options()).unwrap();
    let ask = Ask::new(Amount::tokens(100));
    let step = desk.session.draw(desk.now(), key, &ask, None).unwrap();
    let marking = desk.session.step_dispatched_durably(desk.now(), step).unwrap();
    assert_eq!(desk.session.step_marked(marking), None);
    desk.settle();
    assert_eq!(desk.session.step_marked(marking), Some(Ok(())));
    assert_eq!(dispatched(desk), Some(100));
    (key, step)
}

/// What the stored total of the run says about requests that have left.
fn dispatched(desk: &Desk) -> Option<i64> {
    let total = desk.totals.values().last()?;
    let body: serde_json::Value = serde_json::from_str(total.body()).unwrap();
    body["metadata"]["cycles_run"]["dispatched"].as_i64()
}

#[test]
fn the_total_of_a_run_says_which_steps_have_left_until_their_costs_are_known() {
    for (policy, cost, said, charged) in [
        (OnError::Estimate, Some(7), None, Some(7)),
        (OnError::Estimate, Some(0), None, None),
        (OnError::Estimate, None, None, Some(100)),
        (OnError::Release, None, None, None),
        (OnError::Hold, None, Some(100), None),
    ] {
        let mut desk = Desk::new();
        let (run, step) = marked_step(&mut desk, policy);
        let ended = match cost {
            Some(cost) => desk
                .session
                .end_step(desk.now(), step, &Amount::tokens(cost))
                .unwrap(),
            None => desk.session.abandon_step(desk.now(), step),
        };
        assert_eq!(
            desk.session.is_step_stored(ended),
            policy == OnError::Hold,
            "{policy:?} {cost:?}"
        );
        desk.settle();
        assert!(desk.session.is_step_stored(ended));
        assert_eq!(dispatched(&desk), said, "{policy:?} {cost:?}");
        desk.session.finish_run(desk.now(), run);
        desk.settle();
        assert_eq!(desk.charged(), [charged], "{policy:?} {cost:?}");
        assert_eq!(desk.left_marks.len(), usize::from(policy == OnError::Hold));
        assert_eq!(
            desk.totals.len(),
            usize::from(policy == OnError::Hold),
            "{policy:?} {cost:?}"
        );
        assert!(desk.session.is_over(run));
    }
}

#[test]
fn the_total_of_a_run_is_written_once_the_mark_of_a_request_before_it_is_removed() {
    let mut desk = Desk::new();
    let key = desk.held();
    desk.stores = Fate::Held;
    desk.session.dispatched_durably(desk.now(), key).unwrap();
    desk.settle();
    desk.session.not_charged(key);
    let options = RunConfig::new(Amount::tokens(1_000)).options();
    desk.session.begin_run(desk.now(), key, options).unwrap();
    let ask = Ask::new(Amount::tokens(100));
    let step = desk.session.draw(desk.now(), key, &ask, None).unwrap();
    desk.session.step_dispatched_durably(desk.now(), step).unwrap();
    let mut order = Vec::new();
    loop {
        desk.settle();
        let [_] = open_stores(&desk)[..] else { break };
        order.push(desk.store_next());
    }
    assert!(
        matches!(
            order[..],
            [
                JournalWrite::PutMark(_),
                JournalWrite::RemoveMark(_),
                JournalWrite::PutRun(_)
            ]
        ),
        "{order:?}"
    );
    assert_eq!((desk.marks.len(), dispatched(&desk)), (0, Some(100)));
}

#[test]
fn a_refused_request_of_a_step_is_not_in_the_total_any_more() {
    let mut desk = Desk::new();
    let (run, step) = marked_step(&mut desk, OnError::Estimate);
    desk.session.step_not_charged(step);
    desk.settle();
    assert_eq!(dispatched(&desk), None);
    desk.session.abandon_step(desk.now(), step);
    desk.session.finish_run(desk.now(), run);
    desk.settle();
    assert_eq!((desk.charged(), desk.totals.len()), (vec![None], 0));
}

#[test]
fn a_step_whose_mark_cannot_be_written_learns_why_and_the_next_one_tries_again() {
    let mut desk = Desk::new();
    let (_, step) = marked_step(&mut desk, OnError::Estimate);
    desk.session.step_not_charged(step);
    desk.settle();
    desk.stores = Fate::Fails;
    let marking = desk.session.step_dispatched_durably(desk.now(), step).unwrap();
    desk.settle();
    assert!(matches!(
        desk.session.step_marked(marking),
        Some(Err(NotMarked::Failed(_)))
    ));
    desk.session.step_not_charged(step);
    desk.settle();
    desk.stores = Fate::Done;
    let marking = desk.session.step_dispatched_durably(desk.now(), step).unwrap();
    desk.settle();
    assert_eq!(desk.session.step_marked(marking), Some(Ok(())));
}

#[test]
fn a_step_on_hold_leaves_its_mark_even_if_its_caller_goes_away_at_once() {
    for cost in [0, 40] {
        let mut desk = Desk::new();
        let (run, step) = marked_step(&mut desk, OnError::Hold);
        if cost > 0 {
            let ask = Ask::new(Amount::tokens(50));
            let other = desk.session.draw(desk.now(), run, &ask, None).unwrap();
            desk.session
                .end_step(desk.now(), other, &Amount::tokens(cost))
                .unwrap();
        }
        desk.session.abandon_step(desk.now(), step);
        desk.session.finish_run(desk.now(), run);
        desk.session.forget(desk.now(), run);
        desk.settle();
        assert_eq!(desk.left_marks.len(), usize::from(cost == 0), "{cost}");
        assert!(desk.session.is_idle());
    }
}
