//! A machine between the driver and a good one, which tampers with what passes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cycles_proto::lifecycle::{Grant, InvalidCommit, Lifecycle, Outcome, ReleaseReason, Released};
use cycles_proto::models::{Action, Amount, CommitRequest, JsonObject, ReleaseResponse, Subject};
use cycles_proto::record::{JournalRecord, Purpose};
use cycles_proto::step::{Event, JournalWrite, StoreFailure};
use cycles_proto::{Call, Failure, Now, Receipt, Step, Ticket, UnixMillis};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, Operation};
use cycles_world::Machine;
use http::header::HeaderValue;
use http::{Response, Uri};

/// What a saboteur does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    SendsBeforeStore,
    NewKeyOnRetry,
    NewKeyAfterRestart,
    OtherBytesOnRetry,
    ImpatientAfterThrottling,
    ForgetsToStorePause,
    CommitsInsteadOfReleasing,
    ChargesMore,
    BelievesEvery410,
    LivesInThePast,
    ReleasesAfterOpenCommit,
    WaitsInThePast,
    WaitsForEver,
    Repeats,
    NeverDone,
    BeatsWithoutPause,
    SwallowsBeatFailures,
    GivesUpWithTheHeartbeat,
    SwallowsJournalFailures,
    SwallowsUntakenCosts,
    SwallowsShortfalls,
    HidesThatACostIsNowhere,
    RemovesRecordFirst,
    WritesWhatCannotBeRead,
    LeavesSettledRecord,
    LeavesRefusedRecord,
    GivesUpWithTheFirstFailure,
    ClaimsToHaveCommitted,
    ClaimsToHaveReleased,
    TellsTheKey,
    CountsPolls,
}

#[derive(Debug)]
pub(crate) struct Saboteur {
    inner: Lifecycle,
    sabotage: Sabotage,
    is_resumed: bool,
    polls: Option<u64>,
    settlements: u32,
    was_throttled: bool,
    was_extended: bool,
    has_failed: bool,
    has_journal: bool,
    open_commit: Option<Call>,
    has_told: bool,
    lie: Option<Outcome>,
}

impl Saboteur {
    pub(crate) fn new(inner: Lifecycle, sabotage: Sabotage) -> Self {
        // A machine that begins with a record has no reservation to make.
        let is_resumed = format!("{inner:?}").contains("phase: Resumed");
        let lie = match sabotage {
            Sabotage::ClaimsToHaveCommitted => Some(Outcome::Settled(Receipt::Committed(None))),
            Sabotage::ClaimsToHaveReleased => {
                let reply = r#"{"status":"RELEASED","released":{"unit":"TOKENS","amount":1}}"#;
                let reply: ReleaseResponse = serde_json::from_str(reply).unwrap();
                Some(Outcome::Released(Released::Confirmed(Box::new(reply))))
            }
            _ => None,
        };
        Self {
            inner,
            sabotage,
            is_resumed,
            polls: (sabotage == Sabotage::CountsPolls).then_some(0),
            settlements: 0,
            was_throttled: false,
            was_extended: false,
            has_failed: false,
            has_journal: false,
            open_commit: None,
            has_told: false,
            lie,
        }
    }

    /// The time as the machine behind is told when it is asked what to do.
    fn told(&self, now: Now) -> Now {
        const DAYS_MS: u64 = 5 * 86_400_000;
        match self.sabotage {
            Sabotage::LivesInThePast if self.is_resumed => Now {
                wall: UnixMillis(now.wall.0 - DAYS_MS),
                ..now
            },
            _ => now,
        }
    }

