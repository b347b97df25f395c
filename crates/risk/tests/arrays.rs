//! Each array equals a direct reprice written apart from the library, and keeps the promises every preset needs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

mod common;

use common::{EVERY_SHOCK, asset, book, every_shock, instrument, instruments, now, set_of, surface, units};
use plimsoll_market::{Surface, UnderlyingSurface};
use plimsoll_quant::black::{OptionKind, price};
use plimsoll_quant::special::{exp, ln, pow};
use plimsoll_risk::{BuildError, Mode, Move, ScenarioSet, Shift, Sticky, build, shifted, value};
use plimsoll_types::{Contract, Instrument, Ppb, Reason, RiskArrays, Settlement, Timestamp, UnderlyingIx};
use std::collections::BTreeMap;

/// The naive shocked volatility, with the numbers of the test specification written out.
fn naive_vol(market: &UnderlyingSurface, expiry: Timestamp, k: f64, m: &Move) -> f64 {
    let tau = now().years_until(expiry);
    let dte = tau * 365.0;
    let scale = pow(30.0 / dte.max(1.0), if dte <= 30.0 { 0.3 } else { 0.13 });
    let mut vol = market.vol(expiry, k).unwrap();
    if m.vol > 0.0 {
        vol = f64::max(0.3, vol * (1.0 + m.vol * scale));
    } else if m.vol < 0.0 {
        vol *= f64::max(0.0, 1.0 + m.vol * scale);
    }
    let root = tau.sqrt();
    let (cap, far) = (0.25 - 0.1 * root, f64::max(0.01, 4.0 * 0.6 * root));
    let shift = |k: f64| (k * cap / far).clamp(-cap, cap);
    vol *= f64::max(0.0, 1.0 + m.skew * shift(k)) * f64::max(0.0, 1.0 + m.wing * shift(k.abs()));
    vol * f64::max(0.0, 1.0 + m.term * (30.0 - dte) / (30.0 + dte))
}

/// Value of one unit after a move, written out case by case.
fn naive_value(surface: &Surface, i: &Instrument, m: &Move) -> f64 {
    let market = surface.underlying(i.underlying()).unwrap();
    let (s, t) = (market.index, m.elapsed_days / 365.0);
    let moved = |f: f64, tau: f64| f * (1.0 + m.spot) * (1.0 + m.basis * f64::max(tau - t, 0.0));
    let inverse = i.settlement() == Settlement::Inverse;
    match i.contract() {
        Contract::Spot => s * (1.0 + m.spot),
        Contract::Perpetual if inverse => m.spot * s / market.perpetuals[i].price,
        Contract::Perpetual => market.perpetuals[i].price * m.spot,
        Contract::Future { expiry } => {
            let f = market.forward(now(), expiry).unwrap();
            let g = moved(f, now().years_until(expiry));
            if inverse { (1.0 / f - 1.0 / g) * s * (1.0 + m.spot) } else { g - f }
        }
        Contract::Option { expiry, strike, kind } => {
            let strike: f64 = strike.to_string().parse().unwrap();
            let call = kind == plimsoll_types::OptionKind::Call;
            let tau = now().years_until(expiry);
            let g = moved(market.forward(now(), expiry).unwrap(), tau);
            let left = tau - t;
            let undiscounted = if left <= 0.0 {
                f64::max(if call { g - strike } else { strike - g }, 0.0)
            } else {
                let k = ln(strike / g);
                let kind = if call { OptionKind::Call } else { OptionKind::Put };
                price(kind, g, strike, naive_vol(market, expiry, k, m), left)
            };
            let paid = exp(-m.rate * f64::max(left, 0.0)) * undiscounted;
            if inverse { paid * s * (1.0 + m.spot) / g } else { paid }
        }
    }
}

fn lot_ticks(i: &Instrument) -> f64 {
    if i.sized_in_quote() { 1e6 } else { 1e3 }
}

fn arrays(set: &ScenarioSet, names: &[&str]) -> RiskArrays {
    let built = build(&surface(), &instruments(names), set, &units(), Mode::FullReprice).unwrap();
    assert_eq!(built.issues, vec![]);
    built.arrays
}

