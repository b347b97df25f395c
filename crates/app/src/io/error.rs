//! Why an input was refused.

/// Why an input was refused. Prints as one sentence that starts with the file.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable {
        /// The name as given.
        file: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The stream broke off or went wrong on the way.
    #[error("{file}: {reason}, after line {line}")]
    Broken {
        /// The name as given.
        file: String,
        /// The last line that was read whole; 0 when none was.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is in it.
    #[error("{file}: is empty; expected {expected}")]
    Empty {
        /// The name as given.
        file: String,
        /// What should have been there.
        expected: String,
    },
    /// The columns are not the ones asked for.
    #[error("{file}: line 1: columns `{found}`; expected {expected}")]
    Columns {
        /// The name as given.
        file: String,
        /// The header as read.
        found: String,
        /// The columns a file of this kind has.
        expected: String,
    },
    /// A row has more or fewer fields than the header.
    #[error("{file}: line {line}: {found} fields; expected {expected}, as in the header")]
    Width {
        /// The name as given.
        file: String,
        /// Where.
        line: u64,
        /// How many fields it has.
        found: u64,
        /// How many the header has.
        expected: u64,
    },
    /// A field cannot be used.
    #[error("{file}: {place} {line}: field `{field}`: value `{value}`: {expected}")]
    Field {
        /// The name as given.
        file: String,
        /// `line` of a text file, `row` of a table (both count from 1; the header of a text file is line 1).
        place: &'static str,
        /// Where.
        line: u64,
        /// Which column.
        field: String,
        /// What was read.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// A column of a Parquet table is of a type that nothing can be read from.
    #[error("{file}: column `{column}` is {found}: expected text, decimals or numbers")]
    Type {
        /// The name as given.
        file: String,
        /// Which column.
        column: String,
        /// Its type.
        found: String,
    },
    /// The table is not readable Parquet.
    #[error("{file}: is not readable Parquet: {reason}")]
    Parquet {
        /// The name as given.
        file: String,
        /// What the reader said.
        reason: String,
    },
}

/// A field that cannot be used, before file and line are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which column.
    pub field: String,
    /// What was read.
    pub value: String,
    /// What was expected, with the reason where there is one.
    pub expected: String,
}

impl Refusal {
    /// A refusal of `value` in `field`.
    pub fn new(field: &str, value: &str, expected: impl Into<String>) -> Self {
        let expected: String = expected.into();
        let expected = expected.chars().map(|c| if c.is_control() { '?' } else { c }).take(400).collect();
        Self { field: field.to_owned(), value: shortened(value), expected }
    }

    /// The same with the place it was found in.
    pub fn at(self, file: &str, place: &'static str, line: u64) -> InputError {
        let Self { field, value, expected } = self;
        InputError::Field { file: file.to_owned(), place, line, field, value, expected }
    }
}

/// A value short enough to print, with nothing that moves a terminal's cursor.
pub fn shortened(value: &str) -> String {
    const LONGEST: usize = 80;
    let plain: String = value.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if value.chars().nth(LONGEST).is_some() { format!("{plain}...") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_file_line_field_value_and_what_was_expected() {
        let error = Refusal::new("quantity", "1e400", "a finite decimal").at("book.csv", "line", 7);
        assert_eq!(error.to_string(), "book.csv: line 7: field `quantity`: value `1e400`: a finite decimal");
    }

    #[test]
    fn a_hostile_value_is_cut_and_cannot_move_the_cursor() {
        let shown = shortened(&format!("\u{1b}[2J{}", "x".repeat(1000)));
        assert!(shown.starts_with("?[2J") && shown.ends_with("...") && shown.len() == 83, "{shown}");
    }
}
