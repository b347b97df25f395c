//! Arrays of the next surface in the place of those of the last, and blocks of columns for sets too wide to hold.

use crate::build::assets;
use crate::check::BuildError;
use crate::fill::{Failures, Sheet};
use crate::plan::{Part, Plan};
use plimsoll_lanes::Path;
use plimsoll_market::Surface;
use plimsoll_types::{
    Asset, AssetRow, Instrument, InstrumentRow, Issue, RiskArrays, UnderlyingIx, UnderlyingRow,
};
use std::ops::Range;

/// Why arrays were not refreshed. They have no entries any more: build them anew.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RefreshError {
    /// The arrays are not of this plan.
    #[error("{what} of the arrays: {found}, of the plan: {expected}")]
    Shape {
        /// What is counted.
        what: &'static str,
        /// In the arrays.
        found: usize,
        /// In the plan.
        expected: usize,
    },
    /// No underlying of the arrays, or none of the plan.
    #[error("underlying {underlying} is not of the arrays and the plan: {known} underlyings")]
    UnknownUnderlying {
        /// Its index.
        underlying: u32,
        /// How many the arrays have.
        known: usize,
    },
    /// A row that the plan has not, or not there: rows are in the order of the plan.
    #[error("{instrument} of the arrays is not next in the plan")]
    Foreign {
        /// Which.
        instrument: Instrument,
    },
    /// An underlying had a price and has none, or has one and had none.
    #[error("{asset} {}", if *.gained { "can be valued and could not" } else { "can no longer be valued" })]
    UnderlyingChanged {
        /// Which.
        asset: Asset,
        /// Whether it has a price now.
        gained: bool,
    },
    /// An instrument can no longer be valued.
    #[error("{instrument} can no longer be valued: {issue}")]
    Lost {
        /// Which.
        instrument: Instrument,
        /// Why.
        issue: Box<Issue>,
    },
    /// An instrument can be valued that has no row.
    #[error("{instrument} can be valued and has no row")]
    Gained {
        /// Which.
        instrument: Instrument,
    },
    /// The list of collateral assets that have a price is another.
    #[error("collateral assets with a price: {found}, in the arrays: {expected}")]
    AssetsChanged {
        /// On the surface, separated by commas.
        found: String,
        /// In the arrays, separated by commas.
        expected: String,
    },
    /// A ratio of the surface does not fit parts per billion.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Why a block of columns was not filled. What was written means nothing.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum BlockError {
    /// The range reaches outside of the columns, or the room is not instruments times columns.
    #[error("columns {start}..{end} of {columns}, room for {room} entries where {expected} are expected")]
    Shape {
        /// First column.
        start: usize,
        /// Past the last.
        end: usize,
        /// How many the plan has.
        columns: usize,
        /// Entries there is room for.
        room: usize,
        /// Entries of the block.
        expected: usize,
    },
    /// An instrument cannot be valued; the first in the order of the plan.
    #[error("{instrument} cannot be valued: {issue}")]
    Unvalued {
        /// Which.
        instrument: Instrument,
        /// Why.
        issue: Box<Issue>,
    },
}

/// An instrument of the plan with its entries and terms.
pub(crate) type PlacedRow<'a> = (u32, &'a mut [i64], &'a mut InstrumentRow);

impl Plan {
    /// Recomputes arrays that [`Plan::build`] of this plan made, for another surface, in place: the entries and terms of
    /// every instrument, or with `only` those of one underlying, the prices of underlyings and assets, and the instant.
    /// The result is that of a build on the same surface, bit for bit, on every path and any number of threads; with
    /// `only`, where nothing but that underlying differs. Rows of other underlyings then stay as of the instant they were
    /// last computed at, although `as_of` is that of the surface.
    ///
    /// Nothing is allocated per entry.
    ///
    /// # Errors
    /// [`RefreshError`] when the arrays are not of this plan, or when an instrument, an underlying or an asset can be
    /// valued that could not, or the other way round. The arrays then have no entries at all (`pnl` is empty, which
    /// [`RiskArrays::check`] refuses), so that they cannot be used by mistake.
    pub fn refresh(
        &self,
        surface: &Surface,
        arrays: &mut RiskArrays,
        only: Option<UnderlyingIx>,
        path: Path,
    ) -> Result<(), RefreshError> {
        let done = self.try_refresh(surface, arrays, only, path);
        if done.is_err() {
            arrays.pnl.clear();
        }
        done
    }

