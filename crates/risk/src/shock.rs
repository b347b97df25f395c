//! What a move does to one expiry: computed once per expiry and scenario, applied to every strike.

use crate::set::{Move, SkewShock, Sticky, VolShock, VolShockKind};
use plimsoll_quant::special::{exp, pow};

/// Days in a year under ACT/365.
pub(crate) const YEAR_DAYS: f64 = 365.0;
/// The tenor at which a vol move is stated, days.
const PIVOT_DAYS: f64 = 30.0;

impl VolShock {
    /// `(30/max(dte, dte_floor))^p`, `p = power_short` for `dte <= 30`, else `power_long`; 1 at 30 days.
    ///
    /// ```
    /// use plimsoll_risk::{VolShock, VolShockKind};
    /// let shock = VolShock { kind: VolShockKind::Relative, power_short: 0.3, power_long: 0.13, dte_floor: 1.0,
    ///     min_vol_up: 0.0, skew: None, sticky: Default::default() };
    /// assert_eq!(shock.scale(30.0), 1.0);
    /// assert_eq!(shock.scale(0.1), shock.scale(1.0));
    /// ```
    pub fn scale(&self, dte: f64) -> f64 {
        let power = if dte <= PIVOT_DAYS { self.power_short } else { self.power_long };
        if power == 0.0 { 1.0 } else { pow(PIVOT_DAYS / dte.max(self.dte_floor), power) }
    }

    /// The map from a volatility and a log-moneyness to the shocked volatility, for an expiry `tau` years away.
    pub(crate) fn map(&self, by: &Move, tau: f64) -> VolMap {
        let tenor = Tenor::new(self, tau);
        let level = tenor.level(by.vol);
        VolMap {
            level,
            smile: SmileMap { skew: by.skew, wing: by.wing, form: tenor.form },
            term: tenor.term(by.term),
            sticky: self.sticky,
        }
    }
}

/// What of a vol shock depends on the time to expiry only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenor {
    absolute: bool,
    min_vol_up: f64,
    /// See [`VolShock::scale`].
    scale: f64,
    /// `(30 - dte)/(30 + dte)`.
    tilt: f64,
    pub(crate) form: SmileForm,
}

impl Tenor {
    pub(crate) fn new(shock: &VolShock, tau: f64) -> Self {
        let dte = tau * YEAR_DAYS;
        Self {
            absolute: shock.kind == VolShockKind::Absolute,
            min_vol_up: shock.min_vol_up,
            scale: shock.scale(dte),
            tilt: (PIVOT_DAYS - dte) / (PIVOT_DAYS + dte),
            // The specification and the builder refuse a skew move without its form.
            form: shock.skew.map_or(SmileForm { cap: 0.0, slope: 0.0 }, |s| s.at(tau)),
        }
    }

    /// What a move `x` of volatility at 30 days does to the level of volatility of this tenor.
    #[inline(always)]
    pub(crate) fn level(&self, x: f64) -> Level {
        let scaled = x * self.scale;
        let up = if x > 0.0 { self.min_vol_up } else { 0.0 };
        Level {
            mul: if self.absolute { 1.0 } else { greater(1.0 + scaled, 0.0) },
            add: if self.absolute { scaled } else { 0.0 },
            floor: if self.absolute { 0.0 } else { up },
        }
    }

    /// The factor of a tilt of the term structure.
    #[inline(always)]
    pub(crate) fn term(&self, x: f64) -> f64 {
        greater(1.0 + x * self.tilt, 0.0)
    }
}

/// `a` unless `b` is greater; `a` where it is NaN, so that what is no number stays visible.
#[inline(always)]
pub(crate) fn greater(a: f64, b: f64) -> f64 {
    if a < b { b } else { a }
}

/// `a` unless `b` is less; `a` where it is NaN.
#[inline(always)]
pub(crate) fn lesser(a: f64, b: f64) -> f64 {
    if a > b { b } else { a }
}

