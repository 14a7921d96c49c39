//! tokio as the client's runtime.

use core::fmt;
use core::future::Future;
use core::time::Duration;

use bytes::Bytes;
use cycles_client::Runtime;
use cycles_host::{Clock, HttpOptions};
use cycles_http::HttpClient;
use cycles_proto::{Call, ConfigError, CyclesConfig, Failure, Now};
use http::Response;
use tokio::runtime::Handle;

use crate::here;
use crate::reactor::TokioReactor;

/// hyper and tokio. Whatever runtime a method is called in is the one that is used.
#[derive(Clone)]
pub struct Tokio {
    http: HttpClient<TokioReactor>,
    clock: Clock,
}

impl fmt::Debug for Tokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokio").finish_non_exhaustive()
    }
}

/// tokio's clock stands still while the machine sleeps; ours does not. So it is looked at now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

impl Runtime for Tokio {
    type Options = HttpOptions;
    type Id = tokio::runtime::Id;

    const NAME: &'static str = "tokio";

    fn new(config: &CyclesConfig, options: &HttpOptions) -> Result<Self, ConfigError> {
        let clock = Clock::new();
        Ok(Self {
            http: HttpClient::new(config, options, TokioReactor::new(clock))?,
            clock,
        })
    }

    fn here(&self) -> Option<tokio::runtime::Id> {
        here::runtime().ok().map(|runtime| runtime.id())
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn exchange(&self, call: Call) -> impl Future<Output = Result<Response<Bytes>, Failure>> + Send {
        self.http.exchange(call)
    }

    async fn sleep_until(&self, at: Duration) {
        loop {
            let left = at.saturating_sub(self.clock.now().mono);
            if left.is_zero() {
                return;
            }
            if here::runtime().is_err() {
                // Whoever waits for something beside the time goes on when that comes.
                return core::future::pending().await;
            }
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) -> Result<(), F> {
        match here::runtime() {
            Ok(runtime) => {
                runtime.spawn(task);
                Ok(())
            }
            Err(_) => Err(task),
        }
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn_blocking(work);
            }
            Err(_) => work(),
        }
    }
}
