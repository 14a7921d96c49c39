//! What a random life has before it: drawn from its seed before it begins.

use std::time::Duration;

use cycles_proto::CyclesConfig;
use cycles_proto::models::{Action, Amount, CommitOveragePolicy, ReservationCreateRequest, Subject};

use crate::fault::{Fault, FaultRule, When};
use crate::ledger::{Budget, Unit};
use crate::operation::Operation;
use crate::sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE};
use crate::seed::Seed;
use crate::world::{BASE_URL, JournalHealth};

/// All that is decided before a life begins.
pub(super) struct Plan {
    pub(super) carelessness: f64,
    pub(super) faults: Vec<FaultRule>,
    /// In place of the default tenant's.
    pub(super) budget: Option<Budget>,
    pub(super) request: ReservationCreateRequest,
    has_journal: bool,
    /// The first process crashes after this many steps.
    pub(super) crash_after: Option<u64>,
    /// How long the action runs.
    pub(super) work: Duration,
    /// When the caller goes away if nothing was granted.
    pub(super) patience: Duration,
    pub(super) spent_at_first: Option<i64>,
    pub(super) extends_by: Option<Duration>,
    pub(super) ending: Ending,
    pub(super) cost: i64,
    /// What happens beside it, in order.
    pub(super) fortunes: Vec<(Duration, Fortune)>,
}

/// How an action ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Commits,
    Releases,
    Leaves,
}

/// Something that comes over a life from outside.
pub(super) enum Fortune {
    Crash,
    Restart,
    /// Another process comes to the same journal.
    Join,
    Sleep(Duration),
    ClockJumps(i64),
    ServerClockJumps(i64),
    ServerDown(bool),
    Journal(JournalHealth),
    Frozen(bool),
    Rule(FaultRule),
    Calm,
    /// Somebody puts the record back as it was written first.
    RestoresStaleRecord,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        // Other numbers than those of the world, which has the same seed.
        let mut dice = Dice(Seed::new(!seed));
        let ttl = dice.ttl_ms();
        let is_rough = dice.one_in(3);
        let faults = if dice.one_in(6) {
            Vec::new()
        } else {
            dice.faults(is_rough)
        };
        let has_journal = !dice.one_in(25);
        let ending = match dice.0.below(10) {
            0 => Ending::Releases,
            1 | 2 => Ending::Leaves,
            _ => Ending::Commits,
        };
        let estimate = 1 + dice.0.below(1_000);
        let cost = if dice.one_in(5) {
            1 + dice.0.below(3_000)
        } else {
            1 + dice.0.below(estimate)
        };
        let mut request = ReservationCreateRequest::builder()
            .subject(Subject::tenant(DEFAULT_TENANT))
            .action(Action::new("llm.completion", "model"))
            .estimate(Amount::tokens(whole(estimate)))
            .ttl_ms(ttl)
            .build();
        if dice.one_in(4) {
            request.grace_period_ms = Some(dice.0.below(60_001));
        }
        if dice.one_in(4) {
            request.overage_policy = Some(match dice.0.below(3) {
                0 => CommitOveragePolicy::Reject,
                1 => CommitOveragePolicy::AllowIfAvailable,
                _ => CommitOveragePolicy::AllowWithOverdraft,
            });
        }
        let scope = DEFAULT_TENANT_SCOPE;
        let budget = dice
            .one_in(12)
            .then(|| Budget::new(scope, Unit::Tokens, whole(dice.0.below(2_000))));
        let work = dice.work(ttl);
        let patience = Duration::from_millis(dice.0.below(60_000));
        Self {
            carelessness: [0.0, 0.05, 0.2][dice.index(3)],
            faults,
            budget,
            request,
            has_journal,
            crash_after: dice.one_in(4).then(|| 1 + dice.0.below(25)),
            work,
            patience: Duration::from_secs(60) + patience,
            spent_at_first: dice.one_in(3).then(|| whole(dice.0.below(500))),
            // Not the time that heartbeats ask for.
            extends_by: dice.one_in(6).then(|| Duration::from_millis(ttl + 7)),
            ending,
            cost: whole(cost),
            fortunes: dice.fortunes(work, ttl),
        }
    }

    /// The configuration of all its processes.
    pub(super) fn config(&self) -> CyclesConfig {
        let config = CyclesConfig::builder(DEFAULT_API_KEY, BASE_URL).tenant(DEFAULT_TENANT);
        #[expect(clippy::expect_used, reason = "all of it is fixed, and every life builds it")]
        config
            .journal_enabled(self.has_journal)
            .build()
            .expect("the configuration is valid")
    }
}

