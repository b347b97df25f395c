//! The charges on an underlying, of eight sets of positions at a time: the formulas of `crate::formulas` on lanes.
//!
//! **The one idea:** what is charged on a set of positions in one underlying depends on a few sums. Sets of many accounts
//! are laid side by side, sums by expiry first, and every charge is then a selection-only formula over lanes. What the
//! lanes cannot say for certain (a position larger than the depth of its market, a root too close to a whole number) is
//! said by the formulas themselves.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes are written with their index: a loop over them is a vector"
)]

use super::exact::{
    Vector, WIDTH, least, most, product, ratio_up, root_up, scale_up, scale_up_twice, sum, whole,
};
use super::rows::{Kind, Leg, Lot, Measures};
use crate::formulas::{self, Liquidity};
use crate::money::{self, Number};
use crate::summary::terms::Charges;
use crate::{ShortCount, ShortOptionStyle};
use plimsoll_lanes::Simd;
use plimsoll_types::{NANO, Ppb};

/// Charges and floors of a set, ticks, >= 0: charges in initial and in maintenance margin; minimum for short options and
/// by how much it is above the scaled loss, in initial and then in maintenance margin.
pub(crate) type Charged = Vector;

/// The terms of [`Charges`] on lanes, with those of the expiries of the underlying.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    tenors: usize,
    count: Option<ShortCount>,
    /// Rate, share in maintenance margin, and whether it is added instead of being a floor.
    short: Option<(f64, f64, bool)>,
    /// By expiry, and the share in maintenance margin.
    basis: Option<(Vec<f64>, f64)>,
    vega: Option<VegaRates>,
    liquidity: Option<LiquidityRates>,
    /// Excess width, multiplier, share in maintenance margin.
    confidence: Option<(f64, f64, f64)>,
    expiry: Option<ExpiryRates>,
    /// Periods, and the share in maintenance margin.
    funding: Option<(f64, f64)>,
    /// Scales of initial and of maintenance margin.
    scales: (f64, f64),
    /// Which scan loss is that of maintenance margin.
    mm: usize,
}

#[derive(Clone, Debug)]
struct VegaRates {
    /// By bucket: its shock, and what it has of every expiry.
    buckets: Vec<(f64, Vec<f64>)>,
    kept: f64,
    mm_share: f64,
}

#[derive(Clone, Copy, Debug)]
struct LiquidityRates {
    depth: f64,
    spread: f64,
    daily_vega: f64,
    vega_impact: f64,
    mm_share: f64,
}

#[derive(Clone, Debug)]
struct ExpiryRates {
    window: f64,
    rate: f64,
    mm_share: f64,
    /// By expiry: `window - seconds`, at least 0.
    ramps: Vec<f64>,
}

fn lane(ratio: Ppb) -> f64 {
    ratio.0 as f64
}

