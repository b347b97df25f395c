//! What adjusters read: one number a cause, larger when the world is worse.
//!
//! **The one idea:** a reading is a number without a unit, or one whose unit is stated here, that rises with danger; what it
//! does to a parameter is a slope of the policy file. A reading stays until there is a newer one.
//!
//! | cause | reading |
//! |---|---|
//! | `vol_spike` | deviations of `ln(atm)` above its exponential mean |
//! | `skew` | deviations of `-risk_reversal / atm` above its exponential mean |
//! | `term_inversion` | `-slope`, volatility per unit of `ln(days)` |
//! | `liquidity` | exponential mean of the liquidity score over the score: 2 is half the usual depth |
//! | `pool` | what the pool must cover over what is in it |
//! | `open_interest` | open interest, quote units |
//! | `correlation` | mean correlation of distinct underlyings |
//! | `concentration` | share of open interest held by the largest ten |
//! | `regime` | probability of the most volatile state |
//! | `jump` | size of the last jump in local deviations; 0 where there was none |
//! | `funding` | absolute funding over 8 hours, a share of notional |
//! | `sentiment` | distance of the mood from 50 |

use crate::series::Forming;
use crate::target::Observation;
use crate::{Cause, Note, Quoted, UnderlyingSignals};
use plimsoll_quant::correlation::{EwmaCorrelation, EwmaCorrelationSpec, Target};
use plimsoll_quant::ewma::EwmaMoments;
use plimsoll_quant::garch::Law;
use plimsoll_quant::jump::JumpTest;
use plimsoll_quant::liquidity::{LiquidityScore, LiquiditySpec, effective_depth};
use plimsoll_quant::regime::{EmOptions, RollingRegime, RollingRegimeSpec};
use plimsoll_quant::special::ln;
use plimsoll_quant::stats::StatsError;
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
    /// Half-life of the correlations, observations.
    pub half_life: f64,
    /// Observations of every pair before a reading.
    pub needed: usize,
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
    pub(crate) fn begin(&self) -> Result<EwmaCorrelation, StatsError> {
        if self.underlyings.len() < 2 {
            let value = self.underlyings.len() as f64;
            let domain = "two underlyings at least";
            return Err(StatsError::Domain { parameter: "correlation underlyings", value, domain });
        }
        let spec = EwmaCorrelationSpec {
            series: self.underlyings.len(),
            vol_half_life: self.vol_half_life,
            vol_warm_up: self.vol_needed,
            half_life: self.half_life,
            needed: self.needed,
            target: Target::ConstantCorrelation,
        };
        EwmaCorrelation::new(spec)
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

/// Everything that is read of one underlying.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) price: Forming,
    pub(crate) implied: Forming,
    vol: Option<EwmaMoments>,
    skew: Option<EwmaMoments>,
    depth: Option<Depth>,
    regime: Option<Box<RollingRegime>>,
    jump: Option<JumpTest>,
    /// The last reading of each cause.
    pub(crate) readings: BTreeMap<Cause, f64>,
}

impl Watch {
    pub(crate) fn new(of: &Readings) -> Result<Self, StatsError> {
        Ok(Self {
            price: Forming::default(),
            implied: Forming::default(),
            vol: of.vol_spike.as_ref().map(Norm::begin).transpose()?,
            skew: of.skew.as_ref().map(Norm::begin).transpose()?,
            depth: of.liquidity.as_ref().map(LiquidityReading::begin).transpose()?,
            regime: of.regime.map(|of| of.begin().map(Box::new)).transpose()?,
            jump: of.jump.map(|of| JumpTest::new(of.window, of.stretch, of.level)).transpose()?,
            readings: BTreeMap::new(),
        })
    }

    /// Takes in a closed change of the price.
    pub(crate) fn returned(&mut self, change: f64) -> Result<(), StatsError> {
        if let Some(regime) = &mut self.regime {
            regime.update(change)?;
            if let Ok(filter) = regime.filter() {
                let worst = filter.probabilities().last().copied().unwrap_or(0.0);
                self.readings.insert(Cause::Regime, worst);
            }
        }
        if let Some(test) = &mut self.jump
            && let Some(reading) = test.update(change)?
        {
            let size = if reading.is_jump { reading.statistic.abs() } else { 0.0 };
            self.readings.insert(Cause::Jump, size);
        }
        Ok(())
    }

    /// Takes in the surface as it is; what is usual learns from closed observations only.
    pub(crate) fn surface(
        &mut self,
        signals: &UnderlyingSignals,
        seen: &Observation,
    ) -> Result<(), StatsError> {
        let Some(implied) = signals.implied else { return Ok(()) };
        let gauges = [
            (Cause::VolSpike, &mut self.vol, ln(implied.atm)),
            (Cause::Skew, &mut self.skew, -implied.risk_reversal / implied.atm),
        ];
        for (cause, gauge, value) in gauges {
            let Some(gauge) = gauge.as_mut().filter(|_| !value.is_nan()) else { continue };
            if let Ok(deviations) = gauge.z_score(value) {
                self.readings.insert(cause, deviations);
            }
            if seen.closed {
                gauge.update(value)?;
            }
        }
        if !implied.slope.is_nan() {
            self.readings.insert(Cause::TermInversion, -implied.slope);
        }
        Ok(())
    }

    /// Takes in what venues quote, `elapsed` seconds after the last time.
    pub(crate) fn quotes(
        &mut self,
        spec: Option<&LiquidityReading>,
        venues: &BTreeMap<String, Quoted>,
        (elapsed, closed): (f64, bool),
    ) -> Result<(), StatsError> {
        let Some((spec, Depth { score, usual })) = spec.zip(self.depth.as_mut()) else { return Ok(()) };
        let depth = |name: &String| {
            let quoted = venues.get(name);
            quoted.map(|q| effective_depth(q.depth, q.spread, spec.usual_spread)).transpose()
        };
        let depths = spec.venues.iter().map(depth).collect::<Result<Vec<_>, _>>()?;
        score.update(elapsed, &depths)?;
        let Ok(level) = score.score() else { return Ok(()) };
        if closed {
            usual.update(level)?;
        }
        if let Ok(norm) = usual.mean() {
            self.readings.insert(Cause::Liquidity, norm / level);
        }
        Ok(())
    }

    /// What is read by looking.
    pub(crate) fn look(&mut self, signals: &UnderlyingSignals) {
        let seen = [
            (Cause::OpenInterest, signals.open_interest),
            (Cause::Concentration, signals.concentration),
            (Cause::Funding, signals.funding.map(f64::abs)),
        ];
        self.readings.extend(seen.into_iter().filter_map(|(cause, value)| Some((cause, value?))));
    }
}

/// What a refused reading is noted as.
pub(crate) fn refused(place: &str, of: Result<(), StatsError>) -> Option<Note> {
    of.err().map(|reason| Note::Refused { place: place.to_owned(), reason: reason.to_string() })
}
