//! Plans: the same bits on every path and any number of threads, in place or anew, whole or by blocks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{asset, book, every_shock, instrument, instruments, set_of, surface, units};
use plimsoll_lanes::Path;
use plimsoll_market::Surface;
use plimsoll_risk::{BlockError, BuildError, Mode, Plan, RefreshError, ScenarioSet, Sticky, build};
use plimsoll_types::{Reason, RiskArrays, UnderlyingIx};
use std::collections::BTreeMap;

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// The market a moment later: prices, carry, smiles and confidence of the underlyings named are others.
fn later(names: &[&str]) -> Surface {
    let mut moved = surface();
    for name in names {
        let market = moved.underlyings.get_mut(&asset(name)).unwrap();
        market.index *= 1.013;
        market.confidence = 0.0007;
        for forward in &mut market.forwards {
            forward.1 *= 1.011;
        }
        for (i, perpetual) in market.perpetuals.values_mut().enumerate() {
            perpetual.price *= 1.012;
            perpetual.open_interest = Some(1e6 + i as f64);
        }
        for slice in &mut market.slices {
            slice.forward *= 1.011;
            slice.svi.a *= 1.3;
            slice.svi.rho = 0.1;
        }
    }
    moved
}

fn sets() -> Vec<ScenarioSet> {
    let mut sticky = every_shock();
    sticky.vol_shock.sticky = Sticky::Strike;
    vec![every_shock(), sticky]
}

#[test]
fn every_path_and_any_number_of_threads_give_the_same_bits() {
    let surface = later(&["ETH"]);
    for set in sets() {
        let plan = Plan::new(&book(), &set, &units()).unwrap();
        let first = pool(1).install(|| plan.build(&surface, Path::plain()).unwrap());
        assert_eq!(build(&surface, &book(), &set, &units(), Mode::FullReprice).unwrap(), first);
        for path in Path::available() {
            for threads in [1, 2, 3, 7] {
                let made = pool(threads).install(|| plan.build(&surface, path).unwrap());
                assert_eq!(made, first, "{} {threads}", path.name());
            }
        }
    }
}

#[test]
fn refreshed_arrays_are_those_of_a_build_on_the_same_surface() {
    for set in sets() {
        let plan = Plan::new(&book(), &set, &units()).unwrap();
        for path in Path::available() {
            let mut arrays = plan.build(&surface(), path).unwrap().arrays;
            let first = arrays.clone();
            plan.refresh(&surface(), &mut arrays, None, path).unwrap();
            assert_eq!(arrays, first, "the same surface");
            for (names, only) in [(&["BTC", "ETH"][..], None), (&["BTC"], None), (&[], None)] {
                let market = later(names);
                plan.refresh(&market, &mut arrays, only, path).unwrap();
                assert_eq!(arrays, plan.build(&market, path).unwrap().arrays, "{names:?}");
            }
        }
    }
}

#[test]
fn a_refresh_of_one_underlying_gives_what_a_build_gives_and_touches_no_other_row() {
    let plan = Plan::new(&book(), &every_shock(), &units()).unwrap();
    let before = plan.build(&surface(), Path::best()).unwrap().arrays;
    for (ix, name) in [(0, "BTC"), (1, "ETH")] {
        let mut arrays = before.clone();
        let market = later(&[name]);
        plan.refresh(&market, &mut arrays, Some(UnderlyingIx(ix)), Path::best()).unwrap();
        assert_eq!(arrays, plan.build(&market, Path::best()).unwrap().arrays, "{name}");
        // The other underlying has moved too, but was not asked for.
        let mut arrays = before.clone();
        plan.refresh(&later(&["BTC", "ETH"]), &mut arrays, Some(UnderlyingIx(ix)), Path::best()).unwrap();
        let width = plan.columns();
        for (at, row) in arrays.instruments.iter().enumerate() {
            let same = arrays.pnl[at * width..(at + 1) * width] == before.pnl[at * width..(at + 1) * width];
            assert_eq!(same, row.underlying != UnderlyingIx(ix), "{}", row.instrument);
            assert_eq!(
                *row == before.instruments[at],
                row.underlying != UnderlyingIx(ix),
                "{}",
                row.instrument
            );
        }
    }
}

