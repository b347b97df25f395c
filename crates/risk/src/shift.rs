//! A whole market moved at once, for liquidation surfaces and heat maps.

use plimsoll_market::{Slice, Surface, UnderlyingSurface};
use plimsoll_types::YEAR_SECONDS;

/// A move of the whole market.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Shift {
    /// Relative move of every underlying's prices; > -1.
    pub spot: f64,
    /// Relative move of every volatility, all tenors alike; > -1.
    pub vol: f64,
    /// Days that pass; >= 0.
    pub days: f64,
}

/// The surface under a move: index, forwards, futures and perpetuals times `1 + spot`; total variances times
/// `(1 + vol)^2`; `as_of` later by `days`. The smile stays where it is in log-moneyness. Prices of other collateral
/// assets, confidences, funding and fit qualities stay as they are.
///
/// ```
/// use plimsoll_risk::{shifted, Shift};
/// # use plimsoll_market::Surface;
/// # let surface = Surface { as_of: Default::default(), underlyings: Default::default(), assets: Default::default(),
/// #     issues: vec![] };
/// assert_eq!(shifted(&surface, &Shift::default()), surface);
/// ```
///
/// # Panics
/// When a field is outside its range: the caller's grid is ours.
#[must_use]
pub fn shifted(surface: &Surface, shift: &Shift) -> Surface {
    let Shift { spot, vol, days } = *shift;
    assert!(spot > -1.0 && spot.is_finite(), "relative spot move {spot} must be above -1");
    assert!(vol > -1.0 && vol.is_finite(), "relative vol move {vol} must be above -1");
    assert!((0.0..36_500.0).contains(&days), "days {days} must be from 0 to a century");
    let seconds = (days * (YEAR_SECONDS / 365) as f64).round() as i64;
    let mut moved = surface.clone();
    moved.as_of = surface.as_of.plus_seconds(seconds);
    for market in moved.underlyings.values_mut() {
        shift_market(market, 1.0 + spot, 1.0 + vol);
    }
    for (asset, market) in &moved.underlyings {
        if let Some(price) = moved.assets.get_mut(asset) {
            price.0 = market.index;
        }
    }
    moved
}

fn shift_market(market: &mut UnderlyingSurface, price: f64, vol: f64) {
    market.index *= price;
    for forward in &mut market.forwards {
        forward.1 *= price;
    }
    for perpetual in market.perpetuals.values_mut() {
        perpetual.price *= price;
    }
    for future in market.futures.values_mut() {
        *future *= price;
    }
    for slice in &mut market.slices {
        shift_slice(slice, price, vol * vol);
    }
}

fn shift_slice(slice: &mut Slice, price: f64, variance: f64) {
    slice.forward *= price;
    slice.svi.a *= variance;
    slice.svi.b *= variance;
}
