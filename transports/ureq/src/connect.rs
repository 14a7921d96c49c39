//! Connects through proxy, TCP and TLS, and reports the stage at which connecting failed. A call that fails here was
//! never sent; a call that fails later may have been.

use std::error::Error as StdError;
use std::fmt;

use cycles_proto::{Failure, FailureKind};
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector, TcpConnector, Transport};

use crate::resolver::CachingResolver;

/// Why connecting failed.
#[derive(Debug)]
pub(crate) struct ConnectError {
    kind: FailureKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ConnectError {
    pub(crate) fn new(kind: FailureKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    pub(crate) fn timed_out() -> Self {
        Self {
            kind: FailureKind::ConnectTimeout,
            source: None,
        }
    }

    /// Reports `error` as an error of this stage, except that a timeout stays a timeout.
    pub(crate) fn at(stage: FailureKind, error: Error) -> Self {
        if matches!(error, Error::Timeout(_)) {
            return Self::timed_out();
        }
        let source = match error.into_io().downcast::<Error>() {
            Ok(Error::Other(source)) => source,
            Ok(error) => error.into(),
            Err(error) => error.into(),
        };
        match source.downcast::<Self>() {
            Ok(inner) if inner.kind == FailureKind::ConnectTimeout => *inner,
            Ok(inner) => Self {
                kind: stage,
                ..*inner
            },
            Err(source) => Self::new(stage, source),
        }
    }

    /// The failure to report to the session.
    pub(crate) fn failure(&self) -> Failure {
        match &self.source {
            Some(_) => Failure::caused_by(self.kind, self),
            None => Failure::new(self.kind),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => source.fmt(f),
            None => f.write_str("timed out"),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().and_then(|source| source.source())
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Connects through the proxy, if there is one of the kind that the inner connector supports.
#[derive(Debug, Default)]
pub(crate) struct ViaProxy<C>(C);

impl<In: Transport, C: Connector<In>> Connector<In> for ViaProxy<C> {
    type Out = C::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let connection = self.0.connect(details, chained);
        connection.map_err(|error| ConnectError::at(FailureKind::Proxy, error).into())
    }
}

/// Connects directly, if no connector before it has connected.
#[derive(Debug)]
pub(crate) struct DirectConnector {
    tcp: TcpConnector,
    names: CachingResolver,
    /// The stage to report on failure: the connection to the server, or to the proxy in its place.
    stage: FailureKind,
}

impl DirectConnector {
    pub(crate) fn new(names: CachingResolver, stage: FailureKind) -> Self {
        Self {
            tcp: TcpConnector::default(),
            names,
            stage,
        }
    }
}

impl<In: Transport> Connector<In> for DirectConnector {
    type Out = <TcpConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let connection = self.tcp.connect(details, chained);
        connection.map_err(|error| {
            self.names.expire(details.uri);
            ConnectError::at(self.stage, error).into()
        })
    }
}
