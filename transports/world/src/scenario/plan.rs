//! The plan of a random scenario, drawn from its seed before it begins.

use std::time::Duration;

use cycles_proto::CyclesConfig;
use cycles_proto::session::{Close, PLACES};
use cycles_sandbox::{
    Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, FaultRule, Tenant, Unit,
};

use super::agent::AgentPlan;
use super::dice::Dice;
use super::faults::Incident;
use crate::BASE_URL;

/// Everything that is decided before a scenario begins.
pub(super) struct Plan {
    pub(super) carelessness: f64,
    /// The share of answers without `remaining_ttl_ms`.
    pub(super) without_remaining_ttl: f64,
    pub(super) faults: Vec<FaultRule>,
    /// Replaces the default tenant's budget.
    pub(super) budget: Option<Budget>,
    pub(super) tenant: Option<Tenant>,
    has_journal: bool,
    /// The number of steps after which the first process crashes.
    pub(super) crash_after: Option<u64>,
    /// The plans of the agents, of which there is mostly one.
    pub(super) agents: Vec<AgentPlan>,
    /// The events besides the agents' actions, in order.
    pub(super) incidents: Vec<(Duration, Incident)>,
    pub(super) places: usize,
    pub(super) has_claims: bool,
    /// Other keys in the session of each process.
    keys: Vec<(&'static str, &'static str)>,
    /// Whether each process has a second client.
    pub(super) has_two_sessions: bool,
    reserve_timeout: Option<Duration>,
    max_lease_age: Option<Duration>,
}

/// Another key of the same tenant, and the key of another tenant.
pub(super) const OTHER_KEYS: [(&str, &str); 2] = [
    ("cyc_live_second_0123456789abcdef", DEFAULT_TENANT),
    ("cyc_live_globex_0123456789abcdef", "globex"),
];

