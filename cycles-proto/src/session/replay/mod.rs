//! The replay: when the journal is read, and which of its records are settled.
//!
//! The journal is scanned at first use, and again while records are left: after 30 s, 60 s, … up to 15 minutes, and at
//! once when the server can be reached again. Each record is settled by a [`Reservation`] that is driven like any
//! other, a few at a time. If several in a row get an answer that is not about them, such as a refused key, or if the
//! server asks for a pause, the rest wait for the next scan, which begins with them. A reservation of this process
//! settles its own record. Records whose keys the server may have forgotten are sent only if a caller
//! [forces](Replayer::force) it. If another process is settling the records, they are left to it, but not for long.

mod by_hand;
mod facts;
mod stop_the_pass;
mod tally;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::stop_the_pass::Refusals;
pub use self::tally::Tally;
use crate::backoff::{Backoff, LONGEST_PAUSE};
use crate::config::{CyclesConfig, RetryPolicy};
use crate::idempotency::Seed;
use crate::journal::record::{JournalRecord, RecordId};
use crate::outcome::{Error, Outcome, Receipt};
use crate::reservation::Reservation;
use crate::ticket::{Ticket, Tickets};
use crate::time::{Now, UnixMillis};

/// How many records are settled at the same time.
pub const AT_A_TIME: usize = 8;

/// Settles the records that earlier runs left in one directory of the journal. One replayer per directory is enough.
#[derive(Debug)]
pub struct Replayer {
    config: Arc<CyclesConfig>,
    seed: Seed,
    /// Whether the next scan is [forced](Self::force).
    forces_next: bool,
    /// Whether the last scan was forced.
    is_forced: bool,
    tickets: Tickets,
    scan: ScanState,
    pauses: Backoff,
    /// Records to settle.
    queue: VecDeque<JournalRecord>,
    settling: BTreeSet<RecordId>,
    /// Costs that reservations of this process settle.
    live: BTreeSet<RecordId>,
    /// Costs that their own reservations settled during the scan, so that their records in that scan are outdated.
    settled_meanwhile: BTreeSet<RecordId>,
    /// The pauses that records of the last scan ask for, and their ends on the monotonic clock. The records use the
    /// wall clock, which may have been set back since.
    paused: BTreeMap<RecordId, (UnixMillis, Duration)>,
    /// How many records of the last scan are left for the next one.
    left: usize,
    /// When the oldest record of the last scan was written.
    oldest: Option<UnixMillis>,
    refusals: Refusals,
    /// When each record that is left was last sent, counted in records sent. The record that was sent longest ago goes
    /// first.
    tried: BTreeMap<RecordId, u64>,
    /// How many records had been sent when the next scan was requested. That scan does not repeat the records that were
    /// sent later.
    tried_before: u64,
    /// The earliest end of a pause among the records that are left.
    left_until: Option<Duration>,
    /// The time since which all records have been left to another process.
    yields_since: Option<Duration>,
    started: u64,
    is_reachable: bool,
    /// Whether the last attempt to read the journal succeeded.
    was_read: bool,
    /// Whether to read the journal again as soon as it has been read.
    reads_again: bool,
}

/// The steps that a [`Replayer`] asks its driver for.
#[derive(Debug)]
#[must_use = "a step is handed out once; dropping it stalls the replayer"]
pub enum Replay {
    /// Read the journal and report its records.
    Scan {
        /// The ticket to report under.
        ticket: Ticket,
        /// Whether to add, after the others, the records that were set aside as [stale](crate::outcome::Aside::Stale).
        with_stale: bool,
    },
    /// Drive this reservation to its end, along with the others, and report its outcome.
    Settle(RecordId, Box<Reservation>),
    /// Poll again at this time or after the next report; with `None`, only after the next report.
    Wait(Option<Duration>),
}

#[derive(Clone, Copy, Debug)]
enum ScanState {
    At(Duration),
    Reading(Ticket),
    /// Not planned: nothing is known to be left.
    Idle,
}

