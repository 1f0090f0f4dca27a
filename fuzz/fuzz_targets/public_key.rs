//! The fuzzer's program for the target `public_key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("public_key", input));
