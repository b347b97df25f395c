//! Deribit's portfolio margin (PME): a risk matrix in coin, an extended table, and a roll shock.
//!
//! Source: `methods.md` 7; the response of `private/pme/simulate` and the support pages. Amounts of the pure functions
//! are in the settlement currency of the book: coin for inverse books, quote units for linear ones. Vectors are bucket
//! major with the volatilities {up, same, down} within; buckets rise from the largest fall to the largest rise.
//!
//! The account of ours is valued in its currency. A coin book is brought into coin first, which is exact: with `m` the
//! mark of a leg now and `m + pnl` its value at `S' = S (1 + s)`, it gains `(m + pnl)/S' - m/S` coins. The margin in coin
//! is charged at the index, so the movement of the coin itself is no part of it: that is the affair of the collateral.
//!
//! Not published, and therefore parameters: the fractions of the extended table (the weights of the scenario set), the
//! exact place of its dampener (here: what is left of gain or loss after the offset), the shape of the delta shock.

use super::curves::{TierRate, tiered};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, Ppb, Rounding, ScenarioColumn, Settlement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "Deribit's portfolio margin";
/// Volatilities of a bucket.
const VOLS: usize = 3;
/// Decimals to which the worst case and the initial margin are rounded.
const DECIMALS: u32 = 9;
/// Seconds before expiry over which deltas decay.
const SETTLEMENT_SECONDS: i64 = 1800;

/// Parameters of one settlement currency, as the API names them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurrencyTerms {
    /// Share of a bucket's gain that counts; in [0, 1].
    pub pnl_offset: Fixed,
    /// The most that a gain may offset, quote units; `None` for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_offsetable_pnl: Option<Fixed>,
    /// Relative move of the roll per year to expiry.
    pub annualised_move_risk: Fixed,
    /// The least relative move of the roll.
    pub min_annualised_move: Fixed,
    /// What the extended table leaves free, quote units.
    pub extended_dampener: Fixed,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Share of the risk matrix margin that is maintenance margin; in [0, 1].
    pub mm_factor: Fixed,
    /// Factor on the fractions of the extended table.
    pub extended_table_factor: Fixed,
    /// By settlement currency: a coin, or the quote asset of linear contracts; `*` for the others.
    pub currencies: BTreeMap<String, CurrencyTerms>,
    /// Groups of underlyings whose linear contracts are added bucket by bucket before the minimum is taken.
    #[serde(default)]
    pub correlation_sets: Vec<Vec<Asset>>,
    /// Extra shock on the total delta of an underlying, quote units, by marginal tiers; empty for none.
    #[serde(default)]
    pub delta_shock: Vec<TierRate>,
}

/// Profit or loss of an instrument, or of a currency pair, in every scenario.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vectors {
    /// Buckets by three volatilities.
    pub standard: Vec<Fixed>,
    /// The extended table, volatility up.
    pub extended: Vec<Fixed>,
}

/// Where the worst case is, counted from 1 as the API does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorstBucket {
    /// `standard` or `extended`.
    pub source: &'static str,
    /// `left` of the unmoved price, `right` of it, or `center`.
    pub side: &'static str,
    /// The price bucket; of the extended table the entry.
    pub bucket: usize,
    /// The entry of the flat vector.
    pub index: usize,
}

/// What the requirement of one settlement currency is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Worst case, not below 0.
    pub worst_case: Fixed,
    /// Roll shock.
    pub roll_shock: Fixed,
    /// Delta shock; the shape is not published.
    pub delta_shock: Fixed,
    /// Contingency for correlation.
    pub correlation_contingency: Fixed,
    /// Margin of market maker protection.
    pub mmp_margin: Fixed,
    /// Margin of open orders.
    pub open_orders_margin: Fixed,
    /// Margin of spot orders.
    pub spot_margin: Fixed,
}

/// A requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// Worst case rounded to nine decimals, plus the shocks and contingencies.
    pub risk_matrix_margin: Fixed,
    /// Initial margin, rounded to nine decimals.
    pub initial_margin: Fixed,
    /// Maintenance margin, not rounded.
    pub maintenance_margin: Fixed,
}

