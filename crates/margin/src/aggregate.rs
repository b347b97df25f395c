//! Scenario vectors of several underlyings to one loss: sum, factor, joint, and the larger of grid and joint.

use crate::account::Slot;
use crate::joint::{blend, statistic};
use crate::money::{Exact, Number, scale_up};
use crate::{AggregateDetail, Aggregation, FactorState, JointTerms, MarginError, Params};
use plimsoll_types::{BlockKind, CorrelationState, NANO, Ppb, Purpose, RiskArrays, Ticks};

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
        let measure = self.measure;
        let of_kind =
            move |block: &&plimsoll_types::Block| block.kind == kind && measure.takes(block.purpose);
        self.arrays.blocks.iter().filter(of_kind).flat_map(|block| block.columns.clone())
    }

    pub(crate) fn has(self, kind: BlockKind) -> bool {
        self.columns(kind).next().is_some()
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

/// The worst column: its index (lowest on a tie) and the loss there, floored at 0. `None` when nothing loses.
pub(crate) fn scan(pnl: &[i128], columns: impl Iterator<Item = usize>) -> (i128, Option<usize>) {
    let mut worst = (0, None);
    for column in columns {
        let value = pnl.get(column).copied().unwrap_or(0);
        if value < worst.0 {
            worst = (value, Some(column));
        }
    }
    (worst.0.saturating_neg(), worst.1)
}

/// The aggregate loss of the vectors, before scaling, and how it came about.
pub(crate) fn aggregate(scene: Scene, slots: &[Slot]) -> Result<(i128, AggregateDetail), MarginError> {
    let mut detail = AggregateDetail::default();
    let live: Vec<&Slot> = slots.iter().filter(|slot| slot.pnl.iter().any(|x| *x != 0)).collect();
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
        let losses = live.iter().map(|slot| scan(&slot.pnl, scene.columns(BlockKind::Grid)).0);
        let sum = scene.exact.sum(losses, "the sum of scan losses")?;
        detail.sum = Ticks(sum);
        total = match scene.params.aggregation {
            Aggregation::Factor { floor_share } if live.len() > 1 => {
                factor(scene, &live, sum, floor_share, &mut detail)?
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
    sum: i128,
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
    let states = [CorrelationState::Estimated, CorrelationState::Crash, CorrelationState::Breakdown];
    let mut worst = None;
    for state in states {
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
    let largest = live.iter().map(|slot| scan(&slot.pnl, scene.columns(BlockKind::Grid)).0).max();
    let (floor, total) = scene.exact.own(between(loss, sum, largest.unwrap_or(0), floor_share))?;
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
    state: CorrelationState,
) -> Result<Option<FactorState>, MarginError> {
    let columns = scene.columns(BlockKind::Systematic(state));
    if columns.clone().next().is_none() {
        return Ok(None);
    }
    let (systematic, column) = worst_joint(scene, live, columns)?;
    let own = live.iter().map(|slot| scan(&slot.pnl, scene.columns(BlockKind::Idiosyncratic(state))).0);
    let idiosyncratic = scene.exact.sum(own, "the idiosyncratic losses")?;
    let (systematic, idiosyncratic) = (Ticks(systematic), Ticks(idiosyncratic));
    Ok(Some(FactorState { state, systematic, column, idiosyncratic }))
}

/// The loss of all underlyings together in one column; gain < 0.
fn joint_column(scene: Scene, live: &[&Slot], column: usize) -> Result<i128, MarginError> {
    let pnl = live.iter().map(|slot| slot.pnl.get(column).copied().unwrap_or(0));
    let sum = scene.exact.sum(pnl, "a joint scenario's profit or loss")?;
    scene.exact.sub(0, sum, "a joint scenario's profit or loss")
}

fn worst_joint(
    scene: Scene,
    live: &[&Slot],
    columns: impl Iterator<Item = usize>,
) -> Result<(i128, Option<usize>), MarginError> {
    let mut worst = (0, None);
    for column in columns {
        let loss = joint_column(scene, live, column)?;
        if loss > worst.0 {
            worst = (loss, Some(column));
        }
    }
    Ok(worst)
}

fn joint_loss(scene: Scene, live: &[&Slot], detail: &mut AggregateDetail) -> Result<i128, MarginError> {
    let terms = scene.joint_terms()?;
    let losses = |kind| -> Result<Vec<i128>, MarginError> {
        scene.columns(kind).map(|c| joint_column(scene, live, c)).collect()
    };
    let ordinary = statistic(&terms, losses(BlockKind::Joint)?, scene.exact)?;
    detail.joint = Some(Ticks(ordinary));
    detail.worst_joint = worst_joint(scene, live, scene.columns(BlockKind::Joint))?.1;
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
    let (grid, _) = scan(&slot.pnl, scene.columns(BlockKind::Grid));
    let span = matches!(scene.params.aggregation, Aggregation::Span(_));
    if span || !scene.has(BlockKind::Joint) {
        return Ok(grid);
    }
    let joint = joint_loss(scene, &[slot], &mut AggregateDetail::default())?;
    Ok(grid.max(joint))
}
