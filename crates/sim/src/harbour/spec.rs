//! What a story is made from, and where it stands.

use plimsoll_engine::EngineError;
use plimsoll_engine::live::feed::FeedParamError;
use plimsoll_types::{InstrumentError, NameError, Timestamp};

/// What a story is made from.
#[derive(Clone, PartialEq, Debug)]
pub struct Spec {
    /// Every draw follows from it.
    pub seed: u64,
    /// Accounts beside the backstop.
    pub accounts: usize,
    /// When the story begins. What was before is told as of earlier days.
    pub start: Timestamp,
    /// How long it lasts, market seconds.
    pub length_seconds: i64,
    /// Days of the past that the policy is told of before.
    pub past_days: i64,
    /// Between two observations of one source, market seconds.
    pub source_seconds: i64,
    /// Between two chains of one underlying.
    pub chain_seconds: i64,
    /// Between two clocks.
    pub clock_seconds: i64,
    /// Between two trades of people with each other.
    pub trade_seconds: i64,
}

impl Default for Spec {
    /// 10,000 accounts over 12 hours from the evening of Monday 12 January 2026, after a hundred days of the past.
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: 10_000,
            start: Timestamp::from_seconds(1_768_240_800),
            length_seconds: 43_200,
            past_days: 100,
            source_seconds: 30,
            chain_seconds: 120,
            clock_seconds: 60,
            trade_seconds: 30,
        }
    }
}

impl Spec {
    /// The instant an engine must begin at: that of the first event.
    pub fn begins(&self) -> Timestamp {
        self.start.plus_seconds(-86_400 * (self.past_days + 1))
    }

    /// Whether it tells a story.
    pub(super) fn check(&self) -> Result<(), HarbourError> {
        let rates = [
            ("accounts", i64::try_from(self.accounts).unwrap_or(i64::MAX), 20, 1_000_000),
            ("length_seconds", self.length_seconds, 3_600, 86_400),
            ("past_days", self.past_days, 0, 1_000),
            ("source_seconds", self.source_seconds, 5, 60),
            ("chain_seconds", self.chain_seconds, 10, 900),
            ("clock_seconds", self.clock_seconds, 1, 3_600),
            ("trade_seconds", self.trade_seconds, 1, 86_400),
        ];
        for (field, value, least, most) in rates {
            if !(least..=most).contains(&value) {
                let expected = "a story that can be told: see the defaults";
                return Err(HarbourError::Spec { field, value, expected });
            }
        }
        Ok(())
    }

    /// The instant of the last event.
    pub fn ends(&self) -> Timestamp {
        self.start.plus_seconds(self.length_seconds)
    }
}

/// What the market goes through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Days before the story, accounts and positions being brought in: told as fast as it goes, not paced.
    Opening,
    /// Usual volatility.
    Calm,
    /// Volatility has doubled.
    Storm,
    /// Prices fall in legs, depth is gone.
    Crash,
    /// Part of the fall is made good.
    Recovery,
}

impl Phase {
    /// One word for a view.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Calm => "calm",
            Self::Storm => "storm",
            Self::Crash => "crash",
            Self::Recovery => "recovery",
        }
    }
}

/// Where a story stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scene {
    /// Market time.
    pub at: Timestamp,
    /// What the market goes through.
    pub phase: Phase,
    /// Share of the story that is told, 0 to 1; 0 while it opens.
    pub told: f64,
}

/// Why a story cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum HarbourError {
    /// A number of the spec tells no story.
    #[error("`{field}` is {value}: expected {expected}")]
    Spec {
        /// Which.
        field: &'static str,
        /// What it says.
        value: i64,
        /// What it may be.
        expected: &'static str,
    },
    /// A name that is no instrument.
    #[error(transparent)]
    Instrument(#[from] InstrumentError),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Limits that are none.
    #[error(transparent)]
    Feed(#[from] FeedParamError),
    /// The engine cannot run by the rules.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The book does not fit together: a defect of ours.
    #[error("book: {reason}")]
    Book {
        /// What the ledger said.
        reason: String,
    },
    /// There is nothing to replay.
    #[error("the tape has {chains} chains with options: expected at least 2")]
    Tape {
        /// How many there are.
        chains: usize,
    },
}
