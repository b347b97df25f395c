//! Files: one of every table and day, put in place whole.

use super::Day;
use super::rows::{Datum, Row};
use super::tables::{DIGITS, Kind, SCALE, TABLES, Table};
use anyhow::{Context, bail};
use arrow_array::{
    ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are turned into columns at a time.
const ROWS: usize = 8_192;

/// Bytes of text that are kept in rows before they are.
const TEXT: usize = 8 << 20;

/// Bytes that are kept encoded before they are a row group in the file.
const GROUP: usize = 64 << 20;

/// Whose the folder is. Readers of partitioned files pass over names with an underscore.
const OWNER: &str = "_identity";

/// A file that is in place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Of which table.
    pub table: &'static str,
    /// Of which day.
    pub day: Day,
    /// Where, below the folder.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: usize,
    /// Its size.
    pub bytes: u64,
}

/// The files of the day that is being written, and those that are in place.
pub(super) struct Partitions {
    root: PathBuf,
    identity: String,
    day: Option<Day>,
    /// First and last record of the day.
    span: (u64, u64),
    open: BTreeMap<&'static str, Part>,
    done: Vec<Written>,
}

impl Partitions {
    pub(super) fn new(root: &Path, identity: &str) -> anyhow::Result<Self> {
        claim(root, identity)?;
        Ok(Self {
            root: root.to_owned(),
            identity: identity.to_owned(),
            day: None,
            span: (0, 0),
            open: BTreeMap::new(),
            done: Vec::new(),
        })
    }

    /// What comes now is of this day and record. A day that is over is put in place.
    pub(super) fn enter(&mut self, day: Day, sequence: u64) -> anyhow::Result<()> {
        if self.day != Some(day) {
            self.close()?;
            (self.day, self.span) = (Some(day), (sequence, sequence));
        }
        self.span.1 = sequence;
        Ok(())
    }

    pub(super) fn push(&mut self, table: &Table, row: Row) -> anyhow::Result<()> {
        if !self.open.contains_key(table.name) {
            let Some(day) = self.day else { bail!("a row of no day") };
            self.open.insert(table.name, Part::create(&self.root, *table, day)?);
        }
        match self.open.get_mut(table.name) {
            Some(part) => part.push(row),
            None => bail!("table {} is not open", table.name),
        }
    }

    fn close(&mut self) -> anyhow::Result<()> {
        let Some(day) = self.day.take() else { return Ok(()) };
        let (first, last) = self.span;
        let said = [
            ("plimsoll.identity", self.identity.clone()),
            ("plimsoll.day", day.to_string()),
            ("plimsoll.first_record", first.to_string()),
            ("plimsoll.last_record", last.to_string()),
        ];
        for table in TABLES {
            match self.open.remove(table.name) {
                Some(part) => self.done.push(part.close(&self.root, &said)?),
                // Nothing of it happened that day: a file of an earlier writing would say otherwise.
                None => absent(&self.root.join(place(&table, day)))?,
            }
        }
        Ok(())
    }

    /// Puts the last day in place.
    pub(super) fn finish(mut self) -> anyhow::Result<Vec<Written>> {
        self.close()?;
        Ok(self.done)
    }
}

/// A folder holds the files of one journal: two would be one table to whoever reads it.
fn claim(root: &Path, identity: &str) -> anyhow::Result<()> {
    fs::create_dir_all(root).with_context(|| root.display().to_string())?;
    let path = root.join(OWNER);
    match fs::read_to_string(&path) {
        Ok(found) if found == identity => Ok(()),
        Ok(found) if !found.is_empty() => {
            bail!("{} holds the export of `{found}`, and not of `{identity}`", root.display())
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => fs::write(&path, identity).with_context(|| path.display().to_string()),
    }
}

fn absent(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

fn place(table: &Table, day: Day) -> PathBuf {
    PathBuf::from(format!("table={}/day={day}/part-00000.parquet", table.name))
}

/// A file that is being written, under a name that readers pass over.
struct Part {
    table: Table,
    day: Day,
    unfinished: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    waiting: Vec<Row>,
    /// Bytes of text in them.
    text: usize,
    rows: usize,
}

impl Part {
    fn create(root: &Path, table: Table, day: Day) -> anyhow::Result<Self> {
        let path = root.join(place(&table, day));
        let folder = path.parent().context("a file in no folder")?;
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let unfinished = path.with_file_name("_part-00000.parquet");
        let file = File::create(&unfinished).with_context(|| unfinished.display().to_string())?;
        let level = ZstdLevel::try_new(3).context("writing Parquet")?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let writer = ArrowWriter::try_new(BufWriter::new(file), Arc::new(table.schema()), Some(properties));
        let writer = writer.context("writing Parquet")?;
        Ok(Self { table, day, unfinished, writer, waiting: Vec::new(), text: 0, rows: 0 })
    }

    fn push(&mut self, row: Row) -> anyhow::Result<()> {
        self.text +=
            row.iter().map(|datum| if let Datum::Text(text) = datum { text.len() } else { 8 }).sum::<usize>();
        self.waiting.push(row);
        self.rows += 1;
        if self.waiting.len() >= ROWS || self.text >= TEXT { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> anyhow::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let columns = self.table.columns.iter().enumerate();
        let columns = columns.map(|(i, column)| {
            let at = || format!("table {}, column {}", self.table.name, column.name);
            array(&self.waiting, i, column.kind).with_context(at)
        });
        let columns = columns.collect::<anyhow::Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::new(self.table.schema()), columns);
        let batch = batch.with_context(|| format!("table {}", self.table.name))?;
        self.writer.write(&batch).context("writing Parquet")?;
        if self.writer.in_progress_size() >= GROUP {
            self.writer.flush().context("writing Parquet")?;
        }
        self.waiting.clear();
        self.text = 0;
        Ok(())
    }

    fn close(mut self, root: &Path, said: &[(&str, String)]) -> anyhow::Result<Written> {
        self.spill()?;
        for (key, value) in said {
            self.writer.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        let at = || self.unfinished.display().to_string();
        let mut out = self.writer.into_inner().context("writing Parquet")?;
        out.flush().with_context(at)?;
        let file = out.into_inner().with_context(at)?;
        file.sync_all().with_context(at)?;
        let bytes = file.metadata().with_context(at)?.len();
        let path = place(&self.table, self.day);
        let target = root.join(&path);
        fs::rename(&self.unfinished, &target).with_context(at)?;
        if let Some(folder) = target.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).with_context(at)?;
        }
        Ok(Written { table: self.table.name, day: self.day, path, rows: self.rows, bytes })
    }
}

fn array(rows: &[Row], at: usize, kind: Kind) -> anyhow::Result<ArrayRef> {
    let cells = || rows.iter().map(|row| row.get(at).unwrap_or(&Datum::Nothing));
    Ok(match kind {
        Kind::Count => Arc::new(cells().map(|cell| cell.count()).collect::<Int64Array>()),
        Kind::Text => Arc::new(cells().map(|cell| cell.text()).collect::<StringArray>()),
        Kind::Instant => Arc::new(
            cells().map(|cell| cell.millis()).collect::<TimestampMillisecondArray>().with_timezone("UTC"),
        ),
        Kind::Amount => {
            let amounts = cells().map(|cell| cell.amount()).collect::<Decimal128Array>();
            let amounts = amounts.with_precision_and_scale(DIGITS, SCALE)?;
            amounts.validate_decimal_precision(DIGITS)?;
            Arc::new(amounts)
        }
    })
}
