//! Accounts and their margin as JSON.

use super::effects::quantity;
use super::{coins, money};
use plimsoll_engine::GreeksRow;
use plimsoll_engine::live::ledger::{Account, Ledger};
use plimsoll_engine::live::{Check, Reports, Standing};
use plimsoll_margin::{Addon, Input, MarginReport, Totals, UnderlyingReport};
use plimsoll_types::{Decimal, RiskArrays, Ticks, Units};
use serde::Serialize;
use utoipa::ToSchema;

/// Totals of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TotalsOut {
    /// Collateral after haircuts, plus marks, plus profit.
    pub equity: String,
    /// Initial margin: what new risk needs.
    pub im: String,
    /// Maintenance margin: what existing positions need.
    pub mm: String,
    /// `equity - im`.
    pub im_excess: String,
    /// `equity - mm`; liquidatable below zero.
    pub mm_excess: String,
    /// Scenario losses, before scaling.
    pub aggregate: String,
    /// Charges beside them, in initial margin.
    pub addons: String,
    /// Profit since entry.
    pub unrealised: String,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct AccountOut {
    /// Its name.
    pub account: String,
    /// `healthy`, `call`, `unvalued`, `liquidatable` or `insolvent`.
    #[schema(value_type = String)]
    pub standing: Standing,
    /// Left out while it cannot be valued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<TotalsOut>,
    /// What it holds.
    pub positions: Vec<Position>,
    /// What backs it.
    pub collateral: Vec<Collateral>,
    /// What it has ordered.
    pub orders: Vec<OrderOut>,
    /// Its liquidation under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
}

/// A position.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Position {
    /// Of what.
    pub instrument: String,
    /// Long > 0.
    pub quantity: String,
    /// What it cost, funding and premiums included.
    pub cost: String,
    /// What it is worth; left out while it cannot be valued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Collateral.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Collateral {
    /// What.
    pub asset: String,
    /// Borrowed < 0.
    pub amount: String,
}

/// An open order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct OrderOut {
    /// The client's number.
    pub id: u64,
    /// Of what.
    pub instrument: String,
    /// Bids > 0.
    pub quantity: String,
    /// Its limit.
    pub limit: String,
}

/// An instrument.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Listed {
    /// Its name.
    pub instrument: String,
    /// What one lot is, of the instrument's quantity.
    pub lot: String,
    /// What a lot is worth; left out while it cannot be valued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_of_lot: Option<String>,
    /// Whether it is settled.
    pub settled: bool,
}

/// Every number of a margin. `im = base.im + guard.im + sum of addons.im - relief.im + orders.im`, and `mm` likewise.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct MarginOut {
    /// Whose.
    pub account: String,
    /// Its totals.
    pub totals: TotalsOut,
    /// Scaled scenario losses.
    pub base: Added,
    /// What rounding is covered by.
    pub guard: Added,
    /// Charges beside the scenario losses.
    pub addons: Vec<Added>,
    /// What is taken off because a long costs its premium at most.
    pub relief: Added,
    /// What open orders add.
    pub orders: Added,
    /// Sum of standalone losses less the aggregate.
    pub netting_benefit: String,
    /// Names of the scenarios, in the order of every `pnl`.
    pub scenarios: Vec<String>,
    /// Per underlying.
    pub underlyings: Vec<Underlying>,
    /// What backs it, one by one.
    pub collateral: Vec<Collateral>,
}

/// A part of a margin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Added {
    /// Which.
    pub part: String,
    /// Of what, where it is of something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// In initial margin.
    pub im: String,
    /// In maintenance margin.
    pub mm: String,
    /// What it was computed from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
}

/// One underlying of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Underlying {
    /// Which.
    pub asset: String,
    /// Worst loss in the scenarios of initial margin.
    pub scan_loss: String,
    /// In which scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// The same of maintenance margin.
    pub mm_scan_loss: String,
    /// Profit or loss in every scenario.
    pub pnl: Vec<String>,
    /// What each position adds to the worst.
    pub contributions: Vec<Contribution>,
}

/// A position's part in the worst scenario.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Contribution {
    /// Which.
    pub instrument: String,
    /// How much of it.
    pub quantity: String,
    /// What it gains or loses there.
    pub pnl: String,
}

/// The answer before a trade.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct CheckOut {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why not: `insufficient_margin`, `unconfirmed_profit`, `degraded`, `halted`; empty where it may.
    pub reason: String,
    /// `equity - im` before.
    pub im_excess_before: String,
    /// And after.
    pub im_excess_after: String,
    /// `equity - mm` before.
    pub mm_excess_before: String,
    /// And after.
    pub mm_excess_after: String,
    /// Profit at a price that the stable one does not confirm: no cover for new risk.
    pub unconfirmed: String,
}

