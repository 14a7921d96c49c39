// Processes that are killed in the middle of lifecycles: every cost that was known is in the ledger exactly once
// after a restart and a flush.
//
// The tests of each adapter include it: `runcycles` is their crate; how a process flushes and lives is beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cycles_proto::record::JournalRecord;
use runcycles::{CyclesClient, RetryPolicy};
use cycles_conformance::{TempDir, records};
use cycles_sandbox::{DEFAULT_API_KEY, DEFAULT_TENANT, DEFAULT_TENANT_SCOPE, Operation, Sandbox, Unit};

const LIFECYCLES: usize = 200;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_process_that_is_killed_anywhere_leaves_every_known_cost_to_be_counted_once() {
    let (seed, scene) = (RandomState::new().hash_one(0), Scene::new());
    println!("seed {seed}");
    // Answers come late or get lost.
    for fault in [
        "commit:lose-response@p=0.5/1",
        "event:after=500@p=0.3/2",
        "commit,event:delay=3ms@p=0.5/3",
    ] {
        scene.sandbox.inject(fault.parse().unwrap());
    }
    let (mut costs, mut known) = (BTreeMap::new(), BTreeSet::new());
    let mut dice = seed;
    while costs.len() < LIFECYCLES {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let until = (dice >> 33) % 20;
        let pause = Duration::from_micros((dice >> 40) % 4_000);
        scene.live_and_be_killed(costs.len(), until, pause, &mut costs, &mut known);
        known.extend(scene.recorded());
        if (dice >> 50).is_multiple_of(2) {
            // The leases have ended by now.
            scene.sandbox.advance(Duration::from_secs(120));
        }
    }
    println!(
        "{} lifecycles, {} costs known, {} in records",
        costs.len(),
        known.len(),
        scene.recorded().len()
    );
    scene.sandbox.clear_faults();
    finish(scene.process("flush"));
    scene.assert_exact(&costs, &known);
}

#[test]
fn two_processes_that_flush_one_journal_at_once_count_every_cost_once() {
    let scene = Scene::new();
    scene.sandbox.inject("commit:503".parse().unwrap());
    let (mut costs, mut known) = (BTreeMap::new(), BTreeSet::new());
    for half in [50, 100] {
        while known.len() < half {
            scene.live_and_be_killed(costs.len(), 25, Duration::ZERO, &mut costs, &mut known);
            known.extend(scene.recorded());
        }
        // In the end the leases of the first half are over, and those of the second are not.
        scene.sandbox.advance(Duration::from_secs(35));
    }
    assert_eq!(scene.recorded(), known, "nothing is settled yet");
    scene.sandbox.clear_faults();
    scene
        .sandbox
        .inject("commit,event:lose-response@p=0.3/5".parse().unwrap());
    let flushing = [
        scene.process("flush"),
        scene.process("flush"),
        scene.process("flush"),
    ];
    flushing.into_iter().for_each(finish);
    scene.assert_exact(&costs, &known);
    assert!(
        !scene.events.lock().unwrap().is_empty(),
        "some of it took an event"
    );
}

#[test]
#[cfg(unix)]
fn while_another_process_settles_the_journal_a_flush_returns_in_time_and_says_what_is_left() {
    // A process that another test starts has a copy of the lock until it runs its program.
    if crate::alone::ran_elsewhere(
        "crash::while_another_process_settles_the_journal_a_flush_returns_in_time_and_says_what_is_left",
    ) {
        return;
    }
    let scene = Scene::new();
    scene.sandbox.inject("commit:503".parse().unwrap());
    let (mut costs, mut known) = (BTreeMap::new(), BTreeSet::new());
    scene.live_and_be_killed(0, 3, Duration::ZERO, &mut costs, &mut known);
    known.extend(scene.recorded());
    scene.sandbox.clear_faults();
    let client = scene.client();
    let journal = cycles_host::Journal::open(&client.config().clone().check().unwrap());
    // Its holder may be anywhere, even stopped.
    let claim = journal.claim().expect("the one that was killed has it no more");
    let began = std::time::Instant::now();
    let flushed = flush(&client, Duration::from_millis(200));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(
        (flushed.ending, flushed.recorded, flushed.is_certain),
        (0, known.len(), true)
    );
    assert_eq!(scene.recorded(), known);
    drop(claim);
    assert!(flush(&client, PATIENCE).is_complete());
    scene.assert_exact(&costs, &known);
    let claim = journal.claim();
    assert!(
        claim.is_some(),
        "a client that has nothing to settle keeps nobody from it"
    );
}

