//! From an outcome to pictures.

use super::Material;
use crate::svg::{CausePicture, FrontierPanel, FrontierPoint, MarginPicture, causes, frontier, margins};
use anyhow::Context;
use plimsoll_policy::{Cause, Knob};
use plimsoll_sim::{Group, Margins, Row, stressed};
use plimsoll_types::Timestamp;
use std::collections::BTreeMap;

/// What the first policy is compared with in a picture, if it is there.
const COMPARED: &str = "static";
/// Causes named in a picture; the rest are added up.
const NAMED: usize = 9;

/// Margins of the first policy over time, one picture an asset, at the first horizon.
pub(super) fn over_time(of: &Material<'_>) -> anyhow::Result<Vec<String>> {
    let singles = of.outcome.groups.iter().enumerate().filter(|(_, group)| group.members.len() == 1);
    let drawn = singles.filter_map(|(g, group)| one(of, g, group).transpose());
    drawn.collect()
}

fn perpetual(of: &Material<'_>, group: &Group, side: &str) -> Option<usize> {
    group
        .portfolios
        .iter()
        .position(|p| of.study.portfolios.get(*p).is_some_and(|p| p.name == "perpetual" && p.side == side))
}

fn one(of: &Material<'_>, g: usize, group: &Group) -> anyhow::Result<Option<String>> {
    let Some((long, short)) = perpetual(of, group, "long").zip(perpetual(of, group, "short")) else {
        return Ok(None);
    };
    let Some(losses) = group.losses.first().and_then(|all| all.get(long)) else { return Ok(None) };
    let judged = group.judged_from.min(losses.len())..losses.len();
    let series = |margins: &Margins| {
        let of = |place: usize| margins.margins.get(place).map(|m| m[judged.clone()].to_vec());
        of(long).zip(of(short))
    };
    let found = |policy: usize| {
        let mut all = of.outcome.margins.iter();
        all.find(|m| m.group == g && m.horizon == 0 && m.policy == policy).and_then(series)
    };
    let Some((long, short)) = found(0) else { return Ok(None) };
    let compared = of.study.policies.iter().position(|policy| policy.name() == COMPARED).filter(|at| *at > 0);
    let other = compared.and_then(found).map(|(l, s)| (COMPARED.to_owned(), l, s));
    let seconds = |time: &Timestamp| time.seconds() as f64;
    let history = group.members.first().and_then(|m| of.study.histories.get(*m)).context("a history")?;
    let times: Vec<f64> = group.times[judged.clone()].iter().map(seconds).collect();
    let (first, last) = (times.first().copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
    let days = of.study.horizons.first().map_or(0.0, |h| *h as f64 / 86_400.0);
    let policy = of.study.policies.first().map_or("", |p| p.name());
    let picture = MarginPicture {
        title: format!("{}: margin of {policy} against what was lost over {days} d", group.name),
        note: "The move of the price after each instant, between the margin of a long (below) and of a short (above), in shares of value.".to_owned(),
        moves: losses[judged.clone()].iter().map(|loss| -loss).collect(),
        times,
        long,
        short,
        other,
        bands: stressed(history)?.iter().map(|(from, to)| (seconds(from), seconds(to))).collect(),
        changes: changes(of, &group.name, (first, last)),
        years: years(first, last),
    };
    Ok(Some(margins(&picture)))
}

/// Changes of the price scans of an asset by the first policy: when, and the logarithm.
fn changes(of: &Material<'_>, asset: &str, (first, last): (f64, f64)) -> Vec<(f64, f64)> {
    let Some(track) = of.outcome.tracks.first().and_then(|tracks| tracks.first()) else { return Vec::new() };
    let scans = track.changes.iter().filter(|dated| {
        let key = &dated.change.key;
        matches!(key.knob, Knob::PriceScanDown | Knob::PriceScanUp)
            && key.scope.underlying.as_deref().is_none_or(|of| of == asset)
    });
    let told = scans.map(|dated| {
        let sum: i64 = dated.change.causes.iter().map(|(_, part)| part).sum();
        (dated.at.seconds() as f64, sum as f64 / 1e9)
    });
    told.filter(|(at, _)| *at >= first && *at <= last).collect()
}

/// The beginnings of years between two instants.
fn years(first: f64, last: f64) -> Vec<(String, f64)> {
    let begin = |year: i16| Timestamp::from_date(year, 1, 1, 0).ok().map(|at| at.seconds() as f64);
    let all = (1990..2100).filter_map(|year| Some((year.to_string(), begin(year)?)));
    all.filter(|(_, at)| *at >= first && *at <= last).collect()
}

/// Every policy on capital against coverage and calm: perpetuals at the first horizon, both sides averaged.
pub(super) fn frontiers(of: &Material<'_>) -> Option<String> {
    let horizon = *of.study.horizons.first()?;
    let mut panels: Vec<FrontierPanel> = Vec::new();
    for group in of.outcome.groups.iter().filter(|group| group.members.len() == 1) {
        let points: Vec<FrontierPoint> = of
            .study
            .policies
            .iter()
            .filter_map(|policy| {
                let mine = |row: &&Row| {
                    row.policy == policy.name()
                        && row.asset == group.name
                        && row.portfolio == "perpetual"
                        && row.horizon_seconds == horizon
                };
                let rows: Vec<&Row> = of.outcome.rows.iter().filter(mine).collect();
                point(policy.name(), &rows)
            })
            .collect();
        if !points.is_empty() {
            panels.push(FrontierPanel { title: group.name.clone(), points });
        }
    }
    let note = "Perpetuals, both sides averaged. Left: further left is cheaper, above the dashed line is under-covered. Right: lower is calmer.";
    (!panels.is_empty()).then(|| frontier("Capital against coverage and calm", note, &panels))
}

fn point(name: &str, rows: &[&Row]) -> Option<FrontierPoint> {
    let count = rows.len() as f64;
    let mean = |read: fn(&Row) -> f64| rows.iter().map(|row| read(row)).sum::<f64>() / count;
    (!rows.is_empty()).then(|| FrontierPoint {
        name: name.to_owned(),
        capital: mean(|row| row.whole.mean_margin.unwrap_or(f64::NAN)),
        breaches: mean(|row| row.whole.breaches as f64 / row.whole.expected),
        peak_to_trough: mean(|row| row.whole.peak_to_trough.unwrap_or(f64::NAN)),
    })
}

/// What moved the scan of a long, by quarter and cause: the first policy at the first horizon, one picture an asset.
pub(super) fn attributions(of: &Material<'_>) -> Vec<String> {
    let singles = of.outcome.groups.iter().filter(|group| group.members.len() == 1);
    singles.filter_map(|group| attribution(of, group)).collect()
}

fn attribution(of: &Material<'_>, group: &Group) -> Option<String> {
    let track = of.outcome.tracks.first()?.first()?;
    let start = *group.times.get(group.judged_from)?;
    let mut quarters: BTreeMap<(i16, i8), BTreeMap<Cause, f64>> = BTreeMap::new();
    let mut sizes: BTreeMap<Cause, f64> = BTreeMap::new();
    for dated in track.changes.iter().filter(|dated| dated.at >= start) {
        let key = &dated.change.key;
        let mine = key.scope.underlying.as_deref().is_none_or(|name| name == group.name);
        if key.knob != Knob::PriceScanDown || !mine {
            continue;
        }
        let (year, month, _) = dated.at.date();
        let quarter = quarters.entry((year, (month - 1) / 3 + 1)).or_default();
        for (cause, part) in &dated.change.causes {
            let part = *part as f64 / 1e9;
            *quarter.entry(*cause).or_default() += part;
            *sizes.entry(*cause).or_default() += part.abs();
        }
    }
    let mut order: Vec<(Cause, f64)> = sizes.into_iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let named: Vec<Cause> = order.iter().take(NAMED).map(|(cause, _)| *cause).collect();
    let mut names: Vec<String> = named.iter().map(|cause| cause.name().to_owned()).collect();
    let rest = order.len() > NAMED;
    if rest {
        names.push("others".to_owned());
    }
    let parts = |quarter: &BTreeMap<Cause, f64>| {
        let mut parts: Vec<f64> =
            named.iter().map(|cause| quarter.get(cause).copied().unwrap_or(0.0)).collect();
        if rest {
            parts
                .push(quarter.iter().filter(|(cause, _)| !named.contains(cause)).map(|(_, part)| part).sum());
        }
        parts
    };
    let stretches: Vec<(String, Vec<f64>)> =
        quarters.iter().map(|((year, quarter), of)| (format!("{year} Q{quarter}"), parts(of))).collect();
    let policy = of.study.policies.first()?.name();
    let picture = CausePicture {
        title: format!("{}: what moved the scan of a long ({policy})", group.name),
        note:
            "Change of the logarithm by quarter and cause; in every change the causes add up to it exactly."
                .to_owned(),
        causes: names,
        stretches,
    };
    (!picture.stretches.is_empty()).then(|| causes(&picture))
}
