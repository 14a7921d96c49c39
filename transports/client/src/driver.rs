//! The task that drives one life: it does what the machine asks for and reports what came of it.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Arc, MutexGuard};

use cycles_proto::journal::JournalWrite;
use cycles_proto::parts::Step;
use cycles_proto::record::RecordId;
use cycles_proto::{Call, Event, Failure, FailureKind, Now, Ticket};

use crate::client::Ready;
use crate::exchange::Exchanged;
use crate::runtime::Runtime;
use crate::slot::{Shared, Slot};
use crate::timer::Timer;

pub(crate) struct Driver<R: Runtime> {
    ready: Ready<R>,
    slot: Arc<Slot>,
    /// At most a settlement and an extension.
    exchanges: Vec<Exchange>,
    timer: Timer,
    /// The cost whose record was written.
    recorded: Option<Box<RecordId>>,
}

/// How far a driver came.
pub(crate) enum Advance {
    /// Until something happens, or that time has come.
    Waits(Option<Duration>),
    /// To the end of the life, or of its driving.
    Over,
}

/// An attempt that is under way.
struct Exchange {
    ticket: Ticket,
    /// It has an answer by then, if only that its time is over.
    end: Duration,
    answer: Pin<Box<dyn Future<Output = Exchanged> + Send>>,
}

impl<R: Runtime> Driver<R> {
    /// Has the life driven by a task on the runtime that runs here, unless one drives it already. Without a
    /// runtime what has to be on disk is written at once, and the life goes on when it is in a runtime again.
    pub(crate) fn start(ready: &Ready<R>, slot: &Arc<Slot>) {
        match Self::take(ready, slot) {
            Some(driver) => driver.spawn(),
            None => slot.wake_driver(),
        }
    }

    /// Drives the life from here on, unless somebody does already. Whoever has the driver polls it, or
    /// [spawns](Self::spawn) it.
    pub(crate) fn take(ready: &Ready<R>, slot: &Arc<Slot>) -> Option<Self> {
        let mut shared = slot.lock();
        if core::mem::replace(&mut shared.is_driven, true) {
            return None;
        }
        if shared.is_ending {
            ready.replay.ending();
        }
        drop(shared);
        Some(Self {
            ready: ready.clone(),
            slot: Arc::clone(slot),
            exchanges: Vec::new(),
            timer: Timer::default(),
            recorded: None,
        })
    }

    pub(crate) fn runtime(&self) -> &R {
        &self.ready.runtime
    }

    /// Whether an attempt is under way, whose answer comes only to who polls this.
    pub(crate) fn is_exchanging(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Where nothing is under way: the next change of the machine wakes this.
    pub(crate) fn is_woken_by(&self, waker: &Waker) {
        self.slot.register_driver(waker);
    }

    /// Whoever drove it last looks again.
    pub(crate) fn wake(&self) {
        self.slot.wake_driver();
    }

    /// Goes on as a task of the runtime that runs here. If there is none, the driver is dropped, which writes
    /// what is due.
    pub(crate) fn spawn(self) {
        let runtime = self.ready.runtime.clone();
        drop(runtime.spawn(self));
    }

    /// As far as it can go by now, without a timer for the rest.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) -> Advance {
        // First, so that no change after the look at the machine is missed.
        self.slot.register_driver(cx.waker());
        // One reading for all that is done at once.
        let now = self.ready.runtime.now();
        loop {
            self.land(now, cx);
            if let Some(advance) = self.act(now) {
                return advance;
            }
        }
    }

    /// What the machine asks for by now is begun; whoever polls this next waits for what comes of it.
    pub(crate) fn begin(&mut self) -> Advance {
        let now = self.ready.runtime.now();
        loop {
            if let Some(advance) = self.act(now) {
                return advance;
            }
        }
    }

    /// Does what the machine asks for; nothing is returned when there is an exchange more to be polled.
    fn act(&mut self, now: Now) -> Option<Advance> {
        loop {
            match self.step(now) {
                Step::Send(call) => {
                    self.exchange(call, now);
                    return None;
                }
                Step::Store(ticket, write) => self.store(ticket, write),
                Step::Wait(until) => {
                    self.slot.wake_callers();
                    return Some(Advance::Waits(until));
                }
                Step::Done | Step::Notify(_) => {
                    let slot = Arc::clone(&self.slot);
                    self.end(slot.lock());
                    return Some(Advance::Over);
                }
            }
        }
    }

    fn exchange(&mut self, call: Call, now: Now) {
        self.exchanges.push(Exchange {
            ticket: call.ticket,
            end: now.mono.saturating_add(call.timeout),
            answer: self.ready.exchange(&self.ready.gate, call, now.mono),
        });
    }

