//! The background thread: runs timers and makes calls.

use std::io;
use std::sync::{Arc, OnceLock, Weak};

use async_executor::Executor;
use cycles_client::{Adapter, Background, Run, Running, Timer};
use cycles_host::HttpOptions;
use cycles_http::HttpClient;
use cycles_proto::{ConfigError, CyclesConfig};

use crate::reactor::AsyncIoReactor;
use crate::time::Sleep;

/// The executor of the thread, while it runs.
pub(crate) type Tasks = Weak<Executor<'static>>;

/// The background thread, which all clients of a process share. It runs no tasks of the user, which could hold it up.
static BACKGROUND: Background<Tasks> = Background::new("cycles-async-io", prepare);

/// The process that first used async-io. async-io's reactor has a thread and locks there, which no child process
/// inherits.
static PROCESS: OnceLock<u32> = OnceLock::new();

fn prepare() -> io::Result<(Tasks, Run<Tasks>)> {
    let process = std::process::id();
    if *PROCESS.get_or_init(|| process) != process {
        return Err(io::Error::other(
            "async-io does not work in a child of a process that has used it: fork before the first call, or use cycles-tokio or \
             cycles-ureq in the child",
        ));
    }
    let tasks = Arc::new(Executor::new());
    let handle = Arc::downgrade(&tasks);
    let run = move |running: Running<Tasks>| {
        // Spawned as one task among the others, so that a busy task cannot starve it.
        let serving = tasks.spawn(running.serve(Sleep::lasting));
        async_io::block_on(tasks.run(serving));
    };
    Ok((handle, Box::new(run)))
}

/// Makes the transport and the clock of a client.
pub(crate) fn connect(config: &CyclesConfig, options: &HttpOptions) -> Result<Adapter, ConfigError> {
    let timer = Timer::new(&BACKGROUND);
    let reactor = AsyncIoReactor::new(timer.clock, Arc::clone(&timer.handle));
    let http: HttpClient<_> = HttpClient::new(config, options, reactor)?;
    Ok((Arc::new(http), Arc::new(timer)))
}
