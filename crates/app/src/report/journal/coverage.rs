//! How often the loss over a horizon stayed within margin.
//!
//! **The one idea:** what accounts held at an instant is valued again a horizon later, as if nobody had traded. Windows of a horizon
//! follow each other and do not overlap; what is counted is losses, one for each account and window. The policy states a rate for
//! what its scan ranges cover, which initial margin takes in full and maintenance margin in part: it is initial margin that is tested.

use crate::host::Course;
use plimsoll_engine::live::Effect;
use plimsoll_policy::TargetSpec;
use plimsoll_quant::backtest::{LikelihoodRatio, kupiec_pof};
use plimsoll_types::{Instrument, Timestamp};
use std::collections::BTreeMap;

/// Horizons that are judged beside those of the policy, seconds.
const SHORT: [i64; 2] = [600, 3_600];

/// A window that ends later than this many times its horizon was interrupted, and is not judged.
const LATE: f64 = 1.5;

/// Confidence at which a rate is said to be another than asked.
const REJECTED: f64 = 0.95;

/// Losses beyond a margin, over all windows of a horizon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Beyond {
    /// Losses: an account is counted once for each window in which its loss was beyond its margin.
    pub(crate) losses: u64,
    /// Windows with one at least.
    pub(crate) windows: u64,
    /// The most in one window.
    pub(crate) most: u64,
    /// By how much they were beyond it, all added up, ticks.
    pub(crate) excess: i128,
}

/// What was found over one horizon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Covered {
    /// Seconds.
    pub(crate) horizon: i64,
    /// Windows that ended.
    pub(crate) windows: u64,
    /// Losses that were judged: accounts that were margined at the beginning of a window, over all windows.
    pub(crate) judged: u64,
    /// Beyond initial margin.
    pub(crate) im: Beyond,
    /// Beyond maintenance margin.
    pub(crate) mm: Beyond,
    /// Accounts of which something had no value any more.
    pub(crate) unknown: u64,
}

/// Kupiec's test of losses beyond initial margin against the rate that a policy asks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Tested {
    /// Losses beyond initial margin that are to be expected.
    pub(crate) expected: f64,
    /// As if every loss were a trial of its own.
    pub(crate) apart: LikelihoodRatio,
    /// As if all accounts of a window lost together, so that windows alone are trials: the same share over as many trials as there are
    /// windows, since the statistic is in proportion to their number.
    pub(crate) together: LikelihoodRatio,
}

impl Tested {
    /// Of what was found, against a rate of losses beyond margin; nothing where nothing was judged.
    pub(super) fn of(found: &Covered, rate: f64) -> Option<Self> {
        let apart = kupiec_pof(found.judged, found.im.losses, rate).ok()?;
        let share = found.windows as f64 / found.judged as f64;
        let together = LikelihoodRatio { statistic: apart.statistic * share, ..apart };
        Some(Self { expected: found.judged as f64 * rate, apart, together })
    }

    /// What may be said: accounts are neither independent nor one, so what both tests say, and no more.
    pub(super) fn says(&self, found: &Covered) -> &'static str {
        let more = found.im.losses as f64 > self.expected;
        match (self.apart.rejects_at(REJECTED), self.together.rejects_at(REJECTED)) {
            (false, _) => "no other than asked",
            (true, true) if more => "more than asked",
            (true, true) => "fewer than asked",
            (true, false) if more => "more, but too few windows to say so",
            (true, false) => "fewer, but too few windows to say so",
        }
    }
}

impl Beyond {
    /// Takes in a window: by how much each loss was beyond the margin.
    fn take(&mut self, window: &[i128]) {
        let count = window.len() as u64;
        self.losses += count;
        self.windows += u64::from(count > 0);
        self.most = self.most.max(count);
        self.excess += window.iter().sum::<i128>();
    }
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
        let (mut beyond_im, mut beyond_mm) = (Vec::new(), Vec::new());
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
            beyond_im.extend((loss > im).then_some(loss - im));
            beyond_mm.extend((loss > mm).then_some(loss - mm));
        }
        self.found.im.take(&beyond_im);
        self.found.mm.take(&beyond_mm);
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn found(windows: u64, judged: u64, beyond: u64) -> Covered {
        let im = Beyond { losses: beyond, ..Beyond::default() };
        Covered { windows, judged, im, ..Covered::default() }
    }

    /// `-2[(T-x) ln(1-p) + x ln p - (T-x) ln(1-x/T) - x ln(x/T)]`, `0 ln 0 = 0`, by the letter.
    fn letter(trials: f64, share: f64, p: f64) -> f64 {
        let x = trials * share;
        let xlny = |x: f64, y: f64| if x == 0.0 { 0.0 } else { x * plimsoll_quant::special::ln(y) };
        let quiet = trials - x;
        -2.0 * (xlny(quiet, 1.0 - p) + xlny(x, p) - xlny(quiet, 1.0 - share) - xlny(x, share))
    }

    #[test]
    fn both_statistics_are_those_of_the_formula_and_only_what_both_reject_is_said() {
        for (windows, judged, beyond, says) in [
            (100, 10_000, 101, "no other than asked"),
            (100, 10_000, 900, "more than asked"),
            (10, 3_000, 96, "more, but too few windows to say so"),
            (11, 3_295, 0, "fewer, but too few windows to say so"),
            (400, 4_000, 0, "fewer than asked"),
        ] {
            let found = found(windows, judged, beyond);
            let tested = Tested::of(&found, 0.01).unwrap();
            let share = beyond as f64 / judged as f64;
            let near = |statistic: f64, trials: u64| {
                let by_letter = letter(trials as f64, share, 0.01);
                assert!((statistic - by_letter).abs() < 1e-8 * by_letter.max(1.0), "{statistic} {by_letter}");
            };
            near(tested.apart.statistic, judged);
            near(tested.together.statistic, windows);
            assert_eq!((tested.expected, tested.says(&found)), (judged as f64 * 0.01, says));
        }
        assert_eq!(Tested::of(&found(0, 0, 0), 0.01), None);
    }

    #[test]
    fn a_loss_is_counted_once_a_window_and_so_is_the_window() {
        let mut beyond = Beyond::default();
        for window in [&[5, 7][..], &[], &[1]] {
            beyond.take(window);
        }
        assert_eq!(beyond, Beyond { losses: 3, windows: 2, most: 2, excess: 13 });
    }
}
