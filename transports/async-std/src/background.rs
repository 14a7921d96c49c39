//! The thread that keeps the time, and on which calls are made.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use async_executor::Executor;
use cycles_client::{Adapter, Background, Clock, Run, Running, Ticker};
use cycles_host::HttpOptions;
use cycles_http::HttpClient;
use cycles_proto::{ConfigError, CyclesConfig, Now};

use crate::reactor::AsyncIoReactor;
use crate::time::Sleep;

/// What gives the thread work, for as long as there is the thread.
pub(crate) type Tasks = Weak<Executor<'static>>;

/// One thread for all clients of a process. It runs no tasks of the user's, so none can hold it up.
static BACKGROUND: Background<Tasks> = Background::new("cycles-async-io", prepare);

fn prepare() -> io::Result<(Tasks, Run<Tasks>)> {
    let tasks = Arc::new(Executor::new());
    let handle = Arc::downgrade(&tasks);
    let run = move |running: Running<Tasks>| {
        // A task among the others, so that it is polled when it is woken, and no task that always has something to do keeps it
        // from its turn.
        let serving = tasks.spawn(running.serve(Sleep::lasting));
        async_io::block_on(tasks.run(serving));
    };
    Ok((handle, Box::new(run)))
}

/// What a client is made of.
pub(crate) fn connect(config: &CyclesConfig, options: &HttpOptions) -> Result<Adapter, ConfigError> {
    let clock = cycles_host::Clock::new();
    let tasks = Arc::<OnceLock<Tasks>>::default();
    let reactor = AsyncIoReactor::new(clock, Arc::clone(&tasks));
    let http: HttpClient<_> = HttpClient::new(config, options, reactor)?;
    Ok((Arc::new(http), Arc::new(Timer { clock, tasks })))
}

/// The machine's clock, and the thread's timer.
struct Timer {
    clock: cycles_host::Clock,
    tasks: Arc<OnceLock<Tasks>>,
}

impl Clock for Timer {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let tasks = BACKGROUND.keep(ticker)?;
        // Once for a client.
        let _ = self.tasks.set(tasks);
        Ok(())
    }
}
