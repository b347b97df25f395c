//! What a margin was worth in the crashes of a history.
//!
//! **The one idea:** crashes are found in the prices by a rule and not picked: the worst falls over a day, no two within ten days,
//! each at least [`FALL_MIN`]. Every policy is shown in all of them, the static one too.

use crate::study::{Group, Margins, Outcome, Study};
use plimsoll_types::Timestamp;
use serde::Serialize;

/// What is no crash: a fall over a day by less.
pub const FALL_MIN: f64 = 0.15;
/// Crashes shown per asset, the worst.
const MOST: usize = 8;
const DAY: i64 = 86_400;
/// Falls this near are one crash.
const APART: i64 = 10 * DAY;
/// A margin has this long to adjust.
const AFTERMATH: i64 = 7 * DAY;
/// Full adjustment: within this share of the largest margin of the aftermath.
const FULL: f64 = 0.99;

/// One policy in one crash, for a long perpetual.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Crash {
    /// The asset.
    pub asset: String,
    /// Where the worst day begins.
    pub from: Timestamp,
    /// Fall over that day, a share.
    pub fall: f64,
    /// Name of the policy.
    pub policy: String,
    /// Its margin period of risk, seconds.
    pub horizon_seconds: i64,
    /// Margin when the day began, a share of value.
    pub margin_before: f64,
    /// Largest loss beyond its margin, of margins set from a horizon before the day to its end; 0 when all were covered.
    pub uncovered_most: f64,
    /// Hours from the first fall of 5 % to within 1 % of the largest margin of the week; `None` where it did not rise.
    pub hours_to_full: Option<f64>,
    /// Largest margin of the week.
    pub margin_most: f64,
}

impl Study {
    /// Every policy in every crash, of assets with rows at most six hours apart and the first portfolio that is long a
    /// perpetual.
    pub fn crashes(&self, outcome: &Outcome) -> Vec<Crash> {
        let mut all = Vec::new();
        for (g, group) in outcome.groups.iter().enumerate() {
            let lead = group.members.first().and_then(|m| self.histories.get(*m));
            if group.members.len() != 1 || lead.is_none_or(|lead| lead.step_seconds > DAY / 4) {
                continue;
            }
            let named = |p: &usize| {
                self.portfolios.get(*p).is_some_and(|p| p.name == "perpetual" && p.side == "long")
            };
            let Some(place) = group.portfolios.iter().position(named) else { continue };
            for (start, end, fall) in falls(group) {
                for margins in outcome.margins.iter().filter(|m| m.group == g) {
                    all.extend(self.one(group, margins, place, (start, end, fall)));
                }
            }
        }
        all
    }

    fn one(
        &self,
        group: &Group,
        of: &Margins,
        place: usize,
        (start, end, fall): (usize, usize, f64),
    ) -> Option<Crash> {
        let horizon_seconds = *self.horizons.get(of.horizon)?;
        let (margins, losses) = (of.margins.get(place)?, group.losses.get(of.horizon)?.get(place)?);
        let at = *group.times.get(start)?;
        let reach = |seconds: i64| group.times.partition_point(|time| *time < at.plus_seconds(seconds));
        let judged = reach(-horizon_seconds).max(group.judged_from)..(end + 1).min(losses.len());
        let uncovered = judged.filter_map(|i| Some(losses.get(i)? - margins.get(i)?));
        let uncovered_most = uncovered.fold(0.0, f64::max);
        let week = start..reach(AFTERMATH).min(margins.len());
        let margin_most = margins.get(week.clone())?.iter().fold(0.0, |a: f64, m| a.max(*m));
        let before = *margins.get(start)?;
        let first = *group.prices.get(start)?;
        let shock = (start..=end).find(|i| group.prices.get(*i).is_some_and(|p| *p < 0.95 * first))?;
        let full = week.into_iter().find(|i| margins.get(*i).is_some_and(|m| *m >= FULL * margin_most));
        let hours = |i: usize| Some(group.times.get(shock)?.seconds_until(*group.times.get(i)?));
        let hours: Option<f64> = full.filter(|_| margin_most > before).and_then(hours);
        Some(Crash {
            asset: group.name.clone(),
            from: at,
            fall,
            policy: self.policies.get(of.policy)?.name().to_owned(),
            horizon_seconds,
            margin_before: before,
            uncovered_most,
            hours_to_full: hours.map(|seconds| (seconds / 3600.0).max(0.0)),
            margin_most,
        })
    }
}

/// The worst falls over a day among the rows that are judged: first row, last row, and the fall.
fn falls(group: &Group) -> Vec<(usize, usize, f64)> {
    let mut found = Vec::new();
    let mut end = 0;
    for (start, time) in group.times.iter().enumerate().skip(group.judged_from) {
        let due = time.plus_seconds(DAY);
        while group.times.get(end).is_some_and(|time| *time < due) {
            end += 1;
        }
        let Some((before, after)) = group.prices.get(start).zip(group.prices.get(end)) else { break };
        let fall = 1.0 - after / before;
        if fall >= FALL_MIN {
            found.push((start, end, fall));
        }
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    let mut kept: Vec<(usize, usize, f64)> = Vec::new();
    for one in found {
        let near = |other: &&(usize, usize, f64)| {
            let apart = group.times[one.0].seconds() - group.times[other.0].seconds();
            apart.abs() < APART
        };
        if kept.len() < MOST && !kept.iter().any(|other| near(&other)) {
            kept.push(one);
        }
    }
    kept.sort_by_key(|one| one.0);
    kept
}
