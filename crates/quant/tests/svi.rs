//! Raw SVI, SSVI and their arbitrage conditions against mpmath (40 digits), published cases and dense search.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]
#![allow(clippy::excessive_precision, clippy::approx_constant, reason = "references are printed in full")]

use plimsoll_quant::ssvi::{
    Butterfly, SsviSlice, SsviViolation, check_surface, essvi_calendar, hendriks_martini, power_law_is_free,
    power_law_phi,
};
use plimsoll_quant::svi::{
    Svi, SviJw, SviViolation, calendar_violation, repair_butterfly, svi_quasi_explicit,
};

const VOGT: Svi = Svi { a: -0.0410, b: 0.1331, rho: 0.3060, m: 0.3586, sigma: 0.4153 };

fn close(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs().max(1e-300), "{value} is not {expected}");
}

/// Small deterministic stream of numbers in (0, 1).
fn stream(seed: u64) -> impl FnMut() -> f64 {
    let mut rng = plimsoll_quant::sobol::Rng64::new(seed);
    move || rng.uniform()
}

/// Least `g` by brute force, uniform in `asinh((k-m)/sigma)` with steps of 2e-4.
fn brute_force(slice: &Svi) -> f64 {
    let (mut t, ratio, mut least) = (1e-9_f64, 1.0002, f64::INFINITY);
    while t < 1e9 {
        let d = 0.5 * slice.sigma * (t - 1.0 / t);
        least = least.min(slice.durrleman(slice.m + d));
        t *= ratio;
    }
    least
}

#[test]
fn value_derivatives_and_durrleman_agree_with_forty_digits() {
    let steep = Svi { a: 0.02, b: 0.9, rho: 0.8, m: -0.1, sigma: 0.3 };
    #[rustfmt::skip]
    let rows = [
        (VOGT, -3.0, [0.27264315967630296, -0.091365372967992129, 0.00059230023924465335, 0.23946258662374794]),
        (VOGT, 0.0, [0.017426252555159122, -0.046258731022126264, 0.1389648340653372, 1.0386497312817975]),
        (VOGT, 0.8, [0.057644116073560122, 0.13766684682473863, 0.10312316837357768, -0.029818461547602659]),
        (VOGT, 12.0, [1.9835939273671697, 0.17374398502958822, 1.4523047014604941e-5, 0.21942543669016888]),
        (steep, 0.7, [1.3649603370785778, 1.5626962598121401, 0.12986757428611748, -0.17580486742158231]),
        (steep, 12.0, [19.625346593219184, 1.6197235070167381, 4.5680261547122345e-5, 0.057463737353623928]),
    ];
    for (slice, k, [w, w1, w2, g]) in rows {
        close(slice.w(k), w, 2e-15);
        close(slice.dw(k), w1, 2e-15);
        close(slice.d2w(k), w2, 2e-15);
        close(slice.durrleman(k), g, 5e-14);
    }
}

#[test]
fn published_point_values_of_the_wide_slice_are_met() {
    let slice = Svi { sigma: 1.0, ..VOGT };
    close(slice.w(-1.5), 0.164215166873187, 1e-14);
    close(slice.w(0.4), 0.0939001792445407, 1e-14);
    close(slice.w(-0.8), 0.115518076731382, 1e-14);
    close(slice.vol(-0.2, 1.0), 0.297837431844555, 1e-14);
    close(slice.durrleman(-1.5), 0.421204849583997, 1e-14);
    close(slice.durrleman(0.0), 1.05545370164395, 1e-14);
    close(slice.durrleman(0.9), 0.441704368821511, 1e-14);
    assert_eq!(slice.check(), Ok(()));
}