/// `vol' = max(vol mul + add, floor)`: every level move, relative or absolute, up or down, without a branch. No move is
/// `(1, 0, 0)` and changes no bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) mul: f64,
    pub(crate) add: f64,
    pub(crate) floor: f64,
}

impl Level {
    #[inline(always)]
    pub(crate) fn apply(&self, vol: f64) -> f64 {
        greater(vol * self.mul + self.add, self.floor)
    }
}

impl SkewShock {
    fn at(&self, tau: f64) -> SmileForm {
        let root = tau.sqrt();
        let cap = self.cap_base + self.cap_per_root_year * root;
        let k_star = self.k_min.max(root * self.width * (self.k_static + self.k_per_root_year * root));
        SmileForm { cap, slope: cap / k_star }
    }
}

/// The form of skew and wing moves at one tenor: slope `cap/k*` up to the cap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SmileForm {
    cap: f64,
    slope: f64,
}

impl SmileForm {
    #[inline(always)]
    fn shift(&self, k: f64) -> f64 {
        let slope = k * self.slope;
        if k >= 0.0 { lesser(slope, self.cap) } else { greater(slope, -self.cap) }
    }

    /// What a skew and a wing move multiply volatility by at `k = ln(K/F')`; 1 where both are 0.
    #[inline(always)]
    pub(crate) fn factor(&self, skew: f64, wing: f64, k: f64) -> f64 {
        greater(1.0 + skew * self.shift(k), 0.0) * greater(1.0 + wing * self.shift(k.abs()), 0.0)
    }
}

#[derive(Clone, Copy, Debug)]
struct SmileMap {
    skew: f64,
    wing: f64,
    form: SmileForm,
}

/// How volatilities of one expiry move under one scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VolMap {
    level: Level,
    smile: SmileMap,
    term: f64,
    /// Which volatility is shocked.
    pub(crate) sticky: Sticky,
}

impl VolMap {
    /// The shocked volatility: first the level, then the smile, then the term structure. Never below 0.
    pub(crate) fn apply(&self, vol: f64, k: f64) -> f64 {
        let SmileMap { skew, wing, form } = self.smile;
        self.level.apply(vol) * form.factor(skew, wing, k) * self.term
    }
}

/// Years left of `tau` after `elapsed_days`; 0 once expired.
#[inline(always)]
pub(crate) fn years_left(tau: f64, elapsed_days: f64) -> f64 {
    greater(tau - elapsed_days / YEAR_DAYS, 0.0)
}

/// `F' = F (1 + spot)(1 + basis tau')`.
#[inline(always)]
pub(crate) fn moved_forward(forward: f64, spot: f64, basis: f64, left: f64) -> f64 {
    forward * (1.0 + spot) * (1.0 + basis * left)
}

/// Whether a price is one: positive and finite.
#[inline(always)]
pub(crate) fn is_price(x: f64) -> bool {
    x > 0.0 && x < f64::INFINITY
}

/// One expiry (or an undated price, `tau = 0`) under one move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shocked {
    /// `S' = S (1 + spot)`.
    pub(crate) spot: f64,
    /// `F' = F (1 + spot)(1 + basis tau')`.
    pub(crate) forward: f64,
    /// Years left after the time that passes; 0 once expired.
    pub(crate) tau: f64,
    /// `exp(-rate tau')`.
    pub(crate) discount: f64,
    /// Years that passed before expiry.
    pub(crate) elapsed: f64,
    /// What happens to volatility.
    pub(crate) vol: VolMap,
}

