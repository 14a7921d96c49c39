//! A session in the hands of a driver without manners, and the rules that it keeps with it: it never panics, never asks
//! for a poll in the past nor for a bounded number of things without an end, has no more calls out than there are places,
//! begins none that was withdrawn, sends no cost before its record was stored or is late, and none of an event while the
//! record of the commit stands; charges what it was told to under one key of a reservation, never both charges and
//! releases, wakes somebody while a lease is held, ends every flush in time, and comes to an end when it is closed.
//!
//! What the driver does is drawn from a seed, or from bytes, where a fuzzer chooses.
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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::config::RetryPolicy;
use cycles_proto::journal::{JournalRecord, JournalWrite, RecordId, StoreFailure};
use cycles_proto::models::*;
use cycles_proto::outcome::ReleaseReason;
use cycles_proto::session::{
    CallKey, Caller, Close, FlushKey, Key, Principal, ReservationKey, Scanned, Session, Step,
};
use cycles_proto::{
    Call, CyclesConfig, Failure, FailureKind, Flushed, Now, Operation, Seed, Ticket, UnixMillis,
};

use self::book::Book;
use crate::careless::Dice;

const KEYS: [&str; 2] = ["cyc_live_0123456789", "cyc_live_9876543210"];
const WALL: u64 = 1_795_000_000_000;
const STORE_DEADLINE: Duration = cycles_proto::journal::STORE_DEADLINE;

/// A driver without manners.
pub struct Driver {
    dice: Dice,
    session: Session,
    callers: Vec<Caller>,
    has_journal: bool,
    now: Now,
    /// The latest time that the session was told.
    latest: Duration,
    places: usize,
    out: BTreeMap<Ticket, Out>,
    stores: Vec<Store>,
    scans: Vec<(Ticket, Principal, Duration)>,
    /// Every ticket that there ever was.
    tickets: Vec<Ticket>,
    books: BTreeMap<ReservationKey, Book>,
    /// The keys by the reservations' names.
    ids: BTreeMap<String, ReservationKey>,
    calls: Vec<CallKey<HealthResponse>>,
    flushes: Vec<(FlushKey, Duration)>,
    /// The bodies whose writes were answered.
    answered: BTreeSet<String>,
    /// Bodies and when their writes were asked for.
    asked_for: BTreeMap<String, Duration>,
    journals: BTreeMap<(Principal, RecordId), JournalRecord>,
    /// Whether a write was late: then others need not be waited for.
    has_hung: bool,
    made: u64,
    /// What was asked since something came from outside.
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
            answered: BTreeSet::new(),
            asked_for: BTreeMap::new(),
            journals: BTreeMap::new(),
            has_hung: false,
            made: 0,
            asked: 0,
            is_closed: false,
        }
    }

    /// Some hundred things happen, and then it ends; how many reservations there were, and costs in the ledger.
    pub fn live(mut self) -> [usize; 2] {
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
                assert!(self.has_journal && !self.is_closed, "no journal, no reading");
                // After a minute it counts as one that cannot be read.
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

    /// While a lease is held and its heart beats, somebody is woken before it is over.
    fn somebody_is_woken(&self, until: Option<Duration>) {
        for (key, book) in &self.books {
            // The settlement on its way may have ended the reservation.
            if book.beats && !book.is_decided && self.session.grant(*key).is_some() {
                assert!(
                    until.is_some(),
                    "a lease is held, and nobody is woken: {:?}",
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
        // One that was withdrawn has its place for a second more, which is not seen from here.
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
        if let JournalWrite::Put(record) = &write {
            self.asked_for.insert(record.body().to_owned(), self.now.mono);
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
            && failure.message.contains("may hang")
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
