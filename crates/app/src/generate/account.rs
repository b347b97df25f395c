//! One account: what it holds, and a rough repricing that its collateral is scaled to.

use super::chain::{Chain, DeltaOne, Expiry};
use plimsoll_quant::black::{self, OptionKind};
use std::collections::BTreeMap;

/// Relative moves of spot that the rough repricing looks at.
const SPOT_MOVES: [f64; 9] = [-0.16, -0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12, 0.16];

/// Factors on volatility that it looks at.
const VOL_FACTORS: [f64; 3] = [0.75, 1.0, 1.35];

/// What the repricing needs to know of a leg.
#[derive(Clone, Copy)]
enum Payoff {
    Option {
        kind: OptionKind,
        forward: f64,
        strike: f64,
        vol: f64,
        tau: f64,
    },
    /// A future, a perpetual or the coin itself, in base units.
    Linear {
        price: f64,
    },
}

impl Payoff {
    /// Value in USD of one base unit after a move of spot and a factor on volatility.
    fn value(self, spot_move: f64, vol_factor: f64) -> f64 {
        match self {
            Self::Option { kind, forward, strike, vol, tau } => {
                black::price(kind, forward * (1.0 + spot_move), strike, vol * vol_factor, tau)
            }
            Self::Linear { price } => price * (1.0 + spot_move),
        }
    }

    fn delta(self) -> f64 {
        match self {
            Self::Option { kind, forward, strike, vol, tau } => {
                black::greeks(kind, forward, strike, vol, tau).delta
            }
            Self::Linear { .. } => 1.0,
        }
    }
}

struct Leg {
    base: f64,
    payoff: Payoff,
}

/// What one account holds in one underlying.
pub(super) struct Account<'a> {
    chain: &'a Chain,
    /// Thousandths of the instrument's quantity unit.
    pub(super) positions: BTreeMap<String, i64>,
    /// Mark and net base units of each futures or perpetual position.
    pub(super) delta_ones: BTreeMap<String, (f64, f64)>,
    legs: Vec<Leg>,
}

impl<'a> Account<'a> {
    pub(super) fn new(chain: &'a Chain) -> Self {
        Self { chain, positions: BTreeMap::new(), delta_ones: BTreeMap::new(), legs: Vec::new() }
    }

    fn add(&mut self, name: &str, milli: i64, base: f64, payoff: Payoff) {
        if milli != 0 {
            *self.positions.entry(name.to_owned()).or_default() += milli;
            self.legs.push(Leg { base, payoff });
        }
    }

    /// Adds options of one strike; `base` units, rounded to the step of the chain, at least one step.
    pub(super) fn option(&mut self, expiry: &Expiry, strike: usize, kind: OptionKind, base: f64) {
        let Some(at) = expiry.strikes.get(strike) else {
            return;
        };
        let step = self.chain.step_milli;
        let size = (round(base.abs() * 1000.0) / step).max(1) * step;
        let milli = if base < 0.0 { -size } else { size };
        let payoff =
            Payoff::Option { kind, forward: expiry.forward, strike: at.strike, vol: at.vol, tau: expiry.tau };
        self.add(at.name(kind), milli, thousandths(milli), payoff);
    }

    /// Adds a future or a perpetual; `base` units, in lots of 10 quote units where it is sized in those.
    pub(super) fn delta_one(&mut self, contract: &DeltaOne, base: f64) {
        let milli = if contract.in_quote {
            round(base * contract.mark / 10.0) * 10_000
        } else {
            self.tenth_steps(base)
        };
        let base = if contract.in_quote { thousandths(milli) / contract.mark } else { thousandths(milli) };
        self.add(&contract.name, milli, base, Payoff::Linear { price: contract.mark });
        self.delta_ones.entry(contract.name.clone()).or_insert((contract.mark, 0.0)).1 += base;
    }

    /// Thousandths of `base` units, rounded to a tenth of the chain's step.
    fn tenth_steps(&self, base: f64) -> i64 {
        let step = (self.chain.step_milli / 10).max(1);
        round(base * 1000.0) / step * step
    }

    /// Adds the coin itself.
    pub(super) fn spot(&mut self, base: f64) {
        let milli = self.tenth_steps(base);
        let payoff = Payoff::Linear { price: self.chain.index };
        self.add(self.chain.asset.as_str(), milli, thousandths(milli), payoff);
    }

    /// Net delta, base units.
    pub(super) fn delta(&self) -> f64 {
        self.legs.iter().map(|leg| leg.base * leg.payoff.delta()).sum()
    }

    /// What options and coins are worth now, USD; bought > 0. Futures and perpetuals are worth nothing.
    pub(super) fn net_value(&self) -> f64 {
        let counts = |leg: &&Leg| matches!(leg.payoff, Payoff::Option { .. });
        let options: f64 =
            self.legs.iter().filter(counts).map(|leg| leg.base * leg.payoff.value(0.0, 1.0)).sum();
        let coins = self.positions.get(self.chain.asset.as_str()).copied().unwrap_or(0);
        options + thousandths(coins) * self.chain.index
    }

    /// The worst loss over the moves, USD, and 1 % of what is sold naked.
    pub(super) fn stress_loss(&self) -> f64 {
        let mut worst: f64 = 0.0;
        for spot_move in SPOT_MOVES {
            for vol_factor in VOL_FACTORS {
                let change = |leg: &Leg| {
                    leg.base * (leg.payoff.value(spot_move, vol_factor) - leg.payoff.value(0.0, 1.0))
                };
                worst = worst.max(-self.legs.iter().map(change).sum::<f64>());
            }
        }
        let sold = |leg: &&Leg| leg.base < 0.0 && matches!(leg.payoff, Payoff::Option { .. });
        let sold: f64 = self.legs.iter().filter(sold).map(|leg| -leg.base).sum();
        worst + 0.01 * sold * self.chain.index
    }
}

/// To the nearest whole number; sizes here are far below 2^53.
#[allow(clippy::cast_possible_truncation, reason = "sizes are far below 2^53")]
pub(super) fn round(x: f64) -> i64 {
    x.round() as i64
}

#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
pub(super) fn thousandths(milli: i64) -> f64 {
    milli as f64 / 1000.0
}
