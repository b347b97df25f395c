//! Specification -> explicit scenario set.

mod grid;
mod monte_carlo;
mod past;

use crate::set::{DeltaPoints, Note, ScenarioBlock, ScenarioSet, VolShockKind};
use crate::spec::{CompositeDelta, EntrySpec, PerUnderlying, ReturnSeries, ScenarioSpec, SpecError, VolScan};
use plimsoll_quant::special::exp;
use plimsoll_types::Asset;
use std::collections::BTreeMap;

/// Spells out every scenario of a specification for the underlyings given, in their order. Blocks follow the order of
/// `[[scenarios]]`. `series` are the return series by name; only those named are looked at.
///
/// # Errors
/// [`SpecError`] when the specification is invalid, says nothing of an underlying, or a series does not serve.
pub fn generate(
    spec: &ScenarioSpec,
    underlyings: &[Asset],
    series: &BTreeMap<String, ReturnSeries>,
) -> Result<ScenarioSet, SpecError> {
    spec.validate()?;
    let scales = Scales {
        underlyings,
        price_scan: each("price_scan", &spec.price_scan, underlyings)?,
        vol_scan: each("vol_scan", &spec.vol_scan, underlyings)?,
        vol_kind: spec.vol_shock.kind,
    };
    let (mut blocks, mut notes) = (Vec::new(), Vec::new());
    for (i, entry) in spec.scenarios.iter().enumerate() {
        blocks.extend(scales.entry(i, entry, series, &mut notes)?);
    }
    Ok(ScenarioSet {
        underlyings: underlyings.to_vec(),
        price_scan: scales.price_scan,
        vol_shock: spec.vol_shock,
        composite_delta: delta_points(spec.composite_delta.as_ref()),
        blocks,
        notes,
    })
}

/// One value per underlying, in their order.
fn each<T: Copy>(field: &str, table: &PerUnderlying<T>, underlyings: &[Asset]) -> Result<Vec<T>, SpecError> {
    let missing = |u: &Asset| SpecError::MissingUnderlying { field: field.to_owned(), underlying: u.clone() };
    underlyings.iter().map(|u| table.get(u).copied().ok_or_else(|| missing(u))).collect()
}

/// The scales of the underlyings, in the order of the set.
struct Scales<'a> {
    underlyings: &'a [Asset],
    price_scan: Vec<f64>,
    vol_scan: Vec<VolScan>,
    vol_kind: VolShockKind,
}

impl Scales<'_> {
    fn entry(
        &self,
        i: usize,
        entry: &EntrySpec,
        series: &BTreeMap<String, ReturnSeries>,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<ScenarioBlock>, SpecError> {
        let field = format!("scenarios[{i}]");
        match entry {
            EntrySpec::Grid(spec) => Ok(vec![self.grid(spec)]),
            EntrySpec::Factor(spec) => self.factor(&field, spec),
            EntrySpec::Historical(spec) => self.historical(i, spec, series, notes).map(|b| vec![b]),
            EntrySpec::FilteredHistorical(spec) => self.filtered(i, spec, series, notes).map(|b| vec![b]),
            EntrySpec::MonteCarlo(spec) => self.monte_carlo(i, spec, notes).map(|b| vec![b]),
        }
    }
}

/// Normal density reaching the scan at two standard deviations: `exp(-2 x^2)` at the seven SPAN points.
fn delta_points(spec: Option<&CompositeDelta>) -> DeltaPoints {
    if let Some(spec) = spec {
        let points = spec.price.iter().map(|p| p.0).collect();
        return DeltaPoints { points, weights: spec.weight.clone(), elapsed_days: spec.elapsed_days };
    }
    let (third, two_thirds) = (1.0 / 3.0, 2.0 / 3.0);
    let points = vec![0.0, third, -third, two_thirds, -two_thirds, 1.0, -1.0];
    let weights = points.iter().map(|x| exp(-2.0 * x * x)).collect();
    DeltaPoints { points, weights, elapsed_days: 0.0 }
}
