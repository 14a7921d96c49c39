//! Callers that block, and make their calls themselves.

use std::time::Duration;

use cycles_client::blocking;

use crate::support::{check, live};
use crate::wire::{How, Wire};
use cycles_conformance::{commit, request};

fn reserve_and_commit(client: &blocking::Client, tokens: i64) {
    let guard = client.reserve(request(100)).unwrap();
    assert!(guard.commit(commit(tokens)).unwrap().is_settled());
}

#[test]
fn callers_who_block_go_on_beside_others() {
    check(|world| {
        let client = world.client(Wire::new(world).within(1));
        let blocked: Vec<_> = [1, 10]
            .into_iter()
            .map(|tokens| {
                let client = blocking::Client::new(client.clone());
                world.spawn(move || reserve_and_commit(&client, tokens))
            })
            .collect();
        let polled = {
            let (world, client) = (world.clone(), client.clone());
            world.clone().spawn(move || world.block_on(live(&client, 100)))
        };
        world.join(blocked);
        world.join([polled]);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (111, 0));
    });
}

#[test]
fn a_call_that_was_lost_is_made_again_by_the_caller_who_sleeps_meanwhile() {
    check(|world| {
        let wire = Wire::new(world).with_faults(1, &[How::Lost, How::AnswerLost, How::Fails]);
        let client = world.client(wire.on("/reservations"));
        let blocked: Vec<_> = [1, 10]
            .into_iter()
            .map(|tokens| {
                let client = blocking::Client::new(client.clone());
                world.spawn(move || reserve_and_commit(&client, tokens))
            })
            .collect();
        world.join(blocked);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (11, 0));
    });
}

#[test]
fn a_commit_that_failed_is_made_again_when_its_time_has_come() {
    check(|world| {
        let wire = Wire::new(world).with_faults(1, &[How::Lost, How::AnswerLost, How::Fails]);
        let client = world.client(wire.on("/commit"));
        let blocked = [1, 10].map(|tokens| {
            let client = blocking::Client::new(client.clone());
            // Long enough for the second attempt, too short for an attempt to time out.
            let end = Duration::from_secs(5);
            world.spawn_blocking(end, move || reserve_and_commit(&client, tokens))
        });
        world.join(blocked);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (11, 0));
    });
}

#[test]
fn what_a_caller_leaves_behind_is_made_by_others() {
    check(|world| {
        let client = world.client(Wire::new(world));
        let caller = {
            let client = blocking::Client::new(client.clone());
            world.spawn(move || {
                // One is given back without a waiter, while its thread blocks for the other.
                let guard = client.reserve(request(100)).unwrap();
                let other = client.reserve(request(100)).unwrap();
                drop(guard);
                assert!(other.commit(commit(7)).unwrap().is_settled());
            })
        };
        world.join([caller]);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (7, 0));
    });
}

#[test]
fn a_reservation_that_another_thread_ends_ends_for_both() {
    check(|world| {
        let client = blocking::Client::new(world.client(Wire::new(world)));
        let guard = client.reserve(request(100)).unwrap();
        let guard = std::sync::Arc::new(guard);
        let threads = [1, 2].map(|_| {
            let guard = std::sync::Arc::clone(&guard);
            world.spawn(move || {
                guard.extend(60_000).unwrap();
                // The last one ends it.
                if let Some(guard) = std::sync::Arc::into_inner(guard) {
                    assert!(guard.release("done").unwrap());
                }
            })
        });
        drop(guard);
        world.join(threads);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (0, 0));
    });
}
