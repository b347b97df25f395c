//! Instruments and moves resolved once: what does not change when the market does.

use crate::check::{BuildError, check_distinct, check_set, check_units, ratio};
use crate::kernel::{DeltaPoint, OptionTerms, STRIKES};
use crate::moves::Moves;
use crate::set::{ScenarioSet, VolShock};
use crate::value::{about, at_par, float, lot};
use plimsoll_quant::special::{ln, ln_1p};
use plimsoll_types::{
    Asset, Block, Contract, Decimal, Instrument, Issue, OptionKind, Ppb, Reason, Settlement, Timestamp, Units,
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// Instruments, a scenario set and units, resolved once: names, distinct moves, weights, lots, and options by expiry and
/// strike. Arrays are then built and refreshed from one surface after another without asking for a name again.
///
/// Options of one underlying, expiry and strike are valued together, whatever they pay and in what.
///
/// ```
/// # use plimsoll_market::{Surface, UnderlyingSurface};
/// # use plimsoll_risk::{generate, Plan, ScenarioSpec};
/// # use plimsoll_types::{Decimal, LotSize, Units};
/// # use std::collections::BTreeMap;
/// use plimsoll_lanes::Path;
/// # let btc = UnderlyingSurface { index: 90_000.0, confidence: 0.0, forwards: vec![], perpetuals: BTreeMap::new(),
/// #     futures: BTreeMap::new(), slices: vec![], refused: vec![] };
/// # let mut surface = Surface { as_of: Default::default(), underlyings: BTreeMap::from([("BTC".parse()?, btc)]),
/// #     assets: BTreeMap::new(), issues: vec![] };
/// # let spec = ScenarioSpec::from_toml("price_scan = { BTC = 0.1 }
/// # vol_scan = { BTC = { up = 0.4, down = 0.3 } }
/// # vol_shock = { kind = 'relative', power_short = 0.3, power_long = 0.13, dte_floor = 1.0 }
/// # [[scenarios]]
/// # kind = 'grid'
/// # purpose = 'both'
/// # [[scenarios.points]]
/// # price = [-1, 1]
/// # vol = ['none']
/// # weight = 1")?;
/// # let set = generate(&spec, &["BTC".parse()?], &BTreeMap::new())?;
/// # let lot = LotSize { base: Decimal::ONE, quote: Decimal::ONE };
/// # let units = Units { currency: "USD".parse()?, ticks_per_unit: 100, lot, lots: BTreeMap::new() };
/// let plan = Plan::new(&["BTC".parse()?], &set, &units)?;
/// let mut arrays = plan.build(&surface, Path::best())?.arrays;
/// assert_eq!(arrays.pnl, [-900_000, 900_000]);
/// if let Some(btc) = surface.underlyings.values_mut().next() {
///     btc.index = 80_000.0;
/// }
/// plan.refresh(&surface, &mut arrays, None, Path::best())?;
/// assert_eq!(arrays.pnl, [-800_000, 800_000]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) instruments: Vec<Instrument>,
    /// Lot of each, and ticks per lot of an amount per unit.
    pub(crate) lots: Vec<(Decimal, f64)>,
    pub(crate) units: Units,
    pub(crate) vol_shock: VolShock,
    pub(crate) columns: Vec<Column>,
    /// Weight of each column.
    pub(crate) weights: Vec<f64>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) parts: Vec<Part>,
    /// Units of work: parts in order, and within a part its options by expiry and strike, then everything else.
    pub(crate) tasks: Vec<Task>,
    /// Place of each instrument in the order of the tasks; `None` for what no surface values.
    pub(crate) rank: Vec<Option<u32>>,
    /// Instruments by place.
    pub(crate) order: Vec<u32>,
    /// Instruments that no surface values, and why.
    pub(crate) refused: Vec<(Instrument, Issue)>,
}

/// A scenario without its moves.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) label: String,
    pub(crate) weight: Ppb,
    pub(crate) pair: usize,
}

