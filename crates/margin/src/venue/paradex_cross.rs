//! Paradex's cross margin: a formula per option, and per perpetual on the larger side of position and orders.
//!
//! Source: `methods.md` 8; tradeparadex/paradex-docs @ 9b82a75a. Quote units per base unit. Maintenance margin is half of
//! initial margin, for options by their own table. Positions do not net across markets.

use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, OptionKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "Paradex's cross margin";

/// Fractions of options for one requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionTerms {
    /// Share of the mark a long option costs at most.
    pub premium_multiplier: Fixed,
    /// Share of spot a long option costs at most.
    pub long_itm: Fixed,
    /// Share of spot of a short option, less its distance out of the money.
    pub short_itm: Fixed,
    /// Share of spot of a short option at least.
    pub short_otm: Fixed,
    /// Share of the strike a short put costs at most; `None` for no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_cap: Option<Fixed>,
}

/// Parameters of one underlying.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetTerms {
    /// Initial margin fraction of its perpetual, one over the leverage; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perpetual: Option<Fixed>,
    /// Initial margin of options.
    pub im: OptionTerms,
    /// Maintenance margin of options.
    pub mm: OptionTerms,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Maintenance share of the initial margin of perpetuals; in [0, 1].
    pub mm_factor: Fixed,
    /// Fee provision, share of the value of the positions at the price they are on.
    pub fee_rate: Fixed,
    /// By underlying.
    pub assets: BTreeMap<Asset, AssetTerms>,
}

/// Margin of one long option: `min(premium_multiplier x mark, long_itm x spot)`.
pub fn long_option(terms: &OptionTerms, mark: Fixed, spot: Fixed) -> Fixed {
    (terms.premium_multiplier * mark).min(terms.long_itm * spot)
}

/// Margin of one short option: `max(short_itm x spot - otm, short_otm x spot)`, `otm` the distance out of the money in
/// quote units; a put at most `put_cap x strike`.
///
/// ```
/// use plimsoll_margin::venue::paradex_cross::{OptionTerms, short_option};
/// use plimsoll_types::{Fixed, OptionKind};
/// let terms = OptionTerms { premium_multiplier: Fixed::ONE, long_itm: "0.2".parse()?, short_itm: "0.15".parse()?,
///     short_otm: "0.1".parse()?, put_cap: Some("0.5".parse()?) };
/// let (spot, strike) = (Fixed::from(70_000), Fixed::from(60_000));
/// assert_eq!(short_option(&terms, OptionKind::Put, strike, spot), Fixed::from(7000));
/// # Ok::<(), plimsoll_types::DecimalError>(())
/// ```
pub fn short_option(terms: &OptionTerms, kind: OptionKind, strike: Fixed, spot: Fixed) -> Fixed {
    let otm = match kind {
        OptionKind::Call => strike - spot,
        OptionKind::Put => spot - strike,
    };
    let margin = (terms.short_itm * spot - otm.positive()).max(terms.short_otm * spot);
    match (kind, terms.put_cap) {
        (OptionKind::Put, Some(cap)) => margin.min(cap * strike),
        _ => margin,
    }
}

/// Open size: the larger of `max(0, buys + q)` and `max(0, sells - q)`.
pub fn open_size(quantity: Fixed, buys: Fixed, sells: Fixed) -> Fixed {
    (buys + quantity).positive().max((sells - quantity).positive())
}

/// Initial margin of a perpetual: open size times fraction times mark price.
///
/// ```
/// use plimsoll_margin::venue::paradex_cross::perpetual;
/// use plimsoll_types::Fixed;
/// // Short 1, buy orders of 3, sell orders of 2, at 90,000 and 2 %: three coins on the sell side.
/// let (buys, sells) = (Fixed::from(3), Fixed::from(2));
/// assert_eq!(perpetual("0.02".parse()?, Fixed::from(90_000), -Fixed::ONE, (buys, sells)), Fixed::from(5400));
/// # Ok::<(), plimsoll_types::DecimalError>(())
/// ```
pub fn perpetual(fraction: Fixed, mark: Fixed, quantity: Fixed, (buys, sells): (Fixed, Fixed)) -> Fixed {
    open_size(quantity, buys, sells) * fraction * mark
}

impl Terms {
    fn leg(&self, leg: &Leg<'_>) -> Result<(&'static str, Fixed, Fixed), VenueError> {
        let unsupported = |why| leg.unsupported(METHOD, why);
        let asset = &leg.underlying.asset;
        let missing = |what| VenueError::Missing { method: METHOD, what, subject: asset.to_string() };
        let size = leg.quantity.abs();
        match leg.kind {
            LegKind::Spot => Err(unsupported("spot is not a position there")),
            LegKind::Future { .. } => Err(unsupported("dated futures are not listed there")),
            LegKind::Perpetual => {
                let fraction = self.assets.get(asset).and_then(|terms| terms.perpetual);
                let fraction = fraction.ok_or_else(|| missing("the margin fraction of the perpetual"))?;
                let none = (Fixed::ZERO, Fixed::ZERO);
                let im = perpetual(fraction, leg.reference, leg.quantity, none);
                Ok(("perpetual", im, self.mm_factor * im))
            }
            LegKind::Option { kind, strike, .. } => {
                let terms =
                    self.assets.get(asset).ok_or_else(|| missing("the margin fractions of options"))?;
                let long = leg.lots.0 > 0;
                let of = |terms: &OptionTerms| match long {
                    true => long_option(terms, leg.mark, leg.index),
                    false => short_option(terms, kind, strike, leg.index),
                };
                let code = if long { "long_option" } else { "short_option" };
                Ok((code, size * of(&terms.im), size * of(&terms.mm)))
            }
        }
    }
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let (mut charges, mut fees) = (Vec::new(), Vec::new());
        for leg in &book.legs {
            let (code, im, mm) = self.leg(leg)?;
            let asset = Some(leg.underlying.asset.clone());
            let (im, mm) = (settled(im, "an initial margin")?, settled(mm, "a maintenance margin")?);
            charges.push(Charge { code, asset: asset.clone(), im, mm });
            let fee = leg.quantity.abs() * leg.reference * self.fee_rate;
            fees.push(Charge { code: "fees", asset, im: fee, mm: fee });
        }
        charges.extend(book.premium_credit(&charges));
        charges.extend(fees);
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = checks::all([
            checks::share("aggregation.mm_factor", self.mm_factor),
            checks::not_negative("aggregation.fee_rate", self.fee_rate),
        ]);
        for (asset, terms) in &self.assets {
            let path = |field: &str| format!("aggregation.assets.{asset}.{field}");
            let (im, mm) = (&terms.im, &terms.mm);
            found.extend(checks::all([
                checks::not_negative(&path("perpetual"), terms.perpetual.unwrap_or_default()),
                checks::im_covers_mm(
                    &path("premium_multiplier"),
                    im.premium_multiplier,
                    mm.premium_multiplier,
                ),
                checks::im_covers_mm(&path("long_itm"), im.long_itm, mm.long_itm),
                checks::im_covers_mm(&path("short_itm"), im.short_itm, mm.short_itm),
                checks::im_covers_mm(&path("short_otm"), im.short_otm, mm.short_otm),
                checks::share(&path("im.premium_multiplier"), im.premium_multiplier),
                checks::not_negative(&path("mm.short_otm"), mm.short_otm),
            ]));
        }
        found
    }
}
