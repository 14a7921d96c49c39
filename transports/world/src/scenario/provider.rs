//! What an agent's action, or a step of its run, sends to a provider.

use std::time::Duration;

use cycles_proto::models::Amount;
use cycles_proto::with_cycles_config::OnError;

use super::dice::Dice;
use crate::{JobId, World};

/// What an action sends to its provider.
pub(super) struct ProviderPlan {
    on_error: Option<OnError>,
    /// The acts of the action, by the time since the grant.
    acts: Vec<(Duration, ProviderAct)>,
}

/// An act between an action and its provider.
#[derive(Clone, Copy)]
pub(super) enum ProviderAct {
    /// A request leaves for which the provider charges this much, and the caller says that it leaves, or nothing.
    Calls(i64, bool),
    /// A request leaves for which the provider charges this much, once it is marked on disk; or, if that fails, whether it
    /// leaves all the same.
    CallsDurably(i64, bool),
    /// The provider refuses it.
    Refuses,
    /// The action reports that it has spent this much.
    Spends(i64),
}

impl ProviderPlan {
    /// Draws the requests of an action that runs for this long, and what they cost in all.
    pub(super) fn of(dice: &mut Dice<'_>, work: Duration) -> (Self, i64) {
        let is_said = !dice.one_in(5);
        let on_error = policy(dice);
        let mut at = Duration::ZERO;
        let mut acts = Vec::new();
        let mut bill = 0;
        for _ in 0..1 + dice.below(3) {
            at = (at + dice.millis(millis(work) + 1)).min(work);
            let answer = requests(dice, is_said);
            bill += answer.iter().fold(0, |bill, act| match act {
                ProviderAct::Calls(cost, _) | ProviderAct::CallsDurably(cost, _) => *cost,
                ProviderAct::Refuses => 0,
                ProviderAct::Spends(_) => bill,
            });
            acts.extend(answer.into_iter().map(|act| (at, act)));
        }
        (Self { on_error, acts }, bill)
    }

    /// Draws which requests leave only once they are marked on disk.
    pub(super) fn draw_marks(&mut self, dice: &mut Dice<'_>) {
        for (_, act) in &mut self.acts {
            act.draw_mark(dice);
        }
    }

    /// What the action does when it begins.
    pub(super) fn begin(&self, world: &mut World, job: JobId) {
        if let Some(on_error) = self.on_error {
            world.set_on_error(job, on_error);
        }
    }

    /// All acts, in order.
    pub(super) fn acts(&self) -> impl Iterator<Item = ProviderAct> {
        self.acts.iter().map(|(_, act)| *act)
    }

    /// The act after this many.
    pub(super) fn act(&self, done: usize) -> Option<(Duration, ProviderAct)> {
        self.acts.get(done).copied()
    }
}

impl ProviderAct {
    pub(super) fn draw_mark(&mut self, dice: &mut Dice<'_>) {
        if let Self::Calls(cost, true) = self
            && !dice.one_in(3)
        {
            *self = Self::CallsDurably(*cost, dice.one_in(2));
        }
    }

    pub(super) fn happen(self, world: &mut World, job: JobId) {
        match self {
            Self::Calls(true_cost, is_said) => world.call_provider(job, true_cost, is_said),
            Self::CallsDurably(true_cost, goes_on) => world.call_provider_durably(job, true_cost, goes_on),
            Self::Refuses => world.refuse(job),
            Self::Spends(amount) => {
                // This fails if the lease has been lost.
                let _ = world.spent(job, &Amount::tokens(amount));
            }
        }
    }

    pub(super) fn happen_in_step(self, world: &mut World, job: JobId, number: u64) {
        match self {
            Self::Calls(true_cost, _) => world.call_provider_in_step(job, number, true_cost),
            Self::CallsDurably(true_cost, goes_on) => {
                world.call_provider_durably_in_step(job, number, true_cost, goes_on);
            }
            Self::Refuses => world.refuse_step(job, number),
            Self::Spends(amount) => world.step_spent(job, number, amount),
        }
    }
}

/// One request, and how its provider answers. Some providers charge nothing for a request that failed.
pub(super) fn requests(dice: &mut Dice<'_>, is_said: bool) -> Vec<ProviderAct> {
    let cost = if dice.one_in(4) { 0 } else { dice.amount(1_000) };
    let mut acts = vec![ProviderAct::Calls(cost, is_said)];
    match dice.below(10) {
        0..3 if is_said => acts.push(ProviderAct::Refuses),
        3 => acts.push(ProviderAct::Spends(dice.amount(cost.max(1)))),
        // This is not "free".
        4 => acts.push(ProviderAct::Spends(0)),
        _ => {}
    }
    acts
}

/// What is charged without a cost; mostly the default.
pub(super) fn policy(dice: &mut Dice<'_>) -> Option<OnError> {
    match dice.below(10) {
        0 => Some(OnError::Release),
        1 => Some(OnError::Spent),
        2 | 3 => Some(OnError::Hold),
        4 => Some(OnError::Estimate),
        _ => None,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
