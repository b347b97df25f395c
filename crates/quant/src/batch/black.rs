//! The kernels: loops over columns.

use super::{BatchError, check_length, lane};
use crate::black::OptionKind;
use plimsoll_lanes::{Path, Simd, WithSimd};

/// European options as columns of one length.
#[derive(Clone, Copy, Debug)]
pub struct Quotes<'a> {
    /// Call or put.
    pub kind: &'a [OptionKind],
    /// Forward at expiry, quote units per base unit, `>= 0`.
    pub forward: &'a [f64],
    /// Strike, in the unit of the forward, `>= 0`.
    pub strike: &'a [f64],
    /// Annualised volatility, decimal, `>= 0`.
    pub vol: &'a [f64],
    /// Years to expiry; zero or less means expired.
    pub tau: &'a [f64],
}

impl Quotes<'_> {
    fn check(&self) -> Result<usize, BatchError> {
        let n = self.kind.len();
        check_length("forward", self.forward.len(), n)?;
        check_length("strike", self.strike.len(), n)?;
        check_length("vol", self.vol.len(), n)?;
        check_length("tau", self.tau.len(), n)?;
        Ok(n)
    }
}

/// Undiscounted Black-76 prices, quote units per base unit; edges of each option as in [`lane::price`].
///
/// # Errors
/// [`BatchError::LengthMismatch`] where a column or `out` is not as long as `quotes.kind`.
///
/// ```
/// use plimsoll_lanes::Path;
/// use plimsoll_quant::batch::{Quotes, prices};
/// use plimsoll_quant::black::OptionKind::{Call, Put};
/// let quotes = Quotes { kind: &[Call, Put], forward: &[100.0, 5.0], strike: &[100.0, 7.0], vol: &[0.2, 0.3], tau: &[0.5, 0.0] };
/// let mut out = [0.0; 2];
/// prices(Path::best(), &quotes, &mut out)?;
/// assert!((out[0] - 5.6371977797016624).abs() < 1e-13);
/// assert_eq!(out[1], 2.0);
/// # Ok::<(), plimsoll_quant::batch::BatchError>(())
/// ```
pub fn prices(path: Path, quotes: &Quotes<'_>, out: &mut [f64]) -> Result<(), BatchError> {
    let n = quotes.check()?;
    check_length("out", out.len(), n)?;
    path.run(PriceKernel { quotes, out });
    Ok(())
}

struct PriceKernel<'a> {
    quotes: &'a Quotes<'a>,
    out: &'a mut [f64],
}

impl WithSimd for PriceKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.out.len();
        let Quotes { kind, forward, strike, vol, tau } = *self.quotes;
        let (kind, forward, strike) = (&kind[..n], &forward[..n], &strike[..n]);
        let (vol, tau) = (&vol[..n], &tau[..n]);
        for i in 0..n {
            let s = lane::total_vol(vol[i], tau[i]);
            let x = lane::ln_ratio(forward[i], strike[i]);
            self.out[i] = lane::price(kind[i].sign(), forward[i], strike[i], x, s);
        }
    }
}

/// Where the results of [`greeks`] go, columns of one length; units as in [`Greeks`](crate::black::Greeks).
#[derive(Debug)]
pub struct GreekColumns<'a> {
    /// Undiscounted price.
    pub price: &'a mut [f64],
    /// `dV/dF`.
    pub delta: &'a mut [f64],
    /// `d2V/dF2`.
    pub gamma: &'a mut [f64],
    /// `dV/dvol`, per unit of volatility.
    pub vega: &'a mut [f64],
    /// `dV/dt` per year as time passes, at fixed forward and volatility.
    pub theta: &'a mut [f64],
}

impl GreekColumns<'_> {
    fn check(&self, n: usize) -> Result<(), BatchError> {
        check_length("price", self.price.len(), n)?;
        check_length("delta", self.delta.len(), n)?;
        check_length("gamma", self.gamma.len(), n)?;
        check_length("vega", self.vega.len(), n)?;
        check_length("theta", self.theta.len(), n)
    }
}

/// Undiscounted Black-76 prices and Greeks; edges and accuracy of each option as in [`lane::greeks`]. The prices have
/// the bits of [`prices`].
///
/// # Errors
/// [`BatchError::LengthMismatch`] where a column is not as long as `quotes.kind`.
///
/// ```
/// use plimsoll_lanes::Path;
/// use plimsoll_quant::batch::{GreekColumns, Quotes, greeks};
/// use plimsoll_quant::black::OptionKind::Call;
/// let quotes = Quotes { kind: &[Call], forward: &[100.0], strike: &[100.0], vol: &[0.2], tau: &[0.5] };
/// let [price, delta, gamma, vega, theta] = &mut [[0.0]; 5];
/// greeks(Path::best(), &quotes, &mut GreekColumns { price, delta, gamma, vega, theta })?;
/// assert!((vega[0] - 28.13904356065048).abs() < 1e-12);
/// # Ok::<(), plimsoll_quant::batch::BatchError>(())
/// ```
pub fn greeks(path: Path, quotes: &Quotes<'_>, out: &mut GreekColumns<'_>) -> Result<(), BatchError> {
    let n = quotes.check()?;
    out.check(n)?;
    path.run(GreekKernel { quotes, out });
    Ok(())
}

struct GreekKernel<'a, 'b> {
    quotes: &'a Quotes<'a>,
    out: &'a mut GreekColumns<'b>,
}

impl WithSimd for GreekKernel<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.quotes.kind.len();
        let Quotes { kind, forward, strike, vol, tau } = *self.quotes;
        let (kind, forward, strike) = (&kind[..n], &forward[..n], &strike[..n]);
        let (vol, tau) = (&vol[..n], &tau[..n]);
        let GreekColumns { price, delta, gamma, vega, theta } = self.out;
        let (price, delta, gamma) = (&mut price[..n], &mut delta[..n], &mut gamma[..n]);
        let (vega, theta) = (&mut vega[..n], &mut theta[..n]);
        for i in 0..n {
            let x = lane::ln_ratio(forward[i], strike[i]);
            let g = lane::greeks(kind[i].sign(), forward[i], strike[i], x, vol[i], tau[i]);
            price[i] = g.price;
            delta[i] = g.delta;
            gamma[i] = g.gamma;
            vega[i] = g.vega;
            theta[i] = g.theta;
        }
    }
}
