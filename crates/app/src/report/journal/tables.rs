//! From what was gathered to tables.

use super::Material;
use super::coverage::{Covered, Tested, estimates};
use super::gather::{Decided, Event, Happened};
use crate::host::Sample;
use crate::output::{Cell, Kind, Table};
use plimsoll_engine::live::Standing;
use plimsoll_policy::Change;
use plimsoll_types::{Asset, Ticks};

/// Rows of a list, at most.
const ROWS: usize = 200;

impl Material<'_> {
    pub(super) fn cell(&self, ticks: Ticks) -> Cell {
        Cell::Amount(self.units.amount(ticks).normalize().round_dp(2))
    }

    /// Of a course of amounts: at first, at last, least and largest.
    fn ends(&self, name: String, of: &dyn Fn(&Sample) -> Option<Ticks>) -> Option<Vec<Cell>> {
        let all: Vec<Ticks> = self.gathered.samples.iter().filter_map(of).collect();
        let (least, most) = (all.iter().min()?, all.iter().max()?);
        let amounts = [all.first()?, all.last()?, least, most].map(|ticks| self.cell(*ticks));
        Some([Cell::text(name)].into_iter().chain(amounts).collect())
    }
}

/// An amount of a sample.
type Read = fn(&Sample) -> Ticks;

const ENDS: [(&str, Kind); 5] = [
    ("what", Kind::Text),
    ("at first", Kind::Amount),
    ("at last", Kind::Amount),
    ("least", Kind::Amount),
    ("most", Kind::Amount),
];

/// Totals and underlyings over the period.
pub(super) fn margins(of: &Material<'_>) -> Vec<Table> {
    let mut totals = Table::new("Totals of all accounts", &ENDS);
    let rows: [(&str, Read); 4] = [
        ("equity", |sample| sample.equity),
        ("initial margin", |sample| sample.im),
        ("maintenance margin", |sample| sample.mm),
        ("insurance fund", |sample| sample.insurance),
    ];
    for (name, read) in rows {
        totals.rows.extend(of.ends(name.to_owned(), &|sample| Some(read(sample))));
    }
    let mut each = Table::new("Margin by underlying: scan losses", &ENDS);
    let last = of.gathered.samples.iter().rev().find(|sample| !sample.underlyings.is_empty());
    for (asset, _) in last.into_iter().flat_map(|sample| &sample.underlyings) {
        for (place, name) in ["initial", "maintenance"].into_iter().enumerate() {
            let read = |sample: &Sample| {
                let found = sample.underlyings.iter().find(|(of, _)| of == asset);
                found.map(|(_, both)| both[place])
            };
            each.rows.extend(of.ends(format!("{asset}, {name}"), &read));
        }
    }
    vec![totals, each]
}

/// Other methods over the period.
pub(super) fn methods(of: &Material<'_>) -> Vec<Table> {
    let columns = [
        ("method", Kind::Text),
        ("comparisons", Kind::Integer),
        ("IM at last", Kind::Amount),
        ("in force, same accounts", Kind::Amount),
        ("ratio at last", Kind::Number),
        ("least ratio", Kind::Number),
        ("largest ratio", Kind::Number),
        ("accounts not margined", Kind::Integer),
    ];
    let mut table = Table::new("Initial margin under other methods, over that in force", &columns);
    for preset in crate::methods::COMPARED {
        let found = of.gathered.compared.iter().filter_map(|at| {
            let (_, asked) = at.methods.iter().find(|(name, _)| *name == preset)?;
            (asked.own[0].0 > 0).then_some(asked)
        });
        let all: Vec<_> = found.collect();
        let Some(last) = all.last() else { continue };
        let scale = of.units.ticks_per_unit as f64;
        let ratio = |asked: &crate::methods::Asked| {
            let theirs = asked.theirs[0].0 as f64 / asked.units.ticks_per_unit as f64;
            theirs / (asked.own[0].0 as f64 / scale)
        };
        let ratios = all.iter().map(|asked| ratio(asked));
        let (least, most) = ratios.fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
        table.push(vec![
            Cell::text(preset),
            Cell::count(all.len()),
            Cell::Amount(last.units.amount(last.theirs[0]).normalize().round_dp(2)),
            of.cell(last.own[0]),
            Cell::Number(ratio(last), 3),
            Cell::Number(least, 3),
            Cell::Number(most, 3),
            Cell::count(last.failures),
        ]);
    }
    vec![table]
}

