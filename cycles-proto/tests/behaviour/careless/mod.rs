//! A careless driver, and the rules that a reservation keeps in spite of it. It never panics, never asks for a poll in
//! the past, and asks for a bounded number of steps without new input. It charges the given cost under one key of its
//! own, and never both charges and releases. It sends no cost before its record is stored or has failed to be stored,
//! and gives nothing back that may have cost something. It does not accept a grant without time left before it is
//! extended, and gives a late grant back. It repeats a beat under the same key, and is over when it says so.
//!
//! A seed decides what the driver does, or bytes from a fuzzer.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod answers;
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::InvalidCommit;
use cycles_proto::config::RetryPolicy;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::*;
use cycles_proto::outcome::StoreFailure;
use cycles_proto::parts::{Reservation, Step};
use cycles_proto::record::JournalRecord;
use cycles_proto::{Call, CyclesConfig, Failure, Now, Outcome, Seed, Ticket, UnixMillis};
use http::Response;

pub use self::dice::Dice;

const KEY: &str = "cyc_live_0123456789";
const WALL: u64 = 1_795_000_000_000;

/// A careless driver.
pub struct Driver {
    dice: Dice,
    config: Arc<CyclesConfig>,
    reservation: Reservation,
    now: Now,
    open: Vec<(Call, Duration)>,
    stores: Vec<(Ticket, JournalWrite)>,
    /// All tickets so far, and some that never existed.
    tickets: Vec<Ticket>,
    /// Records whose writes were reported, by their bodies.
    answered: BTreeSet<String>,
    records: Vec<JournalRecord>,
    keys: BTreeSet<String>,
    /// The beginning of all keys.
    seed: Seed,
    /// The tickets of attempts to reserve.
    creates: BTreeSet<Ticket>,
    /// The key of an extension that has not succeeded.
    beat: Option<String>,
    /// Whether a grant had no time left and has not been extended since.
    is_doubtful: bool,
    /// Whether extensions by hand were requested, which come between the beats.
    by_hand: bool,
    /// The single body of each kind of repeated request.
    bodies: BTreeMap<&'static str, String>,
    /// The reported spend, while no cost was handed over.
    spent: i64,
    /// Whether a cost was reported that could not be accepted.
    untaken: bool,
    /// Whether it is done, and nothing has come since.
    is_over: bool,
    /// Whether a grant came after that, which has to be given back.
    is_owed: bool,
    /// The cost that was handed over and accepted.
    cost: Option<i64>,
    /// Whether the caller has decided its end.
    is_decided: bool,
    has_settled: bool,
    has_released: bool,
    /// The number of steps since the last input.
    asked: u32,
    /// The outcome that it reported.
    told: Option<String>,
}

impl Driver {
    /// Creates a driver of a machine with this seed.
    pub fn new(mut dice: Dice, seed: u64) -> Self {
        let mut retry = RetryPolicy::default();
        retry.enabled = !dice.one_in(8);
        retry.max_attempts = dice.below(4) as u32;
        let config = CyclesConfig::builder(KEY, "http://h")
            .journal_enabled(!dice.one_in(6))
            .retry(retry);
        let config = Arc::new(config.build().unwrap());
        let mut request = ReservationCreateRequest::builder()
            .subject(Subject::tenant("t"))
            .action(Action::new("k", "n"))
            .estimate(Amount::tokens(9))
            .build();
        request.ttl_ms = Some([1_000, 4_000, 60_000, 86_400_000][dice.below(4)]);
        request.dry_run = dice.one_in(16);
        let reservation = Reservation::new(Arc::clone(&config), request, seed_of(seed)).unwrap();
        let now = Now {
            mono: Duration::from_secs(5),
            wall: UnixMillis(WALL),
        };
        Self {
            dice,
            config,
            reservation,
            now,
            open: Vec::new(),
            stores: Vec::new(),
            tickets: Vec::new(),
            answered: BTreeSet::new(),
            records: Vec::new(),
            keys: BTreeSet::new(),
            seed: seed_of(seed),
            creates: BTreeSet::new(),
            beat: None,
            is_doubtful: false,
            by_hand: false,
            bodies: BTreeMap::new(),
            spent: 0,
            untaken: false,
            is_over: false,
            is_owed: false,
            cost: None,
            is_decided: false,
            has_settled: false,
            has_released: false,
            asked: 0,
            told: None,
        }
    }

