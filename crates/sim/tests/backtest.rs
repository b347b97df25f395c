//! What a backtest promises: nothing of the future, the same answer however it is run, and every change accounted for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_engine::ParamSet;
use plimsoll_policy::Policy;
use plimsoll_quant::sobol::Rng64;
use plimsoll_sim::{History, Outcome, PortfolioSpec, PriceRow, STANDARD, Study, clean, replay};
use plimsoll_types::{Asset, Timestamp};

const DAY: i64 = 86_400;

/// A price with calm and wild stretches and a jump now and then.
fn prices(asset: &str, seed: u64, rows: i64, step: i64) -> Vec<PriceRow> {
    let mut rng = Rng64::new(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut price = 100.0 + asset.len() as f64;
    (0..rows)
        .map(|i| {
            let wild = if (i / 150) % 3 == 2 { 2.5 } else { 1.0 };
            let mut change =
                0.02 * wild * (uniform() + uniform() + uniform() - 1.5) * (step as f64 / DAY as f64).sqrt();
            if uniform() < 0.01 {
                change -= 0.15;
            }
            price *= 1.0 + change.max(-0.6);
            let time = Timestamp::from_seconds(1_500_000_000 / DAY * DAY + i * step);
            PriceRow { time, open: None, high: None, low: None, close: price }
        })
        .collect()
}

fn history(asset: &str, rows: Vec<PriceRow>) -> History {
    clean(Asset::new(asset).unwrap(), rows).unwrap()
}

fn study(histories: Vec<History>) -> Study {
    let policy = |text| Policy::from_toml(text).unwrap();
    Study {
        policies: vec![
            policy(include_str!("../../../policies/plimsoll.toml")),
            policy(include_str!("../../../policies/ewma.toml")),
            policy(include_str!("../../../policies/static.toml")),
        ],
        histories,
        portfolios: PortfolioSpec::from_toml(STANDARD).unwrap(),
        horizons: vec![DAY, 2 * DAY],
        warm_up_seconds: 200 * DAY,
        from: None,
        to: None,
        split: Timestamp::from_seconds(1_550_000_000),
        params: ParamSet::preset("plimsoll").unwrap(),
    }
}

fn run(study: &Study) -> Outcome {
    study.run(&|| ()).unwrap()
}

#[test]
fn what_comes_later_changes_nothing_that_came_before() {
    let (rows, cut) = (600, 430_usize);
    let all = || vec![prices("BTC", 1, rows, DAY), prices("ETH", 2, rows, DAY)];
    let plain = run(&study(all().into_iter().zip(["BTC", "ETH"]).map(|(r, a)| history(a, r)).collect()));
    let mut shifted = all();
    for (i, row) in shifted.iter_mut().flat_map(|rows| rows.iter_mut().enumerate().skip(cut)) {
        row.close *= if i % 2 == 0 { 1.4 } else { 0.7 };
    }
    let shifted = run(&study(shifted.into_iter().zip(["BTC", "ETH"]).map(|(r, a)| history(a, r)).collect()));
    let mut later = 0;
    for (one, other) in plain.margins.iter().zip(&shifted.margins) {
        for (one, other) in one.margins.iter().zip(&other.margins) {
            assert_eq!(one[..cut], other[..cut]);
            later += usize::from(one[cut..] != other[cut..]);
        }
    }
    assert!(later > 20, "only {later} margins saw the shift");
    for (one, other) in plain.groups.iter().zip(&shifted.groups) {
        assert_eq!(one.points[..cut], other.points[..cut]);
        let known = |group: &plimsoll_sim::Group| {
            group.losses[0].iter().map(|l| l[..cut - 1].to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(known(one), known(other));
        assert_ne!(one.losses[0][0][cut - 1], other.losses[0][0][cut - 1], "the shift is a loss or a gain");
    }
}

#[test]
fn the_answer_is_the_same_on_one_thread_and_on_many() {
    let study = study(vec![history("BTC", prices("BTC", 3, 420, DAY))]);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&study))
    };
    let (one, four) = (on(1), on(4));
    assert_eq!(one.rows, four.rows);
    assert!(!one.rows.is_empty());
    assert_eq!(one.tracks, four.tracks);
}

#[test]
fn every_change_is_attributed_and_every_row_is_there() {
    let study = study(vec![history("BTC", prices("BTC", 4, 420, DAY))]);
    let outcome = run(&study);
    // 10 portfolios of one asset, 2 horizons, 3 policies; the pair needs a second asset.
    assert_eq!(outcome.rows.len(), 10 * 2 * 3);
    let moving: Vec<_> = outcome.rows.iter().filter(|row| row.changes_per_month > 0.0).collect();
    assert!(moving.iter().all(|row| row.attributed_share == Some(1.0)));
    assert!(
        moving.iter().any(|row| row.policy == "plimsoll") && moving.iter().any(|row| row.policy == "ewma")
    );
    for row in outcome.rows.iter().filter(|row| row.policy == "static" && row.portfolio == "perpetual") {
        assert_eq!((row.whole.peak_to_trough, row.changes_per_month), (Some(1.0), 0.0));
        assert_eq!(row.impulse.map(|i| i.overshoot), Some(0.0));
    }
}

#[test]
fn too_little_history_is_a_stress_floor_that_is_counted_and_nothing_to_judge_is_refused() {
    let history = history("BTC", prices("BTC", 5, 120, DAY));
    let mut study = study(vec![history.clone()]);
    let track = replay(&study.policies[0], &[history]).unwrap();
    assert!(track.without.too_little_history > 0);
    let error = study.run(&|| ()).unwrap_err().to_string();
    assert!(error.contains("120 rows, 200 days of warm-up"), "{error}");
    study.horizons = vec![0];
    assert!(study.run(&|| ()).unwrap_err().to_string().contains("the horizon is 0 s"));
}

#[test]
fn a_gap_is_one_return_and_no_asset_waits_for_another() {
    let mut rows = prices("BTC", 6, 420, DAY);
    rows.drain(250..255);
    let (holed, late) = (history("BTC", rows), history("ETH", prices("ETH", 7, 300, DAY)));
    let track = replay(&study(vec![]).policies[0], &[holed.clone(), late.clone()]).unwrap();
    let alone = replay(&study(vec![]).policies[1], &[holed]).unwrap();
    assert!(alone.without.bridged > 0 && track.without.bridged > 0);
    assert!(!track.in_force[0].is_empty() && !track.in_force[1].is_empty());
}
