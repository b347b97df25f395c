//! `plimsoll backtest --chains`: policies judged on recorded option chains.

use super::backtest::{BacktestArgs, Named, findings, horizons, identity, named, number, policies, word};
use super::say;
use crate::io::chains::{chains, implied};
use crate::io::params::params;
use crate::io::prices::histories;
use crate::io::progress::Progress;
use crate::output::{Answer, Cell, Format, JsonBody, Kind, Table};
use crate::report;
use plimsoll_sim::chain::{ChainCrash, ChainOutcome, ChainRow, ChainStudy, Misplaced};
use plimsoll_types::Asset;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Instant;

const DAY: f64 = 86_400.0;
const MONTH_DAYS: f64 = 31.0;
/// Books of each style and underlying where nothing is said.
const BOOKS: usize = 50;
/// And the seed of what they hold.
const SEED: u64 = 5;
const TITLE: &str = "Books sampled from open interest (margins and losses in shares of the gross notional of a book's options; too many: probability of a mean share of breaching books this far above 1 %)";

/// Answers. Forms that hold only the figures have the notes on the standard error stream.
pub(super) fn run(args: &BacktestArgs, format: Format) -> anyhow::Result<Answer<'static>> {
    let begun = now();
    let params = params(None, Some(&args.preset))?;
    let prices = histories(&args.prices, args.label)?;
    let implied = implied(&args.implied)?;
    let (moments, again) = chains(&args.chains, &params)?;
    let (policies, horizons) = (policies(args)?, horizons(args)?);
    let (books, seed) = (args.books.unwrap_or(BOOKS), args.seed.unwrap_or(SEED));
    let (from, to) = (args.from, args.to);
    let study = ChainStudy { policies, moments, prices, implied, horizons, from, to, books, seed, params };
    let fitted = now();
    let outcome = {
        let progress = Progress::items("replaying chains", study.tasks());
        study.run(&|| progress.advance(1))?
    };
    timing(&study, (fitted - begun).as_secs_f64(), fitted.elapsed().as_secs_f64());
    let main = main_table(&outcome.rows);
    let mut tables = vec![summary(&outcome.rows), added(&outcome.rows)];
    if !outcome.crashes.is_empty() {
        tables.push(crash_table(&outcome.crashes));
    }
    tables.extend(findings(&study.prices));
    let notes = notes(&study, &outcome, again);
    if let Some(folder) = &args.report {
        let material = report::chains::Material {
            study: &study,
            outcome: &outcome,
            figures: &main,
            tables: &tables,
            notes: &notes,
        };
        report::chains::write(folder, &material)?;
    }
    if !matches!(format, Format::Table | Format::Md) {
        // These hold the figures alone.
        notes.iter().for_each(|note| say!("{note}"));
    }
    let json = JsonBody::Value(main.json());
    Ok(Answer { tables, notes, json, ..Answer::table(main) })
}

/// The one clock: what a replay took is said and enters no number.
#[expect(clippy::disallowed_methods, reason = "what a replay took is measured")]
fn now() -> Instant {
    Instant::now()
}

/// Says what a replay took, and what that is for a month of chains.
fn timing(study: &ChainStudy, fitted: f64, replayed: f64) {
    let (Some(first), Some(last)) = (study.moments.first(), study.moments.last()) else { return };
    let days = (first.at.seconds_until(last.at) / DAY).max(1.0);
    let month = (fitted + replayed) * MONTH_DAYS / days;
    say!(
        "{} chains over {days:.0} days: read and fitted in {fitted:.1} s, replayed in {replayed:.1} s; a month of {MONTH_DAYS:.0} days in {month:.1} s",
        study.moments.len(),
    );
}

/// The figures that people read first.
fn summary(rows: &[ChainRow]) -> Table {
    let columns = [
        ("policy", Kind::Text),
        ("asset", Kind::Text),
        ("portfolio", Kind::Text),
        ("days", Kind::Number),
        ("instants", Kind::Integer),
        ("n", Kind::Integer),
        ("breaches", Kind::Integer),
        ("expected", Kind::Number),
        ("too many", Kind::Number),
        ("light", Kind::Text),
        ("any", Kind::Number),
        ("> 20 %", Kind::Number),
        ("at once", Kind::Number),
        ("mean", Kind::Number),
        ("largest uncovered", Kind::Number),
        ("score", Kind::Number),
        ("peak/trough", Kind::Number),
    ];
    let mut table = Table::new(TITLE, &columns);
    for row in rows {
        let f = &row.pooled;
        table.push(vec![
            Cell::text(&row.policy),
            Cell::text(&row.asset),
            Cell::text(row.style.name()),
            Cell::Number(row.horizon_seconds as f64 / DAY, 2),
            Cell::count(row.instants),
            Cell::count(f.observations),
            Cell::count(f.breaches),
            Cell::Number(f.expected, 1),
            Cell::Number(row.count_p, 3),
            Cell::text(row.traffic_light),
            Cell::Number(row.instants_over[0], 3),
            Cell::Number(row.instants_over[2], 3),
            Cell::Number(row.most_at_once, 2),
            Cell::number(f.mean_margin, 4),
            Cell::Number(f.uncovered_most, 4),
            Cell::number(f.quantile_score, 6),
            Cell::number(row.mean.peak_to_trough, 2),
        ]);
    }
    table
}

