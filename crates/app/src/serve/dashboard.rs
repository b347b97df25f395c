//! The dashboard: its built files, in the binary.
//!
//! **Must never know:** anything of the engine; the page asks the public interface like everybody else.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::OnceLock;

/// A built file.
struct Built {
    kind: &'static str,
    plain: &'static [u8],
    /// Made when it is first asked for; `None` where it would not be smaller.
    zipped: OnceLock<Option<Vec<u8>>>,
}

impl Built {
    const fn new(kind: &'static str, plain: &'static [u8]) -> Self {
        Self { kind, plain, zipped: OnceLock::new() }
    }

    fn zipped(&self) -> Option<&[u8]> {
        let made = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(self.plain).ok()?;
            encoder.finish().ok()
        };
        self.zipped.get_or_init(made).as_deref().filter(|zipped| zipped.len() < self.plain.len())
    }
}

static PAGE: Built =
    Built::new("text/html; charset=utf-8", include_bytes!("../../../../dashboard/dist/index.html"));
static SCRIPT: Built =
    Built::new("text/javascript; charset=utf-8", include_bytes!("../../../../dashboard/dist/app.js"));
static STYLE: Built =
    Built::new("text/css; charset=utf-8", include_bytes!("../../../../dashboard/dist/app.css"));

/// Nothing from elsewhere, and nobody puts it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
pub(super) async fn page(headers: HeaderMap) -> Response {
    written(&PAGE, &headers)
}

/// Its script.
pub(super) async fn script(headers: HeaderMap) -> Response {
    written(&SCRIPT, &headers)
}

/// Its style.
pub(super) async fn style(headers: HeaderMap) -> Response {
    written(&STYLE, &headers)
}

fn written(built: &'static Built, headers: &HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let zipped = accepts.filter(|text| text.contains("gzip")).and_then(|_| built.zipped());
    let mut response = zipped.unwrap_or(built.plain).into_response();
    let mut say =
        |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    say(header::CONTENT_TYPE, built.kind);
    say(header::CACHE_CONTROL, "no-cache");
    say(header::VARY, "accept-encoding");
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    if zipped.is_some() {
        say(header::CONTENT_ENCODING, "gzip");
    }
    response
}
