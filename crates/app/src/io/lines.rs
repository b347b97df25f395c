//! Comma-separated text in pieces of whole lines, and the records on each line.
//!
//! **The one idea:** a quote must close on the line it begins on, so that text may be cut after any line and the pieces
//! read side by side; a line without quotes is cut at its commas and only what is unusual goes through the `csv` grammar.

use super::error::{InputError, Refusal, shortened};
use super::rows::{Columns, Fields};
use csv_core::ReadRecordResult;
use memchr::{memchr, memchr_iter, memchr2, memrchr};
use std::io::{self, Read};

/// A line of a table is never longer than this many bytes; a file without line ends is not held in memory.
pub(super) const LINE_MAX: usize = 1 << 20;

/// Bytes of a piece, about.
const PIECE: usize = 4 * LINE_MAX;

/// Whole lines of a file.
pub(super) struct Piece {
    text: Vec<u8>,
    /// The number of its first line; lines count from 1.
    line: u64,
}

/// Some pieces, and what came after them instead of more.
#[derive(Default)]
pub(super) struct Wave {
    pub pieces: Vec<Piece>,
    pub error: Option<InputError>,
}

/// A text that is read piece by piece.
pub(super) struct Lines<R> {
    reader: R,
    name: String,
    /// The beginning of a line whose end is not read yet.
    begun: Vec<u8>,
    /// Lines read whole.
    whole: u64,
    ended: bool,
    broken: Option<io::Error>,
}

/// Where the columns of a kind of file are on a line.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    columns: Columns,
    places: Vec<Option<usize>>,
    width: usize,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R, name: &str) -> Self {
        let (name, begun) = (name.to_owned(), Vec::new());
        Self { reader, name, begun, whole: 0, ended: false, broken: None }
    }

    fn broken(&self, reason: String) -> InputError {
        InputError::Broken { file: self.name.clone(), line: self.whole, reason }
    }

    /// The next piece; what went wrong on the way comes after the lines before it.
    pub(super) fn piece(&mut self) -> Result<Option<Piece>, InputError> {
        if let Some(error) = self.broken.take() {
            return Err(self.broken(error.to_string()));
        }
        if self.ended {
            return Ok(None);
        }
        let mut text = std::mem::take(&mut self.begun);
        text.reserve(PIECE - text.len());
        let rest = (PIECE - text.len()) as u64;
        self.broken = Read::by_ref(&mut self.reader).take(rest).read_to_end(&mut text).err();
        self.ended = self.broken.is_some() || text.len() < PIECE;
        if self.broken.is_some() || !self.ended {
            let cut = memrchr(b'\n', &text).map_or(0, |at| at + 1);
            self.begun = text.split_off(cut);
        }
        if text.is_empty() {
            return self.no_line();
        }
        let line = self.whole + 1;
        self.whole += memchr_iter(b'\n', &text).count() as u64;
        Ok(Some(Piece { text, line }))
    }

    /// When no line end was found.
    fn no_line(&mut self) -> Result<Option<Piece>, InputError> {
        if let Some(error) = self.broken.take() {
            return Err(self.broken(error.to_string()));
        }
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        Err(self.broken(too_long(self.whole + 1)))
    }

    /// At most so many pieces.
    pub(super) fn wave(&mut self, pieces: usize) -> Wave {
        let mut wave = Wave::default();
        while wave.pieces.len() < pieces && wave.error.is_none() {
            match self.piece() {
                Ok(Some(piece)) => wave.pieces.push(piece),
                Ok(None) => break,
                Err(error) => wave.error = Some(error),
            }
        }
        wave
    }

    /// The header, and what is left of the piece it is in.
    pub(super) fn begin(&mut self, columns: Columns) -> Result<(Layout, Piece), InputError> {
        let file = self.name.clone();
        let empty = || InputError::Empty { file: file.clone(), expected: columns.shown() };
        let Some(mut piece) = self.piece()? else { return Err(empty()) };
        let mut names = Vec::new();
        while names.is_empty() && !piece.text.is_empty() {
            names = piece.cut_record(&self.name)?;
        }
        if names.is_empty() {
            return Err(empty());
        }
        let places = columns.places(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let places = places.ok_or_else(|| wrong_columns(&self.name, &names, columns))?;
        Ok((Layout { columns, places, width: names.len() }, piece))
    }
}

