//! The requirement of one account from its vectors and sums: the formulas of the report, without the report.

use super::account::{Bucket, Deposited, Gathered, Group, Holding};
use super::columns::Read;
use super::lanes::{Lows, Span, Which};
use super::terms::{Charges, Native};
use crate::aggregate::{Measure, between};
use crate::collateral_charges::{cut, left_of};
use crate::formulas::{self, Floor, OptionSizes};
use crate::money::{Number, TooLarge, add, scale_up};
use crate::requirement::half_ticks;
use crate::wrong_way::{Exposed, divide, worst_column};
use crate::{Params, ShortOptionStyle};
use plimsoll_types::{InstrumentIx, Ppb};

/// Amounts in initial and in maintenance margin, ticks.
pub(crate) type Both = (i128, i128);

/// One set of positions of an account, and what the requirement is found from.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) native: &'a Native<'a>,
    pub(crate) params: &'a Params,
    pub(crate) which: Which,
    pub(crate) lows: &'a Lows,
    pub(crate) held: &'a [Holding],
    pub(crate) spans: &'a [Span],
    pub(crate) gathered: &'a Gathered,
    pub(crate) deposits: &'a [Deposited],
    /// Collateral that is an underlying too, and its places in the terms.
    pub(crate) exposed: (&'a [Exposed], &'a [usize]),
    pub(crate) debt: i128,
}

/// Room for lists of numbers, and the scan losses of the last pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    scans: Vec<Both>,
    floors: Vec<(Floor, Floor)>,
    vegas: Vec<i128>,
    lost: Vec<i128>,
    wrong: Vec<Both>,
    parts: Vec<i128>,
}

/// What the scenarios ask, and the rounding guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Based {
    pub(crate) aggregate: Both,
    pub(crate) base: Both,
    pub(crate) guard: Both,
    /// Whether there is a credit between underlyings.
    pub(crate) credit: bool,
    /// The largest loss of one underlying, or of all in a systematic column.
    largest: (i64, i64),
}

/// The requirement without relief.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Charged {
    pub(crate) addons: Both,
    pub(crate) total: Both,
}

/// Aggregate, scaled base and guard.
pub(crate) fn based(pass: &Pass, scratch: &mut Scratch) -> Number<Based> {
    let native = pass.native;
    scratch.scans.clear();
    let credit = native.floor_share.is_some() && two_live(pass);
    let im = loss(pass, &native.columns.im, credit)?;
    let mm = if native.alike { im } else { loss(pass, &native.columns.mm, credit)? };
    for span in 0..pass.spans.len() {
        let low = |read: &Read| -i128::from(pass.lows.alone(span, pass.which, &read.grid.lanes));
        let im = low(&native.columns.im);
        scratch.scans.push((im, if native.alike { im } else { low(&native.columns.mm) }));
    }
    let params = pass.params;
    let base = (
        scale_up(im.aggregate, params.im_scale, "initial margin")?,
        scale_up(mm.aggregate, params.mm_scale, "maintenance margin")?,
    );
    let mut guard = (0, 0);
    if params.rounding_guard {
        let (lots, layers) = (i128::from(pass.gathered.lots), if credit { 2 } else { 1 });
        guard.0 = half_ticks(lots, layers, params.im_scale)?;
        guard.1 = if params.mm_scale.max(params.im_scale) <= Ppb::ONE {
            guard.0
        } else {
            half_ticks(lots, layers, params.mm_scale)?
        };
    }
    let aggregate = (im.aggregate, mm.aggregate);
    Ok(Based { aggregate, base, guard, credit, largest: (im.largest, mm.largest) })
}

#[derive(Clone, Copy)]
struct Losses {
    aggregate: i128,
    largest: i64,
}

