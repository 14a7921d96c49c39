//! What a session asks of its driver.

use core::time::Duration;

use super::caller::{ObserverId, Principal};
use crate::journal::{JournalRecord, JournalWrite};
use crate::outcome::Event;
use crate::ticket::Ticket;
use crate::wire::Call;

/// The next thing to do. A step is handed out once; what is asked may be done side by side with everything else, and
/// reported in whatever order it ends.
#[derive(Clone, Debug)]
#[must_use = "a step is handed out once; dropping it stalls what waits for it"]
pub enum Step {
    /// Make this call. Say that it [begins](super::Session::begun) right before its first byte, and
    /// [what came of it](super::Session::handle).
    Send(Call),
    /// Nobody waits for this call any more: do not begin it, or close its connection, and say what came of it. Its place
    /// is free then.
    Withdraw(Ticket),
    /// Change this principal's journal, and [say](super::Session::handle_stored) once the change is durable. Changes of
    /// one reservation are made in this order.
    Store(Ticket, Principal, JournalWrite),
    /// Claim this principal's journal, read it, and [say](super::Session::handle_scanned) what is there.
    Scan {
        /// To be reported under.
        ticket: Ticket,
        /// Whose journal it is.
        principal: Principal,
        /// Whether those are wanted too, after the others, that were set aside as
        /// [stale](crate::outcome::Aside::Stale).
        with_stale: bool,
    },
    /// Give back the claim to this principal's journal: nothing of it is being settled.
    Unclaim(Principal),
    /// Tell this observer; nothing is reported back.
    Notify(ObserverId, Event),
    /// Poll again at this time, or when something was reported or asked; with `None` only then.
    Wait(Option<Duration>),
}

/// What there is in a journal.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scanned {
    /// The records to be settled.
    pub records: Vec<JournalRecord>,
    /// How many files that may be records were set aside, because they are none.
    pub set_aside: usize,
    /// How many files that may be records could not be read.
    pub unread: usize,
    /// Whether the claim to them was had, before they were read: at most one process has it, and settles what is there.
    /// Without it they are left to whoever has it for half a minute.
    pub has_claim: bool,
    /// What is to be told of what was found.
    pub events: Vec<Event>,
}

impl Scanned {
    /// These records, with a claim to them or without.
    pub fn new(records: Vec<JournalRecord>, has_claim: bool) -> Self {
        Self {
            records,
            has_claim,
            ..Self::default()
        }
    }
}
