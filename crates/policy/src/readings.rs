//! What adjusters read: one number a cause, larger when the world is worse.
//!
//! **The one idea:** a reading is a number without a unit, or one whose unit is stated here, that rises with danger; what it
//! does to a parameter is a slope of the policy file. A reading stays until there is a newer one, or until it is older than the
//! adjuster allows: then it is gone, and the adjuster does nothing, or its most, as the file states.
//!
//! | cause | reading |
//! |---|---|
//! | `vol_spike` | deviations of `ln(atm)` above its exponential mean |
//! | `skew` | deviations of `-risk_reversal / atm` above its exponential mean |
//! | `term_inversion` | `-slope`, volatility per unit of `ln(days)` |
//! | `liquidity` | exponential mean of the liquidity score over the score: 2 is half the usual depth |
//! | `pool` | what the pool must cover over what is in it |
//! | `open_interest` | open interest, quote units; with a norm stated, over the exponential mean of a day's volume: days |
//! | `correlation` | mean correlation of distinct underlyings |
//! | `concentration` | share of open interest held by the largest ten |
//! | `regime` | probability of the most volatile state |
//! | `jump` | size of the last jump in local deviations; 0 where there was none |
//! | `funding` | absolute funding over 8 hours, a share of notional |
//! | `sentiment` | distance of the mood from 50 |

use crate::estimate::fitted;
use crate::series::Forming;
use crate::{Adjusters, Cause, Note, Quoted, Series, UnderlyingSignals};
use plimsoll_quant::correlation::{
    Correlation, EwmaCorrelation, EwmaCorrelationSpec, RollingDcc, RollingDccSpec, Target,
};
use plimsoll_quant::ewma::EwmaMoments;
use plimsoll_quant::garch::Law;
use plimsoll_quant::jump::JumpTest;
use plimsoll_quant::liquidity::{LiquidityScore, LiquiditySpec, effective_depth};
use plimsoll_quant::regime::{EmOptions, RollingRegime, RollingRegimeSpec};
use plimsoll_quant::schedule::Refit;
use plimsoll_quant::special::ln;
use plimsoll_quant::stats::StatsError;
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An exponential mean and deviation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norm {
    /// Half-life, observations.
    pub half_life: f64,
    /// Observations before a reading.
    pub needed: usize,
}

/// How depth is read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiquidityReading {
    /// The venues that count, by name.
    pub venues: Vec<String>,
    /// Spread beyond which depth counts less, a share of the middle.
    pub usual_spread: f64,
    /// Slots in the window.
    pub slots: usize,
    /// Length of a slot, seconds.
    pub slot_seconds: f64,
    /// Share of the slots whose depth may be lower without effect.
    pub ignored: f64,
    /// Seconds an observation counts without a newer one.
    pub hold_seconds: f64,
    /// Seconds in which a level halves when there is none.
    pub decay_half_life_seconds: f64,
    /// Largest growth of the score a day.
    pub growth_per_day: f64,
    /// Largest fall of the score a day.
    pub fall_per_day: f64,
    /// Least score, quote units.
    pub floor: f64,
    /// What is usual.
    pub norm: Norm,
}

/// How correlation is read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrelationReading {
    /// The underlyings, two at least.
    pub underlyings: Vec<String>,
    /// Half-life of each volatility, observations.
    pub vol_half_life: f64,
    /// Observations before a volatility is known.
    pub vol_needed: usize,
    /// How they are put together.
    pub method: CorrelationMethod,
}

/// How observations become a correlation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CorrelationMethod {
    /// Exponentially weighted, shrunk (Ledoit and Wolf).
    Ewma {
        /// Half-life, observations.
        half_life: f64,
        /// Observations of every pair before a reading.
        needed: usize,
    },
    /// Dynamic conditional correlation by maximum likelihood (Engle 2002).
    Dcc {
        /// Observations of all in an estimate, at least 50.
        window: usize,
        /// Observations of all before the first one, at least 50.
        needed: usize,
        /// Observations between estimates.
        refit_every: usize,
    },
}

/// How the regime is read.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegimeReading {
    /// States, 2 or 3.
    pub states: usize,
    /// Degrees of freedom of Student's t; the normal law when left out.
    #[serde(default)]
    pub nu: Option<f64>,
    /// Observations of an estimate, at most.
    pub window: usize,
    /// Observations before the first one.
    pub needed: usize,
    /// Observations between estimates.
    pub refit_every: usize,
}

