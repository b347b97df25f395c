//! Real chains: fitted free of arbitrage, close to their quotes, and forwards that parity agrees with.
//!
//! The data set lies outside the project; without it these tests say so and pass, unless `CI=true`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::read::{At, Format, each, snapshots};
use plimsoll_market::{FitParams, GuardParams, Surface, UnderlyingSurface, fit, guard};
use plimsoll_quant::svi::calendar_violation;
use plimsoll_types::{ForwardSource, Snapshot, Timestamp};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::PathBuf;

const CHAINS: &str = "options_deribit_btc_eth_4x_daily";

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{} is missing", path.display());
    println!("skipped: {} is not there", path.display());
    None
}

fn open(path: &PathBuf) -> Box<dyn BufRead> {
    let file = BufReader::new(File::open(path).unwrap());
    match path.extension().and_then(|e| e.to_str()) {
        Some("zst") => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(file).unwrap();
            decoder.window_log_max(27).unwrap();
            Box::new(BufReader::new(decoder))
        }
        Some("gz") => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        _ => Box::new(file),
    }
}

fn chain(name: &str, at: &At) -> Option<Snapshot> {
    let path = shared(CHAINS)?.join(name);
    Some(snapshots(Format::DeribitChainCsv, open(&path), name, at).unwrap().snapshot)
}

fn fitted(snapshot: &Snapshot) -> Surface {
    fit(&guard(snapshot, &GuardParams::default()), &FitParams::default())
}

/// Durrleman's function from differences of `w` alone, wings by their slopes, calendar order by comparison.
fn assert_free_of_arbitrage(surface: &UnderlyingSurface) {
    for (i, slice) in surface.slices.iter().enumerate() {
        let svi = slice.svi;
        assert!(svi.b * (1.0 + svi.rho.abs()) <= 2.0);
        let scale = svi.w(0.0).sqrt();
        for j in -400..=400_i32 {
            let u = f64::from(j) / 400.0;
            let k = 20.0 * u * u * u;
            let h = 1e-4 * (scale + k.abs());
            let (lo, mid, hi) = (svi.w(k - h), svi.w(k), svi.w(k + h));
            let (w1, w2) = ((hi - lo) / (2.0 * h), (hi - 2.0 * mid + lo) / (h * h));
            let q = 1.0 - 0.5 * k * w1 / mid;
            let g = q * q - 0.25 * w1 * w1 * (1.0 / mid + 0.25) + 0.5 * w2;
            assert!(mid > 0.0 && g > -1e-5 - 1e-15 * mid / (h * h), "{} g({k}) = {g}", slice.expiry);
            if let Some(near) = i.checked_sub(1).and_then(|i| surface.slices.get(i)) {
                assert!(near.svi.w(k) <= mid * (1.0 + 1e-9), "{} calendar at {k}", slice.expiry);
            }
        }
        slice.svi.check().unwrap();
    }
    for pair in surface.slices.windows(2) {
        assert_eq!(calendar_violation(&pair[0].svi, &pair[1].svi), None);
    }
}

/// Fits, checks every slice, and returns the misfit of those beyond two days and the count of expiries refused.
fn examine(snapshot: &Snapshot) -> (Vec<f64>, usize) {
    let surface = fitted(snapshot);
    let (mut misfits, mut refused) = (Vec::new(), 0);
    for fitted in surface.underlyings.values() {
        assert_free_of_arbitrage(fitted);
        refused += fitted.forwards.len() - fitted.slices.len();
        let beyond = fitted.slices.iter().filter(|s| s.tau * 365.0 > 2.0);
        misfits.extend(beyond.map(|s| s.quality.rmse_vol_points));
        for slice in &fitted.slices {
            assert!(slice.quality.quotes_used >= 5);
        }
    }
    misfits.sort_by(f64::total_cmp);
    (misfits, refused)
}

