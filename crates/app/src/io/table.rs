//! Parquet tables in stretches of rows, with typed columns.
//!
//! **The one idea:** every value stands for a text, that of a float being the shortest that reads back the same; what can
//! be read without making that text is handed on as it is.

use super::error::InputError;
use super::lines::wrong_columns;
use super::rows::{Columns, EachRow};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Int32Array, PrimitiveArray, RecordBatch, StringArray, StringViewArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};
use plimsoll_engine::Number;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of a stretch, at most.
const STRETCH: usize = 1 << 18;

/// Rows decoded at a time.
const BATCH: usize = 1 << 13;

/// A file that several threads read at places of their own.
#[derive(Clone)]
pub(super) struct SharedFile {
    file: Arc<Mutex<File>>,
    length: u64,
}

impl SharedFile {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(Mutex::new(file)), length })
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // A thread that died while it held the lock left nothing behind: every read begins with a seek.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.read(buffer)
    }
}

/// Reads on from a place of a shared file.
pub(super) struct From {
    file: SharedFile,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for SharedFile {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(From { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = Vec::with_capacity(length);
        From { file: self.clone(), at: start }.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} go beyond the end of the file"
            )));
        }
        Ok(bytes.into())
    }
}

/// A Parquet table with known columns.
pub(super) struct Table<R> {
    file: R,
    name: String,
    metadata: ArrowReaderMetadata,
    columns: Columns,
    places: Vec<Option<usize>>,
}

/// A stretch of the rows of a table, within one row group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    group: usize,
    offset: usize,
    rows: usize,
    /// Rows of the table before it.
    before: u64,
}

/// What the Parquet reader does; it panics on some damaged files, and that is a refusal like any other.
fn caught<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the file is damaged".to_owned()))
}

/// Keeps such panics from the standard error stream meanwhile.
pub(super) fn quietly<T>(read: impl FnOnce() -> T) -> T {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(read));
    std::panic::set_hook(usual);
    outcome.unwrap_or_else(|ours| std::panic::resume_unwind(ours))
}

