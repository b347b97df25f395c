//! Every strike of an expiry under every move, in lanes.
//!
//! **The one idea:** strikes of one expiry see the same shocked forward, time, discount and map of volatility, so these
//! are columns over the moves ([`States`]), and a strike is one pass over them. A call and a put, linear and inverse, of
//! the same strike share that pass: it finds the time value only, each option adds its intrinsic value and its coin.
//! The market as it is goes through the same functions as the market under a move, so a move of nothing is exactly 0.
//!
//! The log-moneyness is `ln F' - ln K`, off by some 1e-15 where both are large. That is enough: the price is insensitive
//! to it to first order, since `F n(d1) = K n(d2)`, and the smile passes on no more than its slope times vega.
//!
//! **Must never know:** instruments, names, or what an entry is used for.

mod states;

use crate::moves::{LANES, Moves};
use crate::shock::{Level, Tenor, greater, lesser};
use plimsoll_lanes::{Simd, WithSimd};
use plimsoll_quant::batch::lane;
use plimsoll_quant::svi::Svi;
use plimsoll_types::{NANO, QuantiseError, Rounding, quantise};

pub(crate) use states::States;
use states::{fill_prices, fill_vols};

/// Most strikes of one call of the kernel: the unit of work that threads share, whatever their number.
pub(crate) const STRIKES: usize = 2 * LANES;
/// Numbers of one option that become integers; see [`Figures`].
pub(crate) const FIGURES: usize = 11;
/// Below this total volatility an option is worth its intrinsic value, as in `lane::price`.
const TOTAL_VOL_MIN: f64 = 1e-290;
const INV_SQRT_2PI: f64 = 0.398_942_280_401_432_7;
/// Floats below this in size become integers through the bits of a sum; larger ones one at a time.
const FAST_MAX: f64 = 2_251_799_813_685_248.0;
/// `1.5 2^52`: the low bits of `whole + SHIFT` are those of the integer.
const SHIFT: f64 = 6_755_399_441_055_744.0;

/// The volatility of an expiry: of one slice, or total variance linear in time between two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Smile {
    pub(crate) near: Svi,
    /// The slice after, and how far the expiry is on the way to it.
    pub(crate) far: Option<(Svi, f64)>,
    /// One over the years that total variance is divided by.
    pub(crate) per_year: f64,
}

impl From<plimsoll_market::Smile<'_>> for Smile {
    fn from(smile: plimsoll_market::Smile<'_>) -> Self {
        let far = smile.far.map(|(far, share)| (far.svi, share));
        Self { near: smile.near.svi, far, per_year: 1.0 / smile.tau }
    }
}

/// One expiry as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    pub(crate) index: f64,
    pub(crate) forward: f64,
    pub(crate) tau: f64,
}

/// What the options of an expiry share beside its prices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vols {
    pub(crate) smile: Smile,
    pub(crate) tenor: Tenor,
    /// Each option keeps its own volatility.
    pub(crate) sticky_strike: bool,
    /// `ln F`.
    pub(crate) ln_forward: f64,
    /// Years left at the points of the composite delta.
    pub(crate) delta_tau: f64,
}

/// A price point of the composite delta.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeltaPoint {
    pub(crate) growth: f64,
    pub(crate) ln_growth: f64,
    /// Share of the whole.
    pub(crate) weight: f64,
}

/// An option among the strikes of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionTerms {
    /// Which strike.
    pub(crate) strike: usize,
    /// `+1` for a call, `-1` for a put.
    pub(crate) sign: f64,
    pub(crate) inverse: bool,
    /// Ticks per lot of an amount per unit.
    pub(crate) scale: f64,
}

/// The two forms of a smile, told apart outside of the loops.
trait SmileForm: Copy {
    fn vol(self, k: f64) -> f64;
}

#[derive(Clone, Copy)]
struct One(Svi, f64);

#[derive(Clone, Copy)]
struct Between(Svi, Svi, f64, f64);

#[derive(Clone, Copy)]
struct Still(f64);

impl SmileForm for One {
    #[inline(always)]
    fn vol(self, k: f64) -> f64 {
        (self.0.w(k) * self.1).sqrt()
    }
}

impl SmileForm for Between {
    #[inline(always)]
    fn vol(self, k: f64) -> f64 {
        let Self(near, far, share, per_year) = self;
        let (w_near, w_far) = (near.w(k), far.w(k));
        ((w_near + share * (w_far - w_near)) * per_year).sqrt()
    }
}

