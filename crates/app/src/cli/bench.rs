//! `plimsoll bench`: how fast the stages are, beside a plain reference and the machine's limits.

use super::bench_serve::BenchServeArgs;
use super::say;
use crate::bench::{self, Axis, Growth, Limits, Options, Report, Row, WORKLOADS, Workload};
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Format, JsonBody, Kind, Picture, Table, Verdict};
use crate::svg::{GrowthLine, GrowthPanel};
use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// Which workloads, W1 to W8, separated by commas; a name such as W1 runs its variants too (default: all)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    workload: Vec<String>,
    /// Threads; several numbers, separated by commas, are run one after the other (default: one where the target speaks
    /// of one core, else all)
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..1024))]
    threads: Vec<u16>,
    /// Smaller inputs and less time
    #[arg(long)]
    quick: bool,
    /// Every vector path of the machine, the plain one first, instead of the fastest
    #[arg(long)]
    paths: bool,
    /// Accounts that hold one to three underlyings instead of any
    #[arg(long)]
    concentrated: bool,
    /// Write inputs and answers as Parquet and CSV into a directory, and measure nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["input", "grow"])]
    emit: Option<PathBuf>,
    /// Run on what --emit wrote
    #[arg(long, value_name = "DIR")]
    input: Option<PathBuf>,
    /// Measure how the cost of a book grows with accounts, positions, scenarios and threads
    #[arg(long)]
    grow: bool,
    /// Also draw the growth
    #[arg(long, value_name = "FILE", requires = "grow")]
    svg: Option<PathBuf>,
}

/// What is measured beside the stages.
#[derive(Subcommand, Debug)]
enum What {
    /// The whole service under load: ticks while people ask, checks over HTTP, journaled events, a restart
    Serve(BenchServeArgs),
}

/// What a `cargo bench` target is given.
#[derive(Parser, Debug)]
struct Target {
    #[command(flatten)]
    args: BenchArgs,
    /// What cargo says to every such program
    #[arg(long = "bench", hide = true)]
    from_cargo: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
}

/// Runs one workload as a program of its own.
pub(super) fn target(workload: &str) -> anyhow::Result<Verdict> {
    let Target { mut args, from_cargo: _, format } = Target::parse();
    let of_it = |w: &&Workload| w.name.starts_with(workload);
    args.workload = WORKLOADS.iter().filter(of_it).map(|w| w.name.to_owned()).collect();
    run(&args, &Output { format, file: None, top: None })
}

/// Measures, or writes inputs.
pub(super) fn run(args: &BenchArgs, output: &Output) -> anyhow::Result<Verdict> {
    if let Some(What::Serve(args)) = &args.what {
        return super::bench_serve::run(args, output);
    }
    let options = Options {
        workloads: args.workload.clone(),
        threads: args.threads.iter().map(|n| usize::from(*n)).collect(),
        quick: args.quick,
        every_path: args.paths,
        input: args.input.clone(),
        concentrated: args.concentrated,
    };
    if let Some(directory) = &args.emit {
        if output.file.is_some() || output.format != Format::Table {
            bail!("--emit writes what it names, in its own forms: --out and --format are of no use here");
        }
        for file in bench::emit(&options, directory)? {
            say!("wrote {}", file.display());
        }
        return Ok(Verdict::Passed);
    }
    if args.grow {
        return output.write(growth_answer(&bench::grow(&options)?, args.svg.clone()));
    }
    let report = bench::run(&options, &mut |row| say!("{}", in_one_line(row)))?;
    output.write(answer(&report))
}

fn in_one_line(row: &Row) -> String {
    let (name, path, threads) = (row.workload, row.path, row.threads);
    format!(
        "{name} {path} x{threads}: {:.3} ms, {:.2} ns per {}",
        row.timing.median_ms,
        row.ns_per_unit(),
        row.unit
    )
}

fn answer(report: &Report) -> Answer<'static> {
    let main = main_table(&report.rows);
    let json = report.rows.iter().map(|row| {
        json!({
            "workload": row.workload,
            "threads": row.threads,
            "median_ms": row.timing.median_ms,
            "min_ms": row.timing.min_ms,
            "max_ms": row.timing.max_ms,
            "ns_per_unit": row.ns_per_unit(),
            "bytes": row.cost.streamed + row.cost.cached,
            "flops": row.cost.flops,
            "roofline_share": row.roofline_share,
        })
    });
    let mut notes = vec![format!("machine: {}", report.machine.shown())];
    notes.extend(report.limits.iter().map(limits_in_words));
    for row in &report.rows {
        notes.extend(row.notes.iter().map(|note| format!("{}: {note}", row.workload)));
    }
    Answer {
        tables: vec![main.clone()],
        notes,
        main,
        json: JsonBody::Value(json.collect()),
        verdict: Verdict::Passed,
        picture: None,
    }
}

