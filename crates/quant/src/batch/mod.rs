//! Black-76 over structures of arrays: many options at once, on the vector path that the caller names.
//!
//! The one idea: a kernel is the scalar formula of [`lane`] in a loop over slices of one length, compiled once per
//! instruction set. An option's result depends on its own inputs alone, so that it has the same bits on every path, at
//! every position, in every chunk of every length.
//!
//! Must never know: threads (callers choose chunks), discounting, an instrument.

mod black;
mod implied;
pub mod lane;

pub use black::{GreekColumns, Quotes, greeks, prices};
pub use implied::{ImpliedStatus, Prices, implied_vols};

/// Why a batch was refused; nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// A column is not as long as the first.
    #[error("column {column} has {length} entries, expected {expected}")]
    LengthMismatch {
        /// Name of the column.
        column: &'static str,
        /// Its length.
        length: usize,
        /// Length of the first column.
        expected: usize,
    },
}

/// Refuses a column whose length is not that of the first.
fn check_length(column: &'static str, length: usize, expected: usize) -> Result<(), BatchError> {
    if length == expected { Ok(()) } else { Err(BatchError::LengthMismatch { column, length, expected }) }
}