/// Margin before and after trades at the mark.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct WhatIfOut {
    /// As it is.
    pub before: MarginOut,
    /// With the trades.
    pub after: MarginOut,
    /// Whether they would be allowed.
    pub check: CheckOut,
}

/// One rung of a Greeks ladder, for reading: floats.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Greeks {
    /// Of which underlying.
    pub underlying: String,
    /// Of which expiry; left out for spot and perpetuals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<String>,
    /// `dV/dS`, base units.
    pub delta: f64,
    /// `S dV/dS`, valuation currency.
    pub delta_cash: f64,
    /// `d2V/dS2`, base units per quote unit of price.
    pub gamma: f64,
    /// Per 0.01 of volatility, valuation currency.
    pub vega_per_point: f64,
    /// Per day, valuation currency.
    pub theta_per_day: f64,
    /// Per 0.0001 of rate, valuation currency.
    pub rho_per_bp: f64,
    /// `d2V/(dS dvol)` per 0.01 of volatility, base units.
    pub vanna: f64,
    /// `d2V/dvol2` per squared 0.01 of volatility, valuation currency.
    pub volga: f64,
}

/// Totals in decimals.
pub fn totals(totals: &Totals, units: &Units) -> TotalsOut {
    let amount = |ticks| money(ticks, units);
    TotalsOut {
        equity: amount(totals.equity),
        im: amount(totals.im),
        mm: amount(totals.mm),
        im_excess: amount(totals.im_excess),
        mm_excess: amount(totals.mm_excess),
        aggregate: amount(totals.aggregate.im),
        addons: amount(totals.addons.im),
        unrealised: amount(totals.unrealised),
    }
}

/// An account as the ledger has it; `value` is that of a lot of an instrument's number.
pub fn account(
    account: &Account,
    ledger: &Ledger,
    units: &Units,
    value: impl Fn(u32) -> Option<i64>,
) -> (Vec<Position>, Vec<Collateral>, Vec<OrderOut>) {
    let instrument = |number: u32| ledger.instruments().get(number as usize).map(|listed| &listed.instrument);
    let position = |held: &plimsoll_engine::live::ledger::Held| {
        let name = instrument(held.instrument)?;
        let worth = value(held.instrument).map(|lot| i128::from(lot) * i128::from(held.lots));
        Some(Position {
            instrument: name.to_string(),
            quantity: quantity(held.lots, name, units),
            cost: money(Ticks(held.cost), units),
            value: worth.map(|ticks| money(Ticks(ticks), units)),
        })
    };
    let order = |order: &plimsoll_engine::live::ledger::OpenOrder| {
        let name = instrument(order.instrument)?;
        Some(OrderOut {
            id: order.id,
            instrument: name.to_string(),
            quantity: quantity(order.lots, name, units),
            limit: decimal(order.limit.mantissa, order.limit.exponent),
        })
    };
    let collateral = account.collateral.iter().map(|(asset, amount)| held(asset, *amount)).collect();
    let positions = account.positions.iter().filter_map(position).collect();
    (positions, collateral, account.orders.iter().filter_map(order).collect())
}

fn held(asset: &plimsoll_types::Asset, nano: i128) -> Collateral {
    Collateral { asset: asset.to_string(), amount: coins(nano) }
}

fn decimal(mantissa: i64, exponent: i8) -> String {
    let scale = u32::try_from(-i32::from(exponent)).ok();
    let found = scale.and_then(|scale| Decimal::try_from_i128_with_scale(i128::from(mantissa), scale).ok());
    found.map_or_else(|| format!("{mantissa}e{exponent}"), |d| d.normalize().to_string())
}

/// A margin, every number of it: of new risk, with what existing positions need where that is another.
pub fn margin(reports: &Reports, arrays: &RiskArrays, units: &Units) -> MarginOut {
    let report = &reports.initial;
    let of_mm = reports.maintenance.as_ref().unwrap_or(report);
    let amount = |ticks| money(ticks, units);
    let pair = |part: &str, im, mm| Added {
        part: part.to_owned(),
        asset: None,
        im: amount(im),
        mm: amount(mm),
        inputs: Vec::new(),
    };
    MarginOut {
        account: report.account.to_string(),
        totals: totals_of(report, of_mm, units),
        base: pair("base", report.base.im, of_mm.base.mm),
        guard: pair("guard", report.guard.im, of_mm.guard.mm),
        addons: addons(report, of_mm, units),
        relief: pair("relief", report.premium_relief.im, of_mm.premium_relief.mm),
        orders: pair("orders", report.orders.extra.im, of_mm.orders.extra.mm),
        netting_benefit: amount(report.netting_benefit),
        scenarios: arrays.scenarios.iter().map(|scenario| scenario.label.clone()).collect(),
        underlyings: report.underlyings.iter().map(|under| underlying(under, arrays, units)).collect(),
        collateral: report.collateral.iter().map(|c| held(&c.asset, c.amount_nano)).collect(),
    }
}

