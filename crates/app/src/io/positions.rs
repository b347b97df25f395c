//! Rows of positions, many at a time.
//!
//! **The one idea:** a wave of stretches of the file is read side by side against the book as it stands, and appended in
//! order; how many stretches a wave has does not depend on the number of threads, nor does anything that comes out.

use super::book::{POSITIONS, Places};
use super::error::{InputError, Refusal};
use super::lines::{Layout, Lines, Piece, each_record};
use super::source::{Content, Source};
use super::table::{Column, SharedFile, Span, Table, quietly};
use arrow_array::{Array, StringArray};
use parquet::file::reader::ChunkReader;
use plimsoll_engine::{BookBuilder, Number, Owner, Stretch, Terms};
use rayon::prelude::*;
use std::io::Read;
use std::path::Path;

/// Stretches that are in memory at a time.
const WAVE: usize = 8;

/// Where a stretch names an instrument that the book did not know.
struct First {
    line: u64,
    account: String,
    instrument: String,
}

/// A stretch as read.
struct ReadStretch {
    stretch: Stretch,
    firsts: Vec<First>,
    rows: u64,
}

impl ReadStretch {
    fn new(book: &BookBuilder) -> Self {
        Self { stretch: Stretch::new(book), firsts: Vec::new(), rows: 0 }
    }

    #[inline]
    fn position(
        &mut self,
        book: &BookBuilder,
        line: u64,
        [account, instrument]: [&str; 2],
        amounts: Amounts<'_>,
    ) -> Result<(), Refusal> {
        let owner = self.stretch.owner(book, account)?;
        let terms = self.instrument(book, line, [account, instrument])?;
        self.hold(owner, terms, amounts)
    }

    /// The terms of an instrument; notes where it is named if nobody did before.
    #[inline]
    fn instrument(&mut self, book: &BookBuilder, line: u64, names: [&str; 2]) -> Result<Terms, Refusal> {
        let terms = self.stretch.terms(book, names[1])?;
        if self.stretch.spellings() > self.firsts.len() {
            let [account, instrument] = names.map(str::to_owned);
            self.firsts.push(First { line, account, instrument });
        }
        Ok(terms)
    }

    #[inline]
    fn hold(&mut self, owner: Owner, terms: Terms, [quantity, entry]: Amounts<'_>) -> Result<(), Refusal> {
        let quantity = quantity.unwrap_or(Number::Text(""));
        Ok(self.stretch.hold(owner, terms, quantity, entry)?)
    }
}

/// Quantity and entry price.
type Amounts<'a> = [Option<Number<'a>>; 2];

/// Terms by place in the list of instruments of a Parquet file, as they come to be known.
#[derive(Default)]
struct Listed {
    list: Option<StringArray>,
    terms: Vec<Option<Terms>>,
}

impl Listed {
    /// Forgets the terms unless they are of this very list.
    fn turn_to(&mut self, list: &StringArray) {
        let same = |known: &StringArray| {
            let place =
                |list: &StringArray| (list.value_data().as_ptr(), list.value_offsets().as_ptr(), list.len());
            place(known) == place(list)
        };
        // The list is held on to, so that no other can come to lie where it is.
        if !self.list.as_ref().is_some_and(same) {
            self.list = Some(list.clone());
            self.terms = vec![None; list.len()];
        }
    }
}

/// What rows are read into.
struct Target<'a> {
    builder: &'a mut BookBuilder,
    places: &'a mut Places,
    /// The file among `places`.
    file: usize,
}

impl Target<'_> {
    /// Appends stretches in their order and says how many rows they had. The first that was refused ends it.
    fn append(&mut self, made: Vec<Result<ReadStretch, InputError>>) -> anyhow::Result<u64> {
        let mut rows = 0;
        for made in made {
            let made = made?;
            for First { line, account, instrument } in &made.firsts {
                self.places.note(self.file, *line, [account, instrument]);
            }
            rows += made.rows;
            self.builder.append(made.stretch)?;
        }
        Ok(rows)
    }
}

