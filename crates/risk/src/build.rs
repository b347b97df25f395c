//! Scenario set x surface -> integer risk arrays.

use crate::approx::{ApproximationError, approximate};
use crate::check::{BuildError, ratio};
use crate::fill::{Failures, Sheet};
use crate::plan::{Part, Plan};
use crate::refresh::PlacedRow;
use crate::set::ScenarioSet;
use crate::value::about;
use plimsoll_lanes::Path;
use plimsoll_market::Surface;
use plimsoll_types::{
    Asset, AssetRow, GreekTicks, Instrument, InstrumentRow, Issue, Ppb, Reason, RiskArrays, Rounding,
    ScenarioColumn, UnderlyingIx, UnderlyingRow, Units, quantise,
};
use std::collections::{BTreeMap, BTreeSet};

/// How options are revalued.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Mode {
    /// Black-76 on the shocked smile, cell by cell.
    #[default]
    FullReprice,
    /// Second order in forward and volatility (delta, gamma, vega, vanna, volga, theta), every cell compared with full
    /// reprice: the entries are the approximation, the error is in [`Built::approximation`].
    DeltaGammaVega,
    /// The same without the comparison, for speed.
    DeltaGammaVegaUnchecked,
}

/// Risk arrays, and what could not be valued.
#[derive(Clone, PartialEq, Debug)]
pub struct Built {
    /// The arrays; instruments in the order given, without those in `issues`.
    pub arrays: RiskArrays,
    /// Instruments that were left out and why; also collateral assets (as spot) whose price is below a tick.
    pub issues: Vec<(Instrument, Issue)>,
    /// Error of the approximation; `None` under full reprice and in the unchecked mode.
    pub approximation: Option<ApproximationError>,
}

/// Builds the risk arrays: profit or loss of one long lot of every instrument under every scenario, in ticks.
///
/// Entry = `quantise(weight (V' - V) lot ticks_per_unit, Nearest)`; see the crate page for `V'`. An instrument that
/// cannot be valued is left out and reported; an underlying of the set that the surface lacks is left out with its
/// instruments. The same input gives the same bits. It is [`Plan::new`] and [`Plan::build`]; keep the plan where the
/// market moves and the instruments stay.
///
/// # Errors
/// [`BuildError`] when the set or the units are malformed.
pub fn build(
    surface: &Surface,
    instruments: &[Instrument],
    set: &ScenarioSet,
    units: &Units,
    mode: Mode,
) -> Result<Built, BuildError> {
    let plan = Plan::new(instruments, set, units)?;
    let mut built = plan.build(surface, Path::best())?;
    if mode != Mode::FullReprice {
        built.approximation = approximate(&plan, surface, mode, &mut built);
    }
    Ok(built)
}

impl Plan {
    /// Arrays under full reprice; see [`build`]. Paths and numbers of threads give the same bits.
    ///
    /// # Errors
    /// [`BuildError::Ratio`] when a ratio of the surface or of a move does not fit parts per billion.
    pub fn build(&self, surface: &Surface, path: Path) -> Result<Built, BuildError> {
        let mut issues = Vec::new();
        let (parts, underlyings) = self.present(surface, &mut issues)?;
        let width = self.columns();
        let mut rows: Vec<Option<InstrumentRow>> = vec![None; self.instruments.len()];
        for (ix, part) in parts.iter().enumerate() {
            for at in &self.order[self.parts[*part].places.clone()] {
                rows[*at as usize] = Some(self.blank(*at, UnderlyingIx(ix as u32)));
            }
        }
        let mut pnl = vec![0; rows.iter().flatten().count() * width];
        let mut cells = pnl.chunks_exact_mut(width.max(1));
        let there = rows.iter_mut().enumerate().filter_map(|(at, row)| Some((at as u32, row.as_mut()?)));
        // A set without a column has rows without an entry.
        let placed = there.map(|(at, row)| (at, cells.next().unwrap_or(&mut []), row)).collect();
        let failures = self.fill(surface, &parts, 0..width, &mut self.sheet(&parts, placed), path);
        let found: BTreeSet<usize> = parts.iter().copied().collect();
        issues.extend(self.failed(&found, &failures));
        let instruments = without(rows, &mut pnl, width, &failures);
        let assets = assets(surface, &self.units, &mut issues);
        let arrays = RiskArrays {
            as_of: surface.as_of,
            currency: self.units.currency.clone(),
            ticks_per_unit: self.units.ticks_per_unit,
            underlyings,
            instruments,
            scenarios: self.scenarios(&parts)?,
            blocks: self.blocks.clone(),
            pnl,
            assets,
        };
        Ok(Built { arrays, issues, approximation: None })
    }

    /// The underlyings of the set that have a usable index price: their places in the plan, and their rows.
    pub(crate) fn present(
        &self,
        surface: &Surface,
        issues: &mut Vec<(Instrument, Issue)>,
    ) -> Result<(Vec<usize>, Vec<UnderlyingRow>), BuildError> {
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        for (place, part) in self.parts.iter().enumerate() {
            match self.underlying(surface, part)? {
                Ok(row) => {
                    places.push(place);
                    rows.push(row);
                }
                Err(issue) => issues.push((Instrument::spot(part.asset.clone()), issue)),
            }
        }
        Ok((places, rows))
    }

