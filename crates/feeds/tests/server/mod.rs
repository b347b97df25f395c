//! A server that plays a script: on a real socket, and as badly as it is told to.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use super::common::at;
use futures_util::{SinkExt, StreamExt};
use plimsoll_feeds::address::{Allowed, Endpoint};
use plimsoll_feeds::link::{Limits, Outside, Source, Transport};
use plimsoll_types::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_tungstenite::tungstenite::{Message, protocol::Role};
use tokio_tungstenite::{WebSocketStream, tungstenite::handshake::derive_accept_key};

/// What the server does next on a WebSocket.
#[derive(Clone, Debug)]
pub enum Act {
    Text(String),
    Binary(Vec<u8>),
    /// Bytes as they are, past the protocol.
    Raw(Vec<u8>),
    /// A text frame a few bytes at a time.
    Slow(String),
    /// Text without end, as fast as it goes.
    Flood,
    /// Nothing, while the connection stays.
    Stall,
    /// The connection is cut, without a word.
    Drop,
    /// Waits until a text came that contains this.
    WaitFor(String),
    /// A path is answered with a body from now on; whoever asked for it before has waited.
    Serve(String, String),
    /// Waits until something more was fetched, and a moment for it to arrive.
    WaitForFetch,
}

#[derive(Default)]
struct Inner {
    scripts: Mutex<VecDeque<Vec<Act>>>,
    heard: Mutex<Vec<Vec<String>>>,
    bodies: Mutex<BTreeMap<String, String>>,
    events: Mutex<VecDeque<Vec<Vec<u8>>>>,
    requests: Mutex<Vec<String>>,
    redirect: Mutex<Option<String>>,
    connections: AtomicUsize,
    fetches: AtomicUsize,
}

pub struct Server {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

/// A clock that goes on by a millisecond whenever it is looked at, a counter for chance, and trust in nobody.
pub fn outside() -> Outside {
    let roots = RootCertStore::empty();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    with_tls(config.with_root_certificates(roots).with_no_client_auth())
}

fn with_tls(config: ClientConfig) -> Outside {
    let (millis, count) = (AtomicI64::new(0), AtomicU64::new(0));
    let start = at().nanos();
    Outside {
        clock: Arc::new(move || {
            Timestamp::from_nanos(start + millis.fetch_add(1_000_000, Ordering::Relaxed))
        }),
        chance: Arc::new(move || count.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)),
        tls: Arc::new(config),
    }
}

pub fn source(server: &Server, transport: Transport, limits: Limits) -> Source {
    let allowed = Allowed { loopback: true, ..Allowed::default() };
    let endpoint =
        |scheme: &str| Endpoint::read(&format!("{scheme}://{}/", server.address), &allowed).unwrap();
    let scheme = if transport == Transport::WebSocket { "ws" } else { "http" };
    Source { transport, stream: endpoint(scheme), rest: Some(endpoint("http")), allowed, limits }
}

impl Server {
    /// Plays a script for each WebSocket in turn; one without a script is held open.
    pub async fn start(scripts: Vec<Vec<Act>>) -> Self {
        Self::serve_on(scripts, None).await
    }

