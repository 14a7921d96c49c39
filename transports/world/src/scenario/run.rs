//! Executes a plan in a world.

use std::sync::Arc;

use cycles_proto::journal::{EntryChange, EntryKind, JournalEntry};
use cycles_proto::session::CallId;
use cycles_sandbox::{
    ApiKey, BudgetStatus, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, KeyStatus, Tenant, Unit, default_budgets,
};

use super::agent::Agent;
use super::faults::Incident;
use super::plan::{OTHER_KEYS, Plan};
use crate::{CallerId, ProcessId, Violation, World};

/// A plan that is being executed.
pub(super) struct ScenarioRun<'a> {
    pub(super) world: World,
    agents: Vec<Agent<'a>>,
    /// The processes started so far, the latest last.
    processes: Vec<ProcessId>,
    /// The most recent call that fetched the balances.
    balance_call: Option<(CallerId, CallId)>,
    /// The last list that a person has made of a journal.
    list: Vec<JournalEntry>,
}

impl<'a> ScenarioRun<'a> {
    pub(super) fn begin(mut world: World, plan: &'a Plan) -> Self {
        for rule in &plan.faults {
            world.inject(rule.clone());
        }
        if let Some(budget) = &plan.budget {
            world.ledger_mut().add_budget(budget.clone());
        }
        if let Some(tenant) = &plan.tenant {
            world.ledger_mut().add_tenant(tenant.clone());
        }
        for (key, tenant) in OTHER_KEYS {
            world.ledger_mut().add_api_key(ApiKey::new(key, tenant));
            if tenant != DEFAULT_TENANT {
                world.ledger_mut().add_tenant(Tenant::new(tenant));
                for budget in default_budgets(tenant) {
                    world.ledger_mut().add_budget(budget);
                }
            }
        }
        let process = start(&mut world, plan);
        if let Some(steps) = plan.crash_after {
            world.crash_after(process, steps);
        }
        Self {
            world,
            agents: plan.agents.iter().map(Agent::new).collect(),
            processes: vec![process],
            balance_call: None,
            list: Vec::new(),
        }
    }

    pub(super) fn run_to_end(&mut self, plan: &Plan) -> Result<(), Violation> {
        let mut incidents = plan.incidents.iter().peekable();
        loop {
            let incident_at = incidents.peek().map(|(at, _)| *at);
            let Some(until) = self
                .agents
                .iter()
                .filter_map(Agent::next)
                .chain(incident_at)
                .min()
            else {
                return Ok(());
            };
            let agents = &self.agents;
            self.world
                .run_until_or(until.saturating_sub(self.world.now()), |world| {
                    world.now() >= until || agents.iter().any(|agent| agent.is_granted(world))
                })?;
            let latest = self.processes.last().copied();
            for agent in &mut self.agents {
                let is_due = agent.next().is_some_and(|at| at <= self.world.now());
                if let (true, Some(process)) = (is_due || agent.is_granted(&self.world), latest) {
                    agent.act(&mut self.world, process);
                }
            }
            while let Some((_, incident)) = incidents.next_if(|(at, _)| *at <= self.world.now()) {
                self.cause(plan, incident);
            }
        }
    }