/// How jumps are read.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JumpSize {
    /// Observations of the local volatility, with the one that is tested.
    pub window: usize,
    /// Observations over which `level` is the probability of one false alarm.
    pub stretch: usize,
    /// That probability.
    pub level: f64,
}

/// What is read, where reading takes more than looking.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Readings {
    /// For `vol_spike`.
    pub vol_spike: Option<Norm>,
    /// For `skew`.
    pub skew: Option<Norm>,
    /// For `liquidity`.
    pub liquidity: Option<LiquidityReading>,
    /// For `open_interest`: what is usual of a day's volume; open interest is read in quote units when left out.
    pub open_interest: Option<Norm>,
    /// For `correlation`.
    pub correlation: Option<CorrelationReading>,
    /// For `regime`.
    pub regime: Option<RegimeReading>,
    /// For `jump`.
    pub jump: Option<JumpSize>,
}

impl Norm {
    fn begin(&self) -> Result<EwmaMoments, StatsError> {
        EwmaMoments::new(self.half_life, self.needed)
    }
}

impl LiquidityReading {
    fn begin(&self) -> Result<Depth, StatsError> {
        effective_depth(1.0, 0.0, self.usual_spread)?;
        let spec = LiquiditySpec {
            venues: self.venues.len(),
            slots: self.slots,
            slot_seconds: self.slot_seconds,
            ignored: self.ignored,
            hold_seconds: self.hold_seconds,
            decay_half_life_seconds: self.decay_half_life_seconds,
            growth_per_day: self.growth_per_day,
            fall_per_day: self.fall_per_day,
            floor: self.floor,
        };
        Ok(Depth { score: LiquidityScore::new(spec)?, usual: self.norm.begin()? })
    }
}

impl CorrelationReading {
    pub(crate) fn begin(&self) -> Result<Correlator, StatsError> {
        if self.underlyings.len() < 2 {
            let value = self.underlyings.len() as f64;
            let domain = "two underlyings at least";
            return Err(StatsError::Domain { parameter: "correlation underlyings", value, domain });
        }
        let (series, vol_half_life, vol_warm_up) =
            (self.underlyings.len(), self.vol_half_life, self.vol_needed);
        let gauge = match self.method {
            CorrelationMethod::Ewma { half_life, needed } => {
                let target = Target::ConstantCorrelation;
                let spec =
                    EwmaCorrelationSpec { series, vol_half_life, vol_warm_up, half_life, needed, target };
                CorrelationGauge::Ewma(EwmaCorrelation::new(spec)?)
            }
            CorrelationMethod::Dcc { window, needed, refit_every } => {
                let spec = RollingDccSpec { series, vol_half_life, vol_warm_up, window, needed, refit_every };
                CorrelationGauge::Dcc(Box::new(RollingDcc::new(spec)?))
            }
        };
        Ok(Correlator { gauge, step: None, row: vec![None; series] })
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum CorrelationGauge {
    Ewma(EwmaCorrelation),
    Dcc(Box<RollingDcc>),
}

/// Correlation of changes of the same step, whichever message each of them came with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Correlator {
    gauge: CorrelationGauge,
    /// The step whose changes are being collected.
    step: Option<i64>,
    row: Vec<Option<f64>>,
}

impl Correlator {
    /// Adds what closed in `step`, which is not before that of the last call; the mean correlation where the row is taken in:
    /// once it is whole, or when a later step begins.
    pub(crate) fn update(
        &mut self,
        spec: &CorrelationReading,
        step: i64,
        changes: &BTreeMap<String, f64>,
    ) -> Result<Option<f64>, StatsError> {
        let mut read = None;
        if self.step.is_some_and(|open| step > open) && self.row.iter().any(Option::is_some) {
            read = self.take_row()?;
        }
        self.step = Some(step);
        let mut new = false;
        for (place, name) in self.row.iter_mut().zip(&spec.underlyings) {
            if let Some(change) = changes.get(name) {
                (*place, new) = (Some(*change), true);
            }
        }
        if new && self.row.iter().all(Option::is_some) {
            read = self.take_row()?;
        }
        Ok(read)
    }

