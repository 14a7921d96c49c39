// Processes that are killed in the middle of runs, beside others that are alive and scan the same journal: every step
// that ended is charged once.
//
// The tests of each adapter include it; how a process runs its steps is beside it. `CYCLES_TEST_KILLED_RUNS` is the
// number of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cycles_conformance::{files, records};
use cycles_sandbox::{DEFAULT_TENANT_SCOPE, Unit};
use runcycles::models::Amount;
use runcycles::{CyclesClient, RunConfig, Step};

use crate::crash::{Scene, finish};

/// How many processes live at the same time.
const AT_ONCE: u64 = 3;

/// What the processes said, by reservation: the costs of the steps that have ended, and of those whose actions have.
#[derive(Default)]
struct Said {
    ended: BTreeMap<String, i64>,
    cost: BTreeMap<String, i64>,
    killed: usize,
}

#[test]
fn a_process_that_is_killed_anywhere_in_a_run_leaves_every_step_that_ended_to_be_charged_once() {
    let processes = std::env::var("CYCLES_TEST_KILLED_RUNS").map_or(12, |number| number.parse().unwrap());
    let (seed, scene) = (RandomState::new().hash_one(0), Scene::new());
    println!("seed {seed}");
    println!("scene {} {}", scene.sandbox.base_url(), scene.dir.path().display());
    for fault in ["commit:lose-response@p=0.5/1", "commit:delay=3ms@p=0.5/3"] {
        scene.sandbox.inject(fault.parse().unwrap());
    }
    let (said, next) = (Mutex::new(Said::default()), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= processes {
                        break;
                    }
                    let dice = RandomState::new().hash_one((seed, number));
                    live_and_be_killed(&scene, number, dice, &said);
                    if dice.is_multiple_of(4) {
                        // The leases have ended by now, also those of the others.
                        scene.sandbox.advance(Duration::from_secs(700));
                    }
                }
            });
        }
    });
    scene.sandbox.clear_faults();
    // Another SDK that replays the same journal may write a record once more that was settled meanwhile.
    for _ in 0..10 {
        finish(scene.process("flush"));
        if files(scene.dir.path(), "json").is_empty() {
            break;
        }
    }
    assert_charged(&scene, &said.into_inner().unwrap());
}

/// A process that runs steps until this many of them have ended, and a little longer.
fn live_and_be_killed(scene: &Scene, number: u64, dice: u64, said: &Mutex<Said>) {
    let mut left = (dice >> 33) % 60;
    let pause = Duration::from_micros((dice >> 40) % 4_000);
    let mut child = scene.process(&format!("run {number}"));
    let stdout = BufReader::new(child.stdout.take().unwrap());
    for line in stdout.lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let [what @ ("costs" | "ended"), id, cost] = words.as_slice() else { continue };
        let cost: i64 = cost.parse().unwrap();
        let mut said = said.lock().unwrap();
        if *what == "costs" {
            *said.cost.entry((*id).to_owned()).or_default() += cost;
            continue;
        }
        *said.ended.entry((*id).to_owned()).or_default() += cost;
        drop(said);
        left = left.saturating_sub(1);
        if left == 0 {
            thread::sleep(pause);
            // SIGKILL; what it said before is still in the pipe, and read to the end.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said.lock().unwrap().killed += 1;
}

/// Fails unless what the ledger charged is at least what the ended steps cost, and at most what all actions cost.
fn assert_charged(scene: &Scene, said: &Said) {
    for ending in ["json", "run", "waiting", "rejected", "stale", "corrupt"] {
        let left = files(scene.dir.path(), ending);
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(records(scene.dir.path(), "json").is_empty());
    let events = scene.events.lock().unwrap();
    let by_event: BTreeMap<_, _> = events.values().cloned().collect();
    assert_eq!(by_event.len(), events.len(), "one key for each reservation");
    let (mut total, mut seen) = (0, BTreeSet::new());
    scene.sandbox.with_ledger(|ledger| {
        for id in ledger.reservation_ids() {
            let charged = ledger.reservation(id).unwrap().charged;
            let event = by_event.get(id).copied();
            assert!(charged.is_none() || event.is_none(), "{id} is committed and recovered");
            let amount = charged.or(event).unwrap_or(0);
            let least = said.ended.get(id).copied().unwrap_or(0);
            let most = said.cost.get(id).copied().unwrap_or(0);
            assert!((least..=most).contains(&amount), "{id}: {amount} of {least} to {most}");
            total += amount;
            seen.insert(id.to_owned());
        }
        let spent = ledger.budget(DEFAULT_TENANT_SCOPE, Unit::Tokens).unwrap().spent;
        assert_eq!(spent, total, "the sum of what was counted once");
    });
    assert!(said.ended.keys().all(|id| seen.contains(id)));
    let ended: i64 = said.ended.values().sum();
    println!(
        "{} processes, {} runs, {} by event, {ended} in steps that ended, {total} charged",
        said.killed,
        seen.len(),
        by_event.len()
    );
}

/// The costs of the steps, which differ, so that a sum that has a step twice is seen.
fn cost(run: u64, step: i64) -> i64 {
    1 + (i64::try_from(run % 7).unwrap() + step) % 97
}

fn config(number: u64) -> RunConfig {
    RunConfig::new(Amount::tokens(5_000)).action("agent.run", format!("run {number}"))
}

fn ask(step: i64) -> Step {
    Step::new(Amount::tokens(50)).name(format!("tool {}", step % 5))
}
