//! 18-decimal fixed point against exact wide integers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_types::{Fixed, Rounding, mul_div_wide};
use proptest::prelude::*;
use ruint::aliases::U512;

const WAD: i128 = 1_000_000_000_000_000_000;

fn wide(x: u128) -> U512 {
    U512::from(x)
}

proptest! {
    #[test]
    fn a_quotient_brackets_the_exact_one(a in any::<i128>(), b in any::<i128>(), c in any::<i128>()) {
        prop_assume!(c != 0);
        let down = mul_div_wide(a, b, c, Rounding::Down);
        let up = mul_div_wide(a, b, c, Rounding::Up);
        let near = mul_div_wide(a, b, c, Rounding::Nearest);
        let (product, size) = (wide(a.unsigned_abs()) * wide(b.unsigned_abs()), wide(c.unsigned_abs()));
        let (whole, rest) = product.div_rem(size);
        let negative = (a < 0) ^ (b < 0) ^ (c < 0);
        if let (Some(down), Some(up), Some(near)) = (down, up, near) {
            prop_assert!(down <= near && near <= up && up - down == i128::from(!rest.is_zero()));
            let towards_zero = if negative { up } else { down };
            prop_assert_eq!(wide(towards_zero.unsigned_abs()), whole);
            let away = wide(2) * rest >= size && !rest.is_zero();
            prop_assert_eq!(near.unsigned_abs() > towards_zero.unsigned_abs(), away);
        } else {
            prop_assert!(whole >= wide(i128::MAX.unsigned_abs()) || !rest.is_zero());
        }
    }

    #[test]
    fn a_root_is_the_largest_whose_square_fits(x in 0..i128::MAX) {
        let root = Fixed::from_units(x).sqrt().known().unwrap();
        let square = wide(x.unsigned_abs()) * wide(WAD.unsigned_abs());
        let (root, next) = (wide(root.unsigned_abs()), wide(root.unsigned_abs() + 1));
        prop_assert!(root * root <= square && next * next > square);
    }

    #[test]
    fn text_reads_back_and_sums_are_exact(a in -WAD * WAD / 10..WAD * WAD / 10, b in -WAD * WAD / 10..WAD * WAD / 10) {
        let (x, y) = (Fixed::from_units(a), Fixed::from_units(b));
        prop_assert_eq!(x.to_string().parse::<Fixed>().unwrap(), x);
        prop_assert_eq!((x + y).known(), Some(a + b));
        prop_assert_eq!(x < y, a < b);
        prop_assert_eq!((x * y).known(), (y * x).known());
    }

    #[test]
    fn exponentials_multiply(a in -20.0..20.0_f64, b in -20.0..20.0_f64) {
        let (x, y) = (Fixed::from_f64(a).unwrap(), Fixed::from_f64(b).unwrap());
        let (one, two) = ((x + y).exp(), x.exp() * y.exp());
        let bound = one.max(x.exp()).max(y.exp()).max(Fixed::ONE) * Fixed::from_units(20);
        prop_assert!((one - two).abs() <= bound * x.exp().max(y.exp()).max(Fixed::ONE), "{one} {two}");
    }
}
