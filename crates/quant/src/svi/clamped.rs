//! SVI as a contract's volatility feed evaluates it: bounded moneyness and bounded variance.

use super::Svi;
use crate::special::ln;

/// Half-width of the log-moneyness that is evaluated, in units of `sqrt(a + b sigma)`.
const REACH: f64 = 4.0;
/// Largest total variance: 12 standard deviations.
const VARIANCE_MAX: f64 = 144.0;

impl Svi {
    /// Volatility at a strike as Derive's feed publishes it: `k = ln(K/F)` clamped to `+-4 sqrt(a + b sigma)`,
    /// `w = min(w(k), 144)`, `vol = sqrt(w/tau)`, with the forward and the `tau` (years) of the fit, not of now.
    ///
    /// NaN where `a + b sigma` or `w` is negative or a number is; infinite where `tau = 0`. A strike of 0 is at the lower
    /// bound. Source: lyra-utils at 759e9625 (`SVI`); methods 4.1.
    ///
    /// ```
    /// use plimsoll_quant::svi::Svi;
    /// let fit = Svi { a: 0.01, b: 0.01, rho: -0.04, m: 0.03, sigma: 0.05 };
    /// // ln(1/2000) = -7.6 is beyond the bound -0.41.
    /// let vol = fit.vol_clamped(1.0, 2000.0, 0.03287671232);
    /// assert!((vol - 0.6664655474111032).abs() < 1e-12);
    /// assert_eq!(vol, fit.vol_clamped(2.0, 2000.0, 0.03287671232));
    /// ```
    #[must_use]
    pub fn vol_clamped(&self, strike: f64, forward: f64, tau: f64) -> f64 {
        let most = REACH * (self.a + self.b * self.sigma).sqrt();
        let k = ln(strike / forward);
        // Written so that a NaN bound or moneyness stays one: f64::min and max would drop it.
        let k = if k < -most {
            -most
        } else if k > most {
            most
        } else {
            k + 0.0 * most
        };
        let w = self.w(k);
        (if w > VARIANCE_MAX { VARIANCE_MAX } else { w } / tau).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_stops_at_twelve_deviations() {
        let wild = Svi { a: 200.0, b: 0.1, rho: 0.0, m: 0.0, sigma: 0.1 };
        assert_eq!(wild.vol_clamped(100.0, 100.0, 1.0), 12.0);
        assert_eq!(wild.vol_clamped(100.0, 100.0, 0.25), 24.0);
    }

    #[test]
    fn a_negative_bound_is_no_number() {
        let bad = Svi { a: -1.0, b: 0.1, rho: 0.0, m: 0.0, sigma: 0.1 };
        assert!(bad.vol_clamped(100.0, 100.0, 1.0).is_nan());
        assert!(bad.vol_clamped(200.0, 100.0, 1.0).is_nan());
    }
}
