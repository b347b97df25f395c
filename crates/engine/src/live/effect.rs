//! What follows from an event.

use super::feed::{Cause, Validity};
use super::liquidation::Plan;
use plimsoll_policy::Decision;
use plimsoll_types::{AccountId, Asset, Instrument, Issue, Ticks, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How an account stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Equity covers initial margin.
    #[default]
    Healthy,
    /// It covers maintenance margin only: no new risk.
    Call,
    /// It holds what has no price: no new risk, no liquidation.
    Unvalued,
    /// It does not cover maintenance margin.
    Liquidatable,
    /// It is below zero.
    Insolvent,
}

/// One thing that follows. Everything in it was true after the event.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// The event was refused; nothing has changed but what the reason says.
    Rejected(Reject),
    /// Margins were computed anew.
    Margins {
        /// Of the market of this instant.
        as_of: Timestamp,
        /// How many accounts.
        accounts: usize,
    },
    /// An account stands otherwise.
    Standing {
        /// Whose.
        account: AccountId,
        /// Before.
        from: Standing,
        /// Now.
        to: Standing,
        /// What it has.
        equity: Ticks,
        /// What new risk needs.
        im: Ticks,
        /// What existing positions need.
        mm: Ticks,
        /// Whether a feed behind it is degraded.
        flagged: bool,
    },
    /// An account cannot be valued: told once, and again only for another reason. [`Effect::Standing`] says when it can be again.
    Unvalued {
        /// Whose.
        account: AccountId,
        /// A stable code and what it is about: `expired`, `missing_smile`, `missing_forward`, `missing_index`,
        /// `overflow`.
        reason: String,
    },
    /// An account is to be liquidated by a plan. Delivered at least once, effective once. Said again of the same intent when
    /// its plan no longer restores initial margin: the last plan counts, and steps of one before are taken as far as they are in it.
    Liquidate {
        /// The intent: told apart from all others for ever.
        intent: u64,
        /// Whose.
        account: AccountId,
        /// How.
        plan: Plan,
    },
    /// A liquidation is not wanted any more.
    Withdrawn {
        /// The intent.
        intent: u64,
        /// Whose.
        account: AccountId,
        /// Why: `cured`, `replaced`, `taken_over`, `halted`.
        why: String,
    },
    /// Collateral was sold at its whole price, since the account owes more than it has beside it.
    Seized {
        /// Whose.
        account: AccountId,
        /// What.
        asset: Asset,
        /// Billionths.
        nano: i128,
        /// What was paid to the account for it.
        paid: Ticks,
        /// Who bought; nothing stands for the insurance fund.
        by: Option<AccountId>,
    },
    /// A loss was taken over.
    Covered {
        /// Whose.
        account: AccountId,
        /// From the insurance fund.
        insurance: Ticks,
        /// Shared by all accounts with equity, as nothing else was left.
        socialised: Ticks,
    },
    /// Positions were closed against those of an account on the other side of them.
    Deleveraged {
        /// The insolvent account.
        account: AccountId,
        /// Whose gain pays.
        against: AccountId,
        /// Of what.
        instrument: Instrument,
        /// Lots moved from the first to the second.
        lots: i64,
        /// At what price of one lot, ticks.
        price: Ticks,
    },
    /// New risk is refused from now on.
    Paused {
        /// Why.
        reason: String,
        /// Whether liquidations wait as well.
        hold_liquidations: bool,
    },
    /// What was paused goes on.
    Resumed {
        /// Since when it was.
        since: Timestamp,
    },
    /// A feed may be relied on otherwise.
    Validity {
        /// Of what.
        feed: Asset,
        /// Before.
        from: Validity,
        /// Now.
        to: Validity,
        /// Why.
        causes: BTreeSet<Cause>,
    },
    /// A feed has been halted for so long that a person should look: told once for every halt.
    Escalated {
        /// Of what.
        feed: Asset,
        /// Since when.
        since: Timestamp,
    },
    /// Quotes of a chain that were not used.
    Issues {
        /// Of which underlying.
        underlying: Asset,
        /// Which, and why.
        issues: Vec<Issue>,
    },
    /// Parameters moved, or were announced to.
    Parameters {
        /// What was decided, every change attributed.
        decision: Box<Decision>,
        /// Accounts that will be liquidatable when what is announced is in force, at the market of now.
        endangered: Vec<AccountId>,
    },
    /// An instrument was settled.
    Settled {
        /// Which.
        instrument: Instrument,
        /// A lot, ticks.
        value: Ticks,
        /// Accounts that held it.
        accounts: usize,
    },
}

/// Why an event was refused. The code is stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// One word.
    pub code: String,
    /// The numbers.
    pub detail: String,
}

impl Reject {
    /// From an error whose text begins with its code.
    pub fn of(error: &dyn std::fmt::Display) -> Self {
        let text = error.to_string();
        let code: String = text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let detail = text.get(code.len()..).unwrap_or_default().trim_start_matches([' ', ':']).to_owned();
        Self { code, detail }
    }

    /// From a code and what is to be said.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}
