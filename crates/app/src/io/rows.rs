//! Rows of a table with known columns, from CSV or Parquet, as text.

use super::error::{InputError, Refusal, shortened};
use super::source::{Content, Source};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A line of a table is never longer than this many bytes; a file without line ends is not held in memory.
const LINE_MAX: usize = 1 << 20;

/// The columns of a kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Must be there.
    pub required: &'static [&'static str],
    /// May be there.
    pub optional: &'static [&'static str],
}

impl Columns {
    /// All names, required first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.optional).copied()
    }

    /// `account,instrument,quantity[,entry_price]`.
    pub fn shown(&self) -> String {
        let optional: String = self.optional.iter().map(|name| format!("[,{name}]")).collect();
        format!("{}{optional}", self.required.join(","))
    }

    /// Where each column is among `found`; `None` when one is missing, unknown or there twice.
    fn places(&self, found: &[&str]) -> Option<Vec<Option<usize>>> {
        let known = |name: &&str| self.names().any(|n| n == *name);
        let twice = |(i, name): (usize, &&str)| found[..i].contains(name);
        if !found.iter().all(known) || found.iter().enumerate().any(twice) {
            return None;
        }
        let place = |name: &str| found.iter().position(|f| *f == name);
        let complete = self.required.iter().all(|name| place(name).is_some());
        complete.then(|| self.names().map(place).collect())
    }
}

/// One row: the text of each column in the order of [`Columns::names`]. A field that is empty or null is `None`
/// when its column is optional and empty text when it is required.
pub type Fields<'a> = [Option<&'a str>];

/// What a row is handed to, with the line (or the row of a Parquet table) it is on.
pub type EachRow<'a> = dyn FnMut(u64, &Fields<'_>) -> Result<(), Refusal> + 'a;

/// Hands every row of the file to `each` and says how many there were. Memory does not grow with the file.
pub fn each_row(path: &Path, columns: Columns, each: &mut EachRow<'_>) -> Result<u64, InputError> {
    let source = Source::open(path)?;
    let name = source.name;
    match source.content {
        Content::Text(reader) => each_csv_row(reader, &name, columns, each),
        Content::ParquetFile(file) => each_parquet_row(file, &name, columns, each),
        Content::ParquetBytes(bytes) => each_parquet_row(bytes, &name, columns, each),
    }
}

fn each_csv_row(
    reader: impl BufRead,
    name: &str,
    columns: Columns,
    each: &mut EachRow<'_>,
) -> Result<u64, InputError> {
    let mut csv = csv::ReaderBuilder::new().from_reader(WholeLines::new(reader));
    let header = csv.byte_headers().map_err(|e| csv_error(e, name, 0))?.clone();
    let found: Vec<String> = header.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    if found.is_empty() || found == [""] {
        return Err(InputError::Empty { file: name.to_owned(), expected: columns.shown() });
    }
    let places = columns.places(&found.iter().map(String::as_str).collect::<Vec<_>>());
    let places = places.ok_or_else(|| wrong_columns(name, &found, columns))?;
    let mut record = csv::ByteRecord::new();
    let (mut rows, mut line) = (0, 1);
    while csv.read_byte_record(&mut record).map_err(|e| csv_error(e, name, line))? {
        line = record.position().map_or(line + 1, csv::Position::line);
        let texts = row_texts(&record, &places, columns).map_err(|r| r.at(name, "line", line))?;
        each(line, &texts).map_err(|refusal| refusal.at(name, "line", line))?;
        rows += 1;
    }
    Ok(rows)
}

fn wrong_columns(name: &str, found: &[String], columns: Columns) -> InputError {
    let found = shortened(&found.join(","));
    InputError::Columns { file: name.to_owned(), found, expected: columns.shown() }
}

fn row_texts<'a>(
    record: &'a csv::ByteRecord,
    places: &[Option<usize>],
    columns: Columns,
) -> Result<Vec<Option<&'a str>>, Refusal> {
    let text = |(i, (place, name)): (usize, (&Option<usize>, &str))| {
        let Some(bytes) = place.and_then(|at| record.get(at)) else { return Ok(None) };
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Refusal::new(name, &String::from_utf8_lossy(bytes), "expected UTF-8 text"))?;
        Ok((i < columns.required.len() || !text.is_empty()).then_some(text))
    };
    places.iter().zip(columns.names()).enumerate().map(text).collect()
}

