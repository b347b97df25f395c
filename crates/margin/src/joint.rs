//! Statistics of one joint profit-and-loss vector, on integers.

use crate::money::Exact;
use crate::{JointTerms, MarginError, Statistic};
use plimsoll_types::NANO;

/// The statistic of equally likely losses, floored at 0. `losses` is not empty; loss > 0.
///
/// Value at risk is number `ceil(level x n)` of the losses in rising order (index above, no interpolation); expected
/// shortfall is the mean of all losses at or beyond it, rounded up (methods, section 24); the tail mean is the mean of
/// that loss and those after it in the order, so of ties at value at risk only as many as are needed.
pub(crate) fn statistic(
    terms: &JointTerms,
    mut losses: Vec<i128>,
    exact: Exact,
) -> Result<i128, MarginError> {
    losses.sort_unstable();
    let worst = losses.last().copied().unwrap_or(0);
    let value = match terms.statistic {
        Statistic::Worst => worst,
        Statistic::ValueAtRisk => value_at_risk(terms, &losses, exact)?,
        Statistic::ExpectedShortfall => {
            let from = value_at_risk(terms, &losses, exact)?;
            mean_up(&losses[losses.partition_point(|loss| *loss < from)..], exact)?
        }
        Statistic::TailMean => mean_up(&losses[place(terms, &losses, exact)?..], exact)?,
    };
    Ok(value.max(0))
}

/// The mean, rounded up.
fn mean_up(losses: &[i128], exact: Exact) -> Result<i128, MarginError> {
    let sum = exact.sum(losses.iter().copied(), "expected shortfall")?;
    let count = i128::try_from(losses.len()).map_err(|_| exact.overflow("expected shortfall"))?;
    exact.ratio_up(sum, 1, count, "expected shortfall")
}

fn value_at_risk(terms: &JointTerms, losses: &[i128], exact: Exact) -> Result<i128, MarginError> {
    let index = place(terms, losses, exact)?;
    losses.get(index).copied().ok_or_else(|| exact.overflow("value at risk"))
}

/// The index, from 0, of value at risk among losses in rising order.
fn place(terms: &JointTerms, losses: &[i128], exact: Exact) -> Result<usize, MarginError> {
    if terms.level.0 <= 0 || terms.level.0 >= NANO {
        return Err(MarginError::Parameter {
            account: exact.account.clone(),
            name: "joint.level".to_owned(),
            value: terms.level.to_string(),
            expected: "between 0 and 1, both excluded",
        });
    }
    let count = i128::try_from(losses.len()).map_err(|_| exact.overflow("value at risk"))?;
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
