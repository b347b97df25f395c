//! `plimsoll export`: a period of a journal as Parquet.

use crate::export::{Day, Period, TABLES, export};
use crate::output::answer::Output;
use crate::output::{Answer, Cell, Kind, Table, Verdict};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// The journal's folder; a server may be writing there
    #[arg(value_name = "DIR", required_unless_present = "schema")]
    dir: Option<PathBuf>,
    /// Where the files go: table=NAME/day=YYYY-MM-DD/part-00000.parquet
    #[arg(long, value_name = "FOLDER", required_unless_present = "schema")]
    into: Option<PathBuf>,
    /// From this day, UTC, whole
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// To this day, UTC, whole
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
    /// Seconds from one sample of all margins to the next, from midnight
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    sample: i64,
    /// Print the published schema of a table instead
    #[arg(long, value_name = "TABLE", value_parser = TABLES.map(|table| table.name), exclusive = true)]
    schema: Option<String>,
}

/// Writes the files and says which.
pub(super) fn run(args: &ExportArgs, output: &Output) -> anyhow::Result<Verdict> {
    if let Some(name) = &args.schema {
        for table in TABLES.iter().filter(|table| table.name == name) {
            writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&table.page())?)?;
        }
        return Ok(Verdict::Passed);
    }
    let (Some(dir), Some(into)) = (&args.dir, &args.into) else { return Ok(Verdict::Refused) };
    let written = export(dir, into, Period { from: args.from, to: args.to, sample_seconds: args.sample })?;
    let columns = [
        ("table", Kind::Text),
        ("day", Kind::Text),
        ("rows", Kind::Integer),
        ("bytes", Kind::Integer),
        ("file", Kind::Text),
    ];
    let mut table = Table::new("", &columns);
    for file in written {
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        table.push(vec![
            Cell::text(file.table),
            Cell::text(file.day),
            Cell::count(file.rows),
            Cell::count(bytes),
            Cell::text(file.path.display()),
        ]);
    }
    output.write(Answer::table(table))
}