#[test]
fn gradient_is_the_difference_quotient() {
    let parameters = [VOGT.a, VOGT.b, VOGT.rho, VOGT.m, VOGT.sigma];
    let at = |p: [f64; 5]| Svi { a: p[0], b: p[1], rho: p[2], m: p[3], sigma: p[4] };
    for k in [-2.0, 0.1, 0.3586, 3.0] {
        let gradient = VOGT.gradient(k);
        for i in 0..5 {
            let (mut up, mut down) = (parameters, parameters);
            up[i] += 1e-6;
            down[i] -= 1e-6;
            let quotient = (at(up).w(k) - at(down).w(k)) / 2e-6;
            assert!((gradient[i] - quotient).abs() < 1e-9, "{k} {i}");
        }
    }
}

#[test]
fn vogt_slice_is_refused_with_butterfly_violation() {
    let Err(SviViolation::Butterfly { k, g }) = VOGT.check() else {
        panic!("{:?}", VOGT.check());
    };
    // Dense search in numpy: g(0.87926...) = -0.03286357345.
    assert!((k - 0.879264).abs() < 1e-4, "{k}");
    assert!((g + 0.03286357345261522).abs() < 1e-11, "{g}");
    assert!(VOGT.check().unwrap_err().to_string().contains("butterfly"));
}

#[test]
fn wing_slope_three_is_refused() {
    let slice = Svi { a: 0.04, b: 2.0, rho: 0.5, m: 0.0, sigma: 0.2 };
    assert_eq!(slice.check(), Err(SviViolation::LeeBound { slope: 3.0, bound: 2.0 }));
    let mirrored = Svi { rho: -0.5, ..slice };
    assert_eq!(mirrored.check(), Err(SviViolation::LeeBound { slope: 3.0, bound: 2.0 }));
}

#[test]
fn a_right_wing_exactly_at_lees_slope_is_refused_and_a_left_one_is_judged_by_g() {
    let slice = Svi { a: 3.0, b: 1.0, rho: 0.999_999_999_999_999_9, m: 0.0, sigma: 2.0 };
    assert!(matches!(slice.check(), Err(SviViolation::WingDensity { .. })), "{:?}", slice.check());
    // theta phi (1+|rho|) = 4 with rho < 0: interior free iff theta phi^2 (1+|rho|) <= 4.
    let free = SsviSlice { theta: 4.0, rho: -0.25, phi: 0.8 };
    assert_eq!(free.first_bound(), 4.0);
    assert_eq!(free.raw().check(), Ok(()));
    let refused = SsviSlice { theta: 2.0, rho: -0.25, phi: 1.6 };
    assert_eq!(refused.first_bound(), 4.0);
    assert!(matches!(refused.raw().check(), Err(SviViolation::Butterfly { .. })));
}

#[test]
fn negative_variance_and_a_bad_domain_are_named() {
    let sunk = Svi { a: -0.2, ..VOGT };
    assert!(matches!(sunk.check(), Err(SviViolation::NegativeVariance { w, .. }) if w < 0.0));
    let names = [
        (Svi { a: f64::NAN, ..VOGT }, "a"),
        (Svi { b: -0.1, ..VOGT }, "b"),
        (Svi { rho: 1.0, ..VOGT }, "rho"),
        (Svi { m: f64::INFINITY, ..VOGT }, "m"),
        (Svi { sigma: 0.0, ..VOGT }, "sigma"),
    ];
    for (slice, name) in names {
        assert!(matches!(slice.check(), Err(SviViolation::Domain { parameter, .. }) if parameter == name));
    }
    let flat = Svi { a: 0.04, b: 0.0, rho: 0.0, m: 0.0, sigma: 0.1 };
    assert_eq!(flat.check(), Ok(()));
    assert!(Svi { a: 0.0, ..flat }.check().is_err());
}

