//! Drivers that need no task for the time being. Most lives are over before their first beat is due: they are driven
//! by whoever waits for them.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Wake;

use futures::task::AtomicWaker;

use crate::driver::{Advance, Driver};
use crate::runtime::Runtime;
use crate::timer::Timer;

/// How long whoever is to wait for a life's end may leave it alone before a task goes on with it. Most are over
/// sooner.
const PATIENCE: Duration = Duration::from_millis(50);

/// A driver at rest. It becomes a task of its runtime when its time comes or when somebody wakes it; until then
/// whoever waits for its life may drive it.
pub(crate) struct Parked<R: Runtime> {
    lot: Arc<Lot<R>>,
    /// Tells it from others that rest until the same time.
    number: u64,
    place: Mutex<Place<R>>,
}

struct Place<R: Runtime> {
    driver: Option<Driver<R>>,
    until: Duration,
}

impl<R: Runtime> Parked<R> {
    /// A step in the name of whoever waits for it, who is woken for the next one; not if it is a task by now, or
    /// one of another runtime.
    pub(crate) fn drive(&self, cx: &mut Context<'_>) -> bool {
        let mut place = self.place();
        let Some(driver) = place.driver.as_mut().filter(|driver| self.lot.is_of(driver)) else {
            return false;
        };
        if Pin::new(driver).poll(cx).is_ready() {
            self.lot.leave(place.until, self.number);
            place.driver = None;
        }
        true
    }

    /// Begins what its machine was just told to do. From here on somebody waits for it, or a task soon will.
    pub(crate) fn begin(this: &Arc<Self>) -> bool {
        let mut place = this.place();
        let Some(driver) = place.driver.as_mut().filter(|driver| this.lot.is_of(driver)) else {
            return false;
        };
        let advance = driver.begin();
        let until = driver.runtime().now().mono.saturating_add(PATIENCE);
        match advance {
            Advance::Over => {
                this.lot.leave(place.until, this.number);
                place.driver = None;
            }
            Advance::Waits(_) if until < place.until => {
                this.lot.leave(place.until, this.number);
                this.lot.put(until, this);
                place.until = until;
            }
            Advance::Waits(_) => {}
        }
        true
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
    /// Lets a driver rest until then, on the runtime that runs here.
    pub(crate) fn park(&self, driver: Driver<R>, until: Option<Duration>) -> Option<Arc<Parked<R>>> {
        let Some(here) = driver.runtime().here() else {
            driver.spawn();
            return None;
        };
        let runtime = driver.runtime().clone();
        let lot = self.lot(here);
        let until = until.unwrap_or(Duration::MAX);
        let parked = Arc::new(Parked {
            number: lot.number(),
            place: Mutex::new(Place {
                driver: Some(driver),
                until,
            }),
            lot,
        });
        if let Some(driver) = &parked.place().driver {
            driver.is_woken_by(&Waker::from(Arc::clone(&parked)));
        }
        if parked.lot.put(until, &parked) {
            // If it is not taken, it is dropped, and so is what rests here.
            drop(runtime.spawn(Keeper {
                runtime: runtime.clone(),
                lot: Arc::downgrade(&parked.lot),
                timer: Timer::default(),
            }));
        }
        Some(parked)
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
        state.resting.insert((until, parked.number), Arc::clone(parked));
        let is_sooner = state.armed.is_none_or(|armed| until < armed);
        let was_kept = core::mem::replace(&mut state.is_kept, true);
        drop(state);
        if was_kept && is_sooner {
            self.keeper.wake();
        }
        !was_kept
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
        state.armed = next.into_iter().chain(armed).min();
        (due, next)
    }

    fn clear(&self) -> Vec<Arc<Parked<R>>> {
        let State { resting, hurried, .. } = core::mem::take(&mut *self.lock());
        resting.into_values().chain(hurried).collect()
    }
}

impl<R: Runtime> Drop for Lot<R> {
    fn drop(&mut self) {
        self.keeper.wake();
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
            if !next.is_some_and(|at| this.timer.is_over(&this.runtime, at, cx)) {
                return Poll::Pending;
            }
        }
    }
}

impl<R: Runtime> Drop for Keeper<R> {
    fn drop(&mut self) {
        let left = self.lot.upgrade().map(|lot| lot.clear());
        for parked in left.into_iter().flatten() {
            // What is due is written as if the driver had been a task.
            drop(parked.take());
        }
    }
}
