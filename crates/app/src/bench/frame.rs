//! Columns of plain numbers and words, as Parquet and as CSV, to the last bit.
//!
//! The form in which inputs and answers go to other programs: no decimals, no nulls, one type per column.

use anyhow::{Context, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use plimsoll_types::Decimal;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

/// Digits a decimal column has room for.
const DIGITS: u8 = 18;

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    /// `f64`.
    Float,
    /// `i64`.
    Integer,
    /// `u32`: places in another table.
    Index,
    /// Words.
    Text,
}

/// The values of a column.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Values {
    Float(Vec<f64>),
    Integer(Vec<i64>),
    Index(Vec<u32>),
    Text(Vec<String>),
    /// Words of a list, by place: written as text.
    Named {
        places: Vec<u32>,
        names: Vec<String>,
    },
    /// Exact decimals: integers over ten to the power of `scale`.
    Decimal {
        mantissas: Vec<i64>,
        scale: u8,
    },
}

/// A named column with a word on what it holds.
#[derive(Clone, PartialEq, Debug)]
struct Column {
    name: String,
    about: String,
    values: Values,
}

/// Columns of one length under one name.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Frame {
    /// The file's name without its ending.
    pub(super) name: String,
    /// What a row is.
    pub(super) about: String,
    columns: Vec<Column>,
}

