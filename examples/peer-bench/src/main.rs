//! Measures the cost of one reservation (reserve + commit) on each adapter, block by block in one process: A, B, C, A,
//! B, C, …
//!
//! ```console
//! $ cargo run --release -- [--blocks 30] [--reservations 2000] [--in-flight 64] [--journal-dir DIR]
//!       [--rows tokio|ureq|async-io]
//!       [--only floor|ours|ours-plain|ours-journal|peer|ureq|ureq-bare|async-io|async-io-plain|async-io-bare]
//! $ cargo run --release --no-default-features --features smol -- --rows async-io
//! ```
//!
//! The server is a stub in a separate process, which answers at once. Every floor encodes and decodes the same structs
//! as the clients. Each block is compared with the floor's block of the same round; the output is the median of these
//! ratios, with the smallest and the largest one. `--only` runs one contender and prints nothing, for a profiler.

mod by_hand;
mod floor;
mod in_turn;
mod on_async_io;
mod on_tokio;
mod on_ureq;
mod ours;
mod peer;
mod requests;
mod sample;
mod stub;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Settings {
    blocks: usize,
    reservations: usize,
    in_flight: usize,
    journal_dir: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|role| role == "stub") {
        return stub::serve();
    }
    let value = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name);
        position.map(|at| arguments.get(at + 1).expect("a value").as_str())
    };
    let number = |name: &str, default| value(name).map_or(default, |value| value.parse().expect("a number"));
    let settings = Settings {
        blocks: number("--blocks", 30),
        reservations: number("--reservations", 2_000),
        in_flight: number("--in-flight", 64),
        journal_dir: value("--journal-dir").map_or_else(std::env::temp_dir, PathBuf::from),
    };
    std::fs::create_dir_all(&settings.journal_dir).expect("the folder of --journal-dir");
    let (_server, url) = start_stub();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if let Some(only) = value("--only") {
        let is_known = runtime.block_on(on_tokio::repeat(only, &url, &settings))
            || on_ureq::repeat(only, &url, &settings)
            || on_async_io::repeat(only, &url, &settings);
        assert!(is_known, "there is no contender called {only}");
    } else {
        let rows = value("--rows");
        let wants = |name: &str| rows.is_none_or(|rows| rows == name);
        if wants("tokio") {
            runtime.block_on(on_tokio::measure(&url, &settings));
        }
        if wants("ureq") {
            on_ureq::measure(&url, &settings);
        }
        if wants("async-io") {
            on_async_io::measure(&url, &settings);
        }
    }
}

/// The server's process, which is killed when this is dropped, even by a panic.
struct Stub(Child);

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

fn start_stub() -> (Stub, String) {
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
    (Stub(child), line.trim().to_owned())
}
