//! State that all phases of a reservation share.

use core::num::NonZeroU64;
use core::time::Duration;
use std::sync::Arc;

use super::mark::Mark;
use crate::config::CyclesConfig;
use crate::idempotency::Seed;
use crate::models::{IdempotencyKey, ReservationId};
use crate::outcome::{CallContext, OperationKind, ReservationInfo};
use crate::step::Events;
use crate::ticket::{Ticket, Tickets};
use crate::time::Now;
use crate::wire::{Answer, Call, Encoded};

#[derive(Debug)]
pub(super) struct Common {
    pub(super) config: Arc<CyclesConfig>,
    pub(super) seed: Seed,
    /// Whether beats are sent up to an eighth of their wait early.
    pub(super) spreads_beats: bool,
    pub(super) tickets: Tickets,
    pub(super) events: Events,
    /// How many attempts to reserve have been handed out. They come before everything else in a reservation, so their
    /// tickets are 1 to this number.
    pub(super) attempts_to_reserve: u64,
    /// The latest time that the driver passed in.
    pub(super) latest: Duration,
    /// The first time that the driver passed in, in nanoseconds plus one, which need half of an optional `Duration`.
    began: Option<NonZeroU64>,
    /// Whether the end was reported.
    pub(super) has_ended: bool,
    /// What the reservation is for; `None` if it is a record that does not say so.
    pub(super) info: Option<ReservationInfo>,
    /// What few reservations have; in a box of its own, so that the others do not pay for it.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    run: Option<ReservationId>,
    mark: Option<Mark>,
}

impl Common {
    pub(super) fn new(config: Arc<CyclesConfig>, seed: Seed) -> Self {
        Self {
            config,
            seed,
            spreads_beats: false,
            tickets: Tickets::default(),
            events: Events::default(),
            attempts_to_reserve: 0,
            latest: Duration::ZERO,
            began: None,
            has_ended: false,
            info: None,
            rare: None,
        }
    }

    /// The reservation's id, if it is a run.
    pub(super) fn run(&self) -> Option<&ReservationId> {
        self.rare.as_ref()?.run.as_ref()
    }

    pub(super) fn set_run(&mut self, id: ReservationId) {
        self.rare.get_or_insert_default().run = Some(id);
    }

    /// What is on disk about a request that has left.
    pub(super) fn mark(&self) -> Option<&Mark> {
        self.rare.as_ref()?.mark.as_ref()
    }

    pub(super) fn mark_mut(&mut self) -> Option<&mut Mark> {
        self.rare.as_mut()?.mark.as_mut()
    }

    pub(super) fn set_mark(&mut self, mark: Option<Mark>) {
        if mark.is_some() || self.rare.is_some() {
            self.rare.get_or_insert_default().mark = mark;
        }
    }

    /// Makes time monotonic: if the clock goes backwards, the reservation's time stands still.
    pub(super) fn at(&mut self, now: Now) -> Now {
        self.latest = self.latest.max(now.mono);
        self.began = self.began.or_else(|| nanos(self.latest));
        Now {
            mono: self.latest,
            wall: now.wall,
        }
    }

    /// Starts an attempt at a request. Returns the call to make, and the attempt to wait for.
    pub(super) fn start_attempt(
        &mut self,
        encoded: &Encoded,
        now: Now,
        timeout: Duration,
    ) -> (Call, Attempt) {
        self.start_attempt_until(encoded, now, timeout, Duration::MAX)
    }

    /// Like [`start_attempt`](Self::start_attempt), for an attempt that ends at `until` even if it had to wait for a
    /// place.
    pub(super) fn start_attempt_until(
        &mut self,
        encoded: &Encoded,
        now: Now,
        timeout: Duration,
        until: Duration,
    ) -> (Call, Attempt) {
        let ticket = self.tickets.take();
        let timeout = timeout.min(until.saturating_sub(now.mono));
        let deadline = now.mono.saturating_add(timeout);
        let call = encoded.call(&self.config, ticket, timeout);
        let attempt = Attempt {
            ticket,
            timeout,
            until,
            deadline,
        };
        (call, attempt)
    }

    /// The time since the reservation was requested.
    pub(super) fn took(&self, now: Now) -> Duration {
        let began = self
            .began
            .map_or(now.mono, |began| Duration::from_nanos(began.get() - 1));
        now.mono.saturating_sub(began)
    }

    pub(super) fn is_of_a_reservation(&self, ticket: Ticket) -> bool {
        (1..=self.attempts_to_reserve).contains(&ticket.0)
    }

    /// The context of a call about a held reservation, for errors.
    pub(super) fn context(
        &self,
        operation: OperationKind,
        id: &ReservationId,
        key: Option<&IdempotencyKey>,
    ) -> CallContext {
        CallContext {
            is_recorded: false,
            server: self.config.server(),
            operation,
            reservation_id: Some(id.clone()),
            idempotency_key: key.cloned(),
            trace_id: self.seed.trace_id(),
            unit: None,
            info: self.info.clone(),
        }
    }
}

fn nanos(time: Duration) -> Option<NonZeroU64> {
    NonZeroU64::MIN.checked_add(u64::try_from(time.as_nanos()).ok()?)
}

/// An attempt that the machine waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) ticket: Ticket,
    pub(super) timeout: Duration,
    /// The latest deadline that the attempt may have.
    until: Duration,
    pub(super) deadline: Duration,
}

impl Attempt {
    /// Starts the time of the attempt now.
    pub(super) fn begins(&mut self, now: Now) {
        self.deadline = now.mono.saturating_add(self.timeout).min(self.until);
    }

    /// The ticket of the attempt, if its time is up.
    pub(super) fn overdue(attempt: Option<Self>, now: Now) -> Option<Ticket> {
        attempt
            .filter(|attempt| attempt.deadline <= now.mono)
            .map(|attempt| attempt.ticket)
    }

    /// Whether `ticket` belongs to `attempt`.
    pub(super) fn is(attempt: Option<Self>, ticket: Ticket) -> bool {
        attempt.is_some_and(|attempt| attempt.ticket == ticket)
    }
}

/// The result of an attempt.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) ticket: Ticket,
    /// When the attempt was sent, as far as the driver knows.
    pub(super) sent: Option<Duration>,
    pub(super) said: Answer,
}
