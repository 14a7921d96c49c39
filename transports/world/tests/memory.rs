//! The memory that a live reservation needs: little enough for a program to hold a million of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::wildcard_enum_match_arm)]

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use cycles_proto::models::{Action, Amount, ReservationCreateRequest, Subject};
use cycles_proto::parts::{Reservation, Step};
use cycles_proto::session::{self, Session};
use cycles_proto::{CyclesConfig, Now, Seed, UnixMillis};
use cycles_sandbox::{
    ApiKey, Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Ledger, Tenant, Unit,
};

/// 1.2 KiB.
const MOST_BYTES: i64 = 1_228;

#[test]
fn a_live_reservation_holds_at_most_1_2_kib_all_told() {
    let mut reservation = ReservationOnLedger::new();
    let granted = reservation.idle();
    assert!(granted.machine.grant().is_some());
    let bytes = bytes_of(granted);
    println!(
        "{bytes} bytes, {} of them the machine itself",
        size_of::<Reservation>()
    );
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn beats_leave_nothing_behind() {
    let mut reservation = ReservationOnLedger::new();
    let mut reservation = reservation.idle();
    for _ in 0..8 {
        let due = reservation.wake;
        reservation.now = due;
        reservation = reservation.idle();
        assert!(reservation.wake > due, "a beat");
    }
    let bytes = bytes_of(reservation);
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn polling_an_idle_machine_allocates_nothing() {
    let mut reservation = ReservationOnLedger::new();
    let reservation = reservation.idle();
    for tenths in 0..10 {
        reservation.now = reservation.wake * tenths / 10;
        let now = reservation.reading();
        let mut step = Step::Done;
        let info = measure(|| step = reservation.machine.poll(now));
        assert!(matches!(step, Step::Wait(Some(_))), "{step:?}");
        assert_eq!((info.count_total, info.bytes_total), (0, 0));
    }
}

#[test]
fn polling_a_session_of_10_000_leases_of_which_none_is_due_allocates_nothing() {
    let reservation = ReservationOnLedger::new();
    let mut ledger = reservation.ledger;
    let (mut session, caller) = session();
    let at = |ms: u64| reading(Duration::from_millis(ms));
    for number in 0..10_000_u64 {
        let seed = Seed(u128::from(number + 1).to_be_bytes());
        session
            .reserve(at(number), &caller, small_request(), seed)
            .unwrap();
        while let session::Step::Send(call) = next_but_events(&mut session, at(number)) {
            session.begun(at(number), call.ticket);
            let response = ledger.handle(at(number).wall, &call.request);
            session.handle(at(number), call.ticket, call.reader.read(Ok(&response)));
        }
    }
    let mut step = session::Step::Wait(None);
    let info = measure(|| step = session.poll(at(10_000)));
    assert!(matches!(step, session::Step::Wait(Some(_))), "{step:?}");
    assert_eq!((info.count_total, info.bytes_total), (0, 0));
}

#[test]
fn an_event_that_nobody_watches_allocates_nothing() {
    let reservation = ReservationOnLedger::new();
    let mut ledger = reservation.ledger;
    let (mut session, caller) = session();
    let mut now = reading(Duration::ZERO);
    let mut seen = Vec::with_capacity(64);
    let mut wake = Duration::ZERO;
    // The first life makes the room that later ones use.
    for life in 0..3_u64 {
        seen.clear();
        let seed = Seed(u128::from(life + 1).to_be_bytes());
        let key = session.reserve(now, &caller, small_request(), seed).unwrap();
        for act in 0..3 {
            match act {
                1 => now = reading(wake),
                2 => session.abandon(now, key),
                _ => {}
            }
            loop {
                let mut step = session::Step::Wait(None);
                let info = measure(|| step = session.poll(now));
                match step {
                    session::Step::Notify(_, event) => seen.push((event.kind(), info.count_total)),
                    session::Step::Send(call) => {
                        session.begun(now, call.ticket);
                        let response = ledger.handle(now.wall, &call.request);
                        session.handle(now, call.ticket, call.reader.read(Ok(&response)));
                    }
                    session::Step::Wait(at) => {
                        wake = at.unwrap_or_default();
                        break;
                    }
                    step => panic!("{step:?}"),
                }
            }
        }
    }
    // The grant's response is shared with the caller, and was made when the answer was read.
    assert_eq!(seen, [("granted", 0), ("lease_extended", 0), ("released", 0)]);
}

/// A session without a journal.
fn session() -> (Session, session::Caller) {
    let config = CyclesConfig::builder(DEFAULT_API_KEY, "http://localhost:7878").journal_enabled(false);
    let config = Arc::new(config.build().unwrap());
    let mut session = Session::new(Arc::clone(&config), Seed([1; 16]));
    let caller = session.caller(config).unwrap();
    (session, caller)
}

/// A small estimate, so that ten thousand of them fit into the budget.
fn small_request() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant(DEFAULT_TENANT))
        .action(Action::new("llm.completion", "gpt-4o"))
        .estimate(Amount::usd_microcents(1))
        .ttl_ms(600_000_u64)
        .build()
}

