//! Work in the driver's hands: attempts, writes and scans that are not reported yet.

use core::time::Duration;
use std::collections::VecDeque;

use super::caller::Principal;
use super::idle_connections::Since;
use super::places::Priority;
use super::slab::{Slab, SlabKey};
use crate::journal::record::RecordId;
use crate::ticket::Ticket;
use crate::wire::Call;

/// One piece of work in the driver's hands.
#[derive(Debug)]
pub(super) enum Outstanding {
    Attempt(Attempt),
    Write(Write),
    Reading(JournalRead),
}

/// One attempt at a call.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) of: Of,
    /// The ticket within its reservation or call.
    pub(super) inner: Ticket,
    pub(super) priority: Priority,
    /// Whether its answer may contain a grant, which is given back if nobody waits for it any more.
    pub(super) asks_for_a_reservation: bool,
    pub(super) state: State,
    /// How long it may take once it has a place.
    pub(super) timeout: Duration,
    /// Its deadline, which is set when it gets a place.
    pub(super) end: Duration,
    pub(super) since: Since,
    /// When its step was handed out.
    pub(super) handed_out: Option<Duration>,
    /// When its first byte was sent.
    pub(super) begun: Option<Duration>,
    pub(super) timer: Option<Duration>,
}

/// What an attempt belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Reservation(SlabKey),
    Call(SlabKey),
}

#[derive(Debug)]
pub(super) enum State {
    /// It waits for a place.
    Queued(Box<Call>),
    /// It has a place.
    Placed,
    /// It has a place, but nobody waits for its answer.
    Withdrawn,
    /// It did not give its place back in time.
    WrittenOff,
}

/// A scan of a journal.
#[derive(Debug)]
pub(super) struct JournalRead {
    pub(super) principal: Principal,
    pub(super) inner: Ticket,
    pub(super) timer: Option<Duration>,
}

/// One change to a journal.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) reservation: SlabKey,
    pub(super) principal: Principal,
    pub(super) inner: Ticket,
    /// The record that it creates, if any.
    pub(super) puts: Option<Box<RecordId>>,
    /// The mark that it leaves for a person, if any.
    pub(super) leaves: Option<Box<RecordId>>,
    /// Whether it is overdue, so that nothing waits for it any more.
    pub(super) is_late: bool,
    pub(super) timer: Option<Duration>,
}

/// All work in the driver's hands.
#[derive(Debug)]
pub(super) struct OutstandingWork {
    known: Slab<Outstanding>,
    /// How many attempts were handed out and are not taken out yet.
    in_flight: usize,
    /// Attempts whose places were written off, but whose answers may still contain a grant.
    written_off: VecDeque<SlabKey>,
}

/// How many attempts with written-off places are remembered. A late grant for an attempt that is no longer remembered
/// stays held until its lease ends.
const REMEMBERED: usize = 1_024;

impl OutstandingWork {
    pub(super) const fn new() -> Self {
        Self {
            known: Slab::new(),
            in_flight: 0,
            written_off: VecDeque::new(),
        }
    }

    pub(super) fn insert(&mut self, outstanding: Outstanding) -> SlabKey {
        self.known.insert(outstanding)
    }

    pub(super) fn attempt(&mut self, key: SlabKey) -> Option<&mut Attempt> {
        match self.known.get_mut(key)? {
            Outstanding::Attempt(attempt) => Some(attempt),
            Outstanding::Write(_) | Outstanding::Reading(_) => None,
        }
    }

    /// Marks an attempt as handed out to the driver. Returns `false` if it is gone.
    pub(super) fn hand_out(&mut self, key: SlabKey, now: Duration) -> bool {
        let Some(attempt) = self.attempt(key) else {
            return false;
        };
        let is_first = attempt.handed_out.replace(now).is_none();
        self.in_flight += usize::from(is_first);
        true
    }

