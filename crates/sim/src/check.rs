//! What a study may be asked, and what is left out of it.
//!
//! **The one idea:** nothing is judged as something else: a horizon that is no whole number of rows, a name that stands for two
//! things, a parameter set that no policy moves are refused by name, and a portfolio that cannot be judged is named.

use crate::history::History;
use crate::margining::{Bench, MarginingError};
use crate::portfolio::PortfolioSpec;
use crate::study::{Absence, Group, LeftOut, Study, StudyError};
use plimsoll_engine::ParamSet;
use plimsoll_policy::{Knob, Policy};
use plimsoll_types::{Asset, Ppb};

const DAY: i64 = 86_400;
/// The law of overlapping losses is known up to so many rows.
const SPAN_MAX: i64 = 250;
/// The name of the base line that every capital is a share of.
const RESERVED: &str = "fixed";
const NAME_MAX: usize = 64;

fn refuse(what: &'static str, value: String, expected: &'static str) -> Result<(), StudyError> {
    Err(StudyError::Argument { what, value, expected })
}

/// The first of a list that is there twice.
fn twice<T: PartialEq>(all: &[T]) -> Option<&T> {
    all.iter().enumerate().find(|(i, one)| all.iter().take(*i).any(|other| other == *one)).map(|(_, one)| one)
}

/// Names go into tables, pages and columns: letters of any language, digits and a few signs.
fn name(what: &'static str, text: &str) -> Result<(), StudyError> {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '+' | '%' | '(' | ')' | ',');
    let length = text.chars().count();
    if (1..=NAME_MAX).contains(&length) && text.chars().all(plain) && text.trim() == text {
        return Ok(());
    }
    let name = text.chars().take(NAME_MAX).collect();
    let expected = "expected 1 to 64 letters, digits, spaces inside and _ - . + % ( ) ,";
    Err(StudyError::Name { what, name, expected })
}

/// Whether policies can be told apart by their names, and from the base line.
pub(crate) fn check_policies(policies: &[Policy]) -> Result<(), StudyError> {
    let names: Vec<&str> = policies.iter().map(|policy| policy.name()).collect();
    names.iter().try_for_each(|text| name("policy", text))?;
    if names.contains(&RESERVED) {
        let expected = "is the name of the base line that capital is a share of; call it something else";
        return Err(StudyError::Name { what: "policy", name: RESERVED.to_owned(), expected });
    }
    match twice(&names) {
        Some(name) => Err(StudyError::Twice { what: "policies", name: (*name).to_owned() }),
        None => Ok(()),
    }
}

/// Refuses a parameter set in which a price scan moves no margin.
pub(crate) fn hears(bench: &Bench, params: &ParamSet) -> Result<(), StudyError> {
    let points = vec![100; bench.assets().len()];
    let mut margining = bench.margining()?;
    let mut at = |scan: i64| {
        let value = |knob, _: &Asset| {
            matches!(knob, Knob::PriceScanDown | Knob::PriceScanUp).then_some(Ppb(scan * 10_000_000))
        };
        margining.margins(Some(&value), &points).map(<[f64]>::to_vec)
    };
    let (low, high) = (at(10)?, at(30)?);
    // A method that knows its own moves only asks nothing at those between them.
    let silent = |margins: Vec<f64>| margins.iter().zip(&low).any(|(now, low)| *now == 0.0 && *low > 0.0);
    let lost = (11..30).try_fold(false, |lost, scan| Ok::<_, MarginingError>(lost || silent(at(scan)?)))?;
    if low == high || lost {
        return Err(StudyError::Deaf { name: params.name.clone() });
    }
    Ok(())
}

/// A policy over a margin period of risk, in its own steps: a loss over part of a step is looked ahead to by a whole one.
pub(crate) fn at_horizon(policy: &Policy, seconds: i64) -> Result<Policy, StudyError> {
    let steps = (seconds - 1).div_euclid(policy.step_seconds().max(1)) + 1;
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    policy.with_horizon(steps).map_err(|source| StudyError::Policy {
        policy: policy.name().to_owned(),
        steps,
        source: Box::new(source),
    })
}

impl Study {
    pub(crate) fn check(&self) -> Result<(), StudyError> {
        if self.policies.is_empty() || self.histories.is_empty() || self.portfolios.is_empty() {
            return refuse("a list of policies, histories or portfolios", "empty".to_owned(), "one at least");
        }
        if let Some((from, to)) = self.from.zip(self.to).filter(|(from, to)| from >= to) {
            return refuse("the time judged from", format!("{from}, up to {to}"), "before the end");
        }
        check_policies(&self.policies)?;
        self.check_portfolios()?;
        if let Some(seconds) = twice(&self.horizons) {
            return Err(StudyError::Twice { what: "horizons", name: format!("{seconds} s") });
        }
        let assets: Vec<&Asset> = self.histories.iter().map(|history| &history.asset).collect();
        if let Some(asset) = twice(&assets) {
            return Err(StudyError::Twice { what: "histories", name: asset.to_string() });
        }
        self.horizons.iter().try_for_each(|seconds| self.check_horizon(*seconds))
    }