/// Relative moves of the standard table: `price_range k/n`, `k = -n..n`.
///
/// # Errors
/// [`VenueError::Domain`] unless `n` is in 1..=1000 and the range in (0, 1).
///
/// ```
/// use plimsoll_margin::venue::deribit_portfolio::buckets;
/// let moves = buckets("0.16".parse()?, 4)?;
/// assert_eq!((moves.len(), moves[1]), (9, "-0.12".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn buckets(price_range: Fixed, n: i64) -> Result<Vec<Fixed>, VenueError> {
    let refuse = |what, value: String, expected| Err(VenueError::Domain { what, value, expected });
    let inside = price_range > Fixed::ZERO && price_range < Fixed::ONE;
    if !inside {
        return refuse("the price range", price_range.to_string(), "a number between 0 and 1");
    }
    if !(1..=1000).contains(&n) {
        return refuse("the number of buckets", n.to_string(), "1 to 1000");
    }
    Ok((-n..=n).map(|k| price_range.scaled(i128::from(k), i128::from(n), Rounding::Nearest)).collect())
}

/// Profit of an inverse future or perpetual of `quantity` coins, in coin: `q s/(1 + s)`.
pub fn inverse_future(quantity: Fixed, by: Fixed) -> Fixed {
    quantity * by / (Fixed::ONE + by)
}

/// Profit of a linear future or perpetual, in coin at the present index: `q s`.
pub fn linear_future(quantity: Fixed, by: Fixed) -> Fixed {
    quantity * by
}

/// Profit in coin of what is worth `before` now and `after` at `index (1 + s)`, both in quote units:
/// `after/(index (1 + s)) - before/index`.
pub fn in_coin(before: Fixed, after: Fixed, index: Fixed, by: Fixed) -> Fixed {
    after / (index * (Fixed::ONE + by)) - before / index
}

/// A future in the extended table: it moves no further than in the standard one, so each entry is the outermost bucket
/// of its side. The API states gains and losses alike so.
pub fn future_extended(standard: &[Fixed], moves: &[Fixed]) -> Vec<Fixed> {
    let low = standard.first().copied().unwrap_or_default();
    let high = standard.last().copied().unwrap_or_default();
    moves.iter().map(|by| if *by < Fixed::ZERO { low } else { high }).collect()
}

/// Share of a delta that is left so many seconds before expiry: linear over the last 30 minutes, 0 at expiry.
pub fn settlement_share(seconds: i64) -> Fixed {
    let left = seconds.clamp(0, SETTLEMENT_SECONDS);
    Fixed::ratio(i128::from(left), i128::from(SETTLEMENT_SECONDS))
}

/// Net transaction delta of an option: its delta and its mark in coin, both decayed by [`settlement_share`].
pub fn net_delta(delta: Fixed, mark: Fixed, seconds: i64) -> Fixed {
    (delta - mark) * settlement_share(seconds)
}

/// Entry by entry sum of the vectors of a currency pair.
///
/// # Errors
/// [`VenueError::Domain`] when the vectors have different lengths.
pub fn sum(all: &[Vectors]) -> Result<Vectors, VenueError> {
    let Some(first) = all.first() else { return Ok(Vectors::default()) };
    let mut total = first.clone();
    for vectors in &all[1..] {
        let lengths = [vectors.standard.len(), vectors.extended.len()];
        if lengths != [total.standard.len(), total.extended.len()] {
            return Err(VenueError::Domain {
                what: "the length of a risk vector",
                value: format!("{lengths:?}"),
                expected: "the same for every instrument",
            });
        }
        let add =
            |into: &mut [Fixed], from: &[Fixed]| into.iter_mut().zip(from).for_each(|(a, b)| *a = *a + *b);
        add(&mut total.standard, &vectors.standard);
        add(&mut total.extended, &vectors.extended);
    }
    Ok(total)
}

