//! Connections that wait for the next request, for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cycles_host::Clock;

use crate::connection::Connection;
use crate::executor;
use crate::time::{Sleep, after};

/// Load balancers close idle connections after a minute or so: be earlier.
const IDLE: Duration = Duration::from_secs(15);

/// As many as there are exchanges at once in a busy program.
const MAX_IDLE: usize = 64;

pub(crate) struct Pool {
    waiting: Mutex<Waiting>,
    /// Counts the time that the machine slept, in which the other end went on counting.
    clock: Clock,
}

#[derive(Default)]
struct Waiting {
    /// With the time since when, the longest first.
    connections: Vec<(Duration, Connection)>,
    is_swept: bool,
}

impl Pool {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            waiting: Mutex::default(),
            clock,
        }
    }

    /// The connection that was used last, if it is still open.
    pub(crate) fn take(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.lock().connections.pop()?;
            if !self.is_over(since) && connection.is_open() {
                return Some(connection);
            }
        }
    }

    /// Closes all that wait.
    pub(crate) fn clear(&self) {
        drop(std::mem::take(&mut self.lock().connections));
    }

    /// Keeps a connection whose exchange is over, if it can be used again.
    pub(crate) fn put(self: &Arc<Self>, mut connection: Connection) {
        if !connection.is_idle() && !connection.is_open() {
            return;
        }
        let mut waiting = self.lock();
        if waiting.connections.len() == MAX_IDLE {
            waiting.connections.remove(0);
        }
        waiting.connections.push((self.clock.now().mono, connection));
        if !waiting.is_swept {
            waiting.is_swept = true;
            executor::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what waited long enough, and tells when to look again, unless nothing waits.
    fn close_idle(&self) -> Option<Duration> {
        let mut waiting = self.lock();
        let over = waiting
            .connections
            .partition_point(|(since, _)| self.is_over(*since));
        drop(waiting.connections.drain(..over));
        let next = waiting.connections.first();
        let next = next.map(|(since, _)| (*since + IDLE).saturating_sub(self.clock.now().mono));
        waiting.is_swept = next.is_some();
        next
    }

    fn is_over(&self, since: Duration) -> bool {
        self.clock.now().mono >= since + IDLE
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that nobody comes to use, until there are none.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_idle()) {
        Sleep::until(after(next)).await;
    }
}
