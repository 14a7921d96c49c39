//! A million live reservations of one session in one thread:
//! `cargo bench -p cycles-world --bench machines`.
//!
//! It prints figures and asserts nothing, because they depend on the machine. Answers are constants, so that the ledger
//! is not measured. Three optional numbers follow `--`: the reservations, the beats of each, and the polls while no
//! beat is due. Count instructions as the difference of two runs:
//!
//! ```console
//! $ valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/machines-<hash> 1000 1 0
//! $ valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/machines-<hash> 1000 11 0
//! $ valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/machines-<hash> 10000 0 1000
//! $ valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/machines-<hash> 10000 0 11000
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cycles_proto::models::{Action, Amount, ReservationCreateRequest, Subject};
use cycles_proto::session::{Caller, Session, Step};
use cycles_proto::{Call, CyclesConfig, Now, Seed, UnixMillis};
use http::Response;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let mut number = |default| numbers.next().unwrap_or(default);
    let (leases, rounds, polls) = (number(1_000_000), number(3), number(1_000_000));

    let config = CyclesConfig::builder("cyc_live_bench", "http://localhost:7878").journal_enabled(false);
    let config = Arc::new(config.build().unwrap());
    let resident = resident_bytes();
    let began = Instant::now();
    let mut fleet = Fleet::new(&config);
    (0..leases).for_each(|index| fleet.reserve(index));
    let created = began.elapsed();
    let grown = resident_bytes()
        .zip(resident)
        .map(|(after, before)| after - before);

    println!("| {leases} leases | each |");
    println!("|---|--:|");
    if let Some(bytes) = grown {
        println!(
            "| resident memory, with its place and its timer | {} bytes |",
            bytes / leases
        );
    }
    println!("| create, send, grant | {} |", each(created, leases));
    let began = Instant::now();
    for _ in 0..polls {
        assert!(matches!(fleet.session.poll(at(fleet.now)), Step::Wait(Some(_))));
    }
    println!("| a poll when none is due | {} |", each(began.elapsed(), polls));
    for round in 1..=rounds {
        let began = Instant::now();
        (0..leases).for_each(|_| fleet.beat());
        println!("| beat, round {round} | {} |", each(began.elapsed(), leases));
    }
}

/// A session and the time of its next poll.
struct Fleet {
    session: Session,
    caller: Caller,
    now: Duration,
    next: Duration,
    granted: Response<Bytes>,
    extended: Response<Bytes>,
}

impl Fleet {
    fn new(config: &Arc<CyclesConfig>) -> Self {
        let mut session = Session::new(Arc::clone(config), Seed([1; 16]));
        Self {
            caller: session.caller(Arc::clone(config)).unwrap(),
            session,
            now: Duration::ZERO,
            next: Duration::MAX,
            granted: answer(GRANTED),
            extended: answer(EXTENDED),
        }
    }

    /// Starts reservation number `index`. They start one after another, so that their beats are spread.
    fn reserve(&mut self, index: usize) {
        let seed = Seed((index as u128 + 1).wrapping_mul(MIXER).to_be_bytes());
        self.now = Duration::from_micros(index as u64);
        let reserved = self.session.reserve(at(self.now), &self.caller, request(), seed);
        self.exchange();
        // Takes the grant, as a waiting caller does.
        drop(self.session.granted(reserved.unwrap()));
    }

    /// Sends the next beat that is due.
    fn beat(&mut self) {
        self.now = self.next;
        self.exchange();
    }

    /// Sends the call that is due, reports its answer, and notes the time of the next step.
    fn exchange(&mut self) {
        let now = at(self.now);
        loop {
            match self.session.poll(now) {
                Step::Send(Call {
                    ticket,
                    reader,
                    request,
                    ..
                }) => {
                    self.session.begun(now, ticket);
                    let is_beat = request.uri().path().ends_with("/extend");
                    let response = if is_beat { &self.extended } else { &self.granted };
                    self.session.handle(now, ticket, reader.read(Ok(response)));
                }
                Step::Wait(next) => {
                    self.next = next.unwrap();
                    while self.session.pop_changed().is_some() {}
                    return;
                }
                Step::Notify(..) => {}
                step @ (Step::Withdraw(_) | Step::Store(..) | Step::Scan { .. } | Step::Unclaim(_)) => {
                    panic!("{step:?}")
                }
            }
        }
    }
}

fn at(mono: Duration) -> Now {
    Now {
        mono,
        wall: UnixMillis(1_700_000_000_000),
    }
}

fn request() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject {
            workspace: Some("production".to_owned()),
            app: Some("support-desk".to_owned()),
            agent: Some("support-bot-eu".to_owned()),
            ..Subject::tenant("acme-corp")
        })
        .action(Action::new("llm.completion", "gpt-4o").with_tags(["prod", "chat", "eu-west-1"]))
        .estimate(Amount::usd_microcents(2_500_000))
        .ttl_ms(60_000_u64)
        .build()
}

fn answer(body: &'static str) -> Response<Bytes> {
    Response::builder()
        .header("content-type", "application/json")
        .header("x-request-id", "0d0c4e1c-9a4f-4a7e-8a52-6c3a2f1d9b10")
        .header("x-cycles-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736")
        .header("x-cycles-tenant", "acme-corp")
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

/// The resident memory of this process, if the system reports it.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

fn each(time: Duration, many: usize) -> String {
    format!("{} ns", time.as_nanos() / many.max(1) as u128)
}

/// An odd number without a pattern, so that seeds look random.
const MIXER: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

const GRANTED: &str = r#"{"decision":"ALLOW","reservation_id":"7b0c4e1c-9a4f-4a7e-8a52-6c3a2f1d9b10","affected_scopes":["tenant:acme-corp","tenant:acme-corp/workspace:production"],"expires_at_ms":1700000060000,"remaining_ttl_ms":60000,"scope_path":"tenant:acme-corp/workspace:production/app:support-desk/agent:support-bot-eu","reserved":{"unit":"USD_MICROCENTS","amount":2500000},"balances":[{"scope":"tenant:acme-corp","scope_path":"tenant:acme-corp","remaining":{"unit":"USD_MICROCENTS","amount":997500000},"reserved":{"unit":"USD_MICROCENTS","amount":2500000},"spent":{"unit":"USD_MICROCENTS","amount":0},"allocated":{"unit":"USD_MICROCENTS","amount":1000000000}}]}"#;

const EXTENDED: &str = r#"{"status":"ACTIVE","expires_at_ms":1700000120000,"remaining_ttl_ms":60000,"balances":[{"scope":"tenant:acme-corp","scope_path":"tenant:acme-corp","remaining":{"unit":"USD_MICROCENTS","amount":997500000},"reserved":{"unit":"USD_MICROCENTS","amount":2500000},"spent":{"unit":"USD_MICROCENTS","amount":0},"allocated":{"unit":"USD_MICROCENTS","amount":1000000000}}]}"#;
