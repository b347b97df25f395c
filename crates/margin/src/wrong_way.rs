//! Wrong-way collateral: what falls in the very scenarios in which the account loses.
//!
//! With `L[c]` the account's loss in a column, `>= 0`, and `F[c] = sum over assets of wrong_way x fall[c] x value`, the
//! charge is `max over c of (L[c] + min(L[c], F[c])) - max over c of L[c]`. It is zero where nothing is lost, never above
//! the loss, and moves with prices and lots without a jump: a column takes over where two are equal. The haircut does not
//! lower it, for a haircut is there for selling the collateral, and neither does a debt raise it.

use crate::aggregate::{Measure, STATES, Scene, least, measures_agree, within};
use crate::charges::{Named, blank, mm_part};
use crate::money::{Number, TooLarge, add, ratio_down, scale_up, split_into};
use crate::requirement::{View, is_long, pessimistic_row};
use crate::{Addon, AddonKind, Aggregation, CollateralReport, Input, MarginError, Mode};
use plimsoll_types::{BlockKind, NANO, Position, Ppb, Ticks};
use std::borrow::Cow;

const WHOLE: i128 = NANO as i128;
const WHAT: &str = "wrong-way collateral";

/// A collateral asset that is an underlying too, with its share and the charge's share in maintenance margin.
struct Exposure<'a> {
    held: &'a CollateralReport,
    underlying: usize,
    mm_share: Ppb,
    exposed: Exposed,
}

/// What of an exposure enters the formula: ticks, and the share of a fall that is charged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Exposed {
    pub(crate) value: i128,
    pub(crate) counted: i128,
    pub(crate) wrong_way: Ppb,
}

/// What makes the charge of one measure: the most that is lost with the collateral, the column and loss where that is,
/// and the largest loss by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Worst {
    pub(crate) most: i128,
    pub(crate) at: Option<(usize, i128)>,
    pub(crate) largest: i128,
}

/// The charge of one measure: asset by asset, with the column that makes it.
struct Found {
    charges: Vec<i128>,
    falls: Vec<Ppb>,
    worst: Worst,
}

/// The charge on every collateral asset that falls with the account: initial margin from the columns of initial margin,
/// maintenance margin from its own columns times `mm_share`. Several assets share it in proportion to what they lose in
/// the column that makes it; none is charged more than it counts for.
pub(crate) fn wrong_way(view: View) -> Result<Vec<Addon>, MarginError> {
    let mut exposures = Vec::new();
    for held in view.collateral.iter().filter(|held| held.value.0 > 0) {
        exposures.extend(exposure(view, held)?);
    }
    if exposures.is_empty() {
        return Ok(Vec::new());
    }
    let vectors = vectors(view)?;
    let im = worst(view.scene(Measure::Im), view.mode, &vectors, &exposures)?;
    let own = !measures_agree(view.arrays);
    let mm = own.then(|| worst(view.scene(Measure::Mm), view.mode, &vectors, &exposures)).transpose()?;
    let mm = mm.as_ref().unwrap_or(&im);
    let mut charges = Vec::new();
    for (i, exposure) in exposures.iter().enumerate() {
        let (in_im, in_mm) = (im.charges[i], mm.charges[i]);
        if in_im == 0 && in_mm == 0 {
            continue;
        }
        let inputs = inputs(exposure, i, if in_im > 0 { &im } else { mm });
        let mm = mm_part(AddonKind::WrongWay, (in_mm, exposure.mm_share), view.exact)?;
        let addon = blank(AddonKind::WrongWay, &exposure.held.asset, inputs);
        charges.push(Addon { im: Ticks(in_im), mm: Ticks(mm), ..addon });
    }
    Ok(charges)
}

fn inputs(exposure: &Exposure, i: usize, found: &Found) -> Named<5> {
    let fall = found.falls.get(i).copied().unwrap_or(Ppb::ZERO);
    let loss = found.worst.at.map_or(0, |(_, loss)| loss);
    [
        ("value", Input::Money(exposure.held.value)),
        ("fall", Input::Ratio(fall)),
        ("wrong_way", Input::Ratio(exposure.exposed.wrong_way)),
        ("loss_there", Input::Money(Ticks(loss))),
        ("largest_loss", Input::Money(Ticks(found.worst.largest))),
    ]
}

