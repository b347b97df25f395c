//! Where the columns of a scenario set lie in lanes, so that the columns of a lane mean the same.

use super::lanes::WIDTH;
use super::rows::{BAND, SLOTS};
use crate::aggregate::Measure;
use plimsoll_types::{Block, BlockKind, CorrelationState, Purpose};
use std::ops::Range;

pub(crate) const STATES: [CorrelationState; 3] =
    [CorrelationState::Estimated, CorrelationState::Crash, CorrelationState::Breakdown];

/// A column and its place in a row of lanes, see [`super::lanes::Rows::set`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) place: usize,
    pub(crate) column: usize,
}

/// A run of lanes for the columns of one kind and purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Segment {
    kind: BlockKind,
    purpose: Purpose,
    columns: Vec<usize>,
    places: Vec<Place>,
    lanes: Range<usize>,
}

/// The lanes of one kind of loss.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Loss {
    pub(crate) lanes: Range<usize>,
    /// Every column of it, block by block in their order.
    pub(crate) places: Vec<Place>,
}

/// The lanes a measure reads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Read {
    pub(crate) grid: Loss,
    /// Every state that has columns.
    pub(crate) states: Vec<State>,
}

/// The lanes of a correlation state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    /// Which of them.
    pub(crate) place: usize,
    pub(crate) systematic: Loss,
    pub(crate) idiosyncratic: Loss,
}

/// The columns of a set in lanes: those that count underlying by underlying, and those that count together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Columns {
    /// Vectors of each.
    pub(crate) alone: usize,
    pub(crate) joint: usize,
    /// Every column with its place in a row; a column of two blocks has two.
    pub(crate) places: Vec<Place>,
    pub(crate) im: Read,
    pub(crate) mm: Read,
}

impl Columns {
    /// `None` where a column is in no block, or in one of joint statistics, or where there are more kinds than lanes.
    pub(crate) fn new(blocks: &[Block], scenarios: usize) -> Option<Self> {
        let covered = (0..scenarios).all(|c| blocks.iter().any(|block| block.columns.contains(&c)));
        let statistic = |block: &Block| matches!(block.kind, BlockKind::Joint | BlockKind::StressedJoint);
        if !covered || blocks.iter().any(statistic) {
            return None;
        }
        let mut kinds = vec![BlockKind::Grid];
        kinds.extend(STATES.map(BlockKind::Idiosyncratic));
        let (alone, mut segments) = laid_out(blocks, &kinds, 0)?;
        let systematic = STATES.map(BlockKind::Systematic);
        let (joint, together) = laid_out(blocks, &systematic, alone)?;
        segments.extend(together);
        let places = segments.iter().flat_map(|segment| segment.places.iter().copied()).collect();
        let read = |measure| Read {
            grid: loss(blocks, &segments, BlockKind::Grid, measure, 0),
            states: STATES
                .iter()
                .enumerate()
                .map(|(place, state)| State {
                    place,
                    systematic: loss(
                        blocks,
                        &segments,
                        BlockKind::Systematic(*state),
                        measure,
                        alone * WIDTH,
                    ),
                    idiosyncratic: loss(blocks, &segments, BlockKind::Idiosyncratic(*state), measure, 0),
                })
                .filter(|state| !state.systematic.places.is_empty())
                .collect(),
        };
        Some(Self { alone, joint, im: read(Measure::Im), mm: read(Measure::Mm), places })
    }

    /// For the columns that count underlying by underlying and those that count together, by measure: which slots take a
    /// lane.
    pub(crate) fn slots(&self) -> [[[[bool; SLOTS]; WIDTH]; 2]; 2] {
        let mut taken = [[[[false; SLOTS]; WIDTH]; 2]; 2];
        for (measure, read) in [&self.im, &self.mm].into_iter().enumerate() {
            let mut take = |part: usize, loss: &Loss, slot: usize| {
                taken[part][measure][loss.lanes.clone()].iter_mut().for_each(|lane| lane[slot] = true);
            };
            take(0, &read.grid, 0);
            for state in &read.states {
                take(0, &state.idiosyncratic, 1 + state.place);
                take(1, &state.systematic, 1 + state.place);
            }
        }
        taken
    }

    pub(crate) fn read(&self, measure: Measure) -> &Read {
        match measure {
            Measure::Im => &self.im,
            Measure::Mm => &self.mm,
        }
    }
}

