//! The report of a backtest on recorded chains.

use super::{Folder, columns, page};
use crate::output::columns::write_parquet;
use crate::svg::{self, BooksPanel};
use plimsoll_sim::chain::{ChainOutcome, ChainRow, ChainSeries, ChainStudy};
use std::path::Path;

/// What the first policy is compared with in a picture, if it is there.
const COMPARED: &str = "static";
const DAY: f64 = 86_400.0;

/// What a report is made of.
pub(crate) type Material<'a> = super::Material<'a, ChainStudy, ChainOutcome>;

const TITLE: &str = "Backtest of margin policies on recorded chains";

/// How it was done, for both forms.
const METHOD: [&str; 8] = [
    "Every chain is guarded and fitted by the rules of the parameter set; index, at-the-money volatility and 25-delta risk reversal at 30 days, slope from 7 to 90 days and open interest go into the live policy step. Before the first chain a policy sees the prices given, and implied volatility where it is given; both are scaled to the first chain where they end long before it.",
    "Books are sampled from open interest with a seeded generator: each option is drawn, among those of its kind, with a probability proportional to its open interest in the chain at which it is drawn. All are drawn at the first chain of a month; a unit whose option ended or is quoted no longer is drawn anew at once; hedges are set at every chain.",
    "A margin is initial margin by the live code on risk arrays of the whole chain, fully repriced with the policy's values in place, without the charges that history does not show (liquidity, index confidence, funding). It is stated as a share of the gross notional of the book's options.",
    "A loss is judged at the first chain at or after the horizon, at the venue's marks of both instants. Options that expired in between are settled at the index of the first chain at or after their expiry; those without a mark are valued on the surface of then. Both are counted.",
    "Books at one instant are not independent: counts of breaches are over books and instants, Kupiec's test takes them for independent and is far too strict; the probability of too many is that of the mean share of breaching books against 1 % by its long-run variance (Newey and West). Even that rests on one quarter with one crash in it.",
    "The traffic light is that of the book with the median number of breaches, with the bounds of overlapping losses; independence is Christoffersen's, on whether more than one book in twenty breaches.",
    "What an adjuster added is the mean margin of the policy less that of the same policy without it.",
    "The design effect is the variance of the share of breaching books over what independent books would have.",
];

/// Writes `report.html`, `report.md`, `figures.parquet`, `margins.parquet` and `books.parquet` into a folder, which is made.
pub(crate) fn write(folder: &Path, of: &Material<'_>) -> anyhow::Result<()> {
    let folder = Folder::make(folder)?;
    folder.text("report.html", &html(of))?;
    let notes = of.notes.iter().map(String::as_str).chain(METHOD);
    folder.text("report.md", &page::text(TITLE, &setup(of), of.tables.iter(), notes)?)?;
    write_parquet(of.figures, folder.open("figures.parquet")?)?;
    columns::series(&of.outcome.rows, folder.open("margins.parquet")?)?;
    columns::books(of.study, of.outcome, folder.open("books.parquet")?)
}

fn setup(of: &Material<'_>) -> Vec<String> {
    let study = of.study;
    let names: Vec<&str> = study.policies.iter().map(|policy| policy.name()).collect();
    let days: Vec<String> = study.horizons.iter().map(|h| (*h as f64 / DAY).to_string()).collect();
    let mut lines = vec![
        format!("Policies: {}. The first is the one that pictures show.", names.join(", ")),
        format!(
            "Horizons: {} days. Confidence: 99 %. Parameter set: {}.",
            days.join(", "),
            study.params.name
        ),
        format!("{} books of each style and underlying, seed {}.", study.books, study.seed),
    ];
    if let (Some(first), Some(last)) = (study.moments.first(), study.moments.last()) {
        lines.push(format!("{} chains, {} to {}.", study.moments.len(), first.at, last.at));
    }
    for history in &study.prices {
        if let (Some(first), Some(last)) = (history.rows.first(), history.rows.last()) {
            lines.push(format!("Warm-up on prices of {}: {} to {}.", history.asset, first.0, last.0));
        }
    }
    for history in &study.implied {
        if let (Some(first), Some(last)) = (history.rows.first(), history.rows.last()) {
            let asset = &history.asset;
            lines.push(format!("Warm-up on implied volatility of {asset}: {} to {}.", first.0, last.0));
        }
    }
    lines
}

fn html(of: &Material<'_>) -> String {
    let mut out = page::begin(TITLE, &setup(of));
    out.push_str("<h2>Margin against loss</h2>\n");
    pictures(of).iter().for_each(|picture| out.push_str(picture));
    let note = "All of them are in figures.parquet, every instant is in margins.parquet, and the first book of every style, position by position, in books.parquet.";
    page::end(&mut out, note, of, &METHOD);
    out
}

/// A picture an underlying, a panel a style: the first policy at the first horizon.
fn pictures(of: &Material<'_>) -> Vec<String> {
    let (Some(policy), Some(horizon)) = (of.study.policies.first(), of.study.horizons.first()) else {
        return Vec::new();
    };
    let rows = |name: &str, asset: &str| -> Vec<&ChainRow> {
        let mine =
            |row: &&ChainRow| row.policy == name && row.asset == asset && row.horizon_seconds == *horizon;
        of.outcome.rows.iter().filter(mine).collect()
    };
    let mut all = Vec::new();
    for sampled in &of.outcome.sampled {
        let asset = sampled.asset.as_str();
        let compared = rows(COMPARED, asset);
        let panels: Vec<BooksPanel> = rows(policy.name(), asset)
            .into_iter()
            .map(|row| {
                let other =
                    compared.iter().find(|other| other.style == row.style && policy.name() != COMPARED);
                panel(row, other.map(|other| &other.series))
            })
            .collect();
        let days = *horizon as f64 / DAY;
        let title = format!("{asset}: margin of {} against what books lost over {days} d", policy.name());
        let note = "Shares of gross notional, means over books: margin (red), of static (dashed), loss (bars; gains below 0), worst book (grey); dots: books uncovered, larger for more.";
        all.push(svg::books(&title, note, &panels));
    }
    all
}

fn panel(row: &ChainRow, other: Option<&ChainSeries>) -> BooksPanel {
    let ChainSeries { at, margin, loss, loss_most, breached, .. } = &row.series;
    BooksPanel {
        title: row.style.name().replace('_', " "),
        note: format!(
            "{} of {} books and instants uncovered, {:.0} expected",
            row.pooled.breaches, row.pooled.observations, row.pooled.expected
        ),
        times: at.iter().map(|at| at.seconds() as f64).collect(),
        margin: margin.clone(),
        other: other.map(|series| series.margin.clone()).unwrap_or_default(),
        loss: loss.clone(),
        worst: loss_most.clone(),
        breached: breached.clone(),
    }
}