fn place(asset: &str) -> usize {
    usize::from(asset == "ETH")
}

#[test]
fn every_entry_equals_a_direct_reprice_to_the_tick() {
    let (set, surface, book) = (every_shock(), surface(), book());
    let built = build(&surface, &book, &set, &units(), Mode::FullReprice).unwrap();
    assert_eq!(built.issues, vec![]);
    built.arrays.check().unwrap();
    let scenarios: Vec<_> = set.blocks.iter().flat_map(|b| &b.scenarios).collect();
    assert_eq!(built.arrays.pnl.len(), book.len() * scenarios.len());
    let mut off = 0;
    for (row, i) in book.iter().enumerate() {
        assert_eq!(built.arrays.instruments[row].instrument, *i);
        let futures_have_no_value = !matches!(i.contract(), Contract::Future { .. } | Contract::Perpetual);
        let base = if futures_have_no_value { naive_value(&surface, i, &Move::default()) } else { 0.0 };
        for (column, s) in scenarios.iter().enumerate() {
            let m = &s.moves[place(i.underlying().as_str())];
            let exact = s.weight * (naive_value(&surface, i, m) - base) * lot_ticks(i);
            let entry = built.arrays.pnl[row * scenarios.len() + column];
            assert!((entry as f64 - exact).abs() < 0.51, "{i} {}: {entry} {exact}", s.label);
            off += usize::from(entry as f64 != exact.round());
        }
    }
    assert_eq!(off, 0, "entries whose last digit depends on the order of operations");
}

#[test]
fn a_column_that_moves_nothing_is_exactly_zero() {
    let zero = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nprice = [0]\nvol = ['none']\nweight = 1";
    let set = set_of(zero, &["BTC", "ETH"], &BTreeMap::new());
    for mode in [Mode::FullReprice, Mode::DeltaGammaVega] {
        let built = build(&surface(), &book(), &set, &units(), mode).unwrap();
        assert!(built.arrays.pnl.iter().all(|x| *x == 0), "{mode:?}");
    }
}

#[test]
fn an_option_that_expires_inside_the_horizon_is_worth_its_intrinsic_value() {
    let later = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nprice = [0, -1]\nvol = ['up']\nweight = 1\nelapsed_days = 3";
    let set = set_of(later, &["BTC"], &BTreeMap::new());
    let made = arrays(&set, &["BTC_USDC-2JAN26-80000-C", "BTC_USDC-2JAN26-80000-P", "BTC-2JAN26-80000-C"]);
    let forward = surface().underlyings[&asset("BTC")].forwards[0].1;
    let call = (forward - 80_000.0) * 1e3 - made.instruments[0].mark as f64;
    let put = (80_000.0 - forward * 0.85) * 1e3 - made.instruments[1].mark as f64;
    assert!((made.pnl[0] as f64 - call).abs() <= 1.0, "in the money: {} {call}", made.pnl[0]);
    assert!((made.pnl[3] as f64 - put).abs() <= 1.0, "{} {put}", made.pnl[3]);
    // The short in-the-money call shows no windfall: it loses no more than the little time value left.
    assert!(made.pnl[0].abs() < made.instruments[0].mark / 1_000);
    let inverse = (forward - 80_000.0) / forward * 90_000.0 * 1e3 - made.instruments[2].mark as f64;
    assert!((made.pnl[4] as f64 - inverse).abs() <= 1.0);
}

#[test]
fn a_long_option_never_loses_more_than_its_mark_in_any_set_or_mode() {
    for mode in [Mode::FullReprice, Mode::DeltaGammaVega] {
        let built = build(&surface(), &book(), &every_shock(), &units(), mode).unwrap();
        let width = built.arrays.scenarios.len();
        for (row, r) in built.arrays.instruments.iter().enumerate() {
            if r.instrument.option().is_some() {
                let worst = built.arrays.pnl[row * width..(row + 1) * width].iter().min().unwrap();
                assert!(-worst <= r.mark + 1, "{} loses {worst} of {}", r.instrument, r.mark);
            }
        }
    }
}

