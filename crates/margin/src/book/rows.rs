//! The entries that a scan reads: a contiguous row per instrument, as narrow as they allow.

use super::lanes::{EXACT, Entry};
use crate::aggregate::Measure;
use plimsoll_types::{BlockKind, Narrow, RiskArrays, UnderlyingIx};
use std::ops::Range;

/// Entries of a row come in multiples of this: 64 bytes of the narrow ones. What is added is 0, which never is the worst.
pub(super) const STEP: usize = 16;

/// A cache line in bytes.
const LINE: usize = 64;

/// Rows of one width of entry.
#[derive(Clone, Debug)]
pub(super) struct Panel<T> {
    cells: Vec<T>,
    /// Where the first row starts, so that it lies on a cache line.
    start: usize,
    stride: usize,
    /// The least and the largest entry of each row, and of 0.
    pub(super) extremes: Vec<[T; 2]>,
}

impl<T: Entry> Panel<T> {
    fn new(instruments: usize, stride: usize) -> Self {
        let cells = vec![T::default(); instruments * stride + LINE / size_of::<T>()];
        let start = cells.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        Self { cells, start, stride, extremes: vec![[T::default(); 2]; instruments] }
    }

    /// All rows, one after the other.
    #[inline(always)]
    pub(super) fn cells(&self) -> &[T] {
        &self.cells[self.start..]
    }

    /// Entries in a row, with what is added.
    #[inline(always)]
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// One row, with what is added.
    pub(super) fn row(&self, instrument: usize) -> &[T] {
        let at = self.start + instrument * self.stride;
        &self.cells[at..at + self.stride]
    }

    /// Copies a row from the arrays; `false` when an entry does not fit.
    fn set(&mut self, instrument: usize, entries: impl Iterator<Item = i64>) -> bool {
        let at = self.start + instrument * self.stride;
        let mut extremes = [T::default(); 2];
        for (cell, entry) in self.cells[at..at + self.stride].iter_mut().zip(entries) {
            let Some(entry) = T::of(entry) else {
                return false;
            };
            *cell = entry;
            extremes = [extremes[0].min(entry), extremes[1].max(entry)];
        }
        self.extremes[instrument] = extremes;
        true
    }

    fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<T>() + self.extremes.capacity() * size_of::<[T; 2]>()
    }
}

/// The two widths there are.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// Every entry fits 32 bits.
    Narrow(Panel<i32>),
    /// Some entry does not.
    Wide(Panel<i64>),
}

/// The grid columns of risk arrays, row by row: what the scan losses of a requirement are read from.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Of each instrument.
    pub(super) underlying: Vec<u32>,
    underlyings: usize,
    /// Whether the underlying never falls from an instrument to the next: then the positions of an account in one
    /// underlying lie side by side.
    pub(super) grouped: bool,
    columns: Vec<Range<usize>>,
    pub(super) cells: Cells,
    /// The largest |entry| of each row.
    largest: Vec<u64>,
    /// With gross lots up to this every sum is exact on lanes, whatever is held.
    lots_max: u64,
}

impl Rows {
    /// The columns of all grid blocks that serve initial margin.
    pub fn new(arrays: &RiskArrays) -> Self {
        Self::of(arrays, Measure::Im)
    }

    /// The columns of all grid blocks that serve maintenance margin. The same as [`Rows::new`] where every grid block
    /// serves both.
    pub fn for_maintenance(arrays: &RiskArrays) -> Self {
        Self::of(arrays, Measure::Mm)
    }

    fn of(arrays: &RiskArrays, measure: Measure) -> Self {
        let grid = arrays.blocks.iter().filter(|b| b.kind == BlockKind::Grid && measure.takes(b.purpose));
        let columns: Vec<Range<usize>> = grid.map(|block| block.columns.clone()).collect();
        let width = columns.iter().map(|range| range.len()).sum::<usize>();
        let stride = width.next_multiple_of(STEP);
        let underlying: Vec<u32> = arrays.instruments.iter().map(|row| row.underlying.0).collect();
        let mut rows = Self {
            grouped: underlying.is_sorted(),
            underlyings: arrays.underlyings.len(),
            columns,
            cells: Cells::Narrow(Panel::new(underlying.len(), stride)),
            largest: vec![0; underlying.len()],
            lots_max: 0,
            underlying,
        };
        if !rows.fill(arrays, None) {
            rows.widen(arrays, stride);
        }
        rows.bound();
        rows
    }

