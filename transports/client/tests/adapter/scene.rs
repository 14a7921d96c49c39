//! A sandbox and a journal, for clients and runtimes that come and go. The tests of each async adapter have it as a
//! module; `runcycles` is their crate, `executor` runs what it waits for.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use cycles_conformance::{TempDir, records};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, ReservationState, Sandbox, Unit};
use runcycles::models::ReservationId;
use runcycles::proto::record::JournalRecord;
use runcycles::{CyclesClient, CyclesClientBuilder, RetryPolicy};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Scene {
    pub sandbox: Sandbox,
    pub dir: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self {
            sandbox: Sandbox::start().unwrap(),
            dir: TempDir::new(),
        }
    }

    pub fn inject(&self, fault: &str) {
        self.sandbox.inject(fault.parse().unwrap());
    }

    /// A client that does not wait long between attempts.
    pub fn builder(&self) -> CyclesClientBuilder {
        let mut retry = RetryPolicy::default();
        retry.initial_delay = Duration::from_millis(20);
        retry.max_delay = Duration::from_millis(20);
        CyclesClient::builder(self.sandbox.api_key(), self.sandbox.base_url())
            .tenant(self.sandbox.tenant())
            .journal_dir(self.dir.path())
            .retry(retry)
    }

    pub fn client(&self) -> CyclesClient {
        self.builder().build()
    }

    pub fn records(&self) -> Vec<JournalRecord> {
        records(self.dir.path(), "json")
    }

    /// All reservations that the ledger knows.
    pub fn reservations(&self) -> Vec<(ReservationId, ReservationState)> {
        self.sandbox.with_ledger(|ledger| {
            let ids = ledger.reservation_ids();
            ids.map(|id| (id.into(), ledger.reservation(id).unwrap()))
                .collect()
        })
    }

    /// The spent and the held amount.
    pub fn budget(&self) -> (i64, i64) {
        let budget = self
            .sandbox
            .with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
        budget.map(|budget| (budget.spent, budget.reserved)).unwrap()
    }

    /// Settles everything with another client.
    #[track_caller]
    pub fn settle(&self) {
        self.sandbox.clear_faults();
        let flushed = crate::executor::block_on(self.client().flush(PATIENCE)).unwrap();
        assert!(flushed.is_complete(), "{flushed:?}");
        assert!(self.records().is_empty());
    }
}
