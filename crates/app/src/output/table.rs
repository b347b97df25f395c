//! A table with typed columns, printed for people or written as CSV.

use anyhow::Context;
use comfy_table::{CellAlignment, ContentArrangement, presets};
use plimsoll_types::{Decimal, Timestamp};
use std::io::Write;

/// What a column holds; decides its alignment and its type in Parquet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Words, names, times.
    Text,
    /// Exact decimals.
    Amount,
    /// Counts.
    Integer,
    /// Floats: volatilities, errors.
    Number,
}

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// Words.
    Text(String),
    /// An exact decimal.
    Amount(Decimal),
    /// A count.
    Integer(i64),
    /// A float, with the number of decimals people are shown.
    Number(f64, usize),
    /// Nothing is known.
    Empty,
}

impl Cell {
    /// Anything that prints.
    pub fn text(shown: impl ToString) -> Self {
        Self::Text(shown.to_string())
    }

    /// A count.
    pub fn count(n: usize) -> Self {
        Self::Integer(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// A float that may be missing.
    pub fn number(x: Option<f64>, decimals: usize) -> Self {
        x.map_or(Self::Empty, |x| Self::Number(x, decimals))
    }

    /// An instant, to the second.
    pub fn time(at: Timestamp) -> Self {
        Self::text(Timestamp::from_seconds(at.seconds()))
    }

    /// As people read it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Amount(amount) => amount.to_string(),
            Self::Integer(n) => n.to_string(),
            Self::Number(x, decimals) => format!("{x:.decimals$}"),
            Self::Empty => String::new(),
        }
    }

    /// As people read it, an amount padded with zeros to `scale` decimals.
    fn aligned(&self, scale: u32) -> String {
        let Self::Amount(mut amount) = *self else { return self.shown() };
        amount.rescale(scale.max(amount.scale()));
        amount.to_string()
    }

    /// As programs read it: floats in their shortest exact form.
    fn exact(&self) -> String {
        match self {
            Self::Number(x, _) => x.to_string(),
            other => other.shown(),
        }
    }

    /// The value in JSON: amounts as text, so that no reader makes floats of them.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Amount(amount) => amount.to_string().into(),
            Self::Integer(n) => (*n).into(),
            Self::Number(x, _) => (*x).into(),
            Self::Empty => serde_json::Value::Null,
        }
    }
}

/// Rows under named columns.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    /// Printed above it for people; empty for none.
    pub title: String,
    /// Names and kinds, left to right.
    pub columns: Vec<(String, Kind)>,
    /// Rows, each as wide as `columns`.
    pub rows: Vec<Vec<Cell>>,
    /// Rows below a rule, for people only: totals.
    pub footer: Vec<Vec<Cell>>,
    /// Whether people are shown every row, however few they ask for: a summary.
    pub whole: bool,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: &[(&str, Kind)]) -> Self {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        Self { title: title.into(), columns, ..Self::default() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert!(row.len() == self.columns.len(), "a row is as wide as its table");
        self.rows.push(row);
    }

    /// For people: aligned, at most `top` rows.
    pub fn print(&self, out: &mut dyn Write, top: Option<usize>) -> std::io::Result<()> {
        if !self.title.is_empty() {
            writeln!(out, "{}", self.title)?;
        }
        let shown = top.filter(|_| !self.whole).unwrap_or(usize::MAX).min(self.rows.len());
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.columns.iter().map(|(name, _)| name));
        let scales = self.scales();
        for row in self.rows.iter().take(shown).chain(&self.footer) {
            table.add_row(row.iter().zip(&scales).map(|(cell, scale)| cell.aligned(*scale)));
        }
        for ((_, kind), column) in self.columns.iter().zip(table.column_iter_mut()) {
            if *kind != Kind::Text {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(out, "{table}")?;
        if shown < self.rows.len() {
            writeln!(out, "({} more rows)", self.rows.len() - shown)?;
        }
        writeln!(out)
    }

    /// Per column, the most decimals an amount in it has: all amounts of a column are shown with as many.
    fn scales(&self) -> Vec<u32> {
        let scale = |at: usize| {
            let cells = self.rows.iter().chain(&self.footer).filter_map(|row| row.get(at));
            cells.map(|cell| if let Cell::Amount(amount) = cell { amount.scale() } else { 0 }).max()
        };
        (0..self.columns.len()).map(|at| scale(at).unwrap_or(0)).collect()
    }

    /// As CSV with a header.
    pub fn write_csv(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(self.columns.iter().map(|(name, _)| name)).context("writing CSV")?;
        for row in &self.rows {
            csv.write_record(row.iter().map(Cell::exact)).context("writing CSV")?;
        }
        csv.flush().context("writing CSV")
    }

    /// As a JSON array of objects.
    pub fn json(&self) -> serde_json::Value {
        let object = |row: &Vec<Cell>| {
            let pairs = self.columns.iter().zip(row);
            pairs.map(|((name, _), cell)| (name.clone(), cell.json())).collect::<serde_json::Map<_, _>>()
        };
        self.rows.iter().map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new("Accounts", &[("account", Kind::Text), ("im", Kind::Amount)]);
        table.push(vec![Cell::text("a,b"), Cell::Amount(Decimal::new(12_345_678, 6))]);
        table.push(vec![Cell::text("c"), Cell::Amount(Decimal::new(-1, 6))]);
        table
    }

    #[test]
    fn csv_keeps_every_digit_and_quotes_what_needs_it() {
        let mut out = Vec::new();
        sample().write_csv(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "account,im\n\"a,b\",12.345678\nc,-0.000001\n");
    }

    #[test]
    fn people_are_told_how_many_rows_are_left_out() {
        let mut out = Vec::new();
        sample().print(&mut out, Some(1)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("12.345678") && !text.contains("-0.000001"), "{text}");
        assert!(text.contains("(1 more rows)"), "{text}");
    }

    #[test]
    fn json_holds_amounts_as_text() {
        assert_eq!(sample().json()[0]["im"], "12.345678");
    }
}