/// The aggregate loss of a measure.
fn loss(pass: &Pass, read: &Read, credit: bool) -> Number<Losses> {
    let (which, lows) = (pass.which, pass.lows);
    let (mut sum, mut largest) = (0, 0);
    for span in 0..pass.spans.len() {
        let loss = -lows.alone(span, which, &read.grid.lanes);
        sum += loss;
        largest = largest.max(loss);
    }
    let (mut worst, mut together) = (0, largest);
    for (systematic, idiosyncratic) in &read.states {
        let loss = -lows.joint(which, &systematic.lanes);
        together = together.max(loss);
        let own = |span| -lows.alone(span, which, &idiosyncratic.lanes);
        worst = worst.max(loss + (0..pass.spans.len()).map(own).sum::<i64>());
    }
    let Some(share) = pass.native.floor_share else {
        return Ok(Losses { aggregate: i128::from(sum), largest });
    };
    let aggregate = if credit {
        between(i128::from(worst), i128::from(sum), i128::from(largest), share)?.1
    } else {
        i128::from(sum)
    };
    Ok(Losses { aggregate, largest: together })
}

/// Whether at least two underlyings gain or lose in some column.
fn two_live(pass: &Pass) -> bool {
    if pass.spans.len() < 2 {
        return false;
    }
    let losing = |span: &usize| pass.lows.alone(*span, pass.which, &(0..super::lanes::WIDTH)) < 0;
    let quick = (0..pass.spans.len()).filter(losing).take(2).count();
    quick == 2 || (0..pass.spans.len()).filter(|span| losing(span) || moves(pass, *span)).take(2).count() == 2
}

/// Whether an underlying gains or loses in any column, from the arrays: for one that loses in none of its own.
#[cold]
fn moves(pass: &Pass, span: usize) -> bool {
    let span = pass.spans[span];
    let taken = |held: &&Holding| pass.which == Which::All || !held.long;
    let own = || pass.held[span.start..span.end].iter().filter(taken);
    let arrays = pass.native.arrays;
    (0..arrays.scenarios.len()).any(|column| {
        let entry = |held: &Holding| arrays.row(InstrumentIx(held.instrument))[column];
        own().map(|held| held.lots * entry(held)).sum::<i64>() != 0
    })
}

/// The requirement with every charge.
pub(crate) fn charged(pass: &Pass, start: &Based, scratch: &mut Scratch) -> Number<Charged> {
    let mut addons = (0, 0);
    scratch.floors.clear();
    for (i, group) in pass.gathered.groups.iter().enumerate().filter(|(_, g)| !g.buckets.is_empty()) {
        let terms = &pass.native.underlyings[group.underlying];
        let buckets = &pass.gathered.buckets[group.buckets.clone()];
        if group.shorts {
            short_option(pass, (i, group, buckets), scratch, &mut addons)?;
        }
        on_underlying(pass.native, terms, (group, buckets), &mut scratch.vegas, &mut addons)?;
    }
    if !scratch.floors.is_empty() {
        let floors = &scratch.floors;
        formulas::floors(floors.iter().map(|f| f.0), start.base.0, |charge, _| addons.0 += charge)?;
        formulas::floors(floors.iter().map(|f| f.1), start.base.1, |charge, _| addons.1 += charge)?;
    }
    let bare = (start.base.0 + start.guard.0, start.base.1 + start.guard.1);
    wrong_way(pass, start, scratch, &mut addons)?;
    let what = "what the collateral secures";
    let mut secured = (add(bare.0 + addons.0, pass.debt, what)?, add(bare.1 + addons.1, pass.debt, what)?);
    on_collateral(pass, scratch, &mut secured, &mut addons)?;
    Ok(Charged { addons, total: (bare.0 + addons.0, bare.1 + addons.1) })
}

/// Adds a charge with its share in maintenance margin.
#[inline(always)]
fn charge(addons: &mut Both, full: i128, mm_share: Ppb) -> Number<()> {
    if full != 0 {
        addons.0 += full;
        addons.1 += scale_up(full, mm_share, "a charge")?;
    }
    Ok(())
}

fn widened(bucket: &Bucket) -> OptionSizes {
    bucket.options.map(|sides| sides.map(i128::from))
}

