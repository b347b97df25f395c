//! The order of what a source says of one thing.

use crate::{Number, Reason, Refusal, refusal::refuse};
use plimsoll_types::{Asset, Timestamp};
use std::collections::BTreeMap;

/// What a source said last of each asset.
///
/// Exchanges count time in milliseconds and oracles in seconds, and state more than one price within: of one instant the first
/// counts, as it does where their own contracts keep prices. A signed source is held to more (see [`crate::signed`]).
#[derive(Clone, Debug, Default)]
pub struct Stated(BTreeMap<Asset, (Timestamp, Number)>);

impl Stated {
    /// Takes note of a price, if it is after the last one.
    ///
    /// # Errors
    /// [`Reason::Duplicate`] for the instant of the last one, [`Reason::OutOfOrder`] for one before it.
    pub fn take(&mut self, asset: &Asset, time: Timestamp, price: Number) -> Result<(), Refusal> {
        match self.0.get(asset) {
            Some((last, _)) if time == *last => refuse(Reason::Duplicate, format_args!("{asset} of {time}")),
            Some((last, _)) if time < *last => {
                refuse(Reason::OutOfOrder, format_args!("{asset} of {time} after one of {last}"))
            }
            _ => {
                self.0.insert(asset.clone(), (time, price));
                Ok(())
            }
        }
    }

    /// The price stated last.
    pub fn last(&self, asset: &Asset) -> Option<Number> {
        self.0.get(asset).map(|(_, price)| *price)
    }
}
