//! Many concurrent reservations on tokio: the floor, this project's client and the other client.

use std::future::Future;

use futures::stream::{self, StreamExt as _};

use crate::Settings;
use crate::floor::Floor;
use crate::ours::{Ours, Plain};
use crate::peer::Peer;
use crate::sample::{Began, Sample, report};

/// One way to reserve and commit.
pub trait Contender {
    fn reservation(&self) -> impl Future<Output = ()>;
}

/// Runs one contender repeatedly, for a profiler. Returns whether there is a contender called `name`.
pub async fn repeat(name: &str, url: &str, settings: &Settings) -> bool {
    match name {
        "floor" => again(&Floor::new(url), settings).await,
        "peer" => again(&Peer::new(url, None), settings).await,
        "ours" => again(&Ours::new(url, None), settings).await,
        "ours-plain" => again(&Plain(Ours::new(url, None)), settings).await,
        "ours-journal" => {
            let dir = tempfile::tempdir().unwrap();
            again(&Ours::new(url, Some(dir.path().into())), settings).await;
        }
        _ => return false,
    }
    true
}

pub async fn measure(url: &str, settings: &Settings) {
    for in_flight in [1, settings.in_flight] {
        without_journal(url, in_flight, settings).await;
    }
    with_journal(url, settings).await;
}

async fn without_journal(url: &str, in_flight: usize, settings: &Settings) {
    let floor = Floor::new(url);
    let plain = Plain(Ours::new(url, None));
    let ours = Ours::new(url, None);
    let peer = Peer::new(url, None);
    let names = [
        "pooled hyper",
        "ours, plain calls",
        "ours, no journal",
        "runcycles 0.3.2, no journal",
    ];
    let mut samples = [const { Vec::new() }; 4];
    for round in 0..settings.blocks + 2 {
        let block = [
            run(&floor, in_flight, settings).await,
            run(&plain, in_flight, settings).await,
            run(&ours, in_flight, settings).await,
            run(&peer, in_flight, settings).await,
        ];
        // The first two rounds warm up.
        if round >= 2 {
            samples
                .iter_mut()
                .zip(block)
                .for_each(|(samples, sample)| samples.push(sample));
        }
    }
    println!(
        "tokio: {in_flight} in flight, {} reservations a block, {} blocks",
        settings.reservations, settings.blocks
    );
    for (name, contender) in names.iter().zip(&samples) {
        report(name, contender, &samples[0], settings.reservations);
    }
    println!();
    println!("ours to runcycles 0.3.2:");
    report(
        "ours, no journal",
        &samples[2],
        &samples[3],
        settings.reservations,
    );
    println!();
}

async fn with_journal(url: &str, settings: &Settings) {
    let dir = tempfile::tempdir_in(&settings.journal_dir).unwrap();
    let ours = Ours::new(url, Some(dir.path().join("ours")));
    let peer = Peer::new(url, Some(dir.path().join("peer")));
    let (mut of_ours, mut of_peer) = (Vec::new(), Vec::new());
    for round in 0..settings.blocks / 3 + 1 {
        let (a, b) = (
            run(&ours, settings.in_flight, settings).await,
            run(&peer, settings.in_flight, settings).await,
        );
        if round > 0 {
            of_ours.push(a);
            of_peer.push(b);
        }
    }
    println!(
        "journal on, in {}; ours to runcycles 0.3.2:",
        dir.path().display()
    );
    report("runcycles 0.3.2", &of_peer, &of_peer, settings.reservations);
    report("ours", &of_ours, &of_peer, settings.reservations);
}

async fn again(contender: &impl Contender, settings: &Settings) {
    for _ in 0..settings.blocks {
        run(contender, settings.in_flight, settings).await;
    }
}

async fn run(contender: &impl Contender, in_flight: usize, settings: &Settings) -> Sample {
    let began = Began::now();
    stream::iter(0..settings.reservations)
        .for_each_concurrent(in_flight, |_| contender.reservation())
        .await;
    began.sample()
}
