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
        let dte = tau * YEAR_DAYS;
        VolMap {
            kind: self.kind,
            move_scaled: if by.vol == 0.0 { 0.0 } else { by.vol * self.scale(dte) },
            min_vol_up: self.min_vol_up,
            // The specification and the builder refuse a skew move without its form.
            smile: self.skew.filter(|_| by.skew != 0.0 || by.wing != 0.0).map(|s| s.at(by, tau)),
            term: (1.0 + by.term * (PIVOT_DAYS - dte) / (PIVOT_DAYS + dte)).max(0.0),
            sticky: self.sticky,
        }
    }
}

impl SkewShock {
    fn at(&self, by: &Move, tau: f64) -> SmileMap {
        let root = tau.sqrt();
        SmileMap {
            skew: by.skew,
            wing: by.wing,
            cap: self.cap_base + self.cap_per_root_year * root,
            k_star: self.k_min.max(root * self.width * (self.k_static + self.k_per_root_year * root)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct SmileMap {
    skew: f64,
    wing: f64,
    cap: f64,
    k_star: f64,
}

impl SmileMap {
    fn shift(&self, k: f64) -> f64 {
        let slope = k * self.cap / self.k_star;
        if k >= 0.0 { slope.min(self.cap) } else { slope.max(-self.cap) }
    }

    fn factor(&self, k: f64) -> f64 {
        let skew = (1.0 + self.skew * self.shift(k)).max(0.0);
        skew * (1.0 + self.wing * self.shift(k.abs())).max(0.0)
    }
}

/// How volatilities of one expiry move under one scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VolMap {
    kind: VolShockKind,
    move_scaled: f64,
    min_vol_up: f64,
    smile: Option<SmileMap>,
    term: f64,
    /// Which volatility is shocked.
    pub(crate) sticky: Sticky,
}

impl VolMap {
    /// The shocked volatility: first the level, then the smile, then the term structure. Never below 0.
    pub(crate) fn apply(&self, vol: f64, k: f64) -> f64 {
        let x = self.move_scaled;
        let level = match self.kind {
            _ if x == 0.0 => vol,
            VolShockKind::Absolute => (vol + x).max(0.0),
            VolShockKind::Relative if x > 0.0 => (vol * (1.0 + x)).max(self.min_vol_up),
            VolShockKind::Relative => vol * (1.0 + x).max(0.0),
        };
        let smile = self.smile.map_or(1.0, |s| s.factor(k));
        level * smile * self.term
    }
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
        let left = if by.elapsed_days == 0.0 { tau } else { (tau - by.elapsed_days / YEAR_DAYS).max(0.0) };
        let growth = 1.0 + by.spot;
        let moved = Self {
            spot: spot * growth,
            forward: forward * growth * (1.0 + by.basis * left),
            tau: left,
            discount: if by.rate == 0.0 { 1.0 } else { exp(-by.rate * left) },
            elapsed: tau - left,
            vol: shock.map(by, tau),
        };
        let bad = |x: &f64| !(*x > 0.0 && x.is_finite());
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
