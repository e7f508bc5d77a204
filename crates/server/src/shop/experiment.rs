//! The doors for experiments with the load balancer: health, what arrives here, slowness, failure, a stream, an echo.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use axum::http::{Method, StatusCode, Uri, Version as HttpVersion};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::shop::app::{App, HEALTH_TIMEOUT};
use crate::shop::failure::Failure;

/// The slowest answer there is.
const SLOWEST: Duration = Duration::from_secs(10);

/// Lines of the stream, and the pause before each but the first.
const STREAM_LINES: u32 = 10;
const STREAM_PAUSE: Duration = Duration::from_millis(200);

/// The largest WebSocket message, and how long one is waited for.
const ECHO_LIMIT: usize = 64 * 1024;
const ECHO_IDLE: Duration = Duration::from_secs(600);

/// What of a request is told back: its routing, never its cookies or credentials.
const TOLD: [&str; 8] =
    ["host", "user-agent", "via", "x-version", "x-request-id", "x-real-ip", "forwarded", "x-amzn-trace-id"];

/// How slow.
#[derive(Debug, Deserialize)]
pub(crate) struct Slow {
    #[serde(default = "one_second")]
    ms: u64,
}

/// How to fail.
#[derive(Debug, Deserialize)]
pub(crate) struct Fail {
    #[serde(default = "server_error")]
    status: u16,
}

/// `GET /healthz`: 200 while the database answers.
pub(crate) async fn healthz(State(app): State<Arc<App>>) -> Response {
    match timeout(HEALTH_TIMEOUT, app.store.check()).await {
        Ok(Ok(())) => Json(json!({ "status": "ok" })).into_response(),
        Ok(Err(_)) | Err(_) => {
            let mut answer = Json(json!({ "status": "the database does not answer" })).into_response();
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            answer
        }
    }
}

/// `GET /whoami`: the instance, and the request as it arrived here.
pub(crate) async fn whoami(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    version: HttpVersion,
    headers: HeaderMap,
) -> Json<Value> {
    let mut told = Map::new();
    for (name, value) in &headers {
        if TOLD.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-") {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match told.get_mut(name.as_str()).and_then(Value::as_array_mut) {
                Some(values) => values.push(value.into()),
                None => _ = told.insert(name.as_str().to_owned(), json!([value])),
            }
        }
    }
    Json(json!({
        "instance": app.name,
        "version": app.version,
        "pid": std::process::id(),
        "request": format!("{method} {uri} {version:?}"),
        "headers": told,
    }))
}

/// `GET /slow?ms=`: answers late, after at most ten seconds.
pub(crate) async fn slow(State(app): State<Arc<App>>, Query(Slow { ms }): Query<Slow>) -> Json<Value> {
    let pause = Duration::from_millis(ms).min(SLOWEST);
    sleep(pause).await;
    Json(json!({ "instance": app.name, "slept_ms": pause.as_secs() * 1000 + u64::from(pause.subsec_millis()) }))
}

/// `GET /fail?status=`: answers with an error, 400 to 599.
pub(crate) async fn fail(
    State(app): State<Arc<App>>,
    Query(Fail { status }): Query<Fail>,
) -> Result<Response, Failure> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .ok_or(Failure::BadRequest("status is 400 to 599"))?;
    Ok((status, Json(json!({ "instance": app.name, "status": status.as_u16() }))).into_response())
}

/// `GET /stream`: ten lines, one every 200 ms, of a length not known at the start.
pub(crate) async fn stream(State(app): State<Arc<App>>) -> Response {
    let lines = stream::unfold(1, move |number| {
        let app = Arc::clone(&app);
        async move {
            if number > STREAM_LINES {
                return None;
            }
            if number > 1 {
                sleep(STREAM_PAUSE).await;
            }
            let line = format!("line {number} of {STREAM_LINES} from {} {}\n", app.name, app.version);
            Some((Ok::<_, Infallible>(Bytes::from(line)), number + 1))
        }
    });
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(CONTENT_TYPE, content_type)], Body::from_stream(lines)).into_response()
}

/// `GET /ws`: a WebSocket that sends back what it gets.
pub(crate) async fn echo(State(app): State<Arc<App>>, upgrade: WebSocketUpgrade) -> Response {
    let stopping = app.stopping.subscribe();
    upgrade.max_message_size(ECHO_LIMIT).on_upgrade(move |socket| converse(socket, stopping))
}

async fn converse(mut socket: WebSocket, mut stopping: watch::Receiver<bool>) {
    let reason = loop {
        let received = tokio::select! {
            received = timeout(ECHO_IDLE, socket.recv()) => received,
            _ = stopping.wait_for(|stopping| *stopping) => break "the instance stops",
        };
        let message = match received {
            Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => message,
            // Pings are answered, and a close is confirmed, by the library.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)))) => continue,
            Ok(Some(Err(_)) | None) => return,
            Err(_) => break "nothing was said for too long",
        };
        match timeout(SLOWEST, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    };
    let farewell = Message::Close(Some(CloseFrame { code: close_code::AWAY, reason: reason.into() }));
    // The peer may be gone already.
    _ = timeout(SLOWEST, socket.send(farewell)).await;
}

fn one_second() -> u64 {
    1000
}

fn server_error() -> u16 {
    500
}
