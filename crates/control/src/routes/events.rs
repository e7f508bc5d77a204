//! What happens, as it happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::Method;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Route, route};
use crate::call::{Call, Reply};
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/events", "ListEvents", "events", |call| Box::pin(events(call)))
            .about(
                "Server-sent events: `hello` with the newest revision, `revision` when something changed, `target_state` when a \
                 target's state did, `reload` when the file was applied, `missed` when a reader was too slow to be told all.",
            )
            .answers(200, json!({ "type": "string" })),
    ]
}

async fn events(call: Call) -> Result<Reply, Problem> {
    let listener = call.plane.events.subscribe();
    let hello = json!({ "revision": call.plane.desired().revision() });
    let first = Event::default().event("hello").data(hello.to_string());
    let events = stream::unfold((Some(first), listener), |(first, mut listener)| async move {
        let event = match first {
            Some(first) => first,
            None => next(&mut listener).await?,
        };
        Some((Ok::<Event, Infallible>(event), (None, listener)))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Reply { response: Sse::new(events).keep_alive(alive).into_response(), is_noted: false })
}

async fn next(listener: &mut Receiver<crate::events::Event>) -> Option<Event> {
    event_of(listener.recv().await)
}

/// What is told of an event; none when there are no more.
pub(super) fn event_of(event: Result<crate::events::Event, RecvError>) -> Option<Event> {
    match event {
        Ok(event) => Some(Event::default().event(event.kind).data(event.data.to_string())),
        Err(RecvError::Lagged(missed)) => {
            Some(Event::default().event("missed").data(json!({ "events": missed }).to_string()))
        }
        Err(RecvError::Closed) => None,
    }
}
