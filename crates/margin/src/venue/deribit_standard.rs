//! Deribit's standard margin: a formula per option and per future, nothing nets.
//!
//! Source: `methods.md` 7; the support pages. Amounts are in coin per contract of one coin; `otm` is the distance of the
//! strike out of the money over the index. The initial margin of futures rises with size.
//!
//! The published numbers are measured against a margin balance without the value of options: a long option has been
//! paid for, and a short one is charged its mark. Equity here counts the marks of options, so the charge
//! `option_value` takes them out again: `requirement = equity - (margin balance - margin)`.

use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, OptionKind};
use serde::{Deserialize, Serialize};

const METHOD: &str = "Deribit's standard margin";

/// Parameters of the method; fractions of the underlying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Initial margin of a short option at the money.
    pub option_im: Fixed,
    /// Initial margin of a short option far out of the money.
    pub option_im_least: Fixed,
    /// Maintenance margin of a short option.
    pub option_mm: Fixed,
    /// Initial margin of futures and perpetuals.
    pub future_im: Fixed,
    /// Maintenance margin of futures and perpetuals.
    pub future_mm: Fixed,
    /// Added to both for every coin of size.
    pub future_per_coin: Fixed,
    /// Underlyings it is known for: the size above is in their coin.
    pub underlyings: Vec<Asset>,
}

/// Initial and maintenance margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Margin {
    /// Initial.
    pub im: Fixed,
    /// Maintenance.
    pub mm: Fixed,
}

/// How far an option is out of the money, over the index; 0 in the money.
///
/// # Errors
/// [`VenueError::Domain`] unless `index > 0`.
pub fn out_of_the_money(kind: OptionKind, strike: Fixed, index: Fixed) -> Result<Fixed, VenueError> {
    let priced = index > Fixed::ZERO;
    if !priced {
        let value = index.to_string();
        return Err(VenueError::Domain { what: "the index", value, expected: "a positive number" });
    }
    let distance = match kind {
        OptionKind::Call => strike - index,
        OptionKind::Put => index - strike,
    };
    Ok(distance.positive() / index)
}

/// Margin of one short option in coin, with its mark in coin.
///
/// Call: `im = max(0.15 - otm, 0.10) + mark`, `mm = 0.075 + mark`. Put: `mm = max(0.075, 0.075 mark) + mark`,
/// `im = max(max(0.15 - otm, 0.10) + mark, mm)`.
///
/// ```
/// use plimsoll_margin::venue::deribit_standard::{Terms, short_option};
/// use plimsoll_types::OptionKind;
/// let terms: Terms = toml::from_str(r#"
///     option_im = 0.15
///     option_im_least = 0.1
///     option_mm = 0.075
///     future_im = 0.02
///     future_mm = 0.01
///     future_per_coin = 0.00005
///     underlyings = ["BTC"]
/// "#)?;
/// let margin = short_option(&terms, OptionKind::Put, "0.02".parse()?, "1.5".parse()?);
/// assert_eq!((margin.im.to_string(), margin.mm.to_string()), ("1.63".into(), "1.6125".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn short_option(terms: &Terms, kind: OptionKind, otm: Fixed, mark: Fixed) -> Margin {
    let im = (terms.option_im - otm).max(terms.option_im_least) + mark;
    match kind {
        OptionKind::Call => Margin { im, mm: terms.option_mm + mark },
        OptionKind::Put => {
            let mm = terms.option_mm.max(terms.option_mm * mark) + mark;
            Margin { im: im.max(mm), mm }
        }
    }
}

/// Margin of `quantity` coins of futures or perpetual, in coin: `|q| (rate + per_coin |q|)`.
pub fn future(terms: &Terms, quantity: Fixed) -> Margin {
    let size = quantity.abs();
    let more = terms.future_per_coin * size;
    Margin { im: size * (terms.future_im + more), mm: size * (terms.future_mm + more) }
}

impl Terms {
    fn leg(&self, leg: &Leg<'_>) -> Result<Vec<Charge>, VenueError> {
        let unsupported = |why| leg.unsupported(METHOD, why);
        if !self.underlyings.contains(&leg.underlying.asset) {
            return Err(unsupported("its rates for this underlying are not published"));
        }
        let charge = |code, margin: Margin| -> Result<Charge, VenueError> {
            Ok(Charge {
                code,
                asset: Some(leg.underlying.asset.clone()),
                im: settled(margin.im * leg.index, "an initial margin")?,
                mm: settled(margin.mm * leg.index, "a maintenance margin")?,
            })
        };
        let value = leg.value();
        let marks =
            Charge { code: "option_value", asset: Some(leg.underlying.asset.clone()), im: value, mm: value };
        match leg.kind {
            // Coin is balance; what it is worth is the affair of the collateral.
            LegKind::Spot => Ok(Vec::new()),
            LegKind::Perpetual | LegKind::Future { .. } => {
                Ok(vec![charge("future", future(self, leg.quantity))?])
            }
            LegKind::Option { .. } if leg.quantity > Fixed::ZERO => Ok(vec![marks]),
            LegKind::Option { kind, strike, .. } => {
                let size = leg.quantity.abs();
                let otm = out_of_the_money(kind, strike, leg.index)?;
                let one = short_option(self, kind, otm, leg.mark / leg.index);
                let all = Margin { im: size * one.im, mm: size * one.mm };
                Ok(vec![charge("short_option", all)?, marks])
            }
        }
    }
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for leg in &book.legs {
            charges.extend(self.leg(leg)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        checks::all([
            checks::im_covers_mm("aggregation.option_im_least", self.option_im_least, self.option_mm),
            checks::im_covers_mm("aggregation.option_im", self.option_im, self.option_im_least),
            checks::im_covers_mm("aggregation.future_im", self.future_im, self.future_mm),
            checks::not_negative("aggregation.option_mm", self.option_mm),
            checks::not_negative("aggregation.future_mm", self.future_mm),
            checks::not_negative("aggregation.future_per_coin", self.future_per_coin),
        ])
    }
}
