//! Drivers that need no task for the time being. Whoever waits for a life drives it, and between its grant and its
//! first beat there is nothing to do; most are over by then.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Wake;

use cycles_host::Process;
use futures::task::AtomicWaker;

use crate::driver::{Advance, Driver};
use crate::runtime::Runtime;
use crate::timer::Timer;

/// How long a life may be waited for before a task goes on with it: whoever waits may have turned to something else,
/// and neither what it holds meanwhile nor its beats may depend on that. Most exchanges are over sooner.
const PATIENCE: Duration = Duration::from_millis(50);

/// A driver without a task. It becomes one of its runtime when its time comes or when somebody wakes it at rest;
/// until then whoever waits for its life may drive it.
pub(crate) struct Parked<R: Runtime> {
    lot: Arc<Lot<R>>,
    /// Tells it from others that rest until the same time.
    number: u64,
    place: Mutex<Place<R>>,
}

struct Place<R: Runtime> {
    driver: Option<Driver<R>>,
    /// When it becomes a task.
    until: Duration,
    /// When its machine wants to be asked again, if it said.
    next: Option<Duration>,
}

impl<R: Runtime> Parked<R> {
    /// A step in the name of whoever waits for it, who is woken for the next one; not if it is a task by now, or
    /// one of another runtime.
    pub(crate) fn drive(&self, cx: &mut Context<'_>) -> bool {
        self.advance(|driver| driver.advance(cx))
    }

    /// Begins what its machine was just told to do. From here on somebody waits for it, or a task soon will.
    pub(crate) fn begin(&self) -> bool {
        let has_begun = self.advance(Driver::begin);
        let mut place = self.place();
        if let Some(driver) = &place.driver {
            let soon = driver.runtime().now().mono.saturating_add(PATIENCE);
            self.is_due(&mut place, soon);
        }
        has_begun
    }

    /// Nothing is asked of it for now: it rests until its machine has something to do. An attempt that is under
    /// way has to be polled for its answer, and the last to poll it was the caller: then a task goes on with it.
    pub(crate) fn rest(this: &Arc<Self>) {
        let mut place = this.place();
        let Some(driver) = &place.driver else { return };
        if driver.is_exchanging() {
            drop(place);
            Self::leave(this);
            return;
        }
        driver.is_woken_by(&Waker::from(Arc::clone(this)));
        let next = place.next.unwrap_or(Duration::MAX);
        this.rests_until(&mut place, next);
    }

    fn advance(&self, step: impl FnOnce(&mut Driver<R>) -> Advance) -> bool {
        let mut place = self.place();
        let Some(driver) = place.driver.as_mut().filter(|driver| self.lot.is_of(driver)) else {
            return false;
        };
        match step(driver) {
            Advance::Over => {
                self.lot.leave(place.until, self.number);
                place.driver = None;
            }
            Advance::Waits(next) => {
                place.next = next;
                self.is_due(&mut place, next.unwrap_or(Duration::MAX));
            }
        }
        true
    }

    /// It becomes a task then, if it does not sooner.
    fn is_due(&self, place: &mut Place<R>, until: Duration) {
        if until < place.until {
            self.rests_until(place, until);
        }
    }

    fn rests_until(&self, place: &mut Place<R>, until: Duration) {
        self.lot.change((place.until, self.number), until);
        place.until = until;
    }

    /// Nobody waits for it any more: it becomes a task. Tells whether it was none yet.
    pub(crate) fn leave(this: &Arc<Self>) -> bool {
        let mut place = this.place();
        let is_resting = place.driver.is_some();
        if let Some(driver) = place.driver.take_if(|driver| this.lot.is_of(driver)) {
            this.lot.leave(place.until, this.number);
            drop(place);
            driver.spawn();
        } else if is_resting {
            drop(place);
            this.lot.hurry(Arc::clone(this));
        }
        is_resting
    }

    /// Whoever was woken for its next step looks for himself from here on.
    fn take(&self) -> Option<Driver<R>> {
        let mut place = self.place();
        let driver = place.driver.take()?;
        self.lot.leave(place.until, self.number);
        drop(place);
        driver.wake();
        Some(driver)
    }

    fn place(&self) -> MutexGuard<'_, Place<R>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Runtime> Wake for Parked<R> {
    fn wake(self: Arc<Self>) {
        let lot = Arc::clone(&self.lot);
        lot.hurry(self);
    }
}

/// The lots of all runtimes that a client is used in.
pub(crate) struct Lots<R: Runtime>(Mutex<Vec<Arc<Lot<R>>>>);

impl<R: Runtime> Default for Lots<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R: Runtime> Lots<R> {
    /// A driver for somebody to wait for, on the runtime that runs here: it becomes a task soon unless it
    /// [rests](Parked::rest) by then. Without a runtime it comes back.
    pub(crate) fn park(&self, driver: Driver<R>) -> Result<Arc<Parked<R>>, Driver<R>> {
        let Some(here) = driver.runtime().here() else {
            return Err(driver);
        };
        let runtime = driver.runtime().clone();
        let lot = self.lot(here);
        let until = runtime.now().mono.saturating_add(PATIENCE);
        let parked = Arc::new(Parked {
            number: lot.number(),
            place: Mutex::new(Place {
                driver: Some(driver),
                until,
                next: None,
            }),
            lot,
        });
        if parked.lot.put(until, &parked) {
            // If it is not taken, it is dropped, and so is what is parked here.
            drop(runtime.spawn(Keeper {
                runtime: runtime.clone(),
                lot: Arc::downgrade(&parked.lot),
                timer: Timer::default(),
            }));
        }
        Ok(parked)
    }

