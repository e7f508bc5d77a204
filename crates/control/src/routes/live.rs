//! What goes on, second by second, and what happens, in one stream of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::Method;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::events::{Told, told_of};
use super::{Route, route};
use crate::call::{Call, Reply};
use crate::events;
use crate::plane::Watched;
use crate::problem::Problem;
use crate::standing::Standing;

pub(super) fn routes() -> Vec<Route> {
    let text = json!({ "type": "string" });
    vec![
        route(Method::GET, "/v1/live", "ListEvents", "live", |call| Box::pin(live(call)))
            .about(
                "Server-sent events: `history`, what went on in the last quarter of an hour at listeners and target groups, one \
                 value a second; then each second `sample`, what goes on now; between them the events of `/v1/events`. \
                 It ends when who asked for it may no more.",
            )
            .asks("target_group", text.clone(), "A target group whose targets are told with each sample.")
            .answers(200, text),
    ]
}

/// One who watches.
struct Watcher {
    standing: Standing,
    watched: Watched,
    events: Receiver<events::Event>,
    is_first: bool,
}

async fn live(call: Call) -> Result<Reply, Problem> {
    let group = call.query.get("target_group");
    call.sees(group.is_none_or(|group| call.sight().has_health(group)))?;
    let watched = (call.plane.around.live)(group.map(str::to_owned));
    let events = call.plane.events.subscribe();
    let watcher = Watcher { standing: Standing::of(&call), watched, events, is_first: true };
    let stream = stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok::<Event, Infallible>(event), watcher))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Reply::of(Sse::new(stream).keep_alive(alive).into_response()))
}

impl Watcher {
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_first) {
            let mut history = self.watched.history.take();
            self.standing.sight().sift_subjects(&mut history, self.standing.desired().config());
            return Some(Event::default().event("history").data(history.to_string()));
        }
        loop {
            tokio::select! {
                sample = self.watched.samples.recv() => return match sample {
                    Ok(sample) if self.standing.holds() => {
                        Some(Event::default().event("sample").data(self.whole(&sample)))
                    }
                    Ok(_) | Err(RecvError::Closed) => None,
                    Err(RecvError::Lagged(missed)) => {
                        Some(Event::default().event("missed").data(json!({ "samples": missed }).to_string()))
                    }
                },
                event = self.events.recv() => match told_of(event, &self.standing) {
                    Told::Event(event) => return Some(event),
                    Told::Nothing => {}
                    Told::End => return None,
                },
            }
        }
    }

    fn whole(&mut self, sample: &Value) -> String {
        let sight = self.standing.sight();
        if self.watched.targets.is_none() && sight.is_clear() {
            return sample.to_string();
        }
        let mut sample = sample.clone();
        if let (Some(targets), Some(subjects)) =
            (&mut self.watched.targets, sample.get_mut("subjects").and_then(Value::as_object_mut))
        {
            subjects.extend(targets());
        }
        sight.sift_subjects(&mut sample, self.standing.desired().config());
        sample.to_string()
    }
}
