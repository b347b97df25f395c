//! Venues' bytes to snapshots.
//!
//! Readers stream: of a file of any size only the snapshot being put together, and the one chosen so far, are in memory.
//! A value that is not what its field must hold ends the reading with a [`ReadError`] that names file, line, field, value and
//! what was expected; nothing is returned for the part that was read. An instrument of a form this crate does not price
//! (combinations, spot pairs) is no error: it is left out and reported in [`ReadOutcome::issues`].

mod assemble;
mod chain;
mod deribit;
mod error;
mod json;
mod own;
mod select;
mod table;
mod tardis;

pub use error::ReadError;
pub use own::write_json;

use plimsoll_types::{Issue, Snapshot, Timestamp};
use select::{Choice, Sink};
use std::cmp::Reverse;
use std::io::BufRead;
use std::ops::ControlFlow;

/// The form of a market file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Format {
    /// CSV of whole option chains, one or many instants per file in order of time; columns `timestamp, instrument_name,
    /// underlying, bid_price, ask_price, mark_price, implied_volatility, open_interest, index_price` found by name.
    DeribitChainCsv,
    /// JSON of Deribit `public/get_book_summary_by_currency`, one or several replies after each other.
    BookSummaryJson,
    /// JSON of Deribit `public/ticker`: replies or subscription messages, after each other or in an array.
    TickerJson,
    /// CSV of tardis.dev `options_chain`: a stream of quotes. The snapshot at a time is the last row of each symbol
    /// at or before it.
    TardisCsv,
    /// Our own JSON: one [`Snapshot`], or several after each other in order of time.
    SnapshotJson,
}

/// Which snapshot of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// The only one; a file with several is an error that says how many and from when to when.
    Only,
    /// The last one.
    Last,
    /// The last one at or before this instant.
    AtOrBefore(Timestamp),
    /// The one nearest to this instant; of two as near, the earlier.
    Nearest(Timestamp),
}

/// A snapshot, and what was left out of it.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadOutcome {
    /// The snapshot chosen.
    pub snapshot: Snapshot,
    /// Instruments of unknown form, values taken from a second-best place, and the like.
    pub issues: Vec<Issue>,
    /// Snapshots passed while choosing, the chosen one included.
    pub snapshots: usize,
    /// Rows or messages read.
    pub rows: u64,
}

/// Guesses the form from the first bytes of a file (4096 are plenty; all of a shorter file).
///
/// # Errors
/// [`ReadError::Empty`] for nothing or white space, [`ReadError::UnknownFormat`] otherwise.
pub fn detect(first: &[u8]) -> Result<Format, ReadError> {
    let text = String::from_utf8_lossy(first);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() {
        return Err(ReadError::Empty { name: "input".to_owned() });
    }
    let has = |word: &str| text.contains(word);
    if text.starts_with(['{', '[']) {
        let rules = [
            (has("\"as_of\"") || has("\"underlyings\""), Format::SnapshotJson),
            (has("\"best_bid_price\"") || has("\"index_price\"") || has("\"ticker."), Format::TickerJson),
            (has("\"creation_timestamp\"") || has("\"underlying_index\""), Format::BookSummaryJson),
            (has("\"instrument_name\"") && has("\"timestamp\""), Format::TickerJson),
        ];
        return rules.iter().find(|r| r.0).map(|r| r.1).ok_or_else(|| unknown(text));
    }
    let header = text.lines().next().unwrap_or_default();
    let column = |name: &str| header.split(',').any(|c| c.trim() == name);
    if column("instrument_name") && column("implied_volatility") {
        return Ok(Format::DeribitChainCsv);
    }
    if column("symbol") && column("mark_iv") {
        return Ok(Format::TardisCsv);
    }
    Err(unknown(text))
}

/// The first characters of what is of no known form, and what it lacks of the table whose columns it has most of.
fn unknown(text: &str) -> ReadError {
    let header = text.lines().next().unwrap_or_default();
    let known: Vec<&str> = header.split(',').map(str::trim).collect();
    let start: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = start.trim_end().to_owned();
    let forms: [(&'static str, &[&str]); 2] =
        [("Deribit chain", &chain::REQUIRED), ("tardis options_chain", &tardis::REQUIRED)];
    let lacks = |columns: &[&str]| -> Vec<String> {
        columns.iter().filter(|column| !known.contains(column)).map(|&column| column.to_owned()).collect()
    };
    let nearest = forms.map(|(form, columns)| (form, columns.len(), lacks(columns)));
    let met = nearest.into_iter().filter(|(_, all, missing)| missing.len() < *all);
    let nearest = met.min_by_key(|(_, all, missing)| Reverse(all - missing.len()));
    let (form, missing) = nearest.map_or(("", Vec::new()), |(form, _, missing)| (form, missing));
    ReadError::UnknownFormat { start, form, missing }
}

/// Reads one snapshot of a file.
///
/// `name` is what errors call the file. A tardis stream holds every instant: [`At::Only`] and [`At::Last`] give the state at
/// its end, the other two the state at that instant, dated by the last row used.
///
/// # Errors
/// [`ReadError`] for the first thing that is not as it must be, or when no snapshot is where it was asked for.
pub fn snapshots<R: BufRead>(
    format: Format,
    reader: R,
    name: &str,
    selector: &At,
) -> Result<ReadOutcome, ReadError> {
    let mut choice = Choice::new(name, *selector);
    match format {
        Format::TardisCsv => return tardis::read(reader, name, selector),
        Format::DeribitChainCsv => chain::read(reader, name, &mut choice)?,
        Format::SnapshotJson => own::read(reader, name, &mut choice)?,
        Format::BookSummaryJson => deribit::read(reader, name, deribit::BOOK_SUMMARY, &mut choice)?,
        Format::TickerJson => deribit::read(reader, name, deribit::TICKER, &mut choice)?,
    }
    choice.finish()
}

/// Hands every snapshot of a file to `visit`, in order of time, until it breaks; returns how many were visited.
///
/// A tardis stream is visited once, at its end.
///
/// # Errors
/// [`ReadError`] for the first thing that is not as it must be; snapshots before it were already visited.
pub fn each<R: BufRead>(
    format: Format,
    reader: R,
    name: &str,
    visit: &mut dyn FnMut(Snapshot, Vec<Issue>) -> ControlFlow<()>,
) -> Result<usize, ReadError> {
    let mut visitor = Visitor { visit, visited: 0 };
    match format {
        Format::TardisCsv => {
            let end = tardis::read(reader, name, &At::Last)?;
            let _ = visitor.take(end.snapshot, end.issues);
        }
        Format::DeribitChainCsv => chain::read(reader, name, &mut visitor)?,
        Format::SnapshotJson => own::read(reader, name, &mut visitor)?,
        Format::BookSummaryJson => deribit::read(reader, name, deribit::BOOK_SUMMARY, &mut visitor)?,
        Format::TickerJson => deribit::read(reader, name, deribit::TICKER, &mut visitor)?,
    }
    if visitor.visited == 0 {
        return Err(ReadError::Empty { name: name.to_owned() });
    }
    Ok(visitor.visited)
}

struct Visitor<'a> {
    visit: &'a mut dyn FnMut(Snapshot, Vec<Issue>) -> ControlFlow<()>,
    visited: usize,
}

impl Sink for Visitor<'_> {
    fn take(&mut self, snapshot: Snapshot, issues: Vec<Issue>) -> ControlFlow<()> {
        self.visited += 1;
        (self.visit)(snapshot, issues)
    }
}
