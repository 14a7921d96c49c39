//! The background thread: runs timers, and makes calls that cannot be made in the user's runtime.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cycles_client::{Adapter, Background, Run, Running, Timer};
use cycles_host::HttpOptions;
use cycles_http::HttpClient;
use cycles_proto::{ConfigError, CyclesConfig};
use tokio::runtime::{Builder, Handle};

use crate::reactor::TokioReactor;

/// The background thread, which all clients of a process share.
static BACKGROUND: Background<Handle> = Background::new("cycles-tokio", prepare);

fn prepare() -> io::Result<(Handle, Run<Handle>)> {
    // The runtime's other threads only resolve names, and end soon after.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name("cycles-lookup")
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    let handle = runtime.handle().clone();
    let run = move |running: Running<Handle>| runtime.block_on(running.serve(tokio::time::sleep));
    Ok((handle, Box::new(run)))
}

/// Makes the transport and the clock of a client.
pub(crate) fn connect(config: &CyclesConfig, options: &HttpOptions) -> Result<Adapter, ConfigError> {
    let timer = Timer::new(&BACKGROUND);
    let reactor = TokioReactor::new(timer.clock, Arc::clone(&timer.handle));
    let http: HttpClient<_> = HttpClient::new(config, options, reactor)?;
    Ok((Arc::new(http), Arc::new(timer)))
}