#[test]
fn call_less_put_is_the_future_in_every_column_without_a_rate_move() {
    let without_rate = EVERY_SHOCK.replace("rate = 0.02\n", "");
    let set = set_of(&without_rate, &["BTC", "ETH"], &BTreeMap::new());
    for (c, p, f) in [
        ("BTC_USDC-30JAN26-90000-C", "BTC_USDC-30JAN26-90000-P", "BTC_USDC-30JAN26"),
        ("ETH_USDC-27MAR26-7000-C", "ETH_USDC-27MAR26-7000-P", "ETH_USDC-27MAR26"),
    ] {
        let made = arrays(&set, &[c, p, f]);
        let n = made.scenarios.len();
        for s in 0..n {
            let gap = made.pnl[s] - made.pnl[n + s] - made.pnl[2 * n + s];
            assert!(gap.abs() <= 2, "{c} {}: {gap}", made.scenarios[s].label);
        }
    }
}

#[test]
fn an_inverse_option_is_the_linear_one_times_spot_over_forward() {
    let made = arrays(&every_shock(), &["ETH-26JUN26-3000-C", "ETH_USDC-26JUN26-3000-C"]);
    let market = &surface().underlyings[&asset("ETH")];
    let ratio = market.index / market.forwards[2].1;
    let n = made.scenarios.len();
    let set = every_shock();
    let moves: Vec<_> = set.blocks.iter().flat_map(|b| &b.scenarios).map(|s| s.moves[1]).collect();
    for (s, _) in moves.iter().enumerate().filter(|(_, m)| m.basis == 0.0) {
        let (inverse, linear) = (made.pnl[s] as f64, made.pnl[n + s] as f64);
        assert!((inverse - linear * ratio).abs() <= 1.0, "{}", made.scenarios[s].label);
    }
    assert!((made.instruments[0].mark as f64 - made.instruments[1].mark as f64 * ratio).abs() <= 1.0);
    assert_eq!(made.instruments[0].composite_delta, made.instruments[1].composite_delta);
}

/// One price move, volatility unchanged.
fn one_move(price: f64, more: &str) -> ScenarioSet {
    let text = format!(
        "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nunit = 'relative'\nprice = [{price:?}]\nvol = ['none']\nweight = 1\n{more}"
    );
    set_of(&text, &["BTC", "ETH"], &BTreeMap::new())
}

#[test]
fn an_option_keeps_its_own_volatility_where_the_strike_is_sticky() {
    let name = "BTC_USDC-26JUN26-70000-P";
    let mut set = one_move(-0.2, "");
    let moneyness = arrays(&set, &[name]).pnl[0];
    set.vol_shock.sticky = Sticky::Strike;
    let made = arrays(&set, &[name]);
    let (expiry, surface) = (instrument(name).expiry().unwrap(), surface());
    let market = surface.underlying(&asset("BTC")).unwrap();
    let (f, tau) = (market.forward(now(), expiry).unwrap(), now().years_until(expiry));
    let vol = market.vol(expiry, ln(70_000.0 / f)).unwrap();
    let at = |f: f64| price(OptionKind::Put, f, 70_000.0, vol, tau);
    let expected = (at(0.8 * f) - at(f)) * 1e-3 * 1e6;
    assert!((made.pnl[0] as f64 - expected).abs() <= 0.5 + 1e-3, "{} {expected}", made.pnl[0]);
    assert_ne!(made.pnl[0], moneyness);
}

