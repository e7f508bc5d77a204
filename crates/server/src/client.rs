//! Asking a running instance on its admin address.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use headworks_iam::sigv4::{Presented, sign};
use headworks_model::Config;
use headworks_model::config::AdminAuth;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::admin::unix_now;
use crate::check::{accepted, complain};

/// An answer is never longer than the configuration of a hundred thousand rules.
const LONGEST: usize = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens there.
    NotRunning,
    /// Somebody does, but does not answer like an instance of this program.
    Strange(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::NotRunning => f.write_str("no instance is running there"),
            NoAnswer::Strange(what) => write!(f, "what is running there does not answer ({what})"),
        }
    }
}

impl std::error::Error for NoAnswer {}

/// A running instance, and how it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) address: String,
    pub(crate) credentials: Option<Credentials>,
}

/// An access key.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.key)
    }
}

impl Credentials {
    /// Those of the environment.
    pub(crate) fn of_environment() -> Option<Self> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (key, secret) = (get("HEADWORKS_ACCESS_KEY_ID")?, get("HEADWORKS_SECRET_ACCESS_KEY")?);
        Some(Self { key, secret, token: get("HEADWORKS_SESSION_TOKEN") })
    }
}

impl Instance {
    /// The instance that runs a file. Where calls are signed, that is by the environment's key, or by that of whoever can
    /// read the key file.
    pub(crate) fn of_file(config: &Config) -> Self {
        let local = || {
            let required = config.admin.auth == AdminAuth::Required;
            let (key, secret) = required.then(|| headworks_control::local_key(&config.admin.data).ok()).flatten()?;
            Some(Credentials { key, secret, token: None })
        };
        let credentials = Credentials::of_environment().or_else(local);
        Self { address: config.admin.address.to_string(), credentials }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// With what stands behind `?`.
    pub(crate) path: &'a str,
    /// Names in lower case.
    pub(crate) fields: &'a [(&'static str, String)],
    pub(crate) body: Option<&'a Value>,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
}

/// Asks the instance that runs `file`: where it was asked, and what it answers. What stands in the way has been said when
/// the exit status comes back; a file that is wrong is said with its places, and nobody is asked.
///
/// # Errors
/// With the command's exit status.
pub(crate) fn ask_instance_of(
    file: &Path,
    method: Method,
    path: &str,
    patience: Duration,
) -> Result<(String, StatusCode, Value), ExitCode> {
    let loaded = accepted(file)?;
    let instance = Instance::of_file(&loaded.config);
    let question = Question { method, path, fields: &[], body: None };
    let said = |error: &dyn fmt::Display| {
        complain(format_args!("{}: {error}", instance.address));
        ExitCode::FAILURE
    };
    let answer = wait_for(ask(&instance, &question, patience)).map_err(|error| said(&error))?;
    let value = serde_json::from_slice(&answer.body).map_err(|error| said(&error))?;
    Ok((instance.address.clone(), answer.status, value))
}

/// Runs one question to its end.
///
/// # Errors
/// Those of the question.
pub(crate) fn wait_for<T>(question: impl Future<Output = Result<T, NoAnswer>>) -> Result<T, NoAnswer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| NoAnswer::Strange(error.to_string()))?.block_on(question)
}

/// One request and its answer.
///
/// # Errors
/// When there is none within `patience`.
pub(crate) async fn ask(instance: &Instance, question: &Question<'_>, patience: Duration) -> Result<Answer, NoAnswer> {
    let asked = async {
        let stream = TcpStream::connect(&instance.address).await.map_err(|_| NoAnswer::NotRunning)?;
        let strange = |e: &dyn fmt::Display| NoAnswer::Strange(e.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| strange(&e))?;
        let driver = tokio::spawn(connection);
        let request = signed(instance, question).map_err(|e| strange(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| strange(&e))?;
        let (status, fields) = (answer.status(), answer.headers().clone());
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|e| strange(&e))?.to_bytes();
        driver.abort();
        Ok(Answer { status, fields, body })
    };
    tokio::time::timeout(patience, asked).await.unwrap_or(Err(NoAnswer::Strange("no answer in time".to_owned())))
}

fn signed(instance: &Instance, question: &Question<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let body = question.body.map(Value::to_string).unwrap_or_default();
    let mut fields: Vec<(String, String)> = vec![("host".to_owned(), instance.address.clone())];
    fields.extend(question.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    if question.body.is_some() {
        fields.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    if let Some(Credentials { key, secret, token }) = &instance.credentials {
        let (path, query) = question.path.split_once('?').unwrap_or((question.path, ""));
        let method = question.method.as_str();
        let presented = Presented { method, path, query, fields: &fields, body: body.as_bytes() };
        let added = sign(&presented, key, secret, token.as_deref(), unix_now());
        fields.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    let request = Request::builder().method(question.method.clone()).uri(question.path);
    fields.iter().fold(request, |request, (name, value)| request.header(name, value)).body(Full::from(body))
}
