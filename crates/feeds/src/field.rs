//! Fields of JSON, read as the text they are.

use crate::number::decimal;
use crate::refusal::refuse;
use crate::{Number, Reason, Refusal};
use plimsoll_types::{Decimal, Timestamp, nearest_f64};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A number, written as one or as a string, before it is read: no float comes between.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Figure<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Figure<'a> {
    pub(crate) fn word(self) -> &'a str {
        let raw = self.0.get();
        raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw)
    }

    pub(crate) fn decimal(self, field: &str) -> Result<Decimal, Refusal> {
        decimal(self.word(), field)
    }

    pub(crate) fn number(self, field: &str) -> Result<Number, Refusal> {
        Number::of(self.decimal(field)?)
    }

    /// The nearest float.
    pub(crate) fn float(self, field: &str) -> Result<f64, Refusal> {
        self.decimal(field).map(nearest_f64)
    }
}

/// A field that may be missing, null, or a word that stands for nothing.
pub(crate) fn optional(figure: Option<Figure<'_>>, field: &str) -> Result<Option<f64>, Refusal> {
    match figure {
        Some(f) if f.0.get() != "null" => f.float(field).map(Some),
        _ => Ok(None),
    }
}

/// Milliseconds since the epoch.
pub(crate) fn millis(value: i64) -> Result<Timestamp, Refusal> {
    match Timestamp::from_millis(value) {
        Ok(time) if value > 0 => Ok(time),
        _ => refuse(Reason::Time, format_args!("{value} ms")),
    }
}

/// Seconds since the epoch.
pub(crate) fn seconds(value: i64) -> Result<Timestamp, Refusal> {
    match value.checked_mul(1000) {
        Some(value) => millis(value),
        None => refuse(Reason::Time, format_args!("{value} s")),
    }
}

/// JSON of a frame. One byte order mark or a broken character is malformed like anything else.
pub(crate) fn json<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, Refusal> {
    Ok(serde_json::from_slice(frame)?)
}
