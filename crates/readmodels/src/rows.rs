//! The rows. Amounts are decimals in text, instants as RFC 3339 has them, and what is deeper than a row is JSON in text.

/// An account as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its name.
    pub account: String,
    /// The record as of which it stands so.
    pub sequence: i64,
    /// The engine's time then.
    pub as_of: String,
    /// How it stands.
    pub standing: String,
    /// Its liquidation under way.
    pub intent: Option<i64>,
    /// Why it cannot be valued.
    pub unvalued: Option<String>,
    /// What it holds: JSON.
    pub positions: String,
    /// What backs it: JSON.
    pub collateral: String,
}

/// The margin of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Margin {
    /// Its name.
    pub account: String,
    /// The record as of which it is so.
    pub sequence: i64,
    /// The engine's time then.
    pub as_of: String,
    /// Version of the parameters.
    pub parameters: i64,
    /// Equity, initial margin, maintenance margin, equity less each; nothing while it cannot be valued.
    pub amounts: Option<[String; 5]>,
}

/// Profit and loss of an account by scenario, in one underlying.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vector {
    /// Whose.
    pub account: String,
    /// Of what.
    pub underlying: String,
    /// 1 is the account that is worst off.
    pub rank: i32,
    /// The record as of which it is so.
    pub sequence: i64,
    /// The engine's time then.
    pub as_of: String,
    /// Names of the scenarios.
    pub scenarios: Vec<String>,
    /// Profit (> 0) or loss in each.
    pub pnl: Vec<String>,
}

/// A change of a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The record it followed from.
    pub sequence: i64,
    /// Its place among the changes of that record.
    pub ordinal: i32,
    /// The engine's time.
    pub as_of: String,
    /// Version of the parameters after it.
    pub version: i64,
    /// Which.
    pub parameter: String,
    /// What bound new risk before.
    pub before: String,
    /// What binds it since.
    pub after: String,
    /// The path for existing positions: JSON.
    pub maintenance: String,
    /// What moved it, and by how much: JSON.
    pub causes: String,
    /// The same in words.
    pub words: String,
}

/// Something that happened to an account's standing, or in its liquidation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Liquidation {
    /// The record it followed from.
    pub sequence: i64,
    /// Its place among those of that record.
    pub ordinal: i32,
    /// The engine's time.
    pub as_of: String,
    /// What.
    pub effect: String,
    /// Whose.
    pub account: Option<String>,
    /// Of which liquidation.
    pub intent: Option<i64>,
    /// The whole of it: JSON.
    pub body: String,
}
