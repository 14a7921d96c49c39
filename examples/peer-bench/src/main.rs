//! What one lifecycle (reserve + commit) costs, block by block in one process: A, B, C, A, B, C, …
//!
//! ```console
//! $ cargo run --release -- [--blocks 30] [--lifecycles 2000] [--in-flight 64] [--journal-dir DIR] [--only floor|ours|ours-journal|peer]
//! ```
//!
//! The server is a stub in a process of its own that answers at once. Printed are medians over the blocks of
//! the ratio to the block of the floor in the same round, with the smallest and the largest beside it.

mod floor;
mod ours;
mod peer;
mod stub;

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};

/// One way to do it.
trait Contender {
    fn lifecycle(&self) -> impl Future<Output = ()>;
}

#[derive(Clone, Copy)]
struct Sample {
    cpu: Duration,
    wall: Duration,
}

struct Settings {
    blocks: usize,
    lifecycles: usize,
    in_flight: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|role| role == "stub") {
        return stub::serve();
    }
    let number = |name: &str, default: usize| {
        let position = arguments.iter().position(|argument| argument == name);
        position.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let settings = Settings {
        blocks: number("--blocks", 30),
        lifecycles: number("--lifecycles", 2_000),
        in_flight: number("--in-flight", 64),
    };
    let (mut server, url) = start_stub();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // For a profiler.
    let only = arguments.iter().position(|argument| argument == "--only");
    match only.map(|at| arguments[at + 1].as_str()) {
        Some("floor") => runtime.block_on(repeat(&floor::Floor::new(&url), &settings)),
        Some("peer") => runtime.block_on(repeat(&peer::Peer::new(&url, None), &settings)),
        Some("ours") => runtime.block_on(repeat(&ours::Ours::new(&url, None), &settings)),
        Some(_) => {
            let dir = tempfile::tempdir().unwrap();
            runtime.block_on(repeat(&ours::Ours::new(&url, Some(dir.path().into())), &settings));
        }
        None => runtime.block_on(measure(&url, &settings, &arguments)),
    }
    server.kill().unwrap();
}

async fn measure(url: &str, settings: &Settings, arguments: &[String]) {
    let floor = floor::Floor::new(url);
    let ours = ours::Ours::new(url, None);
    let peer = peer::Peer::new(url, None);
    let names = ["pooled hyper", "ours, no journal", "runcycles 0.3.2, no journal"];
    let mut samples = [const { Vec::new() }; 3];
    for round in 0..settings.blocks + 2 {
        let block = [
            run(&floor, settings).await,
            run(&ours, settings).await,
            run(&peer, settings).await,
        ];
        // The first two warm up.
        if round >= 2 {
            samples
                .iter_mut()
                .zip(block)
                .for_each(|(samples, sample)| samples.push(sample));
        }
    }
    println!(
        "{} in flight, {} lifecycles a block, {} blocks",
        settings.in_flight, settings.lifecycles, settings.blocks
    );
    for (name, contender) in names.iter().zip(&samples) {
        report(name, contender, &samples[0], settings.lifecycles);
    }
    println!();
    println!("ours to runcycles 0.3.2:");
    report("ours, no journal", &samples[1], &samples[2], settings.lifecycles);

    let dir = arguments.iter().position(|argument| argument == "--journal-dir");
    let dir = dir.map(|at| std::path::PathBuf::from(&arguments[at + 1]));
    let dir = tempfile::tempdir_in(dir.unwrap_or_else(std::env::temp_dir)).unwrap();
    let ours = ours::Ours::new(url, Some(dir.path().join("ours")));
    let peer = peer::Peer::new(url, Some(dir.path().join("peer")));
    let (mut of_ours, mut of_peer) = (Vec::new(), Vec::new());
    for round in 0..settings.blocks / 3 + 1 {
        let (a, b) = (run(&ours, settings).await, run(&peer, settings).await);
        if round > 0 {
            of_ours.push(a);
            of_peer.push(b);
        }
    }
    println!();
    println!(
        "journal on, in {}; ours to runcycles 0.3.2:",
        dir.path().display()
    );
    report("runcycles 0.3.2", &of_peer, &of_peer, settings.lifecycles);
    report("ours", &of_ours, &of_peer, settings.lifecycles);
}

async fn repeat(contender: &impl Contender, settings: &Settings) {
    for _ in 0..settings.blocks {
        run(contender, settings).await;
    }
}

async fn run(contender: &impl Contender, settings: &Settings) -> Sample {
    let (cpu, wall) = (cpu_time(), Instant::now());
    stream::iter(0..settings.lifecycles)
        .for_each_concurrent(settings.in_flight, |_| contender.lifecycle())
        .await;
    Sample {
        cpu: cpu_time() - cpu,
        wall: wall.elapsed(),
    }
}

fn report(name: &str, samples: &[Sample], to: &[Sample], lifecycles: usize) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / lifecycles as f64;
    let ratios = |of: fn(&Sample) -> Duration| {
        let ratios = samples
            .iter()
            .zip(to)
            .map(|(a, b)| of(a).as_secs_f64() / of(b).as_secs_f64());
        spread(ratios.collect())
    };
    let (cpu, least, most) = ratios(|sample| sample.cpu);
    let (wall, _, _) = ratios(|sample| sample.wall);
    let (cpu_each, _, _) = spread(samples.iter().map(|sample| each(sample.cpu)).collect());
    let (wall_each, _, _) = spread(samples.iter().map(|sample| each(sample.wall)).collect());
    println!(
        "{name:28} CPU {cpu_each:6.1} µs = {cpu:5.2} × ({least:.2}–{most:.2}), {:8.0} a second = {:5.2} ×",
        1e6 / wall_each,
        1.0 / wall
    );
}

/// The median, the smallest and the largest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn start_stub() -> (Child, String) {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program)
        .arg("stub")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line.trim().to_owned())
}
