//! Exchanges one request for one response over kept connections.

use std::sync::Arc;

use bytes::Bytes;
use cycles_host::Clock;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, FailureKind};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;

use crate::connect::Connector;
use crate::connection::{Connection, NoAnswer};
use crate::pool::Pool;
use crate::time::{after, within};
use cycles_host::HttpOptions;

/// Connections to one server. Clones share them.
#[derive(Clone)]
pub(crate) struct HttpClient {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    host: HeaderValue,
}

impl HttpClient {
    pub(crate) fn new(
        config: &CyclesConfig,
        options: &HttpOptions,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        let unusable = |error: http::Error| ConfigError::Adapter(format!("the base URL: {error}"));
        let server: Uri = config
            .base_url()
            .parse()
            .map_err(|error: http::uri::InvalidUri| unusable(error.into()))?;
        let connector = Connector::new(config, &server, options)?;
        let host = HeaderValue::from_str(&connector.host_header()).map_err(|error| unusable(error.into()))?;
        Ok(Self {
            connector: Arc::new(connector),
            pool: Arc::new(Pool::new(clock)),
            host,
        })
    }

    /// Makes the call, once, within its time.
    pub(crate) async fn exchange(&self, call: Call) -> Result<Response<Bytes>, Failure> {
        let answer = self.attempt(call).await;
        if matches!(&answer, Err(failure) if failure.kind().casts_doubt_on_connections()) {
            self.pool.clear();
        }
        answer
    }

    async fn attempt(&self, call: Call) -> Result<Response<Bytes>, Failure> {
        let end = after(call.timeout);
        let mut request = self.addressed(call.request).map(Full::new);
        if call.fresh {
            self.pool.clear();
        }
        loop {
            let kept = self.pool.take();
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => {
                    let stream = self.connector.connect(end).await?;
                    let connection = Connection::new(stream).await;
                    connection.map_err(|error| Failure::caused_by(FailureKind::Connect, &error))?
                }
            };
            match within(end, connection.exchange(request, call.max_response)).await {
                Some(Ok(response)) => {
                    self.pool.put(connection);
                    return Ok(response);
                }
                // It was closed in the very moment in which it was to be used.
                Some(Err(NoAnswer::Unsent(unsent, _))) if is_kept => request = *unsent,
                Some(Err(NoAnswer::Unsent(_, failure) | NoAnswer::Failed(failure))) => return Err(failure),
                None => return Err(Failure::new(FailureKind::Timeout)),
            }
        }
    }

    /// The request as it goes over the wire: a forwarding proxy wants the whole address, a server its path.
    fn addressed(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        match self.connector.forwarding() {
            Some(authorization) => {
                if let Some(value) = authorization {
                    let headers = request.headers_mut();
                    headers.insert(header::PROXY_AUTHORIZATION, value.clone());
                }
            }
            None => {
                let target = request.uri().path_and_query().cloned();
                *request.uri_mut() = target.map(Uri::from).unwrap_or_default();
            }
        }
        request
    }
}
