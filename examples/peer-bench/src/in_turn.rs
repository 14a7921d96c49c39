//! Measures reservations made one after another, on one thread.

use crate::Settings;
use crate::sample::{Began, Sample, report};

/// One way to reserve and commit, with its name in the rows and its name for `--only`.
pub struct Contender<'a> {
    pub name: &'static str,
    pub only: &'static str,
    pub reservation: &'a dyn Fn(),
}

/// Runs the contender called `only` repeatedly. Returns whether there is such a contender.
pub fn repeat(only: &str, contenders: &[Contender<'_>], settings: &Settings) -> bool {
    let Some(contender) = contenders.iter().find(|contender| contender.only == only) else {
        return false;
    };
    for _ in 0..settings.blocks {
        run(contender, settings);
    }
    true
}

/// Prints a row for each contender; the first one is the floor.
pub fn measure(title: &str, contenders: &[Contender<'_>], settings: &Settings) {
    let mut samples = vec![Vec::new(); contenders.len()];
    for round in 0..settings.blocks + 2 {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            let sample = run(contender, settings);
            // The first two rounds warm up.
            if round >= 2 {
                samples.push(sample);
            }
        }
    }
    println!();
    println!(
        "{title}: one after another, {} reservations a block, {} blocks",
        settings.reservations, settings.blocks
    );
    for (contender, own) in contenders.iter().zip(&samples) {
        report(contender.name, own, &samples[0], settings.reservations);
    }
}

fn run(contender: &Contender<'_>, settings: &Settings) -> Sample {
    let began = Began::now();
    for _ in 0..settings.reservations {
        (contender.reservation)();
    }
    began.sample()
}
