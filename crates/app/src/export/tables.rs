//! The tables: their columns as they are published in `docs/schemas`.

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use serde_json::{Value, json};

/// Digits of an amount.
pub(super) const DIGITS: u8 = 38;

/// Of which so many stand behind the point.
pub(super) const SCALE: i8 = 9;

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name, and its folder's: `table=NAME`.
    pub name: &'static str,
    /// What a row is.
    pub row: &'static str,
    /// In this order.
    pub columns: &'static [Column],
}

/// A column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub kind: Kind,
    /// Whether nothing may stand in it.
    pub nullable: bool,
    /// What it means.
    pub says: &'static str,
}

/// What stands in a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number: `int64`.
    Count,
    /// Text: `utf8`.
    Text,
    /// An instant: `timestamp(ms, UTC)`, rounded down.
    Instant,
    /// An exact decimal: `decimal128(38, 9)`.
    Amount,
}

const fn must(name: &'static str, kind: Kind, says: &'static str) -> Column {
    Column { name, kind, nullable: false, says }
}

const fn may(name: &'static str, kind: Kind, says: &'static str) -> Column {
    Column { name, kind, nullable: true, says }
}

const SEQUENCE: Column = must("sequence", Kind::Count, "place of the record in the journal");
const ORDINAL: Column = must("ordinal", Kind::Count, "place within the record, from 0");
const TIME: Column = must("time", Kind::Instant, "the engine's time after the record; it never goes back");

/// Every record.
pub(super) const EVENTS: Table = Table {
    name: "events",
    row: "a record of the journal: an event, applied or refused, or a charter",
    columns: &[
        SEQUENCE,
        TIME,
        must("at", Kind::Instant, "the host's clock when it was accepted; of a charter, since when it holds"),
        must("kind", Kind::Text, "`charter`, or the event's own name"),
        may("source", Kind::Text, "who counts it"),
        may("number", Kind::Count, "by what number"),
        may("by", Kind::Text, "the key that handed it in, where one was proved"),
        may("refused", Kind::Text, "the code it was refused with; nothing of what was applied"),
        must("body", Kind::Text, "the whole of it, JSON, in the engine's own numbers"),
    ],
};

/// Everything that followed.
pub(super) const EFFECTS: Table = Table {
    name: "effects",
    row: "one thing that followed from an event",
    columns: &[
        SEQUENCE,
        ORDINAL,
        TIME,
        must("effect", Kind::Text, "its name"),
        may("account", Kind::Text, "whom it concerns"),
        must("body", Kind::Text, "the whole of it, JSON, as the API says it"),
    ],
};

/// Margins over time.
pub(super) const MARGINS: Table = Table {
    name: "margins",
    row: "an account at a sample: after the first record at or after each multiple of the interval",
    columns: &[
        SEQUENCE,
        TIME,
        must("account", Kind::Text, "its name"),
        must("standing", Kind::Text, "`healthy`, `call`, `unvalued`, `liquidatable`, `insolvent`"),
        may("unvalued", Kind::Text, "why it cannot be valued; the amounts are missing then"),
        must("parameters", Kind::Count, "version of the parameters in force"),
        may("equity", Kind::Amount, "collateral after haircuts, marks, profit; valuation currency"),
        may("im", Kind::Amount, "initial margin, >= 0"),
        may("mm", Kind::Amount, "maintenance margin, >= 0"),
        may("im_excess", Kind::Amount, "equity less initial margin"),
        may("mm_excess", Kind::Amount, "equity less maintenance margin; liquidatable below zero"),
    ],
};

/// Parameters over time.
pub(super) const PARAMETERS: Table = Table {
    name: "parameters",
    row: "a cause of a change of a parameter",
    columns: &[
        SEQUENCE,
        ORDINAL,
        TIME,
        must("version", Kind::Count, "of all parameters after the change"),
        must("parameter", Kind::Text, "its name, scope included"),
        must("from", Kind::Amount, "what bound new risk before"),
        must("to", Kind::Amount, "what binds it from now on"),
        must("maintenance", Kind::Text, "the path for existing positions, JSON"),
        may("cause", Kind::Text, "what moved it; nothing when no cause was recorded"),
        may("part", Kind::Amount, "by how much, of the logarithm; the parts of a change add up to it"),
    ],
};

/// Liquidations and what came after.
pub(super) const LIQUIDATIONS: Table = Table {
    name: "liquidations",
    row: "a step of a liquidation: plan, trade, withdrawal, seizure, takeover of loss, deleveraging",
    columns: &[
        SEQUENCE,
        ORDINAL,
        TIME,
        must(
            "what",
            Kind::Text,
            "`liquidate`, `liquidated`, `withdrawn`, `seized`, `covered`, `deleveraged`",
        ),
        may("intent", Kind::Count, "the liquidation's number"),
        may("account", Kind::Text, "whose"),
        may("counterparty", Kind::Text, "who took, bought or paid"),
        may("instrument", Kind::Text, "of what contract"),
        may("asset", Kind::Text, "of what collateral"),
        may("quantity", Kind::Amount, "of the contract or collateral; > 0 given up by the account"),
        may("amount", Kind::Amount, "paid or covered, valuation currency; price of a lot where deleveraged"),
        may("why", Kind::Text, "why it was withdrawn"),
        must("body", Kind::Text, "the whole of it, JSON"),
    ],
};

/// All of them.
pub const TABLES: [Table; 5] = [EVENTS, EFFECTS, MARGINS, PARAMETERS, LIQUIDATIONS];

impl Kind {
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Count => DataType::Int64,
            Self::Text => DataType::Utf8,
            Self::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Self::Amount => DataType::Decimal128(DIGITS, SCALE),
        }
    }

    /// As Arrow's own notation has it.
    fn name(self) -> String {
        match self {
            Self::Count => "int64".to_owned(),
            Self::Text => "utf8".to_owned(),
            Self::Instant => "timestamp(ms, UTC)".to_owned(),
            Self::Amount => format!("decimal128({DIGITS}, {SCALE})"),
        }
    }
}

impl Table {
    /// Its Arrow schema.
    pub fn schema(&self) -> Schema {
        let field = |column: &Column| Field::new(column.name, column.kind.arrow(), column.nullable);
        Schema::new(self.columns.iter().map(field).collect::<Vec<_>>())
    }

    /// The page that is published of it: `docs/schemas/NAME.json`.
    pub fn page(&self) -> Value {
        let field = |column: &Column| json!({ "name": column.name, "type": column.kind.name(), "nullable": column.nullable, "says": column.says });
        json!({
            "table": self.name,
            "row": self.row,
            "files": format!("table={}/day=YYYY-MM-DD/part-00000.parquet", self.name),
            "order": "as written: `sequence` never falls",
            "fields": self.columns.iter().map(field).collect::<Vec<_>>(),
        })
    }
}