#[test]
fn far_wing_violation_outside_plus_minus_three_is_found() {
    // Free on [-3, 3], wing slopes below Lee's bound, negative density beyond (numpy, dense in asinh).
    let rows = [
        ([0.368, 1.235, 0.588, 0.771, 2.709], 11.79447646749164, -0.027069477001898323, 0.2833258039452579),
        ([0.246, 1.129, 0.748, 0.341, 2.833], 13.970975565644313, -0.01630160395377447, 0.23777996226232062),
        ([0.206, 1.196, -0.545, -0.792, 1.696], -5.85578631142369, -0.04634121361508172, 0.05875916719370412),
    ];
    for ([a, b, rho, m, sigma], at, least, least_near) in rows {
        let slice = Svi { a, b, rho, m, sigma };
        let Err(SviViolation::Butterfly { k, g }) = slice.check() else {
            panic!("{slice:?} passed");
        };
        assert!((k - at).abs() < 1e-2 * at.abs(), "{k}");
        assert!((g - least).abs() < 1e-10, "{g}");
        let (_, near) = slice.min_durrleman_on(-3.0, 3.0);
        assert!((near - least_near).abs() < 1e-6, "{near}");
    }
}

#[test]
fn far_wing_ssvi_violation_is_caught_by_the_closed_form() {
    let slice = SsviSlice { theta: 1.7, rho: -0.7, phi: 1.4 };
    assert!(slice.first_bound() > 4.0);
    assert!(matches!(slice.butterfly(), Butterfly::FirstBound { .. }));
    // On +-3 nothing shows.
    assert!(SsviSlice { theta: 4.1, rho: 0.0, phi: 1.0 }.raw().min_durrleman_on(-3.0, 3.0).1 > 0.0);
    assert!(!SsviSlice { theta: 4.1, rho: 0.0, phi: 1.0 }.butterfly().is_free());
}

#[test]
fn the_search_finds_what_brute_force_finds_on_three_hundred_slices() {
    let mut next = stream(11);
    for _ in 0..300 {
        let rho = 1.9 * next() - 0.95;
        let steep = 2.0 * next();
        let b = steep / (1.0 + rho.abs());
        let (u, m) = (next(), 2.0 * next() - 1.0);
        let sigma = 0.01 + 2.0 * u * u * u;
        let u = next();
        let a = 0.0001 + u * u * 0.5 - b * sigma * (1.0 - rho * rho).sqrt() * next();
        let slice = Svi { a, b, rho, m, sigma };
        if slice.check_closed_form().is_err() {
            continue;
        }
        let (k, found) = slice.min_durrleman();
        let brute = brute_force(&slice);
        assert!(
            found <= brute + 1e-7 * brute.abs().max(1.0),
            "{slice:?}: {found} at {k}, brute force {brute}"
        );
        let value = if k.is_finite() { slice.durrleman(k) } else { found };
        assert!((value - found).abs() <= 1e-9 * found.abs().max(1.0), "{slice:?}");
    }
}

#[test]
fn jump_wings_go_both_ways() {
    // Gatheral and Jacquier 2014, example 5.1 (tau = 1).
    let jw = VOGT.to_jw(1.0).unwrap();
    for (value, published) in
        [(jw.v, 0.01742625), (jw.psi, -0.1752111), (jw.p, 0.6997381), (jw.c, 1.316798), (jw.v_min, 0.0116249)]
    {
        close(value, published, 1e-6);
    }
    let mut next = stream(5);
    for _ in 0..200 {
        let (b, rho) = (0.05 + next(), 1.8 * next() - 0.9);
        let slice = Svi { a: 0.05 * next(), b, rho, m: next() - 0.5, sigma: 0.02 + next() };
        let tau = 0.01 + next();
        let back = slice.to_jw(tau).unwrap().to_raw(tau).unwrap();
        for k in [-1.0, -0.1, 0.0, 0.2, 2.0] {
            close(back.w(k), slice.w(k), 1e-6);
        }
    }
    let centred = Svi { m: 0.0, ..VOGT };
    let back = centred.to_jw(0.5).unwrap().to_raw(0.5).unwrap();
    close(back.sigma, centred.sigma, 1e-12);
    assert!(back.m.abs() < 1e-14);
}

#[test]
fn jump_wings_that_describe_no_slice_are_refused() {
    let jw = VOGT.to_jw(1.0).unwrap();
    assert!(SviJw { psi: -0.5, ..jw }.to_raw(1.0).is_err());
    assert!(
        SviJw { psi: 0.0, v_min: jw.v, ..jw }.to_raw(1.0).is_ok_and(|s| s.sigma == 0.0)
            || SviJw { psi: 0.0, v_min: jw.v, ..jw }.to_raw(1.0).is_err()
    );
    assert!(jw.to_raw(0.0).is_err());
    assert!(VOGT.to_jw(-1.0).is_err());
}

