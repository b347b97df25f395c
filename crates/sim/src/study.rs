//! A backtest: policies on histories, portfolios and horizons, and what is said of each.
//!
//! **The one idea:** losses are found once per group of assets, tracks once per policy and horizon, margins once per pair of them,
//! and figures compare only what is in step. Each of these is a list of independent tasks whose results are put together in
//! order, so the number of threads is not seen in a number.

use crate::figures::{Figures, Judged, Laws, worse};
use crate::history::History;
use crate::margining::{Bench, MarginingError};
use crate::portfolio::PortfolioSpec;
use crate::replay::{Reading, ReplayError, Track, replay};
use crate::surface::StatedVol;
use plimsoll_engine::{EngineError, ParamError, ParamSet};
use plimsoll_policy::{Policy, PolicyError};
use plimsoll_quant::procyclicality::{ImpulseResponse, impulse_path, impulse_response};
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
        source: PolicyError,
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
        let tracks: Vec<Vec<Track>> = self.tracks(&policies, tell)?;
        let each = groups.into_par_iter().zip(&benches).map(|(group, bench)| {
            let filled = self.fill(group, bench);
            tell();
            filled
        });
        let groups: Vec<Group> = each.collect::<Result<_, _>>()?;
        let margins = self.all_margins(&groups, &benches, &tracks, tell)?;
        let impulses = self.impulses(&groups, &benches, &policies, tell)?;
        let rows = self.figures(&groups, &benches, &tracks, &margins, &impulses)?;
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
                source,
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
                let names: Vec<String> = members.iter().map(|m| self.histories[*m].asset.to_string()).collect();
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

    fn assets(&self, group: &Group) -> Vec<Asset> {
        group.members.iter().filter_map(|m| self.histories.get(*m)).map(|h| h.asset.clone()).collect()
    }

    fn bench(&self, group: &Group) -> Result<Bench, MarginingError> {
        self.bench_with(group, &self.params)
    }

    fn bench_with(&self, group: &Group, params: &ParamSet) -> Result<Bench, MarginingError> {
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

    /// Finds the instants, levels and losses of a group.
    fn fill(&self, mut group: Group, bench: &Bench) -> Result<Group, StudyError> {
        let members: Vec<&History> = group.members.iter().filter_map(|m| self.histories.get(*m)).collect();
        let Some(lead) = members.first() else { return Ok(group) };
        let mut closes: Vec<Vec<f64>> = Vec::new();
        let mut vols = Vec::new();
        for history in &members {
            vols.push((StatedVol::new(history.step_seconds)?, 0_usize, 0_u16));
        }
        for (time, bar) in &lead.rows {
            let mut row = Vec::with_capacity(members.len());
            for (history, (vol, at, level)) in members.iter().zip(&mut vols) {
                while let Some((when, bar)) = history.rows.get(*at).filter(|row| row.0 <= *time) {
                    *level = vol.update(*when, bar.close)?;
                    *at += 1;
                }
                let last = at.checked_sub(1).and_then(|i| history.rows.get(i));
                row.extend(last.filter(|row| row.0 == *time).map(|row| row.1.close));
            }
            if row.len() == members.len() {
                group.times.push(*time);
                group.prices.push(bar.close);
                group.points.push(vols.iter().map(|(_, _, level)| *level).collect());
                closes.push(row);
            }
        }
        let start = members.iter().filter_map(|h| h.rows.first()).map(|row| row.0).max();
        let from = start.map(|at| at.plus_seconds(self.warm_up_seconds)).max(self.from);
        group.judged_from = from.map_or(0, |from| group.times.partition_point(|time| *time < from));
        for seconds in &self.horizons {
            group.spans.push((seconds / lead.step_seconds).max(1) as usize);
            let losses = self.losses(&group, bench, &closes, *seconds)?;
            group.losses.push(losses);
        }
        Ok(group)
    }

    /// By portfolio, the loss that follows each row: up to the first row at or after the horizon.
    fn losses(
        &self,
        group: &Group,
        bench: &Bench,
        closes: &[Vec<f64>],
        seconds: i64,
    ) -> Result<Vec<Vec<f64>>, StudyError> {
        let mut revaluing = bench.revaluing();
        let mut all = vec![Vec::with_capacity(closes.len()); bench.len()];
        let (mut ratios, mut lost, mut end) = (Vec::new(), Vec::new(), 0);
        let still = group.points.first().cloned().unwrap_or_default();
        for (i, before) in closes.iter().enumerate() {
            let due = group.times[i].plus_seconds(seconds);
            while group.times.get(end).is_some_and(|time| *time < due) {
                end += 1;
            }
            let Some((time, after)) = group.times.get(end).zip(closes.get(end)) else { break };
            if self.to.is_some_and(|to| *time > to) {
                break;
            }
            lost.clear();
            if i < group.judged_from {
                // Never judged: only the row is kept in step.
                lost.resize(bench.len(), 0.0);
            } else {
                ratios.clear();
                ratios.extend(after.iter().zip(before).map(|(after, before)| after / before));
                let then = group.points.get(i).unwrap_or(&still);
                let now = group.points.get(end).unwrap_or(&still);
                let passed = time.seconds() - group.times[i].seconds();
                revaluing.losses(&ratios, (then, now), passed, &mut lost)?;
            }
            for (losses, loss) in all.iter_mut().zip(&lost) {
                losses.push(*loss);
            }
        }
        Ok(all)
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
            let entries = of.members.iter().filter_map(|m| {
                Some((&self.histories.get(*m)?.asset, track.in_force.get(*m)?.as_slice()))
            });
            let margins = margins(bench, &of.times, &of.points, Reading::new(entries));
            tell();
            Ok(Margins { policy, group, horizon, margins: margins? })
        };
        places.par_iter().map(one).collect()
    }

    /// By group, horizon, policy and portfolio: the response on a path of the lead asset's name.
    fn impulses(
        &self,
        groups: &[Group],
        benches: &[Bench],
        policies: &[Vec<Policy>],
        tell: Tell<'_>,
    ) -> Result<Vec<Vec<Option<Impulse>>>, StudyError> {
        let mut places = Vec::new();
        for group in 0..groups.len() {
            for horizon in 0..self.horizons.len() {
                places.extend((0..policies.len()).map(|policy| (policy, group, horizon)));
            }
        }
        let one = |(policy, group, horizon): &(usize, usize, usize)| {
            let (of, bench) = (&groups[*group], &benches[*group]);
            let answers = self.impulse(of, bench, &policies[*policy][*horizon]);
            tell();
            answers
        };
        places.par_iter().map(one).collect()
    }

    fn impulse(
        &self,
        group: &Group,
        bench: &Bench,
        policy: &Policy,
    ) -> Result<Vec<Option<Impulse>>, StudyError> {
        let step = policy.step_seconds();
        let histories: Vec<History> = self.assets(group).into_iter().map(|a| step_path(a, step)).collect();
        let track = replay(policy, &histories)?;
        let mut vol = StatedVol::new(step)?;
        let rows = histories.first().map(|h| h.rows.as_slice()).unwrap_or_default();
        let times: Vec<Timestamp> = rows.iter().map(|row| row.0).collect();
        let mut points = Vec::with_capacity(rows.len());
        for (time, bar) in rows {
            points.push(vec![vol.update(*time, bar.close)?; histories.len()]);
        }
        let entries = histories.iter().zip(&track.in_force).map(|(h, of)| (&h.asset, of.as_slice()));
        let margins = margins(bench, &times, &points, Reading::new(entries))?;
        let days = step as f64 / DAY as f64;
        let of = |series: &Vec<f64>| {
            let flat = series.windows(2).all(|pair| pair[0] == pair[1]);
            if flat {
                return Some(Impulse { overshoot: 0.0, settling_days: 0.0 });
            }
            let ImpulseResponse { overshoot, days_to_90, .. } = impulse_response(series, STEP_ROW).ok()?;
            Some(Impulse { overshoot, settling_days: days_to_90 as f64 * days })
        };
        Ok(margins.iter().map(of).collect())
    }

    fn figures(
        &self,
        groups: &[Group],
        benches: &[Bench],
        tracks: &[Vec<Track>],
        margins: &[Margins],
        impulses: &[Vec<Option<Impulse>>],
    ) -> Result<Vec<Row>, StudyError> {
        let mut spans: Vec<usize> = groups.iter().flat_map(|group| group.spans.iter().copied()).collect();
        spans.sort_unstable();
        spans.dedup();
        let laws = Laws::simulate(&spans)?;
        let fixed = ParamSet::preset("fixed")?;
        let mut places = Vec::new();
        for (g, group) in groups.iter().enumerate() {
            let mut bench = self.bench_with(group, &fixed)?.margining()?.margins(None, &[100, 100, 100, 100])?.to_vec();
            bench.truncate(benches[g].len());
            for horizon in 0..self.horizons.len() {
                for (p, fixed) in bench.iter().enumerate() {
                    places.push((g, horizon, p, *fixed));
                }
            }
        }
        let one = |(g, horizon, p, fixed): &(usize, usize, usize, f64)| {
            let place = Place { group: *g, horizon: *horizon, portfolio: *p, fixed: *fixed };
            self.compare(&place, groups, tracks, (margins, impulses), &laws)
        };
        let rows: Vec<Vec<Row>> = places.par_iter().map(one).collect::<Result<_, StudyError>>()?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// All policies on one portfolio and horizon.
    fn compare(
        &self,
        place: &Place,
        groups: &[Group],
        tracks: &[Vec<Track>],
        (margins, impulses): (&[Margins], &[Vec<Option<Impulse>>]),
        laws: &Laws,
    ) -> Result<Vec<Row>, StudyError> {
        let group = &groups[place.group];
        let losses = &group.losses[place.horizon][place.portfolio];
        let range = group.judged_from..losses.len();
        if range.len() < 2 {
            let lead = &self.histories[group.members[0]];
            let (rows, warm_up_days) = (lead.rows.len(), self.warm_up_seconds / DAY);
            return Err(StudyError::TooShort { asset: lead.asset.clone(), rows, warm_up_days });
        }
        let policies = self.policies.len();
        let start = (place.group * self.horizons.len() + place.horizon) * policies;
        let of: Vec<&[f64]> = margins[start..start + policies]
            .iter()
            .map(|m| m.margins[place.portfolio].as_slice())
            .collect();
        let lead = &self.histories[group.members[0]];
        let per_day = (DAY / lead.step_seconds).max(1) as usize;
        let judged = |policy: usize, rows: std::ops::Range<usize>| Judged {
            margins: &of[policy][rows.clone()],
            losses: &losses[rows],
            span: group.spans[place.horizon],
            per_day,
        };
        let split = group.times.partition_point(|time| *time < self.split);
        let known = self.split.plus_seconds(-self.horizons[place.horizon]);
        let early = group.times.partition_point(|time| *time <= known).min(range.end);
        let mut scores = Vec::with_capacity(policies);
        let mut whole = Vec::with_capacity(policies);
        for policy in 0..policies {
            scores.push(judged(policy, range.clone()).scores()?);
            whole.push(judged(policy, range.clone()).figures(laws)?);
        }
        let mut rows = Vec::with_capacity(policies);
        for (policy, figures) in whole.iter().enumerate() {
            let Some(figures) = figures else { continue };
            let part = |rows: std::ops::Range<usize>| match rows.len() {
                0 | 1 => Ok(None),
                _ => judged(policy, rows).figures(laws),
            };
            let mean = |of: &Option<Figures>| of.as_ref().and_then(|f| f.mean_margin).unwrap_or(f64::NAN);
            let own = figures.mean_margin.unwrap_or(f64::NAN);
            let others = (0..policies).filter(|other| *other != policy);
            let against = others.clone().map(|o| (self.policies[o].name().to_owned(), own / mean(&whole[o])));
            let score = |o: &usize| whole[*o].as_ref().and_then(|f| f.quantile_score).unwrap_or(f64::MAX);
            let best = others.clone().min_by(|a, b| score(a).total_cmp(&score(b)));
            let span = group.spans[place.horizon];
            let test = best.and_then(|best| worse(&scores[policy], &scores[best], span));
            let (first, last) = (group.times[range.start], group.times[range.end - 1]);
            let (changes_per_month, attributed_share) =
                self.changes(&tracks[policy][place.horizon], group, (first, last));
            let portfolio = &self.portfolios[group.portfolios[place.portfolio]];
            rows.push(Row {
                policy: self.policies[policy].name().to_owned(),
                asset: group.name.clone(),
                portfolio: portfolio.name.clone(),
                side: portfolio.side.clone(),
                horizon_seconds: self.horizons[place.horizon],
                first,
                last,
                whole: figures.clone(),
                before: part(range.start..early.max(range.start))?,
                after: part(split.max(range.start).min(range.end)..range.end)?,
                capital_against_fixed: Some(own / place.fixed).filter(|x| x.is_finite()),
                capital_against: against.filter(|(_, x)| x.is_finite()).collect(),
                best_other: best.map(|best| self.policies[best].name().to_owned()),
                diebold_mariano: test.map(|(statistic, _)| statistic),
                diebold_mariano_p: test.map(|(_, p)| p),
                impulse: impulses[start + policy][place.portfolio],
                changes_per_month,
                attributed_share,
            });
        }
        Ok(rows)
    }

    /// Changes per month that speak of a member, and the share of them that is attributed exactly.
    fn changes(&self, track: &Track, group: &Group, (first, last): (Timestamp, Timestamp)) -> (f64, Option<f64>) {
        let names: Vec<&str> =
            group.members.iter().filter_map(|m| self.histories.get(*m)).map(|h| h.asset.as_str()).collect();
        let within = track.changes.iter().filter(|dated| dated.at >= first && dated.at <= last).filter(|dated| {
            dated.change.key.scope.underlying.as_deref().is_none_or(|of| names.contains(&of))
        });
        let (mut count, mut exact) = (0_u64, 0_u64);
        for dated in within {
            count += 1;
            exact += u64::from(is_attributed(&dated.change));
        }
        let months = first.seconds_until(last).max(1.0) / (365.25 / 12.0 * DAY as f64);
        (count as f64 / months, (count > 0).then(|| exact as f64 / count as f64))
    }
}

