//! Operations with one request and one answer.
//!
//! An [`Operation`] is a machine with a single thing to do at a time: make its [`call`](Operation::call), hand the
//! answer to [`handle`](Operation::handle), and repeat this if the operation asks for it.
//!
//! The retry rule is the same for all operations. If the outcome is open (a lost connection, a failed server or load
//! balancer, a redirect, a success that cannot be read: everything [ambiguous](Verdict::Ambiguous)), the call is
//! repeated once, immediately, with the same key and the same bytes, provided that at least half of the attempt's time
//! is left and the server asks for no pause. Both attempts together take no longer than one attempt may. A call that
//! was refused, throttled or never sent is not repeated, and no call is repeated without
//! [`RetryPolicy::enabled`](crate::config::RetryPolicy::enabled).
//!
//! Once open, an outcome stays open until an answer from the ledger itself closes it: a repetition that fails because
//! of a proxy, a missing key or a closed port says nothing about the first attempt.

mod endpoints;
mod raw;

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::raw::as_it_came;
pub use self::raw::{RawRequest, RawResponse};

use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::models::{InvalidRequest, ReservationId};
use crate::outcome::{CallContext, Error, Failure, OperationKind};
use crate::ticket::Ticket;
use crate::wire::encode::Post;
use crate::wire::reply::{Reply, Verdict};
use crate::wire::{Answer, Call, Encoded, Reads};

/// One operation, from its request to its result of type `T`.
#[derive(Clone, Debug)]
#[must_use = "an operation does nothing until its call is made"]
pub struct Operation<T> {
    config: Arc<CyclesConfig>,
    context: CallContext,
    encoded: Encoded,
    attempt: u64,
    /// Whether an earlier attempt may have been acted on.
    may_be_done: bool,
    timeout: Duration,
    result: fn(CallContext, Verdict<T>, bool) -> Result<T, Error>,
    /// Finds the error in a result, including that of an unsuccessful raw response.
    trouble: fn(&Result<T, Error>) -> Option<&Error>,
}

/// What to do after an answer.
#[derive(Clone, Debug)]
#[must_use = "an operation that continues must be called again"]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would be a needless allocation"
)]
pub enum Progress<T> {
    /// Make the operation's call again.
    Again(Operation<T>),
    /// The operation is over.
    Done(Result<T, Error>),
}

impl<T: 'static> Operation<T> {
    /// The call to make now. Every call has the same request.
    pub fn call(&self) -> Call {
        self.encoded
            .call(&self.config, Ticket(self.attempt), self.timeout)
    }

    pub(crate) fn trouble(&self) -> fn(&Result<T, Error>) -> Option<&Error> {
        self.trouble
    }

    /// The context of the call, as errors show it.
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    /// Handles the answer to the call. `elapsed` is the time since the operation's first call was made.
    pub fn handle(self, elapsed: Duration, answer: Result<&http::Response<Bytes>, Failure>) -> Progress<T> {
        let reader = self.encoded.reader(&self.config);
        self.answered(elapsed, reader.read(answer))
    }

    /// Like [`handle`](Self::handle), with an answer that has already been read.
    pub(crate) fn answered(self, elapsed: Duration, answer: Answer) -> Progress<T> {
        let whole = self.config.attempt_timeout();
        let may_repeat = self.attempt == 0 && elapsed <= whole / 2 && self.config.retry().enabled;
        let result = match answer.verdict::<T>() {
            Ok(verdict) => {
                if may_repeat && is_worth_repeating(&verdict) {
                    return self.again(whole - elapsed);
                }
                (self.result)(self.context, verdict, self.may_be_done)
            }
            Err(failure) => {
                if may_repeat && failure.kind().may_have_been_sent() {
                    return self.again(whole - elapsed);
                }
                let failure = self.config.explained(failure, whole);
                Err(Error::transport(self.context, failure, self.may_be_done))
            }
        };
        Progress::Done(result)
    }

    fn again(mut self, time_left: Duration) -> Progress<T> {
        self.attempt += 1;
        self.may_be_done = true;
        self.timeout = time_left;
        Progress::Again(self)
    }
}

/// Whether the outcome is open and the server does not ask for a pause.
fn is_worth_repeating<T>(verdict: &Verdict<T>) -> bool {
    match verdict {
        Verdict::Ambiguous(reply) => !reply.asks_for_a_pause(),
        Verdict::Success(_)
        | Verdict::Rejected(_)
        | Verdict::Unauthorized(_)
        | Verdict::Expired { .. }
        | Verdict::Throttled(_)
        | Verdict::NotSent(_) => false,
    }
}

impl<T: Reply> Operation<T> {
    fn post(
        config: &Arc<CyclesConfig>,
        kind: OperationKind,
        path: Result<impl Into<Cow<'static, str>>, InvalidRequest>,
        request: &impl Post,
        seed: Seed,
    ) -> Result<Self, Error> {
        let encoded = path.and_then(|path| Encoded::post(config, Reads::of::<T>(kind), path, &seed, request));
        let mut operation = Self::new(config, kind, encoded)?;
        operation.context.unit = request.amount().map(|amount| amount.unit.clone());
        operation.context.info = request.info();
        Ok(operation)
    }

    fn get(
        config: &Arc<CyclesConfig>,
        kind: OperationKind,
        path: Result<impl Into<Cow<'static, str>>, InvalidRequest>,
        seed: Seed,
    ) -> Result<Self, Error> {
        let encoded = path.and_then(|path| Encoded::get(config, Reads::of::<T>(kind), path, &seed));
        Self::new(config, kind, encoded)
    }

    fn new(
        config: &Arc<CyclesConfig>,
        kind: OperationKind,
        encoded: Result<Encoded, InvalidRequest>,
    ) -> Result<Self, Error> {
        let encoded = encoded.map_err(|problem| Error::invalid(kind, problem))?;
        let context = CallContext {
            is_recorded: false,
            server: config.server(),
            operation: kind,
            reservation_id: None,
            idempotency_key: encoded.idempotency_key().cloned(),
            trace_id: encoded.trace_id(config),
            unit: None,
            info: None,
        };
        let timeout = config.attempt_timeout();
        let config = Arc::clone(config);
        Ok(Self {
            config,
            context,
            encoded,
            attempt: 0,
            may_be_done: false,
            timeout,
            result: Error::of::<T>,
            trouble: |result| result.as_ref().err(),
        })
    }

    fn about(mut self, id: &ReservationId) -> Self {
        self.context.reservation_id = Some(id.clone());
        self
    }
}

#[cfg(test)]
mod tests;
