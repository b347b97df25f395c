//! Scenario set x surface -> integer risk arrays.

use crate::approx::{ApproximationError, ErrorTally, Expansion};
use crate::set::{Move, ScenarioSet};
use crate::shock::Shocked;
use crate::value::{Resolved, Terms, Valuation, about, composite_delta, float, valuation};
use plimsoll_market::{Surface, SurfaceError};
use plimsoll_types::{
    Asset, AssetRow, Block, GreekTicks, Instrument, InstrumentRow, Issue, Ppb, QuantiseError, Reason,
    RiskArrays, Rounding, ScenarioColumn, Ticks, Timestamp, UnderlyingIx, UnderlyingRow, Units, quantise,
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

/// Why no arrays could be built at all: the set or the units are malformed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum BuildError {
    /// A unit is not positive.
    #[error("{field} is {value}: expected a positive number")]
    Units {
        /// Which.
        field: String,
        /// What it says.
        value: String,
    },
    /// The same instrument twice.
    #[error("instrument {instrument} is listed twice")]
    Duplicate {
        /// Which.
        instrument: Instrument,
    },
    /// A scenario has not one move per underlying, a pair points outside its block, or a list has the wrong length.
    #[error("{what} of `{label}` has {found} entries or points there, expected {expected}")]
    Shape {
        /// The field.
        what: &'static str,
        /// Whose.
        label: String,
        /// Found.
        found: usize,
        /// Expected.
        expected: usize,
    },
    /// A number of the set is outside its domain.
    #[error("{what} of `{label}` is {value}: expected {expected}")]
    Domain {
        /// The field.
        what: &'static str,
        /// Whose.
        label: String,
        /// The number.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// A ratio does not fit parts per billion.
    #[error("{what} of `{label}`: {source}")]
    Ratio {
        /// The field.
        what: &'static str,
        /// Whose.
        label: String,
        /// Why.
        source: QuantiseError,
    },
    /// More rows or underlyings than an index holds.
    #[error("{count} {what} do not fit a 32-bit index")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

/// Builds the risk arrays: profit or loss of one long lot of every instrument under every scenario, in ticks.
///
/// Entry = `quantise(weight (V' - V) lot ticks_per_unit, Nearest)`; see the crate page for `V'`. An instrument that
/// cannot be valued is left out and reported; an underlying of the set that the surface lacks is left out with its
/// instruments. The same input gives the same bits.
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
    check_units(units)?;
    check_set(set)?;
    check_distinct(instruments)?;
    let mut issues = Vec::new();
    let present = present(surface, set, units, &mut issues)?;
    let scenarios = columns(set, &present)?;
    let mut rows: Vec<Option<Row>> = instruments.iter().map(|_| None).collect();
    let mut tally = (mode == Mode::DeltaGammaVega).then(ErrorTally::default);
    for (at, known) in present.iter().enumerate() {
        let ix = u32::try_from(at).map_err(|_| BuildError::TooMany { what: "underlyings", count: at })?;
        let plan = Plan::new(set, known, UnderlyingIx(ix), (units, mode));
        let mine = instruments.iter().enumerate().filter(|(_, i)| *i.underlying() == known.asset);
        plan.fill(surface, mine, &mut rows, (&mut issues, tally.as_mut()));
    }
    let known: BTreeSet<&Asset> = present.iter().map(|p| &p.asset).collect();
    let strangers = instruments.iter().filter(|i| !known.contains(i.underlying()));
    issues.extend(strangers.map(|i| (i.clone(), about(Reason::UnknownUnderlying, i))));
    if u32::try_from(instruments.len()).is_err() {
        return Err(BuildError::TooMany { what: "instruments", count: instruments.len() });
    }
    let assets = assets(surface, units, &mut issues);
    let approximation = tally.map(|t| t.finish(|c| scenarios[c].label.clone()));
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let pnl = rows.iter().flat_map(|row| row.pnl.iter().copied()).collect();
    let arrays = RiskArrays {
        as_of: surface.as_of,
        currency: units.currency.clone(),
        ticks_per_unit: units.ticks_per_unit,
        underlyings: present.into_iter().map(|p| p.row).collect(),
        instruments: rows.into_iter().map(|row| row.terms).collect(),
        scenarios,
        blocks: blocks(set),
        pnl,
        assets,
    };
    Ok(Built { arrays, issues, approximation })
}

/// A finished row.
struct Row {
    terms: InstrumentRow,
    pnl: Vec<i64>,
}

/// An underlying of the set that the surface has.
struct Present {
    asset: Asset,
    /// Its place in the set.
    place: usize,
    price_scan: f64,
    row: UnderlyingRow,
}

fn check_units(units: &Units) -> Result<(), BuildError> {
    let refuse = |field: String, value: String| Err(BuildError::Units { field, value });
    if units.ticks_per_unit <= 0 {
        return refuse("ticks_per_unit".to_owned(), units.ticks_per_unit.to_string());
    }
    let named = units.lots.iter().map(|(asset, size)| (format!("lots.{asset}"), size));
    for (field, size) in named.chain([("lot".to_owned(), &units.lot)]) {
        for (part, lot) in [("base", size.base), ("quote", size.quote)] {
            if lot <= plimsoll_types::Decimal::ZERO {
                return refuse(format!("{field}.{part}"), lot.to_string());
            }
        }
    }
    Ok(())
}

fn check_distinct(instruments: &[Instrument]) -> Result<(), BuildError> {
    let mut seen = BTreeSet::new();
    match instruments.iter().find(|i| !seen.insert(*i)) {
        Some(twice) => Err(BuildError::Duplicate { instrument: twice.clone() }),
        None => Ok(()),
    }
}

fn check_set(set: &ScenarioSet) -> Result<(), BuildError> {
    let n = set.underlyings.len();
    let shape = |what, label: &str, found, expected| {
        Err(BuildError::Shape { what, label: label.to_owned(), found, expected })
    };
    if set.price_scan.len() != n {
        return shape("price_scan", "set", set.price_scan.len(), n);
    }
    let points = &set.composite_delta;
    if points.points.len() != points.weights.len() {
        return shape("composite_delta.weights", "set", points.weights.len(), points.points.len());
    }
    let sum: f64 = points.weights.iter().sum();
    if sum <= 0.0 || !sum.is_finite() {
        let (what, label, expected) = ("sum of composite_delta.weights", "set".to_owned(), "above 0");
        return Err(BuildError::Domain { what, label, value: sum, expected });
    }
    for block in &set.blocks {
        for scenario in &block.scenarios {
            if scenario.moves.len() != n {
                return shape("moves", &scenario.label, scenario.moves.len(), n);
            }
            if scenario.pair >= block.scenarios.len() {
                return shape("pair", &scenario.label, scenario.pair, block.scenarios.len());
            }
            check_scenario(scenario, set.vol_shock.skew.is_some())?;
        }
    }
    Ok(())
}

fn check_scenario(scenario: &crate::Scenario, has_skew_form: bool) -> Result<(), BuildError> {
    let refuse = |what, value, expected| {
        Err(BuildError::Domain { what, label: scenario.label.clone(), value, expected })
    };
    let weight = scenario.weight;
    if !(weight > 0.0 && weight <= 1.0) {
        return refuse("weight", weight, "a share in (0, 1]");
    }
    for m in &scenario.moves {
        let all = [m.spot, m.vol, m.skew, m.wing, m.term, m.basis, m.rate, m.elapsed_days];
        if let Some(bad) = all.into_iter().find(|x| !x.is_finite()) {
            return refuse("move", bad, "a finite number");
        }
        if m.spot <= -1.0 {
            return refuse("spot move", m.spot, "more than -1");
        }
        if m.elapsed_days < 0.0 {
            return refuse("elapsed_days", m.elapsed_days, "0 or more");
        }
        if (m.skew != 0.0 || m.wing != 0.0) && !has_skew_form {
            return refuse("skew or wing move", m.skew, "0 where vol_shock.skew is absent");
        }
    }
    Ok(())
}

fn ratio(what: &'static str, label: &str, x: f64) -> Result<Ppb, BuildError> {
    Ppb::from_f64(x).map_err(|source| BuildError::Ratio { what, label: label.to_owned(), source })
}

/// The underlyings of the set that have a usable index price.
fn present(
    surface: &Surface,
    set: &ScenarioSet,
    units: &Units,
    issues: &mut Vec<(Instrument, Issue)>,
) -> Result<Vec<Present>, BuildError> {
    let mut found = Vec::new();
    for (place, (asset, price_scan)) in set.underlyings.iter().zip(&set.price_scan).enumerate() {
        let spot = Instrument::spot(asset.clone());
        let Ok(market) = surface.underlying(asset) else {
            issues.push((spot.clone(), about(Reason::UnknownUnderlying, &spot)));
            continue;
        };
        let index = quantise(market.index * units.ticks_per_unit as f64, Rounding::Nearest);
        let Some(index) = index.ok().filter(|ticks| *ticks > 0) else {
            issues.push((spot.clone(), about(Reason::NonPositive, &spot).with(market.index, Some(0.0))));
            continue;
        };
        let row = UnderlyingRow {
            asset: asset.clone(),
            index,
            confidence: ratio("confidence", asset.as_str(), market.confidence)?,
            price_scan: ratio("price_scan", asset.as_str(), *price_scan)?,
        };
        found.push(Present { asset: asset.clone(), place, price_scan: *price_scan, row });
    }
    Ok(found)
}

fn columns(set: &ScenarioSet, present: &[Present]) -> Result<Vec<ScenarioColumn>, BuildError> {
    let mut made = Vec::with_capacity(set.columns());
    for block in &set.blocks {
        let start = made.len();
        for scenario in &block.scenarios {
            let label = &scenario.label;
            let spot = present.iter().map(|p| ratio("spot move", label, scenario.moves[p.place].spot));
            made.push(ScenarioColumn {
                label: label.clone(),
                weight: ratio("weight", label, scenario.weight)?,
                spot: spot.collect::<Result<_, _>>()?,
                pair: start + scenario.pair,
            });
        }
    }
    Ok(made)
}

fn blocks(set: &ScenarioSet) -> Vec<Block> {
    let mut start = 0;
    let place = |block: &crate::ScenarioBlock| {
        let columns = start..start + block.scenarios.len();
        start = columns.end;
        Block { kind: block.kind, purpose: block.purpose, columns }
    };
    set.blocks.iter().map(place).collect()
}

/// Prices of the collateral assets, the underlyings and the currency itself, in order of name.
fn assets(surface: &Surface, units: &Units, issues: &mut Vec<(Instrument, Issue)>) -> Vec<AssetRow> {
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

/// What is to be computed for one underlying: each distinct move once.
struct Plan<'a> {
    set: &'a ScenarioSet,
    known: &'a Present,
    ix: UnderlyingIx,
    units: &'a Units,
    mode: Mode,
    moves: Vec<Move>,
    /// Per column: which distinct move, and its weight.
    columns: Vec<(usize, f64)>,
}

/// An instrument of the plan with its market found.
struct Found<'a> {
    slot: usize,
    instrument: &'a Instrument,
    resolved: Resolved<'a>,
    valued: Valuation,
}