impl Rates {
    /// Expiries are those of the underlying, nearest first: seconds, basis rate, shares of vega buckets.
    pub(crate) fn new(
        of: &Charges,
        tenors: &[crate::summary::terms::TenorTerms],
        (scales, alike): ((Ppb, Ppb), bool),
    ) -> Self {
        let liquidity = |(l, mm_share): &(Liquidity, Ppb)| LiquidityRates {
            depth: l.depth.min(1 << 52) as f64,
            spread: lane(l.spread),
            daily_vega: l.daily_vega.min(1 << 52) as f64,
            vega_impact: lane(l.vega_impact),
            mm_share: lane(*mm_share),
        };
        let ramp =
            |window: i64, seconds: Option<i64>| seconds.map_or(0, |s| window - s.clamp(0, window)) as f64;
        let expiry = of.expiry.map(|(window, rate, mm_share)| ExpiryRates {
            window: window as f64,
            rate: lane(rate),
            mm_share: lane(mm_share),
            ramps: tenors.iter().map(|tenor| ramp(window, tenor.seconds)).collect(),
        });
        Self {
            tenors: tenors.len(),
            count: of.short_option.map(|t| t.count),
            short: of
                .short_option
                .map(|t| (lane(t.rate), lane(t.mm_share), t.style == ShortOptionStyle::Add)),
            basis: of.basis.map(|share| (tenors.iter().map(|t| t.basis_rate as f64).collect(), lane(share))),
            vega: of.vega.as_ref().map(|terms| VegaRates {
                buckets: (0..terms.buckets.len())
                    .map(|b| (lane(terms.buckets[b].shock), shares(tenors, b)))
                    .collect(),
                kept: NANO.saturating_sub(terms.credit.0) as f64,
                mm_share: lane(terms.mm_share),
            }),
            liquidity: of.liquidity.as_ref().map(liquidity),
            confidence: of
                .confidence
                .map(|(wide, multiplier, share)| (lane(wide), lane(multiplier), lane(share))),
            expiry: expiry.filter(|expiry| expiry.ramps.iter().any(|ramp| *ramp > 0.0)),
            funding: of.funding.map(|(periods, share)| (f64::from(periods), lane(share))),
            scales: (lane(scales.0), lane(scales.1)),
            mm: usize::from(!alike),
        }
    }

    /// What counts in the short option minimum.
    fn naked(&self) -> bool {
        self.count == Some(ShortCount::Naked)
    }
}

/// What a bucket has of every expiry.
fn shares(tenors: &[crate::summary::terms::TenorTerms], bucket: usize) -> Vec<f64> {
    let of = |tenor: &crate::summary::terms::TenorTerms| {
        let shares = tenor.shares.unwrap_or_default();
        shares.iter().filter(|(at, _)| *at == bucket).map(|(_, share)| *share as f64).sum()
    };
    tenors.iter().map(of).collect()
}

/// What the charges on eight sets are computed from, in ticks.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Sums {
    /// |delta|, |vega|.
    delta: Vector,
    vega: Vector,
    /// Notional of the short options that a minimum counts, and of uncovered ones by how near they expire.
    counted: Vector,
    ramped: Vector,
    /// Due over 8 hours.
    funding: Vector,
    /// Sum of |delta| over expiries.
    exposure: Vector,
    /// Charges on opposite delta and vega.
    basis: Vector,
    opposite: Vector,
    /// Scan loss in initial and in maintenance margin.
    scans: [Vector; 2],
}

/// What eight sets hold in one expiry: delta, vega, and notional of long and short calls and puts.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Tenor {
    delta: Vector,
    vega: Vector,
    options: [[Vector; 2]; 2],
}

/// Sets side by side, and the row that each is charged to.
#[derive(Clone, Debug, Default)]
struct Sets {
    blocks: Vec<Sums>,
    rows: Vec<u32>,
}

/// Sets of one underlying that wait to be charged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Of one position each.
    single: Sets,
    several: Sets,
    /// Of each block of `several` the expiries, and what is held of spot, perpetuals and futures.
    tenors: Vec<Tenor>,
    linear: Vec<Vector>,
}

impl Sets {
    /// The lane of a new set, in the last block.
    #[inline(always)]
    fn push(&mut self, row: u32) -> usize {
        let at = self.rows.len() % WIDTH;
        if at == 0 {
            self.blocks.push(Sums::default());
        }
        self.rows.push(row);
        at
    }

    fn clear(&mut self) {
        self.blocks.clear();
        self.rows.clear();
    }
}

impl Queue {
    pub(crate) fn clear(&mut self) {
        self.single.clear();
        self.several.clear();
        self.tenors.clear();
        self.linear.clear();
    }

