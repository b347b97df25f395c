//! What a command found, and where it goes.

use super::columns::write_parquet;
use super::table::Table;
use crate::io::source::STDIN;
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
    /// Markdown tables, as on a page.
    Md,
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
    /// A picture beside it.
    pub picture: Option<Picture>,
}

/// A drawing, and where it goes.
#[derive(Clone, Debug)]
pub struct Picture {
    /// A file, or `-` for the standard output stream.
    pub path: PathBuf,
    /// SVG.
    pub text: String,
}

impl Answer<'_> {
    /// An answer that is one table in every form.
    pub fn table(table: Table) -> Self {
        let json = JsonBody::Value(table.json());
        Self {
            tables: vec![table.clone()],
            notes: Vec::new(),
            main: table,
            json,
            verdict: Verdict::Passed,
            picture: None,
        }
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
    /// Writes the answer and its picture, neither when one of them cannot be, and says how it went. A picture that goes
    /// to the standard output stream goes there alone.
    pub fn write(&self, answer: Answer<'_>) -> anyhow::Result<Verdict> {
        let verdict = answer.verdict;
        let picture = answer.picture.as_ref().map(|picture| (picture.path.clone(), picture.text.clone()));
        let Some((path, text)) = picture else {
            self.write_answer(answer)?.keep()?;
            return Ok(verdict);
        };
        let to_stdout = path.as_os_str() == STDIN;
        let mut target = Target::open((!to_stdout).then_some(path.as_path()))?;
        target.out.write_all(text.as_bytes()).context("writing the picture")?;
        if !to_stdout || self.target().is_some() {
            self.write_answer(answer)?.keep()?;
        }
        target.keep()?;
        Ok(verdict)
    }

    fn write_answer(&self, answer: Answer<'_>) -> anyhow::Result<Target> {
        if self.target().is_none() && self.format == Format::Parquet && io::stdout().is_terminal() {
            anyhow::bail!("Parquet is not written to a terminal: name a file with --out, or redirect");
        }
        let mut target = Target::open(self.target())?;
        let out = &mut target.out;
        match self.format {
            Format::Table | Format::Md => print(&answer, out, self.top)?,
            Format::Csv => answer.main.write_csv(out)?,
            Format::Parquet => write_parquet(&answer.main, out)?,
            Format::Json => write_json(answer.json, out)?,
        }
        target.out.flush().context("writing the answer")?;
        Ok(target)
    }

    fn target(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| path.as_os_str() != STDIN)
    }
}

/// Where something is written: a stream, or a new file that takes its name when it is kept and goes when it is not.
struct Target {
    out: Box<dyn Write + Send>,
    staged: Option<Staged>,
}

/// A file under a name of its own, beside the one it will have.
struct Staged {
    beside: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing more can be done about a file that cannot be removed.
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

impl Target {
    /// `None` is the standard output stream. What is there and is no regular file, such as a pipe, is written to directly.
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { out: Box::new(BufWriter::new(io::stdout())), staged: None });
        };
        let cannot = || format!("{}: cannot be written", path.display());
        let direct = path.symlink_metadata().is_ok_and(|meta| !meta.is_file());
        if direct {
            let file = File::create(path).with_context(cannot)?;
            return Ok(Self { out: Box::new(BufWriter::new(file)), staged: None });
        }
        if path.exists() {
            // A file that may not be written to is not replaced either.
            File::options().append(true).open(path).with_context(cannot)?;
        }
        let mut name = path.file_name().with_context(cannot)?.to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let file = File::create(&beside).with_context(cannot)?;
        let staged = Staged { beside, path: path.to_owned(), kept: false };
        Ok(Self { out: Box::new(BufWriter::new(file)), staged: Some(staged) })
    }

    fn keep(self) -> anyhow::Result<()> {
        let Self { mut out, staged } = self;
        out.flush().context("writing the answer")?;
        drop(out);
        let Some(mut staged) = staged else { return Ok(()) };
        std::fs::rename(&staged.beside, &staged.path)
            .with_context(|| format!("{}: cannot be written", staged.path.display()))?;
        staged.kept = true;
        Ok(())
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
