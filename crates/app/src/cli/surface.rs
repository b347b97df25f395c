//! `plimsoll surface`: smiles, quotes and fit, and the arbitrage report.

use super::args::MarketArgs;
use super::heatmap::picture;
use super::pictures;
use super::surface_scan;
use crate::io::market::snapshot;
use crate::io::params;
use crate::io::progress::Progress;
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use anyhow::bail;
use clap::Args;
use plimsoll_engine::{Market, ParamSet};
use plimsoll_market::{Slice, UnderlyingSurface, signals};
use plimsoll_quant::svi::calendar_violation;
use plimsoll_types::{Asset, ForwardSource, Issue, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Constant maturities of the signals, days.
const TENORS: [f64; 4] = [7.0, 30.0, 60.0, 90.0];

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// Arguments of `surface`.
#[derive(Args, Debug)]
pub(super) struct SurfaceArgs {
    #[command(flatten)]
    market: MarketArgs,
    /// Every snapshot of the file or directory: quality by tenor, violations, refusals
    #[arg(long, conflicts_with_all = ["at", "svg"])]
    all: bool,
    /// Parameter set whose guard and fit are used: a TOML file
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    params: Option<PathBuf>,
    /// Parameter set that comes with the program
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Also draw the smiles; `-` draws to the standard output stream instead of writing the answer there
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Answers; a violation of arbitrage fails the check.
pub(super) fn run(args: &SurfaceArgs) -> anyhow::Result<Answer<'static>> {
    let set = params::params(args.params.as_deref(), args.preset.as_deref())?;
    if args.all {
        return surface_scan::run(&args.market.market, &set);
    }
    let (snapshot, left_out) = snapshot(&args.market.market, args.market.at)?;
    if snapshot.underlyings.is_empty() {
        bail!("{}: the snapshot has no underlying", args.market.market.display());
    }
    let progress = Progress::spinner("fitting smiles");
    let market = Market::new(snapshot, &set);
    drop(progress);
    let picture = picture(args.svg.as_deref(), || pictures::surface_svg(&market.surface));
    Ok(Answer { picture, ..answer(&market, &set, &left_out) })
}

/// How one pair of neighbouring smiles, or one smile, breaks no-arbitrage; both checks are those of `quant`, apart
/// from the fit.
pub(super) fn violations(market: &UnderlyingSurface) -> Vec<(Timestamp, String)> {
    let mut found = Vec::new();
    for slice in &market.slices {
        if let Err(violation) = slice.svi.check() {
            found.push((slice.expiry, format!("butterfly: {violation}")));
        }
    }
    for pair in market.slices.windows(2) {
        if let [near, far] = pair
            && let Some((k, excess)) = calendar_violation(&near.svi, &far.svi)
        {
            found.push((far.expiry, format!("calendar: total variance falls by {excess:e} at k {k}")));
        }
    }
    found
}

fn answer(market: &Market, set: &ParamSet, left_out: &[Issue]) -> Answer<'static> {
    let surface = &market.surface;
    let mut main = Table::new("", &COLUMNS);
    let (mut tables, mut broken_all) = (Vec::new(), Vec::new());
    for (asset, under) in &surface.underlyings {
        let broken: BTreeMap<Timestamp, String> = violations(under).into_iter().collect();
        broken_all.extend(broken.iter().map(|(expiry, what)| format!("{asset} {expiry}: {what}")));
        let mut table =
            Table::new(format!("{asset}: index {}, as of {}", under.index, surface.as_of), &COLUMNS);
        for (expiry, forward, source) in &under.forwards {
            let slice = under.slices.iter().find(|slice| slice.expiry == *expiry);
            let mut row = head(asset, surface.as_of, *expiry, (*forward, *source));
            row.extend(fitted(slice, broken.get(expiry), why_refused(under, *expiry)));
            table.push(row);
        }
        main.rows.extend(table.rows.iter().cloned());
        tables.push(table);
    }
    tables.push(signals_table(market));
    let issues: Vec<&Issue> = left_out.iter().chain(&surface.issues).collect();
    tables.push(refusals(&count_refusals(market, left_out)));
    let marks = surface_scan::mark_errors(market, &set.units);
    let repricing = surface_scan::quantiles_table(&marks);
    tables.push(repricing.clone());
    let unmade = unmade(market);
    let failed = !broken_all.is_empty() || !unmade.is_empty();
    let verdict = if failed { Verdict::Failed } else { Verdict::Passed };
    let json = serde_json::json!({
        "as_of": surface.as_of,
        "market": market.id,
        "params": { "name": set.name, "id": set.id() },
        "expiries": main.json(),
        "smiles": smiles_json(market),
        "signals": tables.iter().find(|t| t.title == SIGNALS).map(Table::json),
        "repricing": repricing.json(),
        "refused": surface.underlyings.iter().map(|(a, u)| (a.to_string(), u.refused.clone())).collect::<BTreeMap<_, _>>(),
        "issues": issues,
        "violations": broken_all,
        "no_market": unmade,
    });
    let word = if broken_all.is_empty() { "no arbitrage violation" } else { "ARBITRAGE FOUND" };
    let mut notes = unmade;
    notes.push(format!("{word}; market {}, parameters {} ({})", market.id, set.name, set.id()));
    Answer { tables, notes, main, json: JsonBody::Value(json), verdict, picture: None }
}

