//! The charges beside the scenario losses, with what they were computed from. The formulas are in `formulas`.
//!
//! Sums run over the positions of one underlying; only the minimum for short options looks at all underlyings together,
//! see `short_options`.

use crate::formulas::{self, Basis, Closing, Floor, Liquidity, OptionSizes, Tenor, TenorShares, Unusable};
use crate::money::{Exact, Number, TooLarge, add, sum};
use crate::{
    Addon, AddonKind, BasisTerms, ConfidenceTerms, ExpiryTerms, FundingTerms, Input, LiquidityTerms,
    MarginError, Params, ShortOptionStyle, ShortOptionTerms, VegaTerms,
};
use plimsoll_types::{
    Asset, Contract, InstrumentRow, NANO, OptionKind, Position, Ppb, RiskArrays, Ticks, UnderlyingRow,
};

/// The positions on one underlying, added up by expiry.
pub(crate) struct Held<'a> {
    pub(crate) underlying: &'a UnderlyingRow,
    per_unit: i64,
    /// Nearest first.
    tenors: Vec<Tenor>,
    /// Signed notional of what is no option.
    linear: i128,
    /// What the positions pay over 8 hours.
    funding: i128,
}

impl<'a> Held<'a> {
    pub(crate) fn of(
        arrays: &'a RiskArrays,
        positions: &[Position],
        index: usize,
        exact: Exact,
    ) -> Result<Self, MarginError> {
        let underlying = &arrays.underlyings[index];
        let per_unit = arrays.ticks_per_unit;
        let mut held = Self { underlying, per_unit, tenors: Vec::new(), linear: 0, funding: 0 };
        for position in positions {
            let Some(row) = arrays.instrument(position.instrument) else { continue };
            if row.underlying.index() == index {
                exact.own(held.add(row, i128::from(position.lots.0)))?;
            }
        }
        Ok(held)
    }

    fn add(&mut self, row: &InstrumentRow, lots: i128) -> Number<()> {
        let times = |of: i64| lots * i128::from(of);
        let at = self.tenors.binary_search_by_key(&row.seconds_to_expiry, |tenor| tenor.seconds);
        let at = at.unwrap_or_else(|at| {
            self.tenors.insert(at, Tenor { seconds: row.seconds_to_expiry, ..Tenor::default() });
            at
        });
        let tenor = &mut self.tenors[at];
        tenor.delta = add(tenor.delta, times(row.greeks.delta), "delta")?;
        tenor.vega = add(tenor.vega, times(row.greeks.vega), "vega")?;
        self.funding = add(self.funding, times(row.funding_8h), "funding")?;
        let size = times(row.notional);
        if let Contract::Option { kind, .. } = row.instrument.contract() {
            let side = &mut tenor.options[usize::from(kind == OptionKind::Put)][usize::from(size < 0)];
            *side = add(*side, size.abs(), "the notional of options")?;
        } else {
            self.linear = add(self.linear, size, "notional")?;
        }
        Ok(())
    }

    fn net_delta(&self) -> Number<i128> {
        Ok(sum(self.tenors.iter().map(|tenor| tenor.delta), "delta")?.abs())
    }

    fn net_vega(&self) -> Number<i128> {
        Ok(sum(self.tenors.iter().map(|tenor| tenor.vega), "vega")?.abs())
    }

    fn farthest_first(&self) -> impl Iterator<Item = (Option<i64>, OptionSizes)> + '_ {
        self.tenors.iter().rev().map(|tenor| (tenor.seconds, tenor.options))
    }
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
        charges.extend(basis(held, t, exact)?);
    }
    if let Some(t) = terms.vega.of(asset).filter(|_| nets) {
        charges.extend(vega(held, t, exact)?);
    }
    if let Some(t) = terms.liquidity.of(asset) {
        let rates = Liquidity::new(t, held.per_unit, held.underlying.price_scan);
        let rates = rates.map_err(|e| unusable(e, exact))?;
        charges.extend(liquidity(held, (t, &rates), exact)?);
        charges.extend(vega_liquidity(held, (t, &rates), exact)?);
    }
    if let Some(t) = terms.confidence.of(asset) {
        charges.extend(confidence(held, t, exact)?);
    }
    if let Some(t) = terms.expiry.of(asset) {
        charges.extend(expiry(held, t, exact)?);
    }
    if let Some(t) = terms.funding.of(asset) {
        charges.extend(funding(held, t, exact)?);
    }
    Ok(charges)
}

