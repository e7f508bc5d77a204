//! What goes on, second by second, and what happens, in one stream of server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
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
use crate::plane::{Parts, Span, Targets, WatchFor, Watched};
use crate::problem::Problem;
use crate::standing::Standing;

/// Each has an event of its own, at least.
const MOST_SPANS: usize = 16;

pub(super) fn routes() -> Vec<Route> {
    let text = json!({ "type": "string" });
    vec![
        route(Method::GET, "/v1/live", "ListEvents", "live", |call| Box::pin(live(call)))
            .about(
                "Server-sent events: `history`, what went on in the last quarter of an hour at listeners and target groups, one \
                 value a second, in as many events as it takes, of some subjects each; then each second `sample`, what goes on now; between them the events of `/v1/events`. \
                 It ends when who asked for it may no more.",
            )
            .asks("target_group", text.clone(), "A target group whose targets are told with each sample.")
            .asks(
                "history",
                text.clone(),
                "What was is told of subjects whose names begin so, as listener/ or group/web; with @30 behind it, their newest 30 seconds, \
                 and with @0 none. It may be given 16 times; absent: of all.",
            )
            .answers(200, text),
    ]
}

/// One who watches.
struct Watcher {
    standing: Standing,
    /// None once it has been told.
    history: Option<Parts>,
    samples: Receiver<Arc<str>>,
    targets: Option<Targets>,
    events: Receiver<events::Event>,
}

async fn live(call: Call) -> Result<Reply, Problem> {
    let group = call.query.get("target_group").map(str::to_owned);
    let wanted = WatchFor { history: spans(&call.query.all("history"))?, group };
    call.sees(wanted.group.as_deref().is_none_or(|group| call.sight().has_health(group)))?;
    let Watched { history, samples, targets } = (call.plane.around.live)(wanted);
    let events = call.plane.events.subscribe();
    let history = Some(history);
    let watcher = Watcher { standing: Standing::of(&call), history, samples, targets, events };
    let stream = stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok::<Event, Infallible>(event), watcher))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Reply::of(Sse::new(stream).keep_alive(alive).into_response()))
}

/// What is asked of what was; when nothing is said of it, that is all.
fn spans(asked: &[String]) -> Result<Vec<Span>, Problem> {
    if asked.is_empty() {
        return Ok(vec![Span { of: String::new(), seconds: None }]);
    }
    if asked.len() > MOST_SPANS {
        return Err(Problem::invalid("?history", format!("is given {} times, at most {MOST_SPANS} fit", asked.len())));
    }
    let span = |text: &String| {
        // no name has an @ in it
        let Some((of, seconds)) = text.split_once('@') else { return Ok(Span { of: text.clone(), seconds: None }) };
        let wrong = || Problem::invalid("?history", format!("{seconds:?} is no number of seconds, as in listener/@30"));
        Ok(Span { of: of.to_owned(), seconds: Some(seconds.parse().map_err(|_| wrong())?) })
    };
    asked.iter().map(span).collect()
}

impl Watcher {
    async fn next(&mut self) -> Option<Event> {
        if let Some(part) = self.part().await {
            return self.standing.holds().then(|| Event::default().event("history").data(part));
        }
        loop {
            tokio::select! {
                sample = self.samples.recv() => return match sample {
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

    /// The next part of what was. It is made when the one before is on its way, beside whoever answers others.
    async fn part(&mut self) -> Option<String> {
        let mut history = self.history.take()?;
        let made = tokio::task::spawn_blocking(move || (history(), history)).await;
        let (part, history) = made.ok()?;
        self.history = part.is_some().then_some(history);
        part.map(|part| self.seen(part))
    }

    /// A sample with the targets of the group that is watched.
    fn whole(&mut self, sample: &str) -> String {
        let targets = self.targets.as_mut().map(|targets| Value::Object(targets()).to_string()).unwrap_or_default();
        let targets = targets.trim_start_matches('{').strip_suffix('}').unwrap_or_default();
        let open = sample.strip_suffix("}}").filter(|_| !targets.is_empty());
        let whole = open.map_or_else(
            || sample.to_owned(),
            |open| {
                let comma = if open.ends_with('{') { "" } else { "," };
                format!("{open}{comma}{targets}}}}}")
            },
        );
        self.seen(whole)
    }

    /// Without the subjects that are not seen; nearly everybody sees all of them, and is told the text as it is.
    fn seen(&self, told: String) -> String {
        let sight = self.standing.sight();
        if sight.is_clear() {
            return told;
        }
        let mut told: Value = serde_json::from_str(&told).unwrap_or_default();
        sight.sift_subjects(&mut told, self.standing.desired().config());
        told.to_string()
    }
}