    fn try_refresh(
        &self,
        surface: &Surface,
        arrays: &mut RiskArrays,
        only: Option<UnderlyingIx>,
        path: Path,
    ) -> Result<(), RefreshError> {
        let width = self.columns();
        let shape = |what, found, expected| Err(RefreshError::Shape { what, found, expected });
        if arrays.scenarios.len() != width {
            return shape("columns", arrays.scenarios.len(), width);
        }
        if arrays.pnl.len() != arrays.instruments.len() * width {
            return shape("entries", arrays.pnl.len(), arrays.instruments.len() * width);
        }
        let parts = self.refresh_underlyings(surface, arrays, only)?;
        self.refresh_assets(surface, arrays, only)?;
        arrays.as_of = surface.as_of;
        let (mut rows, missing) = self.matched(arrays, &parts, only)?;
        let mut spare_cells = vec![0; missing.len() * width];
        let mut spare_rows: Vec<InstrumentRow> =
            missing.iter().map(|at| self.blank(*at, UnderlyingIx(0))).collect();
        let mut spare = spare_cells.chunks_exact_mut(width.max(1));
        for (at, row) in missing.iter().zip(&mut spare_rows) {
            rows.push((*at, spare.next().unwrap_or(&mut []), row));
        }
        let mut sheet = self.sheet(&parts, rows);
        let failures = self.fill(surface, &parts, 0..width, &mut sheet, path);
        self.compare(&failures, &missing)
    }

    /// Prices of the underlyings asked for; the parts of the plan that they are.
    fn refresh_underlyings(
        &self,
        surface: &Surface,
        arrays: &mut RiskArrays,
        only: Option<UnderlyingIx>,
    ) -> Result<Vec<usize>, RefreshError> {
        let known = arrays.underlyings.len();
        let Some(only) = only else {
            let (parts, rows) = self.present(surface, &mut Vec::new())?;
            let changed = |part: &&Part| {
                let in_list = |list: &[UnderlyingRow]| list.iter().any(|row| row.asset == part.asset);
                in_list(&rows) != in_list(&arrays.underlyings)
            };
            if let Some(part) = self.parts.iter().find(changed) {
                let gained = rows.iter().any(|row| row.asset == part.asset);
                return Err(RefreshError::UnderlyingChanged { asset: part.asset.clone(), gained });
            }
            if rows.len() != known {
                return Err(RefreshError::Shape { what: "underlyings", found: known, expected: rows.len() });
            }
            arrays.underlyings = rows;
            return Ok(parts);
        };
        let unknown = RefreshError::UnknownUnderlying { underlying: only.0, known };
        let Some(row) = arrays.underlyings.get_mut(only.index()) else { return Err(unknown) };
        let Some(place) = self.parts.iter().position(|part| part.asset == row.asset) else {
            return Err(unknown);
        };
        *row = self
            .underlying(surface, &self.parts[place])?
            .map_err(|_| RefreshError::UnderlyingChanged { asset: row.asset.clone(), gained: false })?;
        Ok(vec![place])
    }

    /// Prices of collateral assets, or of the one underlying asked for.
    fn refresh_assets(
        &self,
        surface: &Surface,
        arrays: &mut RiskArrays,
        only: Option<UnderlyingIx>,
    ) -> Result<(), RefreshError> {
        let mut rows = assets(surface, &self.units, &mut Vec::new());
        let one = only.map(|ix| arrays.underlyings[ix.index()].asset.clone());
        let listed = |row: &&AssetRow| one.as_ref().is_none_or(|asset| row.asset == *asset);
        let names = |rows: &[AssetRow]| -> Vec<String> {
            rows.iter().filter(listed).map(|row| row.asset.to_string()).collect()
        };
        let (found, expected) = (names(&rows), names(&arrays.assets));
        if found != expected {
            let (found, expected) = (found.join(", "), expected.join(", "));
            return Err(RefreshError::AssetsChanged { found, expected });
        }
        if let Some(asset) = one {
            rows.retain(|row| row.asset == asset);
            for (old, new) in arrays.assets.iter_mut().filter(|row| row.asset == asset).zip(rows) {
                *old = new;
            }
        } else {
            arrays.assets = rows;
        }
        Ok(())
    }