#[test]
#[cfg(unix)]
fn a_flush_whose_time_is_over_looks_once_more_before_it_is_uncertain() {
    let scene = Scene::new();
    scene.sandbox.inject("commit:503".parse().unwrap());
    let (mut costs, mut known) = (BTreeMap::new(), BTreeSet::new());
    scene.live_and_be_killed(0, 3, Duration::ZERO, &mut costs, &mut known);
    let client = scene.client();
    let journal = cycles_host::Journal::open(&client.config().clone().check().unwrap());
    // Another process settles the rest.
    let claim = journal.claim().expect("the one that was killed has it no more");
    let found = journal.scan().unwrap().records;
    let flushed = flush(&client, Duration::ZERO);
    assert_eq!(
        (flushed.recorded, flushed.is_certain),
        (found.len(), true),
        "{flushed:?}"
    );
    for record in found {
        let settled = cycles_proto::journal::JournalWrite::Remove(record);
        journal.apply(settled).unwrap();
    }
    let flushed = flush(&scene.client(), Duration::ZERO);
    assert!(flushed.is_complete(), "it has settled all: {flushed:?}");
    drop(claim);
}

/// Not a test by itself: what the processes of the tests above do.
#[test]
fn child() {
    let Ok(url) = std::env::var("CYCLES_TEST_URL") else {
        return;
    };
    let dir = std::env::var_os("CYCLES_TEST_DIR").unwrap();
    let task = std::env::var("CYCLES_TEST_TASK").unwrap();
    let client = client(&url, dir.as_ref());
    if task == "flush" {
        // Failed attempts leave records to the next process, and no flush reports completion too early.
        loop {
            let flushed = flush(&client, PATIENCE);
            assert!(flushed.is_certain, "{flushed:?}");
            if flushed.is_complete() {
                let left = recorded(dir.as_ref());
                assert!(left.is_empty(), "{flushed:?}, but {left:?}");
                return;
            }
        }
    }
    match task.strip_prefix("run ") {
        Some(number) => crate::run_crash::live_in_runs(&client, number.parse().unwrap()),
        None => live_for_ever(&client, task.parse().unwrap()),
    }
}

fn client(url: &str, dir: &Path) -> CyclesClient {
    let mut retry = RetryPolicy::default();
    retry.initial_delay = Duration::from_millis(5);
    retry.max_delay = Duration::from_millis(5);
    CyclesClient::builder(DEFAULT_API_KEY, url)
        .tenant(DEFAULT_TENANT)
        .journal_dir(dir)
        .retry(retry)
        .build()
}

