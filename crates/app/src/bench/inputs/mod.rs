//! What the workloads run on: made from a seed, or read back from what `--emit` wrote.
//!
//! The laws are those of `docs/performance.md`. Everything is a function of the seed and the size through arithmetic
//! that is the same on every machine.

pub(super) mod accounts;
pub(super) mod chain;
pub(super) mod listing;
pub(super) mod options;

pub(super) use accounts::{Accounts, Spread};
pub(super) use listing::{Listing, ScenarioKind};
pub(super) use options::{Options, Premiums};
