//! The engine as it runs: events in, effects out.
//!
//! **The one idea:** [`Engine::step`] is a function of what was remembered and of the event, and of nothing else. [`State`] is all
//! that is remembered; what everything is worth ([`Valued`]) follows from it and is never stored.
//!
//! ```text
//! Event -> guard of feeds, ledger, votes -> what was touched is valued anew -> how accounts stand -> Effects
//! ```
//!
//! **Must never know:** sockets, files, clocks, randomness, signatures.

mod accounts;
mod adopt;
mod book_map;
mod checks;
mod codec;
mod decide;
mod effect;
mod engine;
mod event;
pub mod feed;
mod glide;
mod imagine;
pub mod ledger;
pub mod liquidation;
mod market;
mod once;
mod pause;
mod rules;
mod seizure;
mod settlement;
mod state;
mod underlyings;
mod valued;
mod views;
mod waterfall;

pub use book_map::{BookCell, BookMap, BookStudy, Holder, Part};
pub use checks::Check;
pub use codec::{CodecError, VERSION, decode, encode, restore, save};
pub use effect::{Effect, Reject, Standing};
pub use engine::Engine;
pub use event::{Body, Event, Key};
pub use glide::Resting;
pub use imagine::{Basis, Change, Imagined, Paid, Supposed, Vector};
pub use market::{ChainRefused, Market, MarketParams};
pub use rules::{LiquidationRules, Rules};
pub use state::{Intent, Interest, Pause, SETTLEMENT_SECONDS, State, Trail};
pub use valued::Valued;
pub use views::{Reports, Study, Worded};
