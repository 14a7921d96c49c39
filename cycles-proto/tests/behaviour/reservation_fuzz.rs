//! A reservation keeps its rules (see `careless`), whatever a driver, a server and a caller do, in any order.
//!
//! `CYCLES_SCENARIOS` is the number of reservations, `CYCLES_SEED` the first seed; a failure names the seed of its
//! reservation.

use std::env;

use crate::careless::{Dice, Driver};

#[test]
fn whatever_happens_a_reservation_keeps_its_rules() {
    let number = |name, default| env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (first, count) = (number("CYCLES_SEED", 1), number("CYCLES_SCENARIOS", 10_000));
    let mut ends = [0_u64; 6];
    for seed in first..first + count {
        let end = std::panic::catch_unwind(|| Driver::new(Dice::seeded(seed), seed).run());
        match end {
            Ok(end) => ends[end] += 1,
            Err(cause) => {
                eprintln!("CYCLES_SEED={seed} CYCLES_SCENARIOS=1 shows it again");
                std::panic::resume_unwind(cause);
            }
        }
    }
    println!("scenarios by their ends {ends:?}");
    assert!(
        count < 1_000 || ends.iter().all(|end| *end > 0),
        "every end is reached: {ends:?}"
    );
}
