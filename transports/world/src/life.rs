//! What a world saw of one reservation: across sessions, processes and restarts.

use core::fmt;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::Event;
use cycles_proto::Outcome;
use cycles_proto::models::{Amount, ReservationId};
use cycles_proto::record::JournalRecord;
use cycles_proto::time::UnixMillis;
use cycles_sandbox::Operation;

/// Names a life in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LifeId(pub(super) usize);

impl fmt::Display for LifeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "life {}", self.0)
    }
}

/// Names a process in its world. A restart is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub(super) usize);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// A request that a session handed out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sent {
    /// When, since the world's start.
    pub at: Duration,
    /// By which process.
    pub process: ProcessId,
    /// What it asks for.
    pub operation: Operation,
    /// Its idempotency key, if it has one.
    pub key: Option<String>,
    /// Its body; empty for a `GET`.
    pub body: Bytes,
}

/// Something that was told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Told {
    /// When, since the world's start.
    pub at: Duration,
    /// By which process.
    pub process: ProcessId,
    /// What.
    pub event: Event,
}

/// A cost that the ledger took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// When, on the server's clock.
    pub at: UnixMillis,
    /// A commit or an event.
    pub by: Operation,
    /// How much was charged: what was asked, unless the ledger capped it.
    pub charged: i64,
}

/// One reservation, as its world saw it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Life {
    /// Its id, once it has one.
    pub reservation_id: Option<ReservationId>,
    /// What it cost, once that is known.
    pub cost: Option<Amount>,
    /// All requests for it, in the order in which they were handed out.
    pub requests: Vec<Sent>,
    /// All events of it.
    pub events: Vec<Told>,
    /// How often its cost is in the ledger: once, if all went well.
    pub settled: Vec<Settled>,
    /// How it ended wherever it was driven, in that order. Where a crash ended it, it did not.
    pub outcomes: Vec<Outcome>,
    pub(super) book: Book,
}

/// What the audit keeps of a life.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The seat where it was reserved, which the caller's acts go to.
    pub(super) home: Option<usize>,
    /// Who pays, unless it is the default tenant.
    pub(super) tenant: Option<String>,
    /// When its process ended, in the world's time.
    pub(super) ended: Option<Duration>,
    pub(super) is_running: bool,
    /// Whether the caller has said how it ended, or that it went away.
    pub(super) was_left: bool,
    pub(super) spent: i64,
    /// Whether the cost that was handed over last could not be taken.
    pub(super) untaken: bool,
    pub(super) key: Option<String>,
    pub(super) recorded_at: Option<UnixMillis>,
    /// The record as it was stored first, and where.
    pub(super) first_record: Option<(String, JournalRecord)>,
    /// The bytes of each kind of request, for an extension by its key.
    pub(super) bytes: BTreeMap<(Operation, String), Bytes>,
    /// Amounts of extensions by hand, in milliseconds.
    pub(super) by_hand: Vec<u64>,
    /// Whether a record of the cost was durable once.
    pub(super) was_durable: bool,
    /// Whether the caller or a person was told that the cost may stay out of the ledger.
    pub(super) was_surfaced: bool,
    /// Whether its record was set aside, by whatever process.
    pub(super) was_set_aside: bool,
    pub(super) released: bool,
    /// Whether somebody put its first record back by hand, which no client can know.
    pub(super) was_put_back: bool,
}

impl Life {
    /// The operations that were asked for, in order.
    pub fn operations(&self) -> Vec<Operation> {
        self.requests.iter().map(|sent| sent.operation).collect()
    }

    /// How it ended last.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcomes.last()
    }
}
