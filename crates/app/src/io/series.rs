//! Return series from price histories.

use super::error::{Refusal, shortened};
use super::lines::LINE_MAX;
use super::source::Source;
use anyhow::{Context, anyhow, bail};
use plimsoll_risk::{ReturnSeries, log_returns};
use plimsoll_types::{Asset, Timestamp};
use std::io::{self, Read};
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

/// What the name of a column of volatilities ends with, after the underlying.
const VOL: &str = "_VOL";

/// Which columns hold what.
struct Header {
    names: csv::StringRecord,
    underlyings: Vec<Asset>,
    /// Column of the price of each underlying.
    price: Vec<usize>,
    /// Column of the volatility of each underlying, if volatilities are given.
    vol: Option<Vec<usize>>,
}

/// One instant.
struct Row {
    time: Timestamp,
    price: Vec<f64>,
    vol: Option<Vec<f64>>,
}

/// Reads a CSV of prices, `time,BTC,ETH,...`, with times in RFC 3339 that rise from row to row and positive prices,
/// and returns the logarithm of each price over the one before it. Columns `BTC_VOL,ETH_VOL,...`, for every underlying
/// or for none, are implied volatilities at 30 days, annualised decimals; of them too the logarithms of the ratios.
pub fn series(path: &Path) -> anyhow::Result<ReturnSeries> {
    let (name, reader) = Source::open(path)?.text()?;
    let mut csv = csv::Reader::from_reader(WholeLines::new(reader));
    let header = header(csv.headers().with_context(|| name.clone())?, &name)?;
    let behind = csv.get_ref().behind();
    let vol = header.vol.as_ref().map(|_| Vec::new());
    let underlyings = header.underlyings.clone();
    let mut out = ReturnSeries { underlyings, times: Vec::new(), spot: Vec::new(), vol };
    let mut before: Option<Row> = None;
    for record in csv.records() {
        let record = record.with_context(|| name.clone())?;
        let line = record.position().map_or(0, |at| at.line() + behind);
        let row = row(&record, &header).map_err(|refusal| refusal.at(&name, "line", line))?;
        if let Some(last) = &before {
            if row.time <= last.time {
                let expected = format!("expected a time after {}", last.time);
                bail!(Refusal::new("time", &row.time.to_string(), expected).at(&name, "line", line));
            }
            out.times.push(row.time);
            out.spot.push(log_returns(&last.price, &row.price));
            if let (Some(all), Some(old), Some(new)) = (&mut out.vol, &last.vol, &row.vol) {
                all.push(log_returns(old, new));
            }
        }
        before = Some(row);
    }
    if out.times.is_empty() {
        bail!("{name}: expected at least two rows of prices");
    }
    Ok(out)
}

fn header(names: &csv::StringRecord, file: &str) -> anyhow::Result<Header> {
    let found: Vec<&str> = names.iter().collect();
    let refused = |why: &str| {
        let shown = shortened(&found.join(","));
        anyhow!("{file}: line 1: columns `{shown}`{why}; expected time,BTC,ETH,...[,BTC_VOL,ETH_VOL,...]")
    };
    if found.first() != Some(&"time") {
        return Err(refused(""));
    }
    if let Some((_, twice)) = found.iter().enumerate().find(|(i, name)| found[..*i].contains(name)) {
        return Err(refused(&format!(": `{}` is there twice", shortened(twice))));
    }
    let price: Vec<usize> = (1..found.len()).filter(|at| !found[*at].ends_with(VOL)).collect();
    let vols = found.len() - 1 - price.len();
    let vol_of = |at: &usize| found.iter().position(|name| name.strip_suffix(VOL) == Some(found[*at]));
    let vol: Vec<usize> = price.iter().filter_map(vol_of).collect();
    if price.is_empty() {
        return Err(refused(""));
    }
    if vols > 0 && (vol.len() != vols || vols != price.len()) {
        return Err(refused(": either every underlying has a volatility or none"));
    }
    let asset = |at: &usize| found[*at].parse::<Asset>().with_context(|| format!("{file}: line 1"));
    let underlyings = price.iter().map(asset).collect::<anyhow::Result<_>>()?;
    Ok(Header { names: names.clone(), underlyings, price, vol: (vols > 0).then_some(vol) })
}

fn row(record: &csv::StringRecord, header: &Header) -> Result<Row, Refusal> {
    let text = record.get(0).unwrap_or_default();
    let time: Timestamp = text
        .parse()
        .map_err(|_| Refusal::new("time", text, "expected RFC 3339 such as 2026-03-27T08:00:00Z"))?;
    let price = numbers(record, header, &header.price, "expected a positive finite price")?;
    let volatility = "expected a positive finite volatility such as 0.55";
    let vol = header.vol.as_ref().map(|at| numbers(record, header, at, volatility)).transpose()?;
    Ok(Row { time, price, vol })
}