impl SmileForm for Still {
    #[inline(always)]
    fn vol(self, _: f64) -> f64 {
        self.0
    }
}

/// Total volatility of one strike under every move, without the smile's own moves.
#[inline(always)]
fn total_vols<F: SmileForm>(smile: F, ln_strike: f64, states: &[&[f64]; 5], out: &mut [f64]) {
    let n = out.len();
    let [ln_forward, root, mul, add, floor] = states.map(|x| &x[..n]);
    for i in 0..n {
        let vol = smile.vol(ln_strike - ln_forward[i]);
        let level = Level { mul: mul[i], add: add[i], floor: floor[i] };
        out[i] = level.apply(vol) * root[i];
    }
}

/// Skew and wing moves.
#[inline(always)]
fn bend(tenor: &Tenor, ln_strike: f64, states: &[&[f64]; 3], total_vol: &mut [f64]) {
    let n = total_vol.len();
    let [ln_forward, skew, wing] = states.map(|x| &x[..n]);
    for i in 0..n {
        total_vol[i] *= tenor.form.factor(skew[i], wing[i], ln_strike - ln_forward[i]);
    }
}

/// Value of the out-of-the-money option of a strike: what both its options are worth above their intrinsic value.
#[inline(always)]
fn time_value(forward: f64, strike: f64, log_moneyness: f64, total_vol: f64) -> f64 {
    let sign = if forward < strike { 1.0 } else { -1.0 };
    lane::price(sign, forward, strike, log_moneyness, total_vol)
}

/// Total volatilities become time values.
#[inline(always)]
fn time_values(strike: (f64, f64), forward: &[f64], ln_forward: &[f64], cells: &mut [f64]) {
    let n = cells.len();
    let (forward, ln_forward) = (&forward[..n], &ln_forward[..n]);
    for i in 0..n {
        cells[i] = time_value(forward[i], strike.0, ln_forward[i] - strike.1, cells[i]);
    }
}

/// Undiscounted value: intrinsic and time value, at most the forward of a call, the strike of a put.
#[inline(always)]
fn undiscounted(sign: f64, forward: f64, strike: f64, time_value: f64) -> f64 {
    let intrinsic = greater(sign * (forward - strike), 0.0);
    let bound = if sign > 0.0 { forward } else { strike };
    lesser(intrinsic + time_value, bound)
}

/// `V' - V` of one option under every move.
#[inline(always)]
fn option_gains((sign, strike, mark): (f64, f64, f64), states: &[&[f64]; 3], out: &mut [f64]) {
    let n = out.len();
    let [forward, cells, pay] = states.map(|x| &x[..n]);
    for i in 0..n {
        out[i] = undiscounted(sign, forward[i], strike, cells[i]) * pay[i] - mark;
    }
}

/// The integer nearest to `x`, halves away from zero, where `|x| < 2^51`: there equal to [`quantise`].
#[inline(always)]
pub(crate) fn nearest(x: f64) -> i64 {
    let bits = (x.round() + SHIFT).to_bits();
    bits.wrapping_sub(SHIFT.to_bits()).cast_signed()
}

#[inline(always)]
#[allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]
fn is_slow(x: f64) -> u64 {
    u64::from(!(x.abs() < FAST_MAX))
}

/// Which columns an entry is made for.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// Weight of each column.
    pub(crate) weights: &'a [f64],
    /// Its distinct move.
    pub(crate) at: &'a [u32],
    pub(crate) in_order: bool,
}

/// Entries of one row; true where a number was too large or none.
#[inline(always)]
fn entries_in_order(weights: &[f64], gains: &[f64], scale: f64, out: &mut [i64]) -> bool {
    let n = out.len();
    let (weights, gains) = (&weights[..n], &gains[..n]);
    let mut slow = 0;
    for i in 0..n {
        let x = weights[i] * (gains[i] * scale);
        slow |= is_slow(x);
        out[i] = nearest(x);
    }
    slow != 0
}

#[inline(always)]
fn entries_scattered(columns: &Columns<'_>, gains: &[f64], scale: f64, out: &mut [i64]) -> bool {
    let n = out.len();
    let (weights, at) = (&columns.weights[..n], &columns.at[..n]);
    let mut slow = 0;
    for i in 0..n {
        let x = weights[i] * (gains[at[i] as usize] * scale);
        slow |= is_slow(x);
        out[i] = nearest(x);
    }
    slow != 0
}

