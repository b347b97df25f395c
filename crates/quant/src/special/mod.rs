//! Elementary and special functions with the same bits on every build.
//!
//! The one idea: argument reduction and the final sum are carried in a pair of doubles, so a short polynomial or
//! a ratio of positive polynomials in between is enough for about one unit in the last place, without a table and
//! without a fused multiply-add. All coefficients were fitted in 60-digit arithmetic by interpolation at
//! Chebyshev nodes.
//!
//! Error bounds, in units in the last place of the result (measured against the 50-digit tables of
//! `tests/reference`, which the tests assert):
//!
//! | function | bound | range |
//! |---|---|---|
//! | [`exp`], [`ln`], [`pow`] | 1 | all finite arguments, subnormal results included |
//! | [`exp_m1`], [`ln_1p`] | 2 | all finite arguments |
//! | [`norm_cdf`] | 5 | down to the smallest subnormal |
//! | [`norm_pdf`] | 2 | down to the smallest subnormal |
//! | [`norm_quantile`] | 4 | all `p` in (0, 1) |
//! | [`erfc`], [`erfcx`] | 5 | all finite arguments |
//!
//! The gamma, beta, chi-square, binomial and Student functions are accurate to about 1e-13 relative for moderate
//! parameters; their items say so.
//!
//! NaN gives NaN everywhere; an argument outside the domain gives NaN.

mod binomial;
pub(crate) mod dd;
mod elementary;
mod gamma;
mod normal;
mod student;

pub use binomial::{binomial_cdf, binomial_sf};
pub(crate) use elementary::{
    EXP_TAIL, LN2_REST, LN2_TOP, ROUND_MAGIC, exp_dd, exp_parts, ln_dd, ln_ratio, scale2,
};
pub use elementary::{exp, exp_m1, ln, ln_1p, pow};
pub(crate) use gamma::ln_gamma_dd;
pub use gamma::{chi2_cdf, chi2_sf, digamma, gamma_p, gamma_q, ln_gamma};
pub(crate) use normal::{INV_SQRT_2PI, mills, mills_first_moment, quantile_of_offset};
pub use normal::{erfc, erfcx, norm_cdf, norm_pdf, norm_quantile};
pub use student::{beta_inc, student_t_cdf, student_t_pdf, student_t_quantile};

/// Value of the polynomial with coefficients `c` (constant first) at `x`, by Horner's rule.
#[inline]
pub(crate) fn horner<const N: usize>(c: &[f64; N], x: f64) -> f64 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum * x + c[i];
    }
    sum
}
