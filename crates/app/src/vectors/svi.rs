//! Smiles: points of raw SVI, freedom from arbitrage, SSVI surfaces and their labels.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::ssvi::{Butterfly, SsviSlice, check_surface, hendriks_martini};
use plimsoll_quant::svi::{Svi, SviJw};
use serde_json::Value;

const POINT: Tolerance = Tolerance::Absolute(1e-9);

/// Both closed-form bounds of a slice are against this number (Gatheral and Jacquier 2014, theorem 4.2).
const BOUND: f64 = 4.0;

/// What is as near as this to a bound is on it.
const BOUNDARY: f64 = 1e-9;

/// Half-width and points of the log-moneyness grid that calendar flags `_pm3` speak of.
const CALENDAR_GRID: (f64, i32) = (3.0, 600);

/// A published place of a minimum is a point of a sample that may be this coarse, in log-moneyness.
const ARGMIN_STEP: f64 = 0.1;

/// A file with `raw_cases`, `ssvi_cases` or `quantlib`.
pub(super) fn recognise(file: &Value) -> bool {
    ["raw_cases", "ssvi_cases", "quantlib"].iter().any(|name| file.get(name).is_some())
}

/// Checks the three sections.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    ledger.rows("raw_cases", file.get("raw_cases"), raw_case);
    ledger.rows_of("ssvi_cases", file.get("ssvi_cases"), surface_case);
    if let Some(case) = file.get("quantlib") {
        ledger.case(field::id(case, "quantlib", 0), |ledger| vertex_case(case, ledger));
    }
}

/// The slice and its years to expiry, given in raw or in jump-wing parameters.
fn slice_of(case: &Value) -> Result<(Svi, f64), Reason> {
    let params = case.get("params").ok_or("`params` is missing")?;
    let get = |name: &str| field::number(params, name);
    let tau = field::number_if_any(params, "t")?.or(field::number_if_any(params, "tau")?).unwrap_or(1.0);
    if params.get("psi").is_some() {
        let v_min = get("v_min").or_else(|_| get("vt")).or_else(|_| get("v_tilde"))?;
        let wings = SviJw { v: get("v")?, psi: get("psi")?, p: get("p")?, c: get("c")?, v_min };
        return Ok((wings.to_raw(tau).map_err(|e| e.to_string())?, tau));
    }
    let slice = Svi { a: get("a")?, b: get("b")?, rho: get("rho")?, m: get("m")?, sigma: get("sigma")? };
    Ok((slice, tau))
}

fn raw_case(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let (slice, tau) = slice_of(case)?;
    if case.get("butterfly_free").is_some() {
        let expected = field::flag(case, "butterfly_free")?;
        let verdict = slice.check();
        let computed = verdict.map_or_else(|e| format!("false ({e})"), |()| "true".to_owned());
        ledger.label("butterfly free", expected.to_string(), computed, verdict.is_ok() == expected);
    }
    for points in [case.get("peer_point_values"), Some(case)].into_iter().flatten() {
        for row in field::section(points, "rows") {
            if let Err(reason) = point(&slice, tau, row, ledger) {
                let kind = row.get("kind").and_then(Value::as_str).unwrap_or("point");
                ledger.refused(kind, "a quantity that can be computed", reason);
            }
        }
    }
    least_durrleman(&slice, case, ledger)
}

/// The quantity `kind` at `k`, judged against the high-precision figure where there is one.
fn point(slice: &Svi, tau: f64, row: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let kind = field::text(row, "kind")?;
    let k = field::number_if_any(row, "k")?.unwrap_or(0.0);
    let jump_wing = || slice.to_jw(tau).map_err(|e| e.to_string());
    let computed = match kind {
        "w" | "total_variance" => slice.w(k),
        "ivar" | "variance" => slice.w(k) / tau,
        "ivol" | "vol" => slice.vol(k, tau),
        "g" | "durrleman" => slice.durrleman(k),
        "density" => slice.density(k),
        "dw" => slice.dw(k),
        "d2w" => slice.d2w(k),
        "call_slope" => jump_wing()?.c,
        "put_slope" => jump_wing()?.p,
        "min_var" | "minimum_variance" => jump_wing()?.v_min,
        "skew" | "atm_skew" => jump_wing()?.psi,
        other => return Err(format!("`kind` is `{other}`: expected w, ivar, ivol, g, density, dw or d2w")),
    };
    field::only(row, "row", &["id", "source", "note", "verified", "kind", "k", "expected", "recomputed"])?;
    let recomputed = field::number_if_any(row, "recomputed")?;
    if let Some(again) = recomputed {
        ledger.number(format!("recomputed {kind}({k})"), again, computed, POINT);
        if row.get("expected").is_none_or(Value::is_null) {
            return Ok(());
        }
    }
    let expected = field::number(row, "expected")?;
    // Beside the recomputed figure, the published one is held to its own digits.
    let allowed = match recomputed {
        Some(_) => POINT.or_absolute(field::last_place(&row["expected"])?),
        None => POINT,
    };
    ledger.number(format!("{kind}({k})"), expected, computed, allowed);
    Ok(())
}

