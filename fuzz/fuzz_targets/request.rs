//! The fuzz target `request`: see `fuzz/src/request.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::request::check(data));
