//! The fuzz target `session`: see `fuzz/src/session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::session::check(data));
