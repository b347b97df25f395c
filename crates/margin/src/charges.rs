//! The charges beside the scenario losses, with what they were computed from. The formulas are in `formulas`.
//!
//! Sums run over the positions of one underlying; only the minimum for short options looks at all underlyings together,
//! see `short_options`.

use crate::account::Slot;
use crate::formulas::{
    self, Basis, Closing, Floor, Liquidity, OppositeVega, OptionSizes, Tenor, TenorShares, Unusable,
};
use crate::money::{Exact, Number, TooLarge, add, sum};
use crate::{
    Addon, AddonKind, BasisTerms, ConfidenceTerms, ExpiryTerms, FundingTerms, Input, LiquidityTerms,
    MarginError, Params, ShortOptionStyle, ShortOptionTerms, VegaTerms,
};
use plimsoll_types::{
    Asset, Contract, InstrumentRow, NANO, OptionKind, Position, Ppb, RiskArrays, Ticks, UnderlyingRow,
};
use std::borrow::Cow;

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
    fn new(arrays: &'a RiskArrays, index: usize) -> Self {
        let underlying = &arrays.underlyings[index];
        Self { underlying, per_unit: arrays.ticks_per_unit, tenors: Vec::new(), linear: 0, funding: 0 }
    }

    /// The positions on every underlying held, in the order of the slots.
    pub(crate) fn every(
        arrays: &'a RiskArrays,
        positions: &[Position],
        slots: &[Slot],
        exact: Exact,
    ) -> Result<Vec<Self>, MarginError> {
        let mut all: Vec<Self> = slots.iter().map(|slot| Self::new(arrays, slot.underlying)).collect();
        for position in positions {
            let Some(row) = arrays.instrument(position.instrument) else { continue };
            let at = slots.binary_search_by_key(&row.underlying.index(), |slot| slot.underlying);
            let Some(held) = at.ok().and_then(|at| all.get_mut(at)) else { continue };
            if held.add(row, i128::from(position.lots.0)).is_err() {
                // The error is that of the first underlying in order.
                return slots.iter().map(|s| Self::of(arrays, positions, s.underlying, exact)).collect();
            }
        }
        Ok(all)
    }

    pub(crate) fn of(
        arrays: &'a RiskArrays,
        positions: &[Position],
        index: usize,
        exact: Exact,
    ) -> Result<Self, MarginError> {
        let mut held = Self::new(arrays, index);
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

/// Adds the charges on one underlying but its minimum for short options, in the order of their kinds; zero charges are
/// left out. Where positions do not net (`nets` false), nothing is paid for netting: no basis, no vega.
pub(crate) fn of_underlying(
    held: &Held,
    params: &Params,
    nets: bool,
    exact: Exact,
    charges: &mut Vec<Addon>,
) -> Result<(), MarginError> {
    let (terms, asset) = (&params.addons, &held.underlying.asset);
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
    Ok(())
}

/// Whether a charge of `full` with a share of it in maintenance margin is one: a negative charge or a share outside
/// [0, 1] can only come from a parameter out of range.
pub(crate) fn is_sound(full: i128, mm_share: Ppb) -> bool {
    full >= 0 && (0..=NANO).contains(&mm_share.0)
}

/// The share of a charge of `full` that counts in maintenance margin, refused unless it [`is_sound`].
pub(crate) fn mm_part(
    kind: AddonKind,
    (full, mm_share): (i128, Ppb),
    exact: Exact,
) -> Result<i128, MarginError> {
    if !is_sound(full, mm_share) {
        return Err(MarginError::Parameter {
            account: exact.account.clone(),
            name: format!("addons.{}", kind.code()),
            value: format!("charge {full}, mm_share {mm_share}"),
            expected: "rates of at least 0 and a share between 0 and 1",
        });
    }
    exact.scale_up(full, mm_share, kind.code())
}

/// A charge of `full` in initial margin and [`mm_part`] of it in maintenance margin; `None` for a charge of nothing. What
/// it was computed from is asked for only where there is one.
pub(crate) fn dressed<const N: usize>(
    (kind, asset): (AddonKind, &Asset),
    (full, mm_share): (i128, Ppb),
    exact: Exact,
    inputs: impl FnOnce() -> Named<N>,
) -> Result<Option<Addon>, MarginError> {
    let mm = mm_part(kind, (full, mm_share), exact)?;
    let of = || Addon { im: Ticks(full), mm: Ticks(mm), ..blank(kind, asset, inputs()) };
    Ok((full != 0).then(of))
}

/// What a charge was computed from, by name.
pub(crate) type Named<const N: usize> = [(&'static str, Input); N];

pub(crate) fn blank<const N: usize>(kind: AddonKind, asset: &Asset, inputs: Named<N>) -> Addon {
    let named = inputs.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
    Addon { kind, asset: asset.clone(), im: Ticks(0), mm: Ticks(0), inputs: named }
}

fn money(ticks: i128) -> Input {
    Input::Money(Ticks(ticks))
}

/// `minimum = rate x N_short` of one underlying: all of it in initial margin, `mm_share` of it in maintenance margin.
struct Minimum<'a> {
    terms: &'a ShortOptionTerms,
    counted: i128,
    im: i128,
    mm: i128,
}

impl<'a> Minimum<'a> {
    fn of(held: &Held, terms: &'a ShortOptionTerms, exact: Exact) -> Result<Self, MarginError> {
        let sizes = held.farthest_first().map(|(_, sizes)| sizes);
        let counted = exact.own(formulas::counted_shorts(terms.count, sizes, held.linear))?;
        let im = exact.scale_up(counted, terms.rate, "short option minimum")?;
        let mm = mm_part(AddonKind::ShortOption, (im, terms.mm_share), exact)?;
        Ok(Self { terms, counted, im, mm })
    }

    fn is_floor(&self) -> bool {
        self.terms.style == ShortOptionStyle::Floor
    }

    /// The charge it makes, which is all of it or, of style `floor`, what is missing.
    fn charge<const N: usize>(&self, held: &Held, (im, mm): (i128, i128), inputs: Named<N>) -> Addon {
        let addon = blank(AddonKind::ShortOption, &held.underlying.asset, inputs);
        Addon { im: Ticks(im), mm: Ticks(mm), ..addon }
    }

    fn inputs(&self) -> Named<3> {
        let rate = Input::Ratio(self.terms.rate);
        [("short_notional", money(self.counted)), ("rate", rate), ("minimum", money(self.im))]
    }
}

/// What a floor is compared with: per underlying the scaled loss that is charged for it alone, in initial and in
/// maintenance margin, and the scaled aggregate.
pub(crate) struct Charged {
    pub(crate) alone: Vec<(i128, i128)>,
    pub(crate) together: (i128, i128),
}

/// The minimum for short options of every underlying, `None` where it charges nothing. Style `add` charges it; style `floor` what the loss charged falls
/// short of it, which is at least `sum of minimums - scaled aggregate` over the underlyings of that style, because a
/// credit between underlyings must not undo a minimum (see [`formulas::floors`]).
/// Source: SPAN (methods 2.7) for the floor, Derive's option contingency (methods 3) for the addition.
pub(crate) fn short_options(
    held: &[Held],
    charged: &Charged,
    params: &Params,
    exact: Exact,
) -> Result<Vec<Option<Addon>>, MarginError> {
    let of_one = |held: &Held| {
        let terms = params.addons.short_option.of(&held.underlying.asset);
        terms.map(|terms| Minimum::of(held, terms, exact)).transpose()
    };
    let minimums: Vec<Option<Minimum>> = held.iter().map(of_one).collect::<Result<_, _>>()?;
    let found = |read: fn(&Minimum) -> i128, loss: fn(&(i128, i128)) -> i128, together| {
        let of = minimums.iter().zip(&charged.alone).filter_map(|(minimum, alone)| {
            let minimum = minimum.as_ref().filter(|m| m.is_floor())?;
            Some(Floor { minimum: read(minimum), loss: loss(alone) })
        });
        let mut charges = Vec::with_capacity(minimums.len());
        let done = formulas::floors(of, together, |charge, undone| charges.push((charge, undone)));
        exact.own(done).map(|()| charges)
    };
    let im = found(|m| m.im, |l| l.0, charged.together.0)?;
    let mm = found(|m| m.mm, |l| l.1, charged.together.1)?;
    let mut floors = im.into_iter().zip(mm);
    let each = held.iter().zip(&minimums).zip(&charged.alone).map(|((held, minimum), (alone, _))| {
        let minimum = minimum.as_ref()?;
        if !minimum.is_floor() {
            let whole = (minimum.im, minimum.mm);
            return (whole != (0, 0)).then(|| minimum.charge(held, whole, minimum.inputs()));
        }
        let ((im, undone), (mm, _)) = floors.next()?;
        let [shorts, rate, least] = minimum.inputs();
        let (loss, undone) = (("loss_scaled", money(*alone)), ("credit_undone", money(undone)));
        let inputs = [shorts, rate, least, loss, undone];
        ((im, mm) != (0, 0)).then(|| minimum.charge(held, (im, mm), inputs))
    });
    Ok(each.collect())
}

/// [`formulas::basis`].
fn basis(held: &Held, terms: &BasisTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let charge = match &held.tenors[..] {
        // Nothing is opposite to a single expiry.
        [tenor] => formulas::basis_rate(tenor.seconds, terms).map(|_| Basis::default()),
        tenors => {
            let rated = |tenor: &Tenor| Ok((tenor.delta, formulas::basis_rate(tenor.seconds, terms)?));
            let rated: Result<Vec<(i128, i128)>, TooLarge> = tenors.iter().map(rated).collect();
            rated.and_then(|rated| formulas::basis(rated.into_iter()))
        }
    };
    let Basis { sides, matched, full } = exact.own(charge)?;
    let inputs = || {
        [
            ("long_delta", money(sides[0])),
            ("short_delta", money(sides[1])),
            ("matched", money(matched)),
            ("rate", Input::Ratio(terms.rate)),
            ("rate_per_year", Input::Ratio(terms.rate_per_year)),
        ]
    };
    dressed((AddonKind::Basis, &held.underlying.asset), (full, terms.mm_share), exact, inputs)
}

/// [`formulas::vega`].
fn vega(held: &Held, terms: &VegaTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let charge = exact.own(opposite_vega(&held.tenors, terms))?;
    let inputs = || {
        [
            ("long_vega_shocked", money(charge.sides[0])),
            ("short_vega_shocked", money(charge.sides[1])),
            ("credit", Input::Ratio(terms.credit)),
        ]
    };
    dressed((AddonKind::Vega, &held.underlying.asset), (charge.full, terms.mm_share), exact, inputs)
}

/// [`formulas::vega`] of expiries, of which those without a date have none.
fn opposite_vega(tenors: &[Tenor], terms: &VegaTerms) -> Number<OppositeVega> {
    if one_sided(tenors, terms) {
        return Ok(OppositeVega::default());
    }
    let of = |tenor: &Tenor| {
        let shares = formulas::tenor_shares(tenor.seconds?, &terms.buckets);
        Some(shares.map(|shares| (tenor.vega, shares)))
    };
    let tenors: Number<Vec<(i128, TenorShares)>> = tenors.iter().filter_map(of).collect();
    let mut room = vec![0; terms.buckets.len()];
    formulas::vega(tenors?.into_iter(), &terms.buckets, terms.credit, &mut room)
}

/// Whether vega is all of one sign and so small, as the shocks are, that its charge is a zero and nothing on the way to it
/// leaves 128 bits: fewer than 2^16 expiries of 2^44 ticks each at shares up to 2^30, moved by less than 2^36, are
/// beneath 2^126, and shares always fit.
fn one_sided(tenors: &[Tenor], terms: &VegaTerms) -> bool {
    let (least, most) = tenors.iter().fold((0, 0), |(least, most), t| (t.vega.min(least), t.vega.max(most)));
    let shocks = terms.buckets.iter().all(|bucket| (0..1 << 36).contains(&bucket.shock.0));
    (least == 0 || most == 0) && shocks && tenors.len() < 1 << 16 && least > -(1 << 44) && most < 1 << 44
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
        [
            ("net_delta", money(delta)),
            ("depth", money(rates.depth)),
            ("daily_volume", money(rates.volume)),
            ("spread_cost", money(spread)),
            ("impact_cost", money(impact)),
            ("horizon_cost", money(horizon)),
        ]
    };
    dressed((AddonKind::Liquidity, &held.underlying.asset), (full, terms.mm_share), exact, inputs)
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
        [
            ("net_vega", money(vega)),
            ("daily_vega", money(rates.daily_vega)),
            ("vega_impact", Input::Ratio(terms.vega_impact)),
        ]
    };
    dressed((AddonKind::VegaLiquidity, &held.underlying.asset), (full, terms.mm_share), exact, inputs)
}

