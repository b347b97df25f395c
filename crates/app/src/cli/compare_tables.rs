//! A comparison of methods as tables, and the reason of a difference in words.

use crate::output::{Cell, Kind, Table};
use plimsoll_engine::{
    ComparedAccount, Comparison, Component, Disagreement, Distribution, Measure, NotMarginedKind, Over, Part,
    PartDifference, Ratio, Standing,
};
use plimsoll_margin::State;
use plimsoll_types::{AccountId, Decimal, Ticks};
use std::collections::BTreeSet;

/// Decimals of a ratio that people are shown.
const RATIO_DECIMALS: usize = 4;

/// Ticks of a comparison as an exact decimal.
pub(super) fn amount(comparison: &Comparison, ticks: Ticks) -> Decimal {
    let whole = Decimal::try_from_i128_with_scale(ticks.0, 0).unwrap_or(Decimal::MAX);
    whole.checked_div(Decimal::from(comparison.ticks_per_unit)).unwrap_or(Decimal::MAX)
}

fn cell(comparison: &Comparison, ticks: Ticks) -> Cell {
    Cell::Amount(amount(comparison, ticks))
}

fn ratio(above: Ticks, below: Ticks) -> Option<f64> {
    Ratio::new(above.0, below.0).map(Ratio::to_f64)
}

