//! The answer of every policy and portfolio to a step of volatility.

use crate::history::History;
use crate::margining::Bench;
use crate::replay::{Reading, replay};
use crate::study::{Group, Impulse, Study, StudyError, Tell, series};
use crate::surface::StatedVol;
use plimsoll_policy::{Bar, Policy};
use plimsoll_quant::procyclicality::{ImpulseResponse, impulse_path, impulse_response};
use plimsoll_types::{Asset, Timestamp};
use rayon::prelude::*;

const DAY: f64 = 86_400.0;
/// Steps of 1 %, then of 2 %, up and down in turn.
const CALM: (f64, usize) = (0.01, 1000);
const STRESSED: (f64, usize) = (0.02, 600);
/// The first row that has seen a stressed step: the first row has seen none.
const STEP_ROW: usize = CALM.1 + 1;

fn step_path(asset: Asset, step_seconds: i64) -> History {
    let mut price = 100.0;
    let mut rows = vec![(Timestamp::from_seconds(0), Bar::at(price))];
    let mut at = Timestamp::from_seconds(0);
    for change in impulse_path(CALM, STRESSED) {
        price *= 1.0 + change;
        at = at.plus_seconds(step_seconds);
        rows.push((at, Bar::at(price)));
    }
    History { asset, step_seconds, rows, findings: Vec::new() }
}

impl Study {
    /// By group, horizon, policy and portfolio: the response on a path of the lead asset's name.
    pub(crate) fn impulses(
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
        let margins = series(bench, &times, &points, Reading::new(entries))?.margins;
        let days = step as f64 / DAY;
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
}
