//! Scenario vectors of several underlyings to one loss: sum, factor, joint, and the larger of grid and joint.

use crate::account::Slot;
use crate::joint::{blend, statistic};
use crate::money::{Exact, Number, scale_up};
use crate::{AggregateDetail, Aggregation, FactorState, JointTerms, MarginError, Params};
use plimsoll_types::{Block, BlockKind, CorrelationState, NANO, Ppb, Purpose, RiskArrays, Ticks};
use std::ops::Range;

/// Which of the two requirements is being found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Measure {
    Im,
    Mm,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Im => "im",
            Self::Mm => "mm",
        }
    }

    pub(crate) fn takes(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Both => true,
            Purpose::Im => self == Self::Im,
            Purpose::Mm => self == Self::Mm,
        }
    }
}

/// The states of a common factor, in the order in which they are tried.
pub(crate) const STATES: [CorrelationState; 3] =
    [CorrelationState::Estimated, CorrelationState::Crash, CorrelationState::Breakdown];

/// What a measure reads of one vector by itself: losses, floored at 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Losses {
    /// Over the grid columns, with the column.
    pub(crate) grid: (i128, Option<usize>),
    /// Beside the common factor, by place in [`STATES`].
    idiosyncratic: [i128; 3],
}

impl Losses {
    /// Of a vector, for initial and for maintenance margin.
    pub(crate) fn of(pnl: &[Ticks], arrays: &RiskArrays) -> [Self; 2] {
        let of = |measure| Self {
            grid: scan(pnl, runs(arrays, measure, BlockKind::Grid)),
            idiosyncratic: STATES
                .map(|state| scanned(pnl, runs(arrays, measure, BlockKind::Idiosyncratic(state)))),
        };
        let im = of(Measure::Im);
        [im, if measures_agree(arrays) { im } else { of(Measure::Mm) }]
    }
}

/// The columns of all blocks of a kind that serve the measure, block by block, in rising order.
fn runs(
    arrays: &RiskArrays,
    measure: Measure,
    kind: BlockKind,
) -> impl Iterator<Item = Range<usize>> + Clone + '_ {
    let of_kind = move |block: &&Block| block.kind == kind && measure.takes(block.purpose);
    arrays.blocks.iter().filter(of_kind).map(|block| block.columns.clone())
}

/// What an aggregation reads besides the vectors.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) params: &'a Params,
    pub(crate) measure: Measure,
    pub(crate) exact: Exact<'a>,
}

impl<'a> Scene<'a> {
    /// The columns of all blocks of a kind that serve the measure, in rising order of block.
    pub(crate) fn columns(self, kind: BlockKind) -> impl Iterator<Item = usize> + Clone + 'a {
        self.runs(kind).flatten()
    }

    /// As [`Scene::columns`], block by block.
    pub(crate) fn runs(self, kind: BlockKind) -> impl Iterator<Item = Range<usize>> + Clone + 'a {
        runs(self.arrays, self.measure, kind)
    }

    pub(crate) fn has(self, kind: BlockKind) -> bool {
        self.runs(kind).any(|run| !run.is_empty())
    }

    pub(crate) fn missing(self, block: &'static str, needed_by: &'static str) -> MarginError {
        let account = self.exact.account.clone();
        MarginError::MissingBlock { account, block, purpose: self.measure.name(), needed_by }
    }

    /// The terms of joint blocks: those of the aggregation itself, else `joint`.
    pub(crate) fn joint_terms(self) -> Result<JointTerms, MarginError> {
        match (&self.params.aggregation, self.params.joint) {
            (Aggregation::Joint(terms), _) => Ok(*terms),
            (_, Some(terms)) => Ok(terms),
            (_, None) => Err(MarginError::MissingTerms {
                account: self.exact.account.clone(),
                what: "[joint]".to_owned(),
                needed_by: "a scenario set with joint columns",
            }),
        }
    }
}

/// Whether both measures read the same columns.
pub(crate) fn measures_agree(arrays: &RiskArrays) -> bool {
    arrays.blocks.iter().all(|block| block.purpose == Purpose::Both)
}

/// The part of a row that is in a run of columns.
pub(crate) fn within<T>(row: &[T], run: Range<usize>) -> &[T] {
    row.get(run.start..run.end.min(row.len())).unwrap_or(&[])
}

