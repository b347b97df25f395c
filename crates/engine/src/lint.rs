//! What the linter of the margin stage is told of the scenario set.

use crate::ParamSet;
use plimsoll_margin::{LintBlock, LintCode, LintColumn, LintFinding, LintInput, Params, VolMove};
use plimsoll_risk::{EntrySpec, Scenario, ScenarioSet, ScenarioSpec};
use plimsoll_types::{Asset, BlockKind, Ppb, QuantiseError};
use std::collections::{BTreeMap, BTreeSet};

/// No grid may leave more than half a price scan between neighbouring spot moves, whatever its own step.
const WIDEST_STEP: f64 = 0.5;

/// Everything the set breaks. Entries that need a past have no fixed columns: they count as joint blocks without any.
pub(crate) fn lint(set: &ParamSet) -> Vec<LintFinding> {
    let underlyings = named(&set.scenarios);
    let fixed = without_series(&set.scenarios);
    let columns = if fixed.scenarios.is_empty() && !set.scenarios.scenarios.is_empty() {
        Ok(LintInput { underlyings, ..LintInput::default() })
    } else {
        match plimsoll_risk::generate(&fixed, &underlyings, &BTreeMap::new()) {
            Ok(scenarios) => input(&scenarios).map_err(|error| unusable(&error)),
            Err(error) => Err(unusable(&error)),
        }
    };
    match columns {
        Ok(mut input) => {
            input.blocks.extend(set.scenarios.scenarios.iter().filter_map(of_the_past));
            plimsoll_margin::lint(&set.margin, &input)
        }
        Err(finding) => vec![finding],
    }
}

/// Everything that explicit scenarios and their margin parameters break. Where neighbouring moves lie is left to the set that they were
/// made from: a side that is scaled apart from the other keeps its shares of its own scan.
pub(crate) fn findings(scenarios: &ScenarioSet, margin: &Params) -> Vec<LintFinding> {
    match input(scenarios) {
        Ok(mut input) => {
            input.blocks.iter_mut().for_each(|block| block.step = None);
            plimsoll_margin::lint(margin, &input)
        }
        Err(error) => vec![unusable(&error)],
    }
}

fn of_the_past(entry: &EntrySpec) -> Option<LintBlock> {
    let (purpose, stressed) = match entry {
        EntrySpec::Historical(spec) => (spec.purpose, spec.stressed),
        EntrySpec::FilteredHistorical(spec) => (spec.purpose, false),
        EntrySpec::Grid(_) | EntrySpec::Factor(_) | EntrySpec::MonteCarlo(_) => return None,
    };
    let kind = if stressed { BlockKind::StressedJoint } else { BlockKind::Joint };
    Some(LintBlock { kind, purpose, columns: 0..0, step: None })
}

fn unusable(error: &dyn std::error::Error) -> LintFinding {
    LintFinding { code: LintCode::Missing, subject: "scenarios".to_owned(), message: error.to_string() }
}

/// The underlyings the specification names, and one that stands for those it does not.
fn named(spec: &ScenarioSpec) -> Vec<Asset> {
    let names = spec.price_scan.0.keys().chain(spec.vol_scan.0.keys());
    let mut all: BTreeSet<Asset> = names.filter_map(|name| Asset::new(name).ok()).collect();
    all.extend(Asset::new("OTHER").ok().filter(|_| spec.price_scan.0.contains_key("*")));
    all.into_iter().collect()
}

/// The specification without the entries that need a past: they have no fixed columns to look at.
fn without_series(spec: &ScenarioSpec) -> ScenarioSpec {
    let fixed =
        |entry: &&EntrySpec| !matches!(entry, EntrySpec::Historical(_) | EntrySpec::FilteredHistorical(_));
    ScenarioSpec { scenarios: spec.scenarios.iter().filter(fixed).cloned().collect(), ..spec.clone() }
}

fn input(set: &ScenarioSet) -> Result<LintInput, QuantiseError> {
    let mut columns = Vec::new();
    let mut blocks = Vec::new();
    for block in &set.blocks {
        let start = columns.len();
        for scenario in &block.scenarios {
            columns.push(column(scenario)?);
        }
        let step =
            (block.kind == BlockKind::Grid).then(|| Ppb::from_f64(step(&block.scenarios, &set.price_scan)));
        let columns = start..columns.len();
        blocks.push(LintBlock { kind: block.kind, purpose: block.purpose, columns, step: step.transpose()? });
    }
    let price_scan = set.price_scan.iter().map(|scan| Ppb::from_f64(*scan)).collect::<Result<_, _>>()?;
    Ok(LintInput { underlyings: set.underlyings.clone(), price_scan, columns, blocks })
}

fn column(scenario: &Scenario) -> Result<LintColumn, QuantiseError> {
    let vol = scenario.moves.first().map_or(0.0, |m| m.vol);
    let direction = if vol > 0.0 {
        VolMove::Up
    } else if vol < 0.0 {
        VolMove::Down
    } else {
        VolMove::None
    };
    Ok(LintColumn {
        label: scenario.label.clone(),
        weight: Ppb::from_f64(scenario.weight)?,
        spot: scenario.moves.iter().map(|m| Ppb::from_f64(m.spot)).collect::<Result<_, _>>()?,
        vol: direction,
        skew: scenario.moves.iter().any(|m| m.skew != 0.0 || m.wing != 0.0),
    })
}

/// The widest gap a grid may have, in price scans: its own smallest step within one scan, at most a half. A hundredth
/// is added for the rounding of thirds.
fn step(scenarios: &[Scenario], scans: &[f64]) -> f64 {
    let scan = scans.first().copied().unwrap_or(1.0);
    let mut spots: Vec<f64> =
        scenarios.iter().filter_map(|s| s.moves.first()).map(|m| m.spot / scan).collect();
    spots.retain(|spot| spot.abs() <= 1.0 + 1e-9);
    spots.sort_by(f64::total_cmp);
    let gaps = spots.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 1e-6);
    1.01 * gaps.fold(WIDEST_STEP, f64::min)
}
