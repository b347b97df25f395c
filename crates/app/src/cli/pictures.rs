//! From the engine's answers to pictures.

use super::compare_tables::but_idle;
use crate::svg::{
    Boundary, BoundaryPoint, ComparePicture, CompareRow, HeatPicture, LiquidationPicture, MarkedPoint,
    RatioBox, SmilePanel, SmilePicture, SmilePoint, comparison, heat_map, liquidation, smiles,
};
use plimsoll_engine::{
    Comparison, HeatMap, LiquidationPoint, LiquidationSpec, LiquidationSurface, Measure, NearestPoint, Over,
};
use plimsoll_market::{FitPoint, Slice, Surface, UnderlyingSurface};
use plimsoll_types::{AccountId, Asset, Instrument, Timestamp, Units};

/// Steps of a drawn smile.
const CURVE_STEPS: u32 = 120;

/// Days in a year of `tau`.
const YEAR_DAYS: f64 = 365.0;

/// Smiles of every underlying of a surface, with its quotes.
pub(super) fn surface_svg(surface: &Surface) -> String {
    let picture = |(asset, under): (&Asset, &UnderlyingSurface)| SmilePicture {
        title: format!("{asset}, {}", Timestamp::from_seconds(surface.as_of.seconds())),
        notes: refused(under),
        panels: under.slices.iter().map(panel).collect(),
    };
    smiles(&surface.underlyings.iter().map(picture).collect::<Vec<_>>())
}

/// Expiries without a smile; refused quotes are too many to name.
fn refused(under: &UnderlyingSurface) -> Vec<String> {
    let whole = |subject: &str| subject.parse::<Instrument>().map_or(true, |i| i.option().is_none());
    let issues = under.refused.iter().filter(|issue| whole(&issue.subject));
    issues.take(12).map(|issue| format!("refused: {issue}")).collect()
}

fn panel(slice: &Slice) -> SmilePanel {
    let points = &slice.quality.points;
    let (low, high) = points.iter().fold((-0.1_f64, 0.1_f64), |(low, high), p| (low.min(p.k), high.max(p.k)));
    let at = |i: u32| low + (high - low) * f64::from(i) / f64::from(CURVE_STEPS);
    let curve = (0..=CURVE_STEPS).map(at).map(|k| (k, slice.svi.vol(k, slice.tau)));
    let point =
        |p: &FitPoint| SmilePoint { k: p.k, bid_vol: p.bid_vol, ask_vol: p.ask_vol, mark_vol: p.mark_vol };
    let (year, month, day) = slice.expiry.date();
    SmilePanel {
        title: format!("{year}-{month:02}-{day:02}, {:.1} d", slice.tau * YEAR_DAYS),
        note: format!("RMSE {:.2} vol pts", slice.quality.rmse_vol_points),
        points: points.iter().map(point).collect(),
        curve: curve.filter(|(_, vol)| vol.is_finite()).collect(),
    }
}

/// Profit and loss of an account over spot and volatility.
pub(super) fn heat_map_svg(account: &AccountId, map: &HeatMap, days: f64, units: &Units) -> String {
    // Near enough to be drawn; the tables hold the exact amounts.
    let drawn = |ticks: &plimsoll_types::Ticks| ticks.0 as f64 / units.ticks_per_unit as f64;
    let after = if days == 0.0 { String::new() } else { format!(", {days} days ahead") };
    heat_map(&HeatPicture {
        title: format!("{account}{after}"),
        currency: units.currency.to_string(),
        spot: map.spot.clone(),
        vol: map.vol.clone(),
        pnl: map.pnl.iter().map(|row| row.iter().map(drawn).collect()).collect(),
        worst: map.worst,
    })
}

