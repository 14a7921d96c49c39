//! The requests that actions and steps send to a provider: what their callers say about them, and what the provider
//! really charges. Only the provider and the world know that, so the world knows when a missing charge is a loss.

use cycles_proto::with_cycles_config::OnError;

use super::World;
use super::job::JobId;
use super::runs::OpenStep;

/// The requests of one action or step.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    /// The requests that its caller said leave and did not take back, in order.
    said: Vec<SaidRequest>,
    /// What the provider charges for the requests that its caller did not mention.
    unsaid: i64,
    on_error: OnError,
    /// How many requests there were.
    numbered: u64,
    /// Whether one of them is to be known even if the process dies. The mark of it stays as long as any is open.
    is_durable: bool,
    /// Whether the session has said that this is on disk.
    is_marked: bool,
}

#[derive(Clone, Copy, Debug)]
struct SaidRequest {
    number: u64,
    /// What the provider charges for it; 0 until it has left.
    cost: i64,
}

/// What has to be done about an action or a step that ended without a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is free: nothing was dispatched, or its policy says so.
    Nothing,
    /// What it reported as spent has to be charged.
    Spent(i64),
    /// Its estimate has to be charged.
    Estimate(i64),
    /// Somebody has to be told that it may have cost something, up to about its estimate.
    Report(i64),
}

impl Due {
    pub(super) const fn charge(self) -> i64 {
        match self {
            Self::Spent(amount) | Self::Estimate(amount) => amount,
            Self::Nothing | Self::Report(_) => 0,
        }
    }
}

impl Requests {
    pub(super) fn new(on_error: OnError) -> Self {
        Self {
            on_error,
            ..Self::default()
        }
    }

    /// What has to be done if the action ends now, without a cost. This is decided here once more, and not asked of the
    /// session.
    pub(super) fn due(&self, spent: i64, estimate: i64) -> Due {
        if spent > 0 {
            return Due::Spent(spent);
        }
        match self.on_error {
            _ if self.said.is_empty() => Due::Nothing,
            OnError::Estimate => Due::Estimate(estimate),
            OnError::Hold => Due::Report(estimate),
            OnError::Release | OnError::Spent | _ => Due::Nothing,
        }
    }

    /// What the provider charges for all requests.
    pub(super) fn bill(&self) -> i64 {
        self.said.iter().map(|request| request.cost).sum::<i64>() + self.unsaid
    }

    pub(super) fn note(&mut self, true_cost: i64) {
        self.numbered += 1;
        let (number, cost) = (self.numbered, true_cost);
        self.said.push(SaidRequest { number, cost });
    }

    /// Notes a request that leaves once its mark is on disk. Returns its number.
    pub(super) fn note_durable(&mut self) -> u64 {
        self.note(0);
        self.is_durable = true;
        self.numbered
    }

    /// Notes that this request leaves now, with or without a mark. Returns `false` if it was taken back before.
    pub(super) fn note_left(&mut self, number: u64, true_cost: i64, is_marked: bool) -> bool {
        let request = self.said.iter_mut().find(|request| request.number == number);
        let Some(request) = request else { return false };
        request.cost = true_cost;
        self.is_marked |= is_marked;
        true
    }

    pub(super) fn take_back(&mut self) {
        self.said.pop();
        self.forget_mark_if_none_is_open();
    }

    /// Takes this request back: it never left. Returns `false` if it was taken back before.
    pub(super) fn cancel(&mut self, number: u64) -> bool {
        let before = self.said.len();
        self.said.retain(|request| request.number != number);
        self.forget_mark_if_none_is_open();
        self.said.len() < before
    }

    fn forget_mark_if_none_is_open(&mut self) {
        if self.said.is_empty() {
            (self.is_durable, self.is_marked) = (false, false);
        }
    }

    /// Whether they are to be known even if the process dies.
    pub(super) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Whether the session has said that they are marked on disk.
    pub(super) fn is_marked(&self) -> bool {
        self.is_marked
    }
}

/// The audit's notes about a job whose action calls a provider.
#[derive(Debug, Default)]
pub(super) struct ProviderNotes {
    pub(super) estimate: i64,
    pub(super) requests: Requests,
    /// Whether its cost is an estimate, or contains the estimates of steps.
    pub(super) is_estimated: bool,
    /// The estimate up to which it may have cost something that is not charged, so that somebody has to be told.
    pub(super) owes_report: Option<i64>,
    /// The estimate that an event has reported.
    pub(super) reported: Option<i64>,
}

/// The requests of actions and steps to their providers. A method on a job whose action does not run does nothing.
impl World {
    /// A request of the action leaves for a provider, which charges `true_cost` for it. If `is_said`, the caller tells
    /// the session that it leaves; nobody tells it the true cost.
    pub fn call_provider(&mut self, job: JobId, true_cost: i64, is_said: bool) {
        if !self.wake_if_running(job) {
            return;
        }
        self.log(|| format!("{job}: a request that costs {true_cost} leaves, said {is_said}"));
        let requests = &mut self.jobs[job.0].notes.provider.requests;
        if !is_said {
            requests.unsaid += true_cost;
            return;
        }
        requests.note(true_cost);
        self.act(job, |machine, _, key| machine.dispatched(key));
    }

    /// The provider refuses the latest request, which costs nothing then, and the caller says so.
    pub fn refuse(&mut self, job: JobId) {
        if !self.wake_if_running(job) {
            return;
        }
        self.log(|| format!("{job}: its provider refuses"));
        self.jobs[job.0].notes.provider.requests.take_back();
        self.act(job, |machine, _, key| machine.not_charged(key));
    }

    /// Sets what is charged if the action ends without a cost after a request of it has left.
    pub fn set_on_error(&mut self, job: JobId, on_error: OnError) {
        if !self.wake_if_running(job) {
            return;
        }
        self.log(|| format!("{job}: without a cost: {on_error:?}"));
        self.jobs[job.0].notes.provider.requests.on_error = on_error;
        self.act(job, |machine, _, key| machine.set_on_error(key, on_error));
    }

    /// Like [`call_provider`](Self::call_provider), for a step of a run; the caller always says so.
    pub fn call_provider_in_step(&mut self, job: JobId, number: u64, true_cost: i64) {
        self.log(|| format!("{job}: a request of step {number} that costs {true_cost} leaves"));
        self.act_on_step(job, number, |machine, step| {
            step.requests.note(true_cost);
            machine.step_dispatched(step.key);
        });
    }

    /// Like [`refuse`](Self::refuse), for a step of a run.
    pub fn refuse_step(&mut self, job: JobId, number: u64) {
        self.log(|| format!("{job}: the provider of step {number} refuses"));
        self.act_on_step(job, number, |machine, step: &mut OpenStep| {
            step.requests.take_back();
            machine.step_not_charged(step.key);
        });
    }

    /// Wakes the process of an action that runs. Returns whether it runs then.
    pub(super) fn wake_if_running(&mut self, job: JobId) -> bool {
        let Some(at) = self.live_origin(job) else {
            return false;
        };
        let is_awake = self.wake_up(self.reservations[at].session).is_some();
        is_awake && self.jobs[job.0].notes.is_running
    }
}
