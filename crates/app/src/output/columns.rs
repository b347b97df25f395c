//! A table as Parquet.

use super::table::{Cell, Kind, Table};
use anyhow::Context;
use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::io::Write;
use std::sync::Arc;

/// Digits a decimal column has room for.
const DIGITS: u8 = 38;

/// Writes the rows of a table as one Parquet file with zstd pages; amounts become decimals of the finest scale in
/// their column.
pub fn write_parquet(table: &Table, out: impl Write + Send) -> anyhow::Result<()> {
    let columns = table.columns.iter().enumerate().map(|(i, (name, kind))| {
        let cells = table.rows.iter().filter_map(move |row| row.get(i));
        array(cells, *kind)
            .map(|array| (name.as_str(), array, true))
            .with_context(|| format!("column {name}"))
    });
    let columns = columns.collect::<anyhow::Result<Vec<_>>>()?;
    let batch = RecordBatch::try_from_iter_with_nullable(columns).context("writing Parquet")?;
    let level = ZstdLevel::try_new(3).context("writing Parquet")?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer =
        ArrowWriter::try_new(out, batch.schema(), Some(properties)).context("writing Parquet")?;
    writer.write(&batch).context("writing Parquet")?;
    writer.close().context("writing Parquet")?;
    Ok(())
}

fn array<'a>(cells: impl Iterator<Item = &'a Cell> + Clone, kind: Kind) -> anyhow::Result<ArrayRef> {
    Ok(match kind {
        Kind::Text => Arc::new(cells.map(text).collect::<StringArray>()),
        Kind::Integer => Arc::new(cells.map(integer).collect::<Int64Array>()),
        Kind::Number => Arc::new(cells.map(number).collect::<Float64Array>()),
        Kind::Amount => Arc::new(amounts(cells)?),
    })
}

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn integer(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Integer(n) => Some(*n),
        _ => None,
    }
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Number(x, _) => Some(*x),
        _ => None,
    }
}

fn amounts<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> anyhow::Result<Decimal128Array> {
    let amount = |cell: &Cell| match cell {
        Cell::Amount(amount) => Some(*amount),
        _ => None,
    };
    let scale = cells.clone().filter_map(amount).map(|a| a.scale()).max().unwrap_or(0);
    let scaled = cells.map(|cell| {
        let Some(amount) = amount(cell) else { return Ok(None) };
        let up = 10_i128.checked_pow(scale - amount.scale());
        let whole = up.and_then(|up| amount.mantissa().checked_mul(up));
        whole.map(Some).with_context(|| format!("{amount} does not fit in {DIGITS} digits at scale {scale}"))
    });
    let values = scaled.collect::<anyhow::Result<Vec<_>>>()?;
    let scale = i8::try_from(scale).context("decimal scale")?;
    Decimal128Array::from(values).with_precision_and_scale(DIGITS, scale).context("decimal column")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Decimal128Type;
    use plimsoll_types::Decimal;

    #[test]
    fn amounts_of_different_scales_come_back_to_the_last_digit() {
        let mut table =
            Table::new("", &[("account", Kind::Text), ("im", Kind::Amount), ("n", Kind::Integer)]);
        for (account, amount) in [("a", Decimal::new(1, 6)), ("b", Decimal::new(-99_999_999_999, 2))] {
            table.push(vec![Cell::text(account), Cell::Amount(amount), Cell::count(1)]);
        }
        table.push(vec![Cell::text("c"), Cell::Empty, Cell::Empty]);
        let mut out = Vec::new();
        write_parquet(&table, &mut out).unwrap();
        let reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes::Bytes::from(out), 100);
        let batch = reader.unwrap().next().unwrap().unwrap();
        let amounts = batch.column(1).as_primitive::<Decimal128Type>();
        assert_eq!(amounts.value_as_string(0), "0.000001");
        assert_eq!(amounts.value_as_string(1), "-999999999.990000");
        assert!(amounts.is_null(2));
        assert_eq!(batch.column(0).as_string::<i32>().value(1), "b");
    }
}