/// `min_g_on_pmN` and its `argmin`.
///
/// The published figure is the least over a sample of `[-N, N]`, so a finer search may go beneath it: `g` at the
/// published place must equal the published figure, and our least must not be above it. Ours is a value of the same `g`
/// inside the same interval.
fn least_durrleman(slice: &Svi, case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let fields = case.as_object().ok_or("the case is not an object")?;
    for (name, value) in fields {
        let Some(reach) = name.strip_prefix("min_g_on_pm").and_then(|n| n.parse::<f64>().ok()) else {
            continue;
        };
        let expected = field::as_number(value, name)?;
        let (at, least) = slice.min_durrleman_on(-reach, reach);
        let Some(place) = field::number_if_any(case, "argmin")? else {
            ledger.number(name, expected, least, POINT);
            continue;
        };
        ledger.number(format!("g({place})"), expected, slice.durrleman(place), POINT);
        ledger.number(name, expected, least, Tolerance::NotAbove(1e-9));
        // A flat or a twofold minimum has no one place: as low there is as good as there.
        let agrees = (at - place).abs() <= ARGMIN_STEP || slice.durrleman(place) <= least + 1e-6;
        ledger.label("argmin", place.to_string(), format!("{at:.6}"), agrees);
    }
    Ok(())
}

/// What may be said of a surface.
struct Facts {
    butterfly_free: bool,
    second_bound_exceeded: bool,
    both_bounds_exceeded: bool,
    calendar_free: bool,
    on_boundary: bool,
}

fn surface_case(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let rows = field::array(case, "slices")?;
    if rows.is_empty() {
        return Err("`slices` is empty: a surface has at least one".to_owned());
    }
    let slices: Vec<SsviSlice> = rows.iter().map(ssvi_slice).collect::<Result<_, _>>()?;
    for (index, (row, slice)) in rows.iter().zip(&slices).enumerate() {
        slice_figures(index, row, slice, ledger)?;
    }
    let label = field::text(case, "label")?;
    let facts = facts(&slices);
    ledger.label("label", label, facts.in_words(), facts.agree_with(label)?);
    let adjacent = slices.windows(2).all(|pair| hendriks_martini(&pair[0], &pair[1]));
    let on_grid = slices.windows(2).all(|pair| rises_on_grid(&pair[0], &pair[1]));
    for (name, computed) in [
        ("hendriks_martini_calendar", adjacent),
        ("recomputed_hm", adjacent),
        ("grid_calendar_free_pm3", on_grid),
        ("recomputed_grid_calendar", on_grid),
    ] {
        if case.get(name).is_some_and(|flag| !flag.is_null()) {
            ledger.flag(name, field::flag(case, name)?, computed);
        }
    }
    Ok(())
}

fn ssvi_slice(row: &Value) -> Result<SsviSlice, Reason> {
    let get = |name: &str| field::number(row, name);
    Ok(SsviSlice { theta: get("theta")?, rho: get("rho")?, phi: get("phi").or_else(|_| get("psi"))? })
}