impl Replayer {
    /// Creates a replayer, which begins with a scan.
    pub fn new(config: Arc<CyclesConfig>, seed: Seed) -> Self {
        Self {
            config,
            seed,
            forces_next: false,
            is_forced: false,
            tickets: Tickets::default(),
            scan: ScanState::At(Duration::ZERO),
            pauses: Backoff::new(seed),
            queue: VecDeque::new(),
            settling: BTreeSet::new(),
            live: BTreeSet::new(),
            settled_meanwhile: BTreeSet::new(),
            paused: BTreeMap::new(),
            left: 0,
            oldest: None,
            refusals: Refusals::default(),
            tried: BTreeMap::new(),
            tried_before: 0,
            left_until: None,
            yields_since: None,
            started: 0,
            is_reachable: true,
            was_read: false,
            reads_again: false,
        }
    }

    /// Returns the next thing to do.
    pub fn poll(&mut self, now: Now) -> Replay {
        if let Some(record) = self.next_record() {
            return self.settle(record, now);
        }
        self.rest(now);
        match self.scan {
            ScanState::At(at) if self.is_at_work() || at > now.mono => {
                Replay::Wait(Some(at).filter(|at| *at > now.mono))
            }
            ScanState::At(_) => {
                let ticket = self.tickets.take();
                self.scan = ScanState::Reading(ticket);
                self.is_forced = core::mem::take(&mut self.forces_next);
                Replay::Scan {
                    ticket,
                    with_stale: self.is_forced,
                }
            }
            ScanState::Reading(_) | ScanState::Idle => Replay::Wait(None),
        }
    }

    /// Handles the records of a scan.
    pub fn handle_scanned(
        &mut self,
        now: Now,
        ticket: Ticket,
        records: impl IntoIterator<Item = JournalRecord>,
    ) {
        if !self.end_scan(now, ticket) {
            return;
        }
        self.was_read = true;
        self.left = 0;
        if self.started == self.tried_before {
            self.refusals.begin_pass();
        }
        self.left_until = None;
        self.yields_since = None;
        let seen = core::mem::take(&mut self.paused);
        let mut tried = core::mem::take(&mut self.tried);
        let of_the_key = self.refusals.pause(now);
        for record in self.ours(records) {
            let mut record = record;
            let id = record.id().clone();
            let last = tried.remove(&id).unwrap_or(0);
            let mut until = of_the_key;
            if let Some((floor, over)) = pause(&record, now, &seen) {
                self.paused.insert(id.clone(), (floor, over));
                if over > now.mono {
                    until = until.max(Some(over));
                } else {
                    record = record.with_not_before(now.wall);
                }
            }
            self.tried.insert(id, last);
            let is_stopped = self.refusals.stop_the_pass(now);
            if is_stopped || until.is_some() || (last > self.tried_before && !self.is_forced) {
                self.leave(until);
            } else {
                self.queue.push_back(record);
            }
        }
        let tried = &self.tried;
        self.queue
            .make_contiguous()
            .sort_by_key(|record| tried.get(record.id()));
        self.rest(now);
    }

    /// Handles the records of a scan while another process has the claim. They are left to that process for half a
    /// minute, during which the journal is read again from time to time. After that, this process settles them anyway:
    /// the other process may be stuck, and a cost that is sent twice counts once.
    pub fn handle_claimed(
        &mut self,
        now: Now,
        ticket: Ticket,
        records: impl IntoIterator<Item = JournalRecord>,
    ) {
        let since = self.yields_since.unwrap_or(now.mono);
        let end = since.saturating_add(YIELDS);
        if end <= now.mono {
            return self.handle_scanned(now, ticket, records);
        }
        if !self.end_scan(now, ticket) {
            return;
        }
        self.was_read = true;
        self.left = self.ours(records).len();
        self.left_until = None;
        self.yields_since = None;
        if self.left > 0 {
            self.forces_next |= self.is_forced;
            let pause = now.mono.saturating_sub(since).max(SHORTEST);
            let next = now.mono.saturating_add(pause).min(end);
            self.yields_since = Some(since);
            self.left_until = Some(next);
            if let ScanState::Idle = self.scan {
                self.scan = ScanState::At(next);
            }
        }
        self.rest(now);
    }

    /// Handles a journal that could not be read: it is read again later.
    pub fn handle_unreadable(&mut self, now: Now, ticket: Ticket) {
        if self.end_scan(now, ticket) {
            self.settled_meanwhile.clear();
            self.was_read = false;
            self.rest(now);
        }
    }

