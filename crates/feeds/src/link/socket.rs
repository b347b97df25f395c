//! WebSockets.

use super::dial::{Wire, dial};
use super::source::{Outside, Source};
use crate::address::Endpoint;
use crate::{Reason, Refusal};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error::CapacityError};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub(super) type Socket = WebSocketStream<Box<dyn Wire>>;

/// Opens a WebSocket. Whatever is not the agreement to one, a redirect above all, is a failure.
pub(super) async fn open(
    source: &Source,
    headers: Vec<(&'static str, String)>,
    outside: &Outside,
) -> Result<Socket, Refusal> {
    let endpoint = &source.stream;
    let wire = dial(endpoint, &source.allowed, &outside.tls).await?;
    let most = source.limits.frame_bytes;
    let config = WebSocketConfig::default()
        .max_message_size(Some(most))
        .max_frame_size(Some(most))
        .max_write_buffer_size(most.saturating_add(1 << 20));
    let request = request(endpoint, headers)?;
    let opened = client_async_with_config(request, wire, Some(config)).await;
    opened.map(|(socket, _)| socket).map_err(|error| refusal(&error))
}

fn request(endpoint: &Endpoint, headers: Vec<(&'static str, String)>) -> Result<Request<()>, Refusal> {
    let scheme = if endpoint.tls { "wss" } else { "ws" };
    let uri = format!("{scheme}://{}{}", endpoint.authority(), endpoint.path);
    let mut request = uri.into_client_request().map_err(|error| refusal(&error))?;
    for (name, value) in headers {
        let mut value =
            HeaderValue::try_from(value).map_err(|_| Refusal::new(Reason::Malformed, "a header"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    Ok(request)
}

/// What a connection ended with.
pub(super) fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            Refusal::new(Reason::TooLong, format_args!("{size} bytes of at most {max_size}"))
        }
        Error::Protocol(error) => Refusal::new(Reason::Malformed, error),
        Error::Utf8(error) => Refusal::new(Reason::Malformed, error),
        Error::Http(response) => Refusal::new(Reason::Venue, format_args!("answered {}", response.status())),
        other => Refusal::new(Reason::Venue, other),
    }
}
