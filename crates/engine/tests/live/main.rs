//! The engine as it runs, from outside: events in, effects out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod course;
mod faults;
mod policy;
mod replay;
mod settlement;
mod waterfall;
mod world;
