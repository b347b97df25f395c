//! Statistics of one joint profit-and-loss vector, on integers.

use crate::money::Exact;
use crate::{JointTerms, MarginError, Statistic};
use plimsoll_types::NANO;

/// The losses from value at risk on, which is all that a statistic reads.
#[derive(Clone, Copy)]
pub(crate) struct Extreme<'a> {
    /// Value at risk first, the worst loss last, those between in any order; not empty.
    pub(crate) largest: &'a [i128],
    /// How many of the losses before are equal to value at risk.
    pub(crate) ties_below: u64,
}

/// The statistic of equally likely losses, floored at 0. `losses` is not empty; loss > 0.
pub(crate) fn statistic(
    terms: &JointTerms,
    mut losses: Vec<i128>,
    exact: Exact,
) -> Result<i128, MarginError> {
    losses.sort_unstable();
    let (below, largest) = losses.split_at(place(terms, losses.len(), exact)?);
    let first = largest.first().copied().unwrap_or(0);
    let ties_below = below.iter().rev().take_while(|loss| **loss == first).count() as u64;
    extreme_statistic(terms, Extreme { largest, ties_below }, exact)
}

/// The statistic from the losses it reads, floored at 0.
///
/// Value at risk is number `ceil(level x n)` of the losses in rising order (index above, no interpolation); expected
/// shortfall is the mean of all losses at or beyond it, rounded up (methods, section 24); the tail mean is the mean of
/// that loss and those after it in the order, so of ties at value at risk only as many as are needed.
pub(crate) fn extreme_statistic(
    terms: &JointTerms,
    Extreme { largest, ties_below }: Extreme<'_>,
    exact: Exact,
) -> Result<i128, MarginError> {
    let what = "expected shortfall";
    let first = largest.first().copied().unwrap_or(0);
    let value = match terms.statistic {
        Statistic::Worst => largest.last().copied().unwrap_or(0),
        Statistic::ValueAtRisk => first,
        Statistic::ExpectedShortfall => {
            let ties = exact.mul(first, i128::from(ties_below), what)?;
            let sum = exact.add(exact.sum(largest.iter().copied(), what)?, ties, what)?;
            mean_up(sum, largest.len() as u64 + ties_below, exact)?
        }
        Statistic::TailMean => {
            mean_up(exact.sum(largest.iter().copied(), what)?, largest.len() as u64, exact)?
        }
    };
    Ok(value.max(0))
}

/// The mean, rounded up.
fn mean_up(sum: i128, count: u64, exact: Exact) -> Result<i128, MarginError> {
    exact.ratio_up(sum, 1, i128::from(count), "expected shortfall")
}

/// The index, from 0, of value at risk among so many losses in rising order, at least 1; for the worst loss the last.
pub(crate) fn place(terms: &JointTerms, losses: usize, exact: Exact) -> Result<usize, MarginError> {
    if terms.statistic == Statistic::Worst {
        return Ok(losses.saturating_sub(1));
    }
    if terms.level.0 <= 0 || terms.level.0 >= NANO {
        return Err(MarginError::Parameter {
            account: exact.account.clone(),
            name: "joint.level".to_owned(),
            value: terms.level.to_string(),
            expected: "between 0 and 1, both excluded",
        });
    }
    let count = i128::try_from(losses).map_err(|_| exact.overflow("value at risk"))?;
    let place = exact.ratio_up(count, i128::from(terms.level.0), i128::from(NANO), "value at risk")?;
    usize::try_from(place - 1).map_err(|_| exact.overflow("value at risk"))
}

/// `(1 - w) M + w M_stress`, rounded up.
pub(crate) fn blend(
    terms: &JointTerms,
    ordinary: i128,
    stressed: i128,
    exact: Exact,
) -> Result<i128, MarginError> {
    let weight = i128::from(terms.stress_weight.0);
    if !(0..=i128::from(NANO)).contains(&weight) {
        return Err(MarginError::Parameter {
            account: exact.account.clone(),
            name: "joint.stress_weight".to_owned(),
            value: terms.stress_weight.to_string(),
            expected: "between 0 and 1",
        });
    }
    let a = exact.mul(ordinary, i128::from(NANO) - weight, "stress blend")?;
    let b = exact.mul(stressed, weight, "stress blend")?;
    exact.ratio_up(exact.add(a, b, "stress blend")?, 1, i128::from(NANO), "stress blend")
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_types::Ppb;

    fn of(statistic_kind: Statistic, level: i64, losses: &[i128]) -> i128 {
        let account = "a".parse().unwrap();
        let terms =
            JointTerms { statistic: statistic_kind, level: Ppb(level), stress_weight: Ppb(250_000_000) };
        statistic(&terms, losses.to_vec(), Exact { account: &account }).unwrap()
    }

    #[test]
    fn value_at_risk_takes_the_index_above_and_shortfall_rounds_against_the_account() {
        let losses: Vec<i128> = (1..=100).rev().collect();
        assert_eq!(of(Statistic::ValueAtRisk, 990_000_000, &losses), 99);
        assert_eq!(of(Statistic::ValueAtRisk, 985_000_000, &losses), 99);
        // Mean of 99 and 100 is 99.5.
        assert_eq!(of(Statistic::ExpectedShortfall, 990_000_000, &losses), 100);
        assert_eq!(of(Statistic::Worst, 1, &losses), 100);
        assert_eq!(of(Statistic::ValueAtRisk, 500_000_000, &[-5, -4]), 0);
    }

    #[test]
    fn ties_at_value_at_risk_dilute_expected_shortfall_but_not_the_tail_mean() {
        // Value at risk at 80 % of five is number 4: 10. Three losses are at or beyond it, two from number 4 on.
        let losses = [0, 0, 10, 10, 40];
        assert_eq!(of(Statistic::ValueAtRisk, 800_000_000, &losses), 10);
        assert_eq!(of(Statistic::ExpectedShortfall, 800_000_000, &losses), 20);
        assert_eq!(of(Statistic::TailMean, 800_000_000, &losses), 25);
        // Without the tie both are 25: the larger third loss lowered expected shortfall.
        let before = [0, 0, 9, 10, 40];
        assert_eq!(of(Statistic::ExpectedShortfall, 800_000_000, &before), 25);
        assert_eq!(of(Statistic::TailMean, 800_000_000, &before), 25);
    }

    #[test]
    fn a_quarter_of_the_stressed_period_counts() {
        let account = "a".parse().unwrap();
        let exact = Exact { account: &account };
        let terms =
            JointTerms { statistic: Statistic::Worst, level: Ppb(0), stress_weight: Ppb(250_000_000) };
        assert_eq!(blend(&terms, 100, 300, exact), Ok(150));
        assert_eq!(blend(&terms, 1, 2, exact), Ok(2));
    }
}
