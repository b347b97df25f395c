//! What an entry price or a limit price is worth against today's mark.
//!
//! Per quantity unit, in quote units: linear contracts `mark - price`; contracts sized in quote units
//! `(1/price - 1/mark) index`, since they settle in coin; inverse options `(mark_coin - price_coin) index`.

use crate::book::RawPosition;
use plimsoll_risk::Valuation;
use plimsoll_types::{Contract, Instrument, QuantiseError, Rounding, Settlement, Ticks, quantise};

/// Terms that turn lots and prices into ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Quantity units per lot.
    pub lot: f64,
    /// Ticks per quote unit.
    pub ticks_per_unit: f64,
}

/// Gain of buying `lots` (selling, when negative) at `price` instead of at the mark, in ticks, rounded down.
/// `price` is as the venue quotes it: coin for inverse options, quote units otherwise.
pub(crate) fn edge(
    instrument: &Instrument,
    value: &Valuation,
    lots: i64,
    price: f64,
    scale: Scale,
) -> Result<Ticks, QuantiseError> {
    let per_unit = match (instrument.contract(), instrument.settlement()) {
        (Contract::Perpetual | Contract::Future { .. }, Settlement::Inverse) => {
            (1.0 / price - 1.0 / value.price) * value.index
        }
        (Contract::Option { .. }, Settlement::Inverse) => (value.price - price) * value.index,
        _ => value.price - price,
    };
    ticks(lots as f64 * scale.lot * per_unit, scale)
}

/// Whether the mark of the contract counts as equity in full (options and spot), so that no profit is outstanding.
pub(crate) fn counts_in_full(instrument: &Instrument) -> bool {
    matches!(instrument.contract(), Contract::Spot | Contract::Option { .. })
}

/// Profit since entry of the lots that came with an entry price, in ticks, rounded down. Zero for options and spot,
/// whose mark counts in full.
pub(crate) fn unrealised(
    instrument: &Instrument,
    value: &Valuation,
    raw: &RawPosition,
    scale: Scale,
) -> Result<Ticks, QuantiseError> {
    if counts_in_full(instrument) {
        return Ok(Ticks(0));
    }
    let entered = raw.entered as f64;
    let lots_gain = match instrument.settlement() {
        Settlement::Inverse => (raw.entry_sum - entered / value.price) * value.index,
        Settlement::Linear => entered * value.price - raw.entry_sum,
    };
    ticks(lots_gain * scale.lot, scale)
}

fn ticks(quote: f64, scale: Scale) -> Result<Ticks, QuantiseError> {
    quantise(quote * scale.ticks_per_unit, Rounding::Down).map(|whole| Ticks(i128::from(whole)))
}
