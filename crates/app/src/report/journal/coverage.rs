//! How often the loss over a horizon stayed within margin.
//!
//! **The one idea:** what accounts held at an instant is valued again a horizon later, as if nobody had traded. Windows of a horizon
//! follow each other and do not overlap.

use crate::host::Course;
use plimsoll_engine::live::Effect;
use plimsoll_policy::TargetSpec;
use plimsoll_types::{Instrument, Timestamp};
use std::collections::BTreeMap;

/// Horizons that are judged beside those of the policy, seconds.
const SHORT: [i64; 2] = [600, 3_600];

/// A window that ends later than this many times its horizon was interrupted, and is not judged.
const LATE: f64 = 1.5;

/// What was found over one horizon.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Covered {
    /// Seconds.
    pub(crate) horizon: i64,
    /// Windows that ended.
    pub(crate) windows: u64,
    /// Accounts that were judged, over all windows.
    pub(crate) judged: u64,
    /// Of those, whose loss was beyond initial margin.
    pub(crate) beyond_im: u64,
    /// Whose loss was beyond maintenance margin.
    pub(crate) beyond_mm: u64,
    /// By how much losses were beyond maintenance margin, ticks.
    pub(crate) excess: i128,
    /// Accounts of which something had no value any more.
    pub(crate) unknown: u64,
}

/// An account at the beginning of a window.
struct Open {
    held: Vec<(u32, i64)>,
    im: i128,
    mm: i128,
}

/// A horizon, and the window of it that is open.
struct Judge {
    found: Covered,
    window: Option<(Timestamp, BTreeMap<u32, i64>, Vec<Open>)>,
}

/// All horizons.
#[derive(Default)]
pub(super) struct Coverage {
    judges: Vec<Judge>,
    /// What a lot was settled at, ticks.
    settled: BTreeMap<Instrument, i64>,
}

/// The estimates of a policy: share of losses covered, and horizon in seconds.
pub(super) fn estimates(course: &Course) -> Vec<(f64, i64)> {
    let policy = &course.engine.rules().policy;
    let of = |target: &TargetSpec| match target {
        TargetSpec::Quantile(of) => {
            Some((of.confidence, i64::from(of.horizon_steps).saturating_mul(policy.step_seconds())))
        }
        _ => None,
    };
    let mut found: Vec<(f64, i64)> = policy.file().parameters.iter().filter_map(|p| of(&p.target)).collect();
    found.sort_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
    found.dedup();
    found
}

impl Coverage {
    /// Remembers what was settled.
    pub(super) fn hear(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Settled { instrument, value, .. } = effect
                && let Ok(value) = i64::try_from(value.0)
            {
                self.settled.insert(instrument.clone(), value);
            }
        }
    }

    /// Closes windows that are over, and opens others.
    pub(super) fn look(&mut self, course: &Course) {
        if self.judges.is_empty() {
            let horizons = SHORT.into_iter().chain(estimates(course).into_iter().map(|(_, horizon)| horizon));
            let mut horizons: Vec<i64> = horizons.filter(|horizon| *horizon > 0).collect();
            horizons.sort_unstable();
            horizons.dedup();
            let judge = |horizon| Judge { found: Covered { horizon, ..Covered::default() }, window: None };
            self.judges = horizons.into_iter().map(judge).collect();
        }
        for judge in &mut self.judges {
            judge.look(course, &self.settled);
        }
    }

    pub(super) fn found(self) -> Vec<Covered> {
        self.judges.into_iter().map(|judge| judge.found).collect()
    }
}

impl Judge {
    fn look(&mut self, course: &Course, settled: &BTreeMap<Instrument, i64>) {
        let now = course.engine.state().now;
        if let Some((since, ..)) = &self.window {
            let over = since.seconds_until(now) / self.found.horizon as f64;
            if over < 1.0 {
                return;
            }
            if over <= LATE {
                self.close(course, settled);
            }
        }
        self.window = Some(opened(course)).filter(|(.., accounts)| !accounts.is_empty());
    }

    fn close(&mut self, course: &Course, settled: &BTreeMap<Instrument, i64>) {
        let Some((_, marks, accounts)) = self.window.take() else { return };
        let (valued, listed) = (course.engine.valued(), course.engine.state().ledger.instruments());
        let now = |number: u32| {
            let settled = || settled.get(&listed.get(number as usize)?.instrument).copied();
            valued.mark_of(number).or_else(settled)
        };
        self.found.windows += 1;
        for Open { held, im, mm } in accounts {
            let lost = |(number, lots): &(u32, i64)| {
                let moved = i128::from(*marks.get(number)?) - i128::from(now(*number)?);
                Some(i128::from(*lots) * moved)
            };
            let Some(loss) = held.iter().map(lost).sum::<Option<i128>>() else {
                self.found.unknown += 1;
                continue;
            };
            self.found.judged += 1;
            self.found.beyond_im += u64::from(loss > im);
            self.found.beyond_mm += u64::from(loss > mm);
            self.found.excess += (loss - mm).max(0);
        }
    }
}

/// What everybody holds who is margined, and the marks of it.
fn opened(course: &Course) -> (Timestamp, BTreeMap<u32, i64>, Vec<Open>) {
    let (engine, state) = (&course.engine, course.engine.state());
    let mut marks = BTreeMap::new();
    let mut accounts = Vec::new();
    for (account, number) in state.ledger.accounts().iter().zip(0..) {
        let Some(Ok(totals)) = engine.valued().totals(number) else { continue };
        if totals.mm.0 <= 0 {
            continue;
        }
        let held: Vec<(u32, i64)> =
            account.positions.iter().map(|held| (held.instrument, held.lots)).collect();
        for (number, _) in &held {
            if let Some(mark) = engine.valued().mark_of(*number) {
                marks.insert(*number, mark);
            }
        }
        accounts.push(Open { held, im: totals.im.0, mm: totals.mm.0 });
    }
    (state.now, marks, accounts)
}