/// A ledger, a journal, and the events that were applied: whose costs they are.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    pub(crate) dir: TempDir,
    pub(crate) events: Arc<Mutex<BTreeMap<String, (String, i64)>>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let events = Arc::new(Mutex::new(BTreeMap::new()));
        let seen = Arc::clone(&events);
        let sandbox = Sandbox::builder().observe(move |exchange| {
            if exchange.operation == Operation::CreateEvent {
                let body = exchange.request.body();
                let event: serde_json::Value = serde_json::from_slice(body).unwrap();
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                let (id, key) = (
                    &event["metadata"]["recovered_reservation_id"],
                    &event["idempotency_key"],
                );
                let (id, key) = (text(id), text(key));
                let amount = event["actual"]["amount"].as_i64().unwrap();
                seen.lock().unwrap().insert(key, (id, amount));
            }
        });
        Self {
            sandbox: sandbox.start().unwrap(),
            dir: TempDir::new(),
            events,
        }
    }

    fn client(&self) -> CyclesClient {
        client(&self.sandbox.base_url(), self.dir.path())
    }

    pub(crate) fn process(&self, task: &str) -> Child {
        process(&self.sandbox.base_url(), self.dir.path(), task)
    }

    /// A process that runs lifecycles until this many of its costs are known, and a little longer.
    fn live_and_be_killed(
        &self,
        first: usize,
        until: u64,
        pause: Duration,
        costs: &mut BTreeMap<String, i64>,
        known: &mut BTreeSet<String>,
    ) {
        let mut child = self.process(&first.to_string());
        let mut left = until;
        let stdout = BufReader::new(child.stdout.take().unwrap());
        for line in stdout.lines() {
            let line = line.unwrap();
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["costs", id, cost] => {
                    costs.insert((*id).to_owned(), cost.parse().unwrap());
                }
                ["known", id] => {
                    known.insert((*id).to_owned());
                    left = left.saturating_sub(1);
                }
                _ => continue,
            }
            if left == 0 {
                thread::sleep(pause);
                // SIGKILL; what it said before is still in the pipe, and read to the end.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }

    fn recorded(&self) -> BTreeSet<String> {
        recorded(self.dir.path())
    }

    /// Fails unless each known cost is counted once, and no cost twice.
    #[track_caller]
    fn assert_exact(&self, costs: &BTreeMap<String, i64>, known: &BTreeSet<String>) {
        assert!(self.recorded().is_empty());
        assert!(records(self.dir.path(), "rejected").is_empty());
        let events = self.events.lock().unwrap();
        let by_event: BTreeMap<_, _> = events.values().cloned().collect();
        assert_eq!(by_event.len(), events.len(), "one key for each reservation");
        let (mut total, mut settled) = (0, BTreeSet::new());
        self.sandbox.with_ledger(|ledger| {
            for id in ledger.reservation_ids() {
                let charged = ledger.reservation(id).unwrap().charged;
                let event = by_event.get(id).copied();
                assert!(
                    charged.is_none() || event.is_none(),
                    "{id} is committed and recovered"
                );
                if let Some(amount) = charged.or(event) {
                    // A reservation that its process could not report has no cost.
                    assert_eq!(Some(&amount), costs.get(id), "{id}");
                    total += amount;
                    settled.insert(id.to_owned());
                }
            }
            let missing: Vec<_> = known.difference(&settled).collect();
            assert!(missing.is_empty(), "known and not counted: {missing:?}");
            assert_eq!(ledger.events_applied(), by_event.len() as u64);
            let spent = ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap().spent;
            assert_eq!(spent, total, "the sum of what was counted once");
        });
        println!("{} counted, {} of them by event", settled.len(), by_event.len());
    }
}

/// The reservations that have a record, also one whose writer was killed before it could name it.
fn recorded(dir: &Path) -> BTreeSet<String> {
    let folders = fs::read_dir(dir).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).into_iter().flatten());
    let is_pending = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        matches!(ending, Some("json" | "waiting" | "tmp"))
    };
    files
        .map(|file| file.unwrap().path())
        .filter(is_pending)
        .filter_map(|path| JournalRecord::parse(&fs::read(path).ok()?).ok())
        .map(|record| record.reservation_id().as_str().to_owned())
        .collect()
}

fn process(url: &str, dir: &Path, task: &str) -> Child {
    crate::alone::process("crash::child")
        .env("CYCLES_TEST_URL", url)
        .env("CYCLES_TEST_DIR", dir)
        .env("CYCLES_TEST_TASK", task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