impl Plan {
    pub(super) fn of(mut dice: Dice<'_>) -> Self {
        let is_rough = dice.one_in(3);
        let faults = if dice.one_in(6) { 0 } else { 1 + dice.below(4) };
        let faults = (0..faults).map(|_| dice.rule(is_rough)).collect();
        let first = AgentPlan::of(&mut dice, Duration::ZERO);
        let incidents = dice.incidents(first.work);
        let mut agents = vec![first];
        while dice.one_in(5) && agents.len() < 4 {
            let begins = dice.millis(30_000);
            agents.push(AgentPlan::of(&mut dice, begins));
        }
        let mut plan = Self {
            carelessness: dice.one_of(&[0.0, 0.05, 0.2]),
            without_remaining_ttl: dice.one_of(&[0.0, 0.0, 0.0, 0.0, 0.3, 1.0]),
            faults,
            budget: dice
                .one_in(12)
                .then(|| Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, dice.amount(2_000))),
            tenant: dice
                .one_in(4)
                .then(|| Tenant::new(DEFAULT_TENANT).max_extensions(dice.amount(100))),
            has_journal: !dice.one_in(25),
            crash_after: dice.one_in(4).then(|| 1 + dice.below(25)),
            agents,
            incidents,
            places: PLACES,
            has_claims: false,
            keys: Vec::new(),
            has_two_sessions: false,
            reserve_timeout: None,
            max_lease_age: None,
        };
        plan.add_extras(&mut dice);
        plan
    }

    /// Adds what a session has besides one caller's reservations. These parts are drawn last, so that scenarios without
    /// them did not change when they were introduced.
    fn add_extras(&mut self, dice: &mut Dice<'_>) {
        self.places = dice.one_of(&[1, 2, 4, 5, 8, PLACES, PLACES, PLACES]);
        self.has_claims = dice.one_in(2);
        for key in OTHER_KEYS {
            if dice.one_in(4) {
                self.keys.push(key);
            }
        }
        self.has_two_sessions = dice.one_in(6);
        for plan in &mut self.agents {
            plan.draw_caller(dice);
        }
        if let [first, second, ..] = &mut self.agents[..]
            && dice.one_in(4)
        {
            second.repeat_request_of(first);
        }
        let work = self.agents.first().map_or(Duration::ZERO, |plan| plan.work);
        for _ in 0..dice.below(4) {
            let at = work.saturating_sub(Duration::from_secs(2)) + dice.millis(25_000);
            let later = at + dice.time(10, 20);
            match dice.below(9) {
                0 | 1 => self
                    .incidents
                    .push((at, Incident::Flush(dice.below(4), dice.time(1, 17)))),
                2 | 3 => {
                    self.incidents
                        .push((at, Incident::GetBalances(dice.below(4), dice.one_in(4))));
                    if dice.one_in(2) {
                        self.incidents
                            .push((at + dice.millis(2_000), Incident::ForgetGetBalances));
                    }
                }
                4 | 5 => self.incidents.push((at, Incident::Panic(dice.below(4)))),
                6 => {
                    self.incidents.push((at, Incident::Revoked(true)));
                    self.incidents.push((later, Incident::Revoked(false)));
                }
                _ => {
                    let how = [Close::WhenDone, Close::Leaving, Close::WritingOnly];
                    self.incidents.push((at, Incident::Close(dice.one_of(&how))));
                    self.incidents.push((later, Incident::Restart));
                }
            }
        }
        self.draw_limits(dice);
        // Rarely beside others, because few of those already end at the same time.
        let runs = if self.agents.len() == 1 { 4 } else { 16 };
        for plan in &mut self.agents {
            if dice.one_in(runs) {
                plan.draw_run(dice);
            }
        }
        self.incidents.sort_by_key(|(at, _)| *at);
        for plan in &mut self.agents {
            if dice.one_in(2) {
                plan.draw_provider(dice);
            }
        }
        self.draw_marks(dice);
    }

    /// Draws the requests that are marked on disk. They are drawn last, for the same reason.
    fn draw_marks(&mut self, dice: &mut Dice<'_>) {
        if dice.one_in(3) {
            return;
        }
        let mut may_be_any = false;
        for plan in &mut self.agents {
            may_be_any |= plan.draw_marks(dice);
        }
        if may_be_any && !dice.one_in(3) {
            let work = self.agents.first().map_or(Duration::ZERO, |plan| plan.work);
            self.incidents.extend(dice.crashes_and_persons(work));
            self.incidents.sort_by_key(|(at, _)| *at);
        }
    }

    /// Draws the limits in time, and an end in steps. They are drawn last, for the same reason.
    fn draw_limits(&mut self, dice: &mut Dice<'_>) {
        self.reserve_timeout = dice.one_in(6).then(|| dice.time(100, 8));
        self.max_lease_age = dice.one_in(8).then(|| dice.time(500, 11));
        let work = self.agents.first().map_or(Duration::ZERO, |plan| plan.work);
        if dice.one_in(10) {
            let how = dice.one_of(&[
                Close::WhenDone,
                Close::WhenDone,
                Close::Leaving,
                Close::WritingOnly,
            ]);
            let at = work.saturating_sub(Duration::from_secs(5)) + dice.millis(10_000);
            let time = dice.time(10, 12);
            self.incidents.push((at, Incident::ShutDown(how, time)));
            let later = at + dice.time(10, 16);
            self.incidents.push((later, Incident::Restart));
        }
    }

    /// The configurations of the other callers of a process.
    pub(super) fn others(&self) -> Vec<CyclesConfig> {
        let keys = self.keys.iter();
        keys.map(|(key, tenant)| self.config_of(key, tenant)).collect()
    }

    /// The configuration of all processes.
    pub(super) fn config(&self) -> CyclesConfig {
        self.config_of(DEFAULT_API_KEY, DEFAULT_TENANT)
    }

    fn config_of(&self, key: &str, tenant: &str) -> CyclesConfig {
        let mut config = CyclesConfig::builder(key, BASE_URL).tenant(tenant);
        if let Some(limit) = self.reserve_timeout {
            config = config.reserve_timeout(limit);
        }
        if let Some(age) = self.max_lease_age {
            config = config.max_lease_age(age);
        }
        #[expect(
            clippy::expect_used,
            reason = "all values are constants, and every scenario builds it"
        )]
        config
            .journal_enabled(self.has_journal)
            .build()
            .expect("the configuration is valid")
    }
}
