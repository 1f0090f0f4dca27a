//! `sealogd`: every Sealog service in one process.

use std::process::ExitCode;

/// A certificate is a thousand small allocations on several threads: with glibc's allocator `bench ca` takes a third more CPU time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sealog_server::command::main()
}
