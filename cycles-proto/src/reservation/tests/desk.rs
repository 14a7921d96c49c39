//! A reservation in virtual time, with answers from a test.

use crate::journal::record::JournalRecord;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use super::super::*;
use crate::journal::JournalWrite;
use crate::models::{Action, Subject};
pub(super) use crate::outcome::Released;
use crate::outcome::{Aside, Event};
use crate::time::UnixMillis;
use crate::wire::Call;

pub(super) const KEY: &str = "cyc_live_0123456789";
pub(super) const SEED: Seed = Seed([5; 16]);
pub(super) const WALL: u64 = 1_795_000_000_000;
pub(super) const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;
pub(super) const RELEASED: &str = r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":9}}"#;
pub(super) const APPLIED: &str = r#"{"status":"APPLIED","event_id":"e"}"#;

pub(super) type Answered = Result<Response<Bytes>, FailureKind>;

/// The behaviour of a test's journal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    Works,
    Fails,
    Silent,
}

/// A reservation, the time, and the steps that it asked for.
pub(super) struct Desk {
    pub(super) reservation: Reservation,
    pub(super) mono: Duration,
    pub(super) log: Vec<String>,
    pub(super) calls: Vec<Call>,
    /// Calls without an answer so far, each with the time at which it was sent.
    pub(super) open: VecDeque<(Call, Duration)>,
    pub(super) events: Vec<Event>,
    /// The last events of the reservation, which are not in the log.
    pub(super) ends: Vec<Event>,
    /// Changes of the journal without a report so far.
    pub(super) stores: Vec<(Ticket, JournalWrite)>,
    pub(super) records: Vec<JournalRecord>,
    pub(super) journal: Journal,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with(config(), reserve())
    }

    pub(super) fn with(config: CyclesConfig, request: ReservationCreateRequest) -> Self {
        Self::of(Reservation::new(Arc::new(config), request, SEED).unwrap())
    }

    pub(super) fn of(reservation: Reservation) -> Self {
        Self {
            reservation,
            mono: Duration::ZERO,
            log: Vec::new(),
            calls: Vec::new(),
            open: VecDeque::new(),
            events: Vec::new(),
            ends: Vec::new(),
            stores: Vec::new(),
            records: Vec::new(),
            journal: Journal::Works,
        }
    }

    /// A desk with a held reservation of a minute.
    pub(super) fn held() -> Self {
        Self::held_with(config(), 60_000)
    }

    pub(super) fn held_with(config: CyclesConfig, ttl_ms: u64) -> Self {
        let mut request = reserve();
        request.ttl_ms = Some(ttl_ms);
        let mut desk = Self::with(config, request);
        desk.run([granted(ttl_ms)]);
        desk.log.clear();
        desk.calls.clear();
        desk.events.clear();
        desk
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: self.mono,
            wall: UnixMillis(WALL).saturating_add(self.mono),
        }
    }

    /// Carries out all steps that are due, without letting time pass. Returns when the reservation wants to be polled
    /// next.
    pub(super) fn settle(&mut self) -> Option<Duration> {
        for _ in 0..1_000 {
            match self.reservation.poll(self.now()) {
                Step::Send(call) => {
                    let request = &call.request;
                    self.log
                        .push(short(&format!("{} {}", request.method(), request.uri().path())));
                    self.calls.push(call.clone());
                    self.open.push_back((call, self.mono));
                }
                Step::Store(ticket, write) => {
                    self.log.push(describe(&write));
                    if let JournalWrite::Put(record) = &write {
                        self.records.push(record.clone());
                    }
                    match self.journal {
                        Journal::Works => self.reservation.handle_stored(self.now(), ticket, Ok(())),
                        Journal::Fails => {
                            let failure = StoreFailure::new("disk full");
                            self.reservation.handle_stored(self.now(), ticket, Err(failure));
                        }
                        Journal::Silent => self.stores.push((ticket, write)),
                    }
                }
                Step::Notify(event) if tell(&event) == "end" => self.ends.push(event),
                Step::Notify(event) => {
                    self.log.push(tell(&event).to_owned());
                    self.events.push(event);
                }
                Step::Wait(Some(at)) => {
                    assert!(
                        at > self.mono,
                        "a wait that is over: {at:?}, it is {:?}",
                        self.mono
                    );
                    return Some(at);
                }
                Step::Wait(None) => {
                    let is_outstanding = !self.open.is_empty() || !self.stores.is_empty();
                    assert!(
                        is_outstanding || self.reservation.grant().is_some(),
                        "nothing is outstanding"
                    );
                    return None;
                }
                Step::Done => return None,
            }
        }
        panic!("it asks without end: {:?}", self.log)
    }

    /// Gives `answers` to the calls in order, each after 5 ms, and lets time pass as the reservation asks, until there
    /// is no answer left.
    pub(super) fn run(&mut self, answers: impl IntoIterator<Item = Answered>) -> &mut Self {
        for answer in answers {
            while let (Some(at), true) = (self.settle(), self.open.is_empty()) {
                self.mono = at;
            }
            assert!(!self.open.is_empty(), "nobody wants {answer:?}: {:?}", self.log);
            self.mono += Duration::from_millis(5);
            self.reply(answer);
        }
        self.settle();
        self
    }

    /// Answers the oldest open call.
    pub(super) fn reply(&mut self, answer: Answered) {
        let (call, sent) = self.open.pop_front().expect("an open call");
        self.hand_in(call.ticket, sent, answer);
    }

    pub(super) fn hand_in(&mut self, ticket: Ticket, sent: Duration, answer: Answered) {
        let now = self.now();
        match answer {
            Ok(response) => self.reservation.handle_response(now, ticket, sent, &response),
            Err(kind) => self
                .reservation
                .handle_failure(now, ticket, Some(sent), Failure::new(kind)),
        }
    }

    /// Lets time pass, without any answers.
    pub(super) fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.mono + time;
        while let Some(at) = self.settle().filter(|at| *at <= end) {
            self.mono = at;
        }
        self.mono = end;
        self.settle();
        self
    }

    pub(super) fn pass_s(&mut self, seconds: u64) -> &mut Self {
        self.pass(Duration::from_secs(seconds))
    }

    pub(super) fn commit(&mut self, tokens: i64) -> Result<(), InvalidCommit> {
        self.reservation.commit(self.now(), cost(tokens))
    }

    pub(super) fn release(&mut self) {
        self.reservation.release(self.now(), ReleaseReason::ACTION_FAILED);
    }

    /// Returns the log since the last time.
    pub(super) fn log(&mut self) -> Vec<String> {
        self.settle();
        core::mem::take(&mut self.log)
    }

    pub(super) fn outcome(&self) -> &Outcome {
        self.reservation.outcome().expect("an outcome")
    }

    pub(super) fn receipt(&self) -> Receipt {
        let Outcome::Settled(receipt) = self.outcome() else {
            panic!("not settled: {:?}", self.outcome())
        };
        receipt.clone()
    }

    pub(super) fn error(&self) -> &Error {
        let Outcome::NotReserved(error) = self.outcome() else {
            panic!("no error: {:?}", self.outcome())
        };
        error
    }

    pub(super) fn is_done(&mut self) -> bool {
        self.settle();
        matches!(self.reservation.poll(self.now()), Step::Done)
    }

    /// The body of the last call to a path with this end.
    pub(super) fn body(&self, end: &str) -> serde_json::Value {
        serde_json::from_slice(self.bodies(end).last().expect("a call")).unwrap()
    }

    pub(super) fn bodies(&self, end: &str) -> Vec<Bytes> {
        let calls = self.calls.iter();
        calls
            .filter(|call| call.request.uri().path().ends_with(end))
            .map(|call| call.request.body().clone())
            .collect()
    }

    pub(super) fn keys(&self, end: &str) -> Vec<String> {
        let key = |body: &Bytes| {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            body["idempotency_key"].as_str().unwrap().to_owned()
        };
        self.bodies(end).iter().map(key).collect()
    }
}

