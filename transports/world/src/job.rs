//! The job that one reservation pays for, as observed by a world across sessions, processes and restarts.

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

use super::marks::MarkNotes;
use super::provider::ProviderNotes;
use super::runs::RunNotes;

/// Identifies a job in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(super) usize);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// Identifies a process in its world. A restarted process is a new one.
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
pub struct SentRequest {
    /// The time since the world's start.
    pub at: Duration,
    /// The process that sent it.
    pub process: ProcessId,
    /// The requested operation.
    pub operation: Operation,
    /// Its idempotency key, if it has one.
    pub key: Option<String>,
    /// Its body; empty for a `GET`.
    pub body: Bytes,
}

/// An event that a session reported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReportedEvent {
    /// The time since the world's start.
    pub at: Duration,
    /// The process that reported it.
    pub process: ProcessId,
    /// The event.
    pub event: Event,
}

/// A cost that the ledger charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// The time on the server's clock.
    pub at: UnixMillis,
    /// A commit or an event.
    pub by: Operation,
    /// The charged amount: the requested one, unless the ledger capped it.
    pub amount: i64,
}

/// The job that one reservation pays for, as observed by its world. A reservation has several jobs if its request was
/// delivered twice.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Job {
    /// The id of the reservation, once it has one.
    pub reservation_id: Option<ReservationId>,
    /// The cost, once known.
    pub cost: Option<Amount>,
    /// All requests for it, in the order in which they were handed out.
    pub requests: Vec<SentRequest>,
    /// All its events.
    pub events: Vec<ReportedEvent>,
    /// The charges of its cost in the ledger: one, if all is well.
    pub charges: Vec<Charge>,
    /// Its outcomes in all sessions that drove it, in order. A session that crashed before the end has none.
    pub outcomes: Vec<Outcome>,
    pub(super) notes: JobNotes,
}

/// The audit's notes about a job.
#[derive(Debug, Default)]
pub(super) struct JobNotes {
    /// The reservation with which the job began, which receives the caller's actions.
    pub(super) origin: Option<usize>,
    /// The tenant that pays, unless it is the default one.
    pub(super) tenant: Option<String>,
    /// When its process ended, in the world's time.
    pub(super) ended: Option<Duration>,
    pub(super) is_running: bool,
    /// Whether the caller has ended or abandoned the action.
    pub(super) was_left: bool,
    pub(super) spent: i64,
    /// What its action sent to a provider.
    pub(super) provider: ProviderNotes,
    /// What is on disk about that.
    pub(super) marks: MarkNotes,
    /// Whether the session could not accept the last cost that was handed over.
    pub(super) untaken: bool,
    pub(super) key: Option<String>,
    pub(super) recorded_at: Option<UnixMillis>,
    /// The record as it was first stored, and its directory.
    pub(super) first_record: Option<(String, JournalRecord)>,
    /// The bytes of each kind of request; for extensions, per key.
    pub(super) bytes: BTreeMap<(Operation, String), Bytes>,
    /// The manual extensions, in milliseconds.
    pub(super) by_hand: Vec<u64>,
    /// Whether a record of the cost was ever durable.
    pub(super) was_durable: bool,
    /// Whether the caller or a person got a report that the cost may never reach the ledger.
    pub(super) was_surfaced: bool,
    /// Whether any process set its record aside.
    pub(super) was_set_aside: bool,
    pub(super) released: bool,
    /// If it is a run, its steps.
    pub(super) run: Option<RunNotes>,
    /// Whether someone put its first record back by hand, which no client can know.
    pub(super) was_put_back: bool,
}

impl Job {
    /// The operations of its requests, in order.
    pub fn operations(&self) -> Vec<Operation> {
        self.requests.iter().map(|sent| sent.operation).collect()
    }

    /// Its last outcome.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcomes.last()
    }
}
