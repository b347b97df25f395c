//! Derive's portfolio margin: numbers from mpmath, the edges of its set and parameters, accounts under its presets, and
//! the rules every preset keeps.

use crate::accounts::{Row, UNIT, arrays, margin, portfolio, preset, refusal, row};
use plimsoll_margin::venue::derive_portfolio::*;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_margin::{Aggregation, LintCode, Params};
use plimsoll_types::{Fixed, Ppb, RiskArrays, ScenarioColumn};
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn terms_of(params: &Params) -> Terms {
    match &params.aggregation {
        Aggregation::Venue(Venue::DerivePortfolio(terms)) => (**terms).clone(),
        other => panic!("{other:?}"),
    }
}

/// PMRM_2 with rates in its discounts.
fn terms() -> Terms {
    let mut terms = terms_of(&preset("derive-pmrm2"));
    terms.long_discount.rate_mult = Fixed::ONE;
    terms.short_discount.rate_mult = of("0.5");
    terms
}

fn shock(spot: &str, vol: VolShift, damping: &str) -> Shock {
    Shock { spot: of(spot), vol, damping: of(damping) }
}

fn shocks() -> Vec<Shock> {
    vec![
        shock("0.9", VolShift::Up, "1"),
        shock("1", VolShift::None, "1"),
        shock("1.1", VolShift::Down, "0.5"),
        shock("1", VolShift::Linear, "1"),
    ]
}

fn empty() -> Portfolio {
    Portfolio {
        spot: Fixed::from(1000),
        confidence: Fixed::ONE,
        stable: Fixed::ONE,
        cash: Fixed::ZERO,
        perpetual: Perpetual::default(),
        expiries: Vec::new(),
        coins: Vec::new(),
    }
}

fn expiry(mtm: i64, at_basis: (i64, i64), shocked: [i64; 4]) -> Expiry {
    Expiry {
        seconds: 2_592_000,
        rate: of("0.1"),
        confidence: Fixed::ONE,
        mtm: Fixed::from(mtm),
        at_basis: (Fixed::from(at_basis.0), Fixed::from(at_basis.1)),
        shocked: shocked.map(Fixed::from).to_vec(),
        size: Fixed::from(5),
        naked: Fixed::ZERO,
    }
}

/// A perpetual, a short book of options and a coin, all of doubtful price, with the peg at 0.98.
fn mixed() -> Portfolio {
    let options = Expiry {
        confidence: of("0.8"),
        naked: of("1.5"),
        ..expiry(-100, (-130, -60), [-150, -100, 20, -90])
    };
    let coin = Coin {
        amount: Fixed::from(3),
        price: Fixed::from(500),
        confidence: of("0.5"),
        cancelling: true,
        haircut: Rates { mm: of("0.02"), im_add: of("0.03") },
    };
    let (size, price) = (Fixed::from(2), Fixed::from(1010));
    Portfolio {
        confidence: of("0.9"),
        stable: of("0.98"),
        cash: Fixed::from(50),
        perpetual: Perpetual::at(size, price, of("0.3"), Fixed::from(20), Fixed::from(-5)),
        expiries: vec![options],
        coins: vec![coin],
        ..empty()
    }
}

fn close(computed: Fixed, expected: &str) {
    assert!((computed - of(expected)).abs() < of("1e-13"), "{computed} and not {expected}");
}

#[test]
fn a_mixed_book_has_the_margins_of_an_evaluation_in_thirty_digits() {
    let found = evaluate(&terms(), &shocks(), &mixed()).unwrap();
    close(found.scenario_pnl[0], "-406.299181728461979867");
    close(found.scenario_pnl[1], "-0.825304825777374333");
    close(found.scenario_pnl[2], "236.829752364185172749");
    close(found.scenario_pnl[3], "-9.2572256568003631");
    close(found.basis_contingency, "-19.931506849315068493");
    close(found.confidence, "5665.306122448979591837");
    close(found.mtm, "1495.612244897959183673");
    close(found.im, "-4756.275638793518826408");
    close(found.mm, "1075.460654617230416107");
    assert_eq!(found.worst, 0);
}

