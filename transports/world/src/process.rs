//! A process of the client: its clocks, its machines, and its turn at the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::record::{JournalRecord, RecordId};
use cycles_proto::replayer::Tally;
use cycles_proto::{CyclesConfig, Now, Replayer, Seed, Ticket, UnixMillis};

use super::audit::Watch;
use super::journal::Client;
use super::life::{LifeId, ProcessId};
use super::machine::Machine;

/// When the world begins, on a clock that is right: some time in November 2026.
pub(super) const EPOCH: UnixMillis = UnixMillis(1_795_000_000_000);

/// One run of a program that uses a client.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) config: Arc<CyclesConfig>,
    /// Its files.
    pub(super) journal: Client,
    pub(super) started: Duration,
    /// How much its wall clock is wrong, in milliseconds.
    pub(super) ahead_ms: i64,
    pub(super) is_alive: bool,
    /// Until when nothing runs.
    pub(super) asleep_until: Duration,
    /// What a flush tells of its costs.
    pub(super) tally: Tally,
    /// Reads the journal.
    pub(super) replayer: Replayer,
    /// When that is polled next, in the world's time.
    pub(super) replay_at: Option<Duration>,
    /// The records that it was given last, and when their pauses are over by what it saw first.
    pub(super) scanned: BTreeMap<RecordId, (JournalRecord, Option<Duration>)>,
    /// How many steps it still has before it crashes.
    pub(super) steps_left: Option<u64>,
}

/// The place of a machine in a process.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) life: LifeId,
    pub(super) process: ProcessId,
    pub(super) machine: Box<dyn Machine>,
    pub(super) watch: Watch,
    /// The cost that it settles, once there is a record of it.
    pub(super) record: Option<RecordId>,
    /// When it is polled next, in the world's time.
    pub(super) wake: Option<Duration>,
    pub(super) is_done: bool,
    /// Whether it was told how it ends, so that a flush waits for it.
    pub(super) is_ending: bool,
    /// Every ticket that it handed out.
    pub(super) tickets: BTreeSet<Ticket>,
}

impl Process {
    pub(super) fn new(id: ProcessId, config: CyclesConfig, started: Duration, seed: Seed) -> Self {
        let config = Arc::new(config);
        Self {
            journal: Client::new(&config, id.0),
            tally: Tally::default(),
            replayer: Replayer::new(Arc::clone(&config), seed),
            config,
            started,
            ahead_ms: 0,
            is_alive: true,
            asleep_until: Duration::ZERO,
            replay_at: None,
            scanned: BTreeMap::new(),
            steps_left: None,
        }
    }

    /// Both clocks at this time of the world.
    pub(super) fn now(&self, at: Duration) -> Now {
        Now {
            mono: at.saturating_sub(self.started),
            wall: shifted(at, self.ahead_ms),
        }
    }

    /// Notes what a scan found. A pause is over an hour after it was seen at the latest, whatever the wall clock
    /// does meanwhile.
    pub(super) fn has_scanned(&mut self, now: Now, records: &[JournalRecord]) {
        let before = core::mem::take(&mut self.scanned);
        for record in records {
            let id = record.id();
            let floor = record.not_before(now.wall);
            let over = floor.map(|floor| now.mono + floor.saturating_since(now.wall));
            let known = before
                .get(id)
                .filter(|(known, _)| known.to_json() == record.to_json());
            let over = match (over, known) {
                (Some(over), Some((_, Some(first)))) => Some(over.min(*first)),
                (over, _) => over,
            };
            self.scanned.insert(id.clone(), (record.clone(), over));
        }
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
