//! Jump-wing parameters and the butterfly repair.

use super::{Svi, SviViolation};

/// SVI jump-wings at an expiry `tau` years away (Gatheral and Jacquier 2014, section 3.3): quantities a trader
/// reads off the smile, with `w0 = w(0) = v tau`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SviJw {
    /// Variance at the money, annualised: `w0/tau`.
    pub v: f64,
    /// Skew at the money, `d vol sqrt(tau)/dk` at `k = 0`.
    pub psi: f64,
    /// Slope of the left (put) wing: `b (1 - rho)/sqrt(w0)`.
    pub p: f64,
    /// Slope of the right (call) wing: `b (1 + rho)/sqrt(w0)`.
    pub c: f64,
    /// Least variance, annualised.
    pub v_min: f64,
}

impl Svi {
    /// The slice's jump-wing parameters at an expiry `tau` years away.
    ///
    /// # Errors
    /// [`SviViolation::JumpWing`] when `tau` or `w(0)` is not positive.
    pub fn to_jw(&self, tau: f64) -> Result<SviJw, SviViolation> {
        let w0 = self.w(0.0);
        check_positive("tau", tau)?;
        check_positive("w(0)", w0)?;
        let root = w0.sqrt();
        let r = (self.m * self.m + self.sigma * self.sigma).sqrt();
        Ok(SviJw {
            v: w0 / tau,
            psi: self.b / (2.0 * root) * (self.rho - self.m / r),
            p: self.b * (1.0 - self.rho) / root,
            c: self.b * (1.0 + self.rho) / root,
            v_min: self.min_w() / tau,
        })
    }
}

fn check_positive(quantity: &'static str, value: f64) -> Result<(), SviViolation> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(SviViolation::JumpWing { quantity, value, reason: "must be finite and > 0" })
}

impl SviJw {
    /// The raw slice with these jump-wings at an expiry `tau` years away.
    ///
    /// With `beta = rho - 2 psi sqrt(w0)/b` (`= m/sqrt(m^2 + sigma^2)`) and `s = sqrt((1-beta^2)(1-rho^2))`, the paper's
    /// `m = (v - v_min) tau/(b(-rho + sign(alpha) sqrt(1+alpha^2) - alpha sqrt(1-rho^2)))` is evaluated as
    /// `beta x`, `x = (v - v_min) tau (1 - rho beta + s)/(b (beta - rho)^2)`, which has no special case at `beta = 0`.
    ///
    /// # Errors
    /// [`SviViolation::JumpWing`] when the numbers describe no slice: `v` or `tau` not positive, a flat slice,
    /// `|beta| >= 1`, or `psi = 0`, where the minimum is at the money and the width is not determined.
    pub fn to_raw(&self, tau: f64) -> Result<Svi, SviViolation> {
        check_positive("tau", tau)?;
        check_positive("v", self.v)?;
        let root = (self.v * tau).sqrt();
        let b = 0.5 * root * (self.c + self.p);
        check_positive("p + c", b)?;
        let rho = 1.0 - self.p * root / b;
        let tilt = -2.0 * self.psi * root / b;
        let beta = rho + tilt;
        if !(beta.abs() < 1.0 && rho.abs() < 1.0) {
            let reason = "the skew and the wings are inconsistent";
            return Err(SviViolation::JumpWing { quantity: "beta", value: beta, reason });
        }
        if tilt == 0.0 || !(self.v >= self.v_min) {
            let reason = "the width of the smile is not determined";
            return Err(SviViolation::JumpWing { quantity: "v - v_min", value: self.v - self.v_min, reason });
        }
        let wing = ((1.0 - rho) * (1.0 + rho)).sqrt();
        let tip = ((1.0 - beta) * (1.0 + beta)).sqrt();
        let x = (self.v - self.v_min) * tau * (1.0 - rho * beta + wing * tip) / (b * tilt * tilt);
        let sigma = tip * x;
        Ok(Svi { a: self.v_min * tau - b * sigma * wing, b, rho, m: beta * x, sigma })
    }
}

