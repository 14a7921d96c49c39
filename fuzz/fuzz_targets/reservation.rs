//! The target `reservation`: see its module.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cycles_fuzz::reservation::check(data));