#[test]
fn an_inverse_future_gains_coin_that_is_worth_the_moved_index() {
    // S = 90000, F = 92169.8630136986, P = 90090 (the surface of these tests), one quote unit, in python's decimals:
    // (1/F - 1/(1.15 F)) 1.15 S = 0.15 S/F = 0.146468700; at -50 %: -0.488229000; perpetual 0.15 S/P = 0.149850150.
    let names = ["BTC-26JUN26", "BTC-PERPETUAL"];
    let up = arrays(&one_move(0.15, ""), &names);
    assert_eq!(up.pnl, [146_469, 149_850]);
    let down = arrays(&one_move(-0.5, ""), &names);
    assert_eq!(down.pnl, [-488_229, -499_500]);
    assert_eq!([up.instruments[0].greeks.delta, up.instruments[1].greeks.delta], [976_458, 999_001]);
    assert_eq!(up.instruments[0].greeks.gamma, 0);
    // A basis move of 0.1 a year: F' = 1.15 F (1 + 0.1 x 176/365) = 111106.351, (1/F - 1/F') 1.15 S = 0.191386789.
    assert_eq!(arrays(&one_move(0.15, "basis = 0.1"), &names).pnl, [191_387, 149_850]);
}

#[test]
fn the_array_of_a_spot_move_is_the_change_of_equity_of_a_position_entered_at_the_mark() {
    let names = ["BTC-30JAN26", "BTC-26JUN26", "BTC-PERPETUAL", "ETH-27MAR26", "ETH_USDC-27MAR26"];
    for spot in [0.15, -0.15, 0.5] {
        let made = arrays(&one_move(spot, ""), &names);
        let moved = shifted(&surface(), &Shift { spot, ..Shift::default() });
        for (i, pnl) in instruments(&names).iter().zip(&made.pnl) {
            let entry = value(&surface(), i, &units()).unwrap().price;
            let then = value(&moved, i, &units()).unwrap();
            // As the engine marks a position to market: coin profit at the index of the day.
            let profit = if i.settlement() == Settlement::Inverse {
                (1.0 / entry - 1.0 / then.price) * then.index
            } else {
                then.price - entry
            };
            assert!((*pnl as f64 - profit * lot_ticks(i)).abs() < 0.501, "{i} {spot}: {pnl} {profit}");
        }
    }
}

/// Systematic loss and the sum of idiosyncratic losses of a book of weights over two rows, worst first state.
fn factor_charge(made: &RiskArrays, lots: [f64; 2]) -> f64 {
    let width = made.scenarios.len();
    let pnl = |row: usize, column: usize| lots[row] * made.pnl[row * width + column] as f64;
    let loss = |columns: std::ops::Range<usize>, rows: &[usize]| {
        let total = |c: usize| rows.iter().map(|r| pnl(*r, c)).sum::<f64>();
        columns.map(total).fold(0.0, |worst: f64, x| worst.max(-x))
    };
    let pairs = made.blocks.chunks(2).map(|b| {
        let rest = &b[1].columns;
        loss(b[0].columns.clone(), &[0, 1]) + loss(rest.clone(), &[0]) + loss(rest.clone(), &[1])
    });
    pairs.fold(0.0, f64::max)
}

#[test]
fn opposite_vega_in_two_coins_offsets_only_as_far_as_the_breakdown_loading_reaches() {
    let text = "[[scenarios]]\nkind = 'factor'\npurpose = 'both'\nloading = { '*' = 0.9 }\n\
        states = ['estimated', 'crash', 'breakdown']\nbreakdown = 0.5\n\
        [[scenarios.points]]\nprice = [0]\nvol = ['up', 'none', 'down']\nweight = 1";
    // Without the floor of up moves, which is no smaller for a smaller move.
    let text = format!("{}{text}", common::HEAD.replace("min_vol_up = 0.3", "min_vol_up = 0.0"));
    let spec = plimsoll_risk::ScenarioSpec::from_toml(&text).unwrap();
    let set = plimsoll_risk::generate(&spec, &[asset("BTC"), asset("ETH")], &BTreeMap::new()).unwrap();
    // At the money the value is all but linear in volatility.
    let names = ["BTC_USDC-26JUN26-92000-C", "ETH_USDC-26JUN26-3045-C"];
    let made = arrays(&set, &names);
    let lots = [1e6, -1e6 * made.instruments[0].greeks.vega as f64 / made.instruments[1].greeks.vega as f64];
    // The aggregate is never above the sum of scan losses, which are those of the crash state.
    let scan = |row: usize| {
        let width = made.scenarios.len();
        let pnl = made.blocks[2].columns.clone().map(|c| lots[row] * made.pnl[row * width + c] as f64);
        pnl.fold(0.0, |worst: f64, x| worst.max(-x))
    };
    let sum = scan(0) + scan(1);
    // The common parts of equal vegas cancel in every state; sqrt(1 - 0.45^2) = 0.893029 remains in the breakdown.
    let share = factor_charge(&made, lots) / sum;
    assert!((share - 0.893_029).abs() < 0.01, "{share}");
    // On the same side nothing offsets: 0.45 + 0.893029 of the larger loss, vol down for both.
    let same = factor_charge(&made, [lots[0], -lots[1]]);
    assert!((same / (2.0 * scan(0)) - 1.343_029).abs() < 0.02, "{}", same / scan(0));
}