/// The same one at a time, by the one bridge from float to integer.
#[cold]
#[inline(never)]
fn entries_slow(
    columns: &Columns<'_>,
    gains: &[f64],
    scale: f64,
    out: &mut [i64],
) -> Result<(), QuantiseError> {
    for ((entry, weight), at) in out.iter_mut().zip(columns.weights).zip(columns.at) {
        *entry = quantise(weight * (gains[*at as usize] * scale), Rounding::Nearest)?;
    }
    Ok(())
}

#[inline(always)]
fn entries(columns: &Columns<'_>, gains: &[f64], scale: f64, out: &mut [i64]) -> Result<(), QuantiseError> {
    let slow = if columns.in_order {
        entries_in_order(columns.weights, gains, scale, out)
    } else {
        entries_scattered(columns, gains, scale, out)
    };
    if slow { entries_slow(columns, gains, scale, out) } else { Ok(()) }
}

/// Numbers of one option as integers, in the order in which a misfit is told: delta, gamma, vega, theta, rho, vanna,
/// volga, mark, notional, reference (ticks), composite delta (parts per billion).
pub(crate) type Figures = [i64; FIGURES];

#[inline(always)]
fn figures(x: &[f64; FIGURES], out: &mut Figures) -> Result<(), QuantiseError> {
    let mut slow = 0;
    for i in 0..FIGURES {
        slow |= is_slow(x[i]);
        out[i] = nearest(x[i]);
    }
    if slow == 0 { Ok(()) } else { figures_slow(x, out) }
}

#[cold]
#[inline(never)]
fn figures_slow(x: &[f64; FIGURES], out: &mut Figures) -> Result<(), QuantiseError> {
    for (to, x) in out.iter_mut().zip(x) {
        *to = quantise(*x, Rounding::Nearest)?;
    }
    Ok(())
}

/// One number per strike of a call.
type PerStrike = [f64; STRIKES];

/// The strikes of a call as they are now; amounts undiscounted, in quote units.
#[derive(Default)]
struct Now {
    vol: PerStrike,
    time_value: PerStrike,
    /// Of the call; a put's is one less.
    delta: PerStrike,
    /// `F^2` times gamma.
    gamma: PerStrike,
    vega: PerStrike,
    theta: PerStrike,
    /// `F` times vanna.
    vanna: PerStrike,
    volga: PerStrike,
    /// Of the call; a put's is one less.
    composite: PerStrike,
}

/// `a b`, with 0 where `a` is: the Gaussian wins over every power.
#[inline(always)]
fn finite_product(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a * b }
}

#[inline(always)]
fn vols_now<F: SmileForm>(smile: F, ln_forward: f64, ln_strike: &PerStrike, out: &mut PerStrike) {
    for i in 0..STRIKES {
        out[i] = smile.vol(ln_strike[i] - ln_forward);
    }
}

/// Volatility and time value.
#[inline(always)]
fn values_now(expiry: &Expiry, vols: &Vols, (strike, ln_strike): (&PerStrike, &PerStrike), now: &mut Now) {
    let Smile { near, far, per_year } = vols.smile;
    match far {
        None => vols_now(One(near, per_year), vols.ln_forward, ln_strike, &mut now.vol),
        Some((far, share)) => {
            vols_now(Between(near, far, share, per_year), vols.ln_forward, ln_strike, &mut now.vol);
        }
    }
    let root = expiry.tau.sqrt();
    for i in 0..STRIKES {
        let x = vols.ln_forward - ln_strike[i];
        now.time_value[i] = time_value(expiry.forward, strike[i], x, now.vol[i] * root);
    }
}

/// Greeks of the market as it is; formulas as in `quant::black`.
#[inline(always)]
fn greeks_now(expiry: &Expiry, vols: &Vols, (strike, ln_strike): (&PerStrike, &PerStrike), now: &mut Now) {
    let (forward, root) = (expiry.forward, expiry.tau.sqrt());
    for i in 0..STRIKES {
        let (x, vol) = (vols.ln_forward - ln_strike[i], now.vol[i]);
        let s = vol * root;
        let (d1, d2) = (x / s + 0.5 * s, x / s - 0.5 * s);
        let density = INV_SQRT_2PI * lane::exp(-0.5 * d1 * d1);
        let g = forward * if s < TOTAL_VOL_MIN { 0.0 } else { density };
        let vega = g * root;
        now.delta[i] = lane::delta(1.0, forward, strike[i], x, s);
        now.gamma[i] = finite_product(g, 1.0 / s);
        now.vega[i] = vega;
        now.theta[i] = -0.5 * g * vol / root;
        now.vanna[i] = finite_product(g, -d2 / vol);
        now.volga[i] = finite_product(vega, d1 * d2 / vol);
    }
}

