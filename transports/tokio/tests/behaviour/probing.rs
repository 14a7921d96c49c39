//! A runtime that lacks something, or none at all, in a program where a panic is the end. The hook is the process's, so
//! nothing else runs in it.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

use cycles_tokio::CyclesClient;
use tokio::runtime::Builder;

use crate::alone::ran_elsewhere;

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
#[ignore = "calls are made in the runtime that they are begun in, and tokio tells only by a panic that one has no I/O"]
fn nobody_tries_out_by_a_panic_what_a_runtime_lacks() {
    if ran_elsewhere("probing::nobody_tries_out_by_a_panic_what_a_runtime_lacks") {
        return;
    }
    panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::SeqCst);
    }));
    let client = CyclesClient::builder("key", "http://127.0.0.1:9")
        .journal_enabled(false)
        .build();
    for runtime in [
        Builder::new_current_thread().enable_io().build().unwrap(),
        Builder::new_current_thread().enable_time().build().unwrap(),
        Builder::new_current_thread().build().unwrap(),
    ] {
        runtime.block_on(client.health()).unwrap_err();
    }
    futures::executor::block_on(client.health()).unwrap_err();
    let _ = panic::take_hook();
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}
