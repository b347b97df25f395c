//! Recordings of tardis.dev told again, from Parquet as from CSV: the same rows give the same readings, whatever holds them.

use super::error::{InputError, Refusal};
use super::rows::{Columns, each_row};
use plimsoll_feeds::Refusal as Refused;
use plimsoll_feeds::replay::{Named, Said, Table, Tape};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

const TRADES: Columns = Columns {
    required: &["symbol", "timestamp", "local_timestamp", "side", "price", "amount"],
    optional: &["exchange", "id"],
    repeated: &["exchange", "symbol", "side"],
};

const BOOK_CHANGES: Columns = Columns {
    required: &["symbol", "timestamp", "local_timestamp", "is_snapshot", "side", "price", "amount"],
    optional: &["exchange"],
    repeated: &["exchange", "symbol", "is_snapshot", "side"],
};

const DERIVATIVE_TICKER: Columns = Columns {
    required: &["symbol", "timestamp", "local_timestamp"],
    optional: &[
        "exchange",
        "funding_timestamp",
        "funding_rate",
        "predicted_funding_rate",
        "open_interest",
        "last_price",
        "index_price",
        "mark_price",
    ],
    repeated: &["exchange", "symbol"],
};

const OPTIONS_CHAIN: Columns = Columns {
    required: &["symbol", "timestamp", "local_timestamp", "mark_iv"],
    optional: &[
        "exchange",
        "type",
        "strike_price",
        "expiration",
        "open_interest",
        "last_price",
        "bid_price",
        "bid_amount",
        "bid_iv",
        "ask_price",
        "ask_amount",
        "ask_iv",
        "mark_price",
        "underlying_index",
        "underlying_price",
        "delta",
        "gamma",
        "vega",
        "theta",
        "rho",
    ],
    repeated: &["exchange", "symbol", "type", "underlying_index"],
};

/// The columns of a table, in the order that rows are handed on in.
fn columns(table: Table) -> Columns {
    match table {
        Table::Trades => TRADES,
        Table::BookChanges => BOOK_CHANGES,
        Table::DerivativeTicker => DERIVATIVE_TICKER,
        Table::OptionsChain => OPTIONS_CHAIN,
    }
}

/// Tells a recording, plain, compressed or Parquet, row by row, until `each` breaks: it is handed what a row comes to, or why it was refused.
/// Which table it is follows from its columns: gives it, and how many rows there were; nothing where it is of no table that is known. Memory
/// does not grow with the file.
///
/// # Errors
/// When the file cannot be read.
pub fn recording(
    path: &Path,
    (names, band): (&BTreeMap<String, Named>, f64),
    each: &mut dyn FnMut(Result<Said, Refused>) -> ControlFlow<()>,
) -> Result<Option<(Table, u64)>, InputError> {
    for table in [Table::OptionsChain, Table::BookChanges, Table::DerivativeTicker, Table::Trades] {
        let (mut tape, of) = (Tape::new(table, names.clone(), band), columns(table));
        let order: Vec<&str> = of.names().collect();
        let mut ended = None;
        let told = each_row(path, of, &mut |row, fields| -> Result<(), Refusal> {
            let place = |name: &str| order.iter().position(|column| *column == name);
            let field = |name: &str| {
                place(name).and_then(|at| fields.get(at).copied().flatten()).filter(|text| !text.is_empty())
            };
            match each(tape.row(&field)) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => {
                    ended = Some(row);
                    Err(Refusal::new("", "", "no more"))
                }
            }
        });
        match (told, ended) {
            (Ok(rows), _) | (Err(_), Some(rows)) => return Ok(Some((table, rows))),
            // Of another table, perhaps.
            (Err(InputError::Columns { .. }), None) => {}
            (Err(other), None) => return Err(other),
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    fn told(path: &Path) -> (Table, u64, Vec<Result<Said, Refused>>) {
        let mut said = Vec::new();
        let mut each = |row| {
            said.push(row);
            ControlFlow::Continue(())
        };
        let (table, rows) = recording(path, (&BTreeMap::new(), 0.01), &mut each).unwrap().unwrap();
        (table, rows, said)
    }

    fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = std::fs::File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// Symbol, time, whether of a snapshot, side, price, amount.
    type Row = (&'static str, i64, bool, &'static str, f64, f64);

    #[test]
    fn a_recording_says_the_same_from_parquet_as_from_csv() {
        let dir = tempfile::tempdir().unwrap();
        let (csv, columnar) = (dir.path().join("book.csv"), dir.path().join("book.parquet"));
        // Two changes, one row that is none, and a snapshot that begins the book anew.
        let rows = [
            ("BTC-PERPETUAL", 1_767_225_600_000_000_i64, true, "bid", 97_000.0, 10.0),
            ("BTC-PERPETUAL", 1_767_225_600_000_001, true, "ask", 97_000.5, 20.0),
            ("BTC-PERPETUAL", 1_767_225_600_000_002, false, "nobody", 97_001.0, 20.0),
            ("BTC-PERPETUAL", 1_767_225_600_000_003, false, "ask", 97_000.5, 0.0),
        ];
        let mut text = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n".to_owned();
        for (symbol, time, snapshot, side, price, amount) in rows {
            text += &format!("deribit,{symbol},{time},{},{snapshot},{side},{price},{amount}\n", time + 5);
        }
        std::fs::write(&csv, &text).unwrap();
        let texts = |read: fn(&Row) -> &'static str| -> ArrayRef {
            Arc::new(StringArray::from(rows.iter().map(read).collect::<Vec<_>>()))
        };
        let times = |late: i64| -> ArrayRef {
            Arc::new(Int64Array::from(rows.iter().map(|row| row.1 + late).collect::<Vec<_>>()))
        };
        parquet(
            &columnar,
            vec![
                ("exchange", texts(|_| "deribit")),
                ("symbol", texts(|row| row.0)),
                ("timestamp", times(0)),
                ("local_timestamp", times(5)),
                (
                    "is_snapshot",
                    Arc::new(BooleanArray::from(rows.iter().map(|row| row.2).collect::<Vec<_>>())),
                ),
                ("side", texts(|row| row.3)),
                ("price", Arc::new(Float64Array::from(rows.iter().map(|row| row.4).collect::<Vec<_>>()))),
                ("amount", Arc::new(Float64Array::from(rows.iter().map(|row| row.5).collect::<Vec<_>>()))),
            ],
        );
        let (from_csv, from_parquet) = (told(&csv), told(&columnar));
        assert_eq!(from_csv, from_parquet);
        assert_eq!((from_csv.0, from_csv.1), (Table::BookChanges, 4));
        assert_eq!(from_csv.2.iter().filter(|row| row.is_err()).count(), 1);
        // And the reader of the feeds says so too.
        let feeds = plimsoll_feeds::replay::csv(text.as_bytes(), BTreeMap::new(), 0.01).unwrap();
        assert_eq!(feeds.collect::<Vec<_>>(), from_csv.2);
        let other = dir.path().join("other.csv");
        std::fs::write(&other, "a,b\n1,2\n").unwrap();
        let mut first = |_| ControlFlow::Break(());
        assert_eq!(recording(&other, (&BTreeMap::new(), 0.01), &mut first).unwrap(), None);
        // Who has heard enough is told no more.
        for path in [&csv, &columnar] {
            let told = recording(path, (&BTreeMap::new(), 0.01), &mut first).unwrap();
            assert!(told.is_some_and(|(_, rows)| rows <= 2), "{told:?}");
        }
    }
}