/// The worst column: its index (lowest on a tie) and the loss there, floored at 0. `None` when nothing loses.
pub(crate) fn scan(pnl: &[Ticks], runs: impl Iterator<Item = Range<usize>>) -> (i128, Option<usize>) {
    let mut worst = (0, None);
    for run in runs {
        let start = run.start;
        let values = within(pnl, run);
        let least = least(values);
        if least < worst.0 {
            worst = (least, values.iter().position(|value| value.0 == least).map(|at| start + at));
        }
    }
    (worst.0.saturating_neg(), worst.1)
}

/// The loss of [`scan`].
fn scanned(pnl: &[Ticks], runs: impl Iterator<Item = Range<usize>>) -> i128 {
    runs.map(|run| least(within(pnl, run))).fold(0, i128::min).saturating_neg()
}

/// The least of some values and 0.
pub(crate) fn least(values: &[Ticks]) -> i128 {
    values.iter().fold(0, |least, value| if value.0 < least { value.0 } else { least })
}

/// The aggregate loss of the vectors, before scaling, and how it came about.
pub(crate) fn aggregate(scene: Scene, slots: &[Slot]) -> Result<(i128, AggregateDetail), MarginError> {
    let mut detail = AggregateDetail::default();
    let live: Vec<&Slot> = slots.iter().filter(|slot| slot.pnl.iter().any(|x| x.0 != 0)).collect();
    if live.is_empty() {
        return Ok((0, detail));
    }
    let grid = scene.has(BlockKind::Grid);
    let joint = scene.has(BlockKind::Joint);
    match scene.params.aggregation {
        Aggregation::Factor { .. } if !grid => return Err(scene.missing("grid", "aggregation factor")),
        Aggregation::Joint(_) if !joint => return Err(scene.missing("joint", "aggregation joint")),
        _ if !grid && !joint => return Err(scene.missing("grid or joint", "every aggregation")),
        _ => {}
    }
    let mut total = 0;
    if grid {
        let losses = live.iter().map(|slot| slot.losses(scene.measure).grid.0);
        let sum = scene.exact.sum(losses.clone(), "the sum of scan losses")?;
        detail.sum = Ticks(sum);
        total = match scene.params.aggregation {
            Aggregation::Factor { floor_share } if live.len() > 1 => {
                let largest = losses.max().unwrap_or(0);
                factor(scene, &live, (sum, largest), floor_share, &mut detail)?
            }
            _ => sum,
        };
    }
    if joint {
        total = total.max(joint_loss(scene, &live, &mut detail)?);
    }
    Ok((total, detail))
}

/// The worst over correlation states of systematic plus idiosyncratic loss, never above the sum nor below its floor: the
/// larger of the floor share of the sum and the largest single scan loss.
fn factor(
    scene: Scene,
    live: &[&Slot],
    (sum, largest): (i128, i128),
    floor_share: Ppb,
    detail: &mut AggregateDetail,
) -> Result<i128, MarginError> {
    if !(0..=NANO).contains(&floor_share.0) {
        return Err(MarginError::Parameter {
            account: scene.exact.account.clone(),
            name: "aggregation.floor_share".to_owned(),
            value: floor_share.to_string(),
            expected: "between 0 and 1",
        });
    }
    let mut worst = None;
    detail.states.reserve_exact(STATES.len());
    for state in STATES.into_iter().enumerate() {
        if let Some(found) = factor_state(scene, live, state)? {
            let loss = scene.exact.add(found.systematic.0, found.idiosyncratic.0, "the factor loss")?;
            if worst.is_none_or(|(_, most)| loss > most) {
                worst = Some((detail.states.len(), loss));
            }
            detail.states.push(found);
        }
    }
    let Some((index, loss)) = worst else {
        return Err(scene.missing("systematic", "aggregation factor"));
    };
    let (floor, total) = scene.exact.own(between(loss, sum, largest, floor_share))?;
    detail.worst_state = Some(index);
    detail.floor = Some(Ticks(floor));
    Ok(total)
}