/// Every table but the accounts, the answer first: totals, whom they disagree on, ratios, whom they leave out, and then
/// why. Empty ones are left out, and for a single account those that only add accounts up. `measures` are those whose
/// disagreements are told account by account.
pub(super) fn summary(comparison: &Comparison, measures: &[Measure]) -> Vec<Table> {
    let mut all = vec![common(comparison), paired(comparison), own(comparison)];
    let many = comparison.accounts.len() > 1;
    if many {
        all.push(counts(comparison));
        all.push(ratios(comparison));
    }
    all.push(not_margined(comparison));
    if many {
        all.extend(Measure::BOTH.map(|measure| components(comparison, measure)));
    }
    all.iter_mut().for_each(|table| table.whole = true);
    for at in 1..comparison.methods.len() {
        all.extend(measures.iter().map(|measure| disagreements(comparison, at, *measure)));
    }
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// The methods that margin no account and so do not count among "every method", in words.
pub(super) fn but_idle(comparison: &Comparison) -> String {
    let idle = comparison.methods.iter().filter(|method| method.margins == 0);
    let labels: Vec<&str> = idle.map(|method| method.label.as_str()).collect();
    if labels.is_empty() { String::new() } else { format!(" (but {}: none)", labels.join(", ")) }
}

/// Totals over the accounts that every method margins.
fn common(comparison: &Comparison) -> Table {
    let base = comparison.totals(0, Over::Common);
    let title = format!(
        "totals over the {} of {} accounts that every method margins{}, in {}",
        base.accounts,
        comparison.accounts.len(),
        but_idle(comparison),
        comparison.currency
    );
    let columns = [
        ("method", Kind::Text),
        ("equity", Kind::Amount),
        ("im", Kind::Amount),
        ("mm", Kind::Amount),
        ("im / base", Kind::Number),
        ("mm / base", Kind::Number),
        ("healthy", Kind::Integer),
        ("call", Kind::Integer),
        ("liquidatable", Kind::Integer),
    ];
    let mut table = Table::new(title, &columns);
    for (at, method) in
        comparison.methods.iter().enumerate().filter(|(_, method)| base.accounts > 0 && method.margins > 0)
    {
        let totals = comparison.totals(at, Over::Common);
        table.push(vec![
            Cell::text(&method.label),
            cell(comparison, totals.equity),
            cell(comparison, totals.im),
            cell(comparison, totals.mm),
            Cell::number(ratio(totals.im, base.im), RATIO_DECIMALS),
            Cell::number(ratio(totals.mm, base.mm), RATIO_DECIMALS),
            Cell::count(totals.healthy),
            Cell::count(totals.call),
            Cell::count(totals.liquidatable),
        ]);
    }
    table
}

/// Totals of each method beside those of the base over the accounts that both margin; empty when every method margins
/// all.
fn paired(comparison: &Comparison) -> Table {
    let columns = [
        ("method", Kind::Text),
        ("accounts", Kind::Integer),
        ("im", Kind::Amount),
        ("im of base", Kind::Amount),
        ("im / base", Kind::Number),
        ("mm", Kind::Amount),
        ("mm of base", Kind::Amount),
        ("mm / base", Kind::Number),
    ];
    let base = comparison.methods.first().map_or("", |method| &method.label);
    let title = format!("totals of each method and of {base} over the accounts that both margin");
    let mut table = Table::new(title, &columns);
    if comparison.accounts.iter().all(ComparedAccount::everywhere) {
        return table;
    }
    for (at, method) in comparison.methods.iter().enumerate().skip(1) {
        let (totals, base) = (comparison.totals(at, Over::WithBase), comparison.base_totals(at));
        table.push(vec![
            Cell::text(&method.label),
            Cell::count(totals.accounts),
            cell(comparison, totals.im),
            cell(comparison, base.im),
            Cell::number(ratio(totals.im, base.im), RATIO_DECIMALS),
            cell(comparison, totals.mm),
            cell(comparison, base.mm),
            Cell::number(ratio(totals.mm, base.mm), RATIO_DECIMALS),
        ]);
    }
    table
}

/// Totals of each method over the accounts it margins; empty when every method margins all.
fn own(comparison: &Comparison) -> Table {
    let columns = [
        ("method", Kind::Text),
        ("accounts", Kind::Integer),
        ("left out", Kind::Integer),
        ("equity", Kind::Amount),
        ("im", Kind::Amount),
        ("mm", Kind::Amount),
        ("healthy", Kind::Integer),
        ("call", Kind::Integer),
        ("liquidatable", Kind::Integer),
    ];
    let mut table = Table::new("totals of each method over the accounts it margins", &columns);
    if comparison.accounts.iter().all(ComparedAccount::everywhere) {
        return table;
    }
    for (at, method) in comparison.methods.iter().enumerate() {
        let totals = comparison.totals(at, Over::Own);
        table.push(vec![
            Cell::text(&method.label),
            Cell::count(totals.accounts),
            Cell::count(comparison.accounts.len() - totals.accounts),
            cell(comparison, totals.equity),
            cell(comparison, totals.im),
            cell(comparison, totals.mm),
            Cell::count(totals.healthy),
            Cell::count(totals.call),
            Cell::count(totals.liquidatable),
        ]);
    }
    table
}

/// An account that a method does not margin for a kind of reason, and the reason.
pub(super) fn example(
    comparison: &Comparison,
    method: usize,
    kind: NotMarginedKind,
) -> Option<(&AccountId, &str)> {
    comparison.accounts.iter().find_map(|account| {
        let reason = account.under.get(method)?.as_ref().err().filter(|reason| reason.kind == kind)?;
        Some((&account.account, reason.reason.as_str()))
    })
}

fn not_margined(comparison: &Comparison) -> Table {
    let columns = [
        ("method", Kind::Text),
        ("accounts", Kind::Integer),
        ("kind", Kind::Text),
        ("such as", Kind::Text),
        ("reason", Kind::Text),
    ];
    let mut table = Table::new("not margined: no requirement, which is not a requirement of zero", &columns);
    for (at, method) in comparison.methods.iter().enumerate() {
        for (kind, count) in comparison.not_margined(at) {
            let Some((account, reason)) = example(comparison, at, kind) else { continue };
            table.push(vec![
                Cell::text(&method.label),
                Cell::count(count),
                Cell::text(kind.code()),
                Cell::text(account),
                Cell::text(reason),
            ]);
        }
    }
    table
}

/// The distribution of every method's ratios, over the accounts all margin and, where those are fewer, over those that
/// the method and the base margin.
pub(super) fn distributions(
    comparison: &Comparison,
    method: usize,
    measure: Measure,
) -> Vec<(&'static str, Distribution)> {
    let common = comparison.distribution(method, measure, Over::Common);
    let paired = comparison.distribution(method, measure, Over::WithBase);
    if common == paired {
        return vec![("all methods", common)];
    }
    if common == Distribution::default() {
        return vec![("it and the base", paired)];
    }
    vec![("all methods", common), ("it and the base", paired)]
}

fn ratios(comparison: &Comparison) -> Table {
    let mut columns = vec![
        ("method", Kind::Text),
        ("of", Kind::Text),
        ("accounts of", Kind::Text),
        ("ratios", Kind::Integer),
        ("base is 0", Kind::Integer),
    ];
    columns.extend(["min", "p5", "p25", "median", "p75", "p95", "max"].map(|name| (name, Kind::Number)));
    columns.extend(["above 1", "below 1"].map(|name| (name, Kind::Text)));
    let base = comparison.methods.first().map_or("", |method| &method.label);
    let mut table = Table::new(format!("ratios to {base}, account by account"), &columns);
    for (at, method) in comparison.methods.iter().enumerate().skip(1) {
        for measure in Measure::BOTH {
            for (over, found) in distributions(comparison, at, measure) {
                let mut row = vec![
                    Cell::text(&method.label),
                    Cell::text(measure.code()),
                    Cell::text(over),
                    Cell::count(found.count),
                    Cell::count(found.base_zero),
                ];
                match &found.quantiles {
                    Some(quantiles) => row.extend(
                        quantiles
                            .named()
                            .map(|(_, ratio)| Cell::number(Some(ratio.to_f64()), RATIO_DECIMALS)),
                    ),
                    None => row.extend([const { Cell::Empty }; 7]),
                }
                row.push(share(found.above, found.count));
                row.push(share(found.below, found.count));
                table.push(row);
            }
        }
    }
    table
}

fn share(part: usize, of: usize) -> Cell {
    if of == 0 { Cell::Empty } else { Cell::text(format!("{:.1} %", 100.0 * part as f64 / of as f64)) }
}

/// The parts of all excesses added up, one column per method; the last row is their sum.
fn components(comparison: &Comparison, measure: Measure) -> Table {
    let mut columns = vec![("part", Kind::Text)];
    columns.extend(comparison.methods.iter().map(|method| (method.label.as_str(), Kind::Amount)));
    let title = format!(
        "parts of {}_excess over the accounts that every method margins: what is owned > 0, what is required < 0",
        measure.code()
    );
    let mut table = Table::new(title, &columns);
    let by_method: Vec<Vec<Part>> =
        (0..comparison.methods.len()).map(|at| comparison.components(at, Over::Common)).collect();
    let names: BTreeSet<&Component> = by_method.iter().flatten().map(|part| &part.component).collect();
    for name in names {
        let mut row = vec![Cell::text(name.code())];
        for parts in &by_method {
            let found = parts.iter().find(|part| part.component == *name).map(|part| part.of(measure));
            row.push(found.filter(|ticks| ticks.0 != 0).map_or(Cell::Empty, |ticks| cell(comparison, ticks)));
        }
        table.push(row);
    }
    if !table.rows.is_empty() {
        let sum = |parts: &Vec<Part>| parts.iter().map(|part| part.of(measure).0).sum();
        let mut row = vec![Cell::text("excess")];
        row.extend(by_method.iter().map(|parts| cell(comparison, Ticks(sum(parts)))));
        table.footer.push(row);
    }
    table
}

/// How many accounts each method and the base disagree on.
fn counts(comparison: &Comparison) -> Table {
    let columns = [
        ("method", Kind::Text),
        ("liquidatable under base only", Kind::Integer),
        ("under it only", Kind::Integer),
        ("below im under base only", Kind::Integer),
        ("below im under it only", Kind::Integer),
    ];
    let base = comparison.methods.first().map_or("", |method| &method.label);
    let mut table = Table::new(format!("accounts that a method and {base} disagree on"), &columns);
    for (at, method) in comparison.methods.iter().enumerate().skip(1) {
        let mut row = vec![Cell::text(&method.label)];
        for measure in [Measure::Maintenance, Measure::Initial] {
            let found = comparison.disagreements(at, measure);
            let base_only = found.iter().filter(|disagreement| disagreement.under_base).count();
            row.push(Cell::count(base_only));
            row.push(Cell::count(found.len() - base_only));
        }
        table.push(row);
    }
    table
}

/// The accounts that a method and the base disagree on, with the reason.
fn disagreements(comparison: &Comparison, at: usize, measure: Measure) -> Table {
    let what = match measure {
        Measure::Maintenance => "liquidatable",
        Measure::Initial => "below initial margin",
    };
    let columns = [
        ("account", Kind::Text),
        (what, Kind::Text),
        ("base excess", Kind::Amount),
        ("method excess", Kind::Amount),
        ("difference", Kind::Amount),
        ("largest differing part, the method against the base", Kind::Text),
    ];
    let (Some(base), Some(method)) = (comparison.methods.first(), comparison.methods.get(at)) else {
        return Table::default();
    };
    let found = comparison.disagreements(at, measure);
    let (label, count) = (&method.label, found.len());
    let title = format!("{what} under one of {} and {label} and not under the other: {count}", base.label);
    let mut table = Table::new(title, &columns);
    for found in found {
        let under = if found.under_base { &base.label } else { label };
        let excess =
            |at| found.account.standing(at).map_or(Cell::Empty, |s| cell(comparison, s.excess(measure)));
        table.push(vec![
            Cell::text(&found.account.account),
            Cell::text(format!("under {under}")),
            excess(0),
            excess(at),
            cell(comparison, found.difference()),
            Cell::text(why(comparison, &found, at)),
        ]);
    }
    table
}

/// The largest differing part in words, and where it goes against the difference, the largest that goes with it.
pub(super) fn why(comparison: &Comparison, found: &Disagreement<'_>, method: usize) -> String {
    let (base, other) = (found.account.standing(0), found.account.standing(method));
    let (Some(base), Some(other), Some(largest)) = (base, other, found.parts.first()) else {
        return String::new();
    };
    let told = |part| in_words(comparison, part, (base, other), found.measure);
    match found.cause() {
        Some(cause) if cause != largest => format!("{}, but {}", told(largest), told(cause)),
        _ => told(largest),
    }
}

/// `market risk 12339.88 less: 7660.12 (ratio of notional) against 20000.00 (BTC spot -16 % vol up)`.
fn in_words(
    comparison: &Comparison,
    part: &PartDifference,
    (base, other): (&Standing, &Standing),
    measure: Measure,
) -> String {
    let sign = if is_charge(&part.component) { -1 } else { 1 };
    let shown = |ticks: Ticks| amount(comparison, Ticks(sign * ticks.0)).round_dp(2);
    let found_in = |standing: &Standing, ticks: Ticks| match standing.risk(measure) {
        Some(text) if part.component == Component::Risk && ticks.0 != 0 => format!(" ({text})"),
        _ => String::new(),
    };
    let change = shown(part.amount());
    let direction = if change.is_sign_negative() { "less" } else { "more" };
    format!(
        "{} {} {direction}: {}{} against {}{}",
        component(&part.component),
        change.abs(),
        shown(part.other),
        found_in(other, part.other),
        shown(part.base),
        found_in(base, part.base),
    )
}

/// Whether a part is told as what is charged, and not as what is owned or taken off.
fn is_charge(component: &Component) -> bool {
    match component {
        Component::Collateral | Component::Marks | Component::Unrealised | Component::PremiumRelief => false,
        Component::Haircut
        | Component::Risk
        | Component::Guard
        | Component::Addon(_)
        | Component::Charge(_)
        | Component::Orders
        | Component::Floor
        | Component::Isolation => true,
    }
}

fn component(component: &Component) -> String {
    component.code().replace('_', " ")
}

/// The parts of an account's excess under every method, and how they differ from the base.
pub(super) fn parts(comparison: &Comparison) -> Vec<Table> {
    let columns = [
        ("method", Kind::Text),
        ("part", Kind::Text),
        ("in im_excess", Kind::Amount),
        ("in mm_excess", Kind::Amount),
        ("im less base", Kind::Amount),
        ("mm less base", Kind::Amount),
    ];
    let table = |account: &ComparedAccount| {
        let title = format!("parts of the excess of {}: they add up to it exactly", account.account);
        let mut table = Table { whole: true, ..Table::new(title, &columns) };
        for (at, method) in comparison.methods.iter().enumerate() {
            let Some(standing) = account.standing(at) else { continue };
            for row in part_rows(comparison, standing, account.standing(0)) {
                table.push([vec![Cell::text(&method.label)], row].concat());
            }
        }
        table
    };
    comparison.accounts.iter().map(table).filter(|table| !table.rows.is_empty()).collect()
}

/// Every part that either side has.
fn part_rows(comparison: &Comparison, standing: &Standing, base: Option<&Standing>) -> Vec<Vec<Cell>> {
    let mut names: Vec<&Component> = standing.parts.iter().map(|part| &part.component).collect();
    names.extend(base.into_iter().flat_map(|base| base.parts.iter().map(|part| &part.component)));
    names.sort();
    names.dedup();
    let of = |standing: &Standing, name: &Component| {
        let found = standing.parts.iter().find(|part| part.component == *name);
        found.map_or((Ticks(0), Ticks(0)), |part| (part.im, part.mm))
    };
    let row = |name: &&Component| {
        let (im, mm) = of(standing, name);
        let less = |ticks: Ticks, base: Option<Ticks>| {
            base.map_or(Cell::Empty, |base| cell(comparison, Ticks(ticks.0 - base.0)))
        };
        vec![
            Cell::text(name.code()),
            cell(comparison, im),
            cell(comparison, mm),
            less(im, base.map(|base| of(base, name).0)),
            less(mm, base.map(|base| of(base, name).1)),
        ]
    };
    names.iter().map(row).collect()
}

/// The word for a state.
fn state(state: State) -> &'static str {
    super::margin::state_name(state)
}

