//! The fuzzer's program for the target `trusted_root`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealog_fuzz_targets::run("trusted_root", input));
