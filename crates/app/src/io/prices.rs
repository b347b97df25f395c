//! Histories of prices, as their sources write them.
//!
//! The one idea: a reader reads and judges nothing. Which row is wrong, and what becomes of it, is for `plimsoll_sim::clean`;
//! here only what cannot be read at all is refused: no column of times or of prices, or a time that is none.

use super::error::{Refusal, shortened};
use super::source::Source;
use anyhow::{Context, anyhow, bail};
use plimsoll_sim::{History, PriceRow, clean, splice};
use plimsoll_types::{Asset, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Names of the column of times, the first that is there counts; milliseconds first, being exact.
pub(super) const TIMES: [&str; 5] = ["ts_ms", "timestamp", "time", "date", "datetime"];
/// Names of the column of the last price.
const CLOSES: [&str; 5] = ["close", "priceusd", "price", "vix", "mark"];
/// What stands behind the base asset in the name of a pair.
const QUOTES: [&str; 3] = ["USDT", "USDC", "USD"];

/// A file of prices, and the asset where it is named: `FILE` or `ASSET=FILE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceFile {
    /// The asset.
    pub asset: Asset,
    /// Where its prices are.
    pub path: PathBuf,
}

impl FromStr for PriceFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
            None => (asset_of(Path::new(text)), PathBuf::from(text)),
        };
        let asset =
            Asset::new(&name).map_err(|e| format!("{e}; name the asset of a file as in BTC=prices.csv"))?;
        Ok(Self { asset, path })
    }
}

/// `BTCUSDT_1h.csv.zst` is of BTC.
fn asset_of(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
    let stem = file.split(['_', '.', '-']).next().unwrap_or_default().to_owned();
    let base = QUOTES.iter().find_map(|quote| stem.strip_suffix(quote)).filter(|base| !base.is_empty());
    base.map_or(stem.clone(), str::to_owned)
}

/// Reads, cleans and splices: a history of every asset, in order of name.
pub fn histories(files: &[PriceFile]) -> anyhow::Result<Vec<History>> {
    let mut by: BTreeMap<Asset, Vec<History>> = BTreeMap::new();
    for PriceFile { asset, path } in files {
        let rows = rows(path)?;
        let history = clean(asset.clone(), rows).with_context(|| path.display().to_string())?;
        by.entry(asset.clone()).or_default().push(history);
    }
    let joined = by.into_values().map(splice).collect::<Result<Vec<_>, _>>()?;
    Ok(joined.into_iter().flatten().collect())
}

/// Where each column is.
struct Places {
    time: usize,
    open: Option<usize>,
    high: Option<usize>,
    low: Option<usize>,
    close: usize,
}

fn rows(path: &Path) -> anyhow::Result<Vec<PriceRow>> {
    let (name, reader) = Source::open(path)?.text()?;
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let places = places(csv.headers().with_context(|| name.clone())?, &name)?;
    let mut rows = Vec::new();
    for record in csv.records() {
        let record = record.with_context(|| name.clone())?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = record.get(places.time).unwrap_or_default().trim();
        let time = time(text).ok_or_else(|| {
            let expected = "expected RFC 3339, 2026-03-27, 3/27/2026 or milliseconds since 1970";
            Refusal::new("time", text, expected).at(&name, "line", line)
        })?;
        let number = |at: usize| record.get(at).and_then(|text| text.trim().parse::<f64>().ok());
        let price = |at: Option<usize>| at.and_then(number);
        let close = number(places.close).unwrap_or(f64::NAN);
        rows.push(PriceRow {
            time,
            open: price(places.open),
            high: price(places.high),
            low: price(places.low),
            close,
        });
    }
    if rows.is_empty() {
        bail!("{name}: no row of prices");
    }
    Ok(rows)
}

fn places(header: &csv::StringRecord, file: &str) -> anyhow::Result<Places> {
    let names: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let first = |wanted: &[&str]| wanted.iter().find_map(|name| place(name));
    let missing = |what: &str, wanted: &[&str]| {
        let found = shortened(&header.iter().collect::<Vec<_>>().join(","));
        anyhow!("{file}: line 1: no column of {what} among `{found}`; expected one of {}", wanted.join(", "))
    };
    Ok(Places {
        time: first(&TIMES).ok_or_else(|| missing("times", &TIMES))?,
        open: place("open"),
        high: place("high"),
        low: place("low"),
        close: first(&CLOSES).ok_or_else(|| missing("prices", &CLOSES))?,
    })
}

/// RFC 3339, a day in ISO or American order, or milliseconds. A day is its midnight in UTC.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit()) && text.len() > 8 {
        return Timestamp::from_millis(text.parse().ok()?).ok();
    }
    let (day, clock) = text.split_at_checked(10).unwrap_or((text, ""));
    if !clock.is_empty() && day.contains('-') {
        let zoned = clock.ends_with('Z') || clock.contains('+');
        let exact = format!("{day}T{}{}", clock.trim_start_matches(['T', ' ']), if zoned { "" } else { "Z" });
        return exact.parse().ok();
    }
    let (year, month, day) = if text.contains('-') {
        let mut parts = text.splitn(3, '-');
        (parts.next()?, parts.next()?, parts.next()?)
    } else {
        let mut parts = text.splitn(3, '/');
        let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
        (year, month, day)
    };
    Timestamp::from_date(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_named_by_its_file_or_before_the_equals_sign() {
        let asset = |text: &str| text.parse::<PriceFile>().unwrap().asset.to_string();
        assert_eq!(asset("/a/BTC_daily.csv.gz"), "BTC");
        assert_eq!(asset("BTCUSDT_1h.csv.zst"), "BTC");
        assert_eq!(asset("eth.csv"), "ETH");
        assert_eq!(asset("sp500_arch.csv.gz"), "SP500");
        assert_eq!(asset("SOL=whatever.csv"), "SOL");
    }

    #[test]
    fn times_are_read_in_the_forms_that_sources_write() {
        let expected: Timestamp = "2018-01-01T00:00:00Z".parse().unwrap();
        for text in ["2018-01-01", "1/1/2018", "1514764800000", "2018-01-01T00:00:00Z", "2018-01-01 00:00:00"]
        {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "2018-13-01", "2018", "1/2", "12018-01-01"] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