fn totals_of(report: &MarginReport, of_mm: &MarginReport, units: &Units) -> TotalsOut {
    let amount = |ticks| money(ticks, units);
    TotalsOut {
        equity: amount(report.equity),
        im: amount(report.im),
        mm: amount(of_mm.mm),
        im_excess: amount(report.im_excess),
        mm_excess: amount(of_mm.mm_excess),
        aggregate: amount(report.aggregate.im),
        addons: amount(Ticks(report.addons.iter().map(|addon| addon.im.0).sum())),
        unrealised: amount(report.unrealised),
    }
}

/// Charges of both reports, by kind and asset.
fn addons(report: &MarginReport, of_mm: &MarginReport, units: &Units) -> Vec<Added> {
    let same = |a: &Addon, b: &Addon| a.kind == b.kind && a.asset == b.asset;
    let written = |addon: &Addon, im: Ticks, mm: Ticks| Added {
        part: addon.kind.code().to_owned(),
        asset: Some(addon.asset.to_string()),
        im: money(im, units),
        mm: money(mm, units),
        inputs: addon.inputs.iter().map(|(name, of)| format!("{name} {}", input(of, units))).collect(),
    };
    let none = Ticks(0);
    let first = report.addons.iter().map(|addon| {
        let mm = of_mm.addons.iter().find(|other| same(addon, other)).map_or(none, |other| other.mm);
        written(addon, addon.im, mm)
    });
    let only_mm = of_mm.addons.iter().filter(|addon| !report.addons.iter().any(|other| same(addon, other)));
    first.chain(only_mm.map(|addon| written(addon, none, addon.mm))).collect()
}

fn input(input: &Input, units: &Units) -> String {
    match input {
        Input::Money(ticks) => money(*ticks, units),
        Input::Ratio(ratio) => ratio.to_string(),
        Input::Seconds(seconds) => format!("{seconds} s"),
        Input::Count(count) => count.to_string(),
    }
}

fn underlying(under: &UnderlyingReport, arrays: &RiskArrays, units: &Units) -> Underlying {
    let amount = |ticks| money(ticks, units);
    let label = |column: usize| arrays.scenarios.get(column).map(|scenario| scenario.label.clone());
    let contribution = |part: &plimsoll_margin::Contribution| {
        let row = arrays.instrument(part.instrument)?;
        Some(Contribution {
            instrument: row.instrument.to_string(),
            quantity: quantity(part.lots.0, &row.instrument, units),
            pnl: amount(part.pnl),
        })
    };
    Underlying {
        asset: under.asset.to_string(),
        scan_loss: amount(under.scan_loss),
        worst: under.worst.and_then(label),
        mm_scan_loss: amount(under.mm_scan_loss),
        pnl: under.pnl.iter().map(|ticks| amount(*ticks)).collect(),
        contributions: under.contributions.iter().filter_map(contribution).collect(),
    }
}

/// The answer before a trade.
pub fn check(check: &Check, units: &Units) -> CheckOut {
    let amount = |ticks| money(ticks, units);
    CheckOut {
        allowed: check.allowed,
        reason: check.reason.clone(),
        im_excess_before: amount(check.im_excess_before),
        im_excess_after: amount(check.im_excess_after),
        mm_excess_before: amount(check.mm_excess_before),
        mm_excess_after: amount(check.mm_excess_after),
        unconfirmed: amount(check.unconfirmed),
    }
}

/// Margin before and after trades.
pub fn what_if(
    (before, after): (&Reports, &Reports),
    answer: &Check,
    (arrays, units): (&RiskArrays, &Units),
) -> WhatIfOut {
    WhatIfOut {
        before: margin(before, arrays, units),
        after: margin(after, arrays, units),
        check: check(answer, units),
    }
}

/// A rung of a ladder.
pub fn greeks(row: &GreeksRow) -> Greeks {
    Greeks {
        underlying: row.underlying.to_string(),
        expiry: row.expiry.map(|expiry| expiry.to_string()),
        delta: row.delta,
        delta_cash: row.delta_cash,
        gamma: row.gamma,
        vega_per_point: row.vega_per_point,
        theta_per_day: row.theta_per_day,
        rho_per_bp: row.rho_per_bp,
        vanna: row.vanna,
        volga: row.volga,
    }
}