    /// The same over TLS, and an outside that trusts it.
    pub async fn start_tls(scripts: Vec<Vec<Act>>) -> (Self, Outside) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let server = server.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        (Self::serve_on(scripts, Some(TlsAcceptor::from(Arc::new(server)))).await, with_tls(client))
    }

    async fn serve_on(scripts: Vec<Vec<Act>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner { scripts: Mutex::new(scripts.into()), ..Inner::default() });
        let serving = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (inner, tls) = (serving.clone(), tls.clone());
                inner.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, &inner).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, &inner).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, inner }
    }

    /// What the client said on a WebSocket, by its number.
    pub fn heard(&self, connection: usize) -> Vec<String> {
        self.inner.heard.lock().unwrap()[connection].clone()
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// Answers a path with a body from now on.
    pub fn serve(&self, path: &str, body: &str) {
        self.inner.bodies.lock().unwrap().insert(path.to_owned(), body.to_owned());
    }

    /// Answers the next request for events with these chunks.
    pub fn serve_events(&self, chunks: Vec<Vec<u8>>) {
        self.inner.events.lock().unwrap().push_back(chunks);
    }

    pub fn redirect(&self, to: &str) {
        *self.inner.redirect.lock().unwrap() = Some(to.to_owned());
    }

    /// How often a path was fetched.
    pub fn fetched(&self, path: &str) -> usize {
        self.inner.requests.lock().unwrap().iter().filter(|r| r.contains(path)).count()
    }

    /// The last request for a path, with its headers.
    pub fn request(&self, path: &str) -> String {
        self.inner.requests.lock().unwrap().iter().rfind(|r| r.contains(path)).unwrap().clone()
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut stream: S, inner: &Arc<Inner>) {
    let Some(head) = head(&mut stream).await else { return };
    inner.requests.lock().unwrap().push(head.clone());
    let redirect = inner.redirect.lock().unwrap().clone();
    if let Some(to) = redirect {
        let text = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.write_all(text.as_bytes()).await;
        return;
    }
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    match key {
        Some(key) => {
            let accept = derive_accept_key(key.as_bytes());
            let text = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
            );
            stream.write_all(text.as_bytes()).await.unwrap();
            play(stream, inner).await;
        }
        None if head.contains("text/event-stream") => events(stream, inner).await,
        None => body(stream, &head, inner).await,
    }
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn body<S: AsyncWrite + Unpin>(mut stream: S, head: &str, inner: &Arc<Inner>) {
    let path = head.split_whitespace().nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    let mut body = None;
    for _ in 0..400 {
        body = inner.bodies.lock().unwrap().get(path).cloned();
        if body.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let text = match body {
        Some(body) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    inner.fetches.fetch_add(1, Ordering::Relaxed);
}

async fn events<S: AsyncWrite + Unpin>(mut stream: S, inner: &Arc<Inner>) {
    let chunks = inner.events.lock().unwrap().pop_front().unwrap_or_default();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let _ = stream.write_all(head).await;
    for chunk in chunks {
        let _ = stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await;
        let _ = stream.write_all(&chunk).await;
        let _ = stream.write_all(b"\r\n").await;
        let _ = stream.flush().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
}

async fn play<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, inner: &Arc<Inner>) {
    let connection = {
        let mut heard = inner.heard.lock().unwrap();
        heard.push(Vec::new());
        heard.len() - 1
    };
    let script = inner.scripts.lock().unwrap().pop_front().unwrap_or_else(|| vec![Act::Stall]);
    // Reading and writing are apart, so that a script may write past the protocol.
    let (read, mut write) = tokio::io::split(stream);
    let hearing = inner.clone();
    let reader = tokio::spawn(async move {
        let wire = tokio::io::join(read, tokio::io::sink());
        let mut socket = WebSocketStream::from_raw_socket(wire, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message {
                hearing.heard.lock().unwrap()[connection].push(text.to_string());
            }
        }
    });
    for act in script {
        let fetches = inner.fetches.load(Ordering::Relaxed);
        match act {
            Act::Text(text) => send(&mut write, Message::text(text)).await,
            Act::Binary(bytes) => send(&mut write, Message::binary(bytes)).await,
            Act::Raw(bytes) => drop(write.write_all(&bytes).await),
            Act::Slow(text) => {
                for piece in encoded(Message::text(text)).await.chunks(40) {
                    let _ = write.write_all(piece).await;
                    let _ = write.flush().await;
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
            }
            Act::Flood => {
                let frame = encoded(Message::text("x".repeat(60_000))).await;
                while write.write_all(&frame).await.is_ok() {}
            }
            Act::Stall => tokio::time::sleep(Duration::from_secs(30)).await,
            Act::Drop => {
                reader.abort();
                let _ = reader.await;
                let _ = write.shutdown().await;
                return;
            }
            Act::WaitFor(what) => {
                while !inner.heard.lock().unwrap()[connection].iter().any(|text| text.contains(&what)) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Act::Serve(path, body) => {
                // What was sent before is to have arrived.
                tokio::time::sleep(Duration::from_millis(300)).await;
                inner.bodies.lock().unwrap().insert(path, body);
            }
            Act::WaitForFetch => {
                // What was fetched before this was asked for counts too: there is one fetch to each.
                while inner.fetches.load(Ordering::Relaxed) <= fetches.saturating_sub(1) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    let _ = reader.await;
}

async fn send<W: AsyncWrite + Unpin>(write: &mut W, message: Message) {
    let frame = encoded(message).await;
    let _ = write.write_all(&frame).await;
    let _ = write.flush().await;
}

/// The bytes of a message as a server sends it.
async fn encoded(message: Message) -> Vec<u8> {
    let (mine, mut other) = tokio::io::duplex(8 << 20);
    let mut socket = WebSocketStream::from_raw_socket(mine, Role::Server, None).await;
    socket.send(message).await.unwrap();
    drop(socket);
    let mut bytes = Vec::new();
    other.read_to_end(&mut bytes).await.unwrap();
    bytes
}
