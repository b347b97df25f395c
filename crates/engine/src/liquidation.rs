//! The liquidation surface: where in (spot, volatility, days) an account's `mm_excess` is zero.
//!
//! Under portfolio margin there is no single liquidation price. For each number of days ahead and each relative move
//! of volatility the boundary is searched in spot, downwards and upwards from where it stands: the first grid step at
//! which the account is liquidatable, refined by bisection. Every point is a full re-evaluation: the market is moved,
//! smiles and all, arrays are built anew, and margin is evaluated on them.

use crate::pricing::Pricing;
use crate::{Desk, EngineError};
use plimsoll_risk::Shift;
use plimsoll_types::{AccountId, Instrument, RiskArrays, Ticks, Timestamp};
use serde::Serialize;

/// Halvings of a grid step that refine the boundary: a step of 2.5 % ends at 0.0006 %.
const HALVINGS: u32 = 12;

/// Times the bracket of volatility around the nearest grid point is cut by a third.
const THIRDS: u32 = 6;

/// Where to look.
#[derive(Clone, PartialEq, Debug)]
pub struct LiquidationSpec {
    /// Largest relative move of spot, both ways; in (0, 1).
    pub spot_max: f64,
    /// Grid steps each way.
    pub steps: u32,
    /// Relative moves of volatility; > -1.
    pub vols: Vec<f64>,
    /// Days ahead; >= 0. Nothing changes meanwhile but time.
    pub days: Vec<f64>,
}

impl Default for LiquidationSpec {
    fn default() -> Self {
        Self {
            spot_max: 0.6,
            steps: 24,
            vols: vec![-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0],
            days: vec![0.0, 1.0, 7.0, 30.0],
        }
    }
}

/// The boundary at one number of days and one move of volatility.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LiquidationPoint {
    /// Days ahead.
    pub days: f64,
    /// Relative move of volatility.
    pub vol: f64,
    /// Relative move of spot at which the account becomes liquidatable on the way down; `None`: nowhere in range.
    pub spot_down: Option<f64>,
    /// The same on the way up.
    pub spot_up: Option<f64>,
    /// Equity less maintenance margin with spot where it is, ticks.
    pub mm_excess: Ticks,
}

impl LiquidationPoint {
    /// The closer of its two spots, with spot measured in `scan`s.
    fn closest(&self, scan: f64) -> Option<NearestPoint> {
        let near = |spot: f64| {
            let (scans, halves) = (spot / scan, self.vol / 0.5);
            NearestPoint {
                spot,
                vol: self.vol,
                days: self.days,
                distance: (scans * scans + halves * halves).sqrt(),
            }
        };
        let spots = [self.spot_down, self.spot_up].into_iter().flatten().map(near);
        spots.min_by(|a, b| a.distance.total_cmp(&b.distance))
    }
}

/// The point of the boundary that is closest to the present.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NearestPoint {
    /// Relative move of spot.
    pub spot: f64,
    /// Relative move of volatility.
    pub vol: f64,
    /// Days ahead.
    pub days: f64,
    /// Square root of the squares of the spot move in price scans and of the volatility move in halves; 0 when the
    /// account is liquidatable now. Time counts nothing: it passes by itself.
    pub distance: f64,
}

/// The boundary, and its nearest point.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LiquidationSurface {
    /// One per number of days and move of volatility.
    pub points: Vec<LiquidationPoint>,
    /// `None` when no point in range is on the boundary.
    pub nearest: Option<NearestPoint>,
    /// Days to the account's first expiry; days asked for at or past it were left out.
    pub first_expiry_days: Option<f64>,
}

impl LiquidationSpec {
    fn check(&self) -> Result<(), EngineError> {
        let argument = |what, value: String, expected| Err(EngineError::Argument { what, value, expected });
        if !(self.spot_max > 0.0 && self.spot_max < 1.0) {
            return argument("spot_max", self.spot_max.to_string(), "(0, 1)");
        }
        if !(1..=1000).contains(&self.steps) {
            return argument("steps", self.steps.to_string(), "1 to 1000");
        }
        if let Some(vol) = self.vols.iter().find(|vol| !(vol.is_finite() && **vol > -1.0)) {
            return argument("vols", vol.to_string(), "above -1");
        }
        match self.days.iter().find(|days| !(days.is_finite() && (0.0..=3650.0).contains(*days))) {
            Some(days) => argument("days", days.to_string(), "0 to 3650"),
            None => Ok(()),
        }
    }
}

/// `equity - mm` of an account after the market moved.
pub(crate) type Excess<'a> = &'a dyn Fn(&Shift) -> Result<Ticks, EngineError>;

/// One account, by what its margin is under a moved market.
struct Probe<'a> {
    of: Excess<'a>,
    /// In which distances in spot are measured.
    scan: f64,
}

