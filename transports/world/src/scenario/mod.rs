//! Random scenarios: one number decides the world, the agents that spend in it, and everything that goes wrong.

mod agent;
mod dice;
mod faults;
mod plan;
mod provider;
mod run;

use core::fmt;
use std::sync::Arc;

use cycles_proto::Outcome;
use cycles_proto::Receipt;
use cycles_sandbox::Operation;

use self::dice::Dice;
use self::plan::Plan;
use self::run::ScenarioRun;
use super::builder::{MakeMachine, WatchLedger};
use super::{Driver, Violation, World};

/// A random scenario, determined by its seed alone: the agent's actions, the faults, the crashes and the clocks.
///
/// ```
/// use cycles_world::RandomScenario;
///
/// for seed in 0..20 {
///     RandomScenario::new(seed).run()?;
/// }
/// # Ok::<(), cycles_world::ScenarioFailure>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing happens before `run`"]
pub struct RandomScenario {
    seed: u64,
    /// The bytes that its plan is drawn from before the seed is used.
    bytes: Vec<u8>,
    make: MakeMachine,
    watch: WatchLedger,
    is_traced: bool,
}

/// Counts of what happened in random scenarios.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Steps that the sessions handed out.
    pub steps: u64,
    /// Costs that were settled by a commit.
    pub committed: u64,
    /// Costs that were settled by an event.
    pub by_event: u64,
    /// Reservations that were released, or left to expire.
    pub released: u64,
    /// Reservations that were not granted.
    pub not_reserved: u64,
    /// Costs that were refused for good.
    pub rejected: u64,
    /// Costs whose key the server may have forgotten.
    pub stale: u64,
    /// Costs that were left to a later attempt.
    pub pending: u64,
    /// Records that were resumed.
    pub resumed: u64,
    /// Files that were torn by a crash.
    pub torn: u64,
    /// Costs that only one process knew when it crashed.
    pub lost: u64,
    /// Reservations that ended in a panic.
    pub panicked: u64,
    /// Places that were not given back.
    pub written_off: u64,
    /// Attempts that got no place in time.
    pub queued: u64,
    /// Attempts that were withdrawn before they began.
    pub not_begun: u64,
    /// Changes to the journal that took too long to wait for.
    pub hung: u64,
    /// Scans of a journal that another session had claimed.
    pub yielded: u64,
    /// Processes that ended because their sessions were closed.
    pub closed: u64,
    /// Sessions that ended in steps.
    pub shut_down: u64,
    /// Single-request calls that were answered.
    pub answered_calls: u64,
    /// Costs that are or contain estimates, because the true cost was not reported.
    pub estimated: u64,
    /// Costs that are not charged, but reported as unknown.
    pub unknown: u64,
    /// Actions that were not charged, although their providers charge for them: their callers did not say that a request
    /// left, or chose a policy that permits it, or their process was killed.
    pub unseen: u64,
    /// Requests that left once their marks were on disk.
    pub marked: u64,
    /// Requests whose marks failed.
    pub not_marked: u64,
    /// Marks that ended processes left for sure.
    pub left_marks: u64,
    /// Events that told of a mark.
    pub told_marks: u64,
    /// Marks that a person has charged.
    pub charged_by_hand: u64,
    /// Marks that a person has discarded.
    pub discarded: u64,
    /// Marks that were left to their owners.
    pub left_to_owner: u64,
}

/// The failure of a random scenario: a violated invariant.
#[derive(Debug)]
#[non_exhaustive]
pub struct ScenarioFailure {
    /// The seed of the scenario.
    pub seed: u64,
    /// Whether its plan came from bytes, so that the seed alone does not reproduce it.
    pub is_drawn: bool,
    /// The violation, with a trace of everything before.
    pub violation: Violation,
}

