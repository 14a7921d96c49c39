//! A process that is stopped for longer than its leases last. It stops itself, so nothing else runs in it.

use std::process::{Command, id};

use crate::alone::ran_elsewhere;
use crate::support::world::{World, commit, reserve};
use cycles_ureq::Event;

/// Stops this process for so many seconds.
fn stop_for(seconds: u32) {
    let id = id();
    let script = format!("kill -STOP {id}; sleep {seconds}; kill -CONT {id}");
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_lease_that_ended_meanwhile_is_told_as_lost_once_however_the_action_ends() {
    if ran_elsewhere("stopped::a_lease_that_ended_meanwhile_is_told_as_lost_once_however_the_action_ends") {
        return;
    }
    for is_committed in [true, false] {
        let world = World::start();
        let guard = world.client.reserve(reserve(10, 1_000)).unwrap();
        stop_for(3);
        assert!(guard.lease().is_lost());
        if is_committed {
            guard.commit(commit(7)).unwrap();
        } else {
            guard.release("too late").unwrap();
        }
        world.flush();
        world.wait_for(|event| matches!(event, Event::LeaseLost { .. }).then_some(()));
        let events = world.events.lock().unwrap();
        assert!(
            !events
                .try_iter()
                .any(|event| matches!(event, Event::LeaseLost { .. }))
        );
    }
}