/// The slice nearest to `slice` without butterfly arbitrage, by the repair of Gatheral and Jacquier (2014,
/// section 5.1).
///
/// `v`, `psi` and `p` are kept; the call wing `c` moves towards `c' = p + 2 psi` and the least variance towards
/// `4 v p c'/(p + c')^2` (an SSVI slice), each only as far as needed: for each share of the way of the least
/// variance, the smallest share of the way of `c` that passes [`Svi::check`], and of these the slice that is nearest in total
/// variance over four standard deviations. A slice that passes is returned as it is.
///
/// # Errors
/// The violation of the fully repaired slice when even that is refused (a put wing above Lee's bound, say), or the
/// domain error of the input.
pub fn repair_butterfly(slice: &Svi) -> Result<Svi, SviViolation> {
    match slice.check() {
        Ok(()) => return Ok(*slice),
        Err(violation @ SviViolation::Domain { .. }) => return Err(violation),
        Err(_) => {}
    }
    // The repair does not depend on the tenor: v and v_min scale alike, so tau = 1.
    let raw = slice.to_jw(1.0)?;
    let c = raw.p + 2.0 * raw.psi;
    let whole = raw.p + c;
    let repaired = SviJw { c, v_min: 4.0 * raw.v * raw.p * c / (whole * whole), ..raw };
    let end = repaired.to_raw(1.0)?;
    end.check()?;
    let mut best = Candidate { share: 1.0, distance: distance(slice, &end), slice: end };
    scan_shares(slice, (&raw, &repaired), (0.0, 1.0), &mut best);
    let (lo, hi) = ((best.share - 0.125).max(0.0), (best.share + 0.125).min(1.0));
    scan_shares(slice, (&raw, &repaired), (lo, hi), &mut best);
    Ok(best.slice)
}

struct Candidate {
    share: f64,
    distance: f64,
    slice: Svi,
}

/// Tries nine shares of the way of the least variance in `[lo, hi]`.
fn scan_shares(slice: &Svi, ends: (&SviJw, &SviJw), (lo, hi): (f64, f64), best: &mut Candidate) {
    for i in 0..=8 {
        let share = lo + (hi - lo) * f64::from(i) / 8.0;
        let v_min = ends.0.v_min + share * (ends.1.v_min - ends.0.v_min);
        if let Some(found) = least_call_wing_move(ends.0, ends.1.c, v_min) {
            let distance = distance(slice, &found);
            if distance < best.distance {
                *best = Candidate { share, distance, slice: found };
            }
        }
    }
}

/// Smallest move of the call wing towards `c_end` that passes, by bisection on the share of the way.
fn least_call_wing_move(raw: &SviJw, c_end: f64, v_min: f64) -> Option<Svi> {
    let at = |share: f64| {
        let c = raw.c + share * (c_end - raw.c);
        SviJw { c, v_min, ..*raw }.to_raw(1.0).ok().filter(|s| s.check().is_ok())
    };
    if let Some(found) = at(0.0) {
        return Some(found);
    }
    let mut found = at(1.0)?;
    let (mut lo, mut hi) = (0.0, 1.0);
    for _ in 0..48 {
        let mid = 0.5 * (lo + hi);
        match at(mid) {
            Some(slice) => (hi, found) = (mid, slice),
            None => lo = mid,
        }
    }
    Some(found)
}

/// Sum of squared differences of total variance on 41 points within four standard deviations of the money.
fn distance(one: &Svi, other: &Svi) -> f64 {
    let width = 4.0 * one.w(0.0).sqrt();
    let mut sum = 0.0;
    for i in -20..=20 {
        let k = width * f64::from(i) / 20.0;
        let difference = one.w(k) - other.w(k);
        sum += difference * difference;
    }
    sum
}
