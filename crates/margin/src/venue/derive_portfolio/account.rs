//! An account of ours under Derive's portfolio margin.
//!
//! Every underlying is margined as a subaccount of its own and the requirements are added, since a portfolio margin
//! account there has one underlying. Values under a scenario are the mark plus the profit of the column of the arrays;
//! the weight of a column is the damping of its scenario, taken out of the profit before the value is discounted, because
//! the discount applies to the value and the damping to the gain. What volatility does in a column is read from its
//! label, as the scenario set writes it.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses a lost number too")]

use super::{
    Coin, Expiry, Outcome, Part, Perpetual, Portfolio, Rates, Shock, Terms, VolShift, evaluate, naked,
};
use crate::CollateralReport;
use crate::lint::{LintCode, LintFinding};
use crate::venue::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use plimsoll_types::{Asset, Fixed, OptionKind, Ppb, Rounding, ScenarioColumn, UnderlyingRow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const METHOD: &str = "derive_portfolio";

/// What an account of ours needs beside the published parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountTerms {
    /// Interest rate per year: risk arrays have none. Values of the arrays are forward values and are taken as they are;
    /// the rate counts in the static discounts and in the cap of the short one.
    pub rate: Fixed,
    /// The coin that cash is in; its price is the stable price (`VenueBook::stable_price`).
    pub stable: Asset,
    /// Relative half-width of an index at which the venue's confidence is taken as 0: `c = max(0, 1 - width/this)`. An
    /// index without a width is sure. The venue's own confidence is its oracle's word, not a width; the map is ours.
    pub half_width_at_zero: Fixed,
    /// Haircuts of underlying coins, held as position or collateral; `*` for those not named. They move with spot in the
    /// scenarios of their underlying, so `margin.collateral` takes nothing from them.
    pub coins: BTreeMap<String, Haircut>,
    /// Whether a requirement is at most that of the book without its long options plus their marks: the rule that a long
    /// option is never charged more than its premium, which the published factor of PMRM does not keep. `false` gives
    /// the published number.
    pub premium_cap: bool,
}

/// Haircut of a coin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Haircut {
    /// In maintenance margin.
    pub mm: Fixed,
    /// Added in initial margin.
    pub im_add: Fixed,
}

/// A column of the arrays with its shock.
type Column = (usize, Shock);

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        self.limits()?;
        let mut charges = Vec::new();
        for (place, row) in book.arrays.underlyings.iter().enumerate() {
            let of_it = |leg: &&Leg<'_>| leg.row.underlying.index() == place;
            let legs: Vec<&Leg<'_>> = book.legs.iter().filter(of_it).collect();
            let coin = book.collateral.iter().find(|c| c.asset == row.asset && c.amount_nano != 0);
            if legs.is_empty() && coin.is_none() {
                continue;
            }
            let columns = self.columns(book, place)?;
            let found = Found { book, row, coin, columns: &columns };
            charges.extend(self.subaccount(&found, &legs)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let at = |path: &str| format!("margin.aggregation.{path}");
        let mut found = checks::all([
            checks::im_covers_mm(&at("im_factor"), self.im_factor, self.mm_factor),
            checks::positive(&at("mm_factor"), self.mm_factor),
            checks::not_negative(&at("peg.factor"), self.peg.factor),
            checks::not_negative(&at("confidence.margin"), self.confidence.margin),
            checks::share(&at("confidence.threshold"), self.confidence.threshold),
            checks::not_negative(&at("perpetual.mm"), self.perpetual.mm),
            checks::not_negative(&at("perpetual.im_add"), self.perpetual.im_add),
            checks::not_negative(&at("option.mm"), self.option.mm),
            checks::not_negative(&at("option.im_add"), self.option.im_add),
            checks::discounts(&at("long_discount.base"), self.long_discount.base, self.short_discount.base),
            checks::ordered(&at("basis"), self.basis.down, self.basis.up),
            checks::not_negative(&at("basis.add"), self.basis.add),
            checks::not_negative(&at("basis.mult"), self.basis.mult),
            checks::positive(&at("account.half_width_at_zero"), self.account.half_width_at_zero),
        ]);
        for (asset, haircut) in &self.account.coins {
            found.extend(checks::share(&at(&format!("account.coins.{asset}.mm")), haircut.mm));
            let both = haircut.mm + haircut.im_add;
            found.extend(checks::share(&at(&format!("account.coins.{asset}.im_add")), both));
        }
        if let Err(error) = self.limits() {
            found.push(LintFinding::new(LintCode::BoundsCrossed, "margin.aggregation", error.to_string()));
        }
        found
    }
}