    /// How many attempts are in the driver's hands.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn write(&mut self, key: SlabKey) -> Option<&mut Write> {
        match self.known.get_mut(key)? {
            Outstanding::Write(write) => Some(write),
            Outstanding::Attempt(_) | Outstanding::Reading(_) => None,
        }
    }

    pub(super) fn get(&self, key: SlabKey) -> Option<&Outstanding> {
        self.known.get(key)
    }

    pub(super) fn take_attempt(&mut self, key: SlabKey) -> Option<Attempt> {
        self.attempt(key)?;
        match self.known.remove(key)? {
            Outstanding::Attempt(attempt) => {
                self.in_flight -= usize::from(attempt.handed_out.is_some());
                Some(attempt)
            }
            Outstanding::Write(_) | Outstanding::Reading(_) => None,
        }
    }

    pub(super) fn take_write(&mut self, key: SlabKey) -> Option<Write> {
        self.write(key)?;
        match self.known.remove(key)? {
            Outstanding::Write(write) => Some(write),
            Outstanding::Attempt(_) | Outstanding::Reading(_) => None,
        }
    }

    pub(super) fn reading(&mut self, key: SlabKey) -> Option<&mut JournalRead> {
        match self.known.get_mut(key)? {
            Outstanding::Reading(reading) => Some(reading),
            Outstanding::Attempt(_) | Outstanding::Write(_) => None,
        }
    }

    pub(super) fn take_reading(&mut self, key: SlabKey) -> Option<JournalRead> {
        self.reading(key)?;
        match self.known.remove(key)? {
            Outstanding::Reading(reading) => Some(reading),
            Outstanding::Attempt(_) | Outstanding::Write(_) => None,
        }
    }

    /// Remembers a written-off attempt, so that a late grant is given back. Forgets and returns the oldest one if there
    /// are too many.
    pub(super) fn remember_written_off(&mut self, key: SlabKey) -> Option<(SlabKey, Attempt)> {
        self.written_off.push_back(key);
        let oldest = (self.written_off.len() > REMEMBERED).then(|| self.written_off.pop_front())??;
        Some((oldest, self.take_attempt(oldest)?))
    }

    /// Whether a record of this reservation is being written.
    pub(super) fn has_record_of(&self, reservation: SlabKey) -> bool {
        let is_its = |outstanding: &Outstanding| matches!(outstanding, Outstanding::Write(write) if write.puts.is_some() && write.reservation == reservation);
        self.known.iter().any(|(_, outstanding)| is_its(outstanding))
    }

    /// Whether all writes have been reported.
    pub(super) fn is_written(&self) -> bool {
        let is_write = |outstanding: &Outstanding| matches!(outstanding, Outstanding::Write(_));
        !self.known.iter().any(|(_, outstanding)| is_write(outstanding))
    }

    /// Whether the session waits for a write.
    pub(super) fn awaits_writes(&self) -> bool {
        let is_awaited =
            |outstanding: &Outstanding| matches!(outstanding, Outstanding::Write(write) if !write.is_late);
        self.known.iter().any(|(_, outstanding)| is_awaited(outstanding))
    }

    /// Whether the session waits for a write of this reservation.
    pub(super) fn awaits_write_of(&self, reservation: SlabKey) -> bool {
        let is_its = |outstanding: &Outstanding| matches!(outstanding, Outstanding::Write(write) if !write.is_late && write.reservation == reservation);
        self.known.iter().any(|(_, outstanding)| is_its(outstanding))
    }

    /// Whether the session waits for nothing. Attempts whose places were written off and overdue writes do not count,
    /// because they may never be reported.
    pub(super) fn is_empty(&self) -> bool {
        self.known.iter().all(|(_, outstanding)| match outstanding {
            Outstanding::Attempt(attempt) => matches!(attempt.state, State::WrittenOff),
            Outstanding::Write(write) => write.is_late,
            Outstanding::Reading(_) => false,
        })
    }

    /// Whether the driver has something to report: a request that was handed out, an awaited write, or a scan.
    pub(super) fn is_with_driver(&self) -> bool {
        self.known.iter().any(|(_, outstanding)| match outstanding {
            Outstanding::Attempt(attempt) => {
                attempt.handed_out.is_some() && !matches!(attempt.state, State::WrittenOff)
            }
            Outstanding::Write(write) => !write.is_late,
            Outstanding::Reading(_) => true,
        })
    }

    pub(super) fn attempts(&self) -> impl Iterator<Item = (SlabKey, &Attempt)> {
        self.known
            .iter()
            .filter_map(|(key, outstanding)| match outstanding {
                Outstanding::Attempt(attempt) => Some((key, attempt)),
                Outstanding::Write(_) | Outstanding::Reading(_) => None,
            })
    }
}

pub(super) fn ticket(key: SlabKey) -> Ticket {
    Ticket(key.to_bits())
}

pub(super) fn key(ticket: Ticket) -> SlabKey {
    SlabKey::from_bits(ticket.0)
}
