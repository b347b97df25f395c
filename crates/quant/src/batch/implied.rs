//! Implied volatility of many undiscounted Black-76 prices at once.
//!
//! The one idea: every lane takes the same fixed number of steps (one start, one short and one full step of fourth
//! order), and then the step's own size tells whether it has arrived. A lane that has not, or whose inputs the vector form
//! does not cover, or whose price has no volatility, is answered by the scalar
//! [`implied_vol`](crate::implied::implied_vol), so that refusals are the scalar's by construction.
//!
//! Accuracy is that of the scalar: within `max(1e-12, 8 x 2^-53 price / (vega vol))` relative of the exact answer, and
//! within 16 times `max(2^-52, 8 x 2^-53 price / (vega vol))`, which the tests assert.
//!
//! Must never know: threads (callers choose chunks), discounting, an instrument.

mod root;

use super::{BatchError, check_length, lane};
use crate::black::OptionKind;
use crate::implied::{
    ImpliedVolError, PRICE_ERROR, RELATIVE_ERROR_MAX, TIME_VALUE_SHARE_MIN, implied_vol, time_value,
};
use plimsoll_lanes::{Path, Simd, WithSimd};
use root::{ARGUMENT_MIN, Goal, MILLS, MILLS_NEAR, Trial};

/// Options per round of the stages, so that what passes between them stays in the first cache.
const ROUND: usize = 128;
/// Largest last step, relative, that is taken as arrived: what it leaves is below 1e-15.
const STEP_MAX: f64 = 1e-4;
/// The vector form covers legs between these, so that every quotient stays a normal number.
const LEG_MIN: f64 = 1e-270;
const LEG_MAX: f64 = 1e306;
/// And time values above this, in the unit of the price and as a share of the smaller leg.
const VALUE_MIN: f64 = 1e-305;
const SHARE_MIN: f64 = 1e-303;

/// Undiscounted prices of European options as columns of one length.
#[derive(Clone, Copy, Debug)]
pub struct Prices<'a> {
    /// Call or put.
    pub kind: &'a [OptionKind],
    /// Undiscounted price, quote units per base unit.
    pub price: &'a [f64],
    /// Forward at expiry, quote units per base unit.
    pub forward: &'a [f64],
    /// Strike, in the unit of the forward.
    pub strike: &'a [f64],
    /// Years to expiry.
    pub tau: &'a [f64],
}

/// What became of one price: the reason of [`ImpliedVolError`] without its numbers, which [`Prices::implied_vol`] gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ImpliedStatus {
    /// The volatility was found.
    #[default]
    Ok,
    /// An input is NaN or infinite.
    NonFinite,
    /// The option has expired.
    NonPositiveTau,
    /// Forward or strike is negative.
    Negative,
    /// The price is below its intrinsic value or equal to it.
    BelowIntrinsic,
    /// The price is at or above the forward (call) or the strike (put).
    AboveBound,
    /// The time value drowns in the rounding of the price.
    Unrecoverable,
    /// The scalar's bracket did not close.
    NotConverged,
}

impl From<&ImpliedVolError> for ImpliedStatus {
    fn from(error: &ImpliedVolError) -> Self {
        match error {
            ImpliedVolError::NonFinite { .. } => Self::NonFinite,
            ImpliedVolError::NonPositiveTau { .. } => Self::NonPositiveTau,
            ImpliedVolError::Negative { .. } => Self::Negative,
            ImpliedVolError::BelowIntrinsic { .. } => Self::BelowIntrinsic,
            ImpliedVolError::AboveBound { .. } => Self::AboveBound,
            ImpliedVolError::Unrecoverable { .. } => Self::Unrecoverable,
            ImpliedVolError::NotConverged { .. } => Self::NotConverged,
        }
    }
}

