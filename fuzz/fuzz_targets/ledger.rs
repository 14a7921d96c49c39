//! The fuzz target `ledger`: see `fuzz/src/ledger.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::ledger::check(data));