#[test]
fn the_parts_add_up_to_what_mark_value_is_above_the_net_margins() {
    for name in ["derive-pmrm", "derive-pmrm2"] {
        let found = evaluate(&terms_of(&preset(name)), &shocks(), &mixed()).unwrap();
        assert_eq!(found.parts.iter().map(|p| p.1).sum::<Fixed>(), found.mtm - found.im, "{name}");
        assert_eq!(found.parts.iter().map(|p| p.2).sum::<Fixed>(), found.mtm - found.mm, "{name}");
    }
}

#[test]
fn discounts_are_those_of_thirty_digits_and_the_short_one_stops_at_the_undiscounted_value() {
    close(terms().discount(of("0.1"), 2_592_000), "0.991814507010879140");
    close(terms().long_factor(of("0.1"), 2_592_000), "0.929914011928721357");
    close(terms().short_factor(of("0.1"), 2_592_000), "1.008253048257773743");
    assert_eq!(terms().short_factor(of("-3"), 2_592_000), Fixed::ONE, "a negative rate counts as 0");
    assert_eq!(terms().discount(of("0.5"), -1), Fixed::ONE);
    let mut steep = terms();
    steep.short_discount.rate_add = Fixed::from(10_000);
    close(steep.short_factor(of("0.1"), 2_592_000), "1.008253048257773743");
}

#[test]
fn a_tie_goes_to_the_first_and_the_basis_contingency_stands_before_all() {
    let all = vec![shock("1", VolShift::Up, "1"), shock("1", VolShift::None, "1")];
    assert_eq!(evaluate(&terms(), &all, &empty()).unwrap().worst, 2);
    let mut held = empty();
    held.expiries = vec![Expiry {
        shocked: vec![Fixed::from(-110), Fixed::from(-110)],
        ..expiry(-100, (-100, -100), [0; 4])
    }];
    assert_eq!(evaluate(&terms(), &all, &held).unwrap().worst, 0);
}

#[test]
fn a_skew_costs_whichever_way_it_turns() {
    let all = vec![shock("1", VolShift::Abs, "1")];
    let pnl = |shocked: i64| {
        let mut held = empty();
        held.expiries =
            vec![Expiry { shocked: vec![Fixed::from(shocked)], ..expiry(-100, (-100, -100), [0; 4]) }];
        evaluate(&terms(), &all, &held).unwrap().scenario_pnl[0]
    };
    assert!(pnl(-50) < Fixed::from(-49) && pnl(-150) < Fixed::from(-49));
}

#[test]
fn sets_that_the_venue_refuses_are_refused_with_the_number() {
    let refused = |all: &[Shock]| evaluate(&terms(), all, &empty()).unwrap_err().to_string();
    assert_eq!(refused(&[]), "the number of scenarios is 0: expected 1 to 40");
    assert_eq!(
        refused(&[shock("1", VolShift::Up, "1"); 41]),
        "the number of scenarios is 41: expected 1 to 40"
    );
    let linear = shock("1", VolShift::Linear, "1");
    assert_eq!(refused(&[linear, linear]), "linear skew scenarios is 2: expected at most one");
    let moved = shock("0.9", VolShift::Abs, "1");
    assert_eq!(refused(&[moved]), "the spot move of a skew scenario is 0.9: expected 1: spot unchanged");
    assert!(refused(&[shock("-0.1", VolShift::Up, "1")]).contains("not below 0"));
    assert!(evaluate(&terms(), &[shock("1", VolShift::Up, "1"); 40], &empty()).is_ok());
}

