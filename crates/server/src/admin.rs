//! The admin address: what is shown there of the program. Routes, and who may use them, are the control plane's.

mod connections;
mod proxied;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use headworks_control::{Access, Plane, Problem, Reloaded, Run, Status, Surroundings, router};
use headworks_edge::Asked;
use headworks_edge::metrics::{self, Process};
use headworks_edge::status::View;
use headworks_model::Config;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

use crate::acme::Standing;
use crate::console;
use crate::file::{Canonical, Refused};
use crate::live::Live;

/// What came of the last attempt to apply a configuration.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Applied {
    /// Seconds since 1970.
    pub(crate) at: u64,
    /// `applied` or `refused`; `judged`, where it was only asked what would change.
    pub(crate) result: &'static str,
    /// What was wrong, with places.
    pub(crate) errors: Vec<String>,
    /// What changed.
    pub(crate) changes: Vec<String>,
    /// What is right, but likely not what was meant.
    pub(crate) warnings: Vec<String>,
    /// What was wrong, for whoever asked.
    #[serde(skip)]
    pub(crate) problem: Option<Problem>,
}

impl Applied {
    pub(crate) fn refused(at: u64, refused: &Refused) -> Self {
        let faults = refused.faults();
        let errors = faults.iter().map(ToString::to_string).collect();
        let problem = Some(Problem::file_refused(&faults));
        Self { at, result: "refused", errors, changes: Vec::new(), warnings: Vec::new(), problem }
    }
}

/// What the admin address shows; written by the control loop.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    pub(crate) view: View,
    pub(crate) config: Option<Canonical>,
    /// What runs.
    pub(crate) running: Option<Arc<Config>>,
    pub(crate) last: Option<Applied>,
    pub(crate) process: Process,
    pub(crate) file: String,
    /// How orders of certificates stand, by the certificate's name.
    pub(crate) orders: BTreeMap<String, Standing>,
}

/// That the file be applied again, or judged.
pub(crate) struct ReloadAsked {
    pub(crate) run: Run,
    pub(crate) answer: oneshot::Sender<Applied>,
}

/// Shared between the control loop and the admin address.
pub(crate) struct Admin {
    pub(crate) shown: Mutex<Shown>,
    pub(crate) ready: AtomicBool,
    pub(crate) reloads: mpsc::Sender<ReloadAsked>,
    pub(crate) live: Live,
}

impl Admin {
    fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What runs.
    pub(crate) fn view(&self) -> View {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).view.clone()
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
    plane: Arc<Plane>,
    access: Access,
    left: impl Future<Output = ()> + Send + 'static,
) {
    let mut app = console::router().merge(router(&plane));
    if access == Access::Open {
        app = app.layer(middleware::from_fn(same_machine));
    }
    connections::serve(listener, app, plane.pass(), left).await;
}

/// What the control plane asks of the program. Relative paths start at `folder`.
pub(crate) fn surroundings(admin: &Arc<Admin>, folder: PathBuf) -> Surroundings {
    let with = || admin.clone();
    let (status_of, health_of, config_of, metrics_of, ready_of, reload_of, explain_of, live_of) =
        (with(), with(), with(), with(), with(), with(), with(), with());
    Surroundings {
        folder,
        status: Box::new(move || status(&status_of)),
        health: Box::new(move |group| health_of.view().target_group(&group)),
        config: Box::new(move || config_of.shown().config.map_or_else(|| json!({}), |config| config.value())),
        metrics: Box::new(move || {
            let shown = metrics_of.shown();
            let text = metrics::exposition(&shown.view, shown.process).map_err(|error| error.to_string())?;
            Ok((metrics::CONTENT_TYPE, text))
        }),
        ready: Box::new(move || ready_of.ready.load(Ordering::Acquire)),
        reload: Box::new(move |run| Box::pin(reload(reload_of.clone(), run))),
        explain: Box::new(move |asked| explain(&explain_of, asked)),
        live: Box::new(move |wanted| live_of.live.watch(&live_of, wanted)),
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

fn status(admin: &Admin) -> Status {
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
    let mut groups = shown.view.into_groups();
    Status { rest: out, groups: Box::new(move || groups.next()) }
}

/// Why a request would go where it would go, with targets as they are now.
fn explain(admin: &Admin, asked: Value) -> Result<Value, String> {
    let shown = admin.shown();
    let asked: Asked = serde_json::from_value(asked).map_err(|error| error.to_string())?;
    let config = shown.running.ok_or_else(|| "not ready".to_owned())?;
    let decision = headworks_edge::explain(&config, &shown.view, &asked).map_err(|error| error.to_string())?;
    Ok(json!(decision))
}

async fn reload(admin: Arc<Admin>, run: Run) -> Reloaded {
    let stopping = || Problem::unavailable("the program is stopping, or has too much to do");
    let (answer, applied) = oneshot::channel();
    let asked = admin.reloads.send_timeout(ReloadAsked { run, answer }, Duration::from_secs(60)).await;
    asked.map_err(|_| stopping())?;
    let mut applied = applied.await.map_err(|_| stopping())?;
    match applied.problem.take() {
        None => Ok(json!(applied)),
        Some(problem) => Err(problem),
    }
}

/// Tells those who listen of targets whose state has changed. Nothing is looked at while nobody listens.
pub(crate) async fn tell_states(admin: Arc<Admin>, plane: Arc<Plane>) {
    let mut known: BTreeMap<(String, String), &'static str> = BTreeMap::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !plane.has_listeners() {
            known.clear();
            continue;
        }
        let is_first = known.is_empty();
        let view = admin.view();
        let states = view.target_states().flat_map(|(group, targets)| {
            targets.into_iter().map(move |(address, state)| ((group.to_string(), address), state))
        });
        let now: BTreeMap<(String, String), &'static str> = states.collect();
        if !is_first {
            for ((group, address), state) in now.iter().filter(|(key, state)| known.get(*key) != Some(state)) {
                let from = known.get(&(group.clone(), address.clone()));
                plane.tell(
                    "target_state",
                    json!({ "target_group": group, "target": address, "from": from, "state": state }),
                );
            }
            for (group, address) in known.keys().filter(|key| !now.contains_key(*key)) {
                plane.tell("target_state", json!({ "target_group": group, "target": address, "state": null }));
            }
        }
        known = now;
    }
}
