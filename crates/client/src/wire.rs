//! One request over one connection.

use crate::ClientError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The longest answer that is read.
const BYTES_MAX: usize = 256 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

fn failed(error: impl std::fmt::Display) -> ClientError {
    ClientError::Connection(error.to_string())
}

impl Server {
    /// Reads an address: `https`, or `http` on this machine.
    pub(crate) fn read(url: &str) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Address(format!("`{url}`: {why}"));
        let uri: Uri = url.parse().map_err(|_| wrong("no address"))?;
        let host = uri.host().ok_or_else(|| wrong("no host"))?.trim_matches(['[', ']']).to_owned();
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('@') {
            return Err(wrong("expected scheme, host and port alone"));
        }
        let here = host == "localhost" || host.parse().is_ok_and(|ip: core::net::IpAddr| ip.is_loopback());
        let tls = match uri.scheme_str() {
            Some("https") => Some(trusting()?),
            Some("http") if here => None,
            Some("http") => return Err(wrong("plain connections are made to this machine alone")),
            _ => return Err(wrong("expected https or http")),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { host, port, tls })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Sends a request and reads the answer whole.
    pub(crate) async fn send(
        &self,
        (verb, path): (&str, &str),
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let mut request = Request::builder().method(verb).uri(path).header("host", self.authority());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(failed)?;
        let exchange = self.exchange(request);
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| failed("no answer in time"))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(failed)?;
                Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(failed)?)
            }
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let driver = tokio::spawn(async move {
            // How it ended, the answer says.
            let _ = connection.await;
        });
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BYTES_MAX).collect().await;
        driver.abort();
        Ok((status, body.map_err(failed)?.to_bytes()))
    }
}

/// TLS that trusts what the machine trusts.
fn trusting() -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(Arc::new(builder.map_err(failed)?.with_root_certificates(roots).with_no_client_auth()))
}