#[test]
fn arrays_without_some_instruments_are_refreshed_as_long_as_the_same_are_missing() {
    let mut names = book();
    names.splice(3..3, instruments(&["BTC-1JAN26-90000-C", "SOL-PERPETUAL", "BTC_EURR-30JAN26", "ETH-PERP"]));
    names.push(instrument("ETH_USDC-26JUN27-3000-C"));
    let plan = Plan::new(&names, &every_shock(), &units()).unwrap();
    let built = plan.build(&surface(), Path::best()).unwrap();
    let missing: Vec<(String, Reason)> =
        built.issues.iter().map(|(i, e)| (i.to_string(), e.reason)).collect();
    let expected = [
        ("BTC-1JAN26-90000-C", Reason::Expired),
        ("SOL-PERPETUAL", Reason::UnknownUnderlying),
        ("BTC_EURR-30JAN26", Reason::UnknownInstrument),
        ("ETH-PERP", Reason::UnknownInstrument),
        ("ETH_USDC-26JUN27-3000-C", Reason::MissingSmile),
    ];
    assert_eq!(missing, expected.map(|(name, reason)| (name.to_owned(), reason)));
    let market = later(&["BTC", "ETH"]);
    let mut arrays = built.arrays;
    plan.refresh(&market, &mut arrays, None, Path::best()).unwrap();
    assert_eq!(arrays, plan.build(&market, Path::best()).unwrap().arrays);
    plan.refresh(&surface(), &mut arrays, Some(UnderlyingIx(1)), Path::best()).unwrap();
}

fn refuse(market: &Surface, only: Option<UnderlyingIx>) -> RefreshError {
    let plan = Plan::new(&book(), &every_shock(), &units()).unwrap();
    let mut arrays = plan.build(&surface(), Path::best()).unwrap().arrays;
    let refused = plan.refresh(market, &mut arrays, only, Path::best()).unwrap_err();
    assert!(arrays.pnl.is_empty() && arrays.check().is_err(), "nothing may be left to be used");
    refused
}

#[test]
fn a_refresh_that_would_lose_or_gain_an_instrument_is_refused_with_its_name() {
    let mut expired = surface();
    expired.as_of = "2026-01-02T08:00:00Z".parse().unwrap();
    let lost = refuse(&expired, None);
    let RefreshError::Lost { instrument: name, issue } = lost else { panic!("{lost:?}") };
    assert_eq!((name.to_string().as_str(), issue.reason), ("BTC-2JAN26", Reason::Expired));

    let mut gone = surface();
    gone.underlyings.get_mut(&asset("ETH")).unwrap().perpetuals.clear();
    let lost = refuse(&gone, Some(UnderlyingIx(1)));
    assert!(
        matches!(&lost, RefreshError::Lost { instrument, .. } if instrument.to_string() == "ETH-PERPETUAL")
    );

    gone.underlyings.remove(&asset("ETH"));
    for only in [None, Some(UnderlyingIx(1))] {
        let refused = refuse(&gone, only);
        assert!(matches!(refused, RefreshError::UnderlyingChanged { gained: false, .. }), "{refused:?}");
    }
    let plan = Plan::new(&book(), &every_shock(), &units()).unwrap();
    let mut arrays = plan.build(&gone, Path::best()).unwrap().arrays;
    let gained = plan.refresh(&surface(), &mut arrays, None, Path::best());
    assert!(matches!(gained, Err(RefreshError::UnderlyingChanged { gained: true, .. })), "{gained:?}");

    let plan = Plan::new(&instruments(&["ETH-PERP", "ETH"]), &every_shock(), &units()).unwrap();
    let mut arrays = plan.build(&surface(), Path::best()).unwrap().arrays;
    let mut more = surface();
    let perpetuals = &mut more.underlyings.get_mut(&asset("ETH")).unwrap().perpetuals;
    let mark = perpetuals[&instrument("ETH-PERPETUAL")];
    perpetuals.insert(instrument("ETH-PERP"), mark);
    let gained = plan.refresh(&more, &mut arrays, None, Path::best()).unwrap_err();
    assert!(matches!(&gained, RefreshError::Gained { instrument } if instrument.to_string() == "ETH-PERP"));
}

