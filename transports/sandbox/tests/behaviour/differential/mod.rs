//! Sends the same random operations to a ledger of this process and to another server, and compares their answers.
//!
//! Without environment variables, the other side is a sandbox behind its HTTP front, and the run is short. With
//! `CYCLES_BASE_URL` and `CYCLES_SEED` it is the server at that address, for `CYCLES_DIFFERENTIAL_OPS` operations (20
//! 000). `CYCLES_DIFFERENTIAL_SEED` repeats a run, `CYCLES_DIFFERENTIAL_SEEDS` makes several runs. That server has to
//! sweep every 100 ms, or every `CYCLES_DIFFERENTIAL_SWEEP_MS` (0 is never), and must not cache the settings of
//! tenants.

mod bodies;
mod compare;
mod operations;
mod pair;
mod questions;
mod rows;

use cycles_sandbox::Sandbox;

use self::pair::Pair;
use crate::common::live::Live;
use crate::common::{ADMIN_KEY, live, tally};
use crate::dice::Dice;

/// The number of differences at which a run ends.
const ENOUGH: usize = 10;

/// The number of operations, or those up to the first difference, that share tenants and budgets.
const EPISODE: u64 = 250;

#[test]
fn the_ledger_answers_as_the_other_server_does() {
    let Some(url) = live::base_url() else {
        return run(0xC0FFEE, number("CYCLES_DIFFERENTIAL_OPS").unwrap_or(1_500), None);
    };
    if !live::has_seed() {
        return tally::skipped("it needs tenants and budgets of its own, and CYCLES_SEED names no program");
    }
    let operations = number("CYCLES_DIFFERENTIAL_OPS").unwrap_or(20_000);
    let first = number("CYCLES_DIFFERENTIAL_SEED").unwrap_or(1);
    for seed in first..first + number("CYCLES_DIFFERENTIAL_SEEDS").unwrap_or(1) {
        run(seed, operations, Some(&url));
        tally::say(&format!(
            "differential: {operations} operations of seed {seed} against {url}, no difference"
        ));
    }
}

fn run(seed: u64, operations: u64, url: Option<&str>) {
    let (mut dice, mut done, mut differences) = (Dice::new(seed), 0, Vec::new());
    while done < operations && differences.len() < ENOUGH {
        let other = match url {
            Some(url) => Live::seeded(url),
            None => Live::sandbox(Sandbox::builder().admin_key(ADMIN_KEY).start().unwrap()),
        };
        let mut pair = Pair::new(other, url.is_none(), &mut dice);
        for _ in 0..EPISODE.min(operations - done) {
            done += 1;
            if let Err(difference) = pair.step(&mut dice) {
                differences.push(format!("operation {done}: {difference}\n"));
                break;
            }
        }
    }
    let found = differences.len();
    assert!(
        differences.is_empty(),
        "{found} differences in {done} operations; CYCLES_DIFFERENTIAL_SEED={seed} repeats them\n{}",
        differences.join("\n")
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
