//! Bounded updates of parameters: what a proposer may change, how far and how often.
//!
//! **The one idea:** an automatic proposer has little authority, and every limit of it is a number per parameter: who
//! may propose, how long since the last change, how far in one change, between which bounds, and until when. A proposal
//! that passes [`Rule::check`] may be applied; one that does not is refused with the first limit it breaks, in this
//! order: restriction, sender, expiry, no change, delay, change, bounds. A guardian's veto and governance's override
//! stand outside.
//!
//! Sources: bgd-labs/aave-v3-risk-stewards @ f6850045 (`RiskSteward`), ChaosLabsInc/risk-oracle @ be09f47d. Minimum,
//! maximum and expiry per parameter are ours. Values are whole numbers in the parameter's own unit, times are seconds.
//! Nothing here knows what a parameter means.

use plimsoll_types::{Rounding, mul_div_wide};
use serde::{Deserialize, Serialize};

/// Units of a relative change in 1.
const BPS: i128 = 10_000;

/// How long an update of the risk oracle may wait to be applied, seconds: 6 hours.
pub const ORACLE_EXPIRY_SECONDS: i64 = 6 * 3600;

/// The delay between two changes of a parameter in the stewards' tests, seconds: 3 days.
pub const STEWARD_DELAY_SECONDS: i64 = 3 * 86_400;

/// The most that a parameter may change in one update.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxChange {
    /// So much of the parameter's own unit: loan-to-value, thresholds and bonuses of the stewards.
    Absolute(i128),
    /// So many basis points of its present value, rounded down: caps and rates of the stewards.
    RelativeBps(i128),
}

impl MaxChange {
    /// The limit as an amount, from the present value: `max`, or `floor(max |x|/1e4)`. `None` when it does not fit.
    pub fn amount(self, present: i128) -> Option<i128> {
        match self {
            Self::Absolute(most) => Some(most),
            Self::RelativeBps(most) => mul_div_wide(most, present.checked_abs()?, BPS, Rounding::Down),
        }
    }

    /// Whether `|proposed - present|` is within the limit; equality passes. A change that does not fit is not.
    ///
    /// ```
    /// use plimsoll_margin::venue::bounded_update::MaxChange;
    /// // Ten percentage points of 70 %: 60 to 80, whatever the present value.
    /// assert!(MaxChange::Absolute(1000).allows(7000, 8000));
    /// assert!(!MaxChange::Absolute(1000).allows(7000, 8001));
    /// // 1 % of 110 million.
    /// assert!(MaxChange::RelativeBps(100).allows(110_000_000, 111_100_000));
    /// assert!(!MaxChange::RelativeBps(100).allows(110_000_000, 111_100_001));
    /// ```
    pub fn allows(self, present: i128, proposed: i128) -> bool {
        let change = proposed.checked_sub(present).and_then(i128::checked_abs);
        matches!((change, self.amount(present)), (Some(change), Some(most)) if change <= most)
    }
}

/// Whether enough time has passed since the last change: `elapsed >= least`; a parameter that was never changed passes.
pub fn delay_passed(elapsed: Option<i64>, least: i64) -> bool {
    elapsed.is_none_or(|elapsed| elapsed >= least)
}

/// Whether a proposal of some age has expired: an age of exactly `expiry` has.
pub fn expired(age: i64, expiry: i64) -> bool {
    age >= expiry
}

/// What is proposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Leave the parameter as it is: the stewards' `KEEP_CURRENT`. Needs no delay.
    KeepCurrent,
    /// Set it to this.
    To(i128),
}

/// A proposal for one parameter of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Whether its sender may propose.
    pub sender_authorised: bool,
    /// Present value.
    pub present: i128,
    /// What is proposed.
    pub change: Change,
    /// When it was made, seconds.
    pub made_at: i64,
    /// When the parameter last changed, seconds; `None`: never.
    pub last_update: Option<i64>,
}

/// The limits of one parameter of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whether the asset or the parameter is closed to proposals.
    pub restricted: bool,
    /// Least time between two changes, seconds.
    pub min_delay: i64,
    /// Furthest change.
    pub max_change: MaxChange,
    /// Lowest value; `None`: no bound.
    pub minimum: Option<i128>,
    /// Highest value; `None`: no bound.
    pub maximum: Option<i128>,
    /// Age at which a proposal expires, seconds; `None`: it does not.
    pub expiry: Option<i64>,
}

/// What to do with a proposal that passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// Nothing changes, and the time of the last change stays.
    Unchanged,
    /// The parameter becomes this, now.
    Set(i128),
}

