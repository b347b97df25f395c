//! Historical and filtered historical scenarios from return series.

use super::Scales;
use crate::set::{Move, Note, Scenario, ScenarioBlock, VolShockKind};
use crate::spec::{FilteredSpec, HistoricalSpec, Period, ReturnSeries, SpecError};
use crate::validate::refuse;
use plimsoll_quant::special::exp_m1;
use plimsoll_quant::stats::{StatsError, ewma_seed, ewma_variance, filtered_factors};
use plimsoll_types::BlockKind;
use std::collections::BTreeMap;
use std::ops::Range;

/// Windows: how long, how far apart, how many at most, and among which observations.
struct Windows {
    horizon: usize,
    step: usize,
    most: Option<usize>,
    among: Range<usize>,
}

/// A series with the place of each underlying of the set in it.
struct Joint<'a> {
    name: &'a str,
    series: &'a ReturnSeries,
    places: Vec<usize>,
}

impl Scales<'_> {
    pub(super) fn historical(
        &self,
        i: usize,
        spec: &HistoricalSpec,
        series: &BTreeMap<String, ReturnSeries>,
        notes: &mut Vec<Note>,
    ) -> Result<ScenarioBlock, SpecError> {
        let joint = self.joint(i, &spec.series, series)?;
        let among = spec.period.as_ref().map_or(0..joint.series.times.len(), |p| stretch(joint.series, p));
        let windows = Windows { horizon: spec.horizon, step: spec.step, most: spec.windows, among };
        let prefix = spec.period.as_ref().map_or(String::new(), |p| format!("{}: ", p.name));
        let scenarios = joint.scenarios(&windows, &prefix, |r, _, _| r)?;
        joint.remark(i, &windows, scenarios.len(), notes);
        let kind = if spec.stressed { BlockKind::StressedJoint } else { BlockKind::Joint };
        Ok(ScenarioBlock { kind, purpose: spec.purpose, scenarios })
    }

    pub(super) fn filtered(
        &self,
        i: usize,
        spec: &FilteredSpec,
        series: &BTreeMap<String, ReturnSeries>,
        notes: &mut Vec<Note>,
    ) -> Result<ScenarioBlock, SpecError> {
        let joint = self.joint(i, &spec.series, series)?;
        let among = spec.seed_observations.min(joint.series.times.len())..joint.series.times.len();
        let windows = Windows { horizon: spec.horizon, step: spec.step, most: spec.windows, among };
        let spot = joint.factors(&joint.series.spot, spec)?;
        let vol = joint.series.vol.as_ref().map(|rows| joint.factors(rows, spec)).transpose()?;
        let rescaled = |r: f64, (t, u): (usize, usize), of: Of| match (of, &vol) {
            (Of::Spot, _) | (Of::Vol, None) => r * spot[u][t],
            (Of::Vol, Some(vol)) => r * vol[u][t],
        };
        let scenarios = joint.scenarios(&windows, "rescaled ", rescaled)?;
        joint.remark(i, &windows, scenarios.len(), notes);
        Ok(ScenarioBlock { kind: BlockKind::Joint, purpose: spec.purpose, scenarios })
    }

    /// Finds and checks a series.
    fn joint<'s>(
        &self,
        i: usize,
        name: &'s str,
        series: &'s BTreeMap<String, ReturnSeries>,
    ) -> Result<Joint<'s>, SpecError> {
        let field = format!("scenarios[{i}].series");
        let Some(found) = series.get(name) else {
            let known = series.keys().cloned().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            return Err(SpecError::MissingSeries { field, name: name.to_owned(), known });
        };
        check_series(name, found)?;
        if found.vol.is_some() && self.vol_kind == VolShockKind::Absolute {
            return refuse(
                "vol_shock.kind",
                "absolute",
                "relative where a series has volatility (its changes are of ln vol)",
            );
        }
        let missing = |u: &plimsoll_types::Asset| SpecError::MissingUnderlying {
            field: format!("series `{name}`"),
            underlying: u.clone(),
        };
        let place = |u| found.underlyings.iter().position(|x| x == u).ok_or_else(|| missing(u));
        let places = self.underlyings.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Joint { name, series: found, places })
    }
}

/// Which risk factor a return is of.
#[derive(Clone, Copy)]
enum Of {
    Spot,
    Vol,
}

