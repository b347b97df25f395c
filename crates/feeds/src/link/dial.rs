//! Names to numbers to connections.

use crate::address::{Allowed, Endpoint};
use crate::{Reason, Refusal};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connection, plain or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

fn venue(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Venue, error)
}

/// Connects to an endpoint by the numbers that were looked at. One number among them that must not be reached is enough to refuse: a name
/// that stands for both is not to be trusted with either.
pub(super) async fn dial(
    endpoint: &Endpoint,
    allowed: &Allowed,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Wire>, Refusal> {
    let found: Vec<_> = lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(venue)?.collect();
    for address in &found {
        endpoint.may_reach(address.ip(), allowed)?;
    }
    let mut failed = venue("the name stands for no address");
    for address in found {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(venue)?;
                return secure(stream, endpoint, tls).await;
            }
            Err(error) => failed = venue(error),
        }
    }
    Err(failed)
}

async fn secure(
    stream: TcpStream,
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Wire>, Refusal> {
    if !endpoint.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(endpoint.host.clone()).map_err(venue)?;
    let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(venue)?;
    Ok(Box::new(stream))
}

/// TLS that trusts what the machine trusts.
///
/// # Errors
/// [`Reason::Venue`] where the machine trusts nobody, or the cipher suites do not fit.
pub fn system_roots() -> Result<Arc<ClientConfig>, Refusal> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(venue(format_args!("no root certificates: {:?}", found.errors)));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(venue)?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
