//! One account in detail: underlyings, positions in the worst scenario, charges, collateral.

use super::loaded::Loaded;
use crate::output::{Cell, Kind, Table};
use plimsoll_margin::{Input, MarginReport};
use plimsoll_types::{Decimal, Ticks};

/// The tables below the summary of an account; empty ones are left out.
pub(super) fn tables(loaded: &Loaded, report: &MarginReport) -> Vec<Table> {
    let all = [
        underlyings(loaded, report),
        contributions(loaded, report),
        venue(loaded, report),
        aggregate(loaded, report),
        addons(loaded, report),
        collateral(loaded, report),
    ];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn underlyings(loaded: &Loaded, report: &MarginReport) -> Table {
    let mut table = Table::new(
        "underlyings",
        &[
            ("underlying", Kind::Text),
            ("scan_loss", Kind::Amount),
            ("worst scenario", Kind::Text),
            ("mm_scan_loss", Kind::Amount),
            ("delta_cash", Kind::Amount),
            ("gamma_cash", Kind::Amount),
            ("vega", Kind::Amount),
            ("theta", Kind::Amount),
        ],
    );
    for under in &report.underlyings {
        table.push(vec![
            Cell::text(&under.asset),
            loaded.cell(under.scan_loss),
            Cell::text(loaded.scenario(under.worst)),
            loaded.cell(under.mm_scan_loss),
            loaded.cell(under.greeks.delta),
            loaded.cell(under.greeks.gamma),
            loaded.cell(under.greeks.vega),
            loaded.cell(under.greeks.theta),
        ]);
    }
    table
}

fn contributions(loaded: &Loaded, report: &MarginReport) -> Table {
    let mut table = Table::new(
        "positions in the worst scenario of their underlying",
        &[("instrument", Kind::Text), ("quantity", Kind::Amount), ("pnl", Kind::Amount)],
    );
    for part in report.underlyings.iter().flat_map(|under| &under.contributions) {
        let Some(row) = loaded.desk.arrays.instrument(part.instrument) else { continue };
        let quantity = Decimal::from(part.lots.0).checked_mul(row.lot).map(|q| q.normalize());
        table.push(vec![
            Cell::text(&row.instrument),
            quantity.map_or(Cell::Empty, Cell::Amount),
            loaded.cell(part.pnl),
        ]);
    }
    table
}

fn aggregate(loaded: &Loaded, report: &MarginReport) -> Table {
    // A venue's charges are not made of scan losses, which are shown beside them.
    let by_venue = !report.venue.is_empty();
    let title =
        if by_venue { "from charges to the requirement" } else { "from scan losses to the requirement" };
    let mut table = Table::new(title, &[("part", Kind::Text), ("im", Kind::Amount), ("mm", Kind::Amount)]);
    let charges =
        |of: fn(&plimsoll_margin::Addon) -> Ticks| Ticks(report.addons.iter().map(|a| of(a).0).sum());
    let relief = |ticks: Ticks| Ticks(-ticks.0);
    let scans = ("sum of scan losses", report.im_detail.sum, report.mm_detail.sum);
    let aggregate = if by_venue { "sum of the charges" } else { "aggregate over underlyings" };
    let parts = [
        (aggregate, report.aggregate.im, report.aggregate.mm),
        ("scaled", report.base.im, report.base.mm),
        ("rounding guard", report.guard.im, report.guard.mm),
        ("add-ons", charges(|a| a.im), charges(|a| a.mm)),
        ("premium relief", relief(report.premium_relief.im), relief(report.premium_relief.mm)),
        ("open orders", report.orders.extra.im, report.orders.extra.mm),
        ("requirement", report.im, report.mm),
    ];
    for (part, im, mm) in Some(scans).filter(|_| !by_venue).into_iter().chain(parts) {
        table.push(vec![Cell::text(part), loaded.cell(im), loaded.cell(mm)]);
    }
    table
}

fn venue(loaded: &Loaded, report: &MarginReport) -> Table {
    let mut table = Table::new(
        "what the venue's method charges; a credit is negative",
        &[("charge", Kind::Text), ("asset", Kind::Text), ("im", Kind::Amount), ("mm", Kind::Amount)],
    );
    for charge in &report.venue {
        table.push(vec![
            Cell::text(&charge.code),
            charge.asset.as_ref().map_or(Cell::Empty, Cell::text),
            loaded.cell(charge.im),
            loaded.cell(charge.mm),
        ]);
    }
    table
}

fn addons(loaded: &Loaded, report: &MarginReport) -> Table {
    let mut table = Table::new(
        "add-ons",
        &[
            ("add-on", Kind::Text),
            ("asset", Kind::Text),
            ("im", Kind::Amount),
            ("mm", Kind::Amount),
            ("inputs", Kind::Text),
        ],
    );
    for addon in &report.addons {
        let inputs = addon.inputs.iter().map(|(name, input)| format!("{name} {}", shown(loaded, input)));
        table.push(vec![
            Cell::text(addon.kind.code()),
            Cell::text(&addon.asset),
            loaded.cell(addon.im),
            loaded.cell(addon.mm),
            Cell::text(inputs.collect::<Vec<_>>().join(", ")),
        ]);
    }
    table
}

fn shown(loaded: &Loaded, input: &Input) -> String {
    match input {
        Input::Money(ticks) => loaded.amount(*ticks).to_string(),
        Input::Ratio(ratio) => ratio.to_string(),
        Input::Seconds(seconds) => format!("{seconds} s"),
        Input::Count(count) => count.to_string(),
    }
}

fn collateral(loaded: &Loaded, report: &MarginReport) -> Table {
    let mut table = Table::new(
        "collateral",
        &[
            ("asset", Kind::Text),
            ("amount", Kind::Amount),
            ("price", Kind::Amount),
            ("value", Kind::Amount),
            ("haircut", Kind::Amount),
            ("counted", Kind::Amount),
        ],
    );
    for held in &report.collateral {
        let amount = Decimal::try_from_i128_with_scale(held.amount_nano, 9).map(|a| a.normalize());
        table.push(vec![
            Cell::text(&held.asset),
            amount.map_or(Cell::Empty, Cell::Amount),
            loaded.cell(Ticks(i128::from(held.price))),
            loaded.cell(held.value),
            loaded.cell(held.haircut),
            loaded.cell(held.counted),
        ]);
    }
    table
}
