//! Portfolios margined and revalued by the code that runs live.
//!
//! **The one idea:** a margin is a function of a policy's values and the level of volatility, and of nothing else: so it is
//! recomputed only when one of them has moved. A loss is a function of history, and of no policy: so it is found once.
//!
//! Charges for what a history of prices does not show, and a loss from it does not hold, are left out of the parameter set:
//! liquidity, the confidence of the index, and funding.

use crate::portfolio::{INDEX, PortfolioError, PortfolioSpec, as_of, expiry};
use crate::surface::{blank, set};
use plimsoll_engine::{Adjusted, EngineError, ParamSet};
use plimsoll_lanes::Path;
use plimsoll_margin::{Aggregation, BookTerms, LiveAccount, MarginError};
use plimsoll_market::Surface;
use plimsoll_policy::Knob;
use plimsoll_risk::{BuildError, EntrySpec, Plan, RefreshError, value};
use plimsoll_types::{
    AccountId, Asset, BookError, Contract, Decimal, Instrument, InstrumentIx, Issue, Lots, NameError,
    Portfolio, Position, Ppb, RiskArrays, Ticks, Timestamp, Units, nearest_f64,
};
use std::collections::BTreeMap;

/// Why portfolios cannot be margined.
#[derive(Debug, thiserror::Error)]
pub enum MarginingError {
    /// A portfolio is none.
    #[error(transparent)]
    Portfolio(#[from] PortfolioError),
    /// The parameter set does not serve.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Risk arrays cannot be built.
    #[error("risk arrays: {0}")]
    Build(#[from] BuildError),
    /// Risk arrays cannot be refreshed.
    #[error("risk arrays: {0}")]
    Refresh(#[from] RefreshError),
    /// An instrument cannot be valued.
    #[error("{instrument} cannot be valued: {issue}")]
    Unvalued {
        /// Which.
        instrument: Instrument,
        /// Why.
        issue: Box<Issue>,
    },
    /// A margin cannot be computed.
    #[error(transparent)]
    Margin(#[from] MarginError),
    /// A quantity is finer than a lot.
    #[error("portfolio `{name}`: {quantity} of {instrument} is no whole number of lots of {lot}")]
    Lots {
        /// Of which portfolio.
        name: String,
        /// How much.
        quantity: f64,
        /// Of what.
        instrument: Instrument,
        /// The size of a lot.
        lot: Decimal,
    },
    /// Portfolios cannot be a book.
    #[error(transparent)]
    Book(BookError),
    /// A portfolio cannot be an account.
    #[error(transparent)]
    Account(#[from] NameError),
}

/// Portfolios on the assets they are margined together on, with everything that does not change.
#[derive(Clone, Debug)]
pub struct Bench {
    assets: Vec<Asset>,
    instruments: Vec<Instrument>,
    /// Coins of each instrument, portfolio by portfolio.
    holdings: Vec<Vec<(usize, f64)>>,
    accounts: Vec<Portfolio>,
    units: Units,
    blank: Surface,
    params: ParamSet,
}

impl Bench {
    /// Names the instruments of the portfolios on some assets. `params` gives scenarios and charges.
    ///
    /// # Errors
    /// [`MarginingError`] for a leg that has no instrument or is finer than a lot.
    pub fn new(
        assets: &[Asset],
        portfolios: &[&PortfolioSpec],
        params: &ParamSet,
    ) -> Result<Self, MarginingError> {
        let params = shown(params, assets.len());
        let mut instruments: Vec<Instrument> = Vec::new();
        let mut holdings = Vec::new();
        for portfolio in portfolios {
            let mut held: Vec<(usize, f64)> = Vec::new();
            for leg in &portfolio.legs {
                let instrument = portfolio.instrument(leg, assets)?;
                let at = instruments.iter().position(|known| *known == instrument);
                let at = at.unwrap_or_else(|| {
                    instruments.push(instrument);
                    instruments.len() - 1
                });
                match held.iter_mut().find(|(known, _)| *known == at) {
                    Some((_, quantity)) => *quantity += leg.quantity,
                    None => held.push((at, leg.quantity)),
                }
            }
            held.sort_by_key(|(at, _)| *at);
            holdings.push(held);
        }
        let mut days: Vec<Timestamp> =
            portfolios.iter().flat_map(|p| &p.legs).filter_map(|leg| leg.days.map(expiry)).collect();
        days.sort();
        days.dedup();
        let accounts = accounts(portfolios, &holdings, &instruments, &params.units)?;
        let (blank, units) = (blank(assets, &days), params.units.clone());
        Ok(Self { assets: assets.to_vec(), instruments, holdings, accounts, units, blank, params })
    }

    /// The assets that are margined together.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// How many portfolios.
    pub fn len(&self) -> usize {
        self.holdings.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.holdings.is_empty()
    }

    /// What margins these portfolios, at the parameter set's own values.
    ///
    /// # Errors
    /// [`MarginingError`] when the parameter set does not serve.
    pub fn margining(&self) -> Result<Margining<'_>, MarginingError> {
        let mut adjusted = Adjusted::new(&self.params, &self.assets, &BTreeMap::new())?;
        forget_labels(&mut adjusted);
        Ok(Margining {
            bench: self,
            adjusted,
            surface: self.blank.clone(),
            points: Vec::new(),
            made: None,
            margins: vec![0.0; self.len()],
            maintenance: vec![0.0; self.len()],
        })
    }

    /// What revalues these portfolios.
    pub fn revaluing(&self) -> Revaluing<'_> {
        let none = vec![0.0; self.instruments.len()];
        let (surface, points) = (self.blank.clone(), Vec::new());
        Revaluing { bench: self, surface, points, before: none.clone(), after: none }
    }

    /// Sets the surface to an instant, and each market to its index and level.
    fn set(&self, surface: &mut Surface, at: Timestamp, state: impl Fn(usize) -> (f64, u16)) {
        surface.as_of = at;
        for (u, asset) in self.assets.iter().enumerate() {
            if let Some(market) = surface.underlyings.get_mut(asset) {
                let (index, points) = state(u);
                set(market, at, index, points);
            }
        }
    }
}

/// Takes the labels off scenarios, which every plan would copy; a venue's own method reads them, or names them in a refusal.
pub(crate) fn forget_labels(adjusted: &mut Adjusted) {
    if matches!(adjusted.margin.aggregation, Aggregation::Venue(_)) {
        return;
    }
    for scenario in adjusted.scenarios.blocks.iter_mut().flat_map(|block| &mut block.scenarios) {
        scenario.label.clear();
    }
}

/// A parameter set without the charges that a history of prices does not show. One underlying alone is charged its own scan
/// loss whatever the states of correlation say, so their scenarios are left out for it.
pub(crate) fn shown(params: &ParamSet, underlyings: usize) -> ParamSet {
    let mut params = params.clone();
    let addons = &mut params.margin.addons;
    addons.liquidity.0.clear();
    addons.confidence.0.clear();
    addons.funding.0.clear();
    if underlyings == 1 && matches!(params.margin.aggregation, Aggregation::Factor { .. }) {
        params.margin.aggregation = Aggregation::Sum;
        params.scenarios.scenarios.retain(|entry| !matches!(entry, EntrySpec::Factor(_)));
    }
    params
}

fn accounts(
    portfolios: &[&PortfolioSpec],
    holdings: &[Vec<(usize, f64)>],
    instruments: &[Instrument],
    units: &Units,
) -> Result<Vec<Portfolio>, MarginingError> {
    let mut accounts = Vec::new();
    for (number, (portfolio, held)) in portfolios.iter().zip(holdings).enumerate() {
        let mut positions = Vec::new();
        for (at, quantity) in held {
            let Some(instrument) = instruments.get(*at) else { continue };
            let lot = units.lot(instrument);
            let lots = quantity / nearest_f64(lot);
            if (lots - lots.round()).abs() > 1e-6 {
                let (name, quantity) = (portfolio.name.clone(), *quantity);
                return Err(MarginingError::Lots { name, quantity, instrument: instrument.clone(), lot });
            }
            let lots = Lots(lots.round() as i64);
            positions.push(Position { instrument: InstrumentIx(*at as u32), lots, unrealised: Ticks(0) });
        }
        let account = AccountId::new(&format!("{number:04}"))?;
        accounts.push(Portfolio { account, positions, collateral: Vec::new(), orders: Vec::new() });
    }
    Ok(accounts)
}

/// What a policy says of a knob and an underlying.
pub type Values<'v> = &'v dyn Fn(Knob, &Asset) -> Option<Ppb>;

/// Initial margins of the portfolios of a [`Bench`].
#[derive(Clone, Debug)]
pub struct Margining<'a> {
    bench: &'a Bench,
    adjusted: Adjusted,
    surface: Surface,
    points: Vec<u16>,
    made: Option<(Plan, RiskArrays)>,
    margins: Vec<f64>,
    maintenance: Vec<f64>,
}

impl Margining<'_> {
    /// Maintenance margins at the last call of [`Margining::margins`], in the same units and order.
    pub fn maintenance(&self) -> &[f64] {
        &self.maintenance
    }

    /// Initial margins in shares of one coin's value, in the order of the portfolios. `values` are those of a policy, `None` where
    /// they are as at the last call; `points` the levels of volatility of the assets.
    ///
    /// # Errors
    /// [`MarginingError`] when a value or a level makes no scenarios.
    pub fn margins(&mut self, values: Option<Values<'_>>, points: &[u16]) -> Result<&[f64], MarginingError> {
        let moved = self.points != points;
        if moved {
            self.points.clear();
            self.points.extend_from_slice(points);
            let level = |u: usize| points.get(u).copied().unwrap_or(100);
            self.bench.set(&mut self.surface, as_of(), |u| (INDEX as f64, level(u)));
        }
        if let Some(values) = values {
            self.adjusted.set(values);
        }
        match &mut self.made {
            Some((plan, arrays)) if values.is_none() => {
                if !moved {
                    return Ok(&self.margins);
                }
                plan.refresh(&self.surface, arrays, None, Path::best())?;
            }
            _ => {
                let bench = self.bench;
                let plan = Plan::new(&bench.instruments, &self.adjusted.scenarios, &bench.units)?;
                let built = plan.build(&self.surface, Path::best())?;
                if let Some((instrument, issue)) = built.issues.into_iter().next() {
                    return Err(MarginingError::Unvalued { instrument, issue: Box::new(issue) });
                }
                self.made = Some((plan, built.arrays));
            }
        }
        self.evaluate()?;
        Ok(&self.margins)
    }

    fn evaluate(&mut self) -> Result<(), MarginingError> {
        let Some((_, arrays)) = &self.made else { return Ok(()) };
        let terms = BookTerms::new(arrays, &self.adjusted.margin);
        let one = INDEX as f64 * self.bench.units.ticks_per_unit as f64;
        let both = self.margins.iter_mut().zip(&mut self.maintenance);
        for ((margin, maintenance), account) in both.zip(&self.bench.accounts) {
            let totals = LiveAccount::new(account.clone(), &terms, Path::best())?.totals()?;
            (*margin, *maintenance) = (totals.im.0 as f64 / one, totals.mm.0 as f64 / one);
        }
        Ok(())
    }
}

/// Full revaluation of the portfolios of a [`Bench`].
#[derive(Clone, Debug)]
pub struct Revaluing<'a> {
    bench: &'a Bench,
    surface: Surface,
    points: Vec<u16>,
    before: Vec<f64>,
    after: Vec<f64>,
}

