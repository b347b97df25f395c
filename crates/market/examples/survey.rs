//! Fits every snapshot of chain CSV files and prints how well, per tenor.
//!
//! `cargo run --release -p plimsoll-market --example survey -- FILE.csv.zst FILE.csv.gz ...`
//!
//! Arbitrage is judged here by a plain scan of its own, not by the checks the fit uses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]

use plimsoll_market::read::{Format, each};
use plimsoll_market::surface::FitMethod;
use plimsoll_market::{FitParams, GuardParams, Slice, Surface, fit, guard};
use plimsoll_quant::black::{OptionKind as Kind, price};
use plimsoll_types::{OptionKind, Settlement, Snapshot};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;

const BUCKETS: [(&str, f64); 7] = [
    ("< 6 h", 0.25),
    ("6 h - 2 d", 2.0),
    ("2 - 7 d", 7.0),
    ("7 - 30 d", 30.0),
    ("30 - 90 d", 90.0),
    ("90 - 180 d", 180.0),
    ("> 180 d", f64::INFINITY),
];

#[derive(Default)]
struct Bucket {
    rmse: Vec<f64>,
    marks: Vec<f64>,
    coin: Vec<f64>,
    methods: BTreeMap<String, usize>,
    points: usize,
    outliers: usize,
}

#[derive(Default)]
struct Survey {
    buckets: Vec<Bucket>,
    refused: BTreeMap<String, usize>,
    snapshots: usize,
    underlyings: usize,
    violations: usize,
    seconds: f64,
    worst: Vec<(f64, String)>,
}

