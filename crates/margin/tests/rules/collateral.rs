//! Collateral that falls with the account, and debts, with numbers worked by hand.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;

const USD: i64 = 1_000_000;
const THOUSAND: i128 = 1_000_000_000_000;

/// Future of BTC whose two grid scenarios lose `losses` USD per lot and move BTC by `moves` per cent.
fn one_future(losses: [i64; 2], moves: [i64; 2]) -> RiskArrays {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    for column in 0..2 {
        arrays.pnl[column] = -losses[column] * USD;
        arrays.scenarios[column].spot[0] = Ppb(moves[column] * 10_000_000);
    }
    arrays
}

/// The recommended terms without other charges; BTC with a share of its fall and a share in maintenance margin.
fn terms(wrong_way: i64, mm_share: i64) -> Params {
    let mut params = Params { addons: Addons::default(), rounding_guard: false, ..plimsoll() };
    let btc = params.collateral.get_mut(&"BTC".parse().unwrap()).unwrap();
    (btc.wrong_way, btc.mm_share) = (Ppb(wrong_way * 10_000_000), Ppb(mm_share * 10_000_000));
    params
}

fn wrong_way(report: &MarginReport) -> Vec<(i128, i128)> {
    let of_kind = report.addons.iter().filter(|a| a.kind == AddonKind::WrongWay);
    of_kind.map(|a| (a.im.0 / i128::from(USD), a.mm.0 / i128::from(USD))).collect()
}

/// One lot on 1,000 BTC at 100 USD, and a debt.
fn charged(arrays: &RiskArrays, params: &Params, owed: i128) -> Vec<(i128, i128)> {
    let held = [("BTC", THOUSAND), ("USD", -owed * 1_000_000_000)];
    let r = evaluate(&portfolio_of(&[1], &held, &[]), arrays, params).unwrap();
    complete(&r);
    wrong_way(&r)
}

fn complete(r: &MarginReport) {
    let im: i128 = r.addons.iter().map(|a| a.im.0).sum();
    let mm: i128 = r.addons.iter().map(|a| a.mm.0).sum();
    assert_eq!(r.im.0, r.base.im.0 + r.guard.im.0 + im - r.premium_relief.im.0 + r.orders.extra.im.0);
    assert_eq!(r.mm.0, r.base.mm.0 + r.guard.mm.0 + mm - r.premium_relief.mm.0 + r.orders.extra.mm.0);
    let counted: i128 = r.collateral.iter().map(|c| c.counted.0).sum();
    assert!(r.collateral.iter().all(|c| c.counted.0 == c.value.0 - c.haircut.0));
    assert_eq!(r.equity.0, counted + r.marks.0 + r.unrealised.0);
}

#[test]
fn wrong_way_collateral_is_charged_its_fall_but_never_more_than_the_loss() {
    // 100,000 USD of coin fall by 15 %: 7,500 at a half, 3,000 at a fifth, and never more than is lost.
    for (lost, share, charge) in [(6_000, 50, 6_000), (9_000, 50, 7_500), (6_000, 20, 3_000), (10, 50, 10)] {
        let arrays = one_future([0, lost], [15, -15]);
        assert_eq!(charged(&arrays, &terms(share, 100), 0), [(charge, charge)], "{lost} {share}");
        // A debt of half the collateral changes nothing.
        assert_eq!(charged(&arrays, &terms(share, 100), 50_000), [(charge, charge)]);
        assert_eq!(charged(&arrays, &terms(share, 60), 0), [(charge, charge * 6 / 10)]);
    }
    // Nothing where nothing is lost, nothing where the coin rises, nothing at a share of zero.
    assert_eq!(charged(&one_future([0, 0], [15, -15]), &terms(50, 100), 50_000), []);
    assert_eq!(charged(&one_future([6_000, 0], [15, -15]), &terms(50, 100), 50_000), []);
    assert_eq!(charged(&one_future([0, 6_000], [15, -15]), &terms(0, 100), 50_000), []);
}