type Issues<'a> = (&'a mut Vec<(Instrument, Issue)>, Option<&'a mut ErrorTally>);

impl<'a> Plan<'a> {
    fn new(set: &'a ScenarioSet, known: &'a Present, ix: UnderlyingIx, how: (&'a Units, Mode)) -> Self {
        let mut moves = Vec::new();
        let mut seen: BTreeMap<[u64; 8], usize> = BTreeMap::new();
        let mut columns = Vec::with_capacity(set.columns());
        for scenario in set.blocks.iter().flat_map(|block| &block.scenarios) {
            let by = scenario.moves[known.place];
            let at = *seen.entry(bits(&by)).or_insert_with(|| {
                moves.push(by);
                moves.len() - 1
            });
            columns.push((at, scenario.weight));
        }
        Self { set, known, ix, units: how.0, mode: how.1, moves, columns }
    }

    /// Fills the rows of the underlying's instruments, options expiry by expiry.
    fn fill(
        &self,
        surface: &'a Surface,
        mine: impl Iterator<Item = (usize, &'a Instrument)>,
        rows: &mut [Option<Row>],
        (issues, mut tally): Issues<'_>,
    ) {
        let mut groups: BTreeMap<(Option<Timestamp>, u64), Vec<Found<'_>>> = BTreeMap::new();
        for (slot, instrument) in mine {
            match self.find(surface, slot, instrument) {
                Ok(found) => {
                    let key = (instrument.expiry(), found.resolved.reference.to_bits());
                    groups.entry(key).or_default().push(found);
                }
                Err(issue) => issues.push((instrument.clone(), issue)),
            }
        }
        for group in groups.values() {
            let states = self.states(&group[0].resolved);
            for found in group {
                let made = match &states {
                    Ok(states) => self.row(found, states, tally.as_deref_mut()),
                    Err(price) => Err(about(Reason::NonPositive, found.instrument).with(*price, Some(0.0))),
                };
                match made {
                    Ok(row) => rows[found.slot] = Some(row),
                    Err(issue) => issues.push((found.instrument.clone(), issue)),
                }
            }
        }
    }

    fn find(
        &self,
        surface: &'a Surface,
        slot: usize,
        instrument: &'a Instrument,
    ) -> Result<Found<'a>, Issue> {
        let resolved = Resolved::find(surface, instrument, &self.units.currency)?;
        let valued = valuation(&resolved, instrument, self.units)?;
        Ok(Found { slot, instrument, resolved, valued })
    }

    /// The expiry under every distinct move: everything that does not depend on the strike.
    fn states(&self, any: &Resolved<'_>) -> Result<Vec<Shocked>, f64> {
        self.moves.iter().map(|by| any.shocked(&self.set.vol_shock, by)).collect()
    }

    fn row(
        &self,
        found: &Found<'_>,
        states: &[Shocked],
        tally: Option<&mut ErrorTally>,
    ) -> Result<Row, Issue> {
        let gains = self.gains(found, states, tally)?;
        let scale = self.ticks_per_quantity(found)?;
        let entry = |(at, weight): &(usize, f64)| {
            quantise(weight * (gains[*at] * scale), Rounding::Nearest)
                .map_err(|e| misfit(&e, found.instrument))
        };
        let pnl = self.columns.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Row { terms: self.terms(found, scale)?, pnl })
    }

