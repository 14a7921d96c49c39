//! What becomes of a call on its way: how long it takes, and what goes wrong.

use std::time::Duration;

use bytes::Bytes;
use cycles_proto::{Call, Failure, FailureKind};
use cycles_sandbox::{Fault, Seed};
use http::Response;

use super::audit::Heard;

/// What becomes of a call.
#[derive(Debug)]
pub(super) struct Fate {
    /// When the ledger gets it, from when it was sent; twice if a proxy repeats it.
    pub(super) arrives: Vec<Duration>,
    /// How the client's answer comes about.
    pub(super) answer: Answer,
    /// How long an answer takes from the ledger, or from when the call was sent if the ledger had no part in it.
    pub(super) way_back: Duration,
}

/// What the client hears.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// What the ledger says.
    Ledger,
    /// This, whatever the ledger says, and after it if it is asked.
    Fixed(Heard),
    /// What the ledger says, spoilt by this fault.
    Spoilt(Fault),
    /// Nothing.
    Silence,
}

impl Fate {
    /// A call while the server is down.
    pub(super) fn refused(dice: &mut Seed) -> Self {
        let kind = match dice.below(4) {
            0 => FailureKind::ConnectTimeout,
            1 => FailureKind::Dns,
            _ => FailureKind::Connect,
        };
        Self {
            arrives: Vec::new(),
            answer: Answer::Fixed(Heard::Failure(Failure::new(kind))),
            way_back: latency(dice),
        }
    }

    /// A call under this fault.
    pub(super) fn of(call: &Call, fault: Option<&Fault>, dice: &mut Seed) -> Self {
        let there = latency(dice);
        let back = latency(dice);
        // Somebody on the way answers, and the ledger sees nothing.
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
                Some(response) => before(Answer::Fixed(Heard::Response(response))),
                None => after(Answer::Spoilt(fault.clone())),
            },
        }
    }
}

impl Answer {
    /// What the client hears once the ledger has answered.
    pub(super) fn heard(&self, response: Response<Bytes>) -> Option<Heard> {
        match self {
            Self::Ledger => Some(Heard::Response(response)),
            Self::Spoilt(fault) => Some(Heard::Response(fault.spoil(response))),
            Self::Fixed(heard) => Some(heard.clone()),
            Self::Silence => None,
        }
    }
}

/// A connection that is gone is noticed at once, or only when the time for the call is over.
fn lost(dice: &mut Seed) -> Answer {
    match dice.below(3) {
        0 => Answer::Silence,
        _ => Answer::Fixed(Heard::Failure(Failure::new(FailureKind::Lost))),
    }
}

/// One way: mostly a few milliseconds, now and then much of a second.
fn latency(dice: &mut Seed) -> Duration {
    let longest = if dice.chance(0.1) { 900 } else { 60 };
    Duration::from_millis(1 + dice.below(longest))
}
