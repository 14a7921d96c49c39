//! Inputs from many threads at once, and a reservation that panics among them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::support::{World, check, live};
use crate::wire::{How, Wire};
use cycles_conformance::{commit, request};

/// Three callers, each with a cost of its own.
fn three(world: &World, wire: Wire) {
    let client = world.client(wire);
    world.run_at_once(&client, &[1, 10, 100], live);
    drop(client);
    world.end();
    assert_eq!(world.charged(), (111, 0));
    assert_eq!(world.passed(), Duration::ZERO, "nobody had to wait for a timer");
}

#[test]
fn three_callers_at_once_are_each_charged_once_and_nobody_waits_for_a_timer() {
    check(|world| three(world, Wire::new(world)));
}

#[test]
fn a_transport_that_finishes_within_start_is_as_good() {
    check(|world| three(world, Wire::new(world).within(4)));
}

#[test]
fn answers_come_within_start_and_from_threads_all_at_once() {
    check(|world| three(world, Wire::new(world).within(2)));
}

#[test]
fn a_transport_that_fails_within_start_is_asked_again_by_no_chain_of_calls() {
    check(|world| {
        let wire = Wire::new(world).within(4);
        three(world, wire.with_faults(1, &[How::Fails]).on("/reservations"));
    });
}

#[test]
fn three_threads_act_on_one_reservation() {
    check(|world| {
        let client = world.client(Wire::new(world).within(1));
        let guard = world.block_on(client.reserve(request(100))).unwrap();
        let lease = guard.lease();
        let (one, two) = (world.clone(), world.clone());
        let threads = [
            world.spawn(move || {
                one.block_on(guard.extend(60_000)).unwrap();
                one.block_on(guard.commit(commit(7))).unwrap();
            }),
            world.spawn(move || {
                assert!(!lease.is_lost());
                // It may have ended by now; then no caller loses it.
                let _ = two.poll_times(3, lease.lost());
            }),
            {
                let (world, client) = (world.clone(), client.clone());
                world
                    .clone()
                    .spawn(move || assert!(world.block_on(client.flush(Duration::ZERO)).is_ok()))
            },
        ];
        world.join(threads);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (7, 0));
        assert_eq!(world.passed(), Duration::ZERO);
    });
}

#[test]
fn a_guard_that_is_dropped_gives_its_budget_back_while_others_go_on() {
    check(|world| {
        let client = world.client(Wire::new(world).within(1));
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let (world, client) = (world.clone(), client.clone());
                world.clone().spawn(move || match number {
                    0 => drop(world.poll_times(2, client.reserve(request(100)))),
                    1 => drop(world.block_on(client.reserve(request(100))).unwrap()),
                    _ => world.block_on(live(&client, 7)),
                })
            })
            .collect();
        world.join(threads);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (7, 0));
        assert_eq!(world.passed(), Duration::ZERO);
    });
}

#[test]
fn a_reservation_that_panics_takes_nobody_with_it() {
    check(|world| {
        let client = world.client(Wire::new(world).within(1));
        let guard = world.block_on(client.reserve(request(100))).unwrap();
        let lease = guard.lease();
        let watching = {
            let world = world.clone();
            world.clone().spawn(move || world.block_on(lease.lost()))
        };
        let panicking = world.spawn(move || {
            let panics = AssertUnwindSafe(|| guard.panic_in());
            assert!(catch_unwind(panics).is_err());
        });
        world.run_at_once(&client, &[1, 10], live);
        world.join([panicking, watching]);
        drop(client);
        world.end();
        assert_eq!(world.charged().0, 11);
        assert_eq!(world.passed(), Duration::ZERO);
    });
}