    /// A set of one position.
    #[inline(always)]
    pub(crate) fn single<S: Simd>(
        &mut self,
        rates: &Rates,
        (lot, lots): (&Lot, f64),
        losses: &Measures,
        row: u32,
    ) {
        let at = self.single.push(row);
        let Some(sums) = self.single.blocks.last_mut() else { return };
        let delta = (lot.delta * lots).abs();
        sums.delta[at] = delta;
        sums.exposure[at] = delta;
        sums.vega[at] = (lot.vega * lots).abs();
        sums.funding[at] = lot.funding * lots;
        sums.scans[0][at] = losses[0][0];
        sums.scans[1][at] = losses[1][0];
        let short = if lot.kind == Kind::Linear { 0.0 } else { most(-lots * lot.notional, 0.0) };
        sums.counted[at] = short;
        if let Some(expiry) = &rates.expiry {
            sums.ramped[at] = ratio_up::<S>(short, expiry.ramps[lot.tenor as usize], expiry.window);
        }
    }

    /// A set of several positions, without longs if so asked.
    #[inline(always)]
    pub(crate) fn several(
        &mut self,
        rates: &Rates,
        (lots, legs): (&[Lot], &[Leg]),
        rest: bool,
        losses: &Measures,
        row: u32,
    ) {
        let at = self.several.push(row);
        if at == 0 {
            self.tenors.resize(self.tenors.len() + rates.tenors, Tenor::default());
            self.linear.push([0.0; WIDTH]);
        }
        let first = self.tenors.len() - rates.tenors;
        let tenors = &mut self.tenors[first..];
        let (Some(sums), Some(linear)) = (self.several.blocks.last_mut(), self.linear.last_mut()) else {
            return;
        };
        sums.scans[0][at] = losses[0][0];
        sums.scans[1][at] = losses[1][0];
        for leg in legs {
            let lot = &lots[leg.row as usize];
            let held = if rest { leg.rest } else { leg.lots };
            let tenor = &mut tenors[lot.tenor as usize];
            tenor.delta[at] += held * lot.delta;
            tenor.vega[at] += held * lot.vega;
            sums.funding[at] += held * lot.funding;
            let size = held * lot.notional;
            match lot.kind {
                Kind::Linear => linear[at] += size,
                Kind::Call | Kind::Put => {
                    tenor.options[usize::from(lot.kind == Kind::Put)][usize::from(held < 0.0)][at] +=
                        size.abs();
                }
            }
        }
    }

    /// Charges everything that waits; `add` takes the row and the charges of each set. Where they are not certain, `exact`
    /// finds them.
    #[inline(always)]
    pub(crate) fn charge<S: Simd>(
        &mut self,
        rates: &Rates,
        terms: &Charges,
        mut add: impl FnMut(u32, Charged),
    ) {
        for (block, (sums, linear)) in self.several.blocks.iter_mut().zip(&self.linear).enumerate() {
            let tenors = &self.tenors[block * rates.tenors..(block + 1) * rates.tenors];
            rates.net::<S>(tenors, linear, sums);
        }
        for (sets, netted) in [(&self.single, false), (&self.several, true)] {
            for (sums, rows) in sets.blocks.iter().zip(sets.rows.chunks(WIDTH)) {
                let (charges, certain) = rates.charge::<S>(sums, netted);
                for (at, row) in rows.iter().enumerate() {
                    if certain[at] {
                        add(*row, std::array::from_fn(|j| charges[j][at]));
                    } else {
                        add(*row, exact(rates, terms, sums, at).unwrap_or([f64::NAN; WIDTH]));
                    }
                }
            }
        }
    }
}

impl Rates {
    /// Sums over expiries, and the charges on what is opposite in them.
    #[inline(always)]
    fn net<S: Simd>(&self, tenors: &[Tenor], linear: &Vector, sums: &mut Sums) {
        let (mut delta, mut vega) = ([0.0; WIDTH], [0.0; WIDTH]);
        for tenor in tenors {
            for i in 0..WIDTH {
                delta[i] += tenor.delta[i];
                vega[i] += tenor.vega[i];
                sums.exposure[i] += tenor.delta[i].abs();
            }
        }
        for i in 0..WIDTH {
            sums.delta[i] = delta[i].abs();
            sums.vega[i] = vega[i].abs();
        }
        if let Some((rates, _)) = &self.basis {
            sums.basis = opposite_delta::<S>(tenors, rates);
        }
        if let Some(rates) = &self.vega {
            sums.opposite = rates.opposite::<S>(tenors);
        }
        if self.naked() || self.expiry.is_some() {
            self.uncovered::<S>(tenors, linear, sums);
        }
        if !self.naked() {
            self.shorts(tenors, sums);
        }
    }

