//! Calls that are dropped, one by one or all at once.

use std::sync::Arc;
use std::time::Duration;

use cycles_client::proto::Call;
use cycles_client::{Done, Error, Transport};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Mutex;

use crate::support::{World, ask, check, insist};
use crate::wire::{FAULTS, How, Wire};
use cycles_conformance::request;

#[test]
fn whoever_asks_hears_at_once_that_the_call_was_dropped() {
    check(|world| {
        let wire = Wire::new(world)
            .within(1)
            .with_faults(3, &[How::NotBegun, How::Lost, How::AnswerLost, How::Fails]);
        let client = world.client(wire);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (world, client) = (world.clone(), client.clone());
                world.clone().spawn(move || {
                    let asked = world.block_on(ask(&client));
                    assert!(matches!(asked, Ok(()) | Err(Error::Transport(_))), "{asked:?}");
                })
            })
            .collect();
        world.join(callers);
        drop(client);
        world.end();
        assert_eq!(world.passed(), Duration::ZERO);
    });
}

#[test]
fn a_transport_that_panics_ends_its_call_and_takes_nobody_with_it() {
    check(|world| {
        let wire = Wire::new(world).within(1).with_faults(3, &[How::Panics]);
        let client = world.client(wire);
        world.run_at_once(&client, &[1, 10], insist);
        drop(client);
        world.end();
        assert_eq!(world.charged(), (11, 0));
    });
}

#[test]
fn costs_count_once_however_their_calls_are_dropped() {
    check(|world| {
        let client = world.client(Wire::new(world).within(1).with_faults(4, FAULTS));
        world.run_at_once(&client, &[1, 10], insist);
        drop(client);
        world.end();
        assert_eq!(world.charged().0, 11);
    });
}

/// Keeps every call until it is shut down; then drops each call when it is started.
#[derive(Clone, Default)]
struct Keeping(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    calls: Vec<Done>,
    is_down: bool,
}

impl Transport for Keeping {
    fn start(&self, _: Call, mut done: Done) {
        if thread_rng().r#gen() && !done.begin() {
            return;
        }
        let mut kept = self.0.lock().unwrap();
        if kept.is_down {
            drop(kept);
            drop(done);
        } else {
            kept.calls.push(done);
        }
    }
}

impl Keeping {
    fn shut_down(&self) {
        let mut kept = self.0.lock().unwrap();
        kept.is_down = true;
        let calls = std::mem::take(&mut kept.calls);
        drop(kept);
        drop(calls);
    }
}

fn shut_down_under(world: &World, callers: usize) {
    let keeping = Keeping::default();
    let client = world.client(keeping.clone());
    let callers: Vec<_> = (0..callers)
        .map(|number| {
            let (world, client) = (world.clone(), client.clone());
            world.clone().spawn(move || {
                let error = match number % 2 {
                    0 => world.block_on(ask(&client)).unwrap_err(),
                    _ => world.block_on(client.reserve(request(100))).unwrap_err(),
                };
                assert!(matches!(error, Error::Transport(_)), "{error:?}");
            })
        })
        .collect();
    let ending = world.spawn(move || keeping.shut_down());
    world.join(callers);
    world.join([ending]);
    assert_eq!(world.passed(), Duration::ZERO, "all hear at once that it is over");
    drop(client);
    world.end();
    assert_eq!(world.charged(), (0, 0));
}

#[test]
fn all_who_wait_come_to_an_end_when_a_runtime_ends_with_all_their_calls() {
    check(|world| shut_down_under(world, 6));
}

#[test]
fn both_who_wait_do() {
    check(|world| shut_down_under(world, 2));
}