    /// `V' - V` of one unit under every distinct move.
    fn gains(
        &self,
        found: &Found<'_>,
        states: &[Shocked],
        tally: Option<&mut ErrorTally>,
    ) -> Result<Vec<f64>, Issue> {
        let failed = |e: SurfaceError| {
            let issue = about(Reason::FitFailed, found.instrument);
            Issue { subject: format!("{}: {e}", issue.subject), ..issue }
        };
        let linear = !matches!(found.resolved.terms, Terms::Option { .. });
        let exact = || -> Result<Vec<f64>, Issue> {
            let gain = |to: &Shocked| Ok(found.resolved.value(to)? - found.valued.mark);
            states.iter().map(gain).collect::<Result<_, _>>().map_err(failed)
        };
        if self.mode == Mode::FullReprice || linear {
            return exact();
        }
        let expansion =
            Expansion::about(&found.resolved, &found.valued, self.set.vol_shock.sticky).map_err(failed)?;
        let near: Vec<f64> = states.iter().map(|to| expansion.gain(to)).collect();
        if let Some(tally) = tally {
            tally.add(found.instrument, &self.columns, (&near, &exact()?));
        }
        Ok(near)
    }

    /// Ticks per lot of an amount per unit.
    fn ticks_per_quantity(&self, found: &Found<'_>) -> Result<f64, Issue> {
        let lot = float(found.valued.lot).ok_or_else(|| about(Reason::NonFinite, found.instrument))?;
        Ok(lot * self.units.ticks_per_unit as f64)
    }

