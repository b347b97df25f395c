//! Delta-gamma-vega: options to second order in the forward and in volatility.

use crate::build::{Built, Mode};
use crate::fill::misfit;
use crate::plan::{Part, Plan};
use crate::set::Sticky;
use crate::shock::Shocked;
use crate::value::{Resolved, Terms, Valuation, about, valuation};
use plimsoll_market::{Surface, SurfaceError};
use plimsoll_quant::black;
use plimsoll_quant::special::{ln, ln_1p};
use plimsoll_types::{Instrument, Issue, Reason, Rounding, Timestamp, quantise};
use std::collections::BTreeMap;

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
        (at, weights): (&[u32], &[f64]),
        (near, exact): (&[f64], &[f64]),
    ) {
        for (column, (at, weight)) in at.iter().zip(weights).enumerate() {
            let error = (weight * (near[*at as usize] - exact[*at as usize])).abs();
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

/// An expiry of an underlying under every distinct move.
type Expiries = BTreeMap<(usize, Timestamp), Vec<Shocked>>;

/// Replaces the entries of options in arrays built under full reprice by their expansions. An option whose entry then
/// fits no integer leaves the arrays. The error is `None` where `mode` asks for no comparison.
pub(crate) fn approximate(
    plan: &Plan,
    surface: &Surface,
    mode: Mode,
    built: &mut Built,
) -> Option<ApproximationError> {
    let mut tally = (mode == Mode::DeltaGammaVega).then(ErrorTally::default);
    let (arrays, width) = (&mut built.arrays, plan.columns());
    let parts: Vec<usize> = arrays
        .underlyings
        .iter()
        .filter_map(|row| plan.parts.iter().position(|part| part.asset == row.asset))
        .collect();
    let mut expiries = Expiries::new();
    let mut lost = Vec::new();
    for (at, row) in
        arrays.instruments.iter().enumerate().filter(|(_, row)| row.instrument.option().is_some())
    {
        let out = &mut arrays.pnl[at * width..(at + 1) * width];
        let part = parts[row.underlying.index()];
        let done = expand(plan, (surface, &row.instrument, part), &mut expiries, tally.as_mut(), out);
        lost.extend(done.err().map(|issue| (at, issue)));
    }
    for (at, issue) in lost.into_iter().rev() {
        let row = arrays.instruments.remove(at);
        arrays.pnl.drain(at * width..(at + 1) * width);
        built.issues.push((row.instrument, issue));
    }
    tally.map(|t| t.finish(|c| plan.columns[c].label.clone()))
}

fn expand(
    plan: &Plan,
    (surface, instrument, part): (&Surface, &Instrument, usize),
    expiries: &mut Expiries,
    tally: Option<&mut ErrorTally>,
    out: &mut [i64],
) -> Result<(), Issue> {
    let found = Resolved::find(surface, instrument, &plan.units.currency)?;
    let valued = valuation(&found, instrument, &plan.units)?;
    let Terms::Option { expiry, .. } = found.terms else { return Ok(()) };
    let known = &plan.parts[part];
    let states = match expiries.entry((part, expiry)) {
        std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
        std::collections::btree_map::Entry::Vacant(free) => {
            let states = shocked(plan, known, &found);
            free.insert(
                states.map_err(|price| about(Reason::NonPositive, instrument).with(price, Some(0.0)))?,
            )
        }
    };
    let failed = |e: SurfaceError| {
        let issue = about(Reason::FitFailed, instrument);
        Issue { subject: format!("{}: {e}", issue.subject), ..issue }
    };
    let expansion = Expansion::about(&found, &valued, plan.vol_shock.sticky).map_err(failed)?;
    let near: Vec<f64> = states.iter().map(|to| expansion.gain(to)).collect();
    if let Some(tally) = tally {
        let gain = |to: &Shocked| Ok(found.value(to)? - valued.mark);
        let exact: Vec<f64> = states.iter().map(gain).collect::<Result<_, _>>().map_err(failed)?;
        tally.add(instrument, (&known.moves.at, &plan.weights), (&near, &exact));
    }
    let scale = plan.scale(instrument);
    for ((entry, weight), at) in out.iter_mut().zip(&plan.weights).zip(&known.moves.at) {
        let x = weight * (near[*at as usize] * scale);
        *entry = quantise(x, Rounding::Nearest).map_err(|e| misfit(&e, instrument))?;
    }
    Ok(())
}

fn shocked(plan: &Plan, part: &Part, found: &Resolved<'_>) -> Result<Vec<Shocked>, f64> {
    (0..part.moves.count()).map(|i| found.shocked(&plan.vol_shock, &part.moves.get(i))).collect()
}
