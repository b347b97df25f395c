//! Whole numbers with a sign and up to 1024 bits, for venues whose own integers have no width.

use super::VenueError;
use ruint::Uint;
use std::cmp::Ordering;
use std::fmt;

/// 1024 bits: products of several numbers of 128.
type Size = Uint<1024, 16>;

/// A whole number with a sign. Every operation is exact or an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whole {
    negative: bool,
    size: Size,
}

impl Whole {
    /// Nothing.
    pub const ZERO: Self = Self { negative: false, size: Size::ZERO };

    fn new(negative: bool, size: Option<Size>, what: &'static str) -> Result<Self, VenueError> {
        let size = size.ok_or(VenueError::Overflow { what })?;
        Ok(Self { negative: negative && !size.is_zero(), size })
    }

    /// `10^n`.
    pub(super) fn power_of_ten(n: u32, what: &'static str) -> Result<Self, VenueError> {
        Self::new(false, Size::from(10_u8).checked_pow(Size::from(n)), what)
    }

    /// The number in 128 bits; `None` where it has more.
    pub fn known(self) -> Option<i128> {
        let size = u128::try_from(self.size).ok()?;
        if self.negative { 0_i128.checked_sub_unsigned(size) } else { i128::try_from(size).ok() }
    }

    /// The number in 128 bits, or the error that it does not fit.
    pub(super) fn narrow(self, what: &'static str) -> Result<i128, VenueError> {
        self.known().ok_or(VenueError::Overflow { what })
    }

    /// Without the sign.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { negative: false, ..self }
    }

    /// With the other sign.
    pub(super) fn minus(self) -> Self {
        Self { negative: !self.negative && !self.size.is_zero(), ..self }
    }

    /// Whether it is below 0.
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// `self + other`.
    pub(super) fn plus(self, other: Self, what: &'static str) -> Result<Self, VenueError> {
        if self.negative == other.negative {
            return Self::new(self.negative, self.size.checked_add(other.size), what);
        }
        if self.size >= other.size {
            return Self::new(self.negative, self.size.checked_sub(other.size), what);
        }
        Self::new(other.negative, other.size.checked_sub(self.size), what)
    }

    /// `self - other`.
    pub(super) fn less(self, other: Self, what: &'static str) -> Result<Self, VenueError> {
        self.plus(other.minus(), what)
    }

    /// `self x other`.
    pub(super) fn times(self, other: Self, what: &'static str) -> Result<Self, VenueError> {
        Self::new(self.negative != other.negative, self.size.checked_mul(other.size), what)
    }

    /// `self / other` toward zero.
    pub(super) fn over(self, other: Self, what: &'static str) -> Result<Self, VenueError> {
        Self::new(self.negative != other.negative, self.size.checked_div(other.size), what)
    }

    /// `self / other` rounded down.
    pub(super) fn over_floor(self, other: Self, what: &'static str) -> Result<Self, VenueError> {
        let toward_zero = self.over(other, what)?;
        let below = self.negative != other.negative && !(self.size % other.size).is_zero();
        if below { toward_zero.less(Self::from(1), what) } else { Ok(toward_zero) }
    }

    /// `self / other` rounded up.
    pub(super) fn over_ceil(self, other: Self, what: &'static str) -> Result<Self, VenueError> {
        self.minus().over_floor(other, what).map(Self::minus)
    }
}

impl From<i128> for Whole {
    fn from(number: i128) -> Self {
        Self { negative: number < 0, size: Size::from(number.unsigned_abs()) }
    }
}

impl Ord for Whole {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.size.cmp(&other.size),
            (true, true) => other.size.cmp(&self.size),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Whole {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        f.pad(&format!("{sign}{}", self.size))
    }
}

/// An exact fraction in lowest terms, with a positive denominator; 0 is `0/1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fraction {
    /// Its sign is the fraction's.
    pub numerator: Whole,
    /// Above 0.
    pub denominator: Whole,
}

impl Fraction {
    /// `numerator/denominator`.
    pub(super) fn new(numerator: Whole, denominator: Whole, what: &'static str) -> Result<Self, VenueError> {
        let common = Whole { negative: denominator.negative, size: numerator.size.gcd(denominator.size) };
        Ok(Self { numerator: numerator.over(common, what)?, denominator: denominator.over(common, what)? })
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.numerator, self.denominator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(number: i128) -> Whole {
        Whole::from(number)
    }

    #[test]
    fn divisions_round_as_named() {
        for (a, b, zero, floor, ceil) in [
            (7, 2, 3, 3, 4),
            (-7, 2, -3, -4, -3),
            (7, -2, -3, -4, -3),
            (-7, -2, 3, 3, 4),
            (-6, 2, -3, -3, -3),
        ] {
            let (a, b) = (whole(a), whole(b));
            assert_eq!(a.over(b, "x"), Ok(whole(zero)));
            assert_eq!(a.over_floor(b, "x"), Ok(whole(floor)));
            assert_eq!(a.over_ceil(b, "x"), Ok(whole(ceil)));
        }
        assert!(whole(1).over(Whole::ZERO, "x").is_err());
        assert!(whole(1).over_floor(Whole::ZERO, "x").is_err());
    }

    #[test]
    fn numbers_beyond_128_bits_keep_every_digit_and_do_not_narrow() {
        let most = whole(i128::MAX);
        let square = most.times(most, "x").unwrap();
        assert_eq!(
            square.to_string(),
            "28948022309329048855892746252171976962977213799489202546401021394546514198529"
        );
        assert_eq!((square.known(), square.over(most, "x")), (None, Ok(most)));
        assert_eq!(whole(i128::MIN).known(), Some(i128::MIN));
        assert!(whole(i128::MIN) < whole(-1) && square.minus() < whole(i128::MIN) && most < square);
        let huge = square.times(square, "x").and_then(|x| x.times(x, "x"));
        assert_eq!(huge.and_then(|x| x.times(x, "x")), Err(VenueError::Overflow { what: "x" }));
    }

    #[test]
    fn fractions_are_in_lowest_terms_with_the_sign_above() {
        let fraction = |a, b| Fraction::new(whole(a), whole(b), "x").unwrap().to_string();
        assert_eq!(
            (fraction(6, -4), fraction(-6, -4), fraction(0, -7)),
            ("-3/2".into(), "3/2".into(), "0/1".into())
        );
        assert!(Fraction::new(whole(0), whole(0), "x").is_err());
    }
}
