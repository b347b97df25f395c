//! The house as it stands at the end of the period: who is worst off, what all accounts together are exposed to.

use super::Material;
use super::tables::named;
use crate::output::{Cell, Kind, Table};
use crate::svg::{HeatPicture, heat_map};
use anyhow::Context;
use plimsoll_engine::live::{BookCell, BookMap};
use plimsoll_engine::{GreeksRow, HeatMapSpec};
use plimsoll_types::Ticks;

/// Accounts that are listed.
const WORST: usize = 20;

/// Moves of spot far beyond the grid, with volatility doubled.
const TAILS: [f64; 8] = [-0.7, -0.6, -0.5, 0.5, 1.0, 2.0, 3.0, 5.0];

/// All accounts over a grid of moves.
pub(super) struct Scenarios {
    /// What those that lose, lose.
    pub(super) picture: String,
    map: BookMap,
    far: BookMap,
}

/// Tries all accounts on other markets.
///
/// # Errors
/// Where an instrument has no value after a move.
pub(super) fn scenarios(of: &Material<'_>) -> anyhow::Result<Scenarios> {
    let study = of.course.engine.book_study();
    let spec = HeatMapSpec::default();
    let far = HeatMapSpec { spot: TAILS.to_vec(), vol: vec![1.0], ..spec.clone() };
    let map = study.map(&spec).context("scenarios of the book")?;
    let far = study.map(&far).context("scenarios of the book")?;
    let flat =
        map.cells.iter().enumerate().flat_map(|(vol, row)| {
            row.iter().enumerate().map(move |(spot, cell)| (cell.losses, (vol, spot)))
        });
    // Of equals the first.
    let worst = flat.rev().max_by_key(|(losses, _)| *losses).map_or((0, 0), |(_, at)| at);
    let lost = |cell: &BookCell| -of.shown(cell.losses);
    let picture = heat_map(&HeatPicture {
        title: "all accounts that lose".to_owned(),
        currency: of.units.currency.to_string(),
        spot: map.spot.clone(),
        vol: map.vol.clone(),
        pnl: map.cells.iter().map(|row| row.iter().map(lost).collect()).collect(),
        worst,
    });
    Ok(Scenarios { picture, map, far })
}

/// Tables of the house.
pub(super) fn tables(of: &Material<'_>, scenarios: &Scenarios) -> Vec<Table> {
    vec![fund(of), worst(of), greeks(of), moves(of, scenarios), parts(of, scenarios)]
}

fn fund(of: &Material<'_>) -> Table {
    let state = of.course.engine.state();
    let mut table = Table::new("Insurance and backstop", &[("what", Kind::Text), ("amount", Kind::Amount)]);
    table.push(vec![Cell::text("insurance fund"), of.cell(state.insurance)]);
    table.push(vec![Cell::text("lost by the backstop"), of.cell(state.backstop_lost)]);
    table.push(vec![Cell::text("liquidations under way"), Cell::count(state.intents.len())]);
    table
}

