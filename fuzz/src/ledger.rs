//! The sandbox's ledger under any sequence of requests, compared to books that are kept here from the answers alone.
//!
//! - Every scope has exactly the amount that was granted to it, less the charges that the answers reported.
//! - The reserved amount is the sum of the active reservations; nothing is charged or given back twice.
//! - The overage policies charge as much as they are allowed to, and never more.
//! - A refusal changes nothing; a repetition changes nothing and gets the same answer; a different payload under a used
//!   key is a mismatch.
//! - No reservation is settled or extended after its time.
//!
//! Bytes: the budgets, then the requests in order.

mod charge;
mod wire;

use bytes::Bytes;
use cycles_proto::UnixMillis;
use cycles_sandbox::{ApiKey, Budget, BudgetState, Funding, Ledger, ReservationStatus, Tenant, Unit};
use http::Request;
use serde_json::Value;

use self::charge::Charge;
use self::wire::read;
use crate::KEY;
use crate::input::Input;

/// Runs one execution.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut desk = Desk::new(&mut input);
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        desk.next(&mut input);
        desk.balances();
    }
}

const SCOPES: [&str; 3] = [
    "tenant:acme",
    "tenant:acme/agent:bot",
    "tenant:acme/agent:bot/toolset:t",
];
const SUBJECTS: [&str; 3] = [
    r#"{"tenant":"acme"}"#,
    r#"{"tenant":"acme","agent":"bot"}"#,
    r#"{"tenant":"acme","agent":"bot","toolset":"t"}"#,
];
const POLICIES: [&str; 3] = ["REJECT", "ALLOW_IF_AVAILABLE", "ALLOW_WITH_OVERDRAFT"];
/// The ledger sweeps every five seconds.
const SWEEP: u64 = 5_000;

struct Desk {
    ledger: Ledger,
    now: u64,
    keys: u64,
    books: [Book; 3],
    reservations: Vec<Reservation>,
    /// Requests and their answers, for repetitions.
    answered: Vec<(String, String, Bytes)>,
}

/// The expected balance of a scope, from what its clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Book {
    allocated: i128,
    held: i128,
    /// The charged amount, whether covered or debt.
    charged: i128,
    repaid: i128,
}

struct Reservation {
    id: String,
    depth: usize,
    hold: i64,
    policy: &'static str,
    expires: u64,
    grace: u64,
    is_active: bool,
}

impl Desk {
    fn new(input: &mut Input<'_>) -> Self {
        let mut ledger = Ledger::new(7);
        ledger.add_tenant(Tenant::new("acme").max_extensions(3));
        ledger.add_api_key(ApiKey::new(KEY, "acme"));
        let books = SCOPES.map(|scope| {
            let allocated = i64::from(input.byte()) * 4;
            let limit = i64::from(input.byte());
            ledger.add_budget(Budget::new(scope, Unit::Tokens, allocated).overdraft_limit(limit));
            Book {
                allocated: allocated.into(),
                held: 0,
                charged: 0,
                repaid: 0,
            }
        });
        Self {
            ledger,
            now: 1_795_000_000_000,
            keys: 0,
            books,
            reservations: Vec::new(),
            answered: Vec::new(),
        }
    }

    fn next(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 | 1 => self.reserve(input),
            2 | 3 => self.commit(input),
            4 => self.release(input),
            5 => self.extend(input),
            6 => self.event(input),
            7 => self.look(input),
            8 => self.again(input),
            9 => self.fund(input),
            10 => self.wait(input.number() % 200_000),
            _ => self.wait(u64::from(input.byte()) * 40),
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.ledger.tick(UnixMillis(self.now));
        self.swept();
    }

    /// Checks that reservations expire only after their grace period, and by the next sweep at the latest.
    fn swept(&mut self) {
        for reservation in self
            .reservations
            .iter_mut()
            .filter(|reservation| reservation.is_active)
        {
            let state = self
                .ledger
                .reservation(&reservation.id)
                .expect("it is kept for days");
            let ends = reservation.expires + reservation.grace;
            assert_eq!(state.expires_at_ms, reservation.expires as i64);
            match state.status {
                ReservationStatus::Active => assert!(self.now <= ends + SWEEP, "a hold without an end"),
                ReservationStatus::Expired => {
                    assert!(self.now > ends, "expired within its time");
                    reservation.is_active = false;
                    for book in &mut self.books[..=reservation.depth] {
                        book.held -= i128::from(reservation.hold);
                    }
                }
                _ => panic!("settled by nobody"),
            }
        }
    }

