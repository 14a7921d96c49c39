//! async-io as the client's runtime, with the tasks on async-std or smol.

use core::future::Future;
use core::time::Duration;

use bytes::Bytes;
use cycles_client::Runtime;
use cycles_host::{Clock, HttpOptions};
use cycles_http::HttpClient;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, Now};
use http::Response;

use crate::executor;
use crate::reactor::AsyncIoReactor;
use crate::time::{Sleep, after};

/// hyper over the sockets and timers of async-io, which async-std and smol have in common.
#[derive(Clone)]
pub struct AsyncIo {
    http: HttpClient<AsyncIoReactor>,
    clock: Clock,
}

/// async-io's clock stands still while the machine sleeps; ours does not. So it is looked at now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

impl Runtime for AsyncIo {
    type Options = HttpOptions;
    /// async-io's reactor and the executors' threads are the process's.
    type Id = ();

    const NAME: &'static str = executor::NAME;

    fn new(config: &CyclesConfig, options: &HttpOptions) -> Result<Self, ConfigError> {
        let clock = Clock::new();
        Ok(Self {
            http: HttpClient::new(config, options, AsyncIoReactor::new(clock))?,
            clock,
        })
    }

    fn here(&self) -> Option<()> {
        Some(())
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    async fn exchange(&self, call: Call) -> Result<Response<Bytes>, Failure> {
        self.http.exchange(call).await
    }

    async fn sleep_until(&self, at: Duration) {
        loop {
            let left = at.saturating_sub(self.clock.now().mono);
            if left.is_zero() {
                return;
            }
            Sleep::until(after(left.min(LONGEST_SLEEP))).await;
        }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) -> Result<(), F> {
        executor::spawn(task);
        Ok(())
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        executor::run_blocking(work);
    }
}