fn next_but_events(session: &mut Session, now: Now) -> session::Step {
    loop {
        match session.poll(now) {
            session::Step::Notify(..) => {}
            step => return step,
        }
    }
}

fn reading(mono: Duration) -> Now {
    Now {
        mono,
        wall: UnixMillis(1_700_000_000_000).saturating_add(mono),
    }
}

/// The memory that is freed when the machine is dropped: everything that only it owns.
fn bytes_of(reservation: &mut ReservationOnLedger) -> i64 {
    let other = ReservationOnLedger::new().machine;
    let machine = std::mem::replace(&mut reservation.machine, other);
    let info = measure(|| drop(machine));
    assert_eq!(Arc::strong_count(&reservation.config), 1, "the machine is gone");
    -info.bytes_current
}

/// One reservation on a ledger, with all the settings that a program usually has.
struct ReservationOnLedger {
    machine: Box<Reservation>,
    /// All machines of a program share it.
    config: Arc<CyclesConfig>,
    ledger: Ledger,
    now: Duration,
    /// The time of the machine's next poll.
    wake: Duration,
}

impl ReservationOnLedger {
    fn new() -> Self {
        let mut ledger = Ledger::new(1);
        ledger.add_tenant(Tenant::new(DEFAULT_TENANT));
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        for scope in [DEFAULT_TENANT_SCOPE, "tenant:acme-corp/workspace:production"] {
            ledger.add_budget(Budget::new(scope, Unit::UsdMicrocents, 1_000_000_000));
        }
        let config = Arc::new(CyclesConfig::new(DEFAULT_API_KEY, "http://localhost:7878").unwrap());
        let request = ReservationCreateRequest::builder()
            .subject(Subject {
                workspace: Some("production".to_owned()),
                app: Some("support-desk".to_owned()),
                agent: Some("support-bot-eu".to_owned()),
                ..Subject::tenant(DEFAULT_TENANT)
            })
            .action(
                Action::new("llm.completion", "claude-sonnet-4-20250514").with_tags([
                    "prod",
                    "chat",
                    "eu-west-1",
                ]),
            )
            .estimate(Amount::usd_microcents(2_500_000))
            .ttl_ms(60_000_u64)
            .build();
        Self {
            machine: Box::new(Reservation::new(Arc::clone(&config), request, Seed([7; 16])).unwrap()),
            config,
            ledger,
            now: Duration::ZERO,
            wake: Duration::ZERO,
        }
    }

    /// Executes everything that is due, until the machine waits.
    fn idle(&mut self) -> &mut Self {
        loop {
            match self.machine.poll(self.reading()) {
                Step::Send(call) => {
                    let sent = self.now;
                    self.now += Duration::from_millis(20);
                    let response = self.ledger.handle(self.reading().wall, &call.request);
                    assert_eq!(response.status(), 200, "{response:?}");
                    self.machine
                        .handle_response(self.reading(), call.ticket, sent, &response);
                }
                Step::Notify(_) => {}
                Step::Wait(Some(wake)) => {
                    self.wake = wake;
                    return self;
                }
                step @ (Step::Wait(None) | Step::Store(..) | Step::Done) => panic!("{step:?}"),
            }
        }
    }

    fn reading(&self) -> Now {
        reading(self.now)
    }
}