    fn lot(&self, here: R::Id) -> Arc<Lot<R>> {
        let mut lots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lot) = lots.iter().find(|lot| lot.id == here) {
            return Arc::clone(lot);
        }
        // Runtimes come and go.
        lots.retain(|lot| lot.lock().is_kept);
        let lot = Arc::new(Lot {
            id: here,
            process: Process::current(),
            state: Mutex::default(),
            keeper: AtomicWaker::new(),
        });
        lots.push(Arc::clone(&lot));
        lot
    }
}

/// What rests on one runtime.
struct Lot<R: Runtime> {
    id: R::Id,
    process: Process,
    state: Mutex<State<R>>,
    keeper: AtomicWaker,
}

struct State<R: Runtime> {
    last: u64,
    /// By the time that it rests until.
    resting: BTreeMap<(Duration, u64), Arc<Parked<R>>>,
    /// To be gone on with at once.
    hurried: Vec<Arc<Parked<R>>>,
    /// When the keeper looks again at the latest, if it is to look again.
    armed: Option<Duration>,
    is_kept: bool,
}

impl<R: Runtime> Default for State<R> {
    fn default() -> Self {
        Self {
            last: 0,
            resting: BTreeMap::new(),
            hurried: Vec::new(),
            armed: None,
            is_kept: false,
        }
    }
}

impl<R: Runtime> Lot<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the driver's runtime runs here.
    fn is_of(&self, driver: &Driver<R>) -> bool {
        driver.runtime().here().as_ref() == Some(&self.id)
    }

    fn number(&self) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        state.last
    }

    /// Tells whether it needs a keeper.
    fn put(&self, until: Duration, parked: &Arc<Parked<R>>) -> bool {
        let mut state = self.lock();
        let was_kept = core::mem::replace(&mut state.is_kept, true);
        self.insert(state, until, Arc::clone(parked));
        !was_kept
    }

    /// It rests until another time, unless it is on its way to become a task.
    fn change(&self, (from, number): (Duration, u64), until: Duration) {
        let mut state = self.lock();
        if let Some(parked) = state.resting.remove(&(from, number)) {
            self.insert(state, until, parked);
        }
    }

    fn insert(&self, mut state: MutexGuard<'_, State<R>>, until: Duration, parked: Arc<Parked<R>>) {
        state.resting.insert((until, parked.number), parked);
        let is_sooner = state.armed.is_none_or(|armed| until < armed);
        drop(state);
        if is_sooner {
            self.keeper.wake();
        }
    }

    fn leave(&self, until: Duration, number: u64) {
        let left = self.lock().resting.remove(&(until, number));
        drop(left);
    }

    /// Without a keeper nothing rests here.
    fn hurry(&self, parked: Arc<Parked<R>>) {
        let mut state = self.lock();
        if state.is_kept {
            state.hurried.push(parked);
            drop(state);
            self.keeper.wake();
        }
    }

    /// Those that have to go on, and when the next one has to.
    fn due(&self, now: Duration, armed: Option<Duration>) -> (Vec<Arc<Parked<R>>>, Option<Duration>) {
        let mut state = self.lock();
        let mut due = core::mem::take(&mut state.hurried);
        while let Some(entry) = state.resting.first_entry()
            && entry.key().0 <= now
        {
            due.push(entry.remove());
        }
        let first = state.resting.first_key_value().map(|((until, _), _)| *until);
        let next = first.filter(|until| *until < Duration::MAX);
        // A timer that is over wakes nobody any more, though it may not have been looked at; nor does one that
        // the keeper does not poll, because nothing rests here.
        let armed = armed.filter(|at| *at > now);
        state.armed = next.map(|next| armed.map_or(next, |armed| armed.min(next)));
        (due, next)
    }

    fn clear(&self) -> Vec<Arc<Parked<R>>> {
        let mut state = self.lock();
        // Numbers go on: those that were parked here may still be in somebody's hands.
        let last = state.last;
        let State { resting, hurried, .. } = core::mem::replace(
            &mut *state,
            State {
                last,
                ..State::default()
            },
        );
        drop(state);
        resting.into_values().chain(hurried).collect()
    }
}

impl<R: Runtime> Drop for Lot<R> {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.keeper.wake();
        }
    }
}

/// Has drivers go on whose time has come, for as long as there is somebody who may park one. It ends with its runtime.
struct Keeper<R: Runtime> {
    runtime: R,
    lot: Weak<Lot<R>>,
    timer: Timer,
}

/// Nothing in it is pinned in place.
impl<R: Runtime> Unpin for Keeper<R> {}

impl<R: Runtime> Future for Keeper<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(lot) = this.lot.upgrade() else {
            return Poll::Ready(());
        };
        lot.keeper.register(cx.waker());
        loop {
            let (due, next) = lot.due(this.runtime.now().mono, this.timer.armed());
            for parked in due {
                if let Some(driver) = parked.take() {
                    driver.spawn();
                }
            }
            let Some(next) = next else {
                this.timer.disarm();
                return Poll::Pending;
            };
            if !this.timer.is_over(&this.runtime, next, cx) {
                return Poll::Pending;
            }
        }
    }
}

impl<R: Runtime> Drop for Keeper<R> {
    fn drop(&mut self) {
        let lot = self.lot.upgrade().filter(|lot| lot.process.is_current());
        let left = lot.map(|lot| lot.clear());
        for parked in left.into_iter().flatten() {
            // What is due is written as if the driver had been a task.
            drop(parked.take());
        }
    }
}
