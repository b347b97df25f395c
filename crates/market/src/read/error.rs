//! What a file can have wrong with it.

use plimsoll_types::Timestamp;

/// Why a file could not be read. `name` is the file as the caller called it; lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no row in it.
    #[error(
        "{name}: empty: expected a header and at least one row, or a JSON document with at least one quote"
    )]
    Empty {
        /// The file.
        name: String,
    },
    /// The form cannot be told from the first bytes.
    #[error(
        "not a known market file, it starts `{start}`{}: expected a Deribit chain CSV, a tardis options_chain CSV, \
             get_book_summary_by_currency or ticker JSON, or a snapshot JSON", lacking(.form, .missing)
    )]
    UnknownFormat {
        /// The first characters.
        start: String,
        /// The form of table whose columns it has most of; empty where it has none of any.
        form: &'static str,
        /// The columns of that form that it lacks.
        missing: Vec<String>,
    },
    /// Columns are missing from the header.
    #[error("{name}: line {line}: missing column {}: expected a header with {}", .missing.join(", "), .expected.join(", "))]
    Columns {
        /// The file.
        name: String,
        /// The header's line.
        line: u64,
        /// What is not there.
        missing: Vec<String>,
        /// What must be there.
        expected: Vec<String>,
    },
    /// A value is not what its field holds.
    #[error("{name}: line {line}: {field} is `{value}`: expected {expected}")]
    Field {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// The column, or the path inside a JSON document.
        field: String,
        /// What is there.
        value: String,
        /// What should be.
        expected: String,
    },
    /// A field that must be there is not.
    #[error("{name}: line {line}: {field} is missing: expected it beside {}", .known.join(", "))]
    Missing {
        /// The file.
        name: String,
        /// The line where its object ends.
        line: u64,
        /// The path inside the JSON document.
        field: String,
        /// The other fields such an object may have; empty where any are taken.
        known: Vec<String>,
    },
    /// A field that is not one of those there may be.
    #[error("{name}: line {line}: {field} is not known: expected one of {}", .known.join(", "))]
    Unknown {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// The path inside the JSON document.
        field: String,
        /// What there may be.
        known: Vec<String>,
    },
    /// A column is in the header twice.
    #[error("{name}: line {line}: column {column} twice: expected each column once")]
    Twice {
        /// The file.
        name: String,
        /// The header's line.
        line: u64,
        /// The column.
        column: String,
    },
    /// A row has more or fewer fields than the header.
    #[error("{name}: line {line}: {found} fields: expected {expected}, as in the header")]
    Width {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// Fields in the row.
        found: u64,
        /// Fields in the header.
        expected: u64,
    },
    /// The text is not text or not a table.
    #[error("{name}: line {line}: {reason}")]
    Malformed {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// What the parser said.
        reason: String,
    },
    /// A document ends before it is complete.
    #[error("{name}: line {line}: ends inside {field}: expected the rest of the document")]
    Truncated {
        /// The file.
        name: String,
        /// The last line.
        line: u64,
        /// Where inside the document.
        field: String,
    },
    /// The stream broke, or could not be decompressed.
    #[error("{name}: line {line}: {source}")]
    Io {
        /// The file.
        name: String,
        /// The line reached.
        line: u64,
        /// What broke.
        source: std::io::Error,
    },
    /// Snapshots are not in order of time.
    #[error(
        "{name}: line {line}: snapshot of {time} after one of {before}: expected snapshots in order of time"
    )]
    Order {
        /// The file.
        name: String,
        /// The line.
        line: u64,
        /// The earlier instant that comes later.
        time: Timestamp,
        /// The instant before it in the file.
        before: Timestamp,
    },
    /// There are several snapshots where one was asked for.
    #[error("{name}: {count} snapshots from {first} to {last}: expected one; say which with a time")]
    Several {
        /// The file.
        name: String,
        /// How many.
        count: usize,
        /// The first one's instant.
        first: Timestamp,
        /// The last one's instant.
        last: Timestamp,
    },
    /// No snapshot is at or before the time asked for.
    #[error("{name}: no snapshot at or before {wanted}: the first is of {first}")]
    NoneAt {
        /// The file.
        name: String,
        /// The instant asked for.
        wanted: Timestamp,
        /// The first instant there is.
        first: Timestamp,
    },
}

/// What a table lacks of the form it is nearest to.
fn lacking(form: &str, missing: &[String]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let columns = if missing.len() == 1 { "column" } else { "columns" };
    format!(", and for a {form} CSV it lacks the {columns} {}", missing.join(", "))
}
