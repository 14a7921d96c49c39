//! A reservation in shadow mode: the action runs at once, nothing is held, and nothing is charged. Beside it, one dry run
//! asks the ledger what it would have decided. Once that is known, or given up, and the action has ended, one event has
//! both.
//!
//! ```text
//!  action:  runs ──── commit, release, left ────► ended ──┐
//!  check:   sent ──── answered, failed, given up ► known ─┴─► Ended, with Event::Shadowed
//! ```

mod check;
mod run;
mod spending;

use core::time::Duration;
use std::sync::Arc;

use self::check::Check;
use super::common::{Attempt, Attempted, Common};
use super::{Phase, Reservation};
use crate::config::CyclesConfig;
use crate::dispatch::Dispatches;
use crate::idempotency::Seed;
use crate::journal::record::Purpose;
use crate::models::{
    Decision, ReservationCreateRequest, ReservationCreateResponse, ReservationId, ResponseInfo,
};
use crate::outcome::{ActualSource, Error, Event, Grant, Outcome, ReservationInfo};
use crate::run::Draws;
use crate::step::Step;
use crate::time::Now;
use crate::wire::Reads;

#[derive(Debug)]
pub(super) struct Shadow {
    /// Made up, so that the action sees a reservation.
    grant: Grant,
    check: Check,
    /// A lower bound on the cost so far.
    spent: i64,
    /// The cost of a metered stream so far.
    counted: i64,
    /// The requests of the action that would have to be paid for.
    dispatches: Dispatches,
    /// Whether a cost could not be accepted. This proves that there is a cost.
    has_untaken: bool,
    /// Whether an item of a metered stream could not be counted.
    has_uncounted_item: bool,
    /// The steps, if the reservation is a run.
    run: Option<Box<Draws>>,
    /// How many steps would have been refused.
    exhausted: u64,
    ended: Option<Ended>,
}

/// How the action ended.
#[derive(Debug)]
struct Ended {
    /// The receipt of what it cost, or that nothing had to be released.
    outcome: Outcome,
    source: ActualSource,
    has_unknown_cost: bool,
    took: Duration,
}

impl Reservation {
    /// Begins a reservation in shadow mode. It is granted at once, without asking anybody. A request that breaks a limit
    /// is reported by the last event, and the action runs nevertheless.
    pub(crate) fn begin_shadow(
        config: Arc<CyclesConfig>,
        request: ReservationCreateRequest,
        seed: Seed,
        now: Now,
    ) -> Self {
        let mut common = Common::new(config, seed);
        common.at(now);
        let shadow = Shadow::new(&mut common, request);
        Self {
            common,
            phase: Phase::Shadow(Box::new(shadow)),
        }
    }

    /// Whether it is or was in shadow mode.
    pub(crate) fn is_shadow(&self) -> bool {
        match &self.phase {
            Phase::Ended(outcome) => outcome.is_shadow(),
            Phase::Shadow(_) => true,
            Phase::Reserving(_)
            | Phase::Verifying(_)
            | Phase::Held(_)
            | Phase::Resumed(_)
            | Phase::Releasing(_) => false,
        }
    }

    /// Whether it is in shadow mode, its action has ended, and only the ledger's decision is missing.
    pub(crate) fn awaits_only_its_check(&self) -> bool {
        self.shadow().is_some_and(|shadow| shadow.ended.is_some())
    }

    /// The answer that the action sees in place of a grant, if it is in shadow mode.
    pub(crate) fn shadow_grant(&self) -> Option<Arc<ReservationCreateResponse>> {
        let shadow = self.shadow()?;
        Some(Arc::new(made_up(&shadow.grant.reservation_id)))
    }

    /// Waits no longer for the ledger's decision, if it is in shadow mode.
    pub(crate) fn give_up_check(&mut self, error: Error) {
        if let Phase::Shadow(shadow) = &mut self.phase {
            shadow.check.give_up(error);
        }
    }

