//! Connections: name resolution, proxy, TCP and TLS, within one time limit, each failure by its stage.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cycles_proto::{ConfigError, CyclesConfig, Failure, FailureKind};
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use cycles_host::{HttpOptions, ProxyProtocol, Route};

/// Makes connections to the server or to the proxy before it.
#[derive(Clone)]
pub(crate) struct Connector(Arc<How>);

struct How {
    tcp: HttpConnector<Resolver>,
    route: Route,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsConnector>,
    timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct ConnectError {
    kind: FailureKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A connection, plain or encrypted.
pub(crate) enum Stream {
    Plain {
        io: TokioIo<TcpStream>,
        /// Whether a proxy on the other end forwards requests by their whole address.
        forwarding: bool,
    },
    #[cfg(feature = "tls")]
    Tls(Box<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>>),
}

impl Connector {
    pub(crate) fn new(config: &CyclesConfig, options: &HttpOptions) -> Result<Self, ConfigError> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Divided over the addresses of a name, so that one dead address leaves time for the next.
        tcp.set_connect_timeout(Some(config.connect_timeout()));
        Ok(Self(Arc::new(How {
            tcp,
            route: options.route(config, &[ProxyProtocol::Http])?,
            #[cfg(feature = "tls")]
            tls: config
                .is_https()
                .then(|| cycles_host::tls::client_config(options.roots()))
                .transpose()?
                .map(Into::into),
            timeout: config.connect_timeout(),
        })))
    }

    /// What a forwarding proxy wants to see with every request; a tunnel sees it once.
    pub(crate) fn proxy_authorization(&self) -> Option<HeaderValue> {
        match &self.0.route {
            Route::Forward(proxy) => proxy.authorization(),
            Route::Direct | Route::Tunnel(_) => None,
        }
    }
}

impl How {
    async fn connect(&self, uri: Uri) -> Result<Stream, ConnectError> {
        let mut tcp = self.tcp.clone();
        match &self.route {
            Route::Direct => {
                let io = tcp.call(uri.clone()).await.map_err(ConnectError::tcp)?;
                self.secure_if_https(io, &uri).await
            }
            Route::Forward(proxy) => {
                let io = tcp.call(proxy.uri().clone()).await.map_err(ConnectError::proxy)?;
                Ok(Stream::Plain { io, forwarding: true })
            }
            Route::Tunnel(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                if let Some(authorization) = proxy.authorization() {
                    tunnel = tunnel.with_auth(authorization);
                }
                let io = tunnel.call(uri.clone()).await.map_err(ConnectError::proxy)?;
                self.secure_if_https(io, &uri).await
            }
        }
    }

    async fn secure_if_https(&self, io: TokioIo<TcpStream>, uri: &Uri) -> Result<Stream, ConnectError> {
        if uri.scheme_str() == Some("https") {
            return self.secure(io, uri).await;
        }
        Ok(Stream::Plain {
            io,
            forwarding: false,
        })
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, io: TokioIo<TcpStream>, uri: &Uri) -> Result<Stream, ConnectError> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = rustls_pki_types::ServerName::try_from(host).map_err(ConnectError::tls)?;
        let Some(connector) = &self.tls else {
            return Err(ConnectError::tls(io::Error::other(
                "the client was set up for http",
            )));
        };
        let stream = connector
            .connect(name, io.into_inner())
            .await
            .map_err(ConnectError::tls)?;
        Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, _io: TokioIo<TcpStream>, _uri: &Uri) -> Result<Stream, ConnectError> {
        Err(ConnectError::tls(io::Error::other(
            "this program was built without the feature `tls`",
        )))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let how = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::time::timeout(how.timeout, how.connect(uri)).await {
                Ok(result) => result,
                Err(_) => Err(ConnectError {
                    kind: FailureKind::ConnectTimeout,
                    source: None,
                }),
            }
        })
    }
}

impl ConnectError {
    /// What the caller gets to know.
    pub(crate) fn failure(&self) -> Failure {
        match &self.source {
            Some(_) => Failure::caused_by(self.kind, self),
            None => Failure::new(self.kind),
        }
    }

    fn new(kind: FailureKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    fn tcp(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = error.into();
        let kind = if find::<ResolveError>(&*error).is_some() {
            FailureKind::Dns
        } else if find::<io::Error>(&*error).is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            FailureKind::ConnectTimeout
        } else {
            FailureKind::Connect
        };
        Self {
            kind,
            source: Some(error),
        }
    }

    fn proxy(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(FailureKind::Proxy, error)
    }

    #[cfg(not(feature = "tls"))]
    fn tls(error: io::Error) -> Self {
        Self::new(FailureKind::Tls, error)
    }

    #[cfg(feature = "tls")]
    fn tls(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(FailureKind::Tls, error)
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// The first error of type `E` among an error and its causes.
pub(crate) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The system's resolver, whose errors can be told from those of connecting.
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

/// A name without an address.
#[derive(Debug)]
pub(crate) struct ResolveError(io::Error);

impl std::fmt::Display for ResolveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for ResolveError {}

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(ready!(self.0.poll_ready(cx)).map_err(ResolveError))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(ResolveError) })
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain { io, forwarding } => io.inner().connected().proxy(*forwarding),
            #[cfg(feature = "tls")]
            Self::Tls(io) => io.inner().get_ref().0.connected(),
        }
    }
}

/// Does the same with whichever stream there is.
macro_rules! either {
    ($stream:expr, $io:ident => $do:expr) => {
        match $stream {
            Stream::Plain { io: $io, .. } => $do,
            #[cfg(feature = "tls")]
            Stream::Tls($io) => $do,
        }
    };
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, io => io.is_write_vectored())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bytes))
    }
}
