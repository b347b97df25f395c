//! Raw quotes to a guarded snapshot to a volatility surface.
//!
//! Three pure steps, each a value to a value: [`read`] turns a venue's bytes into a [`plimsoll_types::Snapshot`],
//! [`guard()`] removes what must not be used and says why, [`fit()`] makes forwards and one raw-SVI slice per expiry,
//! free of butterfly and calendar arbitrage or refused with a reason. [`signals()`] reads a surface the way a trader
//! does.
//!
//! The one idea: nothing is repaired silently. A price that is missing or unsound is absent from what follows and
//! present in the list of issues; a slice is published only after `plimsoll_quant`'s own checks, which share nothing
//! with the optimiser, find it free of arbitrage.
//!
//! This crate must never know a position, an account, a parameter of margin or a file name it would open: bytes come
//! from the caller, time comes from the data, and nothing here reads a clock.
//!
//! ```
//! use plimsoll_market::{FitParams, GuardParams, fit, guard, read};
//! let text = r#"{"as_of":"2026-01-01T00:00:00Z","underlyings":{"BTC":{"index":[
//!     {"price":90000.0,"source":"example","time":"2026-01-01T00:00:00Z"}]}}}"#;
//! let outcome = read::snapshots(read::Format::SnapshotJson, text.as_bytes(), "example.json", &read::At::Only)?;
//! let guarded = guard(&outcome.snapshot, &GuardParams::default());
//! let surface = fit(&guarded, &FitParams::default());
//! assert_eq!(surface.underlying(&"BTC".parse()?)?.index, 90000.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod fit;
pub mod forwards;
pub mod guard;
mod number;
pub mod read;
pub mod signals;
pub mod surface;

pub use fit::{FitParams, fit};
pub use guard::{GuardParams, Guarded, GuardedMarket, GuardedSnapshot, guard};
pub use signals::{Signals, SignalsError, TenorSignals, signals};
pub use surface::{
    FitPoint, PerpMark, Slice, SliceQuality, Smile, Surface, SurfaceError, TENOR_RATIO_MAX, UnderlyingSurface,
};