#[test]
fn parameters_beyond_the_limits_of_the_venue_are_refused_and_found_by_the_linter() {
    type Change = fn(&mut Terms);
    let changes: [(&str, Change); 9] = [
        ("basis.up", |t| t.basis.up = Fixed::ONE),
        ("basis.up", |t| t.basis.up = Fixed::from(3)),
        ("basis.down", |t| t.basis.down = Fixed::ONE),
        ("basis.add", |t| t.basis.add = Fixed::from(21)),
        ("im_factor", |t| t.im_factor = Fixed::from(11)),
        ("mm_factor", |t| t.mm_factor = Fixed::ratio(1, 20)),
        ("long_discount.base", |t| t.long_discount.base = Fixed::from(5)),
        ("short_discount.base", |t| t.short_discount.base = Fixed::from(5)),
        ("haircuts", |t| {
            t.account.coins.insert("ETH".to_owned(), Haircut { mm: of("0.7"), im_add: of("0.4") });
        }),
    ];
    assert!(terms().limits().is_ok() && terms().lint().is_empty());
    for (name, change) in changes {
        let mut wrong = terms();
        change(&mut wrong);
        assert!(wrong.limits().unwrap_err().to_string().contains(name), "{name}");
        assert!(wrong.lint().iter().any(|f| f.code == LintCode::BoundsCrossed), "{name}");
    }
}

#[test]
fn the_swapped_discounts_of_the_script_are_found_and_nothing_else() {
    let codes = |name: &str| terms_of(&preset(name)).lint().iter().map(|f| f.code).collect::<Vec<_>>();
    assert_eq!(codes("derive-pmrm2-script"), vec![LintCode::DiscountSwapped]);
    assert!(codes("derive-pmrm2").is_empty() && codes("derive-pmrm").is_empty());
}

#[test]
fn uncovered_shorts_are_counted_strike_by_strike() {
    let count = |rows: &[(i64, bool, i64)]| {
        naked(rows.iter().map(|(k, call, a)| (Fixed::from(*k), *call, Fixed::from(*a)))).unwrap()
    };
    assert_eq!(count(&[(100, true, -3), (100, false, 2)]), Fixed::ONE);
    assert_eq!(count(&[(100, true, -3), (100, false, 5)]), Fixed::ZERO);
    assert_eq!(count(&[(100, true, -3), (100, false, -2)]), Fixed::from(5));
    assert_eq!(count(&[(100, true, -3), (110, true, 3)]), Fixed::from(3));
    assert_eq!(count(&[(100, true, -3), (100, true, 3)]), Fixed::ZERO);
    assert_eq!(count(&[(100, true, 3), (100, false, 2)]), Fixed::ZERO);
}

#[test]
fn the_settlement_window_splits_the_forward_and_moves_only_what_is_not_averaged() {
    assert_eq!(settling(Fixed::from(900), 0), (Fixed::from(900), Fixed::ZERO));
    assert_eq!(settling(Fixed::from(900), -5), (Fixed::from(900), Fixed::ZERO));
    assert_eq!(settling(Fixed::from(900), 4000), (Fixed::ZERO, Fixed::from(900)));
    let (fixed, variable) = settling(Fixed::from(900), 600);
    assert_eq!(forward(fixed, variable, of("1.1")), Fixed::from(930));
}

#[test]
fn a_perpetual_of_nothing_counts_for_nothing() {
    let none = Perpetual::at(Fixed::ZERO, Fixed::from(1000), Fixed::ZERO, Fixed::from(5), Fixed::from(5));
    assert_eq!(none, Perpetual::default());
    let mut held = empty();
    held.perpetual = none;
    assert_eq!(evaluate(&terms(), &shocks(), &held).unwrap().im, Fixed::ZERO);
}

#[test]
fn what_has_no_answer_is_an_error() {
    let error = |held: &Portfolio| evaluate(&terms(), &shocks(), held).unwrap_err().to_string();
    assert!(error(&Portfolio { stable: Fixed::ZERO, ..mixed() }).starts_with("the stable price is 0"));
    assert!(error(&Portfolio { cash: Fixed::LOST, ..mixed() }).contains("does not fit"));
    let mut few = mixed();
    few.expiries[0].shocked.pop();
    assert_eq!(error(&few), "values of an expiry is 3: expected one per scenario");
}

// ------------------------------------------------------------------------------ accounts under the presets

const EXPIRY: &str = "BTC-27FEB26";

