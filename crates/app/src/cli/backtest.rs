//! `plimsoll backtest`: policies judged on history.

use super::say;
use crate::io::params::{params, policy};
use crate::io::prices::{Label, PriceFile, histories, instant};
use crate::io::progress::Progress;
use crate::io::source::Source;
use crate::output::{Answer, Cell, Format, Kind, Table};
use crate::report;
use anyhow::{Context, bail};
use clap::Args;
use plimsoll_sim::{
    Crash, Fault, Faults, Figures, History, InForceFrom, Maintenance, Outcome, PortfolioSpec, Row, STANDARD,
    Study,
};
use plimsoll_types::Timestamp;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A list of portfolios is no longer than this.
const SMALL: u64 = 1 << 20;
const DAY: f64 = 86_400.0;
const TITLE: &str =
    "Backtest (too many: probability of so many breaches or more; margins in shares of one coin's value)";

const CRASHES: &str = "Crashes (long perpetual; uncovered loss in shares of its value; hours from the first fall of 5 % to the full margin)";
/// The base line that never moves.
const STATIC: &str = "static";

/// Arguments of `backtest`.
#[derive(Args, Debug)]
pub(super) struct BacktestArgs {
    /// Prices: CSV files with a column of times and one of closes, of assets named by file or as ASSET=FILE; files of one
    /// asset are spliced by their returns
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(super) prices: Vec<PriceFile>,
    /// What the time of a row is: with files of several spacings the wrong one lets closes be known too late, or too early
    #[arg(long, value_enum, default_value_t)]
    pub(super) label: Label,
    /// Recorded option chains, or folders of them: books are sampled from their open interest and judged on them, and prices
    /// only warm the policies up
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) chains: Vec<PathBuf>,
    /// With --chains, implied volatility before them: CSV files of assets named by file or as ASSET=FILE
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "chains")]
    pub(super) implied: Vec<PriceFile>,
    /// With --chains, books of each style and underlying [default: 50]
    #[arg(long, value_name = "N")]
    pub(super) books: Option<usize>,
    /// With --chains, seed of what the books hold [default: 5]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Policies: names of those that come with the program, or TOML files (./NAME for one of such a name); pictures show the first
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub(super) policy: Vec<PathBuf>,
    /// Portfolios: `std` for the standard ones, or a TOML file
    #[arg(long, value_name = "FILE", default_value = "std")]
    portfolios: PathBuf,
    /// Judge margins set at or after this time: RFC 3339, or a day (its midnight in UTC)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) from: Option<Timestamp>,
    /// Judge losses up to this time: RFC 3339, or a day
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) to: Option<Timestamp>,
    /// Margin periods of risk, days
    #[arg(long, value_name = "DAYS", value_delimiter = ',', default_value = "1,2")]
    pub(super) horizon: Vec<f64>,
    /// Days from the first price of an asset until its margins are judged
    #[arg(long, value_name = "DAYS", default_value_t = 730)]
    warm_up: i64,
    /// Figures are also given for the parts before and after this time
    #[arg(long, value_name = "TIME", default_value = "2022-12-31T00:00:00Z", value_parser = instant)]
    split: Timestamp,
    /// Preset whose scenarios and charges the policies' values are put in
    #[arg(long, value_name = "NAME", default_value = "plimsoll")]
    pub(super) preset: String,
    /// Write a report into this directory: report.html, report.md, figures.parquet, margins.parquet, changes.parquet
    #[arg(long, value_name = "DIR")]
    pub(super) report: Option<PathBuf>,
}

/// Answers. Forms that hold only the figures have what else there is to say on the standard error stream.
pub(super) fn run(args: &BacktestArgs, format: Format) -> anyhow::Result<Answer<'static>> {
    if !args.chains.is_empty() {
        return super::chains::run(args, format);
    }
    sampled_from_chains(args)?;
    let histories = histories(&args.prices, args.label)?;
    let study = study(args, histories)?;
    let outcome = {
        let progress = Progress::items("backtest", study.tasks());
        study.run(&|| progress.advance(1))?
    };
    let crashes = study.crashes(&outcome);
    let main = main_table(&outcome.rows);
    let mut tables = vec![summary(&outcome.rows)];
    if !crashes.is_empty() {
        tables.push(crash_table(&crashes));
    }
    tables.push(maintenance_table(&outcome.rows));
    tables.extend(findings(&study.histories));
    let notes = notes(&study, &outcome);
    if let Some(folder) = &args.report {
        let (outcome, study) = (&outcome, &study);
        let material = report::Material { study, outcome, figures: &main, tables: &tables, notes: &notes };
        report::write(folder, &material)?;
    }
    if !matches!(format, Format::Table | Format::Md) {
        let found = in_words(&study.histories);
        found.iter().chain(&notes).for_each(|line| say!("{line}"));
    }
    let json = crate::output::JsonBody::Value(main.json());
    Ok(Answer { tables, notes, json, ..Answer::table(main) })
}

