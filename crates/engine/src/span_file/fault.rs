//! Why a file was refused.

use std::fmt;

/// The kind of fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SpanFault {
    /// The stream cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// A line, text or element larger than any published one.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// Elements within elements beyond any published depth.
    #[error("is nested deeper than {0}")]
    TooDeep(usize),
    /// The line or the file ends within a field, a record or an element.
    #[error("ends too early")]
    Truncated,
    /// Not what the field holds.
    #[error("expected {0}")]
    Malformed(&'static str),
    /// A sign that is none of `+`, `-` and blank.
    #[error("expected a sign: +, - or blank")]
    Sign,
    /// Beyond the digits that are kept.
    #[error("has more digits than can be kept")]
    Overflow,
    /// Half of a pair of array records.
    #[error("has no record of the same contract {0} it")]
    Unpaired(&'static str),
    /// A record or element before what it refers to.
    #[error("comes before {0}")]
    Order(&'static str),
    /// What may be there once is there again.
    #[error("is there twice")]
    Twice,
    /// A field that must be there is not.
    #[error("is missing")]
    Missing,
    /// A name that nothing in the file has.
    #[error("is not among {0}")]
    Unknown(&'static str),
    /// The XML is not well formed.
    #[error("is not well-formed XML: {0}")]
    Xml(String),
}

/// A file that was refused: where, what, and the text that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanFileError {
    /// Line, from 1.
    pub line: u64,
    /// Byte of the file the line, or for XML the text at fault, begins or ends at, from 0.
    pub byte: u64,
    /// Record type (`81`) or element (`futPf/fut`).
    pub record: String,
    /// Field or element within it; empty for the record itself.
    pub field: String,
    /// The text at fault, shortened.
    pub found: String,
    /// What is wrong with it.
    pub fault: SpanFault,
}

impl SpanFileError {
    pub(crate) fn unreadable(line: u64, byte: u64, error: &std::io::Error) -> Self {
        Self::at(line, byte, "", SpanFault::Unreadable(error.to_string()))
    }

    pub(crate) fn at(line: u64, byte: u64, record: &str, fault: SpanFault) -> Self {
        Self { line, byte, record: plain(record), field: String::new(), found: String::new(), fault }
    }

    pub(crate) fn place(&self) -> (u64, u64) {
        (self.line, self.byte)
    }

    pub(crate) fn field(mut self, field: &str, found: &str) -> Self {
        (self.field, self.found) = (plain(field), plain(found));
        self
    }
}

impl fmt::Display for SpanFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)?;
        if !self.record.is_empty() {
            write!(f, ": record `{}`", self.record)?;
        }
        if !self.field.is_empty() {
            write!(f, ": field `{}`: `{}`", self.field, self.found)?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl std::error::Error for SpanFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

/// Short, and with nothing that moves a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars().take(160).map(|c| if c.is_control() { '?' } else { c }).collect()
}
