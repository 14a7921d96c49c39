//! Makes calls over kept connections.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cycles_client::{Done, Transport};
use cycles_host::HttpOptions;
use cycles_proto::{Call, ConfigError, CyclesConfig, Urgency};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;

use crate::connect::Connector;
use crate::connection::Connection;
use crate::pool::{Pool, Pools};
use crate::reactor::{Place, Reactor};
use crate::mailbox::{Job, Terms};
use crate::waiter::Waiter;

/// Connections to one server.
pub struct HttpClient<R: Reactor, W: Waiter = Done>(Arc<Shared<R, W>>);

pub(crate) struct Shared<R: Reactor, W: Waiter> {
    pub(crate) reactor: R,
    pub(crate) connector: Arc<Connector>,
    pools: Mutex<Pools<R::RuntimeId, W>>,
    host: HeaderValue,
}

impl<R: Reactor, W: Waiter> HttpClient<R, W> {
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
        Ok(Self(Arc::new(Shared {
            reactor,
            connector: Arc::new(connector),
            pools: Mutex::new(Pools::new()),
            host,
        })))
    }

    /// Makes the call, once, and tells `waiter` what came of it. It is given to a connection that waits, or to a new one.
    /// A request that was given to a kept connection in the moment in which the other end closed it, before a byte of it was
    /// written, goes over another one; one that may have been written is never written again.
    ///
    /// An extension is made on the adapter's own thread, so that no lease depends on a runtime of the user's. Any other
    /// call is made in the runtime that runs here, which costs the least, as nobody else has to be woken. What has not begun
    /// there within a second, or when that ends, is made on the own thread too.
    pub fn make(&self, call: Call, waiter: W) {
        let place = match call.urgency {
            Urgency::Lease(_) => Place::Own,
            Urgency::Settlement | Urgency::Other => self.0.reactor.place(),
        };
        let since = self.0.reactor.now();
        let terms = Terms {
            max_response: call.max_response,
            since,
            end: since.saturating_add(call.timeout),
        };
        let request = self.0.with_target(call.request).map(Full::new);
        let job = Box::new(Job {
            request,
            terms,
            waiter,
        });
        if call.fresh {
            let pools = self.0.pools().all();
            pools.iter().for_each(|pool| pool.close_idle());
            let pool = self.0.pool_of(&place);
            return self.0.connect_for(&pool, job);
        }
        self.0.start_at(&place, since, job);
    }
}

impl<R: Reactor> Transport for HttpClient<R> {
    fn start(&self, call: Call, done: Done) {
        self.make(call, done);
    }

    fn may_wait_here(&self) -> bool {
        self.0.reactor.may_wait_here()
    }
}

impl<R: Reactor, W: Waiter> Shared<R, W> {
    /// Gives a call to a connection of that place.
    pub(crate) fn start_at(
        self: &Arc<Self>,
        place: &Place<R::RuntimeId>,
        now: Duration,
        mut job: Box<Job<W>>,
    ) {
        let pool = self.pool_of(place);
        job.terms.since = now;
        if let Some(job) = pool.give(now, job) {
            self.connect_for(&pool, job);
        }
    }

    /// Makes a connection for a call.
    fn connect_for(self: &Arc<Self>, pool: &Arc<Pool<R::RuntimeId, W>>, job: Box<Job<W>>) {
        let mailbox = pool.add(job);
        self.reactor
            .spawn(&pool.place, Connection::new(self, pool, mailbox).run());
    }

    /// The pool of a place; that of our own thread, if the place stands still.
    fn pool_of(self: &Arc<Self>, place: &Place<R::RuntimeId>) -> Arc<Pool<R::RuntimeId, W>> {
        let (pool, forgotten, is_maintained) = {
            let mut pools = self.pools();
            let (pool, forgotten) = pools.of(place);
            (pool, forgotten, pools.start_maintaining())
        };
        // Closing its connections wakes their tasks.
        drop(forgotten);
        if !is_maintained {
            let maintenance = maintain(Arc::downgrade(self), self.reactor.clone());
            self.reactor.spawn(&Place::Own, maintenance);
        }
        match pool.is_stalled() {
            true => self.pool_of(&Place::Own),
            false => pool,
        }
    }

    /// The request as it goes over the wire: a forwarding proxy wants the whole address, a server its path.
    fn with_target(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        match self.connector.forwarding() {
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

    /// How long a call waits for the user's runtime to begin it: a second, unless that were all the time for connecting.
    fn patience(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(50);
        const MOST: Duration = Duration::from_secs(1);
        (self.connector.timeout() / 2).clamp(LEAST, MOST)
    }

    /// Closes what was idle for long enough, makes what no runtime of the user's came to begin, and says when to look again;
    /// never if there is nothing to look after.
    fn maintain(self: &Arc<Self>) -> Option<Duration> {
        let (now, patience) = (self.reactor.now(), self.patience());
        let (all, mut is_used) = {
            let mut pools = self.pools();
            (pools.all(), pools.take_used())
        };
        let mut next = patience;
        for pool in &all {
            is_used |= !pool.is_empty();
            if let Some(until) = pool.close_old(now) {
                next = next.min(until.saturating_sub(now));
            }
            if pool.place == Place::Own {
                continue;
            }
            for job in pool.take_late(now, patience) {
                self.start_at(&Place::Own, now, job);
            }
            if let Some(since) = pool.oldest() {
                let left = since.saturating_add(patience).saturating_sub(now);
                // One that was asked whether it runs answers until then.
                next = next.min(left.max(patience / 4));
            }
        }
        self.pools().schedule_look(is_used.then_some(next))
    }

    fn pools(&self) -> MutexGuard<'_, Pools<R::RuntimeId, W>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after the connections of a client for as long as there are any.
async fn maintain<R: Reactor, W: Waiter>(client: Weak<Shared<R, W>>, reactor: R) {
    let mut pause = client.upgrade().map(|client| client.patience());
    while let Some(time) = pause {
        reactor.sleep(time).await;
        pause = client.upgrade().and_then(|client| client.maintain());
    }
}