/// Refuses what speaks of sampled books where there is nothing to sample them from.
fn sampled_from_chains(args: &BacktestArgs) -> anyhow::Result<()> {
    let books = args.books.map(|n| ("--books", n.to_string()));
    let seed = args.seed.map(|n| ("--seed", n.to_string()));
    match books.or(seed) {
        Some((option, value)) => bail!(
            "{option} {value}: books are sampled from the open interest of recorded chains: expected --chains FILE beside it"
        ),
        None => Ok(()),
    }
}

fn study(args: &BacktestArgs, histories: Vec<History>) -> anyhow::Result<Study> {
    let horizons = horizons(args)?;
    if !(0..=36_500).contains(&args.warm_up) {
        bail!("--warm-up {}: expected 0 to 36500 days", args.warm_up);
    }
    Ok(Study {
        policies: policies(args)?,
        histories,
        portfolios: portfolios(&args.portfolios)?,
        horizons,
        warm_up_seconds: args.warm_up * 86_400,
        from: args.from,
        to: args.to,
        split: args.split,
        params: params(None, Some(&args.preset))?,
    })
}

/// Margin periods of risk, seconds.
pub(super) fn horizons(args: &BacktestArgs) -> anyhow::Result<Vec<i64>> {
    if let Some(bad) = args.horizon.iter().find(|days| !(**days > 0.0 && **days <= 250.0)) {
        bail!("--horizon {bad}: expected days above 0 and at most 250");
    }
    Ok(args.horizon.iter().map(|days| (days * DAY).round() as i64).collect())
}

/// The policies, read.
pub(super) fn policies(args: &BacktestArgs) -> anyhow::Result<Vec<plimsoll_policy::Policy>> {
    args.policy.iter().map(|path| policy(path)).collect()
}

fn portfolios(path: &Path) -> anyhow::Result<Vec<PortfolioSpec>> {
    if path.as_os_str() == "std" {
        return Ok(PortfolioSpec::from_toml(STANDARD)?);
    }
    let (name, text) = Source::read_small(path, SMALL)?;
    PortfolioSpec::from_toml(&text).with_context(|| name)
}

/// The figures that people read first.
fn summary(rows: &[Row]) -> Table {
    let columns = [
        ("policy", Kind::Text),
        ("asset", Kind::Text),
        ("portfolio", Kind::Text),
        ("side", Kind::Text),
        ("days", Kind::Number),
        ("n", Kind::Integer),
        ("breaches", Kind::Integer),
        ("expected", Kind::Number),
        ("too many", Kind::Number),
        ("indep.", Kind::Number),
        ("cond.", Kind::Number),
        ("light", Kind::Text),
        ("mean", Kind::Number),
        ("score", Kind::Number),
        ("peak/trough", Kind::Number),
        ("rise 1d", Kind::Number),
        ("overshoot", Kind::Number),
        ("moves/month", Kind::Number),
    ];
    let mut table = Table::new(TITLE, &columns);
    for row in rows {
        let f = &row.whole;
        table.push(vec![
            Cell::text(&row.policy),
            Cell::text(&row.asset),
            Cell::text(&row.portfolio),
            Cell::text(&row.side),
            Cell::Number(row.horizon_seconds as f64 / DAY, 2),
            Cell::count(f.observations),
            Cell::count(f.breaches),
            Cell::Number(f.expected, 1),
            Cell::Number(f.count_p, 3),
            Cell::number(f.independence_p, 3),
            Cell::number(f.conditional_p, 3),
            Cell::text(f.traffic_light),
            Cell::number(f.mean_margin, 4),
            Cell::number(f.quantile_score, 6),
            Cell::number(f.peak_to_trough, 2),
            Cell::number(f.rise_1d, 2),
            Cell::number(row.impulse.map(|i| i.overshoot), 3),
            Cell::Number(row.changes_per_month, 1),
        ]);
    }
    table
}