    /// Makes some hundred things happen. Returns how it ended.
    pub fn run(mut self) -> usize {
        let steps = 20 + self.dice.below(200);
        for _ in 0..steps {
            if self.dice.is_over() {
                break;
            }
            for _ in 0..self.dice.below(4) {
                self.poll();
            }
            match self.dice.below(16) {
                0..=4 => self.answer(),
                5 | 6 => self.store(),
                7..=9 => self.pass(),
                10 => self.disturb(),
                11 => self.act(),
                12 if self.dice.one_in(12) => self.crash(),
                _ => self.poll(),
            }
        }
        assert!(!format!("{:?}", self.reservation).contains(KEY));
        match self.reservation.outcome() {
            None => 0,
            Some(Outcome::NotReserved(_)) => 1,
            Some(Outcome::Evaluated(_)) => 2,
            Some(Outcome::Released(_)) => 3,
            Some(Outcome::Settled(receipt)) if receipt.is_settled() => 4,
            Some(_) => 5,
        }
    }

    fn poll(&mut self) {
        self.asked += 1;
        assert!(self.asked < 200, "it asks without end: {:?}", self.reservation);
        match self.reservation.poll(self.now) {
            Step::Send(call) => self.sent(call),
            Step::Store(ticket, write) => {
                assert!(self.config.journal_enabled(), "no journal, no store");
                if let JournalWrite::Put(record) = &write {
                    self.records.push(record.clone());
                }
                self.tickets.push(ticket);
                self.stores.push((ticket, write));
            }
            Step::Notify(event) => assert!(!format!("{event:?}").contains(KEY)),
            Step::Wait(_) | Step::Done if self.is_owed => {
                panic!("a grant that came too late is kept: {:?}", self.reservation)
            }
            Step::Wait(Some(at)) => {
                assert!(at > self.now.mono, "a wait that is over");
                self.asked = 0;
                let again = self.reservation.poll(self.now);
                assert!(
                    matches!(again, Step::Wait(Some(same)) if same == at),
                    "a needless poll: {again:?}"
                );
            }
            Step::Wait(None) => {
                let is_outstanding = !self.open.is_empty() || !self.stores.is_empty();
                assert!(
                    is_outstanding || self.reservation.grant().is_some(),
                    "{:?}",
                    self.reservation
                );
                self.asked = 0;
            }
            Step::Done => {
                self.asked = 0;
                self.is_over = true;
                let outcome = format!("{:?}", self.reservation.outcome().expect("it ended somehow"));
                assert!(!outcome.contains(KEY), "{outcome}");
                let told = self.told.get_or_insert_with(|| outcome.clone());
                assert_eq!(*told, outcome, "how it ended does not change");
            }
        }
    }

