//! Random lives: from one number a world, an agent that spends in it, and all that goes wrong.

mod plan;

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use cycles_proto::Receipt;
use cycles_proto::lifecycle::{Outcome, ReleaseReason};
use cycles_proto::models::{Amount, CommitRequest};

use self::plan::{Ending, Fortune, Plan};
use super::builder::MakeMachine;
use super::{Driver, JournalHealth, LifeId, ProcessId, Violation, World};
use crate::ledger::BudgetStatus;
use crate::operation::Operation;
use crate::sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE};

/// A life of a reservation that follows from its seed alone: what the agent does, which faults strike, who
/// crashes when and how clocks go.
///
/// ```
/// use cycles_sandbox::world::RandomLife;
///
/// for seed in 0..20 {
///     RandomLife::new(seed).run()?;
/// }
/// # Ok::<(), cycles_sandbox::world::Failed>(())
/// ```
#[derive(Clone)]
#[must_use = "nobody lives before `run`"]
pub struct RandomLife {
    seed: u64,
    make: MakeMachine,
    is_traced: bool,
}

/// What came of a random life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Steps that its machines handed out.
    pub steps: u64,
    /// Costs that were settled by a commit.
    pub committed: u64,
    /// Costs that were settled by an event.
    pub by_event: u64,
    /// Reservations that were given back, or left to expire.
    pub released: u64,
    /// Reservations that were not made.
    pub not_reserved: u64,
    /// Costs that were refused for good.
    pub rejected: u64,
    /// Costs whose key the server may have forgotten.
    pub stale: u64,
    /// Costs that a machine left to a later one.
    pub pending: u64,
    /// Records that another machine took up.
    pub resumed: u64,
    /// Files that a crash had torn.
    pub torn: u64,
    /// Costs that nobody but a process knew when it crashed.
    pub lost: u64,
}

/// A random life in which an invariant did not hold.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failed {
    /// The life.
    pub seed: u64,
    /// What did not hold, with all that happened before.
    pub violation: Violation,
}

impl RandomLife {
    /// The life of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            make: Arc::new(|lifecycle| Box::new(lifecycle)),
            is_traced: false,
        }
    }

    /// Wraps every machine.
    pub fn machines(mut self, make: MakeMachine) -> Self {
        self.make = make;
        self
    }

    /// Lives it.
    ///
    /// # Errors
    /// What did not hold, with a trace: a life that fails is lived once more for it.
    pub fn run(self) -> Result<Tally, Failed> {
        self.live().or_else(|violation| {
            let seed = self.seed;
            let traced = Self {
                is_traced: true,
                ..self
            };
            // It fails again, as everything follows from the seed.
            let violation = traced.live().err().unwrap_or(violation);
            Err(Failed { seed, violation })
        })
    }

    fn live(&self) -> Result<Tally, Violation> {
        let plan = Plan::of(self.seed);
        let mut builder = World::builder(self.seed)
            .driver(Driver::careless(plan.carelessness))
            .machines(Arc::clone(&self.make));
        if self.is_traced {
            builder = builder.traced();
        }
        let mut living = Living::begin(builder.build(), &plan);
        living.pass(&plan)?;
        living.world.finish()?;
        Ok(tally(&living.world))
    }
}

impl fmt::Debug for RandomLife {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomLife")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\nseed {}; this life alone: CYCLES_LIVES=1 CYCLES_LIVES_SEED={} cargo test -p cycles-sandbox --test lives",
            self.violation, self.seed, self.seed
        )
    }
}

impl std::error::Error for Failed {}

impl Tally {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            committed: self.committed + other.committed,
            by_event: self.by_event + other.by_event,
            released: self.released + other.released,
            not_reserved: self.not_reserved + other.not_reserved,
            rejected: self.rejected + other.rejected,
            stale: self.stale + other.stale,
            pending: self.pending + other.pending,
            resumed: self.resumed + other.resumed,
            torn: self.torn + other.torn,
            lost: self.lost + other.lost,
        }
    }
}

/// A plan on its way.
struct Living {
    world: World,
    life: LifeId,
    /// Its processes, the latest last.
    processes: Vec<ProcessId>,
    granted_at: Option<Duration>,
    has_ended: bool,
}

impl Living {
    fn begin(mut world: World, plan: &Plan) -> Self {
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

    fn pass(&mut self, plan: &Plan) -> Result<(), Violation> {
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
                    self.meets(fortune);
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

    fn meets(&mut self, fortune: &Fortune) {
        let latest = self.processes.last().copied();
        let world = &mut self.world;
        match (fortune, latest) {
            (Fortune::Crash, Some(process)) => world.crash(process),
            (Fortune::Restart, Some(process)) => {
                let process = world.restart(process);
                self.processes.push(process);
            }
            (Fortune::Replace(config), _) => {
                let process = world.start_process_with(config.clone());
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
                let _ =
                    world
                        .ledger_mut()
                        .set_budget_status(DEFAULT_TENANT_SCOPE, crate::Unit::Tokens, status);
            }
            (Fortune::Rule(rule), _) => world.inject(rule.clone()),
            (Fortune::Calm, _) => world.clear_faults(),
            (Fortune::RestoresStaleRecord, _) => world.restore_first_record(self.life),
            (_, None) => {}
        }
    }
}

fn tally(world: &World) -> Tally {
    let mut tally = Tally {
        steps: world.steps(),
        resumed: world.seats.iter().filter(|seat| seat.watch.is_resumed).count() as u64,
        torn: world.journal().quarantined().len() as u64,
        ..Tally::default()
    };
    for (_, life) in world.lives() {
        for settled in &life.settled {
            match settled.by {
                Operation::CreateEvent => tally.by_event += 1,
                _ => tally.committed += 1,
            }
        }
        tally.lost += u64::from(life.cost.is_some() && life.settled.is_empty() && !life.book.was_surfaced);
        for outcome in &life.outcomes {
            match outcome {
                Outcome::NotReserved(_) => tally.not_reserved += 1,
                Outcome::Released(_) => tally.released += 1,
                Outcome::Settled(Receipt::Rejected { .. }) => tally.rejected += 1,
                Outcome::Settled(Receipt::Stale) => tally.stale += 1,
                Outcome::Settled(Receipt::Pending { .. }) => tally.pending += 1,
                _ => {}
            }
        }
    }
    tally
}

/// The health of a journal that a plan may ask for.
const ILL: [JournalHealth; 2] = [JournalHealth::Fails, JournalHealth::WorksButSaysNot];

/// Who a plan's processes are.
const WHO: (&str, &str) = (DEFAULT_API_KEY, DEFAULT_TENANT);