impl Prices<'_> {
    fn check(&self) -> Result<usize, BatchError> {
        let n = self.kind.len();
        check_length("price", self.price.len(), n)?;
        check_length("forward", self.forward.len(), n)?;
        check_length("strike", self.strike.len(), n)?;
        check_length("tau", self.tau.len(), n)?;
        Ok(n)
    }

    /// The scalar answer for one option: the full error behind a status, with its numbers. `None` past the end.
    ///
    /// # Errors
    /// See [`ImpliedVolError`].
    #[must_use]
    pub fn implied_vol(&self, index: usize) -> Option<Result<f64, ImpliedVolError>> {
        let (kind, price) = (*self.kind.get(index)?, *self.price.get(index)?);
        let (forward, strike) = (*self.forward.get(index)?, *self.strike.get(index)?);
        Some(implied_vol(kind, price, forward, strike, *self.tau.get(index)?))
    }
}

/// Annualised volatilities whose undiscounted Black-76 prices are `prices`, decimal; NaN where `status` is not
/// [`ImpliedStatus::Ok`]. The meaning and the order of the refusals are those of
/// [`implied_vol`](crate::implied::implied_vol), and an option's answer depends on its own inputs alone.
///
/// Returns how many options were answered one by one: those refused, and of the others a few in ten thousand.
///
/// # Errors
/// [`BatchError::LengthMismatch`] where a column, `out` or `status` is not as long as `prices.kind`.
///
/// ```
/// use plimsoll_lanes::Path;
/// use plimsoll_quant::batch::{ImpliedStatus, Prices, implied_vols};
/// use plimsoll_quant::black::{OptionKind::{Call, Put}, price};
/// let quoted = [price(Call, 100.0, 120.0, 0.65, 0.1), 95.0];
/// let (forward, strike, tau) = ([100.0, 100.0], [120.0, 90.0], [0.1, 0.1]);
/// let prices = Prices { kind: &[Call, Put], price: &quoted, forward: &forward, strike: &strike, tau: &tau };
/// let (mut vol, mut status) = ([0.0; 2], [ImpliedStatus::Ok; 2]);
/// implied_vols(Path::best(), &prices, &mut vol, &mut status)?;
/// assert!((vol[0] / 0.65 - 1.0).abs() < 1e-12);
/// assert_eq!(status, [ImpliedStatus::Ok, ImpliedStatus::AboveBound]);
/// assert!(vol[1].is_nan());
/// # Ok::<(), plimsoll_quant::batch::BatchError>(())
/// ```
pub fn implied_vols(
    path: Path,
    prices: &Prices<'_>,
    out: &mut [f64],
    status: &mut [ImpliedStatus],
) -> Result<usize, BatchError> {
    let n = prices.check()?;
    check_length("out", out.len(), n)?;
    check_length("status", status.len(), n)?;
    path.run(ImpliedKernel { prices, out });
    let mut one_by_one = 0;
    for (i, (vol, status)) in out.iter_mut().zip(status).enumerate() {
        *status = ImpliedStatus::Ok;
        if vol.is_nan()
            && let Some(answer) = prices.implied_vol(i)
        {
            one_by_one += 1;
            *vol = *answer.as_ref().unwrap_or(&f64::NAN);
            *status = answer.as_ref().map_or_else(ImpliedStatus::from, |_| ImpliedStatus::Ok);
        }
    }
    Ok(one_by_one)
}

/// Writes the volatility, or NaN where the scalar must say.
struct ImpliedKernel<'a> {
    prices: &'a Prices<'a>,
    out: &'a mut [f64],
}

impl WithSimd for ImpliedKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut stages = Stages::new();
        let n = self.out.len();
        let p = self.prices;
        let mut from = 0;
        while from < n {
            let to = if n - from > ROUND { from + ROUND } else { n };
            let part = Prices {
                kind: &p.kind[from..to],
                price: &p.price[from..to],
                forward: &p.forward[from..to],
                strike: &p.strike[from..to],
                tau: &p.tau[from..to],
            };
            stages.run(&part, &mut self.out[from..to]);
            from = to;
        }
    }
}