/// The floor of the factor loss, and the loss of the worst state between it and the sum of scan losses. The largest leg
/// bounds it too (methods 26.4): another underlying never makes one cheaper than on its own.
pub(crate) fn between(loss: i128, sum: i128, largest: i128, floor_share: Ppb) -> Number<(i128, i128)> {
    let floor = scale_up(sum, floor_share, "the floor of the factor loss")?.max(largest);
    Ok((floor, loss.min(sum).max(floor)))
}

fn factor_state(
    scene: Scene,
    live: &[&Slot],
    (place, state): (usize, CorrelationState),
) -> Result<Option<FactorState>, MarginError> {
    let kind = BlockKind::Systematic(state);
    if !scene.has(kind) {
        return Ok(None);
    }
    let (systematic, column) = worst_joint(scene, live, kind)?;
    let own = live.iter().map(|slot| slot.losses(scene.measure).idiosyncratic[place]);
    let idiosyncratic = scene.exact.sum(own, "the idiosyncratic losses")?;
    let (systematic, idiosyncratic) = (Ticks(systematic), Ticks(idiosyncratic));
    Ok(Some(FactorState { state, systematic, column, idiosyncratic }))
}

/// How many columns are added up at a time.
const CHUNK: usize = 16;

/// Calls `each` with every column of a kind and the loss of all underlyings together in it; gain < 0.
fn each_joint(
    scene: Scene,
    live: &[&Slot],
    kind: BlockKind,
    mut each: impl FnMut(usize, i128),
) -> Result<(), MarginError> {
    let what = "a joint scenario's profit or loss";
    for run in scene.runs(kind) {
        for start in run.clone().step_by(CHUNK) {
            let columns = start..run.end.min(start + CHUNK);
            let mut room = [0_i128; CHUNK];
            let sums = room.get_mut(..columns.len()).unwrap_or(&mut []);
            for slot in live {
                for (sum, pnl) in sums.iter_mut().zip(within(&slot.pnl, columns.clone())) {
                    *sum = scene.exact.add(*sum, pnl.0, what)?;
                }
            }
            for (column, sum) in columns.zip(sums) {
                each(column, scene.exact.sub(0, *sum, what)?);
            }
        }
    }
    Ok(())
}

fn worst_joint(scene: Scene, live: &[&Slot], kind: BlockKind) -> Result<(i128, Option<usize>), MarginError> {
    let mut worst = (0, None);
    each_joint(scene, live, kind, |column, loss| {
        if loss > worst.0 {
            worst = (loss, Some(column));
        }
    })?;
    Ok(worst)
}

fn joint_loss(scene: Scene, live: &[&Slot], detail: &mut AggregateDetail) -> Result<i128, MarginError> {
    let terms = scene.joint_terms()?;
    let losses = |kind| -> Result<Vec<i128>, MarginError> {
        let mut losses = Vec::new();
        each_joint(scene, live, kind, |_, loss| losses.push(loss)).map(|()| losses)
    };
    let ordinary = statistic(&terms, losses(BlockKind::Joint)?, scene.exact)?;
    detail.joint = Some(Ticks(ordinary));
    detail.worst_joint = worst_joint(scene, live, BlockKind::Joint)?.1;
    if terms.stress_weight.0 == 0 {
        return Ok(ordinary);
    }
    if !scene.has(BlockKind::StressedJoint) {
        return Err(scene.missing("stressed joint", "a stress weight above 0"));
    }
    let stressed = statistic(&terms, losses(BlockKind::StressedJoint)?, scene.exact)?;
    let blended = blend(&terms, ordinary, stressed, scene.exact)?;
    detail.stressed = Some(Ticks(stressed));
    detail.blended = Some(Ticks(blended));
    Ok(blended)
}

/// The loss of one vector on its own: the larger of its scan loss over grid columns and the statistic over joint ones
/// (SPAN reads grid columns only).
pub(crate) fn standalone(scene: Scene, slot: &Slot) -> Result<i128, MarginError> {
    let grid = slot.losses(scene.measure).grid.0;
    let span = matches!(scene.params.aggregation, Aggregation::Span(_));
    if span || !scene.has(BlockKind::Joint) {
        return Ok(grid);
    }
    let joint = joint_loss(scene, &[slot], &mut AggregateDetail::default())?;
    Ok(grid.max(joint))
}