    pub(super) fn shadow(&self) -> Option<&Shadow> {
        match &self.phase {
            Phase::Shadow(shadow) => Some(shadow),
            Phase::Reserving(_)
            | Phase::Verifying(_)
            | Phase::Held(_)
            | Phase::Resumed(_)
            | Phase::Releasing(_)
            | Phase::Ended(_) => None,
        }
    }

    pub(super) fn shadow_mut(&mut self) -> Option<(&mut Common, &mut Shadow)> {
        match &mut self.phase {
            Phase::Shadow(shadow) => Some((&mut self.common, shadow)),
            Phase::Reserving(_)
            | Phase::Verifying(_)
            | Phase::Held(_)
            | Phase::Resumed(_)
            | Phase::Releasing(_)
            | Phase::Ended(_) => None,
        }
    }
}

impl Shadow {
    fn new(common: &mut Common, mut request: ReservationCreateRequest) -> Self {
        request.subject = request.subject.or(common.config.subject());
        let purpose = Arc::new(Purpose {
            subject: request.subject.clone(),
            action: request.action.clone(),
        });
        common.info = Some(ReservationInfo::new(purpose, Some(request.estimate.clone())));
        let id = ReservationId::from(format!("shadow-{}", common.seed));
        Self {
            grant: Grant {
                reservation_id: id,
                decision: Decision::Allow,
                caps: None,
                reserved: None,
                expires_at: None,
            },
            check: Check::new(common, request),
            spent: 0,
            counted: 0,
            dispatches: Dispatches::default(),
            has_untaken: false,
            has_uncounted_item: false,
            run: None,
            exhausted: 0,
            ended: None,
        }
    }

    /// Returns the next thing to do, or the end once the action has ended and the decision is known.
    pub(super) fn poll(&mut self, common: &mut Common, now: Now) -> Result<Option<Step>, Phase> {
        if let Some(call) = self.check.poll(common, now) {
            return Ok(Some(Step::Send(call)));
        }
        if let (true, Some(ended)) = (self.check.is_over(), &self.ended) {
            return Err(Phase::ended(ended.outcome.clone()));
        }
        Ok(Some(Step::Wait(
            self.check.attempt().map(|attempt| attempt.deadline),
        )))
    }

    pub(super) fn handle(&mut self, common: &Common, answer: Attempted) {
        self.check.handle(common, answer);
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.check.attempt()
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        self.check.attempt_mut()
    }

    pub(super) fn reads() -> Reads {
        Check::reads()
    }

    /// The grant, while the action runs.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.ended.is_none().then_some(&self.grant)
    }

    /// How the action ended. This does not wait for the decision.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        Some(&self.ended.as_ref()?.outcome)
    }

    /// The steps, until the run has ended.
    pub(super) fn run(&self) -> Option<&Draws> {
        self.run.as_deref().filter(|_| self.ended.is_none())
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut Draws> {
        self.run.as_deref_mut().filter(|_| self.ended.is_none())
    }

    /// The last event.
    pub(super) fn event(&self, common: &Common) -> Option<Event> {
        let (ended, decision) = self.ended.as_ref().zip(self.check.decision())?;
        Some(Event::Shadowed {
            info: common.info.clone(),
            reservation_id: self.grant.reservation_id.clone(),
            decision: decision.clone(),
            actual: ended.actual().cloned(),
            source: ended.source,
            has_unknown_cost: ended.has_unknown_cost,
            exhausted: self.exhausted,
            took: ended.took,
        })
    }
}

/// The answer to a reservation that nobody made.
fn made_up(id: &ReservationId) -> ReservationCreateResponse {
    ReservationCreateResponse {
        decision: Decision::Allow,
        reservation_id: Some(id.clone()),
        reserved: None,
        expires_at_ms: None,
        remaining_ttl_ms: None,
        scope_path: None,
        affected_scopes: Vec::new(),
        caps: None,
        balances: None,
        reason_code: None,
        retry_after_ms: None,
        cycles_evidence: None,
        info: ResponseInfo::default(),
    }
}
