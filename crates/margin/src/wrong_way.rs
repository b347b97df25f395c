//! Wrong-way collateral: what falls in the very scenarios in which the account loses.
//!
//! With `L[c]` the account's loss in a column, `>= 0`, and `F[c] = sum over assets of wrong_way x fall[c] x value`, the
//! charge is `max over c of (L[c] + min(L[c], F[c])) - max over c of L[c]`. It is zero where nothing is lost, never above
//! the loss, and moves with prices and lots without a jump: a column takes over where two are equal. The haircut does not
//! lower it, for a haircut is there for selling the collateral, and neither does a debt raise it.

use crate::aggregate::{Measure, Scene};
use crate::charges::{blank, shared};
use crate::money::{Exact, split};
use crate::requirement::{View, is_long, pessimistic_row};
use crate::{Addon, AddonKind, Aggregation, CollateralReport, Input, MarginError, Mode};
use plimsoll_types::{BlockKind, CorrelationState, NANO, Position, Ppb, ScenarioColumn, Ticks};
use std::borrow::Cow;

const WHOLE: i128 = NANO as i128;
const WHAT: &str = "wrong-way collateral";

/// A collateral asset that is an underlying too, with its share and the charge's share in maintenance margin.
struct Exposure<'a> {
    held: &'a CollateralReport,
    underlying: usize,
    wrong_way: Ppb,
    mm_share: Ppb,
}

/// What one column takes, asset by asset.
struct Fallen {
    loss: i128,
    falls: Vec<Ppb>,
    lost: Vec<i128>,
}

/// The charge of one measure: asset by asset, with the column that makes it and the largest loss.
struct Found {
    charges: Vec<i128>,
    column: Option<Fallen>,
    largest: i128,
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
    let mm = worst(view.scene(Measure::Mm), view.mode, &vectors, &exposures)?;
    let mut charges = Vec::new();
    for (i, exposure) in exposures.iter().enumerate() {
        let (in_im, in_mm) = (im.charges[i], mm.charges[i]);
        if in_im == 0 && in_mm == 0 {
            continue;
        }
        let inputs = inputs(exposure, i, if in_im > 0 { &im } else { &mm });
        let addon = blank(AddonKind::WrongWay, &exposure.held.asset, inputs);
        let addon = shared(addon, in_mm, exposure.mm_share, view.exact)?;
        charges.push(Addon { im: Ticks(in_im), ..addon });
    }
    Ok(charges)
}

fn inputs(exposure: &Exposure, i: usize, found: &Found) -> Vec<(&'static str, Input)> {
    let fall = found.column.as_ref().map_or(Ppb::ZERO, |column| column.falls[i]);
    let loss = found.column.as_ref().map_or(0, |column| column.loss);
    vec![
        ("value", Input::Money(exposure.held.value)),
        ("fall", Input::Ratio(fall)),
        ("wrong_way", Input::Ratio(exposure.wrong_way)),
        ("loss_there", Input::Money(Ticks(loss))),
        ("largest_loss", Input::Money(Ticks(found.largest))),
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
    let of = |underlying| Exposure { held, underlying, wrong_way, mm_share };
    Ok(found.filter(|_| wrong_way.0 > 0).map(of))
}

/// Profit or loss per column of every underlying. Where positions do not net, only what each of them loses; of isolated
/// ones but long options and long spot, which lose their own marks and not the collateral.
fn vectors<'a>(view: View<'a>) -> Result<Vec<Cow<'a, [i128]>>, MarginError> {
    if view.mode == Mode::Portfolio {
        return Ok(view.slots.iter().map(|slot| Cow::Borrowed(&slot.pnl[..])).collect());
    }
    let mut all = Vec::with_capacity(view.slots.len());
    for slot in view.slots {
        let mut lost = vec![0_i128; slot.pnl.len()];
        let its_own =
            |p: &&Position| crate::account::underlying_of(view.arrays, p.instrument) == Some(slot.underlying);
        let bears = |p: &&Position| view.mode != Mode::Isolated || !is_long(view.arrays, p);
        for position in view.positions.iter().filter(its_own).filter(bears) {
            for (sum, entry) in lost.iter_mut().zip(pessimistic_row(view, position)?) {
                *sum = view.exact.add(*sum, entry.min(0), WHAT)?;
            }
        }
        all.push(Cow::Owned(lost));
    }
    Ok(all)
}

