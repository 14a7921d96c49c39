//! Counts the tests that ran against a live server, and those that were skipped.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Tests by name, with the reason for which they, or parts of them, were skipped.
static TESTS: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());

pub fn ran() {
    with(|tests| {
        tests.entry(name()).or_insert(None);
    });
}

pub fn skipped(reason: &str) {
    say(&format!("not live: {}: {reason}", name()));
    with(|tests| {
        tests.insert(name(), Some(reason.to_owned()));
    });
}

/// Waits for the tests that are still running, then prints a summary.
pub fn sum_up(base_url: &str) {
    let mut before = usize::MAX;
    loop {
        let now = with(|tests| tests.len());
        if now == before && super::live::open_desks() == 0 {
            break;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(500));
    }
    with(|tests| {
        let skipped_tests = tests.values().flatten().count();
        let live = tests.len() - skipped_tests;
        say(&format!(
            "live: {live} tests ran against {base_url}, {skipped_tests} were skipped in whole or in part:"
        ));
        for (name, reason) in tests.iter() {
            if let Some(reason) = reason {
                say(&format!("  {name}: {reason}"));
            }
        }
    });
}

/// Writes to standard error directly, which the test harness does not capture.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn with<T>(work: impl FnOnce(&mut BTreeMap<String, Option<String>>) -> T) -> T {
    work(&mut TESTS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}
