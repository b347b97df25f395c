//! Why an account cannot be answered.

use crate::venue::VenueError;
use plimsoll_types::{AccountId, Asset};

/// Why an account has no margin. Each is about one account; the rest of a book is answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MarginError {
    /// A sum or product left 128 bits.
    #[error("account {account}: {what} does not fit in 128 bits")]
    Overflow {
        /// Whose.
        account: AccountId,
        /// The quantity that was being computed.
        what: &'static str,
    },
    /// A position, an order or an earmark names a row the arrays do not have.
    #[error("account {account}: instrument number {index} is not among the {instruments} of the risk arrays")]
    UnknownInstrument {
        /// Whose.
        account: AccountId,
        /// The row asked for.
        index: u32,
        /// Rows there are.
        instruments: usize,
    },
    /// The risk arrays do not hold together: a row, an index or a block points outside them.
    #[error("account {account}: the risk arrays have {what} {found}, expected {expected}")]
    Arrays {
        /// Whose.
        account: AccountId,
        /// What is out of shape.
        what: &'static str,
        /// As it is.
        found: usize,
        /// The size it must have, or must stay below.
        expected: usize,
    },
    /// The same instrument twice, or out of order.
    #[error("account {account}: instrument number {index} is out of order or twice among the positions")]
    Positions {
        /// Whose.
        account: AccountId,
        /// The row.
        index: u32,
    },
    /// A collateral asset has no price in the arrays.
    #[error("account {account}: no price for collateral {asset}")]
    UnpricedCollateral {
        /// Whose.
        account: AccountId,
        /// The asset.
        asset: Asset,
    },
    /// A collateral asset has no terms in the parameters.
    #[error("account {account}: the parameters have no [collateral.{asset}]")]
    UnknownCollateral {
        /// Whose.
        account: AccountId,
        /// The asset.
        asset: Asset,
    },
    /// The parameters ask for something they do not define.
    #[error("account {account}: the parameters lack {what}, which {needed_by} needs")]
    MissingTerms {
        /// Whose.
        account: AccountId,
        /// The table or key.
        what: String,
        /// What asks for it.
        needed_by: &'static str,
    },
    /// The scenario set lacks the columns that the aggregation works on.
    #[error(
        "account {account}: the risk arrays have no {block} block for {purpose}, which {needed_by} needs"
    )]
    MissingBlock {
        /// Whose.
        account: AccountId,
        /// The kind of block.
        block: &'static str,
        /// `im` or `mm`.
        purpose: &'static str,
        /// What asks for it.
        needed_by: &'static str,
    },
    /// A venue's method has no answer.
    #[error("account {account}: {source}")]
    Venue {
        /// Whose.
        account: AccountId,
        /// Why.
        source: VenueError,
    },
    /// A parameter outside its range.
    #[error("account {account}: parameter {name} is {value}, expected {expected}")]
    Parameter {
        /// Whose.
        account: AccountId,
        /// Its path.
        name: String,
        /// As given.
        value: String,
        /// The range.
        expected: &'static str,
    },
}