/// `None` for what is no underlying, and where the share is zero.
fn exposure<'a>(view: View, held: &'a CollateralReport) -> Result<Option<Exposure<'a>>, MarginError> {
    let Some(terms) = view.params.collateral.get(&held.asset) else { return Ok(None) };
    if !(0..=NANO).contains(&terms.wrong_way.0) {
        return Err(MarginError::Parameter {
            account: view.exact.account.clone(),
            name: "collateral.wrong_way".to_owned(),
            value: terms.wrong_way.to_string(),
            expected: "between 0 and 1",
        });
    }
    let found = view.arrays.underlyings.iter().position(|row| row.asset == held.asset);
    let (wrong_way, mm_share) = (terms.wrong_way, terms.mm_share);
    let exposed = Exposed { value: held.value.0, counted: held.counted.0, wrong_way };
    let of = |underlying| Exposure { held, underlying, mm_share, exposed };
    Ok(found.filter(|_| wrong_way.0 > 0).map(of))
}

/// Profit or loss per column of every underlying. Where positions do not net, only what each of them loses; of isolated
/// ones but long options and long spot, which lose their own marks and not the collateral.
fn vectors<'a>(view: View<'a>) -> Result<Vec<Cow<'a, [Ticks]>>, MarginError> {
    if view.mode == Mode::Portfolio {
        return Ok(view.slots.iter().map(|slot| Cow::Borrowed(&slot.pnl[..])).collect());
    }
    let mut all = Vec::with_capacity(view.slots.len());
    for slot in view.slots {
        let mut lost = vec![Ticks(0); slot.pnl.len()];
        let its_own =
            |p: &&Position| crate::account::underlying_of(view.arrays, p.instrument) == Some(slot.underlying);
        let bears = |p: &&Position| view.mode != Mode::Isolated || !is_long(view.arrays, p);
        for position in view.positions.iter().filter(its_own).filter(bears) {
            for (sum, entry) in lost.iter_mut().zip(pessimistic_row(view, position)?) {
                sum.0 = view.exact.add(sum.0, entry.0.min(0), WHAT)?;
            }
        }
        all.push(Cow::Owned(lost));
    }
    Ok(all)
}

/// The largest loss, and every loss of more than half of it with its column: that of each underlying in the grid columns,
/// that of all together in the systematic and the joint columns that the aggregation reads.
fn losses(
    scene: Scene,
    mode: Mode,
    vectors: &[Cow<[Ticks]>],
) -> Result<(i128, Vec<(usize, i128)>), MarginError> {
    let together = losses_together(scene, mode, vectors)?;
    let grid = || scene.runs(BlockKind::Grid);
    let of_one = |vector: &[Ticks]| grid().map(|run| least(within(vector, run))).fold(0, i128::min);
    let most = |vector: &Cow<[Ticks]>| of_one(vector).saturating_neg();
    let largest = together.iter().map(|(_, loss)| *loss).chain(vectors.iter().map(most)).max().unwrap_or(0);
    let counts = |loss: i128| loss > 0 && loss > largest - loss;
    let mut all = Vec::with_capacity(scene.arrays.scenarios.len());
    for vector in vectors.iter().filter(|vector| counts(most(vector))) {
        for run in grid() {
            let own = run.clone().zip(within(vector, run)).map(|(c, pnl)| (c, pnl.0.saturating_neg()));
            all.extend(own.filter(|(_, loss)| counts(*loss)));
        }
    }
    all.extend(together.into_iter().filter(|(_, loss)| counts(*loss)));
    Ok((largest, all))
}

/// Every loss > 0 of all underlyings together, with its column.
fn losses_together(
    scene: Scene,
    mode: Mode,
    vectors: &[Cow<[Ticks]>],
) -> Result<Vec<(usize, i128)>, MarginError> {
    let mut kinds = Vec::with_capacity(STATES.len() + 2);
    if mode == Mode::Portfolio && matches!(scene.params.aggregation, Aggregation::Factor { .. }) {
        kinds.extend(STATES.map(BlockKind::Systematic));
    }
    if !matches!(scene.params.aggregation, Aggregation::Span(_)) {
        kinds.push(BlockKind::Joint);
        if scene.joint_terms().is_ok_and(|terms| terms.stress_weight.0 > 0) {
            kinds.push(BlockKind::StressedJoint);
        }
    }
    let loss = |vector: &[Ticks], c: usize| vector.get(c).map_or(0, |pnl| pnl.0.saturating_neg());
    let mut all = Vec::with_capacity(scene.arrays.scenarios.len());
    for column in kinds.into_iter().flat_map(|kind| scene.columns(kind)) {
        let together = scene.exact.sum(vectors.iter().map(|vector| loss(vector, column)), WHAT)?;
        if together > 0 {
            all.push((column, together));
        }
    }
    Ok(all)
}