#[test]
fn the_published_repair_of_the_vogt_slice_is_free_and_ours_is_nearer() {
    // Gatheral and Jacquier 2014, example 5.1: c = 0.8564763 with the least variance kept.
    let jw = VOGT.to_jw(1.0).unwrap();
    let published = SviJw { c: 0.8564763, ..jw }.to_raw(1.0).unwrap();
    assert_eq!(published.check(), Ok(()));

    let repaired = repair_butterfly(&VOGT).unwrap();
    assert_eq!(repaired.check(), Ok(()));
    let after = repaired.to_jw(1.0).unwrap();
    close(after.v, jw.v, 1e-12);
    close(after.psi, jw.psi, 1e-12);
    close(after.p, jw.p, 1e-12);
    let distance = |slice: &Svi| -> f64 {
        (-20..=20)
            .map(|i| f64::from(i) * 0.2 * VOGT.w(0.0).sqrt())
            .map(|k| (slice.w(k) - VOGT.w(k)).abs())
            .sum()
    };
    assert!(distance(&repaired) < distance(&published), "{} {}", distance(&repaired), distance(&published));
}

#[test]
fn a_slice_without_arbitrage_is_repaired_to_itself_and_a_hopeless_one_is_an_error() {
    let clean = Svi { sigma: 1.0, ..VOGT };
    assert_eq!(repair_butterfly(&clean).unwrap(), clean);
    let steep = Svi { a: 0.04, b: 2.0, rho: -0.5, m: 0.0, sigma: 0.2 };
    assert!(matches!(repair_butterfly(&steep), Err(SviViolation::LeeBound { .. })));
}

#[test]
fn slices_that_cross_have_a_calendar_violation_where_they_cross() {
    let near = Svi { a: 0.02, b: 0.1, rho: -0.3, m: 0.0, sigma: 0.2 };
    assert_eq!(calendar_violation(&near, &near), None);
    assert_eq!(calendar_violation(&near, &Svi { a: 0.03, ..near }), None);
    let (k, excess) = calendar_violation(&near, &Svi { a: 0.01, ..near }).unwrap();
    assert!((excess - 0.01).abs() < 1e-12 && k.is_finite());
    // Higher at the money, flatter wings: the nearer expiry ends above.
    let flatter = Svi { a: 0.05, b: 0.09, ..near };
    let (k, excess) = calendar_violation(&near, &flatter).unwrap();
    assert!(near.w(k) - flatter.w(k) > 0.0 && excess > 0.0 && k.abs() > 1.0);
    // A crossing only far out, at about |k| = 3e5.
    let barely = Svi { a: 0.05, b: 0.1 - 1e-7, ..near };
    let (k, excess) = calendar_violation(&near, &barely).unwrap();
    assert!(k.abs() > 1e5 && excess > 0.0, "{k}");
    // A bump between wings that agree.
    let bump = Svi { a: 0.02, b: 0.1, rho: -0.3, m: 0.01, sigma: 0.2 };
    assert!(calendar_violation(&near, &bump).is_some() && calendar_violation(&bump, &near).is_some());
}

/// Rows of `reference/calendar.csv`: the two slices, the largest excess, its `k` and the largest share of it in `w`.
fn pairs_with_nearly_parallel_wings() -> Vec<(Svi, Svi, [f64; 3])> {
    include_str!("reference/calendar.csv")
        .lines()
        .map(|line| {
            let v: Vec<f64> = line.split(',').map(|v| v.parse().unwrap()).collect();
            let slice = |i: usize| Svi { a: v[i], b: v[i + 1], rho: v[i + 2], m: v[i + 3], sigma: v[i + 4] };
            (slice(0), slice(5), [v[10], v[11], v[12]])
        })
        .collect()
}