/// The first limit that a proposal breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The asset or the parameter is closed.
    #[error("the asset or the parameter is restricted")]
    Restricted,
    /// Somebody else may propose.
    #[error("the sender is not authorised")]
    Unauthorised,
    /// It is older than its expiry.
    #[error("the proposal is {age} s old: it expires at {expiry} s")]
    Expired {
        /// Seconds since it was made.
        age: i64,
        /// The limit.
        expiry: i64,
    },
    /// It says to have been made after now, or the parameter to have changed after now.
    #[error("{at} s is after now, {now} s")]
    InTheFuture {
        /// The time that it states.
        at: i64,
        /// Now.
        now: i64,
    },
    /// The parameter changed too recently.
    #[error("the last change was {elapsed} s ago: at least {least} s must pass")]
    TooSoon {
        /// Seconds since the last change.
        elapsed: i64,
        /// The limit.
        least: i64,
    },
    /// The change is too large.
    #[error("a change from {present} to {proposed} is more than the {most} allowed")]
    TooFar {
        /// Present value.
        present: i128,
        /// Proposed value.
        proposed: i128,
        /// The limit as an amount.
        most: i128,
    },
    /// The value is outside its bounds.
    #[error("{proposed} is beyond the bound {bound}")]
    OutOfBounds {
        /// Proposed value.
        proposed: i128,
        /// The bound it breaks.
        bound: i128,
    },
    /// The limit of the change, or a time, does not fit.
    #[error("a limit of the change does not fit its number of digits")]
    Overflow,
}

impl Rule {
    /// Whether a proposal may be applied at `now`, seconds.
    ///
    /// ```
    /// use plimsoll_margin::venue::bounded_update::{Accepted, Change, MaxChange, Proposal, Refusal, Rule};
    /// let rule = Rule {
    ///     restricted: false,
    ///     min_delay: 259_200,
    ///     max_change: MaxChange::RelativeBps(1000),
    ///     minimum: Some(500_000),
    ///     maximum: None,
    ///     expiry: Some(21_600),
    /// };
    /// let proposal = Proposal {
    ///     sender_authorised: true,
    ///     present: 1_000_000,
    ///     change: Change::To(1_100_000),
    ///     made_at: 999_000,
    ///     last_update: Some(1_000_000 - 259_200),
    /// };
    /// assert_eq!(rule.check(&proposal, 1_000_000), Ok(Accepted::Set(1_100_000)));
    /// let soon = rule.check(&proposal, 999_999);
    /// assert_eq!(soon, Err(Refusal::TooSoon { elapsed: 259_199, least: 259_200 }));
    /// ```
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn check(&self, proposal: &Proposal, now: i64) -> Result<Accepted, Refusal> {
        if self.restricted {
            return Err(Refusal::Restricted);
        }
        if !proposal.sender_authorised {
            return Err(Refusal::Unauthorised);
        }
        let age = since(proposal.made_at, now)?;
        if let Some(expiry) = self.expiry.filter(|expiry| expired(age, *expiry)) {
            return Err(Refusal::Expired { age, expiry });
        }
        let Change::To(proposed) = proposal.change else { return Ok(Accepted::Unchanged) };
        let elapsed = proposal.last_update.map(|last| since(last, now)).transpose()?;
        if let Some(elapsed) = elapsed.filter(|_| !delay_passed(elapsed, self.min_delay)) {
            return Err(Refusal::TooSoon { elapsed, least: self.min_delay });
        }
        self.bounded(proposal.present, proposed).map(Accepted::Set)
    }

    fn bounded(&self, present: i128, proposed: i128) -> Result<i128, Refusal> {
        let most = self.max_change.amount(present).ok_or(Refusal::Overflow)?;
        if !self.max_change.allows(present, proposed) {
            return Err(Refusal::TooFar { present, proposed, most });
        }
        let under = self.minimum.filter(|least| proposed < *least);
        let over = self.maximum.filter(|most| proposed > *most);
        match under.or(over) {
            Some(bound) => Err(Refusal::OutOfBounds { proposed, bound }),
            None => Ok(proposed),
        }
    }
}

fn since(at: i64, now: i64) -> Result<i64, Refusal> {
    let elapsed = now.checked_sub(at).ok_or(Refusal::Overflow)?;
    if elapsed < 0 { Err(Refusal::InTheFuture { at, now }) } else { Ok(elapsed) }
}

/// Whether all proposals of one update may be applied, and what each does: coupled parameters move together or not at
/// all.
///
/// # Errors
/// The place of the first refused proposal, and its [`Refusal`].
pub fn check_all(updates: &[(Rule, Proposal)], now: i64) -> Result<Vec<Accepted>, (usize, Refusal)> {
    let each = updates.iter().enumerate();
    each.map(|(place, (rule, proposal))| rule.check(proposal, now).map_err(|refusal| (place, refusal)))
        .collect()
}
