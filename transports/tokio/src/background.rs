//! The thread that keeps the time, and on which calls are made that no runtime of the user's is to make.

use std::io;
use std::sync::{Arc, OnceLock};

use cycles_client::{Adapter, Background, Clock, Run, Running, Ticker};
use cycles_host::HttpOptions;
use cycles_http::HttpClient;
use cycles_proto::{ConfigError, CyclesConfig, Now};
use tokio::runtime::{Builder, Handle};

use crate::reactor::TokioReactor;

/// One for all clients of a process.
static BACKGROUND: Background<Handle> = Background::new("cycles-tokio", prepare);

fn prepare() -> io::Result<(Handle, Run<Handle>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = move |running: Running<Handle>| runtime.block_on(running.serve(tokio::time::sleep));
    Ok((handle, Box::new(run)))
}

/// What a client is made of.
pub(crate) fn connect(config: &CyclesConfig, options: &HttpOptions) -> Result<Adapter, ConfigError> {
    let clock = cycles_host::Clock::new();
    let runtime = Arc::<OnceLock<Handle>>::default();
    let reactor = TokioReactor::new(clock, Arc::clone(&runtime));
    let http: HttpClient<_> = HttpClient::new(config, options, reactor)?;
    Ok((Arc::new(http), Arc::new(Timer { clock, runtime })))
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