#[inline(always)]
fn composite_now(
    (forward, vols): (f64, &Vols),
    points: &[DeltaPoint],
    (strike, ln_strike): (&PerStrike, &PerStrike),
    now: &mut Now,
) {
    let root = vols.delta_tau.sqrt();
    now.composite = [0.0; STRIKES];
    for point in points {
        let (at, ln_at) = (forward * point.growth, vols.ln_forward + point.ln_growth);
        for i in 0..STRIKES {
            let delta = lane::delta(1.0, at, strike[i], ln_at - ln_strike[i], now.vol[i] * root);
            now.composite[i] += point.weight * delta;
        }
    }
}

/// The figures of one option.
#[inline(always)]
fn figures_of(
    call: &StrikesKernel<'_, '_>,
    option: &OptionTerms,
    (mark, coin): (f64, f64),
    now: &Now,
) -> [f64; FIGURES] {
    let i = option.strike;
    let (amount, expiry) = (coin * option.scale, call.expiry);
    let lower = if option.sign > 0.0 { 0.0 } else { 1.0 };
    [
        amount * (expiry.forward * (now.delta[i] - lower)),
        amount * now.gamma[i],
        amount * now.vega[i],
        amount * now.theta[i],
        -expiry.tau * mark * option.scale,
        amount * now.vanna[i],
        amount * now.volga[i],
        mark * option.scale,
        expiry.index * option.scale,
        expiry.forward * call.ticks_per_unit,
        (now.composite[i] - lower) * NANO as f64,
    ]
}

/// What came of one option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Nothing where figures were not asked for.
    pub(crate) figures: Figures,
    /// The first number that is no integer: of the entries, then of the figures.
    pub(crate) fits: Result<(), QuantiseError>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { figures: [0; FIGURES], fits: Ok(()) }
    }
}

/// Up to [`STRIKES`] strikes of one expiry: entries and figures of their options. `Err` carries the first price under a
/// move that is none.
pub(crate) struct StrikesKernel<'a, 'b> {
    pub(crate) expiry: &'a Expiry,
    pub(crate) vols: &'a Vols,
    pub(crate) moves: &'a Moves,
    pub(crate) columns: Columns<'a>,
    /// Points of the composite delta; `None` where figures are not asked for.
    pub(crate) points: Option<&'a [DeltaPoint]>,
    pub(crate) ticks_per_unit: f64,
    /// Strikes and their logarithms; at most [`STRIKES`].
    pub(crate) strikes: &'a [(f64, f64)],
    /// Options in order of strike, and one row of entries and one outcome for each.
    pub(crate) options: &'a [OptionTerms],
    pub(crate) rows: &'a mut [&'b mut [i64]],
    pub(crate) outcomes: &'a mut [Outcome],
    pub(crate) states: &'a mut States,
}

impl WithSimd for StrikesKernel<'_, '_> {
    type Output = Result<(), f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> Self::Output {
        if !fill_prices(self.expiry, self.moves, self.states) {
            return Err(self.states.first_bad().unwrap_or(f64::NAN));
        }
        fill_vols(self.expiry, self.vols, self.moves, self.states);
        let now = self.now();
        let mut done = usize::MAX;
        for at in 0..self.options.len() {
            let option = self.options[at];
            if option.strike != done {
                self.fill_cells(option.strike, now.vol[option.strike]);
                done = option.strike;
            }
            self.fill_row(at, &option, &now);
        }
        Ok(())
    }
}

impl StrikesKernel<'_, '_> {
    /// The strikes of the call, padded with its first.
    #[inline(always)]
    fn strike_lanes(&self) -> (PerStrike, PerStrike) {
        let first = self.strikes.first().copied().unwrap_or((1.0, 0.0));
        let (mut strike, mut ln_strike) = ([first.0; STRIKES], [first.1; STRIKES]);
        for (i, x) in self.strikes.iter().enumerate().take(STRIKES) {
            strike[i] = x.0;
            ln_strike[i] = x.1;
        }
        (strike, ln_strike)
    }

