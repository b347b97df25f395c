//! A comparison of methods as programs read it.

use super::compare_tables::{amount, distributions, why};
use plimsoll_engine::{
    ComparedAccount, Comparison, Disagreement, Distribution, Measure, Over, Standing, Totals,
};
use plimsoll_margin::State;
use plimsoll_types::{Decimal, Ticks};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::collections::BTreeMap;

/// The whole answer. Amounts are decimals in text, exact; ratios are floats for display, their order is exact.
#[derive(serde::Serialize)]
pub(super) struct Document<'a> {
    as_of: String,
    /// The digest of the market.
    market: &'a str,
    code: &'static str,
    currency: String,
    /// Ticks of which every amount is a whole number.
    ticks_per_unit: i64,
    /// The label of the base.
    base: &'a str,
    /// In the order in which they are named, the base first.
    methods: Vec<MethodJson<'a>>,
    /// Accounts under a requirement by the base or by a method and not by both.
    disagreements: Vec<DisagreementJson<'a>>,
    accounts: Accounts<'a>,
}

/// One method.
#[derive(serde::Serialize)]
struct MethodJson<'a> {
    label: &'a str,
    name: &'a str,
    /// The digest of its parameters.
    id: &'a str,
    description: &'a str,
    notes: &'a [String],
    /// What the linter has against its parameters, where `--allow-lint` uses them.
    lint: Vec<String>,
    /// Over the accounts that every method margins; methods that margin none at all are left out of the count.
    common: TotalsJson,
    /// Over the accounts that it margins.
    own: TotalsJson,
    /// Over the accounts that it and the base margin.
    with_base: TotalsJson,
    /// The base over the accounts that both margin.
    base_with_it: TotalsJson,
    /// Accounts that it does not margin, by kind of reason.
    not_margined: BTreeMap<&'static str, usize>,
    /// The parts of all excesses added up, over the accounts that every method margins.
    parts: Vec<PartJson>,
    /// Ratios to the base; none for the base itself.
    ratios: Vec<RatiosJson>,
}

/// Sums over accounts.
#[derive(serde::Serialize)]
struct TotalsJson {
    accounts: usize,
    equity: Decimal,
    im: Decimal,
    mm: Decimal,
    healthy: usize,
    call: usize,
    liquidatable: usize,
}

/// The distribution of ratios of one requirement.
#[derive(serde::Serialize)]
struct RatiosJson {
    /// `im` or `mm`.
    measure: &'static str,
    /// Whose accounts are counted: `all methods`, or `it and the base`.
    over: &'static str,
    count: usize,
    /// Accounts without a ratio, since the base requires nothing of them.
    base_zero: usize,
    above_one: usize,
    equal: usize,
    below_one: usize,
    /// `min`, `p5`, `p25`, `median`, `p75`, `p95`, `max`; index above, no interpolation. Empty when there are none.
    quantiles: BTreeMap<&'static str, f64>,
}

/// A part of an excess: what is owned is > 0, what is required < 0.
#[derive(serde::Serialize)]
struct PartJson {
    part: String,
    im: Decimal,
    mm: Decimal,
}

/// One account that two methods disagree on.
#[derive(serde::Serialize)]
struct DisagreementJson<'a> {
    account: &'a str,
    /// `mm`: liquidatable under one of them; `im`: below initial margin under one of them.
    measure: &'static str,
    method: &'a str,
    /// Whether it is under the requirement by the base and not by the method; else the other way.
    under_base: bool,
    base_excess: Option<Decimal>,
    method_excess: Option<Decimal>,
    /// `method_excess - base_excess`.
    difference: Decimal,
    /// The parts of the difference, largest first; they add up to it.
    parts: Vec<DifferenceJson>,
    why: String,
}

/// One part of a difference.
#[derive(serde::Serialize)]
struct DifferenceJson {
    part: String,
    base: Decimal,
    method: Decimal,
    difference: Decimal,
}

/// An account under every method.
#[derive(serde::Serialize)]
struct AccountJson<'a> {
    account: &'a str,
    under: Vec<UnderJson<'a>>,
}

/// An account under one method: a standing, or why there is none.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum UnderJson<'a> {
    Margined {
        method: &'a str,
        margined: bool,
        state: State,
        equity: Decimal,
        im: Decimal,
        mm: Decimal,
        im_excess: Decimal,
        mm_excess: Decimal,
        /// To the base; none where the base requires nothing or does not margin the account.
        im_ratio: Option<f64>,
        mm_ratio: Option<f64>,
        /// What the market risk was found in.
        im_risk: Option<&'a str>,
        mm_risk: Option<&'a str>,
        parts: Vec<PartJson>,
    },
    Refused {
        method: &'a str,
        margined: bool,
        kind: &'static str,
        instrument: Option<String>,
        reason: &'a str,
    },
}

/// Accounts, written one by one.
struct Accounts<'a>(&'a Comparison);

impl Serialize for Accounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.accounts.len()))?;
        for account in &self.0.accounts {
            let under = (0..self.0.methods.len()).filter_map(|at| under(self.0, account, at)).collect();
            seq.serialize_element(&AccountJson { account: account.account.as_str(), under })?;
        }
        seq.end()
    }
}