    fn cause(&mut self, plan: &Plan, incident: &Incident) {
        let latest = self.processes.last().copied();
        let world = &mut self.world;
        match (incident, latest) {
            (Incident::Crash, Some(process)) => world.crash(process),
            (Incident::Restart, Some(process)) => {
                let process = world.restart(process);
                self.processes.push(process);
            }
            (Incident::AnotherProcess, _) => {
                let process = start(world, plan);
                self.processes.push(process);
            }
            (Incident::Sleep(time), Some(process)) => world.suspend(process, *time),
            (Incident::ClockJumps(by_ms), Some(process)) => world.jump_clock(process, *by_ms),
            (Incident::ServerClockJumps(by_ms), _) => world.jump_server_clock(*by_ms),
            (Incident::ServerDown(is_down), _) => world.set_server_down(*is_down),
            (Incident::Journal(health), _) => world.journal_mut().set_health(*health),
            (Incident::Frozen(is_frozen), _) => {
                let status = if *is_frozen {
                    BudgetStatus::Frozen
                } else {
                    BudgetStatus::Active
                };
                // The budget exists from the start.
                let _ = world
                    .ledger_mut()
                    .set_budget_status(DEFAULT_TENANT_SCOPE, Unit::Tokens, status);
            }
            (Incident::NetworkFault(rule), _) => world.inject(rule.clone()),
            (Incident::FaultsStop, _) => world.clear_faults(),
            (Incident::RestoresStaleRecord, _) => {
                let jobs: Vec<_> = self.agents.iter().filter_map(Agent::job).collect();
                for job in jobs {
                    self.world.restore_first_record(job);
                }
            }
            (Incident::PersonLists(which), Some(process)) => {
                let caller = one_of(world, process, *which);
                self.list = world.list_entries(caller);
            }
            (
                Incident::PersonDecides {
                    caller,
                    lists,
                    charges,
                    is_forced,
                },
                Some(process),
            ) => {
                // Often in another process than the one that made the list.
                let before = self.processes.iter().rev().nth(1).copied();
                let process = before.filter(|_| *caller >= 2).unwrap_or(process);
                let caller = one_of(world, process, *caller);
                if *lists {
                    self.list = world.list_entries(caller);
                }
                let is_forced = *is_forced;
                let change = match charges {
                    true => EntryChange::ChargeEstimate { is_forced },
                    false => EntryChange::Discard { is_forced },
                };
                let is_mark = |entry: &&JournalEntry| {
                    let is_discarded = *charges && entry.kind == EntryKind::Discarded;
                    entry.kind == EntryKind::Dispatched || is_discarded
                };
                for entry in self.list.iter().filter(is_mark) {
                    world.change_by_hand(caller, entry, change);
                }
            }
            (Incident::Flush(which, time), Some(process)) => {
                world.flush_for(one_of(world, process, *which), *time);
            }
            (Incident::Close(how), Some(process)) => world.close(process, *how),
            (Incident::ShutDown(how, time), Some(process)) => world.shut_down(process, *how, *time),
            (Incident::Panic(which), _) => {
                let jobs: Vec<_> = self.agents.iter().filter_map(Agent::job).collect();
                if let Some(job) = jobs.get(usize::try_from(*which).unwrap_or(0)) {
                    world.panic_in(*job);
                }
            }
            (Incident::GetBalances(which, is_blocking), Some(process)) => {
                let caller = one_of(world, process, *which);
                self.balance_call = world
                    .get_balances(caller, *is_blocking)
                    .map(|call| (caller, call));
            }
            (Incident::ForgetGetBalances, _) => {
                if let Some((caller, call)) = self.balance_call.take() {
                    world.forget_get_balances(caller, call);
                }
            }
            (Incident::Revoked(is_revoked), _) => {
                let status = if *is_revoked {
                    KeyStatus::Revoked
                } else {
                    KeyStatus::Active
                };
                for (key, _) in OTHER_KEYS {
                    // The keys exist from the start.
                    let _ = world.ledger_mut().set_key_status(key, status);
                }
            }
            (_, None) => {}
        }
    }
}

/// Starts a process with all the plan's sessions and callers.
fn start(world: &mut World, plan: &Plan) -> ProcessId {
    let process = world.start_process_with(plan.config());
    for config in plan.others() {
        world.add_caller(world.caller(process), Arc::new(config));
    }
    if plan.has_two_sessions {
        world.add_session(process, Arc::new(plan.config()));
    }
    process
}

fn one_of(world: &World, process: ProcessId, which: u64) -> CallerId {
    let callers = world.callers(process);
    callers[usize::try_from(which).unwrap_or(0) % callers.len()]
}