    /// [`formulas::uncovered`], counted and by how near it expires.
    #[inline(always)]
    fn uncovered<S: Simd>(&self, tenors: &[Tenor], linear: &Vector, sums: &mut Sums) {
        let mut longs = [[0.0; WIDTH]; 2];
        let mut linears = [[0.0; WIDTH]; 2];
        let (mut counted, mut ramped) = ([0.0; WIDTH], [0.0; WIDTH]);
        for i in 0..WIDTH {
            linears[0][i] = most(linear[i], 0.0);
            linears[1][i] = most(-linear[i], 0.0);
        }
        for (t, tenor) in tenors.iter().enumerate().rev() {
            let mut open = [0.0; WIDTH];
            for kind in 0..2 {
                for i in 0..WIDTH {
                    let cover = longs[kind][i] + tenor.options[kind][0][i];
                    let short = tenor.options[kind][1][i];
                    let by_longs = least(short, cover);
                    longs[kind][i] = cover - by_longs;
                    let by_linear = least(short - by_longs, linears[kind][i]);
                    linears[kind][i] -= by_linear;
                    open[i] += short - by_longs - by_linear;
                }
            }
            for i in 0..WIDTH {
                counted[i] += open[i];
            }
            if let Some(expiry) = self.expiry.as_ref().filter(|expiry| expiry.ramps[t] > 0.0) {
                for i in 0..WIDTH {
                    ramped[i] += ratio_up::<S>(open[i], expiry.ramps[t], expiry.window);
                }
            }
        }
        (sums.counted, sums.ramped) = (counted, ramped);
    }

    /// Short options, covered or not.
    #[inline(always)]
    fn shorts(&self, tenors: &[Tenor], sums: &mut Sums) {
        let mut short = [[0.0; WIDTH]; 2];
        for tenor in tenors {
            for kind in 0..2 {
                for i in 0..WIDTH {
                    short[kind][i] += tenor.options[kind][1][i];
                }
            }
        }
        let larger = self.count == Some(ShortCount::Larger);
        for i in 0..WIDTH {
            let [calls, puts] = [short[0][i], short[1][i]];
            sums.counted[i] = if larger { most(calls, puts) } else { calls + puts };
        }
    }

    /// Every charge, and whether it is certain. What is not netted has nothing opposite.
    #[inline(always)]
    fn charge<S: Simd>(&self, of: &Sums, netted: bool) -> ([Vector; WIDTH], [bool; WIDTH]) {
        let mut out = [[0.0; WIDTH]; WIDTH];
        let mut certain = [true; WIDTH];
        if let Some((_, mm_share)) = self.basis.as_ref().filter(|_| netted) {
            add::<S>(&mut out, &of.basis, *mm_share);
        }
        if let Some(rates) = self.vega.as_ref().filter(|_| netted) {
            add::<S>(&mut out, &of.opposite, rates.mm_share);
        }
        if let Some(rates) = &self.liquidity {
            let [delta, vega] = rates.closing::<S>(of, &mut certain);
            add::<S>(&mut out, &delta, rates.mm_share);
            add::<S>(&mut out, &vega, rates.mm_share);
        }
        if let Some((wide, multiplier, mm_share)) = self.confidence {
            let full = scaled::<S>(&scaled::<S>(&of.exposure, wide), multiplier);
            add::<S>(&mut out, &full, mm_share);
        }
        if let Some(rates) = &self.expiry {
            add::<S>(&mut out, &scaled::<S>(&of.ramped, rates.rate), rates.mm_share);
        }
        if let Some((periods, mm_share)) = self.funding {
            let mut full = [0.0; WIDTH];
            for i in 0..WIDTH {
                full[i] = most(of.funding[i], 0.0) * periods;
            }
            add::<S>(&mut out, &full, mm_share);
        }
        if let Some(short) = self.short {
            self.minimum::<S>(of, short, &mut out);
        }
        (out, certain)
    }

