//! `mongoark dump` and `mongoark restore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mongoark::cli::main()
}
