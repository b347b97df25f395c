//! The tails of a lognormal price: the expected loss beyond a quantile, and the bounds of a probability.
//!
//! The one idea: over a horizon, `ln(S'/S)` is normal with mean `(mu - vol^2/2) tau` and deviation
//! `s = vol sqrt(tau)`. The expected shortfall of a long, `1 - e^(mu tau) N(z - s)/N(z)`, is a small difference of
//! nearly equal numbers for a short horizon; with the hazard `h(x) = n(x)/N(-x)` of the normal it is
//! `1 - e^(mu tau - H)`, `H` the integral of `h` over `s`, and nothing cancels. The same holds of a short.
//!
//! Sources: Vega protocol, quant library (risk factors, price monitoring); Black and Scholes (1973) for the
//! deviations. This module must never know positions, margins, or how a venue rounds.

use crate::bs::SpotInputs;
use crate::special::{exp, exp_m1, ln_ratio, mills, norm_cdf, norm_pdf, norm_quantile};

/// The longest `vol sqrt(tau)` over which the hazard is integrated; beyond it the plain formula loses nothing.
const NARROW: f64 = 0.5;

/// Nodes and weights of the twelve-point Gauss-Legendre rule on [-1, 1], of one side (mpmath, 40 digits).
const GAUSS: [(f64, f64); 6] = [
    (0.125_233_408_511_468_9, 0.249_147_045_813_402_77),
    (0.367_831_498_998_180_2, 0.233_492_536_538_354_8),
    (0.587_317_954_286_617_5, 0.203_167_426_723_065_92),
    (0.769_902_674_194_304_7, 0.160_078_328_543_346_22),
    (0.904_117_256_370_474_9, 0.106_939_325_995_318_43),
    (0.981_560_634_246_719_2, 0.047_175_336_386_511_835),
];

/// A lognormal price over a horizon.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lognormal {
    /// Drift per year, as a decimal: the mean price after `tau` years is `S e^(mu tau)`.
    pub mu: f64,
    /// Annualised volatility as a decimal, `>= 0`.
    pub vol: f64,
    /// Horizon in years, `>= 0`.
    pub tau: f64,
}

/// Expected relative losses beyond a quantile, per unit of the price today.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TailLosses {
    /// Of a long, when the price falls; below 1, and negative where the drift outweighs the tail.
    pub long: f64,
    /// Of a short, when it rises.
    pub short: f64,
}

impl Lognormal {
    /// Mean relative loss in the worst share `level` of outcomes (the risk aversion lambda), with `z = N^-1(level)`:
    ///
    /// ```text
    /// long  = 1 - e^(mu tau) N(z - s) / level
    /// short = e^(mu tau) N(z + s) / level - 1
    /// ```
    ///
    /// within 1e-14 of itself for levels from 1e-12 up, but where the drift cancels the tail. A horizon or volatility
    /// of 0 leaves the drift. A level outside (0, 1), a negative or non-finite parameter give NaN.
    ///
    /// ```
    /// use plimsoll_quant::lognormal::Lognormal;
    /// // Vega's integration tests: lambda 1e-6, tau 0.1, mu 0, sigma 0.001.
    /// let losses = Lognormal { mu: 0.0, vol: 0.001, tau: 0.1 }.expected_shortfall(1e-6);
    /// assert!((losses.long - 0.0015636246872220774).abs() < 1e-16);
    /// assert!((losses.short - 0.0015659768401084702).abs() < 1e-16);
    /// ```
    #[must_use]
    pub fn expected_shortfall(&self, level: f64) -> TailLosses {
        let known = self.is_valid() && level > 0.0 && level < 1.0;
        if !known {
            return TailLosses { long: f64::NAN, short: f64::NAN };
        }
        let (drift, s) = (self.mu * self.tau, self.deviation());
        let z = norm_quantile(level);
        if s <= NARROW {
            let long = -exp_m1(drift - hazard_integral(-z + 0.5 * s, s));
            return TailLosses { long, short: exp_m1(drift + hazard_integral(-z - 0.5 * s, s)) };
        }
        let growth = exp(drift);
        TailLosses {
            long: 1.0 - growth * (norm_cdf(z - s) / level),
            short: growth * (norm_cdf(z + s) / level) - 1.0,
        }
    }

    /// The two prices between which the price lies after the horizon with `probability`, as much of the rest below as
    /// above: `price e^((mu - vol^2/2) tau -+ s N^-1((1 + probability)/2))`.
    ///
    /// A probability of 0 gives the median twice, of 1 gives 0 and infinity. One outside [0, 1], a price that is not
    /// positive, a negative or non-finite parameter give NaN.
    ///
    /// ```
    /// use plimsoll_quant::lognormal::Lognormal;
    /// let year = 365.25 * 86_400.0;
    /// let (low, high) = Lognormal { mu: 0.0, vol: 1.0, tau: 1_000.0 / year }.price_bounds(1_000.0, 0.99);
    /// assert_eq!((low.ceil(), high.floor()), (986.0, 1_014.0));
    /// ```
    #[must_use]
    pub fn price_bounds(&self, price: f64, probability: f64) -> (f64, f64) {
        let inside = (0.0..=1.0).contains(&probability) && price.is_finite() && price > 0.0;
        let known = self.is_valid() && inside;
        if !known {
            return (f64::NAN, f64::NAN);
        }
        let mean = (self.mu - 0.5 * self.vol * self.vol) * self.tau;
        let s = self.deviation();
        if s == 0.0 {
            let only = price * exp(mean);
            return (only, only);
        }
        let reach = -norm_quantile(0.5 * (1.0 - probability)) * s;
        (price * exp(mean - reach), price * exp(mean + reach))
    }

