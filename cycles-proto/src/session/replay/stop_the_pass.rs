//! Decides when a pass over the journal stops early. The reasons are refusals that every record would get, and pauses
//! that the server asks for. Only answers to replayed costs count, and only the replay pauses.

use core::time::Duration;

use crate::backoff::LONGEST_PAUSE;
use crate::models::ErrorCode;
use crate::outcome::Error;
use crate::time::Now;

/// How many records in a row must get the same answer before the others are left for later, because they would get it
/// too.
const MOST: u8 = 3;

/// The latest answers in a pass that were not about the records themselves.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    last: Option<Refusal>,
    times: u8,
    /// The end of the pause that the server requested for the API key. This also holds up later passes.
    paused_until: Duration,
}

/// An answer that is not about the record that was sent.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The API key is refused.
    Key,
    Throttled,
    /// The answer came from something between this client and the server, or the server is not a Cycles server.
    Foreign(u16),
    /// An error code that this version does not know.
    Unknown(u16, ErrorCode),
}

impl Refusals {
    pub(super) fn begin_pass(&mut self) {
        (self.last, self.times) = (None, 0);
    }

    /// Notes the last answer to a record, or that the record was settled.
    pub(super) fn note(&mut self, now: Now, error: Option<&Error>) {
        let refusal = error.and_then(Refusal::of);
        if refusal == Some(Refusal::Throttled)
            && let Some(pause) = error.and_then(Error::retry_after)
        {
            let until = now.mono.saturating_add(pause.min(LONGEST_PAUSE));
            self.paused_until = self.paused_until.max(until);
        }
        self.times = match &refusal {
            None => 0,
            same if *same == self.last => self.times.saturating_add(1),
            Some(_) => 1,
        };
        self.last = refusal;
    }

    /// Whether the rest of the pass is left for later.
    pub(super) fn stop_the_pass(&self, now: Now) -> bool {
        self.times >= MOST || self.pause(now).is_some()
    }

    /// The time until which to send nothing, if the server asks for a pause.
    pub(super) fn pause(&self, now: Now) -> Option<Duration> {
        Some(self.paused_until).filter(|until| *until > now.mono)
    }
}

impl Refusal {
    fn of(error: &Error) -> Option<Self> {
        let status = error.status()?;
        match error.code() {
            _ if error.is_auth_error() => Some(Self::Key),
            _ if status == 429 => Some(Self::Throttled),
            Some(code) if code.is_throttling() => Some(Self::Throttled),
            None => Some(Self::Foreign(status)),
            Some(code) if !code.is_known() && !error.is_denied() => Some(Self::Unknown(status, code.clone())),
            Some(_) => None,
        }
    }
}
