//! A parameter set with the values of a policy in the place of its own.
//!
//! **The one idea:** a policy moves *scales*, so its values act on the explicit scenarios and not on their specification: every
//! spot move of a side is multiplied by that side's scan over the scan that the set states, tails included, and likewise every
//! volatility move. At the set's own values the scenarios are the set's own, bit for bit. Weights never move, so the
//! largest of `weight x move` stays the scan itself, which is what a future or perpetual is charged.

use crate::{EngineError, ParamSet};
use plimsoll_margin::{Aggregation, ByAsset, Params, Scope};
use plimsoll_policy::Knob;
use plimsoll_risk::{EntrySpec, FactorSpec, Move, ReturnSeries, ScenarioSet, VolScan, generate};
use plimsoll_types::{Asset, CorrelationState, NANO, Ppb};
use std::collections::BTreeMap;

/// A fall is never beyond this, whatever the scan: nothing is worth less than nothing.
const FALL_MAX: f64 = -0.95;

/// Scenarios and margin parameters as a policy has them.
#[derive(Clone, Debug)]
pub struct Adjusted {
    stated: ScenarioSet,
    stated_margin: Params,
    vol_scan: Vec<VolScan>,
    /// The largest term move of the set; 0 where it has none.
    term: f64,
    /// Per block, what its moves are shares of.
    shares: Vec<Shares>,
    /// The scenarios as adjusted. Their labels speak of the moves that the set states.
    pub scenarios: ScenarioSet,
    /// The margin parameters as adjusted.
    pub margin: Params,
}

/// What the moves of a block are shares of.
#[derive(Clone, Debug)]
enum Shares {
    /// Of nothing: they are whole.
    Whole,
    /// Of a common factor or of what is left beside it; stated loadings of the underlyings.
    Factor { state: CorrelationState, systematic: bool, breakdown: f64, loadings: Vec<f64> },
    /// They are moves of the past or drawn, and are left as they are.
    Fixed,
}

/// By what the moves of one underlying are multiplied.
#[derive(Clone, Copy, Debug)]
struct Factors {
    up: f64,
    down: f64,
    vol_up: f64,
    vol_down: f64,
    skew: f64,
    term: f64,
}

impl Adjusted {
    /// The set's own scenarios and parameters for some underlyings.
    ///
    /// # Errors
    /// [`EngineError::Scenarios`] when the set says nothing of an underlying.
    pub fn new(
        params: &ParamSet,
        underlyings: &[Asset],
        series: &BTreeMap<String, ReturnSeries>,
    ) -> Result<Self, EngineError> {
        let spec = &params.scenarios;
        let stated = generate(spec, underlyings, series)?;
        // Generation has refused a set that says nothing of an underlying.
        let vol_scan = underlyings.iter().filter_map(|u| spec.vol_scan.get(u).copied()).collect();
        let shares: Vec<Shares> =
            spec.scenarios.iter().flat_map(|entry| shares(entry, underlyings)).collect();
        let moves = stated.blocks.iter().flat_map(|b| &b.scenarios).flat_map(|s| &s.moves);
        let term = moves.fold(0.0, |most: f64, m| most.max(m.term.abs()));
        let (scenarios, margin) = (stated.clone(), params.margin.clone());
        Ok(Self { stated, stated_margin: params.margin.clone(), vol_scan, term, shares, scenarios, margin })
    }

