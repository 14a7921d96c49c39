//! A session keeps its rules (see `unruly`), whatever a driver, a server, a disk and callers do, in any order.
//!
//! `CYCLES_SCENARIOS` is the number of sessions, `CYCLES_SEED` the first seed; a failure names the seed of its session.

use std::env;

use crate::careless::Dice;
use crate::unruly::Driver;

#[test]
fn whatever_happens_a_session_keeps_its_rules() {
    let number = |name, default| env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (first, count) = (number("CYCLES_SEED", 1), number("CYCLES_SCENARIOS", 5_000));
    let mut all = [0; 2];
    for seed in first..first + count {
        let ended = std::panic::catch_unwind(|| Driver::new(Dice::seeded(seed), seed).run());
        match ended {
            Ok(counts) => all = [0, 1].map(|at| all[at] + counts[at]),
            Err(cause) => {
                eprintln!("CYCLES_SEED={seed} CYCLES_SCENARIOS=1 shows it again");
                std::panic::resume_unwind(cause);
            }
        }
    }
    println!("reservations, and costs in the ledger: {all:?}");
    assert!(count < 1_000 || all.iter().all(|count| *count > 500), "{all:?}");
}
