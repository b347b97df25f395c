//! The margin methods that venues publish, each a small aggregator on the same portfolio and risk arrays.
//!
//! **The one idea:** a method is a parameter struct (`Terms`, one TOML table) and the pure functions that its venue's
//! formulas are, on explicit numbers: 18-decimal [`Fixed`], or the venue's own integers where
//! the venue computes in integers. [`Method`] maps an account of ours, a [`VenueBook`], to those functions and their
//! result to [`VenueCharge`]s, which add up to the requirement. What several venues share is written once, in
//! [`curves`], in the scenario set, and in the tenor scale of its volatility shock.
//!
//! A venue that publishes a net margin `N = equity - requirement` is mapped by `requirement = equity - N`. What a venue
//! does not margin is refused by name, never guessed.

mod book;
pub mod checks;
pub mod curves;
mod integer;
mod whole;

pub mod aevo;
pub mod bounded_update;
pub mod cboe_strategy;
pub mod cvex;
pub mod dederi;
pub mod deribit_portfolio;
pub mod deribit_standard;
pub mod derive_auction;
pub mod derive_portfolio;
pub mod derive_standard;
pub mod drift;
pub mod dydx;
pub mod gmx;
pub mod hyperliquid;
pub mod lighter;
pub mod mango;
pub mod okx;
pub mod opyn;
pub mod panoptic;
pub mod paradex_cross;
pub mod paradex_portfolio;
pub mod synthetix;
pub mod vega;

pub use book::{Leg, LegKind, VenueBook};
pub use whole::{Fraction, Whole};

use crate::aggregate::Measure;
use crate::lint::LintFinding;
use crate::requirement::{Parts, Scan, View};
use crate::{AggregateDetail, MarginError, Requirement, aggregate::scan};
use plimsoll_types::{Asset, BlockKind, Fixed, Instrument, Position, Rounding, Ticks};
use serde::{Deserialize, Serialize};

/// One part of a venue's requirement. Parts add up; a credit is negative.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VenueCharge {
    /// What for: a stable code in the venue's words, such as `scan_loss`.
    pub code: String,
    /// The underlying or collateral asset it is about; `None` for the account.
    pub asset: Option<Asset>,
    /// In initial margin.
    pub im: Ticks,
    /// In maintenance margin.
    pub mm: Ticks,
}

/// One part of a requirement before it is rounded to ticks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// As [`VenueCharge::code`].
    pub code: &'static str,
    /// As [`VenueCharge::asset`].
    pub asset: Option<Asset>,
    /// In initial margin, units of the currency.
    pub im: Fixed,
    /// In maintenance margin, units of the currency.
    pub mm: Fixed,
}

/// Why a venue's method has no answer for an account.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VenueError {
    /// The venue does not margin such a contract.
    #[error("{method} does not margin {instrument}: {why}")]
    Unsupported {
        /// The method.
        method: &'static str,
        /// What is held.
        instrument: Box<Instrument>,
        /// In words.
        why: &'static str,
    },
    /// A number that the method needs is not in the market or the parameters.
    #[error("{method} needs {what} of {subject}, which is not known")]
    Missing {
        /// The method.
        method: &'static str,
        /// The quantity.
        what: &'static str,
        /// Of what.
        subject: String,
    },
    /// A number outside the range in which the method is defined.
    #[error("{what} is {value}: expected {expected}")]
    Domain {
        /// Which.
        what: &'static str,
        /// As given.
        value: String,
        /// The range.
        expected: &'static str,
    },
    /// A result does not fit, or was divided by zero.
    #[error("{what} does not fit its number of digits")]
    Overflow {
        /// Which.
        what: &'static str,
    },
}

/// A venue's method: an account to charges.
pub trait Method {
    /// The parts of the requirement of an account.
    ///
    /// # Errors
    /// [`VenueError`] where the venue would not margin the account or a number is missing.
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError>;

    /// What is wrong with the parameters.
    fn lint(&self) -> Vec<LintFinding>;
}

/// Which venue's method, with its parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Venue {
    /// Derive's portfolio margin (PMRM and PMRM_2).
    DerivePortfolio(Box<derive_portfolio::Terms>),
    /// Derive's standard margin.
    DeriveStandard(derive_standard::Terms),
    /// Deribit's portfolio margin.
    DeribitPortfolio(deribit_portfolio::Terms),
    /// Deribit's standard margin.
    DeribitStandard(deribit_standard::Terms),
    /// Paradex's SCAN and minimum delta.
    ParadexPortfolio(paradex_portfolio::Terms),
    /// Paradex's cross margin.
    ParadexCross(paradex_cross::Terms),
    /// Aevo's portfolio margin.
    Aevo(aevo::Terms),
    /// OKX's portfolio margin where its rules are public.
    Okx(okx::Terms),
    /// CVEX's covariance value at risk.
    Cvex(cvex::Terms),
    /// Drift's weights and ratios.
    Drift(drift::Terms),
    /// Mango's health.
    Mango(mango::Terms),
    /// dYdX's open-interest margin.
    Dydx(dydx::Terms),
    /// Synthetix's perps margin.
    Synthetix(synthetix::Terms),
    /// Opyn's naked and spread margin.
    Opyn(opyn::Terms),
    /// Hyperliquid's tiers.
    Hyperliquid(hyperliquid::Terms),
    /// Vega's risk factors.
    Vega(vega::Terms),
    /// GMX's open-interest factor.
    Gmx(gmx::Terms),
    /// Panoptic's utilisation curve.
    Panoptic(panoptic::Terms),
    /// Cboe's strategy-based margin.
    CboeStrategy(cboe_strategy::Terms),
}

