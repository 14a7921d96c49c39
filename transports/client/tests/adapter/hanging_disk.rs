//! A disk on which no write ever ends. The tests of each adapter have it as a module; `runcycles` is their
//! crate.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cycles_conformance::{TempDir, records};
use cycles_host::journal::Hanging;
use runcycles::models::Amount;
use runcycles::{CyclesClient, Error, Event, Receipt, ReservationGuard};

use crate::world::{Told, World, builder, cost, request};

const PATIENCE: Duration = Duration::from_secs(30);

/// How long a cost waits for its record.
const PATIENCE_WITH_DISK: Duration = Duration::from_secs(5);

fn scene() -> (World, TempDir, CyclesClient, Told) {
    let (world, dir) = (World::new(), TempDir::new());
    let builder = builder().journal_enabled(true).journal_dir(dir.path());
    let (client, told) = world.client_of(builder);
    (world, dir, client, told)
}

fn reserve(client: &CyclesClient) -> ReservationGuard {
    wait!(client.reserve(request())).unwrap()
}

fn is_failure(event: &Event) -> bool {
    matches!(event, Event::JournalFailed { .. })
}

#[track_caller]
fn assert_committed(receipt: Result<Receipt, Error>) {
    assert!(matches!(receipt, Ok(Receipt::Committed(_))), "{receipt:?}");
}

#[test]
fn costs_go_to_the_ledger_after_five_seconds_and_those_that_follow_at_once() {
    let (world, dir, client, told) = scene();
    let [one, two, third, fourth] = core::array::from_fn(|_| reserve(&client));
    let hanging = Hanging::new(dir.path());
    thread::scope(|scope| {
        let committing = [one, two].map(|guard| scope.spawn(move || wait!(guard.commit(cost()))));
        assert!(hanging.has_caught(2, PATIENCE));
        world.pass(PATIENCE_WITH_DISK - Duration::from_millis(1));
        assert_eq!((world.budget(), told.count(is_failure)), ((0, 40), 0));
        world.pass(Duration::from_millis(1));
        for committing in committing {
            assert_committed(committing.join().unwrap());
        }
    });
    assert_eq!(world.budget(), (14, 20));
    told.wait_for(1, is_failure);
    // It still hangs, but the client knows that and does not wait.
    assert_committed(wait!(third.commit(cost())));
    fourth.spent(&Amount::tokens(1)).unwrap();
    drop(fourth);
    assert_eq!(world.budget(), (22, 0));
    assert!(records(dir.path(), "json").is_empty(), "nothing was ever written");
    // Nor does the end of the client. The disk never works again.
    drop(client);
    core::mem::forget(hanging);
}

#[test]
fn what_a_disk_writes_late_after_all_is_cleared_away_and_counts_once() {
    let (world, dir, client, told) = scene();
    let guard = reserve(&client);
    let hanging = Hanging::new(dir.path());
    thread::scope(|scope| {
        let committing = scope.spawn(|| wait!(guard.commit(cost())));
        assert!(hanging.has_caught(1, PATIENCE));
        world.pass(PATIENCE_WITH_DISK);
        assert_committed(committing.join().unwrap());
    });
    assert_eq!(told_of(&client, &told).len(), 1);
    drop(hanging);
    // Once a record is on the disk, costs wait for theirs as before.
    let began = Instant::now();
    let mut costs = 1;
    loop {
        let next = reserve(&client);
        let id = next.reservation_id().clone();
        assert_committed(wait!(next.commit(cost())));
        costs += 1;
        if !told_of(&client, &told)
            .iter()
            .any(|event| event.reservation_id() == Some(&id))
        {
            break;
        }
        assert!(began.elapsed() < PATIENCE);
    }
    while !records(dir.path(), "json").is_empty() {
        assert!(began.elapsed() < PATIENCE);
        world.pass(Duration::from_millis(1));
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(world.budget(), (7 * costs, 0));
}

/// The wait for the disk is in real time, so this takes five seconds, in which nothing runs.
#[test]
fn a_guard_that_is_dropped_and_a_thread_that_ends_do_not_wait_for_ever() {
    let (ended, ends) = mpsc::channel();
    let scenes = [true, false].map(|is_let_wait| {
        let (world, dir, client, _) = scene();
        if is_let_wait {
            world.let_wait();
        }
        let (guard, ended) = (reserve(&client), ended.clone());
        // The disk never works again.
        core::mem::forget(Hanging::new(dir.path()));
        thread::spawn(move || {
            let ending = thread::spawn(move || {
                guard.spent(&Amount::tokens(3)).unwrap();
                drop(guard);
            });
            ending.join().unwrap();
            ended.send(()).unwrap();
        });
        (world, client, dir)
    });
    for (world, ..) in &scenes {
        ends.recv_timeout(PATIENCE).unwrap();
        world.pass(PATIENCE_WITH_DISK);
    }
    for (world, ..) in scenes {
        assert_eq!(world.budget(), (3, 0));
    }
}

/// The failures reported so far: events come in order, and this waits for the event of one more reservation.
fn told_of(client: &CyclesClient, told: &Told) -> Vec<Event> {
    let last = reserve(client);
    let id = last.reservation_id().clone();
    told.wait_for(1, |event| event.reservation_id() == Some(&id));
    told.of_kind(is_failure)
}
