//! Positions, collateral and orders, streamed into the engine's book.

use super::error::Refusal;
use super::positions::read_positions;
use super::rows::{Columns, Fields, each_row, each_row_of_numbers};
use super::source::display_name;
use plimsoll_engine::{BookBuilder, Failure, Number, RowError};
use plimsoll_market::Surface;
use plimsoll_types::{AccountId, Book, RiskArrays, Units};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) const POSITIONS: Columns = Columns {
    required: &["account", "instrument", "quantity"],
    optional: &["entry_price"],
    repeated: &["instrument"],
};
const COLLATERAL: Columns =
    Columns { required: &["account", "asset", "amount"], optional: &["position"], repeated: &[] };
const ORDERS: Columns =
    Columns { required: &["account", "instrument", "quantity"], optional: &["price"], repeated: &[] };

/// The files a book is made of.
#[derive(Clone, Debug)]
pub struct BookFiles {
    /// `account,instrument,quantity[,entry_price]`.
    pub positions: PathBuf,
    /// `account,asset,amount[,position]`.
    pub collateral: Option<PathBuf>,
    /// `account,instrument,quantity[,price]`.
    pub orders: Option<PathBuf>,
}

/// Where each instrument was named first.
#[derive(Clone, Debug, Default)]
pub struct Places {
    first: BTreeMap<Box<str>, Place>,
    files: Vec<String>,
}

/// File, line, and the account of that line.
#[derive(Clone, Debug)]
struct Place {
    file: usize,
    line: u64,
    account: Box<str>,
}

/// A book as read.
#[derive(Debug)]
pub struct ReadBook {
    /// The rows, summed.
    pub builder: BookBuilder,
    /// Where instruments were named first.
    pub places: Places,
    /// What the reader of the answer should be told.
    pub notes: Vec<String>,
}

impl From<RowError> for Refusal {
    fn from(error: RowError) -> Self {
        Self::new(error.field, &error.value, error.expected)
    }
}

impl Places {
    /// A file whose rows come next.
    pub(super) fn open(&mut self, path: &Path) -> usize {
        self.files.push(display_name(path));
        self.files.len() - 1
    }

    /// Notes where an instrument is named, if it was not before.
    pub(super) fn note(&mut self, file: usize, line: u64, [account, instrument]: [&str; 2]) {
        if !self.first.contains_key(instrument) {
            self.first.insert(instrument.into(), Place { file, line, account: account.into() });
        }
    }

    /// A failure as a sentence that begins with file, line, field and value where an instrument is to blame. Where
    /// another account named the instrument first, the line is said to be that of the first mention.
    pub fn locate(&self, failure: &Failure) -> String {
        let Some(instrument) = &failure.instrument else { return failure.to_string() };
        let name = instrument.to_string();
        let Some(Place { file, line, account }) = self.first.get(name.as_str()) else {
            return failure.to_string();
        };
        let file = self.files.get(*file).map_or("", String::as_str);
        if **account == *failure.account.as_str() {
            return format!("{file}: line {line}: field `instrument`: value `{name}`: {failure}");
        }
        format!("{file}: field `instrument`: value `{name}` (first named on line {line}): {failure}")
    }
}

/// Reads a book, of one account or of all. Memory grows with the distinct pairs of account and instrument, not with
/// the files.
pub fn read(files: &BookFiles, units: &Units, only: Option<&AccountId>) -> anyhow::Result<ReadBook> {
    let mut builder = BookBuilder::new(units);
    if let Some(account) = only {
        builder = builder.only(account.clone());
    }
    let mut places = Places::default();
    read_positions(&files.positions, &mut builder, &mut places)?;
    let mut notes = duplicates(&mut builder, &files.positions)?;
    if let Some(path) = &files.collateral {
        notes.extend(read_collateral(path, &mut builder)?);
    }
    if let Some(path) = &files.orders {
        read_orders(path, &mut builder, &mut places)?;
    }
    Ok(ReadBook { builder, places, notes })
}

