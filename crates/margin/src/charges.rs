//! The charges beside the scenario losses: formulas.
//!
//! `D` is delta in ticks per unit relative move of spot, `N` notional, `V` vega in ticks per 1.00 of volatility; sums run
//! over the positions of one underlying. Every charge is rounded up, >= 0, and never falls when the book is scaled up.
//! Only the minimum for short options looks at all underlyings together, see `short_options`.

use crate::money::{Exact, sqrt_ratio_up};
use crate::{
    Addon, AddonKind, BasisTerms, ConfidenceTerms, ExpiryTerms, FundingTerms, Input, LiquidityTerms,
    MarginError, Params, ShortCount, ShortOptionStyle, ShortOptionTerms, VegaBucket, VegaTerms,
};
use plimsoll_types::{
    InstrumentRow, NANO, OptionKind, Position, Ppb, RiskArrays, Ticks, UnderlyingRow, YEAR_SECONDS,
};
use std::collections::BTreeMap;

const WHOLE: i128 = NANO as i128;
const DAY: i64 = 86_400;

/// The positions on one underlying.
pub(crate) struct Held<'a> {
    pub(crate) underlying: &'a UnderlyingRow,
    pub(crate) positions: Vec<(&'a InstrumentRow, i128)>,
    pub(crate) per_unit: i64,
}

impl<'a> Held<'a> {
    pub(crate) fn of(arrays: &'a RiskArrays, positions: &[Position], index: usize) -> Self {
        let rows = positions.iter().filter_map(|p| Some((arrays.instrument(p.instrument)?, p.lots.0)));
        let its_own = rows.filter(|(row, _)| row.underlying.index() == index);
        Self {
            underlying: &arrays.underlyings[index],
            positions: its_own.map(|(row, lots)| (row, i128::from(lots))).collect(),
            per_unit: arrays.ticks_per_unit,
        }
    }

    fn sum(
        &self,
        exact: Exact,
        what: &'static str,
        of: impl Fn(&InstrumentRow) -> i64,
    ) -> Result<i128, MarginError> {
        exact.sum(self.positions.iter().map(|(row, lots)| lots * i128::from(of(row))), what)
    }

    /// Delta by seconds to expiry; spot and perpetuals have none and come first.
    fn delta_by_expiry(&self, exact: Exact) -> Result<BTreeMap<Option<i64>, i128>, MarginError> {
        let mut deltas = BTreeMap::new();
        for (row, lots) in &self.positions {
            let sum = deltas.entry(row.seconds_to_expiry).or_insert(0);
            *sum = exact.add(*sum, lots * i128::from(row.greeks.delta), "delta")?;
        }
        Ok(deltas)
    }

    /// Notional of short options by kind: calls, puts.
    pub(crate) fn short(&self, exact: Exact) -> Result<[i128; 2], MarginError> {
        let mut sizes = [0; 2];
        for (row, lots) in self.positions.iter().filter(|(_, lots)| *lots < 0) {
            let Some((_, kind)) = row.instrument.option() else { continue };
            let side = &mut sizes[usize::from(kind == OptionKind::Put)];
            *side = exact.sub(*side, lots * i128::from(row.notional), "short options")?;
        }
        Ok(sizes)
    }

    /// Notional of short options that nothing covers, by seconds to expiry: calls, puts. See
    /// [`crate::ShortCount::Naked`]. Taking the farthest expiry first covers as much as can be: what may cover a far
    /// short may cover every nearer one too.
    pub(crate) fn uncovered(&self, exact: Exact) -> Result<Uncovered, MarginError> {
        let what = "uncovered short options";
        let mut sizes: BTreeMap<Option<i64>, [[i128; 2]; 2]> = BTreeMap::new();
        let mut linear = 0;
        for (row, lots) in &self.positions {
            let size = lots * i128::from(row.notional);
            let Some((_, kind)) = row.instrument.option() else {
                linear = exact.add(linear, size, what)?;
                continue;
            };
            let of_kind =
                &mut sizes.entry(row.seconds_to_expiry).or_default()[usize::from(kind == OptionKind::Put)];
            let side = &mut of_kind[usize::from(size < 0)];
            *side = exact.add(*side, size.abs(), what)?;
        }
        let (mut longs, mut linear) = ([0; 2], [linear.max(0), linear.saturating_neg().max(0)]);
        let mut left = Uncovered::new();
        for (seconds, kinds) in sizes.into_iter().rev() {
            let mut open = [0; 2];
            for (kind, [long, short]) in kinds.into_iter().enumerate() {
                longs[kind] = exact.add(longs[kind], long, what)?;
                open[kind] = take(&mut linear[kind], take(&mut longs[kind], short));
            }
            left.insert(seconds, open);
        }
        Ok(left)
    }
}

