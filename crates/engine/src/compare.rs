//! Several margin methods on one market and one book, side by side.
//!
//! **The one idea:** an account's excess under every method is told as signed parts in words that all methods share, so
//! the parts of the difference between two methods add up to the difference, exactly. Amounts of methods that count in
//! different ticks are brought to ticks that are whole in all of them.

mod parts;
mod ratio;
mod standing;

pub use parts::{Component, Measure, Part, PartDifference};
pub use ratio::{Distribution, Quantiles, Ratio};
pub use standing::{
    ComparedAccount, ComparedMethod, Disagreement, NotMargined, NotMarginedKind, Over, Standing, Totals,
};

use crate::{BookBuilder, BuildOptions, Desk, EngineError, Market, ParamSet};
use parts::{parts_of, risk_in_words};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::{MarginError, MarginReport};
use plimsoll_types::{AccountId, Asset, Snapshot, Ticks, Timestamp};
use std::collections::BTreeMap;

/// A method that takes part: its parameters, and the book in its lots.
#[derive(Clone, Debug)]
pub struct Contender<'a> {
    /// What it is called in the answer; unlike that of any other.
    pub label: String,
    /// Its parameters.
    pub params: ParamSet,
    /// The book, read in the parameters' units.
    pub book: &'a BookBuilder,
    /// How its risk arrays are built.
    pub options: &'a BuildOptions,
}

/// Why methods cannot be compared at all.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Fewer than two methods.
    #[error("{count} named: expected at least two methods, the first of them the base")]
    Few {
        /// How many there are.
        count: usize,
    },
    /// The same parameters, or the same label, twice.
    #[error("{second} is {first} again: every method may be named once")]
    Twice {
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    /// Amounts in different currencies have no ratio.
    #[error("{label} counts in {currency}, {base} in {expected}: expected one currency")]
    Currency {
        /// The method.
        label: String,
        /// Its currency.
        currency: Asset,
        /// The base.
        base: String,
        /// The currency of the base.
        expected: Asset,
    },
    /// No common tick, or a sum over accounts, fits its number of bits.
    #[error("{label}: {what} does not fit in 128 bits")]
    Overflow {
        /// The method.
        label: String,
        /// Which number.
        what: &'static str,
    },
    /// The books of two methods name different accounts.
    #[error("{label}: account {account} is in one book only: expected one book for every method")]
    Books {
        /// The method.
        label: String,
        /// The account.
        account: AccountId,
    },
    /// A method cannot answer for any account.
    #[error("{label}: {source}")]
    Method {
        /// The method.
        label: String,
        /// Why.
        source: Box<EngineError>,
    },
}

/// Methods on one market and one book. The first method is the base.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// When the market was.
    pub as_of: Timestamp,
    /// The digest of the market.
    pub market: String,
    /// The currency of every amount.
    pub currency: Asset,
    /// Ticks per unit of the currency, whole in the ticks of every method.
    pub ticks_per_unit: i64,
    /// The methods, the base first.
    pub methods: Vec<ComparedMethod>,
    /// The accounts in order.
    pub accounts: Vec<ComparedAccount>,
}

/// Margins every account of a book under every method, one account and one method at a time: what is kept are summaries.
/// A market is guarded and fitted once per distinct terms of guard and fit.
///
/// # Errors
/// When there are fewer than two methods, one is named twice, they count in different currencies, or one of them has no
/// answer for any account; see [`CompareError`]. An account that a method does not margin is a value, [`NotMargined`].
///
/// ```
/// use plimsoll_engine::{BookBuilder, BuildOptions, CompareError, Contender, ParamSet, compare};
/// use plimsoll_types::Snapshot;
/// let params = ParamSet::preset("fixed")?;
/// let book = BookBuilder::new(&params.units);
/// let options = BuildOptions::default();
/// let snapshot = Snapshot { as_of: "2026-01-01T00:00:00Z".parse()?, underlyings: Default::default(), assets: Default::default() };
/// let alone = Contender { label: "fixed".to_owned(), params, book: &book, options: &options };
/// assert!(matches!(compare(vec![alone], &snapshot), Err(CompareError::Few { count: 1 })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compare(contenders: Vec<Contender<'_>>, snapshot: &Snapshot) -> Result<Comparison, CompareError> {
    distinct(&contenders)?;
    let (currency, ticks_per_unit) = units(&contenders)?;
    lint_all(&contenders)?;
    let mut markets: Vec<(ParamSet, Market)> = Vec::new();
    let mut comparison = Comparison {
        as_of: snapshot.as_of,
        market: String::new(),
        currency,
        ticks_per_unit,
        methods: Vec::new(),
        accounts: Vec::new(),
    };
    for contender in contenders {
        let market = market_of(&mut markets, snapshot, &contender.params);
        comparison.market.clone_from(&market.id);
        comparison.add(contender, market)?;
    }
    comparison.check_sums()?;
    Ok(comparison)
}

