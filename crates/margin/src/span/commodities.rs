//! SPAN on resolved books: the one evaluation behind presets and published files (methods 2.2 to 2.7).

use super::credits::credit;
use super::rules::{SpanBook, SpanCredit, SpanFigures, SpanMonth, SpanRequirement, SpanShorts, SpanTable};
use super::spreads::intra_charge;
use crate::money::Exact;
use crate::{MarginError, ShortCount};
use plimsoll_types::{AccountId, NANO, Ppb};

pub(super) const WHOLE: i128 = NANO as i128;

/// What spreads have left of a month, billionths of a contract.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) month: &'a SpanMonth,
    pub(super) left: i128,
}

/// A commodity under way.
pub(super) struct Open<'a> {
    pub(super) book: &'a SpanBook<'a>,
    pub(super) months: Vec<Left<'a>>,
    pub(super) credit: i128,
}

/// What an evaluation reads besides the books.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) table: &'a SpanTable,
    pub(super) exact: Exact<'a>,
}

/// The combined commodities of one account: scan, inter-month and delivery charges, credits between them, short option
/// minimum, net option value. Charges round up, credits round down; figures come in the order of `books`.
///
/// # Errors
/// A sum beyond 128 bits, a scenario without its pair, a credit that reads a price scan which is not there.
///
/// ```
/// use plimsoll_margin::{ShortCount, SpanBook, SpanMonth, SpanTable, span_commodities};
/// // One long future that loses 10 when price falls: two scenarios, each its own pair.
/// let month = SpanMonth {
///     period: "202603".into(), tiers: vec![], credit_tiers: vec![], delta: 1_000_000_000, spot: None,
/// };
/// let book = SpanBook {
///     losses: vec![vec![-10, 10]], months: vec![month], credit_tiers: vec![], intra: &[], basis: None,
///     shorts: vec![], short_count: ShortCount::Sum, option_value: 0, capped: false, price_scan: None,
/// };
/// let table = SpanTable { pairs: vec![0, 1], scanned: vec![0, 1] };
/// let figures = span_commodities(&"alice".parse()?, &table, &[book], &[])?;
/// assert_eq!((figures[0].scan_loss, figures[0].active, figures[0].risk), (10, 1, 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn span_commodities(
    account: &AccountId,
    table: &SpanTable,
    books: &[SpanBook],
    credits: &[SpanCredit],
) -> Result<Vec<SpanFigures>, MarginError> {
    let ground = Ground { table, exact: Exact { account } };
    let mut open: Vec<Open> = books.iter().map(Open::of).collect();
    form(ground, credits, true, &mut open)?;
    let mut charges = Vec::with_capacity(open.len());
    for commodity in &mut open {
        let intra = intra_charge(ground, commodity.book.intra, &mut commodity.months)?;
        let spot = spot_charge(ground, commodity)?;
        charges.push((intra, spot));
    }
    form(ground, credits, false, &mut open)?;
    open.iter().zip(charges).map(|(commodity, charged)| figures(ground, commodity, charged)).collect()
}

impl<'a> Open<'a> {
    fn of(book: &'a SpanBook<'a>) -> Self {
        let months = book.months.iter().map(|month| Left { month, left: month.delta }).collect();
        Self { book, months, credit: 0 }
    }
}

/// Forms the spreads of one round in order of priority, each in both orientations.
fn form(
    ground: Ground,
    credits: &[SpanCredit],
    before_intra: bool,
    open: &mut [Open],
) -> Result<(), MarginError> {
    for spread in credits.iter().filter(|spread| spread.before_intra == before_intra) {
        for a_is_long in [true, false] {
            credit(ground, spread, a_is_long, open)?;
        }
    }
    Ok(())
}

fn figures(ground: Ground, open: &Open, (intra, spot): (i128, i128)) -> Result<SpanFigures, MarginError> {
    let (book, exact) = (open.book, ground.exact);
    let mut scan_loss = 0;
    let mut active = None;
    let mut price_risk_twice = 0;
    for losses in &book.losses {
        let scanned = scan(ground, losses)?;
        scan_loss = exact.add(scan_loss, scanned.loss, "scan loss")?;
        active = active.or(scanned.worst);
        price_risk_twice = exact.add(price_risk_twice, scanned.price_risk_twice, "price risk")?;
    }
    let minimum = short_minimum(ground, &book.shorts, book.short_count)?;
    let risk = exact.sum([scan_loss, intra, spot, -open.credit], "risk")?.max(minimum);
    Ok(SpanFigures {
        scan_loss,
        active: active.or(ground.table.scanned.first().copied()).unwrap_or(0),
        net_delta: exact.sum(book.months.iter().map(|m| m.delta), "net delta")?,
        price_risk_twice,
        intra,
        spot,
        inter_credit: open.credit,
        short_option_minimum: minimum,
        risk,
        option_value: book.option_value,
        capped: book.capped,
    })
}

