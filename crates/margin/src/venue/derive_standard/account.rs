//! An account of ours under Derive's standard margin, and what the linter asks of the parameters.
//!
//! A part is charged what equity counts of it less its net margin, so that the account's excess is the venue's. This
//! file must never know a formula of the venue: those are in the module above.

use super::{
    ExpiryHolding, METHOD, Market, MarketHolding, Net, OptionHolding, OptionTerms, OracleTerms, PerpHolding,
    Terms, base_margin, check, depeg_margin, expiry_margin, option_contingency, perp_margin,
};
use crate::CollateralReport;
use crate::lint::LintFinding;
use crate::venue::checks::{self, im_covers_mm, not_negative, ordered, positive, share};
use crate::venue::{Charge, Leg, LegKind, Method, VenueBook, VenueError, settled};
use plimsoll_types::{Asset, Fixed, UnderlyingRow};
use std::collections::BTreeMap;

/// An account of ours. Equity counts collateral after haircuts, marks and unrealised profit, so a part is charged
/// what it counts there less its net margin. A price known to within a share `w` has confidence `1 - w`; the arrays
/// state one for the index alone, which therefore stands for the forward's and the volatility's too. A perpetual or
/// option settled in its coin is margined as its size in base units.
impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for (_, row, legs) in book.underlyings() {
            let market = self.holding(row, &legs)?;
            check(&market)?;
            charges.extend(self.option_charges(row, &market, &legs)?);
            charges.extend(perp_charges(row, &market)?);
            charges.extend(spot_charge(row, &market, &legs)?);
            charges.extend(self.depeg_charge(book, row, &market)?);
        }
        for held in book.collateral {
            charges.extend(self.collateral_charge(book, held)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = checks::all([
            positive("margin.aggregation.depeg.threshold", self.depeg.threshold),
            not_negative("margin.aggregation.depeg.factor", self.depeg.factor),
        ]);
        for (scope, market) in &self.markets.0 {
            found.extend(market.lint(&format!("margin.aggregation.markets.{scope}")));
        }
        found
    }
}

impl Market {
    fn lint(&self, path: &str) -> Vec<LintFinding> {
        let at = |name: &str| format!("{path}.{name}");
        let oracle = &self.oracle;
        let mut found = checks::all([
            share(&at("oracle.perp_threshold"), oracle.perp_threshold),
            share(&at("oracle.option_threshold"), oracle.option_threshold),
            share(&at("oracle.base_threshold"), oracle.base_threshold),
            not_negative(&at("oracle.factor"), oracle.factor),
        ]);
        if let Some(perp) = &self.perp {
            let subject = at("perp");
            found.extend(checks::all([
                not_negative(&subject, perp.mm),
                im_covers_mm(&subject, perp.im, perp.mm),
            ]));
        }
        if let Some(base) = &self.base {
            let factor = share(&at("base.margin_factor"), base.margin_factor);
            found.extend(checks::all([factor, share(&at("base.im_scale"), base.im_scale)]));
        }
        if let Some(option) = &self.option {
            found.extend(option.lint(&at("option")));
        }
        found
    }
}

impl OptionTerms {
    fn lint(&self, path: &str) -> Vec<LintFinding> {
        let at = |name: &str| format!("{path}.{name}");
        checks::all([
            ordered(&at("min_spot_req"), self.min_spot_req, self.max_spot_req),
            not_negative(&at("mm_call_spot_req"), self.mm_call_spot_req),
            not_negative(&at("mm_put_spot_req"), self.mm_put_spot_req),
            not_negative(&at("mm_put_mtm_req"), self.mm_put_mtm_req),
            im_covers_mm(&at("min_spot_req"), self.min_spot_req, self.mm_call_spot_req),
            im_covers_mm(&at("mm_offset_scale"), self.mm_offset_scale, Fixed::ONE),
            im_covers_mm(&at("unpaired_im_scale"), self.unpaired_im_scale, self.unpaired_mm_scale),
            im_covers_mm(&at("unpaired_mm_scale"), self.unpaired_mm_scale, Fixed::ONE),
        ])
    }
}

