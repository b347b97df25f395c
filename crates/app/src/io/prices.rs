//! Histories of prices, as their sources write them.
//!
//! The one idea: a reader reads and judges nothing. Which row is wrong, and what becomes of it, is for `plimsoll_sim::clean`;
//! here only what cannot be read at all is refused: no column of times or of prices, or a time that is none.

use super::error::{Refusal, shortened};
use super::series::WholeLines;
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

/// What stands where a source has no price: a day without trading.
const ABSENT: [&str; 6] = ["", ".", "-", "na", "n/a", "null"];

/// What the time of a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Label {
    /// When its bar opened, as exchanges and Yahoo write it: its close is known a step later
    #[default]
    Open,
    /// When its close was known
    Close,
}

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

/// Reads, cleans and splices: a history of every asset, in order of name, with the times at which closes were known.
pub fn histories(files: &[PriceFile], label: Label) -> anyhow::Result<Vec<History>> {
    let mut by: BTreeMap<Asset, Vec<History>> = BTreeMap::new();
    for PriceFile { asset, path } in files {
        let rows = rows(path)?;
        let history = clean(asset.clone(), rows).with_context(|| path.display().to_string())?;
        let history = if label == Label::Open { history.labelled_by_opening() } else { history };
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
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(WholeLines::new(reader));
    let places = places(csv.headers().with_context(|| name.clone())?, &name)?;
    let behind = csv.get_ref().behind();
    let mut rows = Vec::new();
    for record in csv.records() {
        let record = record.with_context(|| name.clone())?;
        let line = record.position().map_or(0, |at| at.line() + behind);
        let text = record.get(places.time).unwrap_or_default().trim();
        let time = time(text).ok_or_else(|| {
            let expected = "expected RFC 3339, 2026-03-27, 3/27/2026, or seconds, milliseconds, microseconds or nanoseconds since 1970";
            Refusal::new("time", text, expected).at(&name, "line", line)
        })?;
        let number = |at: usize| record.get(at).and_then(|text| text.trim().parse::<f64>().ok());
        let price = |at: Option<usize>| at.and_then(number);
        let close = close(record.get(places.close).unwrap_or_default());
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

/// A last price; NaN where the source says that there is none, 0 where what it says is no number.
fn close(text: &str) -> f64 {
    let text = text.trim();
    if ABSENT.iter().any(|absent| text.eq_ignore_ascii_case(absent)) {
        return f64::NAN;
    }
    text.parse().unwrap_or(0.0)
}

/// An instant of the command line, in any form that a file may have.
///
/// # Errors
/// What is expected, for what is none.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    time(text.trim())
        .ok_or_else(|| "expected RFC 3339, or a day such as 2026-03-27, its midnight in UTC".to_owned())
}

/// RFC 3339, a day in ISO or American order, or a count since 1970 whose unit is told by its size. A day is its midnight in UTC;
/// so is a clock without a zone.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    if text.len() > 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return since_1970(text.parse().ok()?);
    }
    let (day, clock) = text.split_at_checked(10).unwrap_or((text, ""));
    if !clock.is_empty() && day.contains('-') {
        let clock = clock.trim_start_matches(['T', ' ']);
        let clock = clock.strip_suffix(" UTC").unwrap_or(clock);
        let zoned = clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
        return format!("{day}T{clock}{}", if zoned { "" } else { "Z" }).parse().ok();
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

/// Seconds have at most 11 digits, milliseconds 12 to 14, microseconds 15 to 17, nanoseconds more: in each unit from 1973 on.
fn since_1970(count: i64) -> Option<Timestamp> {
    const SECONDS_END: i64 = 100_000_000_000;
    if count < SECONDS_END {
        // An instant is nanoseconds in 64 bits: up to 2255.
        (count < 9_000_000_000).then(|| Timestamp::from_seconds(count))
    } else if count < 1_000 * SECONDS_END {
        Timestamp::from_millis(count).ok()
    } else if count < 1_000_000 * SECONDS_END {
        Timestamp::from_micros(count).ok()
    } else {
        // Whole seconds are all that a row of prices needs.
        Some(Timestamp::from_seconds(count / 1_000_000_000))
    }
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
        let forms = [
            "2018-01-01",
            "1/1/2018",
            "1514764800",
            "1514764800000",
            "1514764800000000",
            "1514764800000000000",
            "2018-01-01T00:00:00Z",
            "2018-01-01 00:00:00",
            "2018-01-01 00:00:00 UTC",
            "2017-12-31T19:00:00-05:00",
            "2018-01-01T05:30:00+05:30",
        ];
        for text in forms {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "2018-13-01", "2018", "20180101", "99999999999", "1/2", "12018-01-01"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_without_trading_is_no_bad_price() {
        assert!(["", " ", ".", "NA", "null", "NaN"].iter().all(|text| close(text).is_nan()));
        assert_eq!([close("abc"), close("-5"), close("13.76")], [0.0, -5.0, 13.76]);
    }
}
