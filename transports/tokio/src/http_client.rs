//! Exchanges one request for one response over pooled connections.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, FailureKind};
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connect::{ConnectError, Connector, find};
use crate::http_options::HttpOptions;

/// A pool of keep-alive connections to one server. Clones share it.
#[derive(Clone)]
pub(crate) struct HttpClient {
    pool: Client<Connector, Full<Bytes>>,
    proxy_authorization: Option<HeaderValue>,
}

/// Load balancers close idle connections after a minute or so: be earlier.
const IDLE: Duration = Duration::from_secs(15);

/// As many as there are exchanges at once in a busy program.
const MAX_IDLE: usize = 64;

impl HttpClient {
    pub(crate) fn new(config: &CyclesConfig, options: &HttpOptions) -> Result<Self, ConfigError> {
        // A checked configuration has an address that parses; the default one is on no proxy's list.
        let server = config.base_url().parse().unwrap_or_default();
        let connector = Connector::new(config, &server, options)?;
        let proxy_authorization = connector.proxy_authorization(&server);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector);
        Ok(Self {
            pool,
            proxy_authorization,
        })
    }

    /// Makes the call, once, within its time.
    pub(crate) async fn exchange(&self, call: Call) -> Result<Response<Bytes>, Failure> {
        let Call {
            request,
            timeout,
            max_response,
            ..
        } = call;
        match tokio::time::timeout(timeout, self.request(request, max_response)).await {
            Ok(answer) => answer,
            // Connecting has a shorter limit of its own, so by now the request was on its way.
            Err(_) => Err(Failure::new(FailureKind::Timeout)),
        }
    }

    async fn request(
        &self,
        mut request: http::Request<Bytes>,
        max_response: usize,
    ) -> Result<Response<Bytes>, Failure> {
        if let Some(value) = &self.proxy_authorization {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, value.clone());
        }
        let response = self
            .pool
            .request(request.map(Full::new))
            .await
            .map_err(|error| failure(&error))?;
        let (head, body) = response.into_parts();
        if body.size_hint().lower() > max_response as u64 {
            return Err(Failure::new(FailureKind::TooLarge));
        }
        let body = Limited::new(body, max_response)
            .collect()
            .await
            .map_err(|error| failure(&*error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// What an error of the HTTP client means. Everything after a connection was had may have been sent.
fn failure(error: &(dyn StdError + 'static)) -> Failure {
    if let Some(connect) = find::<ConnectError>(error) {
        return connect.failure();
    }
    if find::<LengthLimitError>(error).is_some() {
        return Failure::new(FailureKind::TooLarge);
    }
    Failure::caused_by(FailureKind::Lost, error)
}
