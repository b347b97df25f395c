//! Elementary and special functions against 50-digit references (`reference/special.py` writes the table).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
use plimsoll_quant::special as sp;

/// One ulp of `x` (the smallest subnormal at least).
fn ulp(x: f64) -> f64 {
    let x = x.abs();
    (f64::from_bits(x.to_bits() + 1) - x).max(f64::from_bits(1))
}

struct Row {
    name: &'static str,
    x: f64,
    y: f64,
    hi: f64,
    lo: f64,
}

fn rows() -> Vec<Row> {
    include_str!("reference/special.csv")
        .lines()
        .map(|line| {
            let f: Vec<&'static str> = line.split(',').collect();
            let n = |i: usize| f[i].parse::<f64>().unwrap();
            Row { name: f[0], x: n(1), y: n(2), hi: n(3), lo: n(4) }
        })
        .collect()
}

fn evaluate(name: &str, x: f64, y: f64) -> f64 {
    match name {
        "exp" => sp::exp(x),
        "exp_m1" => sp::exp_m1(x),
        "ln" => sp::ln(x),
        "ln_1p" => sp::ln_1p(x),
        "pow" => sp::pow(x, y),
        "norm_cdf" => sp::norm_cdf(x),
        "norm_pdf" => sp::norm_pdf(x),
        "norm_quantile" => sp::norm_quantile(x),
        "erfc" => sp::erfc(x),
        "erfcx" => sp::erfcx(x),
        "ln_gamma" => sp::ln_gamma(x),
        "chi2_cdf" => sp::chi2_cdf(x, y),
        "chi2_sf" => sp::chi2_sf(x, y),
        "student_t_cdf" => sp::student_t_cdf(x, y),
        "student_t_pdf" => sp::student_t_pdf(x, y),
        other => panic!("no function {other}"),
    }
}

/// Worst error in ulp over the rows of one function, and where.
fn worst_ulp(name: &str) -> (f64, f64, f64) {
    let mut worst = (0.0, 0.0, 0.0);
    let mut seen = 0;
    for r in rows().iter().filter(|r| r.name == name) {
        let error = ((evaluate(name, r.x, r.y) - r.hi) - r.lo).abs() / ulp(r.hi);
        assert!(!error.is_nan(), "{name}({}, {})", r.x, r.y);
        if error > worst.0 {
            worst = (error, r.x, r.y);
        }
        seen += 1;
    }
    assert!(seen > 40, "{name}: {seen} rows");
    println!("{name}: {worst:?} over {seen}");
    worst
}

#[test]
fn every_function_is_within_its_documented_ulp_bound() {
    let bounds = [
        ("exp", 1.0),
        ("ln", 1.0),
        ("pow", 1.0),
        ("exp_m1", 2.0),
        ("ln_1p", 2.0),
        ("norm_cdf", 5.0),
        ("norm_pdf", 2.0),
        ("norm_quantile", 4.0),
        ("erfc", 5.0),
        ("erfcx", 5.0),
    ];
    let misses: Vec<_> =
        bounds.iter().map(|&(n, b)| (n, b, worst_ulp(n))).filter(|(_, b, w)| w.0 > *b).collect();
    assert!(misses.is_empty(), "{misses:?}");
}

#[test]
fn gamma_chi_square_and_student_are_within_1e_13() {
    for r in rows() {
        let computed = evaluate(r.name, r.x, r.y);
        let error = (computed - r.hi).abs();
        match r.name {
            "ln_gamma" => assert!(error <= 1e-16 + ulp(r.hi), "{} {} {error}", r.name, r.x),
            "chi2_cdf" | "chi2_sf" | "student_t_cdf" | "student_t_pdf" => {
                assert!(error <= 1e-13 * r.hi, "{} {} {} {computed} {} ", r.name, r.x, r.y, r.hi);
            }
            _ => {}
        }
    }
}

