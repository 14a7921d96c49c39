//! Programs whose last line commits a cost: `drop(guard.commit(..))`, and `main` returns. The test of each adapter
//! runs itself again as such a program; `runcycles` is their crate, and beside it is how they wait for a flush.
#![allow(unreachable_pub, clippy::unwrap_used)]

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use cycles_conformance::{TempDir, records};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Sandbox, Unit};
use runcycles::CyclesClient;

/// The cost that it commits.
pub const COST: i64 = 42;
const ROUNDS: usize = 4;
const WAY: &str = "CYCLES_TEST_WAY";

/// What the server does to the commit.
const FAULTS: [Option<&str>; 3] = [None, Some("commit:503"), Some("commit:delay=500ms")];

/// The same where no record can be written, so that the program has to wait for the answer.
const FAULTS_WITHOUT_A_DISK: [Option<&str>; 2] = [None, Some("commit:delay=500ms")];

/// A way in which a program ends.
pub type Way = (&'static str, fn());

/// Has every program run, unless this process is one of them.
pub fn test(ways: &[Way]) -> ExitCode {
    if let Ok(way) = env::var(WAY) {
        let is_it = |(name, _): &&Way| *name == way;
        ways.iter().find(is_it).unwrap().1();
        return ExitCode::SUCCESS;
    }
    for (way, _) in ways {
        for fault in FAULTS {
            thread::scope(|scope| {
                for round in 0..ROUNDS {
                    let what = format!("{way}, {fault:?}, round {round}");
                    scope.spawn(move || ends_with_its_cost_safe(way, fault, &what));
                }
            });
        }
        for fault in FAULTS_WITHOUT_A_DISK {
            ends_with_its_cost_charged(way, fault, &format!("{way}, {fault:?}, without a disk"));
        }
        println!("{way} ... ok");
    }
    ExitCode::SUCCESS
}

fn ends_with_its_cost_safe(way: &str, fault: Option<&str>, what: &str) {
    let (sandbox, dir) = (Sandbox::start().unwrap(), TempDir::new());
    if let Some(fault) = fault {
        sandbox.inject(fault.parse().unwrap());
    }
    let spent_and_held = || spent_and_held(&sandbox);
    run(way, &sandbox, dir.path(), what);
    let is_recorded = records(dir.path(), "json").len() == 1;
    assert!(
        is_recorded || spent_and_held().0 == COST,
        "{what}: neither recorded nor charged"
    );
    // Whoever comes next settles it, and it counts once.
    sandbox.clear_faults();
    let flushing = client(&sandbox.base_url(), dir.path().to_str().unwrap());
    let flushed = crate::flush(&flushing, Duration::from_secs(30));
    assert!(flushed.is_complete(), "{what}: {flushed:?}");
    assert_eq!(spent_and_held(), (COST, 0), "{what}");
}

fn ends_with_its_cost_charged(way: &str, fault: Option<&str>, what: &str) {
    let (sandbox, dir) = (Sandbox::start().unwrap(), TempDir::new());
    if let Some(fault) = fault {
        sandbox.inject(fault.parse().unwrap());
    }
    // A file is where the directory would be.
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    run(way, &sandbox, &file, what);
    assert_eq!(spent_and_held(&sandbox), (COST, 0), "{what}");
}

/// Runs the program to its end.
fn run(way: &str, sandbox: &Sandbox, dir: &Path, what: &str) {
    let ended = Command::new(env::current_exe().unwrap())
        .env(WAY, way)
        .env("CYCLES_TEST_URL", sandbox.base_url())
        .env("CYCLES_TEST_DIR", dir)
        .status()
        .unwrap();
    assert!(ended.success(), "{what}");
}

fn spent_and_held(sandbox: &Sandbox) -> (i64, i64) {
    let budget = sandbox.with_ledger(|ledger| ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens));
    budget.map(|budget| (budget.spent, budget.reserved)).unwrap()
}

fn client(url: &str, dir: &str) -> CyclesClient {
    CyclesClient::builder(DEFAULT_API_KEY, url)
        .tenant(DEFAULT_TENANT)
        .journal_dir(dir)
        .build()
}

/// The client of such a program.
pub fn its_client() -> CyclesClient {
    let variable = |name| env::var(name).unwrap();
    client(&variable("CYCLES_TEST_URL"), &variable("CYCLES_TEST_DIR"))
}