/// Reads a file of positions.
pub(super) fn read_positions(
    path: &Path,
    builder: &mut BookBuilder,
    places: &mut Places,
) -> anyhow::Result<()> {
    let file = places.open(path);
    let mut target = Target { builder, places, file };
    let Source { name, content } = Source::open(path)?;
    let rows = match content {
        Content::Text(reader) => from_text(reader, &name, &mut target)?,
        Content::ParquetFile(file) => {
            let unreadable = |reason| InputError::Unreadable { file: name.clone(), reason };
            from_table(SharedFile::new(file).map_err(unreadable)?, &name, &mut target)?
        }
        Content::ParquetBytes(bytes) => from_table(bytes, &name, &mut target)?,
    };
    if rows == 0 {
        let expected = format!("rows of {}", POSITIONS.shown());
        anyhow::bail!(InputError::Empty { file: name, expected });
    }
    Ok(())
}

/// Reads one wave of pieces while the wave before is made stretches of.
fn from_text(reader: impl Read + Send, name: &str, target: &mut Target<'_>) -> anyhow::Result<u64> {
    let mut lines = Lines::new(reader, name);
    let (layout, first) = lines.begin(POSITIONS)?;
    let mut wave = lines.wave(WAVE - 1);
    wave.pieces.insert(0, first);
    let mut rows = 0;
    loop {
        let book: &BookBuilder = target.builder;
        let stretches = || wave.pieces.par_iter().map(|piece| stretch_of_lines(piece, &layout, name, book));
        let (made, next) = rayon::join(|| stretches().collect(), || lines.wave(WAVE));
        rows += target.append(made)?;
        if let Some(error) = wave.error {
            return Err(error.into());
        }
        if next.pieces.is_empty() && next.error.is_none() {
            return Ok(rows);
        }
        wave = next;
    }
}

fn stretch_of_lines(
    piece: &Piece,
    layout: &Layout,
    name: &str,
    book: &BookBuilder,
) -> Result<ReadStretch, InputError> {
    let mut made = ReadStretch::new(book);
    made.rows = each_record(piece, layout, name, |line, row| {
        let text = |at: usize| row.get(at).copied().flatten();
        let names = [text(0).unwrap_or_default(), text(1).unwrap_or_default()];
        made.position(book, line, names, [text(2), text(3)].map(|text| text.map(Number::Text)))
    })?;
    Ok(made)
}

fn from_table<R>(file: R, name: &str, target: &mut Target<'_>) -> anyhow::Result<u64>
where
    R: ChunkReader + Clone + 'static,
{
    let table = quietly(|| Table::open(file, name, POSITIONS))?;
    let mut rows = 0;
    for wave in table.spans()?.chunks(WAVE) {
        let book: &BookBuilder = target.builder;
        let stretches = || wave.par_iter().map(|span| stretch_of_table(&table, *span, book)).collect();
        rows += target.append(quietly(stretches))?;
    }
    Ok(rows)
}

fn stretch_of_table<R>(table: &Table<R>, span: Span, book: &BookBuilder) -> Result<ReadStretch, InputError>
where
    R: ChunkReader + Clone + 'static,
{
    let mut made = ReadStretch::new(book);
    let mut listed = Listed::default();
    made.rows = table.each_batch(span, |columns, rows, before| {
        let mut batch = Batch { columns, owner: None };
        if let Some(list) = columns.get(1).and_then(Column::list) {
            listed.turn_to(list);
        }
        for (at, row) in (0..rows).zip(before + 1..) {
            let read = batch.position(&mut made, &mut listed, book, (at, row));
            read.map_err(|refusal| refusal.at(table.name(), "row", row))?;
        }
        Ok(())
    })?;
    Ok(made)
}

/// Some rows of a table.
struct Batch<'a> {
    columns: &'a [Column],
    /// Of the row before.
    owner: Option<Owner>,
}