    #[inline(always)]
    fn now(&self) -> Now {
        let (strike, ln_strike) = self.strike_lanes();
        let mut now = Now::default();
        values_now(self.expiry, self.vols, (&strike, &ln_strike), &mut now);
        if let Some(points) = self.points {
            greeks_now(self.expiry, self.vols, (&strike, &ln_strike), &mut now);
            composite_now((self.expiry.forward, self.vols), points, (&strike, &ln_strike), &mut now);
        }
        now
    }

    /// Time values of a strike under every move.
    #[inline(always)]
    fn fill_cells(&mut self, strike: usize, vol_now: f64) {
        let (st, (strike, ln_strike)) = (&mut *self.states, self.strikes[strike]);
        let columns: [&[f64]; 5] = [&st.ln_forward, &st.root, &st.mul, &st.add, &st.floor];
        let Smile { near, far, per_year } = self.vols.smile;
        match far {
            _ if self.vols.sticky_strike => total_vols(Still(vol_now), ln_strike, &columns, &mut st.cells),
            None => total_vols(One(near, per_year), ln_strike, &columns, &mut st.cells),
            Some((far, share)) => {
                total_vols(Between(near, far, share, per_year), ln_strike, &columns, &mut st.cells);
            }
        }
        if self.moves.has.smile {
            let columns: [&[f64]; 3] = [&st.ln_forward, &self.moves.skew, &self.moves.wing];
            bend(&self.vols.tenor, ln_strike, &columns, &mut st.cells);
        }
        time_values((strike, ln_strike), &st.forward, &st.ln_forward, &mut st.cells);
    }

    /// Entries and figures of one option, its strike's time values being there.
    #[inline(always)]
    fn fill_row(&mut self, at: usize, option: &OptionTerms, now: &Now) {
        let strike = self.strikes[option.strike].0;
        let coin = if option.inverse { self.expiry.index / self.expiry.forward } else { 1.0 };
        let worth = undiscounted(option.sign, self.expiry.forward, strike, now.time_value[option.strike]);
        let mark = worth * coin;
        let st = &mut *self.states;
        let pay = if option.inverse { &st.coin } else { &st.discount };
        option_gains((option.sign, strike, mark), &[&st.forward, &st.cells, pay], &mut st.gains);
        let fits = entries(&self.columns, &st.gains, option.scale, self.rows[at]);
        self.outcomes[at].fits = fits;
        if self.points.is_some() && fits.is_ok() {
            let x = figures_of(self, option, (mark, coin), now);
            self.outcomes[at].fits = figures(&x, &mut self.outcomes[at].figures);
        }
    }
}

/// What is not an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Linear {
    /// Worth `S'`.
    Spot,
    /// `F' - F`.
    Future,
    /// `(F'/F - 1) S'/F'` per quote unit.
    InverseFuture,
}

/// Entries of an instrument that is not an option. `Err` as for [`StrikesKernel`]; the inner one is a misfit.
pub(crate) struct LinearKernel<'a> {
    pub(crate) expiry: &'a Expiry,
    pub(crate) kind: Linear,
    pub(crate) moves: &'a Moves,
    pub(crate) columns: Columns<'a>,
    pub(crate) scale: f64,
    pub(crate) row: &'a mut [i64],
    pub(crate) states: &'a mut States,
}

impl WithSimd for LinearKernel<'_> {
    type Output = Result<Result<(), QuantiseError>, f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        if !fill_prices(self.expiry, self.moves, self.states) {
            return Err(self.states.first_bad().unwrap_or(f64::NAN));
        }
        let st = self.states;
        linear_gains(self.kind, self.expiry, [&st.spot, &st.forward], &mut st.gains);
        Ok(entries(&self.columns, &st.gains, self.scale, self.row))
    }
}

#[inline(always)]
fn linear_gains(kind: Linear, expiry: &Expiry, [spot, forward]: [&[f64]; 2], out: &mut [f64]) {
    let n = out.len();
    let (spot, forward) = (&spot[..n], &forward[..n]);
    match kind {
        Linear::Spot => {
            for i in 0..n {
                out[i] = spot[i] - expiry.index;
            }
        }
        Linear::Future => {
            for i in 0..n {
                out[i] = forward[i] - expiry.forward;
            }
        }
        Linear::InverseFuture => {
            for i in 0..n {
                out[i] = (forward[i] / expiry.forward - 1.0) * (spot[i] / forward[i]);
            }
        }
    }
}
