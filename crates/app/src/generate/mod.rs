//! Markets and books of our own making, for examples and tests.
//!
//! The one idea: everything is a function of a spec and a seed, through arithmetic that is the same on every machine,
//! so the files in `examples/` can be made again byte for byte, and a test does.
//!
//! Nothing here is measured from a venue. This module must never know a margin rule: collateral is scaled to a rough
//! repricing of the positions, and what the accounts' states are is for the engine to say.

mod account;
mod archetype;
mod book;
mod chain;
mod market;

pub use book::{BookCsv, BookSpec, book};
pub use market::{MarketSpec, UnderlyingSpec, market};

use plimsoll_quant::sobol::Rng64;
use plimsoll_types::{InstrumentError, NameError};

/// Why nothing can be generated.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum GenerateError {
    /// A name in the spec makes no instrument.
    #[error("market spec: {0}")]
    Instrument(#[from] InstrumentError),
    /// A name in the spec is no asset.
    #[error("market spec: {0}")]
    Asset(#[from] NameError),
    /// A name in the spec has no expiry after `as_of`.
    #[error("market spec: `{name}` does not expire after {as_of}")]
    Expired {
        /// The date as written.
        name: String,
        /// The instant of the snapshot.
        as_of: String,
    },
    /// The snapshot has no expiry with enough options to trade.
    #[error(
        "the snapshot has no expiry with at least {needed} options that have a mark volatility and a forward"
    )]
    NoOptions {
        /// How many are needed.
        needed: usize,
    },
}

/// Draws on top of the seeded generator.
pub(crate) struct Draw(Rng64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng64::new(seed))
    }

    /// Uniform between two numbers.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.uniform()
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.0.uniform() < probability
    }

    /// An index below `n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = n.max(1) as u64;
        usize::try_from(self.0.next_u64() % n).unwrap_or(0)
    }

    /// One of the items.
    fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_market::read::{At, Format, snapshots, write_json};
    use std::path::Path;

    const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    const CHAIN: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/options_deribit_btc_eth_4x_daily/single_snapshot_20260205T212937Z.csv.gz"
    );

    fn assert_same_bytes(made: &str, file: &str) {
        let stored = std::fs::read_to_string(format!("{EXAMPLES}/{file}")).unwrap();
        let differs = made.lines().zip(stored.lines()).position(|(one, other)| one != other);
        assert_eq!(differs, None, "{file}: first different line, counted from 0");
        assert_eq!(made.len(), stored.len(), "{file}");
    }

    fn assert_same_book(made: &BookCsv, folder: &str) {
        assert_same_bytes(&made.positions, &format!("{folder}/positions.csv"));
        assert_same_bytes(&made.collateral, &format!("{folder}/collateral.csv"));
        assert_same_bytes(&made.orders, &format!("{folder}/orders.csv"));
    }

    #[test]
    fn the_bundled_market_and_its_book_are_made_again_byte_for_byte() {
        let snapshot = market(&MarketSpec::bundled()).unwrap();
        let text = write_json(&snapshot);
        assert_same_bytes(&text, "bundled/market.json");
        assert!(text.len() < 600_000, "{} bytes", text.len());
        // The book is made from the file: what is written must read back to the same market.
        let read = snapshots(Format::SnapshotJson, text.as_bytes(), "market.json", &At::Only).unwrap();
        assert_eq!(read.snapshot, snapshot);
        let spec = BookSpec { accounts: 40, seed: 18, prices: true };
        assert_same_book(&book(&read.snapshot, &spec).unwrap(), "bundled");
    }

    #[test]
    fn the_snapshot_shown_in_the_documentation_reads_as_one() {
        let page = std::fs::read_to_string(format!("{EXAMPLES}/../docs/snapshot.md")).unwrap();
        let shown = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let read = snapshots(Format::SnapshotJson, shown.as_bytes(), "docs", &At::Only).unwrap();
        assert_eq!(read.snapshot.as_of, MarketSpec::bundled().as_of);
        assert_eq!(read.snapshot.underlyings.len(), 1);
    }

    #[test]
    fn the_book_over_the_real_chain_is_made_again_byte_for_byte() {
        if !Path::new(CHAIN).exists() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{CHAIN} is absent");
            println!("skipped: {CHAIN} is absent");
            return;
        }
        let file = std::io::BufReader::new(std::fs::File::open(CHAIN).unwrap());
        let text = std::io::BufReader::new(flate2::read::MultiGzDecoder::new(file));
        let read = snapshots(Format::DeribitChainCsv, text, "chain", &At::Only).unwrap();
        let spec = BookSpec { accounts: 2000, seed: 7, prices: false };
        assert_same_book(&book(&read.snapshot, &spec).unwrap(), "book-2026-02-05");
    }
}