/// Every figure, a column each; those of the parts carry `_before` and `_after`.
pub(crate) fn main_table(rows: &[Row]) -> Table {
    let others: BTreeSet<&String> = rows.iter().flat_map(|row| row.capital_against.keys()).collect();
    let cells = |row: &Row| {
        let mut cells = row_cells(row);
        cells.extend(figures("", Some(&row.whole)));
        cells.extend(maintenance(row.maintenance.as_ref()));
        cells.extend(comparisons(row, &others));
        cells.extend(figures("_before", row.before.as_ref()));
        cells.extend(figures("_after", row.after.as_ref()));
        cells
    };
    named(rows.iter().map(cells))
}

/// A cell with the name and the kind of its column.
pub(super) type Named = (String, Kind, Cell);

/// A table whose rows name their columns.
pub(super) fn named(rows: impl Iterator<Item = Vec<Named>>) -> Table {
    let mut table = Table::default();
    for cells in rows {
        if table.columns.is_empty() {
            table.columns = cells.iter().map(|(name, kind, _)| (name.clone(), *kind)).collect();
        }
        table.push(cells.into_iter().map(|(_, _, cell)| cell).collect());
    }
    table
}

/// Which row it is, and over which time.
pub(super) fn identity(
    [policy, asset, portfolio, side]: [&str; 4],
    horizon_seconds: i64,
    (first, last): (Timestamp, Timestamp),
) -> Vec<Named> {
    vec![
        word("policy", policy),
        word("asset", asset),
        word("portfolio", portfolio),
        word("side", side),
        number("horizon_days", Some(horizon_seconds as f64 / DAY)),
        word("first", first),
        word("last", last),
    ]
}

pub(super) fn number(name: &str, value: Option<f64>) -> Named {
    (name.to_owned(), Kind::Number, Cell::number(value, 6))
}

pub(super) fn word(name: &str, value: impl ToString) -> Named {
    (name.to_owned(), Kind::Text, Cell::text(value))
}

fn row_cells(row: &Row) -> Vec<Named> {
    let names = [&*row.policy, &*row.asset, &*row.portfolio, &*row.side];
    let mut cells = identity(names, row.horizon_seconds, (row.first, row.last));
    cells.extend(faults(&row.faults));
    cells
}

fn faults(of: &Faults) -> Vec<Named> {
    let wide = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let all = [
        ("gaps", of.gaps),
        ("dropped", of.dropped),
        ("misplaced", of.misplaced),
        ("unit_changes", of.unit_changes),
        ("out_of_order", of.out_of_order),
        ("stale", of.stale),
        ("widened", of.widened),
        ("splices", of.splices),
        ("bridged", wide(of.bridged)),
        ("refused", wide(of.refused)),
        ("on_stress_floor", wide(of.on_stress_floor)),
        ("left_out", of.left_out),
    ];
    all.into_iter().map(|(name, count)| (name.to_owned(), Kind::Integer, Cell::count(count))).collect()
}

fn maintenance(of: Option<&Maintenance>) -> Vec<Named> {
    let count = |what: &str, value: Option<usize>| {
        (what.to_owned(), Kind::Integer, value.map_or(Cell::Empty, Cell::count))
    };
    vec![
        count("maintenance_breaches", of.map(|m| m.breaches)),
        count("maintenance_ramp_breaches", of.map(|m| m.ramp_breaches)),
        number("maintenance_uncovered_most", of.map(|m| m.uncovered_most)),
        number("maintenance_mean", of.map(|m| m.mean)),
        number("maintenance_ramp_share", of.map(|m| m.ramp_share)),
    ]
}

fn comparisons(row: &Row, others: &BTreeSet<&String>) -> Vec<Named> {
    let mut cells = vec![
        number("capital_against_fixed", row.capital_against_fixed),
        ("best_other".to_owned(), Kind::Text, row.best_other.as_ref().map_or(Cell::Empty, Cell::text)),
        number("diebold_mariano", row.diebold_mariano),
        number("diebold_mariano_p", row.diebold_mariano_p),
        number("overshoot", row.impulse.map(|i| i.overshoot)),
        number("settling_days", row.impulse.map(|i| i.settling_days)),
        number("changes_per_month", Some(row.changes_per_month)),
        number("attributed_share", row.attributed_share),
    ];
    let against =
        |name: &&String| number(&format!("capital_against_{name}"), row.capital_against.get(*name).copied());
    cells.extend(others.iter().map(against));
    cells
}

