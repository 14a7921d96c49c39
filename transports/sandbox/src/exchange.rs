//! The exchanges that an observer sees: a request, its response and the fault that was applied.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use cycles_proto::time::UnixMillis;
use http::{Request, Response};

use crate::fault::Fault;
use crate::ledger::{BudgetState, Unit};
use crate::operation::Operation;
use crate::shared::Shared;
use crate::summary::Summary;

/// Which of the two servers received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plane {
    /// The server for clients.
    Runtime,
    /// The server for operators.
    Admin,
    /// The server for tests, which reset, advance and look.
    Control,
}

impl Plane {
    /// Its name in logs: `runtime`, `admin` or `control`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Admin => "admin",
            Self::Control => "control",
        }
    }
}

/// One request, its response and the fault that was applied.
///
/// `Debug` leaves out headers and bodies, since keys and secrets are among them.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The server that received the request.
    pub plane: Plane,
    /// The operation that was requested; on the other planes [`Operation::Unknown`], except for probes.
    pub operation: Operation,
    /// The request as it arrived, its API key included.
    pub request: &'a Request<Bytes>,
    /// The response; `None` if the connection ends without one.
    pub response: Option<&'a Response<Bytes>>,
    /// The injected fault, if one was applied.
    pub fault: Option<&'a Fault>,
    /// The time of the exchange, by the sandbox's own clock.
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

    /// It in a few words, without any key. Serialised, it is a line of the program's JSON log.
    pub fn summary(&self) -> Summary {
        Summary::of(self, self.shared.masks())
    }

    /// The current state of a budget, which other requests may have changed since this one. `scope` is a path in lower
    /// case.
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

/// The function that [`crate::SandboxBuilder::observe`] registered.
pub(crate) struct Observer(Box<dyn Fn(&Exchange<'_>) + Send + Sync>);

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Exchange<'_>) + Send + Sync + 'static) -> Self {
        Self(Box::new(observe))
    }

    /// Calls the observer. If it panics, the client still gets its answer.
    pub(crate) fn see(&self, exchange: &Exchange<'_>) {
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(exchange)));
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
