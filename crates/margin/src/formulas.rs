//! The charges beside the scenario losses as numbers: formulas on sums over positions, with no account and no names.
//!
//! The report dresses them with their inputs (`charges`), the summary of a book adds them up; both call these. `D` is
//! delta in ticks per unit relative move of spot, `N` notional, `V` vega in ticks per 1.00 of volatility. Every charge is
//! rounded up, >= 0, and never falls when the book is scaled up.

use crate::money::{Number, TooLarge, add, mul, ratio_down, ratio_up, scale_up, sqrt_ratio_up, sub, sum};
use crate::{BasisTerms, LiquidityTerms, ShortCount, VegaBucket};
use plimsoll_types::{NANO, Ppb, YEAR_SECONDS};

const WHOLE: i128 = NANO as i128;
const DAY: i64 = 86_400;

/// Notional of options that expire together: calls and puts, of each the long and the short side; >= 0.
pub(crate) type OptionSizes = [[i128; 2]; 2];

/// What the positions of one underlying that expire together add up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tenor {
    /// Seconds to expiry; spot and perpetuals have none and come first.
    pub(crate) seconds: Option<i64>,
    pub(crate) delta: i128,
    pub(crate) vega: i128,
    pub(crate) options: OptionSizes,
}

/// What a charge was computed from on the way, and the charge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Basis {
    /// Delta of the long and of the short side; >= 0.
    pub(crate) sides: [i128; 2],
    pub(crate) matched: i128,
    pub(crate) full: i128,
}

/// As [`Basis`], of vega.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct OppositeVega {
    /// Shocked vega of the long and of the short side; >= 0.
    pub(crate) sides: [i128; 2],
    pub(crate) full: i128,
}

/// The parts of the cost of closing a delta.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Closing {
    pub(crate) spread: i128,
    pub(crate) impact: i128,
    pub(crate) horizon: i128,
    pub(crate) full: i128,
}

/// [`LiquidityTerms`] in ticks; what divides is > 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Liquidity {
    pub(crate) depth: i128,
    pub(crate) volume: i128,
    pub(crate) capacity: i128,
    pub(crate) daily_vega: i128,
    pub(crate) spread: Ppb,
    pub(crate) impact: Ppb,
    pub(crate) vega_impact: Ppb,
    pub(crate) price_scan: Ppb,
}

/// Why terms of liquidity make no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unusable {
    /// What divides is not above 0.
    NotPositive {
        name: &'static str,
        value: i128,
    },
    TooLarge(TooLarge),
}

impl From<TooLarge> for Unusable {
    fn from(what: TooLarge) -> Self {
        Self::TooLarge(what)
    }
}

impl Liquidity {
    /// The terms in ticks, of which there are `per_unit` in a unit of the currency.
    pub(crate) fn new(terms: &LiquidityTerms, per_unit: i64, price_scan: Ppb) -> Result<Self, Unusable> {
        let (what, per_unit) = ("liquidity", i128::from(per_unit));
        let positive = |value: i128, name| {
            if value > 0 { Ok(value) } else { Err(Unusable::NotPositive { name, value }) }
        };
        let volume = positive(i128::from(terms.daily_volume) * per_unit, "liquidity.daily_volume")?;
        let days = positive(i128::from(terms.horizon_days), "liquidity.horizon_days")?;
        let share = positive(i128::from(terms.participation.0), "liquidity.participation")?;
        let daily = ratio_down(volume, share, WHOLE, what)?;
        let capacity = positive(mul(daily, days, what)?, "liquidity.participation")?;
        let daily_vega = positive(i128::from(terms.daily_vega) * per_unit, "liquidity.daily_vega")?;
        let depth = i128::from(terms.depth) * per_unit;
        let LiquidityTerms { spread, impact, vega_impact, .. } = *terms;
        Ok(Self { depth, volume, capacity, daily_vega, spread, impact, vega_impact, price_scan })
    }
}

