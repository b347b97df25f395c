//! Ratios of requirements, compared as fractions, and how they are distributed.

use std::cmp::Ordering;

/// A fraction in lowest terms; >= 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ratio {
    above: u128,
    below: u128,
}

impl Ratio {
    /// One.
    pub const ONE: Self = Self { above: 1, below: 1 };

    /// `above / below`; `None` when a number is negative or the divisor is 0.
    ///
    /// ```
    /// use plimsoll_engine::Ratio;
    /// assert_eq!(Ratio::new(6, 4), Ratio::new(3, 2));
    /// assert!(Ratio::new(2, 3).unwrap() < Ratio::ONE && Ratio::new(1, 0).is_none());
    /// ```
    pub fn new(above: i128, below: i128) -> Option<Self> {
        let (above, below) = (u128::try_from(above).ok()?, u128::try_from(below).ok()?);
        let divisor = gcd(above, below);
        (below != 0).then(|| Self { above: above / divisor, below: below / divisor })
    }

    /// For people and pictures; the order of ratios never rests on it.
    pub fn to_f64(self) -> f64 {
        self.above as f64 / self.below as f64
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Ord for Ratio {
    /// By whole parts, then by the inverse of what is left: exact, and no product leaves 128 bits.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (*self, *other);
        let mut turned = false;
        loop {
            let whole = (a.above / a.below).cmp(&(b.above / b.below));
            let (rest_a, rest_b) = (a.above % a.below, b.above % b.below);
            let found = match (whole, rest_a, rest_b) {
                (Ordering::Equal, 0, 0) => Ordering::Equal,
                (Ordering::Equal, 0, _) => Ordering::Less,
                (Ordering::Equal, _, 0) => Ordering::Greater,
                (Ordering::Equal, _, _) => {
                    (a, b) = (Self { above: a.below, below: rest_a }, Self { above: b.below, below: rest_b });
                    turned = !turned;
                    continue;
                }
                (unequal, _, _) => unequal,
            };
            return if turned { found.reverse() } else { found };
        }
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where ratios lie. A quantile at level `p` is number `ceil(p n)` of the ratios in rising order (index above, no
/// interpolation).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quantiles {
    /// The smallest.
    pub min: Ratio,
    /// At 5 %.
    pub p5: Ratio,
    /// At 25 %.
    pub p25: Ratio,
    /// At 50 %.
    pub median: Ratio,
    /// At 75 %.
    pub p75: Ratio,
    /// At 95 %.
    pub p95: Ratio,
    /// The largest.
    pub max: Ratio,
}

impl Quantiles {
    /// The seven with their names, rising.
    pub fn named(&self) -> [(&'static str, Ratio); 7] {
        [
            ("min", self.min),
            ("p5", self.p5),
            ("p25", self.p25),
            ("median", self.median),
            ("p75", self.p75),
            ("p95", self.p95),
            ("max", self.max),
        ]
    }
}

/// How the ratios of a requirement to that of the base are distributed over accounts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Distribution {
    /// Accounts with a ratio.
    pub count: usize,
    /// Accounts without one, since the base requires nothing of them.
    pub base_zero: usize,
    /// Accounts of which more is required than under the base.
    pub above: usize,
    /// Accounts of which the same is required.
    pub equal: usize,
    /// Accounts of which less is required.
    pub below: usize,
    /// Where the ratios lie; `None` when there are none.
    pub quantiles: Option<Quantiles>,
}

impl Distribution {
    /// The distribution of `(requirement, requirement under the base)`, both >= 0.
    pub(super) fn of(pairs: impl Iterator<Item = (i128, i128)>) -> Self {
        let mut found = Self::default();
        let mut ratios = Vec::new();
        for (requirement, base) in pairs {
            let Some(ratio) = Ratio::new(requirement, base) else {
                found.base_zero += 1;
                continue;
            };
            match ratio.cmp(&Ratio::ONE) {
                Ordering::Greater => found.above += 1,
                Ordering::Equal => found.equal += 1,
                Ordering::Less => found.below += 1,
            }
            ratios.push(ratio);
        }
        ratios.sort_unstable();
        found.count = ratios.len();
        found.quantiles = quantiles(&ratios);
        found
    }
}

fn quantiles(rising: &[Ratio]) -> Option<Quantiles> {
    let at = |percent: usize| rising.get((rising.len() * percent).div_ceil(100).max(1) - 1).copied();
    Some(Quantiles {
        min: *rising.first()?,
        p5: at(5)?,
        p25: at(25)?,
        median: at(50)?,
        p75: at(75)?,
        p95: at(95)?,
        max: *rising.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_ordered_exactly_even_where_floats_are_equal() {
        let big = i128::MAX;
        let (a, b) = (Ratio::new(big - 2, big - 1).unwrap(), Ratio::new(big - 1, big).unwrap());
        assert_eq!(a.to_f64().to_bits(), b.to_f64().to_bits());
        assert!(a < b && b < Ratio::ONE && Ratio::ONE < Ratio::new(big, big - 1).unwrap());
        assert!(Ratio::new(0, 5).unwrap() < Ratio::new(1, big).unwrap());
        assert_eq!(Ratio::new(0, 5), Ratio::new(0, 7));
        assert_eq!((Ratio::new(1, 0), Ratio::new(-1, 2)), (None, None));
        assert_eq!(Ratio::new(10, 4).unwrap().cmp(&Ratio::new(5, 2).unwrap()), Ordering::Equal);
    }

    #[test]
    fn order_of_small_fractions_is_that_of_their_products() {
        for (a, b, c, d) in (0..12_i128).flat_map(|a| {
            (1..8).flat_map(move |b| (0..12).flat_map(move |c| (1..8).map(move |d| (a, b, c, d))))
        }) {
            let order = Ratio::new(a, b).unwrap().cmp(&Ratio::new(c, d).unwrap());
            assert_eq!(order, (a * d).cmp(&(c * b)), "{a}/{b} {c}/{d}");
        }
    }

    #[test]
    fn quantiles_take_the_index_above() {
        let of = |n: i128| Distribution::of((1..=n).map(|i| (i, 10)));
        let q = of(20).quantiles.unwrap();
        let tenths = |r: Ratio| (r.to_f64() * 10.0).round();
        let found = q.named().map(|(_, ratio)| tenths(ratio));
        assert_eq!(found, [1.0, 1.0, 5.0, 10.0, 15.0, 19.0, 20.0]);
        let q = of(21).quantiles.unwrap();
        assert_eq!(q.named().map(|(_, ratio)| tenths(ratio)), [1.0, 2.0, 6.0, 11.0, 16.0, 20.0, 21.0]);
        let one = of(1);
        assert!(one.quantiles.unwrap().named().iter().all(|(_, ratio)| tenths(*ratio) == 1.0));
        assert_eq!((of(20).above, of(20).equal, of(20).below, of(0).quantiles), (10, 1, 9, None));
    }

    #[test]
    fn accounts_of_which_the_base_requires_nothing_are_counted_apart() {
        let found = Distribution::of([(5, 0), (0, 0), (3, 3)].into_iter());
        assert_eq!((found.count, found.base_zero, found.equal), (1, 2, 1));
    }
}
