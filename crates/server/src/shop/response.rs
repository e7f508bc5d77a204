//! What every answer gets on its way out: a body for errors that have none, and the headers that protect a browser.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::shop::app::App;
use crate::shop::failure::Detail;
use crate::shop::page::Page;

/// Answers about the moment or the visitor.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Answers that are the same for everyone and seldom change.
pub(crate) const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=60");

const INSTANCE: HeaderName = HeaderName::from_static("x-shop-instance");
const VERSION: HeaderName = HeaderName::from_static("x-shop-version");

/// The outermost layer.
pub(crate) async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let mut response = next.run(request).await;
    if needs_body(&response) {
        response = explain(&app, &uri, &response);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, app.policy.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(INSTANCE, app.badge.clone());
    headers.insert(VERSION, HeaderValue::from_static(app.version.as_str()));
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    response
}

/// The framework's own errors are plain text or nothing; what our handlers meant to say has another type.
fn needs_body(response: &Response) -> bool {
    let plain = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|content_type| content_type.as_bytes().starts_with(b"text/plain"));
    plain && (response.status().is_client_error() || response.status().is_server_error())
}

fn explain(app: &App, uri: &Uri, bare: &Response) -> Response {
    let status = bare.status();
    let detail = bare.extensions().get::<Detail>().map_or_else(|| usual_detail(status), |detail| detail.0);
    let title = status.canonical_reason().unwrap_or("Error");
    let mut response = if uri.path().starts_with("/api/") {
        let problem = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        let mut response = (status, Json(problem)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    } else {
        let body = html!(
            r#"<section class="notice"><p class="code">{code}</p><h1>{title}</h1><p>{detail}</p>
               <p><a class="button" href="/">Back to the shop</a></p></section>"#,
            code = status.as_u16(),
            title = title,
            detail = detail,
        );
        Page { app, session: None, title, body }.answer(status)
    };
    if let Some(allow) = bare.headers().get(ALLOW) {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn usual_detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing at this address.",
        StatusCode::METHOD_NOT_ALLOWED => "This address does not take that method.",
        StatusCode::PAYLOAD_TOO_LARGE => "That is more than this shop reads.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "This address does not take that content type.",
        _ => "The request could not be understood.",
    }
}