/// The minimum for short options, or what its floor is found from.
fn short_option(
    pass: &Pass,
    (i, group, buckets): (usize, &Group, &[Bucket]),
    scratch: &mut Scratch,
    addons: &mut Both,
) -> Number<()> {
    let Some(terms) = pass.native.underlyings[group.underlying].short_option else { return Ok(()) };
    let sizes = buckets.iter().rev().map(widened);
    let counted = formulas::counted_shorts(terms.count, sizes, i128::from(group.linear))?;
    if counted == 0 {
        return Ok(());
    }
    let what = "short option minimum";
    let im = scale_up(counted, terms.rate, what)?;
    if terms.style == ShortOptionStyle::Add {
        return charge(addons, im, terms.mm_share);
    }
    let (mm, scan) = (scale_up(im, terms.mm_share, what)?, scratch.scans[i]);
    let loss = |scan, scale| scale_up(scan, scale, "a scaled loss");
    let im = Floor { minimum: im, loss: loss(scan.0, pass.params.im_scale)? };
    let mm = Floor { minimum: mm, loss: loss(scan.1, pass.params.mm_scale)? };
    scratch.floors.push((im, mm));
    Ok(())
}

/// The other charges on an underlying. Those that cannot be more than nothing are not computed: opposite delta and vega
/// need two expiries, the charge of the last day needs a short option that expires inside the window.
#[inline(always)]
fn on_underlying(
    native: &Native,
    terms: &Charges,
    (group, buckets): (&Group, &[Bucket]),
    vegas: &mut Vec<i128>,
    addons: &mut Both,
) -> Number<()> {
    if buckets.len() > 1 {
        opposite(native, terms, buckets, vegas, addons)?;
    }
    if let Some((liquidity, mm_share)) = &terms.liquidity {
        let closing = formulas::liquidity(i128::from(group.delta.abs()), liquidity)?;
        charge(addons, closing.full, *mm_share)?;
        charge(addons, formulas::vega_liquidity(i128::from(group.vega.abs()), liquidity)?, *mm_share)?;
    }
    if let Some((wide, multiplier, mm_share)) = terms.confidence {
        let exposure = buckets.iter().map(|bucket| i128::from(bucket.delta.abs())).sum();
        let full = formulas::confidence(exposure, wide, multiplier, "confidence")?;
        charge(addons, full, mm_share)?;
    }
    if let Some((window, rate, mm_share)) = terms.expiry.filter(|_| group.shorts) {
        let seconds = |bucket: &Bucket| native.tenors[bucket.tenor as usize].seconds;
        if buckets.iter().any(|bucket| seconds(bucket).is_some_and(|s| s < window)) {
            let sizes = buckets.iter().rev().map(|bucket| (seconds(bucket), widened(bucket)));
            let linear = i128::from(group.linear);
            charge(addons, formulas::expiry(sizes, linear, i128::from(window), rate)?.1, mm_share)?;
        }
    }
    if let Some((periods, mm_share)) = terms.funding.filter(|_| group.funding > 0) {
        charge(addons, formulas::funding(i128::from(group.funding), periods)?, mm_share)?;
    }
    Ok(())
}

/// Opposite delta and vega of different expiries.
fn opposite(
    native: &Native,
    terms: &Charges,
    buckets: &[Bucket],
    vegas: &mut Vec<i128>,
    addons: &mut Both,
) -> Number<()> {
    let tenor = |bucket: &Bucket| &native.tenors[bucket.tenor as usize];
    if let Some(mm_share) = terms.basis {
        let rated = |bucket: &Bucket| (i128::from(bucket.delta), tenor(bucket).basis_rate);
        charge(addons, formulas::basis(buckets.iter().map(rated))?.full, mm_share)?;
    }
    let Some(terms) = terms.vega else { return Ok(()) };
    // Shares are never negative, so buckets of one sign cannot come from vegas of one sign.
    let (long, short) = (buckets.iter().any(|b| b.vega > 0), buckets.iter().any(|b| b.vega < 0));
    if long && short {
        vegas.resize(terms.buckets.len(), 0);
        let shared = |bucket: &Bucket| Some((i128::from(bucket.vega), tenor(bucket).shares?));
        let tenors = buckets.iter().filter_map(shared);
        let opposite = formulas::vega(tenors, &terms.buckets, terms.credit, vegas)?;
        charge(addons, opposite.full, terms.mm_share)?;
    }
    Ok(())
}

