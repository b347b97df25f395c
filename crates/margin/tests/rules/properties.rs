//! Random books against an obviously simple reference, and the properties the design promises.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;

const JOINT: JointTerms = JointTerms {
    statistic: Statistic::ExpectedShortfall,
    level: Ppb(900_000_000),
    stress_weight: Ppb(250_000_000),
};

/// The reference: loops, no reuse, no lanes.
mod naive {
    use super::*;

    pub(super) fn pnl(a: &RiskArrays, lots: &[i64], u: usize, s: usize) -> i128 {
        let mine = |i: &usize| a.instruments[*i].underlying.index() == u;
        (0..lots.len())
            .filter(mine)
            .map(|i| i128::from(lots[i]) * i128::from(a.pnl[i * a.scenarios.len() + s]))
            .sum()
    }

    pub(super) fn columns(a: &RiskArrays, kind: BlockKind) -> Vec<usize> {
        a.blocks.iter().filter(|b| b.kind == kind).flat_map(|b| b.columns.clone()).collect()
    }

    pub(super) fn scan(a: &RiskArrays, lots: &[i64], u: usize, kind: BlockKind) -> i128 {
        columns(a, kind).into_iter().map(|s| -pnl(a, lots, u, s)).max().unwrap_or(0).max(0)
    }

    pub(super) fn sum(a: &RiskArrays, lots: &[i64]) -> i128 {
        (0..a.underlyings.len()).map(|u| scan(a, lots, u, BlockKind::Grid)).sum()
    }

    pub(super) fn live(a: &RiskArrays, lots: &[i64]) -> usize {
        let any = |u: &usize| (0..a.scenarios.len()).any(|s| pnl(a, lots, *u, s) != 0);
        (0..a.underlyings.len()).filter(any).count()
    }

    pub(super) fn factor(a: &RiskArrays, lots: &[i64], floor_ppb: i128) -> i128 {
        let sum = sum(a, lots);
        if live(a, lots) < 2 {
            return sum;
        }
        let mut worst = 0;
        for state in FACTOR_STATES {
            let joint = |s| -> i128 { (0..a.underlyings.len()).map(|u| -pnl(a, lots, u, s)).sum() };
            let systematic = columns(a, BlockKind::Systematic(state)).into_iter().map(joint).max().unwrap();
            let own: i128 =
                (0..a.underlyings.len()).map(|u| scan(a, lots, u, BlockKind::Idiosyncratic(state))).sum();
            worst = worst.max(systematic.max(0) + own);
        }
        let floor = (sum * floor_ppb + 999_999_999) / 1_000_000_000;
        let largest = (0..a.underlyings.len()).map(|u| scan(a, lots, u, BlockKind::Grid)).max().unwrap();
        worst.min(sum).max(floor).max(largest)
    }

    /// Expected shortfall at 90 %, blended with a quarter of the stressed one.
    pub(super) fn shortfall(a: &RiskArrays, lots: &[i64], kind: BlockKind) -> i128 {
        let mut losses: Vec<i128> = columns(a, kind)
            .into_iter()
            .map(|s| (0..a.underlyings.len()).map(|u| -pnl(a, lots, u, s)).sum())
            .collect();
        losses.sort();
        let var = losses[(losses.len() * 9).div_ceil(10) - 1];
        let tail: Vec<i128> = losses.into_iter().filter(|x| *x >= var).collect();
        let (sum, n): (i128, i128) = (tail.iter().sum(), tail.len() as i128);
        let mut mean = sum.div_euclid(n);
        if mean * n < sum {
            mean += 1;
        }
        mean.max(0)
    }

    pub(super) fn joint(a: &RiskArrays, lots: &[i64]) -> i128 {
        let (m, s) = (shortfall(a, lots, BlockKind::Joint), shortfall(a, lots, BlockKind::StressedJoint));
        (3 * m + s + 3) / 4
    }
}

fn with_joint(aggregation: Aggregation) -> Params {
    Params { joint: Some(JOINT), ..plain(aggregation) }
}

fn factor() -> Aggregation {
    Aggregation::Factor { floor_share: Ppb(500_000_000) }
}

fn run(arrays: &RiskArrays, lots: &[i64], params: &Params) -> MarginReport {
    evaluate(&portfolio_of(lots, &[], &[]), arrays, params).unwrap()
}

