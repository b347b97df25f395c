//! From an outcome to pictures.

use super::Material;
use crate::svg::{FrontierPanel, FrontierPoint, FrontierSide, MarginPicture, frontier, margins};
use anyhow::Context;
use plimsoll_policy::Knob;
use plimsoll_sim::{Group, Row, stressed};
use plimsoll_types::Timestamp;

/// What the first policy is compared with in a picture, if it is there.
const COMPARED: &str = "static";

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
    let sides = |all: &[Vec<f64>]| {
        let of = |place: usize| all.get(place).map(|m| m[judged.clone()].to_vec());
        of(long).zip(of(short))
    };
    let set = |policy: usize| {
        let mut all = of.outcome.margins.iter();
        all.find(|m| m.group == g && m.horizon == 0 && m.policy == policy)
    };
    let found = |policy: usize| set(policy).and_then(|m| sides(&m.margins));
    let held = set(0).and_then(|m| sides(&m.maintenance));
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
        counts: counts(of, group, policy),
        moves: losses[judged.clone()].iter().map(|loss| -loss).collect(),
        times,
        long,
        short,
        other,
        held,
        bands: stressed(history)?.iter().map(|(from, to)| (seconds(from), seconds(to))).collect(),
        changes: changes(of, &group.name, (first, last)),
        years: years(first, last),
    };
    Ok(Some(margins(&picture)))
}

/// Breaches of both sides.
fn counts(of: &Material<'_>, group: &Group, policy: &str) -> String {
    let mine = |row: &&Row| {
        row.policy == policy
            && row.asset == group.name
            && row.portfolio == "perpetual"
            && of.study.horizons.first() == Some(&row.horizon_seconds)
    };
    let rows = of.outcome.rows.iter().filter(mine);
    let told = rows.map(|row| {
        let f = &row.whole;
        format!("{}: {} breaches of {:.1} expected", row.side, f.breaches, f.expected)
    });
    told.collect::<Vec<_>>().join("; ")
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

/// Every policy on capital against coverage and calm: perpetuals of both sides at the first horizon.
pub(super) fn frontiers(of: &Material<'_>) -> Option<String> {
    let horizon = *of.study.horizons.first()?;
    let mut panels: Vec<FrontierPanel> = Vec::new();
    for group in of.outcome.groups.iter().filter(|group| group.members.len() == 1) {
        let mine = |row: &&Row| {
            row.asset == group.name && row.portfolio == "perpetual" && row.horizon_seconds == horizon
        };
        let rows: Vec<&Row> = of.outcome.rows.iter().filter(mine).collect();
        let points: Vec<FrontierPoint> =
            of.study.policies.iter().filter_map(|policy| point(policy.name(), &rows)).collect();
        let green = rows.iter().map(|row| row.whole.green_most as f64 / row.whole.expected);
        if !points.is_empty() {
            let green_most = green.fold(0.0, f64::max);
            panels.push(FrontierPanel { title: group.name.clone(), points, green_most });
        }
    }
    let note = "Perpetuals: a full dot is long, a hollow one short. Dashed: the breaches that are expected; dotted: the most that are green. Left is cheaper, low is calmer.";
    (!panels.is_empty()).then(|| frontier("Capital against coverage and calm", note, &panels))
}

fn point(name: &str, rows: &[&Row]) -> Option<FrontierPoint> {
    let side = |row: &&Row| FrontierSide {
        short: row.side == "short",
        capital: row.whole.mean_margin.unwrap_or(f64::NAN),
        breaches: row.whole.breaches as f64 / row.whole.expected,
        peak_to_trough: row.whole.peak_to_trough.unwrap_or(f64::NAN),
    };
    let sides: Vec<FrontierSide> = rows.iter().filter(|row| row.policy == name).map(side).collect();
    (!sides.is_empty()).then(|| FrontierPoint { name: name.to_owned(), sides })
}
