//! The steps that the machine of a reservation or a settlement asks for.

use core::time::Duration;
use std::collections::VecDeque;

use crate::journal::JournalWrite;
use crate::outcome::Event;
use crate::ticket::Ticket;
use crate::wire::Call;

/// The next thing to do. A step is handed out once.
#[derive(Clone, Debug)]
#[must_use = "a step is handed out once; dropping it stalls the machine"]
pub enum Step {
    /// Make this call, and report the answer under its ticket.
    Send(Call),
    /// Change the journal, and report under this ticket once the change is durable.
    Store(Ticket, JournalWrite),
    /// Pass this event to the observer; there is nothing to report back.
    Notify(Event),
    /// Poll again at this time or after the next report; with `None`, only after the next report.
    Wait(Option<Duration>),
    /// There is nothing left to do.
    Done,
}

/// Events that wait to be handed out. When empty, it holds no memory, unless a session has lent it some.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: VecDeque<Event>,
    is_lent: bool,
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        self.queue.extend(events);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        if self.queue.is_empty() && !self.is_lent {
            self.queue = VecDeque::new();
        }
        Some(event)
    }

    /// Takes this memory while the machine runs, so that an event costs no allocation.
    pub(crate) fn borrow(&mut self, room: &mut VecDeque<Event>) {
        if self.is_empty() {
            core::mem::swap(&mut self.queue, room);
            self.is_lent = true;
        }
    }

    /// Gives the memory back, unless an event waits in it.
    pub(crate) fn give_back(&mut self, room: &mut VecDeque<Event>) {
        if self.is_lent && self.is_empty() {
            core::mem::swap(&mut self.queue, room);
        }
        self.is_lent = false;
    }
}
