//! Black-76: European options on a forward.
//!
//! The one idea: every price is the intrinsic value plus the price of the out-of-the-money option of the same
//! strike, and that one is computed as a product or a sum of positive terms, so that it keeps its relative
//! accuracy (about 1e-14) from one second to ten years and out to prices of 1e-300.
//!
//! With `x = ln(F/K)`, `s = vol sqrt(tau)`, `m = |x|/s`, `t = s/2`, Mills ratio `R` and
//! `g = sqrt(F K) e^(-(m^2 + t^2)/2) / sqrt(2 pi) = F n(d1)`, the out-of-the-money price is
//!
//! ```text
//! t <= 0.1       g sum over odd n of 2 t^n I_n(m) / n!,  I_n(m) = integral over u > 0 of u^n e^(-m u - u^2/2)
//! t <= m         g (R(m - t) - R(m + t))
//! m < t          min(F, K) - g (R(t - m) + R(t + m))
//! ```
//!
//! Sources: Black (1976); the split by sign of `x` and the scaled form follow Jaeckel, *Let's Be Rational* (2013).
//! This module must never know a date, a currency or a smile: volatility is a number it is given.

use crate::special::dd::Dd;
use crate::special::{INV_SQRT_2PI, exp_parts, horner, ln, ln_ratio, mills, mills_first_moment, scale2};

/// Call or put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionKind {
    /// The right to buy at the strike.
    Call,
    /// The right to sell at the strike.
    Put,
}

impl OptionKind {
    /// `+1` for a call, `-1` for a put.
    #[must_use]
    #[inline]
    pub fn sign(self) -> f64 {
        match self {
            Self::Call => 1.0,
            Self::Put => -1.0,
        }
    }
}

/// Inputs of a discounted Black-76 price.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Black {
    /// Forward price of the underlying at expiry, quote units per base unit, `>= 0`.
    pub forward: f64,
    /// Strike, in the unit of the forward, `>= 0`.
    pub strike: f64,
    /// Annualised volatility as a decimal, `>= 0`.
    pub vol: f64,
    /// Years to expiry; zero or less means expired.
    pub tau: f64,
    /// Discount factor to expiry, `> 0`; above 1 under negative rates.
    pub discount: f64,
    /// Call or put.
    pub kind: OptionKind,
}

/// A Black-76 price and its raw derivatives (per unit of the variable, never per point or per day).
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Greeks {
    /// Value `V`, quote units per base unit, `>= 0`.
    pub price: f64,
    /// `dV/dF`.
    pub delta: f64,
    /// `d2V/dF2`.
    pub gamma: f64,
    /// `dV/dvol`, per unit of volatility.
    pub vega: f64,
    /// `dV/dt` per year as time passes, at fixed forward, volatility and rate `r = -ln(discount)/tau`:
    /// `r V - D F n(d1) vol / (2 sqrt(tau))`.
    pub theta: f64,
    /// `dV/dr` per unit of rate at fixed forward: `-tau V`.
    pub rho: f64,
    /// `d2V/(dF dvol)`.
    pub vanna: f64,
    /// `d2V/dvol2`.
    pub volga: f64,
}

impl Black {
    /// Discounted price; edges as in [`price`].
    ///
    /// ```
    /// use plimsoll_quant::black::{Black, OptionKind};
    /// let call = Black { forward: 100.0, strike: 100.0, vol: 0.2, tau: 0.5, discount: 1.0, kind: OptionKind::Call };
    /// assert!((call.price() - 5.6371977797016624).abs() < 1e-13);
    /// ```
    #[must_use]
    pub fn price(&self) -> f64 {
        self.discount * price(self.kind, self.forward, self.strike, self.vol, self.tau)
    }

    /// Discounted price and Greeks; edges as in [`greeks`].
    #[must_use]
    pub fn greeks(&self) -> Greeks {
        let u = greeks(self.kind, self.forward, self.strike, self.vol, self.tau);
        let d = self.discount;
        let price = d * u.price;
        let carry = if self.tau > 0.0 { -ln(d) / self.tau * price } else { 0.0 };
        Greeks {
            price,
            delta: d * u.delta,
            gamma: d * u.gamma,
            vega: d * u.vega,
            theta: d * u.theta + carry,
            rho: if self.tau > 0.0 { -self.tau * price } else { 0.0 },
            vanna: d * u.vanna,
            volga: d * u.volga,
        }
    }

    /// Discounted intrinsic value `D max(w (F - K), 0)`.
    #[must_use]
    pub fn intrinsic(&self) -> f64 {
        self.discount * intrinsic(self.kind, self.forward, self.strike)
    }
}