    /// The row of one underlying, or why it has no usable index price.
    pub(crate) fn underlying(
        &self,
        surface: &Surface,
        part: &Part,
    ) -> Result<Result<UnderlyingRow, Issue>, BuildError> {
        let spot = || Instrument::spot(part.asset.clone());
        let Some(market) = surface.underlyings.get(&part.asset) else {
            return Ok(Err(about(Reason::UnknownUnderlying, &spot())));
        };
        let index = quantise(market.index * self.units.ticks_per_unit as f64, Rounding::Nearest);
        let Some(index) = index.ok().filter(|ticks| *ticks > 0) else {
            return Ok(Err(about(Reason::NonPositive, &spot()).with(market.index, Some(0.0))));
        };
        let name = part.asset.as_str();
        Ok(Ok(UnderlyingRow {
            asset: part.asset.clone(),
            index,
            confidence: ratio("confidence", name, market.confidence)?,
            price_scan: ratio("price_scan", name, part.price_scan)?,
        }))
    }

    /// A row without its numbers.
    pub(crate) fn blank(&self, at: u32, underlying: UnderlyingIx) -> InstrumentRow {
        InstrumentRow {
            instrument: self.instruments[at as usize].clone(),
            underlying,
            lot: self.lots[at as usize].0,
            mark: 0,
            notional: 0,
            reference: 0,
            open_interest: None,
            greeks: GreekTicks::default(),
            composite_delta: Ppb::ZERO,
            seconds_to_expiry: None,
            funding_8h: 0,
        }
    }

    /// Rows in the order of the tasks of `parts`, of whose instruments none may be missing.
    pub(crate) fn sheet<'a>(&self, parts: &[usize], rows: Vec<PlacedRow<'a>>) -> Sheet<'a> {
        let mut sheet =
            Sheet { cells: Vec::with_capacity(rows.len()), terms: Vec::with_capacity(rows.len()) };
        let mut placed: Vec<Option<PlacedRow<'a>>> = Vec::new();
        placed.resize_with(self.order.len(), || None);
        for row in rows {
            if let Some(rank) = self.rank[row.0 as usize] {
                placed[rank as usize] = Some(row);
            }
        }
        for part in parts {
            let mine = &mut placed[self.parts[*part].places.clone()];
            for (_, cells, terms) in mine.iter_mut().filter_map(Option::take) {
                sheet.cells.push(cells);
                sheet.terms.push(terms);
            }
        }
        sheet
    }

    /// Every instrument that has no row, and why, in the order given.
    fn failed(&self, present: &BTreeSet<usize>, failures: &Failures) -> Vec<(Instrument, Issue)> {
        let mut all: BTreeMap<&Instrument, Issue> =
            self.refused.iter().map(|(instrument, issue)| (instrument, issue.clone())).collect();
        for (_, part) in self.parts.iter().enumerate().filter(|(at, _)| !present.contains(at)) {
            for instrument in self.order[part.places.clone()].iter().map(|i| &self.instruments[*i as usize]) {
                all.insert(instrument, about(Reason::UnknownUnderlying, instrument));
            }
        }
        for (at, issue) in failures {
            all.insert(&self.instruments[*at as usize], issue.clone());
        }
        let take = |i: &Instrument| all.remove(i).map(|issue| (i.clone(), issue));
        self.instruments.iter().filter_map(take).collect()
    }

    fn scenarios(&self, parts: &[usize]) -> Result<Vec<ScenarioColumn>, BuildError> {
        let column = |(at, column): (usize, &crate::plan::Column)| {
            let spot = parts.iter().map(|part| {
                let moves = &self.parts[*part].moves;
                ratio("spot move", &column.label, moves.spot[moves.at[at] as usize])
            });
            Ok(ScenarioColumn {
                label: column.label.clone(),
                weight: column.weight,
                spot: spot.collect::<Result<_, _>>()?,
                pair: column.pair,
            })
        };
        self.columns.iter().enumerate().map(column).collect()
    }
}

/// The rows that did not fail, and `pnl` with theirs only.
fn without(
    rows: Vec<Option<InstrumentRow>>,
    pnl: &mut Vec<i64>,
    width: usize,
    failures: &Failures,
) -> Vec<InstrumentRow> {
    let failed: BTreeSet<usize> = failures.iter().map(|(at, _)| *at as usize).collect();
    let (mut from, mut to) = (0, 0);
    let mut kept = Vec::with_capacity(rows.len() - failed.len().min(rows.len()));
    for (at, row) in rows.into_iter().enumerate() {
        let Some(row) = row else { continue };
        if !failed.contains(&at) {
            pnl.copy_within(from * width..(from + 1) * width, to * width);
            kept.push(row);
            to += 1;
        }
        from += 1;
    }
    pnl.truncate(to * width);
    kept
}

/// Prices of the collateral assets, the underlyings and the currency itself, in order of name.
pub(crate) fn assets(
    surface: &Surface,
    units: &Units,
    issues: &mut Vec<(Instrument, Issue)>,
) -> Vec<AssetRow> {
    let mut prices: BTreeMap<Asset, (f64, f64)> = surface.assets.clone();
    let indices = surface.underlyings.iter().map(|(a, m)| (a.clone(), (m.index, m.confidence)));
    prices.extend(indices);
    prices.insert(units.currency.clone(), (1.0, 0.0));
    let mut rows = Vec::new();
    for (asset, (price, confidence)) in prices {
        let ticks = quantise(price * units.ticks_per_unit as f64, Rounding::Down);
        match (ticks, Ppb::from_f64(confidence)) {
            (Ok(price), Ok(confidence)) if price > 0 => rows.push(AssetRow { asset, price, confidence }),
            _ => {
                let spot = Instrument::spot(asset);
                let issue = about(Reason::NonPositive, &spot).with(price, Some(0.0));
                issues.push((spot, issue));
            }
        }
    }
    rows
}