/// Notional of uncovered short calls and puts, by seconds to expiry.
pub(crate) type Uncovered = BTreeMap<Option<i64>, [i128; 2]>;

/// Covers as much of `size` as `cover` has, and returns the rest.
fn take(cover: &mut i128, size: i128) -> i128 {
    let taken = size.min(*cover);
    *cover -= taken;
    size - taken
}

/// The charges on one underlying but its minimum for short options, in the order of their kinds; zero charges are left
/// out. Where positions do not net (`nets` false), nothing is paid for netting: no basis, no vega.
pub(crate) fn of_underlying(
    held: &Held,
    params: &Params,
    nets: bool,
    exact: Exact,
) -> Result<Vec<Addon>, MarginError> {
    let (terms, asset) = (&params.addons, &held.underlying.asset);
    let mut charges = Vec::new();
    if let Some(t) = terms.basis.of(asset).filter(|_| nets) {
        charges.push(basis(held, t, exact)?);
    }
    if let Some(t) = terms.vega.of(asset).filter(|_| nets) {
        charges.push(vega(held, t, exact)?);
    }
    if let Some(t) = terms.liquidity.of(asset) {
        charges.push(liquidity(held, t, exact)?);
        charges.push(vega_liquidity(held, t, exact)?);
    }
    if let Some(t) = terms.confidence.of(asset) {
        charges.push(confidence(held, t, exact)?);
    }
    if let Some(t) = terms.expiry.of(asset) {
        charges.push(expiry(held, t, exact)?);
    }
    if let Some(t) = terms.funding.of(asset) {
        charges.push(funding(held, t, exact)?);
    }
    charges.retain(|charge| charge.im.0 != 0 || charge.mm.0 != 0);
    Ok(charges)
}

/// A charge of `full` in initial margin and a share of it in maintenance margin. A negative charge or a share outside
/// [0, 1] can only come from a parameter out of range, which is refused.
pub(crate) fn shared(addon: Addon, full: i128, mm_share: Ppb, exact: Exact) -> Result<Addon, MarginError> {
    if full < 0 || !(0..=NANO).contains(&mm_share.0) {
        return Err(MarginError::Parameter {
            account: exact.account.clone(),
            name: format!("addons.{}", addon.kind.code()),
            value: format!("charge {full}, mm_share {mm_share}"),
            expected: "rates of at least 0 and a share between 0 and 1",
        });
    }
    let mm = exact.scale_up(full, mm_share, addon.kind.code())?;
    Ok(Addon { im: Ticks(full), mm: Ticks(mm), ..addon })
}

