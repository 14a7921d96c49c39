//! Withdrawn calls.

use std::time::Duration;

use crate::support::{ask, check, insist};
use crate::wire::{How, Wire};
use cycles_conformance::{commit, request};

#[test]
fn a_call_that_hangs_ends_when_its_caller_leaves() {
    check(|world| {
        let client = world.client(Wire::new(world).with_faults(2, &[How::Hangs]));
        let callers: Vec<_> = (0..3)
            .map(|polls| {
                let (world, client) = (world.clone(), client.clone());
                world.clone().spawn(move || {
                    let asked = world.poll_times(polls, ask(&client));
                    assert!(asked.is_none_or(|asked| asked.is_ok()));
                })
            })
            .collect();
        world.join(callers);
        drop(client);
        world.end();
        assert_eq!(
            world.passed(),
            Duration::ZERO,
            "nobody waits for its time to be over"
        );
    });
}

#[test]
fn a_commit_that_hangs_is_withdrawn_in_time_and_made_again() {
    check(|world| {
        let client = world.client(Wire::new(world).with_faults(2, &[How::Hangs, How::AnswerLost]));
        world.run_at_once(&client, &[1, 10], insist);
        let took = world.passed();
        drop(client);
        world.end();
        assert_eq!(world.charged().0, 11);
        // Two attempts that hang, and a wait before the next.
        assert!(took < Duration::from_secs(25), "{took:?}");
    });
}

#[test]
fn what_is_dropped_while_it_is_withdrawn_is_settled_all_the_same() {
    check(|world| {
        let client = world.client(Wire::new(world).within(1).with_faults(1, &[How::Hangs]));
        let guard = world.block_on(async {
            loop {
                if let Ok(guard) = client.reserve(request(100)).await {
                    break guard;
                }
            }
        });
        // The cost is taken in the call.
        drop(guard.commit(commit(7)));
        drop(client);
        world.end();
        assert_eq!(world.charged().0, 7);
    });
}