#[test]
fn two_real_slices_that_cross_between_one_thousand_and_one_million_are_refused() {
    let (near, far, [excess, k, _]) = pairs_with_nearly_parallel_wings()[0];
    assert!(far.right_slope() > near.right_slope() && far.w(1e3) > near.w(1e3) && far.w(1e6) > near.w(1e6));
    let (at, found) = calendar_violation(&near, &far).unwrap();
    close(found, excess, 1e-6);
    close(at, k, 1e-2);
    // Lifted by what was found, and a little more, they are in order.
    let lifted = Svi { a: far.a + found * (1.0 + 1e-6) + 1e-12 * near.w(at), ..far };
    assert_eq!(calendar_violation(&near, &lifted), None);
}

#[test]
fn crossings_of_nearly_parallel_wings_are_those_of_a_scan_to_1e12_in_forty_digits() {
    let (mut crossed, mut far_out, mut ordered) = (0, 0, 0);
    for (near, far, [largest, at, share]) in pairs_with_nearly_parallel_wings() {
        let found = calendar_violation(&near, &far);
        if share > 1e-12 {
            let (k, excess) =
                found.unwrap_or_else(|| panic!("{near:?} {far:?}: {largest} at {at} is missed"));
            // A slope lower by less than 1e-12 of itself counts as equal.
            let slopes = |s: &Svi| if k > 0.0 { s.right_slope() } else { s.left_slope() };
            let flatter = (slopes(&near) - slopes(&far)).clamp(0.0, 1e-12 * slopes(&near));
            let rounding = (1e-14 * (near.b + far.b) + flatter) * (k.abs() + 1.0);
            assert!((near.w(k) - far.w(k) - excess).abs() <= rounding, "{near:?} {far:?} {k} {excess}");
            let bounded = at.abs() < 1e11;
            assert!(!bounded || excess > 0.9 * largest, "{near:?} {far:?}: {excess} of {largest} at {at}");
            crossed += 1;
            far_out += i32::from(bounded && at.abs() > 1e3);
        } else if largest <= 0.0 {
            assert_eq!(found, None, "{near:?} {far:?}");
            ordered += 1;
        }
    }
    println!("{crossed} cross, {far_out} of them only come and go beyond 1e3, {ordered} are in order");
    assert!(crossed > 150 && far_out > 30 && ordered > 150);
}

#[test]
fn a_hardly_flatter_wing_crosses_even_where_levels_agree() {
    // The rest of the wider slice hides the crossing until |k| is about sqrt(C/A) = 4e4.
    let near = Svi { a: 0.02, b: 0.1, rho: 0.0, m: 0.0, sigma: 0.2 };
    let far = Svi { b: 0.1 - 1e-11, sigma: 0.6, ..near };
    assert!(far.w(1e3) > near.w(1e3) && far.w(1e6) < near.w(1e6));
    let (k, excess) = calendar_violation(&near, &far).unwrap();
    assert!(excess > 0.0 && near.w(k) > far.w(k), "{k} {excess}");
    // Equal slopes: the level decides, where the rest has died out.
    let lower = Svi { a: near.a - 1e-6, sigma: 0.6, ..near };
    let (k, excess) = calendar_violation(&near, &lower).unwrap();
    assert!(k.abs() > 1e4 && excess > 0.9e-6 && excess < 1e-6, "{k} {excess}");
}

#[test]
fn a_narrow_crossing_is_found() {
    // The nearer slice has a floor far above a sharp dip of the farther one only within |k - 0.4| < 0.02.
    let near = Svi { a: 0.010, b: 0.0, rho: 0.0, m: 0.0, sigma: 0.1 };
    let far = Svi { a: 0.009, b: 0.05, rho: 0.0, m: 0.4, sigma: 0.001 };
    let (k, excess) = calendar_violation(&near, &far).unwrap();
    assert!((k - 0.4).abs() < 1e-4, "{k}");
    assert!((excess - 0.00095).abs() < 1e-9, "{excess}");
}