/// Underlyings of the snapshot of which nothing could be made, with what stands against them.
fn unmade(market: &Market) -> Vec<String> {
    let surface = &market.surface;
    let all = market.snapshot.underlyings.keys().filter(|asset| !surface.underlyings.contains_key(*asset));
    let told = |asset: &Asset| {
        let named = surface.issues.iter().filter(|issue| issue.underlying.as_ref() == Some(asset));
        let issues: Vec<String> = named.take(3).map(ToString::to_string).collect();
        format!("{asset}: NO MARKET: {}", issues.join("; "))
    };
    all.map(told).collect()
}

const SIGNALS: &str = "signals at constant maturity";

const COLUMNS: [(&str, Kind); 15] = [
    ("underlying", Kind::Text),
    ("expiry", Kind::Text),
    ("days", Kind::Number),
    ("forward", Kind::Number),
    ("source", Kind::Text),
    ("used", Kind::Integer),
    ("refused", Kind::Integer),
    ("atm_vol", Kind::Number),
    ("rmse", Kind::Number),
    ("rmse_mark", Kind::Number),
    ("worst", Kind::Number),
    ("min_g", Kind::Number),
    ("calendar_slack", Kind::Number),
    ("method", Kind::Text),
    ("verdict", Kind::Text),
];

fn head(asset: &Asset, as_of: Timestamp, expiry: Timestamp, forward: (f64, ForwardSource)) -> Vec<Cell> {
    let source = match forward.1 {
        ForwardSource::Venue => "venue",
        ForwardSource::Future => "future",
        ForwardSource::Parity => "parity",
        ForwardSource::Interpolated => "interpolated",
    };
    vec![
        Cell::text(asset),
        Cell::time(expiry),
        Cell::Number(as_of.seconds_until(expiry) / DAY, 2),
        Cell::Number(forward.0, 2),
        Cell::text(source),
    ]
}

fn fitted(slice: Option<&Slice>, broken: Option<&String>, why: Option<&Issue>) -> Vec<Cell> {
    let Some(slice) = slice else {
        let mut row = vec![Cell::Empty; 9];
        row.push(Cell::text(why.map_or_else(|| "no options".to_owned(), |i| format!("refused: {i}"))));
        return row;
    };
    let q = &slice.quality;
    let atm = slice.svi.vol(0.0, slice.tau);
    vec![
        Cell::count(q.quotes_used),
        Cell::count(q.quotes_refused.len()),
        Cell::Number(atm, 4),
        Cell::Number(q.rmse_vol_points, 3),
        Cell::number(q.rmse_mark_vol_points, 3),
        Cell::Number(q.worst_vol_points, 2),
        Cell::Number(q.min_durrleman, 4),
        Cell::number(q.calendar_slack, 6),
        Cell::text(format!("{:?}", q.method).to_lowercase()),
        Cell::text(broken.map_or("ok", String::as_str)),
    ]
}