/// Every loss > 0 with its column: that of each underlying in the grid columns, that of all together in the systematic
/// and the joint columns that the aggregation reads.
fn losses(scene: Scene, mode: Mode, vectors: &[Cow<[i128]>]) -> Result<Vec<(usize, i128)>, MarginError> {
    let loss = |vector: &[i128], c: usize| vector.get(c).copied().unwrap_or(0).saturating_neg();
    let mut all = Vec::new();
    for vector in vectors {
        let own = scene.columns(BlockKind::Grid).map(|c| (c, loss(vector, c)));
        all.extend(own.filter(|(_, loss)| *loss > 0));
    }
    let mut kinds = Vec::new();
    if mode == Mode::Portfolio && matches!(scene.params.aggregation, Aggregation::Factor { .. }) {
        let states = [CorrelationState::Estimated, CorrelationState::Crash, CorrelationState::Breakdown];
        kinds.extend(states.map(BlockKind::Systematic));
    }
    if !matches!(scene.params.aggregation, Aggregation::Span(_)) {
        kinds.push(BlockKind::Joint);
        if scene.joint_terms().is_ok_and(|terms| terms.stress_weight.0 > 0) {
            kinds.push(BlockKind::StressedJoint);
        }
    }
    for column in kinds.into_iter().flat_map(|kind| scene.columns(kind)) {
        let together = scene.exact.sum(vectors.iter().map(|vector| loss(vector, column)), WHAT)?;
        if together > 0 {
            all.push((column, together));
        }
    }
    Ok(all)
}

/// `max (L + min(L, F)) - max L` over the columns of a measure. As it is at most twice the loss, only columns that lose
/// more than half of the most so far are looked at.
fn worst(
    scene: Scene,
    mode: Mode,
    vectors: &[Cow<[i128]>],
    exposures: &[Exposure],
) -> Result<Found, MarginError> {
    let losses = losses(scene, mode, vectors)?;
    let largest = losses.iter().map(|(_, loss)| *loss).max().unwrap_or(0);
    let (mut most, mut column) = (largest, None);
    for (c, loss) in losses {
        let Some(scenario) = scene.arrays.scenarios.get(c).filter(|_| loss > most - loss) else { continue };
        let fallen = fallen(scenario, loss, exposures, scene.exact)?;
        let lost = scene.exact.sum(fallen.lost.iter().copied(), WHAT)?;
        let both = scene.exact.add(loss, lost.min(loss), WHAT)?;
        if both > most {
            (most, column) = (both, Some(fallen));
        }
    }
    let charges = match &column {
        Some(fallen) => split(most - largest, &fallen.lost, scene.exact)?,
        None => vec![0; exposures.len()],
    };
    Ok(Found { charges, column, largest })
}

/// What each asset loses in a scenario: `wrong_way x fall x value`, at most what it counts for. The fall carries the
/// weight of the scenario, as the losses do.
fn fallen(
    scenario: &ScenarioColumn,
    loss: i128,
    exposures: &[Exposure],
    exact: Exact,
) -> Result<Fallen, MarginError> {
    let mut fallen = Fallen { loss, falls: Vec::new(), lost: Vec::new() };
    for exposure in exposures {
        let spot = scenario.spot.get(exposure.underlying).map_or(0, |spot| i128::from(spot.0));
        let moved = exact.ratio_down(spot, i128::from(scenario.weight.0), WHOLE, "a fall of collateral")?;
        let fall = i64::try_from((-moved).max(0)).map(Ppb);
        let fall = fall.map_err(|_| exact.overflow("a fall of collateral"))?;
        let lost = exact.scale_up(exposure.held.value.0, fall, WHAT)?;
        let lost = exact.scale_up(lost, exposure.wrong_way, WHAT)?;
        fallen.falls.push(fall);
        fallen.lost.push(lost.min(exposure.held.counted.0));
    }
    Ok(fallen)
}
