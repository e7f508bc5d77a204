//! What `headworks top` shows, as it stands: what goes on by subject, which of it is looked at, in which order. It knows
//! neither the terminal nor the instance.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

/// Seconds of the line at the top.
const PAST: usize = 120;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Listeners,
    Rules,
    Groups,
    Targets,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Name,
    Text,
    Number,
    Millis,
    Bytes,
    /// Healthy of all.
    Share,
}

/// A column of a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    key: &'static str,
    form: Form,
}

const fn column(title: &'static str, key: &'static str, form: Form) -> Column {
    Column { title, key, form }
}

const REQUESTS: Column = column("REQ/S", "requests", Form::Number);
const ERRORS: Column = column("ERR/S", "errors", Form::Number);
const P50: Column = column("P50 MS", "p50", Form::Millis);
const P95: Column = column("P95 MS", "p95", Form::Millis);
const P99: Column = column("P99 MS", "p99", Form::Millis);

const LISTENERS: &[Column] = &[
    column("LISTENER", "", Form::Name),
    REQUESTS,
    ERRORS,
    P50,
    P95,
    P99,
    column("OPEN", "active", Form::Number),
    column("IN/S", "received", Form::Bytes),
    column("OUT/S", "sent", Form::Bytes),
];
const RULES: &[Column] = &[column("RULE", "", Form::Name), REQUESTS];
const GROUPS: &[Column] = &[
    column("TARGET GROUP", "", Form::Name),
    REQUESTS,
    ERRORS,
    P50,
    P95,
    P99,
    column("IN FLIGHT", "active", Form::Number),
    column("HEALTHY", "healthy", Form::Share),
    column("WAITING", "pending", Form::Number),
];
const TARGETS: &[Column] = &[
    column("TARGET", "", Form::Name),
    REQUESTS,
    ERRORS,
    P50,
    P95,
    P99,
    column("IN FLIGHT", "active", Form::Number),
    column("WEIGHT", "weight", Form::Number),
    column("STATE", "state", Form::Text),
    column("WHY", "reason", Form::Text),
];

impl View {
    pub(super) const ALL: [Self; 4] = [Self::Listeners, Self::Rules, Self::Groups, Self::Targets];

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Listeners => LISTENERS,
            Self::Rules => RULES,
            Self::Groups => GROUPS,
            Self::Targets => TARGETS,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Listeners => "listeners",
            Self::Rules => "rules",
            Self::Groups => "target groups",
            Self::Targets => "targets",
        }
    }

    /// What the names of its subjects begin with.
    fn prefix(self, group: &str) -> String {
        match self {
            Self::Listeners => "listener/".to_owned(),
            Self::Rules => "rule/".to_owned(),
            Self::Groups => "group/".to_owned(),
            Self::Targets => format!("target/{group}/"),
        }
    }
}

/// A line of a view.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Without its prefix.
    pub(super) name: String,
    pub(super) cells: Vec<String>,
    /// Whether something is wrong there.
    pub(super) is_bad: bool,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) view: View,
    /// The group whose targets are told.
    pub(super) group: Option<String>,
    /// Column by which lines are sorted.
    pub(super) sort: usize,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    /// What happened last.
    pub(super) news: String,
    /// Seconds since 1970 of what is shown; none before there is anything.
    pub(super) at: Option<u64>,
    /// Requests a second of all listeners, the newest last.
    pub(super) past: VecDeque<u64>,
    /// What is there, idle or not.
    known: BTreeMap<String, Value>,
    now: Map<String, Value>,
}

impl Picture {
    pub(super) fn new(group: Option<String>) -> Self {
        let view = if group.is_some() { View::Targets } else { View::Listeners };
        Self {
            view,
            group,
            sort: 0,
            is_reversed: false,
            filter: String::new(),
            news: String::new(),
            at: None,
            past: VecDeque::new(),
            known: BTreeMap::new(),
            now: Map::new(),
        }
    }

    /// Takes in what there is, as `/v1/status` says.
    pub(super) fn know(&mut self, status: &Value) {
        self.known.clear();
        let named = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
        for (balancer, of) in named(status.get("load_balancers")) {
            for name in named(of.get("listeners")).keys() {
                self.known.insert(format!("listener/{balancer}/{name}"), json!({}));
            }
        }
        for (group, of) in named(status.get("target_groups")) {
            let total = of.get("targets").and_then(Value::as_array).map_or(0, Vec::len);
            self.known.insert(format!("group/{group}"), json!({ "healthy": of.get("healthy"), "total": total }));
        }
    }

