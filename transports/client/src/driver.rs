//! The task that drives one life: it does what the machine asks for and reports what came of it.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use cycles_proto::models::ReservationId;
use cycles_proto::step::JournalWrite;
use cycles_proto::{Call, Event, Failure, FailureKind, Step, Ticket};
use futures::stream::{FuturesUnordered, Stream as _};

use crate::client::Ready;
use crate::runtime::Runtime;
use crate::slot::Slot;
use crate::timer::Timer;

pub(crate) struct Driver<R: Runtime> {
    ready: Ready<R>,
    slot: Arc<Slot>,
    /// At most a settlement and an extension.
    exchanges: FuturesUnordered<Pin<Box<dyn Future<Output = Exchanged> + Send>>>,
    timer: Timer,
    /// The reservation whose record was written.
    recorded: Option<ReservationId>,
}

struct Exchanged {
    ticket: Ticket,
    /// When the attempt left the queue.
    sent: Option<Duration>,
    answer: Result<http::Response<Bytes>, Failure>,
}

impl<R: Runtime> Driver<R> {
    /// Has the life driven by a task on the runtime that runs here, unless one drives it already. Without a
    /// runtime what has to be on disk is written at once, and the life goes on when it is in a runtime again.
    pub(crate) fn start(ready: &Ready<R>, slot: &Arc<Slot>) -> bool {
        {
            let mut shared = slot.lock();
            if shared.is_driven {
                drop(shared);
                slot.wake_driver();
                return true;
            }
            shared.is_driven = true;
        }
        let driver = Self {
            ready: ready.clone(),
            slot: Arc::clone(slot),
            exchanges: FuturesUnordered::new(),
            timer: Timer::default(),
            recorded: None,
        };
        // A task that was not taken is dropped here, which writes what is due.
        ready.runtime.spawn(driver).is_ok()
    }

    fn exchange(&self, call: Call) {
        let (runtime, entering) = (self.ready.runtime.clone(), self.ready.gate.enter(call.urgency));
        let ticket = call.ticket;
        self.exchanges.push(Box::pin(async move {
            let _inside = entering.await;
            let sent = Some(runtime.now().mono);
            let answer = runtime.exchange(call).await;
            Exchanged { ticket, sent, answer }
        }));
    }

    fn handle(&self, exchanged: Exchanged) {
        let Exchanged { ticket, sent, answer } = exchanged;
        let now = self.ready.runtime.now();
        let machine = &mut self.slot.lock().machine;
        match answer {
            Ok(response) => machine.handle_response(now, ticket, sent.unwrap_or(now.mono), &response),
            Err(failure) => machine.handle_failure(now, ticket, sent, failure),
        }
    }

    /// The journal answers from a thread of its own, whatever becomes of this task.
    fn store(&mut self, ticket: Ticket, write: JournalWrite) {
        if let JournalWrite::Put(record) = &write
            && self.recorded.is_none()
        {
            self.ready.recorded(record.reservation_id());
            self.recorded = Some(record.reservation_id().clone());
        }
        let (slot, runtime) = (Arc::clone(&self.slot), self.ready.runtime.clone());
        slot.lock().open_writes += 1;
        self.ready.journal.submit(write, move |stored| {
            slot.stored(runtime.now(), ticket, stored);
        });
    }

    /// Nobody drives it any more.
    fn end(&mut self) {
        let mut shared = self.slot.lock();
        shared.is_driven = false;
        let is_ending = core::mem::take(&mut shared.is_ending);
        let receipt = shared.machine.receipt();
        drop(shared);
        if let (Some(id), Some(receipt)) = (self.recorded.take(), receipt) {
            self.ready.recorded_no_more(&id, &receipt);
        }
        if is_ending {
            self.ready.replay.ended();
        }
        self.slot.wake_callers();
    }

    fn tell(&self, event: Event) {
        if let Event::SettlementFailed { error, .. } = &event {
            self.ready.observe(Some(error));
        } else if let Event::Granted { .. } = &event {
            self.ready.observe(None);
        }
        self.slot.lock().told.note(&event);
        self.ready.observers.tell(event);
    }

    /// The next step; what it told is told.
    fn step(&self) -> Step {
        loop {
            let now = self.ready.runtime.now();
            let step = self.slot.lock().machine.poll(now);
            match step {
                Step::Notify(event) => self.tell(event),
                Step::Send(_) | Step::Store(..) | Step::Wait(_) | Step::Done => return step,
            }
        }
    }

    /// Nobody drives this any more, because the runtime ended or there is none: what has to be on disk is put
    /// there, and nothing is sent.
    fn write_what_is_due(&mut self) {
        loop {
            self.slot.wait_for_writes();
            match self.step() {
                Step::Store(ticket, write) => self.store(ticket, write),
                Step::Send(call) => self.handle(Exchanged {
                    ticket: call.ticket,
                    sent: None,
                    answer: Err(Failure::new(FailureKind::NoRuntime)),
                }),
                Step::Wait(_) | Step::Done | Step::Notify(_) => return,
            }
        }
    }
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for Driver<R> {}

impl<R: Runtime> Future for Driver<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // First, so that no change after the look at the machine is missed.
        this.slot.register_driver(cx.waker());
        loop {
            while let Poll::Ready(Some(exchanged)) = Pin::new(&mut this.exchanges).poll_next(cx) {
                this.handle(exchanged);
            }
            match this.step() {
                Step::Send(call) => this.exchange(call),
                Step::Store(ticket, write) => this.store(ticket, write),
                Step::Wait(until) => {
                    this.slot.wake_callers();
                    if !until.is_some_and(|at| this.timer.is_over(&this.ready.runtime, at, cx)) {
                        return Poll::Pending;
                    }
                }
                Step::Done | Step::Notify(_) => {
                    this.end();
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl<R: Runtime> Drop for Driver<R> {
    fn drop(&mut self) {
        if self.slot.lock().is_driven {
            self.write_what_is_due();
            self.end();
        }
    }
}
