//! Our own margin: worked examples, the house rules as properties, errors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_range_loop,
    reason = "a panic is how a test fails, and a naive reference is written out plainly"
)]

#[path = "../common/mod.rs"]
mod common;

mod account;
mod cases;
mod collateral;
mod hedges;
mod isolated;
mod lint;
mod orders;
mod properties;
mod requirement;
mod span;
