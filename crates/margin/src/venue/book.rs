//! An account as a venue's method sees it.

use super::{Charge, VenueError, settled};
use crate::CollateralReport;
use plimsoll_types::{
    BlockKind, Contract, Fixed, InstrumentRow, Lots, OptionKind, Position, Purpose, RiskArrays, Rounding,
    ScenarioColumn, Ticks, UnderlyingRow,
};

/// What a leg is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegKind {
    /// The base asset itself.
    Spot,
    /// A perpetual swap.
    Perpetual,
    /// A dated future.
    Future {
        /// Seconds to expiry; > 0.
        seconds: i64,
    },
    /// A European option.
    Option {
        /// Call or put.
        kind: OptionKind,
        /// Strike, quote units.
        strike: Fixed,
        /// Seconds to expiry; > 0.
        seconds: i64,
    },
}

/// One position.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'a> {
    /// Its row of the risk arrays.
    pub row: &'a InstrumentRow,
    /// Its underlying.
    pub underlying: &'a UnderlyingRow,
    /// Which contract.
    pub kind: LegKind,
    /// Signed lots; long > 0.
    pub lots: Lots,
    /// Signed base units; long > 0. An inverse future or perpetual of `N` quote units is `N/F` coins.
    pub quantity: Fixed,
    /// Mark value of one base unit, currency: of options and spot; 0 for futures and perpetuals.
    pub mark: Fixed,
    /// Price the contract is on, currency per base unit: forward, mark price of a perpetual, index of spot.
    pub reference: Fixed,
    /// Index price, currency per base unit.
    pub index: Fixed,
    /// Profit since entry that is not in the collateral, currency.
    pub unrealised: Fixed,
    pnl: &'a [i64],
    per_unit: i64,
}

impl Leg<'_> {
    /// Value that counts as equity: `quantity x mark`, exact in ticks.
    pub fn value(&self) -> Fixed {
        self.of_lots(self.row.mark)
    }

    /// Profit or loss under a column of the arrays, with the weight of the scenario.
    pub fn pnl(&self, column: usize) -> Fixed {
        self.pnl.get(column).map_or(Fixed::LOST, |entry| self.of_lots(*entry))
    }

    /// Change of value per unit relative move of spot: `quantity x S dV/dS`.
    pub fn delta_cash(&self) -> Fixed {
        self.of_lots(self.row.greeks.delta)
    }

    /// The error that a method does not margin this contract, and why.
    pub(super) fn unsupported(&self, method: &'static str, why: &'static str) -> VenueError {
        VenueError::Unsupported { method, instrument: Box::new(self.row.instrument.clone()), why }
    }

    /// Years to expiry, ACT/365; 0 for what has none.
    pub fn years(&self) -> Fixed {
        match self.kind {
            LegKind::Spot | LegKind::Perpetual => Fixed::ZERO,
            LegKind::Future { seconds } | LegKind::Option { seconds, .. } => {
                Fixed::ratio(i128::from(seconds), i128::from(plimsoll_types::YEAR_SECONDS))
            }
        }
    }

    /// An amount of ticks per lot, of all lots, in units of the currency.
    pub fn of_lots(&self, ticks: i64) -> Fixed {
        Fixed::from_ticks(Ticks(i128::from(self.lots.0) * i128::from(ticks)), self.per_unit)
    }
}

/// An account: what it holds, on one set of risk arrays.
#[derive(Clone, Debug)]
pub struct VenueBook<'a> {
    /// The arrays.
    pub arrays: &'a RiskArrays,
    /// Positions of at least one lot, in the order of the arrays.
    pub legs: Vec<Leg<'a>>,
    /// Collateral with its counted value.
    pub collateral: &'a [CollateralReport],
}

impl<'a> VenueBook<'a> {
    /// The legs of the positions.
    ///
    /// # Errors
    /// [`VenueError::Overflow`] when a quantity does not fit 18 decimals.
    pub fn new(
        arrays: &'a RiskArrays,
        positions: &[Position],
        collateral: &'a [CollateralReport],
    ) -> Result<Self, VenueError> {
        let held = positions.iter().filter(|p| p.lots.0 != 0);
        let legs = held.map(|p| leg(arrays, p)).collect::<Result<_, _>>()?;
        Ok(Self { arrays, legs, collateral })
    }

    /// Ticks as units of the currency.
    pub fn money(&self, ticks: Ticks) -> Fixed {
        Fixed::from_ticks(ticks, self.arrays.ticks_per_unit)
    }

