//! Runtimes that end with thousands of calls, on threads whose stacks are too small for nested calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use cycles_tokio::models::BalanceParams;
use cycles_tokio::{CyclesClient, Error, HttpOptions};
use futures::future::join_all;
use tokio::runtime::{Builder, Runtime};

use crate::scene::PATIENCE;
use crate::support::{KEY, Scripted, http};
use crate::wait::wait_until;

const CALLS: usize = 6_000;
const STACK: usize = 512 * 1024;

/// A server that does not respond until it is told to.
struct Silent {
    server: Scripted,
    speaks: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Silent {
    fn start() -> Self {
        let (speaks, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (may_speak, count) = (Arc::clone(&speaks), Arc::clone(&asked));
        let server = Scripted::start(move |connection| {
            while connection.read_request().is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                if !may_speak.load(Ordering::SeqCst) {
                    return connection.hang();
                }
                connection.write(http(200, "", r#"{"balances":[]}"#));
            }
        });
        Self {
            server,
            speaks,
            asked,
        }
    }

    fn client(&self) -> CyclesClient {
        CyclesClient::builder(KEY, &self.server.url)
            .tenant("acme-corp")
            .connect_timeout(PATIENCE)
            .read_timeout(PATIENCE)
            .http(HttpOptions::new().no_proxy())
            .journal_enabled(false)
            .build()
    }
}

async fn ask(client: &CyclesClient) -> Result<(), Error> {
    let question = BalanceParams {
        tenant: Some("acme-corp".into()),
        ..Default::default()
    };
    client.get_balances(&question).await.map(drop)
}

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
        let builder = builder.enable_all().worker_threads(2).thread_stack_size(STACK);
        builder.build().unwrap()
    })
}

#[track_caller]
fn on_a_small_stack<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, act).unwrap().join().unwrap()
    })
}

#[test]
fn a_runtime_that_ends_with_thousands_of_tasks_that_wait_for_a_call_ends_and_the_client_goes_on() {
    for runtime in runtimes() {
        let silent = Silent::start();
        let client = silent.client();
        for number in 0..CALLS {
            let client = client.clone();
            runtime.spawn(async move {
                if number % 2 == 0 {
                    let _ = ask(&client).await;
                } else {
                    let request = cycles_conformance::request(1);
                    let _ = client.reserve(request).await.map(drop);
                }
            });
        }
        wait_until("many are under way", || {
            runtime.block_on(tokio::task::yield_now());
            silent.asked.load(Ordering::SeqCst) >= 32
        });
        on_a_small_stack(|| drop(runtime));
        silent.speaks.store(true, Ordering::SeqCst);
        futures::executor::block_on(ask(&client)).unwrap();
    }
}

#[test]
fn calls_that_outlive_the_runtime_that_they_were_begun_in_all_come_to_an_end() {
    for runtime in runtimes() {
        let silent = Silent::start();
        let client = silent.client();
        let mut asking = Box::pin(join_all((0..CALLS).map(|_| ask(&client))));
        runtime.block_on(async { assert!(futures::poll!(&mut asking).is_pending()) });
        wait_until("calls are under way", || {
            runtime.block_on(tokio::task::yield_now());
            silent.asked.load(Ordering::SeqCst) > 0
        });
        silent.speaks.store(true, Ordering::SeqCst);
        let answers = on_a_small_stack(move || {
            drop(runtime);
            futures::executor::block_on(asking)
        });
        let lost = answers.iter().filter(|answer| answer.is_err()).count();
        // The calls that were in progress, unless they are repeated.
        assert!(answers.len() == CALLS && lost <= 64, "{lost}");
        for answer in answers {
            assert!(matches!(answer, Ok(()) | Err(Error::Transport(_))), "{answer:?}");
        }
    }
}
