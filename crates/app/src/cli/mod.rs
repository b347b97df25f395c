//! The command line.
//!
//! The one idea: a command is a function from its arguments to an [`Answer`]; this module parses, dispatches, writes
//! and turns the outcome into an exit status.

mod account;
mod args;
mod attribute;
pub(crate) mod backtest;
mod bench;
mod bench_serve;
pub(crate) mod chains;
mod compare;
mod compare_json;
mod compare_tables;
mod config;
mod demo;
mod detail;
mod export;
mod generate;
mod greeks;
mod heatmap;
mod journal;
mod keys;
mod lint;
mod liquidation;
mod loaded;
mod margin;
mod pictures;
mod presets;
mod remote;
mod replay;
mod report;
mod serve;
mod sign;
mod span;
mod surface;
mod surface_scan;
mod torture;
mod vectors;
mod what_if;

use crate::output::answer::Output;
use crate::output::{Answer, Format, Verdict};
use clap::{CommandFactory, Parser, Subcommand};
use plimsoll_engine::EngineError;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Says something to the person at the terminal, on the standard error stream.
macro_rules! say {
    ($($arg:tt)*) => {{
        // A closed standard error stream is no reason to fail.
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}

/// Margin of options, futures and perpetuals, recomputed to the last digit.
#[derive(Parser, Debug)]
#[command(name = "plimsoll", version, about, max_term_width = 110)]
#[command(
    after_help = "With --url URL a server is asked instead of files: `plimsoll --url http://127.0.0.1:8080 margin ACCOUNT`; --help beside it says what.
Exit status: 0 ok, 1 a check failed or an account could not be valued, 2 usage or bad input.
Inputs may be plain, gzip or zstd; `-` is the standard input stream. NO_COLOR is honoured."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Form of the answer
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
    /// Write the answer to a file instead of the standard output stream
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show at most this many rows per table (tables only)
    #[arg(long, global = true, value_name = "N")]
    top: Option<usize>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Initial and maintenance margin of every account
    Margin(margin::MarginArgs),
    /// Margin of an account before and after trades
    #[command(name = "what-if")]
    WhatIf(what_if::WhatIfArgs),
    /// Why the margin of an account changed between two markets, books or parameter sets
    Attribute(attribute::AttributeArgs),
    /// Several margin methods on one book: totals, ratios, and who is liquidatable under one and not the other
    Compare(compare::CompareArgs),
    /// Smiles, their quality and the arbitrage report of a market
    Surface(surface::SurfaceArgs),
    /// Greeks by underlying and expiry
    Greeks(greeks::GreeksArgs),
    /// Profit and loss of an account over spot and volatility
    Heatmap(heatmap::HeatmapArgs),
    /// Where in spot, volatility and time an account becomes liquidatable
    Liquidation(liquidation::LiquidationArgs),
    /// What is wrong with a parameter set or a policy
    Lint(lint::LintArgs),
    /// Check published cases and print the parity table
    Vectors(vectors::VectorsArgs),
    /// Make a market or a book for examples and tests
    Generate(generate::GenerateArgs),
    /// List the presets, or print one: formulas, source, numbers
    Presets(presets::PresetsArgs),
    /// Margin of positions from a published SPAN file (.pa2, .spn)
    Span(span::SpanArgs),
    /// Margin policies judged on history: coverage, capital, calm, and every change with its causes
    Backtest(backtest::BacktestArgs),
    /// The server on a market of the project's own: a regime change and a crash in two minutes, live in the terminal
    Demo(demo::DemoArgs),
    /// The engine as a service: HTTP, WebSocket, journal
    Serve(serve::ServeArgs),
    /// The signer: a process of its own that re-checks bounds and signs the parameters that a server publishes
    Sign(sign::SignArgs),
    /// Check a configuration as `serve` would read it
    Config(config::ConfigArgs),
    /// Make, list and revoke the keys of a server
    Keys(keys::KeysArgs),
    /// What a journal says, from its first record, and the hash of the state it leads to
    Replay(replay::ReplayArgs),
    /// What a journal says of a period, as a page: margins, parameter changes, liquidations, coverage, the house
    Report(report::ReportArgs),
    /// Verify a journal, or print what is in it
    Journal(journal::JournalArgs),
    /// A period of a journal as Parquet files, partitioned by day
    Export(export::ExportArgs),
    /// Cut the power of a journal thousands of times and count what is lost
    Torture(torture::TortureArgs),
    /// How fast the stages are, beside a plain reference and the machine's limits
    Bench(bench::BenchArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Parses the process's arguments, runs the command and gives the exit status.
pub fn run() -> ExitCode {
    if remote::is_asked(std::env::args_os().skip(1)) {
        return status(remote::run());
    }
    let cli = Cli::parse();
    let output = Output { format: cli.format, file: cli.out, top: cli.top };
    status(execute(&cli.command, &output))
}

/// A `cargo bench` target: one workload of `plimsoll bench`, with its options.
pub fn bench_target(workload: &str) -> ExitCode {
    status(bench::target(workload))
}

fn status(outcome: anyhow::Result<Verdict>) -> ExitCode {
    match outcome {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Ok(Verdict::Refused) => ExitCode::from(2),
        Err(error) => {
            if closed_pipe(&error) {
                return ExitCode::SUCCESS;
            }
            say!("error: {}", in_words(&error));
            ExitCode::from(if concerns_one_account(&error) { 1 } else { 2 })
        }
    }
}

fn execute(command: &Command, output: &Output) -> anyhow::Result<Verdict> {
    match command {
        Command::Margin(args) => margin::run(args, output),
        Command::WhatIf(args) => output.write(what_if::run(args)?),
        Command::Attribute(args) => output.write(attribute::run(args)?),
        Command::Compare(args) => compare::run(args, output),
        Command::Surface(args) => output.write(surface::run(args)?),
        Command::Greeks(args) => output.write(greeks::run(args)?),
        Command::Heatmap(args) => output.write(heatmap::run(args)?),
        Command::Liquidation(args) => output.write(liquidation::run(args)?),
        Command::Lint(args) => output.write(lint::run(args)?),
        Command::Vectors(args) => output.write(vectors::run(args)?),
        Command::Generate(args) => generate::run(args, output),
        Command::Presets(args) => output.write(presets::run(args)?),
        Command::Span(args) => output.write(span::run(args)?),
        Command::Backtest(args) => output.write(backtest::run(args, output.format)?),
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Sign(args) => sign::run(args, output),
        Command::Replay(args) => replay::run(args, output),
        Command::Report(args) => report::run(args, output),
        Command::Journal(args) => journal::run(args, output),
        Command::Export(args) => export::run(args, output),
        Command::Keys(args) => keys::run(args, output),
        Command::Config(args) => config::run(args, output),
        Command::Torture(args) => torture::run(args, output),
        Command::Bench(args) => bench::run(args, output),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "plimsoll", &mut text);
            std::io::stdout().write_all(&text)?;
            Ok(Verdict::Passed)
        }
    }
}

/// No line of an error is longer, in characters, and none has more lines: what is wrong stands at the beginning.
const ERROR_WIDTH: usize = 600;
const ERROR_LINES: usize = 40;

/// An error and its causes as one line, each said once, with nothing that moves a terminal's cursor. A parser may show the line
/// it stopped at, and that line may be a file.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let joint = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{joint}{cause}");
        }
    }
    let plain = |c: char| if c.is_control() { '?' } else { c };
    let cut = |line: &str| {
        let shown: String = line.chars().take(ERROR_WIDTH).map(plain).collect();
        if line.chars().nth(ERROR_WIDTH).is_some() { format!("{shown}...") } else { shown }
    };
    let lines: Vec<String> = text.trim_end().split('\n').take(ERROR_LINES).map(cut).collect();
    lines.join("\n")
}