    /// Takes in an event of the stream.
    pub(super) fn take(&mut self, event: &str, data: Value) {
        let text = |key: &str| data.get(key).map_or(String::new(), plain);
        match event {
            "history" => {
                let of_listener = |(name, lines): (&String, &Value)| {
                    name.starts_with("listener/").then(|| lines.get("requests")?.as_array().cloned()).flatten()
                };
                let subjects = data.get("subjects").and_then(Value::as_object);
                let lines: Vec<Vec<Value>> = subjects.into_iter().flatten().filter_map(of_listener).collect();
                let at = |ago: usize| lines.iter().filter_map(|line| line.iter().rev().nth(ago)?.as_f64()).sum::<f64>();
                let part = (0..PAST).rev().map(|ago| at(ago).round() as u64);
                self.past = match data.get("part").and_then(Value::as_u64) {
                    None | Some(0) => part.collect(),
                    Some(_) => self.past.iter().zip(part).map(|(others, part)| others + part).collect(),
                };
            }
            "sample" => {
                self.at = data.get("at").and_then(Value::as_u64);
                self.now = match data {
                    Value::Object(mut data) => match data.remove("subjects") {
                        Some(Value::Object(subjects)) => subjects,
                        _ => Map::new(),
                    },
                    _ => Map::new(),
                };
                let [requests, _] = self.totals();
                self.past.push_back(requests.round() as u64);
                self.past.drain(..self.past.len().saturating_sub(PAST));
            }
            "target_state" => {
                let state = match text("state") {
                    gone if gone == "-" => "gone".to_owned(),
                    state => state,
                };
                self.news = format!("{} of {} is {state}", text("target"), text("target_group"));
            }
            "revision" => {
                self.news = format!("revision {} by {}: {}", text("revision"), text("principal"), text("reason"));
            }
            "reload" => self.news = format!("the file was {}", text("result")),
            _ => {}
        }
    }

    /// Requests and errors a second of all listeners.
    pub(super) fn totals(&self) -> [f64; 2] {
        let of = |key: &str| {
            let listeners = self.now.iter().filter(|(name, _)| name.starts_with("listener/"));
            listeners.filter_map(|(_, reading)| reading.get(key)?.as_f64()).sum()
        };
        [of("requests"), of("errors")]
    }

    /// The lines of the view that are looked at, in order.
    pub(super) fn rows(&self) -> Vec<Row> {
        let prefix = self.view.prefix(self.group.as_deref().unwrap_or_default());
        let mut all: BTreeMap<&str, &Value> = BTreeMap::new();
        let known = self.known.iter().map(|(name, reading)| (name.as_str(), reading));
        let now = self.now.iter().map(|(name, reading)| (name.as_str(), reading));
        all.extend(known.chain(now).filter_map(|(name, reading)| Some((name.strip_prefix(&prefix)?, reading))));
        let mut found: Vec<(&str, &Value)> = all.into_iter().filter(|(name, _)| name.contains(&self.filter)).collect();
        if let Some(by) = self.view.columns().get(self.sort) {
            // what is of equal weight stays in the order of names
            found.sort_by(|(_, a), (_, b)| match by.form {
                Form::Name => std::cmp::Ordering::Equal,
                Form::Text => plain_of(a, by.key).cmp(&plain_of(b, by.key)),
                _ => number(b, by.key).total_cmp(&number(a, by.key)),
            });
        }
        if self.is_reversed {
            found.reverse();
        }
        found.into_iter().map(|(name, reading)| self.row(name, reading)).collect()
    }

    fn row(&self, name: &str, reading: &Value) -> Row {
        let short = number(reading, "total") > number(reading, "healthy");
        let state = reading.get("state").and_then(Value::as_str);
        let is_bad = number(reading, "errors") > 0.0 || short || state.is_some_and(|state| state == "unhealthy");
        let cells = self.view.columns().iter().map(|column| cell(column, name, reading)).collect();
        Row { name: name.to_owned(), cells, is_bad }
    }

    /// The table of what is looked at, with its titles.
    pub(super) fn table(&self) -> Vec<Vec<String>> {
        let titles = self.view.columns().iter().map(|column| column.title.to_owned()).collect();
        std::iter::once(titles).chain(self.rows().into_iter().map(|row| row.cells)).collect()
    }

    /// What goes on, as it was told.
    pub(super) fn to_json(&self) -> Value {
        json!({ "at": self.at, "subjects": self.now })
    }

    /// Looks at something else.
    pub(super) fn look_at(&mut self, view: View) {
        (self.view, self.sort, self.is_reversed) = (view, 0, false);
    }
}

fn number(reading: &Value, key: &str) -> f64 {
    reading.get(key).and_then(Value::as_f64).unwrap_or(0.0)
}