    fn take_row(&mut self) -> Result<Option<f64>, StatsError> {
        let empty = vec![None; self.row.len()];
        let row = std::mem::replace(&mut self.row, empty);
        let correlation = match &mut self.gauge {
            CorrelationGauge::Ewma(of) => {
                of.update(&row)?;
                of.correlation()
            }
            CorrelationGauge::Dcc(of) => {
                if let Refit::Kept(reason) = of.update(&row)? {
                    return Err(reason);
                }
                of.correlation()
            }
        };
        Ok(correlation.ok().map(|of: Correlation| of.average()))
    }
}

impl RegimeReading {
    fn begin(&self) -> Result<RollingRegime, StatsError> {
        let law = self.nu.map_or(Law::Normal, |nu| Law::StudentT { nu });
        law.quantile(0.99)?;
        let Self { states, window, needed, refit_every, .. } = *self;
        let options = EmOptions::usual();
        RollingRegime::new(RollingRegimeSpec { states, law, window, needed, refit_every, options })
    }
}

impl Readings {
    /// Whether these can be read.
    pub fn check(&self) -> Result<(), StatsError> {
        self.correlation.as_ref().map_or(Ok(()), |of| of.begin().map(|_| ()))?;
        Watch::new(self).map(|_| ())
    }

    /// Whether a cause has what it is read with: most only look.
    pub fn has(&self, cause: Cause) -> bool {
        match cause {
            Cause::VolSpike => self.vol_spike.is_some(),
            Cause::Skew => self.skew.is_some(),
            Cause::Liquidity => self.liquidity.is_some(),
            Cause::Correlation => self.correlation.is_some(),
            Cause::Regime => self.regime.is_some(),
            Cause::Jump => self.jump.is_some(),
            Cause::RiskNeutral | Cause::Model => false,
            _ => true,
        }
    }
}

/// Depth and what is usual of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Depth {
    score: LiquidityScore,
    usual: EwmaMoments,
}

/// A reading and when it was made.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) value: f64,
    at: Timestamp,
    /// Whether it is older than its adjuster allows.
    pub(crate) gone: bool,
}

/// The last reading of each cause.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reads(pub(crate) BTreeMap<Cause, Read>);

impl Reads {
    pub(crate) fn insert(&mut self, cause: Cause, value: f64, at: Timestamp) {
        self.0.insert(cause, Read { value, at, gone: false });
    }

    /// Puts away what is older than its adjuster allows; says what that is.
    pub(crate) fn age(&mut self, adjusters: &Adjusters, now: Timestamp) -> impl Iterator<Item = Cause> {
        let old = move |(cause, read): (&Cause, &mut Read)| {
            let adjuster = adjusters.by.get(cause)?;
            let stale = !read.gone && read.at.seconds_until(now) > adjuster.stale_seconds as f64;
            read.gone |= stale;
            stale.then_some(*cause)
        };
        self.0.iter_mut().filter_map(old)
    }
}

/// Everything that is read of one underlying.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// What is observed, by series.
    pub(crate) forming: BTreeMap<Series, Forming>,
    vol: Option<EwmaMoments>,
    skew: Option<EwmaMoments>,
    depth: Option<Depth>,
    /// When depth was last read.
    quoted: Option<Timestamp>,
    volume: Option<EwmaMoments>,
    regime: Option<Box<RollingRegime>>,
    jump: Option<JumpTest>,
    /// The last reading of each cause.
    pub(crate) reads: Reads,
}

