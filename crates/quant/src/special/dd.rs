//! Double-double arithmetic: an unevaluated sum `hi + lo` of two doubles with about 106 significant bits.
//!
//! Error-free transformations of Dekker (1971) and Knuth; the split is by masking bits, so no fused
//! multiply-add is needed.

/// An unevaluated sum `hi + lo`, with `hi` the sum rounded to a double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dd {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
}

const UPPER_HALF: u64 = !((1 << 27) - 1);

/// `a + b` exactly.
#[inline]
pub(crate) fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let bb = hi - a;
    Dd { hi, lo: (a - (hi - bb)) + (b - bb) }
}

/// `a + b` exactly, given `|a| >= |b|` or `a = 0`.
#[inline]
pub(crate) fn quick_two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    Dd { hi, lo: b - (hi - a) }
}

/// `a * b`, exact but for the product of the two lower halves, which is rounded (error below `2^-106 |a b|`).
#[inline]
pub(crate) fn two_prod(a: f64, b: f64) -> Dd {
    let hi = a * b;
    let (ah, bh) = (f64::from_bits(a.to_bits() & UPPER_HALF), f64::from_bits(b.to_bits() & UPPER_HALF));
    let (al, bl) = (a - ah, b - bh);
    Dd { hi, lo: ((ah * bh - hi) + ah * bl + al * bh) + al * bl }
}

impl Dd {
    /// The double `x` as a pair.
    #[inline]
    pub(crate) fn from(x: f64) -> Self {
        Self { hi: x, lo: 0.0 }
    }

    /// `self + other`.
    #[inline]
    pub(crate) fn add(self, other: Self) -> Self {
        let s = two_sum(self.hi, other.hi);
        let t = two_sum(self.lo, other.lo);
        let u = quick_two_sum(s.hi, s.lo + t.hi);
        quick_two_sum(u.hi, u.lo + t.lo)
    }

    /// `-self`.
    #[inline]
    pub(crate) fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }

    /// `self - other`.
    #[inline]
    pub(crate) fn sub(self, other: Self) -> Self {
        self.add(other.neg())
    }

    /// `self * other`.
    #[inline]
    pub(crate) fn mul(self, other: Self) -> Self {
        let p = two_prod(self.hi, other.hi);
        quick_two_sum(p.hi, p.lo + (self.hi * other.lo + self.lo * other.hi))
    }

    /// `self * y`.
    #[inline]
    pub(crate) fn mul_f64(self, y: f64) -> Self {
        let p = two_prod(self.hi, y);
        quick_two_sum(p.hi, p.lo + self.lo * y)
    }

    /// `self / other`.
    #[inline]
    pub(crate) fn div(self, other: Self) -> Self {
        let q = self.hi / other.hi;
        let p = two_prod(q, other.hi);
        let rest = (((self.hi - p.hi) - p.lo) + self.lo) - q * other.lo;
        quick_two_sum(q, rest / other.hi)
    }

    /// `self^2`.
    #[inline]
    pub(crate) fn square(self) -> Self {
        let p = two_prod(self.hi, self.hi);
        quick_two_sum(p.hi, p.lo + 2.0 * self.hi * self.lo)
    }

    /// `self / 2`, exact away from underflow.
    #[inline]
    pub(crate) fn half(self) -> Self {
        Self { hi: 0.5 * self.hi, lo: 0.5 * self.lo }
    }

    /// The pair with a non-negative value of the same size.
    #[inline]
    pub(crate) fn abs(self) -> Self {
        if self.hi < 0.0 { self.neg() } else { self }
    }

    /// Square root of `x >= 0`, to about 100 bits.
    #[inline]
    pub(crate) fn sqrt_of(x: f64) -> Self {
        let r = x.sqrt();
        if r == 0.0 {
            return Self::from(0.0);
        }
        let p = two_prod(r, r);
        quick_two_sum(r, ((x - p.hi) - p.lo) / (2.0 * r))
    }
}

#[cfg(test)]
mod tests {
    use super::{Dd, two_prod, two_sum};

    #[test]
    fn sums_and_products_keep_what_rounding_drops() {
        let s = two_sum(1.0, 1e-20);
        assert_eq!((s.hi, s.lo), (1.0, 1e-20));
        let eps = f64::EPSILON;
        let p = two_prod(1.0 + eps, 1.0 + eps);
        assert_eq!((p.hi, p.lo), (1.0 + 2.0 * eps, eps * eps));
    }

    #[test]
    fn a_quotient_times_its_divisor_gives_back_the_dividend() {
        let q = Dd::from(1.0).div(Dd::from(3.0));
        let back = q.mul_f64(3.0).sub(Dd::from(1.0));
        assert!(back.hi.abs() < 1e-31, "{back:?}");
    }

    #[test]
    fn a_square_root_squared_gives_back_its_argument() {
        let r = Dd::sqrt_of(2.0);
        let back = r.square().sub(Dd::from(2.0));
        assert!(back.hi.abs() < 1e-30, "{back:?}");
        assert_eq!(Dd::sqrt_of(0.0), Dd::from(0.0));
    }
}