fn figures(suffix: &str, of: Option<&Figures>) -> Vec<Named> {
    let name = |name: &str| format!("{name}{suffix}");
    let count = |what: &str, value: Option<usize>| {
        (name(what), Kind::Integer, value.map_or(Cell::Empty, Cell::count))
    };
    let real = |what: &str, read: fn(&Figures) -> Option<f64>| number(&name(what), of.and_then(read));
    let light = of.map_or(Cell::Empty, |f| Cell::text(f.traffic_light));
    vec![
        count("observations", of.map(|f| f.observations)),
        count("breaches", of.map(|f| f.breaches)),
        real("expected", |f| Some(f.expected)),
        real("kupiec_p", |f| f.kupiec_p),
        real("kupiec_one_sided_p", |f| f.kupiec_one_sided_p),
        real("count_p", |f| Some(f.count_p)),
        real("tuff_p", |f| f.tuff_p),
        real("independence_p", |f| f.independence_p),
        real("conditional_p", |f| f.conditional_p),
        count("independence_series", of.map(|f| f.independence_series)),
        (name("traffic_light"), Kind::Text, light),
        count("green_most", of.map(|f| usize::try_from(f.green_most).unwrap_or(usize::MAX))),
        real("acerbi_szekely", |f| f.acerbi_szekely),
        real("breach_severity", |f| f.breach_severity),
        real("uncovered_most", |f| Some(f.uncovered_most)),
        real("mean_margin", |f| f.mean_margin),
        real("median_margin", |f| f.median_margin),
        real("quantile_score", |f| f.quantile_score),
        real("peak_to_trough", |f| f.peak_to_trough),
        real("rise_1d", |f| f.rise_1d),
        real("rise_5d", |f| f.rise_5d),
        real("rise_30d", |f| f.rise_30d),
        real("log_margin_deviation", |f| f.log_margin_deviation),
    ]
}

/// Each policy in each crash.
pub(crate) fn crash_table(crashes: &[Crash]) -> Table {
    let columns = [
        ("asset", Kind::Text),
        ("from", Kind::Text),
        ("fall in a day", Kind::Number),
        ("policy", Kind::Text),
        ("days", Kind::Number),
        ("margin before", Kind::Number),
        ("over static", Kind::Number),
        ("largest uncovered", Kind::Number),
        ("hours to full", Kind::Number),
        ("margin after", Kind::Number),
    ];
    let mut table = Table::new(CRASHES, &columns);
    let over_static = |crash: &Crash| {
        let place = |of: &Crash| (of.asset.clone(), of.from, of.horizon_seconds);
        let mut all = crashes.iter().filter(|other| other.policy == STATIC);
        all.find(|other| place(other) == place(crash)).map(|other| crash.margin_before / other.margin_before)
    };
    for crash in crashes {
        table.push(vec![
            Cell::text(&crash.asset),
            Cell::time(crash.from),
            Cell::Number(crash.fall, 3),
            Cell::text(&crash.policy),
            Cell::Number(crash.horizon_seconds as f64 / DAY, 2),
            Cell::Number(crash.margin_before, 4),
            Cell::number(over_static(crash), 2),
            Cell::Number(crash.uncovered_most, 4),
            Cell::number(crash.hours_to_full, 0),
            Cell::Number(crash.margin_most, 4),
        ]);
    }
    table
}

