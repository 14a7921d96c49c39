//! An agent with one reservation: its plan and its progress.

use std::time::Duration;

use cycles_proto::models::{
    Action, Amount, CommitOveragePolicy, CommitRequest, ReservationCreateRequest, Subject,
};

use cycles_proto::outcome::ReleaseReason;
use cycles_proto::run::RunOptions;
use cycles_proto::with_cycles_config::OnError;

use super::dice::Dice;
use super::provider::{self, ProviderAct, ProviderPlan};
use crate::{JobId, ProcessId, World};

/// The plan of an agent.
pub(super) struct AgentPlan {
    pub(super) begins: Duration,
    request: ReservationCreateRequest,
    /// How long the action runs.
    pub(super) work: Duration,
    /// How long the agent waits for a grant.
    patience: Duration,
    spent_at_first: Option<i64>,
    extends_by: Option<Duration>,
    ending: Ending,
    cost: i64,
    /// Which of its process's callers the agent uses.
    caller: u64,
    /// Whether the agent blocks until the grant.
    is_blocking: bool,
    /// Whether the agent forgets the reservation after ending the action.
    forgets: bool,
    /// If the reservation is a run: what happens in it, by the time since the grant.
    run: Option<Vec<(Duration, RunAct)>>,
    /// What is charged for the steps of the run that end without a cost.
    on_error: OnError,
    /// What the action sends to a provider.
    provider: Option<ProviderPlan>,
}

/// An act in a run.
#[derive(Clone, Copy)]
enum RunAct {
    Begins(u64, i64, Option<OnError>),
    Calls(u64, ProviderAct),
    Spent(u64, i64),
    Ends(u64, i64),
    Fails(u64),
    Finishes,
}

/// How an action ends.
#[derive(Clone, Copy)]
enum Ending {
    Commits,
    Releases,
    Leaves,
}

impl AgentPlan {
    pub(super) fn of(dice: &mut Dice<'_>, begins: Duration) -> Self {
        let ttl_ms = dice.one_of(&[1_000, 4_000, 10_000, 30_000, 60_000, 60_000, 600_000]);
        let work = match dice.below(8) {
            0 => Duration::ZERO,
            1..5 => dice.millis(2_000),
            5 | 6 => dice.millis(3 * ttl_ms),
            _ => dice.millis(14 * ttl_ms),
        };
        let estimate = dice.amount(1_000);
        let costs_more = dice.one_in(5);
        let commits = [Ending::Commits; 7];
        let endings = [&commits[..], &[Ending::Releases, Ending::Leaves, Ending::Leaves]].concat();
        Self {
            begins,
            request: request(dice, ttl_ms, estimate),
            work,
            patience: Duration::from_secs(60) + dice.millis(60_000),
            spent_at_first: dice.one_in(3).then(|| dice.amount(500)),
            // Different from the time that beats request.
            extends_by: dice.one_in(6).then(|| Duration::from_millis(ttl_ms + 7)),
            ending: dice.one_of(&endings),
            cost: dice.amount(if costs_more { 3_000 } else { estimate }),
            caller: 0,
            is_blocking: false,
            forgets: false,
            run: None,
            on_error: OnError::default(),
            provider: None,
        }
    }

    /// Draws the caller and its behaviour. This is separate from `of`, so that older seeds keep their meaning.
    pub(super) fn draw_caller(&mut self, dice: &mut Dice<'_>) {
        self.caller = dice.below(4);
        self.is_blocking = dice.one_in(4);
        self.forgets = dice.one_in(3);
    }

    /// Draws the steps of a run. This is separate from `of`, so that older seeds keep their meaning.
    pub(super) fn draw_run(&mut self, dice: &mut Dice<'_>) {
        let work = u64::try_from(self.work.as_millis()).unwrap_or(u64::MAX);
        let mut acts = Vec::new();
        for number in 0..1 + dice.below(6) {
            let begins = dice.millis(work + 1);
            let ends = begins + dice.millis(work / 2 + 50);
            let estimate = dice.amount(400);
            acts.push((begins, RunAct::Begins(number, estimate, None)));
            if dice.one_in(4) {
                acts.push((begins, RunAct::Spent(number, dice.amount(300))));
            }
            acts.push((
                ends,
                match dice.one_in(5) {
                    true => RunAct::Fails(number),
                    false => RunAct::Ends(number, dice.amount(500) - 20),
                },
            ));
        }
        if !dice.one_in(4) {
            acts.push((self.work, RunAct::Finishes));
        }
        acts.sort_by_key(|(at, _)| *at);
        self.run = Some(acts);
    }