impl Probe<'_> {
    fn excess(&self, spot: f64, vol: f64, days: f64) -> Result<Ticks, EngineError> {
        (self.of)(&Shift { spot, vol, days })
    }

    /// The first point of the boundary from spot 0 in the direction of `step`, given that spot 0 is not liquidatable.
    fn first(&self, step: f64, steps: u32, vol: f64, days: f64) -> Result<Option<f64>, EngineError> {
        let mut safe = 0.0;
        for i in 1..=steps {
            let here = step * f64::from(i);
            if self.excess(here, vol, days)?.0 < 0 {
                return self.refine(safe, here, vol, days).map(Some);
            }
            safe = here;
        }
        Ok(None)
    }

    fn refine(&self, mut safe: f64, mut broken: f64, vol: f64, days: f64) -> Result<f64, EngineError> {
        for _ in 0..HALVINGS {
            let middle = 0.5 * (safe + broken);
            if self.excess(middle, vol, days)?.0 < 0 { broken = middle } else { safe = middle }
        }
        Ok(broken)
    }

    /// The closest boundary point of the grid, then the closest between its neighbours in volatility.
    fn nearest(
        &self,
        spec: &LiquidationSpec,
        points: &[LiquidationPoint],
    ) -> Result<Option<NearestPoint>, EngineError> {
        let scan = self.scan;
        let closest = points
            .iter()
            .filter_map(|point| point.closest(scan))
            .min_by(|a, b| a.distance.total_cmp(&b.distance));
        let Some(mut best) = closest else { return Ok(None) };
        let mut vols = spec.vols.clone();
        vols.sort_by(f64::total_cmp);
        let at = vols.partition_point(|vol| *vol < best.vol);
        let (mut low, mut high) = (vols[at.saturating_sub(1)], vols[(at + 1).min(vols.len() - 1)]);
        for _ in 0..THIRDS {
            if best.distance == 0.0 || high <= low {
                break;
            }
            let third = (high - low) / 3.0;
            let left = self.point(spec, low + third, best.days)?.closest(scan);
            let right = self.point(spec, high - third, best.days)?.closest(scan);
            let far = |point: &Option<NearestPoint>| point.as_ref().map_or(f64::INFINITY, |p| p.distance);
            if far(&left) < far(&right) {
                high -= third
            } else {
                low += third
            }
            best = [left, right]
                .into_iter()
                .flatten()
                .fold(best, |a, b| if b.distance < a.distance { b } else { a });
        }
        Ok(Some(best))
    }

    fn point(&self, spec: &LiquidationSpec, vol: f64, days: f64) -> Result<LiquidationPoint, EngineError> {
        let mm_excess = self.excess(0.0, vol, days)?;
        if mm_excess.0 < 0 {
            return Ok(LiquidationPoint { days, vol, spot_down: Some(0.0), spot_up: Some(0.0), mm_excess });
        }
        let step = spec.spot_max / f64::from(spec.steps);
        let spot_down = self.first(-step, spec.steps, vol, days)?;
        let spot_up = self.first(step, spec.steps, vol, days)?;
        Ok(LiquidationPoint { days, vol, spot_down, spot_up, mm_excess })
    }
}

/// The smallest price scan among the underlyings of some instruments.
pub(crate) fn smallest_scan<'a>(arrays: &RiskArrays, names: impl Iterator<Item = &'a Instrument>) -> f64 {
    let held = names.filter_map(|name| arrays.find(name)).filter_map(|ix| arrays.instrument(ix));
    let scans =
        held.filter_map(|row| arrays.underlyings.get(row.underlying.index())).map(|u| u.price_scan.to_f64());
    scans.fold(f64::INFINITY, f64::min)
}

impl LiquidationSpec {
    /// The boundary of an account whose first expiry is so many days ahead, and its nearest point.
    pub(crate) fn search(
        &self,
        of: Excess<'_>,
        scan: f64,
        first_expiry_days: Option<f64>,
    ) -> Result<LiquidationSurface, EngineError> {
        self.check()?;
        let probe = Probe { of, scan };
        let mut points = Vec::with_capacity(self.vols.len() * self.days.len());
        for days in self.days.iter().filter(|days| first_expiry_days.is_none_or(|first| **days < first)) {
            for vol in &self.vols {
                points.push(probe.point(self, *vol, *days)?);
            }
        }
        let nearest = probe.nearest(self, &points)?;
        Ok(LiquidationSurface { points, nearest, first_expiry_days })
    }
}

/// Days from an instant to the first expiry among instruments.
pub(crate) fn first_expiry_days<'a>(
    as_of: Timestamp,
    names: impl Iterator<Item = &'a Instrument>,
) -> Option<f64> {
    names.filter_map(Instrument::expiry).min().map(|expiry| as_of.seconds_until(expiry) / 86_400.0)
}

impl Desk {
    /// Where the account becomes liquidatable, and the nearest such point.
    ///
    /// # Errors
    /// When the account cannot be valued, now or after a move, or the specification is out of range.
    pub fn liquidation(
        &self,
        account: &AccountId,
        spec: &LiquidationSpec,
    ) -> Result<LiquidationSurface, EngineError> {
        spec.check()?;
        let (number, names) = self.names_of(account)?;
        let today =
            Pricing::new(&self.raw.instruments, &self.arrays, &self.market.surface, &self.params.units);
        let raw = self.raw.account(number);
        let excess = |shift: &Shift| -> Result<Ticks, EngineError> {
            let surface = plimsoll_risk::shifted(&self.market.surface, shift);
            let built =
                plimsoll_risk::build(&surface, &names, &self.scenarios, &self.params.units, self.mode)?;
            let pricing = Pricing::new(&self.raw.instruments, &built.arrays, &surface, &self.params.units)
                .moved_from(&today);
            let unvalued = built.issues.into_iter().collect();
            let portfolio = pricing.portfolio(account, &raw, &unvalued)?;
            let report = plimsoll_margin::evaluate(&portfolio, &built.arrays, &self.params.margin);
            let report = report.map_err(|source| EngineError::Margin { account: account.clone(), source })?;
            Ok(report.mm_excess)
        };
        let scan = smallest_scan(&self.arrays, names.iter());
        spec.search(&excess, scan, first_expiry_days(self.market.surface.as_of, names.iter()))
    }
}
