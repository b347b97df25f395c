//! Policies side by side on the same losses.
//!
//! **The one idea:** a place is a group, a horizon and a portfolio; every policy has a margin for each of its losses, so figures of
//! policies differ by their margins and by nothing else.

use crate::figures::{Faults, Figures, Judged, Laws, Maintenance, worse};
use crate::history::History;
use crate::margining::Bench;
use crate::replay::Track;
use crate::study::{Group, Impulse, Margins, Row, Study, StudyError};
use plimsoll_engine::ParamSet;
use plimsoll_policy::Change;
use plimsoll_quant::special::ln;
use plimsoll_types::{Ppb, Timestamp};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

const DAY: i64 = 86_400;
pub(crate) const MONTH_SECONDS: f64 = 365.25 / 12.0 * DAY as f64;

/// What figures are made of, all in the order of groups, horizons and policies.
pub(crate) struct Material<'a> {
    pub(crate) groups: &'a [Group],
    pub(crate) tracks: &'a [Vec<Track>],
    pub(crate) margins: &'a [Margins],
    pub(crate) impulses: &'a [Vec<Option<Impulse>>],
    /// Portfolios that are not judged.
    pub(crate) left_out: usize,
}

/// One portfolio of a group at a horizon.
struct Place<'a> {
    group: &'a Group,
    horizon: usize,
    portfolio: usize,
    /// What the preset `fixed` asks.
    fixed: f64,
    /// What followed each margin.
    losses: &'a [f64],
    /// By policy.
    margins: Vec<&'a [f64]>,
    /// By policy: on the announced ramp, and as if it bound at once.
    maintenance: Vec<(&'a [f64], &'a [f64])>,
    impulses: Vec<Option<Impulse>>,
    /// Rows that are judged: all, before the split, from it on.
    whole: Range<usize>,
    before: Range<usize>,
    after: Range<usize>,
    per_day: usize,
}

/// What one policy came to.
struct Standing {
    figures: Figures,
    scores: Vec<f64>,
}

impl Study {
    pub(crate) fn figures(&self, of: &Material<'_>) -> Result<Vec<Row>, StudyError> {
        let mut spans: Vec<usize> = of.groups.iter().flat_map(|group| group.spans.iter().copied()).collect();
        spans.sort_unstable();
        spans.dedup();
        let laws = Laws::simulate(&spans)?;
        let fixed = ParamSet::preset("fixed")?;
        let mut places = Vec::new();
        for (g, group) in of.groups.iter().enumerate() {
            let bench: Bench = self.bench_with(group, &fixed)?;
            let points = vec![100; group.members.len()];
            let fixed = bench.margining()?.margins(None, &points)?.to_vec();
            for horizon in 0..self.horizons.len() {
                for (portfolio, fixed) in fixed.iter().enumerate() {
                    places.push(self.place(of, g, (horizon, portfolio), *fixed)?);
                }
            }
        }
        let rows: Vec<Vec<Row>> =
            places.par_iter().map(|place| self.compare(place, of, &laws)).collect::<Result<_, _>>()?;
        Ok(rows.into_iter().flatten().collect())
    }

