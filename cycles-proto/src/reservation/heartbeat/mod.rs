//! The heartbeat: extends the lease with beats and with manual extensions, one at a time.

pub mod schedule;

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::VecDeque;

use super::common::{Attempt, Attempted, Common};
use crate::models::{
    ErrorCode, IdempotencyKey, ReservationExtendRequest, ReservationExtendResponse, ReservationId,
};
use crate::outcome::{Error, Event, Failure, FailureKind, OperationKind, Stop};
use crate::reservation::heartbeat::schedule::{BeatFailure, Lease, Next, Observation};
use crate::step::Step;
use crate::ticket::Ticket;
use crate::time::{Now, UnixMillis};
use crate::url_path::reservation_path;
use crate::wire::reply::Verdict;
use crate::wire::{Call, Encoded, Reads, Urgency};

#[derive(Debug)]
pub(super) struct Heartbeat {
    lease: Lease,
    beat: Beat,
    /// How many extensions have been numbered so far. Each extension has its own key, which its repetitions share.
    named: u64,
    attempt: Option<(Extension, Attempt)>,
    /// Manual extensions, in order.
    by_hand: VecDeque<Extension>,
    /// Whether the loss of the lease has been reported.
    told_lost: bool,
    /// In nanoseconds, which need half of a `Duration`.
    granted_at: u64,
    /// The age at which the heartbeat ends if the action is still running, in nanoseconds.
    max_age: Option<NonZeroU64>,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// At least 1.
fn age_in_nanos(age: Duration) -> Option<NonZeroU64> {
    NonZeroU64::new(nanos(age).max(1))
}

/// The heartbeat's next extension.
#[derive(Clone, Copy, Debug)]
enum Beat {
    /// A new extension at this time, under a fresh key.
    At(Duration),
    /// The same extension once more, at this time.
    Again(Duration, Extension),
    InFlight,
    Stopped,
}

/// One extension.
#[derive(Clone, Copy, Debug)]
struct Extension {
    /// Its number, which its key contains.
    number: u64,
    by_ms: u64,
    /// Whether it has been tried before.
    is_repeated: bool,
    /// Whether an attempt at it may have been acted on.
    may_be_done: bool,
    /// The ticket, if it is a manual extension.
    by_hand: Option<Ticket>,
}

/// The context of a heartbeat's methods.
pub(super) struct Scene<'a> {
    pub(super) common: &'a mut Common,
    pub(super) id: &'a ReservationId,
    pub(super) now: Now,
    /// Whether a settlement is under way, which may end the reservation at any time.
    pub(super) is_settling: bool,
}

impl Heartbeat {
    pub(super) fn new(common: &Common, ttl_ms: u64, observed: Observation) -> Self {
        let (lease, next) = Lease::granted(ttl_ms, common.config.attempt_timeout(), observed);
        let beat = match next {
            Next::Beat(at) | Next::Retry(at) => Beat::At(early(common, 0, observed.received, at)),
            Next::Stop(_) => Beat::Stopped,
        };
        Self {
            lease,
            beat,
            named: 0,
            attempt: None,
            by_hand: VecDeque::new(),
            told_lost: false,
            granted_at: nanos(observed.received),
            max_age: common.config.max_lease_age.and_then(age_in_nanos),
        }
    }

    pub(super) fn set_max_age(&mut self, age: Duration) {
        self.max_age = age_in_nanos(age);
    }

    /// When the heartbeat ends if the action is still running.
    fn ends_at(&self) -> Option<Duration> {
        let end = self.granted_at.saturating_add(self.max_age?.get());
        Some(Duration::from_nanos(end))
    }

    /// The time until which the lease is known to last.
    pub(super) fn lasts_until(&self) -> Option<Duration> {
        self.lease.lasts_until()
    }