/// The market under a set's guard and fit, made once per distinct terms of both.
fn market_of(made: &mut Vec<(ParamSet, Market)>, snapshot: &Snapshot, params: &ParamSet) -> Market {
    let same = |other: &ParamSet| other.guard == params.guard && other.fit == params.fit;
    if let Some((_, market)) = made.iter().find(|(other, _)| same(other)) {
        return market.clone();
    }
    let market = Market::new(snapshot.clone(), params);
    made.push((params.clone(), market.clone()));
    market
}

/// Refuses fewer than two methods, and the same one twice.
fn distinct(contenders: &[Contender<'_>]) -> Result<(), CompareError> {
    if contenders.len() < 2 {
        return Err(CompareError::Few { count: contenders.len() });
    }
    for (at, second) in contenders.iter().enumerate() {
        let same = |first: &&Contender<'_>| first.label == second.label || first.params == second.params;
        if let Some(first) = contenders.iter().take(at).find(same) {
            return Err(CompareError::Twice { first: first.label.clone(), second: second.label.clone() });
        }
    }
    Ok(())
}

/// The currency of all, and the least number of ticks to the unit in which the ticks of all are whole.
fn units(contenders: &[Contender<'_>]) -> Result<(Asset, i64), CompareError> {
    let Some(base) = contenders.first() else { return Err(CompareError::Few { count: 0 }) };
    let mut common = base.params.units.ticks_per_unit;
    for contender in contenders {
        let units = &contender.params.units;
        if units.currency != base.params.units.currency {
            return Err(CompareError::Currency {
                label: contender.label.clone(),
                currency: units.currency.clone(),
                base: base.label.clone(),
                expected: base.params.units.currency.clone(),
            });
        }
        let overflow =
            || CompareError::Overflow { label: contender.label.clone(), what: "a tick common to all" };
        common = common
            .checked_div(gcd(common, units.ticks_per_unit))
            .and_then(|rest| rest.checked_mul(units.ticks_per_unit))
            .ok_or_else(overflow)?;
    }
    Ok((base.params.units.currency.clone(), common))
}

fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Refuses a set that the linter refuses before anything is computed.
fn lint_all(contenders: &[Contender<'_>]) -> Result<(), CompareError> {
    for contender in contenders.iter().filter(|contender| !contender.options.allow_lint) {
        let findings = contender.params.lint();
        if !findings.is_empty() {
            let source = Box::new(EngineError::Lint { name: contender.params.name.clone(), findings });
            return Err(CompareError::Method { label: contender.label.clone(), source });
        }
    }
    Ok(())
}

impl Comparison {
    /// Margins the book under one more method.
    fn add(&mut self, contender: Contender<'_>, market: Market) -> Result<(), CompareError> {
        let Contender { label, params, book, options } = contender;
        let failed = |source| CompareError::Method { label: label.clone(), source: Box::new(source) };
        let desk = Desk::assemble(params, market, book.clone(), &[], options).map_err(failed)?;
        let found = standings(&desk, self.ticks_per_unit);
        let margins = found.values().filter(|result| result.is_ok()).count();
        let first = self.methods.is_empty();
        if !first && found.len() != self.accounts.len() {
            let known = |account: &&AccountId| !found.contains_key(account);
            let lost = self.accounts.iter().map(|compared| &compared.account).find(known);
            let lost = lost.or_else(|| found.keys().next());
            if let Some(account) = lost.cloned() {
                return Err(CompareError::Books { label, account });
            }
        }
        for (at, (account, result)) in found.into_iter().enumerate() {
            if first {
                self.accounts.push(ComparedAccount { account, under: vec![result] });
                continue;
            }
            match self.accounts.get_mut(at).filter(|compared| compared.account == account) {
                Some(compared) => compared.under.push(result),
                None => return Err(CompareError::Books { label, account }),
            }
        }
        let mut notes = desk.notes;
        notes.extend(desk.approximation.map(|error| {
            let (largest, rms, cells) = (error.max_abs, error.rms, error.cells);
            format!("approximate revaluation: largest error {largest} per unit, root mean square {rms} over {cells} cells")
        }));
        let ParamSet { name, description, .. } = &desk.params;
        self.methods.push(ComparedMethod {
            label,
            name: name.clone(),
            id: desk.params.id(),
            description: description.clone(),
            margins,
            lint: if options.allow_lint { desk.params.lint() } else { Vec::new() },
            notes,
        });
        Ok(())
    }

    /// Sums of sizes over accounts must fit, so that no sum of the comparison can leave its bits.
    fn check_sums(&self) -> Result<(), CompareError> {
        for (method, named) in self.methods.iter().enumerate() {
            let mut sum: u128 = 0;
            for standing in self.accounts.iter().filter_map(|account| account.standing(method)) {
                let numbers =
                    [standing.equity, standing.im, standing.mm, standing.im_excess, standing.mm_excess];
                let parts = standing.parts.iter().flat_map(|part| [part.im, part.mm]);
                for number in numbers.into_iter().chain(parts) {
                    sum = sum.saturating_add(number.0.unsigned_abs());
                }
            }
            if sum > i128::MAX.unsigned_abs() / 2 {
                return Err(CompareError::Overflow {
                    label: named.label.clone(),
                    what: "a sum over accounts",
                });
            }
        }
        Ok(())
    }

    /// Whether every method that margins any account of the book margins this one.
    pub fn is_common(&self, account: &ComparedAccount) -> bool {
        let counts = self.methods.iter().map(|method| method.margins > 0);
        account.under.iter().zip(counts).all(|(under, counts)| under.is_ok() || !counts)
    }

    /// The accounts a sum goes over.
    fn over(&self, method: usize, over: Over) -> impl Iterator<Item = (&Standing, Option<&Standing>)> {
        self.accounts.iter().filter_map(move |account| {
            let (standing, base) = (account.standing(method)?, account.standing(0));
            let counts = match over {
                Over::Common => self.is_common(account),
                Over::WithBase => base.is_some(),
                Over::Own => true,
            };
            counts.then_some((standing, base))
        })
    }

    /// Sums under a method.
    pub fn totals(&self, method: usize, over: Over) -> Totals {
        let mut totals = Totals::default();
        for (standing, _) in self.over(method, over) {
            totals.add(standing);
        }
        totals
    }

    /// Sums under the base over the accounts that a method and the base margin: what the method's totals
    /// [`Over::WithBase`] are compared with.
    pub fn base_totals(&self, method: usize) -> Totals {
        let mut totals = Totals::default();
        for base in self.over(method, Over::WithBase).filter_map(|(_, base)| base) {
            totals.add(base);
        }
        totals
    }

    /// Accounts that a method does not margin, by kind of reason.
    pub fn not_margined(&self, method: usize) -> BTreeMap<NotMarginedKind, usize> {
        let mut counts = BTreeMap::new();
        for reason in self.accounts.iter().filter_map(|account| account.under.get(method)?.as_ref().err()) {
            *counts.entry(reason.kind).or_insert(0) += 1;
        }
        counts
    }

    /// How the ratios of a method's requirement to that of the base are distributed; of the accounts that both margin,
    /// whatever `over` admits.
    pub fn distribution(&self, method: usize, measure: Measure, over: Over) -> Distribution {
        let pair = |(standing, base): (&Standing, Option<&Standing>)| {
            Some((standing.requirement(measure).0, base?.requirement(measure).0))
        };
        Distribution::of(self.over(method, over).filter_map(pair))
    }

    /// The parts of all excesses under a method added up, in order of component.
    pub fn components(&self, method: usize, over: Over) -> Vec<Part> {
        let mut sums: BTreeMap<&Component, (i128, i128)> = BTreeMap::new();
        for part in self.over(method, over).flat_map(|(standing, _)| &standing.parts) {
            let sum = sums.entry(&part.component).or_default();
            (sum.0, sum.1) = (sum.0 + part.im.0, sum.1 + part.mm.0);
        }
        let part = |(component, (im, mm)): (&Component, (i128, i128))| Part {
            component: component.clone(),
            im: Ticks(im),
            mm: Ticks(mm),
        };
        sums.into_iter().map(part).collect()
    }

    /// Accounts that are under a requirement by a method or by the base and not by both, the largest difference of the
    /// excesses first.
    pub fn disagreements(&self, method: usize, measure: Measure) -> Vec<Disagreement<'_>> {
        let found = |account| disagreement(account, method, measure);
        let mut all: Vec<Disagreement<'_>> = self.accounts.iter().filter_map(found).collect();
        all.sort_by_key(|disagreement| std::cmp::Reverse(disagreement.difference().0.unsigned_abs()));
        all
    }
}

/// How an account disagrees, if it does.
fn disagreement(account: &ComparedAccount, method: usize, measure: Measure) -> Option<Disagreement<'_>> {
    let (base, other) = (account.standing(0)?, account.standing(method)?);
    let under = |standing: &Standing| standing.excess(measure).0 < 0;
    (under(base) != under(other)).then(|| Disagreement {
        account,
        measure,
        under_base: under(base),
        parts: other.differences(base, measure),
    })
}

/// Every account of a desk, in ticks of `common` to the unit.
fn standings(desk: &Desk, common: i64) -> BTreeMap<AccountId, Result<Standing, NotMargined>> {
    let factor = i128::from(common / desk.params.units.ticks_per_unit);
    let mut all = BTreeMap::new();
    for failure in &desk.failures {
        let why = NotMargined {
            kind: NotMarginedKind::Unvalued,
            instrument: failure.instrument.clone(),
            reason: failure.reason.clone(),
        };
        all.insert(failure.account.clone(), Err(why));
    }
    for portfolio in desk.book.iter() {
        let found = match desk.evaluate(&portfolio) {
            Ok(report) => standing(&report, desk, factor),
            Err(error) => Err(refused(&error, &portfolio.account)),
        };
        all.insert(portfolio.account, found);
    }
    all
}

fn refused(error: &MarginError, account: &AccountId) -> NotMargined {
    let (kind, instrument) = match error {
        MarginError::Venue { source: VenueError::Unsupported { instrument, .. }, .. } => {
            (NotMarginedKind::Unsupported, Some((**instrument).clone()))
        }
        MarginError::UnknownCollateral { .. } => (NotMarginedKind::Unsupported, None),
        MarginError::Venue { source: VenueError::Missing { .. }, .. } => (NotMarginedKind::Missing, None),
        _ => (NotMarginedKind::Failed, None),
    };
    NotMargined { kind, instrument, reason: crate::desk::without_account(&error.to_string(), account) }
}

/// What is kept of a report, each number times `factor`.
fn standing(report: &MarginReport, desk: &Desk, factor: i128) -> Result<Standing, NotMargined> {
    let scaled = |ticks: Ticks| {
        ticks.0.checked_mul(factor).map(Ticks).ok_or_else(|| NotMargined {
            kind: NotMarginedKind::Failed,
            instrument: None,
            reason: "an amount in the common tick does not fit in 128 bits".to_owned(),
        })
    };
    let part = |part: Part| Ok(Part { im: scaled(part.im)?, mm: scaled(part.mm)?, ..part });
    let parts = parts_of(report).into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
    let standing = Standing {
        equity: scaled(report.equity)?,
        im: scaled(report.im)?,
        mm: scaled(report.mm)?,
        im_excess: scaled(report.im_excess)?,
        mm_excess: scaled(report.mm_excess)?,
        state: report.state,
        im_risk: risk_in_words(report, desk, Measure::Initial),
        mm_risk: risk_in_words(report, desk, Measure::Maintenance),
        parts,
    };
    for measure in Measure::BOTH {
        let sum: i128 = standing.parts.iter().map(|part| part.of(measure).0).sum();
        assert!(sum == standing.excess(measure).0, "the parts of an excess add up to it");
    }
    Ok(standing)
}
