//! Venues' own protocols to readings that an engine takes.
//!
//! **The one idea:** a protocol has no socket. A [`Protocol`] is told what arrived and when, and answers with [`Reading`]s, with what
//! it wants said or fetched ([`Ask`]), or with a [`Refusal`] that has a stable reason. So every recorded frame, every gap and every
//! forged signature is tried without a network, and [`link`] is the one place that has one.
//!
//! What a reading says is what the venue said: a price keeps its digits ([`Number`]), a source its own sequence and time. Whether a
//! price is to be believed is the engine's business; this crate refuses only what is not what it claims to be: another form,
//! another signer, a break in a sequence, a number that is none.
//!
//! **Must never know:** accounts, positions, margin, parameters, the engine's state; a clock or chance of its own (both are handed
//! in); a secret it would print.

pub mod address;
pub mod binance;
mod book;
pub mod chainlink;
mod chains;
pub mod config;
pub mod depth;
pub mod deribit;
pub mod evm;
mod field;
pub mod hyperliquid;
pub mod link;
mod number;
mod order;
mod protocol;
pub mod pyth;
mod reading;
mod refusal;
pub mod replay;

pub mod signed;
mod sse;

pub use book::{Amounts, Book, Shown, Side};
pub use chains::Chains;
pub use number::Number;
pub use order::Stated;
pub use protocol::{Ask, Protocol, Turn};
pub use reading::{Depth, Price, Quote, Reading, Trade};
pub use refusal::{ABOUT_MAX, Reason, Refusal};
pub use sse::Events;
