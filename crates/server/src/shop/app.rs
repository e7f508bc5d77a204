//! The application: what every request handler knows, and the table of addresses.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::middleware;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;

use crate::shop::key::Key;
use crate::shop::page::{basket, browse, checkout, live, orders};
use crate::shop::store::Store;
use crate::shop::version::Version;
use crate::shop::{api, experiment, response};

/// Forms and JSON alike: the longest address fits several times.
const BODY_LIMIT: usize = 16 * 1024;

/// What every request handler knows.
#[derive(Debug)]
pub(crate) struct App {
    /// The instance's name.
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) key: Key,
    pub(crate) store: Store,
    /// The style sheet of every page.
    pub(crate) style: String,
    /// The content security policy of every answer.
    pub(crate) policy: HeaderValue,
    /// The instance's name as a header.
    pub(crate) badge: HeaderValue,
    /// Becomes `true` when the instance stops. What outlives its request holds a receiver until it is done.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// An instance that serves nobody yet.
    pub(crate) fn new(name: String, version: Version, key: Key, store: Store) -> Self {
        let style = format!("{}{}", version.theme(), include_str!("style.css"));
        let badge = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("unnamed"));
        let policy = policy(&style);
        Self { name, version, key, store, style, policy, badge, stopping: watch::Sender::new(false) }
    }

    /// Every address there is.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/", get(browse::index))
            .route("/products/{id}", get(browse::product))
            .route("/cart", get(basket::show).post(basket::change))
            .route("/checkout", get(checkout::show).post(checkout::place))
            .route("/orders", get(orders::list))
            .route("/orders/{id}", get(orders::show))
            .route("/live", get(live::show))
            .route("/assets/live.js", get(live::script))
            .route("/favicon.svg", get(live::icon))
            .route("/api/products", get(api::products))
            .route("/api/products/{id}", get(api::product))
            .route("/api/cart", get(api::cart).put(api::replace_cart).delete(api::empty_cart))
            .route("/api/orders", get(api::orders).post(api::place_order))
            .route("/api/orders/{id}", get(api::order))
            .route("/healthz", get(experiment::healthz))
            .route("/whoami", get(experiment::whoami))
            .route("/slow", get(experiment::slow))
            .route("/fail", get(experiment::fail))
            .route("/stream", get(experiment::stream))
            .route("/ws", get(experiment::echo))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn_with_state(Arc::clone(&self), response::finish))
            .with_state(self)
    }
}

/// How long the database may take before an instance says that it is unhealthy; below any sensible probe's timeout.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_millis(800);

/// The page's own style sheet is allowed by its hash; no script but our files is.
fn policy(style: &str) -> HeaderValue {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