/// What of a pair's vectors counts. Gains are multiplied by `pnl_offset` and count up to the limit, losses in full; the
/// extended table is then drawn towards 0 by the dampener. `unit` is the price of the settlement currency in quote units,
/// in which limit and dampener are stated.
///
/// # Errors
/// [`VenueError::Domain`] unless `unit > 0`.
pub fn aggregate(pair: &Vectors, terms: &CurrencyTerms, unit: Fixed) -> Result<Vectors, VenueError> {
    let priced = unit > Fixed::ZERO;
    if !priced {
        let value = unit.to_string();
        return Err(VenueError::Domain {
            what: "the price of the currency",
            value,
            expected: "a positive number",
        });
    }
    let most = terms.max_offsetable_pnl.map(|most| most / unit);
    let dampener = terms.extended_dampener / unit;
    let offset = |pnl: &Fixed| match *pnl {
        loss if loss <= Fixed::ZERO => loss,
        gain => most.map_or(gain * terms.pnl_offset, |most| most.min(gain * terms.pnl_offset)),
    };
    let damp = |pnl: Fixed| {
        let left = (pnl.abs() - dampener).positive();
        if pnl < Fixed::ZERO { -left } else { left }
    };
    Ok(Vectors {
        standard: pair.standard.iter().map(offset).collect(),
        extended: pair.extended.iter().map(|pnl| damp(offset(pnl))).collect(),
    })
}

/// The worst loss over both tables, not below 0, and where it is: the first of equals, the standard table first.
///
/// # Errors
/// [`VenueError::Domain`] when the standard vector is not three volatilities of an odd number of buckets;
/// [`VenueError::Overflow`] when an entry was lost.
pub fn worst(total: &Vectors) -> Result<(Fixed, WorstBucket), VenueError> {
    let count = total.standard.len() / VOLS;
    if !total.standard.len().is_multiple_of(VOLS) || count.is_multiple_of(2) {
        return Err(VenueError::Domain {
            what: "the length of the standard table",
            value: total.standard.len().to_string(),
            expected: "three volatilities of an odd number of buckets",
        });
    }
    let mut lowest = Fixed::LOST;
    let mut found = (0, "standard");
    let tables = [(&total.standard, "standard"), (&total.extended, "extended")];
    for (table, source) in tables {
        for (at, pnl) in table.iter().enumerate() {
            settled(*pnl, "an entry of a risk vector")?;
            if lowest.known().is_none() || *pnl < lowest {
                (lowest, found) = (*pnl, (at, source));
            }
        }
    }
    let (at, source) = found;
    let bucket = if source == "standard" { at / VOLS + 1 } else { at + 1 };
    let middle = count / 2 + 1;
    // Of the eight moves of the extended table the first two are falls.
    let left = if source == "standard" { bucket < middle } else { bucket <= 2 };
    let side = if source == "standard" && bucket == middle {
        "center"
    } else if left {
        "left"
    } else {
        "right"
    };
    Ok(((-lowest).positive(), WorstBucket { source, side, bucket, index: at + 1 }))
}

/// Roll shock of one position: `|q| max(min_annualised_move, annualised_move_risk tau)`; a perpetual has `tau = 0`.
pub fn roll_shock(quantity: Fixed, years: Fixed, terms: &CurrencyTerms) -> Fixed {
    quantity.abs() * terms.min_annualised_move.max(terms.annualised_move_risk * years)
}

/// The requirement of the parts.
///
/// ```
/// use plimsoll_margin::venue::deribit_portfolio::{Parts, requirement};
/// // The published response: worst case 0.0597, roll 0.0032, IM 0.122861343 and MM 0.050274504784 BTC.
/// let parts = Parts {
///     worst_case: "0.05968587238095239".parse()?,
///     roll_shock: "0.00315725898".parse()?,
///     mmp_margin: "0.06".parse()?,
///     open_orders_margin: "0.000018212".parse()?,
///     ..Parts::default()
/// };
/// let margin = requirement(&parts, "0.8".parse()?)?;
/// assert_eq!(margin.initial_margin.to_string(), "0.122861343");
/// assert_eq!(margin.maintenance_margin.to_string(), "0.050274504784");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Overflow`] when a part was lost.
pub fn requirement(parts: &Parts, mm_factor: Fixed) -> Result<Requirement, VenueError> {
    let worst = parts.worst_case.rounded(DECIMALS, Rounding::Nearest);
    let matrix = worst + parts.roll_shock + parts.delta_shock + parts.correlation_contingency;
    let orders = parts.mmp_margin + parts.open_orders_margin + parts.spot_margin;
    Ok(Requirement {
        risk_matrix_margin: settled(matrix, "a risk matrix margin")?,
        initial_margin: settled((matrix + orders).rounded(DECIMALS, Rounding::Nearest), "an initial margin")?,
        maintenance_margin: settled(mm_factor * matrix, "a maintenance margin")?,
    })
}

