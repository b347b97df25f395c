//! The engine as it runs: events in, effects out.

pub mod feed;
pub mod ledger;