#[test]
fn arrays_of_another_plan_and_other_assets_are_refused() {
    let mut assets = surface();
    assets.assets.remove(&asset("USDC"));
    assert!(matches!(refuse(&assets, None), RefreshError::AssetsChanged { .. }));
    assert!(matches!(refuse(&surface(), Some(UnderlyingIx(9))), RefreshError::UnknownUnderlying { .. }));
    let plan = Plan::new(&instruments(&["BTC", "ETH"]), &every_shock(), &units()).unwrap();
    let reversed = Plan::new(&instruments(&["ETH", "BTC"]), &every_shock(), &units()).unwrap();
    let mut arrays: RiskArrays = reversed.build(&surface(), Path::best()).unwrap().arrays;
    let foreign = plan.refresh(&surface(), &mut arrays, None, Path::best());
    assert!(matches!(foreign, Err(RefreshError::Foreign { .. })), "{foreign:?}");
    let mut arrays = reversed.build(&surface(), Path::best()).unwrap().arrays;
    arrays.scenarios.pop();
    let shape = plan.refresh(&surface(), &mut arrays, None, Path::best());
    assert!(matches!(shape, Err(RefreshError::Shape { what: "columns", .. })), "{shape:?}");
}

#[test]
fn blocks_of_columns_are_the_columns_of_a_build() {
    let surface = later(&["BTC"]);
    for set in sets() {
        let plan = Plan::new(&book(), &set, &units()).unwrap();
        let whole = plan.build(&surface, Path::best()).unwrap().arrays;
        let (rows, width) = (book().len(), plan.columns());
        for block in [1, 7, 16, 50, width] {
            for start in (0..width).step_by(block) {
                let columns = start..(start + block).min(width);
                let mut out = vec![i64::MIN; rows * columns.len()];
                plan.fill_block(&surface, columns.clone(), &mut out, Path::best()).unwrap();
                for (row, got) in out.chunks(columns.len()).enumerate() {
                    let expected = &whole.pnl[row * width..(row + 1) * width][columns.clone()];
                    assert_eq!(got, expected, "{} {columns:?}", book()[row]);
                }
            }
        }
    }
}

#[test]
fn blocks_that_do_not_fit_and_instruments_without_a_value_are_refused() {
    let plan = Plan::new(&book(), &every_shock(), &units()).unwrap();
    let (rows, width) = (book().len(), plan.columns());
    let mut out = vec![0; rows];
    for columns in [width..width + 1, 0..2] {
        let refused = plan.fill_block(&surface(), columns, &mut out, Path::best());
        assert!(matches!(refused, Err(BlockError::Shape { .. })), "{refused:?}");
    }
    plan.fill_block(&surface(), 3..3, &mut [], Path::best()).unwrap();
    for name in ["SOL", "BTC-1JAN26", "BTC_EURR-30JAN26"] {
        let plan = Plan::new(&instruments(&["BTC", name]), &every_shock(), &units()).unwrap();
        let refused = plan.fill_block(&surface(), 0..1, &mut [0; 2], Path::best()).unwrap_err();
        assert!(
            matches!(&refused, BlockError::Unvalued { instrument, .. } if instrument.to_string() == name)
        );
    }
}

#[test]
fn entries_beyond_fifty_one_bits_are_there_and_beyond_sixty_four_refused() {
    let up = "[[scenarios]]\nkind = 'grid'\npurpose = 'both'\n[[scenarios.points]]\nunit = 'relative'\nprice = [0.5]\nvol = ['none']\nweight = 1\n";
    let set = set_of(up, &["BTC"], &BTreeMap::new());
    let mut units = units();
    units.lot.base = plimsoll_types::Decimal::ONE;
    // 45,000 units of 1e12 ticks each: 4.5e16, above 2^51 and below 2^63.
    units.ticks_per_unit = 1_000_000_000_000;
    let names = instruments(&["BTC", "BTC_USDC-30JAN26-1-C"]);
    let made = build(&surface(), &names, &set, &units, Mode::FullReprice).unwrap();
    assert_eq!(made.arrays.pnl[0], 45_000_000_000_000_000);
    let forward = surface().underlyings[&asset("BTC")].forwards[1].1;
    // Worth F' - 1 to the last place: what is off is a few places of a float of this size, 8 ticks each.
    assert!((made.arrays.pnl[1] - (0.5 * forward * 1e12).round() as i64).abs() <= 32);
    assert_eq!(made.issues, vec![]);
    units.ticks_per_unit = 1_000_000_000_000_000;
    let refused = build(&surface(), &names, &set, &units, Mode::FullReprice);
    // An entry of 4.5e19 and collateral of 9e19 do not fit; the underlying goes with them.
    assert!(refused.unwrap().issues.iter().all(|(_, e)| e.reason != Reason::NonFinite));
}

#[test]
fn a_plan_of_a_malformed_set_is_refused() {
    let mut set = every_shock();
    set.price_scan.pop();
    let refused = Plan::new(&book(), &set, &units()).err();
    assert!(matches!(refused, Some(BuildError::Shape { what: "price_scan", found: 1, expected: 2, .. })));
}
