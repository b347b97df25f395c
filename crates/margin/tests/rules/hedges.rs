//! Hedges never raise a scan loss, and no charge falls when a position is doubled.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;

/// Spot moves in cents on an index of 100.00: from -30 % to +30 % in steps of 5 %.
const MOVES: [i64; 13] =
    [-3_000, -2_500, -2_000, -1_500, -1_000, -500, 0, 500, 1_000, 1_500, 2_000, 2_500, 3_000];

/// What is paid on exercise at a strike in cents, at the index moved.
fn intrinsic(call: bool, strike: i64, moved: i64) -> i64 {
    let above = 10_000 + moved - strike;
    if call { above.max(0) } else { (-above).max(0) }
}

const FUTURE: usize = 0;
const OTHER_FUTURE: usize = 1;
const CALL_110: usize = 2;
const PUT_95: usize = 3;
const PUT_85: usize = 4;

/// A future of two expiries, a call at 110 marked 2.00, and puts at 95 and 85 marked 3.00 and 1.00, at their intrinsic
/// value after the move: every column of every block.
fn payoffs() -> RiskArrays {
    let mut arrays = arrays_of(1, MOVES.len(), MOVES.len(), &[0; 50]);
    arrays.instruments[PUT_85].instrument = "BTC_USDC-27FEB26-85-P".parse().unwrap();
    for (row, mark) in [(CALL_110, 200), (PUT_95, 300), (PUT_85, 100)] {
        arrays.instruments[row].mark = mark;
    }
    let width = arrays.scenarios.len();
    for column in 0..width {
        let moved = MOVES[column % MOVES.len()];
        let entries = [
            moved,
            moved,
            intrinsic(true, 11_000, moved) - 200,
            intrinsic(false, 9_500, moved) - 300,
            intrinsic(false, 8_500, moved) - 100,
        ];
        for (row, entry) in entries.iter().enumerate() {
            arrays.pnl[row * width + column] = *entry;
        }
    }
    arrays
}

fn scan_loss(arrays: &RiskArrays, lots: &[i64]) -> i128 {
    let r = evaluate(&portfolio_of(lots, &[], &[]), arrays, &by_worst(Aggregation::Sum)).unwrap();
    r.underlyings.first().map_or(0, |u| u.scan_loss.0)
}

fn by_worst(aggregation: Aggregation) -> Params {
    let worst = JointTerms { statistic: Statistic::Worst, level: Ppb(0), stress_weight: Ppb(0) };
    Params { joint: Some(worst), ..plain(aggregation) }
}

/// The scan loss of so many of each instrument.
fn of(held: &[(usize, i64)]) -> i128 {
    let mut lots = [0; 5];
    for (row, size) in held {
        lots[*row] = *size;
    }
    scan_loss(&payoffs(), &lots)
}

#[test]
fn real_hedges_lower_the_scan_loss_by_what_they_pay() {
    // A short call against a long future earns its 2.00 where the future loses 30.00.
    assert_eq!((of(&[(FUTURE, 1)]), of(&[(FUTURE, 1), (CALL_110, -1)])), (3_000, 2_800));
    // The same cover from the call's side: alone it loses 20.00 - 2.00.
    assert_eq!(of(&[(CALL_110, -1)]), 1_800);
    // A protective put: no worse than 95 - 100 - 3.
    assert_eq!(of(&[(FUTURE, 1), (PUT_95, 1)]), 800);
    // A put bought against a short put: 25 - 3 alone, the width of the strikes less the credit together.
    assert_eq!((of(&[(PUT_95, -1)]), of(&[(PUT_95, -1), (PUT_85, 1)])), (2_200, 800));
    // The opposite future of another expiry, in part and in full.
    assert_eq!(of(&[(FUTURE, 2), (OTHER_FUTURE, -1)]), 3_000);
    assert_eq!(of(&[(FUTURE, 2), (OTHER_FUTURE, -2)]), 0);
    // A conversion: long future, long put, short call of other strikes: bounded both ways, 8.00 less 2.00.
    assert_eq!(of(&[(FUTURE, 1), (PUT_95, 1), (CALL_110, -1)]), 600);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A hedge here is a position that gains or keeps where the book loses, and where the book gains loses no more than
    /// that. It is generated so, in every column.
    #[test]
    fn what_pays_where_the_book_loses_raises_no_loss(a in market(), lots in lots(),
        draws in prop::collection::vec((0_i64..50_000_000, 0_i64..101), 300)) {
        let mut a = a;
        let mut lots = cut(&a, &lots);
        // The hedge is one lot of the future of the first underlying.
        (lots[0], lots[1]) = (0, lots[1] + lots[0] % 7);
        let width = a.scenarios.len();
        let before = AccountState::new(portfolio_of(&lots, &[], &[]), &a).unwrap();
        let own = before.report(&by_worst(Aggregation::Sum)).unwrap();
        let pnl: Vec<i64> = match own.underlyings.first() {
            Some(u) if u.index == 0 => u.pnl.iter().map(|p| i64::try_from(p.0).unwrap()).collect(),
            _ => vec![0; width],
        };
        for (column, (entry, pnl)) in a.pnl.iter_mut().take(width).zip(&pnl).enumerate() {
            let (gain, share) = draws[column % draws.len()];
            *entry = if *pnl < 0 { gain } else { -(*pnl / 100 * share) };
        }
        let unhedged = |params: &Params| evaluate(&portfolio_of(&lots, &[], &[]), &a, params).unwrap();
        let mut hedged = lots.clone();
        hedged[0] = 1;
        let run = |params: &Params| evaluate(&portfolio_of(&hedged, &[], &[]), &a, params).unwrap();
        let params = by_worst(Aggregation::Sum);
        prop_assert!(run(&params).im_detail.sum <= unhedged(&params).im_detail.sum);
        for (x, y) in run(&params).underlyings.iter().zip(&unhedged(&params).underlyings) {
            prop_assert!(x.index != y.index || x.scan_loss <= y.scan_loss);
        }
    }

    #[test]
    fn doubling_a_position_never_lowers_any_of_its_charges(a in market(), at in 0_usize..5,
        size in 1_i64..2_000_000, short in any::<bool>(), near in 0_i64..200_000) {
        let mut a = a;
        a.instruments[3].seconds_to_expiry = Some(near);
        let joint = JointTerms { statistic: Statistic::ExpectedShortfall, level: Ppb(900_000_000), stress_weight: Ppb(0) };
        for mode in [Mode::Portfolio, Mode::Cross, Mode::Isolated] {
            let params = Params { mode, joint: Some(joint), ..plimsoll() };
            let run = |k: i64| {
                let mut lots = vec![0; a.instruments.len()];
                lots[at] = if short { -k * size } else { k * size };
                evaluate(&portfolio_of(&lots, &[], &[]), &a, &params).unwrap()
            };
            let (one, two) = (run(1), run(2));
            no_charge_falls(&one, &two);
            prop_assert!(two.im >= one.im && two.mm >= one.mm);
        }
    }

    #[test]
    fn doubling_a_book_never_lowers_any_of_its_charges(a in market(), lots in lots(), k in 2_i64..9) {
        let lots = cut(&a, &lots);
        let many: Vec<i64> = lots.iter().map(|l| l * k).collect();
        let joint = JointTerms { statistic: Statistic::ExpectedShortfall, level: Ppb(900_000_000), stress_weight: Ppb(0) };
        for mode in [Mode::Portfolio, Mode::Isolated] {
            let params = Params { mode, joint: Some(joint), ..plimsoll() };
            let run = |lots: &[i64]| evaluate(&portfolio_of(lots, &[], &[]), &a, &params).unwrap();
            no_charge_falls(&run(&lots), &run(&many));
        }
    }
}