/// The refusal of a whole expiry, if it was refused.
fn why_refused(under: &UnderlyingSurface, expiry: Timestamp) -> Option<&Issue> {
    let named = |issue: &&Issue| {
        issue.expiry == Some(expiry) && issue.subject.parse::<plimsoll_types::Instrument>().is_err()
    };
    under.refused.iter().find(named).or_else(|| under.refused.iter().find(|i| i.expiry == Some(expiry)))
}

/// How many items were refused for each reason, on the whole way from file to smile.
pub(super) fn count_refusals(market: &Market, left_out: &[Issue]) -> BTreeMap<&'static str, usize> {
    let surface = &market.surface;
    let mut counts = BTreeMap::new();
    for issue in left_out.iter().chain(&surface.issues) {
        *counts.entry(issue.reason.code()).or_insert(0) += 1;
    }
    counts
}

fn refusals(counts: &BTreeMap<&'static str, usize>) -> Table {
    let mut table = Table::new("refused, by reason", &[("reason", Kind::Text), ("items", Kind::Integer)]);
    for (reason, count) in counts {
        table.push(vec![Cell::text(reason), Cell::count(*count)]);
    }
    table
}

fn signals_table(market: &Market) -> Table {
    let mut table = Table::new(
        SIGNALS,
        &[
            ("underlying", Kind::Text),
            ("days", Kind::Number),
            ("atm_vol", Kind::Number),
            ("rr_25d", Kind::Number),
            ("bf_25d", Kind::Number),
            ("term_slope", Kind::Number),
            ("note", Kind::Text),
        ],
    );
    for (asset, under) in &market.surface.underlyings {
        // A tenor that has no reading must not take the others with it.
        let alone = |days: &f64| signals(under, market.surface.as_of, &[*days]);
        let (good, bad): (Vec<f64>, Vec<f64>) = TENORS.iter().partition(|days| alone(days).is_ok());
        if let Ok(read) = signals(under, market.surface.as_of, &good) {
            for tenor in &read.tenors {
                table.push(vec![
                    Cell::text(asset),
                    Cell::Number(tenor.days, 0),
                    Cell::Number(tenor.atm_vol, 4),
                    Cell::Number(tenor.risk_reversal_25d, 4),
                    Cell::Number(tenor.butterfly_25d, 4),
                    Cell::number(read.term_slope, 4),
                    Cell::text(if tenor.extrapolated { "outside the fitted expiries" } else { "" }),
                ]);
            }
        }
        for days in &bad {
            let mut row = vec![Cell::text(asset), Cell::Number(*days, 0)];
            row.extend(vec![Cell::Empty; 4]);
            row.push(alone(days).err().map_or(Cell::Empty, Cell::text));
            table.push(row);
        }
    }
    table
}

fn smiles_json(market: &Market) -> serde_json::Value {
    let point = |p: &plimsoll_market::FitPoint| {
        serde_json::json!({
            "strike": p.strike, "k": p.k, "bid_vol": p.bid_vol, "ask_vol": p.ask_vol,
            "mark_vol": p.mark_vol, "fitted_vol": p.fitted_vol, "weight": p.weight,
        })
    };
    let slice = |asset: &Asset, s: &Slice| {
        serde_json::json!({
            "underlying": asset.to_string(), "expiry": s.expiry, "tau": s.tau, "forward": s.forward,
            "svi": { "a": s.svi.a, "b": s.svi.b, "rho": s.svi.rho, "m": s.svi.m, "sigma": s.svi.sigma },
            "refused": s.quality.quotes_refused,
            "points": s.quality.points.iter().map(point).collect::<Vec<_>>(),
        })
    };
    let each = market.surface.underlyings.iter();
    each.flat_map(|(asset, under)| under.slices.iter().map(move |s| slice(asset, s))).collect()
}
