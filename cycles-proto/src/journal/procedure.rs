//! Decisions about files that are taken one operation after the other.
//!
//! They are written as `async` functions, because they are procedures: what is awaited in them is an operation, and
//! nothing else. No runtime is behind it. [`Next`] runs one until it wants an operation, and again with what came of that.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, PoisonError};

use super::op::{Answer, FileOp};

/// What a procedure does next.
#[derive(Debug)]
#[must_use = "a procedure does nothing by itself"]
pub enum Next<'a, T> {
    /// Execute this operation, and hand over what came of it. Whoever drops it instead stops as a process does that ends
    /// here: what was done is done, and the next scan finds it.
    Do(FileOp, Paused<'a, T>),
    /// It is over.
    Done(T),
}

/// A procedure that waits for what came of its operation.
#[must_use = "a procedure does nothing by itself"]
pub struct Paused<'a, T> {
    procedure: Procedure<'a, T>,
    desk: Arc<Desk>,
}

type Procedure<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a procedure asks for operations. The lock is never waited for: one side of the desk runs at a time.
#[derive(Default)]
pub(super) struct Desk(Mutex<Lies>);

#[derive(Default)]
enum Lies {
    #[default]
    Nothing,
    Op(FileOp),
    Answer(Answer),
}

impl<'a, T> Next<'a, T> {
    /// Begins a procedure.
    pub(super) fn of<F>(begin: impl FnOnce(Arc<Desk>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'a,
    {
        let desk = Arc::default();
        let procedure = Box::pin(begin(Arc::clone(&desk)));
        Paused { procedure, desk }.go_on()
    }

    /// Runs it to its end.
    pub fn run(self, mut execute: impl FnMut(FileOp) -> Answer) -> T {
        let mut next = self;
        loop {
            match next {
                Self::Do(op, paused) => next = paused.resume(execute(op)),
                Self::Done(result) => return result,
            }
        }
    }
}

impl<'a, T> Paused<'a, T> {
    /// Goes on with what came of the operation.
    pub fn resume(self, answer: Answer) -> Next<'a, T> {
        self.desk.lay(Lies::Answer(answer));
        self.go_on()
    }

    fn go_on(mut self) -> Next<'a, T> {
        match self
            .procedure
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(result) => Next::Done(result),
            Poll::Pending => {
                let Lies::Op(op) = self.desk.pick_up() else {
                    unreachable!("a procedure waits for operations only")
                };
                Next::Do(op, self)
            }
        }
    }
}

impl Desk {
    /// Asks for an operation, and waits for what came of it.
    pub(super) fn ask(&self, op: FileOp) -> impl Future<Output = Answer> {
        let mut op = Some(op);
        poll_fn(move |_| match op.take() {
            Some(op) => {
                self.lay(Lies::Op(op));
                Poll::Pending
            }
            None => match self.pick_up() {
                Lies::Answer(answer) => Poll::Ready(answer),
                Lies::Nothing | Lies::Op(_) => Poll::Pending,
            },
        })
    }

    fn lay(&self, lies: Lies) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lies;
    }

    fn pick_up(&self) -> Lies {
        core::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> fmt::Debug for Paused<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paused").finish_non_exhaustive()
    }
}
