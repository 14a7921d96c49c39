//! Procedures: series of file operations, each decided by the results of those before it.
//!
//! They are written as `async` functions that await nothing but operations; no runtime is involved. [`Next`] runs a
//! procedure until it needs an operation, and continues it with the result.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, PoisonError};

use super::op::{FileOp, OpResult};

/// The next step of a procedure.
#[derive(Debug)]
#[must_use = "a procedure does nothing by itself"]
pub enum Next<'a, T> {
    /// Execute this operation, and resume with its result. Dropping it instead has the same effect as a process that
    /// ends here: completed operations stand, and the next scan finds their results.
    Do(FileOp, Paused<'a, T>),
    /// The procedure is over.
    Done(T),
}

/// A procedure that waits for the result of its operation.
#[must_use = "a procedure does nothing by itself"]
pub struct Paused<'a, T> {
    procedure: Procedure<'a, T>,
    mailbox: Arc<Mailbox>,
}

type Procedure<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Passes operations and results between a procedure and its driver. The lock is never contended, because only one
/// side runs at a time.
#[derive(Default)]
pub(super) struct Mailbox(Mutex<Message>);

#[derive(Default)]
enum Message {
    #[default]
    Nothing,
    Op(FileOp),
    OpResult(OpResult),
}

impl<'a, T> Next<'a, T> {
    /// Starts a procedure.
    pub(super) fn of<F>(begin: impl FnOnce(Arc<Mailbox>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'a,
    {
        let mailbox = Arc::default();
        let procedure = Box::pin(begin(Arc::clone(&mailbox)));
        Paused { procedure, mailbox }.go_on()
    }

    /// Runs the procedure to its end.
    pub fn run(self, mut execute: impl FnMut(FileOp) -> OpResult) -> T {
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
    /// Continues with the result of the operation.
    pub fn resume(self, answer: OpResult) -> Next<'a, T> {
        self.mailbox.put(Message::OpResult(answer));
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
                let Message::Op(op) = self.mailbox.take() else {
                    unreachable!("a procedure waits for operations only")
                };
                Next::Do(op, self)
            }
        }
    }
}

impl Mailbox {
    /// Asks for an operation, and waits for its result.
    pub(super) fn ask(&self, op: FileOp) -> impl Future<Output = OpResult> {
        let mut op = Some(op);
        poll_fn(move |_| match op.take() {
            Some(op) => {
                self.put(Message::Op(op));
                Poll::Pending
            }
            None => match self.take() {
                Message::OpResult(answer) => Poll::Ready(answer),
                Message::Nothing | Message::Op(_) => Poll::Pending,
            },
        })
    }

    fn put(&self, message: Message) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = message;
    }

    fn take(&self) -> Message {
        core::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> fmt::Debug for Paused<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paused").finish_non_exhaustive()
    }
}