/// The schema with texts as views, which are not copied, or as places in the file's own dictionary where a column of
/// `repeated` has one. The writer's Arrow types are ignored, so that text is text however the writer held it in memory.
fn metadata<R: ChunkReader>(file: &R, repeated: &[&str]) -> Result<ArrowReaderMetadata, ParquetError> {
    let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let found = ArrowReaderMetadata::load(file, plain)?;
    let groups = found.metadata().row_groups();
    let listed = |at: usize| {
        let in_group = |group: &RowGroupMetaData| group.columns().get(at)?.dictionary_page_offset();
        groups.iter().all(|group| group.num_rows() == 0 || in_group(group).is_some())
    };
    // Columns of the file and of the schema are the same where none is nested; a nested one is refused by its name.
    let held = |(at, field): (usize, &Arc<Field>)| match field.data_type() {
        DataType::Utf8 if repeated.contains(&field.name().as_str()) && listed(at) => {
            let (key, value) = (Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Field::clone(field).with_data_type(DataType::Dictionary(key, value))
        }
        DataType::Utf8 => Field::clone(field).with_data_type(DataType::Utf8View),
        _ => Field::clone(field),
    };
    let schema = Schema::new(found.schema().fields().iter().enumerate().map(held).collect::<Vec<_>>());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(found.metadata().clone(), options)
}

impl<R: ChunkReader + Clone + 'static> Table<R> {
    pub(super) fn open(file: R, name: &str, columns: Columns) -> Result<Self, InputError> {
        let refused = |reason| InputError::Parquet { file: name.to_owned(), reason };
        let metadata =
            caught(|| metadata(&file, columns.repeated).map_err(|e| e.to_string())).map_err(refused)?;
        let found: Vec<String> =
            metadata.schema().fields().iter().map(|field| field.name().clone()).collect();
        let places = columns.places(&found.iter().map(String::as_str).collect::<Vec<_>>());
        let places = places.ok_or_else(|| wrong_columns(name, &found, columns))?;
        Ok(Self { file, name: name.to_owned(), metadata, columns, places })
    }

    /// What the file is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn refused(&self, reason: String) -> InputError {
        InputError::Parquet { file: self.name.clone(), reason }
    }

    /// All rows, in stretches in their order.
    pub(super) fn spans(&self) -> Result<Vec<Span>, InputError> {
        let (mut spans, mut before) = (Vec::new(), 0);
        for (group, about) in self.metadata.metadata().row_groups().iter().enumerate() {
            let damaged = |_| self.refused("the file is damaged".to_owned());
            let all = usize::try_from(about.num_rows()).map_err(damaged)?;
            for offset in (0..all).step_by(STRETCH) {
                let rows = STRETCH.min(all - offset);
                spans.push(Span { group, offset, rows, before });
                before += rows as u64;
            }
        }
        Ok(spans)
    }

    fn reader(&self, span: Span) -> Result<ParquetRecordBatchReader, String> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups(vec![span.group])
            .with_offset(span.offset)
            .with_limit(span.rows)
            .with_batch_size(BATCH.min(span.rows))
            .build()
            .map_err(|e| e.to_string())
    }

    /// Hands some rows of a stretch at a time to `each`: their columns, how many there are and the number of rows of the
    /// table before them. Says how many rows there were in all.
    pub(super) fn each_batch(
        &self,
        span: Span,
        mut each: impl FnMut(&[Column], usize, u64) -> Result<(), InputError>,
    ) -> Result<u64, InputError> {
        let mut reader = caught(|| self.reader(span)).map_err(|e| self.refused(e))?;
        let mut rows = 0;
        while let Some(batch) =
            caught(|| reader.next().transpose().map_err(|e| e.to_string())).map_err(|e| self.refused(e))?
        {
            each(&self.typed(&batch)?, batch.num_rows(), span.before + rows)?;
            rows += batch.num_rows() as u64;
        }
        Ok(rows)
    }

    /// Hands every row to `each` with its number, and says how many there were.
    pub(super) fn each_row(&self, each: &mut EachRow<'_>) -> Result<u64, InputError> {
        let mut rows = 0;
        for span in self.spans()? {
            rows += self.each_batch(span, |columns, count, before| {
                for (at, row) in (0..count).zip(before + 1..) {
                    let numbers: Vec<Option<Number<'_>>> =
                        columns.iter().map(|column| column.number(at)).collect();
                    each(row, &numbers).map_err(|refusal| refusal.at(&self.name, "row", row))?;
                }
                Ok(())
            })?;
        }
        Ok(rows)
    }

    /// The columns of a batch, in the order of their names.
    fn typed(&self, batch: &RecordBatch) -> Result<Vec<Column>, InputError> {
        let required = self.columns.required.len();
        let typed = |(i, (place, name)): (usize, (&Option<usize>, &str))| {
            let Some(at) = place else { return Ok(Column::absent()) };
            let values = Values::of(batch.column(*at)).map_err(|found| {
                let (file, column) = (self.name.clone(), name.to_owned());
                InputError::Type { file, column, found }
            })?;
            Ok(Column { values, required: i < required })
        };
        self.places.iter().zip(self.columns.names()).enumerate().map(typed).collect()
    }
}

/// A column of a batch. A null, or an empty text, is nothing when the column is optional and empty text otherwise.
pub(super) struct Column {
    values: Values,
    required: bool,
}

enum Values {
    Absent,
    Texts(StringViewArray),
    /// Places in a list of texts.
    Listed(Int32Array, StringArray),
    Floats(PrimitiveArray<Float64Type>),
    Wholes(PrimitiveArray<Int64Type>),
    /// All of 64 bits, and how many of their digits are decimals.
    Decimals(PrimitiveArray<Decimal128Type>, u32),
    /// Of other types, as text.
    Printed(Vec<Option<String>>),
}

impl Column {
    fn absent() -> Self {
        Self { values: Values::Absent, required: false }
    }

    /// The value as a number, or what text it is.
    #[inline]
    pub(super) fn number(&self, at: usize) -> Option<Number<'_>> {
        let found = self.values.get(at).filter(|number| *number != Number::Text("") || self.required);
        found.or(self.required.then_some(Number::Text("")))
    }

    /// The list of texts that the values are places in.
    pub(super) fn list(&self) -> Option<&StringArray> {
        if let Values::Listed(_, texts) = &self.values { Some(texts) } else { None }
    }

    /// The place of the value in the list of texts.
    #[inline]
    pub(super) fn place(&self, at: usize) -> Option<usize> {
        let Values::Listed(places, _) = &self.values else { return None };
        places.is_valid(at).then(|| places.value(at) as usize)
    }

    /// Whether the value is seen to be the text of the row before; if not, it may still be.
    #[inline]
    pub(super) fn repeats(&self, at: usize) -> bool {
        let Values::Texts(texts) = &self.values else { return false };
        let views = texts.views();
        at > 0 && texts.null_count() == 0 && views.get(at) == views.get(at - 1)
    }

    /// The value as text; empty where there is none.
    #[inline]
    pub(super) fn text(&self, at: usize) -> Cow<'_, str> {
        match self.number(at) {
            None => Cow::Borrowed(""),
            Some(Number::Text(text)) => Cow::Borrowed(text),
            Some(number) => Cow::Owned(number.text().into_owned()),
        }
    }
}

