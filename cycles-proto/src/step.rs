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

/// Events that wait to be handed out. A machine holds no memory for them while it has none: see
/// [`swap_room`](Self::swap_room).
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        self.0.push_back(event);
    }

    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        self.0.extend(events);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    /// Exchanges the memory of two queues, unless an event waits in one of them.
    pub(crate) fn swap_room(&mut self, other: &mut Self) {
        if self.0.is_empty() && other.0.is_empty() {
            core::mem::swap(&mut self.0, &mut other.0);
        }
    }
}
