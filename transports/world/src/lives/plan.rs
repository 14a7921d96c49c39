//! The plan of a random life, drawn from its seed before it begins.

use std::time::Duration;

use cycles_proto::CyclesConfig;
use cycles_proto::session::{Close, PLACES};
use cycles_sandbox::{
    Budget, DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Fault, FaultRule, Operation, Tenant, Unit,
    When,
};

use super::agent::Errand;
use super::dice::Dice;
use crate::{BASE_URL, JournalHealth};

/// Everything that is decided before a life begins.
pub(super) struct Plan {
    pub(super) carelessness: f64,
    /// The share of the answers without `remaining_ttl_ms`.
    pub(super) unmeasured: f64,
    pub(super) faults: Vec<FaultRule>,
    /// Replaces the default tenant's budget.
    pub(super) budget: Option<Budget>,
    pub(super) tenant: Option<Tenant>,
    has_journal: bool,
    /// The number of steps after which the first process crashes.
    pub(super) crash_after: Option<u64>,
    /// The agents' errands, mostly one.
    pub(super) errands: Vec<Errand>,
    /// The other events, in order.
    pub(super) fortunes: Vec<(Duration, Fortune)>,
    pub(super) places: usize,
    pub(super) has_claims: bool,
    /// Other keys in the session of each process.
    keys: Vec<(&'static str, &'static str)>,
    /// Whether each process has a second client.
    pub(super) has_two_sessions: bool,
}

/// An event from outside a life.
pub(super) enum Fortune {
    Crash,
    Restart,
    /// Another process starts with the same journal.
    Join,
    Sleep(Duration),
    ClockJumps(i64),
    ServerClockJumps(i64),
    ServerDown(bool),
    Journal(JournalHealth),
    Frozen(bool),
    Rule(FaultRule),
    Calm,
    /// The record is restored as it was first written.
    RestoresStaleRecord,
    /// One of the callers flushes for this long.
    Flush(u64, Duration),
    Close(Close),
    /// The state machine of one of the agents' reservations panics.
    Panic(u64),
    /// One of the callers asks for the balances, blocking or not.
    Ask(u64, bool),
    /// The caller stops waiting for the balances.
    ForgetAsk,
    /// The other keys, of this tenant and of another one, are revoked or valid again.
    Revoked(bool),
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
        let first = Errand::of(&mut dice, Duration::ZERO);
        let fortunes = dice.fortunes(first.work);
        let mut errands = vec![first];
        while dice.one_in(5) && errands.len() < 4 {
            let begins = dice.millis(30_000);
            errands.push(Errand::of(&mut dice, begins));
        }
        let mut plan = Self {
            carelessness: dice.one_of(&[0.0, 0.05, 0.2]),
            unmeasured: dice.one_of(&[0.0, 0.0, 0.0, 0.0, 0.3, 1.0]),
            faults,
            budget: dice
                .one_in(12)
                .then(|| Budget::new(DEFAULT_TENANT_SCOPE, Unit::Tokens, dice.amount(2_000))),
            tenant: dice
                .one_in(4)
                .then(|| Tenant::new(DEFAULT_TENANT).max_extensions(dice.amount(100))),
            has_journal: !dice.one_in(25),
            crash_after: dice.one_in(4).then(|| 1 + dice.below(25)),
            errands,
            fortunes,
            places: PLACES,
            has_claims: false,
            keys: Vec::new(),
            has_two_sessions: false,
        };
        plan.add_extras(&mut dice);
        plan
    }

    /// Adds the parts of a session beside one caller's reservations. They are drawn last, so that lives without them
    /// did not change when they were introduced.
    fn add_extras(&mut self, dice: &mut Dice<'_>) {
        self.places = dice.one_of(&[1, 2, 4, 5, 8, PLACES, PLACES, PLACES]);
        self.has_claims = dice.one_in(2);
        for key in OTHER_KEYS {
            if dice.one_in(4) {
                self.keys.push(key);
            }
        }
        self.has_two_sessions = dice.one_in(6);
        for errand in &mut self.errands {
            errand.mind(dice);
        }
        if let [first, second, ..] = &mut self.errands[..]
            && dice.one_in(4)
        {
            second.repeats(first);
        }
        let work = self.errands.first().map_or(Duration::ZERO, |errand| errand.work);
        for _ in 0..dice.below(4) {
            let at = work.saturating_sub(Duration::from_secs(2)) + dice.millis(25_000);
            let later = at + dice.time(10, 20);
            match dice.below(9) {
                0 | 1 => self
                    .fortunes
                    .push((at, Fortune::Flush(dice.below(4), dice.time(1, 17)))),
                2 | 3 => {
                    self.fortunes
                        .push((at, Fortune::Ask(dice.below(4), dice.one_in(4))));
                    if dice.one_in(2) {
                        self.fortunes.push((at + dice.millis(2_000), Fortune::ForgetAsk));
                    }
                }
                4 | 5 => self.fortunes.push((at, Fortune::Panic(dice.below(4)))),
                6 => {
                    self.fortunes.push((at, Fortune::Revoked(true)));
                    self.fortunes.push((later, Fortune::Revoked(false)));
                }
                _ => {
                    let how = [Close::WhenDone, Close::Leaving, Close::WritingOnly];
                    self.fortunes.push((at, Fortune::Close(dice.one_of(&how))));
                    self.fortunes.push((later, Fortune::Restart));
                }
            }
        }
        self.fortunes.sort_by_key(|(at, _)| *at);
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
        let config = CyclesConfig::builder(key, BASE_URL).tenant(tenant);
        #[expect(
            clippy::expect_used,
            reason = "all values are constants, and every life builds it"
        )]
        config
            .journal_enabled(self.has_journal)
            .build()
            .expect("the configuration is valid")
    }
}

