//! The network: how long a call takes, and what goes wrong with it.

use std::time::Duration;

use bytes::Bytes;
use cycles_proto::{Call, Failure, FailureKind};
use cycles_sandbox::{Fault, Seed};
use http::Response;

use super::audit::AttemptResult;

/// The course of a call.
#[derive(Debug)]
pub(super) struct Delivery {
    /// How long after being sent the call reaches the ledger; two entries if a proxy repeats it.
    pub(super) arrives: Vec<Duration>,
    /// The source of the client's answer.
    pub(super) answer: Answer,
    /// How long the answer takes after the ledger has answered or, if the ledger never gets the call, after the call
    /// was sent.
    pub(super) way_back: Duration,
}

/// The source of the client's answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The ledger's answer.
    Ledger,
    /// A fixed answer; if the ledger gets the request, this comes after the ledger's answer and replaces it.
    Fixed(AttemptResult),
    /// The ledger's answer, changed by this fault.
    Spoilt(Fault),
    /// No answer.
    Silence,
}

impl Delivery {
    /// The course of a call while the server is down.
    pub(super) fn refused(dice: &mut Seed) -> Self {
        let kind = match dice.below(4) {
            0 => FailureKind::ConnectTimeout,
            1 => FailureKind::Dns,
            _ => FailureKind::Connect,
        };
        Self {
            arrives: Vec::new(),
            answer: Answer::Fixed(AttemptResult::Failure(Failure::new(kind))),
            way_back: latency(dice),
        }
    }

    /// The course of a call with this fault.
    pub(super) fn of(call: &Call, fault: Option<&Fault>, dice: &mut Seed) -> Self {
        let there = latency(dice);
        let back = latency(dice);
        // A gateway answers, so the ledger never gets the request.
        let before = |answer| Self {
            arrives: Vec::new(),
            answer,
            way_back: there + back,
        };
        let after = |answer| Self {
            arrives: vec![there],
            answer,
            way_back: back,
        };
        match fault {
            None => after(Answer::Ledger),
            Some(Fault::Delay(time)) => Self {
                arrives: vec![there.saturating_add(*time)],
                ..after(Answer::Ledger)
            },
            Some(Fault::Twice(gap)) => Self {
                arrives: vec![there, there.saturating_add(*gap)],
                ..after(Answer::Ledger)
            },
            Some(Fault::Drip(gap)) => Self {
                way_back: back.saturating_add(gap.saturating_mul(500)),
                ..after(Answer::Ledger)
            },
            Some(Fault::LoseRequest | Fault::ResetRequest) => before(lost(dice)),
            Some(Fault::LoseResponse | Fault::ResetResponse | Fault::Cut) => after(lost(dice)),
            Some(fault) => match fault.answer_instead(&call.request) {
                Some(response) => before(Answer::Fixed(AttemptResult::Response(response))),
                None => after(Answer::Spoilt(fault.clone())),
            },
        }
    }
}

impl Answer {
    /// The client's answer once the ledger has answered.
    pub(super) fn result(&self, response: Response<Bytes>) -> Option<AttemptResult> {
        match self {
            Self::Ledger => Some(AttemptResult::Response(response)),
            Self::Spoilt(fault) => Some(AttemptResult::Response(fault.spoil(response))),
            Self::Fixed(result) => Some(result.clone()),
            Self::Silence => None,
        }
    }
}

/// A lost connection, which the client notices at once or only at the deadline of the call.
fn lost(dice: &mut Seed) -> Answer {
    match dice.below(3) {
        0 => Answer::Silence,
        _ => Answer::Fixed(AttemptResult::Failure(Failure::new(FailureKind::Lost))),
    }
}

/// The latency in one direction: mostly a few milliseconds, sometimes almost a second.
fn latency(dice: &mut Seed) -> Duration {
    let longest = if dice.chance(0.1) { 900 } else { 60 };
    Duration::from_millis(1 + dice.below(longest))
}
