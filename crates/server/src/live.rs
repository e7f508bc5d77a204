//! What goes on, once a second, for whoever watches: a quarter of an hour is kept of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headworks_control::Watched;
use headworks_edge::meter::{Figures, Look, Meter};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::admin::{Admin, unix_now};

/// Seconds that are kept: a quarter of an hour.
const KEPT: usize = 900;
/// Listeners and target groups of which they are kept; those after them are only told as they are now. 29 KiB each.
const MOST: usize = 1000;
/// Samples that a slow watcher may be behind.
const MOST_BEHIND: usize = 16;

/// What is kept of one subject; the newest is last.
type Line = VecDeque<Figures>;

/// What went on of late.
pub(crate) struct Live {
    past: Mutex<Past>,
    samples: broadcast::Sender<Arc<Value>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { past: Mutex::default(), samples: broadcast::Sender::new(MOST_BEHIND) }
    }
}

#[derive(Default)]
struct Past {
    /// Seconds since 1970 of the newest.
    to: u64,
    lines: BTreeMap<String, Line>,
}

impl Past {
    /// Takes in what goes on now. Whoever has been idle for as long as anything is kept leaves.
    fn push(&mut self, at: u64, now: &BTreeMap<String, Figures>) {
        // seconds that nobody has looked at, on a machine that slept, were idle
        let missed = usize::try_from(at.saturating_sub(self.to + 1)).unwrap_or(KEPT).min(KEPT);
        let missed = if self.to == 0 { 0 } else { missed };
        self.to = at;
        for (subject, line) in &mut self.lines {
            line.extend(std::iter::repeat_n(Figures::default(), missed));
            line.push_back(now.get(subject).copied().unwrap_or_default());
            line.drain(..line.len().saturating_sub(KEPT));
        }
        self.lines.retain(|_, line| line.iter().any(|figures| !figures.is_idle()));
        for (subject, figures) in now {
            if self.lines.len() >= MOST {
                break;
            }
            if !figures.is_idle() {
                self.lines.entry(subject.clone()).or_insert_with(|| Line::from([*figures]));
            }
        }
    }

    fn to_json(&self) -> Value {
        let subjects: Map<String, Value> =
            self.lines.iter().map(|(subject, line)| (subject.clone(), columns(line))).collect();
        json!({ "step": 1, "to": self.to, "subjects": subjects })
    }
}

fn columns(line: &Line) -> Value {
    let column = |of: fn(&Figures) -> Value| line.iter().map(of).collect::<Vec<_>>();
    json!({
        "requests": column(|f| tidy(f.requests)),
        "errors": column(|f| tidy(f.errors)),
        "p50": column(|f| f.p50.map_or(Value::Null, tidy)),
        "p95": column(|f| f.p95.map_or(Value::Null, tidy)),
        "p99": column(|f| f.p99.map_or(Value::Null, tidy)),
        "active": column(|f| f.active.into()),
        "received": column(|f| tidy(f.received)),
        "sent": column(|f| tidy(f.sent)),
    })
}

/// Three digits behind the point are more than anybody reads.
fn tidy(number: f32) -> Value {
    let rounded = (f64::from(number) * 1e3).round() / 1e3;
    if rounded.fract() == 0.0 { json!(rounded as u64) } else { json!(rounded) }
}

/// The figures of one subject, and what else there is to say of it.
fn reading(figures: &Figures, more: Value) -> Value {
    let latency = |of: Option<f32>| of.map_or(Value::Null, tidy);
    let mut out = json!({
        "requests": tidy(figures.requests),
        "errors": tidy(figures.errors),
        "p50": latency(figures.p50),
        "p95": latency(figures.p95),
        "p99": latency(figures.p99),
        "active": figures.active,
        "received": tidy(figures.received),
        "sent": tidy(figures.sent),
    });
    if let (Some(out), Value::Object(more)) = (out.as_object_mut(), more) {
        out.extend(more);
    }
    out
}