impl RandomScenario {
    /// The scenario for this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            bytes: Vec::new(),
            make: Arc::new(|session| Box::new(session)),
            watch: Arc::new(|_, _| {}),
            is_traced: false,
        }
    }

    /// The scenario that these bytes choose, decision by decision: a fuzzer's change in one place changes the scenario
    /// in one place. The first eight bytes are the seed for all decisions that the other bytes leave open.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (first, rest) = bytes.split_at(bytes.len().min(8));
        let seed = first.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        Self {
            bytes: rest.to_vec(),
            ..Self::new(seed)
        }
    }

    /// Wraps every session.
    pub fn machines(mut self, make: MakeMachine) -> Self {
        self.make = make;
        self
    }

    /// Calls `watch` with every exchange with the ledger, before the network changes it.
    pub fn watch_ledger(mut self, watch: WatchLedger) -> Self {
        self.watch = watch;
        self
    }

    /// Runs the scenario.
    ///
    /// # Errors
    /// The violation, with a trace: a scenario that fails is run once more to record it.
    pub fn run(self) -> Result<Tally, ScenarioFailure> {
        let (seed, is_drawn) = (self.seed, !self.bytes.is_empty());
        self.run_once().map_err(|violation| {
            let traced = Self {
                is_traced: true,
                ..self
            };
            // The run fails again, because everything follows from the seed.
            let violation = traced.run_once().err().unwrap_or(violation);
            ScenarioFailure {
                seed,
                is_drawn,
                violation,
            }
        })
    }

    fn run_once(&self) -> Result<Tally, Violation> {
        let plan = Plan::of(Dice::new(&self.bytes, self.seed));
        let mut builder = World::builder(self.seed)
            .driver(Driver::careless(plan.carelessness))
            .without_remaining_ttl(plan.without_remaining_ttl)
            .places(plan.places)
            .claims(plan.has_claims)
            .machines(Arc::clone(&self.make))
            .watch_ledger(Arc::clone(&self.watch));
        if self.is_traced {
            builder = builder.traced();
        }
        let mut run = ScenarioRun::begin(builder.build(), &plan);
        run.run_to_end(&plan)?;
        run.world.finish()?;
        Ok(tally(&run.world))
    }
}

impl fmt::Debug for RandomScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomScenario")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ScenarioFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_drawn {
            return write!(f, "{}\nin a scenario that was drawn from bytes", self.violation);
        }
        write!(
            f,
            "{}\nseed {}; this scenario alone: CYCLES_SCENARIOS=1 CYCLES_SCENARIOS_SEED={} cargo test -p cycles-world --test behaviour scenarios::",
            self.violation, self.seed, self.seed
        )
    }
}

impl std::error::Error for ScenarioFailure {}

impl Tally {
    /// Returns the sum of both tallies.
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
            panicked: self.panicked + other.panicked,
            written_off: self.written_off + other.written_off,
            queued: self.queued + other.queued,
            not_begun: self.not_begun + other.not_begun,
            hung: self.hung + other.hung,
            yielded: self.yielded + other.yielded,
            closed: self.closed + other.closed,
            shut_down: self.shut_down + other.shut_down,
            answered_calls: self.answered_calls + other.answered_calls,
            estimated: self.estimated + other.estimated,
            unknown: self.unknown + other.unknown,
            unseen: self.unseen + other.unseen,
            marked: self.marked + other.marked,
            not_marked: self.not_marked + other.not_marked,
            left_marks: self.left_marks + other.left_marks,
            told_marks: self.told_marks + other.told_marks,
            charged_by_hand: self.charged_by_hand + other.charged_by_hand,
            discarded: self.discarded + other.discarded,
            left_to_owner: self.left_to_owner + other.left_to_owner,
        }
    }
}

fn tally(world: &World) -> Tally {
    let mut tally = Tally {
        steps: world.steps(),
        resumed: world
            .reservations
            .iter()
            .filter(|reservation| reservation.watch.is_resumed)
            .count() as u64,
        torn: world.journal().quarantined().len() as u64,
        panicked: world.counts.panicked,
        written_off: world.counts.written_off,
        queued: world.counts.queued,
        not_begun: world.counts.not_begun,
        hung: world.counts.hung,
        yielded: world.counts.yielded,
        closed: world.counts.closed,
        shut_down: world.counts.shut_down,
        answered_calls: world.counts.answered_calls,
        marked: world.counts.marked,
        not_marked: world.counts.not_marked,
        left_marks: world.counts.left_marks,
        told_marks: world.counts.told_marks,
        charged_by_hand: world.counts.charged_by_hand,
        discarded: world.counts.discarded,
        left_to_owner: world.counts.left_to_owner,
        ..Tally::default()
    };
    for (_, job) in world.jobs() {
        for charge in &job.charges {
            let by_event = charge.by == Operation::CreateEvent;
            tally.by_event += u64::from(by_event);
            tally.committed += u64::from(!by_event);
        }
        tally.lost += u64::from(job.cost.is_some() && job.charges.is_empty() && !job.notes.was_surfaced);
        let provider = &job.notes.provider;
        tally.estimated += u64::from(provider.is_estimated && !job.charges.is_empty());
        tally.unknown += u64::from(provider.reported.is_some());
        tally.unseen += u64::from(provider.requests.bill() > 0 && job.cost.is_none() && !job.is_told());
        for outcome in &job.outcomes {
            tally.not_reserved += u64::from(matches!(outcome, Outcome::NotReserved(_)));
            tally.released += u64::from(matches!(outcome, Outcome::Released(_)));
            if let Outcome::Settled(receipt) = outcome {
                tally.rejected += u64::from(matches!(receipt, Receipt::Rejected { .. }));
                tally.stale += u64::from(matches!(receipt, Receipt::Stale));
                tally.pending += u64::from(matches!(receipt, Receipt::Pending { .. }));
            }
        }
    }
    tally
}
