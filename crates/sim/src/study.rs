//! A backtest: policies on histories, portfolios and horizons, and what is said of each.
//!
//! **The one idea:** losses are found once per group of assets, tracks once per policy and horizon, margins once per pair of them,
//! and figures compare only what is in step. Each of these is a list of independent tasks whose results are put together in
//! order, so the number of threads is not seen in a number.

use crate::check::{at_horizon, hears};
use crate::compare::Material;
use crate::figures::{Faults, Figures, Maintenance};
use crate::history::History;
use crate::margining::{Bench, MarginingError};
use crate::portfolio::PortfolioSpec;
use crate::replay::{Reading, ReplayError, Track, replay};
use plimsoll_engine::{EngineError, ParamError, ParamSet};
use plimsoll_policy::{Policy, PolicyError};
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Asset, Timestamp};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Study {
    /// The policies, of distinct names.
    pub policies: Vec<Policy>,
    /// The histories, of distinct assets.
    pub histories: Vec<History>,
    /// The portfolios.
    pub portfolios: Vec<PortfolioSpec>,
    /// Margin periods of risk, seconds; > 0.
    pub horizons: Vec<i64>,
    /// Seconds from the first row of an asset until its margins are judged.
    pub warm_up_seconds: i64,
    /// Margins are judged from this instant on.
    pub from: Option<Timestamp>,
    /// And losses up to this one.
    pub to: Option<Timestamp>,
    /// Parameters were chosen up to here; figures are given for both parts too.
    pub split: Timestamp,
    /// Scenarios and charges.
    pub params: ParamSet,
}

/// Why a study has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A portfolio cannot be margined.
    #[error(transparent)]
    Margining(#[from] MarginingError),
    /// A policy cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A policy does not serve at a horizon.
    #[error("policy `{policy}` over {steps} steps: {source}")]
    Policy {
        /// Which.
        policy: String,
        /// The horizon in its steps.
        steps: u32,
        /// Why.
        source: Box<PolicyError>,
    },
    /// The base line has no parameter set.
    #[error(transparent)]
    Params(#[from] ParamError),
    /// A statistic has no answer.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// There are two of a name.
    #[error("there are two {what} called `{name}`")]
    Twice {
        /// Of what.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An argument is outside its range.
    #[error("{what} is {value}: expected {expected}")]
    Argument {
        /// Which.
        what: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A name that would be taken for another, or for a part of a page.
    #[error("{what} `{name}`: {expected}")]
    Name {
        /// Of what.
        what: &'static str,
        /// The name, cut.
        name: String,
        /// What a name may be.
        expected: &'static str,
    },
    /// The parameter set has no place for the values of a policy.
    #[error(
        "the parameter set `{name}` asks the same whatever the price scans are: with it every policy would be the same"
    )]
    Deaf {
        /// Of the parameter set.
        name: String,
    },
    /// Every portfolio needs more assets than there are.
    #[error("nothing to judge: {}", .left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Nothing {
        /// Each of them.
        left_out: Vec<LeftOut>,
    },
    /// Too short a history to judge.
    #[error("{asset}: {rows} rows, {warm_up_days} days of warm-up and a horizon leave nothing to judge")]
    TooShort {
        /// Of what.
        asset: Asset,
        /// How many it has.
        rows: usize,
        /// Days that are not judged.
        warm_up_days: i64,
    },
    /// Nothing to judge between the instants that were asked for.
    #[error(
        "{asset}: rows are from {first} to {last}; after the warm-up nothing is left to judge {}{}",
        .from.map_or(String::new(), |at| format!("from {at} ")),
        .to.map_or(String::new(), |at| format!("up to {at}"))
    )]
    Window {
        /// Of what.
        asset: Asset,
        /// Its first row.
        first: Timestamp,
        /// Its last row.
        last: Timestamp,
        /// Judged from here on, as asked.
        from: Option<Timestamp>,
        /// Up to here, as asked.
        to: Option<Timestamp>,
    },
}

