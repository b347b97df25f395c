//! Which database, and how it is reached.

use crate::{Error, Result};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A database, not yet connected.
#[derive(Clone)]
pub struct Target {
    config: Config,
    /// Nothing where the connection stays on this machine.
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target {{ encrypted: {} }}", self.tls.is_some())
    }
}

impl Target {
    /// From an address as libpq has it, URL or `key=value`. Beyond this machine the connection is encrypted and the server proves itself to
    /// one of the authorities (PEM), or of those the system trusts.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Plain`], [`Error::Certificates`].
    pub fn parse(address: &str, authorities: Option<&[u8]>) -> Result<Self> {
        let mut config: Config = address.trim().parse().map_err(|_| Error::Address)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Error::Address);
        }
        config.connect_timeout(Duration::from_secs(5));
        config.keepalives_idle(Duration::from_secs(30));
        config.application_name("plimsoll");
        if is_here(&config) {
            config.ssl_mode(SslMode::Disable);
            return Ok(Self { config, tls: None });
        }
        if config.get_ssl_mode() == SslMode::Disable {
            return Err(Error::Plain);
        }
        config.ssl_mode(SslMode::Require);
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Certificates(e.to_string()))?
            .with_root_certificates(roots(authorities)?)
            .with_no_client_auth();
        Ok(Self { config, tls: Some(MakeRustlsConnect::new(tls)) })
    }

    /// Connects; what the connection reads and writes is driven by a task of the runtime.
    pub(crate) async fn connect(&self) -> Result<Client> {
        // The task ends with the client; why a connection ended is told to whoever asks the client next.
        if let Some(tls) = self.tls.clone() {
            let (client, connection) = self.config.connect(tls).await?;
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::spawn(async move { drop(connection.await) });
            Ok(client)
        }
    }
}

/// Whether every host is this machine.
fn is_here(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn roots(authorities: Option<&[u8]>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authorities {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let added = certificate
                .map_err(|e| e.to_string())
                .and_then(|der| roots.add(der).map_err(|e| e.to_string()));
            added.map_err(Error::Certificates)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() { Err(Error::Certificates("none to trust".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_goes_unencrypted() {
        for here in
            ["postgres://u:p@127.0.0.1:5433/x", "postgres://u@localhost/x", "host=/run/postgresql user=u"]
        {
            assert!(Target::parse(here, None).unwrap().tls.is_none(), "{here}");
        }
        assert!(matches!(
            Target::parse("postgres://u:p@db.example/x?sslmode=disable", None),
            Err(Error::Plain)
        ));
        assert!(matches!(
            Target::parse("host=localhost hostaddr=192.0.2.7 user=u sslmode=disable", None),
            Err(Error::Plain)
        ));
        assert!(matches!(
            Target::parse("postgres://u:p@db.example/x", Some(b"")),
            Err(Error::Certificates(_))
        ));
    }

    #[test]
    fn an_address_that_is_none_is_not_repeated() {
        for wrong in ["postgres://u:hunter2@", "hunter2", "", "user=u password=hunter2"] {
            let refused = Target::parse(wrong, None).unwrap_err();
            assert!(matches!(refused, Error::Address), "{wrong}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }
}