    /// Draws what the action or its steps send to a provider. This is separate from `of`, so that older seeds keep their
    /// meaning.
    pub(super) fn draw_provider(&mut self, dice: &mut Dice<'_>) {
        let Some(acts) = &mut self.run else {
            let (plan, bill) = ProviderPlan::of(dice, self.work);
            self.provider = Some(plan);
            self.ending = dice.one_of(&[
                Ending::Commits,
                Ending::Releases,
                Ending::Releases,
                Ending::Leaves,
                Ending::Leaves,
            ]);
            self.cost = bill;
            return;
        };
        self.on_error = provider::policy(dice).unwrap_or_default();
        if dice.one_in(8) {
            self.provider = Some(ProviderPlan::of(dice, Duration::ZERO).0);
        }
        let mut calls = Vec::new();
        for (ends, act) in acts.iter_mut() {
            match act {
                RunAct::Begins(number, _, on_error) => {
                    *on_error = provider::policy(dice);
                    calls.push((*number, *ends));
                }
                RunAct::Ends(number, _) if dice.one_in(2) => *act = RunAct::Fails(*number),
                RunAct::Ends(..)
                | RunAct::Calls(..)
                | RunAct::Spent(..)
                | RunAct::Fails(_)
                | RunAct::Finishes => {}
            }
        }
        for (number, begins) in calls {
            // A step that calls after its end changes nothing.
            for _ in 0..dice.below(3) {
                let at = begins + dice.millis(40);
                let acts_of_step = provider::requests(dice, true).into_iter();
                acts.extend(acts_of_step.map(|act| (at, RunAct::Calls(number, act))));
            }
        }
        acts.sort_by_key(|(at, _)| *at);
    }

    /// Draws which requests leave only once they are marked on disk. This is separate from `of`, so that older seeds keep
    /// their meaning. Returns whether there may be any.
    pub(super) fn draw_marks(&mut self, dice: &mut Dice<'_>) -> bool {
        if self.provider.is_none() && self.run.is_none() {
            return false;
        }
        if let Some(plan) = &mut self.provider {
            plan.draw_marks(dice);
        }
        for (_, act) in self.run.iter_mut().flatten() {
            if let RunAct::Calls(_, act) = act {
                act.draw_mark(dice);
            }
        }
        true
    }

    /// Makes the same request as another plan, under the same key, as if it had been delivered twice.
    pub(super) fn repeat_request_of(&mut self, other: &mut Self) {
        other.request.idempotency_key = Some("job-7".into());
        self.request = other.request.clone();
        self.caller = other.caller;
    }
}

fn request(dice: &mut Dice<'_>, ttl_ms: u64, estimate: i64) -> ReservationCreateRequest {
    let mut request = ReservationCreateRequest::builder()
        .subject(Subject::default())
        .action(Action::new("llm.completion", "model"))
        .estimate(Amount::tokens(estimate))
        .ttl_ms(ttl_ms)
        .build();
    request.grace_period_ms = dice.one_in(4).then(|| dice.below(60_001));
    let policies = [
        CommitOveragePolicy::Reject,
        CommitOveragePolicy::AllowIfAvailable,
        CommitOveragePolicy::AllowWithOverdraft,
    ];
    let policy = dice.below(12);
    request.overage_policy = usize::try_from(policy)
        .ok()
        .and_then(|index| policies.get(index).cloned());
    request
}

/// An agent that follows its plan.
pub(super) struct Agent<'a> {
    plan: &'a AgentPlan,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Idle,
    /// Requested the reservation at this time.
    AwaitsGrant(JobId, Duration),
    /// Got the grant at this time, and has done this much with its provider.
    Works(JobId, Duration, usize),
    /// Got the grant of a run at this time, and has done this many acts.
    Runs(JobId, Duration, usize),
    Ended(Option<JobId>),
}

impl<'a> Agent<'a> {
    pub(super) const fn new(plan: &'a AgentPlan) -> Self {
        Self {
            plan,
            state: State::Idle,
        }
    }

    /// The time of the agent's next action.
    pub(super) fn next(&self) -> Option<Duration> {
        match self.state {
            State::Idle => Some(self.plan.begins),
            State::AwaitsGrant(_, since) => Some(since + self.plan.patience),
            State::Works(_, since, done) => {
                let next = self.plan.provider.as_ref().and_then(|plan| plan.act(done));
                Some(since + next.map_or(self.plan.work, |(at, _)| at))
            }
            State::Runs(_, since, done) => {
                let next = self.plan.run.as_ref().and_then(|acts| acts.get(done));
                Some(
                    since
                        + next
                            .map_or(Duration::ZERO, |(at, _)| *at)
                            .max(Duration::from_millis(1)),
                )
            }
            State::Ended(_) => None,
        }
    }

    /// Whether the agent has got the grant that it was waiting for.
    pub(super) fn is_granted(&self, world: &World) -> bool {
        matches!(self.state, State::AwaitsGrant(job, _) if world.is_held(job))
    }

    pub(super) fn job(&self) -> Option<JobId> {
        match self.state {
            State::Idle => None,
            State::AwaitsGrant(job, _) | State::Works(job, ..) | State::Runs(job, ..) => Some(job),
            State::Ended(job) => job,
        }
    }

