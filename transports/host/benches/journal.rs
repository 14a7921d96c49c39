//! Records written and removed per second, on the disk that the build lies on: `cargo bench -p cycles-host`.
//! `CYCLES_BENCH_DIR` names another place.
//!
//! One lifecycle writes and removes a record. *Plain* is a client that writes its record where it
//! stands: a write call for each token, a sync of the file and none of the directory, one after another.
//! Blocks are interleaved and compared within a round. It prints and asserts nothing: the figures depend on the
//! machine.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cycles_host::Journal;
use cycles_proto::journal::JournalWrite;
use cycles_proto::models::{
    Action, Amount, CommitRequest, CyclesMetrics, IdempotencyKey, JsonObject, ReservationId, Subject,
};
use cycles_proto::record::{JournalRecord, Purpose, file_name};
use cycles_proto::{CyclesConfig, UnixMillis};

const IN_FLIGHT: usize = 64;
const BLOCK: Duration = Duration::from_millis(600);
const ROUNDS: usize = 9;

/// Counts lifecycles until the time is over.
type Way = fn(&Journal, &Path, Instant) -> usize;

const WAYS: [(&str, Way); 5] = [
    ("plain, one thread", plain),
    ("plain, two threads", plain_on_two_threads),
    ("apply, one at a time", one_at_a_time),
    ("apply, 64 threads", on_threads),
    ("submit, 64 in flight", submitted),
];

fn main() {
    let root = std::env::var_os("CYCLES_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
        .join(format!("bench-{}", std::process::id()));
    let config = CyclesConfig::builder("cyc_live_bench", "http://localhost:7878")
        .tenant("acme")
        .journal_dir(&root)
        .build()
        .unwrap();
    let journal = Journal::open(&config);
    journal.scan().unwrap();
    let mut rates = vec![Vec::new(); WAYS.len()];
    for _ in 0..ROUNDS {
        for ((_, way), rates) in WAYS.iter().zip(&mut rates) {
            let began = Instant::now();
            let count = way(&journal, &root, began + BLOCK);
            rates.push(count as f64 / began.elapsed().as_secs_f64());
        }
    }
    for ((name, _), ours) in WAYS.iter().zip(&rates) {
        let mut ratios: Vec<f64> = ours.iter().zip(&rates[0]).map(|(a, b)| a / b).collect();
        let (median, ratio) = (median(&mut ours.clone()), median(&mut ratios));
        println!(
            "{name:22} {median:7.0}/s   {ratio:5.2} x plain ({:.2} to {:.2})",
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
    fs::remove_dir_all(root).unwrap();
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn plain(_: &Journal, root: &Path, end: Instant) -> usize {
    write_plainly(root, 0, end)
}

fn plain_on_two_threads(_: &Journal, root: &Path, end: Instant) -> usize {
    thread::scope(|scope| {
        let other = scope.spawn(|| write_plainly(root, 1, end));
        write_plainly(root, 0, end) + other.join().unwrap()
    })
}

fn write_plainly(root: &Path, thread: usize, end: Instant) -> usize {
    let folder = root.join("plain");
    let mut count = 0;
    while Instant::now() < end {
        let record = record(thread, count);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(file_name(record.reservation_id()));
        let temp = folder.join(format!("{thread}.tmp"));
        let mut file = File::create(&temp).unwrap();
        for token in record.to_json().split_inclusive([',', ':', '"', '{', '}']) {
            file.write_all(token.as_bytes()).unwrap();
        }
        file.sync_all().unwrap();
        fs::rename(&temp, &path).unwrap();
        fs::remove_file(&path).unwrap();
        count += 1;
    }
    count
}

fn one_at_a_time(journal: &Journal, _: &Path, end: Instant) -> usize {
    apply_until(journal, 0, end)
}

fn on_threads(journal: &Journal, _: &Path, end: Instant) -> usize {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..IN_FLIGHT)
            .map(|thread| scope.spawn(move || apply_until(journal, thread, end)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn apply_until(journal: &Journal, thread: usize, end: Instant) -> usize {
    let mut count = 0;
    while Instant::now() < end {
        let record = record(thread, count);
        journal.apply(JournalWrite::Put(record.clone())).unwrap();
        journal.apply(JournalWrite::Remove(record)).unwrap();
        count += 1;
    }
    count
}

/// One thread that never waits for a change, as an async runtime does it.
fn submitted(journal: &Journal, _: &Path, end: Instant) -> usize {
    enum Made {
        Put(usize, Box<JournalRecord>),
        Removed(usize),
    }
    let (sender, made) = mpsc::channel();
    let put = |slot: usize, count: usize| {
        let (sender, record) = (sender.clone(), record(slot, count));
        journal.submit(JournalWrite::Put(record.clone()), move |result| {
            result.unwrap();
            sender.send(Made::Put(slot, Box::new(record))).unwrap();
        });
    };
    let (mut begun, mut ended) = (IN_FLIGHT, 0);
    for slot in 0..IN_FLIGHT {
        put(slot, 0);
    }
    while ended < begun {
        match made.recv().unwrap() {
            Made::Put(slot, record) => {
                let sender = sender.clone();
                journal.submit(JournalWrite::Remove(*record), move |result| {
                    result.unwrap();
                    sender.send(Made::Removed(slot)).unwrap();
                });
            }
            Made::Removed(slot) => {
                ended += 1;
                if Instant::now() < end {
                    begun += 1;
                    put(slot, begun);
                }
            }
        }
    }
    ended
}

fn record(slot: usize, count: usize) -> JournalRecord {
    let id = ReservationId::from(format!("rsv_{slot}_{count}"));
    let key = IdempotencyKey::from(format!("000102030405060708090a0b0c0d0e0f-commit-{count}"));
    let commit = CommitRequest::builder()
        .actual(Amount::usd_microcents(420))
        .metrics(CyclesMetrics {
            tokens_input: Some(150),
            tokens_output: Some(80),
            model_version: Some("gpt-4o-mini".into()),
            ..Default::default()
        })
        .metadata(JsonObject::new().with("request_id", "req-abc-123"))
        .build();
    let purpose = Purpose {
        subject: Subject::tenant("acme"),
        action: Action::new("llm.completion", "gpt-4o"),
    };
    let (url, now) = ("http://localhost:7878", UnixMillis(1_795_357_129_489));
    JournalRecord::new(url, &id, &Arc::new(purpose), key, commit, now).unwrap()
}