#[test]
fn ssvi_is_its_raw_slice_and_meets_the_published_minimum_of_g() {
    for (theta, least) in [(0.1, 0.27428853575624496), (0.2, 0.2728182276989749), (0.4, 0.26841544121218625)]
    {
        let slice = SsviSlice { theta, rho: -0.25, phi: 1.0 };
        let raw = slice.raw();
        for k in [-20.0, -1.0, 0.0, 0.3, 15.0] {
            close(slice.w(k), raw.w(k), 1e-14);
        }
        close(slice.w(0.0), theta, 1e-15);
        let (k, g) = raw.min_durrleman_on(-20.0, 20.0);
        assert_eq!(k, -20.0);
        close(g, least, 1e-12);
        assert_eq!(slice.butterfly(), Butterfly::Free);
        close(slice.first_bound(), 1.25 * theta, 1e-15);
    }
}

#[test]
fn ssvi_between_the_bounds_is_decided_by_g() {
    let free = SsviSlice { theta: 0.01, rho: 0.0, phi: 20.5 };
    assert!(free.second_bound() > 4.0);
    assert_eq!(free.butterfly(), Butterfly::FreeBySearch);
    let refused = SsviSlice { theta: 0.5, rho: -0.5, phi: 4.0 };
    assert!(refused.first_bound() < 4.0 && refused.second_bound() > 4.0);
    assert!(matches!(refused.butterfly(), Butterfly::Refused(SviViolation::Butterfly { .. })));
    assert!(matches!(
        SsviSlice { theta: 2.0, rho: 0.25, phi: 1.6 }.butterfly(),
        Butterfly::SecondBound { .. }
    ));
    assert_eq!(SsviSlice { theta: 4.0, rho: 0.25, phi: 0.8 }.butterfly(), Butterfly::Boundary);
}

#[test]
fn hendriks_martini_orders_slices_and_allows_equality() {
    let near = SsviSlice { theta: 0.1, rho: -0.25, phi: 1.0 };
    let far = SsviSlice { theta: 0.2, ..near };
    assert!(hendriks_martini(&near, &far) && hendriks_martini(&near, &near));
    assert!(!hendriks_martini(&far, &near));
    let tilted = SsviSlice { theta: 0.11, rho: -0.6, phi: 1.0 };
    assert!(matches!(essvi_calendar(&near, &tilted), Err(SsviViolation::Wing { index: 1, .. })));
    assert_eq!(check_surface(&[near, near, far]), Ok(()));
    assert!(matches!(check_surface(&[near, far, near]), Err(SsviViolation::Theta { index: 2, .. })));
}

#[test]
fn the_necessary_conditions_agree_with_the_comparison_of_smiles() {
    let mut next = stream(77);
    let (mut free, mut crossed) = (0, 0);
    for _ in 0..400 {
        let mut draw =
            || SsviSlice { theta: 0.02 + 0.2 * next(), rho: 1.6 * next() - 0.8, phi: 0.3 + 2.0 * next() };
        let (near, far) = (draw(), draw());
        let verdict = essvi_calendar(&near, &far);
        let violation = calendar_violation(&near.raw(), &far.raw());
        assert_eq!(verdict.is_ok(), violation.is_none(), "{near:?} {far:?} {verdict:?} {violation:?}");
        if verdict.is_ok() { free += 1 } else { crossed += 1 }
    }
    assert!(free > 20 && crossed > 100, "{free} {crossed}");
}

#[test]
fn power_law_surface_is_free_of_arbitrage() {
    let (eta, gamma, rho) = (1.2, 0.4, -0.6);
    assert!(power_law_is_free(eta, gamma, rho));
    assert!(!power_law_is_free(1.3, 0.4, -0.6) && !power_law_is_free(1.0, 0.6, 0.0));
    let slices: Vec<SsviSlice> = [0.001, 0.01, 0.05, 0.2, 0.7, 2.0]
        .iter()
        .map(|&theta| SsviSlice { theta, rho, phi: power_law_phi(eta, gamma, theta) })
        .collect();
    assert_eq!(check_surface(&slices), Ok(()));
    close(power_law_phi(1.2, 0.4, 0.05), 1.2 / (0.05_f64.sqrt().sqrt() * 1.0), 2.0);
}