    fn deviation(&self) -> f64 {
        self.vol * self.tau.sqrt()
    }

    fn is_valid(&self) -> bool {
        let sizes = [self.vol, self.tau];
        self.mu.is_finite() && sizes.iter().all(|x| x.is_finite() && *x >= 0.0)
    }
}

/// `d1` and `d2` of the generalised Black-Scholes formula: `(ln(S/K) + (r - y) tau)/s +- s/2`, `s = vol sqrt(tau)`.
///
/// Where `s` is 0 they are infinite with the sign of the moneyness, NaN at the money. Spot or strike that are not
/// positive, a negative volatility or time, and non-finite inputs give NaN.
///
/// ```
/// use plimsoll_quant::bs::SpotInputs;
/// use plimsoll_quant::lognormal::deviations;
/// let inputs = SpotInputs { spot: 0.8, strike: 0.8, yield_: 0.0, rate: 0.021, tau: 0.95, vol: 1.61 };
/// let (d1, d2) = deviations(&inputs);
/// assert!((d1 - 0.7973301547720898).abs() < 1e-15 && (d2 + 0.7719037347421535).abs() < 1e-15);
/// ```
#[must_use]
pub fn deviations(inputs: &SpotInputs) -> (f64, f64) {
    let i = inputs;
    let finite = [i.spot, i.strike, i.yield_, i.rate, i.tau, i.vol].iter().all(|x| x.is_finite());
    if !finite || i.spot <= 0.0 || i.strike <= 0.0 || i.tau < 0.0 || i.vol < 0.0 {
        return (f64::NAN, f64::NAN);
    }
    let moneyness = ln_ratio(i.spot, i.strike).hi + (i.rate - i.yield_) * i.tau;
    let s = i.vol * i.tau.sqrt();
    let middle = moneyness / s;
    (middle + 0.5 * s, middle - 0.5 * s)
}

/// The integral of the hazard over an interval of `width <= NARROW` about `middle`; the width is not the difference
/// of its rounded ends.
///
/// The hazard is analytic within 2.7 of the real line, where the complementary error function has its zeros: twelve
/// nodes leave less than 1e-20.
fn hazard_integral(middle: f64, width: f64) -> f64 {
    let half = 0.5 * width;
    let pair =
        |(node, weight): &(f64, f64)| weight * (hazard(middle - half * node) + hazard(middle + half * node));
    half * GAUSS.iter().map(pair).sum::<f64>()
}

/// The hazard `n(x) / N(-x)` of the standard normal distribution.
fn hazard(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / mills(x) } else { norm_pdf(x) / norm_cdf(-x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_horizon_and_no_volatility_leave_the_drift() {
        let still = Lognormal { mu: 0.5, vol: 0.0, tau: 0.25 }.expected_shortfall(0.01);
        assert_eq!((still.long, still.short), (-exp_m1(0.125), exp_m1(0.125)));
        let now = Lognormal { mu: 0.5, vol: 2.0, tau: 0.0 }.expected_shortfall(0.01);
        assert_eq!((now.long, now.short), (0.0, 0.0));
        assert_eq!(Lognormal { mu: 0.0, vol: 2.0, tau: 0.0 }.price_bounds(7.0, 0.9), (7.0, 7.0));
    }

    #[test]
    fn what_is_out_of_range_is_not_a_number() {
        let sound = Lognormal { mu: 0.0, vol: 1.0, tau: 0.01 };
        for level in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(sound.expected_shortfall(level).long.is_nan(), "{level}");
        }
        for wrong in [
            Lognormal { vol: -1.0, ..sound },
            Lognormal { tau: f64::INFINITY, ..sound },
            Lognormal { mu: f64::NAN, ..sound },
        ] {
            assert!(wrong.expected_shortfall(0.01).short.is_nan());
            assert!(wrong.price_bounds(1.0, 0.5).0.is_nan());
        }
        assert!(sound.price_bounds(0.0, 0.5).0.is_nan() && sound.price_bounds(1.0, 1.1).1.is_nan());
        assert_eq!(sound.price_bounds(1.0, 1.0), (0.0, f64::INFINITY));
    }

    #[test]
    fn both_formulas_agree_where_they_meet() {
        for level in [1e-8, 1e-3, 0.1, 0.7] {
            let at = |vol: f64| Lognormal { mu: 0.1, vol, tau: 1.0 }.expected_shortfall(level);
            let (narrow, wide) = (at(NARROW), at(NARROW + 1e-15));
            assert!((narrow.long / wide.long - 1.0).abs() < 2e-13, "{level}: {narrow:?} {wide:?}");
            assert!((narrow.short / wide.short - 1.0).abs() < 2e-13, "{level}: {narrow:?} {wide:?}");
        }
    }

    #[test]
    fn deviations_without_volatility_are_infinite() {
        let inputs = |spot| SpotInputs { spot, strike: 1.0, yield_: 0.0, rate: 0.0, tau: 1.0, vol: 0.0 };
        assert_eq!(deviations(&inputs(2.0)), (f64::INFINITY, f64::INFINITY));
        assert_eq!(deviations(&inputs(0.5)), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert!(deviations(&inputs(1.0)).0.is_nan() && deviations(&inputs(0.0)).0.is_nan());
    }
}