impl Terms {
    /// Refuses parameters that the venue does not accept (methods 4, parameter limits): `1 < basis.up < 3`,
    /// `0 <= basis.down < 1`, basis factors in [0, 20], `im_factor` in [0.5, 10], `mm_factor` in [0.1, 10], discounts in
    /// [0, 4], haircuts that add up to at most 1.
    ///
    /// # Errors
    /// [`VenueError::Domain`] with the parameter and its limits.
    pub fn limits(&self) -> Result<(), VenueError> {
        let (zero, one, basis) = (Fixed::ZERO, Fixed::ONE, self.basis);
        let within = |x: Fixed, low: Fixed, high: i64| x >= low && x <= Fixed::from(high);
        let tenth = Fixed::ratio(1, 10);
        let up = basis.up > one && basis.up < Fixed::from(3);
        let checked = [
            ("basis.up", basis.up, up, "above 1 and below 3"),
            ("basis.down", basis.down, basis.down >= zero && basis.down < one, "0 or more and below 1"),
            ("basis.add", basis.add, within(basis.add, zero, 20), "0 to 20"),
            ("basis.mult", basis.mult, within(basis.mult, zero, 20), "0 to 20"),
            ("im_factor", self.im_factor, within(self.im_factor, Fixed::ratio(1, 2), 10), "0.5 to 10"),
            ("mm_factor", self.mm_factor, within(self.mm_factor, tenth, 10), "0.1 to 10"),
            (
                "long_discount.base",
                self.long_discount.base,
                within(self.long_discount.base, zero, 4),
                "0 to 4",
            ),
            (
                "short_discount.base",
                self.short_discount.base,
                within(self.short_discount.base, zero, 4),
                "0 to 4",
            ),
        ];
        for (what, value, right, expected) in checked {
            if !right {
                return Err(VenueError::Domain { what, value: value.to_string(), expected });
            }
        }
        let sums = self.account.coins.values().map(|haircut| haircut.mm + haircut.im_add);
        match sums.into_iter().find(|sum| !(*sum <= one)) {
            Some(sum) => {
                let (what, expected) = ("the haircuts of a coin together", "at most 1");
                Err(VenueError::Domain { what, value: sum.to_string(), expected })
            }
            None => Ok(()),
        }
    }

    /// Every grid column as a shock of one underlying.
    fn columns(&self, book: &VenueBook<'_>, place: usize) -> Result<Vec<Column>, VenueError> {
        let shock = |(number, column): (usize, &ScenarioColumn)| {
            let relative = Fixed::from(*column.spot.get(place).unwrap_or(&Ppb::ZERO));
            let damping = Fixed::from(column.weight);
            Ok((number, Shock { spot: Fixed::ONE + relative, vol: vol_shift(&column.label)?, damping }))
        };
        book.grid().map(shock).collect()
    }