    fn reserve(&mut self, input: &mut Input<'_>) {
        let (depth, amount, policy) = (input.below(3), amount(input), input.one_of(&POLICIES));
        let ttl = 1_000 + u64::from(input.byte()) * 100;
        let grace = u64::from(input.byte()) * 20;
        let dry_run = input.one_in(6);
        let before = self.states();
        let body = format!(
            r#"{{"idempotency_key":"{}","subject":{},"action":{{"kind":"k","name":"n"}},"estimate":{{"unit":"TOKENS","amount":{amount}}},"ttl_ms":{ttl},"grace_period_ms":{grace},"overage_policy":"{policy}","dry_run":{dry_run}}}"#,
            self.key(),
            SUBJECTS[depth],
        );
        let (status, answer) = self.post("/v1/reservations", body);
        let blocked = before[..=depth].iter().any(|state| {
            state.remaining < amount || state.is_over_limit || (state.debt > 0 && state.overdraft_limit == 0)
        });
        if dry_run {
            assert_eq!((status, answer["decision"] == "DENY"), (200, blocked), "{answer}");
            assert_eq!(answer["reservation_id"], Value::Null);
            return assert_eq!(self.states(), before, "a dry run holds nothing");
        }
        assert_eq!(status, if blocked { 409 } else { 200 }, "{answer}");
        if status != 200 {
            return assert_eq!(self.states(), before);
        }
        let id = answer["reservation_id"]
            .as_str()
            .expect("it has a name")
            .to_owned();
        assert!(self.reservations.iter().all(|other| other.id != id));
        assert_eq!(answer["expires_at_ms"].as_u64(), Some(self.now + ttl));
        for book in &mut self.books[..=depth] {
            book.held += i128::from(amount);
        }
        self.reservations.push(Reservation {
            id,
            depth,
            hold: amount,
            policy,
            expires: self.now + ttl,
            grace,
            is_active: true,
        });
    }

    fn commit(&mut self, input: &mut Input<'_>) {
        let Some(at) = self.some(input) else { return };
        let actual = amount(input);
        let before = self.states();
        let body = format!(
            r#"{{"idempotency_key":"{}","actual":{{"unit":"TOKENS","amount":{actual}}}}}"#,
            self.key()
        );
        let path = format!("/v1/reservations/{}/commit", self.reservations[at].id);
        let (status, answer) = self.post(&path, body);
        let Reservation {
            depth, hold, policy, ..
        } = self.reservations[at];
        if self.is_over(at, status, &answer) {
            return assert_eq!(self.states(), before);
        }
        let charge = Charge {
            before: &before[..=depth],
            hold,
            actual,
            policy,
        };
        let Some(charged) = charge.expected() else {
            assert_eq!(status, 409, "{policy}: {answer}");
            return assert_eq!(self.states(), before);
        };
        assert_eq!(
            (status, answer["status"].as_str()),
            (200, Some("COMMITTED")),
            "{answer}"
        );
        assert_eq!(
            answer["charged"]["amount"].as_i64(),
            Some(charged),
            "{policy}: {answer}"
        );
        assert_eq!(
            answer["released"]["amount"].as_i64().unwrap_or(0),
            (hold - charged).max(0)
        );
        self.reservations[at].is_active = false;
        for book in &mut self.books[..=depth] {
            book.held -= i128::from(hold);
            book.charged += i128::from(charged);
        }
    }

