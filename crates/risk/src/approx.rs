//! Delta-gamma-vega: options to second order in the forward and in volatility.

use crate::set::Sticky;
use crate::shock::Shocked;
use crate::value::{Resolved, Terms, Valuation};
use plimsoll_market::SurfaceError;
use plimsoll_quant::black;
use plimsoll_quant::special::{ln, ln_1p};
use plimsoll_types::Instrument;

/// Relative bump of the forward for the derivatives along the smile; a power of two so that `1 + h` is exact.
const BUMP: f64 = 1.0 / 1024.0;

/// How far the approximation is from full reprice, over every option and every column, weights applied.
#[derive(Clone, PartialEq, Debug)]
pub struct ApproximationError {
    /// Cells compared.
    pub cells: u64,
    /// Largest absolute error, currency per unit of quantity.
    pub max_abs: f64,
    /// Root mean square error, currency per unit of quantity.
    pub rms: f64,
    /// Where the largest error is: instrument and label of the scenario; `None` when nothing was compared.
    pub worst: Option<(Instrument, String)>,
}

/// The running comparison.
#[derive(Default)]
pub(crate) struct ErrorTally {
    cells: u64,
    squares: f64,
    max_abs: f64,
    worst: Option<(Instrument, usize)>,
}

impl ErrorTally {
    /// Compares one instrument over all columns; `near` and `exact` are per distinct move.
    pub(crate) fn add(
        &mut self,
        instrument: &Instrument,
        columns: &[(usize, f64)],
        (near, exact): (&[f64], &[f64]),
    ) {
        for (column, (at, weight)) in columns.iter().enumerate() {
            let error = (weight * (near[*at] - exact[*at])).abs();
            self.cells += 1;
            self.squares += error * error;
            if error > self.max_abs || self.worst.is_none() {
                self.max_abs = self.max_abs.max(error);
                self.worst = Some((instrument.clone(), column));
            }
        }
    }

    pub(crate) fn finish(self, label: impl Fn(usize) -> String) -> ApproximationError {
        let mean = if self.cells == 0 { 0.0 } else { self.squares / self.cells as f64 };
        ApproximationError {
            cells: self.cells,
            max_abs: self.max_abs,
            rms: mean.sqrt(),
            worst: self.worst.map(|(instrument, column)| (instrument, label(column))),
        }
    }
}

/// An option's value to second order about the present market.
///
/// With `g = F'/F - 1`, `d = vol' - vol` (the scenario's move of the option's own volatility) and `t` the time passed,
/// `B' = B + delta g + gamma g^2/2 + vega d + vanna g d + volga d^2/2 + theta t`, floored at 0 so that a long option
/// never loses more than its premium. Delta and gamma are total derivatives along the smile (or at its volatility, as
/// [`Sticky`] says), by
/// central differences; the rest are Black-76. Discounting and conversion to coin are exact.
pub(crate) struct Expansion {
    now: f64,
    coin: f64,
    inverse: bool,
    forward: f64,
    k: f64,
    vol: f64,
    undiscounted: f64,
    delta: f64,
    gamma: f64,
    vega: f64,
    vanna: f64,
    volga: f64,
    theta: f64,
}

impl Expansion {
    /// Expands an option; anything else has no expansion and is revalued exactly.
    pub(crate) fn about(
        found: &Resolved<'_>,
        valued: &Valuation,
        sticky: Sticky,
    ) -> Result<Self, SurfaceError> {
        let Terms::Option { kind, strike, expiry } = found.terms else {
            unreachable!("only options are expanded");
        };
        let (forward, tau) = (found.reference, found.tau);
        let k = ln(strike / forward);
        let vol = found.market.vol(expiry, k)?;
        let g = black::greeks(kind, forward, strike, vol, tau);
        let bumped = |h: f64| -> Result<f64, SurfaceError> {
            let moved = if sticky == Sticky::Moneyness { ln_1p(h) } else { 0.0 };
            let vol = found.market.vol(expiry, k - moved)?;
            Ok(black::price(kind, forward * (1.0 + h), strike, vol, tau))
        };
        let (up, down) = (bumped(BUMP)?, bumped(-BUMP)?);
        Ok(Self {
            now: valued.mark,
            coin: if found.inverse { found.market.index / forward } else { 1.0 },
            inverse: found.inverse,
            forward,
            k,
            vol,
            undiscounted: g.price,
            delta: (up - down) / (2.0 * BUMP),
            gamma: (up - 2.0 * g.price + down) / (BUMP * BUMP),
            vega: g.vega,
            vanna: forward * g.vanna,
            volga: g.volga,
            theta: g.theta,
        })
    }

    /// `V' - V` of one unit; exactly 0 when nothing moves.
    pub(crate) fn gain(&self, to: &Shocked) -> f64 {
        let g = to.forward / self.forward - 1.0;
        let d = to.vol.apply(self.vol, self.k) - self.vol;
        let change = g * (self.delta + 0.5 * self.gamma * g + self.vanna * d)
            + d * (self.vega + 0.5 * self.volga * d)
            + self.theta * to.elapsed;
        let coin = if self.inverse { to.spot / to.forward } else { self.coin };
        to.discount * (self.undiscounted + change).max(0.0) * coin - self.now
    }
}
