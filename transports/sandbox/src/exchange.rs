//! What an observer sees: a request that was served, its response and the fault that struck.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::{Request, Response};

use crate::fault::Fault;
use crate::front::Shared;
use crate::ledger::{BudgetState, Unit};
use crate::operation::Operation;

/// Which of the two servers a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plane {
    /// The one that clients use.
    Runtime,
    /// The one that operators use.
    Admin,
}

/// One request and what came of it.
///
/// `Debug` leaves out headers and bodies, since keys and secrets are among them.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The server that was asked.
    pub plane: Plane,
    /// What was asked for; [`Operation::Unknown`] on the admin plane, probes apart.
    pub operation: Operation,
    /// The request as it arrived, its API key included.
    pub request: &'a Request<Bytes>,
    /// What is sent back; nothing if the connection ends instead.
    pub response: Option<&'a Response<Bytes>>,
    /// What went wrong on purpose.
    pub fault: Option<&'a Fault>,
    /// When that was, by the sandbox's own clock.
    pub at: UnixMillis,
    shared: &'a Shared,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        plane: Plane,
        request: &'a Request<Bytes>,
        response: Option<&'a Response<Bytes>>,
        fault: Option<&'a Fault>,
    ) -> Self {
        Self {
            plane,
            operation: Operation::of(request.method(), request.uri().path()),
            request,
            response,
            fault,
            at: shared.now(),
            shared,
        }
    }

    /// The numbers of a budget as they are now, which other requests may have changed since this one; scope
    /// paths are in lower case.
    pub fn budget(&self, scope: &str, unit: Unit) -> Option<BudgetState> {
        self.shared.ledger().budget(scope, unit)
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("plane", &self.plane)
            .field("operation", &self.operation)
            .field("path", &self.request.uri().path())
            .field("status", &self.response.map(Response::status))
            .field("fault", &self.fault)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Somebody who watches.
pub(crate) struct Observer(Box<dyn Fn(&Exchange<'_>) + Send + Sync>);

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Exchange<'_>) + Send + Sync + 'static) -> Self {
        Self(Box::new(observe))
    }

    /// An observer that panics has seen it; the client gets its answer all the same.
    pub(crate) fn see(&self, exchange: &Exchange<'_>) {
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(exchange)));
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
