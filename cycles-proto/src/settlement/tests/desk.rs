//! A settlement in virtual time, with answers from a test.

use bytes::Bytes;
use http::Response;

use super::super::*;
use crate::journal::tests::record_of;
use crate::wire::Reader;

pub(super) const COMMITTED: &str = r#"{"status":"COMMITTED","charged":{"unit":"TOKENS","amount":5}}"#;
pub(super) const APPLIED: &str = r#"{"status":"APPLIED","event_id":"e"}"#;
pub(super) const WALL: u64 = 1_795_000_000_000;
pub(super) const DAY_MS: u64 = 86_400_000;
pub(super) const SEED: Seed = Seed([5; 16]);

pub(super) type Answered = Result<Response<Bytes>, FailureKind>;

/// A settlement, the time, and the steps that it asked for.
pub(super) struct Desk {
    pub(super) settlement: Settlement,
    pub(super) mono: Duration,
    pub(super) log: Vec<String>,
    pub(super) bodies: Vec<Bytes>,
    pub(super) keys: Vec<String>,
    pub(super) journal_works: bool,
    /// Whether writes survive a crash of the machine.
    pub(super) journal_is_durable: bool,
    /// How far the wall clock is ahead of that of the record's writer.
    pub(super) wall_ahead_ms: u64,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::of(Settlement::new(config(), record(), SEED, now(Duration::ZERO)))
    }

    /// The record of an earlier run, written this long ago.
    pub(super) fn resumed(record: JournalRecord, age_ms: u64, force: bool) -> Self {
        let now = Now {
            mono: Duration::ZERO,
            wall: UnixMillis(WALL + age_ms),
        };
        Self {
            wall_ahead_ms: age_ms,
            ..Self::of(Settlement::resume(config(), record, SEED, now, force))
        }
    }

    pub(super) fn of(settlement: Settlement) -> Self {
        let (log, bodies, keys) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            settlement,
            mono: Duration::ZERO,
            log,
            bodies,
            keys,
            journal_works: true,
            journal_is_durable: true,
            wall_ahead_ms: 0,
        }
    }

    /// Carries out all steps, gives `answers` to the calls in order, lets time pass as requested, and stops when there
    /// is nothing left to do or no answer left.
    pub(super) fn run(&mut self, answers: impl IntoIterator<Item = Answered>) -> &mut Self {
        let mut answers = answers.into_iter();
        for _ in 0..10_000 {
            match self.settlement.poll(self.now()) {
                Step::Send(call) => {
                    self.note_call(&call);
                    let Some(answer) = answers.next() else { return self };
                    self.mono += Duration::from_millis(5);
                    match answer {
                        Ok(response) => {
                            self.settlement
                                .handle_response(self.now(), call.ticket, &response);
                        }
                        Err(kind) => {
                            self.settlement
                                .handle_failure(self.now(), call.ticket, Failure::new(kind));
                        }
                    }
                }
                Step::Store(ticket, write) => {
                    self.log.push(describe(&write));
                    let stored = match (self.journal_works, self.journal_is_durable) {
                        (true, true) => Ok(()),
                        (true, false) => Err(StoreFailure::not_durable("no sync")),
                        (false, _) => Err(StoreFailure::new("disk full")),
                    };
                    self.settlement.handle_stored(ticket, stored);
                }
                Step::Notify(event) => self.log.push(match event {
                    Event::JournalFailed { failure, .. } => format!("journal failed: {}", failure.message),
                    Event::SettlementFailed {
                        retry_in: Some(_), ..
                    } => "failed, again".to_owned(),
                    Event::SettlementFailed { retry_in: None, .. } => "failed".to_owned(),
                    Event::SettlingByEvent { .. } => "by event".to_owned(),
                    Event::SetAside { reason, .. } => format!("told {reason:?}"),
                    Event::CostUnrecorded { .. } => "told unrecorded".to_owned(),
                    Event::ChargedLess { actual, charged, .. } => format!("{charged} of {actual}"),
                    Event::SettledLate { receipt, .. } => {
                        assert!(receipt.is_settled());
                        "settled late".to_owned()
                    }
                    other @ (Event::ReservingAgain { .. }
                    | Event::Granted { .. }
                    | Event::LeaseExtended { .. }
                    | Event::ExtendFailed { .. }
                    | Event::BeatFailed { .. }
                    | Event::HeartbeatStopped { .. }
                    | Event::LeaseLost { .. }
                    | Event::CostNotTaken { .. }
                    | Event::CostUnknown { .. }
                    | Event::UnknownCostLeft { .. }
                    | Event::CommitTrimmed { .. }
                    | Event::RecordUnreadable { .. }
                    | Event::SecondCost { .. }
                    | Event::RecordsElsewhere { .. }
                    | Event::PlaceWrittenOff { .. }
                    | Event::Panicked { .. }
                    | Event::Denied { .. }
                    | Event::NotReserved { .. }
                    | Event::Evaluated { .. }
                    | Event::Committed { .. }
                    | Event::Released { .. }
                    | Event::Expired { .. }
                    | Event::ShadowStarted { .. }
                    | Event::ShadowExhausted { .. }
                    | Event::Shadowed { .. }
                    | Event::ReleaseFailed { .. }) => panic!("no event of a settlement: {other:?}"),
                }),
                Step::Wait(Some(at)) => {
                    assert!(at > self.mono, "a wait that is over");
                    self.mono = at;
                }
                Step::Wait(None) => panic!("nothing outstanding: {:?}", self.settlement),
                Step::Done => return self,
            }
        }
        panic!("no end: {:?}", self.log)
    }

    /// The ticket of the attempt under way.
    pub(super) fn ticket(&self) -> Ticket {
        match &self.settlement.stage {
            Stage::InFlight(_, attempt) => attempt.ticket,
            other @ (Stage::Write(..) | Stage::Writing(..) | Stage::Attempt(..) | Stage::Done(_)) => {
                panic!("no attempt but {other:?}")
            }
        }
    }

    pub(super) fn now(&self) -> Now {
        let Now { mono, wall } = now(self.mono);
        Now {
            mono,
            wall: UnixMillis(wall.0 + self.wall_ahead_ms),
        }
    }

    pub(super) fn note_call(&mut self, call: &crate::wire::Call) {
        let request = &call.request;
        self.log
            .push(format!("{} {}", request.method(), request.uri().path()));
        if !request.body().is_empty() {
            self.bodies.push(request.body().clone());
            self.keys.push(
                request.headers()["x-idempotency-key"]
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }

    /// The log of steps, with the commit's path shortened.
    pub(super) fn log(&self) -> Vec<String> {
        let shorten = |line: &String| {
            line.replace("/v1/reservations/r-1", "r")
                .replace("/v1/events", "events")
        };
        self.log.iter().map(shorten).collect()
    }

    pub(super) fn outcome(&self) -> &Receipt {
        self.settlement.outcome().expect("an outcome")
    }

    /// Whether the cost is not settled, and safe in its record.
    pub(super) fn is_left_recorded(&self) -> bool {
        matches!(
            self.outcome(),
            Receipt::Pending {
                is_recorded: true,
                ..
            }
        )
    }
}

pub(super) fn now(mono: Duration) -> Now {
    Now {
        mono,
        wall: UnixMillis(WALL).saturating_add(mono),
    }
}

pub(super) fn config() -> Arc<CyclesConfig> {
    Arc::new(CyclesConfig::new("cyc_live_0123456789", "http://h").unwrap())
}

pub(super) fn record() -> JournalRecord {
    record_of("http://h", "r-1", "key-1")
}

pub(super) fn describe(write: &JournalWrite) -> String {
    match write {
        JournalWrite::Put(record) => {
            let floor = record.not_before(UnixMillis(WALL)).map(|at| at.0 - WALL);
            let floor = floor
                .map(|ms| format!(" not before {}s", ms / 1_000))
                .unwrap_or_default();
            format!("put {}{floor}", record.mode())
        }
        JournalWrite::PutRun(_) => "put the total".to_owned(),
        JournalWrite::PutMark(_) => "put the mark".to_owned(),
        JournalWrite::RemoveMark(_) => "remove the mark".to_owned(),
        JournalWrite::LeaveMark(_) => "leave the mark".to_owned(),
        JournalWrite::Remove(_) => "remove".to_owned(),
        JournalWrite::SetAside(_, Aside::Rejected) => "set aside rejected".to_owned(),
        JournalWrite::SetAside(_, Aside::Stale) => "set aside stale".to_owned(),
    }
}

pub(super) fn answer(status: u16, body: &str) -> Answered {
    Ok(Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap())
}

pub(super) fn throttled_for(seconds: u64) -> Answered {
    let response = Response::builder().status(429).header("retry-after", seconds);
    Ok(response.body(Bytes::new()).unwrap())
}

pub(super) fn refusal(status: u16, code: &str) -> Answered {
    answer(
        status,
        &format!(r#"{{"error":"{code}","message":"m","request_id":"q"}}"#),
    )
}

pub(super) fn detail(status: &str) -> Answered {
    detail_with(status, "")
}

/// A commit that was charged this many tokens.
pub(super) fn charged(tokens: i64) -> Answered {
    detail_with(
        "COMMITTED",
        &format!(r#","committed":{{"unit":"TOKENS","amount":{tokens}}}"#),
    )
}

fn detail_with(status: &str, more: &str) -> Answered {
    answer(
        200,
        &format!(
            r#"{{"reservation_id":"r-1","status":"{status}"{more},"subject":{{}},"action":{{"kind":"k","name":"n"}},"reserved":{{"unit":"TOKENS","amount":9}},"created_at_ms":1,"expires_at_ms":2,"scope_path":"s","affected_scopes":[]}}"#
        ),
    )
}

impl Settlement {
    /// Reports the response to a call.
    pub(super) fn handle_response(&mut self, now: Now, ticket: Ticket, response: &http::Response<Bytes>) {
        self.handle(now, ticket, self.reader().read(Ok(response)));
    }

    /// Reports that a call got no answer.
    pub(super) fn handle_failure(&mut self, now: Now, ticket: Ticket, failure: Failure) {
        self.handle(now, ticket, self.reader().read(Err(failure)));
    }

    fn reader(&self) -> Reader {
        Reader::new(self.config.api_key(), self.reads())
    }
}