/// The refusal of a table by its columns.
pub(super) fn wrong_columns(name: &str, found: &[String], columns: Columns) -> InputError {
    let found = shortened(&found.join(","));
    InputError::Columns { file: name.to_owned(), found, expected: columns.shown() }
}

fn too_long(line: u64) -> String {
    format!("line {line} is longer than {LINE_MAX} bytes")
}

impl Piece {
    /// Cuts off the first record; empty when the first line has none.
    fn cut_record(&mut self, name: &str) -> Result<Vec<String>, InputError> {
        let end = memchr(b'\n', &self.text).unwrap_or(self.text.len());
        let line = self.text.get(..end).unwrap_or(&[]);
        let mut grammar = Grammar::default();
        grammar.begin(line, self.line, name)?;
        let (read, cells) = grammar.record(line, self.line, name)?;
        let texts = |i| String::from_utf8_lossy(grammar.cell(i)).into_owned();
        let cells = (0..cells).map(texts).collect();
        if read == end {
            self.line += 1;
            self.text.drain(..(end + 1).min(self.text.len()));
        } else {
            self.text.drain(..read);
        }
        Ok(cells)
    }
}

/// The grammar of quotes, for lines that need it.
struct Grammar {
    core: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Default for Grammar {
    fn default() -> Self {
        Self { core: csv_core::Reader::new(), text: Vec::new(), ends: Vec::new() }
    }
}

impl Grammar {
    /// Begins a line, which is checked as a whole. Its end is not part of it.
    fn begin(&mut self, line: &[u8], number: u64, name: &str) -> Result<(), InputError> {
        self.core.reset();
        if memchr_iter(b'"', line).count().is_multiple_of(2) { Ok(()) } else { Err(open_quote(number, name)) }
    }

    /// Reads a record from what is left of a line; how many bytes that took and how many cells it has (0 when nothing
    /// but line ends is left).
    fn record(&mut self, line: &[u8], number: u64, name: &str) -> Result<(usize, usize), InputError> {
        // No output is longer than its input, nor has it more cells than bytes, and one more for the line end.
        self.text.resize(line.len() + 1, 0);
        self.ends.resize(line.len() + 1, 0);
        let (mut result, mut read, mut written, mut cells) = (ReadRecordResult::InputEmpty, 0, 0, 0);
        if !line.is_empty() {
            (result, read, written, cells) = self.core.read_record(line, &mut self.text, &mut self.ends);
        }
        if result == ReadRecordResult::InputEmpty {
            let (text, ends) = (&mut self.text[written..], &mut self.ends[cells..]);
            let (at_end, _, more_written, more_cells) = self.core.read_record(b"\n", text, ends);
            (result, written, cells) = (at_end, written + more_written, cells + more_cells);
        }
        match result {
            ReadRecordResult::Record => Ok((read, cells)),
            _ if written + cells == 0 => Ok((read, 0)),
            _ => Err(open_quote(number, name)),
        }
    }

    /// A cell of the record read last.
    fn cell(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or(0);
        self.text.get(at.checked_sub(1).map_or(0, end)..end(at)).unwrap_or(&[])
    }
}

fn open_quote(number: u64, name: &str) -> InputError {
    let reason = format!("a quote on line {number} is not closed on it");
    InputError::Broken { file: name.to_owned(), line: number - 1, reason }
}

impl Layout {
    fn check_width(&self, cells: usize, line: u64, name: &str) -> Result<(), InputError> {
        if cells == self.width {
            return Ok(());
        }
        let (file, found, expected) = (name.to_owned(), cells as u64, self.width as u64);
        Err(InputError::Width { file, line, found, expected })
    }

    /// The cells of a row in the order of the columns.
    #[inline]
    fn arrange<'a>(&self, cells: &[&'a str], fields: &mut Vec<Option<&'a str>>) {
        fields.clear();
        for (i, place) in self.places.iter().enumerate() {
            let text = place.and_then(|at| cells.get(at)).copied();
            let kept = i < self.columns.required.len();
            fields.push(text.filter(|text| kept || !text.is_empty()));
        }
    }
}