pub(super) fn config() -> CyclesConfig {
    CyclesConfig::new(KEY, "http://h").unwrap()
}

pub(super) fn reserve() -> ReservationCreateRequest {
    ReservationCreateRequest::builder()
        .subject(Subject::tenant("acme"))
        .action(Action::new("llm.completion", "m"))
        .estimate(Amount::tokens(9))
        .build()
}

pub(super) fn cost(tokens: i64) -> CommitRequest {
    CommitRequest::builder().actual(Amount::tokens(tokens)).build()
}

pub(super) fn answer(status: u16, body: &str) -> Answered {
    Ok(Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap())
}

pub(super) fn ok(body: &str) -> Answered {
    answer(200, body)
}

pub(super) fn committed(charged: i64) -> Answered {
    ok(&format!(
        r#"{{"status":"COMMITTED","charged":{{"unit":"TOKENS","amount":{charged}}}}}"#
    ))
}

pub(super) fn refusal(status: u16, code: &str) -> Answered {
    answer(
        status,
        &format!(r#"{{"error":"{code}","message":"m","request_id":"q"}}"#),
    )
}

pub(super) fn throttled(seconds: u64) -> Answered {
    let response = Response::builder().status(429).header("retry-after", seconds);
    Ok(response.body(Bytes::new()).unwrap())
}

/// A grant of `r-1` with this much time left.
pub(super) fn granted(remaining_ms: u64) -> Answered {
    decided("ALLOW", "r-1", remaining_ms)
}

pub(super) fn decided(decision: &str, id: &str, remaining_ms: u64) -> Answered {
    ok(&format!(
        r#"{{"decision":"{decision}","reservation_id":"{id}","affected_scopes":[],"expires_at_ms":{},"remaining_ttl_ms":{remaining_ms}}}"#,
        WALL + remaining_ms
    ))
}

pub(super) fn extended(remaining_ms: u64) -> Answered {
    ok(&format!(
        r#"{{"status":"ACTIVE","expires_at_ms":{},"remaining_ttl_ms":{remaining_ms}}}"#,
        WALL + 7_000
    ))
}

pub(super) fn detail(status: &str) -> Answered {
    ok(&format!(
        r#"{{"reservation_id":"r-1","status":"{status}","subject":{{}},"action":{{"kind":"k","name":"n"}},"reserved":{{"unit":"TOKENS","amount":9}},"created_at_ms":1,"expires_at_ms":{},"scope_path":"s","affected_scopes":[]}}"#,
        WALL + 90_000
    ))
}

fn describe(write: &JournalWrite) -> String {
    match write {
        JournalWrite::Put(record) => format!("put {}", record.mode()),
        JournalWrite::PutRun(_) => "put the total".to_owned(),
        JournalWrite::PutMark(_) => "put the mark".to_owned(),
        JournalWrite::RemoveMark(_) => "remove the mark".to_owned(),
        JournalWrite::LeaveMark(_) => "leave the mark".to_owned(),
        JournalWrite::Remove(_) => "remove".to_owned(),
        JournalWrite::SetAside(_, Aside::Rejected) => "set aside rejected".to_owned(),
        JournalWrite::SetAside(_, Aside::Stale) => "set aside stale".to_owned(),
    }
}

fn tell(event: &Event) -> &'static str {
    match event {
        Event::ReservingAgain { .. } => "reserving again",
        Event::Granted { .. } => "granted",
        Event::LeaseExtended { .. } => "extended",
        Event::ExtendFailed { .. } => "extend failed",
        Event::BeatFailed { .. } => "beat failed",
        Event::HeartbeatStopped { .. } => "heartbeat stopped",
        Event::LeaseLost { .. } => "lease lost",
        Event::CostNotTaken { .. } => "not taken",
        Event::UnknownCostLeft { .. } => "unknown cost left",
        Event::CostUnknown { .. } => "unknown",
        Event::CommitTrimmed { .. } => "trimmed",
        Event::JournalFailed { .. } => "journal failed",
        Event::RecordUnreadable { .. } => "unreadable",
        Event::SecondCost { .. } => "second cost",
        Event::RecordsElsewhere { .. } => "records elsewhere",
        Event::CostUnrecorded { .. } => "told unrecorded",
        Event::SettlementFailed { .. } => "commit failed",
        Event::SettledLate { .. } => "settled late",
        Event::ChargedLess { .. } => "charged less",
        Event::SettlingByEvent { .. } => "by event",
        Event::SetAside { .. } => "told aside",
        Event::ReleaseFailed { .. } => "release failed",
        Event::PlaceWrittenOff { .. } => "place written off",
        Event::Panicked { .. } => "panicked",
        Event::ShadowStarted { .. } => "shadow started",
        Event::ShadowExhausted { .. } => "shadow exhausted",
        Event::Denied { .. }
        | Event::NotReserved { .. }
        | Event::Evaluated { .. }
        | Event::Committed { .. }
        | Event::Released { .. }
        | Event::Expired { .. }
        | Event::Shadowed { .. } => "end",
    }
}

/// Shortens paths for the tests.
fn short(line: &str) -> String {
    line.replace("/v1/reservations/", "").replace("/v1/", "")
}