    /// The charges of one underlying, capped where the terms say so.
    fn subaccount(&self, found: &Found<'_>, legs: &[&Leg<'_>]) -> Result<Vec<Charge>, VenueError> {
        let mut parts = found.whole_ticks(self.outcome(found, legs)?.parts);
        let is_long =
            |leg: &&&Leg<'_>| matches!(leg.kind, LegKind::Option { .. }) && leg.quantity > Fixed::ZERO;
        if self.account.premium_cap && legs.iter().any(|leg| is_long(&leg)) {
            let rest: Vec<&Leg<'_>> = legs.iter().filter(|leg| !is_long(leg)).copied().collect();
            let premium: Fixed = legs.iter().filter(is_long).map(|leg| leg.value()).sum();
            let without = found.whole_ticks(self.outcome(found, &rest)?.parts);
            let above = |read: fn(&Part) -> Fixed| {
                let sum = |parts: &[Part]| parts.iter().map(read).sum::<Fixed>();
                -(sum(&parts) - sum(&without) - premium).positive()
            };
            let cap = ("long_option_credit", above(|p| p.1), above(|p| p.2));
            parts.push(cap);
        }
        let asset = Some(found.row.asset.clone());
        let charge = |(code, im, mm): Part| Charge { code, asset: asset.clone(), im, mm };
        Ok(parts.into_iter().filter(|p| p.1 != Fixed::ZERO || p.2 != Fixed::ZERO).map(charge).collect())
    }

    fn outcome(&self, found: &Found<'_>, legs: &[&Leg<'_>]) -> Result<Outcome, VenueError> {
        let spot = found.book.money(plimsoll_types::Ticks(i128::from(found.row.index)));
        let confidence = self.confidence_of(found.row)?;
        let perpetual = perpetual(legs, confidence);
        let mut held = Portfolio {
            spot,
            confidence,
            stable: found.book.stable_price(METHOD, &self.account.stable)?,
            cash: Fixed::ZERO,
            perpetual,
            expiries: self.expiries(found, legs, confidence)?,
            coins: Vec::new(),
        };
        for leg in legs {
            match leg.kind {
                LegKind::Spot if leg.quantity < Fixed::ZERO => {
                    return Err(leg.unsupported(METHOD, "the venue lends no coins"));
                }
                LegKind::Spot => held.coins.push(self.coin(found, leg.quantity, leg.mark, confidence)?),
                LegKind::Future { .. } => {
                    return Err(leg.unsupported(METHOD, "the venue lists no dated futures"));
                }
                LegKind::Perpetual | LegKind::Option { .. } => {}
            }
        }
        if let Some(coin) = found.coin {
            let amount = Fixed::ratio(coin.amount_nano, i128::from(plimsoll_types::NANO));
            let price = found.book.money(plimsoll_types::Ticks(i128::from(coin.price)));
            held.coins.push(self.coin(found, amount, price, confidence)?);
        }
        let shocks: Vec<Shock> = found.columns.iter().map(|(_, shock)| *shock).collect();
        evaluate(self, &shocks, &held)
    }

    /// `c = max(0, 1 - half-width/half_width_at_zero)`.
    fn confidence_of(&self, row: &UnderlyingRow) -> Result<Fixed, VenueError> {
        let width = Fixed::from(row.confidence);
        let sure = (Fixed::ONE - width / self.account.half_width_at_zero).positive();
        settled(sure, "the confidence of an index")
    }

    fn coin(
        &self,
        found: &Found<'_>,
        amount: Fixed,
        price: Fixed,
        confidence: Fixed,
    ) -> Result<Coin, VenueError> {
        let asset = &found.row.asset;
        let terms = self.account.coins.get(asset.as_str()).or_else(|| self.account.coins.get("*"));
        let haircut = terms.ok_or_else(|| VenueError::Missing {
            method: METHOD,
            what: "a haircut",
            subject: asset.to_string(),
        })?;
        if amount < Fixed::ZERO {
            let (what, value) = ("the amount of an underlying coin", amount.to_string());
            return Err(VenueError::Domain { what, value, expected: "0 or more: the venue lends none" });
        }
        let haircut = Rates { mm: haircut.mm, im_add: haircut.im_add };
        Ok(Coin { amount, price, confidence, cancelling: true, haircut })
    }

    fn expiries(
        &self,
        found: &Found<'_>,
        legs: &[&Leg<'_>],
        confidence: Fixed,
    ) -> Result<Vec<Expiry>, VenueError> {
        let seconds = |leg: &&Leg<'_>| match leg.kind {
            LegKind::Option { seconds, .. } => Some(seconds),
            _ => None,
        };
        let times: BTreeSet<i64> = legs.iter().filter_map(seconds).collect();
        let basis = (found.flat(self.basis.up)?, found.flat(self.basis.down)?);
        let of = |time: i64| {
            let options: Vec<&Leg<'_>> =
                legs.iter().filter(|leg| seconds(leg) == Some(time)).copied().collect();
            let under = |(column, shock): &Column| {
                options.iter().map(|leg| leg.value() + leg.pnl(*column) / shock.damping).sum()
            };
            let rows = options.iter().filter_map(|leg| match leg.kind {
                LegKind::Option { strike, kind, .. } => {
                    Some((strike, kind == OptionKind::Call, leg.quantity))
                }
                _ => None,
            });
            Ok(Expiry {
                seconds: time,
                rate: self.account.rate,
                confidence,
                mtm: options.iter().map(|leg| leg.value()).sum(),
                at_basis: (under(&basis.0), under(&basis.1)),
                shocked: found.columns.iter().map(under).collect(),
                size: options.iter().map(|leg| leg.quantity.abs()).sum(),
                naked: naked(rows)?,
            })
        };
        times.into_iter().map(of).collect()
    }
}

