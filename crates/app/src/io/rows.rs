//! Rows of a table with known columns, from CSV or Parquet, as text.

use super::error::{InputError, Refusal};
use super::lines::{Lines, each_record};
use super::source::{Content, Source};
use super::table::{SharedFile, Table, quietly};
use plimsoll_engine::Number;
use std::io::Read;
use std::path::Path;

/// The columns of a kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Must be there.
    pub required: &'static [&'static str],
    /// May be there.
    pub optional: &'static [&'static str],
    /// Those with few values, of which each comes many times.
    pub repeated: &'static [&'static str],
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
    pub(super) fn places(&self, found: &[&str]) -> Option<Vec<Option<usize>>> {
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

/// The same row with numbers as the file has them.
pub type Numbers<'a> = [Option<Number<'a>>];

/// What a row is handed to, with the line (or the row of a Parquet table) it is on.
pub type EachRow<'a> = dyn FnMut(u64, &Numbers<'_>) -> Result<(), Refusal> + 'a;

/// Hands every row of the file to `each` as text and says how many there were. Memory does not grow with the file.
pub fn each_row(
    path: &Path,
    columns: Columns,
    each: &mut dyn FnMut(u64, &Fields<'_>) -> Result<(), Refusal>,
) -> Result<u64, InputError> {
    each_row_of_numbers(path, columns, &mut |line, numbers| {
        let texts: Vec<_> = numbers.iter().map(|number| number.as_ref().map(Number::text)).collect();
        let fields: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        each(line, &fields)
    })
}

/// Hands every row of the file to `each` and says how many there were. Memory does not grow with the file.
pub fn each_row_of_numbers(path: &Path, columns: Columns, each: &mut EachRow<'_>) -> Result<u64, InputError> {
    let Source { name, content } = Source::open(path)?;
    match content {
        Content::Text(reader) => each_text_row(reader, &name, columns, each),
        Content::ParquetFile(file) => {
            let file = SharedFile::new(file)
                .map_err(|reason| InputError::Unreadable { file: name.clone(), reason })?;
            quietly(|| Table::open(file, &name, columns)?.each_row(each))
        }
        Content::ParquetBytes(bytes) => quietly(|| Table::open(bytes, &name, columns)?.each_row(each)),
    }
}

fn each_text_row(
    reader: impl Read,
    name: &str,
    columns: Columns,
    each: &mut EachRow<'_>,
) -> Result<u64, InputError> {
    let mut lines = Lines::new(reader, name);
    let (layout, first) = lines.begin(columns)?;
    let mut each = |line: u64, fields: &Fields<'_>| {
        let numbers: Vec<Option<Number<'_>>> = fields.iter().map(|text| text.map(Number::Text)).collect();
        each(line, &numbers)
    };
    let mut rows = each_record(&first, &layout, name, &mut each)?;
    while let Some(piece) = lines.piece()? {
        rows += each_record(&piece, &layout, name, &mut each)?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns {
        required: &["account", "instrument", "quantity"],
        optional: &["entry_price"],
        repeated: &[],
    };

    type Owned = Vec<Vec<Option<String>>>;

    fn read(text: &str) -> Result<Owned, String> {
        let mut rows = Owned::new();
        let mut keep = |_: u64, fields: &Numbers<'_>| {
            rows.push(fields.iter().map(|f| f.map(|f| f.text().into_owned())).collect());
            Ok(())
        };
        each_text_row(text.as_bytes(), "t.csv", COLUMNS, &mut keep).map_err(|e| e.to_string())?;
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
        let text =
            format!("account,instrument,quantity\na,BTC,{}", "1".repeat(2 * super::super::lines::LINE_MAX));
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
        let error = each_text_row(&text[..], "t.csv", COLUMNS, &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 2: field `account`"), "{error}");
    }
}
