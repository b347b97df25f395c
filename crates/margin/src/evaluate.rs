//! stage
use crate::{MarginError, MarginReport, Params, Trade, WhatIf};
use plimsoll_types::{Book, Portfolio, RiskArrays};

/// The margin of one account.
pub fn evaluate(
    portfolio: &Portfolio,
    _arrays: &RiskArrays,
    _params: &Params,
) -> Result<MarginReport, MarginError> {
    Err(MarginError::Overflow { account: portfolio.account.clone(), what: "nothing" })
}

/// The margin of every account of a book, in its order. An account that fails does so alone.
pub fn evaluate_book(
    book: &Book,
    arrays: &RiskArrays,
    params: &Params,
) -> Vec<Result<MarginReport, MarginError>> {
    reports(book, arrays, params).collect()
}

/// As [`evaluate_book`], one account at a time: holds one report in memory.
pub fn reports<'a>(
    book: &'a Book,
    arrays: &'a RiskArrays,
    params: &'a Params,
) -> impl Iterator<Item = Result<MarginReport, MarginError>> + 'a {
    book.iter().map(move |portfolio| evaluate(&portfolio, arrays, params))
}

/// The margin before and after trades at the mark.
pub fn what_if(
    portfolio: &Portfolio,
    _trades: &[Trade],
    arrays: &RiskArrays,
    params: &Params,
) -> Result<WhatIf, MarginError> {
    let before = evaluate(portfolio, arrays, params)?;
    Ok(WhatIf { after: before.clone(), before })
}
