//! CSV with columns found by name, and errors that say where.

use super::ReadError;
use csv::{ErrorKind, StringRecord};
use plimsoll_types::Timestamp;
use std::io::{self, Read};

/// Longest line that is read into memory, bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A table being read.
pub(super) struct Table<'a, R: Read> {
    name: &'a str,
    reader: csv::Reader<ShortLines<R>>,
    row: StringRecord,
    columns: Vec<(&'static str, usize)>,
    pub(super) rows: u64,
}

impl<'a, R: Read> Table<'a, R> {
    /// Reads the header. Every name in `required` must be a column; of `optional`, those there are found.
    pub(super) fn open(
        reader: R,
        name: &'a str,
        required: &[&'static str],
        optional: &[&'static str],
    ) -> Result<Self, ReadError> {
        let lines = ShortLines { inner: reader, length: 0, last: 0, crlf: None };
        // Quotes never occur in these files; taking them literally keeps an open one from swallowing the rest.
        let mut reader = csv::ReaderBuilder::new().quoting(false).from_reader(lines);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(located(name, reader.position().line(), 0, None, error)),
        };
        if header.is_empty() || (header.len() == 1 && header.get(0).is_some_and(|h| h.trim().is_empty())) {
            return Err(ReadError::Empty { name: name.to_owned() });
        }
        if let Some(column) = twice(&header) {
            return Err(ReadError::Twice { name: name.to_owned(), line: 1, column });
        }
        let place = |column: &str| header.iter().position(|h| h.trim() == column);
        let missing: Vec<String> =
            required.iter().filter(|c| place(c).is_none()).map(|c| (*c).to_owned()).collect();
        if !missing.is_empty() {
            let expected = required.iter().map(|c| (*c).to_owned()).collect();
            return Err(ReadError::Columns { name: name.to_owned(), line: 1, missing, expected });
        }
        let columns = required.iter().chain(optional).filter_map(|&c| place(c).map(|at| (c, at))).collect();
        Ok(Self { name, reader, row: StringRecord::new(), columns, rows: 0 })
    }

    /// Reads the next row; false at the end.
    pub(super) fn next(&mut self) -> Result<bool, ReadError> {
        match self.reader.read_record(&mut self.row) {
            Ok(more) => {
                self.rows += u64::from(more);
                Ok(more)
            }
            Err(error) => {
                let line = self.reader.position().line();
                let behind = self.behind();
                let header = self.reader.headers().ok().cloned();
                Err(located(self.name, line, behind, header.as_ref(), error))
            }
        }
    }

    /// The line of the current row.
    pub(super) fn line(&self) -> u64 {
        self.row.position().map_or(0, |at| at.line() + self.behind())
    }

    /// The reader counts a line that ends in `\r\n` only when it reads on: after the header every line is one too small.
    fn behind(&self) -> u64 {
        u64::from(self.reader.get_ref().crlf == Some(true))
    }

    /// The text of a column in the current row; empty when the file has not the column.
    pub(super) fn text(&self, column: &str) -> &str {
        let place = self.columns.iter().find(|c| c.0 == column).map(|c| c.1);
        place.and_then(|at| self.row.get(at)).unwrap_or_default().trim()
    }

    /// A finite number, or nothing where the field is empty.
    pub(super) fn number(&self, column: &str) -> Result<Option<f64>, ReadError> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(value)),
            _ => Err(self.field(column, "a finite number or nothing")),
        }
    }

    /// An integer that must be there.
    pub(super) fn integer(&self, column: &str) -> Result<i64, ReadError> {
        self.text(column).parse().map_err(|_| self.field(column, "an integer"))
    }

    /// An instant that must be there.
    pub(super) fn time(&self, column: &str) -> Result<Timestamp, ReadError> {
        let expected = "an RFC 3339 time such as 2026-03-27T08:00:00Z";
        self.text(column).parse().map_err(|_| self.field(column, expected))
    }

    /// The error of a column in the current row.
    pub(super) fn field(&self, column: &str, expected: &str) -> ReadError {
        ReadError::Field {
            name: self.name.to_owned(),
            line: self.line(),
            field: column.to_owned(),
            value: self.text(column).chars().take(80).collect(),
            expected: expected.to_owned(),
        }
    }
}

/// A column that is in the header more than once.
fn twice(header: &StringRecord) -> Option<String> {
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    let found = names.iter().enumerate().find(|&(i, name)| !name.is_empty() && names[..i].contains(name));
    found.map(|(_, name)| (*name).to_owned())
}

fn located(
    name: &str,
    reached: u64,
    behind: u64,
    header: Option<&StringRecord>,
    error: csv::Error,
) -> ReadError {
    let line = error.position().map_or(reached, |at| at.line() + behind);
    let name = name.to_owned();
    match error.into_kind() {
        ErrorKind::Io(source) => ReadError::Io { name, line, source },
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ReadError::Width { name, line, found: len, expected: expected_len }
        }
        ErrorKind::Utf8 { err, .. } => {
            let column = header.and_then(|h| h.get(err.field())).map(str::trim);
            let field = column.map_or_else(|| format!("column {}", err.field() + 1), str::to_owned);
            let valid = err.valid_up_to();
            ReadError::Malformed { name, line, reason: format!("{field} is not UTF-8 after {valid} bytes") }
        }
        other => ReadError::Malformed { name, line, reason: format!("{other:?}") },
    }
}

/// Refuses a line that would have to be held in memory whole and is too long for it.
struct ShortLines<R> {
    inner: R,
    length: usize,
    /// The last byte read.
    last: u8,
    /// Whether the first line ends in `\r\n`; `None` before its end.
    crlf: Option<bool>,
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = &buffer[..count];
        if let Some(at) = read.iter().position(|&b| b == b'\n').filter(|_| self.crlf.is_none()) {
            let before = at.checked_sub(1).and_then(|at| read.get(at)).copied().unwrap_or(self.last);
            self.crlf = Some(before == b'\r');
        }
        self.last = read.last().copied().unwrap_or(self.last);
        self.length = match read.iter().rposition(|&b| b == b'\n') {
            Some(at) => count - at - 1,
            None => self.length + count,
        };
        if self.length > LINE_BYTES_MAX {
            let reason = format!("a line of more than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(count)
    }
}