/// A currency pair of an account: an underlying with the currency it is settled in.
struct Pair<'a> {
    currency: &'a Asset,
    underlying: &'a Asset,
    place: usize,
    index: Fixed,
    /// The price of the settlement currency: the index of coin books, 1 of linear ones.
    unit: Fixed,
    coin: bool,
    legs: Vec<&'a Leg<'a>>,
}

/// Spot is coin: it belongs to the coin book, in which it neither gains nor loses.
fn settles_in_coin(leg: &Leg<'_>) -> bool {
    leg.kind == LegKind::Spot || leg.row.instrument.settlement() == Settlement::Inverse
}

fn pairs<'a>(book: &'a VenueBook<'a>) -> Vec<Pair<'a>> {
    let mut all: Vec<Pair<'a>> = Vec::new();
    for leg in &book.legs {
        let (coin, place) = (settles_in_coin(leg), leg.row.underlying.index());
        let quote = leg.row.instrument.quote();
        let currency = if coin { &leg.underlying.asset } else { quote };
        let same = |p: &&mut Pair<'_>| p.currency == currency && p.place == place;
        match all.iter_mut().find(same) {
            Some(pair) => pair.legs.push(leg),
            None => all.push(Pair {
                currency,
                underlying: &leg.underlying.asset,
                place,
                index: leg.index,
                unit: if coin { leg.index } else { Fixed::ONE },
                coin,
                legs: vec![leg],
            }),
        }
    }
    all
}

impl Pair<'_> {
    /// Profit of a leg under a column at full weight, in the settlement currency.
    fn pnl(&self, leg: &Leg<'_>, at: usize, column: &ScenarioColumn) -> Fixed {
        let full = Fixed::from(column.weight);
        let pnl = if column.weight == Ppb::ONE { leg.pnl(at) } else { leg.pnl(at) / full };
        let moved = column.spot.get(self.place).map_or(Fixed::LOST, |by| Fixed::from(*by));
        let settled =
            if self.coin { in_coin(leg.value(), leg.value() + pnl, self.index, moved) } else { pnl };
        settled * share(leg)
    }

    fn vectors(&self, book: &VenueBook<'_>, leg: &Leg<'_>, factor: Fixed) -> Result<Vectors, VenueError> {
        let (mut standard, mut extended, mut moves) = (Vec::new(), Vec::new(), Vec::new());
        for (at, column) in book.grid() {
            let by = column.spot.get(self.place).map_or(Fixed::LOST, |by| Fixed::from(*by));
            let pnl = settled(self.pnl(leg, at, column), "a scenario's profit or loss")?;
            if column.weight == Ppb::ONE {
                standard.push((by, pnl));
            } else {
                moves.push(by);
                extended.push(pnl * Fixed::from(column.weight) * factor);
            }
        }
        // Columns may be written in any order of price; the volatilities of a price keep theirs.
        standard.sort_by_key(|(by, _)| by.known());
        let standard: Vec<Fixed> = standard.into_iter().map(|(_, pnl)| pnl).collect();
        if !matches!(leg.kind, LegKind::Option { .. }) {
            extended = future_extended(&standard, &moves);
        }
        Ok(Vectors { standard, extended })
    }
}

fn share(leg: &Leg<'_>) -> Fixed {
    match leg.kind {
        LegKind::Future { seconds } | LegKind::Option { seconds, .. } => settlement_share(seconds),
        LegKind::Spot | LegKind::Perpetual => Fixed::ONE,
    }
}

impl Terms {
    fn currency(&self, asset: &Asset) -> Result<&CurrencyTerms, VenueError> {
        let named = self.currencies.get(asset.as_str()).or_else(|| self.currencies.get("*"));
        named.ok_or_else(|| VenueError::Missing {
            method: METHOD,
            what: "the terms of the settlement currency",
            subject: asset.to_string(),
        })
    }