fn subjects(look: &Look) -> (BTreeMap<String, Figures>, Map<String, Value>) {
    let (mut figures, mut told) = (BTreeMap::new(), Map::new());
    for ((balancer, listener), of) in &look.listeners {
        let subject = format!("listener/{balancer}/{listener}");
        if !of.is_idle() {
            told.insert(subject.clone(), reading(of, Value::Null));
        }
        figures.insert(subject, *of);
    }
    for (balancer, listener, number, requests) in &look.rules {
        let number = number.map_or_else(|| "default".to_owned(), |number| number.to_string());
        told.insert(format!("rule/{balancer}/{listener}/{number}"), json!({ "requests": tidy(*requests) }));
    }
    for (name, (of, supply)) in &look.groups {
        let subject = format!("group/{name}");
        // one that is idle and whole has nothing to tell
        if !of.is_idle() || supply.healthy < supply.total || supply.pending > 0 {
            told.insert(subject.clone(), reading(of, json!(supply)));
        }
        figures.insert(subject, *of);
    }
    (figures, told)
}

impl Live {
    fn past(&self) -> std::sync::MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, at: u64, look: &Look) {
        let (figures, told) = subjects(look);
        let mut past = self.past();
        past.push(at, &figures);
        // nobody may be watching
        let _ = self.samples.send(Arc::new(json!({ "at": at, "subjects": told })));
    }

    /// What was, what comes, and the targets of a group with each.
    pub(crate) fn watch(&self, admin: &Arc<Admin>, group: Option<String>) -> Watched {
        let past = self.past();
        let (history, samples) = (past.to_json(), self.samples.subscribe());
        drop(past);
        let mut meter = Meter::default();
        let admin = admin.clone();
        let targets = group.map(|group| {
            let look = move || {
                let looked = meter.look_at_targets(&admin.view(), &group);
                let told = looked.into_iter().map(|(address, (figures, standing))| {
                    (format!("target/{group}/{address}"), reading(&figures, json!(standing)))
                });
                told.collect::<Map<String, Value>>()
            };
            Box::new(look) as Box<dyn FnMut() -> Map<String, Value> + Send>
        });
        Watched { history, samples, targets }
    }
}

/// Looks once a second, until the program ends.
pub(crate) async fn observe(admin: Arc<Admin>) {
    let mut meter = Meter::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let look = meter.look(&admin.view());
        admin.live.push(unix_now(), &look);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use headworks_edge::meter::Figures;

    use super::{KEPT, MOST, Past};

    fn now(subjects: impl IntoIterator<Item = (String, f32)>) -> BTreeMap<String, Figures> {
        let figures = |requests| Figures { requests, ..Figures::default() };
        subjects.into_iter().map(|(subject, requests)| (subject, figures(requests))).collect()
    }

    fn requests(past: &Past, subject: &str) -> Vec<f32> {
        past.lines.get(subject).into_iter().flatten().map(|figures| figures.requests).collect()
    }

    #[test]
    fn lines_end_now_and_idle_ones_leave() {
        let mut past = Past::default();
        let a = |requests| now([("a".to_owned(), requests)]);
        past.push(100, &a(0.0));
        assert!(past.lines.is_empty(), "nothing has gone on yet");
        past.push(101, &a(5.0));
        past.push(102, &now([]));
        past.push(105, &a(7.0));
        assert_eq!(requests(&past, "a"), [5.0, 0.0, 0.0, 0.0, 7.0], "missed seconds were idle");
        for second in 0..KEPT as u64 {
            past.push(106 + second, &now([("b".to_owned(), 1.0)]));
        }
        assert!(!past.lines.contains_key("a"), "idle for as long as anything is kept");
        assert_eq!(requests(&past, "b").len(), KEPT);
        past.push(1_000_000, &a(1.0));
        assert_eq!((past.lines.len(), requests(&past, "a")), (1, vec![1.0]), "the machine slept");
    }

    #[test]
    fn it_keeps_a_bounded_number_of_lines() {
        let mut past = Past::default();
        past.push(1, &now((0..2 * MOST).map(|n| (n.to_string(), 1.0))));
        assert_eq!(past.lines.len(), MOST);
    }
}