fn main_table(rows: &[Row]) -> Table {
    let columns = [
        ("workload", Kind::Text),
        ("path", Kind::Text),
        ("threads", Kind::Integer),
        ("median_ms", Kind::Number),
        ("min_ms", Kind::Number),
        ("max_ms", Kind::Number),
        ("ns_per_unit", Kind::Number),
        ("units", Kind::Integer),
        ("unit", Kind::Text),
        ("bytes", Kind::Integer),
        ("flops", Kind::Integer),
        ("roofline_share", Kind::Number),
        ("reference_ns", Kind::Number),
        ("times_reference", Kind::Number),
        ("peak_mb", Kind::Number),
        ("digest", Kind::Text),
        ("what", Kind::Text),
    ];
    let mut table = Table::new("", &columns);
    for row in rows {
        table.push(vec![
            Cell::text(row.workload),
            Cell::text(row.path),
            Cell::count(row.threads),
            Cell::Number(row.timing.median_ms, 3),
            Cell::Number(row.timing.min_ms, 3),
            Cell::Number(row.timing.max_ms, 3),
            Cell::Number(row.ns_per_unit(), 2),
            whole(row.units),
            Cell::text(row.unit),
            whole(row.cost.streamed + row.cost.cached),
            whole(row.cost.flops),
            Cell::Number(row.roofline_share, 2),
            Cell::Number(row.reference_ns, 1),
            Cell::Number(row.speedup(), 1),
            Cell::number(row.peak_bytes.map(|bytes| bytes as f64 * 1e-6), 0),
            Cell::text(format!("{:016x}", row.digest)),
            Cell::text(&row.what),
        ]);
    }
    table
}

fn whole(n: u64) -> Cell {
    Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

fn growth_answer(growth: &Growth, svg: Option<PathBuf>) -> Answer<'static> {
    let columns = [
        ("varied", Kind::Text),
        ("count", Kind::Integer),
        ("positions", Kind::Integer),
        ("threads", Kind::Integer),
        ("median_ms", Kind::Number),
        ("ns_per_position", Kind::Number),
    ];
    let mut table = Table::new("scan losses of a whole book", &columns);
    for point in &growth.points {
        table.push(vec![
            Cell::text(point.axis.name()),
            Cell::count(point.count),
            Cell::count(point.positions),
            Cell::count(point.threads),
            Cell::Number(point.median_ms, 3),
            Cell::Number(point.median_ms * 1e6 / point.positions.max(1) as f64, 2),
        ]);
    }
    let machine = format!("machine: {}, path {}", growth.machine.shown(), growth.path);
    let picture = svg.map(|path| Picture { path, text: growth_svg(growth, &machine) });
    Answer { notes: vec![machine], picture, ..Answer::table(table) }
}

fn growth_svg(growth: &Growth, machine: &str) -> String {
    let panel = |axis: Axis| {
        let of_axis = || growth.points.iter().filter(|point| point.axis == axis);
        let threads: BTreeSet<usize> = of_axis().map(|point| point.threads).collect();
        let line = |threads: usize| GrowthLine {
            label: if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") },
            points: of_axis()
                .filter(|point| point.threads == threads)
                .map(|point| (point.count as f64, point.median_ms))
                .collect(),
        };
        let note = match axis {
            Axis::Accounts => "12 positions each on average, 64 scenarios",
            Axis::Positions => "50,000 accounts, 64 scenarios",
            Axis::Scenarios => "100,000 accounts of 12 positions on average",
        };
        GrowthPanel {
            title: axis.name().to_owned(),
            note: note.to_owned(),
            lines: threads.into_iter().map(line).collect(),
        }
    };
    let panels = [Axis::Accounts, Axis::Positions, Axis::Scenarios].map(panel);
    crate::svg::growth("Scan losses of a whole book: time against its size", machine, &panels)
}

fn limits_in_words(limits: &Limits) -> String {
    let Limits { threads, path, triad, rows_256, rows_512, flops } = limits;
    format!(
        "limits with {threads} threads on {path}: triad {:.1} GB/s, random rows of 256 bytes {:.1} GB/s, of 512 bytes {:.1} GB/s, {:.1} GFLOP/s",
        triad * 1e-9,
        rows_256 * 1e-9,
        rows_512 * 1e-9,
        flops * 1e-9
    )
}