    /// Puts the values of a policy in place; what `value` does not know stays as the set states it. `value` is asked for a
    /// knob and an underlying or asset. [`Knob::ImFraction`] has no place in scenarios: it is a limit on leverage.
    pub fn set(&mut self, value: &dyn Fn(Knob, &Asset) -> Option<Ppb>) {
        let underlyings = &self.stated.underlyings;
        let mut factors = Vec::with_capacity(underlyings.len());
        for (u, asset) in underlyings.iter().enumerate() {
            let of = |knob| value(knob, asset).map(Ppb::to_f64);
            let scan = self.stated.price_scan.get(u).copied().unwrap_or(1.0);
            let vol = self.vol_scan.get(u).copied().unwrap_or(VolScan { up: 0.0, down: 0.0 });
            let ratio = |knob, stated: f64| of(knob).filter(|_| stated > 0.0).map_or(1.0, |new| new / stated);
            let made = Factors {
                up: ratio(Knob::PriceScanUp, scan),
                down: ratio(Knob::PriceScanDown, scan),
                vol_up: ratio(Knob::VolScanUp, vol.up),
                vol_down: ratio(Knob::VolScanDown, vol.down),
                skew: of(Knob::SkewScan).unwrap_or(1.0),
                term: ratio(Knob::TermScan, self.term),
            };
            if let Some(place) = self.scenarios.price_scan.get_mut(u) {
                // Composite delta averages over falls of as much.
                *place = (scan * made.up.max(made.down)).min(-FALL_MAX);
            }
            factors.push(made);
        }
        // Whole billionths: at the set's own values the loading is the set's own, bit for bit.
        let shared = |own: Ppb| Ppb((NANO - own.0).max(0)).to_f64();
        let loading = |u: usize| value(Knob::Idiosyncratic, underlyings.get(u)?).map(shared);
        let blocks = self.stated.blocks.iter().zip(&mut self.scenarios.blocks).zip(&self.shares);
        for ((stated, block), shares) in blocks {
            let rates: Vec<f64> = (0..factors.len()).map(|u| shares.rate(u, loading(u))).collect();
            if matches!(shares, Shares::Fixed) {
                continue;
            }
            for (from, to) in stated.scenarios.iter().zip(&mut block.scenarios) {
                let each = from.moves.iter().zip(&mut to.moves).zip(factors.iter().zip(&rates));
                for ((from, to), (factors, rate)) in each {
                    *to = factors.of(from, *rate);
                }
            }
        }
        self.set_margin(value);
    }

    fn set_margin(&mut self, value: &dyn Fn(Knob, &Asset) -> Option<Ppb>) {
        let underlyings = &self.stated.underlyings;
        self.margin.clone_from(&self.stated_margin);
        let margin = &mut self.margin;
        // Scales and the floor are of all underlyings: the tightest counts.
        let most = |knob| underlyings.iter().filter_map(|u| value(knob, u)).max();
        margin.im_scale = most(Knob::ImScale).unwrap_or(margin.im_scale);
        margin.mm_scale = most(Knob::MmScale).unwrap_or(margin.mm_scale);
        if let Aggregation::Factor { floor_share } = &mut margin.aggregation {
            *floor_share = most(Knob::FloorShare).unwrap_or(*floor_share);
        }
        for asset in underlyings {
            let of = |knob| value(knob, asset);
            let addons = &mut margin.addons;
            place(&mut addons.short_option, asset, of(Knob::ShortOption), |terms, rate| terms.rate = rate);
            place(&mut addons.expiry, asset, of(Knob::Expiry), |terms, rate| terms.rate = rate);
            place(&mut addons.basis, asset, of(Knob::Basis), |terms, rate| terms.rate = rate);
            place(&mut addons.liquidity, asset, of(Knob::Spread), |terms, rate| terms.spread = rate);
            place(&mut addons.liquidity, asset, of(Knob::Impact), |terms, rate| terms.impact = rate);
        }
        for (asset, terms) in &mut margin.collateral {
            terms.haircut = value(Knob::Haircut, asset).unwrap_or(terms.haircut);
        }
    }
}

/// Gives an asset terms of its own with another rate; a charge that the set does not make is not made.
fn place<T: Clone>(table: &mut ByAsset<T>, asset: &Asset, rate: Option<Ppb>, set: impl Fn(&mut T, Ppb)) {
    let (Some(rate), Some(terms)) = (rate, table.of(asset)) else { return };
    let mut terms = terms.clone();
    set(&mut terms, rate);
    table.0.insert(Scope::One(asset.clone()), terms);
}

/// The shares behind the blocks of an entry, in their order.
fn shares(entry: &EntrySpec, underlyings: &[Asset]) -> Vec<Shares> {
    let FactorSpec { loading, states, breakdown, .. } = match entry {
        EntrySpec::Grid(_) => return vec![Shares::Whole],
        EntrySpec::Factor(spec) => spec,
        EntrySpec::Historical(_) | EntrySpec::FilteredHistorical(_) | EntrySpec::MonteCarlo(_) => {
            return vec![Shares::Fixed];
        }
    };
    let loadings: Vec<f64> = underlyings.iter().filter_map(|u| loading.get(u).copied()).collect();
    let one = |state: &CorrelationState, systematic| Shares::Factor {
        state: *state,
        systematic,
        breakdown: *breakdown,
        loadings: loadings.clone(),
    };
    states.iter().flat_map(|state| [one(state, true), one(state, false)]).collect()
}

impl Shares {
    /// By what the share of an underlying changes when its loading becomes another.
    fn rate(&self, u: usize, new: Option<f64>) -> f64 {
        let Self::Factor { state, systematic, breakdown, loadings } = self else { return 1.0 };
        let (Some(new), Some(old)) = (new, loadings.get(u)) else { return 1.0 };
        let share = |loading: f64| {
            let loading = if *state == CorrelationState::Breakdown { loading * breakdown } else { loading };
            if *systematic { loading } else { (1.0 - loading * loading).max(0.0).sqrt() }
        };
        let before = share(*old);
        if *state == CorrelationState::Crash || before == 0.0 { 1.0 } else { share(new) / before }
    }
}