impl Dice<'_> {
    fn rule(&mut self, is_rough: bool) -> FaultRule {
        let mut rule = FaultRule::new(self.fault());
        let operations = [
            Operation::CommitReservation,
            Operation::CommitReservation,
            Operation::CreateEvent,
            Operation::ExtendReservation,
            Operation::CreateReservation,
            Operation::ReleaseReservation,
            Operation::GetReservation,
        ];
        let named = if self.one_in(6) { 0 } else { 1 + self.below(2) };
        for _ in 0..named {
            rule = rule.on(self.one_of(&operations));
        }
        rule.when(match self.below(5) {
            0 => When::First(1 + self.below(4)),
            1 => When::Calls([1 + self.below(4)].into()),
            2 => When::For(self.time(1_000, 12)),
            _ => When::Randomly {
                probability: if is_rough { 0.5 } else { 0.15 },
                seed: self.seed(),
            },
        })
    }

    fn fault(&mut self) -> Fault {
        const PAGES: [u16; 9] = [404, 403, 410, 410, 200, 502, 307, 407, 408];
        match self.below(17) {
            0 => Fault::Delay(self.time(100, 10)),
            1 => Fault::Drip(self.time(1, 6)),
            2 => Fault::Status {
                status: self.one_of(&[500, 502, 503, 504]),
                retry_after_s: self.one_in(4).then(|| self.below(30)),
            },
            3 => Fault::Status {
                status: 429,
                retry_after_s: None,
            },
            4 => {
                let longest_s = 1 << self.below(14);
                Fault::Status {
                    status: 429,
                    retry_after_s: Some(self.below(longest_s)),
                }
            }
            5 => Fault::Status {
                status: self.one_of(&[401, 403]),
                retry_after_s: None,
            },
            6 => Fault::StatusAfter(self.one_of(&[500, 502, 503])),
            7 => Fault::Outage,
            8 => Fault::ForeignPage(self.one_of(&PAGES)),
            9 => Fault::ForeignError(self.one_of(&PAGES[..4])),
            10 => Fault::Garbage,
            11 => Fault::Twice(self.time(10, 12)),
            12 => Fault::LoseRequest,
            13 | 14 => Fault::LoseResponse,
            15 => Fault::ResetResponse,
            _ => Fault::Cut,
        }
    }

    fn fortunes(&mut self, work: Duration) -> Vec<(Duration, Fortune)> {
        let mut fortunes = Vec::new();
        // The money is at risk around the end of the action.
        let near = |dice: &mut Self| {
            let spread = dice.millis(25_000);
            work.saturating_sub(Duration::from_secs(2)) + spread
        };
        for _ in 0..self.below(4) {
            let at = near(self);
            let later = at + self.time(10, 28);
            match self.below(13) {
                0..3 => {
                    fortunes.push((at, Fortune::Crash));
                    fortunes.push((later, Fortune::Restart));
                }
                3 | 4 => fortunes.push((at, Fortune::Join)),
                5 => fortunes.push((at, Fortune::Sleep(self.time(1_000, 20)))),
                6 => fortunes.push((at, Fortune::ClockJumps(self.jump()))),
                7 => fortunes.push((at, Fortune::ServerClockJumps(self.jump()))),
                8 => {
                    fortunes.push((at, Fortune::ServerDown(true)));
                    fortunes.push((at + self.time(1_000, 12), Fortune::ServerDown(false)));
                }
                9 => {
                    fortunes.push((at, Fortune::Journal(self.one_of(&ILL))));
                    fortunes.push((later, Fortune::Journal(JournalHealth::Works)));
                }
                10 => {
                    fortunes.push((at, Fortune::Frozen(true)));
                    fortunes.push((later, Fortune::Frozen(false)));
                }
                11 => {
                    let rule = self.rule(true);
                    fortunes.push((at, Fortune::Rule(rule)));
                    fortunes.push((later, Fortune::Calm));
                }
                _ => {
                    fortunes.push((later, Fortune::RestoresStaleRecord));
                    fortunes.push((later + Duration::from_millis(1), Fortune::Join));
                }
            }
        }
        fortunes.sort_by_key(|(at, _)| *at);
        fortunes
    }

    /// A jump of a clock, from milliseconds to two weeks, forward or back.
    fn jump(&mut self) -> i64 {
        let by = self.time(1, 30).as_millis();
        let by = i64::try_from(by).unwrap_or(0);
        if self.one_in(2) { -by } else { by }
    }
}

/// The faults of a journal that a plan may choose.
const ILL: [JournalHealth; 2] = [JournalHealth::Fails, JournalHealth::WorksButSaysNot];