    /// The rows of `parts` with their instruments, and the instruments of `parts` that have no row.
    fn matched<'a>(
        &self,
        arrays: &'a mut RiskArrays,
        parts: &[usize],
        only: Option<UnderlyingIx>,
    ) -> Result<(Vec<PlacedRow<'a>>, Vec<u32>), RefreshError> {
        let width = self.columns();
        let mut cells = arrays.pnl.chunks_exact_mut(width.max(1));
        let ours = |at: usize| {
            let place = self.rank[at].map(|rank| rank as usize);
            place.is_some_and(|place| parts.iter().any(|part| self.parts[*part].places.contains(&place)))
        };
        let (mut next, mut missing) = (0, Vec::new());
        let mut rows = Vec::with_capacity(arrays.instruments.len());
        for row in &mut arrays.instruments {
            let cells = cells.next().unwrap_or(&mut []);
            if only.is_some_and(|only| only != row.underlying) {
                continue;
            }
            loop {
                if next == self.instruments.len() {
                    return Err(RefreshError::Foreign { instrument: row.instrument.clone() });
                }
                next += 1;
                if self.instruments[next - 1] == row.instrument {
                    break;
                }
                if ours(next - 1) {
                    missing.push((next - 1) as u32);
                }
            }
            rows.push(((next - 1) as u32, cells, row));
        }
        missing.extend((next..self.instruments.len()).filter(|at| ours(*at)).map(|at| at as u32));
        Ok((rows, missing))
    }

    /// What failed must be what has no row.
    fn compare(&self, failures: &Failures, missing: &[u32]) -> Result<(), RefreshError> {
        let instrument = |at: u32| self.instruments[at as usize].clone();
        if let Some((at, issue)) = failures.iter().find(|(at, _)| missing.binary_search(at).is_err()) {
            return Err(RefreshError::Lost { instrument: instrument(*at), issue: Box::new(issue.clone()) });
        }
        let failed = |at: &u32| failures.binary_search_by_key(at, |(failed, _)| *failed).is_ok();
        match missing.iter().find(|at| !failed(at)) {
            Some(at) => Err(RefreshError::Gained { instrument: instrument(*at) }),
            None => Ok(()),
        }
    }

    /// Entries of a block of columns for all instruments of the plan, in their order: `out[i * width + c]` is instrument
    /// `i` under column `columns.start + c`, `width` the number of columns of the block. They are the entries that
    /// [`Plan::build`] gives, for sets too wide to hold whole: memory is that of the block, on top of the plan's moves.
    ///
    /// # Errors
    /// [`BlockError`] when the shapes do not fit, or when an instrument cannot be valued: leave those of
    /// [`Built::issues`](crate::Built) out of the plan.
    pub fn fill_block(
        &self,
        surface: &Surface,
        columns: Range<usize>,
        out: &mut [i64],
        path: Path,
    ) -> Result<(), BlockError> {
        let (width, room) = (columns.len(), out.len());
        let expected = self.instruments.len() * width;
        if columns.start > columns.end || columns.end > self.columns() || room != expected {
            let Range { start, end } = columns;
            return Err(BlockError::Shape { start, end, columns: self.columns(), room, expected });
        }
        if let Some((instrument, issue)) = self.refused.first() {
            return Err(BlockError::Unvalued {
                instrument: instrument.clone(),
                issue: Box::new(issue.clone()),
            });
        }
        if width == 0 {
            return Ok(());
        }
        let mut placed: Vec<&mut [i64]> = Vec::new();
        placed.resize_with(self.order.len(), Default::default);
        for (cells, rank) in out.chunks_exact_mut(width).zip(&self.rank) {
            if let Some(rank) = rank {
                placed[*rank as usize] = cells;
            }
        }
        let mut sheet = Sheet { cells: placed, terms: Vec::new() };
        let parts: Vec<usize> = (0..self.parts.len()).collect();
        let failures = self.fill(surface, &parts, columns, &mut sheet, path);
        match failures.into_iter().next() {
            Some((at, issue)) => {
                let instrument = self.instruments[at as usize].clone();
                Err(BlockError::Unvalued { instrument, issue: Box::new(issue) })
            }
            None => Ok(()),
        }
    }
}
