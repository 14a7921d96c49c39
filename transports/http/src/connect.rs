//! Connects: name resolution, proxy, TCP and TLS within one timeout. A failure says at which stage it happened.

use std::time::Duration;

use cycles_host::{HttpOptions, ProxyProtocol, Route};
use cycles_proto::{ConfigError, CyclesConfig, Failure, FailureKind};
use http::{HeaderValue, Uri};

use crate::reactor::Reactor;
use crate::tcp::{self, Endpoint, within};
use crate::tunnel;
use crate::wire::Stream;

/// Connects to one server, or to the proxy in front of it.
pub(crate) struct Connector {
    server: Endpoint,
    is_https: bool,
    way: Way,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    timeout: Duration,
}

/// The first hop and, if that is a proxy, the authorization for it.
enum Way {
    Direct,
    Forward(Endpoint, Option<HeaderValue>),
    Tunnel(Endpoint, Option<HeaderValue>),
}

#[cfg(feature = "tls")]
struct Tls {
    connector: tokio_rustls::TlsConnector,
    name: rustls_pki_types::ServerName<'static>,
}

impl Connector {
    pub(crate) fn new(
        config: &CyclesConfig,
        server: &Uri,
        options: &HttpOptions,
    ) -> Result<Self, ConfigError> {
        let is_https = config.is_https();
        let endpoint = Endpoint::of(server);
        let way = match options.route(config, &[ProxyProtocol::Http])? {
            Route::Direct => Way::Direct,
            Route::Forward(proxy) => Way::Forward(Endpoint::of(proxy.uri()), proxy.authorization()),
            Route::Tunnel(proxy) => Way::Tunnel(Endpoint::of(proxy.uri()), proxy.authorization()),
        };
        #[cfg(not(feature = "tls"))]
        if is_https {
            return Err(ConfigError::Adapter(
                "https needs the feature `tls`, which this program was built without".to_owned(),
            ));
        }
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: is_https.then(|| Tls::new(&endpoint, options)).transpose()?,
            server: endpoint,
            is_https,
            way,
            timeout: config.connect_timeout,
        })
    }

    /// The value of `Host`: includes the port unless it is the scheme's default.
    pub(crate) fn host_header(&self) -> String {
        match (self.server.port, self.is_https) {
            (443, true) | (80, false) => self.server.host.clone(),
            _ => self.server.authority(),
        }
    }

    /// Returns `Some` if a proxy forwards the requests, with the authorization that each of them needs. A tunnel needs
    /// the authorization only once.
    pub(crate) fn forwarding(&self) -> Option<Option<&HeaderValue>> {
        match &self.way {
            Way::Forward(_, authorization) => Some(authorization.as_ref()),
            Way::Direct | Way::Tunnel(..) => None,
        }
    }

    /// How long connecting may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects to the server, before `end` and within the connect timeout, which began at `since`.
    pub(crate) async fn connect<R: Reactor>(
        &self,
        reactor: &R,
        since: Duration,
        end: Duration,
    ) -> Result<Stream, Failure> {
        let end = end.min(since.saturating_add(self.timeout));
        let left = end.saturating_sub(reactor.now());
        match within(reactor, left, self.reach(reactor, end)).await {
            Some(connected) => connected,
            None => Err(Failure::new(FailureKind::ConnectTimeout)),
        }
    }

    async fn reach<R: Reactor>(&self, reactor: &R, end: Duration) -> Result<Stream, Failure> {
        let of_proxy = |_| FailureKind::Proxy;
        match &self.way {
            Way::Direct => {
                let stream = tcp::connect(reactor, &self.server, end, |kind| kind).await?;
                self.secure(stream).await
            }
            Way::Forward(proxy, _) => Ok(Box::new(tcp::connect(reactor, proxy, end, of_proxy).await?)),
            Way::Tunnel(proxy, authorization) => {
                let stream = tcp::connect(reactor, proxy, end, of_proxy).await?;
                let tunnel = tunnel::open(stream, &self.server.authority(), authorization.as_ref()).await;
                let stream = tunnel.map_err(|error| Failure::caused_by(FailureKind::Proxy, &*error))?;
                self.secure(stream).await
            }
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, stream: impl crate::wire::Duplex + Send + 'static) -> Result<Stream, Failure> {
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        match tls.connector.connect(tls.name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Failure::caused_by(FailureKind::Tls, &error)),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with TLS it waits for a handshake")]
    async fn secure(&self, stream: impl crate::wire::Duplex + Send + 'static) -> Result<Stream, Failure> {
        Ok(Box::new(stream))
    }
}

#[cfg(feature = "tls")]
impl Tls {
    fn new(server: &Endpoint, options: &HttpOptions) -> Result<Self, ConfigError> {
        let name = rustls_pki_types::ServerName::try_from(server.name().to_owned());
        Ok(Self {
            connector: cycles_host::trusted_roots::client_config(options.roots())?.into(),
            name: name.map_err(|error| ConfigError::Adapter(format!("the server's name: {error}")))?,
        })
    }
}
