//! Calls: operations with one request and one answer.

use core::any::Any;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use super::caller::{Caller, ObserverId, Principal};
use super::places::Priority;
use super::slab::SlabKey;
use crate::models::{Amount, CommitResponse, EventCreateResponse};
use crate::outcome::Error;
use crate::wire::{Answer, Call};
use crate::wire::{Operation, Progress};

/// The key of a call, without the type of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(super) SlabKey);

/// The key of a call whose answer is a `T`.
pub struct CallKey<T> {
    id: CallId,
    answer: PhantomData<fn() -> T>,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct PlainCall {
    pub(super) principal: Principal,
    pub(super) observer: ObserverId,
    pub(super) priority: Priority,
    operation: Option<Box<dyn Asking>>,
    /// When its first attempt got a place.
    pub(super) began: Option<Duration>,
    pub(super) attempt: Option<SlabKey>,
    result: Option<Box<dyn Any + Send>>,
    /// The amount of the request, if it has one.
    amount: Option<Amount>,
}

/// An operation, without the type of its answer.
trait Asking: fmt::Debug + Send {
    fn call(&self) -> Call;

    fn answered(self: Box<Self>, elapsed: Duration, answer: Answer) -> Asked;
}

enum Asked {
    Again(Box<dyn Asking>),
    /// A `Result<T, Error>`.
    Done(Box<dyn Any + Send>, Option<Error>),
}

/// What follows an answer.
pub(super) enum Next {
    /// Another attempt.
    Attempt(Box<Call>),
    /// The call is over, with this error if it failed.
    Over(Option<Error>),
}

impl<T: fmt::Debug + Send + 'static> Asking for Operation<T> {
    fn call(&self) -> Call {
        Self::call(self)
    }

    fn answered(self: Box<Self>, elapsed: Duration, answer: Answer) -> Asked {
        let trouble = self.trouble();
        match Self::answered(*self, elapsed, answer) {
            Progress::Again(operation) => Asked::Again(Box::new(operation)),
            Progress::Done(result) => {
                let error = trouble(&result).cloned();
                Asked::Done(Box::new(result), error)
            }
        }
    }
}

impl PlainCall {
    pub(super) fn new<T: fmt::Debug + Send + 'static>(
        operation: Operation<T>,
        caller: &Caller,
        priority: Priority,
    ) -> (Self, Call) {
        let call = operation.call();
        let info = operation.context().info.as_ref();
        let plain = Self {
            amount: info.and_then(|info| info.estimate.clone()),
            principal: caller.principal,
            observer: caller.observer,
            priority,
            operation: Some(Box::new(operation)),
            began: None,
            attempt: None,
            result: None,
        };
        (plain, call)
    }

    /// Handles the answer to an attempt. If the operation panics, the call is over without a result.
    pub(super) fn answered(&mut self, now: Duration, answer: Answer) -> Option<Next> {
        let elapsed = now.saturating_sub(self.began.unwrap_or(now));
        match self.operation.take()?.answered(elapsed, answer) {
            Asked::Again(operation) => {
                let call = operation.call();
                self.operation = Some(operation);
                Some(Next::Attempt(Box::new(call)))
            }
            Asked::Done(result, error) => {
                self.result = Some(result);
                Some(Next::Over(error))
            }
        }
    }

    /// Returns the result of the call, once.
    pub(super) fn take<T: 'static>(&mut self) -> Option<Result<T, Error>> {
        self.result.take()?.downcast().ok().map(|result| *result)
    }

    /// What the call charged, if it did and the ledger said how much, and whether it is a direct debit.
    pub(super) fn charged(&self) -> Option<(Option<Amount>, bool)> {
        let result = self.result.as_deref()?;
        if let Some(result) = result.downcast_ref::<Result<EventCreateResponse, Error>>() {
            let charged = result.as_ref().ok()?.charged.as_ref();
            // What is not said to be less was charged in full.
            return Some((charged.or(self.amount.as_ref()).cloned(), true));
        }
        let result = result.downcast_ref::<Result<CommitResponse, Error>>()?;
        Some((Some(result.as_ref().ok()?.charged.clone()), false))
    }

    pub(super) fn is_over(&self) -> bool {
        self.operation.is_none()
    }
}

impl<T> CallKey<T> {
    pub(super) fn new(key: SlabKey) -> Self {
        Self {
            id: CallId(key),
            answer: PhantomData,
        }
    }

    /// The key without the type of the answer.
    pub fn id(self) -> CallId {
        self.id
    }
}

impl<T> Clone for CallKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for CallKey<T> {}

impl<T> PartialEq for CallKey<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for CallKey<T> {}

impl<T> fmt::Debug for CallKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallKey").field(&self.id).finish()
    }
}
