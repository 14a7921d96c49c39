//! Exchanges one request for one response over pooled connections.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, FailureKind};
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime;

use crate::connect::{ConnectError, Connector, find};
use cycles_host::HttpOptions;

/// Pools of keep-alive connections to one server. Clones share them.
#[derive(Clone)]
pub(crate) struct HttpClient {
    connector: Connector,
    /// One for each runtime, the one used last at the end: a connection lives on the runtime that made it,
    /// and is deaf while that one does not run.
    pools: Arc<Mutex<Vec<PoolOf>>>,
    proxy_authorization: Option<HeaderValue>,
}

type PoolOf = (runtime::Id, Arc<Pool>);

type Pool = Client<Connector, Full<Bytes>>;

/// Load balancers close idle connections after a minute or so: be earlier.
const IDLE: Duration = Duration::from_secs(15);

/// As many as there are exchanges at once in a busy program.
const MAX_IDLE: usize = 64;

/// Programs have one runtime or two, tests have many, one after the other.
const MAX_POOLS: usize = 4;

impl HttpClient {
    pub(crate) fn new(config: &CyclesConfig, options: &HttpOptions) -> Result<Self, ConfigError> {
        let connector = Connector::new(config, options)?;
        let proxy_authorization = connector.proxy_authorization();
        Ok(Self {
            connector,
            pools: Arc::default(),
            proxy_authorization,
        })
    }

    /// The pool of the runtime that this is called in, or an empty one in its place.
    fn pool(&self, fresh: bool) -> Arc<Pool> {
        let id = runtime::Handle::current().id();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, pool)) = pools.last()
            && *last == id
            && !fresh
        {
            return Arc::clone(pool);
        }
        let known = pools.iter().position(|(known, _)| *known == id);
        let known = known.map(|position| pools.remove(position).1);
        let pool = known.filter(|_| !fresh);
        let pool = pool.unwrap_or_else(|| Arc::new(self.new_pool()));
        if pools.len() == MAX_POOLS {
            pools.remove(0);
        }
        pools.push((id, Arc::clone(&pool)));
        pool
    }

    fn new_pool(&self) -> Pool {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(self.connector.clone())
    }

    /// Makes the call, once, within its time.
    pub(crate) fn exchange(
        &self,
        call: Call,
    ) -> impl Future<Output = Result<Response<Bytes>, Failure>> + Send + use<> {
        let Call {
            mut request,
            timeout,
            max_response,
            fresh,
            ..
        } = call;
        if let Some(value) = &self.proxy_authorization {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, value.clone());
        }
        // Not inside of the future, which would be several times as large with a whole request in it.
        let pool = self.pool(fresh);
        let requested = pool.request(request.map(Full::new));
        let pools = Arc::clone(&self.pools);
        async move {
            let answer = match tokio::time::timeout(timeout, receive(requested, max_response)).await {
                Ok(answer) => answer,
                // Connecting has a shorter limit of its own, so by now the request was on its way.
                Err(_) => Err(Failure::new(FailureKind::Timeout)),
            };
            if matches!(&answer, Err(failure) if failure.kind().casts_doubt_on_connections()) {
                // Closes those that wait; where that was done already, the pool is another.
                let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
                pools.retain(|(_, known)| !Arc::ptr_eq(known, &pool));
            }
            answer
        }
    }
}

async fn receive(requested: ResponseFuture, max_response: usize) -> Result<Response<Bytes>, Failure> {
    let response = requested.await.map_err(|error| failure(&error))?;
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

/// What an error of the HTTP client means. Everything after a connection was had may have been sent.
fn failure(error: &(dyn StdError + 'static)) -> Failure {
    if let Some(connect) = find::<ConnectError>(error) {
        return connect.failure();
    }
    let is_head_too_large = find::<hyper::Error>(error).is_some_and(is_head_too_large);
    if is_head_too_large || find::<LengthLimitError>(error).is_some() {
        return Failure::new(FailureKind::TooLarge);
    }
    Failure::caused_by(FailureKind::Lost, error)
}

/// Whether a head was larger, or had more lines, than hyper reads. It has a method for this, for servers only.
fn is_head_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string() == "message head is too large"
}