/// What passes from stage to stage, one array for each quantity.
struct Stages {
    x: [f64; ROUND],
    share: [f64; ROUND],
    inverse_share: [f64; ROUND],
    side: [f64; ROUND],
    /// `price / min(F, K)`.
    price: [f64; ROUND],
    s: [f64; ROUND],
    ln_share: [f64; ROUND],
    /// The normal quantile of the start, and the logarithm of the probability that corrects it.
    z: [f64; ROUND],
    ln_probability: [f64; ROUND],
    weight: [f64; ROUND],
    d: [f64; ROUND],
    e: [f64; ROUND],
}

impl Stages {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [0.0; ROUND];
        Self {
            x: zeros,
            share: zeros,
            inverse_share: zeros,
            side: zeros,
            price: zeros,
            s: zeros,
            ln_share: zeros,
            z: zeros,
            ln_probability: zeros,
            weight: zeros,
            d: zeros,
            e: zeros,
        }
    }

    #[inline(always)]
    fn goal(&self, i: usize) -> Goal {
        Goal { x: self.x[i], share: self.share[i], inverse_share: self.inverse_share[i], side: self.side[i] }
    }

    #[inline(always)]
    fn trial(&self, i: usize) -> Trial {
        Trial { weight: self.weight[i], d: self.d[i], e: self.e[i] }
    }

    /// One round: at most [`ROUND`] options. Short loops, because a long chain of operations leaves the processor idle
    /// unless it sees the next lanes as well.
    #[inline(always)]
    fn run(&mut self, part: &Prices<'_>, out: &mut [f64]) {
        let n = if out.len() < ROUND { out.len() } else { ROUND };
        self.normalise(part, n);
        self.start(n);
        self.try_at(&MILLS_NEAR, n);
        for i in 0..n {
            self.s[i] = root::approach(self.goal(i), self.trial(i), self.ln_share[i], self.s[i]);
        }
        self.try_at(&MILLS, n);
        let (out, tau) = (&mut out[..n], &part.tau[..n]);
        for i in 0..n {
            let finish = root::finish(self.goal(i), self.trial(i), self.s[i]);
            // The conditioning with a little to spare, so that the scalar decides where it is close.
            let recovered =
                PRICE_ERROR * self.price[i] <= 0.99 * RELATIVE_ERROR_MAX * (finish.density * finish.s);
            let arrived = (finish.step.abs() <= STEP_MAX) & (finish.argument >= ARGUMENT_MIN);
            out[i] = if arrived & recovered { finish.s / tau[i].sqrt() } else { f64::NAN };
        }
    }

    #[inline(always)]
    fn start(&mut self, n: usize) {
        for i in 0..n {
            self.ln_share[i] = root::ln_near(self.share[i]);
        }
        for i in 0..n {
            let (z, ln_probability) = root::corrected_probability(self.goal(i), self.ln_share[i]);
            (self.z[i], self.ln_probability[i]) = (z, ln_probability);
        }
        for i in 0..n {
            self.s[i] = root::start_by_quantile(self.goal(i), self.z[i], self.ln_probability[i]);
        }
        for i in 0..n {
            let s = root::start_by_ratio(self.goal(i), self.ln_share[i]);
            self.s[i] = if self.s[i] > 0.0 { self.s[i] } else { s };
        }
    }

    #[inline(always)]
    fn try_at<const N: usize>(&mut self, mills: &[f64; N], n: usize) {
        for i in 0..n {
            let at = root::trial(mills, self.goal(i), self.s[i]);
            (self.weight[i], self.d[i], self.e[i]) = (at.weight, at.d, at.e);
        }
    }

    #[inline(always)]
    fn normalise(&mut self, part: &Prices<'_>, n: usize) {
        let (kind, quoted, tau) = (&part.kind[..n], &part.price[..n], &part.tau[..n]);
        let (forward, strike) = (&part.forward[..n], &part.strike[..n]);
        for i in 0..n {
            let (goal, relative) = goal_of(kind[i], quoted[i], forward[i], strike[i]);
            let alive = (tau[i] > 0.0) & (tau[i] < f64::INFINITY);
            self.x[i] = goal.x;
            self.share[i] = goal.share;
            self.inverse_share[i] = if alive { goal.inverse_share } else { f64::NAN };
            self.side[i] = goal.side;
            self.price[i] = relative;
        }
    }
}

