//! What tests share: seeded chance, the shipped policy, and signals of one underlying.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(unreachable_pub, reason = "shared by test files")]

use plimsoll_policy::{Bar, Decision, Policy, Signals, State, UnderlyingSignals, step};
use plimsoll_quant::sobol::Rng64;
use plimsoll_types::Timestamp;

pub const DAY: i64 = 86_400;

/// Seeded chance.
#[derive(Clone)]
pub struct Dice {
    rng: Rng64,
}

/// A sequence of a seed.
#[allow(non_snake_case, reason = "reads as what it makes")]
pub fn Dice(seed: u64) -> Dice {
    Dice { rng: Rng64::new(seed) }
}

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// From 0 to `n - 1`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// In [0, 1).
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [-1, 1), the sum of four: heavier in the middle.
    pub fn bell(&mut self) -> f64 {
        (0..4).map(|_| self.share() - 0.5).sum::<f64>() / 2.0
    }
}

pub fn plimsoll() -> Policy {
    Policy::shipped("plimsoll").unwrap()
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// Signals of BTC alone.
pub fn btc(seconds: i64, of: UnderlyingSignals) -> Signals {
    Signals { as_of: at(seconds), underlyings: [("BTC".to_owned(), of)].into(), ..Signals::default() }
}

/// A price of BTC and nothing else.
pub fn price(seconds: i64, close: f64) -> Signals {
    btc(seconds, UnderlyingSignals { bar: Some(Bar::at(close)), ..UnderlyingSignals::default() })
}

/// Steps along daily returns from day `first` on.
pub fn along(policy: &Policy, state: &mut State, first: i64, returns: &[f64]) -> Vec<Decision> {
    let mut close = 100.0;
    let day = |(day, change): (i64, &f64)| {
        close *= 1.0 + change;
        step(policy, state, &price(DAY * day, close)).unwrap()
    };
    (first..).zip(returns).map(day).collect()
}

/// Returns of alternating sign and one size.
pub fn alternating(size: f64, days: usize) -> Vec<f64> {
    (0..days).map(|day| if day % 2 == 0 { size } else { -size / (1.0 + size) }).collect()
}