#[test]
fn quasi_explicit_fit_recovers_slices_from_five_to_sixty_points() {
    let mut next = stream(3);
    for trial in 0..60 {
        let rho = 1.4 * next() - 0.7;
        let b = 0.02 + 0.3 * next();
        let truth =
            Svi { a: 0.002 + 0.02 * next(), b, rho, m: 0.4 * next() - 0.2, sigma: 0.05 + 0.3 * next() };
        let n = 5 + trial;
        let k: Vec<f64> = (0..n).map(|i| -0.8 + 1.5 * f64::from(i) / f64::from(n - 1)).collect();
        let w: Vec<f64> = k.iter().map(|&k| truth.w(k)).collect();
        let fit = svi_quasi_explicit(&k, &w, &vec![1.0; k.len()]).unwrap();
        assert!(fit.check_closed_form().is_ok());
        let worst = k.iter().map(|&k| (fit.w(k) - truth.w(k)).abs() / truth.w(k)).fold(0.0, f64::max);
        assert!(worst < 5e-3, "{trial}: {truth:?} {fit:?} {worst}");
    }
}

#[test]
fn quasi_explicit_fit_of_noise_still_meets_the_closed_forms() {
    let mut next = stream(9);
    for _ in 0..100 {
        let k: Vec<f64> = (0..6).map(|i| -0.3 + 0.1 * f64::from(i)).collect();
        let w: Vec<f64> = k.iter().map(|_| 0.001 + 0.02 * next()).collect();
        let weight: Vec<f64> = k.iter().map(|_| next()).collect();
        let fit = svi_quasi_explicit(&k, &w, &weight).unwrap();
        assert_eq!(fit.check_closed_form(), Ok(()), "{fit:?}");
        assert!(fit.min_w() > 0.0);
    }
    assert!(svi_quasi_explicit(&[0.0; 4], &[0.1; 4], &[1.0; 4]).is_err());
    assert!(svi_quasi_explicit(&[0.0; 6], &[0.1; 6], &[1.0; 6]).is_err());
    assert!(
        svi_quasi_explicit(&[0.0, 1.0, 2.0, 3.0, 4.0], &[0.1, 0.1, f64::NAN, 0.1, 0.1], &[1.0; 5]).is_err()
    );
}

#[test]
fn a_slice_without_a_width_or_an_interval_without_points_has_no_least_g() {
    let slice = Svi { a: 0.04, b: 0.1, rho: -0.3, m: 0.0, sigma: 0.2 };
    assert!(slice.min_durrleman_on(-2.0, 2.0).1.is_finite());
    let none = [
        Svi { sigma: -0.2, ..slice }.min_durrleman_on(-2.0, 2.0),
        Svi { sigma: 0.0, ..slice }.min_durrleman_on(-2.0, 2.0),
        slice.min_durrleman_on(2.0, -2.0),
        slice.min_durrleman_on(f64::NAN, 2.0),
    ];
    assert!(none.iter().all(|(at, least)| at.is_nan() && least.is_nan()), "{none:?}");
}

#[test]
fn a_slice_that_no_grid_can_follow_is_refused_and_the_search_ends() {
    let sound = Svi { a: 0.04, b: 0.1, rho: -0.3, m: 0.0, sigma: 0.2 };
    for slice in [
        Svi { a: 1e300, ..sound },
        Svi { m: -1e308, ..sound },
        Svi { m: 1e300, ..sound },
        Svi { sigma: 1e308, ..sound },
    ] {
        assert!(slice.check().is_err(), "{slice:?}");
    }
    assert!(sound.check().is_ok());
}

#[test]
fn slices_too_far_apart_for_a_grid_are_no_surface() {
    let far = SsviSlice { theta: 0.2, rho: -0.25, phi: 1e-308 };
    assert!(check_surface(&[SsviSlice { theta: 0.1, phi: 1.0, ..far }, far]).is_err());
}
