//! The `sealog` binary; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealog_cli::run()
}
