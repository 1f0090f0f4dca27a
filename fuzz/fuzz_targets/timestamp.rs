//! The fuzzer's program for the target `timestamp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("timestamp", input));
