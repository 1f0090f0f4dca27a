//! The fuzzer's program for the target `relay_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("relay_request", input));
