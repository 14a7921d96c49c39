//! The sandbox's time.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cycles_proto::time::UnixMillis;

/// A wall clock that never goes back and can be moved forward.
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    ahead: Mutex<Duration>,
}

/// Where the time comes from.
enum Source {
    /// The machine.
    Machine { wall: UnixMillis, since: Instant },
    /// The function that `SandboxBuilder::clock` registered.
    Given(Box<dyn Fn() -> UnixMillis + Send + Sync>),
}

impl Clock {
    /// The machine's clock.
    pub(crate) fn start() -> Self {
        Self::from(Source::Machine {
            wall: SystemTime::now().into(),
            since: Instant::now(),
        })
    }

    /// A clock that calls `read`.
    pub(crate) fn given(read: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self::from(Source::Given(Box::new(read)))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            ahead: Mutex::new(Duration::ZERO),
        }
    }

    /// Whether somebody else moves it.
    pub(crate) const fn is_given(&self) -> bool {
        matches!(self.source, Source::Given(_))
    }

    /// Moves it forward by `by`.
    pub(crate) fn advance(&self, by: Duration) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
    }

    pub(crate) fn now(&self) -> UnixMillis {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match &self.source {
            Source::Machine { wall, since } => wall.saturating_add(whole_millis(since.elapsed())),
            Source::Given(read) => read(),
        };
        now.saturating_add(ahead)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine { .. } => "Machine",
            Self::Given(_) => "Given",
        })
    }
}

fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
