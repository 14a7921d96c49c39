//! This adapter as the suites see it.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use cycles_conformance::{
    Action, ActionFailed, Adapter, Client, Consumed, Guard, Metering, Spending, Unsettled,
};
use cycles_ureq::models::{Amount, Caps, CommitRequest, ReservationCreateRequest, ReservationId};
use cycles_ureq::{
    ActionError, BoxError, CyclesClient, CyclesConfig, Error, Event, GuardContext, InvalidCommit,
    NotCompleted, NotMarked, OnError, RawRequest, RawResponse, Receipt, ReservationGuard, Run, RunConfig,
    Stats, Step, StepContext, UnixMillis, WithCyclesConfig, try_with_cycles,
};

pub struct Ureq;

/// The adapter of these tests.
pub type Tested = Ureq;

#[derive(Debug)]
pub struct OnUreq(CyclesClient);

#[derive(Debug)]
pub struct Held(ReservationGuard);

struct Running(GuardContext);

impl Adapter for Ureq {
    type Client = OnUreq;

    fn client(config: CyclesConfig, observer: impl Fn(&Event) + Send + Sync + 'static) -> OnUreq {
        OnUreq(CyclesClient::new(config).with_observer(observer))
    }
}

impl Client for OnUreq {
    type Guard = Held;
    type Run = Drawing;

    fn run(&self, config: RunConfig) -> Result<Drawing, Error> {
        self.0.run(config).map(Drawing)
    }

    fn reserve(&self, request: ReservationCreateRequest) -> Result<Held, Error> {
        self.0.reserve(request).map(Held)
    }

    fn with_config<T>(
        &self,
        config: WithCyclesConfig,
        action: impl FnOnce(&dyn Action) -> Result<(T, Amount), ActionFailed>,
    ) -> Result<(T, Result<Receipt, InvalidCommit>), Error> {
        let outcome = try_with_cycles(&self.0, config, |context| action(&Running(context)));
        match outcome {
            Ok(completed) => Ok((completed.value, completed.receipt)),
            Err(NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error)) => Err(error),
            Err(NotCompleted::Action(error)) => Err(Error::Action(ActionError::from(BoxError::from(error)))),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn cut_off(&self, config: WithCyclesConfig, action: impl FnOnce(&dyn Action)) {
        let cut = catch_unwind(AssertUnwindSafe(|| {
            try_with_cycles(&self.0, config, |context| -> Result<((), Amount), ActionFailed> {
                action(&Running(context));
                resume_unwind(Box::new("cut off"));
            })
        }));
        assert!(cut.is_err());
    }

    fn raw(&self, request: RawRequest<'_>) -> Result<RawResponse, Error> {
        self.0.raw(request)
    }

    fn flush(&self, timeout: Duration) -> Result<Unsettled, Error> {
        Ok(self.0.flush(timeout)?.into())
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn flush_stale(&self, timeout: Duration) -> Result<Unsettled, Error> {
        Ok(self.0.flush_stale(timeout)?.into())
    }
}

/// A run whose calls block.
#[derive(Debug)]
pub struct Drawing(Run);

struct Stepping(StepContext);

impl Spending for Stepping {
    fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.0.spent(amount)
    }

    fn dispatched(&self) {
        self.0.dispatched();
    }

    fn dispatched_durably(&self) -> Result<(), NotMarked> {
        self.0.dispatched_durably().wait()
    }

    fn not_charged(&self) {
        self.0.not_charged();
    }
}

impl cycles_conformance::Run for Drawing {
    fn step(
        &self,
        step: Step,
        cost: Amount,
        action: impl FnOnce(&dyn Spending) -> Result<(), ActionFailed>,
    ) -> Result<(), Error> {
        self.0.step(step, |context| {
            action(&Stepping(context))?;
            Ok(((), cost))
        })
    }

    fn cut_off(&self, step: Step, action: impl FnOnce(&dyn Spending)) {
        let cut = catch_unwind(AssertUnwindSafe(|| {
            self.0
                .try_step(step, |context| -> Result<((), Amount), ActionFailed> {
                    action(&Stepping(context));
                    resume_unwind(Box::new("cut off"));
                })
        }));
        assert!(cut.is_err());
    }

    fn nested(&self, outer: Amount, inner: Amount) -> Result<(), Error> {
        self.0.step(outer.clone(), |context| {
            let cost = inner.clone();
            context.run().step(inner, |_| Ok(((), cost)))?;
            Ok(((), outer))
        })
    }

    fn keep_and_step(
        &self,
        keep: Amount,
        step: Step,
        cost: Amount,
    ) -> Result<(Result<(), Error>, Amount, Amount), Error> {
        let kept = self.0.keep(keep)?;
        let stepped = kept.step(step, |_| Ok(((), cost)));
        Ok((stepped, kept.left(), self.0.left()))
    }

    fn left(&self) -> Amount {
        self.0.left()
    }

    fn is_lost(&self) -> bool {
        self.0.lease().is_lost()
    }

    fn reservation_id(&self) -> ReservationId {
        self.0.reservation_id().clone()
    }

    fn finish(&self) -> Result<Option<Receipt>, Error> {
        self.0.finish()
    }
}

impl Guard for Held {
    fn reservation_id(&self) -> ReservationId {
        self.0.reservation_id().clone()
    }

    fn caps(&self) -> Option<Caps> {
        self.0.caps().cloned()
    }

    fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.0.spent(amount)
    }

    fn dispatched(&self) {
        self.0.dispatched();
    }

    fn dispatched_durably(&self) -> Result<(), NotMarked> {
        self.0.dispatched_durably().wait()
    }

    fn not_charged(&self) {
        self.0.not_charged();
    }

    fn set_on_error(&self, on_error: OnError) {
        self.0.set_on_error(on_error);
    }

    fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        self.0.extend(ms)
    }

    fn commit(self, request: CommitRequest) -> Result<Receipt, Error> {
        self.0.commit(request)
    }

    fn release(self, reason: &str) -> Result<bool, Error> {
        self.0.release(reason)
    }

    fn meter(self, items: Vec<Result<i64, ActionFailed>>, metering: Metering) -> Consumed {
        let metered = self.0.try_meter(items, Metering::cost);
        let mut metered = match metering.stop_at {
            Some(most) => metered.stop_at_tokens(most),
            None => metered,
        };
        let (mut seen, settling) = (Vec::new(), metered.settling());
        while let Some(item) = metering.next(seen.len(), || metered.next()) {
            seen.push(item.ok());
        }
        drop(metered);
        let settled = settling.wait();
        Consumed { seen, settled }
    }
}

impl Action for Running {
    fn reservation_id(&self) -> ReservationId {
        self.0.reservation_id.clone()
    }
}

impl Spending for Running {
    fn spent(&self, amount: &Amount) -> Result<(), InvalidCommit> {
        self.0.spent(amount)
    }

    fn dispatched(&self) {
        self.0.dispatched();
    }

    fn dispatched_durably(&self) -> Result<(), NotMarked> {
        self.0.dispatched_durably().wait()
    }

    fn not_charged(&self) {
        self.0.not_charged();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Waits for the mark of a request.
pub fn park_on(marking: cycles_ureq::Marking) -> Result<(), NotMarked> {
    marking.wait()
}
