//! The fuzz target `record`: see `fuzz/src/record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::record::check(data));
