//! Which rate and which factor an account has: by kind of account, and initial or maintenance (types 3 and 4, `adjRate`).

use super::desk::{Asked, SpanAccountError, SpanAccountKind};
use super::{SpanByAccount, SpanCommodityRules, SpanFile, SpanFormat, SpanRate};
use plimsoll_types::{Decimal, Ppb, Rounding};

/// The most steps from a level to the level it is a multiple of.
const STEPS_MAX: usize = 8;

/// The levels whose rates an account takes, the best first; empty where the file knows none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Level {
    chain: Vec<u32>,
}

/// The level of an account under a commodity, with those it is a multiple of.
pub(super) fn level(
    asked: Asked,
    file: &SpanFile,
    rules: &SpanCommodityRules,
) -> Result<Level, SpanAccountError> {
    if file.levels.is_empty() {
        return Ok(Level::default());
    }
    let code = match asked.terms.kind {
        SpanAccountKind::Speculator => "S",
        SpanAccountKind::Hedger => "H",
        SpanAccountKind::Member => "M",
    };
    let wanted = Some(!asked.terms.initial);
    let mine = || file.levels.iter().filter(|level| level.account == code);
    let found = mine().find(|level| level.maintenance == wanted).or_else(|| {
        // A file that does not tell the two apart has maintenance.
        mine().find(|level| level.maintenance.is_none() && !asked.terms.initial)
    });
    let Some(found) = found else {
        return Err(asked.missing("a level for this kind of account", &rules.code));
    };
    let mut chain = vec![found.number];
    while let Some(base) = base(rules, chain.last().copied())
        && !chain.contains(&base)
        && chain.len() < STEPS_MAX
    {
        chain.push(base);
    }
    Ok(Level { chain })
}

fn base(rules: &SpanCommodityRules, level: Option<u32>) -> Option<u32> {
    rules.levels.iter().find(|adjustment| adjustment.level == level).and_then(|found| found.base)
}

/// The rate of an account: the only one there is, or that of its level or of the level it is a multiple of.
pub(super) fn rate(
    asked: Asked,
    rates: &[SpanRate],
    level: &Level,
    of: &str,
) -> Result<Decimal, SpanAccountError> {
    if let [only] = rates {
        return Ok(only.value);
    }
    let found = level.chain.iter().find_map(|number| rates.iter().find(|rate| rate.level == Some(*number)));
    found.map(|rate| rate.value).ok_or_else(|| asked.missing("a rate for this kind of account", of))
}

fn of_account(asked: Asked, figures: &SpanByAccount) -> Option<Decimal> {
    match asked.terms.kind {
        SpanAccountKind::Speculator => figures.speculator,
        SpanAccountKind::Hedger => figures.hedger,
        SpanAccountKind::Member => figures.member,
    }
}

/// The factors on risk, one after the other. An adjustment that is not given is 1; a ratio of initial over maintenance
/// that is not given is not known.
pub(super) fn factors(
    asked: Asked,
    file: &SpanFile,
    rules: &SpanCommodityRules,
    level: &Level,
) -> Result<Vec<Ppb>, SpanAccountError> {
    let mut factors = Vec::new();
    if file.format == SpanFormat::Xml {
        factors = of_levels(asked, rules, level)?;
    } else {
        factors.extend(of_account(asked, &rules.adjustment));
        match (file.maintenance, asked.terms.initial) {
            (Some(false), false) => {
                return Err(asked.missing("maintenance (its arrays are for initial margin)", &rules.code));
            }
            (Some(true) | None, true) => {
                let ratio = of_account(asked, &rules.initial_ratio);
                let what = "a ratio of initial over maintenance margin";
                factors.push(ratio.ok_or_else(|| asked.missing(what, &rules.code))?);
            }
            _ => {}
        }
    }
    let ppb = |factor: &Decimal| {
        let nano = super::desk::nano(*factor, Rounding::Up).and_then(|n| i64::try_from(n).ok());
        nano.map(Ppb).ok_or_else(|| asked.overflow("a factor", &rules.code))
    };
    factors.iter().map(ppb).collect()
}

/// The multiples from a level down to its base.
fn of_levels(
    asked: Asked,
    rules: &SpanCommodityRules,
    level: &Level,
) -> Result<Vec<Decimal>, SpanAccountError> {
    if level.chain.is_empty() {
        let what = "levels of requirement, which initial margin needs";
        return match rules.levels[..] {
            _ if asked.terms.initial => Err(asked.missing(what, &rules.code)),
            [] => Ok(Vec::new()),
            [only] => Ok(vec![only.value]),
            _ => Err(asked.missing("a level for this kind of account", &rules.code)),
        };
    }
    let of = |number: &u32| rules.levels.iter().find(|a| a.level == Some(*number)).map(|a| a.value);
    Ok(level.chain.iter().filter_map(of).collect())
}
