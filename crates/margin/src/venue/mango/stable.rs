//! Mango's stable price: the oracle's price with its speed limited, against manipulation that lasts less than a day.
//!
//! Source: blockworks-foundation/mango-v4 @ 1303a4a1, `state/stable_price.rs` (methods.md 14).

use crate::venue::integer::not_below_zero;
use crate::venue::{VenueError, settled};
use plimsoll_types::{Fixed, Rounding};
use serde::{Deserialize, Serialize};

/// How fast the stable price may move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StableTerms {
    /// Seconds over which one delay price is averaged: an hour.
    pub delay_interval: i64,
    /// Largest relative change between two delay prices: 0.06.
    pub delay_growth_limit: Fixed,
    /// Largest relative change of the stable price per second: 0.0003.
    pub stable_growth_limit: Fixed,
    /// Updates sooner after one another than this many seconds are ignored: 10.
    pub min_dt: i64,
    /// A longer time counts as this many seconds: 600.
    pub max_dt: i64,
}

/// Delay prices kept: with an hour each, the oldest is a day old.
const DELAYS: usize = 24;
/// The same, as seconds are counted.
const SLOTS: i64 = 24;

/// The stable price: follows the oracle's, at most `stable_growth_limit` per second, and slower the further it is from
/// a *delay price*, an average of a day ago that itself may grow only so fast.
///
/// ```
/// use plimsoll_margin::venue::mango::{StablePrice, StableTerms};
/// use plimsoll_types::Fixed;
/// let terms: StableTerms = toml::from_str(
///     "delay_interval = 3600\ndelay_growth_limit = 0.06\nstable_growth_limit = 0.0003\nmin_dt = 10\nmax_dt = 600")?;
/// let mut model = StablePrice::new(terms, Fixed::ONE, 0)?;
/// for minute in 1..=60 {
///     model.update(60 * minute, Fixed::from(10))?;
/// }
/// assert!(model.price().to_string().starts_with("1.780573206"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StablePrice {
    terms: StableTerms,
    stable: Fixed,
    last: i64,
    delays: [Fixed; DELAYS],
    sum: Fixed,
    seconds: i64,
    index: usize,
}

impl StablePrice {
    /// A model at a price, with every delay price equal to it; at a price of 0 it starts over at the first above 0.
    /// The limits of growth are those that fit a 32-bit float, in which the venue stores them.
    ///
    /// # Errors
    /// [`VenueError::Domain`] for a price below 0 or an interval that is not positive.
    pub fn new(terms: StableTerms, price: Fixed, now: i64) -> Result<Self, VenueError> {
        not_below_zero(price, "a price")?;
        if terms.delay_interval <= 0 {
            let value = terms.delay_interval.to_string();
            return Err(VenueError::Domain {
                what: "a delay interval",
                value,
                expected: "a positive number",
            });
        }
        let limits = StableTerms {
            delay_growth_limit: single(terms.delay_growth_limit),
            stable_growth_limit: single(terms.stable_growth_limit),
            ..terms
        };
        let (sum, seconds, index) = (Fixed::ZERO, 0, 0);
        Ok(Self { terms: limits, stable: price, last: now, delays: [price; DELAYS], sum, seconds, index })
    }

    /// The stable price, quote units.
    pub fn price(&self) -> Fixed {
        self.stable
    }

    /// The delay prices by slot; the slot of the present interval holds the oldest.
    pub fn delay_prices(&self) -> &[Fixed; DELAYS] {
        &self.delays
    }

    /// Takes the oracle's price at a time, seconds; sooner than `min_dt` after the last it is ignored.
    ///
    /// # Errors
    /// [`VenueError::Domain`] for a price below 0; [`VenueError::Overflow`] where the sum of prices does not fit.
    pub fn update(&mut self, now: i64, price: Fixed) -> Result<(), VenueError> {
        not_below_zero(price, "a price")?;
        if self.stable == Fixed::ZERO && price > Fixed::ZERO && self.delays == [Fixed::ZERO; DELAYS] {
            (self.stable, self.delays, self.last) = (price, [price; DELAYS], now);
            (self.sum, self.seconds) = (Fixed::ZERO, 0);
        }
        let passed = now.saturating_sub(self.last);
        if passed < self.terms.min_dt {
            return Ok(());
        }
        let counted = Fixed::from(passed.min(self.terms.max_dt));
        self.last = now;
        self.seconds = self.seconds.saturating_add(passed);
        self.sum = self.sum + price * counted;
        self.turn(now, passed);
        let delay = self.delays.get(self.index).copied().unwrap_or(Fixed::LOST);
        let larger = self.stable.max(delay);
        let agreement = if larger > Fixed::ZERO { self.stable.min(delay) / larger } else { Fixed::ZERO };
        let growth = self.terms.stable_growth_limit * agreement * agreement * counted;
        self.stable = settled(grown(price, self.stable, growth), "a stable price")?;
        Ok(())
    }

    /// Stores the average of the interval that has ended in every slot passed since.
    fn turn(&mut self, now: i64, passed: i64) {
        let index = usize::try_from((now / self.terms.delay_interval).rem_euclid(SLOTS));
        // A remainder of 24 is below it.
        let index = index.unwrap_or_else(|e| unreachable!("{e}"));
        if index == self.index {
            return;
        }
        let before = self.delays[(self.index + DELAYS - 1) % DELAYS];
        let average = self.sum / Fixed::from(self.seconds);
        let delay = grown(average, before, self.terms.delay_growth_limit);
        if passed > SLOTS.saturating_mul(self.terms.delay_interval) {
            self.delays = [delay; DELAYS];
        }
        let mut slot = self.index;
        while slot != index {
            self.delays[slot] = delay;
            slot = (slot + 1) % DELAYS;
        }
        (self.sum, self.seconds, self.index) = (Fixed::ZERO, 0, index);
    }
}

/// `clamp(target, previous (1 - limit), previous (1 + limit))`.
fn grown(target: Fixed, previous: Fixed, limit: Fixed) -> Fixed {
    target.clamp(previous * (Fixed::ONE - limit), previous * (Fixed::ONE + limit))
}

/// The number of 24 significant binary digits nearest to one between 1e-9 and 1, halves to even: what a 32-bit float
/// holds of it.
fn single(x: Fixed) -> Fixed {
    let Some(units) = x.known().filter(|units| *units > 0) else { return x };
    // With 2^shift the number has 24 binary digits before the point.
    let unit = 1_000_000_000_000_000_000_i128;
    let mut shift = 0;
    while shift < 60 && units.checked_shl(shift).is_none_or(|up| up / unit < 1 << 23) {
        shift += 1;
    }
    let (scaled, step) = (units << shift, unit);
    let (floor, rest) = (scaled / step, scaled % step);
    let up = rest * 2 > step || (rest * 2 == step && floor % 2 == 1);
    Fixed::from_units(floor + i128::from(up)).scaled(step, 1 << shift, Rounding::Nearest)
}
