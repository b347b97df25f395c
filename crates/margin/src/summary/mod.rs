//! The numbers of a margin report without the report: for a whole book on every tick, and for a check before a trade.
//!
//! **The one idea:** the formulas are those of [`crate::evaluate`], on sums that need no names. What depends on the tick
//! and not on the account is looked up once ([`BookTerms`]); scenario vectors and charges of many accounts are made on float
//! lanes where a bound proves that they are exact. What the lanes do not cover, and every error, is answered by
//! [`crate::evaluate`] itself.

mod account;
mod columns;
mod kept;
mod lanes;
mod live;
mod terms;
mod whole;

pub use kept::LiveBook;
pub use live::LiveAccount;
pub use terms::{BookTerms, Lookups};
pub use whole::summaries;

use crate::money::Exact;
use crate::{Addon, GreekSums, MarginError, MarginReport, Requirement, State};
use plimsoll_types::Ticks;

/// The numbers of a [`MarginReport`], all in ticks; equal to them digit by digit.
///
/// They add up: `im = base.im + guard.im + addons.im - relief.im + orders.im`, and likewise `mm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Initial margin; >= 0.
    pub im: Ticks,
    /// Maintenance margin; >= 0.
    pub mm: Ticks,
    /// Collateral after haircuts plus marks plus unrealised profit.
    pub equity: Ticks,
    /// `equity - im`; in isolated mode the least over positions.
    pub im_excess: Ticks,
    /// `equity - mm`; in isolated mode the least over positions.
    pub mm_excess: Ticks,
    /// Which state follows.
    pub state: State,
    /// The aggregate scenario loss before scaling; >= 0.
    pub aggregate: Requirement,
    /// `ceil(scale x aggregate)`.
    pub base: Requirement,
    /// The rounding guard.
    pub guard: Requirement,
    /// Sum of the charges beside the scenario losses; >= 0.
    pub addons: Requirement,
    /// What is taken off because long options and long spot may be dropped; >= 0.
    pub relief: Requirement,
    /// What open orders add; >= 0.
    pub orders: Requirement,
    /// Value of what is held, signed.
    pub marks: Ticks,
    /// Profit since entry, signed.
    pub unrealised: Ticks,
    /// Greeks of all underlyings together.
    pub greeks: GreekSums,
}

/// What an account is worth and must have, ticks: the part of [`Totals`] that a standing follows from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Levels {
    /// Collateral after haircuts plus marks plus unrealised profit.
    pub equity: i64,
    /// Initial margin; >= 0.
    pub im: i64,
    /// Maintenance margin; >= 0.
    pub mm: i64,
}

impl Levels {
    /// Which state follows. Not of isolated accounts, which are judged position by position.
    pub fn state(&self) -> State {
        let excess = |asked: i64| Ticks(i128::from(self.equity) - i128::from(asked));
        State::of(excess(self.im), excess(self.mm))
    }
}

impl Default for Totals {
    /// Of an account that has nothing.
    fn default() -> Self {
        let none = Requirement::default();
        let zero = Ticks(0);
        Self {
            im: zero,
            mm: zero,
            equity: zero,
            im_excess: zero,
            mm_excess: zero,
            state: State::Healthy,
            aggregate: none,
            base: none,
            guard: none,
            addons: none,
            relief: none,
            orders: none,
            marks: zero,
            unrealised: zero,
            greeks: GreekSums::default(),
        }
    }
}

impl MarginReport {
    /// Its numbers. Refused when the sum of charges, or of Greeks over underlyings, does not fit in 128 bits.
    pub fn totals(&self) -> Result<Totals, MarginError> {
        let exact = Exact { account: &self.account };
        let what = "the sums of a report";
        let addon =
            |read: fn(&Addon) -> Ticks| exact.sum(self.addons.iter().map(|a| read(a).0), what).map(Ticks);
        let greek = |read: fn(&GreekSums) -> Ticks| {
            exact.sum(self.underlyings.iter().map(|u| read(&u.greeks).0), what).map(Ticks)
        };
        Ok(Totals {
            im: self.im,
            mm: self.mm,
            equity: self.equity,
            im_excess: self.im_excess,
            mm_excess: self.mm_excess,
            state: self.state,
            aggregate: self.aggregate,
            base: self.base,
            guard: self.guard,
            addons: Requirement { im: addon(|a| a.im)?, mm: addon(|a| a.mm)? },
            relief: self.premium_relief,
            orders: self.orders.extra,
            marks: self.marks,
            unrealised: self.unrealised,
            greeks: GreekSums {
                delta: greek(|g| g.delta)?,
                gamma: greek(|g| g.gamma)?,
                vega: greek(|g| g.vega)?,
                theta: greek(|g| g.theta)?,
                rho: greek(|g| g.rho)?,
                vanna: greek(|g| g.vanna)?,
                volga: greek(|g| g.volga)?,
            },
        })
    }
}
