//! What was lost, once for all policies.

use crate::history::{History, spacing};
use crate::margining::Bench;
use crate::study::{Group, Study, StudyError};
use crate::surface::StatedVol;

impl Study {
    /// Finds the instants, levels and losses of a group.
    pub(crate) fn fill(&self, mut group: Group, bench: &Bench) -> Result<Group, StudyError> {
        let members: Vec<&History> = group.members.iter().filter_map(|m| self.histories.get(*m)).collect();
        let Some(lead) = members.first() else { return Ok(group) };
        let mut closes: Vec<Vec<f64>> = Vec::new();
        let mut vols = Vec::new();
        for history in &members {
            vols.push((StatedVol::new(history.step_seconds)?, 0_usize, 0_u16));
        }
        for (time, bar) in &lead.rows {
            let mut row = Vec::with_capacity(members.len());
            for (history, (vol, at, level)) in members.iter().zip(&mut vols) {
                while let Some((when, bar)) = history.rows.get(*at).filter(|row| row.0 <= *time) {
                    *level = vol.update(*when, bar.close)?;
                    *at += 1;
                }
                let last = at.checked_sub(1).and_then(|i| history.rows.get(i));
                row.extend(last.filter(|row| row.0 == *time).map(|row| row.1.close));
            }
            if row.len() == members.len() {
                group.times.push(*time);
                group.prices.push(bar.close);
                group.points.push(vols.iter().map(|(_, _, level)| *level).collect());
                closes.push(row);
            }
        }
        let start = members.iter().filter_map(|h| h.rows.first()).map(|row| row.0).max();
        let from = start.map(|at| at.plus_seconds(self.warm_up_seconds)).max(self.from);
        group.judged_from = from.map_or(0, |from| group.times.partition_point(|time| *time < from));
        // Members may have other spacings: what is judged is what they have in common.
        group.step_seconds = if group.times.len() < 2 { 0 } else { spacing(group.times.iter().copied()) };
        for seconds in &self.horizons {
            group.spans.push((seconds / group.step_seconds.max(1)).max(1) as usize);
            let losses = self.losses(&group, bench, &closes, *seconds)?;
            group.losses.push(losses);
        }
        Ok(group)
    }

    /// By portfolio, the loss that follows each row: up to the first row at or after the horizon.
    fn losses(
        &self,
        group: &Group,
        bench: &Bench,
        closes: &[Vec<f64>],
        seconds: i64,
    ) -> Result<Vec<Vec<f64>>, StudyError> {
        let mut revaluing = bench.revaluing();
        let mut all = vec![Vec::with_capacity(closes.len()); bench.len()];
        let (mut ratios, mut lost, mut end) = (Vec::new(), Vec::new(), 0);
        let still = group.points.first().cloned().unwrap_or_default();
        for (i, before) in closes.iter().enumerate() {
            let due = group.times[i].plus_seconds(seconds);
            while group.times.get(end).is_some_and(|time| *time < due) {
                end += 1;
            }
            let Some((time, after)) = group.times.get(end).zip(closes.get(end)) else { break };
            if self.to.is_some_and(|to| *time > to) {
                break;
            }
            lost.clear();
            if i < group.judged_from {
                // Never judged: only the row is kept in step.
                lost.resize(bench.len(), 0.0);
            } else {
                ratios.clear();
                ratios.extend(after.iter().zip(before).map(|(after, before)| after / before));
                let then = group.points.get(i).unwrap_or(&still);
                let now = group.points.get(end).unwrap_or(&still);
                let passed = time.seconds() - group.times[i].seconds();
                revaluing.losses(&ratios, (then, now), passed, &mut lost)?;
            }
            for (losses, loss) in all.iter_mut().zip(&lost) {
                losses.push(*loss);
            }
        }
        Ok(all)
    }
}