#[test]
fn an_option_of_an_expiry_far_from_every_smile_is_refused_as_missing_its_smile() {
    let mut market = surface();
    let btc = market.underlyings.get_mut(&asset("BTC")).unwrap();
    btc.slices.retain(|s| s.expiry == "2026-06-26T08:00:00Z".parse().unwrap());
    let names = ["BTC-30JAN26-90000-C", "BTC-30JAN26", "BTC-26JUN26-90000-C"];
    let built = build(&market, &instruments(&names), &every_shock(), &units(), Mode::FullReprice).unwrap();
    assert_eq!(built.arrays.instruments.len(), 2, "a future needs no smile");
    let (refused, issue) = &built.issues[0];
    assert_eq!((refused.to_string().as_str(), issue.reason), (names[0], Reason::MissingSmile));
    market.underlyings.get_mut(&asset("BTC")).unwrap().slices.clear();
    let none = value(&market, &instrument(names[2]), &units()).unwrap_err();
    assert_eq!(none.reason, Reason::MissingSmile);
}

#[test]
fn the_futures_array_is_that_of_the_textbook() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tradfi-span.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "{path} is absent");
        println!("skipped: {path} is absent");
        return;
    };
    let cases: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected: Vec<i64> =
        cases["mcmillan"]["long_future"].as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect();
    let span = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n\
        [[scenarios.points]]\nprice = [0, '1/3', '-1/3', '2/3', '-2/3', 1, -1]\nvol = ['up', 'down']\nweight = 1\n\
        [[scenarios.points]]\nprice = [2, -2]\nvol = ['none']\nweight = 0.35\n";
    let mut set = set_of(span, &["BTC"], &BTreeMap::new());
    for (s, row) in set.blocks[0].scenarios.iter().zip(cases["scenarios"]["rows"].as_array().unwrap()) {
        let (m, vol) = (row[0].as_f64().unwrap(), row[1].as_f64().unwrap());
        assert!((s.moves[0].spot - 0.15 * m).abs() < 1e-15);
        assert_eq!(s.moves[0].vol, if vol > 0.0 { 0.45 } else { 0.3 * vol });
        assert_eq!(s.weight, row[2].as_f64().unwrap());
    }
    // A future at 500 with a scan of 20 points, 500 dollars a point, in whole dollars rounded to 10 as the book does.
    let mut market = surface();
    let expiry = "2026-06-26T08:00:00Z".parse().unwrap();
    market.underlyings.get_mut(&asset("BTC")).unwrap().futures.insert(instrument("BTC_USDC-26JUN26"), 500.0);
    for s in &mut set.blocks[0].scenarios {
        s.moves[0].spot *= 20.0 / 500.0 / 0.15;
    }
    let mut units = units();
    units.lot.base = plimsoll_types::Decimal::from(500);
    units.ticks_per_unit = 1;
    let built = build(&market, &instruments(&["BTC_USDC-26JUN26"]), &set, &units, Mode::FullReprice).unwrap();
    let dollars: Vec<i64> = built.arrays.pnl.iter().map(|x| (*x as f64 / 10.0).round() as i64 * 10).collect();
    assert_eq!(dollars, expected);
    let pairs: Vec<usize> = built.arrays.scenarios.iter().map(|s| s.pair).collect();
    assert_eq!(pairs, [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14, 15]);
    assert_eq!(built.arrays.instruments[0].composite_delta, Ppb::ONE);
    assert_eq!(built.arrays.instruments[0].instrument.expiry(), Some(expiry));
}