/// What adjusters that read a surface added.
fn added(rows: &[ChainRow]) -> Table {
    let columns = [
        ("policy", Kind::Text),
        ("asset", Kind::Text),
        ("portfolio", Kind::Text),
        ("days", Kind::Number),
        ("mean margin", Kind::Number),
        ("vol spike", Kind::Number),
        ("at most", Kind::Number),
        ("skew", Kind::Number),
        ("at most ", Kind::Number),
        ("term", Kind::Number),
        ("at most  ", Kind::Number),
    ];
    let title = "What adjusters added to the mean margin (the same policy with and without them), and at most at an instant";
    let mut table = Table::new(title, &columns);
    for row in rows.iter().filter(|row| row.added.iter().any(Option::is_some)) {
        let mut cells = vec![
            Cell::text(&row.policy),
            Cell::text(&row.asset),
            Cell::text(row.style.name()),
            Cell::Number(row.horizon_seconds as f64 / DAY, 2),
            Cell::number(row.pooled.mean_margin, 4),
        ];
        let part = |part: &Option<(f64, f64)>| {
            [Cell::number(part.map(|p| p.0), 5), Cell::number(part.map(|p| p.1), 4)]
        };
        cells.extend(row.added.iter().flat_map(part));
        table.push(cells);
    }
    table
}

/// Each style and policy in each crash.
fn crash_table(crashes: &[ChainCrash]) -> Table {
    let columns = [
        ("asset", Kind::Text),
        ("from", Kind::Text),
        ("until", Kind::Text),
        ("fall", Kind::Number),
        ("portfolio", Kind::Text),
        ("policy", Kind::Text),
        ("days", Kind::Number),
        ("margin before", Kind::Number),
        ("loss", Kind::Number),
        ("books uncovered", Kind::Number),
        ("uncovered", Kind::Number),
        ("largest uncovered", Kind::Number),
        ("margin after", Kind::Number),
    ];
    let title = "Crashes (margin, loss and what was uncovered: means over books in shares of gross notional; largest uncovered: of a book, over all margins whose horizon meets the fall; margin after: the largest mean of the week)";
    let mut table = Table::new(title, &columns);
    for crash in crashes {
        table.push(vec![
            Cell::text(&crash.asset),
            Cell::time(crash.from),
            Cell::time(crash.until),
            Cell::Number(crash.fall, 3),
            Cell::text(crash.style.name()),
            Cell::text(&crash.policy),
            Cell::Number(crash.horizon_seconds as f64 / DAY, 2),
            Cell::Number(crash.margin_before, 4),
            Cell::Number(crash.loss, 4),
            Cell::Number(crash.breached, 2),
            Cell::Number(crash.uncovered, 4),
            Cell::Number(crash.uncovered_most, 4),
            Cell::Number(crash.margin_most, 4),
        ]);
    }
    table
}

/// Every figure, a column each, under the names that other backtests give them.
fn main_table(rows: &[ChainRow]) -> Table {
    let others: BTreeSet<&String> = rows.iter().flat_map(|row| row.capital_against.keys()).collect();
    let cells = |row: &ChainRow| {
        let mut cells = row_cells(row);
        cells.extend(coverage(row));
        cells.extend(instants(row));
        cells.extend(capital(row, &others));
        cells
    };
    named(rows.iter().map(cells))
}

