//! What a live reservation costs in memory: few enough bytes that a program can hold a million of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use cycles_proto::models::{Action, Amount, ReservationCreateRequest, Subject};
use cycles_proto::parts::{Lifecycle, Step};
use cycles_proto::{CyclesConfig, Now, Seed, UnixMillis};
use cycles_sandbox::{
    ApiKey, Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Ledger, Tenant, Unit,
};

/// 1.2 KiB.
const MOST_BYTES: i64 = 1_228;

#[test]
fn a_live_reservation_holds_at_most_1_2_kib_all_told() {
    let mut life = Life::new();
    let granted = life.idle();
    assert!(granted.machine.grant().is_some());
    let bytes = bytes_of(granted);
    println!(
        "{bytes} bytes, {} of them the machine itself",
        size_of::<Lifecycle>()
    );
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn beats_leave_nothing_behind() {
    let mut life = Life::new();
    let mut life = life.idle();
    for _ in 0..8 {
        let due = life.wake;
        life.now = due;
        life = life.idle();
        assert!(life.wake > due, "a beat");
    }
    let bytes = bytes_of(life);
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn polling_an_idle_machine_allocates_nothing() {
    let mut life = Life::new();
    let life = life.idle();
    for tenths in 0..10 {
        life.now = life.wake * tenths / 10;
        let now = life.reading();
        let mut step = Step::Done;
        let info = measure(|| step = life.machine.poll(now));
        assert!(matches!(step, Step::Wait(Some(_))), "{step:?}");
        assert_eq!((info.count_total, info.bytes_total), (0, 0));
    }
}

/// What comes back when the machine is dropped: everything that it holds and nobody else does.
fn bytes_of(life: &mut Life) -> i64 {
    let other = Life::new().machine;
    let machine = std::mem::replace(&mut life.machine, other);
    let info = measure(|| drop(machine));
    assert_eq!(Arc::strong_count(&life.config), 1, "the machine is gone");
    -info.bytes_current
}

/// One reservation on a ledger, with nothing left out that a program usually says.
struct Life {
    machine: Box<Lifecycle>,
    /// All machines of a program share it.
    config: Arc<CyclesConfig>,
    ledger: Ledger,
    now: Duration,
    /// When the machine wants to be polled again.
    wake: Duration,
}

impl Life {
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
            machine: Box::new(Lifecycle::new(Arc::clone(&config), request, Seed([7; 16])).unwrap()),
            config,
            ledger,
            now: Duration::ZERO,
            wake: Duration::ZERO,
        }
    }

    /// Does what is due, until there is nothing but to wait.
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
        Now {
            mono: self.now,
            wall: UnixMillis(1_700_000_000_000).saturating_add(self.now),
        }
    }
}