#[test]
fn the_wrong_way_charge_does_not_jump_when_another_scenario_binds() {
    // The coin falls where 6,000 are lost: 12,000 with it, against what is lost where it rises.
    let cases = [(0, 6_000), (5_999, 6_000), (6_000, 6_000), (6_001, 5_999), (10_000, 2_000), (11_999, 1)];
    for (lost, charge) in cases {
        let arrays = one_future([lost, 6_000], [15, -15]);
        assert_eq!(charged(&arrays, &terms(50, 100), 90_000), [(charge, charge)], "{lost}");
    }
    assert_eq!(charged(&one_future([12_000, 6_000], [15, -15]), &terms(50, 100), 90_000), []);
}

#[test]
fn each_measure_takes_its_own_scenarios() {
    let mut arrays = one_future([10_000, 6_000], [15, -15]);
    arrays.blocks[0].purpose = Purpose::Im;
    arrays.blocks.push(Block { kind: BlockKind::Grid, purpose: Purpose::Mm, columns: 1..2 });
    // Initial margin: 12,000 - 10,000. Maintenance margin: half of 12,000 - 6,000.
    assert_eq!(charged(&arrays, &terms(50, 50), 0), [(2_000, 3_000)]);
}

#[test]
fn several_assets_share_the_charge_in_proportion_to_what_they_lose() {
    let mut arrays = arrays_of(2, 2, 0, &[0; 50]);
    arrays.pnl[1] = -4_000 * USD;
    arrays.scenarios[1].spot = vec![Ppb(-100_000_000), Ppb(-200_000_000)];
    arrays.assets.push(AssetRow { asset: "ETH".parse().unwrap(), price: 30 * USD, confidence: Ppb::ZERO });
    let held = [("BTC", THOUSAND), ("ETH", THOUSAND), ("USDC", THOUSAND)];
    let r = evaluate(&portfolio_of(&[1], &held, &[]), &arrays, &terms(50, 100)).unwrap();
    // Half of 10 % of 100,000 and of 20 % of 30,000: 5,000 and 3,000 for a loss of 4,000. USDC does not fall.
    assert_eq!(wrong_way(&r), [(2_500, 2_500), (1_500, 1_500)]);
    complete(&r);
    let text = explain(&r, &arrays, &terms(50, 100));
    for part in ["+ wrong_way BTC", "2500.00 im", "loss_there", "largest_loss", "4000.00"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn positions_that_do_not_net_lose_one_by_one() {
    // Long and short of the same: nothing together, 6,000 one by one where the coin falls.
    let mut arrays = one_future([0, 6_000], [15, -15]);
    let width = arrays.scenarios.len();
    arrays.pnl[width + 1] = 6_000 * USD;
    for (mode, charge) in [(Mode::Portfolio, 0), (Mode::Cross, 6_000), (Mode::Isolated, 6_000)] {
        let params = Params { mode, ..terms(50, 100) };
        let r = evaluate(&portfolio_of(&[1, 1], &[("BTC", THOUSAND)], &[]), &arrays, &params).unwrap();
        assert_eq!(wrong_way(&r).iter().map(|c| c.0).sum::<i128>(), charge, "{mode:?}");
    }
}

#[test]
fn an_isolated_long_option_does_not_draw_on_the_free_collateral_whatever_is_owed() {
    // The call loses its mark where the coin falls; a short of one lot loses 10 there.
    let mut arrays = one_future([0, -10], [15, -15]);
    let width = arrays.scenarios.len();
    (arrays.instruments[2].mark, arrays.pnl[2 * width + 1]) = (600 * USD, -600 * USD);
    let params = Params { mode: Mode::Isolated, ..terms(50, 100) };
    for owed in [0, 1, 1_000_000_000] {
        let held = [("BTC", THOUSAND), ("USD", -owed)];
        for (lots, charge) in [([0, 0, 1], 0), ([-1, 0, 1], 10)] {
            let r = evaluate(&portfolio_of(&lots, &held, &[]), &arrays, &params).unwrap();
            assert_eq!(wrong_way(&r).iter().map(|c| c.0).sum::<i128>(), charge, "{lots:?} {owed}");
        }
    }
}

#[test]
fn a_borrowed_coin_counts_with_its_haircut_added() {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    (arrays.assets[1].price, arrays.assets[2].price) = (USD, 100_000 * USD);
    let held = [("BTC", -100_000_000_000), ("USDC", 9_900_000_000_000_000)];
    let r = evaluate(&portfolio_of(&[], &held, &[]), &arrays, &plimsoll()).unwrap();
    // 100 BTC at 100,000.000001: 10,000,000.0001 and a tenth more. USDC less 0.5 %.
    let btc = &r.collateral[0];
    assert_eq!((btc.value.0, btc.haircut.0), (-10_000_000_000_100, 1_000_000_000_010));
    assert_eq!(btc.counted.0, -11_000_000_000_110);
    assert_eq!(r.equity.0, 9_850_500_000_000 - 11_000_000_000_110);
    assert_eq!(r.state, State::Liquidatable);
    complete(&r);
    // The currency is owed as it is; a stable coin at its price and a tick, with its own haircut of 0.5 %.
    let equity = |asset: &str| {
        let book = portfolio_of(&[], &[(asset, -THOUSAND)], &[]);
        evaluate(&book, &arrays, &plimsoll()).unwrap().equity.0
    };
    assert_eq!(equity("USD"), -1_000_000_000);
    assert_eq!(equity("USDC"), -1_005_001_005);
}

/// The charge and the largest loss, from the report's own vectors, column by column.
fn by_hand(r: &MarginReport, arrays: &RiskArrays, value: i128) -> (i128, i128) {
    let (mut most, mut largest) = (0, 0);
    for block in &arrays.blocks {
        for c in block.columns.clone() {
            let losses: Vec<i128> = r.underlyings.iter().map(|u| -u.pnl[c].0).collect();
            let losses = match block.kind {
                BlockKind::Grid => losses,
                BlockKind::Idiosyncratic(_) => vec![],
                _ => vec![losses.iter().sum()],
            };
            let fall = i128::from(-arrays.scenarios[c].spot[0].0).max(0);
            let up = |x: i128, ppb: i128| (x * ppb + 999_999_999) / 1_000_000_000;
            let lost = up(up(value, fall), 500_000_000);
            for loss in losses.into_iter().filter(|loss| *loss > 0) {
                (most, largest) = (most.max(loss + loss.min(lost)), largest.max(loss));
            }
        }
    }
    (most.max(largest) - largest, largest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_lot_moves_the_wrong_way_charge_by_no_more_than_its_largest_entries(a in market(), lots in lots(),
        at in 0_usize..5, btc in 0_i128..5_000_000_000) {
        let lots = cut(&a, &lots);
        let mut next = lots.clone();
        next[at] += 1;
        let entry = a.pnl[at * a.scenarios.len()..][..a.scenarios.len()].iter().map(|x| i128::from(x.abs())).max().unwrap();
        let joint = JointTerms {
            statistic: Statistic::ExpectedShortfall, level: Ppb(900_000_000), stress_weight: Ppb(250_000_000),
        };
        let params = Params { joint: Some(joint), ..terms(50, 100) };
        let run = |lots: &[i64]| {
            let r = evaluate(&portfolio_of(lots, &[("BTC", btc)], &[]), &a, &params).unwrap();
            let charge: i128 = r.addons.iter().filter(|x| x.kind == AddonKind::WrongWay).map(|x| x.im.0).sum();
            let value = r.collateral[0].value.0;
            // Falls of up to 200 times the price are cut to what counts; compared where they are not.
            let (hand, largest) = by_hand(&r, &a, value);
            (charge, hand, largest)
        };
        let (before, after) = (run(&lots), run(&next));
        for (charge, hand, largest) in [before, after] {
            prop_assert_eq!(charge, hand);
            prop_assert!(charge >= 0 && charge <= largest);
        }
        // Loss and charge together by twice the entry; the charge alone also by the largest loss, in another scenario.
        prop_assert!(((after.0 + after.2) - (before.0 + before.2)).abs() <= 2 * entry);
        prop_assert!((after.0 - before.0).abs() <= 3 * entry);
    }
}
