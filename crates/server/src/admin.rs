//! The admin address: health, readiness, metrics, status, reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use headworks_edge::Asked;
use headworks_edge::metrics::{self, Process};
use headworks_edge::status::View;
use headworks_model::Config;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

use crate::acme::Standing;

/// What came of the last attempt to apply a configuration.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Applied {
    /// Seconds since 1970.
    pub(crate) at: u64,
    /// `applied` or `refused`.
    pub(crate) result: &'static str,
    /// What was wrong, with places.
    pub(crate) errors: Vec<String>,
    /// What changed.
    pub(crate) changes: Vec<String>,
}

/// What the admin address shows; written by the control loop.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    pub(crate) view: View,
    pub(crate) config: Arc<Value>,
    /// What runs.
    pub(crate) running: Option<Arc<Config>>,
    pub(crate) last: Option<Applied>,
    pub(crate) process: Process,
    pub(crate) file: String,
    /// How orders of certificates stand, by the certificate's name.
    pub(crate) orders: BTreeMap<String, Standing>,
}

/// The answer to a reload.
pub(crate) type ReloadAnswer = oneshot::Sender<Applied>;

/// Shared between the control loop and the admin address.
pub(crate) struct Admin {
    pub(crate) shown: Mutex<Shown>,
    pub(crate) ready: AtomicBool,
    pub(crate) reloads: mpsc::Sender<ReloadAnswer>,
}

impl Admin {
    fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is shown.
    pub(crate) fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Serves the admin address until another process does, which `left` says; what was asked by then is answered.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    admin: Arc<Admin>,
    left: impl Future<Output = ()> + Send + 'static,
) {
    let app = axum::Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .route("/v1/status", get(status))
        .route("/v1/config", get(config))
        .route("/v1/explain", post(explain))
        .route("/v1/reload", post(reload))
        .layer(middleware::from_fn(same_machine))
        .with_state(admin);
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(left).await {
        tracing::error!(%error, "admin address failed");
    }
}

/// A page in the operator's browser must not reach this address through a public name that points at loopback, nor by a
/// request from another origin. Names without a dot are nobody's to publish.
async fn same_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let is_address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let foreign = request.headers().get(header::ORIGIN).is_some_and(|o| o != format!("http://{host}").as_str());
    if foreign || !(is_address || !name.contains('.') || name.ends_with(".localhost")) {
        return (StatusCode::FORBIDDEN, "this address is for this machine: use http://127.0.0.1 and its port\n")
            .into_response();
    }
    next.run(request).await
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    if admin.ready.load(Ordering::Acquire) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

async fn exposition(State(admin): State<Arc<Admin>>) -> Response {
    let shown = admin.shown();
    match metrics::exposition(&shown.view, shown.process) {
        Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let shown = admin.shown();
    let mut out = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "state": if admin.ready.load(Ordering::Acquire) { "serving" } else { "draining" },
        "started": shown.process.started,
        "uptime_seconds": unix_now().saturating_sub(shown.process.started),
        "workers": shown.process.workers,
        "configuration": {
            "file": shown.file,
            "reloads": { "applied": shown.process.reloads_applied, "refused": shown.process.reloads_refused },
            "last_reload": shown.last,
        },
    });
    if let (Value::Object(out), Value::Object(view)) = (&mut out, shown.view.to_json()) {
        out.extend(view);
    }
    for (certificate, standing) in &shown.orders {
        if let Some(Value::Object(certificate)) = out.pointer_mut("/certificates").and_then(|c| c.get_mut(certificate))
        {
            certificate.insert("order".to_owned(), json!(standing));
        }
    }
    Json(out)
}

async fn config(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json((*admin.shown().config).clone())
}

/// Why a request would go where it would go, with targets as they are now.
async fn explain(State(admin): State<Arc<Admin>>, Json(asked): Json<Asked>) -> Response {
    let shown = admin.shown();
    let Some(config) = shown.running else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    };
    match headworks_edge::explain(&config, &shown.view, &asked) {
        Ok(decision) => Json(decision).into_response(),
        Err(error) => {
            let problem = json!({ "title": "cannot be explained", "status": 400, "detail": error.to_string() });
            let as_problem = [(header::CONTENT_TYPE, "application/problem+json")];
            (StatusCode::BAD_REQUEST, as_problem, problem.to_string()).into_response()
        }
    }
}

async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    let (answer, applied) = oneshot::channel();
    let asked = admin.reloads.send_timeout(answer, Duration::from_secs(60)).await;
    match (asked, applied.await) {
        (Ok(()), Ok(applied)) if applied.errors.is_empty() => Json(applied).into_response(),
        (Ok(()), Ok(applied)) => (StatusCode::UNPROCESSABLE_ENTITY, Json(applied)).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "errors": ["the program is stopping"] }))).into_response(),
    }
}
