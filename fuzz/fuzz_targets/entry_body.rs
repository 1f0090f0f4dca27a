//! The fuzzer's program for the target `entry_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("entry_body", input));
