//! Names by number, found by name.
//!
//! **The one idea:** a name's number is the order of its first appearance, so that nothing depends on where the table
//! keeps it: there is no way to walk the table.

/// Distinct names; their numbers count from 0 in the order they were added.
///
/// While every name is above the one before, as in a file by account, there is no table: a new name is known by being
/// above the last, and an old one is found by bisection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    text: String,
    ends: Vec<usize>,
    /// Whether some name came out of order; from then on names are found through `slots`.
    unordered: bool,
    /// Open addressing with linear steps: the upper half of a slot is the hash, the lower half the number plus one. Empty
    /// slots are 0; at most three quarters are taken; the length is a power of two or 0.
    slots: Vec<u64>,
}

/// The hash of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct NameHash(u32);

/// Odd constants without a pattern: the fractional digits of the square roots of 2 and 3.
const MIX: [u64; 2] = [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];

/// Both halves of the product, so that every bit of `a` reaches every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

impl NameHash {
    fn of(name: &str) -> Self {
        let mut chunks = name.as_bytes().chunks_exact(8);
        let mut state = MIX[0] ^ name.len() as u64;
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            state = fold(state ^ u64::from_le_bytes(word), MIX[1]);
        }
        let rest = chunks.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self((fold(state ^ rest, MIX[1]) >> 32) as u32)
    }
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name of this number.
    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end);
        self.text.get(start..end)
    }

    /// Every name, in order of number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// The name with the greatest number.
    fn last(&self) -> Option<&str> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The number of a name that is there.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        if self.unordered { self.hashed(NameHash::of(name), name) } else { self.bisected(name) }
    }

    /// The same, quicker where it is the name of number `near` or the next one.
    pub(crate) fn find_near(&self, near: u32, name: &str) -> Option<u32> {
        let is_it = |number: &u32| self.get(*number as usize) == Some(name);
        [near, near.saturating_add(1)].into_iter().find(is_it).or_else(|| self.find(name))
    }

    fn bisected(&self, name: &str) -> Option<u32> {
        if self.last()? < name {
            return None;
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)? < name { low = middle + 1 } else { high = middle }
        }
        (self.get(low) == Some(name)).then(|| u32::try_from(low).ok()).flatten()
    }

    fn hashed(&self, hash: NameHash, name: &str) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash.0 as usize & mask;
        loop {
            let slot = *self.slots.get(at)?;
            let number = (slot as u32).checked_sub(1)?;
            if (slot >> 32) as u32 == hash.0 && self.get(number as usize) == Some(name) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a name that is not there. `None` when there are 2^32 - 1 of them.
    pub(crate) fn add(&mut self, name: &str) -> Option<u32> {
        let number = u32::try_from(self.len()).ok().filter(|number| *number < u32::MAX)?;
        if !self.unordered && self.last().is_some_and(|last| last >= name) {
            self.unordered = true;
            self.index();
        }
        self.text.push_str(name);
        self.ends.push(self.text.len());
        if self.unordered {
            if 4 * self.len() > 3 * self.slots.len() {
                self.grow();
            }
            place(&mut self.slots, slot(NameHash::of(name), number));
        }
        Some(number)
    }

    /// The number of a name, new or not.
    pub(crate) fn number(&mut self, name: &str) -> Option<u32> {
        self.find(name).or_else(|| self.add(name))
    }

    /// Fills the table, with room for as many names again.
    fn index(&mut self) {
        let mut slots = vec![0; (2 * self.len()).next_power_of_two().max(16)];
        for (name, number) in self.iter().zip(0..) {
            place(&mut slots, slot(NameHash::of(name), number));
        }
        self.slots = slots;
    }

    fn grow(&mut self) {
        let mut wider = vec![0; (2 * self.slots.len()).max(16)];
        for slot in self.slots.iter().filter(|slot| **slot != 0) {
            place(&mut wider, *slot);
        }
        self.slots = wider;
    }

    /// Numbers in rising order of name.
    pub(crate) fn by_name(&self) -> Vec<u32> {
        if !self.unordered {
            return (0..).take(self.len()).collect();
        }
        let mut order: Vec<(u128, u32)> = self.iter().map(prefix).zip(0..).collect();
        let name = |number: u32| self.get(number as usize);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(a.1).cmp(&name(b.1))));
        order.into_iter().map(|(_, number)| number).collect()
    }
}

/// What a slot holds of a name; numbers end below 2^32 - 1.
fn slot(hash: NameHash, number: u32) -> u64 {
    u64::from(hash.0) << 32 | (u64::from(number) + 1)
}

/// The first sixteen bytes as a number that orders as they do.
fn prefix(name: &str) -> u128 {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u128::from_be_bytes(bytes)
}

/// Takes the first free slot from where its hash points.
fn place(slots: &mut [u64], filled: u64) {
    let mask = slots.len() - 1;
    let mut at = (filled >> 32) as usize & mask;
    while slots[at] != 0 {
        at = (at + 1) & mask;
    }
    slots[at] = filled;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn numbers_are_those_of_first_appearance(names in prop::collection::vec("[ab\u{0}é]{0,20}", 0..300), rising in 0_usize..300) {
            let mut names = names;
            let rising = rising.min(names.len());
            names[..rising].sort();
            let (mut table, mut known) = (Names::default(), BTreeMap::new());
            for name in &names {
                let next = known.len() as u32;
                let expected = *known.entry(name.as_str()).or_insert(next);
                prop_assert_eq!(table.number(name), Some(expected));
                prop_assert_eq!(table.find("absent"), None);
            }
            for (name, number) in &known {
                prop_assert_eq!(table.find(name), Some(*number));
                for near in [number.saturating_sub(1), *number, 7, u32::MAX] {
                    prop_assert_eq!(table.find_near(near, name), Some(*number));
                }
                prop_assert_eq!(table.get(*number as usize), Some(*name));
            }
            let ordered: Vec<u32> = known.into_values().collect();
            prop_assert_eq!(table.by_name(), ordered);
            prop_assert_eq!(table.find_near(0, "absent"), None);
        }
    }

    #[test]
    fn names_with_one_hash_are_told_apart() {
        let mut table = Names { slots: vec![0; 256], unordered: true, ..Names::default() };
        for number in 0..100 {
            let name = number.to_string();
            assert_eq!(table.hashed(NameHash(7), &name), None);
            table.text.push_str(&name);
            table.ends.push(table.text.len());
            place(&mut table.slots, slot(NameHash(7), number));
        }
        assert_eq!(table.hashed(NameHash(7), "42"), Some(42));
    }
}