    /// Takes the answers that are there.
    fn land(&mut self, now: Now, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some(exchange) = self.exchanges.get_mut(at) {
            match exchange.answer.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(exchanged) => {
                    let ticket = self.exchanges.swap_remove(at).ticket;
                    self.handle(now, ticket, exchanged);
                }
            }
        }
    }

    /// Whether the time has come; if not, `cx` is woken then, or before by an exchange that ends earlier.
    fn is_over(&mut self, at: Duration, cx: &mut Context<'_>) -> bool {
        let is_woken = self.exchanges.iter().any(|exchange| exchange.end <= at);
        !is_woken && self.timer.is_over(&self.ready.runtime, at, cx)
    }

    fn handle(&self, now: Now, ticket: Ticket, Exchanged { sent, answer }: Exchanged) {
        let mut shared = self.slot.lock();
        shared.has_news();
        let machine = &mut shared.machine;
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
            self.ready.recorded(record.id());
            self.recorded = Some(Box::new(record.id().clone()));
        }
        let (slot, ready) = (Arc::clone(&self.slot), self.ready.clone());
        slot.lock().open_writes += 1;
        self.ready.journal.submit(write, move |stored| {
            slot.stored(ready.runtime.now(), ticket, stored);
        });
    }

    /// Nobody drives it any more.
    fn end(&mut self, mut shared: MutexGuard<'_, Shared>) {
        shared.is_driven = false;
        shared.has_news();
        let is_ending = shared.is_ending;
        // One that is not over is gone on with by somebody else.
        let is_over = shared.machine.outcome().is_some();
        let receipt = is_over.then(|| shared.machine.receipt()).flatten();
        drop(shared);
        let recorded = self.recorded.take();
        if let Some(id) = &recorded {
            self.ready.recorded_no_more(id, receipt.as_ref());
        }
        if is_ending {
            self.ready.replay.ended(recorded.as_deref(), receipt.as_ref());
        }
        self.slot.wake_callers();
    }

    fn tell(&self, event: Event) {
        if let Event::SettlementFailed { error, .. } = &event {
            self.ready.observe(Some(error));
        } else if let Event::Granted { .. } | Event::SettledLate { .. } = &event {
            self.ready.observe(None);
        }
        {
            let mut shared = self.slot.lock();
            shared.told.note(&event);
            shared.has_news();
        }
        self.ready.replay.note(&event);
        self.ready.observers.tell(event);
    }

    /// The next step; what it told is told.
    fn step(&self, now: Now) -> Step {
        loop {
            let step = self.slot.lock().machine.poll(now);
            match step {
                Step::Notify(event) => self.tell(event),
                Step::Send(_) | Step::Store(..) | Step::Wait(_) | Step::Done => return step,
            }
        }
    }

    /// Answers that are under way will not come.
    fn lose_answers(&mut self) {
        let now = self.ready.runtime.now();
        for Exchange { ticket, .. } in core::mem::take(&mut self.exchanges) {
            let answer = Err(Failure::new(FailureKind::Lost));
            self.handle(now, ticket, Exchanged { sent: None, answer });
        }
    }

    /// Nobody drives this any more, because the runtime ended or there is none: what has to be on disk is put
    /// there, and nothing is sent.
    fn write_what_is_due(&mut self) {
        let slot = Arc::clone(&self.slot);
        loop {
            slot.wait_for_writes();
            let now = self.ready.runtime.now();
            let mut shared = slot.lock();
            match shared.machine.poll(now) {
                // Under the same lock: whoever hands over a cost from here on finds that nobody drives it.
                Step::Wait(_) | Step::Done => return self.end(shared),
                step @ (Step::Store(..) | Step::Send(_) | Step::Notify(_)) => {
                    drop(shared);
                    self.refuse(step);
                }
            }
        }
    }

    /// Does what needs no runtime.
    fn refuse(&mut self, step: Step) {
        match step {
            Step::Store(ticket, write) => self.store(ticket, write),
            Step::Notify(event) => self.tell(event),
            Step::Send(call) => {
                let answer = Err(Failure::new(FailureKind::NoRuntime));
                let now = self.ready.runtime.now();
                self.handle(now, call.ticket, Exchanged { sent: None, answer });
            }
            Step::Wait(_) | Step::Done => {}
        }
    }
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for Driver<R> {}

impl<R: Runtime> Future for Driver<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.advance(cx) {
                Advance::Waits(until) if until.is_some_and(|at| self.is_over(at, cx)) => {}
                Advance::Waits(_) => return Poll::Pending,
                Advance::Over => return Poll::Ready(()),
            }
        }
    }
}

impl<R: Runtime> Drop for Driver<R> {
    fn drop(&mut self) {
        if self.slot.check().is_ok() && self.slot.lock().is_driven {
            self.lose_answers();
            self.write_what_is_due();
        }
    }
}
