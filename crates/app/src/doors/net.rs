//! Connections: so many at a time, encrypted beyond loopback, and none that says nothing.

use super::DoorsConfig;
use anyhow::{Context, bail};
use axum::extract::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 << 10;

/// Lines of the head.
const HEAD_LINES: usize = 64;

/// A connection's place among those that may be open. Whoever goes on after it, as a WebSocket does, keeps it.
#[derive(Clone, Debug)]
pub struct Seat(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Takes a connection while there is room.
#[derive(Clone, Debug)]
struct Seated(Arc<Semaphore>);

impl<S> Accept<TcpStream, S> for Seated {
    type Stream = TcpStream;
    type Service = AddExtension<S, Seat>;
    type Future = Ready<io::Result<(TcpStream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            metrics::counter!("plimsoll_connections_refused_total").increment(1);
            return ready(Err(io::Error::other("too many connections")));
        };
        let seated = Extension(Seat(Arc::new(permit))).layer(service);
        ready(stream.set_nodelay(true).map(|()| (stream, seated)))
    }
}

/// Where to serve, and how.
#[derive(Debug)]
pub struct Served {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    config: DoorsConfig,
}

/// Listens at an address; beyond loopback only with a certificate and with keys.
///
/// # Errors
/// When the address cannot be bound, is open to strangers, or the certificate is none.
pub async fn open(address: SocketAddr, config: &DoorsConfig) -> anyhow::Result<Served> {
    let tls = check(address, config)?.map(RustlsConfig::from_config);
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))?;
    Ok(Served { listener, tls, config: config.clone() })
}

/// Whether an address may be listened at, and the encryption it is to have.
///
/// # Errors
/// When it is open to strangers, or the certificate is none.
pub fn check(address: SocketAddr, config: &DoorsConfig) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let tls = match (&config.certificate, &config.private_key) {
        (Some(certificate), Some(key)) => Some(tls(certificate, key)?),
        (None, None) => None,
        _ => bail!("`doors.certificate` and `doors.private_key` go together"),
    };
    if !address.ip().is_loopback() {
        if tls.is_none() {
            bail!(
                "`server.listen` is {address}: plain HTTP is served on loopback only; state `doors.certificate`"
            );
        }
        if config.keys.is_none() {
            bail!("`server.listen` is {address}: without `doors.keys` anybody could do anything");
        }
    }
    Ok(tls)
}

/// A certificate chain and its key, for HTTP/1.1.
fn tls(certificate: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let at = |path: &Path| path.display().to_string();
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| at(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| at(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and key")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Served {
    /// The address that is listened at.
    ///
    /// # Errors
    /// What the machine says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until told to stop; answers under way have a second to end.
    ///
    /// # Errors
    /// When connections can no longer be accepted.
    pub async fn serve(
        self,
        router: axum::Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let handle: Handle<SocketAddr> = Handle::new();
        let stopping = handle.clone();
        tokio::spawn(async move {
            stop.await;
            stopping.graceful_shutdown(Some(Duration::from_secs(1)));
        });
        let patience = Duration::from_secs(self.config.headers_seconds);
        let seated = Seated(Arc::new(Semaphore::new(self.config.connections)));
        let mut server = Server::from_listener(self.listener).handle(handle);
        // Said here and not of the server, whose connections could not become WebSockets then.
        *server.http_builder() = Builder::new(TokioExecutor::new()).http1_only();
        let mut http = server.http_builder().http1();
        http.timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_LINES);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let done = match self.tls {
            None => server.acceptor(seated).serve(service).await,
            Some(tls) => server.acceptor(RustlsAcceptor::new(tls).acceptor(seated)).serve(service).await,
        };
        done.context("serving")
    }
}
