//! A number that stands for an answer: equal answers have equal ones, and different ones hardly ever.

/// FNV-1a over 64-bit words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Digest(u64);

impl Digest {
    /// Of nothing.
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in one word.
    pub(super) const fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        // Without the fold the low bits of a digest would never depend on the high bits of a word.
        self.0 = mixed ^ (mixed >> 29);
    }

    /// Takes in an integer of any sign and size.
    pub(super) fn integer(&mut self, value: i128) {
        let bytes = value.to_le_bytes();
        let (low, high) = bytes.split_at(8);
        for half in [low, high] {
            self.word(half.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)));
        }
    }

    /// Takes in the bits of numbers.
    pub(super) fn numbers(&mut self, numbers: &[f64]) {
        for number in numbers {
            self.word(number.to_bits());
        }
    }

    /// Takes in integers.
    pub(super) fn integers(&mut self, integers: &[i64]) {
        for integer in integers {
            self.word(integer.cast_unsigned());
        }
    }

    /// The number.
    pub(super) const fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_sign_and_high_bits_count() {
        let of = |all: &[i128]| {
            let mut digest = Digest::new();
            for one in all {
                digest.integer(*one);
            }
            digest.finish()
        };
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1]), of(&[-1]));
        assert_ne!(of(&[1 << 64]), of(&[1 << 65]));
        assert_eq!(of(&[1 << 100, -7]), of(&[1 << 100, -7]));
    }
}
