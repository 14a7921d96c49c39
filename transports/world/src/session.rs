//! A session of a process: its machine, its callers, and the work that its driver has in progress.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Reader;
use cycles_proto::models::{BalanceResponse, ReservationId};
use cycles_proto::record::{JournalRecord, RecordId};
use cycles_proto::session::{CallId, CallKey, Caller, Close, FlushKey, Principal, ReservationKey};
use cycles_proto::{CyclesConfig, Now, Ticket};

use super::audit::{ReservationWatch, SessionWatch};
use super::job::{JobId, ProcessId};
use super::journal::Client;
use super::machine::Machine;

/// Identifies a caller of a session: a key and its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId {
    pub(super) session: usize,
    pub(super) caller_index: usize,
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "caller {} of session {}", self.caller_index, self.session)
    }
}

/// A session and its driver's state.
#[derive(Debug)]
pub(super) struct DrivenSession {
    pub(super) process: ProcessId,
    pub(super) machine: Box<dyn Machine>,
    pub(super) callers: Vec<CallerState>,
    /// When the session is polled next, in the world's time.
    pub(super) wake: Option<Duration>,
    pub(super) reservations: BTreeMap<ReservationKey, usize>,
    /// The reservations that have not ended, or that still have work outside. Only these are checked: a process that
    /// replays its journal for weeks has thousands of finished ones.
    pub(super) busy: BTreeSet<usize>,
    pub(super) calls: BTreeMap<CallId, BalanceCall>,
    pub(super) flushes: Vec<PendingFlush>,
    /// The calls that were handed out, but whose results have not been reported yet.
    pub(super) exchanges: BTreeMap<Ticket, Exchange>,
    /// The changes to the journal that were handed out, but have no result yet, with their reservations.
    pub(super) writes: BTreeMap<Ticket, usize>,
    /// When the last change to a reservation's records will be made: such changes are made one after another.
    pub(super) last_writes: BTreeMap<(usize, ReservationId), Duration>,
    /// All tickets that the session issued.
    pub(super) tickets: BTreeSet<Ticket>,
    pub(super) closed: Option<Close>,
    /// Its end in steps, from the request to the result.
    pub(super) shut_down: Option<PendingShutDown>,
    pub(super) watch: SessionWatch,
    /// The jobs whose marks its clients have found, and have to tell of before it rests.
    pub(super) owes_marks: BTreeSet<(JobId, CallerId)>,
}

/// A caller, and the journal of its principal.
#[derive(Debug)]
pub(super) struct CallerState {
    pub(super) caller: Caller,
    /// The caller's files.
    pub(super) journal: Client,
    /// The records of the last scan, and the ends of their pauses according to the scan that first found them.
    pub(super) scanned: BTreeMap<RecordId, (JournalRecord, Option<Duration>)>,
    /// When that scan was, in the world's time.
    pub(super) last_scan: Duration,
}

/// A call with one request and one answer.
#[derive(Debug)]
pub(super) struct BalanceCall {
    pub(super) key: CallKey<BalanceResponse>,
    pub(super) caller_index: usize,
    pub(super) is_blocking: bool,
    pub(super) attempts: BTreeSet<Ticket>,
    pub(super) is_over: bool,
}

/// A flush that a caller waits for.
#[derive(Debug)]
pub(super) struct PendingFlush {
    pub(super) key: FlushKey,
    pub(super) caller_index: usize,
    /// When the flush began, in the world's time.
    pub(super) since: Duration,
    /// Its deadline, by the clock of its process.
    pub(super) until: Duration,
    /// When the session first rested after the deadline.
    pub(super) was_due: Option<Duration>,
}

/// A session that ends in steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingShutDown {
    pub(super) how: Close,
    /// When it began, in the world's time.
    pub(super) since: Duration,
    /// Its deadline, by the clock of its process.
    pub(super) until: Duration,
    /// Whether the jobs know that the time is up.
    pub(super) is_noted: bool,
    /// When the session first rested after the deadline.
    pub(super) was_due: Option<Duration>,
}

/// A call that was handed out, but whose result has not been reported yet.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) owner: CallOwner,
    pub(super) reader: Reader,
    /// Whether the call has been sent.
    pub(super) is_sent: bool,
    pub(super) is_withdrawn: bool,
}

/// The owner of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallOwner {
    Reservation(usize),
    Call(CallId),
}

/// A reservation that a session drives.
#[derive(Debug)]
pub(super) struct DrivenReservation {
    pub(super) job: JobId,
    pub(super) process: ProcessId,
    pub(super) session: usize,
    pub(super) caller_index: usize,
    /// `None` until the session has reported it.
    pub(super) key: Option<ReservationKey>,
    pub(super) watch: ReservationWatch,
    /// Whether its caller blocks, and makes its calls itself.
    pub(super) is_blocking: bool,
    pub(super) is_done: bool,
    /// Whether its caller has forgotten it.
    pub(super) is_forgotten: bool,
    /// Whether its state machine was lost in a panic.
    pub(super) was_lost: bool,
    /// Whether the panic has not been reported yet.
    pub(super) owes_panic: bool,
    /// The state that a waiting caller last saw.
    pub(super) seen: Seen,
}

/// Whether there is a grant, a receipt and an outcome.
pub(super) type Seen = (bool, bool, bool);

impl DrivenSession {
    pub(super) fn new(process: ProcessId, machine: Box<dyn Machine>, places: usize) -> Self {
        Self {
            process,
            machine,
            callers: Vec::new(),
            wake: None,
            reservations: BTreeMap::new(),
            busy: BTreeSet::new(),
            calls: BTreeMap::new(),
            flushes: Vec::new(),
            exchanges: BTreeMap::new(),
            writes: BTreeMap::new(),
            last_writes: BTreeMap::new(),
            tickets: BTreeSet::new(),
            closed: None,
            shut_down: None,
            watch: SessionWatch::new(places),
            owes_marks: BTreeSet::new(),
        }
    }

    pub(super) fn caller_of(&self, principal: Principal) -> Option<usize> {
        self.callers
            .iter()
            .position(|caller| caller.caller.principal() == principal)
    }

    /// A reservation's state from the caller's view.
    pub(super) fn seen(&self, key: ReservationKey) -> Seen {
        (
            self.machine.grant(key).is_some(),
            self.machine.receipt(key).is_some(),
            self.machine.outcome(key).is_some(),
        )
    }
}

impl CallerState {
    pub(super) fn new(caller: Caller, session: usize) -> Self {
        Self {
            journal: Client::new(caller.config(), session),
            caller,
            scanned: BTreeMap::new(),
            last_scan: Duration::ZERO,
        }
    }

    pub(super) fn config(&self) -> &Arc<CyclesConfig> {
        self.caller.config()
    }

    /// Notes the records of a scan. A pause ends at most an hour after it was first seen, whatever the wall clock does
    /// in the meantime.
    pub(super) fn note_scan(&mut self, now: Now, records: &[JournalRecord]) {
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
}
