//! A process that is killed between its action and the ledger's answer loses no cost.

use std::process::Stdio;
use std::sync::mpsc;

use crate::alone;
use crate::support::world::{PATIENCE, builder, guarded, recorded};
use cycles_conformance::TempDir;
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Exchange, Fault, FaultRule, Operation, Sandbox, Unit};
use cycles_ureq::models::Amount;
use cycles_ureq::with_cycles;

const URL: &str = "CYCLES_TEST_URL";
const JOURNAL: &str = "CYCLES_TEST_JOURNAL";

/// The test runs itself again as the process that is killed.
#[test]
fn a_cost_whose_process_was_killed_is_settled_once_by_the_next() {
    if let (Ok(url), Ok(journal)) = (std::env::var(URL), std::env::var(JOURNAL)) {
        let client = builder(&url, cycles_sandbox::DEFAULT_API_KEY, journal.as_ref()).build();
        with_cycles(&client, guarded(1_000), |_| Ok(((), Amount::tokens(42)))).unwrap();
        // Until it is killed.
        std::thread::sleep(PATIENCE);
        return;
    }
    // The ledger hears of the commit, or does not; either way the process never learns what became of it.
    for fault in [Fault::LoseRequest, Fault::LoseResponse] {
        let (asked, commits) = mpsc::channel();
        let observe = move |exchange: &Exchange<'_>| {
            if exchange.operation == Operation::CommitReservation {
                asked.send(()).unwrap_or_default();
            }
        };
        let sandbox = Sandbox::builder().observe(observe).start().unwrap();
        sandbox.inject(FaultRule::new(fault.clone()).on(Operation::CommitReservation));
        let journal = TempDir::new();
        let mut process =
            alone::process("killed::a_cost_whose_process_was_killed_is_settled_once_by_the_next")
                .env(URL, sandbox.base_url())
                .env(JOURNAL, journal.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
        commits.recv_timeout(PATIENCE).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(recorded(&journal), 1, "{fault:?}");

        sandbox.clear_faults();
        let next = builder(&sandbox.base_url(), sandbox.api_key(), journal.path()).build();
        assert!(next.flush(PATIENCE).unwrap().is_complete());
        let budget = sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
        let budget = budget.unwrap();
        assert_eq!((budget.spent, budget.reserved), (42, 0), "{fault:?}");
        assert_eq!(recorded(&journal), 0, "{fault:?}");
    }
}