/// A book that every calculation can start from.
#[derive(Debug)]
pub struct ReadyBook {
    /// The accounts that can be valued, on the rows of the arrays.
    pub book: Book,
    /// The accounts that cannot, in order of account.
    pub failures: Vec<Failure>,
    /// What the reader of the answer should be told, such as rows that were summed.
    pub notes: Vec<String>,
}

/// Files in, book out: what `plimsoll margin` does with `--positions`, `--collateral` and `--orders`, onto arrays that
/// are already there. `arrays` were built from `surface` in `units`; an instrument of the files that they do not have
/// makes its accounts failures.
///
/// # Errors
/// With file, line, field, value and what was expected when anything in the files cannot be read.
pub fn load(
    files: &BookFiles,
    arrays: &RiskArrays,
    surface: &Surface,
    units: &Units,
) -> anyhow::Result<ReadyBook> {
    let read = read(files, units, None)?;
    let packed = plimsoll_engine::pack(read.builder, arrays, surface, units)?;
    Ok(ReadyBook { book: packed.book, failures: packed.failures, notes: read.notes })
}

/// The text of a field, empty when it is not there; the engine refuses it then.
fn field<'a>(fields: &Fields<'a>, at: usize) -> &'a str {
    fields.get(at).copied().flatten().unwrap_or_default()
}

fn optional<'a>(fields: &Fields<'a>, at: usize) -> Option<&'a str> {
    fields.get(at).copied().flatten()
}

/// How many repeated holdings are named; all are counted.
const REPEATED_NAMED: usize = 100;

fn read_collateral(path: &Path, builder: &mut BookBuilder) -> anyhow::Result<Vec<String>> {
    let mut rows: BTreeMap<[Box<str>; 3], u32> = BTreeMap::new();
    each_row_of_numbers(path, COLLATERAL, &mut |_, row| {
        let text = |at: usize| row.get(at).and_then(Option::as_ref).map(Number::text);
        let (account, asset, earmark) = (text(0).unwrap_or_default(), text(1).unwrap_or_default(), text(3));
        let amount = row.get(2).copied().flatten().unwrap_or(Number::Text(""));
        if builder.collateral(&account, &asset, amount, earmark.as_deref())? {
            let key = [&account, &asset, &earmark.unwrap_or_default()].map(|text| Box::from(&**text));
            let count = rows.entry(key).or_insert(1);
            *count = count.saturating_add(1);
        }
        Ok(())
    })?;
    let file = display_name(path);
    let told = |([account, asset, _], count): (&[Box<str>; 3], &u32)| {
        format!("{file}: {count} rows of account {account} and {asset} were summed")
    };
    let mut notes: Vec<String> = rows.iter().take(REPEATED_NAMED).map(told).collect();
    let more = rows.len().saturating_sub(REPEATED_NAMED);
    if more > 0 {
        notes.push(format!("{file}: rows of {more} more pairs were summed"));
    }
    Ok(notes)
}

fn read_orders(path: &Path, builder: &mut BookBuilder, places: &mut Places) -> anyhow::Result<()> {
    let file = places.open(path);
    each_row(path, ORDERS, &mut |line, row| {
        places.note(file, line, [field(row, 0), field(row, 1)]);
        Ok(builder.order(field(row, 0), field(row, 1), field(row, 2), optional(row, 3))?)
    })?;
    Ok(())
}

fn duplicates(builder: &mut BookBuilder, path: &Path) -> anyhow::Result<Vec<String>> {
    let (named, count) = builder.duplicates()?;
    let file = display_name(path);
    let mut notes: Vec<String> = named
        .iter()
        .map(|d| format!("{file}: {} rows of account {} and {} were summed", d.rows, d.account, d.instrument))
        .collect();
    if count > named.len() {
        notes.push(format!("{file}: rows of {} more pairs were summed", count - named.len()));
    }
    Ok(notes)
}