impl Batch<'_> {
    /// Reads the row at a place of the batch, which has this number in the table.
    #[inline]
    fn position(
        &mut self,
        made: &mut ReadStretch,
        listed: &mut Listed,
        book: &BookBuilder,
        (at, row): (usize, u64),
    ) -> Result<(), Refusal> {
        let [account, instrument, quantity, entry_price] = self.columns else { return Ok(()) };
        let owner = match self.owner {
            Some(owner) if account.repeats(at) => owner,
            _ => made.stretch.owner(book, &account.text(at))?,
        };
        self.owner = Some(owner);
        let place = instrument.place(at);
        let terms = match place.and_then(|place| listed.terms.get(place).copied().flatten()) {
            Some(terms) => terms,
            None => {
                let terms = made.instrument(book, row, [&account.text(at), &instrument.text(at)])?;
                if let Some(known) = place.and_then(|place| listed.terms.get_mut(place)) {
                    *known = Some(terms);
                }
                terms
            }
        };
        made.hold(owner, terms, [quantity.number(at), entry_price.number(at)])
    }
}

#[cfg(test)]
mod tests {
    use crate::io::book::{BookFiles, ReadBook, read};
    use arrow_array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    };
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use plimsoll_engine::{BookBuilder, ParamSet, PositionRow};
    use plimsoll_types::Units;
    use std::io::Write;
    use std::sync::Arc;

    const INSTRUMENTS: [&str; 5] =
        ["BTC-27MAR26-100000-C", "BTC-PERPETUAL", "ETH_USDC-PERPETUAL", "BTC", "ETH-26JUN26-3000-P"];

    fn units() -> Units {
        ParamSet::preset("plimsoll").unwrap().units
    }

    fn read_bytes(name: &str, bytes: &[u8]) -> anyhow::Result<ReadBook> {
        let path = std::env::temp_dir().join(format!("plimsoll-positions-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let files = BookFiles { positions: path.clone(), collateral: None, orders: None };
        let outcome = read(&files, &units(), None);
        std::fs::remove_file(&path).unwrap();
        outcome
    }

    /// Account, instrument, quantity and entry price.
    type Row = (String, &'static str, String, String);

    fn rows(count: usize, accounts: u64) -> Vec<Row> {
        let mut state = 7_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let row = |_| {
            let instrument = INSTRUMENTS[draw(5) as usize];
            let quantity = draw(2_000).cast_signed() - 1_000;
            let entry = if draw(3) == 0 { format!("{}.5", 1 + draw(90_000)) } else { String::new() };
            (format!("acct-{:05}", draw(accounts)), instrument, quantity.to_string(), entry)
        };
        (0..count).map(row).collect()
    }

    fn csv(rows: &[Row], end: &str) -> String {
        let mut text = format!("account,instrument,quantity,entry_price{end}");
        for (account, instrument, quantity, entry) in rows {
            text.push_str(&format!("{account},{instrument},{quantity},{entry}{end}"));
        }
        text
    }

    /// The reference: one row after the other.
    fn naive(rows: &[Row]) -> Vec<PositionRow> {
        let mut book = BookBuilder::new(&units());
        for (account, instrument, quantity, entry) in rows {
            let entry = (!entry.is_empty()).then_some(entry.as_str());
            book.position(account, instrument, quantity, entry).unwrap();
        }
        book.positions().unwrap()
    }

    #[test]
    fn however_the_text_is_packed_the_book_is_that_of_one_row_after_the_other() {
        let rows = rows(3_000, 200);
        let expected = naive(&rows);
        let plain = csv(&rows, "\n");
        let quoted = plain.replace("acct-00007,BTC", "\"acct-00007\",BTC");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(plain.as_bytes()).unwrap();
        let texts = [
            plain.clone().into_bytes(),
            csv(&rows, "\r\n").into_bytes(),
            plain.trim_end().as_bytes().to_vec(),
            quoted.into_bytes(),
            csv(&rows, "\n\n").into_bytes(),
            gzip.finish().unwrap(),
            zstd::encode_all(plain.as_bytes(), 1).unwrap(),
        ];
        for (i, text) in texts.iter().enumerate() {
            let found = read_bytes(&format!("packed{i}"), text).unwrap().builder.positions().unwrap();
            assert!(found == expected, "packing {i}");
        }
    }

    #[test]
    fn a_file_of_many_pieces_is_read_as_one_row_after_the_other_in_any_order_of_rows() {
        let mut rows = rows(300_000, 50_000);
        for ordered in [false, true] {
            if ordered {
                rows.sort_by(|a, b| a.0.cmp(&b.0));
            }
            let mut read = read_bytes(&format!("pieces{ordered}"), csv(&rows, "\n").as_bytes()).unwrap();
            let mut naive_book = BookBuilder::new(&units());
            for (account, instrument, quantity, entry) in &rows {
                let entry = (!entry.is_empty()).then_some(entry.as_str());
                naive_book.position(account, instrument, quantity, entry).unwrap();
            }
            assert!(read.builder.duplicates().unwrap() == naive_book.duplicates().unwrap());
            assert!(read.builder.positions().unwrap() == naive_book.positions().unwrap());
        }
    }

    #[test]
    fn the_first_refusal_of_a_large_file_is_named_by_its_line() {
        let rows = rows(300_000, 50_000);
        let mut lines: Vec<String> = csv(&rows, "\n").lines().map(str::to_owned).collect();
        for (at, bad, expected) in [
            (290_000, "acct,BTC-PERPETUAL,0.5,", "field `quantity`: value `0.5`: is finer than a lot"),
            (250_000, "acct,BTC-27MAR26-X-C,1,", "field `instrument`: value `BTC-27MAR26-X-C`"),
            (200_000, "acct,BTC,1,-5", "field `entry_price`: value `-5`"),
            (150_001, "acct,BTC,1", "3 fields; expected 4"),
            (150_000, " acct,BTC,1,", "field `account`: value ` acct`"),
        ] {
            lines[at] = bad.to_owned();
            let error = read_bytes("refused", lines.join("\n").as_bytes()).unwrap_err().to_string();
            let place = format!(": line {}: {expected}", at + 1);
            assert!(error.contains(&place), "{error}");
        }
        lines[100_000] = "\"acct,BTC,1,".to_owned();
        let error = read_bytes("quote", lines.join("\n").as_bytes()).unwrap_err().to_string();
        assert!(error.contains("a quote on line 100001 is not closed on it, after line 100000"), "{error}");
    }

    #[test]
    fn nothing_in_a_file_is_said_with_what_should_be_there() {
        let expected = "is empty; expected account,instrument,quantity[,entry_price]";
        assert!(read_bytes("empty", b"").unwrap_err().to_string().contains(expected));
        let header = b"account,instrument,quantity\n\n";
        assert!(read_bytes("header", header).unwrap_err().to_string().contains("is empty; expected rows of"));
    }

    /// The columns as a table of row groups of so many rows, with lists of repeated values or without.
    fn parquet(columns: &[(&str, ArrayRef)], group: usize, listed: bool) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_dictionary_enabled(listed)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    fn texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
        Arc::new(StringArray::from_iter(values))
    }

    #[test]
    fn however_a_table_is_typed_the_book_is_that_of_one_row_after_the_other() {
        for (count, accounts, group) in [(3_000, 200, 700), (40_000, 30_000, 15_000)] {
            let mut rows = rows(count, accounts);
            rows.sort_by(|a, b| (a.0.len(), &a.0[..8]).cmp(&(b.0.len(), &b.0[..8])));
            let mut naive_book = BookBuilder::new(&units());
            for (account, instrument, quantity, entry) in &rows {
                let entry = (!entry.is_empty()).then_some(entry.as_str());
                naive_book.position(account, instrument, quantity, entry).unwrap();
            }
            let expected = (naive_book.duplicates().unwrap(), naive(&rows));
            let whole = || rows.iter().map(|row| row.2.parse::<i64>().unwrap());
            let decimals = Decimal128Array::from_iter_values(whole().map(|x| i128::from(x) * 1000));
            let quantities: [ArrayRef; 4] = [
                texts(rows.iter().map(|row| Some(row.2.as_str()))),
                Arc::new(Float64Array::from_iter_values(whole().map(|x| x as f64))),
                Arc::new(Int64Array::from_iter_values(whole())),
                Arc::new(decimals.with_precision_and_scale(18, 3).unwrap()),
            ];
            for (quantity, listed) in quantities.iter().zip([true, false, false, true]) {
                let columns = [
                    ("account", texts(rows.iter().map(|row| Some(row.0.as_str())))),
                    ("instrument", texts(rows.iter().map(|row| Some(row.1)))),
                    ("quantity", quantity.clone()),
                    ("entry_price", texts(rows.iter().map(|row| Some(row.3.as_str())))),
                ];
                let mut read = read_bytes("typed", &parquet(&columns, group, listed)).unwrap();
                assert!(read.builder.duplicates().unwrap() == expected.0, "{quantity:?}");
                assert!(read.builder.positions().unwrap() == expected.1, "{quantity:?}");
            }
        }
    }

    #[test]
    fn what_no_row_may_hold_is_refused_by_row_and_field_however_it_is_typed() {
        let floats = |bad: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, bad, 5.0])) };
        let wholes = |bad: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2, 3, bad, 5])) };
        let decimal = Decimal128Array::from(vec![1000, 2000, 3000, 1500, 5000]);
        let wide = Decimal128Array::from(vec![1, 2, 3, i128::MAX / 2, 5]);
        let names = |bad: Option<&'static str>, good: &'static str| {
            texts([Some(good), Some(good), Some(good), bad, Some(good)])
        };
        let none: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), Some(3.0), None, Some(5.0)]));
        let cases: [(&str, ArrayRef, &str); 14] = [
            ("quantity", floats(f64::NAN), "`NaN`: is not a finite decimal number"),
            ("quantity", floats(f64::INFINITY), "`inf`: is not a finite decimal number"),
            ("quantity", floats(0.5), "`0.5`: is finer than a lot"),
            ("quantity", floats(1e300), "`1e300`: is too large"),
            ("quantity", none, "``: is not a finite decimal number"),
            ("quantity", wholes(1 << 54), "`18014398509481984`: is too large: expected at most 2^53 lots"),
            (
                "quantity",
                Arc::new(decimal.with_precision_and_scale(18, 3).unwrap()),
                "`1.500`: is finer than a lot",
            ),
            ("quantity", Arc::new(wide.with_precision_and_scale(38, 0).unwrap()), "is too large"),
            ("quantity", names(Some("1,5"), "1"), "`1,5`: is not a finite decimal number"),
            ("account", names(Some(""), "a"), "``: "),
            ("account", names(None, "a"), "``: "),
            ("account", names(Some("a "), "a"), "`a `: "),
            ("instrument", names(Some("BTC-X"), "BTC-PERPETUAL"), "`BTC-X`: "),
            ("instrument", names(None, "BTC-PERPETUAL"), "``: "),
        ];
        for (field, column, expected) in cases {
            for (group, listed) in [(2, true), (3, false), (5, true), (5, false)] {
                let mut columns = [
                    ("account", names(Some("a"), "a")),
                    ("instrument", names(Some("BTC-PERPETUAL"), "BTC-PERPETUAL")),
                    ("quantity", floats(4.0)),
                ];
                for own in columns.iter_mut().filter(|own| own.0 == field) {
                    own.1 = column.clone();
                }
                let error = read_bytes("bad", &parquet(&columns, group, listed)).unwrap_err().to_string();
                let place = format!(": row 4: field `{field}`: value ");
                assert!(error.contains(&place) && error.contains(expected), "{error}");
            }
        }
        let day: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        let columns =
            [("account", texts([Some("a")])), ("instrument", texts([Some("BTC")])), ("quantity", day)];
        let error = read_bytes("day", &parquet(&columns, 5, true)).unwrap_err().to_string();
        assert!(error.contains("column `quantity` is Date32: expected text, decimals or numbers"), "{error}");
    }

    #[test]
    fn a_pair_in_two_row_groups_is_summed_and_named() {
        let columns = [
            ("account", texts([Some("a"), Some("b"), Some("a"), Some("a")])),
            ("instrument", texts([Some("BTC"), Some("BTC"), Some("ETH-PERPETUAL"), Some("BTC")])),
            ("quantity", Arc::new(Float64Array::from(vec![1.0, 1.0, 1.0, 0.5])) as ArrayRef),
        ];
        let mut read = read_bytes("twice", &parquet(&columns, 2, true)).unwrap();
        let (named, count) = read.builder.duplicates().unwrap();
        assert_eq!((count, named[0].account.as_str(), named[0].rows), (1, "a", 2));
        let lots: Vec<i64> = read.builder.positions().unwrap().iter().map(|row| row.lots.0).collect();
        assert_eq!(lots, [1500, 1, 1000]);
    }
}