    fn release(&mut self, input: &mut Input<'_>) {
        let Some(at) = self.some(input) else { return };
        let before = self.states();
        let body = format!(r#"{{"idempotency_key":"{}"}}"#, self.key());
        let path = format!("/v1/reservations/{}/release", self.reservations[at].id);
        let (status, answer) = self.post(&path, body);
        if self.is_over(at, status, &answer) {
            return assert_eq!(self.states(), before);
        }
        let Reservation { depth, hold, .. } = self.reservations[at];
        assert_eq!(
            (status, answer["released"]["amount"].as_i64()),
            (200, Some(hold)),
            "{answer}"
        );
        self.reservations[at].is_active = false;
        for book in &mut self.books[..=depth] {
            book.held -= i128::from(hold);
        }
    }

    fn extend(&mut self, input: &mut Input<'_>) {
        let Some(at) = self.some(input) else { return };
        let by = 1 + input.number() % 100_000;
        let before = self.states();
        let extensions = |desk: &Self| {
            desk.ledger
                .reservation(&desk.reservations[at].id)
                .map(|state| state.extensions)
        };
        let count = extensions(self);
        let body = format!(r#"{{"idempotency_key":"{}","extend_by_ms":{by}}}"#, self.key());
        let path = format!("/v1/reservations/{}/extend", self.reservations[at].id);
        let (status, answer) = self.post(&path, body);
        assert_eq!(self.states(), before, "an extension moves no money");
        if self.is_over(at, status, &answer) {
            return;
        }
        let expires = self.reservations[at].expires;
        if self.now > expires {
            return assert_eq!(status, 410, "extended after its end: {answer}");
        }
        if count == Some(3) {
            return assert_eq!(
                (status, answer["error"].as_str()),
                (409, Some("MAX_EXTENSIONS_EXCEEDED"))
            );
        }
        assert_eq!(answer["expires_at_ms"].as_u64(), Some(expires + by), "{answer}");
        assert_eq!(
            answer["remaining_ttl_ms"].as_u64(),
            Some(expires + by - self.now),
            "{answer}"
        );
        self.reservations[at].expires += by;
    }

    fn event(&mut self, input: &mut Input<'_>) {
        let (depth, actual, policy) = (input.below(3), amount(input), input.one_of(&POLICIES));
        let before = self.states();
        let body = format!(
            r#"{{"idempotency_key":"{}","subject":{},"action":{{"kind":"k","name":"n"}},"actual":{{"unit":"TOKENS","amount":{actual}}},"overage_policy":"{policy}"}}"#,
            self.key(),
            SUBJECTS[depth],
        );
        let (status, answer) = self.post("/v1/events", body);
        let is_short = policy == "REJECT" && before[..=depth].iter().any(|state| state.remaining < actual);
        let charge = Charge {
            before: &before[..=depth],
            hold: 0,
            actual,
            policy,
        };
        let expected = if policy == "REJECT" {
            Some(actual)
        } else {
            charge.expected()
        };
        let Some(charged) = expected.filter(|_| !is_short) else {
            assert_eq!(status, 409, "{policy}: {answer}");
            return assert_eq!(self.states(), before);
        };
        assert_eq!(
            (status, answer["status"].as_str()),
            (201, Some("APPLIED")),
            "{answer}"
        );
        assert_eq!(
            answer["charged"]["amount"].as_i64().unwrap_or(actual),
            charged,
            "{policy}: {answer}"
        );
        for book in &mut self.books[..=depth] {
            book.charged += i128::from(charged);
        }
    }

    fn look(&mut self, input: &mut Input<'_>) {
        let before = self.states();
        if let Some(at) = self.some(input) {
            let path = format!("/v1/reservations/{}", self.reservations[at].id);
            let (status, answer) = self.ask(Request::get(path), String::new());
            let Reservation { hold, is_active, .. } = self.reservations[at];
            if status == 410 {
                assert!(!is_active && answer["error"] == "RESERVATION_EXPIRED", "{answer}");
            } else {
                assert_eq!((status, answer["reserved"]["amount"].as_i64()), (200, Some(hold)));
                assert_eq!(answer["status"] == "ACTIVE", is_active, "{answer}");
            }
        }
        let (status, answer) = self.ask(Request::get("/v1/balances?tenant=acme"), String::new());
        assert_eq!(status, 200, "{answer}");
        for (scope, state) in SCOPES.iter().zip(before) {
            let rows = answer["balances"].as_array().expect("a list");
            let row = rows
                .iter()
                .find(|row| row["scope_path"] == *scope)
                .expect("every scope has a row");
            let said = |name: &str| row[name]["amount"].as_i64().unwrap_or(0);
            let all = [
                ("remaining", state.remaining),
                ("reserved", state.reserved),
                ("spent", state.spent),
            ];
            assert!(
                all.iter().all(|(name, amount)| said(name) == *amount),
                "{row} is not {state:?}"
            );
        }
        assert_eq!(self.states(), before, "a look changes nothing");
    }

    /// Repeats a request, or sends a different one under the same key.
    fn again(&mut self, input: &mut Input<'_>) {
        if self.answered.is_empty() {
            return;
        }
        let (path, body, first) = self.answered[input.below(self.answered.len().min(256))].clone();
        let mut first = read(&first);
        if path.ends_with("/extend") && first["expires_at_ms"].as_u64() < Some(self.now) {
            // The key is remembered only until the new expiry that the answer gave.
            return;
        }
        let before = self.states();
        let other = input.one_in(4);
        let news = match path.ends_with("/release") {
            true => r#"{"reason":"other","#,
            false => r#"{"metadata":{"other":1},"#,
        };
        let body = if other { body.replacen('{', news, 1) } else { body };
        let response = self.raw(Request::post(&path), body);
        assert_eq!(self.states(), before, "a repetition changes nothing");
        let answer = read(response.body());
        if other {
            return assert_eq!(
                (response.status().as_u16(), answer["error"].as_str()),
                (409, Some("IDEMPOTENCY_MISMATCH")),
                "{path}: {answer}"
            );
        }
        // The only member that depends on the present time.
        if !first["remaining_ttl_ms"].is_null() {
            first["remaining_ttl_ms"] = answer["remaining_ttl_ms"].clone();
        }
        assert_eq!(answer, first, "{path}");
    }

    fn fund(&mut self, input: &mut Input<'_>) {
        let (at, amount) = (input.below(3), i64::from(input.byte()));
        let before = self.states()[at];
        let funding = match input.below(4) {
            0 => Funding::Credit(amount),
            1 => Funding::Debit(amount),
            2 => Funding::Reset(amount * 8),
            _ => Funding::RepayDebt(amount),
        };
        let Ok(after) = self.ledger.fund(SCOPES[at], Unit::Tokens, funding) else {
            return assert_eq!(self.states()[at], before);
        };
        let repaid = if matches!(funding, Funding::RepayDebt(_)) {
            amount.min(before.debt)
        } else {
            0
        };
        self.books[at].repaid += i128::from(repaid);
        self.books[at].allocated += i128::from(match funding {
            Funding::Credit(_) => amount,
            Funding::Debit(_) => -amount,
            Funding::Reset(granted) => granted - before.allocated,
            _ => amount - repaid,
        });
        assert!(
            after.debt <= before.debt && after.spent == before.spent && after.reserved == before.reserved
        );
    }

    /// Compares the books kept here to the ledger's.
    fn balances(&mut self) {
        self.swept();
        for (book, state) in self.books.iter().zip(self.states()) {
            let (spent, debt) = (i128::from(state.spent), i128::from(state.debt));
            assert_eq!(spent + debt, book.charged - book.repaid, "{state:?}, {book:?}");
            assert_eq!(i128::from(state.reserved), book.held, "{state:?}, {book:?}");
            assert_eq!(i128::from(state.allocated), book.allocated, "{state:?}, {book:?}");
            let remaining = book.allocated - book.held - spent - debt;
            assert_eq!(i128::from(state.remaining), remaining, "{state:?}, {book:?}");
            assert!(
                state.spent >= 0 && state.reserved >= 0 && (0..=state.overdraft_limit).contains(&state.debt)
            );
        }
    }

    /// Whether the reservation no longer accepts anything; if so, checks that the answer says why.
    fn is_over(&self, at: usize, status: u16, answer: &Value) -> bool {
        let reservation = &self.reservations[at];
        let code = answer["error"].as_str();
        let state = self
            .ledger
            .reservation(&reservation.id)
            .expect("it is kept for days");
        let ends = reservation.expires + reservation.grace;
        if !reservation.is_active && state.status != ReservationStatus::Expired {
            assert_eq!((status, code), (409, Some("RESERVATION_FINALIZED")), "{answer}");
        } else if !reservation.is_active || self.now > ends {
            assert_eq!((status, code), (410, Some("RESERVATION_EXPIRED")), "{answer}");
        } else {
            return false;
        }
        true
    }

    fn states(&self) -> [BudgetState; 3] {
        SCOPES.map(|scope| self.ledger.budget(scope, Unit::Tokens).expect("it was added"))
    }

    fn some(&self, input: &mut Input<'_>) -> Option<usize> {
        let count = self.reservations.len();
        (count > 0).then(|| input.below(count))
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("k{}", self.keys)
    }
}

fn amount(input: &mut Input<'_>) -> i64 {
    i64::from(input.byte()) * [1, 1, 1, 8][input.below(4)]
}
