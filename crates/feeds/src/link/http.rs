//! HTTP: bodies that are fetched whole, and those that never end.

use super::dial::dial;
use super::source::{Outside, Source};
use crate::address::{Allowed, Endpoint};
use crate::{Reason, Refusal};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio_rustls::rustls::ClientConfig;

fn venue(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Venue, error)
}

/// A body on its way, with the task that drives its connection: dropped together.
pub(super) struct Arriving {
    body: Incoming,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Arriving {
    /// The next bytes; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(venue(error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    async fn whole(mut self, most: usize) -> Result<Bytes, Refusal> {
        let body = Limited::new(&mut self.body, most).collect().await;
        let too_long = || Refusal::new(Reason::TooLong, format_args!("a body of more than {most} bytes"));
        body.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { too_long() } else { venue(error) }
        })
    }
}

/// Asks for a path. Anything but 200 is a failure: a redirect is one, and is not followed.
pub(super) async fn get(
    endpoint: &Endpoint,
    accept: &'static str,
    headers: Vec<(&'static str, String)>,
    (source, outside): (&Source, &Outside),
) -> Result<Arriving, Refusal> {
    let wire = dial(endpoint, &source.allowed, &outside.tls).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(venue)?;
    let driver = tokio::spawn(async move {
        // How it ended, the body says.
        let _ = connection.await;
    });
    let mut request =
        Request::get(&endpoint.path).header("host", endpoint.authority()).header("accept", accept);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|_| Refusal::new(Reason::Malformed, "a header or a path"))?;
    let answer: Result<Response<Incoming>, _> = sender.send_request(request).await;
    match answer {
        Ok(response) if response.status() == StatusCode::OK => {
            Ok(Arriving { body: response.into_body(), driver })
        }
        other => {
            driver.abort();
            Err(other.map_or_else(venue, |response| venue(format_args!("answered {}", response.status()))))
        }
    }
}

/// Sends a body, and says the status that it is answered with, whatever that is: a redirect is an answer, and is not followed.
///
/// # Errors
/// [`Reason::Domain`] for an address that may not be reached, [`Reason::Venue`] where nothing is answered, [`Reason::Malformed`] for
/// headers that are none.
pub async fn post(
    endpoint: &Endpoint,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    (allowed, tls): (&Allowed, &Arc<ClientConfig>),
) -> Result<u16, Refusal> {
    let wire = dial(endpoint, allowed, tls).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(venue)?;
    // Whoever stops waiting lets the connection go.
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let mut request = Request::post(&endpoint.path).header("host", endpoint.authority());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| Refusal::new(Reason::Malformed, "a header or a path"))?;
    Ok(sender.send_request(request).await.map_err(venue)?.status().as_u16())
}

/// Fetches a body whole.
pub(super) async fn fetch(
    path: String,
    headers: Vec<(&'static str, String)>,
    (source, outside): (&Source, &Outside),
) -> (String, Result<Bytes, Refusal>) {
    let Some(rest) = &source.rest else { return (path, Err(venue("no address to fetch from"))) };
    let fetching = async {
        let arriving = get(&rest.with_path(&path), "application/json", headers, (source, outside)).await?;
        arriving.whole(source.limits.frame_bytes).await
    };
    let fetched = tokio::time::timeout(source.limits.connect, fetching).await;
    (path, fetched.unwrap_or_else(|_| Err(venue("fetch timed out"))))
}
