//! The clock of an adapter that has a background thread.

use std::sync::{Arc, OnceLock};

use cycles_proto::{ConfigError, Now};

use super::{Background, Ticker};
use crate::transport::Clock;

/// The [clock](Clock) of an adapter that has a [background thread](Background), for one client.
#[derive(Debug)]
pub struct Timer<H: 'static> {
    background: &'static Background<H>,
    /// The machine's clock.
    pub clock: cycles_host::Clock,
    /// The handle that gives work to the thread; set with the client's first call.
    pub handle: Arc<OnceLock<H>>,
}

impl<H> Timer<H> {
    /// Makes a clock whose monotonic time starts now.
    pub fn new(background: &'static Background<H>) -> Self {
        Self {
            background,
            clock: cycles_host::Clock::new(),
            handle: Arc::default(),
        }
    }
}

impl<H: Clone + Send + Sync> Clock for Timer<H> {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let handle = self.background.keep(ticker)?;
        // `start` is called once per client.
        let _ = self.handle.set(handle);
        Ok(())
    }
}

/// A clock that was given in place of the adapter's. The adapter's own thread runs as well, because calls may need it;
/// but it keeps the given time.
pub(crate) struct GivenTime {
    pub(crate) own: Arc<dyn Clock>,
    pub(crate) given: Arc<dyn Clock>,
}

impl Clock for GivenTime {
    fn now(&self) -> Now {
        self.given.now()
    }

    fn start(&self, ticker: Ticker) -> Result<(), ConfigError> {
        let second = ticker.second();
        self.own.start(ticker)?;
        self.given.start(second)
    }
}
