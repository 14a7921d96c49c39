//! The thread that keeps the time, and on which calls are made.

use std::io;
use std::sync::{Arc, OnceLock};

use cycles_client::{Adapter, Background, Clock, Done, Running, Ticker, Transport};
use cycles_host::HttpOptions;
use cycles_http::HttpClient;
use cycles_proto::{Call, ConfigError, CyclesConfig, Now};
use tokio::runtime::{Builder, Handle};

use crate::reactor::TokioReactor;

/// One for all clients of a process.
static BACKGROUND: Background<Handle> = Background::new("cycles-tokio", prepare);

type Run = Box<dyn FnOnce(Running<Handle>) + Send>;

fn prepare() -> io::Result<(Handle, Run)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = move |running: Running<Handle>| runtime.block_on(running.serve(tokio::time::sleep));
    Ok((handle, Box::new(run)))
}

/// What a client is made of.
pub(crate) fn connect(config: &CyclesConfig, options: &HttpOptions) -> Result<Adapter, ConfigError> {
    let clock = cycles_host::Clock::new();
    let runtime = Arc::<OnceLock<Handle>>::default();
    let transport = Hyper {
        http: HttpClient::new(config, options, TokioReactor::new(clock))?,
        runtime: Arc::clone(&runtime),
    };
    Ok((Arc::new(transport), Arc::new(Timer { clock, runtime })))
}

/// Makes calls by hyper.
struct Hyper {
    http: HttpClient<TokioReactor>,
    runtime: Arc<OnceLock<Handle>>,
}

impl Transport for Hyper {
    fn start(&self, call: Call, done: Done) {
        let exchange = done.carry(self.http.clone().exchange(call));
        match self.runtime.get() {
            Some(runtime) => drop(runtime.spawn(exchange)),
            // Somebody else keeps the time.
            None => match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(exchange)),
                Err(_) => drop(exchange),
            },
        }
    }

    fn may_wait_here(&self) -> bool {
        Handle::try_current().is_err()
    }
}

/// The machine's clock, and the thread's timer.
struct Timer {
    clock: cycles_host::Clock,
    runtime: Arc<OnceLock<Handle>>,
}

impl Clock for Timer {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let runtime = BACKGROUND.keep(ticker)?;
        // Once for a client.
        let _ = self.runtime.set(runtime);
        Ok(())
    }
}
