//! Our own JSON form of a snapshot.

use super::ReadError;
use super::json::Located;
use super::select::Sink;
use plimsoll_types::{Snapshot, Timestamp};
use std::io::BufRead;
use std::marker::PhantomData;

/// The JSON form of a snapshot, which [`super::Format::SnapshotJson`] reads back to an equal value.
///
/// JSON has no NaN or infinity: such a number, which no reader of this crate lets in, is written as `null`.
pub fn write_json(snapshot: &Snapshot) -> String {
    // Maps keyed by names and plain numbers: there is nothing in a snapshot that cannot be written.
    serde_json::to_string_pretty(snapshot).unwrap_or_else(|e| unreachable!("{e}"))
}

/// Hands each document of the stream to `sink`.
pub(super) fn read(reader: impl BufRead, name: &str, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut documents = Located::new(reader);
    let mut before: Option<Timestamp> = None;
    let mut rows = 0;
    while let Some(snapshot) = documents.document(name, PhantomData::<Snapshot>)? {
        let time = snapshot.as_of;
        if let Some(before) = before.filter(|b| time <= *b) {
            return Err(ReadError::Order { name: name.to_owned(), line: documents.line(), time, before });
        }
        before = Some(time);
        rows += snapshot.underlyings.values().map(|u| u.options.len() as u64).sum::<u64>();
        if sink.take(snapshot, Vec::new()).is_break() {
            break;
        }
    }
    sink.rows(rows);
    Ok(())
}
