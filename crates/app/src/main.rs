//! The `plimsoll` command. Everything it does is in the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    plimsoll_app::cli::run()
}
