//! What one source said last.

use super::{FeedParams, Refused, SourceParams};
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A number as a source states it: `mantissa x 10^exponent`. Exact; a float is made of it where one exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    /// The digits.
    pub mantissa: i64,
    /// Their power of ten.
    pub exponent: i8,
}

/// Digits that a float holds: 2^53.
const EXACT: u64 = 1 << 53;
/// Powers of ten that a float holds.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

impl Stated {
    /// The nearest float: exact digits and an exact power, rounded once. `None` where either is not exact.
    pub fn to_f64(self) -> Option<f64> {
        let power = *POWERS.get(usize::from(self.exponent.unsigned_abs()))?;
        let digits = (self.mantissa.unsigned_abs() <= EXACT).then_some(self.mantissa as f64)?;
        Some(if self.exponent < 0 { digits / power } else { digits * power })
    }
}

/// What a source says of an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The source's own count; rises.
    pub sequence: u64,
    /// The instant it speaks of.
    pub time: Timestamp,
    /// Quote units per base unit.
    pub price: Stated,
    /// Half-width of the confidence interval, in the unit of the price.
    #[serde(default)]
    pub confidence: Option<Stated>,
    /// No longer good after, where the source says so.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
}

/// Why a source is not heard until somebody has looked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quarantine {
    /// Two prices for one instant.
    Equivocation,
    /// Another exponent than configured.
    Exponent,
}

impl Quarantine {
    /// The quarantine that follows a refusal.
    pub(super) const fn of(refused: Refused) -> Option<Self> {
        match refused {
            Refused::Equivocation => Some(Self::Equivocation),
            Refused::Exponent => Some(Self::Exponent),
            _ => None,
        }
    }
}

/// A source as last heard.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) last: Option<Heard>,
    pub(super) quarantine: Option<Quarantine>,
    /// How often it was left out of the median.
    pub(super) outliers: u64,
    /// Its last sign of life without a price.
    #[serde(default)]
    pub(super) alive: Option<Timestamp>,
}

/// An observation that was kept.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Heard {
    pub(super) seen: Observation,
    pub(super) price: f64,
    /// Relative half-width.
    pub(super) confidence: f64,
    /// Observations in a row of exactly this price.
    pub(super) repeated: u32,
    /// Whether it was pardoned since: its number counts, its price does not.
    pub(super) forgotten: bool,
}

impl Source {
    /// The source after an observation.
    pub(super) fn next(
        self,
        seen: &Observation,
        (params, of): (&FeedParams, &SourceParams),
        now: Timestamp,
    ) -> Result<Self, Refused> {
        self.in_order(seen, (params, of), now)?;
        if of.exponent.is_some_and(|exponent| exponent != seen.price.exponent) {
            return Err(Refused::Exponent);
        }
        if seen.price.mantissa <= 0 {
            return Err(Refused::NonPositive);
        }
        let price = seen.price.to_f64().ok_or(Refused::Overflow)?;
        let confidence = confidence(seen, price, params)?;
        let same = self.last.filter(|last| last.price == price && !last.forgotten);
        let repeated = same.map_or(0, |last| last.repeated).saturating_add(1);
        let heard = Heard { seen: *seen, price, confidence, repeated, forgotten: false };
        Ok(Self { last: Some(heard), ..self })
    }

    fn in_order(
        &self,
        seen: &Observation,
        (params, of): (&FeedParams, &SourceParams),
        now: Timestamp,
    ) -> Result<(), Refused> {
        if millis_since(now, seen.time) > params.future_ms {
            return Err(Refused::Future);
        }
        if seen.valid_until.is_some_and(|until| until < now) {
            return Err(Refused::Expired);
        }
        if self.quarantine.is_some() {
            return Err(Refused::Quarantined);
        }
        let Some(last) = self.last else { return Ok(()) };
        let said_otherwise = seen.price != last.seen.price || seen.confidence != last.seen.confidence;
        if seen.time == last.seen.time && said_otherwise {
            return Err(Refused::Equivocation);
        }
        if seen.sequence == last.seen.sequence {
            return Err(if *seen == last.seen { Refused::Duplicate } else { Refused::Equivocation });
        }
        if seen.time == last.seen.time {
            return Err(Refused::Duplicate);
        }
        if seen.sequence < last.seen.sequence || seen.time < last.seen.time {
            return Err(Refused::OutOfOrder);
        }
        let gap = of.gapless && seen.sequence - last.seen.sequence != 1;
        if gap { Err(Refused::SequenceGap) } else { Ok(()) }
    }

    /// The source after a sign of life.
    pub(super) fn beat(self, params: &FeedParams, time: Timestamp, now: Timestamp) -> Result<Self, Refused> {
        if millis_since(now, time) > params.future_ms {
            return Err(Refused::Future);
        }
        if self.quarantine.is_some() {
            return Err(Refused::Quarantined);
        }
        if self.last_word().is_some_and(|last| time <= last) {
            return Err(Refused::OutOfOrder);
        }
        Ok(Self { alive: Some(time), ..self })
    }

    /// The instant of its last price or sign of life.
    pub(super) fn last_word(&self) -> Option<Timestamp> {
        self.last.map(|last| last.seen.time).max(self.alive)
    }

    pub(super) fn pardon(&mut self) {
        self.quarantine = None;
        if let Some(last) = &mut self.last {
            last.forgotten = true;
        }
    }
}

/// Milliseconds from `from` to `to`.
pub(super) fn millis_since(from: Timestamp, to: Timestamp) -> i64 {
    to.nanos().saturating_sub(from.nanos()).div_euclid(1_000_000)
}

/// Relative half-width; the floor where none is stated, or zero.
fn confidence(seen: &Observation, price: f64, params: &FeedParams) -> Result<f64, Refused> {
    let Some(stated) = seen.confidence else { return Ok(params.confidence_floor) };
    let half = stated.to_f64().ok_or(Refused::Overflow)?;
    if half < 0.0 || half > price {
        return Err(Refused::BadConfidence);
    }
    let relative = half / price;
    Ok(if relative > params.confidence_floor { relative } else { params.confidence_floor })
}
