//! Files in: opening, decompressing, and turning rows into what the engine takes.
//!
//! The one idea: whatever the container (plain, gzip, zstd, Parquet, a pipe), a reader sees a stream of bytes or a
//! stream of rows of text, and every refusal names file, line, field, value and what was expected.

pub mod book;
pub mod chains;
pub mod error;
mod lines;
pub mod market;
pub mod params;
mod positions;
pub mod prices;
pub mod progress;
pub mod rows;
pub mod series;
pub mod source;
mod table;
pub mod tape;