impl<'a> Document<'a> {
    /// The document of a comparison.
    pub(super) fn new(comparison: &'a Comparison) -> Self {
        let methods = 0..comparison.methods.len();
        let measures = || [Measure::Maintenance, Measure::Initial];
        let pairs = methods.clone().skip(1).flat_map(|at| measures().map(|measure| (at, measure)));
        let found = pairs.flat_map(|(at, measure)| {
            let all = comparison.disagreements(at, measure).into_iter();
            all.map(move |found| disagreement(comparison, &found, at))
        });
        Self {
            as_of: comparison.as_of.to_string(),
            market: &comparison.market,
            code: env!("CARGO_PKG_VERSION"),
            currency: comparison.currency.to_string(),
            ticks_per_unit: comparison.ticks_per_unit,
            base: comparison.methods.first().map_or("", |method| &method.label),
            methods: methods.filter_map(|at| method(comparison, at)).collect(),
            disagreements: found.collect(),
            accounts: Accounts(comparison),
        }
    }
}

fn method(comparison: &Comparison, at: usize) -> Option<MethodJson<'_>> {
    let named = comparison.methods.get(at)?;
    let not_margined = comparison.not_margined(at).into_iter().map(|(kind, count)| (kind.code(), count));
    let part = |part: plimsoll_engine::Part| PartJson {
        part: part.component.code().to_owned(),
        im: amount(comparison, part.im),
        mm: amount(comparison, part.mm),
    };
    let ratios = Measure::BOTH.into_iter().filter(|_| at > 0).flat_map(|measure| {
        let found = distributions(comparison, at, measure).into_iter();
        found.map(move |(over, distribution)| ratios(measure, over, &distribution))
    });
    Some(MethodJson {
        label: &named.label,
        name: &named.name,
        id: &named.id,
        description: &named.description,
        notes: &named.notes,
        lint: named.lint.iter().map(|finding| format!("{}: {}", finding.subject, finding.message)).collect(),
        common: totals(comparison, comparison.totals(at, Over::Common)),
        own: totals(comparison, comparison.totals(at, Over::Own)),
        with_base: totals(comparison, comparison.totals(at, Over::WithBase)),
        base_with_it: totals(comparison, comparison.base_totals(at)),
        not_margined: not_margined.collect(),
        parts: comparison.components(at, Over::Common).into_iter().map(part).collect(),
        ratios: ratios.collect(),
    })
}

fn totals(comparison: &Comparison, totals: Totals) -> TotalsJson {
    TotalsJson {
        accounts: totals.accounts,
        equity: amount(comparison, totals.equity),
        im: amount(comparison, totals.im),
        mm: amount(comparison, totals.mm),
        healthy: totals.healthy,
        call: totals.call,
        liquidatable: totals.liquidatable,
    }
}

fn ratios(measure: Measure, over: &'static str, found: &Distribution) -> RatiosJson {
    let named = found.quantiles.iter().flat_map(plimsoll_engine::Quantiles::named);
    RatiosJson {
        measure: measure.code(),
        over,
        count: found.count,
        base_zero: found.base_zero,
        above_one: found.above,
        equal: found.equal,
        below_one: found.below,
        quantiles: named.map(|(name, ratio)| (name, ratio.to_f64())).collect(),
    }
}

fn disagreement<'a>(comparison: &'a Comparison, found: &Disagreement<'a>, at: usize) -> DisagreementJson<'a> {
    let account: &'a ComparedAccount = found.account;
    let excess = |at| account.standing(at).map(|standing| amount(comparison, standing.excess(found.measure)));
    let part = |part: &plimsoll_engine::PartDifference| DifferenceJson {
        part: part.component.code().to_owned(),
        base: amount(comparison, part.base),
        method: amount(comparison, part.other),
        difference: amount(comparison, part.amount()),
    };
    DisagreementJson {
        account: account.account.as_str(),
        measure: found.measure.code(),
        method: comparison.methods.get(at).map_or("", |method| &method.label),
        under_base: found.under_base,
        base_excess: excess(0),
        method_excess: excess(at),
        difference: amount(comparison, found.difference()),
        parts: found.parts.iter().map(part).collect(),
        why: why(comparison, found, at),
    }
}

fn under<'a>(comparison: &'a Comparison, account: &'a ComparedAccount, at: usize) -> Option<UnderJson<'a>> {
    let method = comparison.methods.get(at)?.label.as_str();
    let standing = match account.under.get(at)? {
        Ok(standing) => standing,
        Err(refused) => {
            return Some(UnderJson::Refused {
                method,
                margined: false,
                kind: refused.kind.code(),
                instrument: refused.instrument.as_ref().map(ToString::to_string),
                reason: &refused.reason,
            });
        }
    };
    let amount = |ticks: Ticks| amount(comparison, ticks);
    let ratio = |measure| {
        let base: &Standing = account.standing(0)?;
        let (above, below) = (standing.requirement(measure), base.requirement(measure));
        plimsoll_engine::Ratio::new(above.0, below.0).map(plimsoll_engine::Ratio::to_f64)
    };
    Some(UnderJson::Margined {
        method,
        margined: true,
        state: standing.state,
        equity: amount(standing.equity),
        im: amount(standing.im),
        mm: amount(standing.mm),
        im_excess: amount(standing.im_excess),
        mm_excess: amount(standing.mm_excess),
        im_ratio: ratio(Measure::Initial),
        mm_ratio: ratio(Measure::Maintenance),
        im_risk: standing.im_risk.as_deref(),
        mm_risk: standing.mm_risk.as_deref(),
        parts: standing
            .parts
            .iter()
            .map(|part| PartJson {
                part: part.component.code().to_owned(),
                im: amount(part.im),
                mm: amount(part.mm),
            })
            .collect(),
    })
}
