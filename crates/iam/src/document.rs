//! A policy document in the grammar of AWS: read with all its mistakes and their places, kept as it was written.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::condition::Condition;

/// Something wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Where, as `Statement[0].Effect`.
    pub path: String,
    /// What, and what was expected.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.path, self.what) }
    }
}

/// Where a document is attached, which decides what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// To a user, a group or a role: it says of which resources.
    Identity,
    /// To a role, as to who may assume it: it says of which principals.
    Trust,
}

/// A document that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// As it was written.
    written: Value,
    /// Since this version there are variables.
    pub(crate) has_variables: bool,
    pub(crate) statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) allows: bool,
    pub(crate) actions: Listed,
    pub(crate) resources: Listed,
    pub(crate) principals: Listed,
    pub(crate) conditions: Vec<Condition>,
}

/// What is listed, or all that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    These(Vec<String>),
    AllBut(Vec<String>),
    /// Not said, where it need not be.
    Unsaid,
}

const WITH_VARIABLES: &str = "2012-10-17";
const VERSIONS: [&str; 2] = [WITH_VARIABLES, "2008-10-17"];
/// The longest document, in characters of JSON.
const LONGEST: usize = 10_240;

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(value: &Value, attached: Attached) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading { attached, mistakes: Vec::new() };
        let (has_variables, statements) = reading.document(value);
        if value.to_string().len() > LONGEST {
            reading.mistake("", format!("is longer than {LONGEST} characters"));
        }
        if reading.mistakes.is_empty() {
            Ok(Self { written: value.clone(), has_variables, statements })
        } else {
            Err(reading.mistakes)
        }
    }

    /// As it was written.
    pub fn json(&self) -> &Value {
        &self.written
    }

    /// How much of a quota it takes: its characters without white space.
    pub fn size(&self) -> usize {
        self.written.to_string().len()
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        kept(deserializer, Attached::Identity)
    }
}

/// Reads a trust policy that was kept; for `#[serde(deserialize_with)]`.
pub(crate) fn trust<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
    kept(deserializer, Attached::Trust)
}

fn kept<'de, D: Deserializer<'de>>(deserializer: D, attached: Attached) -> Result<Document, D::Error> {
    Document::read(&Value::deserialize(deserializer)?, attached).map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        serde::de::Error::custom(mistakes.join("; "))
    })
}

struct Reading {
    attached: Attached,
    mistakes: Vec<Mistake>,
}

impl Reading {
    fn mistake(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.mistakes.push(Mistake { path: path.into(), what: what.into() });
    }

