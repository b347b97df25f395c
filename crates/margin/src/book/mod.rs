//! Scan losses of a whole book, exactly, on every tick.
//!
//! **The one idea:** an account is a walk over rows. The entries of an instrument are one contiguous row as narrow as they
//! allow ([`Rows`]); the sums of an account run on float lanes while `sum |lots| x max |entry|` proves every partial sum
//! whole and exact there, and in checked 128 bits otherwise, so the results are those of [`crate::evaluate`] on any
//! vector path and any number of threads. When one underlying moves, only its holders are looked at ([`Holders`]).
//!
//! ```
//! use plimsoll_margin::book::{Rows, ScanLosses, scan_losses};
//! # use plimsoll_types::*;
//! # let column = |label: &str, pair| ScenarioColumn { label: label.into(), weight: Ppb::ONE, spot: vec![Ppb(0)], pair };
//! # let row = |name: &str| InstrumentRow {
//! #     instrument: name.parse().unwrap(), underlying: UnderlyingIx(0), lot: Decimal::ONE, mark: 0,
//! #     notional: 10_000, greeks: GreekTicks::default(), composite_delta: Ppb::ONE,
//! #     seconds_to_expiry: Some(7_344_000), funding_8h: 0, reference: 10_000, open_interest: None,
//! # };
//! # let arrays = RiskArrays {
//! #     as_of: "2026-01-01T00:00:00Z".parse()?, currency: "USD".parse()?, ticks_per_unit: 100,
//! #     underlyings: vec![UnderlyingRow {
//! #         asset: "BTC".parse()?, index: 10_000, confidence: Ppb::ZERO, price_scan: Ppb(100_000_000),
//! #     }],
//! #     instruments: vec![row("BTC_USDC-27MAR26"), row("BTC_USDC-26JUN26")],
//! #     scenarios: vec![column("up", 0), column("down", 1)],
//! #     blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..2 }],
//! #     pnl: vec![1_000, -1_000, 1_100, -1_050],
//! #     assets: vec![],
//! # };
//! // Two futures that gain or lose 10.00 and 11.00 or 10.50 per lot; one is bought, one is sold.
//! let position = |ix, lots| Position { instrument: InstrumentIx(ix), lots: Lots(lots), unrealised: Ticks(0) };
//! let mut book = Book::default();
//! book.push("alice".parse()?, &[position(0, 3), position(1, -2)], vec![], vec![])?;
//! let (rows, mut losses) = (Rows::new(&arrays), ScanLosses::default());
//! scan_losses(plimsoll_lanes::Path::best(), &book, &rows, &mut losses);
//! assert_eq!(losses.total(0), Some(Ok(900)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod exact;
mod holders;
mod lanes;
mod losses;
mod plan;
mod rows;
mod scan;

pub use holders::Holders;
pub use losses::{Losses, ScanLosses};
pub use rows::Rows;
pub use scan::{Touched, rescan, scan_losses};
