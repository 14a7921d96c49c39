//! A plan that comes true.

use std::time::Duration;

use cycles_proto::lifecycle::ReleaseReason;
use cycles_proto::models::{Amount, CommitRequest};

use super::plan::{Ending, Fortune, Plan};
use crate::ledger::{BudgetStatus, Unit};
use crate::sandbox::DEFAULT_TENANT_SCOPE;
use crate::world::{LifeId, ProcessId, Violation, World};

/// A plan on its way.
pub(super) struct Living {
    pub(super) world: World,
    life: LifeId,
    /// Its processes, the latest last.
    processes: Vec<ProcessId>,
    granted_at: Option<Duration>,
    has_ended: bool,
}

impl Living {
    pub(super) fn begin(mut world: World, plan: &Plan) -> Self {
        for rule in &plan.faults {
            world.inject(rule.clone());
        }
        if let Some(budget) = &plan.budget {
            world.ledger_mut().add_budget(budget.clone());
        }
        let process = world.start_process_with(plan.config());
        if let Some(steps) = plan.crash_after {
            world.crash_after(process, steps);
        }
        #[expect(
            clippy::expect_used,
            reason = "a plan's request is within the limits, as a test shows"
        )]
        let life = world
            .reserve(process, plan.request.clone())
            .expect("the request is valid");
        Self {
            world,
            life,
            processes: vec![process],
            granted_at: None,
            has_ended: false,
        }
    }

    pub(super) fn pass(&mut self, plan: &Plan) -> Result<(), Violation> {
        let mut fortunes = plan.fortunes.iter();
        let mut next = fortunes.next();
        loop {
            let at = next.map(|(at, _)| *at);
            let acts_at = self
                .granted_at
                .map(|granted| granted + plan.work)
                .filter(|_| !self.has_ended);
            let until = [at, acts_at].into_iter().flatten().min();
            let Some(until) = until.or((!self.has_ended).then_some(plan.patience)) else {
                return Ok(());
            };
            let life = self.life;
            let waits_for_grant = self.granted_at.is_none() && !self.has_ended;
            self.world
                .run_until_or(until.saturating_sub(self.world.now()), |world| {
                    world.now() >= until || (waits_for_grant && world.is_held(life))
                })?;
            let now = self.world.now();
            if waits_for_grant && self.world.is_held(life) {
                self.granted_at = Some(now);
                self.begins_to_work(plan);
            } else if acts_at.is_some_and(|at| at <= now) {
                self.has_ended = true;
                self.ends_work(plan);
            } else if at.is_some_and(|at| at <= now) {
                if let Some((_, fortune)) = next {
                    self.meets(plan, fortune);
                }
                next = fortunes.next();
            } else if now >= plan.patience {
                self.has_ended = true;
                self.world.abandon(life);
            }
        }
    }

    fn begins_to_work(&mut self, plan: &Plan) {
        if let Some(amount) = plan.spent_at_first {
            // The caller may be wrong about the unit, and is told so.
            let _ = self.world.spent(self.life, &Amount::tokens(amount));
        }
        if let Some(by) = plan.extends_by {
            self.world.extend(self.life, by);
        }
    }

    fn ends_work(&mut self, plan: &Plan) {
        match plan.ending {
            Ending::Commits => {
                let request = CommitRequest::builder().actual(Amount::tokens(plan.cost)).build();
                // A process that has crashed takes nothing.
                let _ = self.world.commit(self.life, request);
            }
            Ending::Releases => self.world.release(self.life, ReleaseReason::ACTION_FAILED),
            Ending::Leaves => self.world.abandon(self.life),
        }
    }

    fn meets(&mut self, plan: &Plan, fortune: &Fortune) {
        let latest = self.processes.last().copied();
        let world = &mut self.world;
        match (fortune, latest) {
            (Fortune::Crash, Some(process)) => world.crash(process),
            (Fortune::Restart, Some(process)) => {
                let process = world.restart(process);
                self.processes.push(process);
            }
            (Fortune::Join, _) => {
                let process = world.start_process_with(plan.config());
                self.processes.push(process);
            }
            (Fortune::Sleep(time), Some(process)) => world.suspend(process, *time),
            (Fortune::ClockJumps(by_ms), Some(process)) => world.jump_clock(process, *by_ms),
            (Fortune::ServerClockJumps(by_ms), _) => world.jump_server_clock(*by_ms),
            (Fortune::ServerDown(is_down), _) => world.set_server_down(*is_down),
            (Fortune::Journal(health), _) => world.journal_mut().set_health(*health),
            (Fortune::Frozen(is_frozen), _) => {
                let status = if *is_frozen {
                    BudgetStatus::Frozen
                } else {
                    BudgetStatus::Active
                };
                // The budget is there from the start.
                let _ = world
                    .ledger_mut()
                    .set_budget_status(DEFAULT_TENANT_SCOPE, Unit::Tokens, status);
            }
            (Fortune::Rule(rule), _) => world.inject(rule.clone()),
            (Fortune::Calm, _) => world.clear_faults(),
            (Fortune::RestoresStaleRecord, _) => world.restore_first_record(self.life),
            (_, None) => {}
        }
    }
}