/// Every change of a parameter: the largest, where there are too many to list.
pub(super) fn decisions(of: &Material<'_>) -> Table {
    let columns = [
        ("at", Kind::Text),
        ("event", Kind::Integer),
        ("parameter", Kind::Text),
        ("from", Kind::Text),
        ("to", Kind::Text),
        ("ln(to / from)", Kind::Number),
        ("sum of causes", Kind::Number),
        ("causes", Kind::Text),
        ("read then", Kind::Text),
        ("accounts endangered", Kind::Integer),
    ];
    let sum = |change: &Change| change.causes.iter().map(|(_, part)| *part).sum::<i64>();
    let changes = of.gathered.decisions.iter();
    let mut all: Vec<(&Decided, &Change)> =
        changes.flat_map(|of| of.decision.changes.iter().map(move |change| (of, change))).collect();
    let (count, decisions) = (all.len(), of.gathered.decisions.len());
    all.sort_by_key(|(_, change)| std::cmp::Reverse(sum(change).unsigned_abs()));
    all.truncate(ROWS);
    all.sort_by_key(|(of, _)| of.sequence);
    let most = if count > ROWS { format!("; the {ROWS} largest") } else { String::new() };
    let title = format!("Parameter changes: {count} in {decisions} decisions{most}");
    let mut table = Table::new(title, &columns);
    for (decided, change) in all {
        let (from, to) = (change.from.0 as f64, change.to.0 as f64);
        let moved = (from > 0.0 && to > 0.0).then(|| plimsoll_quant::special::ln(to / from));
        table.push(vec![
            Cell::time(decided.at),
            Cell::Integer(i64::try_from(decided.sequence).unwrap_or(i64::MAX)),
            Cell::text(&change.key),
            Cell::text(change.from),
            Cell::text(change.to),
            Cell::number(moved, 5),
            Cell::Number(sum(change) as f64 * 1e-9, 5),
            Cell::text(causes(change)),
            Cell::text(read(decided, change)),
            Cell::count(decided.endangered),
        ]);
    }
    table
}

fn causes(change: &Change) -> String {
    let each = change.causes.iter().map(|(cause, part)| format!("{cause} {:+.2} %", *part as f64 * 1e-7));
    each.collect::<Vec<_>>().join(", ")
}