fn csv_error(error: csv::Error, name: &str, line: u64) -> InputError {
    let file = name.to_owned();
    match error.into_kind() {
        csv::ErrorKind::Io(e) => InputError::Broken { file, line, reason: e.to_string() },
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(line + 1, |p| p.line());
            InputError::Width { file, line, found: len, expected: expected_len }
        }
        other => InputError::Broken { file, line, reason: format!("{other:?}") },
    }
}

/// Refuses a line that goes on for more than [`LINE_MAX`] bytes, and a quote that is not closed on the line it begins
/// on: either would make one record of the rest of the file.
pub(super) struct WholeLines<R> {
    inner: R,
    number: u64,
    bytes: usize,
    quotes: usize,
}

impl<R> WholeLines<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, number: 1, bytes: 0, quotes: 0 }
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
                self.end()?;
            }
        }
        if read == 0 && !buffer.is_empty() {
            self.end()?;
        }
        Ok(read)
    }
}

/// The rows of a Parquet table. The reader panics on some damaged files; that is a refusal like any other, unless it
/// is a row's taker that panics.
fn each_parquet_row<R: ChunkReader + 'static>(
    file: R,
    name: &str,
    columns: Columns,
    each: &mut EachRow<'_>,
) -> Result<u64, InputError> {
    let taking = Cell::new(false);
    let mut noted = |line: u64, fields: &Fields<'_>| {
        taking.set(true);
        let taken = each(line, fields);
        taking.set(false);
        taken
    };
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(|| parquet_rows(file, name, columns, &mut noted)));
    std::panic::set_hook(usual);
    match outcome {
        Ok(rows) => rows,
        Err(ours) if taking.get() => std::panic::resume_unwind(ours),
        Err(_) => {
            Err(InputError::Parquet { file: name.to_owned(), reason: "the file is damaged".to_owned() })
        }
    }
}

fn parquet_rows<R: ChunkReader + 'static>(
    file: R,
    name: &str,
    columns: Columns,
    each: &mut EachRow<'_>,
) -> Result<u64, InputError> {
    let refused = |reason: String| InputError::Parquet { file: name.to_owned(), reason };
    // The writer's own Arrow types are ignored, so that text is text however the writer held it in memory.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|e| refused(e.to_string()))?;
    let found: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let places = columns.places(&found.iter().map(String::as_str).collect::<Vec<_>>());
    let places = places.ok_or_else(|| wrong_columns(name, &found, columns))?;
    let reader =
        builder.with_projection(ProjectionMask::all()).build().map_err(|e| refused(e.to_string()))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|e| refused(e.to_string()))?;
        rows = each_batch_row(&batch, &places, rows, (name, columns), each)?;
    }
    Ok(rows)
}

fn each_batch_row(
    batch: &RecordBatch,
    places: &[Option<usize>],
    before: u64,
    (name, columns): (&str, Columns),
    each: &mut EachRow<'_>,
) -> Result<u64, InputError> {
    let text_of =
        |(place, column): (&Option<usize>, &str)| place.map(|at| column_text(batch.column(at), column));
    let columns_text: Vec<Option<Vec<Option<String>>>> = places
        .iter()
        .zip(columns.names())
        .map(|pair| text_of(pair).transpose())
        .collect::<Result<_, _>>()
        .map_err(|(column, found)| InputError::Type { file: name.to_owned(), column, found })?;
    let required = columns.required.len();
    for row in 0..batch.num_rows() {
        let field = |(i, column): (usize, &Option<Vec<Option<String>>>)| {
            let text = column.as_ref().and_then(|texts| texts.get(row)).and_then(|text| text.clone());
            if i < required { Some(text.unwrap_or_default()) } else { text.filter(|t| !t.is_empty()) }
        };
        let owned: Vec<Option<String>> = columns_text.iter().enumerate().map(field).collect();
        let texts: Vec<Option<&str>> = owned.iter().map(Option::as_deref).collect();
        let at = before + row as u64 + 1;
        each(at, &texts).map_err(|refusal| refusal.at(name, "row", at))?;
    }
    Ok(before + batch.num_rows() as u64)
}

