//! What a backtest promises: nothing of the future, the same answer however it is run, and every change accounted for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_engine::ParamSet;
use plimsoll_policy::{POLICIES, Policy};
use plimsoll_quant::sobol::Rng64;
use plimsoll_sim::{
    Absence, History, LeftOut, Outcome, PortfolioSpec, PriceRow, STANDARD, Study, StudyError, clean, replay,
};
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

/// Perpetuals of both sides, a straddle and a pair: a shape of each kind.
fn few() -> Vec<PortfolioSpec> {
    let mut all = PortfolioSpec::from_toml(STANDARD).unwrap();
    all.retain(|p| ["perpetual", "straddle", "pair"].contains(&p.name.as_str()));
    all
}

fn histories(all: Vec<Vec<PriceRow>>) -> Vec<History> {
    all.into_iter().zip(["BTC", "ETH"]).map(|(rows, asset)| history(asset, rows)).collect()
}

/// Runs a study as it is and with every price from row `cut` on shifted: nothing before may differ, and much after it must.
fn nothing_is_foreseen(study: impl Fn(Vec<History>) -> Study, rows: [i64; 2], step: i64, cut: usize) {
    let all = || vec![prices("BTC", 1, rows[0], step), prices("ETH", 2, rows[1], step)];
    let plain = run(&study(histories(all())));
    let mut shifted = all();
    for (i, row) in shifted.iter_mut().flat_map(|rows| rows.iter_mut().enumerate().skip(cut)) {
        row.close *= if i % 2 == 0 { 1.4 } else { 0.7 };
    }
    let shifted = run(&study(histories(shifted)));
    let mut later = vec![0; plain.tracks.len()];
    for (one, other) in plain.margins.iter().zip(&shifted.margins) {
        let series = |of: &plimsoll_sim::Margins| {
            [of.margins.clone(), of.maintenance.clone(), of.unramped.clone()].concat()
        };
        for (one_, other_) in series(one).iter().zip(&series(other)) {
            assert_eq!(one_[..cut], other_[..cut], "policy {}", one.policy);
            later[one.policy] += usize::from(one_[cut..] != other_[cut..]);
        }
    }
    assert!(
        later.iter().filter(|count| **count > 0).count() + 1 >= later.len(),
        "who saw the shift: {later:?}"
    );
    for (one, other) in plain.groups.iter().zip(&shifted.groups) {
        assert_eq!(one.points[..cut], other.points[..cut]);
        let span = one.spans[0];
        let known = |group: &plimsoll_sim::Group| {
            group.losses[0].iter().map(|l| l[..cut - span].to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(known(one), known(other));
        assert_ne!(
            one.losses[0][0][cut - span],
            other.losses[0][0][cut - span],
            "the shift is a loss or a gain"
        );
    }
    for (one, other) in plain.tracks.iter().flatten().zip(shifted.tracks.iter().flatten()) {
        let end = plain.groups[0].times[cut];
        let before = |track: &plimsoll_sim::Track| {
            track.changes.iter().filter(|change| change.at < end).cloned().collect::<Vec<_>>()
        };
        assert_eq!(before(one), before(other));
    }
}

#[test]
fn what_comes_later_changes_nothing_that_came_before() {
    nothing_is_foreseen(study, [600, 600], DAY, 430);
}

#[test]
fn no_shipped_policy_looks_ahead() {
    let shipped = |histories| Study {
        policies: POLICIES.iter().map(|(name, _)| Policy::shipped(name).unwrap()).collect(),
        portfolios: few(),
        ..study(histories)
    };
    nothing_is_foreseen(shipped, [500, 500], DAY, 380);
}

#[test]
fn at_hours_nothing_looks_ahead_either() {
    let hours = |histories| Study {
        policies: ["plimsoll", "fhs", "static"].map(|name| Policy::shipped(name).unwrap()).to_vec(),
        portfolios: few(),
        warm_up_seconds: 30 * DAY,
        ..study(histories)
    };
    nothing_is_foreseen(hours, [24 * 90, 24 * 90], 3600, 24 * 70 + 7);
}

#[test]
fn the_answer_is_the_same_on_one_thread_and_on_many() {
    let daily = study(histories(vec![prices("BTC", 3, 300, DAY), prices("ETH", 4, 280, DAY)]));
    let hourly = Study {
        portfolios: few(),
        warm_up_seconds: 10 * DAY,
        ..study(histories(vec![prices("BTC", 3, 24 * 20, 3600), prices("ETH", 5, 24 * 16, 3600)]))
    };
    for study in [daily, hourly] {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&study))
        };
        let (one, many) = (on(1), on(3));
        assert_eq!(one.rows, many.rows);
        assert_eq!(one.tracks, many.tracks);
        assert_eq!(study.crashes(&one), study.crashes(&many));
        assert!(!one.rows.is_empty());
    }
}