/// Both bounds, the raw parameters and the least `g` of one slice.
fn slice_figures(index: usize, row: &Value, slice: &SsviSlice, ledger: &mut Ledger) -> Result<(), Reason> {
    let raw = slice.raw();
    for (name, computed) in
        [("cond1_theta_phi_1p", slice.first_bound()), ("cond2_theta_phi2_1p", slice.second_bound())]
    {
        if let Some(expected) = field::number_if_any(row, name)? {
            ledger.number(format!("{name} of slice {index}"), expected, computed, POINT);
        }
    }
    if let Some(expected) = row.get("raw") {
        let computed = [("a", raw.a), ("b", raw.b), ("rho", raw.rho), ("m", raw.m), ("sigma", raw.sigma)];
        for (name, computed) in computed {
            let expected = field::number(expected, name)?;
            ledger.number(format!("{name} of slice {index}"), expected, computed, POINT);
        }
    }
    least_durrleman(&raw, row, ledger)
}

fn rises_on_grid(near: &SsviSlice, far: &SsviSlice) -> bool {
    let (half_width, steps) = CALENDAR_GRID;
    let k = |i: i32| half_width * (2.0 * f64::from(i) / f64::from(steps) - 1.0);
    (0..=steps).map(k).all(|k| far.w(k) >= near.w(k) - 1e-12)
}

/// Equality on a bound, up to the digits a file is written with.
fn is(x: f64, bound: f64) -> bool {
    (x - bound).abs() <= BOUNDARY
}

/// Whether one of the conditions between two slices holds with equality: at-the-money variance, `theta phi`, or the
/// slope of a wing does not move (Hendriks and Martini 2019).
fn touch(near: &SsviSlice, far: &SsviSlice) -> bool {
    let tilt = (far.rho * far.chi() - near.rho * near.chi()).abs();
    is(near.theta, far.theta) || is(near.chi(), far.chi()) || is(tilt, far.chi() - near.chi())
}

fn facts(slices: &[SsviSlice]) -> Facts {
    let verdicts: Vec<Butterfly> = slices.iter().map(SsviSlice::butterfly).collect();
    let bounds: Vec<(f64, f64)> = slices.iter().map(|s| (s.first_bound(), s.second_bound())).collect();
    let butterfly_free = verdicts.iter().all(Butterfly::is_free);
    let adjacent = slices.windows(2).all(|pair| hendriks_martini(&pair[0], &pair[1]));
    let on_bound = bounds.iter().any(|(first, second)| is(*first, BOUND) || is(*second, BOUND));
    Facts {
        butterfly_free,
        second_bound_exceeded: bounds.iter().any(|(_, second)| *second > BOUND + BOUNDARY),
        both_bounds_exceeded: bounds.iter().any(|(first, second)| *first > BOUND && *second > BOUND),
        calendar_free: adjacent && (!butterfly_free || check_surface(slices).is_ok()),
        on_boundary: on_bound || slices.windows(2).any(|pair| touch(&pair[0], &pair[1])),
    }
}

impl Facts {
    /// Whether a label is true of the surface. One surface may bear several: a slice exactly on a bound may be called by
    /// the bound or by the arbitrage it has there, and one beyond the second bound alone by that bound, which is
    /// sufficient and not necessary, or by what Durrleman's function says.
    fn agree_with(&self, label: &str) -> Result<bool, Reason> {
        let free = self.butterfly_free && self.calendar_free;
        let butterfly = !self.butterfly_free || self.second_bound_exceeded;
        Ok(match label {
            "arb_free" => free,
            "boundary" => self.on_boundary,
            "butterfly_violation" => butterfly,
            "both_violation" => butterfly && (self.both_bounds_exceeded || !self.calendar_free),
            "calendar_violation" => !self.calendar_free,
            other => return Err(format!("`label` is `{other}`, which is not known")),
        })
    }

    fn in_words(&self) -> String {
        let butterfly = if self.butterfly_free { "butterfly free" } else { "butterfly arbitrage" };
        let calendar = if self.calendar_free { "calendar free" } else { "calendar arbitrage" };
        let both = match (self.both_bounds_exceeded, self.second_bound_exceeded) {
            (true, _) => ", both bounds exceeded",
            (false, true) => ", second bound exceeded",
            (false, false) => "",
        };
        let boundary = if self.on_boundary { ", on a boundary" } else { "" };
        format!("{butterfly}, {calendar}{both}{boundary}")
    }
}

/// Total variance at the vertex: `w(m) = a + b sigma`.
fn vertex_case(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let (slice, _) = slice_of(case)?;
    ledger.number("w(m)", field::number(case, "value")?, slice.w(slice.m), POINT);
    Ok(())
}