    fn sent(&mut self, call: Call) {
        let path = call.request.uri().path();
        let body = String::from_utf8(call.request.body().to_vec()).unwrap();
        for kind in ["/v1/reservations", "/commit", "/v1/events"] {
            if path.ends_with(kind) {
                let first = self.bodies.entry(kind).or_insert_with(|| body.clone());
                assert_eq!(*first, body, "the same bytes");
            }
        }
        let is_cost = path.ends_with("/commit") || path.ends_with("/events");
        if is_cost {
            let is_stored = self.answered.contains(&body);
            assert!(
                is_stored || !self.config.journal_enabled(),
                "sent before it was stored: {body}"
            );
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            let actual = &body["actual"];
            let known = self
                .cost
                .or(Some(self.spent).filter(|spent| *spent > 0))
                .expect("a cost is known");
            assert_eq!(
                (actual["amount"].as_i64(), actual["unit"].as_str()),
                (Some(known), Some("TOKENS"))
            );
            let key = body["idempotency_key"].as_str().unwrap().to_owned();
            assert!(
                key.starts_with(&self.seed.to_string()),
                "the key of another reservation: {key}"
            );
            self.keys.insert(key);
        }
        let is_release = path.ends_with("/release");
        assert!(
            !is_release || (self.cost.is_none() && self.spent == 0 && !self.untaken),
            "a known cost is given up for a release"
        );
        self.is_owed &= !is_release;
        if path.ends_with("/extend") {
            self.beats(&body);
        }
        if path.ends_with("/reservations") {
            self.creates.insert(call.ticket);
        }
        assert!(
            self.told.is_none() || is_release,
            "it is over, and asks for {path}"
        );
        self.has_settled |= is_cost;
        self.has_released |= is_release;
        assert!(self.keys.len() <= 1, "{:?}", self.keys);
        assert!(!(self.has_settled && self.has_released), "charged and released");
        self.tickets.push(call.ticket);
        self.open.push((call, self.now.mono));
    }

    /// Checks that beats repeat the same extension until it succeeds.
    fn beats(&mut self, body: &str) {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let key = body["idempotency_key"].as_str().unwrap().to_owned();
        let open = self.beat.replace(key.clone());
        assert!(
            self.by_hand || open.is_none_or(|open| open == key),
            "a beat is repeated under another key: {key}"
        );
    }

    fn respond(&mut self, ticket: Ticket, sent: Duration, response: &Response<Bytes>) {
        let was_held = self.reservation.grant().is_some();
        let is_late = self.is_over
            && self.creates.contains(&ticket)
            && matches!(self.reservation.outcome(), Some(Outcome::NotReserved(_)));
        self.is_over = false;
        self.reservation.handle_response(self.now, ticket, sent, response);
        let said: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if response.status() == 200 && said["status"] == "ACTIVE" {
            self.beat = None;
        }
        if response.status() == 200 && said["decision"] == "ALLOW" && said["reservation_id"] == "r-1" {
            let has_time = said["remaining_ttl_ms"] != 0;
            assert!(
                has_time || was_held || self.reservation.grant().is_none(),
                "a grant without time left is believed"
            );
            self.is_owed |= is_late && has_time;
            self.is_doubtful |= !has_time && !was_held;
        }
        let is_extension = said["status"] == "ACTIVE" && said["reservation_id"].is_null();
        let is_extended = response.status() == 200 && is_extension;
        self.is_doubtful &= !is_extended && !was_held;
        assert!(
            !self.is_doubtful || self.reservation.grant().is_none(),
            "a grant was accepted that was not extended"
        );
    }

    /// Answers a call, in any order, or answers it twice.
    fn answer(&mut self) {
        if self.open.is_empty() {
            return;
        }
        self.asked = 0;
        let at = self.dice.below(self.open.len());
        let (call, sent) = self.open[at].clone();
        if !self.dice.one_in(8) {
            self.open.remove(at);
        }
        let sent = [sent, sent, sent, Duration::ZERO, Duration::MAX][self.dice.below(5)];
        if self.dice.one_in(5) {
            let failure = Failure::new(self.dice.failure_kind());
            let sent = Some(sent).filter(|_| self.dice.one_in(2));
            self.reservation
                .handle_failure(self.now, call.ticket, sent, failure);
        } else {
            let response = self.dice.response(call.request.uri().path(), "r-1", KEY);
            self.respond(call.ticket, sent, &response);
        }
    }

    fn store(&mut self) {
        if self.stores.is_empty() {
            return;
        }
        self.asked = 0;
        let (ticket, write) = self.stores.swap_remove(self.dice.below(self.stores.len()));
        if let JournalWrite::Put(record) = write {
            self.answered.insert(record.body().to_owned());
        }
        let stored = if self.dice.one_in(5) {
            Err(StoreFailure::new("no"))
        } else {
            Ok(())
        };
        self.reservation.handle_stored(self.now, ticket, stored);
    }

