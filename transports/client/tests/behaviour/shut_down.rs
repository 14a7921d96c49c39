//! A transport that is shut down with calls in progress.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::Virtual;
use cycles_client::models::BalanceParams;
use cycles_client::proto::Call;
use cycles_client::{Client, Done, Error, Transport};
use cycles_conformance::request;
use cycles_sandbox::DEFAULT_TENANT;
use futures::future::join_all;

/// Keeps every call until it is shut down; then drops each call when it is started.
#[derive(Clone, Default)]
struct Keeping(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    calls: Vec<Done>,
    is_down: bool,
    most: usize,
}

impl Transport for Keeping {
    fn start(&self, _: Call, mut done: Done) {
        let mut kept = self.0.lock().unwrap();
        if !kept.is_down && done.begin() {
            kept.calls.push(done);
            kept.most = kept.most.max(kept.calls.len());
        }
        drop(kept);
    }
}

impl Keeping {
    fn shut_down(&self) {
        let mut kept = self.0.lock().unwrap();
        kept.is_down = true;
        let calls = core::mem::take(&mut kept.calls);
        drop(kept);
        drop(calls);
    }
}

const CALLS: usize = 6_000;

/// How each of them ends if the transport is shut down at once.
fn shut_down_with(call: impl AsyncFn(&Client) -> Error) -> (Vec<Error>, usize) {
    let world = Virtual::default();
    let keeping = Keeping::default();
    let client = world.client_on(Arc::new(keeping.clone()), |config| config);
    let errors = world.block_on(async {
        let asking = join_all((0..CALLS).map(|_| call(&client)));
        let ending = async {
            world.sleep(Duration::from_millis(10)).await;
            keeping.shut_down();
        };
        futures::future::join(asking, ending).await.0
    });
    let most = keeping.0.lock().unwrap().most;
    (errors, most)
}

/// On a stack too small for nested calls.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(512 * 1024).spawn(test);
    thread.unwrap().join().unwrap();
}

#[test]
fn thousands_of_questions_that_wait_for_a_place_end_when_their_transport_is_shut_down() {
    on_a_small_stack(|| {
        let (errors, most) = shut_down_with(async |client: &Client| {
            let question = BalanceParams {
                tenant: Some(DEFAULT_TENANT.into()),
                ..Default::default()
            };
            client.get_balances(&question).await.unwrap_err()
        });
        assert_eq!((errors.len(), most), (CALLS, 32));
        for error in errors {
            assert!(matches!(error, Error::Transport(_)), "{error:?}");
        }
    });
}

#[test]
fn thousands_of_reservations_that_wait_for_a_place_end_when_their_transport_is_shut_down() {
    on_a_small_stack(|| {
        let (errors, most) =
            shut_down_with(async |client: &Client| client.reserve(request(1)).await.unwrap_err());
        assert_eq!((errors.len(), most), (CALLS, 48));
        for error in errors {
            assert!(matches!(error, Error::Transport(_)), "{error:?}");
        }
    });
}
