//! Makes attempts over pooled connections.

use core::time::Duration;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

use bytes::Bytes;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, FailureKind};
use http::{Method, Request, Response};
use ureq::config::AutoHeaderValue;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, SocksConnector};
use ureq::{Agent, AsSendBody, Error};

use crate::connect::{ConnectError, DirectConnector, ViaProxy};
use crate::proxies;
use crate::redacted_trace_log::Redactor;
use crate::resolver::CachingResolver;
#[cfg(feature = "tls")]
use cycles_host::ProxyProtocol;
use cycles_host::{HttpOptions, IDLE, MAX_IDLE, Route};

/// A pool of keep-alive connections to one server.
pub(crate) struct HttpClient {
    agent: Agent,
    redactor: Redactor,
    names: CachingResolver,
    /// The stage that a failed name resolution is reported as; `None` if a tunnel's proxy resolves the name.
    naming: Option<FailureKind>,
    /// The timeout for name resolution, TCP and TLS together.
    connect_timeout: Duration,
}

/// The size of ureq's buffers for each connection. A ledger's responses are far smaller; a larger response is read in
/// parts.
const BUFFER: usize = 16 * 1024;

/// A panic during an attempt loses only its connection: the pool and the other connections stay consistent.
impl UnwindSafe for HttpClient {}
impl RefUnwindSafe for HttpClient {}

impl HttpClient {
    pub(crate) fn new(config: &CyclesConfig, options: &HttpOptions) -> Result<Self, ConfigError> {
        // A checked configuration has an address that parses.
        let server = config.base_url.parse().unwrap_or_default();
        let way = options.route(config, proxies::SPOKEN)?;
        let (tunnel, forwarder, naming, connecting) = match &way {
            Route::Direct => (None, None, Some(FailureKind::Dns), FailureKind::Connect),
            Route::Tunnel(proxy) => (Some(proxies::tunnel(proxy)?), None, None, FailureKind::Connect),
            Route::Forward(proxy) => (None, Some(proxy), Some(FailureKind::Proxy), FailureKind::Proxy),
        };
        let names = CachingResolver::new(forwarder.map(|proxy| proxy.uri().clone()));
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(tunnel)
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_idle_age(IDLE)
            .max_idle_connections(MAX_IDLE)
            .max_idle_connections_per_host(MAX_IDLE)
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            // A head that fills the buffer is too large, because its end is missing.
            .max_response_header_size(BUFFER - 1)
            .build();
        let connector =
            ().chain(ViaProxy::<SocksConnector>::default())
                .chain(ViaProxy::<ConnectProxyConnector>::default())
                .chain(DirectConnector::new(names.clone(), connecting));
        #[cfg(feature = "tls")]
        let connector = {
            let is_proxy_encrypted = matches!(
                &way,
                Route::Tunnel(proxy) | Route::Forward(proxy) if proxy.protocol() == ProxyProtocol::Https
            );
            connector.chain(crate::tls_connector::TlsConnector {
                config: (config.is_https() || is_proxy_encrypted)
                    .then(|| cycles_host::trusted_roots::client_config(options.roots()))
                    .transpose()?,
                proxy: forwarder
                    .filter(|_| is_proxy_encrypted)
                    .map(|proxy| proxy.uri().clone()),
            })
        };
        let seed = cycles_host::seed()?;
        let redactor = Redactor::new(seed, &server, forwarder);
        let connector = connector.chain(redactor.clone());
        Ok(Self {
            agent: Agent::with_parts(settings, connector, names.clone()),
            redactor,
            names,
            naming,
            connect_timeout: config.connect_timeout,
        })
    }

    /// Makes the call once, within its timeout.
    pub(crate) fn exchange(&self, call: Call) -> Result<Response<Bytes>, Failure> {
        let began = Instant::now();
        if let Some(stage) = self.naming {
            // Resolved here, so that name resolution and connecting share one timeout. ureq resolves again, from the
            // cache.
            self.names
                .resolve(call.request.uri(), self.connect_timeout.min(call.timeout))
                .map_err(|error| ConnectError::at(stage, error.into()).failure())?;
        }
        let elapsed = began.elapsed();
        // With zero, every idle connection is too old and is closed.
        let idle = if call.fresh { Duration::ZERO } else { IDLE };
        let time = Time {
            whole: call.timeout.saturating_sub(elapsed),
            connect: self.connect_timeout.saturating_sub(elapsed),
            idle,
        };
        let (mut head, body) = call.request.into_parts();
        let hidden = self.redactor.hide(&mut head.headers);
        if head.method == Method::GET {
            self.run(Request::from_parts(head, ()), time, call.max_response)
        } else {
            self.run(Request::from_parts(head, &body[..]), time, call.max_response)
        }
        .map(|answer| hidden.restore(answer))
        .map_err(|error| failure(&error))
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        time: Time,
        max_response: usize,
    ) -> Result<Response<Bytes>, Error> {
        let request = self
            .agent
            .configure_request(request)
            .timeout_resolve(Some(time.connect))
            .timeout_connect(Some(time.connect))
            .timeout_global(Some(time.whole))
            .max_idle_age(time.idle)
            .build();
        let (head, mut body) = self.agent.run(request)?.into_parts();
        let limit = u64::try_from(max_response).unwrap_or(u64::MAX);
        if body.content_length().is_some_and(|length| length > limit) {
            return Err(Error::BodyExceedsLimit(limit));
        }
        let body = body.with_config().limit(limit).read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(body)))
    }
}

/// The time limits of an attempt.
#[derive(Clone, Copy)]
struct Time {
    whole: Duration,
    connect: Duration,
    /// How long a connection may have been idle and still be used.
    idle: Duration,
}

/// Translates an error of ureq. After connecting, the request may have been sent.
fn failure(error: &Error) -> Failure {
    if let Error::Other(other) = error
        && let Some(connect) = other.downcast_ref::<ConnectError>()
    {
        return connect.failure();
    }
    if matches!(error, Error::Timeout(_)) {
        Failure::new(FailureKind::Timeout)
    } else if matches!(error, Error::BodyExceedsLimit(_) | Error::LargeResponseHeader(..))
        || has_too_many_headers(error)
    {
        Failure::new(FailureKind::TooLarge)
    } else if matches!(error, Error::TlsRequired) {
        let problem = "this program was built without the feature `tls`";
        Failure::caused_by(FailureKind::Tls, &io::Error::other(problem))
    } else if let Error::Io(error) = error {
        Failure::caused_by(FailureKind::Lost, error)
    } else {
        Failure::caused_by(FailureKind::Lost, error)
    }
}

/// Whether the response has too many headers. The inner error's type is not public, but its name is in its `Debug`
/// output.
fn has_too_many_headers(error: &Error) -> bool {
    matches!(error, Error::Protocol(error) if format!("{error:?}") == "HttpParseTooManyHeaders")
}
