//! Random scenarios keep the invariants.
//!
//! `CYCLES_SCENARIOS` is the number of scenarios, and `CYCLES_SCENARIOS_SEED` the seed of the first one; the others
//! follow it. A scenario that fails prints its seed, the command that repeats it, and its trace.
#![allow(clippy::print_stderr)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use cycles_world::{RandomScenario, Tally};

/// As many as a debug build runs in some seconds.
const SCENARIOS: u64 = 4_000;

pub(crate) fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() {
        return default;
    }
    text.replace('_', "")
        .parse()
        .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
}

/// Runs all of them, on as many threads as there are processors.
fn run_all(first: u64, count: u64) -> Tally {
    let next = AtomicU64::new(0);
    let one_thread = || {
        let mut tally = Tally::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return tally;
            }
            match RandomScenario::new(first.wrapping_add(index)).run() {
                Ok(one) => tally = tally.plus(one),
                Err(failed) => {
                    next.store(count, Ordering::Relaxed);
                    panic!("{failed}");
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one_thread)).collect();
        let tallies: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let tallies = tallies.into_iter().map(|tally| match tally {
            Ok(tally) => tally,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        tallies.fold(Tally::default(), Tally::plus)
    })
}

#[test]
fn random_scenarios_keep_the_invariants() {
    let (count, first) = (
        number("CYCLES_SCENARIOS", SCENARIOS),
        number("CYCLES_SCENARIOS_SEED", 0),
    );
    let begun = Instant::now();
    let tally = run_all(first, count);
    eprintln!(
        "{count} scenarios from seed {first} in {:.1?}: {tally:?}",
        begun.elapsed()
    );
    if count >= SCENARIOS {
        // A simulation in which something never happens does not test it.
        let Tally {
            committed,
            by_event,
            released,
            not_reserved,
            rejected,
            stale,
            pending,
            resumed,
            torn,
            lost,
            panicked,
            written_off,
            queued,
            not_begun,
            hung,
            yielded,
            closed,
            shut_down,
            answered_calls,
            estimated,
            unknown,
            unseen,
            marked,
            not_marked,
            left_marks,
            told_marks,
            charged_by_hand,
            discarded,
            left_to_owner,
            ..
        } = tally;
        let all = [
            committed,
            by_event,
            released,
            not_reserved,
            rejected,
            stale,
            pending,
            resumed,
            torn,
            lost,
            panicked,
            written_off,
            queued,
            not_begun,
            hung,
            yielded,
            closed,
            shut_down,
            answered_calls,
            estimated,
            unknown,
            unseen,
            marked,
            not_marked,
            left_marks,
            told_marks,
            charged_by_hand,
            discarded,
            left_to_owner,
        ];
        assert!(all.iter().all(|count| *count > 0), "{tally:?}");
    }
}

#[test]
fn a_scenario_follows_from_its_seed_alone() {
    for seed in 0..50 {
        let scenarios = [(); 2].map(|()| RandomScenario::new(seed).run().unwrap());
        assert_eq!(scenarios[0], scenarios[1], "seed {seed}");
    }
}

#[test]
fn a_scenario_follows_from_its_bytes_and_what_they_leave_open_from_the_first_eight() {
    for length in [0, 8, 9, 30, 200] {
        let bytes: Vec<u8> = (0..length).map(|at: u8| at.wrapping_mul(89)).collect();
        let scenarios = [(); 2].map(|()| RandomScenario::from_bytes(&bytes).run().unwrap());
        assert_eq!(scenarios[0], scenarios[1], "{length} bytes");
    }
    let of_a_seed = RandomScenario::new(7).run().unwrap();
    let of_its_bytes = RandomScenario::from_bytes(&7_u64.to_be_bytes()).run().unwrap();
    assert_eq!(of_a_seed, of_its_bytes);
}
