//! The steps that a session asks its driver for.

use core::time::Duration;
use std::collections::BTreeSet;

use super::caller::{ObserverId, Principal};
use crate::journal::{JournalRecord, JournalWrite, RecordId};
use crate::outcome::Event;
use crate::ticket::Ticket;
use crate::wire::Call;

/// The next thing to do. A step is handed out once. Steps may run concurrently, and their results may be reported in
/// any order.
#[derive(Clone, Debug)]
#[must_use = "a step is handed out once; dropping it stalls what waits for it"]
pub enum Step {
    /// Make this call. Report its [beginning](super::Session::begun) right before its first byte, and then its
    /// [result](super::Session::handle).
    Send(Call),
    /// Nobody waits for this call any more: do not begin it or, if it has begun, close its connection. Then report its
    /// result, which frees its place.
    Withdraw(Ticket),
    /// Change this principal's journal, and [report](super::Session::handle_stored) once the change is durable. Make
    /// the changes of one reservation in the order of their steps.
    Store(Ticket, Principal, JournalWrite),
    /// Claim this principal's journal, read it, and [report](super::Session::handle_scanned) its contents.
    Scan {
        /// The ticket to report under.
        ticket: Ticket,
        /// The principal that the journal belongs to.
        principal: Principal,
        /// Whether to add, after the others, the records that were set aside as [stale](crate::outcome::Aside::Stale).
        with_stale: bool,
    },
    /// Give back the claim to this principal's journal: none of its records is being settled.
    Unclaim(Principal),
    /// Pass this event to this observer; there is nothing to report back.
    Notify(ObserverId, Event),
    /// Poll again at this time, or after the next report or caller action; with `None`, only after one of those.
    Wait(Option<Duration>),
}

/// The contents of a journal.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scanned {
    /// The records to settle.
    pub records: Vec<JournalRecord>,
    /// The number of files that were quarantined: they may be records, but they are not valid.
    pub quarantined: usize,
    /// The number of files that may be records but could not be read.
    pub unread: usize,
    /// The marks that other clients left, of actions that may have cost something. Nobody knows how much.
    pub unknown: BTreeSet<RecordId>,
    /// Whether this process took the claim before it read the records. At most one process has the claim and settles
    /// the records. A process without the claim leaves the records, for half a minute, to the process that has it.
    pub has_claim: bool,
    /// Events about what the scan found.
    pub events: Vec<Event>,
}

impl Scanned {
    /// Creates the result of a scan with these records, with or without the claim.
    pub fn new(records: Vec<JournalRecord>, has_claim: bool) -> Self {
        Self {
            records,
            has_claim,
            ..Self::default()
        }
    }
}