/// What a reading refused, by what was to be read.
type Refusals = Vec<(&'static str, StatsError)>;

impl Watch {
    pub(crate) fn new(of: &Readings) -> Result<Self, StatsError> {
        Ok(Self {
            forming: BTreeMap::new(),
            vol: of.vol_spike.as_ref().map(Norm::begin).transpose()?,
            skew: of.skew.as_ref().map(Norm::begin).transpose()?,
            depth: of.liquidity.as_ref().map(LiquidityReading::begin).transpose()?,
            quoted: None,
            volume: of.open_interest.as_ref().map(Norm::begin).transpose()?,
            regime: of.regime.map(|of| of.begin().map(Box::new)).transpose()?,
            jump: of.jump.map(|of| JumpTest::new(of.window, of.stretch, of.level)).transpose()?,
            reads: Reads::default(),
        })
    }

    /// Whether a series was ever seen.
    pub(crate) fn known(&self, series: Series) -> bool {
        self.forming.get(&series).is_some_and(Forming::known)
    }

    /// Takes in a closed change of the price; what one reading refuses does not stop another.
    pub(crate) fn returned(&mut self, change: f64, now: Timestamp) -> Refusals {
        let mut refused = Refusals::new();
        if let Some(regime) = &mut self.regime {
            refused.extend(regime.update(change).and_then(fitted).err().map(|error| ("regime", error)));
            if let Ok(filter) = regime.filter() {
                let worst = filter.probabilities().last().copied().unwrap_or(0.0);
                self.reads.insert(Cause::Regime, worst, now);
            }
        }
        match self.jump.as_mut().map(|test| test.update(change)) {
            Some(Ok(Some(reading))) => {
                let size = if reading.is_jump { reading.statistic.abs() } else { 0.0 };
                self.reads.insert(Cause::Jump, size, now);
            }
            Some(Err(error)) => refused.push(("jump", error)),
            Some(Ok(None)) | None => {}
        }
        refused
    }

    /// Takes in the surface as it is; what is usual learns from closed observations only.
    pub(crate) fn surface(&mut self, signals: &UnderlyingSignals, now: Timestamp, closed: bool) -> Refusals {
        let mut refused = Refusals::new();
        let Some(implied) = signals.implied else { return refused };
        let gauges = [
            (Cause::VolSpike, &mut self.vol, ln(implied.atm)),
            (Cause::Skew, &mut self.skew, -implied.risk_reversal / implied.atm),
        ];
        for (cause, gauge, value) in gauges {
            let Some(gauge) = gauge.as_mut().filter(|_| value.is_finite()) else { continue };
            if let Ok(deviations) = gauge.z_score(value) {
                self.reads.insert(cause, deviations, now);
            }
            if closed {
                refused.extend(gauge.update(value).err().map(|error| (cause.name(), error)));
            }
        }
        if implied.slope.is_finite() {
            self.reads.insert(Cause::TermInversion, -implied.slope, now);
        }
        refused
    }

    /// Takes in what venues quote.
    pub(crate) fn quotes(
        &mut self,
        spec: Option<&LiquidityReading>,
        venues: &BTreeMap<String, Quoted>,
        (now, closed): (Timestamp, bool),
    ) -> Result<(), StatsError> {
        let Some((spec, Depth { score, usual })) = spec.zip(self.depth.as_mut()) else { return Ok(()) };
        let depth = |name: &String| {
            let quoted = venues.get(name);
            quoted.map(|q| effective_depth(q.depth, q.spread, spec.usual_spread)).transpose()
        };
        let depths = spec.venues.iter().map(depth).collect::<Result<Vec<_>, _>>()?;
        // The clock of this score is its own: others may have sent signals in between.
        let elapsed = self.quoted.map_or(0.0, |last| last.seconds_until(now));
        score.update(elapsed, &depths)?;
        self.quoted = Some(now);
        let Ok(level) = score.score() else { return Ok(()) };
        if closed {
            usual.update(level)?;
        }
        if let Ok(norm) = usual.mean() {
            self.reads.insert(Cause::Liquidity, norm / level, now);
        }
        Ok(())
    }

    /// What is read by looking.
    pub(crate) fn look(&mut self, signals: &UnderlyingSignals, now: Timestamp, closed: bool) -> Refusals {
        let mut refused = Refusals::new();
        let mut open_interest = signals.open_interest;
        if let Some(volume) = &mut self.volume {
            let fresh = signals.daily_volume.filter(|_| closed);
            let outcome = fresh.map_or(Ok(()), |amount| volume.update(amount));
            refused.extend(outcome.err().map(|error| ("daily_volume", error)));
            let usual = volume.mean().ok().filter(|mean| *mean > 0.0);
            open_interest = open_interest.zip(usual).map(|(amount, usual)| amount / usual);
        }
        let seen = [
            (Cause::OpenInterest, open_interest),
            (Cause::Concentration, signals.concentration),
            (Cause::Funding, signals.funding.map(f64::abs)),
        ];
        for (cause, value) in seen {
            value.into_iter().for_each(|value| self.reads.insert(cause, value, now));
        }
        refused
    }
}

/// What refused readings and estimators are noted as: where, and of what.
pub(crate) fn refused(
    place: &str,
    of: impl IntoIterator<Item = (&'static str, StatsError)>,
) -> impl Iterator<Item = Note> {
    of.into_iter().map(move |(what, reason)| Note::Refused {
        place: place.to_owned(),
        reason: format!("{what}: {reason}"),
    })
}
