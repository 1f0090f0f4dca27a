//! The `sealog-conformance` binary, which the sigstore-conformance suite drives.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealog_cli::run_conformance()
}