    /// Handles the end of a reservation that was started for a record. Returns whether its record is left for a later
    /// scan.
    pub fn handle_ended(&mut self, now: Now, id: &RecordId, outcome: Option<&Outcome>) -> bool {
        if !self.settling.remove(id) {
            return false;
        }
        let is_left = match outcome {
            Some(Outcome::Settled(receipt)) => is_pending(receipt) || self.is_forced && is_stale(receipt),
            Some(Outcome::NotReserved(_) | Outcome::Evaluated(_) | Outcome::Released(_)) | None => true,
        };
        let last = outcome.and_then(last_error);
        if is_left {
            let pause = last
                .and_then(Error::retry_after)
                .map(|pause| pause.min(LONGEST_PAUSE));
            self.leave(pause.map(|pause| now.mono.saturating_add(pause)));
        }
        self.note_end_during_scan(id, is_left);
        self.refusals.note(now, last);
        if self.refusals.stop_the_pass(now) {
            if let (Some(over), false) = (self.refusals.pause(now), self.queue.is_empty()) {
                self.left_until = self.left_until.into_iter().chain([over]).min();
            }
            self.left += self.queue.len();
            self.queue.clear();
        }
        self.rest(now);
        is_left
    }

    /// Leaves the record of this cost to a reservation of this process. If this replayer is already settling the
    /// record, it continues. A record with another key is still settled by this replayer.
    pub fn live(&mut self, id: RecordId) {
        if !self.settling.contains(&id) {
            self.live.insert(id);
        }
    }

    /// Notes that a reservation of this process has ended or is no longer driven; its record is all that is left.
    pub fn ended(&mut self, now: Now, id: &RecordId, receipt: Option<&Receipt>) {
        if !self.live.remove(id) {
            return;
        }
        if receipt.is_none() {
            // The reservation did not fail, but is no longer driven: only its record is left.
            self.leave(None);
            self.wake(now);
        } else if receipt.is_some_and(is_pending) {
            if !receipt.is_some_and(Receipt::is_unrecorded) {
                self.leave(None);
            }
            // The record may have been written after the file names were read.
            self.reads_again |= matches!(self.scan, ScanState::Reading(_));
            self.rest(now);
        } else if let ScanState::Reading(_) = self.scan {
            self.settled_meanwhile.insert(id.clone());
        }
    }

    /// Notes how a call ended. Once the server can be reached again, the records that are left are tried at once.
    pub fn observe(&mut self, now: Now, error: Option<&Error>) {
        let is_reachable = !error.is_some_and(Error::is_out_of_reach);
        if is_reachable && !self.is_reachable && self.left > 0 {
            self.wake(now);
        }
        self.is_reachable = is_reachable;
    }

    /// Requests a scan, to begin as soon as the records under way are settled.
    pub fn wake(&mut self, now: Now) {
        self.tried_before = self.started;
        if let ScanState::Reading(_) = self.scan {
            // The scan under way may miss the latest records.
            self.reads_again = true;
        } else {
            self.scan = ScanState::At(now.mono);
        }
    }

    /// Like [`wake`](Self::wake), but the scan also sends, once, the records whose keys the server may have forgotten:
    /// those that are too old, and those that were set aside for that reason. Their costs may count twice.
    /// [`unsettled`](Self::unsettled) includes those that remain, until the next scan.
    pub fn force(&mut self, now: Now) {
        self.forces_next = true;
        self.wake(now);
    }

    /// Decides, when the time of a flush is up, whether to wait for up to [`Flushed::LAST_LOOK`] until it is certain
    /// what is left. There is no wait if records are still being settled. If the journal was left to another process or
    /// could not be read, it is read once more.
    pub fn look_again(&mut self, now: Now) -> bool {
        if !self.queue.is_empty() || !self.settling.is_empty() {
            return false;
        }
        if !self.was_read || self.yields_since.is_some() {
            self.wake(now);
        }
        !self.is_complete(now)
    }