impl Shocked {
    /// The shocked expiry. `Err` carries a price that is no longer positive and finite.
    pub(crate) fn new(
        shock: &VolShock,
        by: &Move,
        spot: f64,
        (forward, tau): (f64, f64),
    ) -> Result<Self, f64> {
        let left = years_left(tau, by.elapsed_days);
        let moved = Self {
            spot: spot * (1.0 + by.spot),
            forward: moved_forward(forward, by.spot, by.basis, left),
            tau: left,
            discount: if by.rate == 0.0 { 1.0 } else { exp(-by.rate * left) },
            elapsed: tau - left,
            vol: shock.map(by, tau),
        };
        let bad = |x: &f64| !is_price(*x);
        match [moved.spot, moved.forward, moved.discount].into_iter().find(bad) {
            Some(price) => Err(price),
            None => Ok(moved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shock(kind: VolShockKind, min_vol_up: f64, skew: Option<SkewShock>) -> VolShock {
        VolShock {
            kind,
            power_short: 0.3,
            power_long: 0.13,
            dte_floor: 1.0,
            min_vol_up,
            skew,
            sticky: Sticky::Moneyness,
        }
    }

    #[test]
    fn tenor_scale_has_the_values_of_the_formula_at_high_precision() {
        // mpmath: (30/max(d,1))^p with p = 0.3 to 30 days, 0.13 beyond.
        let s = shock(VolShockKind::Relative, 0.0, None);
        for (dte, expected) in [
            (0.5, 2.774_191_114_672_181),
            (1.0, 2.774_191_114_672_181),
            (7.0, 1.547_415_577_210_813_2),
            (30.0, 1.0),
            (90.0, 0.866_910_447_578_253_3),
            (365.0, 0.722_649_473_721_398_9),
        ] {
            let got = s.scale(dte);
            assert!((got - expected).abs() < 4e-15 * expected, "{dte}: {got} {expected}");
        }
    }

    #[test]
    fn a_down_move_stops_at_zero_and_an_up_move_starts_at_the_floor() {
        let up = |x, floor| {
            let by = Move { vol: x, ..Move::default() };
            shock(VolShockKind::Relative, floor, None).map(&by, 30.0 / YEAR_DAYS).apply(0.2, 0.0)
        };
        assert!((up(0.5, 0.0) - 0.3).abs() < 1e-15);
        assert_eq!(up(0.5, 0.4), 0.4);
        assert_eq!(up(0.0, 0.4), 0.2);
        assert_eq!(up(-1.5, 0.4), 0.0);
        let by = Move { vol: -0.25, ..Move::default() };
        assert_eq!(shock(VolShockKind::Absolute, 0.0, None).map(&by, 30.0 / YEAR_DAYS).apply(0.2, 0.0), 0.0);
    }

    #[test]
    fn skew_lifts_high_strikes_lowers_low_ones_and_stops_at_its_cap() {
        let form = SkewShock {
            cap_base: 0.25,
            cap_per_root_year: -0.1,
            k_min: 0.01,
            width: 4.0,
            k_static: 0.6,
            k_per_root_year: 0.0,
        };
        let s = shock(VolShockKind::Relative, 0.0, Some(form));
        let tau = 0.25;
        let map = s.map(&Move { skew: 1.0, ..Move::default() }, tau);
        // q = 0.5: cap 0.2, k* = 0.5 x 4 x 0.6 = 1.2.
        assert!((map.apply(0.5, 0.6) - 0.5 * 1.1).abs() < 1e-15);
        assert!((map.apply(0.5, -0.6) - 0.5 * 0.9).abs() < 1e-15);
        assert!((map.apply(0.5, 9.0) - 0.5 * 1.2).abs() < 1e-15);
        assert!((map.apply(0.5, -9.0) - 0.5 * 0.8).abs() < 1e-15);
        assert_eq!(map.apply(0.5, 0.0), 0.5);
        let wing = s.map(&Move { wing: 1.0, ..Move::default() }, tau);
        assert!((wing.apply(0.5, -0.6) - 0.5 * 1.1).abs() < 1e-15);
    }

    #[test]
    fn term_tilt_is_nothing_at_thirty_days_and_of_opposite_sign_around_it() {
        let s = shock(VolShockKind::Relative, 0.0, None);
        let at = |dte: f64| s.map(&Move { term: 0.2, ..Move::default() }, dte / YEAR_DAYS).apply(0.5, 0.0);
        assert!((at(30.0) - 0.5).abs() < 1e-15);
        assert!((at(10.0) - 0.55).abs() < 1e-15);
        assert!((at(90.0) - 0.45).abs() < 1e-15);
    }
}