#[test]
fn student_quantile_inverts_its_distribution_function() {
    for nu in [1.0, 2.0, 2.5, 4.0, 7.0, 30.0, 1e4] {
        for p in [1e-12, 1e-5, 0.01, 0.05, 0.2, 0.45, 0.5 + 1e-9, 0.75, 0.99, 0.999_999] {
            let x = sp::student_t_quantile(p, nu);
            let slope = sp::student_t_pdf(x, nu) * x.abs();
            let error = (sp::student_t_cdf(x, nu) - p).abs() / slope.max(1e-300);
            // The rounding of p itself, over the slope, is the floor near p = 1.
            let floor = f64::EPSILON * p / slope;
            assert!(error < 2e-13 + 2.0 * floor, "nu {nu} p {p} x {x} error {error}");
        }
    }
    // nu = 2 has a closed form: x = (2p - 1) / sqrt(2 p (1 - p)).
    let p: f64 = 0.975;
    let exact = (2.0 * p - 1.0) / (2.0 * p * (1.0 - p)).sqrt();
    assert!((sp::student_t_quantile(p, 2.0) / exact - 1.0).abs() < 1e-13);
    // scipy.stats.t.ppf(0.01, 4).
    assert!((sp::student_t_quantile(0.01, 4.0) + 3.746_947_387_979_196_7).abs() < 1e-13);
    assert!((sp::student_t_quantile(0.3, f64::INFINITY) - sp::norm_quantile(0.3)).abs() < 1e-16);
}

#[test]
fn nan_goes_in_and_nan_comes_out() {
    let one =
        [sp::exp, sp::ln, sp::exp_m1, sp::ln_1p, sp::norm_cdf, sp::norm_pdf, sp::norm_quantile, sp::erfc];
    for f in one.into_iter().chain([sp::erfcx, sp::ln_gamma]) {
        assert!(f(f64::NAN).is_nan());
    }
    let two =
        [sp::pow, sp::student_t_cdf, sp::student_t_pdf, sp::student_t_quantile, sp::chi2_cdf, sp::gamma_p];
    for f in two {
        assert!(f(f64::NAN, 2.0).is_nan() && f(0.3, f64::NAN).is_nan());
    }
}

#[test]
fn infinities_and_zeros_have_their_limits() {
    let inf = f64::INFINITY;
    assert_eq!((sp::exp(inf), sp::exp(-inf), sp::exp(0.0), sp::exp(-0.0)), (inf, 0.0, 1.0, 1.0));
    assert_eq!((sp::exp(710.0), sp::exp(-746.0)), (inf, 0.0));
    assert_eq!((sp::exp_m1(inf), sp::exp_m1(-inf), sp::exp_m1(5e-324)), (inf, -1.0, 5e-324));
    assert_eq!((sp::ln(0.0), sp::ln(inf), sp::ln(1.0)), (-inf, inf, 0.0));
    assert!(sp::ln(-1.0).is_nan() && sp::ln(-inf).is_nan() && sp::ln_1p(-1.5).is_nan());
    assert_eq!((sp::ln_1p(-1.0), sp::ln_1p(inf)), (-inf, inf));
    assert_eq!((sp::norm_cdf(-inf), sp::norm_cdf(inf), sp::norm_pdf(inf)), (0.0, 1.0, 0.0));
    assert_eq!((sp::norm_quantile(0.0), sp::norm_quantile(1.0)), (-inf, inf));
    assert!(sp::norm_quantile(-1e-9).is_nan() && sp::norm_quantile(1.1).is_nan());
    assert_eq!((sp::erfc(inf), sp::erfc(-inf), sp::erfcx(inf), sp::erfcx(-inf)), (0.0, 2.0, 0.0, inf));
    assert_eq!((sp::pow(0.0, 2.0), sp::pow(0.0, -1.0), sp::pow(0.0, 0.0)), (0.0, inf, 1.0));
    assert_eq!(
        (sp::pow(inf, 2.0), sp::pow(inf, -2.0), sp::pow(0.5, inf), sp::pow(2.0, inf)),
        (inf, 0.0, 0.0, inf)
    );
    assert_eq!((sp::pow(1.0, inf), sp::pow(1e300, 2.0), sp::pow(1e300, -2.0)), (1.0, inf, 0.0));
    assert!(sp::pow(-2.0, 2.0).is_nan());
    assert_eq!((sp::student_t_cdf(-inf, 3.0), sp::student_t_cdf(0.0, 3.0)), (0.0, 0.5));
    assert_eq!((sp::chi2_cdf(-1.0, 3.0), sp::chi2_cdf(inf, 3.0)), (0.0, 1.0));
}

#[test]
fn the_normal_distribution_is_monotone_and_symmetric() {
    let mut last = 0.0;
    for i in 0..=93_000 {
        let x = -38.5 + f64::from(i) * 0.0005;
        let p = sp::norm_cdf(x);
        assert!(p >= last, "{x}");
        assert!((p + sp::norm_cdf(-x) - 1.0).abs() <= 2.3e-16, "{x}");
        last = p;
    }
}
