//! What runs, told in parts: of a hundred thousand targets, those of some groups are in memory at once, and no more.

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::call::{Call, Reply};
use crate::plane::{Groups, Status};
use crate::problem::Problem;
use crate::standing::Standing;

/// Bytes that are made at once, the last group going beyond.
const PART: usize = 128 << 10;

/// What is still to be told.
struct Telling {
    standing: Standing,
    groups: Groups,
    /// What comes before them.
    before: String,
    /// Whether there was one.
    has_begun: bool,
    is_over: bool,
}

pub(super) async fn status(call: Call) -> Result<Reply, Problem> {
    let (Status { mut rest, groups }, sight) = ((call.plane.around.status)(), call.sight());
    sight.sift(&mut rest);
    if let Some(last) = rest.pointer_mut("/configuration/last_reload") {
        sight.sift_applied(last, call.plane.desired().config());
    }
    let (standing, before) = (Standing::of(&call), before(&rest));
    let telling = Telling { standing, groups, before, has_begun: false, is_over: false };
    let (first, telling) = telling.next().await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let first = match telling.is_over {
        true => return Ok(Reply::text(StatusCode::OK, "application/json", first)),
        false => stream::once(async { Ok(first) }),
    };
    let rest = stream::try_unfold(telling, |telling| async move {
        Ok::<_, std::io::Error>(if telling.is_over { None } else { Some(telling.next().await?) })
    });
    Ok(Reply::text(StatusCode::OK, "application/json", Body::from_stream(first.chain(rest))))
}

/// An object, as far as it goes before its groups.
fn before(rest: &Value) -> String {
    let mut text = rest.to_string();
    text.pop();
    let comma = if text.len() > 1 { "," } else { "" };
    format!("{text}{comma}\"target_groups\":{{")
}

impl Telling {
    /// The next part, made beside whoever answers others. Whoever may see no more is cut off, which is not taken for the end.
    async fn next(mut self) -> std::io::Result<(String, Self)> {
        if !self.standing.holds() {
            return Err(std::io::Error::other("it may be seen no more"));
        }
        let made = tokio::task::spawn_blocking(move || {
            let (sight, before) = (self.standing.sight(), std::mem::take(&mut self.before));
            let mut part = before;
            let is_seen = |group: &str| sight.has_health(group);
            self.is_over = fill(&mut part, &mut self.has_begun, &mut self.groups, is_seen);
            (part, self)
        });
        made.await.map_err(std::io::Error::other)
    }
}

/// Adds groups until they are enough; whether those were all, and it is at its end.
fn fill(part: &mut String, has_begun: &mut bool, groups: &mut Groups, is_seen: impl Fn(&str) -> bool) -> bool {
    while part.len() < PART {
        let Some((name, group)) = groups() else {
            part.push_str("}}");
            return true;
        };
        if is_seen(&name) {
            let comma = if std::mem::replace(has_begun, true) { "," } else { "" };
            part.push_str(&format!("{comma}{}:{group}", Value::from(name)));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Groups, PART, before, fill};

    fn check(count: usize, rest: &Value, is_seen: fn(&str) -> bool) {
        let all: Vec<(String, Value)> =
            (0..count).map(|n| (format!("g{n:04}"), json!({ "targets": ["x".repeat(1000)], "n": n }))).collect();
        let mut left = all.clone().into_iter();
        let mut groups: Groups = Box::new(move || left.next());
        let (mut text, mut part, mut has_begun, mut is_over) = (String::new(), before(rest), false, false);
        let longest = PART.max(part.len()) + 2000;
        while !is_over {
            is_over = fill(&mut part, &mut has_begun, &mut groups, is_seen);
            assert!(part.len() < longest, "{} bytes", part.len());
            text.push_str(&std::mem::take(&mut part));
        }
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:.200}"));
        let seen: serde_json::Map<String, Value> = all.into_iter().filter(|(name, _)| is_seen(name)).collect();
        let mut expected = rest.clone();
        expected["target_groups"] = seen.into();
        assert_eq!(told, expected, "{count} groups beside {rest}");
    }

    #[test]
    fn parts_are_one_object() {
        for rest in [json!({}), json!({ "state": "serving" }), json!({ "state": "x".repeat(2 * PART) })] {
            for count in [0, 1, 2, 500, 1000] {
                check(count, &rest, |_| true);
                check(count, &rest, |name| name.ends_with('7'));
                check(count, &rest, |name| name > "g0200");
                check(count, &rest, |_| false);
            }
        }
    }
}
