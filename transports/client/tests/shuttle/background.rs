//! The thread that keeps the time of all clients, while clients come and go. Here no time passes, so that it goes on only if
//! it is roused.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use cycles_client::proto::Now;
use cycles_client::{Background, Clock, ConfigError, Error, Run, Running, Ticker};
use shuttle::sync::{Condvar, Mutex};

use crate::support::{World, ask, check, live};
use crate::wire::{How, Wire};

/// How many of its threads run.
#[derive(Default)]
struct Threads {
    running: Mutex<usize>,
    changed: Condvar,
}

thread_local! {
    /// The threads of this run: all of shuttle's threads are one system thread.
    static THREADS: RefCell<Arc<Threads>> = RefCell::default();
}

#[expect(clippy::unnecessary_wraps, reason = "that is its form")]
fn prepare() -> io::Result<((), Run<()>)> {
    let threads = THREADS.with_borrow(Arc::clone);
    *threads.running.lock().unwrap() += 1;
    let run = move |running: Running<()>| {
        running.serve_here();
        *threads.running.lock().unwrap() -= 1;
        threads.changed.notify_all();
    };
    Ok(((), Box::new(run)))
}

#[derive(Clone)]
struct Timer(World, &'static Background<()>);

impl Clock for Timer {
    fn now(&self) -> Now {
        Clock::now(&self.0)
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        self.1.keep(ticker)
    }
}

/// A clock with the thread of this run.
fn timer(world: &World) -> (Timer, Arc<Threads>) {
    let threads = Arc::<Threads>::default();
    THREADS.set(Arc::clone(&threads));
    let background = Box::leak(Box::new(Background::new("cycles-shuttle", prepare)));
    (Timer(world.clone(), background), threads)
}

impl Threads {
    fn join(&self) {
        let running = self.running.lock().unwrap();
        drop(self.changed.wait_while(running, |running| *running > 0));
    }
}

#[test]
fn it_ends_with_the_last_client_and_starts_with_the_next() {
    check(|world| {
        let (clock, threads) = timer(world);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (world, clock) = (world.clone(), clock.clone());
                world.clone().spawn(move || {
                    let client = world.client_with(Wire::new(&world).within(1), clock, false);
                    world.block_on(live(&client, 7));
                })
            })
            .collect();
        world.join(callers);
        threads.join();
        world.end();
        assert_eq!(world.charged(), (21, 0));
    });
}

/// A client for one call, which is dropped: the session learns of that only if the thread is woken.
fn ask_in_vain(world: &World, clock: &Timer) {
    let wire = Wire::new(world).with_faults(1, &[How::NotBegun, How::Lost]);
    let client = world.client_with(wire, clock.clone(), false);
    let asked = world.block_on(ask(&client));
    assert!(matches!(asked, Ok(()) | Err(Error::Transport(_))), "{asked:?}");
}

#[test]
fn it_is_roused_for_calls_that_were_dropped() {
    check(|world| {
        let (clock, threads) = timer(world);
        let callers = [1, 2].map(|_| {
            let (world, clock) = (world.clone(), clock.clone());
            world.clone().spawn(move || {
                ask_in_vain(&world, &clock);
                ask_in_vain(&world, &clock);
            })
        });
        world.join(callers);
        threads.join();
        world.end();
    });
}

#[test]
fn it_is_roused_for_a_client_that_comes_while_it_sleeps() {
    check(|world| {
        let (clock, threads) = timer(world);
        let staying = world.client_with(Wire::new(world), clock.clone(), false);
        world.block_on(live(&staying, 7));
        ask_in_vain(world, &clock);
        drop(staying);
        threads.join();
        world.end();
    });
}
