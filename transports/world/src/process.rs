//! A process of a client: its clocks and its state.

use std::time::Duration;

use cycles_proto::{Now, UnixMillis};

/// The correct time at the world's start: some time in November 2026.
pub(super) const EPOCH: UnixMillis = UnixMillis(1_795_000_000_000);

/// One run of a program with clients.
#[derive(Debug)]
pub(super) struct Process {
    /// Its sessions: one per client.
    pub(super) sessions: Vec<usize>,
    pub(super) started: Duration,
    /// How far its wall clock is ahead of the correct time, in milliseconds.
    pub(super) ahead_ms: i64,
    pub(super) is_alive: bool,
    /// The time until which nothing runs.
    pub(super) asleep_until: Duration,
    /// The number of steps until it crashes.
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

    /// The readings of its clocks at this world time.
    pub(super) fn now(&self, at: Duration) -> Now {
        Now {
            mono: self.mono(at),
            wall: shifted(at, self.ahead_ms),
        }
    }

    /// Converts a world time to the monotonic clock of this process.
    pub(super) fn mono(&self, at: Duration) -> Duration {
        at.saturating_sub(self.started)
    }

    /// Converts a monotonic time of this process to the world's time.
    pub(super) fn at(&self, mono: Duration) -> Duration {
        self.started.saturating_add(mono)
    }
}

/// The reading of a wall clock that is this far ahead.
pub(super) fn shifted(at: Duration, ahead_ms: i64) -> UnixMillis {
    let right = EPOCH.saturating_add(at);
    UnixMillis(right.0.saturating_add_signed(ahead_ms))
}
