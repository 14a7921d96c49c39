//! Connections: name resolution, proxy, TCP and TLS, within one time limit, each failure by its stage.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use async_io::Async;
use cycles_proto::{ConfigError, CyclesConfig, Failure, FailureKind};
use http::{HeaderValue, Uri};

use crate::executor;
use crate::stream::{Socket, Stream};
use crate::time::{after, within};
use crate::tunnel;
use cycles_host::{HttpOptions, ProxyProtocol, Route};

/// Makes connections to one server, or to the proxy before it.
pub(crate) struct Connector {
    server: Endpoint,
    is_https: bool,
    way: Way,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    timeout: Duration,
}

/// A host and a port.
pub(crate) struct Endpoint {
    /// An address of IPv6 stands in brackets.
    host: String,
    port: u16,
}

/// Where the first hop leads, and what the proxy there wants to see.
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
                "https needs the feature `tls`, without which this program was built".to_owned(),
            ));
        }
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: is_https.then(|| Tls::new(&endpoint, options)).transpose()?,
            server: endpoint,
            is_https,
            way,
            timeout: config.connect_timeout(),
        })
    }

    /// What `Host` says: the port only where it is none that goes without saying.
    pub(crate) fn host_header(&self) -> String {
        match (self.server.port, self.is_https) {
            (443, true) | (80, false) => self.server.host.clone(),
            _ => self.server.authority(),
        }
    }

    /// Whether a proxy forwards the requests, and then what authorizes them there. A tunnel sees that once.
    pub(crate) fn forwarding(&self) -> Option<Option<&HeaderValue>> {
        match &self.way {
            Way::Forward(_, authorization) => Some(authorization.as_ref()),
            Way::Direct | Way::Tunnel(..) => None,
        }
    }

    /// A connection, before `end` and within the time for connecting.
    pub(crate) async fn connect(&self, end: Instant) -> Result<Stream, Failure> {
        let end = end.min(after(self.timeout));
        match within(end, self.reach(end)).await {
            Some(connected) => connected,
            None => Err(Failure::new(FailureKind::ConnectTimeout)),
        }
    }

    async fn reach(&self, end: Instant) -> Result<Stream, Failure> {
        match &self.way {
            Way::Direct => {
                let socket = tcp(&self.server, end).await;
                self.secure(socket.map_err(NoSocket::failure)?).await
            }
            Way::Forward(proxy, _) => Ok(Box::new(tcp(proxy, end).await.map_err(NoSocket::proxy_failure)?)),
            Way::Tunnel(proxy, authorization) => {
                let socket = tcp(proxy, end).await.map_err(NoSocket::proxy_failure)?;
                let tunnel = tunnel::open(socket, &self.server.authority(), authorization.as_ref()).await;
                let socket = tunnel.map_err(|error| Failure::caused_by(FailureKind::Proxy, &*error))?;
                self.secure(socket).await
            }
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, socket: Socket) -> Result<Stream, Failure> {
        let Some(tls) = &self.tls else {
            return Ok(Box::new(socket));
        };
        match tls.connector.connect(tls.name.clone(), socket).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Failure::caused_by(FailureKind::Tls, &error)),
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, socket: Socket) -> Result<Stream, Failure> {
        Ok(Box::new(socket))
    }
}

impl Endpoint {
    fn of(uri: &Uri) -> Self {
        let usual = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        Self {
            host: uri.host().unwrap_or_default().to_owned(),
            port: uri.port_u16().unwrap_or(usual),
        }
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Without the brackets of an address of IPv6.
    fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(feature = "tls")]
impl Tls {
    fn new(server: &Endpoint, options: &HttpOptions) -> Result<Self, ConfigError> {
        let name = rustls_pki_types::ServerName::try_from(server.name().to_owned());
        Ok(Self {
            connector: cycles_host::tls::client_config(options.roots())?.into(),
            name: name.map_err(|error| ConfigError::Adapter(format!("the server's name: {error}")))?,
        })
    }
}

/// Why there is no socket.
struct NoSocket {
    kind: FailureKind,
    error: io::Error,
}

impl NoSocket {
    fn failure(self) -> Failure {
        Failure::caused_by(self.kind, &self.error)
    }

    fn proxy_failure(self) -> Failure {
        Failure::caused_by(FailureKind::Proxy, &self.error)
    }
}

/// The first address that answers, each with its share of the time, so that a dead one leaves some for the next.
async fn tcp(endpoint: &Endpoint, end: Instant) -> Result<Socket, NoSocket> {
    let addresses = resolve(endpoint).await.map_err(|error| NoSocket {
        kind: FailureKind::Dns,
        error,
    })?;
    let mut failed = NoSocket {
        kind: FailureKind::Dns,
        error: io::Error::other("the name has no address"),
    };
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let now = Instant::now();
        let share = end.saturating_duration_since(now) / left;
        left = left.saturating_sub(1).max(1);
        failed = match within(now + share, Async::<TcpStream>::connect(address)).await {
            Some(Ok(stream)) => {
                // A request leaves in one piece; there is nothing to wait for.
                let _ = stream.get_ref().set_nodelay(true);
                return Ok(Socket(stream));
            }
            Some(Err(error)) => NoSocket {
                kind: FailureKind::Connect,
                error,
            },
            None => NoSocket {
                kind: FailureKind::ConnectTimeout,
                error: io::ErrorKind::TimedOut.into(),
            },
        };
    }
    Err(failed)
}

async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let (name, port) = (endpoint.name().to_owned(), endpoint.port);
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    executor::unblock(move || (name, port).to_socket_addrs().map(Vec::from_iter)).await
}