    /// Takes the rows of one underlying from arrays with the same instruments, underlyings and blocks; nothing is
    /// allocated unless an entry does not fit 32 bits for the first time.
    pub fn refresh(&mut self, arrays: &RiskArrays, underlying: UnderlyingIx) {
        if !self.fill(arrays, Some(underlying)) {
            let stride = self.stride();
            self.widen(arrays, stride);
        }
        self.bound();
    }

    fn stride(&self) -> usize {
        match &self.cells {
            Cells::Narrow(panel) => panel.stride,
            Cells::Wide(panel) => panel.stride,
        }
    }

    fn widen(&mut self, arrays: &RiskArrays, stride: usize) {
        self.cells = Cells::Wide(Panel::new(self.underlying.len(), stride));
        self.fill(arrays, None);
    }

    /// Copies the rows of an underlying, or all; `false` as soon as an entry does not fit.
    fn fill(&mut self, arrays: &RiskArrays, only: Option<UnderlyingIx>) -> bool {
        for instrument in 0..self.underlying.len() {
            if only.is_some_and(|only| only.0 != self.underlying[instrument]) {
                continue;
            }
            let row = u32::try_from(instrument).map(|ix| arrays.row(plimsoll_types::InstrumentIx(ix)));
            let row = row.unwrap_or(&[]);
            let entries =
                || self.columns.iter().flat_map(|range| row.get(range.clone()).unwrap_or(&[])).copied();
            self.largest[instrument] = entries().fold(0, |most: u64, entry| most.max(entry.unsigned_abs()));
            let fits = match &mut self.cells {
                Cells::Narrow(panel) => panel.set(instrument, entries()),
                Cells::Wide(panel) => panel.set(instrument, entries()),
            };
            if !fits {
                return false;
            }
        }
        true
    }

    fn bound(&mut self) {
        let most = self.largest.iter().copied().max().unwrap_or(0);
        self.lots_max = (EXACT - 1).checked_div(most).unwrap_or(u64::MAX);
    }

    /// How many instruments there are.
    pub fn len(&self) -> usize {
        self.underlying.len()
    }

    /// Whether there is no instrument.
    pub fn is_empty(&self) -> bool {
        self.underlying.is_empty()
    }

    /// How many underlyings there are.
    pub fn underlyings(&self) -> usize {
        self.underlyings
    }

    /// The underlying of an instrument; `None` past the end.
    pub fn underlying(&self, instrument: u32) -> Option<UnderlyingIx> {
        self.underlying.get(instrument as usize).copied().map(UnderlyingIx)
    }

    /// With gross lots up to this every sum is exact on lanes, whatever is held.
    #[inline(always)]
    pub(super) fn lots_max(&self) -> u64 {
        self.lots_max
    }

    /// Whether entries are kept in 32 bits.
    pub fn is_narrow(&self) -> bool {
        matches!(self.cells, Cells::Narrow(_))
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let cells = match &self.cells {
            Cells::Narrow(panel) => panel.bytes(),
            Cells::Wide(panel) => panel.bytes(),
        };
        let columns = self.columns.capacity() * size_of::<Range<usize>>();
        cells + columns + self.underlying.capacity() * 4 + self.largest.capacity() * 8
    }

    /// Whether the sums of these positions, of which every instrument has a row, are whole and exact on lanes: first by
    /// what is known of the account as a whole, then row by row.
    #[inline(always)]
    pub(super) fn exact_on_lanes(&self, narrow: &Narrow<'_>) -> bool {
        // Fewer than 2^32 positions of at most 2^32 lots.
        ((narrow.held.len() as u64) << narrow.lots_bits) <= self.lots_max || self.exact_row_by_row(narrow)
    }

    #[cold]
    fn exact_row_by_row(&self, narrow: &Narrow<'_>) -> bool {
        let gross = narrow.held.iter().try_fold(0_u64, |sum, held| {
            let largest = *self.largest.get(held.instrument as usize)?;
            sum.checked_add(u64::from(held.lots.unsigned_abs()).checked_mul(largest)?)
        });
        gross.is_some_and(|gross| gross < EXACT)
    }
}
