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

    /// Something comes back for a call, in whatever order.
    fn answer(&mut self) {
        let Some(ticket) = self.one_that_is_out() else {
            return;
        };
        self.asked = 0;
        let out = self.out.get_mut(&ticket).unwrap();
        if !out.has_begun && !self.dice.one_in(8) {
            out.has_begun = self.session.begun(self.now, ticket);
            assert!(
                !(out.has_begun && out.is_withdrawn),
                "it was withdrawn, and begins"
            );
            if self.dice.one_in(3) {
                return;
            }
        }
        if self.dice.one_in(5) || !out.has_begun && out.is_withdrawn {
            let kind = self.dice.failure_kind();
            return self.fails(ticket, kind);
        }
        let path = out.call.request.uri().path().to_owned();
        let key = out.call.request.headers().get("x-cycles-api-key");
        let key = key.map_or("", |key| key.to_str().unwrap()).to_owned();
        let id = self.id_of(ticket);
        let response = self.dice.response(&path, &id, &key);
        self.is_answered(ticket, &response);
    }

    fn is_answered(&mut self, ticket: Ticket, response: &http::Response<bytes::Bytes>) {
        let out = self.takes(ticket);
        if let Some(Key::Reservation(key)) = out.of
            && let Some(book) = self.books.get_mut(&key)
        {
            book.answered(out.call.request.uri().path(), response);
        }
        let answer = out.call.reader.read(Ok(response));
        self.session.handle(self.now, ticket, answer);
    }

    fn fails(&mut self, ticket: Ticket, kind: FailureKind) {
        let out = self.takes(ticket);
        let answer = out.call.reader.read(Err(Failure::new(kind)));
        self.session.handle(self.now, ticket, answer);
    }

    /// It is out no more.
    fn takes(&mut self, ticket: Ticket) -> Out {
        self.out.remove(&ticket).unwrap()
    }

    fn one_that_is_out(&mut self) -> Option<Ticket> {
        let at = self.dice.below(self.out.len().max(1));
        self.out.keys().nth(at).copied()
    }

    fn id_of(&self, ticket: Ticket) -> String {
        match self.out.get(&ticket).and_then(|out| out.of) {
            Some(Key::Reservation(key)) => self.books.get(&key).map(|book| book.name.clone()),
            Some(Key::Call(_) | Key::Flush(_)) | None => None,
        }
        .unwrap_or_else(|| "r-0".to_owned())
    }

    fn store(&mut self) {
        if self.stores.is_empty() {
            return;
        }
        self.asked = 0;
        let at = self.dice.below(self.stores.len());
        let fails = self.dice.one_in(6);
        self.stored(at, fails);
    }

    fn stored(&mut self, at: usize, fails: bool) {
        let Store {
            ticket,
            principal,
            write,
        } = self.stores.remove(at);
        if let JournalWrite::Put(record) = &write {
            self.answered.insert(record.body().to_owned());
        }
        if fails {
            let failure = StoreFailure::new("no space left on device");
            return self.session.handle_stored(self.now, ticket, Err(failure));
        }
        let id = (principal, write.id().clone());
        match write {
            JournalWrite::Put(record) => {
                self.journals.insert(id, record);
            }
            JournalWrite::Remove(_) | JournalWrite::SetAside(..) => drop(self.journals.remove(&id)),
        }
        self.session.handle_stored(self.now, ticket, Ok(()));
    }

    fn scan(&mut self) {
        if self.scans.is_empty() {
            return;
        }
        self.asked = 0;
        let (ticket, principal, _) = self.scans.remove(0);
        if self.dice.one_in(5) {
            self.session.handle_scanned(self.now, ticket, None);
            return;
        }
        let ours = self.journals.iter().filter(|((of, _), _)| *of == principal);
        let records = ours.map(|(_, record)| record.clone()).collect();
        let scanned = Scanned::new(records, self.dice.one_in(2));
        self.session.handle_scanned(self.now, ticket, Some(scanned));
    }

    /// Time passes a little, or to when the session wants it, or by far, or backwards.
    fn pass(&mut self) {
        self.asked = 0;
        let ms = [1, 40, 900, 1_000, 5_000, 7_000, 50_000, 4_000_000][self.dice.below(8)];
        let step = Duration::from_millis(ms);
        if self.dice.one_in(8) {
            let was = self.now;
            self.now.mono = was.mono.saturating_sub(step);
            // It stands still for the session.
            self.poll();
            self.now = was;
            return;
        }
        self.later(step);
    }

    fn later(&mut self, step: Duration) {
        self.now = Now {
            mono: self.now.mono.saturating_add(step),
            wall: self.now.wall.saturating_add(step),
        };
        self.latest = self.now.mono;
    }

    /// Reports about what nobody asked for, or what was answered before.
    fn disturb(&mut self) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets[self.dice.below(self.tickets.len())];
        let is_open = self.out.contains_key(&ticket)
            || self.stores.iter().any(|store| store.ticket == ticket)
            || self.scans.iter().any(|(open, ..)| *open == ticket);
        if is_open {
            return;
        }
        self.asked = 0;
        assert!(!self.session.begun(self.now, ticket), "what is over begins again");
        self.session.handle_stored(self.now, ticket, Ok(()));
        assert!(
            !self
                .session
                .handle_scanned(self.now, ticket, Some(Scanned::default()))
        );
    }

    fn act(&mut self) {
        self.asked = 0;
        let keys: Vec<_> = self
            .books
            .iter()
            .filter(|(_, book)| !book.is_forgotten)
            .map(|(key, _)| *key)
            .collect();
        let Some(key) = keys.get(self.dice.below(keys.len().max(1))).copied() else {
            return self.begin();
        };
        let amount = Amount::tokens(i64::try_from(self.dice.below(12)).unwrap() - 2);
        let book = self.books.get_mut(&key).unwrap();
        match self.dice.below(16) {
            0 | 1 => {
                if self.session.spent(key, &amount).is_ok() {
                    book.spent = book.spent.max(amount.amount);
                } else {
                    book.is_untaken = true;
                }
            }
            2..=5 => {
                let request = CommitRequest::builder().actual(amount.clone()).build();
                match self.session.commit(self.now, key, request) {
                    Ok(()) => {
                        assert_eq!(book.cost, None, "one cost is handed over");
                        book.cost = Some(amount.amount);
                        book.is_decided = true;
                    }
                    Err(_) => book.is_untaken = true,
                }
            }
            6 => {
                self.session.release(self.now, key, ReleaseReason::ACTION_FAILED);
                book.is_decided = true;
            }
            7 => {
                let by = Duration::from_millis(60_000);
                let _ = self.session.extend(self.now, key, by);
            }
            8 => {
                self.session.forget(self.now, key);
                (book.is_forgotten, book.is_decided) = (true, true);
            }
            9 => self.session.helps(key, false),
            10 if self.calls.len() > 2 => {
                let call = self.calls.swap_remove(0);
                self.session.forget_call(self.now, call.id());
            }
            11 if self.dice.one_in(4) => {
                let how = [Close::WhenDone, Close::Leaving, Close::WritingOnly][self.dice.below(3)];
                self.session.close(self.now, how);
                self.is_closed = true;
                if how != Close::WhenDone {
                    self.books.values_mut().for_each(|book| book.is_decided = true);
                }
            }
            _ => self.begin(),
        }
    }

    /// A reservation more, a call, or a flush.
    fn begin(&mut self) {
        self.made += 1;
        let seed = seed_of(self.made, 1);
        let caller = self.callers[self.dice.below(2)].clone();
        match self.dice.below(4) {
            0 | 1 => {
                let request = ReservationCreateRequest::builder()
                    .subject(Subject::default())
                    .action(Action::new("k", "n"))
                    .estimate(Amount::tokens(9))
                    .ttl_ms([1_000, 4_000, 60_000, 86_400_000][self.dice.below(4)])
                    .dry_run(self.dice.one_in(16))
                    .build();
                let reserved = self.session.reserve(self.now, &caller, request, seed);
                assert_eq!(reserved.is_err(), self.is_closed);
                if let Ok(key) = reserved {
                    let name = format!("r-{}", self.made);
                    self.ids.insert(name.clone(), key);
                    self.books.insert(key, Book::new(name));
                }
            }
            2 => {
                let operation = Operation::health(caller.config(), seed).unwrap();
                let call = self.session.call(self.now, &caller, operation);
                assert_eq!(call.is_err(), self.is_closed);
                self.calls.extend(call);
            }
            _ => {
                let until = self.now.mono + Duration::from_millis([0, 900, 60_000][self.dice.below(3)]);
                let flush = self.session.flush(self.now, &caller, until, self.dice.one_in(4));
                self.flushes.push((flush, until));
            }
        }
    }

    /// Whoever waits looks.
    fn look(&mut self) {
        while let Some(key) = self.session.pop_changed() {
            if let Key::Reservation(key) = key {
                let _ = self.session.granted(key);
                let _ = self.session.receipt(key);
                let _ = self.session.lease_is_lost(self.now, key);
            }
        }
        let answered =
            |session: &mut Session, call: &CallKey<HealthResponse>| session.answer(*call).is_none();
        let session = &mut self.session;
        self.calls.retain(|call| answered(session, call));
    }

    /// Everything that is open is answered, and time passes: it comes to an end.
    fn end(&mut self) {
        self.session.close(self.now, Close::Leaving);
        self.is_closed = true;
        for _ in 0..20_000 {
            self.asked = 0;
            while let Some(ticket) = self.out.keys().next().copied() {
                let path = self.out[&ticket].call.request.uri().path();
                // What would be tried for as long as a lease lasts, and some last for ever.
                if path.ends_with("/release") {
                    let released = r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":9}}"#;
                    self.is_answered(ticket, &http::Response::new(released.into()));
                } else if path.ends_with("/extend") {
                    let refused = r#"{"error":"NOT_FOUND","message":"m","request_id":"q"}"#;
                    let refused = http::Response::builder().status(404).body(refused.into());
                    self.is_answered(ticket, &refused.unwrap());
                } else {
                    self.fails(ticket, FailureKind::Connect);
                }
            }
            while !self.stores.is_empty() {
                self.stored(0, false);
            }
            while let Some((ticket, ..)) = self.scans.pop() {
                self.session
                    .handle_scanned(self.now, ticket, Some(Scanned::default()));
            }
            match self.session.poll(self.now) {
                Step::Send(call) => self.sends(call),
                Step::Withdraw(ticket) => {
                    if let Some(out) = self.out.get_mut(&ticket) {
                        out.is_withdrawn = true;
                    }
                }
                Step::Store(ticket, principal, write) => self.stores(ticket, principal, write),
                Step::Notify(_, event) => self.told(&event),
                Step::Scan { .. } => panic!("it is closed, and reads"),
                Step::Unclaim(_) => {}
                // Nothing is sent any more, so it may try for ever; what is to be on disk is there.
                Step::Wait(_) if self.session.closed() == Some(Close::WritingOnly) => {
                    return assert!(self.session.is_written());
                }
                Step::Wait(Some(at)) => self.later(at - self.now.mono),
                Step::Wait(None) if self.out.is_empty() && self.stores.is_empty() => {
                    return self.is_at_its_end();
                }
                Step::Wait(None) => {}
            }
        }
        panic!("it comes to no end: {:?}", self.session);
    }

    fn is_at_its_end(&self) {
        assert!(
            self.session.is_idle() && self.session.is_written(),
            "{:?}",
            self.session
        );
        for (key, book) in &self.books {
            assert!(self.session.is_over(*key), "{}", book.name);
            assert!(
                book.is_forgotten || self.session.outcome(*key).is_some(),
                "{} ended without a word",
                book.name
            );
        }
        for (flush, until) in &self.flushes {
            let is_over = self.session.flushed(*flush).is_some();
            assert!(
                is_over || *until + Flushed::LAST_LOOK > self.now.mono,
                "a flush does not end"
            );
        }
    }
}

fn seed_of(number: u64, of: u64) -> Seed {
    Seed((u128::from(of) << 64 | u128::from(number)).to_be_bytes())
}