/// Draws from a seed.
struct Dice(Seed);

impl Dice {
    fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.0.below(length as u64)).unwrap_or(0)
    }

    /// A time of very different lengths: as likely below a second as above an hour.
    fn time(&mut self, shortest_ms: u64, doublings: u64) -> Duration {
        let whole = shortest_ms << self.0.below(doublings);
        Duration::from_millis(whole + self.0.below(whole))
    }

    fn ttl_ms(&mut self) -> u64 {
        [1_000, 4_000, 10_000, 30_000, 60_000, 60_000, 600_000][self.index(7)]
    }

    fn work(&mut self, ttl_ms: u64) -> Duration {
        match self.0.below(8) {
            0 => Duration::ZERO,
            1..5 => Duration::from_millis(self.0.below(2_000)),
            5 | 6 => Duration::from_millis(self.0.below(3 * ttl_ms)),
            _ => Duration::from_millis(self.0.below(14 * ttl_ms)),
        }
    }

    fn faults(&mut self, is_rough: bool) -> Vec<FaultRule> {
        let count = 1 + self.0.below(4);
        (0..count).map(|_| self.rule(is_rough)).collect()
    }

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
        let named = if self.one_in(6) { 0 } else { 1 + self.0.below(2) };
        for _ in 0..named {
            rule = rule.on(operations[self.index(operations.len())]);
        }
        rule.when(match self.0.below(5) {
            0 => When::First(1 + self.0.below(4)),
            1 => When::Calls([1 + self.0.below(4)].into()),
            2 => When::For(self.time(1_000, 12)),
            _ => When::Randomly {
                probability: if is_rough { 0.5 } else { 0.15 },
                seed: self.0.next(),
            },
        })
    }

    fn fault(&mut self) -> Fault {
        const PAGES: [u16; 6] = [404, 403, 410, 410, 200, 502];
        match self.0.below(17) {
            0 => Fault::Delay(self.time(100, 10)),
            1 => Fault::Drip(self.time(1, 6)),
            2 => Fault::Status {
                status: [500, 502, 503, 504][self.index(4)],
                retry_after_s: self.one_in(4).then(|| self.0.below(30)),
            },
            3 => Fault::Status {
                status: 429,
                retry_after_s: None,
            },
            4 => {
                let longest_s = 1 << self.0.below(14);
                Fault::Status {
                    status: 429,
                    retry_after_s: Some(self.0.below(longest_s)),
                }
            }
            5 => Fault::Status {
                status: [401, 403][self.index(2)],
                retry_after_s: None,
            },
            6 => Fault::StatusAfter([500, 502, 503][self.index(3)]),
            7 => Fault::Outage,
            8 => Fault::ForeignPage(PAGES[self.index(PAGES.len())]),
            9 => Fault::ForeignError(PAGES[self.index(4)]),
            10 => Fault::Garbage,
            11 => Fault::Twice(self.time(10, 12)),
            12 => Fault::LoseRequest,
            13 | 14 => Fault::LoseResponse,
            15 => Fault::ResetResponse,
            _ => Fault::Cut,
        }
    }

    fn fortunes(&mut self, work: Duration, ttl_ms: u64) -> Vec<(Duration, Fortune)> {
        let mut fortunes = Vec::new();
        // Around the end of the action is where the money is.
        let near = |dice: &mut Self| {
            let spread = Duration::from_millis(dice.0.below(20_000 + ttl_ms / 4));
            work.saturating_sub(Duration::from_secs(2)) + spread
        };
        for _ in 0..self.0.below(4) {
            let at = near(self);
            let later = at + self.time(10, 28);
            match self.0.below(13) {
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
                    fortunes.push((at, Fortune::Journal(ILL[self.index(2)])));
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

    /// By milliseconds up to a fortnight, forward or back.
    fn jump(&mut self) -> i64 {
        let by = self.time(1, 30).as_millis();
        let by = i64::try_from(by).unwrap_or(0);
        if self.one_in(2) { -by } else { by }
    }
}

/// Draws are far below what a signed number holds.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The health of a journal that a plan may ask for.
const ILL: [JournalHealth; 2] = [JournalHealth::Fails, JournalHealth::WorksButSaysNot];