/// Whether a charge of `full` with a share of it in maintenance margin is one: a negative charge or a share outside
/// [0, 1] can only come from a parameter out of range.
pub(crate) fn is_sound(full: i128, mm_share: Ppb) -> bool {
    full >= 0 && (0..=NANO).contains(&mm_share.0)
}

/// A charge of `full` in initial margin and a share of it in maintenance margin, refused unless it [`is_sound`].
pub(crate) fn shared(addon: Addon, full: i128, mm_share: Ppb, exact: Exact) -> Result<Addon, MarginError> {
    if !is_sound(full, mm_share) {
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

/// As [`shared`], `None` for a charge of nothing: what it was computed from is asked for only where there is one.
fn dressed(
    (kind, held): (AddonKind, &Held),
    (full, mm_share): (i128, Ppb),
    exact: Exact,
    inputs: impl FnOnce() -> Vec<(&'static str, Input)>,
) -> Result<Option<Addon>, MarginError> {
    if full == 0 && is_sound(full, mm_share) {
        return Ok(None);
    }
    shared(blank(kind, &held.underlying.asset, inputs()), full, mm_share, exact).map(Some)
}

pub(crate) fn blank(kind: AddonKind, asset: &Asset, inputs: Vec<(&'static str, Input)>) -> Addon {
    let mut named = Vec::with_capacity(inputs.len() + 2);
    named.extend(inputs.into_iter().map(|(name, value)| (name.into(), value)));
    Addon { kind, asset: asset.clone(), im: Ticks(0), mm: Ticks(0), inputs: named }
}

fn money(ticks: i128) -> Input {
    Input::Money(Ticks(ticks))
}

/// `minimum = rate x N_short` of one underlying: all of it in initial margin, `mm_share` of it in maintenance margin.
fn minimum(held: &Held, terms: &ShortOptionTerms, exact: Exact) -> Result<Addon, MarginError> {
    let sizes = held.farthest_first().map(|(_, sizes)| sizes);
    let counted = exact.own(formulas::counted_shorts(terms.count, sizes, held.linear))?;
    let minimum = exact.scale_up(counted, terms.rate, "short option minimum")?;
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
/// credit between underlyings must not undo a minimum (see [`formulas::floors`]).
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
    let found = |read: fn(&Addon) -> i128, loss: fn(&(i128, i128)) -> i128, together| {
        let of = under.iter().filter_map(|i| {
            let minimum = addons.get(*i)?.as_ref().map(read)?;
            Some(Floor { minimum, loss: charged.alone.get(*i).map(loss)? })
        });
        let mut charges = Vec::with_capacity(under.len());
        let done = formulas::floors(of, together, |charge, undone| charges.push((charge, undone)));
        exact.own(done).map(|()| charges)
    };
    let im = found(|a| a.im.0, |l| l.0, charged.together.0)?;
    let mm = found(|a| a.mm.0, |l| l.1, charged.together.1)?;
    for (n, i) in under.iter().enumerate() {
        let (Some(Some(addon)), Some((loss, _)), Some(im), Some(mm)) =
            (addons.get_mut(*i), charged.alone.get(*i), im.get(n), mm.get(n))
        else {
            continue;
        };
        (addon.im, addon.mm) = (Ticks(im.0), Ticks(mm.0));
        addon.inputs.push(("loss_scaled".into(), money(*loss)));
        addon.inputs.push(("credit_undone".into(), money(im.1)));
    }
    Ok(addons)
}

/// [`formulas::basis`].
fn basis(held: &Held, terms: &BasisTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let rated = |tenor: &Tenor| Ok((tenor.delta, formulas::basis_rate(tenor.seconds, terms)?));
    let rated: Result<Vec<(i128, i128)>, TooLarge> = held.tenors.iter().map(rated).collect();
    let Basis { sides, matched, full } = exact.own(rated.and_then(|r| formulas::basis(r.into_iter())))?;
    let inputs = || {
        vec![
            ("long_delta", money(sides[0])),
            ("short_delta", money(sides[1])),
            ("matched", money(matched)),
            ("rate", Input::Ratio(terms.rate)),
            ("rate_per_year", Input::Ratio(terms.rate_per_year)),
        ]
    };
    dressed((AddonKind::Basis, held), (full, terms.mm_share), exact, inputs)
}

/// [`formulas::vega`].
fn vega(held: &Held, terms: &VegaTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let of = |tenor: &Tenor| {
        let shares = formulas::tenor_shares(tenor.seconds?, &terms.buckets);
        Some(shares.map(|shares| (tenor.vega, shares)))
    };
    let tenors: Number<Vec<(i128, TenorShares)>> = held.tenors.iter().filter_map(of).collect();
    let mut room = vec![0; terms.buckets.len()];
    let charge = tenors.and_then(|t| formulas::vega(t.into_iter(), &terms.buckets, terms.credit, &mut room));
    let charge = exact.own(charge)?;
    let inputs = || {
        vec![
            ("long_vega_shocked", money(charge.sides[0])),
            ("short_vega_shocked", money(charge.sides[1])),
            ("credit", Input::Ratio(terms.credit)),
        ]
    };
    dressed((AddonKind::Vega, held), (charge.full, terms.mm_share), exact, inputs)
}

/// A parameter that divides is not above 0, or does not fit.
fn unusable(why: Unusable, exact: Exact) -> MarginError {
    match why {
        Unusable::TooLarge(TooLarge(what)) => exact.overflow(what),
        Unusable::NotPositive { name, value } => not_positive(value, name, exact),
    }
}

fn not_positive(value: i128, name: &str, exact: Exact) -> MarginError {
    MarginError::Parameter {
        account: exact.account.clone(),
        name: format!("addons.{name}"),
        value: value.to_string(),
        expected: "more than 0",
    }
}

/// [`formulas::liquidity`].
fn liquidity(
    held: &Held,
    (terms, rates): (&LiquidityTerms, &Liquidity),
    exact: Exact,
) -> Result<Option<Addon>, MarginError> {
    let delta = exact.own(held.net_delta())?;
    let Closing { spread, impact, horizon, full } = exact.own(formulas::liquidity(delta, rates))?;
    let inputs = || {
        vec![
            ("net_delta", money(delta)),
            ("depth", money(rates.depth)),
            ("daily_volume", money(rates.volume)),
            ("spread_cost", money(spread)),
            ("impact_cost", money(impact)),
            ("horizon_cost", money(horizon)),
        ]
    };
    dressed((AddonKind::Liquidity, held), (full, terms.mm_share), exact, inputs)
}

/// [`formulas::vega_liquidity`].
fn vega_liquidity(
    held: &Held,
    (terms, rates): (&LiquidityTerms, &Liquidity),
    exact: Exact,
) -> Result<Option<Addon>, MarginError> {
    let vega = exact.own(held.net_vega())?;
    let full = exact.own(formulas::vega_liquidity(vega, rates))?;
    let inputs = || {
        vec![
            ("net_vega", money(vega)),
            ("daily_vega", money(rates.daily_vega)),
            ("vega_impact", Input::Ratio(terms.vega_impact)),
        ]
    };
    dressed((AddonKind::VegaLiquidity, held), (full, terms.mm_share), exact, inputs)
}

/// `multiplier x max(0, confidence - threshold) x sum over expiries of |D|`: what an index that is off by its own
/// confidence would misvalue, if the forwards of the expiries do not follow together.
fn confidence(held: &Held, terms: &ConfidenceTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let what = "confidence";
    let exposure = exact.sum(held.tenors.iter().map(|tenor| tenor.delta.abs()), what)?;
    let wide = formulas::too_wide(held.underlying.confidence, terms.threshold);
    let full = exact.own(formulas::confidence(exposure, wide, terms.multiplier, what))?;
    let inputs = || {
        vec![
            ("confidence", Input::Ratio(held.underlying.confidence)),
            ("threshold", Input::Ratio(terms.threshold)),
            ("exposure", money(exposure)),
        ]
    };
    dressed((AddonKind::Confidence, held), (full, terms.mm_share), exact, inputs)
}

/// [`formulas::expiry`], whichever short options the minimum counts.
fn expiry(held: &Held, terms: &ExpiryTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let window = i128::from(terms.window_seconds);
    if window <= 0 {
        return Err(not_positive(window, "expiry.window_seconds", exact));
    }
    let charge = formulas::expiry(held.farthest_first(), held.linear, window, terms.rate);
    let (ramped, full) = exact.own(charge)?;
    let inputs = || {
        vec![
            ("ramped_notional", money(ramped)),
            ("window", Input::Seconds(terms.window_seconds)),
            ("rate", Input::Ratio(terms.rate)),
        ]
    };
    dressed((AddonKind::Expiry, held), (full, terms.mm_share), exact, inputs)
}

/// [`formulas::funding`].
fn funding(held: &Held, terms: &FundingTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let full = exact.own(formulas::funding(held.funding, terms.periods))?;
    let inputs =
        || vec![("due_8h", money(held.funding)), ("periods", Input::Count(i128::from(terms.periods)))];
    dressed((AddonKind::Funding, held), (full, terms.mm_share), exact, inputs)
}