impl Values {
    fn empty(of: Type) -> Self {
        match of {
            Type::Float => Self::Float(Vec::new()),
            Type::Integer => Self::Integer(Vec::new()),
            Type::Index => Self::Index(Vec::new()),
            Type::Text => Self::Text(Vec::new()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::Index(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Named { places, .. } => places.len(),
            Self::Decimal { mantissas, .. } => mantissas.len(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float64",
            Self::Integer(_) => "int64",
            Self::Index(_) => "uint32",
            Self::Text(_) | Self::Named { .. } => "text",
            Self::Decimal { .. } => "decimal",
        }
    }

    fn array(&self) -> anyhow::Result<ArrayRef> {
        Ok(match self {
            Self::Float(v) => Arc::new(Float64Array::from_iter_values(v.iter().copied())),
            Self::Integer(v) => Arc::new(Int64Array::from_iter_values(v.iter().copied())),
            Self::Index(v) => Arc::new(UInt32Array::from_iter_values(v.iter().copied())),
            Self::Text(v) => Arc::new(StringArray::from_iter_values(v)),
            Self::Named { places, names } => {
                Arc::new(StringArray::from_iter(places.iter().map(|place| names.get(*place as usize))))
            }
            Self::Decimal { mantissas, scale } => {
                let wide = Decimal128Array::from_iter_values(mantissas.iter().map(|m| i128::from(*m)));
                Arc::new(wide.with_precision_and_scale(DIGITS, i8::try_from(*scale)?)?)
            }
        })
    }

    /// Adds a part of a column of a Parquet file; `None` when its type is another or a value is missing.
    fn extend(&mut self, array: &ArrayRef) -> Option<()> {
        if array.null_count() > 0 {
            return None;
        }
        match self {
            Self::Float(v) => v.extend_from_slice(array.as_primitive_opt::<Float64Type>()?.values()),
            Self::Integer(v) => v.extend_from_slice(array.as_primitive_opt::<Int64Type>()?.values()),
            Self::Index(v) => v.extend_from_slice(array.as_primitive_opt::<UInt32Type>()?.values()),
            Self::Text(v) => {
                v.extend(array.as_string_opt::<i32>()?.iter().flatten().map(str::to_owned));
            }
            Self::Named { .. } | Self::Decimal { .. } => return None,
        }
        Some(())
    }

    /// Adds a field of a CSV file; `None` when it is no such value.
    fn push(&mut self, field: &str) -> Option<()> {
        match self {
            Self::Float(v) => v.push(field.parse().ok()?),
            Self::Integer(v) => v.push(field.parse().ok()?),
            Self::Index(v) => v.push(field.parse().ok()?),
            Self::Text(v) => v.push(field.to_owned()),
            Self::Named { .. } | Self::Decimal { .. } => return None,
        }
        Some(())
    }

    fn write_field(&self, row: usize, text: &mut String) {
        use std::fmt::Write;
        text.clear();
        let written = match self {
            Self::Float(v) => v.get(row).map(|x| write!(text, "{x}")),
            Self::Integer(v) => v.get(row).map(|x| write!(text, "{x}")),
            Self::Index(v) => v.get(row).map(|x| write!(text, "{x}")),
            Self::Text(v) => v.get(row).map(|x| write!(text, "{x}")),
            Self::Named { places, names } => {
                places.get(row).and_then(|p| names.get(*p as usize)).map(|x| write!(text, "{x}"))
            }
            Self::Decimal { mantissas, scale } => mantissas
                .get(row)
                .map(|m| write!(text, "{}", Decimal::new(*m, u32::from(*scale)).normalize())),
        };
        debug_assert!(matches!(written, Some(Ok(()))), "a frame's columns have one length");
    }
}

impl Frame {
    /// Without columns.
    pub(super) fn new(name: &str, about: &str) -> Self {
        Self { name: name.to_owned(), about: about.to_owned(), columns: Vec::new() }
    }

    /// With one column more.
    pub(super) fn with(mut self, name: &str, about: &str, values: Values) -> Self {
        self.columns.push(Column { name: name.to_owned(), about: about.to_owned(), values });
        self
    }

    /// With one column of numbers more.
    pub(super) fn float(self, name: &str, about: &str, values: Vec<f64>) -> Self {
        self.with(name, about, Values::Float(values))
    }

    /// With one column of integers more.
    pub(super) fn integer(self, name: &str, about: &str, values: Vec<i64>) -> Self {
        self.with(name, about, Values::Integer(values))
    }

    /// With one column of places more.
    pub(super) fn index(self, name: &str, about: &str, values: Vec<u32>) -> Self {
        self.with(name, about, Values::Index(values))
    }

    /// With one column of words more.
    pub(super) fn text(self, name: &str, about: &str, values: Vec<String>) -> Self {
        self.with(name, about, Values::Text(values))
    }

    /// With one column of words of a list more.
    pub(super) fn named(self, name: &str, about: &str, places: Vec<u32>, names: Vec<String>) -> Self {
        self.with(name, about, Values::Named { places, names })
    }

    /// With one column of exact decimals more.
    pub(super) fn decimal(self, name: &str, about: &str, mantissas: Vec<i64>, scale: u8) -> Self {
        self.with(name, about, Values::Decimal { mantissas, scale })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// What the file and its columns hold, as a section of a page.
    pub(super) fn described(&self) -> String {
        let line = |c: &Column| format!("| `{}` | {} | {} |\n", c.name, c.values.kind(), c.about);
        let lines: String = self.columns.iter().map(line).collect();
        format!(
            "### `{}`: {} rows\n\n{}\n\n| column | type | meaning |\n|---|---|---|\n{lines}\n",
            self.name,
            self.len(),
            self.about
        )
    }

    /// Writes `NAME.parquet` and `NAME.csv` into a directory.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        self.write_parquet(directory)?;
        self.write_csv(directory)
    }

    fn check(&self) -> anyhow::Result<()> {
        let first = self.len();
        if let Some(other) = self.columns.iter().find(|column| column.values.len() != first) {
            bail!(
                "{}: column {} has {} values, the first has {first}",
                self.name,
                other.name,
                other.values.len()
            );
        }
        Ok(())
    }

    /// Writes `NAME.parquet` into a directory.
    pub(super) fn write_parquet(&self, directory: &Path) -> anyhow::Result<()> {
        self.check()?;
        let path = directory.join(format!("{}.parquet", self.name));
        let cannot = || format!("{}: cannot be written", path.display());
        let array = |column: &Column| Ok((column.name.clone(), column.values.array()?));
        let columns =
            self.columns.iter().map(array).collect::<anyhow::Result<Vec<_>>>().with_context(cannot)?;
        let batch = RecordBatch::try_from_iter(columns).with_context(cannot)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = BufWriter::new(File::create(&path).with_context(cannot)?);
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).with_context(cannot)?;
        writer.write(&batch).with_context(cannot)?;
        writer.close().with_context(cannot)?;
        Ok(())
    }

    /// Writes `NAME.csv` into a directory.
    pub(super) fn write_csv(&self, directory: &Path) -> anyhow::Result<()> {
        self.check()?;
        let path = directory.join(format!("{}.csv", self.name));
        let cannot = || format!("{}: cannot be written", path.display());
        let mut writer = csv::Writer::from_path(&path).with_context(cannot)?;
        writer.write_record(self.columns.iter().map(|column| &column.name)).with_context(cannot)?;
        let mut text = String::new();
        for row in 0..self.len() {
            for column in &self.columns {
                column.values.write_field(row, &mut text);
                writer.write_field(&text).with_context(cannot)?;
            }
            writer.write_record(None::<&[u8]>).with_context(cannot)?;
        }
        writer.flush().with_context(cannot)
    }

    /// Reads the columns of these names and types from `NAME.parquet` of a directory, or from `NAME.csv` where there is
    /// no such file.
    pub(super) fn read(directory: &Path, name: &str, wanted: &[(&str, Type)]) -> anyhow::Result<Self> {
        let mut frame = Self::new(name, "");
        frame.columns = wanted
            .iter()
            .map(|(name, of)| Column {
                name: (*name).to_owned(),
                about: String::new(),
                values: Values::empty(*of),
            })
            .collect();
        let path = directory.join(format!("{name}.parquet"));
        if path.exists() {
            frame.read_parquet(&path)?;
        } else {
            frame.read_csv(&directory.join(format!("{name}.csv")))?;
        }
        Ok(frame)
    }

    fn read_parquet(&mut self, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("{}: cannot be read", path.display());
        let file = File::open(path).with_context(cannot)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).with_context(cannot)?;
        for batch in reader.with_batch_size(1 << 16).build().with_context(cannot)? {
            let batch = batch.with_context(cannot)?;
            for column in &mut self.columns {
                let Column { name, values, .. } = column;
                let kind = values.kind();
                let expected = || format!("{}: column {name}: expected {kind}", path.display());
                let found = batch.column_by_name(name).with_context(expected)?;
                if values.extend(found).is_none() {
                    bail!("{}, found {}", expected(), found.data_type());
                }
            }
        }
        Ok(())
    }

    fn read_csv(&mut self, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("{}: cannot be read", path.display());
        let mut reader = csv::Reader::from_path(path).with_context(cannot)?;
        let header = reader.headers().with_context(cannot)?.clone();
        let place = |column: &Column| {
            let found = header.iter().position(|name| name == column.name);
            found.with_context(|| format!("{}: there is no column {}", path.display(), column.name))
        };
        let places = self.columns.iter().map(place).collect::<anyhow::Result<Vec<usize>>>()?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).with_context(cannot)? {
            for (column, place) in self.columns.iter_mut().zip(&places) {
                let field = record.get(*place).unwrap_or_default();
                if column.values.push(field).is_none() {
                    let line = record.position().map_or(0, csv::Position::line);
                    let (name, kind) = (&column.name, column.values.kind());
                    bail!("{}: line {line}: column {name}: `{field}`: expected {kind}", path.display());
                }
            }
        }
        Ok(())
    }