#[test]
fn rows_say_what_margin_may_know_of_an_instrument() {
    let made = arrays(&every_shock(), &["BTC", "BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-30JAN26-90000-C"]);
    let [spot, inverse, linear, call] = &made.instruments[..] else { panic!() };
    assert_eq!(
        (spot.mark, spot.notional, spot.greeks.delta, spot.funding_8h),
        (90_000_000, 90_000_000, 90_000_000, 0)
    );
    // The perpetual is at 1.001 of the index: a quote unit of it is 1/1.001 of a quote unit of coin.
    assert_eq!((inverse.mark, inverse.notional, inverse.greeks.delta), (0, 1_000_000, 999_001));
    assert_eq!(inverse.funding_8h, 100);
    assert_eq!((linear.mark, linear.notional, linear.greeks.delta), (0, 90_000_000, 90_090_000));
    assert_eq!(linear.funding_8h, 9_009);
    assert_eq!(call.seconds_to_expiry, Some(29 * 86_400));
    assert!(call.composite_delta > Ppb(450_000_000) && call.composite_delta < Ppb(650_000_000));
    assert_eq!(
        (made.underlyings[0].price_scan, made.underlyings[0].confidence),
        (Ppb(150_000_000), Ppb(500_000))
    );
    let prices: Vec<(&str, i64)> = made.assets.iter().map(|a| (a.asset.as_str(), a.price)).collect();
    assert_eq!(
        prices,
        [
            ("BTC", 90_000_000_000),
            ("ETH", 3_000_000_000),
            ("STETH", 2_991_500_000),
            ("USD", 1_000_000),
            ("USDC", 999_700)
        ]
    );
    assert_eq!(made.scenarios[0].spot, vec![Ppb(-150_000_000), Ppb(-180_000_000)]);
}

#[test]
fn greeks_are_the_slopes_of_the_rows() {
    // A small move of spot and vol: the smile moves with spot, so the check is at a strike where it is taken out.
    let small = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nprice = [0]\nvol = ['none']\nweight = 1\nelapsed_days = 0.01\n\
        [[scenarios.points]]\nprice = [0]\nvol = ['none']\nweight = 1\nrate = 0.001\n";
    let made = arrays(
        &set_of(small, &["BTC"], &BTreeMap::new()),
        &["BTC_USDC-26JUN26-90000-C", "BTC-26JUN26-80000-P"],
    );
    for (row, r) in made.instruments.iter().enumerate() {
        let theta = r.greeks.theta as f64 * 0.01 / 365.0;
        let rho = r.greeks.rho as f64 * 0.001;
        assert!((made.pnl[row * 2] as f64 - theta).abs() < 0.01 * theta.abs() + 1.0);
        assert!((made.pnl[row * 2 + 1] as f64 - rho).abs() < 0.001 * rho.abs() + 1.0);
    }
    // Flat smile: the delta of the row is Black-76's.
    let mut flat = surface();
    for slice in &mut flat.underlyings.get_mut(&asset("BTC")).unwrap().slices {
        slice.svi = plimsoll_quant::svi::Svi { a: 0.36 * slice.tau, b: 0.0, rho: 0.0, m: 0.0, sigma: 0.1 };
    }
    let call = instrument("BTC_USDC-26JUN26-100000-C");
    let set = set_of(
        "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nunit = 'relative'\nprice = [0.001, -0.001]\nvol = ['none']\nweight = 1",
        &["BTC"],
        &BTreeMap::new(),
    );
    let made = build(&flat, &[call], &set, &units(), Mode::FullReprice).unwrap().arrays;
    let g = made.instruments[0].greeks;
    let slope = (made.pnl[0] - made.pnl[1]) as f64 / 0.002;
    assert!((slope / g.delta as f64 - 1.0).abs() < 1e-4, "{slope} {}", g.delta);
}

