//! What moved the scan of a long, by cause: the first policy at the first horizon.
//!
//! The one idea: causes raise and lower a parameter day by day, and what they add up to over a quarter says little of how much
//! they moved it: rises and falls are added up apart, and never against each other.

use super::Material;
use crate::output::{Cell, Kind, Table};
use crate::svg::{CausePicture, causes};
use plimsoll_policy::{Cause, Knob};
use plimsoll_sim::{Dated, Group};
use std::collections::BTreeMap;

/// Causes named in a picture; the rest are added up.
const NAMED: usize = 9;

/// Rises and falls of a logarithm, and in how many changes.
#[derive(Clone, Copy, Default)]
struct Moved {
    changes: usize,
    up: f64,
    down: f64,
}

impl Moved {
    fn add(&mut self, part: f64) {
        self.changes += 1;
        self.up += part.max(0.0);
        self.down += part.min(0.0);
    }

    fn size(&self) -> f64 {
        self.up - self.down
    }
}

/// Changes of the scan of a long on a group's asset, from the first margin that is judged.
fn changes<'a>(of: &Material<'a>, group: &'a Group) -> Option<impl Iterator<Item = &'a Dated>> {
    let track = of.outcome.tracks.first()?.first()?;
    let start = *group.times.get(group.judged_from)?;
    Some(track.changes.iter().filter(move |dated| {
        let key = &dated.change.key;
        let mine = key.scope.underlying.as_deref().is_none_or(|name| name == group.name);
        dated.at >= start && key.knob == Knob::PriceScanDown && mine
    }))
}

fn singles<'a>(of: &Material<'a>) -> impl Iterator<Item = &'a Group> {
    of.outcome.groups.iter().filter(|group| group.members.len() == 1)
}

/// Causes of the scan of a long, the one that moved it most first, by asset.
pub(super) fn table(of: &Material<'_>) -> Table {
    let columns = [
        ("asset", Kind::Text),
        ("cause", Kind::Text),
        ("changes", Kind::Integer),
        ("rises", Kind::Number),
        ("falls", Kind::Number),
        ("net", Kind::Number),
        ("sum of sizes", Kind::Number),
        ("share", Kind::Number),
    ];
    let name = of.study.policies.first().map_or("", |policy| policy.name());
    let title =
        format!("What moved the scan of a long ({name}; changes of the logarithm, added up by cause)");
    let mut table = Table::new(title, &columns);
    for group in singles(of) {
        let order = by_size(of, group);
        let all: f64 = order.iter().map(|(_, moved)| moved.size()).sum();
        for (cause, moved) in order {
            table.push(vec![
                Cell::text(&group.name),
                Cell::text(cause.name()),
                Cell::count(moved.changes),
                Cell::Number(moved.up, 2),
                Cell::Number(moved.down, 2),
                Cell::Number(moved.up + moved.down, 2),
                Cell::Number(moved.size(), 2),
                Cell::Number(if all > 0.0 { moved.size() / all } else { 0.0 }, 3),
            ]);
        }
    }
    table
}

fn by_size(of: &Material<'_>, group: &Group) -> Vec<(Cause, Moved)> {
    let mut sizes: BTreeMap<Cause, Moved> = BTreeMap::new();
    for dated in changes(of, group).into_iter().flatten() {
        for (cause, part) in &dated.change.causes {
            sizes.entry(*cause).or_default().add(*part as f64 / 1e9);
        }
    }
    let mut order: Vec<(Cause, Moved)> = sizes.into_iter().collect();
    order.sort_by(|a, b| b.1.size().total_cmp(&a.1.size()));
    order
}

/// One picture an asset, by quarter.
pub(super) fn pictures(of: &Material<'_>) -> Vec<String> {
    singles(of).filter_map(|group| picture(of, group)).collect()
}

fn picture(of: &Material<'_>, group: &Group) -> Option<String> {
    let order = by_size(of, group);
    let named: Vec<Cause> = order.iter().take(NAMED).map(|(cause, _)| *cause).collect();
    let mut names: Vec<String> = named.iter().map(|cause| cause.name().to_owned()).collect();
    if order.len() > NAMED {
        names.push("others".to_owned());
    }
    let mut quarters: BTreeMap<(i16, i8), Vec<Moved>> = BTreeMap::new();
    for dated in changes(of, group)? {
        let (year, month, _) = dated.at.date();
        let quarter = quarters.entry((year, (month - 1) / 3 + 1));
        let quarter = quarter.or_insert_with(|| vec![Moved::default(); names.len()]);
        for (cause, part) in &dated.change.causes {
            let place = named.iter().position(|one| one == cause).unwrap_or(NAMED);
            if let Some(moved) = quarter.get_mut(place) {
                moved.add(*part as f64 / 1e9);
            }
        }
    }
    let parts = |all: &Vec<Moved>| all.iter().map(|moved| (moved.up, moved.down)).collect();
    let stretches: Vec<(String, Vec<(f64, f64)>)> =
        quarters.iter().map(|((year, quarter), all)| (format!("{year} Q{quarter}"), parts(all))).collect();
    let policy = of.study.policies.first()?.name();
    let picture = CausePicture {
        title: format!("{}: what moved the scan of a long ({policy})", group.name),
        note: "Rises above and falls beneath the line, each added up by quarter and cause, in hundredths of a logarithm; the black line is what they come to.".to_owned(),
        causes: names,
        stretches,
    };
    (!picture.stretches.is_empty()).then(|| causes(&picture))
}
