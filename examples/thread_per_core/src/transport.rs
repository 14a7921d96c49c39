//! The transport and the clock: calls go through a channel to one thread, on which compio makes them and keeps the time.

use std::io;
use std::rc::Rc;
use std::sync::OnceLock;

use compio::runtime::Runtime;
use cycles_client::proto::{Call, Now};
use cycles_client::{Background, Clock, ConfigError, Done, Run, Running, Ticker, Transport};
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::exchange::{Idle, exchange};

/// Calls on their way to the thread that makes them.
type Calls = UnboundedSender<(Call, Done)>;

/// The thread: one for all clients of the process, for as long as there are any.
static BACKGROUND: Background<Calls> = Background::new("cycles-compio", prepare);

fn prepare() -> io::Result<(Calls, Run<Calls>)> {
    let (handle, calls) = unbounded();
    Ok((handle, Box::new(|running| keep(running, calls))))
}

/// What runs on it. The runtime cannot be made elsewhere, as it cannot leave its thread either.
fn keep(running: Running<Calls>, calls: UnboundedReceiver<(Call, Done)>) {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(async {
            compio::runtime::spawn(make_all(calls)).detach();
            running.serve(compio::time::sleep).await;
        }),
        Err(error) => {
            eprintln!("there is no runtime to make calls on: {error}");
            // Each call says now that it was not made.
            drop(calls);
            running.serve_here();
        }
    }
}

/// Makes each call in a task of its own.
async fn make_all(mut calls: UnboundedReceiver<(Call, Done)>) {
    let idle = Rc::new(Idle::default());
    while let Some((call, done)) = calls.next().await {
        // It begins the call, hands in what comes of it, and drops the exchange if nobody waits for it any more.
        compio::runtime::spawn(done.carry(Box::pin(exchange(Rc::clone(&idle), call)))).detach();
    }
}

/// The transport and the clock of a client.
#[derive(Default)]
pub(crate) struct Compio {
    clock: cycles_host::Clock,
    calls: OnceLock<Calls>,
}

impl Transport for Compio {
    fn start(&self, call: Call, done: Done) {
        // If there is no thread `done` is dropped, which says that the call was not made.
        if let Some(calls) = self.calls.get() {
            let _ = calls.unbounded_send((call, done));
        }
    }
}

impl Clock for Compio {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let _ = self.calls.set(BACKGROUND.keep(ticker)?);
        Ok(())
    }
}
