//! A disk that is slow and sometimes fails.

use std::sync::Arc;
use std::time::Duration;

use cycles_client::proto::Call;
use cycles_client::{Done, Transport};
use shuttle::sync::Mutex;

use crate::support::{World, check, insist};
use crate::wire::{How, Wire};
use cycles_conformance::{commit, request};

#[test]
fn costs_count_once_however_slow_the_disk_is() {
    check(|world| {
        let client = world.client_with(Wire::new(world).within(1), world.clone(), true);
        world.run_at_once(&client, &[1, 10], insist);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (11, 0));
    });
}

#[test]
fn costs_count_once_where_calls_are_dropped_too() {
    check(|world| {
        let kinds = &[How::NotBegun, How::Lost, How::AnswerLost];
        let wire = Wire::new(world).within(1).with_faults(3, kinds);
        let client = world.client_with(wire, world.clone(), true);
        world.run_at_once(&client, &[1, 10], insist);
        drop(client);
        world.end();
        assert_eq!(world.charged().0, 11);
    });
}

/// Keeps the commits until they are released, so that no record is removed before.
#[derive(Clone)]
struct Keeping {
    wire: Wire,
    may_wait: bool,
    commits: Arc<Mutex<Option<Calls>>>,
}

type Calls = Vec<(Call, Done)>;

impl Transport for Keeping {
    fn start(&self, call: Call, done: Done) {
        let mut commits = self.commits.lock().unwrap();
        match &mut *commits {
            Some(commits) if call.request.uri().path().ends_with("/commit") => commits.push((call, done)),
            _ => {
                drop(commits);
                self.wire.start(call, done);
            }
        }
    }

    fn may_wait_here(&self) -> bool {
        self.may_wait
    }
}

impl Keeping {
    fn let_go(&self) {
        let commits = self.commits.lock().unwrap().take();
        for (call, done) in commits.into_iter().flatten() {
            self.wire.start(call, done);
        }
    }
}

fn end_right_after_a_commit(world: &World, may_wait: bool) {
    let keeping = Keeping {
        wire: Wire::new(world).within(1),
        may_wait,
        commits: Arc::new(Mutex::new(Some(Vec::new()))),
    };
    let client = world.client_with(keeping.clone(), world.clone(), true);
    let handing_over = {
        let (world, client) = (world.clone(), client.clone());
        world.clone().spawn(move || {
            let guard = world.block_on(client.reserve(request(100))).unwrap();
            drop(guard.commit(commit(7)));
            assert!(!may_wait || !client.awaits_writes());
        })
    };
    world.join([handing_over]);
    assert!(!client.awaits_writes());
    keeping.let_go();
    let flushed = world.block_on(client.flush(Duration::from_secs(60))).unwrap();
    // Time may pass before the journal is read, because nothing here waits for its thread.
    assert_eq!((flushed.ending, flushed.unrecorded), (0, 0), "{flushed:?}");
    drop(client);
    world.end();
    assert_eq!(world.charged(), (7, 0));
}

#[test]
fn a_thread_that_ends_right_after_its_commit_waits_for_the_record() {
    check(|world| end_right_after_a_commit(world, false));
}

#[test]
fn where_it_may_wait_it_does_so_when_it_drops_the_commit() {
    check(|world| end_right_after_a_commit(world, true));
}