/// The name of a fault.
fn fault(of: Fault) -> String {
    serde_json::to_value(of).ok().as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// What was wrong with the histories.
pub(super) fn findings(histories: &[History]) -> Option<Table> {
    let columns = [
        ("asset", Kind::Text),
        ("rows", Kind::Integer),
        ("fault", Kind::Text),
        ("count", Kind::Integer),
        ("first", Kind::Text),
        ("worst", Kind::Number),
    ];
    let mut table = Table::new("What was bridged in the prices", &columns);
    for history in histories {
        for finding in &history.findings {
            table.push(vec![
                Cell::text(&history.asset),
                Cell::count(history.rows.len()),
                Cell::text(fault(finding.fault)),
                Cell::count(finding.count),
                Cell::time(finding.first),
                Cell::Number(finding.worst, 3),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Existing positions on announced ramps.
fn maintenance_table(rows: &[Row]) -> Table {
    let columns = [
        ("policy", Kind::Text),
        ("asset", Kind::Text),
        ("portfolio", Kind::Text),
        ("side", Kind::Text),
        ("days", Kind::Number),
        ("n", Kind::Integer),
        ("breaches", Kind::Integer),
        ("of maintenance", Kind::Integer),
        ("for the ramp", Kind::Integer),
        ("largest uncovered", Kind::Number),
        ("mean maintenance", Kind::Number),
        ("time on a ramp", Kind::Number),
    ];
    let mut table = Table::new(
        "Existing positions (maintenance margin on the announced ramp; breaches for the ramp are those that it would have covered had it bound at once)",
        &columns,
    );
    let perpetual = |row: &&Row| row.portfolio == "perpetual";
    for (row, of) in rows.iter().filter(perpetual).filter_map(|row| Some((row, row.maintenance.as_ref()?))) {
        table.push(vec![
            Cell::text(&row.policy),
            Cell::text(&row.asset),
            Cell::text(&row.portfolio),
            Cell::text(&row.side),
            Cell::Number(row.horizon_seconds as f64 / DAY, 2),
            Cell::count(row.whole.observations),
            Cell::count(row.whole.breaches),
            Cell::count(of.breaches),
            Cell::count(of.ramp_breaches),
            Cell::Number(of.uncovered_most, 4),
            Cell::Number(of.mean, 4),
            Cell::Number(of.ramp_share, 3),
        ]);
    }
    table
}

/// What was wrong with the histories, a line each.
fn in_words(histories: &[History]) -> Vec<String> {
    let mut lines = Vec::new();
    for history in histories {
        for finding in &history.findings {
            let fault = fault(finding.fault);
            let (asset, count, first, worst) = (&history.asset, finding.count, finding.first, finding.worst);
            lines.push(format!("{asset}: {fault} {count} times, first at {first}, the worst {worst:.3}"));
        }
    }
    lines
}

/// Parameters that had no estimate to the end: what they look at is not among prices.
fn still_on_floor(policy: &str, histories: &[History], in_force: &[Vec<InForceFrom>]) -> Option<String> {
    let all = histories.iter().zip(in_force).filter_map(|(_, entries)| entries.last());
    let knobs: BTreeSet<&str> =
        all.flat_map(|entry| &entry.on_stress_floor).map(|knob| knob.name()).collect();
    let named = knobs.into_iter().collect::<Vec<_>>().join(", ");
    (!named.is_empty()).then(|| format!("{policy}: on the stress floor to the end: {named}"))
}

/// What was left out, what each policy had to do without, and which horizon is no whole number of its steps.
fn notes(study: &Study, outcome: &Outcome) -> Vec<String> {
    let mut notes: Vec<String> = outcome.left_out.iter().map(ToString::to_string).collect();
    if !notes.is_empty() {
        notes.push(format!("{} portfolios left out", notes.len()));
    }
    for (policy, tracks) in study.policies.iter().zip(&outcome.tracks) {
        let name = policy.name();
        let without = tracks.first().map(|track| track.without.as_slice()).unwrap_or_default();
        let in_force = tracks.first().map(|track| track.in_force.as_slice()).unwrap_or_default();
        notes.extend(still_on_floor(name, &study.histories, in_force));
        for (history, of) in study.histories.iter().zip(without) {
            if of.on_stress_floor + of.bridged + of.refused > 0 {
                notes.push(format!(
                    "{name}: {}: price scans on the stress floor for too little history after {} of {} rows, {} observations over missing steps, {} numbers refused",
                    history.asset,
                    of.on_stress_floor,
                    history.rows.len(),
                    of.bridged,
                    of.refused
                ));
            }
        }
        let step = policy.step_seconds().max(1);
        for seconds in study.horizons.iter().filter(|seconds| **seconds % step != 0) {
            let steps = (seconds - 1).div_euclid(step) + 1;
            notes.push(format!(
                "{name}: {seconds} s are no whole number of its steps of {step} s: it looks {steps} ahead"
            ));
        }
    }
    notes
}