/// Whether the reader of the standard output stream went away, as `head` does.
fn closed_pipe(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    let in_csv = |e: &csv::Error| matches!(e.kind(), csv::ErrorKind::Io(e) if broken(e));
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(broken)
            || cause.downcast_ref::<csv::Error>().is_some_and(in_csv)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

/// Whether the input is sound and only the account asked for cannot be valued.
fn concerns_one_account(error: &anyhow::Error) -> bool {
    let engine = error.downcast_ref::<EngineError>();
    error.downcast_ref::<loaded::Unvalued>().is_some()
        || matches!(engine, Some(EngineError::Failed(_) | EngineError::Margin { .. }))
}

/// An answer without tables: text for people, JSON for programs.
fn spoken(text: String, json: serde_json::Value) -> Answer<'static> {
    let mut answer = Answer::table(crate::output::Table::default());
    (answer.tables, answer.notes) = (Vec::new(), vec![text]);
    answer.json = crate::output::JsonBody::Value(json);
    answer
}

use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_already_told_is_not_told_again() {
        let error = anyhow::anyhow!("no such file").context("a.csv: no such file").context("before");
        assert_eq!(in_words(&error), "before: a.csv: no such file");
        assert_eq!(in_words(&anyhow::anyhow!("\u{1b}[2J")), "?[2J");
        let long =
            in_words(&anyhow::anyhow!("1 | {}\n  | ^ here{}", "x".repeat(1 << 21), "\n.".repeat(1000)));
        assert!(
            long.len() < 1000 && long.starts_with("1 | xxx") && long.contains("...\n  | ^ here"),
            "{long}"
        );
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
