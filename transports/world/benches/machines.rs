//! A million live reservations under one timer heap in one thread:
//! `cargo bench -p cycles-world --bench machines`.
//!
//! It prints and asserts nothing: the figures depend on the machine. Answers are constants, so that no ledger
//! is measured. Two numbers may follow `--`: how many machines, and how many beats of each. Instructions are
//! counted by the difference of two runs:
//!
//! ```console
//! $ valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/machines-<hash> 1000 1
//! $ valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/deps/machines-<hash> 1000 11
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cycles_proto::models::{Action, Amount, ReservationCreateRequest, Subject};
use cycles_proto::{CyclesConfig, Lifecycle, Now, Seed, Step, UnixMillis};
use http::Response;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let (machines, rounds) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(3));

    let config = Arc::new(CyclesConfig::new("cyc_live_bench", "http://localhost:7878").unwrap());
    let resident = resident_bytes();
    let began = Instant::now();
    let mut fleet = Fleet::new(&config, machines);
    let created = began.elapsed();
    let grown = resident_bytes()
        .zip(resident)
        .map(|(after, before)| after - before);

    println!("| {machines} machines | each |");
    println!("|---|--:|");
    if let Some(bytes) = grown {
        println!(
            "| resident memory, with its place in the heap | {} bytes |",
            bytes / machines
        );
    }
    println!("| create, send, grant | {} |", each(created, machines));
    for round in 1..=rounds {
        let began = Instant::now();
        (0..machines).for_each(|_| fleet.beat());
        println!("| beat, round {round} | {} |", each(began.elapsed(), machines));
    }
}

/// Machines, and when each wants to be polled.
struct Fleet {
    machines: Vec<Lifecycle>,
    timers: BinaryHeap<Reverse<(Duration, usize)>>,
    extended: Response<Bytes>,
}

impl Fleet {
    fn new(config: &Arc<CyclesConfig>, size: usize) -> Self {
        let mut fleet = Self {
            machines: Vec::with_capacity(size),
            timers: BinaryHeap::with_capacity(size),
            extended: answer(EXTENDED),
        };
        let granted = answer(GRANTED);
        for index in 0..size {
            let seed = Seed((index as u128 + 1).wrapping_mul(MIXER).to_be_bytes());
            let mut machine = Lifecycle::new(Arc::clone(config), request(), seed).unwrap();
            // They start one after the other, so that their beats are spread.
            let wake = exchange(&mut machine, Duration::from_micros(index as u64), &granted);
            fleet.machines.push(machine);
            fleet.timers.push(Reverse((wake, index)));
        }
        fleet
    }

    /// The next beat that is due.
    fn beat(&mut self) {
        let Some(mut timer) = self.timers.peek_mut() else {
            return;
        };
        let Reverse((now, index)) = *timer;
        let wake = exchange(&mut self.machines[index], now, &self.extended);
        *timer = Reverse((wake, index));
    }
}

/// Sends what is due, hands in the answer, and says when there is more to do.
fn exchange(machine: &mut Lifecycle, now: Duration, response: &Response<Bytes>) -> Duration {
    let at = Now {
        mono: now,
        wall: UnixMillis(1_700_000_000_000),
    };
    loop {
        match machine.poll(at) {
            Step::Send(call) => machine.handle_response(at, call.ticket, now, response),
            Step::Wait(Some(wake)) => return wake,
            Step::Notify(event) => drop(event),
            step @ (Step::Wait(None) | Step::Store(..) | Step::Done) => panic!("{step:?}"),
        }
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

/// Resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

fn each(time: Duration, many: usize) -> String {
    format!("{} ns", time.as_nanos() / many.max(1) as u128)
}

/// Odd and without pattern, so that seeds look like the random ones of a program.
const MIXER: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

const GRANTED: &str = r#"{"decision":"ALLOW","reservation_id":"7b0c4e1c-9a4f-4a7e-8a52-6c3a2f1d9b10","affected_scopes":["tenant:acme-corp","tenant:acme-corp/workspace:production"],"expires_at_ms":1700000060000,"remaining_ttl_ms":60000,"scope_path":"tenant:acme-corp/workspace:production/app:support-desk/agent:support-bot-eu","reserved":{"unit":"USD_MICROCENTS","amount":2500000},"balances":[{"scope":"tenant:acme-corp","scope_path":"tenant:acme-corp","remaining":{"unit":"USD_MICROCENTS","amount":997500000},"reserved":{"unit":"USD_MICROCENTS","amount":2500000},"spent":{"unit":"USD_MICROCENTS","amount":0},"allocated":{"unit":"USD_MICROCENTS","amount":1000000000}}]}"#;

const EXTENDED: &str = r#"{"status":"ACTIVE","expires_at_ms":1700000120000,"remaining_ttl_ms":60000,"balances":[{"scope":"tenant:acme-corp","scope_path":"tenant:acme-corp","remaining":{"unit":"USD_MICROCENTS","amount":997500000},"reserved":{"unit":"USD_MICROCENTS","amount":2500000},"spent":{"unit":"USD_MICROCENTS","amount":0},"allocated":{"unit":"USD_MICROCENTS","amount":1000000000}}]}"#;
