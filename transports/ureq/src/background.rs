//! The background thread, which runs timers, and the transport, which makes calls on threads of its own.

use std::io;
use std::sync::Arc;

use cycles_client::{Adapter, Background, Done, Run, Running, Timer, Transport};
use cycles_host::HttpOptions;
use cycles_proto::{Call, ConfigError, CyclesConfig};

use crate::http_client::HttpClient;
use crate::workers::{Workers, keep_next_job};

/// The background thread, which all clients of a process share.
static BACKGROUND: Background<()> = Background::new("cycles-ureq", prepare);

#[expect(
    clippy::unnecessary_wraps,
    reason = "other adapters need something from the system"
)]
fn prepare() -> io::Result<((), Run<()>)> {
    Ok(((), Box::new(Running::serve_here)))
}

/// Makes the transport and the clock of a client.
pub(crate) fn connect(config: &CyclesConfig, options: &HttpOptions) -> Result<Adapter, ConfigError> {
    let transport = Ureq {
        http: Arc::new(HttpClient::new(config, options)?),
        workers: Workers::new("cycles-call"),
    };
    Ok((Arc::new(transport), Arc::new(Timer::new(&BACKGROUND))))
}

/// Makes calls with ureq, each on a thread that blocks until the response has arrived.
struct Ureq {
    http: Arc<HttpClient>,
    workers: Workers,
}

impl Transport for Ureq {
    fn start(&self, call: Call, done: Done) {
        let http = Arc::clone(&self.http);
        self.workers
            .submit(move || exchange(&http, call, done, keep_next_job));
    }

    fn make(&self, call: Call, done: Done) {
        exchange(&self.http, call, done, || {});
    }

    fn may_wait_here(&self) -> bool {
        true
    }
}

/// Makes the call. `ends` runs when the result is there, before it is reported.
fn exchange(http: &HttpClient, call: Call, mut done: Done, ends: impl FnOnce()) {
    if done.begin() {
        let result = http.exchange(call);
        ends();
        done.finish(result);
    }
}
