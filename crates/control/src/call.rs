//! One call of the API, past the door: who asks, with what, and what is to be answered.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headworks_model::primitive::Name;
use headworks_store::Entry;
use serde_json::Value;
use serde_json::error::Category;

use crate::asker::Asker;
use crate::change::{Condition, Run};
use crate::json;
use crate::names::action;
use crate::plane::Plane;
use crate::problem::Problem;
use crate::query::Query;
use crate::sight::Sight;
use crate::standing::Credential;
use crate::upload::Upload;

/// The most values of a body: a target group of a hundred thousand targets has a fifth of them.
const MOST_VALUES: usize = 2_000_000;

/// A call.
pub(crate) struct Call {
    pub(crate) plane: Arc<Plane>,
    pub(crate) asker: Asker,
    pub(crate) credential: Credential,
    /// The attempt as it stands.
    pub(crate) entry: Entry,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Query,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
    /// What comes in place of a body, of routes that take files.
    pub(crate) upload: Option<Upload>,
}

/// An answer, and whether the attempt has been written down with what it did.
pub(crate) struct Reply {
    pub(crate) response: Response,
    pub(crate) is_noted: bool,
    /// What changed, for the attempt that is yet to be written down.
    pub(crate) changes: Vec<String>,
}

impl Reply {
    /// JSON.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        let kind = HeaderValue::from_static("application/json");
        let mut response = (status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Self { response, is_noted: false, changes: Vec::new() }
    }

    /// 200 and JSON.
    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// Any other answer.
    pub(crate) fn of(response: Response) -> Self {
        Self { response, is_noted: false, changes: Vec::new() }
    }

    /// 204.
    pub(crate) fn nothing() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// A status alone.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { response: status.into_response(), is_noted: false, changes: Vec::new() }
    }

    /// Text of a kind.
    pub(crate) fn text(status: StatusCode, kind: &'static str, text: impl Into<Body>) -> Self {
        let mut response = (status, text.into()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Self { response, is_noted: false, changes: Vec::new() }
    }

    /// With a field.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Whose attempt is written down with what changed.
    pub(crate) fn having_changed(mut self, changes: Vec<String>) -> Self {
        self.changes = changes;
        self
    }

    /// The attempt has been written down.
    pub(crate) fn noted(self) -> Self {
        self.noted_if(true)
    }

    /// The attempt has been written down, or not.
    pub(crate) fn noted_if(mut self, is_noted: bool) -> Self {
        self.is_noted = is_noted;
        self
    }
}

impl Call {
    /// A part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// A part of the path that names a declared resource.
    ///
    /// # Errors
    /// When it is no name.
    pub(crate) fn name(&self, param: &str) -> Result<Name, Problem> {
        Name::new(self.param(param)).map_err(|error| Problem::invalid(param, error.to_string()))
    }

    /// The body.
    ///
    /// # Errors
    /// When it is no JSON.
    pub(crate) fn json(&self) -> Result<Value, Problem> {
        if self.body.is_empty() {
            return Err(Problem::bad_request("the body is empty, expected JSON"));
        }
        // in memory each value takes many times what it does as text; at most as many as these are in it
        let values = self.body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        if values > MOST_VALUES {
            return Err(Problem::bad_request(format!("the body has more than {MOST_VALUES} values")));
        }
        json::read(&self.body).map_err(|error| match error.classify() {
            // it is some, and says something twice
            Category::Data => Problem::bad_request(format!("the body is ambiguous: {error}")),
            _ => Problem::bad_request(format!("the body is no JSON: {error}")),
        })
    }

    /// The body, or `{}` in place of none.
    ///
    /// # Errors
    /// When it is no JSON.
    pub(crate) fn json_or_empty(&self) -> Result<Value, Problem> {
        if self.body.is_empty() { Ok(Value::Object(serde_json::Map::new())) } else { self.json() }
    }

    /// Whether to do it.
    ///
    /// # Errors
    /// When `dry_run` is neither true nor false.
    pub(crate) fn run(&self) -> Result<Run, Problem> {
        Ok(if self.query.flag("dry_run")? { Run::Dry } else { Run::Wet })
    }

    /// Why, in the caller's words.
    ///
    /// # Errors
    /// When it is longer than 1000 characters.
    pub(crate) fn reason(&self) -> Result<String, Problem> {
        let reason = self.query.get("reason").unwrap_or_default();
        if reason.chars().count() > 1000 {
            return Err(Problem::invalid("?reason", "is longer than 1000 characters"));
        }
        Ok(reason.to_owned())
    }

    /// `If-Match` and `If-None-Match`.
    pub(crate) fn condition(&self) -> Condition {
        Condition::of(&self.fields)
    }

    /// Whether `If-None-Match` says that the caller has it.
    fn has(&self, tag: &str) -> bool {
        let known = self.condition().if_none_match.unwrap_or_default();
        known.iter().any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    }

    /// What there is, with its tag; nothing for a caller that has it.
    ///
    /// # Errors
    /// When it is not what `If-Match` says (RFC 9110, section 13.1.1).
    pub(crate) fn represented(&self, tag: &str, reply: impl FnOnce() -> Reply) -> Result<Reply, Problem> {
        let condition = Condition { if_none_match: None, ..self.condition() };
        condition.check_tag(Some(tag), &self.entry.resource)?;
        let known =
            || Reply { response: StatusCode::NOT_MODIFIED.into_response(), is_noted: false, changes: Vec::new() };
        Ok(if self.has(tag) { known() } else { reply() }.with("etag", tag))
    }

    /// Whether something is what the caller knew. To be asked while nobody else changes it.
    pub(crate) fn knows(&self, called: String) -> impl Fn(Option<&Value>) -> Result<(), Problem> + Send + 'static {
        let (plane, condition) = (self.plane.clone(), self.condition());
        move |found| condition.check(found, &called, &|found| plane.tag(found))
    }

    /// Asks whether the caller may do something more than what it came for.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn may(&self, name: &str, resource: &str) -> Result<(), Problem> {
        self.asker.may(&self.plane, &action(name), resource)
    }

    /// What the caller sees where many things are shown.
    pub(crate) fn sight(&self) -> Sight {
        self.asker.sight(&self.plane)
    }

    /// Refuses to show what the caller is denied to see, or what has something of that in it.
    ///
    /// # Errors
    /// When it is not seen.
    pub(crate) fn sees(&self, is_seen: bool) -> Result<(), Problem> {
        let Entry { action, resource, .. } = &self.entry;
        let principal = &self.asker.principal;
        let refused = || {
            Problem::denied(format!(
                "User: {principal} is not authorized to perform: {action} on resource: {resource} because a policy denies \
                 explicitly to see it, or something that it shows"
            ))
        };
        if is_seen { Ok(()) } else { Err(refused()) }
    }

    /// The refusal where something is denied by another name of it, which the caller has not given: that is not told.
    pub(crate) fn by_another_name(&self) -> Problem {
        let Entry { action, resource, .. } = &self.entry;
        let principal = &self.asker.principal;
        Problem::denied(format!(
            "User: {principal} is not authorized to perform: {action} on resource: {resource} by the name that it has"
        ))
    }

    /// Asks whether the caller may do what it came for to this as well, which its path names in another way.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn may_this(&self, resource: &str) -> Result<(), Problem> {
        self.asker.may(&self.plane, &self.entry.action, resource)
    }
}
