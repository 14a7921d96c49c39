//! A process of the client: its clocks, and how long it lives.

use std::time::Duration;

use cycles_proto::{Now, UnixMillis};

/// When the world begins, on a clock that is right: some time in November 2026.
pub(super) const EPOCH: UnixMillis = UnixMillis(1_795_000_000_000);

/// One run of a program that uses a client.
#[derive(Debug)]
pub(super) struct Process {
    /// Its sessions: one for each client that it has.
    pub(super) sessions: Vec<usize>,
    pub(super) started: Duration,
    /// How much its wall clock is wrong, in milliseconds.
    pub(super) ahead_ms: i64,
    pub(super) is_alive: bool,
    /// Until when nothing runs.
    pub(super) asleep_until: Duration,
    /// How many steps it still has before it crashes.
    pub(super) steps_left: Option<u64>,
}

impl Process {
    pub(super) fn new(started: Duration) -> Self {
        Self {
            sessions: Vec::new(),
            started,
            ahead_ms: 0,
            is_alive: true,
            asleep_until: Duration::ZERO,
            steps_left: None,
        }
    }

    /// Both clocks at this time of the world.
    pub(super) fn now(&self, at: Duration) -> Now {
        Now {
            mono: self.mono(at),
            wall: shifted(at, self.ahead_ms),
        }
    }

    /// A time of the world on the monotonic clock of this process.
    pub(super) fn mono(&self, at: Duration) -> Duration {
        at.saturating_sub(self.started)
    }

    /// A monotonic time of this process in the world's time.
    pub(super) fn at(&self, mono: Duration) -> Duration {
        self.started.saturating_add(mono)
    }
}

/// The reading of a wall clock that is this much ahead.
pub(super) fn shifted(at: Duration, ahead_ms: i64) -> UnixMillis {
    let right = EPOCH.saturating_add(at);
    UnixMillis(right.0.saturating_add_signed(ahead_ms))
}
