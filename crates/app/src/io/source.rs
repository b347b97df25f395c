//! Opening an input: a file or the standard input stream; plain, gzip or zstd by its first bytes; or Parquet.

use super::error::InputError;
use super::progress::Progress;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;

/// zstd windows up to this many bits are read; 27 and more need to be allowed explicitly.
const WINDOW_LOG_MAX: u32 = 31;

/// What some programs begin a text with.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The path that stands for the standard input stream.
pub const STDIN: &str = "-";

/// What came out of opening an input.
pub enum Content {
    /// Text, decompressed.
    Text(Box<dyn BufRead + Send>),
    /// A Parquet file on disk, read in pieces.
    ParquetFile(File),
    /// A Parquet file from a pipe; its index is at the end, so it is held whole.
    ParquetBytes(Bytes),
}

/// An opened input.
pub struct Source {
    /// The name as given; `<stdin>` for the standard input stream.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// The container a stream is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Container {
    Plain,
    Gzip,
    Zstd,
    Parquet,
}

impl Container {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            _ => Self::Plain,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Parquet => "Parquet",
        }
    }
}

impl Source {
    /// Opens `path`, or the standard input stream when it is `-`.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let name = display_name(path);
        let unreadable = |reason| InputError::Unreadable { file: name.clone(), reason };
        if path.as_os_str() == STDIN {
            let content = content(io::stdin(), None, &name).map_err(unreadable)?;
            return Ok(Self { name, content });
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if meta.is_dir() {
            return Err(unreadable(io::Error::new(io::ErrorKind::IsADirectory, "is a directory")));
        }
        if meta.is_file() && starts_as_parquet(&mut file).map_err(unreadable)? {
            return Ok(Self { name, content: Content::ParquetFile(file) });
        }
        let length = meta.is_file().then_some(meta.len());
        let content = content(file, length, &name).map_err(unreadable)?;
        Ok(Self { name, content })
    }

    /// The text of the input; refused when it is Parquet.
    pub fn text(self) -> Result<(String, Box<dyn BufRead + Send>), InputError> {
        match self.content {
            Content::Text(reader) => Ok((self.name, reader)),
            Content::ParquetFile(_) | Content::ParquetBytes(_) => {
                let reason = io::Error::new(io::ErrorKind::InvalidData, "is Parquet; expected text");
                Err(InputError::Unreadable { file: self.name, reason })
            }
        }
    }

    /// The whole text of a small input such as a parameter file; more than `limit` bytes are refused.
    pub fn read_small(path: &Path, limit: u64) -> Result<(String, String), InputError> {
        let (name, reader) = Self::open(path)?.text()?;
        let unreadable = |reason| InputError::Unreadable { file: name.clone(), reason };
        let mut text = String::new();
        let read = reader.take(limit + 1).read_to_string(&mut text).map_err(unreadable)?;
        if read as u64 > limit {
            let reason = format!("is longer than {limit} bytes");
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, reason)));
        }
        Ok((name, text))
    }
}

/// How an input is called in messages.
pub fn display_name(path: &Path) -> String {
    if path.as_os_str() == STDIN { "<stdin>".to_owned() } else { path.display().to_string() }
}

fn starts_as_parquet(file: &mut File) -> io::Result<bool> {
    use std::io::Seek;
    let mut head = Vec::with_capacity(4);
    Read::by_ref(file).take(4).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(Container::of(&head) == Container::Parquet)
}

fn content<R: Read + Send + 'static>(raw: R, length: Option<u64>, name: &str) -> io::Result<Content> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut counted = Counted { inner: raw, progress: Progress::bytes(&format!("reading {file}"), length) };
    let mut head = Vec::with_capacity(4);
    Read::by_ref(&mut counted).take(4).read_to_end(&mut head)?;
    let container = Container::of(&head);
    let whole: Chain<Cursor<Vec<u8>>, Counted<R>> = Cursor::new(head).chain(counted);
    let buffered = BufReader::with_capacity(1 << 16, whole);
    Ok(match container {
        Container::Parquet => Content::ParquetBytes(read_all(buffered)?),
        Container::Plain => text(buffered),
        Container::Gzip => decoded(flate2::bufread::MultiGzDecoder::new(buffered), container),
        Container::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            decoded(decoder, container)
        }
    })
}

