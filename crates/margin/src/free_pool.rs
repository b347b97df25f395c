//! Where the free collateral of an isolated account goes.

use crate::money::{Exact, split};
use crate::{MarginError, MarginReport};

/// What one position has and what it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Needs {
    /// Its own equity, and what it was given so far.
    pub(crate) equity: i128,
    /// Maintenance margin, that with orders, initial margin, that with orders: each at least the one before.
    levels: [i128; 4],
    /// Its part of what no one needs, in proportion; > 0.
    pub(crate) weight: i128,
}

impl Needs {
    /// The needs of a position by the report of it alone.
    pub(crate) fn of(report: &MarginReport) -> Self {
        let bare_mm = report.mm.0.saturating_sub(report.orders.extra.mm.0);
        let mm = report.mm.0.max(bare_mm);
        let bare_im = report.im.0.saturating_sub(report.orders.extra.im.0).max(mm);
        let im = report.im.0.max(bare_im);
        // One tick more than initial margin, so that the weights are never all zero.
        let weight = report.im.0.max(0).saturating_add(1);
        Self { equity: report.equity.0, levels: [bare_mm, mm, bare_im, im], weight }
    }
}

/// Gives out an amount, each level of need in turn and what is left by weight; at a level that cannot be met, in
/// proportion to what each lacks. A debt (amount < 0) is taken from what lies above the highest level first, then from
/// what lies above the next, and what is left by weight.
pub(crate) fn distribute(amount: i128, needs: &mut [Needs], exact: Exact) -> Result<(), MarginError> {
    let what = "the share of collateral";
    let mut left = amount;
    for step in 0..4 {
        let level = if amount > 0 { step } else { 3 - step };
        let mut gaps = Vec::with_capacity(needs.len());
        for need in needs.iter() {
            let lacks = exact.sub(need.levels[level], need.equity, what)?;
            gaps.push(if amount > 0 { lacks.max(0) } else { lacks.min(0) });
        }
        let all = exact.sum(gaps.iter().copied(), what)?;
        let given = if amount > 0 { left.min(all) } else { left.max(all) };
        if given == 0 {
            continue;
        }
        let sizes: Vec<i128> = gaps.iter().map(|gap| gap.abs()).collect();
        give(given, &sizes, needs, exact)?;
        left = exact.sub(left, given, what)?;
    }
    let weights: Vec<i128> = needs.iter().map(|need| need.weight).collect();
    give(left, &weights, needs, exact)
}

fn give(amount: i128, weights: &[i128], needs: &mut [Needs], exact: Exact) -> Result<(), MarginError> {
    for (need, part) in needs.iter_mut().zip(split(amount, weights, exact)?) {
        need.equity = exact.add(need.equity, part, "the share of collateral")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(amount: i128, positions: &[(i128, [i128; 4])]) -> Vec<i128> {
        let account = "a".parse().unwrap();
        let need =
            |(equity, levels): &(i128, [i128; 4])| Needs { equity: *equity, levels: *levels, weight: 1 };
        let mut needs: Vec<Needs> = positions.iter().map(need).collect();
        distribute(amount, &mut needs, Exact { account: &account }).unwrap();
        needs.iter().map(|need| need.equity).collect()
    }

    #[test]
    fn maintenance_margin_comes_first_then_initial_margin_then_orders_then_the_rest() {
        let two = [(0, [10, 10, 20, 20]), (0, [30, 30, 40, 70])];
        assert_eq!(after(20, &two), [5, 15]);
        assert_eq!(after(40, &two), [10, 30]);
        assert_eq!(after(60, &two), [20, 40]);
        assert_eq!(after(80, &two), [20, 60]);
        assert_eq!(after(100, &two), [25, 75]);
        // What one has beyond its need does not serve the other.
        assert_eq!(after(10, &[(100, [10, 10, 20, 20]), (0, [30, 30, 40, 70])]), [100, 10]);
    }

    #[test]
    fn a_debt_takes_what_nobody_needs_first() {
        let two = [(25, [10, 10, 20, 20]), (75, [30, 30, 40, 70])];
        assert_eq!(after(-10, &two), [20, 70]);
        assert_eq!(after(-40, &two), [20, 40]);
        assert_eq!(after(-60, &two), [10, 30]);
        assert_eq!(after(-100, &two), [-10, 10]);
        assert_eq!(after(-110, &two), [-15, 5]);
        assert_eq!(after(0, &two), [25, 75]);
    }
}
