//! The fuzzer's program for the target `relay_answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("relay_answer", input));
