//! The client as the suites see it. The tests of each async adapter have it as a module: `runcycles` is their crate,
//! `executor` runs what it waits for.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use cycles_conformance::{
    Action, ActionFailed, Adapter, Client, Consumed, Guard, Metering, Spending, Unsettled,
};
use futures::channel::oneshot;
use futures::future;
use futures::stream::{self, StreamExt as _};
use runcycles::models::{Amount, Caps, CommitRequest, ReservationCreateRequest, ReservationId};
use runcycles::{
    ActionError, BoxError, CyclesClient, CyclesConfig, Error, Event, GuardContext, InvalidCommit,
    NotCompleted, NotMarked, OnError, RawRequest, RawResponse, Receipt, ReservationGuard, Run, RunConfig,
    Stats, Step, StepContext, UnixMillis, WithCyclesConfig, try_with_cycles, with_cycles,
};

use crate::executor::on_threads::{block_on, spawn};

pub struct OnExecutor;

/// The adapter of these tests.
pub type Tested = OnExecutor;

#[derive(Debug)]
pub struct Awaited(CyclesClient);

/// Dropped on a thread that is not the executor's.
#[derive(Debug)]
pub struct Held(ReservationGuard);

struct Running(GuardContext);

impl Adapter for OnExecutor {
    type Client = Awaited;

    fn client(config: CyclesConfig, observer: impl Fn(&Event) + Send + Sync + 'static) -> Awaited {
        Awaited(CyclesClient::new(config).with_observer(observer))
    }

    fn occupy(time: Duration) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..2 * threads {
            spawn(async move { std::thread::sleep(time) });
        }
    }
}

impl Client for Awaited {
    type Guard = Held;
    type Run = Drawing;

    fn run(&self, config: RunConfig) -> Result<Drawing, Error> {
        block_on(self.0.run(config)).map(Drawing)
    }

    fn reserve(&self, request: ReservationCreateRequest) -> Result<Held, Error> {
        block_on(self.0.reserve(request)).map(Held)
    }

    fn with_config<T>(
        &self,
        config: WithCyclesConfig,
        action: impl FnOnce(&dyn Action) -> Result<(T, Amount), ActionFailed>,
    ) -> Result<(T, Result<Receipt, InvalidCommit>), Error> {
        let outcome = block_on(try_with_cycles(&self.0, config, async |context| {
            action(&Running(context))
        }));
        match outcome {
            Ok(completed) => Ok((completed.value, completed.receipt)),
            Err(NotCompleted::NotReserved(error) | NotCompleted::Cancelled(error)) => Err(error),
            Err(NotCompleted::Action(error)) => Err(Error::Action(ActionError::from(BoxError::from(error)))),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn cut_off(&self, config: WithCyclesConfig, action: impl FnOnce(&dyn Action)) {
        let (began, begun) = oneshot::channel();
        let hangs = with_cycles(&self.0, config, async |context| {
            action(&Running(context));
            let _ = began.send(());
            future::pending::<Result<((), Amount), BoxError>>().await
        });
        block_on(future::select(pin!(hangs), begun));
    }

    fn raw(&self, request: RawRequest<'_>) -> Result<RawResponse, Error> {
        block_on(self.0.raw(request))
    }

    fn flush(&self, timeout: Duration) -> Result<Unsettled, Error> {
        Ok(block_on(self.0.flush(timeout))?.into())
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn flush_stale(&self, timeout: Duration) -> Result<Unsettled, Error> {
        Ok(block_on(self.0.flush_stale(timeout))?.into())
    }
}

/// A run whose calls are awaited.
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
        park_on(self.0.dispatched_durably())
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
        block_on(self.0.step(step, async |context| {
            action(&Stepping(context))?;
            Ok(((), cost))
        }))
    }

    fn cut_off(&self, step: Step, action: impl FnOnce(&dyn Spending)) {
        let (began, begun) = oneshot::channel();
        let hangs = self.0.step(step, async |context| {
            action(&Stepping(context));
            let _ = began.send(());
            future::pending::<Result<((), Amount), BoxError>>().await
        });
        block_on(future::select(pin!(hangs), begun));
    }

    fn nested(&self, outer: Amount, inner: Amount) -> Result<(), Error> {
        block_on(self.0.step(outer.clone(), async |context: StepContext| {
            let cost = inner.clone();
            context.run().step(inner, async |_| Ok(((), cost))).await?;
            Ok(((), outer))
        }))
    }

    fn keep_and_step(
        &self,
        keep: Amount,
        step: Step,
        cost: Amount,
    ) -> Result<(Result<(), Error>, Amount, Amount), Error> {
        let kept = self.0.keep(keep)?;
        let stepped = block_on(kept.step(step, async |_| Ok(((), cost))));
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
        block_on(self.0.finish())
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
        park_on(self.0.dispatched_durably())
    }

    fn not_charged(&self) {
        self.0.not_charged();
    }

    fn set_on_error(&self, on_error: OnError) {
        self.0.set_on_error(on_error);
    }

    fn extend(&self, ms: u64) -> Result<UnixMillis, Error> {
        block_on(self.0.extend(ms))
    }

    fn commit(self, request: CommitRequest) -> Result<Receipt, Error> {
        block_on(self.0.commit(request))
    }

    fn release(self, reason: &str) -> Result<bool, Error> {
        block_on(self.0.release(reason))
    }

    fn meter(self, items: Vec<Result<i64, ActionFailed>>, metering: Metering) -> Consumed {
        let metered = self.0.try_meter(stream::iter(items), Metering::cost);
        let mut stream = match metering.stop_at {
            Some(most) => metered.stop_at_tokens(most),
            None => metered,
        };
        let (mut seen, settling) = (Vec::new(), stream.settling());
        while let Some(item) = metering.next(seen.len(), || block_on(stream.next())) {
            seen.push(item.ok());
        }
        drop(stream);
        let settled = block_on(settling);
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
        park_on(self.0.dispatched_durably())
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

/// Waits for something that needs no runtime, also in the middle of a future.
pub fn park_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
