//! Lists in pages, all in one way: in the order of names, from behind the one that the page before ended with, so that what comes
//! and goes between two pages is neither told twice nor has anything else be missed.

use std::cmp::Ordering;

use headworks_iam::percent::encoded;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::problem::Problem;
use crate::query::Query;

/// A page ends where it would be longer than this, whatever its limit.
const LONGEST: usize = 1 << 20;

/// What of a list is asked for.
pub(crate) struct Page {
    limit: usize,
    after: Option<String>,
    prefix: String,
}

/// What was found of it.
pub(crate) struct Found {
    /// In the order of their names.
    pub(crate) entries: Map<String, Value>,
    /// The last of them, where others follow.
    pub(crate) next: Option<String>,
}

impl Page {
    /// What a call asks for: a hundred, if it does not say how many.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub(crate) fn of(call: &Call) -> Result<Self, Problem> {
        Self::asked(&call.query, 100)
    }

    /// The same of a list that is told as a whole to whoever does not ask for a page.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub(crate) fn of_whole(call: &Call) -> Result<Self, Problem> {
        Self::asked(&call.query, usize::MAX)
    }

    /// What a query asks for; so many, if it does not say how many.
    pub(crate) fn asked(query: &Query, usual: usize) -> Result<Self, Problem> {
        let limit = query.number("limit", 1, 500)?;
        let limit = limit.map_or(usual, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let text = |name: &str| query.get(name).map(str::to_owned);
        Ok(Self { limit, after: text("after"), prefix: text("prefix").unwrap_or_default() })
    }

    /// Takes the page out of all, which come in the order of their names; `show` shows one.
    pub(crate) fn take<T>(
        &self,
        all: impl IntoIterator<Item = (impl AsRef<str>, T)>,
        show: impl FnMut(&str, T) -> Value,
    ) -> Found {
        self.take_by(str::cmp, all, show)
    }

    /// The same of names that have another order.
    pub(crate) fn take_by<T>(
        &self,
        order: impl Fn(&str, &str) -> Ordering,
        all: impl IntoIterator<Item = (impl AsRef<str>, T)>,
        mut show: impl FnMut(&str, T) -> Value,
    ) -> Found {
        let (mut entries, mut length) = (Map::new(), 0);
        for (name, one) in all {
            let name = name.as_ref();
            let is_wanted =
                name.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| order(name, after).is_gt());
            if !is_wanted {
                continue;
            }
            if entries.len() >= self.limit || length > LONGEST {
                let next = entries.keys().next_back().cloned();
                return Found { entries, next };
            }
            let shown = show(name, one);
            // a list that is told as a whole has no length to be held to
            if self.limit != usize::MAX {
                length += shown.to_string().len();
            }
            entries.insert(name.to_owned(), shown);
        }
        Found { entries, next: None }
    }
}

impl Found {
    /// The usual answer: the entries below a key, and `next`, where others follow.
    pub(crate) fn answer(self, key: &str) -> Value {
        told(key, self.entries.into(), self.next)
    }

    /// The same where entries say themselves what they are called.
    pub(crate) fn unnamed(self, key: &str) -> Value {
        told(key, self.entries.into_values().collect(), self.next)
    }

    /// The answer of a list that has no room for more than its entries: what follows is in a field (RFC 8288).
    pub(crate) fn linked(next: Option<&str>, call: &Call, body: &Value) -> Reply {
        let reply = Reply::ok(body);
        match next {
            Some(next) => reply.with("link", &link(&call.query, next)),
            None => reply,
        }
    }
}

fn told(key: &str, entries: Value, next: Option<String>) -> Value {
    let mut answer = Map::new();
    answer.insert(key.to_owned(), entries);
    answer.extend(next.map(|next| ("next".to_owned(), next.into())));
    answer.into()
}

/// The field that says where the next page is.
pub(crate) fn link(query: &Query, next: &str) -> String {
    let given = ["limit", "prefix"].into_iter().filter_map(|name| Some((name, query.get(name)?)));
    let query: Vec<String> =
        given.chain([("after", next)]).map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("<?{}>; rel=\"next\"", query.join("&"))
}

/// The schema of a list by name.
pub(crate) fn listed(key: &str, of: &Value) -> Value {
    of_list(key, &json!({ "type": "object", "additionalProperties": of }))
}

/// The schema of a list whose entries say themselves what they are called.
pub(crate) fn listed_unnamed(key: &str, of: &Value) -> Value {
    of_list(key, &json!({ "type": "array", "items": of }))
}

fn of_list(key: &str, entries: &Value) -> Value {
    json!({
        "type": "object",
        "required": [key],
        "properties": {
            key: entries,
            "next": { "type": "string", "description": "Given as `after`, the page that follows." },
        },
    })
}
