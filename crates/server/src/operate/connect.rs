//! Which instance is asked, with which key; and what it says when it does not do what it is asked.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::{Asking, contexts};
use crate::check::REFUSED;
use crate::client::{self, Answer, Credentials, Instance, Question, Sent};
use crate::file;

/// Longer than a change that waits for names to be resolved.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a command did not do what it is for: what is said of it, and its exit status.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(super) lines: Vec<String>,
    pub(super) status: u8,
}

impl Failed {
    /// It could not be done.
    pub(super) fn with(what: impl Into<String>) -> Self {
        Self { lines: vec![what.into()], status: 1 }
    }

    /// The same, of this file.
    pub(super) fn of(mut self, label: &str) -> Self {
        self.lines.iter_mut().for_each(|line| line.insert_str(0, &format!("{label}: ")));
        self
    }

    /// What was asked is wrong.
    pub(super) fn wrong(what: impl Into<String>) -> Self {
        Self { lines: vec![what.into()], status: REFUSED }
    }
}

/// Which instance is meant.
pub(super) enum Meant {
    /// The one at an address.
    Endpoint(String),
    /// The one of a context, by name.
    Context(String),
    /// The one of this machine that runs a file.
    File(PathBuf),
}

impl Meant {
    /// What a command says, else the environment, else the current context, else the file that is here.
    pub(super) fn by(asking: &Asking) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(endpoint) = &asking.endpoint {
            Self::Endpoint(endpoint.clone())
        } else if let Some(context) = &asking.context {
            Self::Context(context.clone())
        } else if let Some(path) = &asking.config {
            Self::File(path.clone())
        } else if let Some(endpoint) = variable("HEADWORKS_ENDPOINT") {
            Self::Endpoint(endpoint)
        } else if let Some(context) = variable("HEADWORKS_CONTEXT").or_else(contexts::current) {
            Self::Context(context)
        } else {
            Self::File(asking.file())
        }
    }
}

/// An instance that answers.
pub(crate) struct Connection {
    instance: Instance,
}

impl Connection {
    /// The instance that is meant.
    pub(super) fn of(asking: &Asking) -> Result<Self, Failed> {
        let instance = match Meant::by(asking) {
            Meant::Endpoint(endpoint) => {
                let address = contexts::address_of(&endpoint).to_owned();
                Instance { address, credentials: Credentials::of_environment() }
            }
            Meant::Context(context) => contexts::instance(&context)?,
            Meant::File(path) => {
                let loaded = file::load(&path).map_err(|refused| Failed::wrong(refused.to_string()))?;
                Instance::of_file(&loaded.config)
            }
        };
        Ok(Self { instance })
    }

    /// The instance that is asked.
    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Asks, whatever is answered.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        fields: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failed> {
        self.put(&Question { method, path, fields, body: body.map(Sent::json) })
    }

    /// Puts a question, whatever is answered.
    pub(super) fn put(&self, question: &Question<'_>) -> Result<Answer, Failed> {
        let answer = client::wait_for(client::ask(&self.instance, question, PATIENCE));
        answer.map_err(|error| Failed::with(format!("{}: {error}", self.instance.address)))
    }

    /// Asks, and takes a problem for what it is.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failed> {
        succeeded(self.send(method, path, fields, body)?)
    }

    /// Asks for what may be long, and hands it on as it comes.
    pub(super) fn pour(&self, path: &str, to: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), Failed> {
        let question = Question { method: Method::GET, path, fields: &[], body: None };
        let poured = client::wait_for(client::pour(&self.instance, &question, PATIENCE, to));
        let poured = poured.map_err(|error| Failed::with(format!("{}: {error}", self.instance.address)))?;
        poured.map_or(Ok(()), |answer| Err(refused(&answer)))
    }

    /// Asks for JSON.
    pub(super) fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        json_of(&self.ask(method, path, &[], body)?)
    }
}

/// Takes a problem for what it is.
///
/// # Errors
/// When it is one.
pub(super) fn succeeded(answer: Answer) -> Result<Answer, Failed> {
    if answer.status.is_success() { Ok(answer) } else { Err(refused(&answer)) }
}

/// What an answer says; null for one that says nothing.
pub(super) fn json_of(answer: &Answer) -> Result<Value, Failed> {
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).map_err(|error| Failed::with(format!("the answer is no JSON: {error}")))
}

/// Each fault on a line, as those of the file.
pub(super) fn refused(answer: &Answer) -> Failed {
    refused_at(answer, |_| None)
}

/// The same, with the place of each, and its path there, as far as they are known by its path.
pub(super) fn refused_at(answer: &Answer, place: impl for<'p> Fn(&'p str) -> Option<(String, &'p str)>) -> Failed {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let errors = problem.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines: Vec<String> = match errors.as_slice() {
        [] => vec![text(&problem, "detail")],
        errors => errors
            .iter()
            .map(|error| match place(&text(error, "path")) {
                Some((at, path)) => format!("{at}: {path}: {}", text(error, "detail")),
                None => text(error, "message"),
            })
            .collect(),
    };
    let lines = lines.into_iter().map(|line| if line.is_empty() { answer.status.to_string() } else { line }).collect();
    Failed { lines, status: if answer.status.is_client_error() { REFUSED } else { 1 } }
}
