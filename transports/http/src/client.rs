//! Exchanges one request for one response over kept connections.

use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_host::HttpOptions;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, FailureKind};
use futures::channel::oneshot;
use futures::future::{Either, select};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;

use crate::connect::Connector;
use crate::connection::{Connection, NoAnswer};
use crate::pool::{Pool, Pools};
use crate::reactor::{DrivenBy, Reactor};

/// Connections to one server. Clones share them.
#[derive(Clone)]
pub struct HttpClient<R: Reactor> {
    reactor: R,
    shared: Arc<Shared<R>>,
}

struct Shared<R: Reactor> {
    connector: Arc<Connector>,
    pools: Pools<R>,
    host: HeaderValue,
}

impl<R: Reactor> HttpClient<R> {
    /// A client of the configuration's server.
    ///
    /// # Errors
    /// What of the configuration, the options or the environment cannot be used.
    pub fn new(config: &CyclesConfig, options: &HttpOptions, reactor: R) -> Result<Self, ConfigError> {
        let unusable = |error: http::Error| ConfigError::Adapter(format!("the base URL: {error}"));
        let server: Uri = config
            .base_url()
            .parse()
            .map_err(|error: http::uri::InvalidUri| unusable(error.into()))?;
        let connector = Connector::new(config, &server, options)?;
        let host = HeaderValue::from_str(&connector.host_header()).map_err(|error| unusable(error.into()))?;
        let shared = Shared {
            connector: Arc::new(connector),
            pools: Pools::new(),
            host,
        };
        Ok(Self {
            reactor,
            shared: Arc::new(shared),
        })
    }

    /// Makes the call, once, within its time. A request that was given to a kept connection in the moment in which the
    /// other end closed it, before a byte of it was written, goes over another one; one that may have been written is
    /// never written again. Dropped, it closes its connection; dropped when its time is over, it counts as timed out.
    ///
    /// # Errors
    /// How far it came, as a [`FailureKind`].
    pub fn exchange(self, call: Call) -> impl Future<Output = Result<Response<Bytes>, Failure>> + Send {
        let Call {
            request,
            timeout,
            max_response,
            fresh,
            ..
        } = call;
        // Here, so that the future holds it once.
        let request = self.addressed(request).map(Full::new);
        self.exchange_addressed(request, timeout, max_response, fresh)
    }

    async fn exchange_addressed(
        self,
        mut request: Request<Full<Bytes>>,
        timeout: Duration,
        max_response: usize,
        is_fresh: bool,
    ) -> Result<Response<Bytes>, Failure> {
        let mut now = self.reactor.now();
        let end = now.saturating_add(timeout);
        loop {
            let pool = self.shared.pools.of(self.reactor.runtime()?, &self.reactor);
            let (kept, since) = match is_fresh {
                true => (None, pool.close_waiting()),
                false => pool.take(now),
            };
            let is_kept = kept.is_some();
            let mut connection = match kept {
                // Its time may have gone by before it came to be made, or while others were tried.
                Some(_) if now >= end => {
                    return Err(Failure::new(FailureKind::ConnectTimeout));
                }
                Some(connection) => connection,
                None => self.connect(end).await?,
            };
            let exchange = connection.exchange(request, end, max_response);
            let waited = Waited {
                pool: &pool,
                number: pool.begin(since, now, end),
            };
            let answer = exchange.await;
            drop(waited);
            match answer {
                Ok(response) => {
                    pool.put(connection);
                    return Ok(response);
                }
                Err(NoAnswer::Unsent(unsent, _)) if is_kept => {
                    request = *unsent;
                    now = self.reactor.now();
                }
                Err(NoAnswer::Unsent(_, failure)) => return Err(failure),
                Err(NoAnswer::Failed(failure)) => {
                    if failure.kind().casts_doubt_on_connections() {
                        pool.doubt(since);
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// A connection, made on the runtime that runs here, wherever it is waited for.
    async fn connect(&self, end: Duration) -> Result<Connection<R>, Failure> {
        let (connector, reactor) = (Arc::clone(&self.shared.connector), self.reactor.clone());
        // Most calls need none, and are smaller without this in them.
        let connecting = Box::pin(async move {
            let stream = connector.connect(&reactor, end).await?;
            Connection::new(stream, &reactor, end).await
        });
        match R::DRIVEN_BY {
            DrivenBy::Caller => connecting.await,
            DrivenBy::Task => on_task(&self.reactor, connecting)
                .await
                .unwrap_or_else(|| Err(Failure::new(FailureKind::NoRuntime))),
        }
    }

    /// The request as it goes over the wire: a forwarding proxy wants the whole address, a server its path.
    fn addressed(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.shared.host.clone());
        match self.shared.connector.forwarding() {
            Some(authorization) => {
                if let Some(value) = authorization {
                    headers.insert(header::PROXY_AUTHORIZATION, value.clone());
                }
            }
            None => {
                let address = mem::take(request.uri_mut()).into_parts();
                *request.uri_mut() = address.path_and_query.map(Uri::from).unwrap_or_default();
            }
        }
        request
    }
}

/// An exchange that is waited for.
struct Waited<'a, R: Reactor> {
    pool: &'a Pool<R>,
    number: u64,
}

impl<R: Reactor> Drop for Waited<'_, R> {
    fn drop(&mut self) {
        self.pool.end(self.number);
    }
}

/// What comes of `work` in a task of its own, which ends when nobody waits for it any more; none if its runtime ended.
async fn on_task<R: Reactor, T: Send + 'static>(
    reactor: &R,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (mut tell, told) = oneshot::channel();
    reactor.spawn(async move {
        let done = match select(pin!(work), tell.cancellation()).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => return,
        };
        // If nobody waits for it, it is dropped.
        let _ = tell.send(done);
    });
    told.await.ok()
}