/// The goal of one option and its price as a share of the smaller leg. The inverse share is NaN where the vector form does
/// not reach, which every refusal of the scalar's is.
#[inline(always)]
fn goal_of(kind: OptionKind, price: f64, forward: f64, strike: f64) -> (Goal, f64) {
    let call = kind == OptionKind::Call;
    let (long, short) = if call { (forward, strike) } else { (strike, forward) };
    let (low, high) = if forward < strike { (forward, strike) } else { (strike, forward) };
    let (_, value) = time_value(price, long, short);
    let room = long - price;
    let upper = value > 0.5 * low;
    let inverse_low = 1.0 / low;
    let share = if upper { room } else { value } * inverse_low;
    // Twice the least share of the price: the scalar decides where it is close.
    let covered = (low > LEG_MIN)
        & (high < LEG_MAX)
        & (value > VALUE_MIN)
        & (value > 2.0 * TIME_VALUE_SHARE_MIN * price)
        & (share > SHARE_MIN);
    let x = lane::ln_ratio(forward, strike).abs();
    let inverse_share = if covered { 1.0 / share } else { f64::NAN };
    (Goal { x, share, inverse_share, side: if upper { 1.0 } else { -1.0 } }, price * inverse_low)
}

#[cfg(test)]
mod tests {
    use super::{MILLS, MILLS_NEAR, goal_of, root};
    use crate::black::{OptionKind, price};
    use crate::special::{exp, ln};

    /// Largest relative errors of the start, after the approach and of the last step itself over out-of-the-money options
    /// of the whole domain, `u`, `v` and the kind of moneyness on a grid.
    fn stages() -> (f64, f64, f64) {
        let (mut start_max, mut near_max, mut step_max) = (0.0f64, 0.0f64, 0.0f64);
        for i in 0..400 {
            let s = exp(ln(1e-6) + (ln(40.0) - ln(1e-6)) * f64::from(i) / 400.0);
            for j in 0..1200 {
                let v = f64::from(j % 400) / 400.0;
                let x = match j / 400 {
                    0 => 37.0 * s * v,
                    1 => exp(ln(1e-9) + (ln(650.0) - ln(1e-9)) * v),
                    _ => s * s * v,
                };
                let strike = 100.0 * exp(x);
                let value = price(OptionKind::Call, 100.0, strike, s, 1.0);
                let goal = goal_of(OptionKind::Call, value, 100.0, strike).0;
                // Above, the share of the room has lost the digits that the comparison needs.
                if goal.inverse_share.is_nan() || (goal.side > 0.0 && goal.share < 1e-9) {
                    continue;
                }
                let ln_share = root::ln_near(goal.share);
                let (z, ln_probability) = root::corrected_probability(goal, ln_share);
                let central = root::start_by_quantile(goal, z, ln_probability);
                let start = if central > 0.0 { central } else { root::start_by_ratio(goal, ln_share) };
                let near = root::approach(goal, root::trial(&MILLS_NEAR, goal, start), ln_share, start);
                let finish = root::finish(goal, root::trial(&MILLS, goal, near), near);
                start_max = start_max.max((start / s - 1.0).abs());
                near_max = near_max.max((near / s - 1.0).abs());
                step_max = step_max.max(finish.step.abs());
            }
        }
        (start_max, near_max, step_max)
    }

    #[test]
    fn every_stage_comes_as_near_as_the_next_one_needs() {
        let (start, near, step) = stages();
        assert!(start < 0.085 && near < 2e-5 && step < 4e-5, "{start} {near} {step}");
    }
}