/// What an expiry counts per unit of delta in the basis charge: `rate + rate_per_year x tau`, billionths, rounded up.
pub(crate) fn basis_rate(seconds: Option<i64>, terms: &BasisTerms) -> Number<i128> {
    let what = "basis";
    let seconds = i128::from(seconds.unwrap_or(0).max(0));
    let grown = ratio_up(seconds, i128::from(terms.rate_per_year.0), i128::from(YEAR_SECONDS), what)?;
    add(i128::from(terms.rate.0), grown, what)
}

/// `matched x W` from delta and [`basis_rate`] by expiry, where `matched = min(sum of D > 0, sum of -D > 0)` over
/// expiries and `W` is the larger of the two sides' average rates: the forwards of the two sides may move apart by as
/// much. Source: opposite forwards of the design; the linear growth with tenor is Derive's basis contingency (methods 3).
pub(crate) fn basis(tenors: impl Iterator<Item = (i128, i128)> + Clone) -> Number<Basis> {
    let what = "basis";
    let mut sides = [0_i128; 2];
    for (delta, _) in tenors.clone() {
        let side = &mut sides[usize::from(delta < 0)];
        *side = add(*side, delta.abs(), what)?;
    }
    let matched = sides[0].min(sides[1]);
    if matched == 0 {
        return Ok(Basis { sides, matched, full: 0 });
    }
    let mut weighted = [0_i128; 2];
    for (delta, rate) in tenors {
        let side = &mut weighted[usize::from(delta < 0)];
        *side = add(*side, ratio_up(delta.abs(), rate, WHOLE, what)?, what)?;
    }
    let long = ratio_up(weighted[0], matched, sides[0], what)?;
    let short = ratio_up(weighted[1], matched, sides[1], what)?;
    Ok(Basis { sides, matched, full: long.max(short).max(0) })
}

/// The buckets that an expiry belongs to, with its shares in billionths, which add up to one.
pub(crate) type TenorShares = [(usize, i128); 2];

/// Between two edges `a < t <= b` the bucket of `b` has `(t - a) / (b - a)`, rounded down, and the one before it the
/// rest; up to the first edge and beyond the last an expiry is wholly in the first and in the last bucket.
pub(crate) fn tenor_shares(seconds: i64, buckets: &[VegaBucket]) -> Number<TenorShares> {
    let edge = |bucket: &VegaBucket| i128::from(bucket.up_to_days) * i128::from(DAY);
    let seconds = i128::from(seconds);
    let Some(index) = buckets.iter().position(|bucket| seconds <= edge(bucket)) else {
        return Ok([(buckets.len().saturating_sub(1), WHOLE), (0, 0)]);
    };
    let Some((before, a)) = index.checked_sub(1).and_then(|i| Some((i, edge(buckets.get(i)?)))) else {
        return Ok([(index, WHOLE), (0, 0)]);
    };
    let b = buckets.get(index).map_or(seconds, edge);
    let share = ratio_down(WHOLE, seconds - a, b - a, "the tenor of vega")?;
    Ok([(index, share), (before, WHOLE - share)])
}

/// `(1 - credit) x min(sum over long buckets of shock x V, sum over short buckets of shock x |V|)` from vega and
/// [`tenor_shares`] by expiry: the scenarios move all tenors together, so they see only the difference of the two.
/// `vegas` is room for one number per bucket. Source: design section 6; bucketed vega as in FRTB (MAR21).
pub(crate) fn vega(
    tenors: impl Iterator<Item = (i128, TenorShares)>,
    buckets: &[VegaBucket],
    credit: Ppb,
    vegas: &mut [i128],
) -> Number<OppositeVega> {
    let what = "vega";
    // In billionths of a tick, so that shares of small positions are not rounded away.
    vegas.fill(0);
    for (vega, shares) in tenors {
        for (index, share) in shares {
            let Some(bucket) = vegas.get_mut(index) else { continue };
            *bucket = add(*bucket, mul(vega, share, what)?, what)?;
        }
    }
    let mut sides = [0_i128; 2];
    for (bucket, vega) in buckets.iter().zip(vegas) {
        let moved = ratio_up(vega.abs(), i128::from(bucket.shock.0), WHOLE * WHOLE, what)?;
        let side = &mut sides[usize::from(*vega < 0)];
        *side = add(*side, moved, what)?;
    }
    let kept = Ppb(NANO.saturating_sub(credit.0));
    Ok(OppositeVega { sides, full: scale_up(sides[0].min(sides[1]), kept, what)? })
}