    fn reference(&self, found: &Found<'_>) -> Result<i64, Issue> {
        let ticks = found.valued.forward * self.units.ticks_per_unit as f64;
        quantise(ticks, Rounding::Nearest).map_err(|e| misfit(&e, found.instrument))
    }

    /// Lots open at the venue times the notional of one.
    fn open_interest(&self, found: &Found<'_>, scale: f64) -> Result<Option<Ticks>, Issue> {
        let Some(open) = found.resolved.open_interest() else { return Ok(None) };
        let whole = |x: f64| quantise(x, Rounding::Nearest).map_err(|e| misfit(&e, found.instrument));
        let lots = whole(open / (scale / self.units.ticks_per_unit as f64))?;
        let notional = whole(found.valued.notional * scale)?;
        Ok(Some(Ticks(i128::from(lots) * i128::from(notional))))
    }

    fn terms(&self, found: &Found<'_>, scale: f64) -> Result<InstrumentRow, Issue> {
        let (v, instrument) = (&found.valued, found.instrument);
        let ticks = |x: f64| quantise(x * scale, Rounding::Nearest).map_err(|e| misfit(&e, instrument));
        let g = &v.greeks;
        let greeks = GreekTicks {
            delta: ticks(g.delta)?,
            gamma: ticks(g.gamma)?,
            vega: ticks(g.vega)?,
            theta: ticks(g.theta)?,
            rho: ticks(g.rho)?,
            vanna: ticks(g.vanna)?,
            volga: ticks(g.volga)?,
        };
        let mean = composite_delta(&found.resolved, v, &self.set.composite_delta, self.known.price_scan);
        Ok(InstrumentRow {
            instrument: instrument.clone(),
            underlying: self.ix,
            lot: v.lot,
            mark: ticks(v.mark)?,
            notional: ticks(v.notional)?,
            reference: self.reference(found)?,
            open_interest: self.open_interest(found, scale)?,
            greeks,
            composite_delta: Ppb::from_f64(mean).map_err(|e| misfit(&e, instrument))?,
            seconds_to_expiry: instrument.expiry().map(|_| seconds(v.tau)),
            funding_8h: ticks(v.funding_8h.unwrap_or(0.0))?,
        })
    }
}

/// Whole seconds in `tau` years, at least 1: what has not expired has time left.
fn seconds(tau: f64) -> i64 {
    // A dated contract lies within 1677 to 2262, far inside 64 bits.
    ((tau * plimsoll_types::YEAR_SECONDS as f64 + 1e-6).floor() as i64).max(1)
}

fn misfit(error: &QuantiseError, instrument: &Instrument) -> Issue {
    match *error {
        QuantiseError::NonFinite { value } => about(Reason::NonFinite, instrument).with(value, None),
        QuantiseError::Overflow { value } => {
            about(Reason::Overflow, instrument).with(value, Some(i64::MAX as f64))
        }
    }
}

fn bits(m: &Move) -> [u64; 8] {
    [m.spot, m.vol, m.skew, m.wing, m.term, m.basis, m.rate, m.elapsed_days].map(f64::to_bits)
}