fn book() -> Vec<Row> {
    vec![
        row("BTC_USDC-27FEB26-110000-C", 57, 2000.0, 100_500.0),
        row("BTC_USDC-27FEB26-90000-P", 57, 1500.0, 100_500.0),
        row("BTC_USDC-PERPETUAL", 0, 0.0, 100_100.0),
        row("BTC", 0, 100_000.0, 100_000.0),
        row(EXPIRY, 57, 0.0, 100_500.0),
        row("ETH_USDC-27FEB26-2000-C", 57, 100.0, 2010.0),
    ]
}

/// Columns of the preset's set: spot move, label, weight.
fn columns(name: &str) -> Vec<(f64, String, f64)> {
    let step = if name == "derive-pmrm" { 0.05 } else { 0.045 };
    let mut all = Vec::new();
    for k in -3..=3 {
        for vol in ["up", "same", "down"] {
            all.push((f64::from(k) * step, format!("spot {k} vol {vol}"), 1.0));
        }
    }
    if name != "derive-pmrm" {
        all.push((-0.66, "spot -66 % vol up x 0.21".to_owned(), 0.21));
        all.push((1.0, "spot +100 % vol up x 0.1386".to_owned(), 0.1386));
        all.push((0.0, "spot unchanged vol same skew +1".to_owned(), 1.0));
        all.push((0.0, "spot unchanged vol same wing +1".to_owned(), 1.0));
    }
    all
}

/// A stand-in for a price: intrinsic value and a bump at the strike that volatility scales.
fn worth(row: &Row, spot: f64, label: &str) -> f64 {
    let (call, strike) = match row.name.rsplit('-').next().unwrap() {
        "C" => (true, row.name.split('-').nth(2).unwrap().parse::<f64>().unwrap()),
        "P" => (false, row.name.split('-').nth(2).unwrap().parse::<f64>().unwrap()),
        _ => return spot,
    };
    let intrinsic = if call { (spot - strike).max(0.0) } else { (strike - spot).max(0.0) };
    let tilt = if label.contains("skew") { 1.2 } else { 1.0 };
    let level = if label.contains("up") {
        1.5
    } else if label.contains("down") {
        0.7
    } else {
        tilt
    };
    let away = (spot - strike).abs() / strike;
    intrinsic + row.mark * level / (1.0 + 30.0 * away * away)
}

/// The arrays of the book under the columns of a preset, marks taken from the same stand-in.
fn market(name: &str, usdc: f64, confidence: Ppb) -> RiskArrays {
    let (mut rows, columns) = (book(), columns(name));
    let spot_of = |row: &Row| if row.name.starts_with("ETH") { 2000.0 } else { 100_000.0 };
    let now: Vec<f64> = rows.iter().map(|r| worth(r, spot_of(r), "vol same")).collect();
    let mut pnl = Vec::new();
    for (row, now) in rows.iter().zip(&now) {
        for (relative, label, weight) in &columns {
            let then = worth(row, spot_of(row) * (1.0 + relative), label);
            let gain = if row.name.contains("PERP") { row.reference * relative } else { then - now };
            pnl.push((gain * weight / 1000.0 * UNIT as f64).round() as i64);
        }
    }
    for (row, now) in rows.iter_mut().zip(now) {
        row.mark = if row.mark == 0.0 { 0.0 } else { now };
    }
    let mut arrays = arrays(&rows, usdc, confidence);
    // Its delta is at the index, as an inverse perpetual's is: a move counts on the perpetual's own price all the same.
    arrays.instruments[2].greeks.delta = 100_000 * 1000;
    let column = |(relative, label, weight): &(f64, String, f64)| ScenarioColumn {
        label: label.clone(),
        weight: Ppb::from_f64(*weight).unwrap(),
        spot: vec![Ppb::from_f64(*relative).unwrap(); 3],
        pair: 0,
    };
    arrays.scenarios = columns.iter().map(column).collect();
    arrays.blocks[0].columns = 0..columns.len();
    arrays.pnl = pnl;
    arrays
}

fn charged(name: &str, lots: &[i64], collateral: &[(&str, i128)]) -> (f64, f64) {
    let (im, mm, _) = margin(&portfolio(lots, collateral), &market(name, 1.0, Ppb::ZERO), &preset(name));
    (im, mm)
}

