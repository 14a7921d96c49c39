//! The fuzz target `reservation`: see `fuzz/src/reservation.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::reservation::check(data));