#[test]
fn every_change_is_attributed_and_every_row_is_there() {
    let study = study(vec![history("BTC", prices("BTC", 4, 420, DAY))]);
    let outcome = run(&study);
    // 10 portfolios of one asset, 2 horizons, 3 policies; the pair needs a second asset, and is named.
    assert_eq!(outcome.rows.len(), 10 * 2 * 3);
    let pair = LeftOut {
        portfolio: "pair".to_owned(),
        side: "long".to_owned(),
        asset: "BTC".to_owned(),
        why: Absence::Assets { needed: 2, given: 1 },
    };
    assert_eq!(outcome.left_out, [pair]);
    assert!(outcome.rows.iter().all(|row| row.faults.left_out == 1));
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
    let on_floor = |policy: usize| {
        replay(&study.policies[policy], std::slice::from_ref(&history)).unwrap().without[0].on_stress_floor
    };
    // EWMA has an estimate after thirty returns; so many rows stand on the floor, and not two, the number of parameters.
    assert!((30..35).contains(&on_floor(1)), "{}", on_floor(1));
    assert!((35..120).contains(&on_floor(0)) && on_floor(2) == 0, "{} {}", on_floor(0), on_floor(2));
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
    assert_eq!((alone.without[0].bridged, track.without[0].bridged, track.without[1].bridged), (1, 1, 0));
    assert!(!track.in_force[0].is_empty() && !track.in_force[1].is_empty());
}

