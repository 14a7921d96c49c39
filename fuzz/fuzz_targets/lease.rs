//! The fuzz target `lease`: see `fuzz/src/lease.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::lease::check(data));
