//! Where a feed may be reached, and where never.
//!
//! An address comes out of a configuration, and what it names out of a resolver that somebody else may run. So an address is taken only
//! if its scheme and host are listed, and a connection is made only to an address of the public internet, by the number that was looked
//! at and not by a name that may stand for another a moment later. Redirects are never followed ([`crate::link`]).

use crate::refusal::refuse;
use crate::{Reason, Refusal};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use hyper::Uri;
use std::collections::BTreeSet;

/// Which addresses a configuration may name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    /// Hosts, in lower case; `host:port` for another port than 443.
    pub hosts: BTreeSet<String>,
    /// Whether plain connections to this machine are let through: for tests, and for a process beside this one.
    pub loopback: bool,
}

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// A WebSocket.
    WebSocket,
    /// HTTP.
    Http,
}

/// An address that may be connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// What is spoken.
    pub scheme: Scheme,
    /// Whether over TLS; plain only on this machine.
    pub tls: bool,
    /// The host's name or number.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl Endpoint {
    /// Reads an address and holds it against what is allowed.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for what is no address, or one with a user or a fragment in it; [`Reason::Domain`] for a scheme or host
    /// that is not listed, or a number of no public address.
    ///
    /// ```
    /// use plimsoll_feeds::address::{Allowed, Endpoint};
    /// let allowed = Allowed { hosts: ["www.deribit.com".to_owned()].into(), loopback: false };
    /// assert!(Endpoint::read("wss://www.deribit.com/ws/api/v2", &allowed).is_ok());
    /// for refused in ["ws://www.deribit.com/", "wss://www.deribit.com.evil.org/", "wss://www.deribit.com:22/",
    ///     "wss://www.deribit.com@10.0.0.1/", "file:///etc/passwd", "wss://127.0.0.1/", "https://169.254.169.254/"] {
    ///     assert!(Endpoint::read(refused, &allowed).is_err(), "{refused}");
    /// }
    /// ```
    pub fn read(text: &str, allowed: &Allowed) -> Result<Self, Refusal> {
        // Of the whole text nothing is repeated: there may be a key in its query.
        let malformed = |what: &str| Refusal::new(Reason::Malformed, what);
        if text.contains(['#', '@']) {
            return Err(malformed("an address with a user or a fragment"));
        }
        let uri: Uri = text.parse().map_err(|_| malformed("no address"))?;
        let (scheme, tls) = match uri.scheme_str() {
            Some("wss") => (Scheme::WebSocket, true),
            Some("ws") => (Scheme::WebSocket, false),
            Some("https") => (Scheme::Http, true),
            Some("http") => (Scheme::Http, false),
            other => return refuse(Reason::Domain, format_args!("scheme {}", other.unwrap_or("none"))),
        };
        let host = uri.host().ok_or_else(|| malformed("no host"))?.to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let endpoint = Self { scheme, tls, host, port, path };
        endpoint.held_against(allowed)?;
        Ok(endpoint)
    }

    fn held_against(&self, allowed: &Allowed) -> Result<(), Refusal> {
        let number: Option<IpAddr> = self.host.parse().ok();
        let here = self.host == "localhost" || number.is_some_and(|ip| ip.is_loopback());
        if here && allowed.loopback {
            return Ok(());
        }
        if !self.tls {
            return refuse(Reason::Domain, format_args!("plain connection to {}", self.host));
        }
        let listed = match self.port {
            443 => allowed.hosts.contains(&self.host),
            port => allowed.hosts.contains(&format!("{}:{port}", self.host)),
        };
        if !listed {
            return refuse(Reason::Domain, format_args!("{}:{} is not listed", self.host, self.port));
        }
        match number {
            Some(ip) => self.may_reach(ip, allowed),
            None => Ok(()),
        }
    }

    /// Whether what a name stands for may be connected to.
    ///
    /// # Errors
    /// [`Reason::Domain`] for an address that is not of the public internet; on this machine only where that is allowed, and then
    /// nothing else.
    pub fn may_reach(&self, ip: IpAddr, allowed: &Allowed) -> Result<(), Refusal> {
        let here = self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let may = if here && allowed.loopback { ip.is_loopback() } else { is_public(ip) };
        if may { Ok(()) } else { refuse(Reason::Domain, format_args!("{} is at {ip}", self.host)) }
    }

    /// The same host with another path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// Host and port as a `Host` header has them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Whether an address is of the public internet: in none of the ranges that IANA keeps for something else.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let kept = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !kept
}

/// Of IPv6 only what is given out for the world, 2000::/3, and of that nothing that stands for an IPv4 address or is set aside.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // 2001::/23: Teredo, benchmarks, ORCHID; documentation; 6to4; 3fff::/20.
    let kept = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    a & 0xe000 == 0x2000 && !kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(loopback: bool) -> Allowed {
        let hosts = ["api.example.com", "deep.example.com:8443", "93.184.215.14"].map(str::to_owned);
        Allowed { hosts: hosts.into(), loopback }
    }

    #[test]
    fn api7_only_listed_schemes_and_hosts_are_read() {
        for text in [
            "wss://api.example.com/ws",
            "https://API.example.com",
            "https://deep.example.com:8443/x?y=z",
            "https://93.184.215.14/",
        ] {
            assert!(Endpoint::read(text, &allowed(false)).is_ok(), "{text}");
        }
        for text in [
            "ws://api.example.com/",
            "http://api.example.com/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "gopher://api.example.com/",
            "https://api.example.com:8443/",
            "https://deep.example.com/",
            "https://api.example.com.evil.org/",
            "https://evil.org/?api.example.com",
            "https://user@api.example.com/",
            "https://api.example.com#@evil.org/",
            "https://127.0.0.1/",
            "https://localhost/",
            "http://[::1]/",
            "https://2130706433/",
            "//api.example.com",
            "api.example.com",
            "",
            "https://",
        ] {
            assert!(Endpoint::read(text, &allowed(false)).is_err(), "{text}");
        }
    }

    #[test]
    fn api7_this_machine_is_reached_only_where_that_is_said_and_by_nothing_that_is_elsewhere() {
        let here = Endpoint::read("ws://127.0.0.1:9000/ws", &allowed(true)).unwrap();
        assert!(here.may_reach("127.0.0.1".parse().unwrap(), &allowed(true)).is_ok());
        assert!(here.may_reach("10.0.0.1".parse().unwrap(), &allowed(true)).is_err());
        assert!(here.may_reach("8.8.8.8".parse().unwrap(), &allowed(true)).is_err());
        assert!(Endpoint::read("ws://10.0.0.1/", &allowed(true)).is_err());
        let there = Endpoint::read("wss://api.example.com/", &allowed(true)).unwrap();
        assert!(there.may_reach("127.0.0.1".parse().unwrap(), &allowed(true)).is_err());
    }

    #[test]
    fn api7_a_name_that_stands_for_a_private_address_is_refused_when_it_is_resolved() {
        let endpoint = Endpoint::read("wss://api.example.com/", &allowed(false)).unwrap();
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.53",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::",
            "3fff::1",
            "100::1",
        ] {
            let refused = endpoint.may_reach(ip.parse().unwrap(), &allowed(false));
            assert_eq!(refused.map_err(|r| r.reason), Err(Reason::Domain), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "1.1.1.1",
            "172.32.0.1",
            "192.169.0.1",
            "100.128.0.1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(endpoint.may_reach(ip.parse().unwrap(), &allowed(false)).is_ok(), "{ip}");
        }
    }
}