    /// Takes a column out of what [`Frame::read`] read.
    fn take(&mut self, name: &str) -> anyhow::Result<Values> {
        let at = self.columns.iter().position(|column| column.name == name);
        let at = at.with_context(|| format!("{}: there is no column {name}", self.name))?;
        Ok(self.columns.remove(at).values)
    }

    /// Takes a column of numbers out.
    pub(super) fn floats(&mut self, name: &str) -> anyhow::Result<Vec<f64>> {
        match self.take(name)? {
            Values::Float(values) => Ok(values),
            other => bail!("{}: column {name} holds {}, expected float64", self.name, other.kind()),
        }
    }

    /// Takes a column of integers out.
    pub(super) fn integers(&mut self, name: &str) -> anyhow::Result<Vec<i64>> {
        match self.take(name)? {
            Values::Integer(values) => Ok(values),
            other => bail!("{}: column {name} holds {}, expected int64", self.name, other.kind()),
        }
    }

    /// Takes a column of places out.
    pub(super) fn indices(&mut self, name: &str) -> anyhow::Result<Vec<u32>> {
        match self.take(name)? {
            Values::Index(values) => Ok(values),
            other => bail!("{}: column {name} holds {}, expected uint32", self.name, other.kind()),
        }
    }

    /// Takes a column of words out.
    pub(super) fn words(&mut self, name: &str) -> anyhow::Result<Vec<String>> {
        match self.take(name)? {
            Values::Text(values) => Ok(values),
            other => bail!("{}: column {name} holds {}, expected text", self.name, other.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_comes_back_from_either_form() {
        let directory = std::env::temp_dir().join(format!("plimsoll-frame-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let numbers = vec![0.1, -1e-300, 1e300, f64::MIN_POSITIVE / 3.0];
        let frame = Frame::new("sample", "A row is nothing.")
            .float("x", "a number", numbers.clone())
            .integer("i", "an integer", vec![i64::MIN, -1, 0, i64::MAX])
            .index("n", "a place", vec![0, 1, 2, u32::MAX])
            .text("t", "a word", ["a", "b,c", "\"d\"", ""].map(str::to_owned).to_vec());
        frame.write(&directory).unwrap();
        let wanted = [("x", Type::Float), ("i", Type::Integer), ("n", Type::Index), ("t", Type::Text)];
        let parquet = Frame::read(&directory, "sample", &wanted).unwrap();
        std::fs::remove_file(directory.join("sample.parquet")).unwrap();
        let mut csv = Frame::read(&directory, "sample", &wanted).unwrap();
        assert_eq!(parquet, csv);
        assert_eq!(csv.floats("x").unwrap().map_bits(), numbers.map_bits());
        assert_eq!(csv.words("t").unwrap()[1], "b,c");
        assert!(Frame::read(&directory, "sample", &[("x", Type::Integer)]).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    trait MapBits {
        fn map_bits(&self) -> Vec<u64>;
    }

    impl MapBits for Vec<f64> {
        fn map_bits(&self) -> Vec<u64> {
            self.iter().map(|x| x.to_bits()).collect()
        }
    }
}
