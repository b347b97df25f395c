//! From what was gathered to pictures.

use super::Material;
use crate::host::Sample;
use crate::svg::{CausePicture, CourseLine, CoursePicture, causes as draw_causes, course as draw};
use plimsoll_types::{Ticks, Timestamp, nearest_f64};
use std::collections::BTreeSet;

/// Stretches into which a period is cut.
const STRETCHES: usize = 24;

/// Instants that are written on the axis, about.
const TIMES: i64 = 8;

/// Seconds between instants that people read easily.
const STEPS: [i64; 14] = [
    60, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
    31_536_000,
];

fn seconds(at: Timestamp) -> f64 {
    at.nanos() as f64 * 1e-9
}

impl Material<'_> {
    pub(super) fn shown(&self, ticks: Ticks) -> f64 {
        nearest_f64(self.units.amount(ticks))
    }

    fn line(&self, name: &str, second: bool, of: impl Fn(&Sample) -> Option<f64>) -> CourseLine {
        let points =
            self.gathered.samples.iter().filter_map(|sample| Some((seconds(sample.at), of(sample)?)));
        CourseLine { name: name.to_owned(), points: points.collect(), second }
    }

    fn picture(&self, title: &str, note: &str, lines: Vec<CourseLine>) -> String {
        let (first, last) = (self.span.0.seconds(), self.span.1.seconds());
        let step = STEPS.into_iter().find(|step| (last - first) / step <= TIMES).unwrap_or(STEPS[13]);
        let clock = |at: i64| {
            let text = Timestamp::from_seconds(at).to_string();
            let (date, time) = text.split_once('T').unwrap_or((text.as_str(), ""));
            let shown = if step >= 86_400 || at % 86_400 == 0 { date } else { time.get(..5).unwrap_or(time) };
            (shown.to_owned(), at as f64)
        };
        let begin = first.div_euclid(step) + 1;
        let end = |end: Option<Timestamp>| end.map_or(last as f64, seconds);
        draw(&CoursePicture {
            title: title.to_owned(),
            note: note.to_owned(),
            span: (seconds(self.span.0), seconds(self.span.1)),
            lines,
            marks: self.gathered.decisions.iter().map(|of| seconds(of.at)).collect(),
            bands: self.gathered.doubts.iter().map(|(.., from, to)| (seconds(*from), end(*to))).collect(),
            times: (begin..=last / step).map(|at| clock(at * step)).collect(),
        })
    }
}

/// Totals, each underlying, and the insurance fund over time.
pub(super) fn margins(of: &Material<'_>) -> Vec<String> {
    let amount = |ticks| Some(of.shown(ticks));
    let totals = vec![
        of.line("equity", false, |sample| amount(sample.equity)),
        of.line("initial margin", false, |sample| amount(sample.im)),
        of.line("maintenance margin", true, |sample| amount(sample.mm)),
    ];
    let requirements = totals[1..].to_vec();
    let mut assets: Vec<_> = Vec::new();
    for (asset, _) in of.gathered.samples.iter().flat_map(|sample| &sample.underlyings) {
        if !assets.contains(asset) {
            assets.push(asset.clone());
        }
    }
    let by = |asset: &plimsoll_types::Asset, place: usize| {
        let name = format!("{asset}, {}", ["initial", "maintenance"][place]);
        of.line(&name, place == 1, |sample| {
            let found = sample.underlyings.iter().find(|(of, _)| of == asset);
            found.map(|(_, both)| of.shown(both[place]))
        })
    };
    let each: Vec<CourseLine> = assets.iter().flat_map(|asset| [by(asset, 0), by(asset, 1)]).collect();
    let fund = vec![of.line("insurance fund", false, |sample| amount(sample.insurance))];
    let mut pictures = vec![
        of.picture("Equity and margin of all accounts", "Equity counts collateral after haircuts.", totals),
        of.picture("Margin alone", "The same requirements on a scale of their own.", requirements),
    ];
    if !each.is_empty() {
        let note =
            "Scan losses of each underlying by itself; what underlyings set off, and charges, are not in it.";
        pictures.push(of.picture("Margin by underlying", note, each));
    }
    pictures.push(of.picture("Insurance fund", "What is there to take losses over.", fund));
    pictures
}

/// What other methods ask for beside what is in force.
pub(super) fn methods(of: &Material<'_>) -> Vec<String> {
    let compared = &of.gathered.compared;
    let names: BTreeSet<&str> =
        compared.iter().flat_map(|at| at.methods.iter().map(|(name, _)| *name)).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let method = |name: &str| {
        let points = compared.iter().filter_map(|at| {
            let (_, asked) = at.methods.iter().find(|(of, _)| *of == name)?;
            Some((seconds(at.at), nearest_f64(asked.units.amount(asked.theirs[0]))))
        });
        CourseLine { name: name.to_owned(), points: points.collect(), second: false }
    };
    let in_force = of.line("in force", false, |sample| Some(of.shown(sample.im)));
    // Each beside what is in force, on a scale of its own: one may ask ten times what another does.
    let note = "On the same book and market; accounts that the method cannot margin are not in its line.";
    let one = |name: &str| {
        let title = format!("Initial margin under {name}, and in force");
        of.picture(&title, note, vec![in_force.clone(), method(name)])
    };
    names.into_iter().map(one).collect()
}

/// What moved the parameters, stretch by stretch.
pub(super) fn causes(of: &Material<'_>) -> Vec<String> {
    let decisions = &of.gathered.decisions;
    let all = decisions.iter().flat_map(|of| &of.decision.changes).flat_map(|change| &change.causes);
    let names: BTreeSet<String> = all.map(|(cause, _)| cause.to_string()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let (first, last) = (seconds(of.span.0), seconds(of.span.1));
    let width = ((last - first) / STRETCHES as f64).max(1.0);
    let mut stretches: Vec<(String, Vec<(f64, f64)>)> = (0..STRETCHES)
        .map(|i| {
            let at = Timestamp::from_seconds((first + width * i as f64) as i64).to_string();
            (at.get(5..16).unwrap_or(&at).replace('T', " "), vec![(0.0, 0.0); names.len()])
        })
        .collect();
    for decided in decisions {
        let at = (((seconds(decided.at) - first) / width).max(0.0) as usize).min(STRETCHES - 1);
        for (cause, part) in decided.decision.changes.iter().flat_map(|change| &change.causes) {
            let place = names.iter().position(|name| *name == cause.to_string()).unwrap_or_default();
            let (up, down) = &mut stretches[at].1[place];
            *(if *part > 0 { up } else { down }) += *part as f64 * 1e-9;
        }
    }
    let title = "What moved the parameters".to_owned();
    let note = "Changes of the logarithms of all parameters, by cause; for each stretch of the period, rises above and falls below zero.";
    let causes = names.into_iter().collect();
    vec![draw_causes(&CausePicture { title, note: note.to_owned(), causes, stretches })]
}

/// How many accounts stood badly.
pub(super) fn standings(of: &Material<'_>) -> Vec<String> {
    let names = ["in call", "not valued", "liquidatable", "insolvent"];
    let line = |(place, name): (usize, &str)| {
        of.line(name, false, move |sample| Some(sample.standings[place] as f64))
    };
    let lines = names.into_iter().enumerate().map(line).collect();
    vec![of.picture("Accounts that do not stand well", "Counts at each sample.", lines)]
}
