//! Exact arithmetic of whole numbers on float lanes: what the formulas do in 128 bits, in step over many accounts.
//!
//! **The one idea:** a product of two floats is the sum of two floats, exactly, and so is a remainder; a quotient that is
//! guessed by floats is therefore rounded as the integers would be. Everything is selections and operations that IEEE 754
//! rounds correctly, so loops over lanes become vectors, with the same bits on every path.
//!
//! Source: error-free transformations of Dekker (1971) and Knuth (TAOCP 2, 4.2.2); Shewchuk (1997).

use plimsoll_lanes::Simd;

/// Lanes of a vector.
pub(crate) const WIDTH: usize = 8;

pub(crate) type Vector = [f64; WIDTH];

/// Billionths in one.
pub(crate) const WHOLE: f64 = 1e9;

/// What a number beneath 2^51 in size is added to so that its whole part is the lowest bits of the sum.
const TURN: f64 = 6_755_399_441_055_744.0;

/// The integer that a lane holds, beneath 2^51 in size.
#[inline(always)]
pub(crate) fn whole(lane: f64) -> i64 {
    (lane + TURN).to_bits().cast_signed().wrapping_sub(TURN.to_bits().cast_signed())
}

/// The nearest whole number, beneath 2^51 in size.
#[inline(always)]
fn nearest(x: f64) -> f64 {
    (x + TURN) - TURN
}

