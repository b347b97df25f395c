//! What is signed: the parameters in force and the published path of each, as typed data (EIP-712).

use anyhow::bail;
use plimsoll_engine::live::State;
use plimsoll_feeds::evm::{keccak, word};
use plimsoll_feeds::signed::Domain;
use plimsoll_policy::{Leg, Ramp};
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const DOCUMENT_TYPE: &str =
    "Parameters(uint64 sequence,uint64 version,uint64 time,uint64 validUntil,Parameter[] parameters)";
const LEG_TYPE: &str = "Leg(uint64 starts,uint64 ends,int64 rise)";
const PARAMETER_TYPE: &str = "Parameter(string name,int64 initial,int64 from,Leg[] legs)";

/// Nanoseconds of a millisecond, which is as fine as instants are signed.
const MILLI: i64 = 1_000_000;

/// The parameters in force after a record of the journal. Signed as
///
/// ```text
/// Parameters(uint64 sequence,uint64 version,uint64 time,uint64 validUntil,Parameter[] parameters)
/// Leg(uint64 starts,uint64 ends,int64 rise)
/// Parameter(string name,int64 initial,int64 from,Leg[] legs)
/// ```
///
/// with instants in milliseconds since 1970 and values in billionths.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The record of the journal after which they are in force.
    pub sequence: u64,
    /// Their version.
    pub version: u64,
    /// The engine's time after that record.
    #[schema(value_type = String)]
    pub time: Timestamp,
    /// Until when they may be relied on without another document.
    #[schema(value_type = String)]
    pub valid_until: Timestamp,
    /// All of them, in the order of their names.
    pub parameters: Vec<Parameter>,
}

/// A parameter in a document; a ratio, larger is tighter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignedParameter)]
pub struct Parameter {
    /// Its name, scope included.
    pub name: String,
    /// What binds new risk.
    #[schema(value_type = String)]
    pub initial: Ppb,
    /// What binds existing positions, over time: never above `initial`.
    #[schema(value_type = Object)]
    pub maintenance: Ramp,
}

impl Document {
    /// What is in force in an engine's state after a record.
    pub fn of(state: &State, sequence: u64, valid_seconds: i64) -> Self {
        let board = state.policy.board();
        let mut parameters: Vec<Parameter> = board
            .parameters()
            .iter()
            .map(|(key, of)| Parameter {
                name: key.to_string(),
                initial: of.value(),
                maintenance: in_millis(of.ramp()),
            })
            .collect();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        let time = Timestamp::from_nanos(state.now.nanos().div_euclid(MILLI) * MILLI);
        let valid_until = time.plus_seconds(valid_seconds);
        Self { sequence, version: board.version(), time, valid_until, parameters }
    }

    /// Refuses what has two readings: instants finer than a millisecond or before 1970, names out of order or twice.
    ///
    /// # Errors
    /// Which it is.
    pub fn check(&self) -> anyhow::Result<()> {
        let legs = self.parameters.iter().flat_map(|one| &one.maintenance.legs);
        let instants = legs.flat_map(|leg| [leg.starts, leg.ends]).chain([self.time, self.valid_until]);
        for at in instants {
            if at.nanos() < 0 || at.nanos() % MILLI != 0 {
                bail!("{at}: expected an instant since 1970 in whole milliseconds");
            }
        }
        if let Some(pair) = self.parameters.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            bail!("`{}` does not come after `{}`", pair[1].name, pair[0].name);
        }
        Ok(())
    }

    /// What is signed: the hash of EIP-712 under a domain.
    pub fn hash(&self, domain: &Domain) -> [u8; 32] {
        let text = |parts: &[&str]| keccak(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
        let of_leg = |leg: &Leg| {
            keccak(&[&text(&[LEG_TYPE]), &instant(leg.starts), &instant(leg.ends), &word(leg.rise.0.into())])
        };
        let of_parameter = |one: &Parameter| {
            let legs: Vec<u8> = one.maintenance.legs.iter().flat_map(of_leg).collect();
            keccak(&[
                &text(&[PARAMETER_TYPE, LEG_TYPE]),
                &text(&[&one.name]),
                &word(one.initial.0.into()),
                &word(one.maintenance.from.0.into()),
                &keccak(&[&legs]),
            ])
        };
        let parameters: Vec<u8> = self.parameters.iter().flat_map(of_parameter).collect();
        let of_struct = keccak(&[
            &text(&[DOCUMENT_TYPE, LEG_TYPE, PARAMETER_TYPE]),
            &word(self.sequence.into()),
            &word(self.version.into()),
            &instant(self.time),
            &instant(self.valid_until),
            &keccak(&[&parameters]),
        ]);
        keccak(&[b"\x19\x01", &domain.separator(), &of_struct])
    }
}

fn instant(at: Timestamp) -> [u8; 32] {
    word(at.nanos().div_euclid(MILLI).into())
}

/// The same path in whole milliseconds: nowhere above it, since every rise is later if anything.
fn in_millis(ramp: &Ramp) -> Ramp {
    let later = |at: Timestamp| {
        let nanos = at.nanos();
        Timestamp::from_nanos(nanos.saturating_add((MILLI - nanos.rem_euclid(MILLI)) % MILLI))
    };
    let legs = ramp.legs.iter();
    let legs = legs.map(|leg| Leg { starts: later(leg.starts), ends: later(leg.ends), rise: leg.rise });
    Ramp { from: ramp.from, legs: legs.collect() }
}