fn read_all(mut reader: impl Read) -> io::Result<Bytes> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all)?;
    Ok(Bytes::from(all))
}

fn decoded<R: Read + Send + 'static>(decoder: R, container: Container) -> Content {
    text(Decoded { decoder, container })
}

fn text<R: Read + Send + 'static>(reader: R) -> Content {
    Content::Text(Box::new(BufReader::with_capacity(1 << 16, Unmarked { inner: reader, head: None })))
}

/// Passes over a UTF-8 byte order mark at the start of a text.
struct Unmarked<R> {
    inner: R,
    /// The first bytes, once they are read, as far as they were not handed on.
    head: Option<Cursor<Vec<u8>>>,
}

impl<R: Read> Read for Unmarked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = match &mut self.head {
            Some(head) => head,
            unread => {
                let mut first = Vec::with_capacity(BYTE_ORDER_MARK.len());
                let take = BYTE_ORDER_MARK.len() as u64;
                Read::by_ref(&mut self.inner).take(take).read_to_end(&mut first)?;
                if first == BYTE_ORDER_MARK {
                    first.clear();
                }
                unread.insert(Cursor::new(first))
            }
        };
        match head.read(buffer)? {
            0 => self.inner.read(buffer),
            read => Ok(read),
        }
    }
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

/// Says in words what is wrong with a compressed stream.
struct Decoded<R> {
    decoder: R,
    container: Container,
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|e| {
            let container = self.container.name();
            let reason = match e.kind() {
                io::ErrorKind::Interrupted => return e,
                io::ErrorKind::UnexpectedEof => format!("the {container} stream is truncated"),
                _ => format!("the {container} stream is damaged ({e})"),
            };
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text_of(bytes: Vec<u8>) -> io::Result<String> {
        let Content::Text(mut reader) = content(Cursor::new(bytes), None, "test")? else {
            panic!("not text");
        };
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_gzip_and_zstd_read_the_same() {
        let text = "account,instrument,quantity\n".repeat(500);
        assert_eq!(text_of(text.clone().into_bytes()).unwrap(), text);
        assert_eq!(text_of(gzip(&text)).unwrap(), text);
        assert_eq!(text_of(zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap(), text);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_only_at_the_start() {
        let marked = "\u{feff}a,b\n\u{feff}1,2\n".as_bytes().to_vec();
        let plain = "a,b\n\u{feff}1,2\n";
        assert_eq!(text_of(marked.clone()).unwrap(), plain);
        assert_eq!(text_of(zstd::encode_all(&marked[..], 3).unwrap()).unwrap(), plain);
        for short in ["", "a", "ab", "\u{feff}"] {
            assert_eq!(text_of(short.into()).unwrap(), short.trim_start_matches('\u{feff}'));
        }
    }

    #[test]
    fn members_and_frames_one_after_the_other_are_all_read() {
        let twice = [gzip("a\n"), gzip("b\n")].concat();
        assert_eq!(text_of(twice).unwrap(), "a\nb\n");
        let frames = [zstd::encode_all(&b"a\n"[..], 3).unwrap(), zstd::encode_all(&b"b\n"[..], 3).unwrap()];
        assert_eq!(text_of(frames.concat()).unwrap(), "a\nb\n");
    }

    #[test]
    fn a_window_of_27_bits_is_read() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"wide").unwrap();
        assert_eq!(text_of(encoder.finish().unwrap()).unwrap(), "wide");
    }

    #[test]
    fn a_truncated_stream_is_an_error_and_never_a_shorter_text() {
        let text = "0123456789abcdef\n".repeat(4000);
        for (bytes, name) in [(gzip(&text), "gzip"), (zstd::encode_all(text.as_bytes(), 3).unwrap(), "zstd")]
        {
            for keep in [bytes.len() / 2, bytes.len() - 1, 5] {
                let error = text_of(bytes[..keep].to_vec()).unwrap_err().to_string();
                assert_eq!(error, format!("the {name} stream is truncated"), "{keep} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn a_damaged_stream_is_an_error() {
        let mut bytes = gzip(&"0123456789abcdef\n".repeat(4000));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        assert!(text_of(bytes).unwrap_err().to_string().contains("gzip stream is"));
    }
}
