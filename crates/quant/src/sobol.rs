//! Sobol sequences with seeded scrambling, and a small seeded generator.
//!
//! The one idea: a point is a function of its index and the seed alone, so any part of a sequence can be computed
//! anywhere, in any order, with the same bits.
//!
//! Primitive polynomials and initial direction numbers are those of Joe and Kuo (2008, "Constructing Sobol sequences with
//! better two-dimensional projections", table new-joe-kuo-6), for the first 64 dimensions.

/// Most dimensions of a sequence.
pub const DIMENSIONS_MAX: usize = 64;
/// Bits of a coordinate: the cell centre `(i + 1/2) 2^-52` is exact in `f64`.
const BITS: usize = 52;

/// Degree, inner coefficients (as bits, highest power first) of the primitive polynomial, and initial direction numbers of
/// dimensions 2 to 64.
#[rustfmt::skip]
const JOE_KUO: [(usize, u64, &[u64]); DIMENSIONS_MAX - 1] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
    (7, 7, &[1, 1, 3, 13, 7, 35, 63]),
    (7, 8, &[1, 3, 5, 9, 1, 25, 53]),
    (7, 14, &[1, 3, 1, 13, 9, 35, 107]),
    (7, 19, &[1, 3, 1, 5, 27, 61, 31]),
    (7, 21, &[1, 1, 5, 11, 19, 41, 61]),
    (7, 28, &[1, 3, 5, 3, 3, 13, 69]),
    (7, 31, &[1, 1, 7, 13, 1, 19, 1]),
    (7, 32, &[1, 3, 7, 5, 13, 19, 59]),
    (7, 37, &[1, 1, 3, 9, 25, 29, 41]),
    (7, 41, &[1, 3, 5, 13, 23, 1, 55]),
    (7, 42, &[1, 3, 7, 3, 13, 59, 17]),
    (7, 50, &[1, 3, 1, 3, 5, 53, 69]),
    (7, 55, &[1, 1, 5, 5, 23, 33, 13]),
    (7, 56, &[1, 1, 7, 7, 1, 61, 123]),
    (7, 59, &[1, 1, 7, 9, 13, 61, 49]),
    (7, 62, &[1, 3, 3, 5, 3, 55, 33]),
    (8, 14, &[1, 3, 1, 15, 31, 13, 49, 245]),
    (8, 21, &[1, 3, 5, 15, 31, 59, 63, 97]),
    (8, 22, &[1, 3, 1, 11, 11, 11, 77, 249]),
    (8, 38, &[1, 3, 1, 11, 27, 43, 71, 9]),
    (8, 47, &[1, 1, 7, 15, 21, 11, 81, 45]),
    (8, 49, &[1, 3, 7, 3, 25, 31, 65, 79]),
    (8, 50, &[1, 3, 1, 1, 19, 11, 3, 205]),
    (8, 52, &[1, 1, 5, 9, 19, 21, 29, 157]),
    (8, 56, &[1, 3, 7, 11, 1, 33, 89, 185]),
    (8, 67, &[1, 3, 3, 3, 15, 9, 79, 71]),
    (8, 70, &[1, 3, 7, 11, 15, 39, 119, 27]),
    (8, 84, &[1, 1, 3, 1, 11, 31, 97, 225]),
    (8, 97, &[1, 1, 1, 3, 23, 43, 57, 177]),
    (8, 103, &[1, 3, 7, 7, 17, 17, 37, 71]),
    (8, 115, &[1, 3, 1, 5, 27, 63, 123, 213]),
    (8, 122, &[1, 1, 3, 5, 11, 43, 53, 133]),
    (9, 8, &[1, 3, 5, 5, 29, 17, 47, 173, 479]),
    (9, 13, &[1, 3, 3, 11, 3, 1, 109, 9, 69]),
    (9, 16, &[1, 1, 1, 5, 17, 39, 23, 5, 343]),
    (9, 22, &[1, 3, 1, 5, 25, 15, 31, 103, 499]),
    (9, 25, &[1, 1, 1, 11, 11, 17, 63, 105, 183]),
    (9, 44, &[1, 1, 5, 11, 9, 29, 97, 231, 363]),
    (9, 47, &[1, 1, 5, 15, 19, 45, 41, 7, 383]),
    (9, 52, &[1, 3, 7, 7, 31, 19, 83, 137, 221]),
    (9, 55, &[1, 1, 1, 3, 23, 15, 111, 223, 83]),
    (9, 59, &[1, 1, 5, 13, 31, 15, 55, 25, 161]),
    (9, 62, &[1, 1, 3, 13, 25, 47, 39, 87, 257]),
];

/// Why a sequence cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SobolError {
    /// No dimension, or more than the table has.
    #[error("{dimensions} dimensions asked for, 1 to {max} are possible")]
    Dimensions {
        /// Asked for.
        dimensions: usize,
        /// The most there are.
        max: usize,
    },
}

/// How points are randomised. Every kind keeps the stratification of the sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scramble {
    /// Not at all.
    None,
    /// One random shift per dimension, added digit by digit (exclusive or).
    DigitalShift {
        /// Seed.
        seed: u64,
    },
    /// Nested uniform scrambling (Owen 1995): each binary digit is flipped by a hash of the digits before it.
    Owen {
        /// Seed.
        seed: u64,
    },
}

