//! What is said of a margin against the losses that came after it.
//!
//! **The one idea:** every figure is a statistic of two series in step, margins set and losses that followed, and every statistic is
//! one of `plimsoll_quant`. Where losses span several rows they overlap: the traffic light then uses the law of overlapping
//! losses, and the tests of independence are made on each of the series that do not overlap, the least probability being
//! stated.

use crate::history::{Fault, History};
use plimsoll_quant::backtest::{
    DieboldMariano, LikelihoodRatio, OverlappingLaw, OverlappingSpec, ShortfallDay, Transitions, Zone,
    ZoneLimits, christoffersen_coverage, christoffersen_independence, kupiec_pof, kupiec_tuff,
    newey_west_lags, pinball_loss, z2, zone_limits,
};
use plimsoll_quant::procyclicality::{largest_increase, log_deviation, peak_to_trough};
use plimsoll_quant::special::{binomial_sf, norm_cdf};
use plimsoll_quant::stats::{QuantileRule, StatsError, mean, quantile, student_t_var_es};
use serde::Serialize;
use std::collections::BTreeMap;

/// The share of losses that a margin is to cover.
pub const CONFIDENCE: f64 = 0.99;
/// Student's t that stands for the losses beyond the margin: expected shortfall over value at risk at 99 %.
const SHORTFALL_NU: f64 = 5.0;
/// Simulated paths behind the law of overlapping losses.
const PATHS: u32 = 100_000;
const SEED: u64 = 1;

/// Laws of overlapping losses by the number of rows they span, each simulated once.
#[derive(Clone, Debug, Default)]
pub struct Laws(BTreeMap<usize, OverlappingLaw>);

impl Laws {
    /// The laws of these spans.
    ///
    /// # Errors
    /// [`StatsError`] for a span above 250 rows.
    pub fn simulate(spans: &[usize]) -> Result<Self, StatsError> {
        let mut laws = BTreeMap::new();
        for &horizon in spans.iter().filter(|span| **span > 1) {
            let spec = OverlappingSpec { horizon, confidence: CONFIDENCE, paths: PATHS, seed: SEED };
            laws.insert(horizon, OverlappingLaw::simulate(&spec)?);
        }
        Ok(Self(laws))
    }

    /// Where the zones begin, and the probability of so many breaches or more.
    fn judge(
        &self,
        span: usize,
        observations: usize,
        breaches: usize,
    ) -> Result<(ZoneLimits, f64), StatsError> {
        let (all, rate) = (observations as u64, 1.0 - CONFIDENCE);
        let below = breaches.checked_sub(1);
        let Some(law) = self.0.get(&span) else {
            let p = below.map_or(1.0, |below| binomial_sf(below as u64, all, rate));
            let ZoneLimits { yellow_from, red_from } = zone_limits(all, rate)?;
            // No breach at all is never one too many, however few the observations.
            return Ok((ZoneLimits { yellow_from: yellow_from.max(1), red_from: red_from.max(1) }, p));
        };
        let cumulative = law.cumulative(observations)?;
        let up_to = |below: usize| cumulative.get(below).or(cumulative.last()).copied().unwrap_or(1.0);
        Ok((law.limits(observations)?, below.map_or(1.0, |below| (1.0 - up_to(below)).max(0.0))))
    }
}

