//! Return series from price histories.

use super::error::Refusal;
use super::source::Source;
use anyhow::{Context, bail};
use plimsoll_risk::{ReturnSeries, log_returns};
use plimsoll_types::{Asset, Timestamp};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A series and the file its prices are in: `NAME=FILE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    /// As the scenario specification calls it.
    pub name: String,
    /// Where its prices are.
    pub path: PathBuf,
}

impl FromStr for NamedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: path.into() })
            }
            _ => Err("expected NAME=FILE, such as daily=prices.csv".to_owned()),
        }
    }
}

/// Reads a CSV of prices, `time,BTC,ETH,...`, with times in RFC 3339 that rise from row to row and positive prices,
/// and returns the logarithm of each price over the one before it.
pub fn series(path: &Path) -> anyhow::Result<ReturnSeries> {
    let (name, reader) = Source::open(path)?.text()?;
    let mut csv = csv::Reader::from_reader(reader);
    let header = csv.headers().with_context(|| name.clone())?.clone();
    let mut columns = header.iter();
    if columns.next() != Some("time") || header.len() < 2 {
        bail!(
            "{name}: line 1: columns `{}`; expected time,BTC,ETH,...",
            header.iter().collect::<Vec<_>>().join(",")
        );
    }
    let underlyings: Vec<Asset> =
        columns.map(str::parse).collect::<Result<_, _>>().with_context(|| format!("{name}: line 1"))?;
    let mut out = ReturnSeries { underlyings, times: Vec::new(), spot: Vec::new(), vol: None };
    let mut before: Option<(Timestamp, Vec<f64>)> = None;
    for record in csv.records() {
        let record = record.with_context(|| name.clone())?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = prices(&record, &header).map_err(|refusal| refusal.at(&name, "line", line))?;
        if let Some((time, last)) = &before {
            if row.0 <= *time {
                bail!("{name}: line {line}: field `time`: value `{}`: expected a time after {time}", row.0);
            }
            out.times.push(row.0);
            out.spot.push(log_returns(last, &row.1));
        }
        before = Some(row);
    }
    if out.times.is_empty() {
        bail!("{name}: expected at least two rows of prices");
    }
    Ok(out)
}

fn prices(record: &csv::StringRecord, header: &csv::StringRecord) -> Result<(Timestamp, Vec<f64>), Refusal> {
    let text = record.get(0).unwrap_or_default();
    let time: Timestamp = text
        .parse()
        .map_err(|_| Refusal::new("time", text, "expected RFC 3339 such as 2026-03-27T08:00:00Z"))?;
    let price = |(name, text): (&str, &str)| match text.parse::<f64>() {
        Ok(price) if price.is_finite() && price > 0.0 => Ok(price),
        _ => Err(Refusal::new(name, text, "expected a positive finite price")),
    };
    let prices = header.iter().zip(record).skip(1).map(price).collect::<Result<_, _>>()?;
    Ok((time, prices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_by_what_stands_before_the_equals_sign() {
        let named: NamedFile = "daily=prices.csv".parse().unwrap();
        assert_eq!((named.name.as_str(), named.path.to_str()), ("daily", Some("prices.csv")));
        assert!("daily".parse::<NamedFile>().is_err() && "=x".parse::<NamedFile>().is_err());
    }

    #[test]
    fn returns_are_logarithms_of_price_ratios() {
        let path = std::env::temp_dir().join(format!("plimsoll-series-{}.csv", std::process::id()));
        std::fs::write(&path, "time,BTC\n2026-01-01T00:00:00Z,100\n2026-01-02T00:00:00Z,110\n").unwrap();
        let read = series(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.times.len(), 1);
        // ln 1.1, from mpmath.
        assert!((read.spot[0][0] - 0.095_310_179_804_324_86).abs() < 1e-15, "{:?}", read.spot);
    }
}
