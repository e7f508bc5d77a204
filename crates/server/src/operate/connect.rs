//! Which instance is asked, with which key; and what it says when it does not do what it is asked.

use std::path::PathBuf;
use std::time::Duration;

use headworks_model::json_of_yaml;
use hyper::Method;
use serde_json::Value;

use super::Asking;
use crate::check::REFUSED;
use crate::client::{self, Answer, Credentials, Instance, Question};
use crate::file::{self, Surroundings};

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

    /// What was asked is wrong.
    pub(super) fn wrong(what: impl Into<String>) -> Self {
        Self { lines: vec![what.into()], status: REFUSED }
    }
}

/// An instance that answers.
pub(crate) struct Connection {
    instance: Instance,
}

impl Connection {
    /// The instance that is meant.
    pub(super) fn of(asking: &Asking) -> Result<Self, Failed> {
        let instance = if let Some(endpoint) = &asking.endpoint {
            let address = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/').to_owned();
            Instance { address, credentials: Credentials::of_environment() }
        } else if let Some(context) = &asking.context {
            of_context(context)?
        } else {
            let loaded = file::load(&asking.config).map_err(|refused| Failed::wrong(refused.to_string()))?;
            Instance::of_file(&loaded.config)
        };
        Ok(Self { instance })
    }

    /// Asks, and takes a problem for what it is.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Failed> {
        let question = Question { method, path, fields, body };
        let answer = client::wait_for(client::ask(&self.instance, &question, PATIENCE));
        let answer = answer.map_err(|error| Failed::with(format!("{}: {error}", self.instance.address)))?;
        if answer.status.is_success() { Ok(answer) } else { Err(refused(&answer)) }
    }

    /// Asks for JSON.
    pub(super) fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let answer = self.ask(method, path, &[], body)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| Failed::with(format!("the answer is no JSON: {error}")))
    }
}

/// Each fault on a line, as those of the file.
fn refused(answer: &Answer) -> Failed {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let errors = problem.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines: Vec<String> = match errors.as_slice() {
        [] => vec![text(&problem, "detail")],
        errors => errors.iter().map(|error| text(error, "message")).collect(),
    };
    let lines = lines.into_iter().map(|line| if line.is_empty() { answer.status.to_string() } else { line }).collect();
    Failed { lines, status: if answer.status.is_client_error() { REFUSED } else { 1 } }
}

/// `{ name: { endpoint, access_key_id, secret_access_key } }`; texts may have `${env:NAME}` and `${file:PATH}` in them.
fn of_context(name: &str) -> Result<Instance, Failed> {
    let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    let path =
        home.ok_or_else(|| Failed::with("neither HOME nor XDG_CONFIG_HOME is set"))?.join("headworks/contexts.yaml");
    let label = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| Failed::with(format!("{label}: {error}")))?;
    let contexts = json_of_yaml(&label, &text, &Surroundings(&file::folder(&path)));
    let contexts = contexts.map_err(|faults| Failed::wrong(faults.to_string()))?;
    let Some(context) = contexts.get(name) else {
        let known: Vec<&String> = contexts.as_object().map(|all| all.keys().collect()).unwrap_or_default();
        return Err(Failed::wrong(format!("{label}: there is no context {name:?}, expected one of {known:?}")));
    };
    let get = |key: &str| context.get(key).and_then(Value::as_str).map(str::to_owned);
    let endpoint = get("endpoint").ok_or_else(|| Failed::wrong(format!("{label}: {name}.endpoint: is missing")))?;
    let address = endpoint.strip_prefix("http://").unwrap_or(&endpoint).trim_end_matches('/').to_owned();
    let credentials = get("access_key_id").zip(get("secret_access_key"));
    let credentials = credentials.map(|(key, secret)| Credentials { key, secret, token: get("session_token") });
    Ok(Instance { address, credentials: credentials.or_else(Credentials::of_environment) })
}

/// What stands in a path or behind `?`.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
