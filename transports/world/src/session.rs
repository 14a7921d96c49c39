//! A session of a process: its machine, its callers, and what its driver has outside.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Reader;
use cycles_proto::models::{BalanceResponse, ReservationId};
use cycles_proto::record::{JournalRecord, RecordId};
use cycles_proto::session::{CallId, CallKey, Caller, Close, FlushKey, Principal, ReservationKey};
use cycles_proto::{CyclesConfig, Now, Ticket};

use super::audit::{SessionWatch, Watch};
use super::journal::Client;
use super::life::{LifeId, ProcessId};
use super::machine::Machine;

/// Names who asks in a session: a key and its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId {
    pub(super) session: usize,
    pub(super) who: usize,
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "caller {} of session {}", self.who, self.session)
    }
}

/// A session and all that its driver knows of it.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) process: ProcessId,
    pub(super) machine: Box<dyn Machine>,
    pub(super) callers: Vec<Who>,
    /// When it is polled next, in the world's time.
    pub(super) wake: Option<Duration>,
    pub(super) seats: BTreeMap<ReservationKey, usize>,
    /// The seats of reservations that have not ended, or that something is outside of all the same. A process that looks
    /// at its journal for weeks has thousands of others behind it.
    pub(super) busy: BTreeSet<usize>,
    pub(super) calls: BTreeMap<CallId, Asked>,
    pub(super) flushes: Vec<Flushing>,
    /// The calls that were handed out and not reported.
    pub(super) exchanges: BTreeMap<Ticket, Exchange>,
    /// The changes of the journal that were handed out and not reported, and whose they are.
    pub(super) writes: BTreeMap<Ticket, usize>,
    /// When the last change of a reservation's records is made: they are made one after the other.
    pub(super) last_writes: BTreeMap<(usize, ReservationId), Duration>,
    /// Every ticket that it handed out.
    pub(super) tickets: BTreeSet<Ticket>,
    pub(super) closed: Option<Close>,
    pub(super) watch: SessionWatch,
}

/// A caller, and the journal of its principal.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) caller: Caller,
    /// Its files.
    pub(super) journal: Client,
    /// The records that it was given last, and when their pauses are over by what it saw first.
    pub(super) scanned: BTreeMap<RecordId, (JournalRecord, Option<Duration>)>,
}

/// A call that is one request and one answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) key: CallKey<BalanceResponse>,
    pub(super) who: usize,
    pub(super) is_blocking: bool,
    pub(super) attempts: BTreeSet<Ticket>,
    pub(super) is_over: bool,
}

/// A flush that somebody waits for.
#[derive(Debug)]
pub(super) struct Flushing {
    pub(super) key: FlushKey,
    pub(super) who: usize,
    /// When it began, in the world's time.
    pub(super) since: Duration,
    /// By the clock of its process.
    pub(super) until: Duration,
    /// When the session rested first after its time was over.
    pub(super) was_due: Option<Duration>,
}

/// A call that was handed out and not reported.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) whose: Whose,
    pub(super) reader: Reader,
    /// Whether it is on its way.
    pub(super) is_sent: bool,
    pub(super) is_withdrawn: bool,
}

/// Whose attempt it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Seat(usize),
    Call(CallId),
}

/// The place of a reservation in a session.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) life: LifeId,
    pub(super) process: ProcessId,
    pub(super) session: usize,
    pub(super) who: usize,
    /// Nothing before the session has said it.
    pub(super) key: Option<ReservationKey>,
    pub(super) watch: Watch,
    /// Whether its caller blocks until it gets ahead, and makes its calls.
    pub(super) is_blocking: bool,
    pub(super) is_done: bool,
    /// Whether its caller asks for it no more.
    pub(super) is_forgotten: bool,
    /// Whether its machine was lost in a panic.
    pub(super) was_lost: bool,
    /// Whether nobody was told so by now.
    pub(super) owes_panic: bool,
    /// What a caller that waits for it saw last.
    pub(super) seen: Seen,
}

/// Whether there is a grant, a receipt and an outcome.
pub(super) type Seen = (bool, bool, bool);

impl Driven {
    pub(super) fn new(process: ProcessId, machine: Box<dyn Machine>, places: usize) -> Self {
        Self {
            process,
            machine,
            callers: Vec::new(),
            wake: None,
            seats: BTreeMap::new(),
            busy: BTreeSet::new(),
            calls: BTreeMap::new(),
            flushes: Vec::new(),
            exchanges: BTreeMap::new(),
            writes: BTreeMap::new(),
            last_writes: BTreeMap::new(),
            tickets: BTreeSet::new(),
            closed: None,
            watch: SessionWatch::new(places),
        }
    }

    pub(super) fn who_is(&self, principal: Principal) -> Option<usize> {
        self.callers
            .iter()
            .position(|who| who.caller.principal() == principal)
    }

    /// What a caller sees of a reservation.
    pub(super) fn seen(&self, key: ReservationKey) -> Seen {
        (
            self.machine.grant(key).is_some(),
            self.machine.receipt(key).is_some(),
            self.machine.outcome(key).is_some(),
        )
    }
}

impl Who {
    pub(super) fn new(caller: Caller, session: usize) -> Self {
        Self {
            journal: Client::new(caller.config(), session),
            caller,
            scanned: BTreeMap::new(),
        }
    }

    pub(super) fn config(&self) -> &Arc<CyclesConfig> {
        self.caller.config()
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
}
