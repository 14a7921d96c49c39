//! A session with an unruly driver, and the rules that it keeps in spite of that. It never panics, never asks for a
//! poll in the past, and never asks for things without an end. It has no more calls under way than places, and begins
//! none that was withdrawn. It sends no cost before its record is stored or overdue, and no event while the record is
//! that of a commit. It charges the given cost under one key of the reservation, and never both charges and releases.
//! It leaves no mark of a dispatched request without a word about it.
//! Of a reservation in shadow mode it sends nothing but dry runs, stores nothing, and reports one end.
//! It wakes a driver while a lease is held, ends every flush in time, and comes to an end when it is closed.
//!
//! A seed decides what the driver does, or bytes from a fuzzer.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod book;
mod callers;
mod ending;
mod reports;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::config::RetryPolicy;
use cycles_proto::journal::{self, JournalRecord, JournalWrite, Memory, RecordId, StoreFailure};
use cycles_proto::models::*;
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::session::{
    CallKey, Caller, Close, EntryChange, FlushKey, Key, Principal, ReservationKey, Scanned, Session, Step,
};
use cycles_proto::{
    Call, CyclesConfig, Failure, FailureKind, Flushed, Mode, Now, Operation, Seed, Ticket, UnixMillis,
};

use self::book::{Book, ESTIMATE};
use crate::careless::Dice;

const KEYS: [&str; 2] = ["cyc_live_0123456789", "cyc_live_9876543210"];
const WALL: u64 = 1_795_000_000_000;
const STORE_DEADLINE: Duration = cycles_proto::journal::STORE_DEADLINE;

/// An unruly driver.
pub struct Driver {
    dice: Dice,
    session: Session,
    callers: Vec<Caller>,
    has_journal: bool,
    now: Now,
    /// The latest time that the session knows.
    latest: Duration,
    places: usize,
    out: BTreeMap<Ticket, Out>,
    stores: Vec<Store>,
    scans: Vec<(Ticket, Principal, Duration)>,
    /// All tickets so far.
    tickets: Vec<Ticket>,
    books: BTreeMap<ReservationKey, Book>,
    /// The keys, by the reservations' ids.
    ids: BTreeMap<String, ReservationKey>,
    calls: Vec<CallKey<HealthResponse>>,
    flushes: Vec<(FlushKey, Duration)>,
    /// Records that a person has sent again, and waits for.
    by_hand: Vec<ReservationKey>,
    /// The bodies whose writes were reported.
    answered: BTreeSet<String>,
    /// The bodies, with the times at which their writes were requested.
    asked_for: BTreeMap<String, Duration>,
    journals: BTreeMap<(Principal, RecordId), JournalRecord>,
    /// The reservations that have a mark which the session has not removed or left.
    marks: BTreeSet<(Principal, ReservationId)>,
    /// Whether a write was late, so that the session need not wait for others.
    has_hung: bool,
    made: u64,
    /// The number of steps since the last input.
    asked: u32,
    is_closed: bool,
}

struct Out {
    call: Call,
    of: Option<Key>,
    has_begun: bool,
    is_withdrawn: bool,
}

struct Store {
    ticket: Ticket,
    principal: Principal,
    write: JournalWrite,
}

impl Driver {
    pub fn new(mut dice: Dice, seed: u64) -> Self {
        let mut retry = RetryPolicy::default();
        retry.enabled = !dice.one_in(8);
        retry.max_attempts = u32::try_from(dice.below(4)).unwrap();
        let has_journal = !dice.one_in(6);
        let config = CyclesConfig::builder(KEYS[0], "http://h")
            .tenant("t")
            .journal_enabled(has_journal)
            .retry(retry)
            .build();
        let config = Arc::new(config.unwrap());
        let mut session = Session::new(Arc::clone(&config), seed_of(seed, 0));
        let other = config.for_principal(KEYS[1], Subject::tenant("u")).unwrap();
        let callers = [config, Arc::new(other)].map(|config| session.caller(config).unwrap());
        let callers = callers.to_vec();
        let places = [1, 2, 4, 64][dice.below(4)];
        session.set_places(places);
        let now = Now {
            mono: Duration::from_secs(5),
            wall: UnixMillis(WALL),
        };
        Self {
            dice,
            session,
            callers,
            has_journal,
            latest: now.mono,
            now,
            places,
            out: BTreeMap::new(),
            stores: Vec::new(),
            scans: Vec::new(),
            tickets: Vec::new(),
            books: BTreeMap::new(),
            ids: BTreeMap::new(),
            calls: Vec::new(),
            flushes: Vec::new(),
            by_hand: Vec::new(),
            answered: BTreeSet::new(),
            asked_for: BTreeMap::new(),
            journals: BTreeMap::new(),
            marks: BTreeSet::new(),
            has_hung: false,
            made: 0,
            asked: 0,
            is_closed: false,
        }
    }

    /// Makes some hundred things happen, and then ends. Returns the number of reservations, and of costs in the
    /// ledger.
    pub fn run(mut self) -> [usize; 2] {
        let steps = 20 + self.dice.below(256);
        for _ in 0..steps {
            if self.dice.is_over() {
                break;
            }
            for _ in 0..self.dice.below(6) {
                self.poll();
            }
            match self.dice.below(16) {
                0..=4 => self.answer(),
                5 | 6 => self.store(),
                7 | 8 => self.pass(),
                9 => self.scan(),
                10 => self.disturb(),
                11..=13 => self.act(),
                14 => self.look(),
                _ => self.poll(),
            }
        }
        for key in KEYS {
            assert!(!format!("{:?}", self.session).contains(key));
        }
        self.end();
        let settled = self.books.values().filter(|book| book.is_charged).count();
        [self.books.len(), settled]
    }