    fn place<'a>(
        &self,
        of: &Material<'a>,
        g: usize,
        (horizon, portfolio): (usize, usize),
        fixed: f64,
    ) -> Result<Place<'a>, StudyError> {
        let group = &of.groups[g];
        let losses = group.losses[horizon][portfolio].as_slice();
        let whole = group.judged_from..losses.len();
        let lead = &self.histories[group.members[0]];
        if whole.len() < 2 {
            return Err(self.too_short(lead));
        }
        // Before the split: what was known by then.
        let known = self.split.plus_seconds(-self.horizons[horizon]);
        let early = group.times.partition_point(|time| *time <= known).clamp(whole.start, whole.end);
        let late = group.times.partition_point(|time| *time < self.split).clamp(whole.start, whole.end);
        let policies = self.policies.len();
        let start = (g * self.horizons.len() + horizon) * policies;
        let margins = || of.margins[start..start + policies].iter();
        let bound = |m: &'a Margins| (m.maintenance[portfolio].as_slice(), m.unramped[portfolio].as_slice());
        let impulses = of.impulses[start..start + policies].iter();
        Ok(Place {
            group,
            horizon,
            portfolio,
            fixed,
            losses,
            margins: margins().map(|m| m.margins[portfolio].as_slice()).collect(),
            maintenance: margins().map(bound).collect(),
            impulses: impulses.map(|all| all[portfolio]).collect(),
            before: whole.start..early,
            after: late..whole.end,
            per_day: (DAY / group.step_seconds.max(1)).max(1) as usize,
            whole,
        })
    }

    /// Why an asset alone leaves nothing to judge: what was asked for, or its length.
    fn too_short(&self, lead: &History) -> StudyError {
        let asset = lead.asset.clone();
        let ends = lead.rows.first().zip(lead.rows.last());
        let longest = self.horizons.iter().max().copied().unwrap_or(0);
        let enough = |(first, last): &(&(Timestamp, _), &(Timestamp, _))| {
            first.0.seconds_until(last.0) >= (self.warm_up_seconds + longest + lead.step_seconds) as f64
        };
        match ends.filter(|ends| (self.from.is_some() || self.to.is_some()) && enough(ends)) {
            Some((first, last)) => {
                StudyError::Window { asset, first: first.0, last: last.0, from: self.from, to: self.to }
            }
            None => {
                let (rows, warm_up_days) = (lead.rows.len(), self.warm_up_seconds / DAY);
                StudyError::TooShort { asset, rows, warm_up_days }
            }
        }
    }

    /// All policies on one place.
    fn compare(&self, place: &Place<'_>, of: &Material<'_>, laws: &Laws) -> Result<Vec<Row>, StudyError> {
        let tracks = of.tracks;
        let standing = |policy: usize| {
            let judged = place.judged(policy, &place.whole);
            let scores = judged.scores()?;
            Ok(judged.figures(laws)?.map(|figures| Standing { figures, scores }))
        };
        let all: Vec<Option<Standing>> =
            (0..self.policies.len()).map(standing).collect::<Result<_, StudyError>>()?;
        let mut rows = Vec::with_capacity(all.len());
        for (policy, own) in all.iter().enumerate() {
            let (Some(own), Some(track)) = (own, tracks[policy].get(place.horizon)) else { continue };
            let part = |rows: &Range<usize>| match rows.len() {
                0 | 1 => Ok(None),
                _ => place.judged(policy, rows).figures(laws),
            };
            let mut row = self.begin(place, policy, own.figures.clone(), track);
            row.faults.left_out = of.left_out;
            row.maintenance = place.maintained(policy)?;
            (row.before, row.after) = (part(&place.before)?, part(&place.after)?);
            self.rank(&mut row, place.group.spans[place.horizon], (policy, own), &all);
            rows.push(row);
        }
        Ok(rows)
    }

    /// A row without what is said of other policies.
    fn begin(&self, place: &Place<'_>, policy: usize, whole: Figures, track: &Track) -> Row {
        let portfolio = &self.portfolios[place.group.portfolios[place.portfolio]];
        let (first, last) = (place.group.times[place.whole.start], place.group.times[place.whole.end - 1]);
        let (changes_per_month, attributed_share) = self.changes(track, place.group, (first, last));
        let against = whole.mean_margin.map(|mean| mean / place.fixed);
        Row {
            policy: self.policies[policy].name().to_owned(),
            asset: place.group.name.clone(),
            portfolio: portfolio.name.clone(),
            side: portfolio.side.clone(),
            horizon_seconds: self.horizons[place.horizon],
            first,
            last,
            faults: self.faults(place.group, track),
            whole,
            maintenance: None,
            before: None,
            after: None,
            capital_against_fixed: against.filter(|x| x.is_finite()),
            capital_against: BTreeMap::new(),
            best_other: None,
            diebold_mariano: None,
            diebold_mariano_p: None,
            impulse: place.impulses[policy],
            changes_per_month,
            attributed_share,
        }
    }

    fn faults(&self, group: &Group, track: &Track) -> Faults {
        let mut faults = Faults::default();
        for member in &group.members {
            if let Some(history) = self.histories.get(*member) {
                faults.add(history);
            }
            if let Some(without) = track.without.get(*member) {
                faults.bridged += without.bridged;
                faults.refused += without.refused;
                faults.on_stress_floor += without.on_stress_floor;
            }
        }
        faults
    }

    /// What is said of a policy beside the others.
    fn rank(&self, row: &mut Row, span: usize, (policy, own): (usize, &Standing), all: &[Option<Standing>]) {
        let mut best: Option<(usize, &Standing)> = None;
        for (at, other) in all.iter().enumerate().filter(|(at, _)| *at != policy) {
            let Some(other) = other else { continue };
            let ratio = own.figures.mean_margin.zip(other.figures.mean_margin).map(|(a, b)| a / b);
            if let Some(ratio) = ratio.filter(|x| x.is_finite()) {
                row.capital_against.insert(self.policies[at].name().to_owned(), ratio);
            }
            let score = other.figures.quantile_score;
            if best.is_none_or(|(_, best)| score < best.figures.quantile_score) {
                best = Some((at, other));
            }
        }
        let Some((at, best)) = best else { return };
        let test = worse(&own.scores, &best.scores, span);
        row.best_other = Some(self.policies[at].name().to_owned());
        (row.diebold_mariano, row.diebold_mariano_p) = (test.map(|t| t.0), test.map(|t| t.1));
    }

    /// Changes per month that speak of a member, and the share of them that is attributed exactly.
    fn changes(
        &self,
        track: &Track,
        group: &Group,
        (first, last): (Timestamp, Timestamp),
    ) -> (f64, Option<f64>) {
        let assets = self.assets(group);
        let ours = |of: &String| assets.iter().any(|asset| asset.as_str() == of);
        let (mut count, mut exact) = (0_u64, 0_u64);
        for dated in track.changes.iter().filter(|dated| dated.at >= first && dated.at <= last) {
            if dated.change.key.scope.underlying.as_ref().is_none_or(ours) {
                count += 1;
                exact += u64::from(is_attributed(&dated.change));
            }
        }
        let months = first.seconds_until(last).max(1.0) / MONTH_SECONDS;
        (count as f64 / months, (count > 0).then(|| exact as f64 / count as f64))
    }
}

impl Place<'_> {
    fn maintained(&self, policy: usize) -> Result<Option<Maintenance>, StudyError> {
        let (rows, (margins, unramped)) = (self.whole.clone(), self.maintenance[policy]);
        Ok(Maintenance::of(&margins[rows.clone()], &unramped[rows.clone()], &self.losses[rows])?)
    }

    fn judged(&self, policy: usize, rows: &Range<usize>) -> Judged<'_> {
        Judged {
            margins: &self.margins[policy][rows.clone()],
            losses: &self.losses[rows.clone()],
            span: self.group.spans[self.horizon],
            per_day: self.per_day,
        }
    }
}

/// Whether the causes of a change add up to it, in billionths of a logarithm.
pub(crate) fn is_attributed(change: &Change) -> bool {
    let sum: i64 = change.causes.iter().map(|(_, part)| part).sum();
    let level = |value: Ppb| (ln(value.to_f64()) * 1e9).round();
    sum as f64 == level(change.to) - level(change.from)
}