    /// Columns of the `grid` blocks that serve both requirements, with their numbers.
    pub fn grid(&self) -> impl Iterator<Item = (usize, &'a ScenarioColumn)> + '_ {
        let arrays = self.arrays;
        let blocks = arrays.blocks.iter().filter(|b| b.kind == BlockKind::Grid && b.purpose == Purpose::Both);
        blocks
            .flat_map(|b| b.columns.clone())
            .filter_map(|c| arrays.scenarios.get(c).map(|column| (c, column)))
    }

    /// The underlyings held, each with its place in the arrays and its legs, in the order of the arrays.
    pub fn underlyings(&self) -> Vec<(usize, &'a UnderlyingRow, Vec<&Leg<'a>>)> {
        let mut all = Vec::new();
        for (place, row) in self.arrays.underlyings.iter().enumerate() {
            let of_it = |leg: &&Leg<'a>| leg.row.underlying.index() == place;
            let legs: Vec<&Leg<'a>> = self.legs.iter().filter(of_it).collect();
            if !legs.is_empty() {
                all.push((place, row, legs));
            }
        }
        all
    }

    /// The mark value of a book that is long options and nothing else; `None` for any other book.
    pub fn long_premium(&self) -> Option<Fixed> {
        let long = |leg: &Leg<'_>| matches!(leg.kind, LegKind::Option { .. }) && leg.lots.0 > 0;
        let only = !self.legs.is_empty() && self.legs.iter().all(long);
        only.then(|| self.legs.iter().map(Leg::value).sum())
    }

    /// The credit that keeps long options from costing more than their premium: where nothing but long options is held
    /// and the charges exceed their mark value, what exceeds it. `None` where nothing does.
    pub fn premium_credit(&self, charges: &[Charge]) -> Option<Charge> {
        let premium = self.long_premium()?;
        // Charges are rounded up to ticks one by one, so what exceeds the premium is counted in ticks.
        let up = |amount: Fixed| {
            let ticks = amount.ticks(self.arrays.ticks_per_unit, Rounding::Up);
            ticks.map_or(Fixed::LOST, |ticks| self.money(ticks))
        };
        let above = |read: fn(&Charge) -> Fixed| {
            (charges.iter().map(|charge| up(read(charge))).sum::<Fixed>() - premium).positive()
        };
        let (im, mm) = (above(|c| c.im), above(|c| c.mm));
        let any = im != Fixed::ZERO || mm != Fixed::ZERO;
        any.then(|| Charge { code: "long_option_credit", asset: None, im: -im, mm: -mm })
    }

    /// The price of the coin in which a venue keeps cash; 1 for an account that holds none of it in a market that states
    /// no price: it has no peg to lose.
    ///
    /// # Errors
    /// [`VenueError::Missing`] when the coin is held and has no price.
    pub fn stable_price(
        &self,
        method: &'static str,
        coin: &plimsoll_types::Asset,
    ) -> Result<Fixed, VenueError> {
        let held = self.collateral.iter().any(|c| c.asset == *coin && c.amount_nano != 0);
        match self.price(coin) {
            Some(price) => Ok(price),
            None if held => Err(VenueError::Missing { method, what: "the price", subject: coin.to_string() }),
            None => Ok(Fixed::ONE),
        }
    }

    /// Price of a collateral asset or underlying, currency per unit; `None` where the market states none.
    pub fn price(&self, asset: &plimsoll_types::Asset) -> Option<Fixed> {
        self.arrays.asset(asset).map(|row| self.money(Ticks(i128::from(row.price))))
    }
}

fn leg<'a>(arrays: &'a RiskArrays, position: &Position) -> Result<Leg<'a>, VenueError> {
    let unknown = || VenueError::Domain {
        what: "a position's row",
        value: position.instrument.0.to_string(),
        expected: "one of the arrays",
    };
    let row = arrays.instrument(position.instrument).ok_or_else(unknown)?;
    let underlying = arrays.underlyings.get(row.underlying.index()).ok_or_else(unknown)?;
    let per_unit = arrays.ticks_per_unit;
    let money = |ticks: i64| Fixed::from_ticks(Ticks(i128::from(ticks)), per_unit);
    let lot = decimal(row.lot);
    let size = Fixed::from(position.lots.0) * lot;
    let reference = money(row.reference);
    let quantity = if row.instrument.sized_in_quote() { size / reference } else { size };
    Ok(Leg {
        row,
        underlying,
        kind: kind(row),
        lots: position.lots,
        quantity: settled(quantity, "a quantity")?,
        mark: settled(money(row.mark) / lot, "a mark")?,
        reference,
        index: money(underlying.index),
        unrealised: Fixed::from_ticks(position.unrealised, per_unit),
        pnl: arrays.row(position.instrument),
        per_unit,
    })
}

fn kind(row: &InstrumentRow) -> LegKind {
    let seconds = row.seconds_to_expiry.unwrap_or(0);
    match row.instrument.contract() {
        Contract::Spot => LegKind::Spot,
        Contract::Perpetual => LegKind::Perpetual,
        Contract::Future { .. } => LegKind::Future { seconds },
        Contract::Option { strike, kind, .. } => LegKind::Option { kind, strike: decimal(strike), seconds },
    }
}

/// A decimal of at most 18 decimals exactly, one of more to nearest.
fn decimal(x: plimsoll_types::Decimal) -> Fixed {
    let power = 10_i128.checked_pow(x.scale());
    power.map_or(Fixed::LOST, |power| Fixed::ratio(x.mantissa(), power))
}