    fn poll(&mut self) {
        self.asked += 1;
        assert!(self.asked < 2_000, "it asks without end: {:?}", self.session);
        match self.session.poll(self.now) {
            Step::Send(call) => self.sends(call),
            Step::Withdraw(ticket) => {
                let out = self.out.get_mut(&ticket).expect("only what is out is withdrawn");
                assert!(!out.is_withdrawn, "withdrawn twice");
                out.is_withdrawn = true;
            }
            Step::Store(ticket, principal, write) => self.stores(ticket, principal, write),
            Step::Scan {
                ticket, principal, ..
            } => {
                assert!(
                    self.has_journal && self.session.closed().is_none(),
                    "no journal, no reading"
                );
                // After a minute, it counts as unreadable.
                let minute = Duration::from_secs(60);
                let is_read = |(_, of, since): &(Ticket, Principal, Duration)| {
                    *of == principal && *since + minute > self.latest
                };
                assert!(
                    !self.scans.iter().any(is_read),
                    "two readings of one journal at once: {:?} at {:?}",
                    self.scans,
                    self.latest
                );
                self.tickets.push(ticket);
                self.scans.push((ticket, principal, self.latest));
            }
            Step::Unclaim(_) => {}
            Step::Notify(_, event) => self.told(&event),
            Step::Wait(until) => {
                self.asked = 0;
                assert!(
                    until.is_none_or(|until| until > self.now.mono),
                    "a wait that is over"
                );
                let again = self.session.poll(self.now);
                assert!(
                    matches!(again, Step::Wait(same) if same == until),
                    "a needless poll: {again:?}"
                );
                self.somebody_is_woken(until);
            }
        }
    }

    /// Checks that the driver is woken before a lease ends whose heartbeat runs.
    fn somebody_is_woken(&self, until: Option<Duration>) {
        for (key, book) in &self.books {
            // The settlement under way may have ended the reservation.
            if book.beats && !book.is_decided && self.session.grant(*key).is_some() {
                assert!(
                    until.is_some(),
                    "a lease is held, and the driver is not woken: {:?}",
                    self.session
                );
            }
        }
    }

    fn sends(&mut self, call: Call) {
        let of = self.session.whose(call.ticket);
        let path = call.request.uri().path().to_owned();
        let body = String::from_utf8(call.request.body().to_vec()).unwrap();
        if let Some(Key::Reservation(key)) = of {
            let is_cost = path.ends_with("/commit") || path.ends_with("/events");
            if is_cost {
                self.sends_a_cost(key, &body);
            }
            if let Some(book) = self.books.get_mut(&key) {
                book.sends(&path, &body);
            }
        }
        self.tickets.push(call.ticket);
        let out = Out {
            call,
            of,
            has_begun: false,
            is_withdrawn: false,
        };
        let before = self.out.insert(out.call.ticket, out);
        assert!(before.is_none(), "a ticket is handed out once");
        // A withdrawn call keeps its place for up to a second, which is not visible here.
        let taken = self.out.values().filter(|out| !out.is_withdrawn).count();
        assert!(
            taken <= self.places,
            "{taken} calls are out, and there are {} places",
            self.places
        );
    }

    fn sends_a_cost(&self, key: ReservationKey, body: &str) {
        if !self.has_journal || !self.books.contains_key(&key) {
            return;
        }
        let is_answered = self.answered.contains(body);
        let since = *self.asked_for.get(body).expect("it was to be stored");
        let is_late = since + STORE_DEADLINE <= self.now.mono || self.has_hung;
        assert!(is_answered || is_late, "sent before it was stored: {body}");
    }

    fn stores(&mut self, ticket: Ticket, principal: Principal, write: JournalWrite) {
        assert!(self.has_journal, "no journal, no store");
        if let Some(Key::Reservation(key)) = self.session.whose(ticket) {
            let is_shadow = self.books.get(&key).is_some_and(Book::is_shadow);
            assert!(!is_shadow, "stored in shadow mode: {write:?}");
        }
        if let (JournalWrite::PutMark(mark), Some(Key::Reservation(key))) =
            (&write, self.session.whose(ticket))
        {
            let book = &self.books[&key];
            assert_eq!(mark.dispatched(), Some(&Amount::tokens(ESTIMATE)), "{book:?}");
            assert_ne!(book.dispatched, 0, "a mark of what has not left: {book:?}");
        }
        if let JournalWrite::Put(record) = &write {
            self.asked_for.insert(record.body().to_owned(), self.now.mono);
        }
        if let (JournalWrite::PutRun(total), Some(Key::Reservation(key))) =
            (&write, self.session.whose(ticket))
        {
            let run = self.books[&key].run.as_ref().expect("a total of a run");
            assert_eq!(
                total.actual(),
                Some(Amount::tokens(run.total)),
                "a total of its ended steps"
            );
        }
        self.tickets.push(ticket);
        self.stores.push(Store {
            ticket,
            principal,
            write,
        });
    }

    fn told(&mut self, event: &Event) {
        let text = format!("{event:?}");
        assert!(KEYS.iter().all(|key| !text.contains(key)), "{text}");
        assert!(!matches!(event, Event::Panicked { .. }), "{text}");
        if let Event::JournalFailed { failure, .. } = event
            && failure.message.contains("may be hanging")
        {
            self.has_hung = true;
        }
        let named = event.reservation_id().and_then(|id| self.ids.get(id.as_str()));
        if let Some(book) = named.and_then(|key| self.books.get_mut(key)) {
            book.told(event);
        }
    }
}

fn seed_of(number: u64, of: u64) -> Seed {
    Seed((u128::from(of) << 64 | u128::from(number)).to_be_bytes())
}
