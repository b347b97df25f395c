//! Finding a contract by name.

use super::{SpanFile, SpanKind, SpanPeriod, SpanRight};
use plimsoll_types::Decimal;
use std::fmt;

/// A contract as a position names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanContractName {
    /// Exchange.
    pub exchange: String,
    /// Product code.
    pub product: String,
    /// What it is.
    pub kind: SpanKind,
    /// Contract month, or expiry of the option; a month alone finds a contract with a day where there is one only.
    pub period: Option<SpanPeriod>,
    /// Call or put, for options.
    pub right: Option<SpanRight>,
    /// Strike in price points, for options.
    pub strike: Option<Decimal>,
}

/// Why a name finds no contract.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SpanLookupError {
    /// Nothing in the file has it.
    #[error("{name} is not in the file, which has {instead}")]
    Unknown {
        /// As asked for.
        name: String,
        /// The products, expiries or strikes there are where the name leaves the file.
        instead: String,
    },
    /// Several contracts have it.
    #[error("{name} is the name of {found} contracts in the file: expected an expiry with its day")]
    Ambiguous {
        /// As asked for.
        name: String,
        /// How many.
        found: usize,
    },
}

impl fmt::Display for SpanContractName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.exchange, self.product, self.kind)?;
        if let Some(period) = self.period {
            write!(f, " {period}")?;
        }
        if let (Some(right), Some(strike)) = (self.right, self.strike) {
            write!(f, " {strike} {right:?}")?;
        }
        Ok(())
    }
}

/// The contracts of a file in an order that names can be searched in.
pub(super) fn sorted(file: &SpanFile) -> Vec<u32> {
    let count = u32::try_from(file.contracts.len()).unwrap_or(u32::MAX);
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by_key(|at| key(file, *at));
    order
}

type Key = (usize, Option<SpanPeriod>, Option<SpanRight>, Option<Decimal>);

fn key(file: &SpanFile, at: u32) -> Option<Key> {
    let contract = file.contracts.get(usize::try_from(at).unwrap_or(usize::MAX))?;
    Some((contract.product, contract.period, contract.right, contract.strike))
}

/// The contract of a name.
pub(super) fn find(
    file: &SpanFile,
    order: &[u32],
    name: &SpanContractName,
) -> Result<usize, SpanLookupError> {
    let same =
        |p: &super::SpanProduct| p.kind == name.kind && p.code == name.product && p.exchange == name.exchange;
    let unknown = || SpanLookupError::Unknown { name: name.to_string(), instead: instead(file, order, name) };
    let product = file.products.iter().position(same).ok_or_else(unknown)?;
    let from = order.partition_point(|at| {
        key(file, *at)
            .is_none_or(|(p, period, ..)| (p, period.map(SpanPeriod::month)) < (product, month(name)))
    });
    let run = order[from..].iter().map_while(|at| {
        let found = key(file, *at)?;
        (found.0 == product && found.1.map(SpanPeriod::month) == month(name)).then_some((*at, found))
    });
    let of_name: Vec<(u32, Key)> =
        run.filter(|(_, (_, _, right, strike))| *right == name.right && *strike == name.strike).collect();
    let exact: Vec<&(u32, Key)> = of_name.iter().filter(|(_, key)| key.1 == name.period).collect();
    let loose = name.period.is_none_or(|period| !period.has_day());
    let found: Vec<u32> = match (exact.is_empty(), loose) {
        (false, _) => exact.iter().map(|(at, _)| *at).collect(),
        (true, true) => of_name.iter().map(|(at, _)| *at).collect(),
        (true, false) => Vec::new(),
    };
    match found[..] {
        [] => Err(unknown()),
        [at] => usize::try_from(at).map_err(|_| unknown()),
        _ => Err(SpanLookupError::Ambiguous { name: name.to_string(), found: found.len() }),
    }
}

/// What the file has where a name leaves it: products of the kind, expiries of the product, or strikes of the expiry.
fn instead(file: &SpanFile, order: &[u32], name: &SpanContractName) -> String {
    let of_kind = || file.products.iter().enumerate().filter(|(_, product)| product.kind == name.kind);
    let same =
        |product: &super::SpanProduct| product.code == name.product && product.exchange == name.exchange;
    let Some((product, _)) = of_kind().find(|(_, product)| same(product)) else {
        let all = of_kind().map(|(_, product)| format!("{} {}", product.exchange, product.code));
        return format!("of this kind {}", listed(all));
    };
    let keys = || order.iter().filter_map(|at| key(file, *at)).filter(|found| found.0 == product);
    let expiry = |found: &Key| found.1 == name.period || found.1.map(SpanPeriod::month) == month(name);
    let strikes = keys().filter(|found| expiry(found) && found.2 == name.right).filter_map(|found| found.3);
    match (strikes.clone().min(), strikes.clone().max()) {
        (Some(low), Some(high)) if low != high => format!("{} strikes from {low} to {high}", strikes.count()),
        (Some(only), _) => format!("the strike {only}"),
        (None, _) => {
            let mut periods: Vec<SpanPeriod> = keys().filter_map(|found| found.1).collect();
            periods.dedup();
            format!("of this product {}", listed(periods.into_iter().map(|period| period.to_string())))
        }
    }
}

/// The first few of some names, and how many more there are.
fn listed(names: impl Iterator<Item = String>) -> String {
    const MOST: usize = 8;
    let all: Vec<String> = names.collect();
    let more = all.len().saturating_sub(MOST);
    match (all.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => all.join(", "),
        (false, more) => format!("{} and {more} more", all[..MOST].join(", ")),
    }
}

fn month(name: &SpanContractName) -> Option<u32> {
    name.period.map(SpanPeriod::month)
}