/// One underlying of the set.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) asset: Asset,
    pub(crate) price_scan: f64,
    pub(crate) moves: Moves,
    pub(crate) points: Vec<DeltaPoint>,
    /// Days that pass before the points.
    pub(crate) points_elapsed_days: f64,
    /// Which tasks are its.
    pub(crate) tasks: Range<usize>,
    /// Which places are its.
    pub(crate) places: Range<usize>,
}

/// What one thread does at a time.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Which places, all of the part.
    pub(crate) places: Range<usize>,
    pub(crate) work: Work,
}

#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Options of one expiry.
    Options {
        expiry: Timestamp,
        /// At most [`STRIKES`], with their logarithms, ascending.
        strikes: Vec<(f64, f64)>,
        /// One per place.
        options: Vec<OptionTerms>,
    },
    /// Everything else.
    Linear,
}

/// An option of the list with its strike as a float.
#[derive(Clone, Copy)]
struct Listed {
    instrument: u32,
    expiry: Timestamp,
    strike: f64,
    sign: f64,
    inverse: bool,
    scale: f64,
}

impl Plan {
    /// Resolves instruments, a set and units.
    ///
    /// # Errors
    /// [`BuildError`] when the set or the units are malformed or an instrument is listed twice.
    pub fn new(instruments: &[Instrument], set: &ScenarioSet, units: &Units) -> Result<Self, BuildError> {
        check_units(units)?;
        check_set(set)?;
        check_distinct(instruments)?;
        if u32::try_from(instruments.len()).is_err() {
            return Err(BuildError::TooMany { what: "instruments", count: instruments.len() });
        }
        if u32::try_from(set.underlyings.len()).is_err() {
            return Err(BuildError::TooMany { what: "underlyings", count: set.underlyings.len() });
        }
        let mut plan = Self {
            instruments: instruments.to_vec(),
            lots: Vec::with_capacity(instruments.len()),
            units: units.clone(),
            vol_shock: set.vol_shock,
            columns: columns(set)?,
            weights: set.blocks.iter().flat_map(|b| &b.scenarios).map(|s| s.weight).collect(),
            blocks: blocks(set),
            parts: parts(set),
            tasks: Vec::new(),
            rank: vec![None; instruments.len()],
            order: Vec::with_capacity(instruments.len()),
            refused: Vec::new(),
        };
        plan.place_all();
        Ok(plan)
    }

    /// The instruments, in the order given.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Ticks per lot of an amount per unit.
    pub(crate) fn scale(&self, instrument: &Instrument) -> f64 {
        scale(lot(instrument, &self.units), &self.units)
    }

    /// Puts every instrument that some surface could value into a task.
    fn place_all(&mut self) {
        let known: BTreeMap<Asset, usize> =
            self.parts.iter().enumerate().map(|(i, part)| (part.asset.clone(), i)).collect();
        let mut options: Vec<Vec<Listed>> = vec![Vec::new(); self.parts.len()];
        let mut others: Vec<Vec<u32>> = vec![Vec::new(); self.parts.len()];
        for at in 0..self.instruments.len() {
            let instrument = self.instruments[at].clone();
            let size = lot(&instrument, &self.units);
            let scale = scale(size, &self.units);
            self.lots.push((size, scale));
            let Some(part) = known.get(instrument.underlying()) else {
                let issue = about(Reason::UnknownUnderlying, &instrument);
                self.refused.push((instrument, issue));
                continue;
            };
            match listed(&instrument, at as u32, scale, &self.units.currency) {
                Ok(Some(option)) => options[*part].push(option),
                Ok(None) => others[*part].push(at as u32),
                Err(issue) => self.refused.push((instrument, issue)),
            }
        }
        for (part, (options, others)) in options.into_iter().zip(others).enumerate() {
            self.place_part(part, options, &others);
        }
    }

