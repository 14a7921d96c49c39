//! The transport and the clock. A channel passes calls to one thread, on which compio makes them and keeps the time.

use std::io;
use std::rc::Rc;
use std::sync::OnceLock;

use compio::runtime::Runtime;
use cycles_client::proto::{Call, Now};
use cycles_client::{Background, Clock, ConfigError, Done, Run, Running, Ticker, Transport};
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::exchange::{Idle, exchange};

/// The channel to the thread that makes the calls.
type Calls = UnboundedSender<(Call, Done)>;

/// The thread that all clients of the process share. It ends with the last client.
static BACKGROUND: Background<Calls> = Background::new("cycles-compio", prepare);

fn prepare() -> io::Result<(Calls, Run<Calls>)> {
    let (handle, calls) = unbounded();
    Ok((handle, Box::new(|running| keep(running, calls))))
}

/// Makes the calls and runs the timers on that thread. The runtime is created here because it cannot be moved to
/// another thread.
fn keep(running: Running<Calls>, calls: UnboundedReceiver<(Call, Done)>) {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(async {
            compio::runtime::spawn(make_all(calls)).detach();
            running.serve(compio::time::sleep).await;
        }),
        Err(error) => {
            eprintln!("cannot create a runtime for calls: {error}");
            // Dropping the channel reports each call as not made.
            drop(calls);
            running.serve_here();
        }
    }
}

/// Spawns a task for each call.
async fn make_all(mut calls: UnboundedReceiver<(Call, Done)>) {
    let idle = Rc::new(Idle::default());
    while let Some((call, done)) = calls.next().await {
        // `carry` begins the call, reports its result, and drops the exchange if the result is no longer wanted.
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
        // Without a thread, `done` is dropped, which reports that the call was not made.
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
