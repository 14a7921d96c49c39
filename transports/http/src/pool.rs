//! Connections that wait for the next request, for a while. They belong to the runtime that made them, and are deaf while
//! that one does not run.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::connection::Connection;
use crate::reactor::{DrivenBy, Reactor};

/// Load balancers close idle connections after a minute or so: be earlier.
pub(crate) const IDLE: Duration = Duration::from_secs(15);

/// As many as there are exchanges at once in a busy program.
const MAX_IDLE: usize = 64;

/// Programs have one runtime or two, tests have many, one after the other.
const MAX_POOLS: usize = 4;

/// A pool for each of the runtimes that were used last.
pub(crate) struct Pools<R: Reactor> {
    /// The one used last at the end.
    known: Mutex<Vec<PoolOf<R>>>,
}

type PoolOf<R> = (<R as Reactor>::RuntimeId, Arc<Pool<R>>);

/// The pool of one runtime.
pub(crate) struct Pool<R: Reactor> {
    reactor: R,
    waiting: Mutex<Waiting<R>>,
}

struct Waiting<R: Reactor> {
    /// The one that waits longest first.
    connections: Vec<Connection<R>>,
    /// How often those that waited were closed.
    closings: u64,
    /// Whether a task looks after those that have none of their own.
    is_swept: bool,
    under_way: Vec<UnderWay>,
    last: u64,
}

/// An exchange that is waited for.
struct UnderWay {
    number: u64,
    since: Since,
    /// From when on its time counts as over.
    late: Duration,
}

/// When an exchange began: before or after those that waited were closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(u64);

impl<R: Reactor> Pools<R> {
    pub(crate) fn new() -> Self {
        Self {
            known: Mutex::default(),
        }
    }

    /// The pool of a runtime, a new one if it is not known.
    pub(crate) fn of(&self, runtime: R::RuntimeId, reactor: &R) -> Arc<Pool<R>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, pool)) = known.last()
            && *last == runtime
        {
            return Arc::clone(pool);
        }
        let position = known.iter().position(|(id, _)| *id == runtime);
        let pool = position.map(|position| known.remove(position).1);
        let pool = pool.unwrap_or_else(|| Arc::new(Pool::new(reactor.clone())));
        let forgotten = (known.len() == MAX_POOLS).then(|| known.remove(0));
        known.push((runtime, Arc::clone(&pool)));
        drop(known);
        drop(forgotten);
        pool
    }
}

/// Connections are dropped when the lock is free: that wakes their tasks.
impl<R: Reactor> Pool<R> {
    fn new(reactor: R) -> Self {
        Self {
            reactor,
            waiting: Mutex::new(Waiting {
                connections: Vec::new(),
                closings: 0,
                is_swept: false,
                under_way: Vec::new(),
                last: 0,
            }),
        }
    }

    /// The connection that was used last, if one can still be used.
    pub(crate) fn take(&self, now: Duration) -> (Option<Connection<R>>, Since) {
        self.doubt_what_is_late(now);
        loop {
            let mut waiting = self.lock();
            let (last, since) = (waiting.connections.pop(), Since(waiting.closings));
            drop(waiting);
            match last {
                Some(over) if now >= over.end() || !over.is_ready() => {}
                last => return (last, since),
            }
        }
    }

    /// Keeps a connection whose exchange is over, if it can be used again.
    pub(crate) fn put(self: &Arc<Self>, mut connection: Connection<R>) {
        if !connection.is_ready() {
            return;
        }
        connection.rest(self.reactor.now().saturating_add(IDLE));
        let mut waiting = self.lock();
        let longest = (waiting.connections.len() == MAX_IDLE).then(|| waiting.connections.remove(0));
        waiting.connections.push(connection);
        let is_swept = R::DRIVEN_BY == DrivenBy::Task || mem::replace(&mut waiting.is_swept, true);
        drop(waiting);
        drop(longest);
        if !is_swept {
            self.reactor
                .spawn(sweep(Arc::downgrade(self), self.reactor.clone()));
        }
    }

    /// Closes all that wait.
    pub(crate) fn close_waiting(&self) -> Since {
        let mut waiting = self.lock();
        waiting.closings += 1;
        let (closed, since) = (mem::take(&mut waiting.connections), Since(waiting.closings));
        drop(waiting);
        drop(closed);
        since
    }

    /// Closes those that wait, as an exchange failed that began then. If that was done already, the ones that wait
    /// now are others.
    pub(crate) fn doubt(&self, since: Since) {
        if Since(self.lock().closings) == since {
            self.close_waiting();
        }
    }

    /// An exchange begins, which has an answer by its end.
    pub(crate) fn begin(&self, since: Since, now: Duration, end: Duration) -> u64 {
        /// The limit of whoever waits began a little earlier.
        const EARLIER: Duration = Duration::from_millis(50);
        let earlier = (end.saturating_sub(now) / 8).min(EARLIER);
        let late = end.saturating_sub(earlier);
        let mut waiting = self.lock();
        waiting.last += 1;
        let number = waiting.last;
        waiting.under_way.push(UnderWay { number, since, late });
        number
    }

    /// It is not waited for any more.
    pub(crate) fn end(&self, number: u64) {
        let mut waiting = self.lock();
        let position = waiting.under_way.iter().position(|it| it.number == number);
        let Some(UnderWay { since, late, .. }) =
            position.map(|position| waiting.under_way.swap_remove(position))
        else {
            return;
        };
        drop(waiting);
        if self.reactor.now() >= late {
            self.doubt(since);
        }
    }

    /// Whoever waits for an exchange has a limit too, and gives it up where that is over. What the exchange would have found
    /// out in the same moment, that its connection is dead and others may be, is known before the next one takes one of them.
    fn doubt_what_is_late(&self, now: Duration) {
        let waiting = self.lock();
        let late = waiting.under_way.iter().find(|it| now >= it.late);
        let since = late.map(|it| it.since);
        drop(waiting);
        if let Some(since) = since {
            self.doubt(since);
        }
    }

    /// Closes what waited long enough, and tells when to look again, unless nothing waits.
    fn close_idle(&self) -> Option<Duration> {
        let now = self.reactor.now();
        let mut waiting = self.lock();
        let over = waiting
            .connections
            .partition_point(|connection| connection.end() <= now);
        let closed: Vec<_> = waiting.connections.drain(..over).collect();
        let next = waiting.connections.first();
        let next = next.map(|connection| connection.end().saturating_sub(now));
        waiting.is_swept = next.is_some();
        drop(waiting);
        drop(closed);
        next
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that nobody comes to use, until there are none.
async fn sweep<R: Reactor>(pool: Weak<Pool<R>>, reactor: R) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_idle()) {
        reactor.sleep(next).await;
    }
}