/// With `d = |sum of D|` and `e = max(0, d - depth)`:
/// `spread x d + impact x e x sqrt(e / daily_volume) + price_scan x d x (sqrt(max(1, e / capacity)) - 1)`,
/// `capacity = participation x daily_volume x horizon`. The first term crosses the spread, the second is the square-root
/// law of market impact (Toth et al. 2011; Almgren et al. 2005), the third lets the price move for as long as closing
/// takes. Roots are rounded up.
#[inline(always)]
pub(crate) fn liquidity(delta: i128, terms: &Liquidity) -> Number<Closing> {
    let what = "liquidity";
    let excess = (delta - terms.depth).max(0);
    let spread = scale_up(delta, terms.spread, what)?;
    if excess == 0 {
        return Ok(Closing { spread, impact: 0, horizon: 0, full: spread });
    }
    let root = sqrt_ratio_up(excess, terms.volume, what)?;
    let impact = scale_up(ratio_up(excess, root, WHOLE, what)?, terms.impact, what)?;
    let longer = (sqrt_ratio_up(excess, terms.capacity, what)? - WHOLE).max(0);
    let scan = scale_up(delta, terms.price_scan, what)?;
    let horizon = ratio_up(scan, longer, WHOLE, what)?;
    Ok(Closing { spread, impact, horizon, full: sum([spread, impact, horizon], what)? })
}

/// `vega_impact x v x sqrt(v / daily_vega)` with `v = |sum of V|`: the square-root law on volatility.
#[inline(always)]
pub(crate) fn vega_liquidity(vega: i128, terms: &Liquidity) -> Number<i128> {
    let what = "vega liquidity";
    let root = sqrt_ratio_up(vega, terms.daily_vega, what)?;
    scale_up(ratio_up(vega, root, WHOLE, what)?, terms.vega_impact, what)
}

/// By how much a stated confidence is wider than what costs nothing; >= 0.
pub(crate) fn too_wide(confidence: Ppb, threshold: Ppb) -> Ppb {
    Ppb(confidence.0.saturating_sub(threshold.0).max(0))
}

/// `multiplier x wide x exposure`, `wide` being [`too_wide`].
pub(crate) fn confidence(exposure: i128, wide: Ppb, multiplier: Ppb, what: &'static str) -> Number<i128> {
    if wide.0 == 0 {
        return Ok(0);
    }
    scale_up(scale_up(exposure, wide, what)?, multiplier, what)
}

/// Notional of short options that nothing covers, expiry by expiry: calls, puts. See [`ShortCount::Naked`]. Expiries come
/// farthest first, with a key of their own: what may cover a far short may cover every nearer one too, so this order
/// covers as much as can be. `linear` is the signed notional of what is no option.
#[inline(always)]
pub(crate) fn uncovered<K>(
    farthest_first: impl Iterator<Item = (K, OptionSizes)>,
    linear: i128,
    mut each: impl FnMut(K, [i128; 2]) -> Number<()>,
) -> Number<()> {
    let (mut longs, mut linear) = ([0; 2], [linear.max(0), linear.saturating_neg().max(0)]);
    for (key, kinds) in farthest_first {
        let mut open = [0; 2];
        for (kind, [long, short]) in kinds.into_iter().enumerate() {
            longs[kind] = add(longs[kind], long, "uncovered short options")?;
            open[kind] = take(&mut linear[kind], take(&mut longs[kind], short));
        }
        each(key, open)?;
    }
    Ok(())
}

