//! What goes on, once a second, for whoever watches: a quarter of an hour is kept of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headworks_control::{Span, Targets, WatchFor, Watched};
use headworks_edge::meter::{Figures, Look, Meter};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::admin::{Admin, unix_now};

/// Seconds that are kept: a quarter of an hour.
const KEPT: usize = 900;
/// Listeners and target groups of which they are kept; those after them are only told as they are now. 28 KiB each.
const MOST: usize = 1000;
/// Samples that a slow watcher may be behind.
const MOST_BEHIND: usize = 16;

/// Bytes of what was that are told in one event, of whole subjects: so much of it is in memory for one who watches.
const PART: usize = 128 << 10;

/// What is kept of one subject; the newest is last.
struct Line(VecDeque<Second>);

/// Figures of one second, in as few bytes as they need: a latency that there is not is no number.
#[derive(Clone, Copy)]
struct Second {
    counts: [f32; 4],
    latencies: [f32; 3],
    active: u32,
}

impl From<Figures> for Second {
    fn from(figures: Figures) -> Self {
        let Figures { requests, errors, p50, p95, p99, active, received, sent } = figures;
        let latencies = [p50, p95, p99].map(|latency| latency.unwrap_or(f32::NAN));
        Self { counts: [requests, errors, received, sent], latencies, active }
    }
}

impl Second {
    fn is_idle(self) -> bool {
        self.active == 0 && self.counts == [0.0; 4]
    }
}

/// It has room for all that will be kept: memory that is not written to is not taken, and none is moved while a thousand of them grow.
impl Default for Line {
    fn default() -> Self {
        Self(VecDeque::with_capacity(KEPT))
    }
}

impl Line {
    fn push(&mut self, second: Second) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(second);
    }

    /// Columns, of which those are left out that say nothing; without the newest `left_out`, the newest `most` of the others.
    fn write(&self, left_out: usize, most: usize, out: &mut String) {
        let end = self.0.len().saturating_sub(left_out);
        let seconds = || self.0.range(end.saturating_sub(most)..end);
        let column = |out: &mut String, name: &str, of: &dyn Fn(&Second) -> f64| {
            let says = |value: f64| value != 0.0 && !value.is_nan();
            if name != "requests" && !seconds().any(|second| says(of(second))) {
                return;
            }
            let comma = if out.ends_with('{') { "" } else { "," };
            // a text takes whatever is written
            let _ = write!(out, "{comma}\"{name}\":");
            for (index, second) in seconds().enumerate() {
                let start = if index == 0 { '[' } else { ',' };
                let value = rounded(of(second));
                let _ = if value.is_nan() { write!(out, "{start}null") } else { write!(out, "{start}{value}") };
            }
            out.push(']');
        };
        out.push('{');
        column(out, "requests", &|second| second.counts[0].into());
        column(out, "errors", &|second| second.counts[1].into());
        column(out, "p50", &|second| second.latencies[0].into());
        column(out, "p95", &|second| second.latencies[1].into());
        column(out, "p99", &|second| second.latencies[2].into());
        column(out, "active", &|second| second.active.into());
        column(out, "received", &|second| second.counts[2].into());
        column(out, "sent", &|second| second.counts[3].into());
        out.push('}');
    }
}

/// What went on of late.
pub(crate) struct Live {
    past: Mutex<Past>,
    samples: broadcast::Sender<Arc<str>>,
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
            (0..missed).for_each(|_| line.push(Figures::default().into()));
            line.push(now.get(subject).copied().unwrap_or_default().into());
        }
        self.lines.retain(|_, line| line.0.iter().any(|second| !second.is_idle()));
        for (subject, figures) in now {
            if self.lines.len() >= MOST {
                break;
            }
            if !figures.is_idle() && !self.lines.contains_key(subject) {
                let mut line = Line::default();
                line.push((*figures).into());
                self.lines.insert(subject.clone(), line);
            }
        }
    }
}

/// What was until one began to watch, told part by part: while that goes on, more is kept, and comes to it as samples.
struct Told {
    admin: Arc<Admin>,
    /// Seconds since 1970 of the newest that is told.
    to: u64,
    /// What is still to be told.
    spans: VecDeque<Span>,
    /// The last subject that was told.
    after: String,
    parts: usize,
}

impl Told {
    fn next(&mut self) -> Option<String> {
        let span = self.spans.front()?;
        let (part, after) = self.admin.live.past().part(self.to, span, &self.after, self.parts);
        self.parts += 1;
        if after.is_none() {
            self.spans.pop_front();
        }
        self.after = after.unwrap_or_default();
        Some(part)
    }
}

