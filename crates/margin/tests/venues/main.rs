//! The methods of other venues: published numbers, independent computations and the rules every method keeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_range_loop,
    reason = "a panic is how a test fails, and a naive reference is written out plainly"
)]

#[path = "../common/accounts.rs"]
mod accounts;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scenarios.rs"]
mod scenarios;

mod aevo;
mod bounded_update;
mod cboe_strategy;
mod cvex;
mod deribit;
mod derive_auction;
mod derive_portfolio;
mod derive_standard;
mod drift;
mod dydx;
mod gmx;
mod hyperliquid;
mod mango;
mod okx;
mod opyn;
mod panoptic;
mod paradex;
mod synthetix;
mod vega;
