//! A client of a server: requests signed as `docs/server.md` says, and its answers as they are.
//!
//! **The one idea:** what a server says and what a client reads is one type, which both have from here. Amounts stay decimals in
//! text, so nothing is lost on the way.
//!
//! **Must never know:** how a number is computed; units, ticks or lots; the engine.
//!
//! ```no_run
//! # async fn ask() -> Result<(), plimsoll_client::ClientError> {
//! use plimsoll_client::Client;
//! let client = Client::new("http://127.0.0.1:8080", None)?;
//! let margin = client.margin("alice").await?;
//! println!("{} of event {}", margin.data.totals.im_excess, margin.sequence);
//! # Ok(())
//! # }
//! ```

pub mod answers;
mod client;
pub mod scram;
mod wire;

pub use answers::{Answer, Each, Outcome, Problem};
pub use client::{Client, ClientError, Key, Leg};
