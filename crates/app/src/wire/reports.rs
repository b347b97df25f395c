//! Accounts and their margin as JSON.

use super::effects::quantity;
use super::{coins, money};
use plimsoll_client::answers::{
    Added, Check as CheckOut, Collateral, Contribution, Greeks, Margin as MarginOut, Order as OrderOut,
    Position, Totals as TotalsOut, Underlying, WhatIf as WhatIfOut,
};
use plimsoll_engine::GreeksRow;
use plimsoll_engine::live::ledger::{Account, Ledger};
use plimsoll_engine::live::{Check, Reports};
use plimsoll_margin::{Addon, Input, MarginReport, Totals, UnderlyingReport};
use plimsoll_types::{Decimal, RiskArrays, Ticks, Units};

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

/// Totals of new risk, with what existing positions need.
pub fn totals_in(reports: &Reports, units: &Units) -> TotalsOut {
    let report = &reports.initial;
    totals_of(report, reports.maintenance.as_ref().unwrap_or(report), units)
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
