//! The program as a whole: health, metrics, status, configuration, reload, and the description of all of it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::status::status;
use super::{Door, Route, route, schema};
use crate::call::{Call, Reply};
use crate::change::Run;
use crate::difference::{shortened, shown};
use crate::openapi;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let text = json!({ "type": "string" });
    let any = json!({ "type": "object" });
    vec![
        route(Method::GET, "/healthz", "GetHealth", "health", |_| {
            Box::pin(async { Ok(plain(StatusCode::OK, "ok\n")) })
        })
        .behind(Door::Public)
        .about("Whether the program lives.")
        .answers(200, text.clone()),
        route(Method::GET, "/readyz", "GetReadiness", "readiness", |call| Box::pin(readyz(call)))
            .behind(Door::Public)
            .about("Whether clients are served; 503 from when the program begins to stop.")
            .answers(200, text.clone()),
        route(Method::GET, "/metrics", "GetMetrics", "metrics", |call| Box::pin(metrics(call)))
            .about("OpenMetrics, for Prometheus.")
            .answers(200, text),
        route(Method::GET, "/v1/status", "GetStatus", "status", |call| Box::pin(status(call)))
            .about("What runs: listeners, rules with hits, target groups with the state of each target, certificates.")
            .answers(200, any.clone()),
        route(Method::GET, "/v1/config", "GetConfiguration", "configuration", |call| Box::pin(config(call)))
            .about("The whole configuration that runs, from the file and the API, without secrets.")
            .answers(200, any.clone()),
        route(Method::POST, "/v1/explain", "ExplainRequest", "configuration", |call| Box::pin(explain(call)))
            .about("Why a request would go where it would go: listener, rules, conditions, group, targets.")
            .takes(any.clone())
            .answers(200, any.clone()),
        route(Method::POST, "/v1/reload", "ReloadConfiguration", "configuration", |call| Box::pin(reload(call)))
            .about("Has the file applied again. 422 when it is refused: what ran goes on.")
            .judges()
            .unconditional()
            .answers(200, any.clone()),
        route(Method::GET, "/v1/openapi.json", "GetDescription", "description", |_| {
            Box::pin(async { Ok(Reply::ok(&openapi::document())) })
        })
        .behind(Door::Known)
        .about("This description.")
        .answers(200, any),
        route(Method::GET, "/v1/iam/whoami", "GetCallerIdentity", "caller", |call| Box::pin(whoami(call)))
            .behind(Door::Known)
            .about("Who asks, as far as it is known.")
            .answers(200, schema("Caller")),
    ]
}

fn plain(status: StatusCode, text: &'static str) -> Reply {
    Reply::text(status, "text/plain; charset=utf-8", text)
}

async fn readyz(call: Call) -> Result<Reply, Problem> {
    Ok(match (call.plane.around.ready)() {
        true => plain(StatusCode::OK, "ready\n"),
        false => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    })
}

async fn metrics(call: Call) -> Result<Reply, Problem> {
    let (kind, text) = (call.plane.around.metrics)().map_err(Problem::unavailable)?;
    Ok(Reply::text(StatusCode::OK, kind, call.sight().sift_metrics(text)))
}

async fn config(call: Call) -> Result<Reply, Problem> {
    let mut config = (call.plane.around.config)();
    let desired = call.plane.desired();
    for (kind, name) in desired.ours() {
        let Some(entries) = config.as_object_mut() else { break };
        let of = entries.entry(kind.collection()).or_insert_with(|| json!({}));
        if let (Some(of), Some(body)) = (of.as_object_mut(), desired.config().resource(kind, name.as_str())) {
            of.insert(name.as_str().to_owned(), shown(kind, body));
        }
    }
    call.sight().sift(&mut config);
    Ok(Reply::ok(&config))
}

async fn explain(call: Call) -> Result<Reply, Problem> {
    let asked = call.json()?;
    for (key, such) in [("method", "GET"), ("url", "https://shop.example.com/api?x=1")] {
        if asked.is_object() && asked.get(key).and_then(Value::as_str).is_none() {
            return Err(Problem::invalid(key, format!("is missing, expected a text such as {such}")));
        }
    }
    let mut decision = (call.plane.around.explain)(asked).map_err(Problem::bad_request)?;
    call.sees(call.sight().sift_decision(&mut decision, call.plane.desired().config()))?;
    Ok(Reply::ok(&decision))
}

async fn reload(call: Call) -> Result<Reply, Problem> {
    let run = call.run()?;
    let mut applied = (call.plane.around.reload)(run).await?;
    let changes = applied.get("changes").and_then(Value::as_array).into_iter().flatten();
    let changes = changes.filter_map(Value::as_str).map(shortened).collect();
    call.sight().sift_applied(&mut applied, call.plane.desired().config());
    let told = |key: &str| applied.get(key).cloned().unwrap_or_default();
    let reply = match run {
        Run::Wet => Reply::ok(&applied),
        Run::Dry => Reply::ok(&json!({ "dry_run": true, "changes": told("changes"), "warnings": told("warnings") })),
    };
    Ok(reply.having_changed(changes))
}

async fn whoami(call: Call) -> Result<Reply, Problem> {
    let access = match call.plane.access {
        crate::plane::Access::Open => "none",
        crate::plane::Access::Required => "required",
    };
    Ok(Reply::ok(&json!({ "principal": call.asker.principal.to_string(), "auth": access })))
}