/// A portfolio that was not judged on some assets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LeftOut {
    /// Name of the portfolio.
    pub portfolio: String,
    /// Its side.
    pub side: String,
    /// The assets, or all there are, joined by `/`.
    pub asset: String,
    /// Why.
    pub why: Absence,
}

/// Why a portfolio was not judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// There are fewer assets than it holds.
    #[error("it holds {needed} assets, {given} given")]
    Assets {
        /// How many it holds.
        needed: usize,
        /// How many there are.
        given: usize,
    },
    /// Its assets have too few rows at the same instants.
    #[error("its assets have {common} rows in common, {judged} of them to judge")]
    Common {
        /// Rows at the same instants.
        common: usize,
        /// Those after the warm-up, with a loss.
        judged: usize,
    },
    /// The rows that its assets have in common are spaced so that a horizon is no whole number of them.
    #[error("its assets have rows in common every {step} s, and a horizon is {horizon} s")]
    Spacing {
        /// The spacing, seconds.
        step: i64,
        /// The horizon, seconds.
        horizon: i64,
    },
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { portfolio, side, asset, why } = self;
        write!(f, "portfolio `{portfolio}` {side} on {asset} is left out: {why}")
    }
}

/// How a policy's margin answers to a step of volatility from 1 % a step to 2 %.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Impulse {
    /// Peak over terminal margin, less 1.
    pub overshoot: f64,
    /// Days until 90 % of the rise is made.
    pub settling_days: f64,
}

/// One policy, portfolio and horizon on its assets.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Name of the policy.
    pub policy: String,
    /// The asset, or two joined by `/`.
    pub asset: String,
    /// Name of the portfolio.
    pub portfolio: String,
    /// Its side.
    pub side: String,
    /// Seconds.
    pub horizon_seconds: i64,
    /// First margin that is judged.
    pub first: Timestamp,
    /// Last one.
    pub last: Timestamp,
    /// What was wrong with the prices, and what the policy did without.
    pub faults: Faults,
    /// All of it.
    pub whole: Figures,
    /// Up to the split: margins whose loss was known by then.
    pub before: Option<Figures>,
    /// From the split on.
    pub after: Option<Figures>,
    /// Existing positions on the announced ramp.
    pub maintenance: Option<Maintenance>,
    /// Mean margin over the margin that the preset `fixed` asks.
    pub capital_against_fixed: Option<f64>,
    /// Mean margin over that of each other policy.
    pub capital_against: BTreeMap<String, f64>,
    /// The other policy of the least quantile score.
    pub best_other: Option<String>,
    /// Diebold and Mariano against it: > 0 where this policy is worse.
    pub diebold_mariano: Option<f64>,
    /// Probability of one as large when both are equally good: small where this policy is worse.
    pub diebold_mariano_p: Option<f64>,
    /// The answer to a step of volatility; `None` where the margin does not rise.
    pub impulse: Option<Impulse>,
    /// Changes of parameters that speak of the asset, per month judged.
    pub changes_per_month: f64,
    /// Share of them whose causes add up to the change exactly; `None` without a change.
    pub attributed_share: Option<f64>,
}

/// Margins and losses of one policy over one group, in step.
#[derive(Clone, Debug)]
pub struct Margins {
    /// Place of the policy.
    pub policy: usize,
    /// Place of the group.
    pub group: usize,
    /// Place of the horizon.
    pub horizon: usize,
    /// By portfolio of the group: the initial margin at every row.
    pub margins: Vec<Vec<f64>>,
    /// By portfolio: what existing positions are held to at every row, on the announced ramp.
    pub maintenance: Vec<Vec<f64>>,
    /// By portfolio: the same if what was announced bound at once.
    pub unramped: Vec<Vec<f64>>,
}

