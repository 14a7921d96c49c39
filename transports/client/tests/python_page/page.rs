// The page of the Python client, row by row, in Rust: P1 to P46, except P5 (what is installed), which is on
// ureq. What the page leaves out (an LLM) is filled in. The tests of each adapter include this file, where
// `runcycles` is their crate, and `programmatic.rs`; those of the async ones the others beside it too, where
// `on_executor!` runs a test and `executor` sleeps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cycles_conformance::TempDir;
use cycles_sandbox::{Operation, Sandbox, Unit as Kind};
use runcycles::models::*;
use runcycles::money::Usd;
use runcycles::{
    CyclesClient, CyclesConfig, CyclesContext, Error, RawRequest, cycles, default_client, set_default_client,
    with_default_client,
};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server with ten cents and a million tokens for `acme-corp`, that notes what it is asked.
struct Page {
    sandbox: Sandbox,
    journal: TempDir,
    asked: Arc<Mutex<Vec<(Operation, Value)>>>,
}

impl Page {
    fn new() -> Self {
        Self::with_caps("")
    }

    /// `caps` is what stands behind the amount of a budget of the sandbox.
    fn with_caps(caps: &str) -> Self {
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let notes = Arc::clone(&asked);
        let mut sandbox = Sandbox::builder().observe(move |exchange| {
            let body = serde_json::from_slice(exchange.request.body()).unwrap_or_default();
            notes.lock().unwrap().push((exchange.operation, body));
        });
        for budget in ["USD_MICROCENTS:10000000", "TOKENS:1000000", "CREDITS:1000", "RISK_POINTS:1000"] {
            sandbox = sandbox.budget(format!("tenant:acme-corp={budget}{caps}").parse().unwrap());
        }
        Self {
            sandbox: sandbox.start().unwrap(),
            journal: TempDir::new(),
            asked,
        }
    }

    fn config(&self) -> CyclesConfig {
        CyclesConfig::builder(self.sandbox.api_key(), self.sandbox.base_url())
            .tenant("acme-corp")
            .journal_dir(self.journal.path())
            .build()
            .unwrap()
    }

    fn client(&self) -> CyclesClient {
        CyclesClient::new(self.config())
    }

    /// The spent and the held amount in microcents.
    fn dollars(&self) -> (i64, i64) {
        self.spent(Kind::UsdMicrocents)
    }

    fn spent(&self, unit: Kind) -> (i64, i64) {
        let budget = self.sandbox.with_ledger(|ledger| ledger.budget("tenant:acme-corp", unit));
        budget.map(|budget| (budget.spent, budget.reserved)).unwrap()
    }

    /// The bodies of the requests for an operation, in order.
    fn asked(&self, operation: Operation) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let bodies = asked.iter().filter(|(asked, _)| *asked == operation);
        bodies.map(|(_, body)| body.clone()).collect()
    }

    /// The body of the only request for an operation.
    #[track_caller]
    fn only(&self, operation: Operation) -> Value {
        let asked = self.asked(operation);
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}
