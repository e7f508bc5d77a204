//! What happens, as it happens, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::http::Method;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use headworks_store::Revision;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::revisions::{has, revision_json};
use super::{Route, route};
use crate::call::{Call, Reply};
use crate::events;
use crate::problem::Problem;
use crate::standing::Standing;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/events", "ListEvents", "events", |call| Box::pin(events(call)))
            .about(
                "Server-sent events: `hello` with the newest revision, `revision` when something changed, `target_state` when a \
                 target's state did, `reload` when the file was applied, `missed` when a reader was too slow to be told all. It ends \
                 when who asked for it may no more.",
            )
            .asks(
                "since",
                json!({ "type": "integer", "minimum": 0 }),
                "A revision: those after it are told first, at most a thousand, so that none is missed between two connections.",
            )
            .answers(200, json!({ "type": "string" })),
    ]
}

/// Revisions that are told again at most.
const MOST_AGAIN: usize = 1000;

/// One who listens.
struct Listener {
    /// What is told before anything that happens from now on.
    before: VecDeque<Event>,
    events: Receiver<events::Event>,
    /// The newest revision that was told again: it may come as an event, too.
    told: u64,
    standing: Standing,
}

async fn events(call: Call) -> Result<Reply, Problem> {
    let since = call.query.number("since", 0, u64::MAX >> 1)?;
    // from here on nothing is missed; what was before is read after it
    let events = call.plane.events.subscribe();
    let hello = json!({ "revision": call.plane.desired().revision() });
    let mut before = VecDeque::from([Event::default().event("hello").data(hello.to_string())]);
    let mut told = 0;
    let standing = Standing::of(&call);
    if let Some(since) = since {
        let sight = standing.sight();
        let (missed, revisions) = revisions_after(&call, since).await?;
        if missed > 0 {
            before.push_back(Event::default().event("missed").data(json!({ "events": missed }).to_string()));
        }
        told = revisions.last().map_or(0, |last| last.number);
        before.extend(
            revisions.iter().map(|one| Event::default().event("revision").data(revision_json(one, &sight).to_string())),
        );
    }
    let listener = Listener { before, events, told, standing };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Reply::of(Sse::new(events).keep_alive(alive).into_response()))
}

/// The newest revisions after one, the oldest first, and how many are missing between.
async fn revisions_after(call: &Call, since: u64) -> Result<(u64, Vec<Revision>), Problem> {
    let found = call.plane.blocking(move |kept| Ok(kept.store.revisions(None, None, MOST_AGAIN)?)).await?;
    let mut newer: Vec<Revision> = found.into_iter().take_while(|one| one.number > since).collect();
    newer.reverse();
    let missed = newer.first().map_or(0, |first| first.number - since - 1);
    Ok((missed, newer))
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.before.pop_front() {
            return Some(event);
        }
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = self.standing.lapsed() => return None,
            };
            let number = event
                .as_ref()
                .ok()
                .filter(|event| event.kind == "revision")
                .and_then(|event| event.data["revision"].as_u64());
            if number.is_none_or(|number| number > self.told) {
                match told_of(event, &self.standing) {
                    Told::Event(event) => return Some(event),
                    Told::Nothing => {}
                    Told::End => return None,
                }
            }
        }
    }
}

/// What is told of something that happened.
pub(super) enum Told {
    Event(Event),
    /// Who watches does not see what it is about.
    Nothing,
    /// There is no more, or who watches may not any longer.
    End,
}

/// What is told of an event to one who watches.
pub(super) fn told_of(event: Result<events::Event, RecvError>, to: &Standing) -> Told {
    if !to.holds() {
        return Told::End;
    }
    match event {
        Ok(events::Event { kind, mut data }) => match is_seen(kind, &mut data, to) {
            true => Told::Event(Event::default().event(kind).data(data.to_string())),
            false => Told::Nothing,
        },
        Err(RecvError::Lagged(missed)) => {
            Told::Event(Event::default().event("missed").data(json!({ "events": missed }).to_string()))
        }
        Err(RecvError::Closed) => Told::End,
    }
}

/// Whether one who watches sees what an event is about, from which what it does not see is taken.
fn is_seen(kind: &str, data: &mut Value, to: &Standing) -> bool {
    let sight = to.sight();
    match kind {
        _ if sight.is_clear() => true,
        "target_state" => data.get("target_group").and_then(Value::as_str).is_some_and(|group| sight.has_health(group)),
        "reload" => {
            sight.sift_applied(data, to.desired().config());
            true
        }
        "revision" => {
            if let Some(resources) = data.get_mut("resources").and_then(Value::as_array_mut) {
                let path = |one: &Value| {
                    one.as_str()
                        .and_then(|path| path.split_once('.'))
                        .map(|(of, name)| (of.to_owned(), name.to_owned()))
                };
                resources.retain(|one| path(one).is_some_and(|(of, name)| has(&sight, &of, &name)));
            }
            true
        }
        _ => false,
    }
}
