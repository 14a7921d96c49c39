//! The fuzz target `reply`: see `fuzz/src/reply.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::reply::check(data));