#[test]
fn a_perpetual_is_charged_its_worst_move_and_its_contingency() {
    // One BTC long at 100,100: 66 % down at 0.21, and 3 % + 1 % of the index; PMRM: 15 % and 3 %, times 1.25.
    let (im, mm) = charged("derive-pmrm2", &[0, 0, 1000], &[]);
    assert!((im - (13_873.86 + 4000.0)).abs() < 0.01, "{im}");
    assert!((mm - (0.8 * 13_873.86 + 3000.0)).abs() < 0.01, "{mm}");
    let (im, mm) = charged("derive-pmrm", &[0, 0, 1000], &[]);
    assert!((im - 1.25 * (15_015.0 + 3000.0)).abs() < 0.01, "{im}");
    assert!((mm - (15_015.0 + 3000.0)).abs() < 0.01, "{mm}");
}

#[test]
fn a_coin_is_charged_alike_as_position_and_as_collateral() {
    for name in ["derive-pmrm", "derive-pmrm2"] {
        let held = charged(name, &[0, 0, 0, 2000], &[]);
        let pledged = charged(name, &[], &[("BTC", 2_000_000_000)]);
        assert_eq!(held, pledged, "{name}");
        assert!(held.0 > 27_000.0, "{name}: {held:?}");
    }
}

#[test]
fn a_long_option_is_never_charged_more_than_its_premium() {
    for name in ["derive-pmrm", "derive-pmrm2"] {
        let arrays = market(name, 0.9, Ppb(19_000_000));
        for lots in [[1000, 0, 0, 0, 0, 0], [0, 700, 0, 0, 0, 0], [500, 900, 0, 0, 0, 300]] {
            let held = portfolio(&lots, &[("USDC", 1_000_000_000_000)]);
            let (im, mm, equity) = margin(&held, &arrays, &preset(name));
            let premium = equity - 900.0;
            assert!(im > 0.0 && im <= premium + 1e-9 && mm <= premium + 1e-9, "{name}: {im} of {premium}");
            let mut published = preset(name);
            if let Aggregation::Venue(Venue::DerivePortfolio(terms)) = &mut published.aggregation {
                terms.account.premium_cap = false;
            }
            assert!(margin(&held, &arrays, &published).0 > premium, "{name}: doubt and depeg are charged");
        }
    }
}

#[test]
fn underlyings_do_not_net_and_shorts_add_up() {
    let one = charged("derive-pmrm2", &[-1000, 0, 0, 0, 0, 0], &[]);
    let other = charged("derive-pmrm2", &[0, 0, 0, 0, 0, -1000], &[]);
    let both = charged("derive-pmrm2", &[-1000, 0, 0, 0, 0, -1000], &[]);
    assert!((both.0 - one.0 - other.0).abs() < 1e-5 && (both.1 - one.1 - other.1).abs() < 1e-5);
    let twice = charged("derive-pmrm2", &[-2000, 0, 0, 0, 0, 0], &[]);
    assert!((twice.0 - 2.0 * one.0).abs() < 1e-5);
    assert!(charged("derive-pmrm2", &[-1000, 0, 300, 0, 0, 0], &[]).0 < one.0, "a hedge lowers it");
}

#[test]
fn a_lost_peg_and_a_doubtful_index_cost_initial_margin_only() {
    let params = preset("derive-pmrm2");
    let held = portfolio(&[-1000, 0, 0, 0, 0, 0], &[("USDC", 50_000_000_000_000)]);
    let (im, mm, _) = margin(&held, &market("derive-pmrm2", 1.0, Ppb::ZERO), &params);
    let (low, same, _) = margin(&held, &market("derive-pmrm2", 0.95, Ppb::ZERO), &params);
    assert!(low > im * 1.1 && same == mm, "{im} {low} {mm} {same}");
    let (unsure, same, _) = margin(&held, &market("derive-pmrm2", 1.0, Ppb(10_000_000)), &params);
    // Confidence 1 - 0.01/0.02 = 0.5 is below 0.55: half of the value of one option on the index.
    assert!((unsure - im - 50_000.0).abs() < 1e-5 && same == mm, "{unsure} {im}");
}