/// A Sobol sequence with a position.
///
/// ```
/// use plimsoll_quant::sobol::{Scramble, Sobol};
/// let mut sequence = Sobol::new(2, Scramble::None).unwrap();
/// let mut point = [0.0; 2];
/// sequence.skip(1);
/// sequence.next_point(&mut point);
/// assert!((point[0] - 0.5).abs() < 1e-15 && (point[1] - 0.5).abs() < 1e-15);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Sobol {
    directions: Vec<[u64; BITS]>,
    scramble: Scramble,
    index: u64,
}

impl Sobol {
    /// A sequence at its first point, index 0.
    ///
    /// # Errors
    /// [`SobolError::Dimensions`] outside 1 to [`DIMENSIONS_MAX`].
    pub fn new(dimensions: usize, scramble: Scramble) -> Result<Self, SobolError> {
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return Err(SobolError::Dimensions { dimensions, max: DIMENSIONS_MAX });
        }
        let mut directions = vec![van_der_corput()];
        directions.extend(JOE_KUO[..dimensions - 1].iter().map(|row| direction_numbers(*row)));
        Ok(Self { directions, scramble, index: 0 })
    }

    /// Number of dimensions.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.directions.len()
    }

    /// Moves `count` points ahead.
    pub fn skip(&mut self, count: u64) {
        self.index = self.index.wrapping_add(count);
    }

    /// Writes the next point, coordinates strictly inside (0, 1), into the first entries of `point`.
    pub fn next_point(&mut self, point: &mut [f64]) {
        self.point(self.index, point);
        self.skip(1);
    }

    /// Writes the point of `index` (below 2^52; the sequence repeats there), in the usual Gray code order.
    ///
    /// Coordinates are centres of cells of width `2^-52`: the unscrambled point 0 is `2^-53` in every dimension.
    pub fn point(&self, index: u64, point: &mut [f64]) {
        let gray = index ^ (index >> 1);
        for (dimension, (directions, out)) in self.directions.iter().zip(point).enumerate() {
            let digits = digits(directions, gray);
            *out = cell_centre(self.scrambled(digits, dimension));
        }
    }

    fn scrambled(&self, digits: u64, dimension: usize) -> u64 {
        let mask = (1 << BITS) - 1;
        match self.scramble {
            Scramble::None => digits,
            Scramble::DigitalShift { seed } => digits ^ (hash(seed, dimension as u64) & mask),
            Scramble::Owen { seed } => owen(digits, hash(seed, dimension as u64)),
        }
    }
}

fn van_der_corput() -> [u64; BITS] {
    std::array::from_fn(|i| 1 << (BITS - 1 - i))
}

/// Sobol's recurrence for the direction numbers of one dimension, as fractions of `2^BITS`.
fn direction_numbers((degree, coefficients, initial): (usize, u64, &[u64])) -> [u64; BITS] {
    let mut v = [0; BITS];
    for (i, m) in initial.iter().enumerate() {
        v[i] = m << (BITS - 1 - i);
    }
    for i in degree..BITS {
        let mut next = v[i - degree] ^ (v[i - degree] >> degree);
        for j in 1..degree {
            if (coefficients >> (degree - 1 - j)) & 1 == 1 {
                next ^= v[i - j];
            }
        }
        v[i] = next;
    }
    v
}

fn digits(directions: &[u64; BITS], gray: u64) -> u64 {
    let mut rest = gray & ((1 << BITS) - 1);
    let mut digits = 0;
    while rest != 0 {
        digits ^= directions[rest.trailing_zeros() as usize];
        rest &= rest - 1;
    }
    digits
}

/// Flips each digit by a hash of its position and of the digits above it.
fn owen(digits: u64, key: u64) -> u64 {
    let mut flips = 0;
    for position in 0..BITS {
        let bit = BITS - 1 - position;
        // A leading one marks how many digits the prefix has.
        let prefix = (1 << position) | (digits >> (bit + 1));
        flips |= (hash(key, prefix) >> 63) << bit;
    }
    digits ^ flips
}

#[allow(clippy::cast_precision_loss, reason = "the integer has 52 bits")]
fn cell_centre(cell: u64) -> f64 {
    (cell as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// Golden-ratio increment of SplitMix64.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Finaliser of SplitMix64 (Steele, Lea and Flood 2014; Stafford's variant 13): a bijection that mixes all bits.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Hash of a key and a value.
fn hash(key: u64, value: u64) -> u64 {
    mix(mix(key.wrapping_add(GOLDEN_GAMMA)) ^ value.wrapping_mul(GOLDEN_GAMMA).wrapping_add(GOLDEN_GAMMA))
}

/// SplitMix64: the `n`-th number is a hash of `seed + n` steps, so the generator can be moved anywhere at once.
///
/// ```
/// use plimsoll_quant::sobol::Rng64;
/// let mut rng = Rng64::new(1_234_567);
/// assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rng64 {
    state: u64,
}

impl Rng64 {
    /// A generator from a seed; every seed is good.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Uniform strictly inside (0, 1), a multiple of `2^-53`.
    pub fn uniform(&mut self) -> f64 {
        cell_centre(self.next_u64() >> (64 - BITS))
    }

    /// Moves `count` numbers ahead.
    pub fn skip(&mut self, count: u64) {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA.wrapping_mul(count));
    }
}