    /// When there is something to do next, if no input comes first.
    pub(super) fn wake(&self, is_settling: bool) -> Option<Duration> {
        let beat = match (self.attempt, self.beat) {
            (Some((_, attempt)), _) => Some(attempt.deadline),
            (None, Beat::At(at) | Beat::Again(at, _)) => Some(at),
            (None, Beat::InFlight | Beat::Stopped) => None,
        };
        let end = self.lost_at().filter(|_| !self.told_lost && !is_settling);
        let too_old = self.ends_at().filter(|_| self.is_waiting() && !is_settling);
        beat.into_iter().chain(end).chain(too_old).min()
    }

    /// Queues a manual extension.
    pub(super) fn extend(&mut self, common: &mut Common, by_ms: u64) -> Ticket {
        let ticket = common.tickets.take();
        let number = self.name();
        self.by_hand.push_back(Extension {
            number,
            by_ms,
            is_repeated: false,
            may_be_done: false,
            by_hand: Some(ticket),
        });
        ticket
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.attempt.map(|(_, attempt)| attempt)
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.attempt.as_mut().map(|(_, attempt)| attempt)
    }

    /// Sends an extension that is due.
    pub(super) fn poll(&mut self, scene: &mut Scene<'_>) -> Option<Step> {
        if self.is_too_old(scene) && self.is_waiting() {
            self.stop(scene, Stop::TooOld, None);
            // The event is handed out first.
            return None;
        }
        if self.attempt.is_some() {
            return None;
        }
        let extension = self.due(scene.now)?;
        match encode(scene, &extension) {
            Ok(encoded) => {
                let timeout = self.lease.attempt_timeout();
                let (call, attempt) = scene.common.start_attempt(&encoded, scene.now, timeout);
                self.attempt = Some((extension, attempt));
                let urgency = Urgency::Lease(self.lasts_until().unwrap_or(scene.now.mono));
                Some(Step::Send(Call { urgency, ..call }))
            }
            Err(error) => {
                // The caller broke a limit, or the id cannot be part of a path: no attempt would succeed.
                self.failed(scene, extension, error, BeatFailure::Refused);
                None
            }
        }
    }

    /// Whether the next beat is due later.
    fn is_waiting(&self) -> bool {
        matches!(self.beat, Beat::At(_) | Beat::Again(..))
    }

    /// Whether the action has been running for longer than [`max_lease_age`](crate::config::Settings::max_lease_age).
    /// Once its cost is handed over, its age does not matter any more.
    fn is_too_old(&self, scene: &Scene<'_>) -> bool {
        !scene.is_settling && self.ends_at().is_some_and(|end| end <= scene.now.mono)
    }

    /// Sends no more beats, because the run has lasted as long as it may. A beat that is under way is waited for.
    pub(super) fn retire(&mut self, scene: &mut Scene<'_>) {
        if let Beat::At(_) | Beat::Again(..) = self.beat {
            self.stop(scene, Stop::MaxDuration, None);
        }
    }

    /// Whether the lease is over, reported or not.
    pub(super) fn is_lost(&self, now: Now) -> bool {
        self.lost_at().is_some_and(|end| end <= now.mono)
    }

    /// Ends the heartbeat together with the reservation: unanswered manual extensions fail.
    pub(super) fn dismiss(&mut self, scene: &mut Scene<'_>) {
        let in_flight = self.attempt.take().map(|(extension, _)| extension);
        let open = in_flight.into_iter().chain(core::mem::take(&mut self.by_hand));
        for ticket in open.filter_map(|extension| extension.by_hand) {
            let reservation_id = scene.id.clone();
            scene.common.events.push(Event::ExtendFailed {
                info: None,
                reservation_id,
                ticket,
                error: None,
            });
        }
    }