impl Venue {
    fn method(&self) -> &dyn Method {
        match self {
            Self::DerivePortfolio(terms) => terms.as_ref(),
            Self::DeriveStandard(terms) => terms,
            Self::DeribitPortfolio(terms) => terms,
            Self::DeribitStandard(terms) => terms,
            Self::ParadexPortfolio(terms) => terms,
            Self::ParadexCross(terms) => terms,
            Self::Aevo(terms) => terms,
            Self::Okx(terms) => terms,
            Self::Cvex(terms) => terms,
            Self::Drift(terms) => terms,
            Self::Mango(terms) => terms,
            Self::Dydx(terms) => terms,
            Self::Synthetix(terms) => terms,
            Self::Opyn(terms) => terms,
            Self::Hyperliquid(terms) => terms,
            Self::Vega(terms) => terms,
            Self::Gmx(terms) => terms,
            Self::Panoptic(terms) => terms,
            Self::CboeStrategy(terms) => terms,
        }
    }

    /// What the linter has against the parameters of the method.
    pub fn lint(&self) -> Vec<LintFinding> {
        self.method().lint()
    }
}

/// The number, or the error that it was lost.
pub(crate) fn settled(number: Fixed, what: &'static str) -> Result<Fixed, VenueError> {
    if number.known().is_some() { Ok(number) } else { Err(VenueError::Overflow { what }) }
}

/// The largest loss over scenarios, not below 0.
fn worst_loss(pnl: impl IntoIterator<Item = Fixed>) -> Fixed {
    pnl.into_iter().fold(Fixed::ZERO, |worst, pnl| worst.max(-pnl))
}

/// The requirement of a view under a venue's method.
pub(crate) fn parts(view: View, venue: &Venue) -> Result<Parts, MarginError> {
    let charges = charges(view, venue, view.positions)?;
    let total = total(view, &charges)?;
    let of = |measure| {
        view.slots.iter().map(move |slot| scan(&slot.pnl, view.scene(measure).runs(BlockKind::Grid)))
    };
    let scans: Vec<Scan> = of(Measure::Im).zip(of(Measure::Mm)).map(|(im, mm)| Scan { im, mm }).collect();
    let sum = view.exact.sum(scans.iter().map(|scan| scan.im.0), "the sum of scan losses")?;
    let detail = AggregateDetail { sum: Ticks(sum), ..AggregateDetail::default() };
    Ok(Parts {
        aggregate: total,
        base: total,
        im_detail: detail.clone(),
        mm_detail: detail,
        guard: Requirement::default(),
        addons: Vec::new(),
        relief: Requirement::default(),
        span: Vec::new(),
        venue: charges,
        scans,
        total,
    })
}

/// Initial margins of the positions one by one, added, less that of all of them: charges on collateral, which are of the
/// account and not of a position, left out of both. 0 where a position has no margin by itself, as a leg of a spread that
/// the venue takes only as a spread.
pub(crate) fn netting_benefit(view: View, venue: &Venue) -> Result<i128, MarginError> {
    let bare = View { collateral: &[], ..view };
    let of = |positions: &[Position]| Ok(total(view, &charges(bare, venue, positions)?)?.im.0);
    let mut sum = 0;
    for position in view.positions {
        let alone = match of(std::slice::from_ref(position)) {
            Err(MarginError::Venue { .. }) => return Ok(0),
            other => other?,
        };
        sum = view.exact.add(sum, alone, "the sum of standalone margins")?;
    }
    view.exact.sub(sum, of(view.positions)?, "netting benefit")
}

fn charges(view: View, venue: &Venue, positions: &[Position]) -> Result<Vec<VenueCharge>, MarginError> {
    let failed = |source| MarginError::Venue { account: view.exact.account.clone(), source };
    let book = VenueBook::new(view.arrays, positions, view.collateral).map_err(failed)?;
    let charges = venue.method().charges(&book).map_err(failed)?;
    let ticks = |amount: Fixed| {
        let rounded = amount.ticks(view.arrays.ticks_per_unit, Rounding::Up);
        rounded.ok_or_else(|| view.exact.overflow("a venue's charge"))
    };
    let round = |charge: Charge| {
        let (im, mm) = (ticks(charge.im)?, ticks(charge.mm)?);
        Ok(VenueCharge { code: charge.code.to_owned(), asset: charge.asset, im, mm })
    };
    charges.into_iter().map(round).collect()
}

/// The sum of the charges, not below 0.
fn total(view: View, charges: &[VenueCharge]) -> Result<Requirement, MarginError> {
    let sum = |read: fn(&VenueCharge) -> i128| {
        view.exact.sum(charges.iter().map(read), "a venue's requirement").map(|sum| Ticks(sum.max(0)))
    };
    Ok(Requirement { im: sum(|c| c.im.0)?, mm: sum(|c| c.mm.0)? })
}