/// Undiscounted intrinsic value `max(w (F - K), 0)`.
#[must_use]
#[inline]
pub fn intrinsic(kind: OptionKind, forward: f64, strike: f64) -> f64 {
    let value = kind.sign() * (forward - strike);
    if value > 0.0 || value.is_nan() { value } else { 0.0 }
}

/// Undiscounted Black-76 price, quote units per base unit.
///
/// Edges: `tau <= 0` or `vol = 0` gives intrinsic; `K = 0` gives `F` for the call and 0 for the put; `F = 0` gives
/// 0 and `K`. A NaN, an infinite or negative forward or strike, or a negative volatility gives NaN. The result lies
/// in [0, F] (call) or [0, K] (put), and parity holds to rounding by construction.
///
/// ```
/// use plimsoll_quant::black::{OptionKind, price};
/// let far_put = price(OptionKind::Put, 100.0, 36.787944117144235, 1.5, 1.0 / 365.0);
/// assert!((far_put / 6.828004544778009e-38 - 1.0).abs() < 1e-13);
/// ```
#[must_use]
pub fn price(kind: OptionKind, forward: f64, strike: f64, vol: f64, tau: f64) -> f64 {
    if !is_valid(forward, strike, vol, tau) {
        return f64::NAN;
    }
    if is_degenerate(forward, strike, vol, tau) {
        return intrinsic(kind, forward, strike);
    }
    let otm = Otm::from_forward(forward, strike, vol, tau);
    (intrinsic(kind, forward, strike) + otm.value).min(bound(kind, forward, strike))
}

/// Undiscounted price and Greeks (`theta` then has no rate term, `rho` is `-tau V`).
///
/// Edges as in [`price`]. Where the value is intrinsic, delta is the step (`w` in the money, 0 out of the money,
/// `w/2` at the money, which is its limit) and the other Greeks are 0.
#[must_use]
pub fn greeks(kind: OptionKind, forward: f64, strike: f64, vol: f64, tau: f64) -> Greeks {
    if !is_valid(forward, strike, vol, tau) {
        return not_a_number();
    }
    if is_degenerate(forward, strike, vol, tau) {
        return expired(kind, forward, strike);
    }
    let root_tau = tau.sqrt();
    let otm = Otm::from_forward(forward, strike, vol, tau);
    let price = (intrinsic(kind, forward, strike) + otm.value).min(bound(kind, forward, strike));
    let density = otm.g / forward;
    let vega = otm.g * root_tau;
    Greeks {
        price,
        delta: otm.signed_probability(kind, otm.d1, density),
        gamma: density / forward / otm.s,
        vega,
        theta: -0.5 * otm.g * vol / root_tau,
        rho: -tau * price,
        vanna: finite_product(density, -otm.d2 / vol),
        volga: finite_product(vega, otm.d1 * otm.d2 / vol),
    }
}

/// `a b`, with 0 where `a = 0` although `b` has overflowed: the Gaussian wins over every power.
#[inline]
pub(crate) fn finite_product(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a * b }
}

#[inline]
fn is_valid(forward: f64, strike: f64, vol: f64, tau: f64) -> bool {
    (0.0..f64::INFINITY).contains(&forward)
        && (0.0..f64::INFINITY).contains(&strike)
        && vol >= 0.0
        && !tau.is_nan()
}

#[inline]
fn is_degenerate(forward: f64, strike: f64, vol: f64, tau: f64) -> bool {
    tau <= 0.0 || vol == 0.0 || forward == 0.0 || strike == 0.0 || vol * tau.sqrt() < 1e-290
}

/// Largest undiscounted value: the forward (call) or the strike (put).
#[inline]
fn bound(kind: OptionKind, forward: f64, strike: f64) -> f64 {
    match kind {
        OptionKind::Call => forward,
        OptionKind::Put => strike,
    }
}

/// Value and delta of an option that is worth its intrinsic.
#[cold]
fn expired(kind: OptionKind, forward: f64, strike: f64) -> Greeks {
    let price = intrinsic(kind, forward, strike);
    let moneyness = kind.sign() * (forward - strike);
    let step = if moneyness > 0.0 {
        1.0
    } else if moneyness < 0.0 {
        0.0
    } else {
        0.5
    };
    Greeks { price, delta: kind.sign() * step, ..Greeks::default() }
}

#[cold]
fn not_a_number() -> Greeks {
    let nan = f64::NAN;
    Greeks { price: nan, delta: nan, gamma: nan, vega: nan, theta: nan, rho: nan, vanna: nan, volga: nan }
}

