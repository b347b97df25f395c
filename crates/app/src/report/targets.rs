//! The targets of a policy, each met or not, with the number.

use crate::output::{Cell, Kind, Table};
use plimsoll_sim::{Outcome, Row, Study};

const DAY: f64 = 86_400.0;
/// A test is failed beneath this probability.
const LEVEL: f64 = 0.05;
/// Mean margin over that of the base line with a buffer, at most.
const CAPITAL: f64 = 0.95;
/// Peak to trough over that of the plain base line, at most.
const CALM: f64 = 0.5;
/// Overshoot after a step of volatility, at most.
const OVERSHOOT: f64 = 0.10;
const BUFFERED: &str = "ewma-buffer";
const PLAIN: &str = "ewma";

/// A row for every perpetual of the first policy; empty where the base lines are not among the policies.
pub(super) fn table(study: &Study, outcome: &Outcome) -> Table {
    let columns = [
        ("asset", Kind::Text),
        ("side", Kind::Text),
        ("days", Kind::Number),
        ("breaches", Kind::Text),
        ("not too many", Kind::Text),
        ("independent", Kind::Text),
        ("conditional", Kind::Text),
        ("light", Kind::Text),
        ("capital", Kind::Text),
        ("calm", Kind::Text),
        ("overshoot", Kind::Text),
        ("score", Kind::Text),
        ("before split", Kind::Text),
        ("after split", Kind::Text),
    ];
    let name = study.policies.first().map_or("", |policy| policy.name());
    let title = format!(
        "Targets of {name}: p-values at least {LEVEL}, green, mean margin at most {CAPITAL} of {BUFFERED}, peak to trough at most {CALM} of {PLAIN}, overshoot at most {OVERSHOOT}, quantile score not significantly worse than the best other's"
    );
    let mut table = Table::new(title, &columns);
    for row in outcome.rows.iter().filter(|row| row.policy == name && row.portfolio == "perpetual") {
        table.push(cells(row, outcome));
    }
    table
}

fn told(met: bool, shown: String) -> Cell {
    Cell::text(format!("{} {shown}", if met { "\u{2713}" } else { "\u{2717}" }))
}

fn cells(row: &Row, outcome: &Outcome) -> Vec<Cell> {
    let f = &row.whole;
    let tested = |p: Option<f64>| p.map_or(Cell::Empty, |p| told(p >= LEVEL, format!("{p:.3}")));
    let plain = outcome.rows.iter().find(|other| {
        let place = |r: &Row| (r.asset.clone(), r.portfolio.clone(), r.side.clone(), r.horizon_seconds);
        other.policy == PLAIN && place(other) == place(row)
    });
    let calm = plain.and_then(|plain| Some(f.peak_to_trough? / plain.whole.peak_to_trough?));
    let capital = row.capital_against.get(BUFFERED).copied();
    let most =
        |value: Option<f64>, limit: f64| value.map_or(Cell::Empty, |x| told(x <= limit, format!("{x:.3}")));
    let part = |of: &Option<plimsoll_sim::Figures>| {
        of.as_ref().map_or(Cell::Empty, |f| {
            let covered = f.kupiec_one_sided_p.is_none_or(|p| p >= LEVEL)
                && f.independence_p.is_none_or(|p| p >= LEVEL);
            told(covered && f.traffic_light == "green", format!("{} of {:.1}", f.breaches, f.expected))
        })
    };
    vec![
        Cell::text(&row.asset),
        Cell::text(&row.side),
        Cell::Number(row.horizon_seconds as f64 / DAY, 0),
        Cell::text(format!("{} of {:.1}", f.breaches, f.expected)),
        tested(f.kupiec_one_sided_p),
        tested(f.independence_p),
        tested(f.conditional_p),
        told(f.traffic_light == "green", f.traffic_light.to_owned()),
        most(capital, CAPITAL),
        most(calm, CALM),
        most(row.impulse.map(|i| i.overshoot), OVERSHOOT),
        tested(row.diebold_mariano_p),
        part(&row.before),
        part(&row.after),
    ]
}