/// Covers as much of `size` as `cover` has, and returns the rest.
fn take(cover: &mut i128, size: i128) -> i128 {
    let taken = size.min(*cover);
    *cover -= taken;
    size - taken
}

/// The short notional that a minimum counts: `tenors` as for [`uncovered`].
#[inline(always)]
pub(crate) fn counted_shorts(
    count: ShortCount,
    farthest_first: impl Iterator<Item = OptionSizes>,
    linear: i128,
) -> Number<i128> {
    let what = "short option minimum";
    if count == ShortCount::Naked {
        let mut all = 0;
        uncovered(farthest_first.map(|sizes| ((), sizes)), linear, |(), open| {
            all = add(all, sum(open, what)?, what)?;
            Ok(())
        })?;
        return Ok(all);
    }
    let mut short = [0; 2];
    for sizes in farthest_first {
        for kind in 0..2 {
            short[kind] = add(short[kind], sizes[kind][1], what)?;
        }
    }
    if count == ShortCount::Sum { sum(short, what) } else { Ok(short[0].max(short[1]).max(0)) }
}

/// `size x (window - seconds) / window` for an expiry inside the window, rounded up; 0 beyond it, and for what has none.
pub(crate) fn ramped(size: i128, seconds: Option<i64>, window: i128) -> Number<i128> {
    let seconds = seconds.map_or(window, |s| i128::from(s).clamp(0, window));
    ratio_up(size, window - seconds, window, "expiry")
}

/// `rate x sum over expiries inside the window of uncovered N x (window - time to expiry) / window`, and that sum: gamma
/// grows without bound near expiry, faster than a grid of fixed steps sees. What covers is as for [`uncovered`].
pub(crate) fn expiry(
    farthest_first: impl Iterator<Item = (Option<i64>, OptionSizes)>,
    linear: i128,
    window: i128,
    rate: Ppb,
) -> Number<(i128, i128)> {
    let what = "expiry";
    let mut all = 0;
    uncovered(farthest_first, linear, |seconds, open| {
        all = add(all, ramped(sum(open, what)?, seconds, window)?, what)?;
        Ok(())
    })?;
    Ok((all, scale_up(all, rate, what)?))
}

/// `periods x max(0, due)`, with what is due over 8 hours.
pub(crate) fn funding(due: i128, periods: u32) -> Number<i128> {
    mul(due.max(0), i128::from(periods), "funding")
}

/// What the floors of short options are found from, underlying by underlying.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Floor {
    /// `rate x counted`; >= 0.
    pub(crate) minimum: i128,
    /// The scaled loss charged for this underlying alone; >= 0.
    pub(crate) loss: i128,
}

/// Calls `each` with the floor charge of every underlying in turn, and how much of it is due to the credit between
/// underlyings.
///
/// The first part is `max(0, minimum - loss)`. What their sum lacks of `sum of minimums - together` is shared in
/// proportion to the minimums (by cumulative amounts rounded down, so that the shares add up to it exactly).
pub(crate) fn floors(
    of: impl Iterator<Item = Floor> + Clone,
    together: i128,
    mut each: impl FnMut(i128, i128),
) -> Number<()> {
    let what = "short option minimum";
    let own = |floor: Floor| floor.minimum.saturating_sub(floor.loss).max(0);
    let all = sum(of.clone().map(|floor| floor.minimum), what)?;
    let charged = add(sum(of.clone().map(own), what)?, together, what)?;
    let lacks = sub(all, charged, what)?.max(0);
    let (mut passed, mut given) = (0, 0);
    for floor in of {
        passed += floor.minimum;
        let upto = if all > 0 && lacks > 0 { ratio_down(lacks, passed, all, what)? } else { 0 };
        each(add(own(floor), upto - given, what)?, upto - given);
        given = upto;
    }
    Ok(())
}