    fn document(&mut self, value: &Value) -> (bool, Vec<Statement>) {
        let Some(entries) = value.as_object() else {
            self.mistake("", "is no policy document, expected a mapping of Version, Id, Statement");
            return (false, Vec::new());
        };
        self.known_keys("", entries, &["Version", "Id", "Statement"]);
        let has_variables = match entries.get("Version") {
            None => false,
            Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => version == WITH_VARIABLES,
            Some(_) => {
                self.mistake("Version", format!("is not known, expected one of {}", VERSIONS.join(", ")));
                false
            }
        };
        if entries.get("Id").is_some_and(|id| !id.is_string()) {
            self.mistake("Id", "is no text");
        }
        let statements: Vec<Statement> = match entries.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => {
                let each = list.iter().enumerate();
                each.filter_map(|(index, one)| self.statement(&format!("Statement[{index}]"), one)).collect()
            }
            Some(one @ Value::Object(_)) => self.statement("Statement", one).into_iter().collect(),
            Some(_) => {
                self.mistake("Statement", "is no statement, expected one, or a list of at least one");
                Vec::new()
            }
            None => {
                self.mistake("Statement", "is missing, expected a statement, or a list of them");
                Vec::new()
            }
        };
        let mut seen = HashSet::new();
        for sid in statements.iter().filter_map(|statement| statement.sid.as_ref()) {
            if !seen.insert(sid.clone()) {
                self.mistake("Statement", format!("the Sid {sid:?} is there twice, expected each once"));
            }
        }
        (has_variables, statements)
    }

    fn known_keys(&mut self, at: &str, entries: &Map<String, Value>, known: &[&str]) {
        for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
            self.mistake(join(at, key), format!("unknown key, expected one of {}", known.join(", ")));
        }
    }

    fn statement(&mut self, at: &str, value: &Value) -> Option<Statement> {
        let Some(entries) = value.as_object() else {
            self.mistake(at, "is no statement, expected a mapping of Effect, Action, Resource and others");
            return None;
        };
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        self.known_keys(at, entries, &known);
        let sid = match entries.get("Sid") {
            None => None,
            Some(Value::String(sid)) if sid.chars().all(|c| c.is_ascii_alphanumeric()) => {
                Some(sid.clone()).filter(|sid| !sid.is_empty())
            }
            Some(_) => {
                self.mistake(join(at, "Sid"), "is not letters and digits only");
                None
            }
        };
        let allows = match entries.get("Effect").map(Value::as_str) {
            Some(Some("Allow")) => Some(true),
            Some(Some("Deny")) => Some(false),
            Some(_) => {
                self.mistake(join(at, "Effect"), "is neither Allow nor Deny");
                None
            }
            None => {
                self.mistake(join(at, "Effect"), "is missing, expected Allow or Deny");
                None
            }
        };
        let actions = self.one_of(at, entries, "Action", &is_action);
        let (resources, principals) = match self.attached {
            Attached::Identity => {
                for key in ["Principal", "NotPrincipal"].into_iter().filter(|key| entries.contains_key(*key)) {
                    let what = "has no meaning in a policy of an identity, which is the principal itself";
                    self.mistake(join(at, key), what);
                }
                (self.one_of(at, entries, "Resource", &is_resource), Listed::Unsaid)
            }
            Attached::Trust => {
                for key in ["Resource", "NotResource"].into_iter().filter(|key| entries.contains_key(*key)) {
                    self.mistake(join(at, key), "has no meaning in a trust policy, whose resource is the role itself");
                }
                (Listed::Unsaid, self.principals(at, entries))
            }
        };
        let conditions = self.conditions(at, entries.get("Condition"));
        Some(Statement { sid, allows: allows?, actions, resources, principals, conditions })
    }

    /// `Key` or `NotKey`, not both.
    fn one_of(
        &mut self,
        at: &str,
        entries: &Map<String, Value>,
        key: &str,
        check: &dyn Fn(&str) -> Result<(), String>,
    ) -> Listed {
        let not = format!("Not{key}");
        match (entries.get(key), entries.get(&not)) {
            (Some(_), Some(_)) => {
                self.mistake(join(at, &not), format!("is given besides {key}, expected one of the two"));
                Listed::Unsaid
            }
            (Some(these), None) => Listed::These(self.texts(&join(at, key), these, check)),
            (None, Some(but)) => Listed::AllBut(self.texts(&join(at, &not), but, check)),
            (None, None) => {
                self.mistake(join(at, key), format!("is missing, expected {key} or {not}"));
                Listed::Unsaid
            }
        }
    }

    /// A text, or a list of them.
    fn texts(&mut self, at: &str, value: &Value, check: &dyn Fn(&str) -> Result<(), String>) -> Vec<String> {
        let list = match value {
            Value::Array(list) if list.is_empty() => {
                self.mistake(at, "is an empty list, expected at least one");
                return Vec::new();
            }
            Value::Array(list) => list.iter().enumerate().map(|(i, one)| (format!("{at}[{i}]"), one)).collect(),
            one => vec![(at.to_owned(), one)],
        };
        let mut texts = Vec::with_capacity(list.len());
        for (at, one) in list {
            match one.as_str().map(|text| (text, check(text))) {
                Some((text, Ok(()))) => texts.push(text.to_owned()),
                Some((_, Err(what))) => self.mistake(at, what),
                None => self.mistake(at, "is no text, expected one, or a list of them"),
            }
        }
        texts
    }

    /// `"*"`, or `{ "AWS": [...] }` with names of principals.
    fn principals(&mut self, at: &str, entries: &Map<String, Value>) -> Listed {
        let flat = |value: &Value| match value {
            Value::Object(kinds) => kinds.get("AWS").or_else(|| kinds.get("Headworks")).cloned().unwrap_or_default(),
            other => other.clone(),
        };
        let mut flattened = Map::new();
        for key in ["Principal", "NotPrincipal"] {
            if let Some(value) = entries.get(key) {
                if let Some(kinds) = value.as_object() {
                    self.known_keys(&join(at, key), kinds, &["AWS", "Headworks"]);
                }
                flattened.insert(key.to_owned(), flat(value));
            }
        }
        self.one_of(at, &flattened, "Principal", &is_resource)
    }

    fn conditions(&mut self, at: &str, value: Option<&Value>) -> Vec<Condition> {
        let at = join(at, "Condition");
        let Some(value) = value else { return Vec::new() };
        let Some(operators) = value.as_object() else {
            self.mistake(at, "is no mapping, expected { operator: { key: value } }");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (operator, keys) in operators {
            let at = join(&at, operator);
            let Some(keys) = keys.as_object() else {
                self.mistake(at, "is no mapping, expected { key: value }");
                continue;
            };
            for (key, values) in keys {
                let scalars = match values {
                    Value::Array(list) => list.clone(),
                    one => vec![one.clone()],
                };
                let texts: Option<Vec<String>> = scalars.iter().map(text_of).collect();
                let at = join(&at, key);
                match texts {
                    None => {
                        self.mistake(at, "is no value, expected a text, a number, true or false, or a list of them");
                    }
                    Some(texts) => match Condition::new(operator, key, texts) {
                        Ok(condition) => found.push(condition),
                        Err(what) => self.mistake(at, what),
                    },
                }
            }
        }
        found
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

fn is_action(text: &str) -> Result<(), String> {
    let fine = text == "*"
        || text.split_once(':').is_some_and(|(service, name)| {
            let of = |text: &str, more: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            };
            of(service, "-*?") && of(name, "*?")
        });
    if fine {
        Ok(())
    } else {
        Err(format!("{text:?} is no action, expected * or one such as headworks:PutTargetGroup"))
    }
}

fn is_resource(text: &str) -> Result<(), String> {
    let fine = text == "*" || (text.starts_with("hrn:") && text.matches(':').count() >= 2) || text.starts_with("hrn:*");
    if fine {
        Ok(())
    } else {
        Err(format!("{text:?} is no resource, expected * or one such as hrn:headworks:target-group/web"))
    }
}