/// One row per account and method.
pub(super) fn accounts(comparison: &Comparison) -> Table {
    let columns = [
        ("account", Kind::Text),
        ("method", Kind::Text),
        ("equity", Kind::Amount),
        ("im", Kind::Amount),
        ("mm", Kind::Amount),
        ("im_excess", Kind::Amount),
        ("mm_excess", Kind::Amount),
        ("state", Kind::Text),
        ("im_ratio", Kind::Number),
        ("mm_ratio", Kind::Number),
        ("mm_excess_less_base", Kind::Amount),
        ("largest_part", Kind::Text),
        ("largest_part_less_base", Kind::Amount),
        ("reason", Kind::Text),
    ];
    let mut table = Table::new("accounts", &columns);
    table.whole = comparison.accounts.len() == 1;
    for account in &comparison.accounts {
        for (at, method) in comparison.methods.iter().enumerate() {
            let head = vec![Cell::text(&account.account), Cell::text(&method.label)];
            let rest = match account.under.get(at) {
                Some(Ok(standing)) => margined(comparison, standing, account.standing(0).filter(|_| at > 0)),
                Some(Err(refused)) => {
                    let mut row = vec![Cell::Empty; 12];
                    row[5] = Cell::text("not margined");
                    row[11] = Cell::text(&refused.reason);
                    row
                }
                None => continue,
            };
            table.push([head, rest].concat());
        }
    }
    table
}