#[inline(always)]
pub(crate) fn least(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

#[inline(always)]
pub(crate) fn most(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// High and low half of the bits of a number beneath 2^990.
#[inline(always)]
fn halves(x: f64) -> (f64, f64) {
    let scaled = x * 134_217_729.0;
    let high = scaled - (scaled - x);
    (high, x - high)
}

/// `a b` as the sum of two floats.
#[inline(always)]
pub(crate) fn product<S: Simd>(a: f64, b: f64) -> (f64, f64) {
    let rounded = a * b;
    if S::F64_LANES > 1 {
        return (rounded, a.mul_add(b, -rounded));
    }
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    let rest = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (rounded, rest)
}

/// `a + b` as the sum of two floats.
#[inline(always)]
pub(crate) fn sum(a: f64, b: f64) -> (f64, f64) {
    let rounded = a + b;
    let of_b = rounded - a;
    (rounded, (a - (rounded - of_b)) + (b - of_b))
}

/// `ceil((high + low) / c)` of the two parts of a product, from a guess of the quotient that is off by less than 0.7: then the
/// remainder is less than `c` in size, and every step to it exact.
#[inline(always)]
fn quotient_up<S: Simd>((high, low): (f64, f64), c: f64, guess: f64) -> f64 {
    let quotient = nearest(guess);
    let (back, back_low) = product::<S>(quotient, c);
    let rest = ((high - back) - back_low) + low;
    if rest > 0.0 { quotient + 1.0 } else { quotient }
}

/// `ceil(a b / c)` of whole numbers; `0 < c < 2^52`, the result beneath 2^49 in size.
#[inline(always)]
pub(crate) fn ratio_up<S: Simd>(a: f64, b: f64, c: f64) -> f64 {
    let parts = product::<S>(a, b);
    quotient_up::<S>(parts, c, parts.0 / c)
}

/// `ceil(amount x rate)`, the rate in billionths; the result beneath 2^49 in size.
#[inline(always)]
pub(crate) fn scale_up<S: Simd>(amount: f64, rate: f64) -> f64 {
    let parts = product::<S>(amount, rate);
    quotient_up::<S>(parts, WHOLE, parts.0 * 1e-9)
}

/// `ceil((high + low) x rate / 1e18)` of whole numbers: `low` beneath 2^31 in size, `rate` beneath 2^32, the result
/// beneath 2^49.
#[inline(always)]
pub(crate) fn scale_up_twice<S: Simd>((high, low): (f64, f64), rate: f64) -> f64 {
    let (a, a_low) = product::<S>(high, rate);
    let (b, b_low) = product::<S>(low, rate);
    let quotient = nearest((a + b) * 1e-18);
    let (back, back_low) = product::<S>(quotient, 1e18);
    let (first, first_rest) = sum(a_low, -back_low);
    let (second, second_rest) = sum(a - back, first);
    let (third, third_rest) = sum(second, b);
    // What is left of the sums is small and whole, so this has the sign of the remainder.
    let rest = third + (((first_rest + second_rest) + third_rest) + b_low);
    if rest > 0.0 { quotient + 1.0 } else { quotient }
}

/// The root of `a / b` in billionths, rounded up, and whether that is certain; `a >= 0`, `b > 0`, the root up to 2^32.
#[inline(always)]
pub(crate) fn root_up(a: f64, b: f64) -> (f64, bool) {
    let root = (a / b).sqrt() * WHOLE;
    let near = nearest(root);
    let above = root - near;
    // Three roundings: off by less than 2^-19.
    let certain = above.abs() > 4e-6 || root == 0.0;
    (if above > 0.0 { near + 1.0 } else { near }, certain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_lanes::{Path, WithSimd};
    use plimsoll_types::{Rounding, isqrt, mul_div};

    struct Draw(u64);

    impl Draw {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let x = self.0 ^ (self.0 >> 29);
            x % most
        }

        /// Of any size beneath a power of two; often round, so that quotients are whole.
        fn sized(&mut self, bits: u64) -> u64 {
            let upto = 1 << (1 + self.below(bits));
            let x = self.below(upto);
            if self.below(3) == 0 { x - x % 10_000.min(x.max(1)) } else { x }
        }
    }

    fn up(a: i128, b: i128, c: i128) -> i128 {
        mul_div(a, b, c, Rounding::Up).unwrap()
    }

    struct Compare(u64);

    impl WithSimd for Compare {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let mut draw = Draw(self.0);
            for _ in 0..200_000 {
                let (a, b, c) = (draw.sized(47), draw.sized(31), draw.sized(48).max(1));
                let of = |x: u64| i128::from(x);
                assert_eq!(
                    i128::from(whole(scale_up::<S>(a as f64, b as f64))),
                    up(of(a), of(b), 1_000_000_000)
                );
                let exact = up(of(a), of(b), of(c));
                if exact < 1 << 49 {
                    assert_eq!(
                        i128::from(whole(ratio_up::<S>(a as f64, b as f64, c as f64))),
                        exact,
                        "{a} {b} {c}"
                    );
                    let low = -whole(ratio_up::<S>(-(a as f64), b as f64, c as f64));
                    assert_eq!(i128::from(low), mul_div(of(a), of(b), of(c), Rounding::Down).unwrap());
                }
                let (high, low) = product::<S>(a as f64, 1e9 - (b % 1_000_000_000) as f64);
                let whole_of = of(a) * (1_000_000_000 - of(b) % 1_000_000_000);
                let rate = draw.sized(31);
                let scaled = scale_up_twice::<S>((high, low), rate as f64);
                assert_eq!(i128::from(whole(scaled)), up(whole_of, of(rate), 1_000_000_000_000_000_000));
            }
        }
    }

    #[test]
    fn quotients_are_those_of_integers() {
        for path in Path::available() {
            path.run(Compare(7));
        }
    }

    #[test]
    fn a_root_that_is_certain_is_that_of_integers() {
        let mut draw = Draw(11);
        let mut certain = 0;
        for _ in 0..100_000 {
            let b = draw.sized(47).max(1);
            let a = draw.sized(47) % (16 * b);
            let (root, sure) = root_up(a as f64, b as f64);
            let square =
                u128::try_from(up(i128::from(a) * 1_000_000_000, 1_000_000_000, i128::from(b))).unwrap();
            let exact = isqrt(square) + u128::from(isqrt(square) * isqrt(square) < square);
            if sure {
                certain += 1;
                assert_eq!(whole(root) as u128, exact, "{a} {b}");
            }
        }
        assert!(certain > 60_000, "{certain}");
    }
}
