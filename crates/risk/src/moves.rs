//! The distinct moves of one underlying as columns, and which column of the arrays has which.

use crate::set::{Move, ScenarioSet};
use plimsoll_quant::special::ln_1p;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Columns of moves are padded with still ones to a multiple of this, so that no kernel has a remainder: 8 lanes of 64
/// bits are one register of the widest path.
pub(crate) const LANES: usize = 8;

/// Distinct moves of one underlying, one list per field, all of the same padded length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    pub(crate) spot: Vec<f64>,
    pub(crate) vol: Vec<f64>,
    pub(crate) skew: Vec<f64>,
    pub(crate) wing: Vec<f64>,
    pub(crate) term: Vec<f64>,
    pub(crate) basis: Vec<f64>,
    pub(crate) rate: Vec<f64>,
    pub(crate) elapsed_days: Vec<f64>,
    /// `ln(1 + spot)`.
    pub(crate) ln_growth: Vec<f64>,
    /// How many are moves and not padding.
    count: usize,
    /// Which move a column has.
    pub(crate) at: Vec<u32>,
    /// Whether column `c` has move `c`: nothing to scatter.
    pub(crate) in_order: bool,
    /// Whether any move has that part: what none has is not computed.
    pub(crate) has: Parts,
}

/// Parts of moves that are dear and seldom there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) smile: bool,
    pub(crate) basis: bool,
    pub(crate) rate: bool,
}

impl Moves {
    /// The moves of the underlying at `place` of the set. Moves are the same when all their bits are.
    pub(crate) fn new(set: &ScenarioSet, place: usize) -> Self {
        let all = set.blocks.iter().flat_map(|block| &block.scenarios).map(|s| s.moves[place]);
        let mut seen: BTreeMap<[u64; 8], u32> = BTreeMap::new();
        let mut made = Self::default();
        for by in all {
            let next = seen.len() as u32;
            let at = *seen.entry(bits(&by)).or_insert(next);
            if at == next {
                made.push(&by, ln_1p(by.spot));
            }
            made.at.push(at);
        }
        made.finish()
    }

    /// How many distinct moves there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The distinct move at `i`.
    pub(crate) fn get(&self, i: usize) -> Move {
        Move {
            spot: self.spot[i],
            vol: self.vol[i],
            skew: self.skew[i],
            wing: self.wing[i],
            term: self.term[i],
            basis: self.basis[i],
            rate: self.rate[i],
            elapsed_days: self.elapsed_days[i],
        }
    }

    /// The moves of a range of columns, in order of first use. All columns: no copy.
    pub(crate) fn block(&self, columns: Range<usize>) -> Cow<'_, Self> {
        if columns == (0..self.at.len()) {
            return Cow::Borrowed(self);
        }
        let mut place = vec![u32::MAX; if self.in_order { 0 } else { self.count }];
        let mut made = Self::default();
        for at in &self.at[columns] {
            let from = *at as usize;
            let known = place.get(from).copied().unwrap_or(u32::MAX);
            let to = if known == u32::MAX { made.count as u32 } else { known };
            if known == u32::MAX {
                made.push(&self.get(from), self.ln_growth[from]);
                if let Some(slot) = place.get_mut(from) {
                    *slot = to;
                }
            }
            made.at.push(to);
        }
        Cow::Owned(made.finish())
    }

    fn push(&mut self, by: &Move, ln_growth: f64) {
        self.spot.push(by.spot);
        self.vol.push(by.vol);
        self.skew.push(by.skew);
        self.wing.push(by.wing);
        self.term.push(by.term);
        self.basis.push(by.basis);
        self.rate.push(by.rate);
        self.elapsed_days.push(by.elapsed_days);
        self.ln_growth.push(ln_growth);
        self.count += 1;
        self.has.smile |= by.skew != 0.0 || by.wing != 0.0;
        self.has.basis |= by.basis != 0.0;
        self.has.rate |= by.rate != 0.0;
    }

    fn finish(mut self) -> Self {
        let count = self.count;
        while !self.count.is_multiple_of(LANES) {
            self.push(&Move::default(), 0.0);
        }
        self.count = count;
        self.in_order = self.at.iter().enumerate().all(|(column, at)| *at as usize == column);
        self
    }
}

fn bits(m: &Move) -> [u64; 8] {
    [m.spot, m.vol, m.skew, m.wing, m.term, m.basis, m.rate, m.elapsed_days].map(f64::to_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeltaPoints, Scenario, ScenarioBlock, Sticky, VolShock, VolShockKind};
    use plimsoll_types::{BlockKind, Purpose};

    fn set(spots: &[f64]) -> ScenarioSet {
        let scenario = |spot: &f64| Scenario {
            label: String::new(),
            weight: 1.0,
            moves: vec![Move { spot: *spot, ..Move::default() }],
            pair: 0,
        };
        let scenarios = spots.iter().map(scenario).collect();
        let vol_shock = VolShock {
            kind: VolShockKind::Relative,
            power_short: 0.0,
            power_long: 0.0,
            dte_floor: 1.0,
            min_vol_up: 0.0,
            skew: None,
            sticky: Sticky::Moneyness,
        };
        ScenarioSet {
            underlyings: vec![],
            price_scan: vec![],
            vol_shock,
            composite_delta: DeltaPoints { points: vec![], weights: vec![], elapsed_days: 0.0 },
            blocks: vec![ScenarioBlock { kind: BlockKind::Grid, purpose: Purpose::Both, scenarios }],
            notes: vec![],
        }
    }

    #[test]
    fn moves_are_kept_once_and_padded_with_still_ones() {
        let moves = Moves::new(&set(&[0.1, -0.1, 0.1, 0.2, -0.1]), 0);
        assert_eq!((moves.count(), moves.at.as_slice(), moves.in_order), (3, &[0, 1, 0, 2, 1][..], false));
        assert_eq!((moves.spot.len(), moves.spot[3], moves.ln_growth[7]), (LANES, 0.0, 0.0));
    }

    #[test]
    fn a_block_of_columns_has_the_moves_of_those_columns() {
        for spots in [[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.1, 0.2, 0.3]] {
            let moves = Moves::new(&set(&spots), 0);
            for start in 0..5 {
                for end in start..=5 {
                    let block = moves.block(start..end);
                    let got: Vec<f64> = block.at.iter().map(|at| block.spot[*at as usize]).collect();
                    assert_eq!(got, spots[start..end], "{start}..{end}");
                    assert_eq!(block.spot.len() % LANES, 0);
                }
            }
        }
    }
}