impl Values {
    /// The values of an array, or its type when nothing can be read from that.
    fn of(array: &ArrayRef) -> Result<Self, String> {
        Ok(match array.data_type() {
            DataType::Utf8View => Self::Texts(array.as_string_view().clone()),
            DataType::Dictionary(..) => {
                let listed = array.as_dictionary::<Int32Type>();
                Self::Listed(listed.keys().clone(), listed.values().as_string().clone())
            }
            DataType::Float64 => Self::Floats(array.as_primitive().clone()),
            DataType::Int64 => Self::Wholes(array.as_primitive().clone()),
            DataType::Decimal128(_, scale) if (0..=18).contains(scale) => {
                let values: &PrimitiveArray<Decimal128Type> = array.as_primitive();
                if values.values().iter().all(|value| i64::try_from(*value).is_ok()) {
                    Self::Decimals(values.clone(), u32::from(scale.unsigned_abs()))
                } else {
                    Self::Printed(printed(array)?)
                }
            }
            _ => Self::Printed(printed(array)?),
        })
    }

    #[inline]
    fn get(&self, at: usize) -> Option<Number<'_>> {
        match self {
            Self::Absent => None,
            Self::Texts(array) => array.is_valid(at).then(|| Number::Text(array.value(at))),
            Self::Listed(places, texts) => {
                let place = places.is_valid(at).then(|| places.value(at) as usize)?;
                texts.is_valid(place).then(|| Number::Text(texts.value(place)))
            }
            Self::Floats(array) => array.is_valid(at).then(|| Number::Float(array.value(at))),
            Self::Wholes(array) => {
                array.is_valid(at).then(|| Number::Decimal { mantissa: array.value(at), scale: 0 })
            }
            Self::Decimals(array, scale) => array
                .is_valid(at)
                .then(|| Number::Decimal { mantissa: array.value(at) as i64, scale: *scale }),
            Self::Printed(texts) => texts.get(at)?.as_deref().map(Number::Text),
        }
    }
}

/// The values of a column as text; a float in its shortest form that reads back the same.
fn printed(array: &ArrayRef) -> Result<Vec<Option<String>>, String> {
    match array.data_type() {
        DataType::Float32 => {
            let floats: &PrimitiveArray<Float32Type> = array.as_primitive();
            Ok(floats.iter().map(|x| x.map(|x| format!("{x:?}"))).collect())
        }
        DataType::Boolean => Ok(array.as_boolean().iter().map(|x| x.map(|x| x.to_string())).collect()),
        DataType::Int8 => Ok(wholes::<Int8Type>(array)),
        DataType::Int16 => Ok(wholes::<Int16Type>(array)),
        DataType::Int32 => Ok(wholes::<Int32Type>(array)),
        DataType::UInt8 => Ok(wholes::<UInt8Type>(array)),
        DataType::UInt16 => Ok(wholes::<UInt16Type>(array)),
        DataType::UInt32 => Ok(wholes::<UInt32Type>(array)),
        DataType::UInt64 => Ok(wholes::<UInt64Type>(array)),
        DataType::Decimal128(..) => Ok(decimals::<Decimal128Type>(array)),
        DataType::Decimal256(..) => Ok(decimals::<Decimal256Type>(array)),
        other => Err(other.to_string()),
    }
}

fn wholes<T>(array: &ArrayRef) -> Vec<Option<String>>
where
    T: arrow_array::ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    let values: &PrimitiveArray<T> = array.as_primitive();
    values.iter().map(|x| x.map(|x| x.to_string())).collect()
}

fn decimals<T: DecimalType>(array: &ArrayRef) -> Vec<Option<String>> {
    let values: &PrimitiveArray<T> = array.as_primitive();
    (0..values.len()).map(|i| values.is_valid(i).then(|| values.value_as_string(i))).collect()
}
