//! What a command found, and where it goes.

use super::columns::write_parquet;
use super::table::Table;
use anyhow::Context;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The form an answer is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned text for people.
    #[default]
    Table,
    /// Everything that was computed.
    Json,
    /// The main table, one header line.
    Csv,
    /// The main table, as a Parquet file.
    Parquet,
}

/// Whether what was asked holds; becomes the exit status.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Verdict {
    /// Everything was answered and every check passed: 0.
    #[default]
    Passed,
    /// A check failed, or an account could not be valued: 1.
    Failed,
    /// One of several inputs was refused, the others were answered: 2.
    Refused,
}

/// Writes a JSON document.
pub type JsonWriter<'a> = dyn FnOnce(&mut dyn Write) -> anyhow::Result<()> + 'a;

/// The JSON form of an answer.
pub enum JsonBody<'a> {
    /// Held whole.
    Value(serde_json::Value),
    /// Written as it is made, for answers that grow with the book.
    Stream(Box<JsonWriter<'a>>),
}

/// What a command found.
pub struct Answer<'a> {
    /// For people, in order.
    pub tables: Vec<Table>,
    /// For people, below the tables.
    pub notes: Vec<String>,
    /// For CSV and Parquet.
    pub main: Table,
    /// For JSON.
    pub json: JsonBody<'a>,
    /// For the exit status.
    pub verdict: Verdict,
}

impl Answer<'_> {
    /// An answer that is one table in every form.
    pub fn table(table: Table) -> Self {
        let json = JsonBody::Value(table.json());
        Self { tables: vec![table.clone()], notes: Vec::new(), main: table, json, verdict: Verdict::Passed }
    }
}

/// Where and how to write.
#[derive(Clone, Debug)]
pub struct Output {
    /// The form.
    pub format: Format,
    /// A file; `None` or `-` is the standard output stream.
    pub file: Option<PathBuf>,
    /// At most this many rows per table for people.
    pub top: Option<usize>,
}

impl Output {
    /// Writes the answer and says how it went.
    pub fn write(&self, answer: Answer<'_>) -> anyhow::Result<Verdict> {
        let verdict = answer.verdict;
        let mut out = self.open()?;
        match self.format {
            Format::Table => print(&answer, &mut out, self.top)?,
            Format::Csv => answer.main.write_csv(&mut out)?,
            Format::Parquet => write_parquet(&answer.main, &mut out)?,
            Format::Json => write_json(answer.json, &mut out)?,
        }
        out.flush().context("writing the answer")?;
        Ok(verdict)
    }

    fn target(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| path.as_os_str() != "-")
    }

    fn open(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        if let Some(path) = self.target() {
            let file =
                File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
            return Ok(Box::new(BufWriter::new(file)));
        }
        let out = io::stdout();
        if self.format == Format::Parquet && out.is_terminal() {
            anyhow::bail!("Parquet is not written to a terminal: name a file with --out, or redirect");
        }
        Ok(Box::new(BufWriter::new(out)))
    }
}

fn print(answer: &Answer<'_>, out: &mut dyn Write, top: Option<usize>) -> anyhow::Result<()> {
    for table in &answer.tables {
        table.print(out, top).context("writing the answer")?;
    }
    for note in &answer.notes {
        writeln!(out, "{note}").context("writing the answer")?;
    }
    Ok(())
}

fn write_json(body: JsonBody<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    match body {
        JsonBody::Value(value) => serde_json::to_writer_pretty(&mut *out, &value).context("writing JSON")?,
        JsonBody::Stream(write) => write(out)?,
    }
    writeln!(out).context("writing JSON")
}