/// The figures of a margin. Margins and losses are shares of the value of one coin; probabilities are those of a series as
/// bad or worse when the margin is right, except where stated. A figure that cannot be found is absent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figures {
    /// Margins that were judged.
    pub observations: usize,
    /// Losses beyond their margin.
    pub breaches: usize,
    /// How many are expected: 1 % of the observations.
    pub expected: f64,
    /// Kupiec, two-sided.
    pub kupiec_p: Option<f64>,
    /// Kupiec, against too many breaches only.
    pub kupiec_one_sided_p: Option<f64>,
    /// So many breaches or more, by the law of losses that overlap as these do; the one to read where a loss spans rows.
    pub count_p: f64,
    /// Time until the first breach.
    pub tuff_p: Option<f64>,
    /// Christoffersen: is a breach as likely after a breach? Over several series the least times their number, at most 1.
    pub independence_p: Option<f64>,
    /// Christoffersen: coverage and independence together; likewise.
    pub conditional_p: Option<f64>,
    /// Series of losses that do not overlap, behind both: as many as rows that a loss spans.
    pub independence_series: usize,
    /// Zone of the number of breaches: `green`, `yellow` or `red`.
    pub traffic_light: &'static str,
    /// The most breaches that are green.
    pub green_most: u64,
    /// Acerbi and Szekely's Z2, 0 expected, negative where too little was held.
    pub acerbi_szekely: Option<f64>,
    /// Mean of what a breach lacked over its margin.
    pub breach_severity: Option<f64>,
    /// The most a breach lacked, in shares of the value of one coin.
    pub uncovered_most: f64,
    /// Mean.
    pub mean_margin: Option<f64>,
    /// Median.
    pub median_margin: Option<f64>,
    /// Mean pinball loss at 99 %.
    pub quantile_score: Option<f64>,
    /// Largest over smallest margin.
    pub peak_to_trough: Option<f64>,
    /// Largest margin over that a day before.
    pub rise_1d: Option<f64>,
    /// Over that five days before.
    pub rise_5d: Option<f64>,
    /// Over that thirty days before.
    pub rise_30d: Option<f64>,
    /// Standard deviation of the logarithm of the margin.
    pub log_margin_deviation: Option<f64>,
}

/// What existing positions are held to: maintenance margin on the announced ramp, judged by the same losses. Shares of the value of one
/// coin.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Maintenance {
    /// Losses beyond it: an account that just met it owes more than it has.
    pub breaches: usize,
    /// Of them, those that maintenance without a ramp would have covered.
    pub ramp_breaches: usize,
    /// The most a breach lacked.
    pub uncovered_most: f64,
    /// Mean.
    pub mean: f64,
    /// Share of the rows at which what was announced did not bind in full.
    pub ramp_share: f64,
}

impl Maintenance {
    /// Of maintenance margins, the same if what is announced bound at once, and the losses that followed, in step; `None` of
    /// none.
    ///
    /// # Errors
    /// [`StatsError`] for numbers that are not finite.
    pub fn of(margins: &[f64], unramped: &[f64], losses: &[f64]) -> Result<Option<Self>, StatsError> {
        if margins.is_empty() || margins.len() != losses.len() || margins.len() != unramped.len() {
            return Ok(None);
        }
        let mut all = Self {
            breaches: 0,
            ramp_breaches: 0,
            uncovered_most: 0.0,
            mean: mean(margins)?,
            ramp_share: 0.0,
        };
        let mut on_ramp = 0_usize;
        for ((margin, whole), loss) in margins.iter().zip(unramped).zip(losses) {
            on_ramp += usize::from(margin != whole);
            if loss > margin {
                all.breaches += 1;
                all.ramp_breaches += usize::from(loss <= whole);
                all.uncovered_most = all.uncovered_most.max(loss - margin);
            }
        }
        all.ramp_share = on_ramp as f64 / margins.len() as f64;
        Ok(Some(all))
    }
}

/// What was wrong with the prices behind a row, and what its policy did without: all counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Faults {
    /// Stretches of missing instants, each bridged by one return.
    pub gaps: usize,
    /// Rows left out: without a price, said twice, far from those around them.
    pub dropped: usize,
    /// Of those, the ones far from those around them.
    pub misplaced: usize,
    /// Changes of unit, what came before being rescaled.
    pub unit_changes: usize,
    /// Rows that were sorted.
    pub out_of_order: usize,
    /// Runs of the same price.
    pub stale: usize,
    /// Bars widened to hold their prices.
    pub widened: usize,
    /// Seams between files.
    pub splices: usize,
    /// Observations of the policy that spanned missing steps.
    pub bridged: u64,
    /// Numbers that an estimator of the policy refused.
    pub refused: u64,
    /// Rows after which a price scan of the policy stood on the stress floor for too little history.
    pub on_stress_floor: u64,
    /// Portfolios that were not judged, in the whole study.
    pub left_out: usize,
}