/// The report's parts add up to its totals.
fn complete(r: &MarginReport) {
    let im: i128 = r.addons.iter().map(|a| a.im.0).sum();
    let mm: i128 = r.addons.iter().map(|a| a.mm.0).sum();
    assert_eq!(r.im.0, r.base.im.0 + r.guard.im.0 + im - r.premium_relief.im.0 + r.orders.extra.im.0);
    assert_eq!(r.mm.0, r.base.mm.0 + r.guard.mm.0 + mm - r.premium_relief.mm.0 + r.orders.extra.mm.0);
    let held: i128 = r.collateral.iter().map(|c| c.counted.0).sum();
    assert_eq!(r.equity.0, held + r.marks.0 + r.unrealised.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_aggregate_equals_the_naive_reference(a in market(), lots in lots()) {
        let lots = cut(&a, &lots);
        let joint = if lots.iter().all(|l| *l == 0) { 0 } else { naive::joint(&a, &lots) };
        let sum = naive::sum(&a, &lots);
        let f = naive::factor(&a, &lots, 500_000_000);
        prop_assert_eq!(run(&a, &lots, &with_joint(Aggregation::Sum)).aggregate.im.0, sum.max(joint));
        prop_assert_eq!(run(&a, &lots, &with_joint(factor())).aggregate.im.0, f.max(joint));
        prop_assert_eq!(run(&a, &lots, &plain(Aggregation::Joint(JOINT))).aggregate.mm.0, sum.max(joint));
        let worst = JointTerms { statistic: Statistic::Worst, stress_weight: Ppb(0), ..JOINT };
        let r = run(&a, &lots, &plain(Aggregation::Joint(worst)));
        let largest = naive::columns(&a, BlockKind::Joint).into_iter()
            .map(|s| (0..a.underlyings.len()).map(|u| -naive::pnl(&a, &lots, u, s)).sum::<i128>()).max().unwrap();
        prop_assert_eq!(r.aggregate.im.0, largest.max(0).max(sum));
    }

    #[test]
    fn both_lanes_agree_and_each_names_itself(a in market(), lots in lots(), big in any::<bool>()) {
        let lots: Vec<i64> = cut(&a, &lots).iter().map(|l| if big { l * 1_000_000_000_000 } else { *l }).collect();
        let p = portfolio_of(&lots, &[], &[]);
        let params = with_joint(factor());
        let narrow = AccountState::new(p.clone(), &a).unwrap();
        let wide = AccountState::wide(p, &a).unwrap();
        prop_assert_eq!(narrow.report(&params).unwrap(), wide.report(&params).unwrap());
        let bound: i128 = lots.iter().enumerate().map(|(i, l)| {
            let row = a.row(InstrumentIx(u32::try_from(i).unwrap()));
            i128::from(l.abs()) * row.iter().map(|e| i128::from(e.abs())).max().unwrap()
        }).sum();
        prop_assert_eq!(narrow.lane() == Lane::Narrow, bound < 1 << 62);
    }

    #[test]
    fn the_factor_loss_lies_between_its_floor_and_the_sum(a in market(), lots in lots()) {
        let lots = cut(&a, &lots);
        let params = Params { joint: Some(JointTerms { stress_weight: Ppb(0), ..JOINT }), ..plain(factor()) };
        let mut grid = a.clone();
        grid.blocks.retain(|b| b.kind != BlockKind::Joint);
        let r = run(&grid, &lots, &params);
        prop_assert!(r.aggregate.im <= r.im_detail.sum);
        prop_assert!(2 * r.aggregate.im.0 >= r.im_detail.sum.0);
    }

    #[test]
    fn reducing_a_position_by_its_opposite_never_raises_its_scan_loss(
        a in market(), at in 0_usize..5, held in 1_i64..2_000, short in any::<bool>(), share in 0_i64..101
    ) {
        let size = if short { -held } else { held };
        let mut lots = vec![0; a.instruments.len()];
        lots[at] = size;
        let before = run(&a, &lots, &with_joint(factor())).aggregate.im;
        lots[at] = size - size * share / 100;
        prop_assert!(run(&a, &lots, &with_joint(factor())).aggregate.im <= before);
    }

    #[test]
    fn scan_loss_scales_with_the_book_and_closing_half_of_it_never_raises_it(a in market(), lots in lots()) {
        let lots = cut(&a, &lots);
        let before = run(&a, &lots, &plain_sum());
        let halved: Vec<i64> = lots.iter().map(|l| l - l / 2).collect();
        let twice: Vec<i64> = lots.iter().map(|l| l * 2).collect();
        prop_assert!(run(&a, &halved, &plain_sum()).aggregate.im.0 <= before.aggregate.im.0 + slack(&a, &lots));
        prop_assert_eq!(run(&a, &twice, &plain_sum()).aggregate.im.0, 2 * before.aggregate.im.0);
    }

    #[test]
    fn the_order_of_the_instruments_does_not_matter(a in market(), lots in lots()) {
        let lots = cut(&a, &lots);
        let mut turned = a.clone();
        turned.instruments.reverse();
        turned.pnl = a.pnl.chunks(a.scenarios.len()).rev().flatten().copied().collect();
        let mut back = lots.clone();
        back.reverse();
        let params = Params { joint: Some(JOINT), aggregation: factor(), ..plimsoll() };
        let (x, y) = (run(&a, &lots, &params), run(&turned, &back, &params));
        prop_assert_eq!(x.summary(), y.summary());
        prop_assert_eq!(x.addons, y.addons);
    }

    #[test]
    fn requirements_grow_with_the_book_and_the_parts_add_up(a in market(), lots in lots(), k in 1_i64..20,
        orders in prop::collection::vec((0_u32..5, -500_i64..500, -1_000_i64..1_000), 0..5)) {
        let lots = cut(&a, &lots);
        let scaled: Vec<i64> = lots.iter().map(|l| l * k).collect();
        for mode in [Mode::Portfolio, Mode::Cross, Mode::Isolated, Mode::Fixed] {
            let fixed = Some(FixedRatio { im_ratio: Ppb(1_500_000_000), mm_ratio: Ppb(1_000_000_000) });
            let params = Params { joint: Some(JOINT), mode, fixed, ..plimsoll() };
            let held = [("USD", 50_000_000_000), ("USDC", 1_000_000_000_000), ("BTC", 3_000_000_000)];
            let one = evaluate(&portfolio_of(&lots, &held, &orders), &a, &params).unwrap();
            complete(&one);
            let bare = evaluate(&portfolio_of(&lots, &held, &[]), &a, &params).unwrap();
            prop_assert!(one.im >= bare.im && one.mm == bare.mm);
            let (small, large) = (run(&a, &lots, &params), run(&a, &scaled, &params));
            prop_assert!(large.im >= small.im && large.mm >= small.mm, "{:?}", mode);
            for (s, l) in small.addons.iter().filter(|_| mode != Mode::Isolated).zip(&large.addons) {
                prop_assert!(s.kind != l.kind || l.im >= s.im);
            }
        }
    }

    #[test]
    fn a_book_of_long_options_is_never_charged_more_than_its_premium(a in market(), lots in lots(),
        btc in 0_i128..5_000_000_000) {
        let mut lots = cut(&a, &lots);
        for (i, l) in lots.iter_mut().enumerate() {
            *l = if a.instruments[i].instrument.option().is_some() { l.abs() } else { 0 };
        }
        for mode in [Mode::Portfolio, Mode::Cross, Mode::Isolated] {
            let params = Params { mode, joint: Some(JOINT), ..plimsoll() };
            let r = run(&a, &lots, &params);
            prop_assert!(r.im <= r.marks && r.mm <= r.im && r.im_excess.0 >= 0);
            let rich = evaluate(&portfolio_of(&lots, &[("BTC", btc), ("USDC", btc)], &[]), &a, &params).unwrap();
            prop_assert!(rich.im_excess.0 >= 0);
        }
        let span = load("span-margin.toml");
        let two = a.underlyings.len() < 3;
        if two {
            let r = run(&a, &lots, &span);
            prop_assert!(r.im <= r.marks && r.im_excess.0 >= 0);
            complete(&r);
        }
    }

    #[test]
    fn what_if_equals_a_full_evaluation_of_the_traded_book(a in market(), lots in lots(), at in 0_usize..5,
        traded in -3_000_i64..3_000) {
        let lots = cut(&a, &lots);
        let params = Params { joint: Some(JOINT), ..plimsoll() };
        let ix = InstrumentIx(u32::try_from(at).unwrap());
        let before = portfolio_of(&lots, &[("USD", 7_000_000_000)], &[(0, 5, -3)]);
        let answer = what_if(&before, &[Trade { instrument: ix, lots: Lots(traded) }], &a, &params).unwrap();
        let mut after = lots.clone();
        after[at] += traded;
        let mut book = portfolio_of(&after, &[("USD", 7_000_000_000)], &[(0, 5, -3)]);
        let paid = Ticks(-i128::from(traded) * i128::from(a.instruments[at].mark));
        match book.positions.iter_mut().find(|p| p.instrument == ix) {
            Some(position) => position.unrealised = paid,
            None => {
                let place = book.positions.partition_point(|p| p.instrument < ix);
                book.positions.insert(place, Position { instrument: ix, lots: Lots(0), unrealised: paid });
            }
        }
        prop_assert_eq!(answer.after.equity, answer.before.equity);
        prop_assert_eq!(answer.after, evaluate(&book, &a, &params).unwrap());
    }

    #[test]
    fn the_bound_on_open_orders_covers_the_exact_search(a in market(), lots in lots(),
        orders in prop::collection::vec((0_u32..5, -900_i64..900, -1_000_i64..1_000), 1..5)) {
        let lots = cut(&a, &lots);
        let book = portfolio_of(&lots, &[], &orders);
        for (mode, terms) in [(Mode::Portfolio, by_value_at_risk()), (Mode::Cross, by_value_at_risk()),
            (Mode::Portfolio, with_joint(factor())), (Mode::Cross, with_joint(factor())),
            (Mode::Portfolio, plain(Aggregation::Joint(JOINT)))] {
            let at = |method| {
                let orders = OrderTerms { method, in_mm: true };
                let params = Params { mode, orders, ..terms.clone() };
                evaluate(&book, &a, &params).unwrap()
            };
            let (bound, exact) = (at(OrderMethod::Bound), at(OrderMethod::Exact { max_orders: 8 }));
            prop_assert!(bound.im >= exact.im && bound.mm >= exact.mm);
            prop_assert!(exact.orders.extra.im.0 >= 0 && exact.orders.extra.mm.0 >= 0);
            for i in 0..1_u32 << orders.len() {
                let mut filled = AccountState::new(portfolio_of(&lots, &[], &[]), &a).unwrap();
                let mut edge = 0;
                for (n, (ix, l, e)) in orders.iter().enumerate().filter(|(n, _)| i >> n & 1 == 1) {
                    let _ = n;
                    filled.trade(&Trade { instrument: InstrumentIx(*ix), lots: Lots(*l) }).unwrap();
                    edge += i128::from(*e).min(0);
                }
                let r = filled.report(&Params { mode, ..terms.clone() }).unwrap();
                prop_assert!(exact.im.0 >= r.im.0 - edge);
            }
        }
    }

    #[test]
    fn with_its_guard_a_requirement_is_never_below_the_one_in_finer_ticks(a in market(), lots in lots()) {
        // The same market in ticks a thousand times finer is the unrounded one; rounding it to nearest gives ours.
        let lots = cut(&a, &lots);
        let mut coarse = a.clone();
        coarse.blocks.retain(|b| !matches!(b.kind, BlockKind::Joint | BlockKind::StressedJoint));
        let mut fine = coarse.clone();
        coarse.pnl = fine.pnl.iter().map(|x| (x + 500).div_euclid(1_000)).collect();
        fine.ticks_per_unit *= 1_000;
        for aggregation in [Aggregation::Sum, factor()] {
            let guarded = Params { rounding_guard: true, ..plain(aggregation.clone()) };
            let ours = run(&coarse, &lots, &guarded);
            let unrounded = run(&fine, &lots, &plain(aggregation));
            if ours.premium_relief == Requirement::default() {
                prop_assert!(1_000 * ours.im.0 >= unrounded.im.0 - unrounded.premium_relief.im.0);
                prop_assert!(1_000 * ours.mm.0 >= unrounded.mm.0);
            }
        }
    }

    #[test]
    fn an_attribution_adds_up_and_leaves_no_residual(a in market(), first in lots(), second in lots()) {
        let (x, y) = (cut(&a, &first), cut(&a, &second));
        let params = Params { joint: Some(JOINT), ..plimsoll() };
        let dearer = Params { im_scale: Ppb(1_500_000_000), ..params.clone() };
        let (before, moved, after) = (run(&a, &x, &params), run(&a, &y, &params), run(&a, &y, &dearer));
        let steps = [(Cause::Price, &before), (Cause::Position, &moved), (Cause::Parameter, &after)];
        let split = attribute(&before, &steps, &after);
        for part in [split.im, split.mm, split.equity] {
            prop_assert_eq!(part.residual, Ticks(0));
            prop_assert_eq!(part.sum(), part.total);
        }
        prop_assert_eq!(split.im.position, Ticks(moved.im.0 - before.im.0));
        prop_assert_eq!(attribute(&before, &[], &after).im.residual, Ticks(after.im.0 - before.im.0));
    }
}

fn by_value_at_risk() -> Params {
    Params { joint: Some(JointTerms { statistic: Statistic::ValueAtRisk, ..JOINT }), ..plain(factor()) }
}

fn plain_sum() -> Params {
    let worst = JointTerms { statistic: Statistic::Worst, stress_weight: Ppb(0), ..JOINT };
    Params { joint: Some(worst), ..plain(Aggregation::Sum) }
}

/// Halving whole lots rounds each up by at most one lot.
fn slack(a: &RiskArrays, lots: &[i64]) -> i128 {
    let held = lots.iter().filter(|l| **l % 2 != 0).count() as i128;
    let most = a.pnl.iter().map(|x| i128::from(x.abs())).max().unwrap_or(0);
    held * most
}