impl Factors {
    fn of(&self, from: &Move, rate: f64) -> Move {
        let spot = from.spot * rate * if from.spot > 0.0 { self.up } else { self.down };
        let size = rate.abs();
        let vol = if from.vol > 0.0 { self.vol_up } else { self.vol_down };
        Move {
            spot: spot.max(FALL_MAX),
            vol: from.vol * size * vol,
            skew: from.skew * size * self.skew,
            wing: from.wing * size * self.skew,
            term: from.term * size * self.term,
            ..*from
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use plimsoll_types::BlockKind;

    fn adjusted() -> Adjusted {
        let params = ParamSet::preset("plimsoll").unwrap();
        let assets = ["BTC", "ETH"].map(|name| Asset::new(name).unwrap());
        Adjusted::new(&params, &assets, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn at_its_own_values_a_set_is_its_own_bit_for_bit() {
        let mut it = adjusted();
        let (before, margin) = (it.scenarios.clone(), it.margin.clone());
        it.set(&|knob, asset| {
            let scan = if asset.as_str() == "BTC" { 0.15 } else { 0.18 };
            match knob {
                Knob::PriceScanUp | Knob::PriceScanDown => Ppb::from_f64(scan).ok(),
                Knob::VolScanUp => Ppb::from_f64(0.45).ok(),
                Knob::Idiosyncratic => Ppb::from_f64(0.05).ok(),
                Knob::ImScale => Some(Ppb::ONE),
                _ => None,
            }
        });
        assert_eq!((&it.scenarios, &it.margin), (&before, &margin));
        it.set(&|_, _| None);
        assert_eq!((&it.scenarios, &it.margin), (&before, &margin));
    }

    #[test]
    fn sides_and_underlyings_move_apart_and_weights_stay() {
        let mut it = adjusted();
        let stated = it.scenarios.clone();
        it.set(&|knob, asset| match knob {
            Knob::PriceScanDown if asset.as_str() == "BTC" => Ppb::from_f64(0.30).ok(),
            _ => None,
        });
        let pairs = stated.blocks.iter().zip(&it.scenarios.blocks);
        for (from, to) in pairs.flat_map(|(a, b)| a.scenarios.iter().zip(&b.scenarios)) {
            assert_eq!(from.weight, to.weight);
            assert_eq!(from.moves[1], to.moves[1], "ETH is not spoken of");
            let (before, after) = (from.moves[0].spot, to.moves[0].spot);
            let expected = if before < 0.0 { (2.0 * before).max(FALL_MAX) } else { before };
            assert!((after - expected).abs() < 1e-15, "{before} became {after}");
        }
        assert_eq!(it.scenarios.price_scan, [0.30, 0.18]);
    }

    #[test]
    fn a_scan_above_the_whole_value_still_makes_scenarios() {
        let mut it = adjusted();
        it.set(&|knob, _| {
            matches!(knob, Knob::PriceScanUp | Knob::PriceScanDown).then_some(Ppb(2_000_000_000))
        });
        assert_eq!(it.scenarios.price_scan, [0.95, 0.95]);
        let moves = it.scenarios.blocks.iter().flat_map(|b| &b.scenarios).flat_map(|s| &s.moves);
        assert!(moves.clone().all(|m| m.spot >= FALL_MAX) && moves.clone().any(|m| m.spot == 2.0));
    }

    #[test]
    fn a_loading_moves_what_is_shared_and_what_is_left_apart() {
        let mut it = adjusted();
        it.set(&|knob, _| if knob == Knob::Idiosyncratic { Ppb::from_f64(0.4).ok() } else { None });
        let full = |kind: BlockKind| {
            let block = it.scenarios.blocks.iter().find(|b| b.kind == kind).unwrap();
            block.scenarios.iter().filter(|s| s.weight == 1.0).fold(0.0, |m: f64, s| m.max(s.moves[0].spot))
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        near(full(BlockKind::Systematic(CorrelationState::Estimated)), 0.15 * 0.6);
        near(full(BlockKind::Idiosyncratic(CorrelationState::Estimated)), 0.15 * 0.8);
        near(full(BlockKind::Systematic(CorrelationState::Breakdown)), 0.15 * 0.3);
        near(full(BlockKind::Systematic(CorrelationState::Crash)), 0.15);
    }
}