    fn check_portfolios(&self) -> Result<(), StudyError> {
        for portfolio in &self.portfolios {
            name("portfolio", &portfolio.name)?;
            name("the side of a portfolio", &portfolio.side)?;
        }
        let names: Vec<(&str, &str)> =
            self.portfolios.iter().map(|of| (of.name.as_str(), of.side.as_str())).collect();
        match twice(&names) {
            Some((name, side)) => {
                Err(StudyError::Twice { what: "portfolios", name: format!("{name} {side}") })
            }
            None => Ok(()),
        }
    }

    fn check_horizon(&self, seconds: i64) -> Result<(), StudyError> {
        if seconds <= 0 || seconds > 250 * DAY {
            return refuse("the horizon", format!("{seconds} s"), "above 0 and at most 250 days");
        }
        for History { asset, step_seconds, .. } in &self.histories {
            let value = || format!("{seconds} s, and {asset} has rows every {step_seconds} s");
            if seconds % step_seconds != 0 {
                return refuse("the horizon", value(), "a whole number of rows");
            }
            if seconds / step_seconds > SPAN_MAX {
                return refuse("the horizon", value(), "at most 250 rows: coarser rows or a shorter horizon");
            }
        }
        for portfolio in &self.portfolios {
            if let Some(days) = portfolio.shortest_days().filter(|days| days * DAY <= seconds) {
                let value = format!("{seconds} s, and an option of `{}` lives {days} days", portfolio.name);
                return refuse("the horizon", value, "shorter than every option");
            }
        }
        Ok(())
    }

    /// Every asset with the portfolios of one, then every pair of neighbours in the list with those of two, and so on; and the
    /// portfolios of more assets than there are.
    pub(crate) fn groups(&self) -> (Vec<Group>, Vec<LeftOut>) {
        let (mut groups, mut left_out) = (Vec::new(), Vec::new());
        let sizes: Vec<usize> = self.portfolios.iter().map(PortfolioSpec::assets).collect();
        let (most, given) = (sizes.iter().max().copied().unwrap_or(0), self.histories.len());
        for size in 1..=most {
            let portfolios: Vec<usize> = (0..sizes.len()).filter(|p| sizes[*p] == size).collect();
            if size > given {
                let name = self.joined(0..given);
                let why = Absence::Assets { needed: size, given };
                left_out.extend(self.absent(&portfolios, &name, why));
                continue;
            }
            for first in (0..=given - size).filter(|_| !portfolios.is_empty()) {
                groups.push(Group {
                    members: (first..first + size).collect(),
                    portfolios: portfolios.clone(),
                    name: self.joined(first..first + size),
                    step_seconds: 0,
                    times: Vec::new(),
                    prices: Vec::new(),
                    points: Vec::new(),
                    losses: Vec::new(),
                    spans: Vec::new(),
                    judged_from: 0,
                });
            }
        }
        (groups, left_out)
    }

    fn joined(&self, members: std::ops::Range<usize>) -> String {
        let names: Vec<String> = members.map(|m| self.histories[m].asset.to_string()).collect();
        names.join("/")
    }

    fn absent(&self, portfolios: &[usize], asset: &str, why: Absence) -> Vec<LeftOut> {
        let of = |p: &usize| self.portfolios.get(*p);
        let one = |of: &PortfolioSpec| LeftOut {
            portfolio: of.name.clone(),
            side: of.side.clone(),
            asset: asset.to_owned(),
            why,
        };
        portfolios.iter().filter_map(of).map(one).collect()
    }

    /// Whether assets that are margined together have enough in common; one alone is refused where it has too little, not left
    /// out.
    pub(crate) fn can_judge(&self, group: &Group, left_out: &mut Vec<LeftOut>) -> bool {
        let common = group.times.len();
        let ends = group.losses.iter().flatten().map(Vec::len).min().unwrap_or(0);
        let judged = ends.saturating_sub(group.judged_from);
        let uneven = self.horizons.iter().find(|h| group.step_seconds > 0 && **h % group.step_seconds != 0);
        let why = match uneven {
            _ if group.members.len() == 1 => return true,
            Some(horizon) => Absence::Spacing { step: group.step_seconds, horizon: *horizon },
            None if judged < 2 => Absence::Common { common, judged },
            None => return true,
        };
        left_out.extend(self.absent(&group.portfolios, &group.name, why));
        false
    }
}
