//! The engine over HTTP and WebSocket.
//!
//! **The one idea:** an answer is read from the engine as it stands after some event, and says after which: sequence, instant,
//! version of the parameters, validity. What changes something is an event and goes through the journal like any other.
//!
//! **Must never know:** a formula; what is in the journal.

mod accounts;
mod answer;
mod events;
mod market;
mod overview;
mod parameters;
mod socket;
mod system;

use crate::host::{Applied, Host, Ingest, Listener, ServerConfig, Shared, moment};
use anyhow::Context;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use plimsoll_engine::live::Effect;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, watch};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

pub use answer::{Answer, Problem};

/// What every request sees.
#[derive(Debug)]
pub struct App {
    ingest: Arc<Ingest>,
    shared: Arc<Shared>,
    limits: ServerConfig,
    heard: Heard,
    /// Long computations at once: of each kind fewer than there are threads, so that short ones are answered meanwhile.
    long: Arc<Semaphore>,
    overview: overview::Cache,
    metrics: PrometheusHandle,
    began: Instant,
}

/// What the engine's thread tells sockets.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What people wait for, whole and in order.
    notable: broadcast::Sender<Arc<Applied>>,
    /// That margins are new, and after which event: the latest only.
    margins: watch::Sender<u64>,
}

impl Heard {
    /// For sockets that may be so many messages behind.
    pub fn new(backlog: usize) -> Self {
        Self { notable: broadcast::Sender::new(backlog), margins: watch::Sender::new(0) }
    }

    /// What the engine's thread calls.
    pub fn listener(&self) -> Listener {
        let heard = self.clone();
        Box::new(move |_, applied| heard.hear(applied))
    }

    fn hear(&self, applied: &Arc<Applied>) {
        let silent = |effect: &Effect| {
            matches!(effect, Effect::Margins { .. } | Effect::Rejected(_) | Effect::Issues { .. })
        };
        if !applied.effects.iter().all(silent) {
            // Nobody may be listening.
            let _ = self.notable.send(Arc::clone(applied));
        }
        if applied.effects.iter().any(|effect| matches!(effect, Effect::Margins { .. })) {
            self.margins.send_replace(applied.sequence);
        }
    }
}

/// What the page says of all of it.
#[derive(OpenApi)]
#[openapi(info(
    title = "Plimsoll",
    description = "Margin of options, futures and perpetuals, recomputed as the market moves. Amounts, prices and \
quantities are decimals in text. Every answer says of which event of the journal it is, as of when, under which version \
of the parameters, and how far its numbers may be relied on."
))]
struct Page;

impl App {
    /// Around a host that runs.
    ///
    /// # Errors
    /// When metrics cannot be kept.
    pub fn new(host: &Host, limits: ServerConfig, heard: Heard) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            ingest: Arc::clone(&host.ingest),
            shared: Arc::clone(&host.shared),
            limits,
            heard,
            long: Arc::new(Semaphore::new(1)),
            overview: overview::Cache::default(),
            metrics: recorder()?,
            began: moment(),
        }))
    }

    /// Every route, and the document that describes them.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        let (router, document) = routes().split_for_parts();
        let page = SwaggerUi::new("/docs").url("/openapi.json", document);
        let limits = &self.limits;
        router
            .merge(page)
            .fallback(answer::no_route)
            .method_not_allowed_fallback(answer::no_method)
            .layer(DefaultBodyLimit::max(limits.body_bytes_max))
            .layer(middleware::from_fn_with_state(Arc::clone(self), watched))
            .with_state(Arc::clone(self))
    }
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Page::openapi())
        .routes(routes!(system::health))
        .routes(routes!(system::metrics))
        .routes(routes!(system::journal))
        .routes(routes!(overview::overview))
        .routes(routes!(overview::totals))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::account))
        .routes(routes!(accounts::margin))
        .routes(routes!(accounts::margins))
        .routes(routes!(accounts::explain))
        .routes(routes!(accounts::what_if))
        .routes(routes!(accounts::check))
        .routes(routes!(accounts::checks))
        .routes(routes!(accounts::greeks))
        .routes(routes!(accounts::heat_map))
        .routes(routes!(accounts::liquidation))
        .routes(routes!(market::instruments))
        .routes(routes!(market::surface))
        .routes(routes!(market::validity))
        .routes(routes!(market::greeks))
        .routes(routes!(parameters::parameters))
        .routes(routes!(parameters::history))
        .routes(routes!(parameters::proposals, parameters::propose))
        .routes(routes!(parameters::withdraw))
        .routes(routes!(events::liquidations))
        .routes(routes!(events::submit))
        .routes(routes!(socket::connect))
}

/// The document that describes every route.
pub fn document() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// One recorder for the process: metrics are kept however many servers there are.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let buckets = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0];
    let handle = PrometheusBuilder::new().set_buckets(&buckets)?.install_recorder();
    match handle {
        Ok(handle) => {
            let kept = handle.clone();
            // Histograms hold what was recorded until somebody folds it, whether or not anybody scrapes.
            let fold = move || loop {
                std::thread::sleep(Duration::from_secs(5));
                kept.run_upkeep();
            };
            std::thread::Builder::new().name("metrics".to_owned()).spawn(fold)?;
            Ok(RECORDER.get_or_init(|| handle).clone())
        }
        // Another thread was first.
        Err(error) => RECORDER.get().cloned().ok_or(error.into()),
    }
}

/// Times every request, and ends those that take too long.
async fn watched(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = moment();
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let limit = Duration::from_secs(app.limits.timeout_seconds);
    let done = tokio::time::timeout(limit, next.run(request)).await;
    let response = done.unwrap_or_else(|_| Problem::timeout(limit).into_response());
    let status = response.status().as_str().to_owned();
    metrics::counter!("plimsoll_requests_total", "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("plimsoll_request_seconds", "route" => route).record(begun.elapsed().as_secs_f64());
    response
}

/// Serves until told to stop, and says where it listens once it does.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    axum::serve(listener, app.router()).with_graceful_shutdown(stop).await.context("serving")
}

/// Listens at an address.
///
/// # Errors
/// When it cannot be bound.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening at {address}"))
}
