//! The table of routes: path, method, the action that a policy names, the resource that it is about, what does it, and how it is
//! described. What is not in it cannot be reached.

mod audit;
pub(crate) mod backup;
mod batch;
mod events;
mod iam;
mod listeners;
mod live;
mod resources;
mod revisions;
mod session;
mod status;
mod system;
mod targets;

use axum::http::Method;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::problem::Problem;

/// What most bodies are.
pub(crate) const JSON: &str = "application/json";

/// What does it.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, Problem>>;

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Anyone: what supervisors and probes ask.
    Public,
    /// Anyone, to become known; the route writes down what came of it.
    SignIn,
    /// Whoever may do the route's action on its resource.
    Guarded,
    /// Whoever is known; what more there is to ask, the route asks itself.
    Known,
}

impl Door {
    /// Whether one comes in without being known.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Public | Self::SignIn)
    }
}

/// A parameter behind `?`.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) schema: Value,
    pub(crate) about: &'static str,
}

/// A route.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) action: &'static str,
    /// With `{name}` for parts of the path.
    resource: String,
    pub(crate) door: Door,
    pub(crate) handler: Handler,
    /// What it does, for its description.
    pub(crate) about: String,
    pub(crate) query: Vec<Parameter>,
    /// The schema of the body that it takes.
    pub(crate) takes: Option<Value>,
    /// Of the body; a file's is taken as it comes, and may be long.
    pub(crate) media: &'static str,
    /// Whether it may come without a body all the same.
    pub(crate) takes_nothing: bool,
    /// Whether `If-Match` and `If-None-Match` are held against what it changes; elsewhere they would mean nothing, and are refused.
    pub(crate) is_conditional: bool,
    /// Statuses of success, and the schema of what comes with them.
    pub(crate) answers: Vec<(u16, Option<Value>)>,
}

/// A route of these; what more there is to say of it follows.
pub(crate) fn route(
    method: Method,
    path: impl Into<String>,
    action: &'static str,
    resource: impl Into<String>,
    handler: Handler,
) -> Route {
    Route {
        method,
        path: path.into(),
        action,
        resource: resource.into(),
        door: Door::Guarded,
        handler,
        about: String::new(),
        query: Vec::new(),
        takes: None,
        media: JSON,
        takes_nothing: false,
        is_conditional: false,
        answers: Vec::new(),
    }
}

impl Route {
    pub(crate) fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    pub(crate) fn behind(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    pub(crate) fn asks(mut self, name: &'static str, schema: Value, about: &'static str) -> Self {
        self.query.push(Parameter { name, schema, about });
        self
    }

    /// What every change of identities may be told.
    pub(crate) fn judges(mut self) -> Self {
        self.is_conditional = true;
        self.asks("dry_run", json!({ "type": "boolean" }), "Judge the change, say what it would do, and do nothing.")
    }

    /// What every change of resources may be told.
    pub(crate) fn changes(self) -> Self {
        self.judges().asks("reason", json!({ "type": "string", "maxLength": 1000 }), "Why, for the revision.")
    }

    /// It changes nothing of which there is a tag.
    pub(crate) fn unconditional(mut self) -> Self {
        self.is_conditional = false;
        self
    }

    /// What every list may be told.
    pub(crate) fn pages(self) -> Self {
        self.asks("limit", json!({ "type": "integer", "minimum": 1, "maximum": 500 }), "At most so many; default 100.")
    }

    /// What every list by name may be told.
    pub(crate) fn pages_by_name(self) -> Self {
        self.pages().asks("after", json!({ "type": "string" }), "Those after this name.").asks(
            "prefix",
            json!({ "type": "string" }),
            "Those whose names begin so.",
        )
    }

    /// The same of a list that is told as a whole to whoever does not say how much of it.
    pub(crate) fn may_page(self, what: &'static str) -> Self {
        self.asks(
            "limit",
            json!({ "type": "integer", "minimum": 1, "maximum": 500 }),
            "At most so many; default: all. Where others follow, `Link` says where.",
        )
        .asks("after", json!({ "type": "string" }), what)
        .asks("prefix", json!({ "type": "string" }), "Those that begin so.")
    }

    pub(crate) fn takes(mut self, schema: Value) -> Self {
        self.takes = Some(schema);
        self
    }

    /// A file of this media type in place of JSON.
    pub(crate) fn takes_file(mut self, media: &'static str) -> Self {
        (self.takes, self.media) = (Some(json!({ "type": "string", "format": "binary" })), media);
        self
    }

    /// Whether what it takes is a file.
    pub(crate) fn is_for_files(&self) -> bool {
        self.media != JSON
    }

    pub(crate) fn may_take(mut self, schema: Value) -> Self {
        (self.takes, self.takes_nothing) = (Some(schema), true);
        self
    }

    pub(crate) fn answers(mut self, status: u16, schema: Value) -> Self {
        self.answers.push((status, Some(schema)));
        self
    }

    pub(crate) fn answers_nothing(mut self, status: u16) -> Self {
        self.answers.push((status, None));
        self
    }

    /// The resource of a call with these parts of the path.
    pub(crate) fn resource(&self, params: &[(String, String)]) -> String {
        params
            .iter()
            .fold(self.resource.clone(), |resource, (name, value)| resource.replace(&format!("{{{name}}}"), value))
    }

    /// The names of what may stand behind `?`.
    pub(crate) fn parameters(&self) -> Vec<&'static str> {
        self.query.iter().map(|parameter| parameter.name).collect()
    }
}

/// All of them.
pub(crate) fn table() -> Vec<Route> {
    [
        system::routes(),
        resources::routes(),
        listeners::routes(),
        targets::routes(),
        batch::routes(),
        revisions::routes(),
        backup::routes(),
        audit::routes(),
        events::routes(),
        live::routes(),
        session::routes(),
        iam::routes(),
    ]
    .concat()
}

/// A reference to a schema of the description.
pub(crate) fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