/// The lanes of a kind that a measure reads, with places counted from `first`: purposes are ordered so that these lanes
/// lie side by side.
fn loss(blocks: &[Block], segments: &[Segment], kind: BlockKind, measure: Measure, first: usize) -> Loss {
    let mut read = Loss::default();
    for segment in segments.iter().filter(|s| s.kind == kind && measure.takes(s.purpose)) {
        let start = if read.lanes.is_empty() { segment.lanes.start } else { read.lanes.start };
        read.lanes = start..segment.lanes.end;
    }
    let of_kind = |block: &Block| block.kind == kind;
    for (i, block) in blocks.iter().enumerate().filter(|(_, b)| of_kind(b) && measure.takes(b.purpose)) {
        let like = |other: &&Block| of_kind(other) && other.purpose == block.purpose;
        let before = blocks[..i].iter().filter(like).map(|other| other.columns.len()).sum::<usize>();
        let segment = segments.iter().find(|s| s.kind == kind && s.purpose == block.purpose);
        let places = segment.and_then(|s| s.places.get(before..before + block.columns.len()));
        let from_first = |place: &Place| Place { place: place.place - first, ..*place };
        read.places.extend(places.unwrap_or_default().iter().map(from_first));
    }
    read
}

/// The segments of some kinds over as few bands of vectors as they fit into; the first vector is number `from`.
fn laid_out(blocks: &[Block], kinds: &[BlockKind], from: usize) -> Option<(usize, Vec<Segment>)> {
    let mut segments = Vec::new();
    for kind in kinds {
        for purpose in [Purpose::Im, Purpose::Both, Purpose::Mm] {
            let of_it = blocks.iter().filter(|block| block.kind == *kind && block.purpose == purpose);
            let columns: Vec<usize> = of_it.flat_map(|block| block.columns.clone()).collect();
            if !columns.is_empty() {
                segments.push(Segment { kind: *kind, purpose, columns, places: Vec::new(), lanes: 0..0 });
            }
        }
    }
    if segments.len() > WIDTH {
        return None;
    }
    let lanes = |height: usize| segments.iter().map(|s| s.columns.len().div_ceil(height)).sum::<usize>();
    let most = segments.iter().map(|s| s.columns.len()).max().unwrap_or(0);
    let height = (1..=most).find(|height| lanes(*height) <= WIDTH).unwrap_or(0).next_multiple_of(BAND);
    let mut first = 0;
    for segment in &mut segments {
        let width = segment.columns.len().div_ceil(height);
        segment.lanes = first..first + width;
        let place = |(i, column): (usize, &usize)| Place {
            place: (from + i / width) * WIDTH + first + i % width,
            column: *column,
        };
        segment.places = segment.columns.iter().enumerate().map(place).collect();
        first += width;
    }
    Some((height, segments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: BlockKind, purpose: Purpose, columns: Range<usize>) -> Block {
        Block { kind, purpose, columns }
    }

    #[test]
    fn columns_of_one_kind_share_lanes_and_no_place_is_taken_twice() {
        let state = CorrelationState::Crash;
        let blocks = [
            block(BlockKind::Grid, Purpose::Both, 0..16),
            block(BlockKind::Idiosyncratic(state), Purpose::Both, 16..24),
            block(BlockKind::Systematic(state), Purpose::Both, 24..36),
            block(BlockKind::Grid, Purpose::Mm, 36..40),
        ];
        let columns = Columns::new(&blocks, 40).unwrap();
        assert_eq!((columns.alone, columns.joint), (4, 4));
        let mut places: Vec<usize> = columns.places.iter().map(|p| p.place).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 40);
        assert_eq!(columns.im.grid.places.len(), 16);
        assert_eq!(columns.mm.grid.places.len(), 20);
        assert_eq!(columns.mm.grid.lanes, 0..5);
        assert_eq!(columns.im.states[0].idiosyncratic.lanes, 5..7);
    }

    #[test]
    fn a_column_outside_the_blocks_or_of_a_statistic_is_not_laid_out() {
        let grid = block(BlockKind::Grid, Purpose::Both, 0..3);
        assert!(Columns::new(std::slice::from_ref(&grid), 4).is_none());
        let joint = block(BlockKind::Joint, Purpose::Both, 3..4);
        assert!(Columns::new(&[grid, joint], 4).is_none());
    }
}
