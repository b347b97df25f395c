//! Grids, and the blocks of a common factor.

use super::{Scales, each};
use crate::set::{Move, Scenario, ScenarioBlock};
use crate::spec::{FactorSpec, GridSpec, Points, PriceUnit, SpecError, VolDirection, Weights};
use plimsoll_types::{BlockKind, CorrelationState};
use std::fmt::Write;

impl Scales<'_> {
    pub(super) fn grid(&self, spec: &GridSpec) -> ScenarioBlock {
        let all = vec![1.0; self.underlyings.len()];
        let scenarios = self.groups(&spec.points, &all);
        ScenarioBlock { kind: BlockKind::Grid, purpose: spec.purpose, scenarios }
    }

    /// Per state: the factor, then what is left of each underlying beside it.
    pub(super) fn factor(&self, field: &str, spec: &FactorSpec) -> Result<Vec<ScenarioBlock>, SpecError> {
        let estimated = each(&format!("{field}.loading"), &spec.loading, self.underlyings)?;
        let mut blocks = Vec::new();
        for state in &spec.states {
            let loadings: Vec<f64> = estimated.iter().map(|x| under(*state, *x, spec.breakdown)).collect();
            blocks.push(ScenarioBlock {
                kind: BlockKind::Systematic(*state),
                purpose: spec.purpose,
                scenarios: self.groups(&spec.points, &loadings),
            });
            blocks.push(ScenarioBlock {
                kind: BlockKind::Idiosyncratic(*state),
                purpose: spec.purpose,
                scenarios: self.rest(spec, &loadings),
            });
        }
        Ok(blocks)
    }

    /// The same points at `sqrt(1 - loading^2)` of their size, in price and in volatility. Where nothing is left of any
    /// underlying, one column without a move says so.
    fn rest(&self, spec: &FactorSpec, loadings: &[f64]) -> Vec<Scenario> {
        let left: Vec<f64> = loadings.iter().map(|x| (1.0 - x * x).max(0.0).sqrt()).collect();
        if left.iter().all(|x| *x == 0.0) {
            let moves = vec![Move::default(); left.len()];
            let label = "nothing beside the factor".to_owned();
            return vec![Scenario { label, weight: 1.0, moves, pair: 0 }];
        }
        self.groups(&spec.points, &left)
    }

    fn groups(&self, points: &[Points], share: &[f64]) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        for group in points {
            self.group(group, share, &mut scenarios);
        }
        scenarios
    }

    /// Appends every price with every vol direction, vol fastest.
    fn group(&self, group: &Points, share: &[f64], scenarios: &mut Vec<Scenario>) {
        for at in 0..group.price.len() {
            let start = scenarios.len();
            for vol in &group.vol {
                let pair = pair(&group.vol, *vol).map_or(scenarios.len(), |place| start + place);
                scenarios.push(Scenario {
                    label: label(group, at, *vol),
                    weight: weight(group, at),
                    moves: self.moves(group, at, *vol, share),
                    pair,
                });
            }
        }
    }

    /// A point for every underlying, at its share: price with the sign of the share, volatility (level, tilt, lift and
    /// term) with its size only, since the factor's fear is everyone's. Basis, rate and time are not shared out.
    fn moves(&self, group: &Points, at: usize, vol: VolDirection, share: &[f64]) -> Vec<Move> {
        let one = |u: usize| {
            let size = share[u].abs();
            let scan = match group.unit {
                PriceUnit::Scan => self.price_scan[u],
                PriceUnit::Relative => 1.0,
            };
            let level = match vol {
                VolDirection::Up => self.vol_scan[u].up,
                VolDirection::None => 0.0,
                VolDirection::Down => -self.vol_scan[u].down,
            };
            Move {
                spot: share[u] * (group.price[at].0 * scan),
                vol: size * level,
                skew: size * group.skew,
                wing: size * group.wing,
                term: size * group.term,
                basis: group.basis,
                rate: group.rate,
                elapsed_days: group.elapsed_days,
            }
        };
        (0..self.underlyings.len()).map(one).collect()
    }
}

/// The loading under a state of the correlation.
fn under(state: CorrelationState, estimated: f64, breakdown: f64) -> f64 {
    match state {
        CorrelationState::Estimated => estimated,
        CorrelationState::Crash if estimated < 0.0 => -1.0,
        CorrelationState::Crash => 1.0,
        CorrelationState::Breakdown => estimated * breakdown,
    }
}

fn weight(group: &Points, at: usize) -> f64 {
    match &group.weight {
        Weights::One(weight) => *weight,
        Weights::PerPrice(list) => list[at],
    }
}

/// Where among the directions the opposite one stands.
fn pair(all: &[VolDirection], vol: VolDirection) -> Option<usize> {
    let opposite = match vol {
        VolDirection::Up => VolDirection::Down,
        VolDirection::Down => VolDirection::Up,
        VolDirection::None => return None,
    };
    all.iter().position(|v| *v == opposite)
}

fn label(group: &Points, at: usize, vol: VolDirection) -> String {
    let price = group.price[at];
    let mut text = match group.unit {
        _ if price.0 == 0.0 => "spot unchanged".to_owned(),
        PriceUnit::Scan => format!("spot {price} scan"),
        PriceUnit::Relative => format!("spot {:+} %", (price.0 * 1e6).round() / 1e4),
    };
    text.push_str(match vol {
        VolDirection::Up => " vol up",
        VolDirection::None => " vol same",
        VolDirection::Down => " vol down",
    });
    let shares = [
        ("skew", group.skew),
        ("wing", group.wing),
        ("term", group.term),
        ("basis", group.basis),
        ("rate", group.rate),
    ];
    for (name, x) in shares.into_iter().filter(|(_, x)| *x != 0.0) {
        // Writing to a String cannot fail.
        let _ = write!(text, " {name} {x:+}");
    }
    if group.elapsed_days > 0.0 {
        let _ = write!(text, " after {} d", group.elapsed_days);
    }
    let weight = weight(group, at);
    if weight < 1.0 {
        let _ = write!(text, " x {weight}");
    }
    text
}