/// Assets that are margined together, and what was lost on them.
#[derive(Clone, Debug)]
pub struct Group {
    /// Places of the histories.
    pub members: Vec<usize>,
    /// Places of the portfolios.
    pub portfolios: Vec<usize>,
    /// Name: the assets joined by `/`.
    pub name: String,
    /// Seconds between the instants, the most frequent; 0 without two of them.
    pub step_seconds: i64,
    /// Instants at which all members have a row.
    pub times: Vec<Timestamp>,
    /// Close of the first member, quote units.
    pub prices: Vec<f64>,
    /// Level of the stated surface by row and member, whole points.
    pub points: Vec<Vec<u16>>,
    /// By horizon and portfolio: the loss that follows each row, as many as have ended.
    pub losses: Vec<Vec<Vec<f64>>>,
    /// By horizon: rows that a loss spans.
    pub spans: Vec<usize>,
    /// First row that is judged.
    pub judged_from: usize,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Figures in the order of group, horizon, portfolio and policy.
    pub rows: Vec<Row>,
    /// What was margined together.
    pub groups: Vec<Group>,
    /// By policy and horizon: what it did.
    pub tracks: Vec<Vec<Track>>,
    /// Every margin.
    pub margins: Vec<Margins>,
    /// What was not judged.
    pub left_out: Vec<LeftOut>,
}

/// Told once for every task that is done: a track, a set of losses, of margins or of responses.
pub type Tell<'a> = &'a (dyn Fn() + Sync);

impl Study {
    /// How many tasks there are.
    pub fn tasks(&self) -> u64 {
        let groups = self.groups().0.len();
        let pairs = self.policies.len() * self.horizons.len();
        (pairs + groups + 2 * groups * pairs) as u64
    }

    /// Runs all of it.
    ///
    /// # Errors
    /// [`StudyError`], the first in order.
    pub fn run(&self, tell: Tell<'_>) -> Result<Outcome, StudyError> {
        self.check()?;
        let policies = self.at_horizons()?;
        let (groups, mut left_out) = self.groups();
        let benches: Vec<Bench> = groups.iter().map(|group| self.bench(group)).collect::<Result<_, _>>()?;
        benches.first().map_or(Ok(()), |bench| hears(bench, &self.params))?;
        // Neither needs the other, and a single policy is one thread's work.
        let (tracks, groups) =
            rayon::join(|| self.tracks(&policies, tell), || self.filled(groups, &benches, tell));
        let (tracks, groups) = (tracks?, groups?);
        let (groups, benches): (Vec<Group>, Vec<Bench>) =
            groups.into_iter().zip(benches).filter(|(group, _)| self.can_judge(group, &mut left_out)).unzip();
        if groups.is_empty() {
            return Err(StudyError::Nothing { left_out });
        }
        let margins = self.all_margins(&groups, &benches, &tracks, tell)?;
        let impulses = self.impulses(&groups, &benches, &policies, tell)?;
        let material = Material {
            groups: &groups,
            tracks: &tracks,
            margins: &margins,
            impulses: &impulses,
            left_out: left_out.len(),
        };
        let rows = self.figures(&material)?;
        Ok(Outcome { rows, groups, tracks, margins, left_out })
    }

    /// By policy and horizon: the policy over that margin period of risk, in its own steps.
    fn at_horizons(&self) -> Result<Vec<Vec<Policy>>, StudyError> {
        let all =
            |policy: &Policy| self.horizons.iter().map(|seconds| at_horizon(policy, *seconds)).collect();
        self.policies.iter().map(all).collect()
    }

    fn filled(
        &self,
        groups: Vec<Group>,
        benches: &[Bench],
        tell: Tell<'_>,
    ) -> Result<Vec<Group>, StudyError> {
        let each = groups.into_par_iter().zip(benches).map(|(group, bench)| {
            let filled = self.fill(group, bench);
            tell();
            filled
        });
        each.collect()
    }

    pub(crate) fn assets(&self, group: &Group) -> Vec<Asset> {
        group.members.iter().filter_map(|m| self.histories.get(*m)).map(|h| h.asset.clone()).collect()
    }