#[test]
fn the_second_order_mode_reports_its_error_and_is_close_for_small_moves() {
    let small = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nprice = ['1/10', '-1/10']\nvol = ['none']\nweight = 1\n";
    let book: Vec<_> =
        book().into_iter().filter(|i| i.expiry() > Some("2026-01-10T00:00:00Z".parse().unwrap())).collect();
    let set = set_of(small, &["BTC", "ETH"], &BTreeMap::new());
    let near = build(&surface(), &book, &set, &units(), Mode::DeltaGammaVega).unwrap();
    let error = near.approximation.unwrap();
    assert!(error.max_abs < 5.0 && error.rms < error.max_abs, "{error:?}");
    let exact = build(&surface(), &book, &set, &units(), Mode::FullReprice).unwrap();
    assert_eq!(exact.approximation, None);
    let worst = near.arrays.pnl.iter().zip(&exact.arrays.pnl).map(|(a, b)| (a - b).abs()).max().unwrap();
    assert!((worst as f64 / 1e3 - error.max_abs).abs() < 0.002, "{worst} {error:?}");
    let unchecked = build(&surface(), &book, &set, &units(), Mode::DeltaGammaVegaUnchecked).unwrap();
    assert_eq!((unchecked.arrays, unchecked.approximation), (near.arrays, None));
    let far = build(&surface(), &book, &every_shock(), &units(), Mode::DeltaGammaVega).unwrap();
    assert!(far.approximation.unwrap().max_abs > 100.0, "a quadratic cannot follow a 500 % move");
}

#[test]
fn what_cannot_be_valued_is_reported_and_the_rest_is_answered() {
    let names = [
        "BTC-30JAN26-90000-C",
        "BTC-1JAN26-90000-C",
        "SOL-PERPETUAL",
        "BTC_EURR-30JAN26",
        "ETH-PERP",
        "ETH_USDC-PERPETUAL",
    ];
    let built = build(&surface(), &instruments(&names), &every_shock(), &units(), Mode::FullReprice).unwrap();
    let kept: Vec<String> = built.arrays.instruments.iter().map(|r| r.instrument.to_string()).collect();
    assert_eq!(kept, ["BTC-30JAN26-90000-C", "ETH_USDC-PERPETUAL"]);
    let why = |name: &str| built.issues.iter().find(|(i, _)| i.to_string() == name).map(|(_, e)| e.reason);
    assert_eq!(why("BTC-1JAN26-90000-C"), Some(Reason::Expired));
    assert_eq!(why("SOL-PERPETUAL"), Some(Reason::UnknownUnderlying));
    assert_eq!(why("BTC_EURR-30JAN26"), Some(Reason::UnknownInstrument));
    assert_eq!(why("ETH-PERP"), Some(Reason::UnknownInstrument));
    built.arrays.check().unwrap();
}

#[test]
fn an_underlying_without_a_market_does_not_take_the_others_down() {
    let set = set_of(EVERY_SHOCK, &["SOL", "BTC"], &BTreeMap::new());
    let built = build(&surface(), &instruments(&["SOL", "BTC"]), &set, &units(), Mode::FullReprice).unwrap();
    assert_eq!(built.arrays.underlyings.len(), 1);
    assert_eq!(built.arrays.instruments[0].underlying, UnderlyingIx(0));
    assert_eq!(built.arrays.scenarios[0].spot, vec![Ppb(-150_000_000)]);
    assert!(
        built.issues.iter().all(|(i, e)| i.to_string() == "SOL" && e.reason == Reason::UnknownUnderlying)
    );
}

#[test]
fn malformed_sets_and_units_are_refused_with_the_field() {
    let mut units = units();
    units.ticks_per_unit = 0;
    let refused = build(&surface(), &[], &every_shock(), &units, Mode::FullReprice);
    assert!(matches!(refused, Err(BuildError::Units { field, .. }) if field == "ticks_per_unit"));
    let mut set = every_shock();
    set.blocks[0].scenarios[3].weight = 1.5;
    let refused = build(&surface(), &[], &set, &common::units(), Mode::FullReprice);
    assert!(matches!(refused, Err(BuildError::Domain { what: "weight", .. })));
    let twice = instruments(&["BTC", "BTC"]);
    let refused = build(&surface(), &twice, &every_shock(), &common::units(), Mode::FullReprice);
    assert!(matches!(refused, Err(BuildError::Duplicate { .. })));
}