/// Hands every row of a piece to `each` and says how many there were.
pub(super) fn each_record(
    piece: &Piece,
    layout: &Layout,
    name: &str,
    mut each: impl FnMut(u64, &Fields<'_>) -> Result<(), Refusal>,
) -> Result<u64, InputError> {
    let text = std::str::from_utf8(&piece.text).ok();
    let usual = text.filter(|text| memchr2(b'"', b'\r', text.as_bytes()).is_none());
    let (mut rows, mut number, mut start) = (0, piece.line, 0);
    let (mut grammar, mut cells, mut fields) = (Grammar::default(), Vec::new(), Vec::new());
    while start < piece.text.len() {
        let rest = &piece.text[start..];
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        if end >= LINE_MAX && (end > LINE_MAX || start + end < piece.text.len()) {
            let (file, reason) = (name.to_owned(), too_long(number));
            return Err(InputError::Broken { file, line: number - 1, reason });
        }
        let plain = text.and_then(|text| plain_line(text, start, start + end, usual.is_some()));
        match plain {
            Some("") => {}
            Some(line) => {
                cut(line, &mut cells);
                layout.check_width(cells.len(), number, name)?;
                layout.arrange(&cells, &mut fields);
                each(number, &fields).map_err(|refusal| refusal.at(name, "line", number))?;
                rows += 1;
            }
            None => rows += unusual_line(&rest[..end], number, (layout, name), &mut grammar, &mut each)?,
        }
        start += end + 1;
        number += 1;
    }
    Ok(rows)
}

/// A line that can be cut at its commas, without its end; `None` for one with quotes, or carriage returns in the middle.
#[inline]
fn plain_line(text: &str, start: usize, end: usize, usual: bool) -> Option<&str> {
    let line = text.get(start..end)?;
    if usual {
        return Some(line);
    }
    let line = line.trim_end_matches('\r');
    memchr2(b'"', b'\r', line.as_bytes()).is_none().then_some(line)
}

#[inline]
fn cut<'a>(line: &'a str, cells: &mut Vec<&'a str>) {
    cells.clear();
    let mut start = 0;
    for comma in memchr_iter(b',', line.as_bytes()) {
        cells.push(line.get(start..comma).unwrap_or_default());
        start = comma + 1;
    }
    cells.push(line.get(start..).unwrap_or_default());
}