/// The charges on collateral that falls with the account, asset by asset.
fn wrong_way(pass: &Pass, start: &Based, scratch: &mut Scratch, addons: &mut Both) -> Number<()> {
    let (exposed, assets) = pass.exposed;
    scratch.wrong.clear();
    if exposed.is_empty() {
        return Ok(());
    }
    scratch.wrong.resize(exposed.len(), (0, 0));
    scratch.lost.resize(exposed.len(), 0);
    scratch.parts.resize(exposed.len(), 0);
    let fall = |i: usize, column: usize| {
        let falls = assets.get(i).map(|asset| &pass.native.assets[*asset].falls);
        falls.and_then(|falls| falls.get(column)).copied().ok_or(TooLarge("a fall of collateral"))
    };
    for measure in [Measure::Im, Measure::Mm] {
        let of = |(im, mm): (i64, i64)| if measure == Measure::Im { im } else { mm };
        if measure == Measure::Im || !pass.native.alike {
            let read = pass.native.columns.read(measure);
            let scans = &scratch.scans;
            let largest = i128::from(of(start.largest));
            let worst = worst_column(largest, losses(pass, read, largest, scans, measure), exposed, fall)?;
            divide(&worst, exposed, fall, &mut scratch.lost, &mut scratch.parts)?;
        }
        for (wrong, part) in scratch.wrong.iter_mut().zip(&scratch.parts) {
            match measure {
                Measure::Im => wrong.0 = *part,
                Measure::Mm => wrong.1 = *part,
            }
        }
    }
    for (wrong, asset) in scratch.wrong.iter_mut().zip(assets) {
        wrong.1 = scale_up(wrong.1, pass.native.assets[*asset].mm_share, "wrong-way collateral")?;
        *addons = (addons.0 + wrong.0, addons.1 + wrong.1);
    }
    Ok(())
}

/// The losses that can matter to the wrong-way charge, with their columns: those of underlyings that lose more than half
/// of the largest loss somewhere, and under `factor` those of all together.
fn losses<'p>(
    pass: &'p Pass,
    read: &'p Read,
    largest: i128,
    scans: &'p [Both],
    measure: Measure,
) -> impl Iterator<Item = (usize, i128)> + 'p {
    let scan = move |both: &Both| if measure == Measure::Im { both.0 } else { both.1 };
    let near = move |(span, both): (usize, &Both)| (2 * scan(both) > largest).then_some(span);
    let alone = scans.iter().enumerate().filter_map(near).flat_map(move |span| {
        let loss = move |place| -i128::from(pass.lows.kept_alone(span, pass.which, place));
        read.grid.places.iter().map(move |place| (place.column, loss(place.place)))
    });
    let states = read.states.iter().filter(|_| pass.native.floor_share.is_some());
    let joint = states.flat_map(move |(systematic, _)| {
        let loss = move |place| -i128::from(pass.lows.kept_joint(pass.which, place));
        systematic.places.iter().map(move |place| (place.column, loss(place.place)))
    });
    alone.chain(joint).filter(|(_, loss)| *loss > 0)
}

/// The other charges on collateral, cut to what it secures.
fn on_collateral(pass: &Pass, scratch: &Scratch, secured: &mut Both, addons: &mut Both) -> Number<()> {
    for deposit in pass.deposits.iter().filter(|deposit| deposit.valued.value > 0) {
        let terms = &pass.native.assets[deposit.asset];
        if terms.falling.is_nothing() {
            continue;
        }
        let at = pass.exposed.1.iter().position(|asset| *asset == deposit.asset);
        let wrong = at.and_then(|i| scratch.wrong.get(i)).copied().unwrap_or((0, 0));
        let left = left_of(deposit.valued.counted, wrong);
        let fallen = terms.falling.of(deposit.valued.value, left)?;
        let shares = [(fallen.depeg, terms.mm_share), (fallen.unsure, terms.unsure_mm_share)];
        for (full, mm_share) in shares.into_iter().filter(|(full, _)| *full != 0) {
            let kept = cut((full, scale_up(full, mm_share, "a charge")?), secured);
            *addons = (addons.0 + kept.0, addons.1 + kept.1);
        }
    }
    Ok(())
}