    fn tamper(&mut self, now: Now, step: Step) -> Step {
        match (self.sabotage, step) {
            (Sabotage::SendsBeforeStore, Step::Store(ticket, JournalWrite::Put(_))) => {
                self.inner.handle_stored(now, ticket, Ok(()));
                self.inner.poll(now)
            }
            (Sabotage::LeavesSettledRecord, Step::Store(ticket, JournalWrite::Remove(_)))
            | (Sabotage::LeavesRefusedRecord, Step::Store(ticket, JournalWrite::SetAside(..))) => {
                self.inner.handle_stored(now, ticket, Ok(()));
                self.inner.poll(now)
            }
            (Sabotage::RemovesRecordFirst, Step::Store(ticket, JournalWrite::Put(record))) => {
                Step::Store(ticket, JournalWrite::Remove(record.id().clone()))
            }
            (Sabotage::WritesWhatCannotBeRead, Step::Store(ticket, JournalWrite::Put(record))) => {
                Step::Store(ticket, JournalWrite::Put(unreadable(&record)))
            }
            (Sabotage::ForgetsToStorePause, Step::Store(ticket, JournalWrite::Put(record))) => {
                Step::Store(ticket, JournalWrite::Put(record.with_not_before(UnixMillis(0))))
            }
            (_, Step::Send(call)) => self.tamper_call(call),
            (Sabotage::ImpatientAfterThrottling, Step::Wait(Some(at))) if self.was_throttled => {
                self.was_throttled = false;
                self.inner.poll(Now { mono: at, ..now })
            }
            (Sabotage::BeatsWithoutPause, Step::Wait(Some(at))) if self.was_extended => {
                self.was_extended = false;
                self.inner.poll(Now { mono: at, ..now })
            }
            (Sabotage::WaitsInThePast, Step::Wait(Some(_))) => Step::Wait(Some(now.mono)),
            (Sabotage::WaitsForEver, Step::Wait(Some(_))) if self.has_failed => Step::Wait(None),
            (Sabotage::HidesThatACostIsNowhere, Step::Done)
                if !self.has_journal
                    && self
                        .inner
                        .receipt()
                        .is_some_and(|receipt| receipt.is_unrecorded()) =>
            {
                self.lie = Some(Outcome::Settled(Receipt::Stale));
                Step::Done
            }
            (Sabotage::NeverDone, Step::Done) => Step::Wait(Some(Duration::MAX)),
            (Sabotage::GivesUpWithTheFirstFailure, Step::Wait(_)) if self.has_failed => Step::Done,
            (
                Sabotage::SwallowsBeatFailures,
                Step::Notify(Event::BeatFailed { .. } | Event::HeartbeatStopped { .. }),
            )
            | (Sabotage::SwallowsJournalFailures, Step::Notify(Event::JournalFailed { .. }))
            | (Sabotage::SwallowsUntakenCosts, Step::Notify(Event::CostNotTaken { .. }))
            | (Sabotage::SwallowsShortfalls, Step::Notify(Event::ChargedLess { .. })) => self.poll(now),
            (Sabotage::GivesUpWithTheHeartbeat, Step::Notify(event @ Event::BeatFailed { .. })) => {
                self.inner.abandon(now);
                Step::Notify(event)
            }
            (Sabotage::BeatsWithoutPause, Step::Notify(event @ Event::LeaseExtended { .. })) => {
                self.was_extended = true;
                Step::Notify(event)
            }
            (_, step) => step,
        }
    }

    fn tamper_call(&mut self, mut call: Call) -> Step {
        let operation = Operation::of(call.request.method(), call.request.uri().path());
        if !matches!(operation, Operation::CommitReservation | Operation::CreateEvent) {
            return Step::Send(call);
        }
        self.settlements += 1;
        let is_retry = self.settlements > 1;
        match self.sabotage {
            Sabotage::NewKeyOnRetry if is_retry => rename(&mut call, "again"),
            Sabotage::NewKeyAfterRestart if self.is_resumed => rename(&mut call, "restarted"),
            Sabotage::OtherBytesOnRetry if is_retry => {
                let text = String::from_utf8_lossy(call.request.body()).replacen('{', "{ ", 1);
                *call.request.body_mut() = Bytes::from(text);
            }
            Sabotage::ChargesMore => {
                let text =
                    String::from_utf8_lossy(call.request.body()).replace("\"amount\":", "\"amount\":1");
                *call.request.body_mut() = Bytes::from(text);
            }
            Sabotage::ReleasesAfterOpenCommit if operation == Operation::CommitReservation => {
                self.open_commit = Some(call.clone());
            }
            _ => {}
        }
        Step::Send(call)
    }
}

/// Sends a settlement under another key, in the header and in the body.
fn rename(call: &mut Call, suffix: &str) {
    let header = call.request.headers_mut().get_mut("x-idempotency-key").unwrap();
    let key = header.to_str().unwrap().to_owned();
    let other = format!("{key}-{suffix}");
    *header = HeaderValue::from_str(&other).unwrap();
    let text = String::from_utf8_lossy(call.request.body()).replace(&key, &other);
    *call.request.body_mut() = Bytes::from(text);
}

