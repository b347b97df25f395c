//! The liquidation surface: where in (spot, volatility, days) an account's `mm_excess` is zero.
//!
//! Under portfolio margin there is no single liquidation price. For each number of days ahead and each relative move
//! of volatility the boundary is searched in spot, downwards and upwards from where it stands: the first grid step at
//! which the account is liquidatable, refined by bisection. Every point is a full re-evaluation: the market is moved,
//! smiles and all, arrays are built anew, and margin is evaluated on them.

use crate::pricing::Pricing;
use crate::{Desk, EngineError};
use plimsoll_margin::MarginReport;
use plimsoll_risk::Shift;
use plimsoll_types::{AccountId, Instrument, Ticks};
use serde::Serialize;

/// Halvings of a grid step that refine the boundary: a step of 2.5 % ends at 0.0006 %.
const HALVINGS: u32 = 12;

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
            vols: vec![-0.5, -0.25, 0.0, 0.25, 0.5, 1.0],
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

/// One account and what its margin under a moved market needs.
struct Probe<'a> {
    desk: &'a Desk,
    account: &'a AccountId,
    number: u32,
    names: Vec<Instrument>,
    today: Pricing<'a>,
}

impl Probe<'_> {
    /// Margin after the market moved and the account's futures were marked to it.
    fn report(&self, shift: &Shift) -> Result<MarginReport, EngineError> {
        let desk = self.desk;
        let surface = plimsoll_risk::shifted(&desk.market.surface, shift);
        let built =
            plimsoll_risk::build(&surface, &self.names, &desk.scenarios, &desk.params.units, desk.mode)?;
        let pricing = Pricing::new(&desk.raw.instruments, &built.arrays, &surface, &desk.params.units)
            .moved_from(&self.today);
        let unvalued = built.issues.into_iter().collect();
        let raw = desk.raw.account(self.number);
        let portfolio = pricing.portfolio(self.account, &raw, &unvalued)?;
        plimsoll_margin::evaluate(&portfolio, &built.arrays, &desk.params.margin)
            .map_err(|source| EngineError::Margin { account: self.account.clone(), source })
    }

    fn excess(&self, spot: f64, vol: f64, days: f64) -> Result<Ticks, EngineError> {
        self.report(&Shift { spot, vol, days }).map(|report| report.mm_excess)
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
        let probe = Probe { desk: self, account, number, names, today };
        let mut points = Vec::with_capacity(spec.vols.len() * spec.days.len());
        let as_of = self.market.surface.as_of;
        let expiries = probe.names.iter().filter_map(Instrument::expiry);
        let first_expiry_days = expiries.min().map(|expiry| as_of.seconds_until(expiry) / 86_400.0);
        for days in spec.days.iter().filter(|days| first_expiry_days.is_none_or(|first| **days < first)) {
            for vol in &spec.vols {
                points.push(probe.point(spec, *vol, *days)?);
            }
        }
        let nearest = self.nearest(account, &points)?;
        Ok(LiquidationSurface { points, nearest, first_expiry_days })
    }

    fn nearest(
        &self,
        account: &AccountId,
        points: &[LiquidationPoint],
    ) -> Result<Option<NearestPoint>, EngineError> {
        let portfolio = self.portfolio(account)?;
        let held = portfolio.positions.iter().filter_map(|p| self.arrays.instrument(p.instrument));
        let scans = held
            .filter_map(|row| self.arrays.underlyings.get(row.underlying.index()))
            .map(|u| u.price_scan.to_f64());
        let scan = scans.fold(f64::INFINITY, f64::min);
        let boundary = points
            .iter()
            .flat_map(|p| [p.spot_down, p.spot_up].into_iter().flatten().map(move |spot| (p, spot)));
        let candidates = boundary.map(|(point, spot)| {
            let (in_scans, in_halves) = (spot / scan, point.vol / 0.5);
            let distance = (in_scans * in_scans + in_halves * in_halves).sqrt();
            NearestPoint { spot, vol: point.vol, days: point.days, distance }
        });
        Ok(candidates.min_by(|a, b| a.distance.total_cmp(&b.distance)))
    }
}