    /// Handles the answer to an extension. Returns the new end of the lease if it was extended.
    pub(super) fn handle(&mut self, scene: &mut Scene<'_>, answer: Attempted) -> Option<UnixMillis> {
        let (extension, attempt) = self
            .attempt
            .filter(|(_, attempt)| attempt.ticket == answer.ticket)?;
        self.attempt = None;
        // A reply after the attempt's deadline counts as a timeout: its round trip would inflate the reserve for good.
        let result = match answer.said.verdict::<ReservationExtendResponse>() {
            Ok(_) if attempt.deadline < scene.now.mono => Err(Failure::new(FailureKind::Timeout)),
            other => other,
        };
        let kind = OperationKind::ExtendReservation;
        let context = |scene: &Scene<'_>| {
            let key = key(scene.common, extension.number);
            scene.common.context(kind, scene.id, Some(&key))
        };
        let (reply, failure) = match result {
            Err(failure) => {
                let failure = if failure.kind() == FailureKind::Timeout && failure.detail().is_empty() {
                    // No setting alone decides how long an extension may take.
                    failure.with_detail(format!("gave up after {:?}", attempt.timeout))
                } else {
                    scene.common.config.explained(failure, attempt.timeout)
                };
                let error = Error::transport(context(scene), failure, extension.may_be_done);
                self.failed(scene, extension, error, BeatFailure::Transient);
                return None;
            }
            Ok(verdict) => match verdict {
                Verdict::Success(response) => {
                    self.renewed(scene, extension, answer.sent, &response);
                    return Some(response.expires_at());
                }
                Verdict::Ambiguous(reply) | Verdict::NotSent(reply) => (reply, BeatFailure::Transient),
                Verdict::Throttled(reply) => {
                    let wait = reply.info.retry_after_of_the_protocol();
                    (reply, BeatFailure::Throttled(wait))
                }
                Verdict::Unauthorized(reply) if reply.is_outage() => (reply, BeatFailure::Transient),
                Verdict::Unauthorized(reply) | Verdict::Rejected(reply) | Verdict::Expired { reply, .. } => {
                    (reply, BeatFailure::Refused)
                }
            },
        };
        let error = Error::of_reply(context(scene), reply, extension.may_be_done);
        self.failed(scene, extension, error, failure);
        None
    }

    fn renewed(
        &mut self,
        scene: &mut Scene<'_>,
        extension: Extension,
        sent: Option<Duration>,
        response: &ReservationExtendResponse,
    ) {
        let expires_at = response.expires_at();
        scene.common.events.push(Event::LeaseExtended {
            info: None,
            reservation_id: scene.id.clone(),
            ticket: extension.by_hand,
            expires_at,
        });
        self.told_lost = false;
        let next = self.lease.renewed(Observation {
            sent,
            received: scene.now.mono,
            expires_at_ms: Some(expires_at),
            remaining_ttl_ms: response.remaining_ttl_ms,
        });
        match next {
            // After a manual extension, the heartbeat does not start again. It may have stopped for another reason.
            _ if self.is_too_old(scene) && matches!(self.beat, Beat::Stopped) => {
                self.stop(scene, Stop::TooOld, None);
            }
            Next::Beat(at) | Next::Retry(at) => {
                self.beat = Beat::At(early(scene.common, self.named, scene.now.mono, at));
            }
            Next::Stop(reason) => self.stop(scene, reason, None),
        }
    }

    fn failed(&mut self, scene: &mut Scene<'_>, extension: Extension, error: Error, failure: BeatFailure) {
        let is_over = failure == BeatFailure::Refused && is_over(&error);
        let asks_for_a_pause = error.retry_after().is_some_and(|wait| !wait.is_zero());
        let is_worth_repeating = failure == BeatFailure::Transient && !asks_for_a_pause;
        let error = Box::new(error);
        let repeated = Extension {
            is_repeated: true,
            may_be_done: error.outcome_is_unknown(),
            ..extension
        };
        match extension.by_hand {
            Some(_) if is_worth_repeating && !extension.is_repeated => self.by_hand.push_front(repeated),
            Some(ticket) => scene.common.events.push(Event::ExtendFailed {
                info: None,
                reservation_id: scene.id.clone(),
                ticket,
                error: Some(error),
            }),
            // The settlement under way may have ended the reservation.
            None if is_over && scene.is_settling => self.beat = Beat::Stopped,
            None if self.is_too_old(scene) && !is_over => self.stop(scene, Stop::TooOld, Some(error)),
            None => match self.lease.failed(scene.now.mono, failure) {
                Next::Stop(reason) => self.stop(scene, reason, Some(error)),
                Next::Beat(at) | Next::Retry(at) => {
                    self.beat = Beat::Again(at, repeated);
                    scene.common.events.push(Event::BeatFailed {
                        info: None,
                        reservation_id: scene.id.clone(),
                        error,
                        retry_in: at.saturating_sub(scene.now.mono),
                    });
                }
            },
        }
        if is_over && !scene.is_settling {
            self.beat = Beat::Stopped;
            self.tell_lost(scene);
        }
    }

    fn stop(&mut self, scene: &mut Scene<'_>, reason: Stop, error: Option<Box<Error>>) {
        self.beat = Beat::Stopped;
        scene.common.events.push(Event::HeartbeatStopped {
            info: None,
            reservation_id: scene.id.clone(),
            reason,
            error,
            lease_lasts: self.lasts_until().map(|end| end.saturating_sub(scene.now.mono)),
        });
    }

    /// When the lease counts as lost although the ledger has not said so. With a server that clamps the lead, the sum
    /// of the grants is far too low, so the sum counts only once the heartbeat has stopped.
    fn lost_at(&self) -> Option<Duration> {
        let is_telling = self.lease.is_measured() || matches!(self.beat, Beat::Stopped);
        self.lasts_until().filter(|_| is_telling)
    }

    fn due(&mut self, now: Now) -> Option<Extension> {
        if let Some(extension) = self.by_hand.pop_front() {
            return Some(extension);
        }
        let extension = match self.beat {
            Beat::At(at) if at <= now.mono => Extension {
                number: self.name(),
                by_ms: self.lease.extend_by_ms(),
                is_repeated: false,
                may_be_done: false,
                by_hand: None,
            },
            Beat::Again(at, repeated) if at <= now.mono => repeated,
            Beat::At(_) | Beat::Again(..) | Beat::InFlight | Beat::Stopped => return None,
        };
        self.beat = Beat::InFlight;
        Some(extension)
    }

    fn name(&mut self) -> u64 {
        self.named += 1;
        self.named - 1
    }

    /// Reports the loss of the lease, once.
    pub(super) fn tell_lost(&mut self, scene: &mut Scene<'_>) {
        if !self.told_lost {
            self.told_lost = true;
            let reservation_id = scene.id.clone();
            scene.common.events.push(Event::LeaseLost {
                info: None,
                reservation_id,
            });
        }
    }
}