/// The rows of a line with quotes, carriage returns, or bytes that are no text.
fn unusual_line(
    line: &[u8],
    number: u64,
    (layout, name): (&Layout, &str),
    grammar: &mut Grammar,
    each: &mut impl FnMut(u64, &Fields<'_>) -> Result<(), Refusal>,
) -> Result<u64, InputError> {
    let (mut rows, mut start) = (0, 0);
    grammar.begin(line, number, name)?;
    while start < line.len() {
        let (read, count) = grammar.record(&line[start..], number, name)?;
        start += read;
        if count == 0 {
            break;
        }
        layout.check_width(count, number, name)?;
        let mut cells = Vec::with_capacity(count);
        for at in 0..count {
            let text = utf8(grammar.cell(at), at, layout);
            cells.push(text.map_err(|refusal| refusal.at(name, "line", number))?);
        }
        let mut fields = Vec::with_capacity(layout.places.len());
        layout.arrange(&cells, &mut fields);
        each(number, &fields).map_err(|refusal| refusal.at(name, "line", number))?;
        rows += 1;
    }
    Ok(rows)
}

fn utf8<'a>(cell: &'a [u8], at: usize, layout: &Layout) -> Result<&'a str, Refusal> {
    std::str::from_utf8(cell).map_err(|_| {
        let column = layout.columns.names().zip(&layout.places).find(|(_, place)| **place == Some(at));
        let column = column.map_or("", |(name, _)| name);
        Refusal::new(column, &String::from_utf8_lossy(cell), "expected UTF-8 text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: Columns = Columns { required: &["a", "b"], optional: &["c"], repeated: &[] };

    type Rows = Vec<(u64, Vec<Option<String>>)>;

    fn read(bytes: &[u8]) -> (Rows, Option<String>) {
        let layout = Layout { columns: COLUMNS, places: vec![Some(1), Some(0), Some(2)], width: 3 };
        let piece = Piece { text: bytes.to_vec(), line: 5 };
        let mut rows = Rows::new();
        let outcome = each_record(&piece, &layout, "t.csv", |line, fields| {
            rows.push((line, fields.iter().map(|field| field.map(str::to_owned)).collect()));
            Ok(())
        });
        (rows, outcome.err().map(|error| error.to_string()))
    }

    /// The reference: every line through the `csv` crate.
    fn naive(bytes: &[u8]) -> (Rows, Option<String>) {
        let mut rows = Rows::new();
        for (line, number) in bytes.split(|byte| *byte == b'\n').zip(5..) {
            let open =
                format!("t.csv: a quote on line {number} is not closed on it, after line {}", number - 1);
            if line.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
                return (rows, Some(open));
            }
            let whole = [line, b"\n"].concat();
            let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&whole[..]);
            for record in csv.byte_records() {
                let record = record.unwrap();
                if record.iter().any(|cell| cell.contains(&b'\n')) {
                    return (rows, Some(open));
                }
                if record.len() != 3 {
                    let found = record.len();
                    let error = format!("t.csv: line {number}: {found} fields; expected 3, as in the header");
                    return (rows, Some(error));
                }
                for (cell, name) in record.iter().zip(["b", "a", "c"]) {
                    if std::str::from_utf8(cell).is_err() {
                        let refusal =
                            Refusal::new(name, &String::from_utf8_lossy(cell), "expected UTF-8 text");
                        return (rows, Some(refusal.at("t.csv", "line", number).to_string()));
                    }
                }
                let text = |at: usize| Some(String::from_utf8(record[at].to_vec()).unwrap());
                rows.push((number, vec![text(1), text(0), text(2).filter(|text| !text.is_empty())]));
            }
        }
        (rows, None)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let cell = || {
            prop_oneof![
                4 => Just(b"x1".to_vec()),
                2 => Just(Vec::new()),
                1 => Just(b"\"q,\"\"r\"".to_vec()),
                1 => Just("é ".as_bytes().to_vec()),
                1 => prop::collection::vec(prop::sample::select(b"a,\"\r\n \xff".to_vec()), 0..4),
            ]
        };
        let end = prop_oneof![3 => Just(b"\n".to_vec()), 1 => Just(b"\r\n".to_vec()), 1 => Just(b"\n\n".to_vec()), 1 => Just(b"\r".to_vec())];
        let line = (cell(), cell(), cell(), end)
            .prop_map(|(a, b, c, end)| [&a[..], b",", &b, b",", &c, &end].concat());
        (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, cut)| {
            let mut all = lines.concat();
            if cut {
                all.pop();
            }
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_lines_read_as_one_by_one_through_the_csv_crate(bytes in bytes()) {
            prop_assert_eq!(read(&bytes), naive(&bytes));
        }

        #[test]
        fn any_bytes_read_as_one_by_one_through_the_csv_crate(bytes in prop::collection::vec(prop::sample::select(b"a,,,\"\r\n\xff".to_vec()), 0..40)) {
            prop_assert_eq!(read(&bytes), naive(&bytes));
        }
    }

    #[test]
    fn pieces_are_cut_at_line_ends_and_their_lines_counted() {
        let mut text = Vec::new();
        for i in 0..1_000_000 {
            text.extend(format!("{i}\n").bytes());
        }
        let mut lines = Lines::new(&text[..], "t.csv");
        let (mut all, mut next) = (Vec::new(), 1);
        while let Some(piece) = lines.piece().unwrap() {
            assert_eq!(piece.line, next);
            next += piece.text.iter().filter(|byte| **byte == b'\n').count() as u64;
            all.extend(piece.text);
        }
        assert_eq!((all == text, next), (true, 1_000_001));
    }

    #[test]
    fn lines_before_a_break_are_read_and_the_break_names_the_last() {
        struct Breaks<'a>(&'a [u8]);
        impl Read for Breaks<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(io::Error::other("gone")),
                    read => Ok(read),
                }
            }
        }
        let mut lines = Lines::new(Breaks(b"a,b\n1,2\n3,"), "t.csv");
        assert_eq!(lines.piece().unwrap().unwrap().text, b"a,b\n1,2\n");
        assert_eq!(lines.piece().err().unwrap().to_string(), "t.csv: gone, after line 2");
    }

    #[test]
    fn the_header_may_come_after_blank_lines_and_end_in_any_way() {
        for text in ["a,b\n1,2\n", "\n\r\na,b\r\n1,2", "a,b\r1,2\r", "\"a\",\"b\"\n1,2\n"] {
            let mut lines = Lines::new(text.as_bytes(), "t.csv");
            let (layout, rest) = lines.begin(COLUMNS).unwrap();
            let mut rows = Vec::new();
            each_record(&rest, &layout, "t.csv", |line, fields| {
                rows.push((line, fields[0].unwrap_or_default().to_owned()));
                Ok(())
            })
            .unwrap();
            let line = 1 + text.trim_end().matches('\n').count() as u64;
            assert_eq!(rows, [(line, "1".to_owned())], "{text:?}");
        }
    }
}