    pub(crate) fn bench(&self, group: &Group) -> Result<Bench, MarginingError> {
        self.bench_with(group, &self.params)
    }

    pub(crate) fn bench_with(&self, group: &Group, params: &ParamSet) -> Result<Bench, MarginingError> {
        let held: Vec<&PortfolioSpec> =
            group.portfolios.iter().filter_map(|p| self.portfolios.get(*p)).collect();
        Bench::new(&self.assets(group), &held, params)
    }

    fn tracks(&self, policies: &[Vec<Policy>], tell: Tell<'_>) -> Result<Vec<Vec<Track>>, StudyError> {
        let all: Vec<&Policy> = policies.iter().flatten().collect();
        let one = |policy: &&Policy| {
            let track = replay(policy, &self.histories);
            tell();
            track
        };
        let flat: Vec<Track> = all.par_iter().map(one).collect::<Result<_, _>>()?;
        let mut left = flat.into_iter();
        Ok(policies.iter().map(|row| left.by_ref().take(row.len()).collect()).collect())
    }

    fn all_margins(
        &self,
        groups: &[Group],
        benches: &[Bench],
        tracks: &[Vec<Track>],
        tell: Tell<'_>,
    ) -> Result<Vec<Margins>, StudyError> {
        let mut places = Vec::new();
        for group in 0..groups.len() {
            for horizon in 0..self.horizons.len() {
                places.extend((0..tracks.len()).map(|policy| (policy, group, horizon)));
            }
        }
        let one = |(policy, group, horizon): &(usize, usize, usize)| {
            let (policy, group, horizon) = (*policy, *group, *horizon);
            let (of, bench, track) = (&groups[group], &benches[group], &tracks[policy][horizon]);
            let entries = of
                .members
                .iter()
                .filter_map(|m| Some((&self.histories.get(*m)?.asset, track.in_force.get(*m)?.as_slice())));
            let series = series(bench, &of.times, &of.points, Reading::new(entries));
            tell();
            let Series { margins, maintenance, unramped } = series?;
            Ok(Margins { policy, group, horizon, margins, maintenance, unramped })
        };
        places.par_iter().map(one).collect()
    }
}

/// Margins of a group at every instant, by portfolio.
#[derive(Default)]
pub(crate) struct Series {
    pub(crate) margins: Vec<Vec<f64>>,
    maintenance: Vec<Vec<f64>>,
    unramped: Vec<Vec<f64>>,
}

pub(crate) fn series(
    bench: &Bench,
    times: &[Timestamp],
    points: &[Vec<u16>],
    mut reading: Reading<'_>,
) -> Result<Series, MarginingError> {
    let none = vec![Vec::with_capacity(times.len()); bench.len()];
    let mut all = Series { margins: none.clone(), maintenance: none.clone(), unramped: none };
    let (mut margining, mut ramped) = (bench.margining()?, bench.margining()?);
    let mut seen = Vec::new();
    for (time, points) in times.iter().zip(points) {
        let moved = reading.advance(*time);
        let value = |knob, asset: &Asset| reading.value(knob, asset);
        append(&mut all.margins, margining.margins(moved.then_some(&value), points)?);
        append(&mut all.unramped, margining.maintenance());
        if !reading.is_on_ramp(*time) {
            append(&mut all.maintenance, margining.maintenance());
            continue;
        }
        let moved = reading.on_ramp(*time, &mut seen);
        let value = |knob, asset: &Asset| reading.maintenance(knob, asset, *time);
        ramped.margins(moved.then_some(&value), points)?;
        append(&mut all.maintenance, ramped.maintenance());
    }
    Ok(all)
}

fn append(all: &mut [Vec<f64>], now: &[f64]) {
    for (series, margin) in all.iter_mut().zip(now) {
        series.push(*margin);
    }
}

impl From<EngineError> for StudyError {
    fn from(error: EngineError) -> Self {
        MarginingError::from(error).into()
    }
}