impl Past {
    /// Subjects of a span after `after`, until `to`, as much as is told at once; and the last of them, where more follow.
    fn part(&self, to: u64, span: &Span, after: &str, number: usize) -> (String, Option<String>) {
        let (of, most) = (span.of.as_str(), span.seconds.unwrap_or(KEPT));
        let newer = usize::try_from(self.to.saturating_sub(to)).unwrap_or(KEPT);
        let mut out = format!("{{\"step\":1,\"to\":{to},\"part\":{number},\"subjects\":{{");
        let mut last: Option<&String> = None;
        let from = if after < of { Bound::Included(of) } else { Bound::Excluded(after) };
        let lines =
            self.lines.range::<str, _>((from, Bound::Unbounded)).take_while(|(subject, _)| subject.starts_with(of));
        for (subject, line) in lines.filter(|(_, line)| line.0.len() > newer) {
            if let Some(last) = last.filter(|_| out.len() > PART) {
                out.push_str("}}");
                return (out, Some(last.clone()));
            }
            let comma = if last.is_some() { "," } else { "" };
            let _ = write!(out, "{comma}{}:", Value::from(subject.as_str()));
            line.write(newer, most, &mut out);
            last = Some(subject);
        }
        out.push_str("}}");
        (out, None)
    }
}

/// Three digits behind the point are more than anybody reads.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn tidy(number: f32) -> Value {
    let rounded = rounded(number.into());
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
        if self.samples.receiver_count() > 0 {
            // as the text that all of them are told: as values it would take ten times as much, for each that waits
            let _ = self.samples.send(json!({ "at": at, "subjects": told }).to_string().into());
        }
    }

    /// What was, what comes, and the targets of a group with each.
    pub(crate) fn watch(&self, admin: &Arc<Admin>, WatchFor { history, group }: WatchFor) -> Watched {
        let past = self.past();
        let (to, samples) = (past.to, self.samples.subscribe());
        drop(past);
        let spans = history.into_iter().filter(|span| span.seconds != Some(0)).collect();
        let mut told = Told { admin: admin.clone(), to, spans, after: String::new(), parts: 0 };
        let history = Box::new(move || told.next());
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
            Box::new(look) as Targets
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

    use headworks_control::Span;
    use headworks_edge::meter::Figures;
    use serde_json::Value;

    use super::{KEPT, MOST, PART, Past, Second};

    fn now(subjects: impl IntoIterator<Item = (String, f32)>) -> BTreeMap<String, Figures> {
        let figures = |requests| Figures { requests, ..Figures::default() };
        subjects.into_iter().map(|(subject, requests)| (subject, figures(requests))).collect()
    }

    fn span(of: &str, seconds: Option<usize>) -> Span {
        Span { of: of.to_owned(), seconds }
    }

    fn requests(past: &Past, subject: &str) -> Vec<f32> {
        past.lines.get(subject).into_iter().flat_map(|line| &line.0).map(|second| second.counts[0]).collect()
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

    #[test]
    fn what_was_is_told_in_parts_that_are_bounded_and_end_where_the_watching_began() {
        let mut past = Past::default();
        for second in 1..=KEPT as u64 {
            past.push(second, &now((0..MOST).map(|n| (format!("group/{n:04}"), (n + 1) as f32 + second as f32 / 8.0))));
        }
        let kept: usize = past.lines.values().map(|line| line.0.capacity() * size_of::<Second>()).sum();
        assert!(kept <= MOST * KEPT * 32, "{kept} bytes are kept");
        let (to, mut after, mut told, mut longest) = (past.to, String::new(), BTreeMap::new(), 0);
        for number in 0.. {
            // time goes on while it is told
            past.push(past.to + 1, &now([("group/0999".to_owned(), 1.0), ("group/9999".to_owned(), 1.0)]));
            let (part, last) = past.part(to, &span("group/", None), &after, number);
            longest = longest.max(part.len());
            let part: Value = serde_json::from_str(&part).unwrap();
            assert_eq!((&part["to"], &part["part"]), (&to.into(), &number.into()));
            told.extend(part["subjects"].as_object().cloned().unwrap_or_default());
            let Some(last) = last else { break };
            after = last;
        }
        assert!(longest < 2 * PART, "a part has {longest} bytes");
        assert_eq!(told.len(), MOST, "each once, and none that came later");
        let last = told["group/0999"]["requests"].as_array().unwrap().last().cloned();
        assert_eq!(last, Some((1000.0 + KEPT as f64 / 8.0).into()), "what came later is told as samples");
        assert!(told["group/0000"].get("p50").is_none(), "what says nothing is left out");
        let (one, more) = past.part(past.to, &span("group/0999", Some(3)), "", 0);
        let one: Value = serde_json::from_str(&one).unwrap();
        let lengths: Vec<usize> =
            one["subjects"].as_object().unwrap().values().map(|c| c["requests"].as_array().unwrap().len()).collect();
        assert_eq!((lengths, more), (vec![3], None), "{one}");
    }
}