/// The out-of-the-money option of a strike, with what its Greeks share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Otm {
    /// Price of the out-of-the-money option.
    pub(crate) value: f64,
    /// `min(leg) - value`, without cancellation where the value is near its bound.
    pub(crate) room: f64,
    /// `F n(d1) = K n(d2)`: the derivative of the value to `s`.
    pub(crate) g: f64,
    /// `s = vol sqrt(tau)`.
    pub(crate) s: f64,
    pub(crate) d1: f64,
    pub(crate) d2: f64,
}

/// `vol sqrt(tau)` as a pair; a plain double where it is past any use, so that infinities stay infinite.
pub(crate) fn total_vol(vol: f64, tau: f64) -> Dd {
    let s = vol * tau.sqrt();
    if s > 1e6 { Dd::from(s) } else { Dd::sqrt_of(tau).mul_f64(vol) }
}

impl Otm {
    fn from_forward(forward: f64, strike: f64, vol: f64, tau: f64) -> Self {
        Self::new(forward, strike, ln_ratio(forward, strike), total_vol(vol, tau))
    }

    /// The option between two positive legs (`F` and `K`, or both discounted) with `x` the logarithm of their
    /// ratio, known better than the legs themselves, and total volatility `s > 0`.
    pub(crate) fn new(forward_leg: f64, strike_leg: f64, x: Dd, s: Dd) -> Self {
        let small = forward_leg.min(strike_leg);
        let t = s.half();
        if t.hi > 60.0 {
            return Self { value: small, room: 0.0, g: 0.0, s: s.hi, d1: t.hi, d2: -t.hi };
        }
        if x.hi.abs() > 1e3 * s.hi {
            let d = x.hi / s.hi;
            return Self { value: 0.0, room: small, g: 0.0, s: s.hi, d1: d, d2: d };
        }
        let ratio = x.div(s);
        let (d1, d2) = (ratio.add(t).hi, ratio.sub(t).hi);
        let m = ratio.abs();
        let exponent = m.square().add(t.square()).half();
        if exponent.hi > 1400.0 {
            // The density is nothing: the option is worth its bound where volatility outweighs moneyness, else nothing.
            let (value, room) = if m.hi < t.hi { (small, 0.0) } else { (0.0, small) };
            return Self { value, room, g: 0.0, s: s.hi, d1, d2 };
        }
        let (y, k) = exp_parts(-exponent.hi, -exponent.lo);
        let g = INV_SQRT_2PI * (forward_leg.sqrt() * strike_leg.sqrt()) * y;
        let (value, room) = time_value(small, (g, k), m, t);
        Self { value, room, g: scale2(g, k), s: s.hi, d1, d2 }
    }

    /// `w N(w d)`, given the density `n(d)` as a leg of `g`.
    pub(crate) fn signed_probability(&self, kind: OptionKind, d: f64, density: f64) -> f64 {
        let w = kind.sign();
        let tail = finite_product(density, mills(d.abs()));
        if w * d <= 0.0 { w * tail } else { w * (1.0 - tail) }
    }
}

/// Value of the out-of-the-money option and its distance to `small`, the bound; `g` in parts.
#[inline]
fn time_value(small: f64, (g, k): (f64, i64), m: Dd, t: Dd) -> (f64, f64) {
    if t.hi <= 0.1 {
        let value = scale2(g * narrow_difference(m.hi, t.hi), k).min(small);
        return (value, small - value);
    }
    let gap = m.sub(t).hi;
    let sum = m.add(t).hi;
    if gap >= 0.0 {
        let value = scale2(g * (mills(gap) - mills(sum)), k);
        (value, small - value)
    } else {
        let room = scale2(g * (mills(-gap) + mills(sum)), k).min(small);
        (small - room, room)
    }
}

/// `R(m - t) - R(m + t)` for `0 < t <= 0.1`: Taylor's series about `m`, with
/// `I_(n+1) = n I_(n-1) - m I_n`. What the recurrence loses at large `m` is damped by the powers of `t`.
#[inline]
fn narrow_difference(m: f64, t: f64) -> f64 {
    let i0 = mills(m);
    let i1 = mills_first_moment(m);
    let i2 = i0 - m * i1;
    let i3 = 2.0 * i1 - m * i2;
    let i4 = 3.0 * i2 - m * i3;
    let i5 = 4.0 * i3 - m * i4;
    let i6 = 5.0 * i4 - m * i5;
    let i7 = 6.0 * i5 - m * i6;
    let i8 = 7.0 * i6 - m * i7;
    let i9 = 8.0 * i7 - m * i8;
    let i10 = 9.0 * i8 - m * i9;
    let i11 = 10.0 * i9 - m * i10;
    let u = t * t;
    let c = [i1, i3 / 6.0, i5 / 120.0, i7 / 5040.0, i9 / 362_880.0, i11 / 39_916_800.0];
    2.0 * t * horner(&c, u)
}
