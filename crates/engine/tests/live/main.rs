//! The engine as it runs, from outside: events in, effects out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod book;
mod course;
mod day;
mod faults;
mod oracle;
mod pause;
mod policy;
mod promises;
mod quotes;
mod replay;
mod settlement;
mod waterfall;
mod world;