fn charge(code: &'static str, asset: &Asset, im: Fixed, mm: Fixed) -> Charge {
    Charge { code, asset: Some(asset.clone()), im, mm }
}

/// The confidence of a price known to within a share of itself.
fn confidence_of(width: Fixed) -> Fixed {
    (Fixed::ONE - width).clamp(Fixed::ZERO, Fixed::ONE)
}

impl Terms {
    /// An account's legs in one underlying, as the venue's market.
    fn holding(&self, row: &UnderlyingRow, legs: &[&Leg<'_>]) -> Result<MarketHolding, VenueError> {
        let terms = self.markets.of(&row.asset).copied().unwrap_or(Market::UNLISTED);
        let spot_confidence = confidence_of(row.confidence.into());
        let index = legs.first().map_or(Fixed::LOST, |leg| leg.index);
        let (perp, base) = (None, Fixed::ZERO);
        let mut market =
            MarketHolding { terms, spot: index, spot_confidence, perp, base, expiries: Vec::new() };
        let mut expiries: BTreeMap<i64, ExpiryHolding> = BTreeMap::new();
        for leg in legs {
            listed(&terms, leg)?;
            match leg.kind {
                LegKind::Spot => market.base = market.base + leg.quantity,
                LegKind::Perpetual => market.perp = Some(joined(market.perp, spot_confidence, leg)),
                LegKind::Option { kind, strike, seconds } => {
                    let forward = leg.reference;
                    let empty =
                        || ExpiryHolding { forward, confidence: spot_confidence, options: Vec::new() };
                    let expiry = expiries.entry(seconds).or_insert_with(empty);
                    expiry.forward = expiry.forward.max(forward);
                    let option = OptionHolding { kind, strike, amount: leg.quantity, price: leg.mark };
                    expiry.options.push(option);
                }
                LegKind::Future { .. } => return Err(leg.unsupported(METHOD, "no dated futures are listed")),
            }
        }
        market.expiries = expiries.into_values().collect();
        Ok(market)
    }

    fn option_charges(
        &self,
        row: &UnderlyingRow,
        market: &MarketHolding,
        legs: &[&Leg<'_>],
    ) -> Result<Vec<Charge>, VenueError> {
        let Some(terms) = &market.terms.option else { return Ok(Vec::new()) };
        let mut net = Net::default();
        let mut low = Fixed::ZERO;
        for expiry in &market.expiries {
            net = net + expiry_margin(terms, market.spot, expiry.forward, &expiry.options);
            low = low - option_contingency(market, expiry);
        }
        let options = legs.iter().filter(|leg| matches!(leg.kind, LegKind::Option { .. }));
        let value: Fixed = options.map(|leg| leg.value()).sum();
        let own = charge("options", &row.asset, value - net.im, value - net.mm);
        known(vec![own, charge("option_confidence", &row.asset, low, Fixed::ZERO)], "the margin of options")
    }

    fn depeg_charge(
        &self,
        book: &VenueBook<'_>,
        row: &UnderlyingRow,
        market: &MarketHolding,
    ) -> Result<Vec<Charge>, VenueError> {
        if market.perp.is_none() && market.expiries.is_empty() {
            return Ok(Vec::new());
        }
        let stable = book.stable_price(METHOD, &self.cash)?;
        let amount = -depeg_margin(&self.depeg, stable, market);
        known(vec![charge("depeg", &row.asset, amount, Fixed::ZERO)], "the charge for a depeg")
    }

    /// What the venue counts an asset at, against what equity counts.
    fn collateral_charge(
        &self,
        book: &VenueBook<'_>,
        held: &CollateralReport,
    ) -> Result<Vec<Charge>, VenueError> {
        if held.asset == self.cash || held.asset == book.arrays.currency {
            return known(vec![cash_charge(book, held)], "cash");
        }
        if held.amount_nano < 0 {
            let value = format!("{} nano {}", held.amount_nano, held.asset);
            let expected = "0 or more: only cash is borrowed";
            return Err(VenueError::Domain { what: "an amount of collateral", value, expected });
        }
        let subject = held.asset.to_string();
        let missing = VenueError::Missing { method: METHOD, what: "the factor of the base asset", subject };
        let market = self.markets.of(&held.asset);
        let Some((base, oracle)) = market.and_then(|m| m.base.as_ref().map(|base| (base, &m.oracle))) else {
            return Err(missing);
        };
        let (value, counted) = (book.money(held.value), book.money(held.counted));
        let width = book.arrays.asset(&held.asset).map_or(Fixed::LOST, |row| row.confidence.into());
        let net = base_margin(base, oracle, value, confidence_of(width), Fixed::ONE);
        known(
            vec![charge("base", &held.asset, counted - net.im, counted - net.mm)],
            "the value of a base asset",
        )
    }
}

impl Market {
    const UNLISTED: Self = Self {
        option: None,
        perp: None,
        base: None,
        oracle: OracleTerms {
            perp_threshold: Fixed::ZERO,
            option_threshold: Fixed::ZERO,
            base_threshold: Fixed::ZERO,
            factor: Fixed::ZERO,
        },
    };
}

/// The venue counts a unit of cash as one, whatever it trades at; a depeg is charged on positions.
fn cash_charge(book: &VenueBook<'_>, held: &CollateralReport) -> Charge {
    let face = held.amount_nano.checked_mul(1_000_000_000).map_or(Fixed::LOST, Fixed::from_units);
    let amount = book.money(held.counted) - face;
    charge("cash", &held.asset, amount, amount)
}

/// Whether the venue lists what a leg holds.
fn listed(terms: &Market, leg: &Leg<'_>) -> Result<(), VenueError> {
    let why = match leg.kind {
        LegKind::Future { .. } => "no dated futures are listed",
        LegKind::Perpetual if terms.perp.is_none() => "no perpetual of this underlying is listed",
        LegKind::Option { .. } if terms.option.is_none() => "no options of this underlying are listed",
        LegKind::Spot if terms.base.is_none() => "the asset is not taken as collateral",
        LegKind::Spot if leg.quantity < Fixed::ZERO => "only the cash asset can be borrowed",
        _ => return Ok(()),
    };
    Err(leg.unsupported(METHOD, why))
}

/// Perpetuals of one underlying net, at the larger of their prices. Unrealised profit is in equity already.
fn joined(held: Option<PerpHolding>, confidence: Fixed, leg: &Leg<'_>) -> PerpHolding {
    let before = held.map_or(Fixed::ZERO, |perp| perp.amount);
    let price = held.map_or(leg.reference, |perp| perp.price.max(leg.reference));
    PerpHolding { amount: before + leg.quantity, price, confidence, unrealised: Fixed::ZERO }
}

fn perp_charges(row: &UnderlyingRow, market: &MarketHolding) -> Result<Vec<Charge>, VenueError> {
    let (Some(perp), Some(terms)) = (&market.perp, &market.terms.perp) else { return Ok(Vec::new()) };
    let net = perp_margin(terms, &market.terms.oracle, market, perp);
    known(vec![charge("perpetuals", &row.asset, -net.im, -net.mm)], "the margin of a perpetual")
}

fn spot_charge(
    row: &UnderlyingRow,
    market: &MarketHolding,
    legs: &[&Leg<'_>],
) -> Result<Vec<Charge>, VenueError> {
    let Some(terms) = market.terms.base.filter(|_| market.base != Fixed::ZERO) else { return Ok(Vec::new()) };
    let spot = legs.iter().filter(|leg| leg.kind == LegKind::Spot);
    let value: Fixed = spot.map(|leg| leg.value()).sum();
    let net = base_margin(&terms, &market.terms.oracle, market.spot, market.spot_confidence, market.base);
    known(vec![charge("base", &row.asset, value - net.im, value - net.mm)], "the value of a base asset")
}

/// The charges that are not 0 in both, if none was lost.
fn known(charges: Vec<Charge>, what: &'static str) -> Result<Vec<Charge>, VenueError> {
    for charge in &charges {
        settled(charge.im, what)?;
        settled(charge.mm, what)?;
    }
    Ok(charges.into_iter().filter(|c| c.im != Fixed::ZERO || c.mm != Fixed::ZERO).collect())
}
