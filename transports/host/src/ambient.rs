//! Ambient values: available to code without being passed to it, while a caller runs it under them.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use std::sync::{PoisonError, RwLock};
use std::thread::LocalKey;

use cycles_proto::ConfigError;

/// The thread-local variable of an ambient value.
pub type Place<T> = LocalKey<RefCell<Option<T>>>;

/// Returns the value that the caller runs under, if there is one.
pub fn current<T: Clone>(place: &'static Place<T>) -> Option<T> {
    place.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Runs `f` under `value`. Afterwards the previous value is restored, also after a panic.
pub fn enter<T, O>(place: &'static Place<T>, value: &mut Option<T>, f: impl FnOnce() -> O) -> O {
    let _entered = Entered::new(place, value);
    f()
}

/// Runs `future` under `value`, on whichever threads it is polled. Other tasks on these threads do not see the value.
pub async fn follow<T, F: Future>(
    place: &'static Place<T>,
    value: &mut Option<T>,
    mut future: Pin<&mut F>,
) -> F::Output {
    poll_fn(|cx| enter(place, value, || future.as_mut().poll(cx))).await
}

/// Swaps a value with the thread's, without a copy, and swaps them back when this is dropped.
struct Entered<'a, T: 'static> {
    place: &'static Place<T>,
    value: &'a mut Option<T>,
}

impl<'a, T> Entered<'a, T> {
    fn new(place: &'static Place<T>, value: &'a mut Option<T>) -> Self {
        let mut entered = Self { place, value };
        entered.swap();
        entered
    }

    /// Does nothing on a thread that is ending, which has no thread-local variables any more.
    fn swap(&mut self) {
        let value = &mut *self.value;
        let _ = self
            .place
            .try_with(|current| core::mem::swap(&mut *current.borrow_mut(), value));
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        self.swap();
    }
}

/// The default client, for code that is not given one: the process's client, or that of a scope.
#[derive(Debug)]
pub struct DefaultClient<C: 'static> {
    everywhere: RwLock<Option<C>>,
    here: &'static Place<C>,
}

impl<C: Clone> DefaultClient<C> {
    /// Makes a default without a client; scopes are stored in `here`.
    pub const fn new(here: &'static Place<C>) -> Self {
        Self {
            everywhere: RwLock::new(None),
            here,
        }
    }

    /// Sets the process's client, which applies outside of scopes.
    pub fn set(&self, client: C) {
        let mut everywhere = self.everywhere.write().unwrap_or_else(PoisonError::into_inner);
        let before = everywhere.replace(client);
        drop(everywhere);
        // Dropped without the lock, because dropping a client may take time.
        drop(before);
    }

    /// Returns the scope's client, or else the process's.
    ///
    /// # Errors
    /// If there is neither.
    pub fn get(&self) -> Result<C, ConfigError> {
        let everywhere = || {
            self.everywhere
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        current(self.here).or_else(everywhere).ok_or_else(|| {
            let problem =
                "there is no default client: call `set_default_client` first, or name one with `client = ..`";
            ConfigError::from(problem)
        })
    }

    /// Runs `f` in a scope whose client is this one.
    pub fn enter<O>(&self, client: C, f: impl FnOnce() -> O) -> O {
        enter(self.here, &mut Some(client), f)
    }

    /// Runs `future` in a scope whose client is this one.
    pub async fn follow<F: Future>(&self, client: C, future: F) -> F::Output {
        follow(self.here, &mut Some(client), pin!(future)).await
    }
}

#[cfg(test)]
mod tests {
    use core::task::{Context, Poll, Waker};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    thread_local! {
        static HERE: RefCell<Option<u32>> = const { RefCell::new(None) };
    }

    /// Checks the value each time it is polled, and is ready after `left` times.
    async fn look_around(mut left: u32, expected: u32) {
        poll_fn(|_| {
            assert_eq!(current(&HERE), Some(expected));
            left = left.saturating_sub(1);
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[test]
    fn the_outer_value_is_back_after_the_inner_one_and_after_a_panic() {
        enter(&HERE, &mut Some(1), || {
            enter(&HERE, &mut Some(2), || assert_eq!(current(&HERE), Some(2)));
            assert_eq!(current(&HERE), Some(1));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                enter(&HERE, &mut Some(3), || panic!("on purpose"))
            }));
            panicked.unwrap_err();
            assert_eq!(current(&HERE), Some(1));
        });
        assert_eq!(current(&HERE), None);
    }

    #[test]
    fn a_value_follows_its_future_from_thread_to_thread_and_stays_with_it() {
        let (mut one, mut two) = (
            Box::pin(async { follow(&HERE, &mut Some(1), pin!(look_around(3, 1))).await }),
            Box::pin(async { follow(&HERE, &mut Some(2), pin!(look_around(2, 2))).await }),
        );
        let mut cx = Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(&mut cx).is_pending());
        assert!(two.as_mut().poll(&mut cx).is_pending());
        assert_eq!(current(&HERE), None, "between two polls");
        thread::spawn(move || {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(one.as_mut().poll(&mut cx).is_pending());
            assert!(two.as_mut().poll(&mut cx).is_ready());
            assert!(one.as_mut().poll(&mut cx).is_ready());
            assert_eq!(current(&HERE), None);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_scope_goes_before_the_process_and_none_is_an_error_that_says_what_to_do() {
        static DEFAULT: DefaultClient<u32> = DefaultClient::new(&HERE);
        let none = DEFAULT.get().unwrap_err().to_string();
        assert!(none.contains("set_default_client"), "{none}");
        assert_eq!(DEFAULT.enter(7, || DEFAULT.get()), Ok(7));
        DEFAULT.set(1);
        DEFAULT.set(2);
        assert_eq!(DEFAULT.get(), Ok(2));
        assert_eq!(DEFAULT.enter(7, || DEFAULT.get()), Ok(7));
        assert_eq!(thread::spawn(|| DEFAULT.get()).join().unwrap(), Ok(2));
    }
}
