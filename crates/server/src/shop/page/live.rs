//! The page with the WebSocket, and the two files that pages refer to. They are the same in every version: a page
//! of one version may fetch them from another.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::shop::app::App;
use crate::shop::page::Page;
use crate::shop::response::PUBLIC;
use crate::shop::session::Session;

/// A mill wheel in its race.
pub(crate) const LOGO: &str = include_str!("../logo.svg");

/// `GET /live`
pub(crate) async fn show(State(app): State<Arc<App>>, session: Session) -> Response {
    let body = html!(
        r#"<section class="hero"><h1>Live</h1><p>A WebSocket through the load balancer to one instance: what you send comes back.</p></section>
<noscript><p class="warning">This page needs JavaScript; the rest of the shop does not.</p></noscript>
<p>State: <b id="state" role="status">not connected</b></p>
<form id="echo" class="row"><input id="message" aria-label="Message" value="hello" maxlength="200"> <button>Send</button></form>
<ol id="log" class="log" aria-live="polite"></ol>
<script src="/assets/live.js" defer></script>"#
    );
    Page { app: &app, session: Some(&session), title: "Live", body }.answer(StatusCode::OK)
}

/// `GET /assets/live.js`
pub(crate) async fn script() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", include_str!("../live.js"))
}

/// `GET /favicon.svg`
pub(crate) async fn icon() -> impl IntoResponse {
    file("image/svg+xml", LOGO)
}

fn file(content_type: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type)], [(CACHE_CONTROL, PUBLIC)], content)
}
