//! The transport of the tests: it makes each call on a thread or within `start`, and some of them go wrong.

#![allow(unreachable_pub)]

use std::cell::RefCell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use cycles_client::proto::{Call, Failure, FailureKind};
use cycles_client::{Done, Transport};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::support::World;

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The ledger answers.
    Answered,
    /// The same in a future that is carried.
    Carried,
    /// It is never begun.
    NotBegun,
    /// It begins, and the request is lost.
    Lost,
    /// Its response is lost.
    AnswerLost,
    /// The transport says that it was lost.
    Fails,
    /// No answer comes, until it is withdrawn.
    Hangs,
    /// The transport panics within `start`, without calling the panic hook.
    Panics,
}

pub const FAULTS: &[How] = &[How::NotBegun, How::Lost, How::AnswerLost, How::Fails, How::Hangs];

/// Makes each call on a thread, or within `start`.
#[derive(Clone)]
pub struct Wire {
    world: World,
    /// How many more calls may go wrong.
    faults: Arc<AtomicUsize>,
    /// The possible outcomes of a call that goes wrong.
    kinds: &'static [How],
    /// The end of the paths of calls that may go wrong.
    path: &'static str,
    /// How many of four calls are made within `start`.
    within: u32,
}

impl Wire {
    /// Every call is answered, on a thread of its own.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            faults: Arc::default(),
            kinds: &[],
            path: "",
            within: 0,
        }
    }

    /// Lets this many calls go wrong, in one of these ways.
    pub fn with_faults(mut self, faults: usize, kinds: &'static [How]) -> Self {
        self.faults = Arc::new(AtomicUsize::new(faults));
        self.kinds = kinds;
        self
    }

    /// Lets only calls go wrong whose path ends like this.
    pub fn on(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Makes this many of four calls within `start`.
    pub fn within(mut self, within: u32) -> Self {
        self.within = within;
        self
    }

    fn how(&self, call: &Call) -> How {
        let left = self.faults.load(Relaxed);
        if left > 0 && call.request.uri().path().ends_with(self.path) && thread_rng().r#gen() {
            self.faults.store(left - 1, Relaxed);
            return self.kinds[thread_rng().gen_range(0..self.kinds.len())];
        }
        match thread_rng().r#gen() {
            true => How::Answered,
            false => How::Carried,
        }
    }

    fn exchange(&self, how: How, call: &Call, mut done: Done) {
        match how {
            How::Answered => {
                if done.begin() {
                    done.finish(Ok(self.world.answer(call)));
                }
            }
            How::Carried => {
                let exchange = async { Ok(self.world.answer(call)) };
                self.world.block_on(done.carry(Box::pin(exchange)));
            }
            How::NotBegun => {}
            How::Lost => drop(done.begin()),
            How::AnswerLost => {
                if done.begin() {
                    self.world.answer(call);
                }
            }
            How::Fails => {
                if done.begin() {
                    done.finish(Err(Failure::new(FailureKind::Lost)));
                }
            }
            How::Hangs => self.world.block_on(done.carry(Box::pin(pending()))),
            How::Panics => {
                // Before the panic: all of shuttle's threads would count as panicking while it unwinds through a scheduling point.
                drop(done);
                resume_unwind(Box::new("a defect"))
            }
        }
    }
}

thread_local! {
    /// How deep in `start` each thread is. All of shuttle's threads are one system thread.
    static WITHIN: RefCell<Vec<thread::ThreadId>> = const { RefCell::new(Vec::new()) };
}

impl Transport for Wire {
    fn start(&self, call: Call, done: Done) {
        let how = self.how(&call);
        let is_within = match how {
            How::Hangs => false,
            How::Panics => true,
            How::Answered | How::Carried | How::NotBegun | How::Lost | How::AnswerLost | How::Fails => {
                thread_rng().gen_ratio(self.within, 4)
            }
        };
        if is_within {
            let me = thread::current().id();
            WITHIN.with_borrow_mut(|within| {
                assert!(!within.contains(&me), "a chain of answers is a chain of calls");
                within.push(me);
            });
            let made = catch_unwind(AssertUnwindSafe(|| self.exchange(how, &call, done)));
            WITHIN.with_borrow_mut(|within| within.retain(|thread| *thread != me));
            made.unwrap_or_else(|panic| resume_unwind(panic));
        } else {
            let wire = self.clone();
            self.world.spawn_to_end(move || wire.exchange(how, &call, done));
        }
    }

    fn make(&self, call: Call, done: Done) {
        self.exchange(self.how(&call), &call, done);
    }

    fn may_wait_here(&self) -> bool {
        self.within == 0
    }
}