/// The points of one day; where `mm_excess` at unchanged spot changes sign between two moves of volatility, both sides
/// meet at spot 0, at a volatility found on the straight line between the two.
fn closed(points: &[LiquidationPoint]) -> Vec<BoundaryPoint> {
    let mut out: Vec<BoundaryPoint> = Vec::new();
    let mut before: Option<&LiquidationPoint> = None;
    for point in points {
        if let Some(last) = before.filter(|last| (last.mm_excess.0 < 0) != (point.mm_excess.0 < 0)) {
            let (old, new) = (last.mm_excess.0 as f64, point.mm_excess.0 as f64);
            let vol = last.vol + (point.vol - last.vol) * old / (old - new);
            out.push(BoundaryPoint { vol, down: Some(0.0), up: Some(0.0) });
        }
        out.push(BoundaryPoint { vol: point.vol, down: point.spot_down, up: point.spot_up });
        before = Some(point);
    }
    out
}

/// The liquidation surface of an account, over the range that was searched.
pub(super) fn liquidation_svg(
    account: &AccountId,
    spec: &LiquidationSpec,
    surface: &LiquidationSurface,
) -> String {
    let same_day = |a: &LiquidationPoint, b: &LiquidationPoint| a.days.to_bits() == b.days.to_bits();
    let days = surface.points.chunk_by(same_day);
    let boundaries = days.map(|points| Boundary { days: points[0].days, points: closed(points) }).collect();
    let marked = |p: &NearestPoint| MarkedPoint { spot: p.spot, vol: p.vol, days: p.days };
    liquidation(&LiquidationPicture {
        title: account.to_string(),
        spot_max: spec.spot_max,
        boundaries,
        nearest: surface.nearest.as_ref().map(marked),
    })
}

/// Ratios of initial margin and totals, method by method. Totals are over the accounts that every method margins, or
/// where there is none, each over its own.
pub(super) fn compare_svg(compared: &Comparison) -> String {
    let common = compared.totals(0, Over::Common).accounts;
    let over = if common == 0 { Over::Own } else { Over::Common };
    let all = compared.accounts.len();
    let note = match over {
        Over::Own => {
            format!("no one of {all} accounts is margined by every method: totals are each over its own")
        }
        Over::Common | Over::WithBase => {
            format!(
                "totals over the {common} of {all} accounts that every method margins{}",
                but_idle(compared)
            )
        }
    };
    let at = Timestamp::from_seconds(compared.as_of.seconds());
    comparison(&ComparePicture {
        title: format!("Margin methods on one book, {at}"),
        note,
        currency: compared.currency.to_string(),
        rows: (0..compared.methods.len()).map(|method| compare_row(compared, method, over)).collect(),
    })
}

fn compare_row(compared: &Comparison, method: usize, over: Over) -> CompareRow {
    let totals = compared.totals(method, over);
    let own = compared.totals(method, Over::Own).accounts;
    // Near enough to be drawn; the tables hold the exact amounts.
    let drawn = |ticks: plimsoll_types::Ticks| ticks.0 as f64 / compared.ticks_per_unit as f64;
    let found = compared.distribution(method, Measure::Initial, Over::WithBase);
    let quantiles = found.quantiles.as_ref().filter(|_| method > 0);
    let ratios = quantiles.map(|q| RatioBox {
        min: q.min.to_f64(),
        p5: q.p5.to_f64(),
        p25: q.p25.to_f64(),
        median: q.median.to_f64(),
        p75: q.p75.to_f64(),
        p95: q.p95.to_f64(),
        max: q.max.to_f64(),
    });
    let note = match ratios {
        None if method == 0 => format!("the base; margins {own} accounts"),
        None if own == 0 => "margins none of the accounts".to_owned(),
        None => format!("margins {own} accounts"),
        Some(ratios) => format!("median {}, {} accounts", in_three_digits(ratios.median), found.count),
    };
    let label = compared.methods.get(method).map_or_else(String::new, |method| method.label.clone());
    let totals = (own > 0).then(|| (drawn(totals.im), drawn(totals.mm)));
    CompareRow { label, note, totals, ratios }
}

/// A ratio in about three digits.
fn in_three_digits(x: f64) -> String {
    let decimals = match x {
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        x if x >= 0.9995 => 2,
        x if x >= 0.0995 => 3,
        _ => 4,
    };
    format!("{x:.decimals$}")
}