/// Sums of a charge over its kind and asset.
fn sums(r: &MarginReport, kind: AddonKind, asset: &Asset) -> (i128, i128) {
    let own = r.addons.iter().filter(|a| a.kind == kind && a.asset == *asset);
    own.fold((0, 0), |(im, mm), a| (im + a.im.0, mm + a.mm.0))
}

fn no_charge_falls(small: &MarginReport, large: &MarginReport) {
    for charge in &small.addons {
        let (one, two) = (sums(small, charge.kind, &charge.asset), sums(large, charge.kind, &charge.asset));
        assert!(two.0 >= one.0 && two.1 >= one.1, "{:?}: {one:?} then {two:?}", charge.kind);
    }
}

#[test]
fn every_charge_there_is_rises_with_the_book() {
    // Small moves, so that the minimum for short options bites; a put that expires in six hours; opposite futures.
    let mut a = arrays_of(1, 3, 2, &(1..60).collect::<Vec<i64>>());
    a.underlyings[0].confidence = Ppb(500_000_000);
    a.instruments[PUT_95].seconds_to_expiry = Some(21_600);
    for (row, delta, vega, funding) in [
        (FUTURE, 100_000, 0, 0),
        (OTHER_FUTURE, 100_000, 0, -50),
        (CALL_110, 40_000, 30_000, 0),
        (PUT_95, -40_000, 30_000, 0),
    ] {
        a.instruments[row].greeks = GreekTicks { delta, vega, ..GreekTicks::default() };
        a.instruments[row].funding_8h = funding;
    }
    let joint = JointTerms {
        statistic: Statistic::ExpectedShortfall,
        level: Ppb(900_000_000),
        stress_weight: Ppb(0),
    };
    let params = Params { joint: Some(joint), ..plimsoll() };
    let run = |k: i64| {
        let lots = [1_000_000, -500_000, 300_000, -400_000].map(|l| l * k);
        evaluate(&portfolio_of(&lots, &[], &[]), &a, &params).unwrap()
    };
    let (one, ten) = (run(1), run(10));
    for kind in [
        AddonKind::ShortOption,
        AddonKind::Basis,
        AddonKind::Vega,
        AddonKind::Liquidity,
        AddonKind::VegaLiquidity,
        AddonKind::Confidence,
        AddonKind::Expiry,
        AddonKind::Funding,
    ] {
        let btc: Asset = "BTC".parse().unwrap();
        let (small, large) = (sums(&one, kind, &btc), sums(&ten, kind, &btc));
        assert!(small.0 > 0, "{kind:?} {:?}", one.addons);
        // Nothing is cheaper in bulk: ten times the book is at least ten times the charge, but for rounding.
        assert!(large.0 + 10 >= 10 * small.0 && large.1 + 10 >= 10 * small.1, "{kind:?} {small:?} {large:?}");
    }
}
