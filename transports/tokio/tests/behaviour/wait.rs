//! Waiting for what happens in the background.
#![allow(unreachable_pub)]

use std::thread;
use std::time::{Duration, Instant};

use crate::scene::PATIENCE;

#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "waited until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