impl Faults {
    /// Adds what was found in a history.
    pub fn add(&mut self, history: &History) {
        self.gaps += history.count(Fault::Gap);
        self.dropped += history.dropped();
        self.misplaced += history.count(Fault::MisplacedPoint);
        self.unit_changes += history.count(Fault::UnitChange);
        self.out_of_order += history.count(Fault::OutOfOrder);
        self.stale += history.count(Fault::Stale);
        self.widened += history.count(Fault::BadRange);
        self.splices += history.count(Fault::Splice);
    }
}

/// Two series in step, and how they overlap.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Margins set.
    pub margins: &'a [f64],
    /// Losses that followed; below 0 for a gain.
    pub losses: &'a [f64],
    /// Rows that a loss spans; >= 1.
    pub span: usize,
    /// Rows in a day; >= 1.
    pub per_day: usize,
}

impl Judged<'_> {
    /// The figures; `None` without an observation.
    ///
    /// # Errors
    /// [`StatsError`] for numbers that are not finite.
    pub fn figures(&self, laws: &Laws) -> Result<Option<Figures>, StatsError> {
        let observations = self.margins.len();
        if observations == 0 || observations != self.losses.len() {
            return Ok(None);
        }
        let breached: Vec<bool> = self.losses.iter().zip(self.margins).map(|(l, m)| l > m).collect();
        let breaches = breached.iter().filter(|b| **b).count();
        let (limits, count_p) = laws.judge(self.span, observations, breaches)?;
        let pof = kupiec_pof(observations as u64, breaches as u64, 1.0 - CONFIDENCE)?;
        let expected = (1.0 - CONFIDENCE) * observations as f64;
        let (independence_p, conditional_p, independence_series) = self.independence(&breached)?;
        let (breach_severity, uncovered_most) = self.severity();
        let rise = |days: usize| largest_increase(self.margins, days * self.per_day).ok();
        let first = breached.iter().position(|b| *b).map(|at| at as u64 + 1);
        let rate = 1.0 - CONFIDENCE;
        Ok(Some(Figures {
            observations,
            breaches,
            expected,
            kupiec_p: Some(pof.p_value()),
            kupiec_one_sided_p: Some(one_sided(&pof, breaches as f64 > expected)),
            count_p,
            tuff_p: first.and_then(|n| kupiec_tuff(n, rate).ok()).map(|test| test.p_value()),
            independence_p,
            conditional_p,
            independence_series,
            traffic_light: light(limits.zone(breaches as u64)),
            green_most: limits.yellow_from.saturating_sub(1),
            acerbi_szekely: self.shortfall()?,
            breach_severity,
            uncovered_most,
            mean_margin: Some(mean(self.margins)?),
            median_margin: Some(quantile(self.margins, 0.5, QuantileRule::SampleMinusOneInterpolated)?),
            quantile_score: Some(mean(&self.scores()?)?),
            peak_to_trough: peak_to_trough(self.margins).ok(),
            rise_1d: rise(1),
            rise_5d: rise(5),
            rise_30d: rise(30),
            log_margin_deviation: log_deviation(self.margins).ok(),
        }))
    }

    /// Pinball losses at 99 %, margin by margin.
    ///
    /// # Errors
    /// [`StatsError`] for numbers that are not finite.
    pub fn scores(&self) -> Result<Vec<f64>, StatsError> {
        self.losses.iter().zip(self.margins).map(|(l, m)| pinball_loss(*l, *m, CONFIDENCE)).collect()
    }

    /// P-values of independence and of both, each the least over the series of losses that do not overlap times their number
    /// (Bonferroni: holds however the series hang together), and that number.
    fn independence(&self, breached: &[bool]) -> Result<(Option<f64>, Option<f64>, usize), StatsError> {
        let (mut independence, mut conditional, mut series) = (f64::INFINITY, f64::INFINITY, 0);
        for phase in 0..self.span {
            let apart: Vec<bool> = breached.iter().skip(phase).step_by(self.span).copied().collect();
            if apart.len() < 2 {
                continue;
            }
            let count = apart.iter().filter(|b| **b).count() as u64;
            let n = Transitions::of(&apart);
            independence = independence.min(christoffersen_independence(&n)?.p_value());
            let both = christoffersen_coverage(apart.len() as u64, count, 1.0 - CONFIDENCE, &n)?;
            conditional = conditional.min(both.p_value());
            series += 1;
        }
        let corrected = |least: f64| (series > 0).then(|| (least * series as f64).min(1.0));
        Ok((corrected(independence), corrected(conditional), series))
    }

    /// Mean relative excess, and largest excess.
    fn severity(&self) -> (Option<f64>, f64) {
        let (mut count, mut sum, mut most) = (0_usize, 0.0, 0.0_f64);
        for (loss, margin) in self.losses.iter().zip(self.margins).filter(|(l, m)| l > m) {
            count += 1;
            sum += (loss - margin) / margin;
            most = most.max(loss - margin);
        }
        ((count > 0 && sum.is_finite()).then(|| sum / count as f64), most)
    }

    /// Z2 where the expected shortfall is stated as that of a Student's t whose value at risk is the margin.
    fn shortfall(&self) -> Result<Option<f64>, StatsError> {
        let (var, es) = student_t_var_es(CONFIDENCE, SHORTFALL_NU)?;
        let day =
            |(loss, margin): (&f64, &f64)| ShortfallDay { pnl: -loss, var: *margin, es: margin * es / var };
        let days: Vec<ShortfallDay> = self.losses.iter().zip(self.margins).map(day).collect();
        Ok(z2(&days, 1.0 - CONFIDENCE).ok())
    }
}

