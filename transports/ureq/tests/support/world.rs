//! A sandbox, a client of it and a journal of its own.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use cycles_conformance::{TempDir, records};
pub use cycles_conformance::{commit, request_for as reserve};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Sandbox, SandboxBuilder, Unit};
use cycles_ureq::models::Amount;
use cycles_ureq::{CyclesClient, CyclesClientBuilder, Event, HttpOptions, RetryPolicy, WithCyclesConfig};

/// Longer than anything here takes on the slowest machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub sandbox: Sandbox,
    pub client: CyclesClient,
    pub events: Mutex<mpsc::Receiver<Event>>,
    pub journal: TempDir,
}

impl World {
    pub fn start() -> Self {
        Self::with(Sandbox::builder(), |builder| builder)
    }

    pub fn with(
        sandbox: SandboxBuilder,
        configure: impl FnOnce(CyclesClientBuilder) -> CyclesClientBuilder,
    ) -> Self {
        let sandbox = sandbox.start().unwrap();
        let journal = TempDir::new();
        let (told, events) = mpsc::channel();
        let builder = builder(&sandbox.base_url(), sandbox.api_key(), journal.path())
            .observer(move |event: &Event| told.send(event.clone()).unwrap_or_default());
        let client = configure(builder).try_build().unwrap();
        Self {
            sandbox,
            client,
            events: Mutex::new(events),
            journal,
        }
    }

    /// Waits for the first event that `look` finds something in.
    pub fn wait_for<T>(&self, look: impl FnMut(Event) -> Option<T>) -> T {
        let events = self.events.lock().unwrap();
        let found = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok()).find_map(look);
        found.expect("no such event came")
    }

    pub fn flush(&self) {
        let left = self.client.flush(PATIENCE).unwrap();
        assert!(left.is_complete(), "{left:?}");
    }

    /// The spent and the held amount of the tenant's tokens.
    pub fn spent_and_held(&self) -> (i64, i64) {
        let budget = self
            .sandbox
            .with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens))
            .unwrap();
        (budget.spent, budget.reserved)
    }
}

/// How many records there are to settle.
pub fn recorded(journal: &TempDir) -> usize {
    records(journal.path(), "json").len()
}

pub fn builder(url: &str, key: &str, journal: &Path) -> CyclesClientBuilder {
    CyclesClient::builder(key, url)
        .tenant("acme-corp")
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(10))
        .journal_dir(journal)
        .http(HttpOptions::new().no_proxy())
        .retry(quick_retries())
}

pub fn quick_retries() -> RetryPolicy {
    let mut retries = RetryPolicy::default();
    retries.initial_delay = Duration::from_millis(20);
    retries.max_delay = Duration::from_millis(100);
    retries
}

pub fn guarded(tokens: i64) -> WithCyclesConfig {
    WithCyclesConfig::new(Amount::tokens(tokens)).action("llm.completion", "gpt-4o")
}
