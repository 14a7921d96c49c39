//! TCP connections, to the first of a host's addresses that accepts one.

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
    /// The host; an IPv6 address is in brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
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

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Tries one address after another, each with an equal share of the time left before `end`, so that an address that
/// does not answer leaves time for the next one. `stage` maps a failure to the stage to report.
pub(crate) async fn connect<R: Reactor>(
    reactor: &R,
    endpoint: &Endpoint,
    end: Duration,
    stage: fn(FailureKind) -> FailureKind,
) -> Result<R::Stream, Failure> {
    let failed = |kind, error| Failure::caused_by(stage(kind), &error);
    let addresses = resolve(reactor, endpoint).await;
    let addresses = addresses.map_err(|error| failed(FailureKind::Dns, error))?;
    let mut failure = failed(FailureKind::Dns, io::Error::other("the name has no address"));
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let share = end.saturating_sub(reactor.now()) / left;
        left = left.saturating_sub(1).max(1);
        let connected = within(reactor, share, reactor.connect(address)).await;
        failure = match connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                failed(FailureKind::ConnectTimeout, error)
            }
            Err(error) => failed(FailureKind::Connect, error),
        };
    }
    Err(failure)
}

async fn resolve<R: Reactor>(reactor: &R, endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    match endpoint.name().parse::<IpAddr>() {
        Ok(address) => Ok(vec![SocketAddr::new(address, endpoint.port)]),
        Err(_) => reactor.resolve(endpoint.name(), endpoint.port).await,
    }
}

/// Runs `work` with a timeout.
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
