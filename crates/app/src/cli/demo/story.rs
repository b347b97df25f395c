//! What is told: a seeded market, or recorded chains.

use crate::host::Charter;
use crate::io::market::each_snapshot;
use anyhow::{Context, bail};
use plimsoll_engine::ParamSet;
use plimsoll_engine::live::{Engine, Rules};
use plimsoll_policy::{POLICIES, Policy};
use plimsoll_sim::harbour::{Harbour, Outcome, Producer, Spec, Tally, Tape, TapeSpec, tell};
use plimsoll_types::{Snapshot, Timestamp};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// What is told.
#[derive(Clone, Debug)]
pub(in crate::cli) enum Story {
    /// A market of the project's own.
    Seeded(Spec),
    /// Chains that were recorded.
    Recorded(TapeSpec, Vec<Snapshot>),
}

impl Story {
    /// Recorded chains of some files, in order of time.
    pub(super) fn recorded(spec: TapeSpec, files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut chains: BTreeMap<Timestamp, Snapshot> = BTreeMap::new();
        for file in files {
            each_snapshot(file, &mut |snapshot, _| {
                match chains.get_mut(&snapshot.as_of) {
                    Some(there) => there.underlyings.extend(snapshot.underlyings),
                    None => drop(chains.insert(snapshot.as_of, snapshot)),
                }
                ControlFlow::Continue(())
            })?;
        }
        if chains.len() < 2 {
            bail!("`--replay` names {} chains: at least two make a story", chains.len());
        }
        Ok(Self::Recorded(spec, chains.into_values().collect()))
    }

    /// The rules of this market under a preset and a policy.
    pub(in crate::cli) fn rules(&self, params: &str, policy: &str) -> anyhow::Result<Rules> {
        let (params, policy) = (ParamSet::preset(params)?, Policy::shipped(policy)?);
        Ok(match self {
            Self::Seeded(spec) => Harbour::rules(spec, params, policy)?,
            Self::Recorded(spec, chains) => Tape::rules(spec, chains, params, policy)?,
        })
    }

    /// The same, as the journal keeps them: with the units of the market's own coins.
    pub(in crate::cli) fn charter(&self, params: &str, policy: &str) -> anyhow::Result<Charter> {
        let rules = self.rules(params, policy)?;
        let found = POLICIES.iter().find(|(known, _)| *known == policy);
        let (_, policy) = found.with_context(|| format!("no policy ships as `{policy}`"))?;
        let params = toml::to_string(&rules.params).context("parameters")?;
        if ParamSet::from_toml(&params, "charter")? != rules.params {
            bail!("the parameters of {} are others when they are read again", rules.params.name);
        }
        Ok(Charter {
            since: self.begins(),
            params,
            policy: (*policy).to_owned(),
            series: BTreeMap::new(),
            feeds: rules.feeds,
            market: rules.market,
            liquidation: rules.liquidation,
            stable: rules.stable,
        })
    }

    fn begins(&self) -> Timestamp {
        match self {
            Self::Seeded(spec) => spec.begins(),
            Self::Recorded(_, chains) => chains.first().map(|chain| chain.as_of).unwrap_or_default(),
        }
    }

    /// The instant from which what happens is counted.
    pub(super) fn starts(&self) -> Timestamp {
        match self {
            Self::Seeded(spec) => spec.start,
            Self::Recorded(..) => self.begins(),
        }
    }

    /// How long it lasts, market seconds.
    pub(super) fn seconds(&self) -> f64 {
        match self {
            Self::Seeded(spec) => spec.length_seconds as f64,
            Self::Recorded(_, chains) => {
                let ends = chains.last().map(|chain| chain.as_of).unwrap_or_default();
                self.begins().seconds_until(ends)
            }
        }
    }

    /// Who tells it to an engine under some rules.
    pub(super) fn producer(&self, rules: &Rules) -> anyhow::Result<Box<dyn Producer>> {
        Ok(match self {
            Self::Seeded(spec) => Box::new(Harbour::new(spec, rules)?),
            Self::Recorded(spec, chains) => Box::new(Tape::new(spec, rules, chains.clone())?),
        })
    }

    /// An engine that has been told all that is before the story, and who tells it the rest.
    pub(in crate::cli) fn opened(&self, rules: &Rules) -> anyhow::Result<(Engine, Box<dyn Producer>)> {
        Ok(match self {
            Self::Seeded(spec) => {
                let mut harbour = Harbour::new(spec, rules)?;
                (harbour.opened(rules)?, Box::new(harbour))
            }
            Self::Recorded(spec, chains) => {
                let mut tape = Tape::new(spec, rules, chains.clone())?;
                (tape.opened()?, Box::new(tape))
            }
        })
    }

    /// What would become of it under some rules.
    pub(super) fn shadow(&self, rules: &Rules) -> anyhow::Result<Outcome> {
        let (mut engine, mut producer) = self.opened(rules)?;
        let mut tally = Tally::new(rules, self.starts());
        tell(producer.as_mut(), &mut engine, &mut tally)?;
        Ok(tally.outcome())
    }
}