#[test]
fn the_crash_of_5_february_2026_is_fitted_free_of_arbitrage() {
    let Some(snapshot) = chain("single_snapshot_20260205T212937Z.csv.gz", &At::Only) else { return };
    assert_eq!(snapshot.underlyings[&"BTC".parse().unwrap()].options.len(), 902);
    let (misfits, refused) = examine(&snapshot);
    assert!(misfits[misfits.len() / 2] < 1.5, "{misfits:?}");
    assert!(refused <= 2, "{refused} expiries refused");
}

#[test]
fn a_calm_day_is_fitted_within_half_a_vol_point() {
    let Some(snapshot) = chain("single_snapshot_20260101T091835Z.csv.gz", &At::Only) else { return };
    let (misfits, refused) = examine(&snapshot);
    assert!(misfits[misfits.len() / 2] < 0.5, "{misfits:?}");
    assert!(refused <= 1, "{refused} expiries refused");
}

/// Expiry, misfit in vol points, quotes used and quotes refused.
type Recorded = (&'static str, f64, usize, usize);

/// The bitcoin slices of a calm day and of a crash as the fit has always made them: a faster one must be no worse.
const CALM: [Recorded; 13] = [
    ("2026-01-02T08:00:00Z", 1.3614, 15, 7),
    ("2026-01-03T08:00:00Z", 1.7631, 12, 0),
    ("2026-01-04T08:00:00Z", 0.3276, 11, 0),
    ("2026-01-05T08:00:00Z", 0.2467, 11, 0),
    ("2026-01-09T08:00:00Z", 0.2828, 18, 0),
    ("2026-01-16T08:00:00Z", 0.1656, 17, 0),
    ("2026-01-23T08:00:00Z", 0.1166, 12, 0),
    ("2026-01-30T08:00:00Z", 0.6280, 37, 0),
    ("2026-02-27T08:00:00Z", 0.2655, 32, 0),
    ("2026-03-27T08:00:00Z", 0.9912, 50, 0),
    ("2026-06-26T08:00:00Z", 0.2748, 41, 0),
    ("2026-09-25T08:00:00Z", 0.2599, 35, 0),
    ("2026-12-25T08:00:00Z", 0.1994, 22, 0),
];
const CRASH: [Recorded; 12] = [
    ("2026-02-06T08:00:00Z", 5.6576, 32, 20),
    ("2026-02-07T08:00:00Z", 2.2498, 27, 0),
    ("2026-02-08T08:00:00Z", 0.9218, 25, 0),
    ("2026-02-09T08:00:00Z", 0.9735, 19, 0),
    ("2026-02-13T08:00:00Z", 1.7315, 41, 0),
    ("2026-02-20T08:00:00Z", 0.5885, 37, 0),
    ("2026-02-27T08:00:00Z", 1.0836, 40, 2),
    ("2026-03-27T08:00:00Z", 1.3438, 56, 5),
    ("2026-04-24T08:00:00Z", 0.3780, 31, 0),
    ("2026-06-26T08:00:00Z", 2.9909, 44, 0),
    ("2026-09-25T08:00:00Z", 1.0859, 39, 0),
    ("2026-12-25T08:00:00Z", 0.6835, 33, 0),
];
/// What the last digits of implied volatilities may move a misfit by, vol points.
const MISFIT_NOISE: f64 = 0.002;

#[test]
fn every_slice_of_a_calm_day_and_of_a_crash_is_as_near_to_its_quotes_as_on_record() {
    for (name, record) in [
        ("single_snapshot_20260101T091835Z.csv.gz", &CALM[..]),
        ("single_snapshot_20260205T212937Z.csv.gz", &CRASH[..]),
    ] {
        let Some(snapshot) = chain(name, &At::Only) else { return };
        let surface = fitted(&snapshot);
        let btc = &surface.underlyings[&"BTC".parse().unwrap()];
        assert_free_of_arbitrage(btc);
        assert_eq!(btc.slices.len(), record.len());
        for (slice, &(expiry, misfit, used, refused)) in btc.slices.iter().zip(record) {
            let q = &slice.quality;
            assert_eq!(slice.expiry, expiry.parse().unwrap());
            assert_eq!((q.quotes_used, q.quotes_refused.len()), (used, refused), "{expiry}");
            let found = q.rmse_vol_points;
            assert!(found <= misfit + MISFIT_NOISE, "{expiry}: {found}, on record {misfit}");
        }
    }
}

#[test]
fn ten_snapshots_of_february_stay_under_one_vol_point_in_the_middle() {
    let Some(path) = shared(CHAINS) else { return };
    let path = path.join("snapshots_2026-02.csv.zst");
    let (mut all, mut refused, mut seen) = (Vec::new(), 0, 0);
    each(Format::DeribitChainCsv, open(&path), "february", &mut |snapshot, _| {
        if seen % 3 == 0 {
            let (misfits, out) = examine(&snapshot);
            all.extend(misfits);
            refused += out;
        }
        seen += 1;
        if seen < 30 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    all.sort_by(f64::total_cmp);
    assert!(all[all.len() / 2] <= 1.0, "median {}", all[all.len() / 2]);
    assert!(refused * 50 <= all.len(), "{refused} of {}", all.len());
}

#[test]
fn parity_finds_the_venues_forward_within_ten_basis_points() {
    let wanted: Timestamp = "2026-02-20T12:00:00Z".parse().unwrap();
    let Some(mut snapshot) = chain("snapshots_2026-02.csv.zst", &At::Nearest(wanted)) else { return };
    let stated = fitted(&snapshot);
    for market in snapshot.underlyings.values_mut() {
        market.futures.clear();
        market.options.iter_mut().for_each(|q| q.forward = None);
    }
    let hidden = fitted(&snapshot);
    let mut compared = 0;
    for (asset, surface) in &hidden.underlyings {
        for &(expiry, forward, source) in &surface.forwards {
            assert_eq!(source, ForwardSource::Parity);
            let venue = stated.underlyings[asset].forwards.iter().find(|f| f.0 == expiry).unwrap();
            assert_eq!(venue.2, ForwardSource::Venue);
            let error = (forward / venue.1 - 1.0).abs();
            assert!(error < 1e-3, "{asset} {expiry}: {forward} for {}", venue.1);
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn recorded_tickers_and_tardis_rows_are_read() {
    let Some(path) = shared("api_frames_nautilus") else { return };
    let ticker = path.join("deribit/ws_ticker.json");
    let read = snapshots(Format::TickerJson, open(&ticker), "ws_ticker.json", &At::Only).unwrap();
    let btc = &read.snapshot.underlyings[&"BTC".parse().unwrap()];
    assert_eq!((btc.perpetuals[0].mark, btc.index[0].price), (Some(92281.78), 92263.55));
    assert_eq!(btc.perpetuals[0].funding_8h, Some(0.00001742));
    let rows = path.join("tardis/options_chain.csv");
    let read = snapshots(Format::TardisCsv, open(&rows), "options_chain.csv", &At::Last).unwrap();
    let options: usize = read.snapshot.underlyings.values().map(|u| u.options.len()).sum();
    assert!(options >= 2, "{options}");
}

#[test]
fn a_chain_cut_in_the_middle_of_its_stream_is_an_error() {
    let Some(path) = shared(CHAINS) else { return };
    let bytes = std::fs::read(path.join("snapshots_2025-12.csv.zst")).unwrap();
    let mut decoder = zstd::stream::read::Decoder::new(&bytes[..bytes.len() / 2]).unwrap();
    decoder.window_log_max(27).unwrap();
    let cut = snapshots(Format::DeribitChainCsv, BufReader::new(decoder), "cut.zst", &At::Last);
    assert!(matches!(cut, Err(plimsoll_market::read::ReadError::Io { .. })), "{cut:?}");
}