/// Who is nearest to liquidation.
fn worst(of: &Material<'_>) -> Table {
    let engine = &of.course.engine;
    let accounts = engine.state().ledger.accounts().iter().zip(0..);
    let mut all: Vec<_> = accounts
        .filter_map(|(account, number)| {
            let totals = engine.valued().totals(number)?.ok().filter(|totals| totals.mm.0 > 0)?;
            Some((totals.mm_excess.0 as f64 / totals.mm.0 as f64, account, number, totals))
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let columns = [
        ("account", Kind::Text),
        ("stands", Kind::Text),
        ("equity", Kind::Amount),
        ("IM", Kind::Amount),
        ("MM", Kind::Amount),
        ("equity - MM", Kind::Amount),
        ("distance", Kind::Number),
    ];
    let title = format!("The {WORST} accounts nearest to liquidation; distance is (equity - MM) / MM");
    let mut table = Table::new(title, &columns);
    for (distance, account, number, totals) in all.into_iter().take(WORST) {
        table.push(vec![
            Cell::text(&account.id),
            Cell::text(format!("{:?}", engine.state().standing(number)).to_lowercase()),
            of.cell(totals.equity),
            of.cell(totals.im),
            of.cell(totals.mm),
            of.cell(totals.mm_excess),
            Cell::Number(distance, 3),
        ]);
    }
    table
}

/// Net, and of those who are long: where every position has its other side here, the first is nothing and the second is not.
fn greeks(of: &Material<'_>) -> Table {
    let columns = [
        ("underlying", Kind::Text),
        ("delta, cash", Kind::Number),
        ("of accounts above zero", Kind::Number),
        ("gamma", Kind::Number),
        ("vega a point", Kind::Number),
        ("vega of accounts above zero", Kind::Number),
        ("theta a day", Kind::Number),
        ("vanna", Kind::Number),
        ("volga", Kind::Number),
    ];
    let mut table = Table::new("Greeks of all accounts together", &columns);
    let study = of.course.engine.book_study();
    for asset in study.surface().underlyings.keys() {
        let rows = study.greeks(asset, None);
        if rows.is_empty() {
            continue;
        }
        let net = |read: fn(&GreeksRow) -> f64| rows.iter().map(read).sum::<f64>();
        let above = |read: fn(&GreeksRow) -> f64| rows.iter().map(read).filter(|x| *x > 0.0).sum::<f64>();
        // A sum of floats that cancel is shown as the nothing that it is.
        let cell = |x: f64, places: usize| Cell::Number(if x.abs() < 1e-6 { 0.0 } else { x }, places);
        table.push(vec![
            Cell::text(asset),
            cell(net(|row| row.delta_cash), 2),
            cell(above(|row| row.delta_cash), 2),
            cell(net(|row| row.gamma), 6),
            cell(net(|row| row.vega_per_point), 2),
            cell(above(|row| row.vega_per_point), 2),
            cell(net(|row| row.theta_per_day), 2),
            cell(net(|row| row.vanna), 6),
            cell(net(|row| row.volga), 4),
        ]);
    }
    table
}

/// Moves of spot with volatility as it is, and those far beyond the grid.
fn moves(of: &Material<'_>, scenarios: &Scenarios) -> Table {
    let columns = [
        ("spot", Kind::Text),
        ("volatility", Kind::Text),
        ("profit and loss", Kind::Amount),
        ("losses of those that lose", Kind::Amount),
        ("liquidatable accounts", Kind::Integer),
        ("their notional", Kind::Amount),
        ("shortfall", Kind::Amount),
    ];
    let title = "Scenarios: positions repriced in full, requirements and collateral as at the end";
    let mut table = Table::new(title, &columns);
    let mut push = |spot: f64, vol: f64, cell: &BookCell| {
        table.push(vec![
            Cell::text(format!("{:+.0} %", 100.0 * spot)),
            Cell::text(format!("{:+.0} %", 100.0 * vol)),
            of.cell(cell.pnl),
            of.cell(cell.losses),
            Cell::Integer(i64::try_from(cell.accounts).unwrap_or(i64::MAX)),
            of.cell(cell.notional),
            of.cell(cell.shortfall),
        ]);
    };
    let map = &scenarios.map;
    let calm = map.vol.iter().position(|vol| *vol == 0.0).and_then(|at| map.cells.get(at));
    for (spot, cell) in map.spot.iter().zip(calm.into_iter().flatten()) {
        push(*spot, 0.0, cell);
    }
    for (spot, cell) in scenarios.far.spot.iter().zip(scenarios.far.cells.iter().flatten()) {
        push(*spot, 1.0, cell);
    }
    table
}

/// What the losses of the worst cell are on.
fn parts(of: &Material<'_>, scenarios: &Scenarios) -> Table {
    let map = &scenarios.map;
    let cells = (0..map.vol.len()).flat_map(|vol| (0..map.spot.len()).map(move |spot| (vol, spot)));
    let worst = cells.rev().max_by_key(|(vol, spot)| map.cells[*vol][*spot].losses).unwrap_or_default();
    let (vol, spot) = (map.vol.get(worst.0), map.spot.get(worst.1));
    let shown = |of: Option<&f64>| of.map_or(String::new(), |x| format!("{:+.0} %", 100.0 * x));
    let title = format!(
        "The worst cell, spot {} and volatility {}: what those that lose, lose on which expiry",
        shown(spot),
        shown(vol)
    );
    let columns = [("underlying", Kind::Text), ("expiry", Kind::Text), ("losses", Kind::Amount)];
    let mut table = Table::new(title, &columns);
    let mut sum = 0;
    for part in &map.parts {
        let lost = part.losses.get(worst.0).and_then(|row| row.get(worst.1)).copied().unwrap_or(Ticks(0));
        sum += lost.0;
        table.push(named(&part.underlying, part.expiry).into_iter().chain([of.cell(lost)]).collect());
    }
    table.push(vec![Cell::text("all"), Cell::text(""), of.cell(Ticks(sum))]);
    table
}