/// The positive numbers in some columns.
fn numbers(
    record: &csv::StringRecord,
    header: &Header,
    columns: &[usize],
    expected: &str,
) -> Result<Vec<f64>, Refusal> {
    let number = |at: &usize| {
        let (name, text) = (header.names.get(*at), record.get(*at));
        let (name, text) = (name.unwrap_or_default(), text.unwrap_or_default());
        match text.trim().parse::<f64>() {
            Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
            _ => Err(Refusal::new(name, text, expected)),
        }
    };
    columns.iter().map(number).collect()
}

/// Refuses a line that goes on for more than [`LINE_MAX`] bytes, and a quote that is not closed on the line it begins
/// on: either would make one record of the rest of the file.
pub(super) struct WholeLines<R> {
    inner: R,
    number: u64,
    bytes: usize,
    quotes: usize,
    /// The last byte read.
    last: u8,
    /// Whether the first line ends in `\r\n`; `None` before its end.
    crlf: Option<bool>,
}

impl<R> WholeLines<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, number: 1, bytes: 0, quotes: 0, last: 0, crlf: None }
    }

    /// How far a reader of records is behind in its count of lines once it has the header: it counts one that ends in `\r\n` only
    /// when it reads on.
    pub(super) fn behind(&self) -> u64 {
        u64::from(self.crlf == Some(true))
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.quotes.is_multiple_of(2) {
            return Err(invalid(format!("a quote on line {} is not closed on it", self.number)));
        }
        (self.number, self.bytes, self.quotes) = (self.number + 1, 0, 0);
        Ok(())
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl<R: Read> Read for WholeLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for piece in buffer[..read].split_inclusive(|b| *b == b'\n') {
            self.bytes += piece.len();
            self.quotes += piece.iter().filter(|b| **b == b'"').count();
            if self.bytes > LINE_MAX {
                return Err(invalid(format!("line {} is longer than {LINE_MAX} bytes", self.number)));
            }
            if piece.ends_with(b"\n") {
                let before = piece.len().checked_sub(2).and_then(|at| piece.get(at)).unwrap_or(&self.last);
                self.crlf.get_or_insert(*before == b'\r');
                self.end()?;
            }
            self.last = piece.last().copied().unwrap_or(self.last);
        }
        if read == 0 && !buffer.is_empty() {
            self.end()?;
        }
        Ok(read)
    }
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
        let read = read("ratios", "time,BTC\n2026-01-01T00:00:00Z,100\n2026-01-02T00:00:00Z,110\n").unwrap();
        assert_eq!((read.times.len(), read.vol), (1, None));
        // ln 1.1, from mpmath.
        assert!((read.spot[0][0] - 0.095_310_179_804_324_86).abs() < 1e-15, "{:?}", read.spot);
    }

    fn read(name: &str, text: &str) -> anyhow::Result<ReturnSeries> {
        let path = std::env::temp_dir().join(format!("plimsoll-series-{name}-{}.csv", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let read = series(&path);
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn volatilities_are_read_beside_prices_in_any_order_of_columns() {
        let text = "time,ETH_VOL,BTC,ETH,BTC_VOL
2026-01-01T00:00:00Z,0.6,100,10,0.5
2026-01-02T00:00:00Z,0.3,110,10,0.55
";
        let read = read("vol", text).unwrap();
        assert_eq!(read.underlyings.iter().map(Asset::as_str).collect::<Vec<_>>(), ["BTC", "ETH"]);
        assert_eq!(read.spot[0][1], 0.0);
        let vol = &read.vol.unwrap()[0];
        // ln 1.1 from mpmath, and ln 0.5.
        assert!((vol[0] - 0.095_310_179_804_324_86).abs() < 2e-15, "{vol:?}");
        assert!((vol[1] + std::f64::consts::LN_2).abs() < 1e-15, "{vol:?}");
    }

    #[test]
    fn every_underlying_has_a_positive_volatility_or_none_has() {
        let bad = [
            ("time,BTC,ETH,BTC_VOL", "", "either every underlying has a volatility or none"),
            ("time,BTC,SOL_VOL", "", "either every underlying has a volatility or none"),
            ("time,BTC_VOL", "", "expected time,BTC"),
            ("time,BTC,BTC", "", "`BTC` is there twice"),
            (
                "time,BTC,BTC_VOL",
                "2026-01-01T00:00:00Z,1,0",
                "line 2: field `BTC_VOL`: value `0`: expected a positive",
            ),
            ("time,BTC,BTC_VOL", "2026-01-01T00:00:00Z,1,", "field `BTC_VOL`: value ``"),
        ];
        for (at, (header, row, expected)) in bad.into_iter().enumerate() {
            let error = read(&format!("bad{at}"), &format!("{header}\n{row}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