/// What was read of the underlying of a change.
fn read(decided: &Decided, change: &Change) -> String {
    let of = change.key.scope.underlying.as_deref().and_then(|of| decided.readings.get(of));
    let each = of.into_iter().flatten().map(|(cause, value)| format!("{cause} {value:.4}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Calls, liquidations, and what came after.
pub(super) fn happened(of: &Material<'_>) -> Vec<Table> {
    let mut counts =
        Table::new("Calls and liquidations, counted", &[("what", Kind::Text), ("times", Kind::Integer)]);
    for (standing, count) in of.gathered.standings() {
        counts.push(vec![Cell::text(stands(standing)), Cell::count(count)]);
    }
    let rows = [
        ("liquidations asked for", of.gathered.intents()),
        ("liquidations withdrawn", of.gathered.count(|what| matches!(what, Happened::Withdrawn(..)))),
        ("collateral seized", of.gathered.count(|what| matches!(what, Happened::Seized(..)))),
        ("losses taken over", of.gathered.count(|what| matches!(what, Happened::Covered(..)))),
        ("accounts deleveraged against", of.gathered.count(|what| matches!(what, Happened::Deleveraged(_)))),
    ];
    for (what, count) in rows {
        counts.push(vec![Cell::text(what), Cell::count(count)]);
    }
    let told = |event: &&Event| !matches!(event.what, Happened::Stands(Standing::Healthy, _));
    let all: Vec<&Event> = of.gathered.events.iter().filter(told).collect();
    let most = if all.len() > ROWS { format!(": the last {ROWS} of {}", all.len()) } else { String::new() };
    let columns =
        [("at", Kind::Text), ("event", Kind::Integer), ("account", Kind::Text), ("what", Kind::Text)];
    let mut list = Table::new(format!("Calls and liquidations{most}"), &columns);
    for event in &all[all.len().saturating_sub(ROWS)..] {
        list.push(vec![
            Cell::time(event.at),
            Cell::Integer(i64::try_from(event.sequence).unwrap_or(i64::MAX)),
            Cell::text(&event.account),
            Cell::text(told_of(of, &event.what)),
        ]);
    }
    vec![counts, list]
}

fn stands(standing: Standing) -> &'static str {
    match standing {
        Standing::Healthy => "healthy again",
        Standing::Call => "came into call",
        Standing::Unvalued => "could not be valued",
        Standing::Liquidatable => "became liquidatable",
        Standing::Insolvent => "became insolvent",
    }
}

fn told_of(of: &Material<'_>, what: &Happened) -> String {
    let amount = |ticks: &Ticks| of.units.amount(*ticks).normalize().round_dp(2).to_string();
    match what {
        Happened::Stands(to, [equity, im, mm]) => {
            let [equity, im, mm] = [equity, im, mm].map(amount);
            format!("{}: equity {equity}, IM {im}, MM {mm}", stands(*to))
        }
        Happened::Liquidate(intent, steps, restores) => {
            let word = if *restores { "restores" } else { "does not restore" };
            format!("to be liquidated (intent {intent}): {steps} steps, which {word} initial margin")
        }
        Happened::Withdrawn(intent, why) => format!("liquidation withdrawn (intent {intent}): {why}"),
        Happened::Seized(asset, paid) => format!("{asset} seized for {}", amount(paid)),
        Happened::Covered(insurance, socialised) => {
            format!("loss taken over: {} by the fund, {} by all", amount(insurance), amount(socialised))
        }
        Happened::Deleveraged(against) => format!("deleveraged against {against}"),
    }
}

/// How often losses stayed within margin, and whether that is what the policy asks.
pub(super) fn coverage(of: &Material<'_>, covered: &[Covered]) -> Vec<Table> {
    let columns = [
        ("horizon", Kind::Text),
        ("windows", Kind::Integer),
        ("losses judged", Kind::Integer),
        ("beyond IM", Kind::Integer),
        ("beyond MM", Kind::Integer),
        ("within IM", Kind::Text),
        ("within MM", Kind::Text),
        ("beyond MM, amount", Kind::Amount),
        ("windows with one beyond MM", Kind::Integer),
        ("most of one window", Kind::Integer),
        ("without value", Kind::Integer),
    ];
    let mut table = Table::new(
        "Coverage: losses of what was held, one for each account and window, against margin at the beginning of the window",
        &columns,
    );
    for found in covered {
        let share = |beyond: u64| match found.judged {
            0 => Cell::text("no window ended"),
            judged => Cell::text(format!("{:.3} %", 100.0 * (1.0 - beyond as f64 / judged as f64))),
        };
        table.push(vec![
            Cell::text(lasting(found.horizon)),
            integer(found.windows),
            integer(found.judged),
            integer(found.im.losses),
            integer(found.mm.losses),
            share(found.im.losses),
            share(found.mm.losses),
            of.cell(Ticks(found.mm.excess)),
            integer(found.mm.windows),
            integer(found.mm.most),
            integer(found.unknown),
        ]);
    }
    vec![table, tested(of, covered)]
}

/// Each horizon against what the policy asks of it or of the next longer one.
fn tested(of: &Material<'_>, covered: &[Covered]) -> Table {
    let columns = [
        ("horizon", Kind::Text),
        ("asked to be within IM", Kind::Text),
        ("expected beyond IM", Kind::Text),
        ("beyond IM", Kind::Integer),
        ("LR, each loss a trial", Kind::Number),
        ("p", Kind::Number),
        ("LR, each window a trial", Kind::Number),
        ("p", Kind::Number),
        ("the rate is", Kind::Text),
    ];
    let title = "Losses beyond IM against the rate that the policy asks: Kupiec's test, at 95 %";
    let mut table = Table::new(title, &columns);
    let estimates = estimates(of.course);
    for found in covered {
        let asked = estimates.iter().find(|(_, horizon)| *horizon >= found.horizon);
        let Some((confidence, horizon)) = asked else { continue };
        let own = *horizon == found.horizon;
        let over = if own { String::new() } else { format!(", over {}", lasting(*horizon)) };
        let mut row =
            vec![Cell::text(lasting(found.horizon)), Cell::text(format!("{} %{over}", 100.0 * confidence))];
        match Tested::of(found, 1.0 - confidence) {
            Some(tested) => row.extend([
                Cell::text(format!("{}{:.2}", if own { "" } else { "at most " }, tested.expected)),
                integer(found.im.losses),
                Cell::Number(tested.apart.statistic, 3),
                Cell::Number(tested.apart.p_value(), 4),
                Cell::Number(tested.together.statistic, 3),
                Cell::Number(tested.together.p_value(), 4),
                Cell::text(tested.says(found)),
            ]),
            None => {
                row.extend([Cell::text("no window ended"), integer(0)]);
                row.extend([Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty, Cell::text("not known")]);
            }
        }
        table.push(row);
    }
    table
}

fn integer(n: u64) -> Cell {
    Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

fn lasting(seconds: i64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// The name of an underlying and an expiry.
pub(super) fn named(asset: &Asset, expiry: Option<plimsoll_types::Timestamp>) -> [Cell; 2] {
    [Cell::text(asset), expiry.map_or(Cell::text("perpetual, spot"), Cell::time)]
}