pub(crate) fn blank(
    kind: AddonKind,
    asset: &plimsoll_types::Asset,
    inputs: Vec<(&'static str, Input)>,
) -> Addon {
    let inputs = inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Addon { kind, asset: asset.clone(), im: Ticks(0), mm: Ticks(0), inputs }
}

fn money(ticks: i128) -> Input {
    Input::Money(Ticks(ticks))
}

/// `minimum = rate x N_short` of one underlying: all of it in initial margin, `mm_share` of it in maintenance margin.
fn minimum(held: &Held, terms: &ShortOptionTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "short option minimum";
    let counted = match terms.count {
        ShortCount::Sum => exact.sum(held.short(exact)?, what)?,
        ShortCount::Larger => held.short(exact)?.into_iter().fold(0, i128::max),
        ShortCount::Naked => exact.sum(held.uncovered(exact)?.into_values().flatten(), what)?,
    };
    let minimum = exact.scale_up(counted, terms.rate, what)?;
    let inputs = vec![
        ("short_notional", money(counted)),
        ("rate", Input::Ratio(terms.rate)),
        ("minimum", money(minimum)),
    ];
    let addon = blank(AddonKind::ShortOption, &held.underlying.asset, inputs);
    shared(addon, minimum, terms.mm_share, exact)
}

/// What a floor is compared with: per underlying the scaled loss that is charged for it alone, in initial and in
/// maintenance margin, and the scaled aggregate.
pub(crate) struct Charged {
    pub(crate) alone: Vec<(i128, i128)>,
    pub(crate) together: (i128, i128),
}

/// The minimum for short options of every underlying. Style `add` charges it; style `floor` what the loss charged falls
/// short of it, which is at least `sum of minimums - scaled aggregate` over the underlyings of that style, because a
/// credit between underlyings must not undo a minimum (see [`floors`]).
/// Source: SPAN (methods 2.7) for the floor, Derive's option contingency (methods 3) for the addition.
pub(crate) fn short_options(
    held: &[Held],
    charged: &Charged,
    params: &Params,
    exact: Exact,
) -> Result<Vec<Option<Addon>>, MarginError> {
    let terms = |held: &Held| params.addons.short_option.of(&held.underlying.asset).copied();
    let of_one = |held: &Held| terms(held).map(|t| minimum(held, &t, exact)).transpose();
    let mut addons: Vec<Option<Addon>> = held.iter().map(of_one).collect::<Result<_, _>>()?;
    let floor = |held: &Held| terms(held).is_some_and(|t| t.style == ShortOptionStyle::Floor);
    let under: Vec<usize> = (0..held.len()).filter(|i| held.get(*i).is_some_and(floor)).collect();
    let pick = |read: fn(&Addon) -> i128| -> Vec<i128> {
        under.iter().filter_map(|i| addons.get(*i)?.as_ref().map(read)).collect()
    };
    let alone = |read: fn(&(i128, i128)) -> i128| -> Vec<i128> {
        under.iter().filter_map(|i| charged.alone.get(*i).map(read)).collect()
    };
    let im = floors(&pick(|a| a.im.0), &alone(|l| l.0), charged.together.0, exact)?;
    let mm = floors(&pick(|a| a.mm.0), &alone(|l| l.1), charged.together.1, exact)?;
    for (n, i) in under.iter().enumerate() {
        let (Some(Some(addon)), Some((loss, _)), Some(im), Some(mm)) =
            (addons.get_mut(*i), charged.alone.get(*i), im.get(n), mm.get(n))
        else {
            continue;
        };
        (addon.im, addon.mm) = (Ticks(im.0), Ticks(mm.0));
        addon.inputs.push(("loss_scaled".to_owned(), money(*loss)));
        addon.inputs.push(("credit_undone".to_owned(), money(im.1)));
    }
    Ok(addons)
}

/// For each underlying the floor charge, and how much of it is due to the credit between underlyings.
///
/// The first part is `max(0, minimum - loss)`. What their sum lacks of `sum of minimums - together` is shared in
/// proportion to the minimums (by cumulative amounts rounded down, so that the shares add up to it exactly).
fn floors(
    minimums: &[i128],
    losses: &[i128],
    together: i128,
    exact: Exact,
) -> Result<Vec<(i128, i128)>, MarginError> {
    let what = "short option minimum";
    let alone = minimums.iter().zip(losses).map(|(minimum, loss)| minimum.saturating_sub(*loss).max(0));
    let alone: Vec<i128> = alone.collect();
    let all = exact.sum(minimums.iter().copied(), what)?;
    let charged = exact.sum(alone.iter().copied().chain([together]), what)?;
    let lacks = exact.sub(all, charged, what)?.max(0);
    let (mut passed, mut given) = (0, 0);
    let mut charges = Vec::with_capacity(minimums.len());
    for (minimum, own) in minimums.iter().zip(alone) {
        passed += minimum;
        let upto = if all > 0 { exact.ratio_down(lacks, passed, all, what)? } else { 0 };
        charges.push((exact.add(own, upto - given, what)?, upto - given));
        given = upto;
    }
    Ok(charges)
}

/// `matched x W`, where `matched = min(sum of D > 0, sum of -D > 0)` over expiries, `W_e = rate + rate_per_year x tau_e`,
/// and `W` is the larger of the two sides' averages: the forwards of the two sides may move apart by as much.
/// Source: opposite forwards of the design; the linear growth with tenor is Derive's basis contingency (methods 3).
fn basis(held: &Held, terms: &BasisTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "basis";
    let (mut size, mut weighted) = ([0_i128; 2], [0_i128; 2]);
    for (seconds, delta) in held.delta_by_expiry(exact)? {
        let side = usize::from(delta < 0);
        let seconds = i128::from(seconds.unwrap_or(0).max(0));
        let grown =
            exact.ratio_up(seconds, i128::from(terms.rate_per_year.0), i128::from(YEAR_SECONDS), what)?;
        let rate = exact.add(i128::from(terms.rate.0), grown, what)?;
        size[side] = exact.add(size[side], delta.abs(), what)?;
        weighted[side] = exact.add(weighted[side], exact.ratio_up(delta.abs(), rate, WHOLE, what)?, what)?;
    }
    let matched = size[0].min(size[1]);
    let mut full = 0;
    for side in 0..2 {
        if size[side] > 0 {
            full = full.max(exact.ratio_up(weighted[side], matched, size[side], what)?);
        }
    }
    let inputs = vec![
        ("long_delta", money(size[0])),
        ("short_delta", money(size[1])),
        ("matched", money(matched)),
        ("rate", Input::Ratio(terms.rate)),
        ("rate_per_year", Input::Ratio(terms.rate_per_year)),
    ];
    shared(blank(AddonKind::Basis, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}

/// `(1 - credit) x min(sum over long buckets of shock x V, sum over short buckets of shock x |V|)`: the scenarios move
/// all tenors together, so they see only the difference of the two. Vega moves from bucket to bucket as time passes and
/// not at once, see [`tenor_shares`].
/// Source: design section 6; bucketed vega as in FRTB (MAR21).
fn vega(held: &Held, terms: &VegaTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "vega";
    // In billionths of a tick, so that shares of small positions are not rounded away.
    let mut buckets = vec![0_i128; terms.buckets.len()];
    for (row, lots) in &held.positions {
        let Some(seconds) = row.seconds_to_expiry else { continue };
        let vega = exact.mul(*lots, i128::from(row.greeks.vega), what)?;
        for (index, share) in tenor_shares(seconds, &terms.buckets, exact)? {
            let Some(bucket) = buckets.get_mut(index) else { continue };
            *bucket = exact.add(*bucket, exact.mul(vega, share, what)?, what)?;
        }
    }
    let mut sides = [0_i128; 2];
    for (bucket, vega) in terms.buckets.iter().zip(&buckets) {
        let moved = exact.ratio_up(vega.abs(), i128::from(bucket.shock.0), WHOLE * WHOLE, what)?;
        let side = &mut sides[usize::from(*vega < 0)];
        *side = exact.add(*side, moved, what)?;
    }
    let kept = Ppb(NANO.saturating_sub(terms.credit.0));
    let full = exact.scale_up(sides[0].min(sides[1]), kept, what)?;
    let inputs = vec![
        ("long_vega_shocked", money(sides[0])),
        ("short_vega_shocked", money(sides[1])),
        ("credit", Input::Ratio(terms.credit)),
    ];
    shared(blank(AddonKind::Vega, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}

/// The buckets that an expiry belongs to, with its shares in billionths, which add up to one. Between two edges
/// `a < t <= b` the bucket of `b` has `(t - a) / (b - a)`, rounded down, and the one before it the rest; up to the first
/// edge and beyond the last an expiry is wholly in the first and in the last bucket.
fn tenor_shares(
    seconds: i64,
    buckets: &[VegaBucket],
    exact: Exact,
) -> Result<[(usize, i128); 2], MarginError> {
    let edge = |bucket: &VegaBucket| i128::from(bucket.up_to_days) * i128::from(DAY);
    let seconds = i128::from(seconds);
    let Some(index) = buckets.iter().position(|bucket| seconds <= edge(bucket)) else {
        return Ok([(buckets.len().saturating_sub(1), WHOLE), (0, 0)]);
    };
    let Some((before, a)) = index.checked_sub(1).and_then(|i| Some((i, edge(buckets.get(i)?)))) else {
        return Ok([(index, WHOLE), (0, 0)]);
    };
    let b = buckets.get(index).map_or(seconds, edge);
    let share = exact.ratio_down(WHOLE, seconds - a, b - a, "the tenor of vega")?;
    Ok([(index, share), (before, WHOLE - share)])
}

/// A parameter that divides; refused unless positive.
fn positive(value: i128, name: &str, exact: Exact) -> Result<i128, MarginError> {
    if value > 0 {
        return Ok(value);
    }
    Err(MarginError::Parameter {
        account: exact.account.clone(),
        name: format!("addons.{name}"),
        value: value.to_string(),
        expected: "more than 0",
    })
}

/// With `d = |sum of D|` and `e = max(0, d - depth)`:
/// `spread x d + impact x e x sqrt(e / daily_volume) + price_scan x d x (sqrt(max(1, e / capacity)) - 1)`,
/// `capacity = participation x daily_volume x horizon`. The first term crosses the spread, the second is the square-root
/// law of market impact (Toth et al. 2011; Almgren et al. 2005), the third lets the price move for as long as closing
/// takes. Roots are rounded up.
fn liquidity(held: &Held, terms: &LiquidityTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "liquidity";
    let per_unit = i128::from(held.per_unit);
    let delta = held.sum(exact, what, |row| row.greeks.delta)?.abs();
    let depth = i128::from(terms.depth) * per_unit;
    let volume = positive(i128::from(terms.daily_volume) * per_unit, "liquidity.daily_volume", exact)?;
    let days = positive(i128::from(terms.horizon_days), "liquidity.horizon_days", exact)?;
    let share = positive(i128::from(terms.participation.0), "liquidity.participation", exact)?;
    let daily = exact.ratio_down(volume, share, WHOLE, what)?;
    let capacity = positive(exact.mul(daily, days, what)?, "liquidity.participation", exact)?;
    let excess = (delta - depth).max(0);
    let spread = exact.scale_up(delta, terms.spread, what)?;
    let root = sqrt_ratio_up(exact, excess, volume, what)?;
    let impact = exact.scale_up(exact.ratio_up(excess, root, WHOLE, what)?, terms.impact, what)?;
    let longer = (sqrt_ratio_up(exact, excess, capacity, what)? - WHOLE).max(0);
    let scan = exact.scale_up(delta, held.underlying.price_scan, what)?;
    let horizon = exact.ratio_up(scan, longer, WHOLE, what)?;
    let full = exact.sum([spread, impact, horizon], what)?;
    let inputs = vec![
        ("net_delta", money(delta)),
        ("depth", money(depth)),
        ("daily_volume", money(volume)),
        ("spread_cost", money(spread)),
        ("impact_cost", money(impact)),
        ("horizon_cost", money(horizon)),
    ];
    shared(blank(AddonKind::Liquidity, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}

/// `vega_impact x v x sqrt(v / daily_vega)` with `v = |sum of V|`: the square-root law on volatility.
fn vega_liquidity(held: &Held, terms: &LiquidityTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "vega liquidity";
    let vega = held.sum(exact, what, |row| row.greeks.vega)?.abs();
    let daily = i128::from(terms.daily_vega) * i128::from(held.per_unit);
    let daily = positive(daily, "liquidity.daily_vega", exact)?;
    let root = sqrt_ratio_up(exact, vega, daily, what)?;
    let full = exact.scale_up(exact.ratio_up(vega, root, WHOLE, what)?, terms.vega_impact, what)?;
    let inputs = vec![
        ("net_vega", money(vega)),
        ("daily_vega", money(daily)),
        ("vega_impact", Input::Ratio(terms.vega_impact)),
    ];
    shared(blank(AddonKind::VegaLiquidity, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}

/// `multiplier x max(0, confidence - threshold) x sum over expiries of |D|`: what an index that is off by its own
/// confidence would misvalue, if the forwards of the expiries do not follow together.
fn confidence(held: &Held, terms: &ConfidenceTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "confidence";
    let deltas = held.delta_by_expiry(exact)?;
    let exposure = exact.sum(deltas.values().map(|delta| delta.abs()), what)?;
    let wide = held.underlying.confidence.0.saturating_sub(terms.threshold.0).max(0);
    let full = exact.scale_up(exact.scale_up(exposure, Ppb(wide), what)?, terms.multiplier, what)?;
    let inputs = vec![
        ("confidence", Input::Ratio(held.underlying.confidence)),
        ("threshold", Input::Ratio(terms.threshold)),
        ("exposure", money(exposure)),
    ];
    shared(blank(AddonKind::Confidence, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}

/// `rate x sum over uncovered short options inside the window of N x (window - time to expiry) / window`, whatever their
/// strike: gamma grows without bound near expiry, faster than a grid of fixed steps sees. What covers is as for
/// [`crate::ShortCount::Naked`], whichever count the minimum takes.
fn expiry(held: &Held, terms: &ExpiryTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "expiry";
    let window = positive(i128::from(terms.window_seconds), "expiry.window_seconds", exact)?;
    let mut ramped = 0;
    for (seconds, sizes) in held.uncovered(exact)? {
        let size = exact.sum(sizes, what)?;
        let seconds = seconds.map_or(window, |s| i128::from(s).clamp(0, window));
        ramped = exact.add(ramped, exact.ratio_up(size, window - seconds, window, what)?, what)?;
    }
    let full = exact.scale_up(ramped, terms.rate, what)?;
    let inputs = vec![
        ("ramped_notional", money(ramped)),
        ("window", Input::Seconds(terms.window_seconds)),
        ("rate", Input::Ratio(terms.rate)),
    ];
    shared(blank(AddonKind::Expiry, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}

/// `periods x max(0, sum of lots x funding over 8 hours)`.
fn funding(held: &Held, terms: &FundingTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "funding";
    let due = held.sum(exact, what, |row| row.funding_8h)?;
    let full = exact.mul(due.max(0), i128::from(terms.periods), what)?;
    let inputs = vec![("due_8h", money(due)), ("periods", Input::Count(i128::from(terms.periods)))];
    shared(blank(AddonKind::Funding, &held.underlying.asset, inputs), full, terms.mm_share, exact)
}
