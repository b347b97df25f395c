//! The charges beside the scenario losses: formulas.
//!
//! `D` is delta in ticks per unit relative move of spot, `N` notional, `V` vega in ticks per 1.00 of volatility; sums run
//! over the positions of one underlying. Every charge is rounded up, >= 0, and never falls when the book is scaled up.

use crate::money::{Exact, sqrt_ratio_up};
use crate::{
    Addon, AddonKind, BasisTerms, ConfidenceTerms, ExpiryTerms, FundingTerms, Input, LiquidityTerms,
    MarginError, Params, ShortCount, ShortOptionStyle, ShortOptionTerms, VegaTerms,
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
    /// Scaled scan losses for initial and maintenance margin, which a minimum is compared with.
    pub(crate) scaled: (i128, i128),
    pub(crate) per_unit: i64,
}

impl<'a> Held<'a> {
    pub(crate) fn of(
        arrays: &'a RiskArrays,
        positions: &[Position],
        index: usize,
        scaled: (i128, i128),
    ) -> Self {
        let rows = positions.iter().filter_map(|p| Some((arrays.instrument(p.instrument)?, p.lots.0)));
        let its_own = rows.filter(|(row, _)| row.underlying.index() == index);
        Self {
            underlying: &arrays.underlyings[index],
            positions: its_own.map(|(row, lots)| (row, i128::from(lots))).collect(),
            scaled,
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

    fn short_options(&self) -> impl Iterator<Item = (&'a InstrumentRow, OptionKind, i128)> {
        self.positions.iter().filter_map(|(row, lots)| {
            let (_, kind) = row.instrument.option()?;
            (*lots < 0).then(|| (*row, kind, -lots * i128::from(row.notional)))
        })
    }
}

/// All charges on one underlying, in the order of their kinds; zero charges are left out.
pub(crate) fn of_underlying(held: &Held, params: &Params, exact: Exact) -> Result<Vec<Addon>, MarginError> {
    let (terms, asset) = (&params.addons, &held.underlying.asset);
    let mut charges = Vec::new();
    if let Some(t) = terms.short_option.of(asset) {
        charges.push(short_option(held, t, exact)?);
    }
    if let Some(t) = terms.basis.of(asset) {
        charges.push(basis(held, t, exact)?);
    }
    if let Some(t) = terms.vega.of(asset) {
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

/// `minimum = rate x N_short`; style `add` charges it, style `floor` what the scaled scan loss lacks of it.
/// Source: SPAN (methods 2.7) for the floor, Derive's option contingency (methods 3) for the addition.
fn short_option(held: &Held, terms: &ShortOptionTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "short option minimum";
    let of_kind = |wanted| {
        let sizes = held.short_options().filter(|(_, kind, _)| *kind == wanted).map(|(_, _, size)| size);
        exact.sum(sizes, what)
    };
    let (calls, puts) = (of_kind(OptionKind::Call)?, of_kind(OptionKind::Put)?);
    let counted = match terms.count {
        ShortCount::Sum => exact.add(calls, puts, what)?,
        ShortCount::Larger => calls.max(puts),
    };
    let minimum = exact.scale_up(counted, terms.rate, what)?;
    let inputs = vec![
        ("short_notional", money(counted)),
        ("rate", Input::Ratio(terms.rate)),
        ("minimum", money(minimum)),
        ("scan_loss_scaled", money(held.scaled.0)),
    ];
    let addon = blank(AddonKind::ShortOption, &held.underlying.asset, inputs);
    let addon = shared(addon, minimum, terms.mm_share, exact)?;
    Ok(match terms.style {
        ShortOptionStyle::Add => addon,
        ShortOptionStyle::Floor => Addon {
            im: Ticks(exact.sub(addon.im.0, held.scaled.0, what)?.max(0)),
            mm: Ticks(exact.sub(addon.mm.0, held.scaled.1, what)?.max(0)),
            ..addon
        },
    })
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
/// all tenors together, so they see only the difference of the two.
/// Source: design section 6; bucketed vega as in FRTB (MAR21).
fn vega(held: &Held, terms: &VegaTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "vega";
    let mut buckets = vec![0_i128; terms.buckets.len()];
    for (row, lots) in &held.positions {
        let Some(seconds) = row.seconds_to_expiry else { continue };
        let inside = |edge: i64| seconds <= edge.saturating_mul(DAY);
        let found = terms.buckets.iter().position(|b| inside(b.up_to_days));
        let Some(index) = found.or(terms.buckets.len().checked_sub(1)) else { continue };
        buckets[index] = exact.add(buckets[index], lots * i128::from(row.greeks.vega), what)?;
    }
    let mut sides = [0_i128; 2];
    for (bucket, vega) in terms.buckets.iter().zip(&buckets) {
        let moved = exact.scale_up(vega.abs(), bucket.shock, what)?;
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

/// `rate x sum over short options inside the window of N x (window - time to expiry) / window`: gamma grows without
/// bound near expiry, faster than a grid of fixed steps sees.
fn expiry(held: &Held, terms: &ExpiryTerms, exact: Exact) -> Result<Addon, MarginError> {
    let what = "expiry";
    let window = positive(i128::from(terms.window_seconds), "expiry.window_seconds", exact)?;
    let mut ramped = 0;
    for (row, _, size) in held.short_options() {
        let seconds = row.seconds_to_expiry.map_or(window, |s| i128::from(s).clamp(0, window));
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