    /// The minimum for short options: added, or by how much it is above the scaled loss.
    #[inline(always)]
    fn minimum<S: Simd>(
        &self,
        of: &Sums,
        (rate, mm_share, added): (f64, f64, bool),
        out: &mut [Vector; WIDTH],
    ) {
        let minimum = scaled::<S>(&of.counted, rate);
        if added {
            return add::<S>(out, &minimum, mm_share);
        }
        let mm = scaled::<S>(&minimum, mm_share);
        let losses =
            [scaled::<S>(&of.scans[0], self.scales.0), scaled::<S>(&of.scans[self.mm], self.scales.1)];
        for i in 0..WIDTH {
            out[2][i] = minimum[i];
            out[3][i] = most(minimum[i] - losses[0][i], 0.0);
            out[4][i] = mm[i];
            out[5][i] = most(mm[i] - losses[1][i], 0.0);
        }
    }
}

/// `ceil(amount x rate)`, lane by lane.
#[inline(always)]
pub(crate) fn scaled<S: Simd>(amounts: &Vector, rate: f64) -> Vector {
    let mut out = [0.0; WIDTH];
    for i in 0..WIDTH {
        out[i] = scale_up::<S>(amounts[i], rate);
    }
    out
}

/// Adds a charge with its share in maintenance margin.
#[inline(always)]
fn add<S: Simd>(out: &mut [Vector; WIDTH], full: &Vector, mm_share: f64) {
    for i in 0..WIDTH {
        out[0][i] += full[i];
        out[1][i] += scale_up::<S>(full[i], mm_share);
    }
}

impl LiquidityRates {
    /// [`formulas::liquidity`] of what is within the depth, and [`formulas::vega_liquidity`].
    #[inline(always)]
    fn closing<S: Simd>(&self, of: &Sums, certain: &mut [bool; WIDTH]) -> [Vector; 2] {
        let most_vega = 4.0 * self.daily_vega;
        let mut closing = [[0.0; WIDTH]; 2];
        for i in 0..WIDTH {
            let (delta, vega) = (of.delta[i], of.vega[i]);
            let (root, sure) = root_up(least(vega, most_vega), self.daily_vega);
            closing[0][i] = scale_up::<S>(delta, self.spread);
            closing[1][i] = scale_up::<S>(scale_up::<S>(vega, root), self.vega_impact);
            certain[i] = sure & (delta <= self.depth) & (vega < most_vega);
        }
        closing
    }
}

/// [`formulas::basis`].
#[inline(always)]
fn opposite_delta<S: Simd>(tenors: &[Tenor], rates: &[f64]) -> Vector {
    let (mut sides, mut weighted) = ([[0.0; WIDTH]; 2], [[0.0; WIDTH]; 2]);
    for (tenor, rate) in tenors.iter().zip(rates) {
        for i in 0..WIDTH {
            let size = tenor.delta[i].abs();
            let cost = scale_up::<S>(size, *rate);
            let short = tenor.delta[i] < 0.0;
            let (long_size, long_cost) = if short { (0.0, 0.0) } else { (size, cost) };
            sides[0][i] += long_size;
            sides[1][i] += size - long_size;
            weighted[0][i] += long_cost;
            weighted[1][i] += cost - long_cost;
        }
    }
    let mut full = [0.0; WIDTH];
    for i in 0..WIDTH {
        let matched = least(sides[0][i], sides[1][i]);
        let long = ratio_up::<S>(weighted[0][i], matched, most(sides[0][i], 1.0));
        let short = ratio_up::<S>(weighted[1][i], matched, most(sides[1][i], 1.0));
        full[i] = most(long, short);
    }
    full
}

