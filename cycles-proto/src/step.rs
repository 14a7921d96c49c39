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

/// Events that wait to be handed out. When empty, it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        self.0.push_back(event);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.0.pop_front()?;
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        Some(event)
    }
}
