//! Answers out: one answer, four forms.
//!
//! The one idea: a command computes its whole [`Answer`] first and writes it afterwards, so that nothing is written
//! when an input is refused. Amounts of money are decimals from the integer ticks to the last digit; no float is
//! ever between them and the page.

pub mod answer;
pub mod columns;
pub mod table;

pub use answer::{Answer, Format, JsonBody, Picture, Verdict};
pub use table::{Cell, Kind, Table};