    /// Performs the next action. The first one takes place in `process`.
    pub(super) fn act(&mut self, world: &mut World, process: ProcessId) {
        let plan = self.plan;
        let now = world.now();
        self.state = match self.state {
            State::Idle => match plan.reserve(world, process) {
                Some(job) => State::AwaitsGrant(job, now),
                None => State::Ended(None),
            },
            State::AwaitsGrant(job, _) if world.is_held(job) && plan.run.is_some() => {
                plan.begin_run(world, job);
                State::Runs(job, now, 0)
            }
            State::AwaitsGrant(job, _) if world.is_held(job) => {
                plan.begin(world, job);
                State::Works(job, now, 0)
            }
            State::AwaitsGrant(job, _) => {
                match plan.forgets {
                    true => world.forget(job),
                    false => world.abandon(job),
                }
                State::Ended(Some(job))
            }
            State::Works(job, since, done) => match plan.provider.as_ref().and_then(|plan| plan.act(done)) {
                Some((_, act)) => {
                    act.happen(world, job);
                    State::Works(job, since, done + 1)
                }
                None => {
                    plan.end(world, job);
                    if plan.forgets {
                        world.forget(job);
                    }
                    State::Ended(Some(job))
                }
            },
            State::Runs(job, since, done) => match plan.run.as_ref().and_then(|acts| acts.get(done)) {
                Some((_, act)) => {
                    act.happen(world, job);
                    State::Runs(job, since, done + 1)
                }
                // If it was not finished, its caller goes away; open steps have ended by then.
                None => {
                    match plan.forgets {
                        true => world.forget(job),
                        false => world.abandon(job),
                    }
                    State::Ended(Some(job))
                }
            },
            State::Ended(job) => State::Ended(job),
        };
    }
}

impl RunAct {
    fn happen(self, world: &mut World, job: JobId) {
        match self {
            Self::Begins(number, estimate, on_error) => {
                world.begin_step(job, number, estimate, on_error);
            }
            Self::Calls(number, act) => act.happen_in_step(world, job, number),
            Self::Spent(number, amount) => world.step_spent(job, number, amount),
            // Some costs cannot be accepted.
            Self::Ends(number, cost @ ..=-15) => world.end_step(job, number, &Amount::credits(-cost)),
            Self::Ends(number, cost) => world.end_step(job, number, &Amount::tokens(cost)),
            Self::Fails(number) => world.fail_step(job, number),
            Self::Finishes => world.finish_run(job),
        }
    }
}

impl AgentPlan {
    /// Requests the reservation. `None` if the session is closed, the only possible error: a plan's requests are within
    /// the limits.
    fn reserve(&self, world: &mut World, process: ProcessId) -> Option<JobId> {
        let callers = world.callers(process);
        let caller = callers[usize::try_from(self.caller).unwrap_or(0) % callers.len()];
        world
            .reserve_as(caller, self.request.clone(), self.is_blocking)
            .ok()
    }

    /// Makes the reservation a run. What is sent before that is its own, what is sent after that belongs to a step.
    fn begin_run(&self, world: &mut World, job: JobId) {
        let mut options = RunOptions::new(self.work + Duration::from_secs(60));
        options.on_error = self.on_error;
        let acts = || self.provider.iter().flat_map(ProviderPlan::acts);
        if self.spent_at_first.is_some() {
            acts().for_each(|act| act.happen(world, job));
        }
        world.begin_run(job, options);
        acts().for_each(|act| act.happen(world, job));
    }

    fn begin(&self, world: &mut World, job: JobId) {
        if let Some(amount) = self.spent_at_first {
            // This fails if the lease has been lost.
            let _ = world.spent(job, &Amount::tokens(amount));
        }
        if let Some(provider) = &self.provider {
            provider.begin(world, job);
        }
        if let Some(by) = self.extends_by {
            world.extend(job, by);
        }
    }

    fn end(&self, world: &mut World, job: JobId) {
        match self.ending {
            Ending::Commits => {
                let request = CommitRequest::builder().actual(Amount::tokens(self.cost)).build();
                // This fails if the process has crashed.
                let _ = world.commit(job, request);
            }
            Ending::Releases => {
                self.commit_invalid_cost(world, job);
                world.release(job, ReleaseReason::ACTION_FAILED);
            }
            Ending::Leaves => {
                self.commit_invalid_cost(world, job);
                world.abandon(job);
            }
        }
    }

    /// For some costs, first hands over a cost that cannot be accepted.
    fn commit_invalid_cost(&self, world: &mut World, job: JobId) {
        let wrong = match self.cost % 6 {
            0 => Amount::credits(self.cost),
            3 => Amount::tokens(-self.cost),
            _ => return,
        };
        let request = CommitRequest::builder().actual(wrong).build();
        let _ = world.commit(job, request);
    }
}
