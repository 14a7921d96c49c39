//! Lifecycles one after the other, on one thread.

use crate::Settings;
use crate::sample::{Began, Sample, report};

/// One way to live a life, and how it is called in a row and by `--only`.
pub struct Contender<'a> {
    pub name: &'static str,
    pub only: &'static str,
    pub life: &'a dyn Fn(),
}

/// Runs one of them again and again; whether there is one of that name.
pub fn repeat(only: &str, contenders: &[Contender<'_>], settings: &Settings) -> bool {
    let Some(contender) = contenders.iter().find(|contender| contender.only == only) else {
        return false;
    };
    for _ in 0..settings.blocks {
        run(contender, settings);
    }
    true
}

/// Prints a row for each; the first is the floor.
pub fn measure(title: &str, contenders: &[Contender<'_>], settings: &Settings) {
    let mut samples = vec![Vec::new(); contenders.len()];
    for round in 0..settings.blocks + 2 {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            let sample = run(contender, settings);
            // The first two warm up.
            if round >= 2 {
                samples.push(sample);
            }
        }
    }
    println!();
    println!(
        "{title}: one after the other, {} lifecycles a block, {} blocks",
        settings.lifecycles, settings.blocks
    );
    for (contender, own) in contenders.iter().zip(&samples) {
        report(contender.name, own, &samples[0], settings.lifecycles);
    }
}

fn run(contender: &Contender<'_>, settings: &Settings) -> Sample {
    let began = Began::now();
    for _ in 0..settings.lifecycles {
        (contender.life)();
    }
    began.sample()
}
