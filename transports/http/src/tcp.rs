//! A connection to the first address of a host that takes one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use cycles_proto::{Failure, FailureKind};
use futures::future::{Either, select};
use http::Uri;

use crate::reactor::Reactor;

/// A host and a port.
pub(crate) struct Endpoint {
    /// An address of IPv6 stands in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why there is no connection.
pub(crate) struct NoConnection {
    kind: FailureKind,
    error: io::Error,
}

impl Endpoint {
    pub(crate) fn of(uri: &Uri) -> Self {
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        Self {
            host: uri.host().unwrap_or_default().to_owned(),
            port: uri.port_u16().unwrap_or(usual),
        }
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Without the brackets of an address of IPv6.
    pub(crate) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl NoConnection {
    pub(crate) fn failure(self) -> Failure {
        Failure::caused_by(self.kind, &self.error)
    }

    /// Of a connection to a proxy.
    pub(crate) fn proxy_failure(self) -> Failure {
        Failure::caused_by(FailureKind::Proxy, &self.error)
    }
}

impl From<io::Error> for NoConnection {
    fn from(error: io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::TimedOut {
            FailureKind::ConnectTimeout
        } else {
            FailureKind::Connect
        };
        Self { kind, error }
    }
}

/// Tries one address after the other, each with an equal share of the time that is left before `end`: one that does
/// not answer leaves time for the next.
pub(crate) async fn connect<R: Reactor>(
    reactor: &R,
    endpoint: &Endpoint,
    end: Duration,
) -> Result<R::Stream, NoConnection> {
    let addresses = resolve(reactor, endpoint).await.map_err(|error| NoConnection {
        kind: FailureKind::Dns,
        error,
    })?;
    let mut failed = NoConnection {
        kind: FailureKind::Dns,
        error: io::Error::other("the name has no address"),
    };
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let share = end.saturating_sub(reactor.now()) / left;
        left = left.saturating_sub(1).max(1);
        failed = match within(reactor, share, reactor.connect(address)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => error.into(),
            None => io::Error::from(io::ErrorKind::TimedOut).into(),
        };
    }
    Err(failed)
}

async fn resolve<R: Reactor>(reactor: &R, endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    match endpoint.name().parse::<IpAddr>() {
        Ok(address) => Ok(vec![SocketAddr::new(address, endpoint.port)]),
        Err(_) => reactor.resolve(endpoint.name(), endpoint.port).await,
    }
}

/// What comes of `work`, if it comes within `time`.
pub(crate) async fn within<R: Reactor, T>(
    reactor: &R,
    time: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), reactor.sleep(time)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
