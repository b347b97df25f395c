//! The engine over HTTP and WebSocket.
//!
//! **The one idea:** an answer is read from the engine as it stands after some event, and says after which: sequence, instant,
//! version of the parameters, validity. What changes something is an event and goes through the journal like any other.
//!
//! **Must never know:** a formula; what is in the journal.

mod accounts;
mod answer;
mod channel;
mod compared;
mod contributions;
mod dashboard;
mod events;
mod legs;
mod market;
mod overview;
mod parameters;
mod pictures;
mod rpc;
mod socket;
mod system;

use crate::doors::{Doors, Served, admitted};
use crate::host::{Applied, Host, Ingest, Listener, ServerConfig, Shared, moment};
use crate::signer::Publication;
use crate::wire::schema;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use plimsoll_engine::live::{Body, Effect};
use plimsoll_types::{Asset, Timestamp, UnderlyingMarket};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
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
    doors: Arc<Doors>,
    heard: Heard,
    /// Long computations at once: of each kind fewer than there are threads, so that short ones are answered meanwhile.
    long: Arc<Semaphore>,
    overview: overview::Cache,
    compared: compared::Kept,
    publication: Arc<Publication>,
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
    /// The last chain of every underlying that was taken: the engine keeps what was fitted to it, and not its quotes.
    chains: Arc<Mutex<BTreeMap<Asset, Chain>>>,
}

/// Quotes, and the instant they speak of.
pub(super) type Chain = (Timestamp, Box<UnderlyingMarket>);

impl Heard {
    /// For sockets that may be so many messages behind.
    pub fn new(backlog: usize) -> Self {
        Self {
            notable: broadcast::Sender::new(backlog),
            margins: watch::Sender::new(0),
            chains: Arc::default(),
        }
    }

    /// What the engine's thread calls.
    pub fn listener(&self) -> Listener {
        let heard = self.clone();
        Box::new(move |event, applied| {
            heard.keep(&event.body, &applied.effects);
            heard.hear(applied);
        })
    }

    /// The last chain of an underlying since the server was started.
    fn chain(&self, underlying: &Asset) -> Option<Chain> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner).get(underlying).cloned()
    }

    fn keep(&self, body: &Body, effects: &[Effect]) {
        let Body::Chain { underlying, time, quotes } = body else { return };
        if !effects.iter().any(|effect| matches!(effect, Effect::Rejected(_))) {
            let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
            chains.insert(underlying.clone(), (*time, quotes.clone()));
        }
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
    pub fn new(host: &Host, limits: ServerConfig, doors: Doors, heard: Heard) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            ingest: Arc::clone(&host.ingest),
            shared: Arc::clone(&host.shared),
            limits,
            doors: Arc::new(doors),
            heard,
            long: Arc::new(Semaphore::new(1)),
            overview: overview::Cache::default(),
            compared: compared::Kept::default(),
            publication: Arc::default(),
            metrics: recorder()?,
            began: moment(),
        }))
    }

    /// What a publisher tells of, for whoever asks here.
    pub fn publication(&self) -> Arc<Publication> {
        Arc::clone(&self.publication)
    }

    /// Every route, and the document that describes them.
    pub fn router(self: &Arc<Self>) -> axum::Router {
        let (router, document) = described().split_for_parts();
        let page = SwaggerUi::new("/docs").url("/openapi.json", document);
        let (limits, doors) = (&self.limits, Arc::clone(&self.doors));
        router
            .merge(page)
            .route("/", get(dashboard::page))
            .route("/app.js", get(dashboard::script))
            .route("/app.css", get(dashboard::style))
            .fallback(answer::no_route)
            .method_not_allowed_fallback(answer::no_method)
            .layer(DefaultBodyLimit::max(limits.body_bytes_max))
            .layer(middleware::from_fn(move |request, next| admitted(Arc::clone(&doors), request, next)))
            .layer(middleware::from_fn_with_state(Arc::clone(self), watched))
            .with_state(Arc::clone(self))
    }
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Page::openapi())
        .routes(routes!(system::health))
        .routes(routes!(system::metrics))
        .routes(routes!(system::journal))
        .routes(routes!(system::whoami))
        .routes(routes!(overview::overview))
        .routes(routes!(overview::totals))
        .routes(routes!(compared::history))
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
        .routes(routes!(contributions::contributors))
        .routes(routes!(pictures::book))
        .routes(routes!(pictures::legs))
        .routes(routes!(pictures::quotes))
        .routes(routes!(pictures::compare))
        .routes(routes!(pictures::presets))
        .routes(routes!(pictures::terms))
        .routes(routes!(parameters::parameters))
        .routes(routes!(parameters::history))
        .routes(routes!(parameters::published))
        .routes(routes!(parameters::proposals, parameters::propose))
        .routes(routes!(parameters::withdraw))
        .routes(routes!(events::liquidations))
        .routes(routes!(events::submit))
        .routes(routes!(socket::connect))
        .routes(routes!(rpc::call, rpc::connect))
}

/// The routes, with what any of them may be refused with.
fn described() -> OpenApiRouter<Arc<App>> {
    let mut router = routes();
    for item in router.get_openapi_mut().paths.paths.values_mut() {
        let verbs = [&mut item.get, &mut item.post, &mut item.delete];
        verbs.into_iter().flatten().for_each(answer::refusals);
    }
    let parts = router.get_openapi_mut().components.as_mut();
    if let Some(event) = parts.and_then(|parts| parts.schemas.get_mut("EventBody")) {
        schema::close(event);
    }
    router
}

/// The document that describes every route.
pub fn document() -> utoipa::openapi::OpenApi {
    described().into_openapi()
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

/// Serves until told to stop.
///
/// # Errors
/// When connections can no longer be accepted.
pub async fn serve(
    app: Arc<App>,
    open: Served,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let router = app.router();
    let comparing = tokio::spawn(app.compare_on());
    let served = open.serve(router, stop).await;
    comparing.abort();
    served
}
