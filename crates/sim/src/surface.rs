//! The volatility surface that is stated where history has prices and no options.
//!
//! **The one idea:** options are judged on a surface that anyone can recompute: a level that follows realised volatility, and a
//! smile of fixed shape. It is a stand-in for a market and is named as one in every report.
//!
//! ```text
//! level = 1.10 x sqrt(EWMA of (return^2 / years of the return)), half-life 20 days, from 0.30 to 2.50, in whole points
//! w(k)  = SSVI with theta = level^2 tau, rho = -0.15, phi = 0.8 / sqrt(theta (1 + theta))
//! ```
//!
//! Forwards are at the index: no carry, no rate. The smile is free of butterfly and calendar arbitrage (Gatheral and Jacquier
//! 2014, `eta (1 + |rho|) <= 2`).

use crate::portfolio::{INDEX, as_of};
use plimsoll_market::{PerpMark, Slice, SliceQuality, Surface, UnderlyingSurface};
use plimsoll_quant::ewma::EwmaVariance;
use plimsoll_quant::special::ln;
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Asset, ForwardSource, Instrument, Timestamp};
use std::collections::BTreeMap;

/// Implied over realised.
const PREMIUM: f64 = 1.10;
const HALF_LIFE_DAYS: f64 = 20.0;
const LEVEL_MIN: f64 = 0.30;
const LEVEL_MAX: f64 = 2.50;
/// The level until ten days of returns were seen.
const LEVEL_UNKNOWN: f64 = 0.80;
const RHO: f64 = -0.15;
const ETA: f64 = 0.8;

/// The level of the surface, online.
#[derive(Clone, Debug)]
pub struct StatedVol {
    squares: EwmaVariance,
    last: Option<(Timestamp, f64)>,
}

impl StatedVol {
    /// With nothing seen, for rows `step_seconds > 0` apart.
    ///
    /// # Errors
    /// [`StatsError`] for a step of no length.
    pub fn new(step_seconds: i64) -> Result<Self, StatsError> {
        let per_day = 86_400.0 / step_seconds as f64;
        let needed = (10.0 * per_day).ceil().max(1.0) as usize;
        Ok(Self { squares: EwmaVariance::new(HALF_LIFE_DAYS * per_day, needed)?, last: None })
    }

    /// Takes in a price, finite and > 0, later than the last; says the level in whole points of volatility.
    ///
    /// # Errors
    /// [`StatsError`] for a price that is none.
    pub fn update(&mut self, at: Timestamp, price: f64) -> Result<u16, StatsError> {
        if let Some((then, before)) = self.last.replace((at, price)) {
            self.squares.update(ln(price / before) / then.years_until(at).sqrt())?;
        }
        let level = self.squares.vol().map_or(LEVEL_UNKNOWN, |vol| PREMIUM * vol);
        Ok((100.0 * level.clamp(LEVEL_MIN, LEVEL_MAX)).round() as u16)
    }
}

/// A surface on which every asset has the index [`INDEX`] and slices at the `expiries`, to be set to levels.
pub(crate) fn blank(assets: &[Asset], expiries: &[Timestamp]) -> Surface {
    let one = |asset: &Asset| (asset.clone(), market(asset, expiries));
    Surface {
        as_of: as_of(),
        underlyings: assets.iter().map(one).collect(),
        assets: BTreeMap::new(),
        issues: Vec::new(),
    }
}

fn market(asset: &Asset, expiries: &[Timestamp]) -> UnderlyingSurface {
    let index = INDEX as f64;
    let slice = |expiry: &Timestamp| Slice {
        expiry: *expiry,
        tau: as_of().years_until(*expiry),
        forward: index,
        svi: smile(1.0, 1.0),
        quality: SliceQuality::default(),
    };
    let perpetual = format!("{asset}-PERP").parse::<Instrument>();
    let mark = PerpMark { price: index, funding_8h: None, open_interest: None };
    UnderlyingSurface {
        index,
        confidence: 0.0,
        forwards: expiries.iter().map(|at| (*at, index, ForwardSource::Venue)).collect(),
        perpetuals: perpetual.into_iter().map(|name| (name, mark)).collect(),
        futures: BTreeMap::new(),
        slices: expiries.iter().map(slice).collect(),
        refused: Vec::new(),
    }
}

fn smile(level: f64, tau: f64) -> plimsoll_quant::svi::Svi {
    let theta = level * level * tau;
    SsviSlice { theta, rho: RHO, phi: ETA / (theta * (1.0 + theta)).sqrt() }.raw()
}

/// Moves a surface made by [`blank`] to an instant, and one of its markets to an index and a level in whole points. The
/// slices must expire after the instant.
pub(crate) fn set(market: &mut UnderlyingSurface, at: Timestamp, index: f64, points: u16) {
    market.index = index;
    for (_, forward, _) in &mut market.forwards {
        *forward = index;
    }
    for mark in market.perpetuals.values_mut() {
        mark.price = index;
    }
    let level = f64::from(points) / 100.0;
    for slice in &mut market.slices {
        slice.tau = at.years_until(slice.expiry);
        slice.forward = index;
        slice.svi = smile(level, slice.tau);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use crate::portfolio::expiry;
    use plimsoll_quant::svi::calendar_violation;

    #[test]
    fn the_smile_is_free_of_arbitrage_at_every_level_and_tenor() {
        for points in [30_u16, 60, 120, 250] {
            let level = f64::from(points) / 100.0;
            let taus = [1.0, 7.0, 30.0, 60.0, 365.0].map(|days| days / 365.0);
            for pair in taus.windows(2) {
                let (near, far) = (smile(level, pair[0]), smile(level, pair[1]));
                assert!(near.check().is_ok() && far.check().is_ok(), "{points} {pair:?}");
                assert!(calendar_violation(&near, &far).is_none(), "{points} {pair:?}");
            }
        }
    }

    #[test]
    fn the_level_follows_realised_volatility_within_its_bounds() {
        let mut vol = StatedVol::new(86_400).unwrap();
        let (mut price, mut points) = (100.0, 0);
        for day in 0..400 {
            price *= if day % 2 == 0 { 1.03 } else { 1.0 / 1.03 };
            points = vol.update(Timestamp::from_seconds(day * 86_400), price).unwrap();
            assert!(day >= 10 || points == 80);
        }
        // 1.10 x ln 1.03 x sqrt 365
        assert_eq!(points, 62);
    }

    #[test]
    fn a_market_is_set_in_place() {
        let assets = [Asset::new("BTC").unwrap()];
        let mut surface = blank(&assets, &[expiry(7), expiry(30)]);
        let market = surface.underlyings.get_mut(&assets[0]).unwrap();
        set(market, as_of(), 10_000.0, 80);
        let vol = market.vol(expiry(30), 0.0).unwrap();
        assert!((vol - 0.80).abs() < 1e-12, "{vol}");
    }
}