fn open(path: &str) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    let file = BufReader::new(File::open(path)?);
    if path.ends_with(".zst") {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
        decoder.window_log_max(27)?;
        return Ok(Box::new(BufReader::new(decoder)));
    }
    if path.ends_with(".gz") {
        return Ok(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

fn quantile(sorted: &[f64], p: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    sorted[((sorted.len() - 1) as f64 * p).round() as usize]
}

impl Survey {
    fn take(&mut self, snapshot: &Snapshot) {
        self.snapshots += 1;
        #[expect(clippy::disallowed_methods, reason = "an example may time itself")]
        let start = std::time::Instant::now();
        let guarded = guard(snapshot, &GuardParams::default());
        let surface = fit(&guarded, &FitParams::default());
        self.seconds += start.elapsed().as_secs_f64();
        for (asset, fitted) in &surface.underlyings {
            self.underlyings += 1;
            self.violations += violations(&fitted.slices);
            for issue in &fitted.refused {
                let whole = issue.subject.contains("smile") || issue.subject.contains("forward");
                let kind = if whole { "expiry" } else { "quote" };
                *self.refused.entry(format!("{kind} {}", issue.reason)).or_default() += 1;
            }
            for slice in &fitted.slices {
                let days = slice.tau * 365.0;
                let at = BUCKETS.iter().position(|b| days < b.1).unwrap_or(6);
                let bucket = &mut self.buckets[at];
                let q = &slice.quality;
                bucket.rmse.push(q.rmse_vol_points);
                bucket.marks.extend(q.rmse_mark_vol_points);
                *bucket.methods.entry(format!("{:?}", q.method)).or_default() += 1;
                bucket.points += q.points.len();
                bucket.outliers += q.points.len() - q.quotes_used;
                if days > 2.0 {
                    let label = format!("{} {asset} {} {days:.1} d", snapshot.as_of, slice.expiry);
                    self.worst.push((q.rmse_vol_points, label));
                }
                assert!(matches!(q.method, FitMethod::Raw | FitMethod::Repaired | FitMethod::Ssvi));
            }
        }
        self.reprice(snapshot, &surface);
    }

    /// Error of fitted prices against marks, in coin.
    fn reprice(&mut self, snapshot: &Snapshot, surface: &Surface) {
        for (asset, market) in &snapshot.underlyings {
            let Ok(fitted) = surface.underlying(asset) else { continue };
            for quote in &market.options {
                let (Some(expiry), Some((strike, kind))) =
                    (quote.instrument.expiry(), quote.instrument.option())
                else {
                    continue;
                };
                let Some(slice) = fitted.slices.iter().find(|s| s.expiry == expiry) else { continue };
                let (Some(mark), Some(forward)) = (quote.mark, quote.forward) else { continue };
                let strike = f64::try_from(strike).unwrap_or(f64::NAN);
                let vol = slice.svi.vol(plimsoll_quant::special::ln(strike / forward), slice.tau);
                let kind = if kind == OptionKind::Call { Kind::Call } else { Kind::Put };
                let unit = if quote.instrument.settlement() == Settlement::Inverse { forward } else { 1.0 };
                let error = (price(kind, forward, strike, vol, slice.tau) / unit - mark).abs();
                let at = BUCKETS.iter().position(|b| slice.tau * 365.0 < b.1).unwrap_or(6);
                self.buckets[at].coin.push(error);
            }
        }
    }
}

/// Durrleman's function by finite differences of `w` and calendar order, on a plain grid to +-20.
fn violations(slices: &[Slice]) -> usize {
    let mut found = 0;
    for (i, slice) in slices.iter().enumerate() {
        let w = |k: f64| slice.svi.w(k);
        let wing = slice.svi.b * (1.0 + slice.svi.rho.abs()) > 2.0;
        let scale = w(0.0).sqrt();
        let mut bad = wing;
        for j in -4000..=4000_i32 {
            let u = f64::from(j) / 4000.0;
            let k = 20.0 * u * u * u;
            let h = 1e-4 * (scale + k.abs());
            let (lo, mid, hi) = (w(k - h), w(k), w(k + h));
            let (w1, w2) = ((hi - lo) / (2.0 * h), (hi - 2.0 * mid + lo) / (h * h));
            let q = 1.0 - 0.5 * k * w1 / mid;
            let g = q * q - 0.25 * w1 * w1 * (1.0 / mid + 0.25) + 0.5 * w2;
            // Differences carry rounding of about 1e-16 w / h^2.
            let rounding = 1e-15 * mid / (h * h) + 1e-5;
            bad |= mid <= 0.0 || g < -rounding;
            bad |= i > 0 && slices[i - 1].svi.w(k) > mid * (1.0 + 1e-9);
        }
        found += usize::from(bad);
    }
    found
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut survey = Survey::default();
    survey.buckets.resize_with(BUCKETS.len(), Bucket::default);
    for path in std::env::args().skip(1) {
        each(Format::DeribitChainCsv, open(&path)?, &path, &mut |snapshot, _| {
            survey.take(&snapshot);
            ControlFlow::Continue(())
        })?;
    }
    print(&mut survey);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is the purpose")]
fn print(survey: &mut Survey) {
    println!(
        "{} snapshots, {} surfaces, {:.1} ms each; arbitrage violations: {}",
        survey.snapshots,
        survey.underlyings,
        1e3 * survey.seconds / survey.underlyings.max(1) as f64,
        survey.violations
    );
    println!(
        "tenor        slices  rmse of mids: median p90 max  | of marks: median p90 max | coin error: median p99 max"
    );
    let mut beyond = Vec::new();
    for ((name, limit), bucket) in BUCKETS.iter().zip(&mut survey.buckets) {
        for list in [&mut bucket.rmse, &mut bucket.marks, &mut bucket.coin] {
            list.sort_by(f64::total_cmp);
        }
        let three = |v: &[f64], p: f64| (quantile(v, 0.5), quantile(v, p), quantile(v, 1.0));
        let (a, b, c) = three(&bucket.rmse, 0.9);
        let (d, e, f) = three(&bucket.marks, 0.9);
        let (g, h, i) = three(&bucket.coin, 0.99);
        println!(
            "{name:<12} {:>6}  {a:>6.3} {b:>6.3} {c:>7.3} | {d:>6.3} {e:>6.3} {f:>7.3} | {g:.6} {h:.6} {i:.6} | {} points, {} outliers, {:?}",
            bucket.rmse.len(),
            bucket.points,
            bucket.outliers,
            bucket.methods
        );
        if *limit > 2.0 {
            beyond.extend_from_slice(&bucket.rmse);
        }
    }
    beyond.sort_by(f64::total_cmp);
    println!(
        "beyond 2 days: median rmse {:.3} vol points, p90 {:.3}",
        quantile(&beyond, 0.5),
        quantile(&beyond, 0.9)
    );
    println!("refused: {:?}", survey.refused);
    survey.worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rmse, label) in survey.worst.iter().take(12) {
        println!("worst {rmse:.3} {label}");
    }
}