/// `multiplier x max(0, confidence - threshold) x sum over expiries of |D|`: what an index that is off by its own
/// confidence would misvalue, if the forwards of the expiries do not follow together.
fn confidence(held: &Held, terms: &ConfidenceTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let what = "confidence";
    let exposure = exact.sum(held.tenors.iter().map(|tenor| tenor.delta.abs()), what)?;
    let wide = formulas::too_wide(held.underlying.confidence, terms.threshold);
    let full = exact.own(formulas::confidence(exposure, wide, terms.multiplier, what))?;
    let inputs = || {
        [
            ("confidence", Input::Ratio(held.underlying.confidence)),
            ("threshold", Input::Ratio(terms.threshold)),
            ("exposure", money(exposure)),
        ]
    };
    dressed((AddonKind::Confidence, &held.underlying.asset), (full, terms.mm_share), exact, inputs)
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
        [
            ("ramped_notional", money(ramped)),
            ("window", Input::Seconds(terms.window_seconds)),
            ("rate", Input::Ratio(terms.rate)),
        ]
    };
    dressed((AddonKind::Expiry, &held.underlying.asset), (full, terms.mm_share), exact, inputs)
}

/// [`formulas::funding`].
fn funding(held: &Held, terms: &FundingTerms, exact: Exact) -> Result<Option<Addon>, MarginError> {
    let full = exact.own(formulas::funding(held.funding, terms.periods))?;
    let inputs = || [("due_8h", money(held.funding)), ("periods", Input::Count(i128::from(terms.periods)))];
    dressed((AddonKind::Funding, &held.underlying.asset), (full, terms.mm_share), exact, inputs)
}