/// Moves a beat earlier than `due`, by up to an eighth of its wait, if beats are spread. The wait is never shortened to
/// less than the shortest wait.
fn early(common: &Common, beat: u64, now: Duration, due: Duration) -> Duration {
    if !common.spreads_beats {
        return due;
    }
    let wait = due.saturating_sub(now).saturating_sub(schedule::SHORTEST_WAIT);
    due.saturating_sub((wait / 8).mul_f64(common.seed.fraction(beat)))
}

/// Whether the ledger says that the reservation has ended. A bare 410 may come from a proxy.
fn is_over(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::ReservationExpired | ErrorCode::ReservationFinalized)
    )
}

fn encode(scene: &Scene<'_>, extension: &Extension) -> Result<Encoded, Error> {
    let key = key(scene.common, extension.number);
    encode_extension(scene.common, scene.id, key, extension.by_ms)
}

/// Encodes the request to extend a lease.
pub(super) fn encode_extension(
    common: &Common,
    id: &ReservationId,
    key: IdempotencyKey,
    by_ms: u64,
) -> Result<Encoded, Error> {
    let reads = Reads::of::<ReservationExtendResponse>(OperationKind::ExtendReservation);
    let request = ReservationExtendRequest {
        idempotency_key: Some(key),
        extend_by_ms: by_ms,
        metadata: None,
    };
    reservation_path(id, "/extend")
        .and_then(|path| Encoded::post(&common.config, reads, path, &common.seed, &request))
        .map_err(|problem| Error::invalid(OperationKind::ExtendReservation, problem))
}

fn key(common: &Common, number: u64) -> IdempotencyKey {
    common.seed.idempotency_key("extend", number)
}