/// One underlying of a book.
struct Found<'a> {
    book: &'a VenueBook<'a>,
    row: &'a UnderlyingRow,
    /// Its coin among the collateral.
    coin: Option<&'a CollateralReport>,
    columns: &'a [Column],
}

impl Found<'_> {
    /// Every part rounded up to a tick, as it is charged: what is capped is then capped to the tick.
    fn whole_ticks(&self, parts: Vec<Part>) -> Vec<Part> {
        let per_unit = self.book.arrays.ticks_per_unit;
        let up = |part: Fixed| {
            let ticks = part.ticks(per_unit, Rounding::Up);
            ticks.map_or(Fixed::LOST, |ticks| Fixed::from_ticks(ticks, per_unit))
        };
        parts.into_iter().map(|(code, im, mm)| (code, up(im), up(mm))).collect()
    }

    /// The column that moves spot to a multiple of itself and volatility not at all: the basis moves are among the
    /// scenarios of both published sets.
    fn flat(&self, spot: Fixed) -> Result<Column, VenueError> {
        let same = |(_, shock): &&Column| shock.vol == VolShift::None && shock.spot == spot;
        self.columns.iter().find(same).copied().ok_or_else(|| VenueError::Missing {
            method: METHOD,
            what: "a scenario of volatility unchanged at the basis move",
            subject: spot.to_string(),
        })
    }
}

/// The perpetuals of an underlying as one: sizes net.
fn perpetual(legs: &[&Leg<'_>], confidence: Fixed) -> Perpetual {
    let all = legs.iter().filter(|leg| leg.kind == LegKind::Perpetual);
    let add = |sum: Perpetual, leg: &&Leg<'_>| Perpetual {
        size: sum.size + leg.quantity,
        exposure: sum.exposure + leg.quantity * leg.reference,
        confidence,
        value: Fixed::ZERO,
    };
    all.fold(Perpetual::default(), add)
}

/// What volatility does in a column, from its label: `spot -66 % vol up x 0.21`, `spot unchanged vol same skew +1`.
fn vol_shift(label: &str) -> Result<VolShift, VenueError> {
    let unweighted = label.split_once(" x ").map_or(label, |(before, _)| before);
    let ends = |end: &str| unweighted.ends_with(end);
    let smile = unweighted.split_once(" vol same ").map(|(_, rest)| rest);
    // One further move and no other: a name and a size.
    let alone = smile.map(str::split_whitespace).and_then(|mut words| match (words.next(), words.nth(1)) {
        (Some(name), None) => Some(name),
        _ => None,
    });
    match alone {
        Some("skew") => Ok(VolShift::Linear),
        Some("wing") => Ok(VolShift::Abs),
        None if smile.is_none() && ends(" vol up") => Ok(VolShift::Up),
        None if smile.is_none() && ends(" vol down") => Ok(VolShift::Down),
        None if smile.is_none() && ends(" vol same") => Ok(VolShift::None),
        _ => {
            let expected = "a move of spot with volatility up, same or down, or a skew or a wing alone";
            Err(VenueError::Domain { what: "a scenario", value: label.to_owned(), expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_scenario_set_say_what_volatility_does() {
        assert_eq!(vol_shift("spot +13.5 % vol down"), Ok(VolShift::Down));
        assert_eq!(vol_shift("spot unchanged vol same"), Ok(VolShift::None));
        assert_eq!(vol_shift("spot -66 % vol up x 0.21"), Ok(VolShift::Up));
        assert_eq!(vol_shift("spot unchanged vol same skew +1"), Ok(VolShift::Linear));
        assert_eq!(vol_shift("spot unchanged vol same wing +1"), Ok(VolShift::Abs));
        for other in ["spot +5 % vol up skew +1", "spot unchanged vol same skew +1 wing +1", "a day in March"]
        {
            assert!(vol_shift(other).is_err(), "{other}");
        }
        assert!(vol_shift("spot unchanged vol same term +0.2").is_err());
    }
}
