//! The binomial distribution, by the incomplete beta integral.

use super::dd::{Dd, two_sum};
use super::ln_dd;
use super::student::beta_both;

/// Lower and upper probabilities `(P(X <= x), P(X > x))` for `x < n` and `p` strictly inside (0, 1).
#[allow(clippy::cast_precision_loss, reason = "counts above 2^53 are outside what the integral can do")]
fn binomial_both(x: u64, n: u64, p: f64) -> (f64, f64) {
    let (a, b) = (x as f64 + 1.0, (n - x) as f64);
    let q = two_sum(1.0, -p);
    let (above, upto) = beta_both(a, b, (p, q.hi), (ln_dd(Dd::from(p)), ln_dd(q)));
    (upto, above)
}

/// `P(X <= x)` of the number `X` of successes in `n` trials with probability `p` each, relative error about 1e-13 for
/// `n` up to 1e5 where it is below one half. `p` outside [0, 1] gives NaN.
///
/// ```
/// use plimsoll_quant::special::binomial_cdf;
/// // Basel Committee (1996), table 2: five exceptions in 250 days at 99 %.
/// assert!((binomial_cdf(5, 250, 0.01) - 0.9588168159301517).abs() < 1e-14);
/// ```
#[must_use]
pub fn binomial_cdf(x: u64, n: u64, p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if x >= n || p == 0.0 {
        return 1.0;
    }
    if p == 1.0 { 0.0 } else { binomial_both(x, n, p).0 }
}

/// `P(X > x) = 1 - binomial_cdf(x, n, p)`, accurate also where it is tiny.
#[must_use]
pub fn binomial_sf(x: u64, n: u64, p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if x >= n || p == 0.0 {
        return 0.0;
    }
    if p == 1.0 { 1.0 } else { binomial_both(x, n, p).1 }
}