impl Revaluing<'_> {
    /// Losses of the portfolios in shares of one coin's value (a gain is below 0), appended in their order, when after `seconds` >= 0
    /// every index has moved by its `ratios` and levels of volatility from `then` to `now`.
    ///
    /// # Errors
    /// [`MarginingError::Unvalued`] for an option that ends within the time, or a market that is none.
    pub fn losses(
        &mut self,
        ratios: &[f64],
        (then, now): (&[u16], &[u16]),
        seconds: i64,
        into: &mut Vec<f64>,
    ) -> Result<(), MarginingError> {
        let level = |of: &[u16], u: usize| of.get(u).copied().unwrap_or(100);
        let index = INDEX as f64;
        if self.points != then {
            self.points.clear();
            self.points.extend_from_slice(then);
            self.bench.set(&mut self.surface, as_of(), |u| (index, level(then, u)));
            revalue(self.bench, &self.surface, &mut self.before)?;
        }
        let later = as_of().plus_seconds(seconds);
        let ratio = |u: usize| ratios.get(u).copied().unwrap_or(1.0);
        self.bench.set(&mut self.surface, later, |u| (index * ratio(u), level(now, u)));
        revalue(self.bench, &self.surface, &mut self.after)?;
        for held in &self.bench.holdings {
            let lost = |sum: f64, (at, quantity): &(usize, f64)| {
                let gain = self.after.get(*at).zip(self.before.get(*at)).map_or(0.0, |(a, b)| a - b);
                sum - quantity * gain
            };
            into.push(held.iter().fold(0.0, lost) / index);
        }
        Ok(())
    }
}