/// The charge of a measure on every exposure.
fn worst(
    scene: Scene,
    mode: Mode,
    vectors: &[Cow<[Ticks]>],
    exposures: &[Exposure],
) -> Result<Found, MarginError> {
    let (largest, losses) = losses(scene, mode, vectors)?;
    let exposed: Vec<Exposed> = exposures.iter().map(|exposure| exposure.exposed).collect();
    let fall = |i: usize, column: usize| {
        let scenario = scene.arrays.scenarios.get(column);
        let spot = scenario.and_then(|scenario| scenario.spot.get(exposures[i].underlying));
        fall(spot.map_or(0, |spot| spot.0), scenario.map_or(NANO, |scenario| scenario.weight.0))
    };
    let worst = scene.exact.own(worst_column(largest, losses.into_iter(), &exposed, fall))?;
    let (mut charges, mut lost) = (vec![0; exposures.len()], vec![0; exposures.len()]);
    scene.exact.own(divide(&worst, &exposed, fall, &mut lost, &mut charges))?;
    let falls = worst.at.map(|(column, _)| (0..exposures.len()).map(|i| fall(i, column)).collect());
    let falls = scene.exact.own(falls.transpose())?.unwrap_or_default();
    Ok(Found { charges, falls, worst })
}

/// The relative fall of an asset in a column, of the weight of the scenario, as the losses are; >= 0.
pub(crate) fn fall(spot: i64, weight: i64) -> Number<Ppb> {
    let what = "a fall of collateral";
    let moved = ratio_down(i128::from(spot), i128::from(weight), WHOLE, what)?;
    i64::try_from((-moved).max(0)).map(Ppb).map_err(|_| TooLarge(what))
}

/// What an asset loses in a scenario: `wrong_way x fall x value`, at most what it counts for.
#[inline(always)]
fn lost(exposed: &Exposed, fall: Ppb) -> Number<i128> {
    if fall.0 == 0 {
        return Ok(exposed.counted.min(0));
    }
    let lost = scale_up(exposed.value, fall, WHAT)?;
    Ok(scale_up(lost, exposed.wrong_way, WHAT)?.min(exposed.counted))
}

/// `max (L + min(L, F))` over the columns of a measure with their losses, of which the largest is known, and where it is.
/// As it is at most twice the loss, only columns that lose more than half of the most so far are looked at, and a column
/// that loses no more than half of the largest may be left out. `fall` is that of an exposure in a column.
#[inline(always)]
pub(crate) fn worst_column(
    largest: i128,
    losses: impl Iterator<Item = (usize, i128)>,
    exposed: &[Exposed],
    fall: impl Fn(usize, usize) -> Number<Ppb>,
) -> Number<Worst> {
    let mut worst = Worst { most: largest, at: None, largest };
    for (column, loss) in losses {
        if loss <= worst.most - loss {
            continue;
        }
        let mut all = 0;
        for (i, exposed) in exposed.iter().enumerate() {
            all = add(all, lost(exposed, fall(i, column)?)?, WHAT)?;
        }
        let both = add(loss, all.min(loss), WHAT)?;
        if both > worst.most {
            (worst.most, worst.at) = (both, Some((column, loss)));
        }
    }
    Ok(worst)
}

/// The charge `max (L + min(L, F)) - max L`, shared among the exposures in proportion to what they lose in the column
/// that makes it. `lost` is room for one number per exposure.
pub(crate) fn divide(
    worst: &Worst,
    exposed: &[Exposed],
    fall: impl Fn(usize, usize) -> Number<Ppb>,
    room: &mut [i128],
    charges: &mut [i128],
) -> Number<()> {
    let Some((column, _)) = worst.at else {
        charges.fill(0);
        return Ok(());
    };
    for (i, (exposed, room)) in exposed.iter().zip(room.iter_mut()).enumerate() {
        *room = lost(exposed, fall(i, column)?)?;
    }
    split_into(worst.most - worst.largest, room, charges)
}
