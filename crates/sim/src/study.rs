//! A backtest: policies on histories, portfolios and horizons, and what is said of each.
//!
//! **The one idea:** losses are found once per group of assets, tracks once per policy and horizon, margins once per pair of them,
//! and figures compare only what is in step. Each of these is a list of independent tasks whose results are put together in
//! order, so the number of threads is not seen in a number.

use crate::compare::Material;
use crate::figures::Figures;
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

const DAY: i64 = 86_400;

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
    /// All of it.
    pub whole: Figures,
    /// Up to the split: margins whose loss was known by then.
    pub before: Option<Figures>,
    /// From the split on.
    pub after: Option<Figures>,
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
    /// By portfolio of the group: the margin at every row.
    pub margins: Vec<Vec<f64>>,
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
}

/// Told once for every task that is done: a track, a set of losses, of margins or of responses.
pub type Tell<'a> = &'a (dyn Fn() + Sync);

impl Study {
    /// How many tasks there are.
    pub fn tasks(&self) -> u64 {
        let groups = self.groups().len();
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
        let groups = self.groups();
        let benches: Vec<Bench> = groups.iter().map(|group| self.bench(group)).collect::<Result<_, _>>()?;
        // Neither needs the other, and a single policy is one thread's work.
        let (tracks, groups) =
            rayon::join(|| self.tracks(&policies, tell), || self.filled(groups, &benches, tell));
        let (tracks, groups) = (tracks?, groups?);
        let margins = self.all_margins(&groups, &benches, &tracks, tell)?;
        let impulses = self.impulses(&groups, &benches, &policies, tell)?;
        let material = Material { groups: &groups, tracks: &tracks, margins: &margins, impulses: &impulses };
        let rows = self.figures(&material)?;
        Ok(Outcome { rows, groups, tracks, margins })
    }

    fn check(&self) -> Result<(), StudyError> {
        let refuse = |what, value: String, expected| Err(StudyError::Argument { what, value, expected });
        if self.policies.is_empty() || self.histories.is_empty() || self.portfolios.is_empty() {
            return refuse("a list of policies, histories or portfolios", "empty".to_owned(), "one at least");
        }
        if let Some(bad) = self.horizons.iter().find(|h| **h <= 0 || **h > 250 * DAY) {
            return refuse("the horizon", format!("{bad} s"), "above 0 and at most 250 days");
        }
        for (i, policy) in self.policies.iter().enumerate() {
            if self.policies.iter().take(i).any(|other| other.name() == policy.name()) {
                return Err(StudyError::Twice { what: "policies", name: policy.name().to_owned() });
            }
        }
        for (i, history) in self.histories.iter().enumerate() {
            if self.histories.iter().take(i).any(|other| other.asset == history.asset) {
                return Err(StudyError::Twice { what: "histories", name: history.asset.to_string() });
            }
        }
        let longest = self.horizons.iter().max().copied().unwrap_or(0);
        for portfolio in &self.portfolios {
            if let Some(days) = portfolio.shortest_days().filter(|days| days * DAY <= longest) {
                let value = format!("{longest} s, and an option of `{}` lives {days} days", portfolio.name);
                return refuse("the horizon", value, "shorter than every option");
            }
        }
        Ok(())
    }

    /// By policy and horizon: the policy over that margin period of risk, in its own steps.
    fn at_horizons(&self) -> Result<Vec<Vec<Policy>>, StudyError> {
        let one = |policy: &Policy, seconds: i64| {
            let steps = seconds.div_euclid(policy.step_seconds().max(1)).max(1);
            let steps = u32::try_from(steps).unwrap_or(u32::MAX);
            policy.with_horizon(steps).map_err(|source| StudyError::Policy {
                policy: policy.name().to_owned(),
                steps,
                source: Box::new(source),
            })
        };
        let all = |policy: &Policy| self.horizons.iter().map(|seconds| one(policy, *seconds)).collect();
        self.policies.iter().map(all).collect()
    }

    /// Every asset with the portfolios of one, then every pair of neighbours in the list with those of two, and so on.
    fn groups(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        let sizes: Vec<usize> = self.portfolios.iter().map(PortfolioSpec::assets).collect();
        let most = sizes.iter().max().copied().unwrap_or(0).min(self.histories.len());
        for size in 1..=most {
            let portfolios: Vec<usize> = (0..sizes.len()).filter(|p| sizes[*p] == size).collect();
            if portfolios.is_empty() {
                continue;
            }
            for first in 0..=self.histories.len() - size {
                let members: Vec<usize> = (first..first + size).collect();
                let names: Vec<String> =
                    members.iter().map(|m| self.histories[*m].asset.to_string()).collect();
                groups.push(Group {
                    members,
                    portfolios: portfolios.clone(),
                    name: names.join("/"),
                    times: Vec::new(),
                    prices: Vec::new(),
                    points: Vec::new(),
                    losses: Vec::new(),
                    spans: Vec::new(),
                    judged_from: 0,
                });
            }
        }
        groups
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
            let margins = margins(bench, &of.times, &of.points, Reading::new(entries));
            tell();
            Ok(Margins { policy, group, horizon, margins: margins? })
        };
        places.par_iter().map(one).collect()
    }
}

/// Margins of a group at every instant, by portfolio.
pub(crate) fn margins(
    bench: &Bench,
    times: &[Timestamp],
    points: &[Vec<u16>],
    mut reading: Reading<'_>,
) -> Result<Vec<Vec<f64>>, MarginingError> {
    let mut all = vec![Vec::with_capacity(times.len()); bench.len()];
    let mut margining = bench.margining()?;
    for (time, points) in times.iter().zip(points) {
        let moved = reading.advance(*time);
        let value = |knob, asset: &Asset| reading.value(knob, asset);
        let now = margining.margins(moved.then_some(&value), points)?;
        for (margins, margin) in all.iter_mut().zip(now) {
            margins.push(*margin);
        }
    }
    Ok(all)
}

impl From<EngineError> for StudyError {
    fn from(error: EngineError) -> Self {
        MarginingError::from(error).into()
    }
}
