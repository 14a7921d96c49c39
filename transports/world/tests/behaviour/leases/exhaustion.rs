//! A reservation that needs more extensions than the ledger's default limit of ten.

use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Event;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{
    Action, Amount, CommitRequest, ErrorCode, ReservationCreateRequest, ReservationId, Subject,
};
use cycles_proto::outcome::Stop;
use cycles_proto::parts::{Reservation, Step};
use cycles_proto::{CyclesConfig, Now, Outcome, Receipt, Seed, UnixMillis};
use cycles_sandbox::{
    ApiKey, Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Ledger, Tenant, Unit,
};

const TTL: Duration = Duration::from_secs(60);
const RTT: Duration = Duration::from_millis(20);

#[test]
fn after_ten_extensions_the_heartbeat_stops_and_says_so_and_the_cost_is_charged_by_an_event() {
    let mut run = Run::new();
    let ended = run.until(Duration::from_secs(24 * 60 * 60));
    assert!(matches!(ended, Step::Wait(None)), "the action runs on: {ended:?}");

    let [(told, stopped)] = run.stops.as_slice() else {
        panic!("{:?}", run.stops)
    };
    let Event::HeartbeatStopped {
        reservation_id,
        reason,
        error,
        lease_lasts,
        ..
    } = stopped
    else {
        panic!("{stopped:?}")
    };
    let state = run.ledger.reservation(reservation_id.as_str()).unwrap();
    assert_eq!((state.extensions, run.extended), (10, 10));
    assert_eq!(*reason, Stop::Refused);
    let code = error.as_ref().and_then(|error| error.error_code());
    assert_eq!(code, Some(ErrorCode::MaxExtensionsExceeded));

    // The event tells how long the lease lasts: eleven times the time to live in total.
    let ends = *told + lease_lasts.unwrap();
    assert!(ends <= TTL * 11 && ends + RTT >= TTL * 11, "{ends:?}");
    assert_eq!(run.lost, [(ends, reservation_id.clone())]);

    // A day later the action ends.
    let cost = CommitRequest::builder().actual(Amount::tokens(420)).build();
    run.machine.commit(run.reading(), cost).unwrap();
    let ended = run.until(Duration::from_secs(25 * 60 * 60));
    assert!(matches!(ended, Step::Done), "{ended:?}");
    let outcome = run.machine.outcome().unwrap();
    assert!(
        matches!(outcome, Outcome::Settled(Receipt::RecoveredViaEvent(_))),
        "{outcome:?}"
    );
    assert_eq!(run.settled, ["put", "/commit", "put", "/v1/events", "remove"]);
    let books = run.ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap();
    assert_eq!((books.spent, books.reserved), (420, 0));
}

/// One reservation on a ledger with its default settings.
struct Run {
    machine: Reservation,
    ledger: Ledger,
    now: Duration,
    extended: u64,
    stops: Vec<(Duration, Event)>,
    lost: Vec<(Duration, ReservationId)>,
    /// The records and calls of the settlement.
    settled: Vec<&'static str>,
}

impl Run {
    fn new() -> Self {
        let mut ledger = Ledger::new(1);
        ledger.add_tenant(Tenant::new(DEFAULT_TENANT));
        ledger.add_api_key(ApiKey::new(DEFAULT_API_KEY, DEFAULT_TENANT));
        ledger.add_budget(Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, 1_000_000));
        let config = CyclesConfig::new(DEFAULT_API_KEY, "http://ledger").unwrap();
        let request = ReservationCreateRequest::builder()
            .subject(Subject::tenant(DEFAULT_TENANT))
            .action(Action::new("llm.completion", "gpt-4o"))
            .estimate(Amount::tokens(1_000))
            .ttl_ms(60_000_u64)
            .build();
        Self {
            machine: Reservation::new(Arc::new(config), request, Seed([7; 16])).unwrap(),
            ledger,
            now: Duration::ZERO,
            extended: 0,
            stops: Vec::new(),
            lost: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Runs the machine until it has nothing left to do, which must be by `end`; then the time is `end`.
    fn until(&mut self, end: Duration) -> Step {
        loop {
            match self.machine.poll(self.reading()) {
                Step::Send(call) => {
                    let path = call.request.uri().path();
                    self.settled.extend(
                        ["/commit", "/v1/events"]
                            .into_iter()
                            .find(|end| path.ends_with(end)),
                    );
                    let sent = self.now;
                    self.now += RTT / 2;
                    let response = self.ledger.handle(self.reading().wall, &call.request);
                    self.now += RTT / 2;
                    self.machine
                        .handle_response(self.reading(), call.ticket, sent, &response);
                }
                Step::Store(ticket, write) => {
                    self.settled.push(match write {
                        JournalWrite::Put(_) => "put",
                        JournalWrite::PutRun(_) => "put the total",
                        JournalWrite::PutMark(_)
                        | JournalWrite::RemoveMark(_)
                        | JournalWrite::LeaveMark(_) => "change the mark",
                        JournalWrite::Remove(_) => "remove",
                        JournalWrite::SetAside(..) => "set aside",
                    });
                    self.machine.handle_stored(self.reading(), ticket, Ok(()));
                }
                Step::Notify(event @ Event::HeartbeatStopped { .. }) => self.stops.push((self.now, event)),
                Step::Notify(Event::LeaseExtended { .. }) => self.extended += 1,
                Step::Notify(Event::LeaseLost { reservation_id, .. }) => {
                    self.lost.push((self.now, reservation_id));
                }
                Step::Notify(_) => {}
                Step::Wait(Some(at)) => {
                    assert!(at > self.now && at <= end, "{at:?}");
                    self.now = at;
                }
                step @ (Step::Wait(None) | Step::Done) => {
                    self.now = end;
                    return step;
                }
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