/// Whether the causes of a change add up to it: in billionths of a logarithm, to half a unit of each end.
fn is_attributed(change: &plimsoll_policy::Change) -> bool {
    let sum: i64 = change.causes.iter().map(|(_, part)| part).sum();
    let level = |value: plimsoll_types::Ppb| plimsoll_quant::special::ln(value.to_f64()) * 1e9;
    let whole = level(change.to).round() - level(change.from).round();
    sum as f64 == whole
}

/// Where figures are looked up.
struct Place {
    group: usize,
    horizon: usize,
    portfolio: usize,
    fixed: f64,
}

/// Margins of a group at every instant, by portfolio.
fn margins(
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

/// Steps of 1 %, then of 2 %, up and down in turn.
const CALM: (f64, usize) = (0.01, 1000);
const STRESSED: (f64, usize) = (0.02, 600);
/// The first row that has seen a stressed step: the first row has seen none.
const STEP_ROW: usize = CALM.1 + 1;

fn step_path(asset: Asset, step_seconds: i64) -> History {
    let mut price = 100.0;
    let mut rows = vec![(Timestamp::from_seconds(0), plimsoll_policy::Bar::at(price))];
    for (i, change) in impulse_path(CALM, STRESSED).into_iter().enumerate() {
        price *= 1.0 + change;
        let at = Timestamp::from_seconds((i as i64 + 1) * step_seconds);
        rows.push((at, plimsoll_policy::Bar::at(price)));
    }
    History { asset, step_seconds, rows, findings: Vec::new() }
}

impl From<EngineError> for StudyError {
    fn from(error: EngineError) -> Self {
        MarginingError::from(error).into()
    }
}
