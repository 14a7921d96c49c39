//! Makes calls over pooled connections.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cycles_client::{Done, Hold, Transport};
use cycles_host::HttpOptions;
use cycles_proto::{Call, ConfigError, CyclesConfig, Urgency};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;

use crate::connect::Connector;
use crate::connection::Connection;
use crate::mailbox::{Job, Terms};
use crate::pool::{Pool, Pools};
use crate::reactor::{Place, Reactor};
use crate::waiter::Waiter;

/// A client of one server, with pooled connections.
pub struct HttpClient<R: Reactor, W: Waiter = Done>(Arc<Shared<R, W>>);

pub(crate) struct Shared<R: Reactor, W: Waiter> {
    pub(crate) reactor: R,
    pub(crate) connector: Arc<Connector>,
    pools: Mutex<Pools<R::RuntimeId, W>>,
    host: HeaderValue,
}

impl<R: Reactor, W: Waiter> HttpClient<R, W> {
    /// Makes a client for the configuration's server. Connects to nothing yet.
    ///
    /// # Errors
    /// If the configuration, the options or the environment cannot be used.
    pub fn new(config: &CyclesConfig, options: &HttpOptions, reactor: R) -> Result<Self, ConfigError> {
        let unusable = |error: http::Error| ConfigError::Adapter(format!("the base URL: {error}"));
        let server: Uri = config
            .base_url
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

    /// Starts one attempt of the call and reports its result to `waiter`; does not block. The call goes to an idle
    /// connection or to a new one. If the server closes an idle connection just when the call is given to it, before a
    /// byte of the request was written, the request goes over another one. A request that may have been written is
    /// never written again.
    ///
    /// Extensions are made on the adapter's own thread, so that no lease depends on the user's runtime. All other calls
    /// are made in the runtime of the calling code, which is cheapest because no other thread has to be woken. If a
    /// call has not begun there within a second, or if that runtime ends, the call is made on the adapter's thread too.
    pub fn make(&self, call: Call, waiter: W) {
        let place = match call.urgency {
            Urgency::Lease(_) => Place::Own,
            Urgency::Settlement | Urgency::Other | Urgency::Check => self.0.reactor.place(),
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

    fn hold_time(&self) -> Option<Hold> {
        self.0.reactor.hold_time()
    }
}

impl<R: Reactor, W: Waiter> Shared<R, W> {
    /// Starts a call at this place.
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

    /// Opens a connection for a call.
    fn connect_for(self: &Arc<Self>, pool: &Arc<Pool<R::RuntimeId, W>>, job: Box<Job<W>>) {
        let mailbox = pool.add(job);
        self.reactor
            .spawn(&pool.place, Connection::new(self, pool, mailbox).run());
    }

    /// The pool of a place, or that of our own thread if the place has stalled.
    fn pool_of(self: &Arc<Self>, place: &Place<R::RuntimeId>) -> Arc<Pool<R::RuntimeId, W>> {
        let (pool, forgotten, is_maintained) = {
            let mut pools = self.pools();
            let (pool, forgotten) = pools.of(place);
            (pool, forgotten, pools.start_maintaining())
        };
        // Dropped without the lock, because closing its connections wakes their tasks.
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

    /// The request as it is sent: a forwarding proxy needs the absolute URL, a server the path.
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

    /// How long a call waits for the user's runtime to begin it: a second, or half of the connect timeout if that is
    /// less.
    fn patience(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(50);
        const MOST: Duration = Duration::from_secs(1);
        (self.connector.timeout() / 2).clamp(LEAST, MOST)
    }

    /// Closes connections that have been idle for too long, and moves calls that the user's runtime has not begun to
    /// our own thread. Returns the pause before the next round, or `None` if nothing is left to maintain.
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
                // A task that was woken to see whether it still runs has this long to answer.
                next = next.min(left.max(patience / 4));
            }
        }
        self.pools().schedule_look(is_used.then_some(next))
    }

    fn pools(&self) -> MutexGuard<'_, Pools<R::RuntimeId, W>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maintains the pools of a client for as long as they have connections.
async fn maintain<R: Reactor, W: Waiter>(client: Weak<Shared<R, W>>, reactor: R) {
    let mut pause = client.upgrade().map(|client| client.patience());
    while let Some(time) = pause {
        reactor.sleep(time).await;
        pause = client.upgrade().and_then(|client| client.maintain());
    }
}