    fn place_part(&mut self, part: usize, mut options: Vec<Listed>, others: &[u32]) {
        let (first_task, first_place) = (self.tasks.len(), self.order.len());
        options.sort_by(|a, b| {
            a.expiry.cmp(&b.expiry).then(a.strike.total_cmp(&b.strike)).then(a.instrument.cmp(&b.instrument))
        });
        for chain in options.chunk_by(|a, b| a.expiry == b.expiry) {
            let strikes: Vec<&[Listed]> = chain.chunk_by(|a, b| a.strike == b.strike).collect();
            for some in strikes.chunks(STRIKES) {
                self.place_options(some);
            }
        }
        if !others.is_empty() {
            let places = self.place(others.iter().copied());
            self.tasks.push(Task { places, work: Work::Linear });
        }
        self.parts[part].tasks = first_task..self.tasks.len();
        self.parts[part].places = first_place..self.order.len();
    }

    fn place_options(&mut self, strikes: &[&[Listed]]) {
        let all = strikes.iter().enumerate().flat_map(|(i, same)| same.iter().map(move |o| (i, o)));
        let terms = |(strike, o): (usize, &Listed)| OptionTerms {
            strike,
            sign: o.sign,
            inverse: o.inverse,
            scale: o.scale,
        };
        let options: Vec<OptionTerms> = all.clone().map(terms).collect();
        let instruments: Vec<u32> = all.map(|(_, o)| o.instrument).collect();
        let places = self.place(instruments.into_iter());
        let expiry = strikes[0][0].expiry;
        let strikes = strikes.iter().map(|same| (same[0].strike, ln(same[0].strike))).collect();
        self.tasks.push(Task { places, work: Work::Options { expiry, strikes, options } });
    }

    fn place(&mut self, instruments: impl Iterator<Item = u32>) -> Range<usize> {
        let start = self.order.len();
        for instrument in instruments {
            self.rank[instrument as usize] = Some(self.order.len() as u32);
            self.order.push(instrument);
        }
        start..self.order.len()
    }
}

/// Ticks per lot; NaN where the lot is no float, which [`listed`] refuses.
fn scale(lot: Decimal, units: &Units) -> f64 {
    float(lot).unwrap_or(f64::NAN) * units.ticks_per_unit as f64
}

/// The option an instrument is; `None` for anything else.
fn listed(instrument: &Instrument, at: u32, scale: f64, currency: &Asset) -> Result<Option<Listed>, Issue> {
    if !at_par(instrument.quote(), currency) {
        return Err(about(Reason::UnknownInstrument, instrument));
    }
    if !scale.is_finite() {
        return Err(about(Reason::NonFinite, instrument));
    }
    let Contract::Option { expiry, strike, kind } = instrument.contract() else { return Ok(None) };
    let strike = float(strike).ok_or_else(|| about(Reason::NonFinite, instrument))?;
    let sign = if kind == OptionKind::Call { 1.0 } else { -1.0 };
    let inverse = instrument.settlement() == Settlement::Inverse;
    Ok(Some(Listed { instrument: at, expiry, strike, sign, inverse, scale }))
}

fn columns(set: &ScenarioSet) -> Result<Vec<Column>, BuildError> {
    let mut made = Vec::with_capacity(set.columns());
    for block in &set.blocks {
        let start = made.len();
        for scenario in &block.scenarios {
            let label = scenario.label.clone();
            let weight = ratio("weight", &label, scenario.weight)?;
            made.push(Column { label, weight, pair: start + scenario.pair });
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

fn parts(set: &ScenarioSet) -> Vec<Part> {
    let part = |place: usize| {
        let (price_scan, delta) = (set.price_scan[place], &set.composite_delta);
        let sum: f64 = delta.weights.iter().sum();
        let point = |(point, weight): (&f64, &f64)| DeltaPoint {
            growth: 1.0 + point * price_scan,
            ln_growth: ln_1p(point * price_scan),
            weight: weight / sum,
        };
        Part {
            asset: set.underlyings[place].clone(),
            price_scan,
            moves: Moves::new(set, place),
            points: delta.points.iter().zip(&delta.weights).map(point).collect(),
            points_elapsed_days: delta.elapsed_days,
            tasks: 0..0,
            places: 0..0,
        }
    };
    (0..set.underlyings.len()).into_par_iter().map(part).collect()
}