    /// Whether two pairs' vectors are added before the minimum.
    fn joined(&self, a: &Pair<'_>, b: &Pair<'_>) -> bool {
        let within = |set: &Vec<Asset>| set.contains(a.underlying) && set.contains(b.underlying);
        !a.coin && !b.coin && a.currency == b.currency && self.correlation_sets.iter().any(within)
    }

    /// Vectors of each correlation set, in units of the account's currency, with the underlying it is named by.
    fn sets(
        &self,
        book: &VenueBook<'_>,
        pairs: &[Pair<'_>],
    ) -> Result<Vec<(Asset, Vectors, Fixed)>, VenueError> {
        let mut sets: Vec<(usize, Vectors)> = Vec::new();
        for (at, pair) in pairs.iter().enumerate() {
            let legs = pair.legs.iter().map(|leg| pair.vectors(book, leg, self.extended_table_factor));
            let total = sum(&legs.collect::<Result<Vec<_>, _>>()?)?;
            let counted = aggregate(&total, self.currency(pair.currency)?, pair.unit)?;
            let joined =
                sets.iter_mut().find(|(first, _)| pairs.get(*first).is_some_and(|f| self.joined(f, pair)));
            match joined {
                Some((_, vectors)) => *vectors = sum(&[vectors.clone(), counted])?,
                None => sets.push((at, counted)),
            }
        }
        let named = |(at, vectors): (usize, Vectors)| {
            pairs.get(at).map(|pair| (pair.underlying.clone(), vectors, pair.unit))
        };
        Ok(sets.into_iter().filter_map(named).collect())
    }

    fn roll(&self, pair: &Pair<'_>) -> Result<Fixed, VenueError> {
        let terms = self.currency(pair.currency)?;
        // Spot has no roll; a linear book is in quote units.
        let price = if pair.coin { Fixed::ONE } else { pair.index };
        let held = pair.legs.iter().filter(|leg| leg.kind != LegKind::Spot);
        Ok(held.map(|leg| roll_shock(leg.quantity * price, leg.years(), terms)).sum())
    }

    fn delta_shock(&self, pair: &Pair<'_>) -> Result<Fixed, VenueError> {
        if self.delta_shock.is_empty() {
            return Ok(Fixed::ZERO);
        }
        let held = pair.legs.iter().filter(|leg| leg.kind != LegKind::Spot);
        let total: Fixed = held.map(|leg| leg.delta_cash() * share(leg)).sum();
        tiered(&self.delta_shock, total.abs())
    }
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let pairs = pairs(book);
        let charge = |code, asset: &Asset, amount: Fixed| Charge {
            code,
            asset: Some(asset.clone()),
            im: amount,
            mm: self.mm_factor * amount,
        };
        let mut charges = Vec::new();
        for (asset, vectors, unit) in self.sets(book, &pairs)? {
            let (loss, _) = worst(&vectors)?;
            charges.push(charge("worst_case", &asset, loss.rounded(DECIMALS, Rounding::Nearest) * unit));
        }
        for pair in &pairs {
            charges.push(charge("roll_shock", pair.underlying, self.roll(pair)? * pair.unit));
            let shock = self.delta_shock(pair)?;
            if shock != Fixed::ZERO {
                charges.push(charge("delta_shock", pair.underlying, shock));
            }
        }
        charges.extend(book.premium_credit(&charges));
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = checks::all([
            checks::share("aggregation.mm_factor", self.mm_factor),
            checks::not_negative("aggregation.extended_table_factor", self.extended_table_factor),
        ]);
        for (name, terms) in &self.currencies {
            let path = |field: &str| format!("aggregation.currencies.{name}.{field}");
            found.extend(checks::all([
                checks::share(&path("pnl_offset"), terms.pnl_offset),
                checks::not_negative(&path("annualised_move_risk"), terms.annualised_move_risk),
                checks::not_negative(&path("min_annualised_move"), terms.min_annualised_move),
                checks::not_negative(&path("extended_dampener"), terms.extended_dampener),
                checks::not_negative(
                    &path("max_offsetable_pnl"),
                    terms.max_offsetable_pnl.unwrap_or_default(),
                ),
            ]));
        }
        for (i, tier) in self.delta_shock.iter().enumerate() {
            found.extend(checks::not_negative(&format!("aggregation.delta_shock[{i}].rate"), tier.rate));
        }
        found
    }
}