fn plain_of(reading: &Value, key: &str) -> String {
    reading.get(key).map_or("-".to_owned(), plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cell(column: &Column, name: &str, reading: &Value) -> String {
    let found = reading.get(column.key).and_then(Value::as_f64);
    match column.form {
        Form::Name => name.to_owned(),
        Form::Text => plain_of(reading, column.key),
        Form::Number => rounded(found.unwrap_or(0.0)),
        Form::Millis => found.map_or("-".to_owned(), |millis| format!("{millis:.1}")),
        Form::Bytes => bytes(found.unwrap_or(0.0)),
        Form::Share => format!("{}/{}", plain_of(reading, "healthy"), plain_of(reading, "total")),
    }
}

/// A digit behind the point where it tells something.
fn rounded(number: f64) -> String {
    let tenth = (number * 10.0).round() / 10.0;
    if tenth >= 10.0 || tenth.fract() == 0.0 { format!("{number:.0}") } else { format!("{tenth:.1}") }
}

fn bytes(number: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let power = if number < 1.0 { 0 } else { (number.log2() / 10.0).floor().clamp(0.0, 3.0) as usize };
    let scaled = number / 1024_f64.powi(i32::try_from(power).unwrap_or(0));
    format!("{} {}", rounded(scaled), units.get(power).unwrap_or(&"B"))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::{Picture, View, bytes};

    pub(in super::super) fn picture() -> Picture {
        let mut picture = Picture::new(None);
        picture.know(&json!({
            "load_balancers": { "shop": { "listeners": { "http": {}, "idle": {} } } },
            "target_groups": { "blue": { "healthy": 2, "targets": [{}, {}] }, "green": { "healthy": 1, "targets": [{}] } },
        }));
        picture.take(
            "history",
            json!({ "subjects": {
            "listener/shop/http": { "requests": [1, 2, 3] }, "listener/shop/more": { "requests": [10] },
            "group/blue": { "requests": [100, 100] } } }),
        );
        picture.take("sample", json!({ "at": 1000, "subjects": {
            "listener/shop/http": { "requests": 1200, "errors": 2.5, "p50": 1.26, "p95": 4, "p99": null, "active": 3,
                "received": 2048, "sent": 5_000_000 },
            "rule/shop/http/1": { "requests": 1000 }, "rule/shop/http/default": { "requests": 200 },
            "group/green": { "requests": 900, "errors": 0, "active": 1, "healthy": 0, "total": 1, "pending": 4 },
            "target/green/127.0.0.1:1": { "requests": 900, "state": "unhealthy", "reason": "Target.Timeout", "weight": 1 },
            "target/green/127.0.0.1:2": { "requests": 0, "state": "healthy", "reason": null, "weight": 5 },
        } }));
        picture
    }

    fn lines(picture: &Picture) -> Vec<String> {
        picture.rows().iter().map(|row| row.cells.join("|")).collect()
    }

    #[test]
    fn all_that_is_there_is_shown_idle_or_not() {
        let mut picture = picture();
        assert_eq!(lines(&picture), ["shop/http|1200|2.5|1.3|4.0|-|3|2 KiB|4.8 MiB", "shop/idle|0|0|-|-|-|0|0 B|0 B"]);
        assert_eq!(picture.past.iter().rev().take(4).copied().collect::<Vec<_>>(), [1200, 13, 2, 1]);
        picture.look_at(View::Groups);
        assert_eq!(lines(&picture), ["blue|0|0|-|-|-|0|2/2|0", "green|900|0|-|-|-|1|0/1|4"]);
        assert_eq!(picture.rows().iter().map(|row| row.is_bad).collect::<Vec<_>>(), [false, true]);
        picture.look_at(View::Rules);
        assert_eq!(lines(&picture), ["shop/http/1|1000", "shop/http/default|200"]);
    }

    #[test]
    fn lines_are_sorted_and_filtered() {
        let mut picture = picture();
        picture.look_at(View::Groups);
        picture.sort = 1;
        assert!(lines(&picture)[0].starts_with("green"));
        picture.is_reversed = true;
        assert!(lines(&picture)[0].starts_with("blue"));
        picture.filter = "gr".to_owned();
        assert_eq!(lines(&picture).len(), 1);
        picture.filter.clear();
        (picture.view, picture.group) = (View::Targets, Some("green".to_owned()));
        (picture.sort, picture.is_reversed) = (8, false);
        let states = ["127.0.0.1:2|0|0|-|-|-|0|5|healthy|-", "127.0.0.1:1|900|0|-|-|-|0|1|unhealthy|Target.Timeout"];
        assert_eq!(lines(&picture), states);
    }

    #[test]
    fn what_happens_is_told() {
        let mut picture = picture();
        for (event, data, told) in [
            ("target_state", json!({ "target_group": "web", "target": "a:1", "state": null }), "a:1 of web is gone"),
            (
                "target_state",
                json!({ "target_group": "web", "target": "a:1", "state": "healthy" }),
                "a:1 of web is healthy",
            ),
            ("revision", json!({ "revision": 7, "principal": "me", "reason": "why" }), "revision 7 by me: why"),
            ("reload", json!({ "result": "refused" }), "the file was refused"),
            ("missed", json!({}), "the file was refused"),
        ] {
            picture.take(event, data);
            assert_eq!(picture.news, told);
        }
    }

    #[test]
    fn bytes_have_units() {
        for (number, text) in [(0.0, "0 B"), (1023.0, "1023 B"), (1536.0, "1.5 KiB"), (2e12, "1863 GiB")] {
            assert_eq!(bytes(number), text);
        }
    }
}