/// The scan of one vector of losses.
pub(super) struct Scanned {
    pub(super) loss: i128,
    /// The active scenario, the lowest on a tie; `None` where nothing loses.
    pub(super) worst: Option<usize>,
    pub(super) price_risk_twice: i128,
}

/// `SR = max(0, max_j loss_j)`, and `SR + SR_pair - s1 - s2` (methods 2.2, 2.6).
pub(super) fn scan(ground: Ground, losses: &[i128]) -> Result<Scanned, MarginError> {
    let at = |column: usize| losses.get(column).copied().unwrap_or(0);
    let (mut loss, mut worst) = (0, None);
    for column in &ground.table.scanned {
        if at(*column) > loss {
            (loss, worst) = (at(*column), Some(*column));
        }
    }
    let Some(first) = ground.table.scanned.first().copied() else {
        return Ok(Scanned { loss, worst, price_risk_twice: 0 });
    };
    let beside = at(pair(ground, worst.unwrap_or(first))?);
    let time = [-at(first), -at(pair(ground, first)?)];
    let price_risk_twice = ground.exact.sum([loss, beside, time[0], time[1]], "price risk")?;
    Ok(Scanned { loss, worst, price_risk_twice })
}

/// The scenario that differs in the move of volatility only, or the error that it is not there.
fn pair(ground: Ground, column: usize) -> Result<usize, MarginError> {
    let columns = ground.table.pairs.len();
    let pair = ground.table.pairs.get(column).copied().unwrap_or(columns);
    if pair < columns {
        return Ok(pair);
    }
    let (account, what) = (ground.exact.account.clone(), "a scenario paired with column");
    Err(MarginError::Arrays { account, what, found: pair, expected: columns })
}

/// Months in delivery: one rate on delta that spreads consumed, another on what remains; and the basis.
fn spot_charge(ground: Ground, open: &Open) -> Result<i128, MarginError> {
    let (exact, what) = (ground.exact, "delivery charge");
    let mut total = 0;
    for Left { month, left } in &open.months {
        let Some(rates) = month.spot else { continue };
        let remains = left.saturating_abs();
        let consumed = month.delta.saturating_abs() - remains;
        let a = exact.ratio_up(consumed, rates.consumed, WHOLE, what)?;
        let b = exact.ratio_up(remains, rates.outright, WHOLE, what)?;
        total = exact.sum([total, a, b], what)?;
    }
    if let Some(basis) = open.book.basis
        && basis.spot_delta.signum() * basis.other_delta.signum() < 0
    {
        let matched = basis.spot_delta.saturating_abs().min(basis.other_delta.saturating_abs());
        total = exact.add(total, exact.ratio_up(matched, basis.rate, WHOLE, what)?, what)?;
    }
    Ok(total)
}

/// Short option minimum over all its tiers (methods 2.7).
fn short_minimum(ground: Ground, tiers: &[SpanShorts], count: ShortCount) -> Result<i128, MarginError> {
    let what = "short option minimum";
    let mut total = 0;
    for tier in tiers {
        let number = match count {
            ShortCount::Sum => ground.exact.add(tier.calls, tier.puts, what)?,
            ShortCount::Larger => tier.calls.max(tier.puts),
            ShortCount::Naked => {
                return Err(MarginError::Parameter {
                    account: ground.exact.account.clone(),
                    name: "aggregation.commodities.short_option_count".to_owned(),
                    value: "naked".to_owned(),
                    expected: "sum or larger",
                });
            }
        };
        total = ground.exact.add(total, ground.exact.ratio_up(number, tier.rate, WHOLE, what)?, what)?;
    }
    Ok(total)
}

/// A commodity's requirement at a factor on its risk (`adjustment`, times the ratio of initial over maintenance for
/// initial margin; methods 2.7): risk rounds up, and a cap on option value is a cap at the risk so scaled.
///
/// # Errors
/// A product beyond 128 bits.
pub fn span_requirement(
    account: &AccountId,
    figures: &SpanFigures,
    factors: &[Ppb],
) -> Result<SpanRequirement, MarginError> {
    let exact = Exact { account };
    let mut risk = figures.risk;
    for factor in factors {
        risk = exact.scale_up(risk, *factor, "risk times its factor")?;
    }
    let available = if figures.capped { figures.option_value.min(risk) } else { figures.option_value };
    let requirement = exact.sub(risk, available, "requirement")?.max(0);
    Ok(SpanRequirement { risk, available, requirement })
}

/// The requirement of the commodities of one currency together: `max(sum (risk - available), 0)`, so that option value
/// beyond the risk of its own commodity, where it is not capped, offsets the risk of another (methods 2.7).
///
/// # Errors
/// A sum beyond 128 bits.
pub fn span_total(account: &AccountId, parts: &[SpanRequirement]) -> Result<i128, MarginError> {
    let exact = Exact { account };
    let mut total = 0;
    for part in parts {
        let net = exact.sub(part.risk, part.available, "requirement")?;
        total = exact.add(total, net, "requirement")?;
    }
    Ok(total.max(0))
}