    /// The records that this replayer has to settle, one for each cost.
    fn ours(&mut self, records: impl IntoIterator<Item = JournalRecord>) -> Vec<JournalRecord> {
        // Records of settled costs are outdated, and of two records of a cost the first counts.
        let mut known = core::mem::take(&mut self.settled_meanwhile);
        let is_ours = |record: &JournalRecord| {
            // A cost belongs to the ledger that it was recorded for.
            let is_foreign = record.base_url() != self.config.base_url;
            let id = record.id();
            let is_taken = self.live.contains(id) || self.settling.contains(id);
            !is_foreign && !is_taken && known.insert(id.clone())
        };
        let ours: Vec<JournalRecord> = records.into_iter().filter(is_ours).collect();
        self.oldest = ours.iter().map(JournalRecord::recorded_at).min();
        ours
    }

    /// Ends the scan under way. Returns `false` if the ticket does not belong to that scan.
    fn end_scan(&mut self, now: Now, ticket: Ticket) -> bool {
        let is_awaited = matches!(self.scan, ScanState::Reading(expected) if expected == ticket);
        if is_awaited {
            self.scan = match core::mem::take(&mut self.reads_again) {
                true => ScanState::At(now.mono),
                false => ScanState::Idle,
            };
        }
        is_awaited
    }

    /// Removes and returns the first record that is not left to a reservation of this process, or being settled by hand.
    fn next_record(&mut self) -> Option<JournalRecord> {
        while self.settling.len() < AT_A_TIME {
            let record = self.queue.pop_front()?;
            if !self.live.contains(record.id()) && !self.settling.contains(record.id()) {
                return Some(record);
            }
        }
        None
    }

    fn settle(&mut self, record: JournalRecord, now: Now) -> Replay {
        let id = record.id().clone();
        let (config, seed) = (Arc::clone(&self.config), self.begin(&id));
        let reservation = if self.is_forced {
            Reservation::resume_forced(config, record, seed, now)
        } else {
            Reservation::resume(config, record, seed, now)
        };
        Replay::Settle(id, Box::new(reservation))
    }

    fn leave(&mut self, until: Option<Duration>) {
        self.left += 1;
        let nearest = self.left_until.into_iter().chain(until).min();
        self.left_until = nearest;
    }

    /// Plans the next scan once nothing is under way.
    fn rest(&mut self, now: Now) {
        if self.is_at_work() || !matches!(self.scan, ScanState::Idle) {
            return;
        }
        if self.left == 0 && self.was_read {
            self.pauses = Backoff::new(self.seed);
            return;
        }
        self.tried_before = self.started;
        let pause = self.pauses.next(&pauses(), None).unwrap_or(LONGEST);
        let soonest = now.mono.saturating_add(pause);
        let nearest = self.left_until.map_or(soonest, |until| until.min(soonest));
        self.scan = ScanState::At(nearest.max(now.mono.saturating_add(SHORTEST)));
    }
}

/// The pause that a record asks for, as written, and its end: no later than the end computed when the pause was first
/// `seen`.
fn pause(
    record: &JournalRecord,
    now: Now,
    seen: &BTreeMap<RecordId, (UnixMillis, Duration)>,
) -> Option<(UnixMillis, Duration)> {
    let wait = record.not_before(now.wall)?.saturating_since(now.wall);
    let floor = record.floor()?;
    let over = now.mono.saturating_add(wait);
    match seen.get(record.id()) {
        Some((known, first)) if *known == floor => Some((floor, over.min(*first))),
        Some(_) | None => Some((floor, over)).filter(|_| !wait.is_zero()),
    }
}

/// The pauses between scans.
fn pauses() -> RetryPolicy {
    RetryPolicy {
        max_attempts: u32::MAX,
        initial_delay: Duration::from_secs(30),
        multiplier: 2.0,
        max_delay: LONGEST,
        ..RetryPolicy::default()
    }
}

/// The last error of a cost that is not settled.
fn last_error(outcome: &Outcome) -> Option<&Error> {
    match outcome {
        Outcome::Settled(Receipt::Pending { error, .. }) => error.as_deref(),
        Outcome::Settled(_) | Outcome::NotReserved(_) | Outcome::Evaluated(_) | Outcome::Released(_) => None,
    }
}

fn is_pending(receipt: &Receipt) -> bool {
    matches!(receipt, Receipt::Pending { .. })
}

fn is_stale(receipt: &Receipt) -> bool {
    matches!(receipt, Receipt::Stale)
}

const LONGEST: Duration = Duration::from_secs(15 * 60);
const SHORTEST: Duration = Duration::from_secs(1);
/// How long records are left to another process.
const YIELDS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
