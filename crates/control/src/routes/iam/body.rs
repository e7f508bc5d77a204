//! Bodies about identities: mappings of few keys, all of their mistakes told at once.

use std::collections::BTreeSet;

use headworks_iam::document::Attached;
use headworks_iam::{Document, Mistake};
use serde_json::{Map, Value};

use crate::json;
use crate::problem::Problem;

/// A mapping while it is read.
pub(in crate::routes) struct Body {
    entries: Map<String, Value>,
    mistakes: Vec<Mistake>,
}

impl Body {
    /// Takes a mapping of these keys.
    pub(in crate::routes) fn of(value: Value, known: &[&str]) -> Result<Self, Problem> {
        let Value::Object(entries) = value else {
            let what = format!("the body is no mapping, expected one of {}", known.join(", "));
            return Err(Problem::bad_request(what));
        };
        let unknown = entries.keys().filter(|key| !known.contains(&key.as_str()));
        let what = match known {
            [] => "unknown key, expected none".to_owned(),
            known => format!("unknown key, expected one of {}", known.join(", ")),
        };
        let mistakes = unknown.map(|key| Mistake { path: key.clone(), what: what.clone() }).collect();
        Ok(Self { entries, mistakes })
    }

    pub(in crate::routes) fn mistake(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake { path: path.into(), what: what.into() });
    }

    /// A value that is there and not null.
    pub(in crate::routes) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).filter(|value| !value.is_null())
    }

    /// A text.
    pub(in crate::routes) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.get(key)?.clone();
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.mistake(key, "is no text");
        }
        text
    }

    /// A text that must be there.
    pub(in crate::routes) fn required_text(&mut self, key: &str) -> String {
        if self.get(key).is_none() {
            self.mistake(key, "is missing, expected a text");
        }
        self.text(key).unwrap_or_default()
    }

    /// A list of texts, or one; each once.
    pub(in crate::routes) fn texts(&mut self, key: &str) -> Vec<String> {
        let list = match self.get(key).cloned() {
            None => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(one) => vec![one],
        };
        let texts: Option<Vec<String>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
        if texts.is_none() {
            self.mistake(key, "is no list of texts");
        }
        texts.unwrap_or_default()
    }

    /// Names, at most so many.
    pub(in crate::routes) fn names(&mut self, key: &str, most: usize) -> BTreeSet<String> {
        let names: BTreeSet<String> = self.texts(key).into_iter().collect();
        if names.len() > most {
            self.mistake(key, format!("has {} entries, expected at most {most}", names.len()));
        }
        names
    }

    /// A number from `low` to `high`.
    pub(in crate::routes) fn number(&mut self, key: &str, low: u64, high: u64) -> Option<u64> {
        let value = self.get(key)?.clone();
        let number = value.as_u64().filter(|number| (low..=high).contains(number));
        if number.is_none() {
            self.mistake(key, format!("is not a whole number from {low} to {high}"));
        }
        number
    }

    /// True or false.
    pub(in crate::routes) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?.clone();
        let flag = value.as_bool();
        if flag.is_none() {
            self.mistake(key, "is neither true nor false");
        }
        flag
    }

    /// A policy document, as a mapping or as the text of one.
    pub(in crate::routes) fn document(&mut self, key: &str, attached: Attached) -> Option<Document> {
        let value = self.get(key)?.clone();
        match document(&value, attached) {
            Ok(document) => Some(document),
            Err(mistakes) => {
                for Mistake { path, what } in mistakes {
                    let path = if path.is_empty() { key.to_owned() } else { format!("{key}.{path}") };
                    self.mistake(path, what);
                }
                None
            }
        }
    }

    /// That nothing was wrong.
    pub(in crate::routes) fn check(&self) -> Result<(), Problem> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Problem::of_mistakes(&self.mistakes)) }
    }
}

/// A document, or the text of one.
pub(super) fn document(value: &Value, attached: Attached) -> Result<Document, Vec<Mistake>> {
    let Some(text) = value.as_str() else { return Document::read(value, attached) };
    let value = json::read(text.as_bytes())
        .map_err(|error| vec![Mistake { path: String::new(), what: format!("is no JSON: {error}") }])?;
    Document::read(&value, attached)
}

/// The name of a new identity.
pub(super) fn checked(name: &str) -> Result<String, Problem> {
    headworks_iam::directory::check_name(name).map_err(|mistake| Problem::of_mistakes(&[mistake]))?;
    Ok(name.to_owned())
}