fn margined(comparison: &Comparison, standing: &Standing, base: Option<&Standing>) -> Vec<Cell> {
    let cell = |ticks| cell(comparison, ticks);
    let ratio = |measure: Measure| {
        let of = |base: &Standing| ratio(standing.requirement(measure), base.requirement(measure));
        Cell::number(base.and_then(of), RATIO_DECIMALS)
    };
    let parts = base.map(|base| standing.differences(base, Measure::Maintenance)).unwrap_or_default();
    let largest = parts.first();
    vec![
        cell(standing.equity),
        cell(standing.im),
        cell(standing.mm),
        cell(standing.im_excess),
        cell(standing.mm_excess),
        Cell::text(state(standing.state)),
        ratio(Measure::Initial),
        ratio(Measure::Maintenance),
        base.map_or(Cell::Empty, |base| cell(Ticks(standing.mm_excess.0 - base.mm_excess.0))),
        largest.map_or(Cell::Empty, |part| Cell::text(part.component.code())),
        largest.map_or(Cell::Empty, |part| cell(part.amount())),
        Cell::Empty,
    ]
}

/// What the answer rests on.
pub(super) fn notes(comparison: &Comparison) -> Vec<String> {
    let method = |method: &plimsoll_engine::ComparedMethod| format!("{} ({})", method.label, method.id);
    let methods: Vec<String> = comparison.methods.iter().map(method).collect();
    vec![format!(
        "as of {}, market {}, methods {}, plimsoll {}",
        comparison.as_of,
        comparison.market,
        methods.join(", "),
        env!("CARGO_PKG_VERSION")
    )]
}