impl Joint<'_> {
    /// One scenario per window: returns summed, then made simple.
    fn scenarios(
        &self,
        windows: &Windows,
        prefix: &str,
        scaled: impl Fn(f64, (usize, usize), Of) -> f64,
    ) -> Result<Vec<Scenario>, SpecError> {
        let starts = self.starts(windows)?;
        let sum = |start: usize, u: usize, rows: &[Vec<f64>], of: Of| -> f64 {
            let place = self.places[u];
            (start..start + windows.horizon).map(|t| scaled(rows[t][place], (t, u), of)).sum()
        };
        let scenario = |(at, start): (usize, usize)| {
            let one = |u: usize| Move {
                spot: exp_m1(sum(start, u, &self.series.spot, Of::Spot)),
                vol: self.series.vol.as_ref().map_or(0.0, |rows| exp_m1(sum(start, u, rows, Of::Vol))),
                ..Move::default()
            };
            let end = self.series.times[start + windows.horizon - 1];
            let label = format!("{prefix}{} observations to {end}", windows.horizon);
            Scenario { label, weight: 1.0, moves: (0..self.places.len()).map(one).collect(), pair: at }
        };
        Ok(starts.into_iter().enumerate().map(scenario).collect())
    }

    /// First observation of each window, in order of time. Windows are laid from the latest backwards.
    fn starts(&self, windows: &Windows) -> Result<Vec<usize>, SpecError> {
        let Range { start, end } = windows.among;
        let usable = end.saturating_sub(start);
        let Some(span) = usable.checked_sub(windows.horizon) else {
            let (series, horizon) = (self.name.to_owned(), windows.horizon);
            return Err(SpecError::NoWindow { series, horizon, observations: usable });
        };
        let fitting = span / windows.step + 1;
        let count = windows.most.map_or(fitting, |most| most.min(fitting));
        let last = end - windows.horizon;
        Ok((0..count).rev().map(|back| last - back * windows.step).collect())
    }

    /// `clamp(s_now/s_then, 1/cap, cap)` per underlying of the set and observation.
    fn factors(&self, rows: &[Vec<f64>], spec: &FilteredSpec) -> Result<Vec<Vec<f64>>, SpecError> {
        let one = |place: &usize| -> Result<Vec<f64>, StatsError> {
            let returns: Vec<f64> = rows.iter().map(|row| row[*place]).collect();
            let seed = ewma_seed(&returns, spec.seed_observations)?;
            filtered_factors(&ewma_variance(&returns, spec.decay, seed)?, Some(spec.cap))
        };
        let refused = |e: StatsError, place: &usize| SpecError::Series {
            series: self.name.to_owned(),
            place: format!("EWMA of {}", self.series.underlyings[*place]),
            value: e.to_string(),
            expected: "returns with a volatility",
        };
        self.places.iter().map(|place| one(place).map_err(|e| refused(e, place))).collect()
    }

    fn remark(&self, entry: usize, windows: &Windows, count: usize, notes: &mut Vec<Note>) {
        let shared = windows.horizon.saturating_sub(windows.step);
        notes.push(Note::Windows { entry, windows: count, shared });
        if self.series.vol.is_none() {
            notes.push(Note::NoVolInSeries { entry, series: self.name.to_owned() });
        }
    }
}

/// Observations whose whole span lies within a period. Observation `t` runs from `times[t-1]` to `times[t]`; the first
/// one has no known start and counts from its end.
fn stretch(series: &ReturnSeries, period: &Period) -> Range<usize> {
    let begun = |t: usize| t.checked_sub(1).map_or(series.times[0], |before| series.times[before]);
    let start = (0..series.times.len()).find(|t| begun(*t) >= period.from).unwrap_or(series.times.len());
    let end = series.times.partition_point(|time| *time <= period.to);
    start..end.max(start)
}

fn check_series(name: &str, series: &ReturnSeries) -> Result<(), SpecError> {
    let bad = |place: String, value: String, expected| {
        Err(SpecError::Series { series: name.to_owned(), place, value, expected })
    };
    let times = series.times.len();
    if let Some(t) = (1..times).find(|t| series.times[*t] <= series.times[*t - 1]) {
        return bad(format!("time {t}"), series.times[t].to_string(), "an instant after the one before");
    }
    let width = series.underlyings.len();
    for (what, rows) in [("spot", Some(&series.spot)), ("vol", series.vol.as_ref())] {
        let Some(rows) = rows else { continue };
        if rows.len() != times {
            return bad(what.to_owned(), format!("{} rows", rows.len()), "one row per time");
        }
        for (t, row) in rows.iter().enumerate() {
            if row.len() != width {
                let found = format!("{} values", row.len());
                return bad(format!("{what} row {t}"), found, "one value per underlying");
            }
            if let Some(x) = row.iter().find(|x| !x.is_finite()) {
                return bad(format!("{what} row {t}"), x.to_string(), "finite returns");
            }
        }
    }
    Ok(())
}