fn refused(study: &Study, parts: &[&str]) {
    let error = study.run(&|| ()).unwrap_err().to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn assets_of_other_spacings_are_judged_by_what_they_have_in_common() {
    let hours = prices("BTC", 8, 24 * 400, 3600);
    let days: Vec<PriceRow> = hours.iter().copied().filter(|row| row.time.seconds() % DAY == 0).collect();
    let mut mixed = study(vec![history("BTC", hours), history("ETH", prices("ETH", 9, 400, DAY))]);
    mixed.portfolios = few();
    let mut daily = study(vec![history("BTC", days), history("ETH", prices("ETH", 9, 400, DAY))]);
    daily.portfolios = few();
    let (mixed, daily) = (run(&mixed), run(&daily));
    let pair =
        |outcome: &Outcome| outcome.groups.iter().find(|group| group.members.len() == 2).unwrap().clone();
    let (mixed, daily) = (pair(&mixed), pair(&daily));
    assert_eq!((mixed.step_seconds, &mixed.spans), (DAY, &daily.spans));
    assert_eq!((&mixed.times, &mixed.prices), (&daily.times, &daily.prices));
    assert_eq!(mixed.losses[1][0].len(), daily.losses[1][0].len());
}

#[test]
fn assets_with_nothing_in_common_are_left_out_by_name() {
    let late = |mut rows: Vec<PriceRow>| {
        rows.iter_mut().for_each(|row| row.time = row.time.plus_seconds(3600));
        rows
    };
    let apart =
        vec![history("BTC", prices("BTC", 1, 400, DAY)), history("ETH", late(prices("ETH", 2, 400, DAY)))];
    let outcome = run(&study(apart.clone()));
    assert_eq!(outcome.left_out.len(), 1);
    let told = outcome.left_out[0].to_string();
    assert!(told.contains("portfolio `pair` long on BTC/ETH is left out: its assets have 0 rows"), "{told}");
    assert!(outcome.rows.iter().all(|row| row.portfolio != "pair" && row.faults.left_out == 1));
    let mut only = study(apart);
    only.portfolios.retain(|portfolio| portfolio.name == "pair");
    refused(&only, &["nothing to judge", "`pair` long on BTC/ETH"]);
    only.histories.truncate(1);
    assert!(matches!(only.run(&|| ()), Err(StudyError::Nothing { left_out }) if left_out.len() == 1));
}

#[test]
fn what_would_be_judged_as_something_else_is_refused_by_name() {
    let sound = study(vec![history("BTC", prices("BTC", 1, 400, DAY))]);
    let with = |change: &dyn Fn(&mut Study)| {
        let mut study = sound.clone();
        change(&mut study);
        study
    };
    refused(
        &with(&|s| s.horizons = vec![DAY + DAY / 2]),
        &["129600 s", "BTC has rows every 86400 s", "a whole number of rows"],
    );
    refused(&with(&|s| s.horizons = vec![DAY, DAY]), &["two horizons called `86400 s`"]);
    let minutes = study(vec![history("BTC", prices("BTC", 1, 3000, 60))]);
    refused(&minutes, &["the horizon is 86400 s, and BTC has rows every 60 s", "at most 250 rows"]);
    refused(
        &with(&|s| s.portfolios.push(s.portfolios[0].clone())),
        &["two portfolios called `perpetual long`"],
    );
    refused(
        &with(&|s| s.portfolios[0].side = "<b>|".to_owned()),
        &["the side of a portfolio `<b>|`", "letters"],
    );
    let (first, later) = (sound.histories[0].rows[0].0, sound.histories[0].rows[390].0);
    refused(
        &with(&|s| s.from = Some(later.plus_seconds(100 * DAY))),
        &["BTC: rows are from", "nothing is left to judge from"],
    );
    refused(&with(&|s| s.to = Some(first)), &["nothing is left to judge up to"]);
    refused(
        &with(&|s| (s.from, s.to) = (Some(later), Some(first))),
        &["the time judged from", "before the end"],
    );
    refused(&with(&|s| s.warm_up_seconds = 399 * DAY), &["400 rows, 399 days of warm-up"]);
    refused(&with(&|s| s.params = ParamSet::preset("fixed").unwrap()), &["`fixed` asks the same whatever"]);
    let renamed = |from: &str, to: &str| {
        Policy::from_toml(&include_str!("../../../policies/ewma.toml").replacen(from, to, 1)).unwrap()
    };
    let named = |name: &str| renamed("name = \"ewma\"", &format!("name = \"{name}\""));
    refused(&with(&|s| s.policies.push(named("fixed"))), &["policy `fixed`", "the base line"]);
    refused(&with(&|s| s.policies.push(named("<script>"))), &["policy `<script>`", "letters"]);
    refused(&with(&|s| s.policies.push(named(""))), &["policy ``"]);
    refused(&with(&|s| s.policies.push(named("static"))), &["two policies called `static`"]);
}

#[test]
fn existing_positions_follow_announced_ramps() {
    let mut study = study(vec![history("BTC", prices("BTC", 4, 24 * 120, 3600))]);
    (study.portfolios, study.warm_up_seconds, study.horizons) = (few(), 40 * DAY, vec![DAY]);
    let outcome = run(&study);
    let of = |policy: usize| outcome.margins.iter().find(|m| m.policy == policy && m.group == 0).unwrap();
    let plimsoll = of(0);
    let pairs = || plimsoll.maintenance[0].iter().zip(&plimsoll.unramped[0]);
    assert!(pairs().all(|(ramped, whole)| ramped <= whole));
    let share = pairs().filter(|(ramped, whole)| ramped < whole).count() as f64 / pairs().count() as f64;
    assert!((0.01..0.9).contains(&share), "{share}");
    // Maintenance of a perpetual is 80 % of the scan that was announced, within half a tick a lot.
    let track = &outcome.tracks[0][0].in_force[0];
    for (i, time) in outcome.groups[0].times.iter().enumerate().step_by(97) {
        let entry = track.iter().rev().find(|entry| entry.at <= *time).unwrap();
        let of = |knob| entry.maintenance(knob, *time).unwrap().to_f64();
        let expected = of(plimsoll_policy::Knob::PriceScanDown) * of(plimsoll_policy::Knob::MmScale);
        assert!((plimsoll.maintenance[0][i] - expected).abs() < 1e-6);
    }
    let row = outcome.rows.iter().find(|row| row.policy == "plimsoll").unwrap();
    let held = row.maintenance.unwrap();
    assert!(
        held.ramp_share > 0.0
            && held.breaches >= row.whole.breaches
            && held.mean < row.whole.mean_margin.unwrap()
    );
    let still = outcome.rows.iter().find(|row| row.policy == "static").unwrap().maintenance.unwrap();
    assert_eq!((still.ramp_share, still.ramp_breaches), (0.0, 0));
}