impl VegaRates {
    /// [`formulas::vega`].
    #[inline(always)]
    fn opposite<S: Simd>(&self, tenors: &[Tenor]) -> Vector {
        let mut sides = [[0.0; WIDTH]; 2];
        for (shock, shares) in &self.buckets {
            let (mut high, mut low) = ([0.0; WIDTH], [0.0; WIDTH]);
            for (tenor, share) in tenors.iter().zip(shares).filter(|(_, share)| **share != 0.0) {
                for i in 0..WIDTH {
                    let (a, a_low) = product::<S>(tenor.vega[i], *share);
                    let (b, b_low) = sum(high[i], a);
                    high[i] = b;
                    low[i] += a_low + b_low;
                }
            }
            for i in 0..WIDTH {
                // The larger part first, and what is left of it small.
                let (a, b) = sum(high[i], low[i]);
                let short = a < 0.0;
                let size = if short { (-a, -b) } else { (a, b) };
                let moved = scale_up_twice::<S>(size, *shock);
                let long_moved = if short { 0.0 } else { moved };
                sides[0][i] += long_moved;
                sides[1][i] += moved - long_moved;
            }
        }
        let mut matched = [0.0; WIDTH];
        for i in 0..WIDTH {
            matched[i] = least(sides[0][i], sides[1][i]);
        }
        scaled::<S>(&matched, self.kept)
    }
}

/// The charges on one set by the formulas themselves.
#[cold]
#[inline(never)]
fn exact(rates: &Rates, terms: &Charges, of: &Sums, at: usize) -> Number<Charged> {
    let amount = |vector: &Vector| i128::from(whole(vector[at]));
    let mut out = [0_i128; WIDTH];
    let add = |out: &mut [i128; WIDTH], full: i128, mm_share: Ppb| {
        out[0] += full;
        out[1] += money::scale_up(full, mm_share, "a charge")?;
        Ok(())
    };
    let what = "a scaled loss";
    if let Some(terms) = terms.short_option {
        let minimum = money::scale_up(amount(&of.counted), terms.rate, what)?;
        if terms.style == ShortOptionStyle::Add {
            add(&mut out, minimum, terms.mm_share)?;
        } else {
            let mm = money::scale_up(minimum, terms.mm_share, what)?;
            let scales = [rates.scales.0, rates.scales.1].map(|scale| Ppb(whole(scale)));
            let loss = |i: usize| money::scale_up(amount(&of.scans[i * rates.mm]), scales[i], what);
            (out[2], out[3]) = (minimum, (minimum - loss(0)?).max(0));
            (out[4], out[5]) = (mm, (mm - loss(1)?).max(0));
        }
    }
    if let Some(mm_share) = terms.basis {
        add(&mut out, amount(&of.basis), mm_share)?;
    }
    if let Some(terms) = &terms.vega {
        add(&mut out, amount(&of.opposite), terms.mm_share)?;
    }
    if let Some((liquidity, mm_share)) = &terms.liquidity {
        add(&mut out, formulas::liquidity(amount(&of.delta), liquidity)?.full, *mm_share)?;
        add(&mut out, formulas::vega_liquidity(amount(&of.vega), liquidity)?, *mm_share)?;
    }
    if let Some((wide, multiplier, mm_share)) = terms.confidence {
        add(&mut out, formulas::confidence(amount(&of.exposure), wide, multiplier, what)?, mm_share)?;
    }
    if let Some((_, rate, mm_share)) = terms.expiry {
        add(&mut out, money::scale_up(amount(&of.ramped), rate, what)?, mm_share)?;
    }
    if let Some((periods, mm_share)) = terms.funding {
        add(&mut out, formulas::funding(amount(&of.funding), periods)?, mm_share)?;
    }
    // What is beyond the lanes is said by the reference, account by account.
    let fits = |x: i128| if x < 1 << 49 { x as f64 } else { f64::NAN };
    Ok(out.map(fits))
}