fn one_sided(test: &LikelihoodRatio, above: bool) -> f64 {
    let root = test.statistic.max(0.0).sqrt();
    norm_cdf(if above { -root } else { root })
}

fn light(zone: Zone) -> &'static str {
    match zone {
        Zone::Green => "green",
        Zone::Yellow => "yellow",
        Zone::Red => "red",
    }
}

/// Whether the first of two series of scores is worse: the statistic of Diebold and Mariano, > 0 where it is, and the
/// probability of one as large when both are equally good. `None` where the series do not differ.
///
/// # Errors
/// None; series that cannot be compared have no answer.
pub fn worse(first: &[f64], second: &[f64], span: usize) -> Option<(f64, f64)> {
    let lags = newey_west_lags(first.len()).max(span - 1);
    let test = DieboldMariano::of(first, second, Some(lags)).ok()?;
    Some((test.statistic, norm_cdf(-test.statistic)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    fn series(n: usize, breach_every: usize) -> (Vec<f64>, Vec<f64>) {
        let losses =
            (0..n).map(|i| if i % breach_every == breach_every - 1 { 0.15 } else { -0.01 }).collect();
        (vec![0.10; n], losses)
    }

    #[test]
    fn one_breach_in_a_hundred_passes_every_test() {
        let (margins, losses) = series(3000, 100);
        let judged = Judged { margins: &margins, losses: &losses, span: 1, per_day: 1 };
        let f = judged.figures(&Laws::default()).unwrap().unwrap();
        assert_eq!((f.observations, f.breaches, f.traffic_light), (3000, 30, "green"));
        assert!(f.kupiec_p.unwrap() > 0.999 && f.kupiec_one_sided_p.unwrap() > 0.49);
        assert!((f.breach_severity.unwrap() - 0.5).abs() < 1e-12 && (f.uncovered_most - 0.05).abs() < 1e-12);
        // 99 % of 0.05 for a breach, 1 % of 0.11 otherwise.
        let score = 0.01 * (0.99 * 0.05) + 0.99 * (0.01 * 0.11);
        assert!((f.quantile_score.unwrap() - score).abs() < 1e-12);
        assert_eq!((f.peak_to_trough, f.rise_30d), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn the_published_counts_have_their_p_values() {
        // A sketch of these data: 52 breaches of 30.3 expected fail, 28 pass (chi-square, one degree, by hand).
        let p = |x: u64| {
            let test = kupiec_pof(3028, x, 0.01).unwrap();
            one_sided(&test, x as f64 > 30.28)
        };
        assert!(p(52) < 0.001 && p(28) > 0.5, "{} {}", p(52), p(28));
        // research table: 29 of 3028 0.593, 38 of 3028 0.088
        assert!((p(29) - 0.593).abs() < 5e-4 && (p(38) - 0.088).abs() < 5e-4);
    }

    #[test]
    fn overlapping_losses_are_allowed_their_clusters() {
        let (margins, mut losses) = series(500, 1000);
        losses[100..112].fill(0.2);
        let of = |span: usize| {
            let laws = Laws::simulate(&[span]).unwrap();
            let judged = Judged { margins: &margins, losses: &losses, span, per_day: 1 };
            judged.figures(&laws).unwrap().unwrap()
        };
        assert_eq!((of(1).traffic_light, of(10).traffic_light), ("yellow", "green"));
        assert!(of(1).independence_p.unwrap() < 1e-6);
    }

    #[test]
    fn the_least_of_several_p_values_is_paid_for() {
        // Breaches follow one another in one of the ten series, and in no other.
        let (margins, mut losses) = series(1000, 5000);
        for i in [103, 113, 123] {
            losses[i] = 0.2;
        }
        let judged = Judged { margins: &margins, losses: &losses, span: 10, per_day: 1 };
        let f = judged.figures(&Laws::simulate(&[10]).unwrap()).unwrap().unwrap();
        let apart: Vec<bool> = losses.iter().skip(3).step_by(10).map(|loss| *loss > 0.1).collect();
        let alone = christoffersen_independence(&Transitions::of(&apart)).unwrap().p_value();
        assert!(alone < 0.05, "{alone}");
        assert_eq!((f.independence_series, f.independence_p), (10, Some((10.0 * alone).min(1.0))));
    }

    #[test]
    fn no_breach_is_green_however_few_there_are_to_judge() {
        for (n, span) in [(2, 1), (5, 1), (6, 1), (3, 5)] {
            let (margins, losses) = series(n, 1000);
            let judged = Judged { margins: &margins, losses: &losses, span, per_day: 1 };
            let f = judged.figures(&Laws::simulate(&[span]).unwrap()).unwrap().unwrap();
            assert_eq!((f.breaches, f.traffic_light, f.green_most), (0, "green", 0), "{n} over {span}");
        }
    }

    #[test]
    fn maintenance_on_a_ramp_is_judged_by_what_binds() {
        let (margins, unramped) = ([0.05, 0.05, 0.10, 0.10], [0.10, 0.05, 0.10, 0.10]);
        let of = |losses: &[f64]| Maintenance::of(&margins, &unramped, losses).unwrap();
        let all = of(&[0.08, 0.06, 0.13, 0.01]).unwrap();
        assert_eq!((all.breaches, all.ramp_breaches, all.ramp_share), (3, 1, 0.25));
        assert!((all.uncovered_most - 0.03).abs() < 1e-12 && (all.mean - 0.075).abs() < 1e-12);
        assert_eq!(of(&[0.08]), None);
    }

    #[test]
    fn nothing_to_judge_is_no_figure() {
        let judged = Judged { margins: &[], losses: &[], span: 1, per_day: 1 };
        assert_eq!(judged.figures(&Laws::default()), Ok(None));
    }
}