/// The value of one coin of every instrument; of perpetuals the price they are on.
fn revalue(bench: &Bench, surface: &Surface, into: &mut [f64]) -> Result<(), MarginingError> {
    for (instrument, place) in bench.instruments.iter().zip(into) {
        let valued = value(surface, instrument, &bench.units).map_err(|issue| MarginingError::Unvalued {
            instrument: instrument.clone(),
            issue: Box::new(issue),
        })?;
        let held = matches!(instrument.contract(), Contract::Spot | Contract::Option { .. });
        *place = if held { valued.mark } else { valued.forward };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]
    use super::*;
    use crate::portfolio::STANDARD;

    fn bench(assets: &[&str]) -> (Vec<PortfolioSpec>, Bench) {
        let params = ParamSet::preset("plimsoll").unwrap();
        let assets: Vec<Asset> = assets.iter().map(|name| Asset::new(name).unwrap()).collect();
        let mut all = PortfolioSpec::from_toml(STANDARD).unwrap();
        all.retain(|p| p.assets() <= assets.len());
        let bench = Bench::new(&assets, &all.iter().collect::<Vec<_>>(), &params).unwrap();
        (all, bench)
    }

    fn place(all: &[PortfolioSpec], name: &str, side: &str) -> usize {
        all.iter().position(|p| p.name == name && p.side == side).unwrap()
    }

    #[test]
    fn a_perpetual_is_charged_the_scan_of_its_side() {
        for (name, down, up) in
            [("BTC", 0.0812, 0.0931), ("LINK", 0.21, 0.3), ("SOL", 0.5, 0.7), ("BTC", 0.31, 0.02)]
        {
            let (all, bench) = bench(&[name]);
            let mut margining = bench.margining().unwrap();
            let values = |knob, _: &Asset| match knob {
                Knob::PriceScanDown => Ppb::from_f64(down).ok(),
                Knob::PriceScanUp => Ppb::from_f64(up).ok(),
                _ => None,
            };
            let margins = margining.margins(Some(&values), &[80]).unwrap();
            for (side, scan) in [("long", down), ("short", up)] {
                let margin = margins[place(&all, "perpetual", side)];
                assert!((margin - scan).abs() < 1e-6, "{name} {side}: {margin} for {scan}");
            }
        }
    }

    #[test]
    fn a_loss_is_that_of_full_revaluation() {
        let (all, bench) = bench(&["BTC"]);
        let mut revaluing = bench.revaluing();
        let mut losses = Vec::new();
        revaluing.losses(&[0.8], (&[60], &[90]), 86_400, &mut losses).unwrap();
        let of = |name, side| losses[place(&all, name, side)];
        assert!(
            (of("perpetual", "long") - 0.2).abs() < 1e-12 && (of("perpetual", "short") + 0.2).abs() < 1e-12
        );
        // It was sold for 0.137 (30 days at 60 %); with the index at 0.8 it is worth 0.2 and the time value of 29 days at 90 %.
        assert!((0.10..0.12).contains(&of("straddle", "short")), "{}", of("straddle", "short"));
        assert!((of("risk_reversal", "long") + of("risk_reversal", "short")).abs() < 1e-12);
        assert!(of("covered_call", "long") < 0.2 && of("covered_call", "long") > 0.15);
        losses.clear();
        revaluing.losses(&[1.0], (&[60], &[60]), 0, &mut losses).unwrap();
        assert!(losses.iter().all(|loss| *loss == 0.0), "{losses:?}");
    }

    #[test]
    fn no_move_within_the_scan_loses_more_than_the_margin() {
        let (all, bench) = bench(&["BTC", "ETH"]);
        let mut margining = bench.margining().unwrap();
        let margins = margining.margins(None, &[70, 80]).unwrap().to_vec();
        let mut revaluing = bench.revaluing();
        for ratio in [0.851, 0.9, 0.95, 1.0, 1.05, 1.1, 1.149] {
            for points in [62, 70, 80] {
                let mut losses = Vec::new();
                revaluing.losses(&[ratio, 1.0], (&[70, 80], &[points, 80]), 3600, &mut losses).unwrap();
                for (portfolio, (loss, margin)) in all.iter().zip(losses.iter().zip(&margins)) {
                    let name = &portfolio.name;
                    assert!(loss <= margin, "{name} at {ratio}, {points}: {loss} of {margin}");
                }
            }
        }
    }

    #[test]
    fn one_underlying_alone_needs_no_states_of_correlation() {
        let (all, alone) = bench(&["BTC"]);
        let (both, together) = bench(&["BTC", "ETH"]);
        for scan in [0.05, 0.15, 0.4] {
            let values =
                |knob, _: &Asset| (knob == Knob::PriceScanDown).then(|| Ppb::from_f64(scan).unwrap());
            let (mut alone, mut together) = (alone.margining().unwrap(), together.margining().unwrap());
            let alone = alone.margins(Some(&values), &[70]).unwrap();
            let together = together.margins(Some(&values), &[70, 70]).unwrap();
            for (portfolio, margin) in all.iter().zip(alone) {
                let same = place(&both, &portfolio.name, &portfolio.side);
                assert_eq!(*margin, together[same], "{} at {scan}", portfolio.name);
            }
        }
    }

    #[test]
    fn a_refresh_is_the_same_as_a_build() {
        let (_, bench) = bench(&["BTC"]);
        let mut kept = bench.margining().unwrap();
        kept.margins(None, &[60]).unwrap();
        let refreshed = kept.margins(None, &[120]).unwrap().to_vec();
        let mut fresh = bench.margining().unwrap();
        assert_eq!(refreshed, fresh.margins(None, &[120]).unwrap());
    }
}
