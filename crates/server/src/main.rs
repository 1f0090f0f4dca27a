//! `sealogd`: every Sealog service in one process.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealog_server::command::main()
}