/// The record of the same cost, with more beside it than any reader takes.
fn unreadable(record: &JournalRecord) -> JournalRecord {
    let commit = CommitRequest::builder()
        .actual(record.actual().unwrap())
        .metadata(JsonObject::new().with("transcript", "x".repeat(JournalRecord::LARGEST / 2)))
        .build();
    let purpose = Purpose {
        subject: Subject::tenant(DEFAULT_TENANT),
        action: Action::new("k", "n"),
    };
    let (url, id) = (record.base_url(), record.id());
    JournalRecord::new(
        url,
        &id.reservation,
        &Arc::new(purpose),
        id.key.clone(),
        commit,
        record.recorded_at(),
    )
    .unwrap()
}

/// A release of the reservation that was to be committed.
fn released(mut call: Call) -> Call {
    let uri = call.request.uri().to_string().replace("/commit", "/release");
    *call.request.uri_mut() = uri.parse::<Uri>().unwrap();
    let key = call.request.headers()["x-idempotency-key"].to_str().unwrap();
    *call.request.body_mut() = Bytes::from(format!(r#"{{"idempotency_key":"{key}"}}"#));
    call
}

impl Machine for Saboteur {
    fn poll(&mut self, now: Now) -> Step {
        if let Some(polls) = &mut self.polls {
            *polls += 1;
        }
        if self.sabotage == Sabotage::TellsTheKey && !self.has_told {
            self.has_told = true;
            return Step::Notify(Event::record_unreadable(
                "v2-1.json",
                format!("of {DEFAULT_API_KEY}"),
            ));
        }
        if self.has_failed
            && let Some(call) = self.open_commit.take()
        {
            return Step::Send(released(call));
        }
        let told = self.told(now);
        let step = self.inner.poll(told);
        if let (Sabotage::Repeats, Step::Wait(_)) = (self.sabotage, &step) {
            return Step::Notify(Event::record_unreadable("v2-1.json", "again and again"));
        }
        self.tamper(told, step)
    }

    fn handle_response(&mut self, now: Now, ticket: Ticket, sent: Duration, response: &Response<Bytes>) {
        self.was_throttled |= response.status() == 429;
        self.has_failed |= self.settlements > 0 && response.status().is_server_error();
        if self.sabotage == Sabotage::BelievesEvery410 && response.status() == 410 {
            let mut named = response.clone();
            *named.body_mut() =
                Bytes::from_static(br#"{"error":"RESERVATION_EXPIRED","message":"m","request_id":"r"}"#);
            return self.inner.handle_response(now, ticket, sent, &named);
        }
        self.inner.handle_response(now, ticket, sent, response);
    }

    fn handle_failure(&mut self, now: Now, ticket: Ticket, sent: Option<Duration>, failure: Failure) {
        self.has_failed |= self.settlements > 0;
        self.inner.handle_failure(now, ticket, sent, failure);
    }

    fn handle_stored(&mut self, now: Now, ticket: Ticket, stored: Result<(), StoreFailure>) {
        self.has_journal = true;
        self.inner.handle_stored(now, ticket, stored);
    }

    fn spent(&mut self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.inner.spent(amount)
    }

    fn commit(&mut self, now: Now, request: CommitRequest) -> Result<(), InvalidCommit> {
        self.inner.commit(now, request)
    }

    fn release(&mut self, now: Now, reason: ReleaseReason) {
        if self.sabotage == Sabotage::CommitsInsteadOfReleasing {
            let request = CommitRequest::builder().actual(Amount::tokens(1)).build();
            let _ = self.inner.commit(now, request);
        }
        self.inner.release(now, reason);
    }

    fn abandon(&mut self, now: Now) {
        self.inner.abandon(now);
    }

    fn extend(&mut self, by: Duration) -> Option<Ticket> {
        self.inner.extend(by)
    }

    fn grant(&self) -> Option<&Grant> {
        self.inner.grant()
    }

    fn outcome(&self) -> Option<&Outcome> {
        match (&self.lie, self.inner.outcome()) {
            (Some(lie), Some(_)) => Some(lie),
            (None, None) if self.sabotage == Sabotage::GivesUpWithTheFirstFailure => Some(&NOTHING),
            (_, outcome) => outcome,
        }
    }

    fn receipt(&self) -> Option<Receipt> {
        match &self.lie {
            Some(Outcome::Settled(receipt)) if self.sabotage == Sabotage::HidesThatACostIsNowhere => {
                Some(receipt.clone())
            }
            _ => self.inner.receipt(),
        }
    }
}

/// What is said instead of how the cost stands.
static NOTHING: Outcome = Outcome::Released(Released::NothingHeld);
