//! What is kept of an account under a method, and how it is summed.

use super::parts::{Measure, Part, PartDifference, differences};
use plimsoll_margin::{LintFinding, State};
use plimsoll_types::{AccountId, Instrument, Ticks};

/// Why a method does not margin an account, as a stable kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NotMarginedKind {
    /// The method does not margin something that the account holds.
    Unsupported,
    /// A number that the method needs is not in the market or the parameters.
    Missing,
    /// An instrument of the account cannot be valued on this market.
    Unvalued,
    /// The margin stage refuses the account for another reason.
    Failed,
}

impl NotMarginedKind {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Missing => "missing",
            Self::Unvalued => "unvalued",
            Self::Failed => "failed",
        }
    }
}

/// An account that a method does not margin: it has no requirement there, which is not a requirement of zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotMargined {
    /// Which kind of reason.
    pub kind: NotMarginedKind,
    /// The instrument in the way, if one is known.
    pub instrument: Option<Instrument>,
    /// The reason in words.
    pub reason: String,
}

/// An account under one method, in ticks of the comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Collateral after haircuts plus marks plus unrealised profit.
    pub equity: Ticks,
    /// Initial margin; >= 0.
    pub im: Ticks,
    /// Maintenance margin; >= 0.
    pub mm: Ticks,
    /// What equity leaves over initial margin.
    pub im_excess: Ticks,
    /// What equity leaves over maintenance margin.
    pub mm_excess: Ticks,
    /// Healthy, in call or liquidatable.
    pub state: State,
    /// The parts of both excesses, in order of component.
    pub parts: Vec<Part>,
    /// What the market risk of initial margin was found in: a scenario or a charge, in words.
    pub im_risk: Option<String>,
    /// What the market risk of maintenance margin was found in.
    pub mm_risk: Option<String>,
}

impl Standing {
    /// The requirement.
    pub fn requirement(&self, measure: Measure) -> Ticks {
        match measure {
            Measure::Initial => self.im,
            Measure::Maintenance => self.mm,
        }
    }

    /// What equity leaves over the requirement.
    pub fn excess(&self, measure: Measure) -> Ticks {
        match measure {
            Measure::Initial => self.im_excess,
            Measure::Maintenance => self.mm_excess,
        }
    }

    /// What the market risk was found in.
    pub fn risk(&self, measure: Measure) -> Option<&str> {
        match measure {
            Measure::Initial => self.im_risk.as_deref(),
            Measure::Maintenance => self.mm_risk.as_deref(),
        }
    }

    /// The parts of `self.excess - base.excess`, largest first; they add up to it exactly.
    pub fn differences(&self, base: &Self, measure: Measure) -> Vec<PartDifference> {
        differences(&base.parts, &self.parts, measure)
    }
}

/// An account under every method, in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComparedAccount {
    /// Whose.
    pub account: AccountId,
    /// Under each method.
    pub under: Vec<Result<Standing, NotMargined>>,
}

impl ComparedAccount {
    /// Whether every method margins the account.
    pub fn everywhere(&self) -> bool {
        self.under.iter().all(Result::is_ok)
    }

    /// Under one method, if that margins it.
    pub fn standing(&self, method: usize) -> Option<&Standing> {
        self.under.get(method).and_then(|found| found.as_ref().ok())
    }
}

/// What is known of a method that took part.
#[derive(Clone, PartialEq, Debug)]
pub struct ComparedMethod {
    /// What it is called here.
    pub label: String,
    /// The name of its parameter set.
    pub name: String,
    /// The digest of its parameter set.
    pub id: String,
    /// One sentence on what it is.
    pub description: String,
    /// How many accounts it margins.
    pub margins: usize,
    /// What had to be assumed.
    pub notes: Vec<String>,
    /// What the linter has against its parameters.
    pub lint: Vec<LintFinding>,
}

/// Over which accounts something is summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// Those that every method margins; a method that margins no account of the book at all is left out of the count.
    Common,
    /// Those that the method and the base margin.
    WithBase,
    /// Those that the method margins.
    Own,
}

/// Sums over accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// How many accounts.
    pub accounts: usize,
    /// Equity.
    pub equity: Ticks,
    /// Initial margin.
    pub im: Ticks,
    /// Maintenance margin.
    pub mm: Ticks,
    /// Accounts above initial margin.
    pub healthy: usize,
    /// Accounts below initial and above maintenance margin.
    pub call: usize,
    /// Accounts below maintenance margin.
    pub liquidatable: usize,
}

impl Totals {
    pub(super) fn add(&mut self, standing: &Standing) {
        self.accounts += 1;
        self.equity.0 += standing.equity.0;
        self.im.0 += standing.im.0;
        self.mm.0 += standing.mm.0;
        match standing.state {
            State::Healthy => self.healthy += 1,
            State::Call => self.call += 1,
            State::Liquidatable => self.liquidatable += 1,
        }
    }
}

/// An account that is under a requirement by one of two methods and not by the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disagreement<'a> {
    /// The account.
    pub account: &'a ComparedAccount,
    /// Which requirement.
    pub measure: Measure,
    /// Whether the base is the one that it is under; else the other method.
    pub under_base: bool,
    /// The parts of the difference of the excesses, the other method less the base, largest first.
    pub parts: Vec<PartDifference>,
}

impl Disagreement<'_> {
    /// The difference of the excesses, the other method less the base.
    pub fn difference(&self) -> Ticks {
        Ticks(self.parts.iter().map(|part| part.amount().0).sum())
    }

    /// The largest part that goes the way of the difference.
    pub fn cause(&self) -> Option<&PartDifference> {
        let sign = self.difference().0.signum();
        self.parts.iter().find(|part| part.amount().0.signum() == sign)
    }
}
