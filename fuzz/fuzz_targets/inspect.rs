//! The fuzzer's program for the target `inspect`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("inspect", input));