fn integer(name: &str, value: u64) -> Named {
    (name.to_owned(), Kind::Integer, Cell::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn row_cells(row: &ChainRow) -> Vec<Named> {
    let names = [&*row.policy, &*row.asset, row.style.name(), row.style.side()];
    let mut cells = identity(names, row.horizon_seconds, (row.first, row.last));
    cells.push(integer("books", row.books as u64));
    cells.push(integer("instants", row.instants as u64));
    cells
}

fn coverage(row: &ChainRow) -> Vec<Named> {
    let f = &row.pooled;
    vec![
        integer("observations", f.observations as u64),
        integer("breaches", f.breaches as u64),
        number("expected", Some(f.expected)),
        number("kupiec_p", f.kupiec_p),
        number("kupiec_one_sided_p", f.kupiec_one_sided_p),
        number("count_p", Some(row.count_p)),
        number("tuff_p", None),
        number("independence_p", row.independence_p),
        number("conditional_p", None),
        word("traffic_light", row.traffic_light),
        integer("green_most", row.green_most),
        integer("median_breaches", row.median_breaches as u64),
        number("acerbi_szekely", f.acerbi_szekely),
        number("breach_severity", f.breach_severity),
        number("uncovered_most", Some(f.uncovered_most)),
    ]
}

fn instants(row: &ChainRow) -> Vec<Named> {
    let [any, over_5, over_20, over_50] = row.instants_over;
    let at = row.most_at.map_or(Cell::Empty, Cell::text);
    vec![
        number("instants_breached", Some(any)),
        number("instants_over_5pc", Some(over_5)),
        number("instants_over_20pc", Some(over_20)),
        number("instants_over_50pc", Some(over_50)),
        number("most_at_once", Some(row.most_at_once)),
        ("most_at".to_owned(), Kind::Text, at),
        number("design_effect", row.design_effect),
        number("mean_span_hours", Some(row.mean_span_hours)),
        integer("marked", row.counted.marked),
        integer("settled", row.counted.settled),
        integer("unmarked", row.counted.unmarked),
        integer("unjudged", row.unjudged as u64),
    ]
}

fn capital(row: &ChainRow, others: &BTreeSet<&String>) -> Vec<Named> {
    let (f, mean) = (&row.pooled, &row.mean);
    let [vol_spike, skew, term] = row.added;
    let mut cells = vec![
        number("mean_margin", f.mean_margin),
        number("median_margin", f.median_margin),
        number("quantile_score", f.quantile_score),
        number("peak_to_trough", mean.peak_to_trough),
        number("rise_1d", mean.rise_1d),
        number("rise_5d", mean.rise_5d),
        number("rise_30d", mean.rise_30d),
        number("log_margin_deviation", mean.log_margin_deviation),
        number("added_by_vol_spike", vol_spike.map(|p| p.0)),
        number("added_by_vol_spike_most", vol_spike.map(|p| p.1)),
        number("added_by_skew", skew.map(|p| p.0)),
        number("added_by_skew_most", skew.map(|p| p.1)),
        number("added_by_term_inversion", term.map(|p| p.0)),
        number("added_by_term_inversion_most", term.map(|p| p.1)),
        number("capital_against_fixed", row.capital_against_fixed),
        word("best_other", row.best_other.as_deref().unwrap_or_default()),
        number("diebold_mariano", row.diebold_mariano),
        number("diebold_mariano_p", row.diebold_mariano_p),
        number("overshoot", None),
        number("settling_days", None),
        number("changes_per_month", Some(row.changes_per_month)),
        number("attributed_share", row.attributed_share),
    ];
    let against =
        |name: &&String| number(&format!("capital_against_{name}"), row.capital_against.get(*name).copied());
    cells.extend(others.iter().map(against));
    cells
}

/// Marks that were left out, and the first of them.
fn misplaced(study: &ChainStudy, asset: &Asset) -> Option<String> {
    let listed = study.moments.iter().filter_map(|moment| Some((moment.at, moment.listings.get(asset)?)));
    let mut all = listed.flat_map(|(at, listing)| listing.misplaced.iter().map(move |bad| (at, bad)));
    let (at, Misplaced { instrument, mark, least, most }) = all.next()?;
    let count = 1 + all.count();
    let least = least.max(0.0);
    Some(format!(
        "{asset}: {count} marks left out that no option of their strike, index and volatility has: the first is {instrument} at {at}, {mark:.2} where {least:.2} to {most:.2} may be"
    ))
}

/// What was sampled, what was left out, and what policies had to do without.
fn notes(study: &ChainStudy, outcome: &ChainOutcome, again: usize) -> Vec<String> {
    let mut notes = Vec::new();
    for sampled in &outcome.sampled {
        let asset = &sampled.asset;
        let listings = study.moments.iter().filter_map(|moment| moment.listings.get(asset));
        let (mut held, mut unvalued, mut unmarked, mut unread) = (0, 0, 0, 0);
        for listing in listings {
            held += listing.quotes.len();
            unvalued += listing.unvalued.len();
            unmarked += listing.unmarked;
            unread += usize::from(listing.implied.is_none());
        }
        notes.extend(misplaced(study, asset));
        let (chains, drawn) = (sampled.places.len(), sampled.drawn);
        notes.push(format!(
            "{asset}: {chains} chains, {held} options marked and valued, {unvalued} marked and not valued, {unmarked} not marked, {unread} surfaces without a reading at 7, 30 and 90 days; {drawn} units drawn"
        ));
    }
    let assets = study.assets();
    let given = study.prices.iter().map(|of| &of.asset).chain(study.implied.iter().map(|of| &of.asset));
    let unused: BTreeSet<&str> = given.filter(|of| !assets.contains(of)).map(|of| of.as_str()).collect();
    for asset in unused {
        notes.push(format!("{asset}: not among the chains, and not used"));
    }
    if again > 0 {
        notes.push(format!("{again} chains of instants that were there before were left out"));
    }
    for variant in outcome.variants.iter().filter(|v| v.without.is_none() && v.horizon == 0) {
        let name = study.policies.get(variant.policy).map_or("", |policy| policy.name());
        for (sampled, without) in outcome.sampled.iter().zip(&variant.track.without) {
            if without.on_stress_floor + without.bridged + without.refused > 0 {
                notes.push(format!(
                    "{name}, {}: {} chains with a price scan on the stress floor for too little history, {} observations over missing steps, {} numbers refused",
                    sampled.asset, without.on_stress_floor, without.bridged, without.refused
                ));
            }
        }
    }
    notes
}