#[test]
fn a_basis_move_that_takes_a_forward_below_zero_is_an_issue_not_a_price() {
    let text = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nprice = [0]\nvol = ['none']\nweight = 1\nbasis = -3.0";
    let set = set_of(text, &["BTC"], &BTreeMap::new());
    let names = instruments(&["BTC-30JAN26", "BTC-26JUN26"]);
    let built = build(&surface(), &names, &set, &units(), Mode::FullReprice).unwrap();
    assert_eq!(built.arrays.instruments.len(), 1);
    assert_eq!((built.issues.len(), built.issues[0].1.reason), (1, Reason::NonPositive));
}

#[test]
fn valuation_is_the_price_the_venue_quotes() {
    let call = value(&surface(), &instrument("BTC-30JAN26-90000-C"), &units()).unwrap();
    assert!((call.price * call.index - call.mark).abs() < 1e-9);
    let b = price(OptionKind::Call, call.forward, 90_000.0, call.vol.unwrap(), call.tau);
    assert!((call.price - b / call.forward).abs() < 1e-15, "coin price is B/F");
    let perp = value(&surface(), &instrument("BTC-PERPETUAL"), &units()).unwrap();
    assert_eq!((perp.mark, perp.price, perp.notional), (0.0, 90_000.0 * 1.001, 1.0));
    assert_eq!(value(&surface(), &instrument("BTC-1JAN26"), &units()).unwrap_err().reason, Reason::Expired);
}

#[test]
fn a_shifted_surface_gives_the_shocked_mark() {
    let market = surface();
    let shift = Shift { spot: -0.1, vol: 0.25, days: 2.5 };
    let moved = shifted(&market, &shift);
    assert_eq!(moved.as_of, now().plus_seconds(216_000));
    let m = Move { spot: -0.1, elapsed_days: 2.5, ..Move::default() };
    for name in ["BTC", "BTC_USDC-30JAN26-90000-C", "ETH-27MAR26-2700-P"] {
        let i = instrument(name);
        let mark = value(&moved, &i, &units()).unwrap().mark;
        let expected = if let Contract::Option { expiry, strike, kind } = i.contract() {
            let under = market.underlying(i.underlying()).unwrap();
            let f = under.forward(now(), expiry).unwrap() * 0.9;
            let strike: f64 = strike.to_string().parse().unwrap();
            let vol = under.vol(expiry, ln(strike / f)).unwrap() * 1.25;
            let kind =
                if kind == plimsoll_types::OptionKind::Call { OptionKind::Call } else { OptionKind::Put };
            let b = price(kind, f, strike, vol, now().years_until(expiry) - 2.5 / 365.0);
            if i.settlement() == Settlement::Inverse { b / f * under.index * 0.9 } else { b }
        } else {
            naive_value(&market, &i, &m)
        };
        assert!((mark / expected - 1.0).abs() < 2e-4, "{name}: {mark} {expected}");
    }
}

#[test]
fn the_same_input_gives_the_same_arrays_whatever_the_order_of_instruments() {
    let (set, mut names) = (every_shock(), book());
    let one = build(&surface(), &names, &set, &units(), Mode::FullReprice).unwrap().arrays;
    names.reverse();
    let other = build(&surface(), &names, &set, &units(), Mode::FullReprice).unwrap().arrays;
    let width = one.scenarios.len();
    let n = names.len();
    for row in 0..n {
        assert_eq!(one.instruments[row], other.instruments[n - 1 - row]);
        assert_eq!(
            one.pnl[row * width..(row + 1) * width],
            other.pnl[(n - 1 - row) * width..(n - row) * width]
        );
    }
}