#[test]
fn what_is_not_listed_is_refused_by_name() {
    let arrays = market("derive-pmrm2", 1.0, Ppb::ZERO);
    let params = preset("derive-pmrm2");
    let future = refusal(&portfolio(&[0, 0, 0, 0, 1], &[]), &arrays, &params);
    assert!(future.contains("does not margin BTC-27FEB26: the venue lists no dated futures"), "{future}");
    let short = refusal(&portfolio(&[0, 0, 0, -1], &[]), &arrays, &params);
    assert!(short.contains("does not margin BTC: the venue lends no coins"), "{short}");
    let mut few = arrays.clone();
    for column in &mut few.scenarios {
        column.label = column.label.replace("vol same", "vol up");
    }
    let missing = refusal(&portfolio(&[1], &[]), &few, &params);
    assert!(
        missing.contains("at the basis move of 1.045") || missing.contains("expected a move"),
        "{missing}"
    );
    let mut priceless = arrays;
    priceless.assets.retain(|row| row.asset.as_str() != "USDC");
    let message = refusal(&portfolio(&[1], &[("USDC", 1)]), &priceless, &params);
    assert!(message.contains("USDC"), "{message}");
}

// ------------------------------------------------------------------------------ properties of the formulas

prop_compose! {
    fn values(sign: i64)(all in prop::array::uniform7(1..500i64)) -> ([i64; 4], i64, (i64, i64)) {
        let [a, b, c, d, mtm, up, down] = all.map(|x| x * sign);
        ([a, b, c, d], mtm, (up, down))
    }
}

proptest! {
    #[test]
    fn a_long_book_loses_at_most_its_value((shocked, mtm, basis) in values(1), tau in 0..63_072_000i64) {
        let mut held = empty();
        held.expiries = vec![Expiry { seconds: tau, ..expiry(mtm, basis, shocked) }];
        held.expiries[0].shocked.truncate(3);
        let found = evaluate(&terms(), &shocks()[..3], &held).unwrap();
        prop_assert!(found.scenario_pnl.iter().all(|pnl| *pnl >= -Fixed::from(mtm)));
    }

    #[test]
    fn a_discount_always_costs((shocked, mtm, basis) in values(-1), rate in -100..300i64) {
        let mut held = empty();
        let rate = Fixed::ratio(rate.into(), 100);
        held.expiries = vec![Expiry { rate, ..expiry(mtm, basis, shocked) }];
        held.expiries[0].shocked.truncate(2);
        let found = evaluate(&terms(), &shocks()[..2], &held).unwrap();
        for (pnl, x) in found.scenario_pnl.iter().zip(shocked) {
            prop_assert!(*pnl <= Fixed::from(x - mtm));
        }
    }

    #[test]
    fn the_requirement_grows_with_size_doubt_and_uncovered_shorts(
        (shocked, mtm, basis) in values(-1), times in 1..9i64, naked in 0..50i64, sure in 0..100i64
    ) {
        let of_size = |k: i64, naked: i64, sure: i64| {
            let mut held = empty();
            held.expiries = vec![Expiry {
                size: Fixed::from(5 * k),
                naked: Fixed::from(naked * k),
                confidence: Fixed::ratio(sure.into(), 100),
                ..expiry(mtm * k, (basis.0 * k, basis.1 * k), shocked.map(|x| x * k))
            }];
            let found = evaluate(&terms(), &shocks(), &held).unwrap();
            (found.mtm - found.im, found.mtm - found.mm)
        };
        let one = of_size(1, naked, sure);
        let many = of_size(times, naked, sure);
        prop_assert!((many.0 - one.0 * Fixed::from(times)).abs() < of("1e-12"));
        prop_assert!(one.0 >= one.1 && one.1 >= Fixed::ZERO);
        prop_assert!(of_size(1, naked + 1, sure).0 > one.0);
        prop_assert!(of_size(1, naked, (sure - 1).max(0)).0 >= one.0);
    }
}