    /// Lets time pass: a little, up to the requested time, by far, or backwards.
    fn pass(&mut self) {
        self.asked = 0;
        let ms = [1, 40, 900, 5_000, 7_000, 50_000, 4_000_000][self.dice.below(7)];
        let step = Duration::from_millis(ms);
        if self.dice.one_in(8) {
            let was = self.now;
            self.now = Now {
                mono: was.mono.saturating_sub(step),
                wall: UnixMillis(self.dice.next() >> 20),
            };
            self.poll();
            self.now = was;
            return;
        }
        self.now = Now {
            mono: self.now.mono.saturating_add(step),
            wall: self.now.wall.saturating_add(step),
        };
    }

    /// Reports things that nobody asked for, or that were answered before.
    fn disturb(&mut self) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets[self.dice.below(self.tickets.len())];
        if self.stores.iter().any(|(open, _)| *open == ticket) {
            return;
        }
        self.asked = 0;
        match self.dice.below(3) {
            0 => self.reservation.handle_stored(self.now, ticket, Ok(())),
            1 => {
                let failure = Failure::new(self.dice.failure_kind());
                self.reservation.handle_failure(self.now, ticket, None, failure);
            }
            _ => {
                let paths = [
                    "/v1/reservations",
                    "/commit",
                    "/release",
                    "/extend",
                    "/v1/events",
                    "/r",
                ];
                let path = paths[self.dice.below(paths.len())];
                let response = self.dice.response(path, "r-1", KEY);
                self.respond(ticket, self.now.mono, &response);
            }
        }
    }

    fn act(&mut self) {
        self.asked = 0;
        let unit = if self.dice.one_in(6) {
            Unit::Credits
        } else {
            Unit::Tokens
        };
        let amount = Amount::new(unit, self.dice.below(12) as i64 - 2);
        match self.dice.below(8) {
            0 | 1 => {
                // Once the end is decided, further reports of spending have no effect.
                let told = self.reservation.spent(&amount);
                if told.is_ok() && !self.is_decided {
                    self.spent = self.spent.max(amount.amount);
                }
                self.untaken |= is_untaken(told);
            }
            2 | 3 => {
                let request = CommitRequest::builder().actual(amount.clone()).build();
                let told = self.reservation.commit(self.now, request);
                if told.is_ok() {
                    assert_eq!(self.cost, None, "one cost is handed over");
                    self.cost = Some(amount.amount);
                    self.is_decided = true;
                }
                self.untaken |= is_untaken(told);
            }
            4 => {
                self.is_decided |= self.reservation.grant().is_some();
                self.reservation.release(self.now, "because".into());
            }
            5 => {
                self.is_decided |= self.reservation.grant().is_some();
                self.reservation.abandon(self.now);
            }
            _ => {
                let by = Duration::from_millis([0, 1, 60_000, 86_400_001][self.dice.below(4)]);
                self.tickets.extend(self.reservation.extend(by));
                self.by_hand = true;
            }
        }
    }

    /// Crashes the process; another one resumes from the record, if it reached the disk.
    fn crash(&mut self) {
        let stored = self
            .records
            .iter()
            .rfind(|record| self.answered.contains(record.body()));
        let Some(record) = stored else { return };
        let record = JournalRecord::parse(record.to_json().as_bytes()).unwrap();
        let seed = seed_of(self.dice.next());
        self.reservation = Reservation::resume(Arc::clone(&self.config), record, seed, self.now);
        self.told = None;
        self.is_over = false;
        self.creates.clear();
        self.open.clear();
        self.stores.clear();
        self.tickets.clear();
        self.asked = 0;
    }
}

/// Whether a cost was reported that could not be accepted.
fn is_untaken(told: Result<(), InvalidCommit>) -> bool {
    matches!(
        told,
        Err(InvalidCommit::WrongUnit { .. } | InvalidCommit::Invalid(_))
    )
}

fn seed_of(number: u64) -> Seed {
    Seed((u128::from(number) << 64 | 1).to_be_bytes())
}
