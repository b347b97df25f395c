//! A market of the project's own and the people in it, told as events of the engine.
//!
//! ```text
//! seed -> sea (prices, volatility, depth) -> observations, chains, trades --+--> Event -> Engine::step -> Effects
//!      -> people (who holds what, who answers a call) <---------------------+------------------------------+
//! ```
//!
//! **The one idea:** there are two streams. What the world does is a function of the seed and of time alone, the same whatever the
//! engine says; what people do about calls and liquidations follows from its effects. So one seed can be told to engines under
//! different rules, and only what the rules changed differs.
//!
//! **Must never know:** a margin formula, a clock, files.

mod coin;
mod crew;
mod draw;
mod opening;
mod outcome;
mod people;
mod quotes;
mod sea;
mod spec;
mod stage;
mod tape;

pub use outcome::{Outcome, Tally, shadow, tell};
pub use spec::{HarbourError, Phase, Scene, Spec};
pub use stage::Harbour;
pub use tape::{Tape, TapeSpec};

use plimsoll_engine::live::{Effect, Event};
use plimsoll_types::Timestamp;

/// Who makes events and hears what follows from them.
pub trait Producer {
    /// Market time before which no event comes; `None` when all is told. Never goes back.
    fn due(&self) -> Option<Timestamp>;

    /// The next event; hardly ever later than [`Producer::due`].
    fn next(&mut self) -> Option<Event>;

    /// Hears what followed from the event told last. What people do about it comes out of [`Producer::next`] later, never
    /// dated before `at`.
    fn react(&mut self, effects: &[Effect], at: Timestamp);

    /// Where the story stands, for a view.
    fn scene(&self) -> Scene;
}