/// The values of a column as text; a float in its shortest form that reads back the same.
fn column_text(array: &ArrayRef, name: &str) -> Result<Vec<Option<String>>, (String, String)> {
    let integers = |texts| Ok(texts);
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
        }
        DataType::Float64 => {
            let floats: &PrimitiveArray<Float64Type> = array.as_primitive();
            Ok(floats.iter().map(|x| x.map(|x| format!("{x:?}"))).collect())
        }
        DataType::Float32 => {
            let floats: &PrimitiveArray<Float32Type> = array.as_primitive();
            Ok(floats.iter().map(|x| x.map(|x| format!("{x:?}"))).collect())
        }
        DataType::Int8 => integers(printed::<Int8Type>(array)),
        DataType::Int16 => integers(printed::<Int16Type>(array)),
        DataType::Int32 => integers(printed::<Int32Type>(array)),
        DataType::Int64 => integers(printed::<Int64Type>(array)),
        DataType::UInt8 => integers(printed::<UInt8Type>(array)),
        DataType::UInt16 => integers(printed::<UInt16Type>(array)),
        DataType::UInt32 => integers(printed::<UInt32Type>(array)),
        DataType::UInt64 => integers(printed::<UInt64Type>(array)),
        DataType::Decimal128(..) => Ok(decimals::<Decimal128Type>(array)),
        DataType::Decimal256(..) => Ok(decimals::<Decimal256Type>(array)),
        other => Err((name.to_owned(), other.to_string())),
    }
}

fn printed<T>(array: &ArrayRef) -> Vec<Option<String>>
where
    T: arrow_array::ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    let values: &PrimitiveArray<T> = array.as_primitive();
    values.iter().map(|x| x.map(|x| x.to_string())).collect()
}

fn decimals<T: DecimalType>(array: &ArrayRef) -> Vec<Option<String>> {
    let values: &PrimitiveArray<T> = array.as_primitive();
    (0..values.len()).map(|i| values.is_valid(i).then(|| values.value_as_string(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns =
        Columns { required: &["account", "instrument", "quantity"], optional: &["entry_price"] };

    type Owned = Vec<Vec<Option<String>>>;

    fn read(text: &str) -> Result<Owned, String> {
        let mut rows = Owned::new();
        let mut keep = |_: u64, fields: &Fields<'_>| {
            rows.push(fields.iter().map(|f| f.map(str::to_owned)).collect());
            Ok(())
        };
        each_csv_row(text.as_bytes(), "t.csv", COLUMNS, &mut keep).map_err(|e| e.to_string())?;
        Ok(rows)
    }

    #[test]
    fn columns_may_come_in_any_order_and_the_optional_one_may_be_missing_or_empty() {
        let some = |s: &str| Some(s.to_owned());
        let rows = read("quantity,account,instrument\n1,a,BTC\n").unwrap();
        assert_eq!(rows, [[some("a"), some("BTC"), some("1"), None]]);
        let rows = read("account,instrument,quantity,entry_price\na,BTC,1,\na,BTC,1,5\n").unwrap();
        assert_eq!(rows[0][3], None);
        assert_eq!(rows[1][3], some("5"));
    }

    #[test]
    fn wrong_columns_are_named_beside_the_right_ones() {
        for header in ["account,instrument", "account,instrument,qty", "account,instrument,quantity,quantity"]
        {
            let error = read(&format!("{header}\n")).unwrap_err();
            let expected = format!(
                "t.csv: line 1: columns `{header}`; expected account,instrument,quantity[,entry_price]"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn an_empty_file_says_what_it_should_hold() {
        assert_eq!(
            read("").unwrap_err(),
            "t.csv: is empty; expected account,instrument,quantity[,entry_price]"
        );
    }

    #[test]
    fn a_short_row_is_named_by_its_line() {
        let error = read("account,instrument,quantity\na,BTC,1\nb,BTC\n").unwrap_err();
        assert_eq!(error, "t.csv: line 3: 2 fields; expected 3, as in the header");
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_memory() {
        let text = format!("account,instrument,quantity\na,BTC,{}", "1".repeat(2 * LINE_MAX));
        assert!(read(&text).unwrap_err().contains("line 2 is longer than"));
    }

    #[test]
    fn a_quote_that_is_not_closed_is_named_by_the_line_it_begins_on() {
        assert_eq!(read("account,instrument,quantity\n\"a\",BTC,1\n").unwrap().len(), 1);
        for tail in ["\n", "", "\nc,BTC,1\n"] {
            let text = format!("account,instrument,quantity\na,BTC,1\n\"b,BTC,1{tail}");
            let error = read(&text).unwrap_err();
            assert!(error.contains("a quote on line 3 is not closed on it"), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_by_field() {
        let text = b"account,instrument,quantity\n\xff\xfe,BTC,1\n";
        let error = each_csv_row(&text[..], "t.csv", COLUMNS, &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 2: field `account`"), "{error}");
    }
}
