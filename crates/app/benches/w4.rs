//! W4 of docs/performance.md: the same as `plimsoll bench --workload W4`, whose options it takes after `--`.
#![allow(missing_docs, reason = "a program")]

use std::process::ExitCode;

fn main() -> ExitCode {
    plimsoll_app::cli::bench_target("W4")
}
