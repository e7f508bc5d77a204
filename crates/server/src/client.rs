//! Asking a running instance on its admin address.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use headworks_iam::sigv4::{Payload, Presented, content_hash, sign};
use headworks_model::Config;
use headworks_model::config::AdminAuth;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::admin::unix_now;
use crate::check::{accepted, complain};

/// An answer is never longer than the longest backup that is taken back.
const LONGEST: usize = 1 << 30;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens there.
    NotRunning,
    /// Somebody does, but does not answer like an instance of this program.
    Strange(String),
    /// It was not taken by what it was handed to.
    NotTaken(std::io::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::NotRunning => f.write_str("no instance is running there"),
            NoAnswer::Strange(what) => write!(f, "what is running there does not answer ({what})"),
            NoAnswer::NotTaken(error) => write!(f, "what it answers cannot be written: {error}"),
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
            let (key, secret) = required
                .then(|| headworks_control::local_key(&headworks_control::Place::of(&config.admin)).ok())
                .flatten()?;
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
    pub(crate) body: Option<Sent>,
}

/// What is sent with a question.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    media: &'static str,
    bytes: Bytes,
}

impl Sent {
    /// JSON.
    pub(crate) fn json(body: &Value) -> Self {
        Self { media: "application/json", bytes: body.to_string().into() }
    }

    /// What `backup` has written.
    pub(crate) fn database(bytes: Bytes) -> Self {
        Self { media: "application/octet-stream", bytes }
    }
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
    let asked = async { open(instance, question).await?.whole().await };
    within(patience, asked).await
}

/// One request whose answer is a stream of events: the stream, or what is answered in its place. Within `patience` it begins.
///
/// # Errors
/// When there is no answer.
pub(crate) async fn follow(
    instance: &Instance,
    question: &Question<'_>,
    patience: Duration,
) -> Result<Followed, NoAnswer> {
    let asked = async {
        let opened = open(instance, question).await?;
        Ok(if opened.answer.status().is_success() {
            Followed::Events(Events { opened, text: Vec::new() })
        } else {
            Followed::Refused(opened.whole().await?)
        })
    };
    within(patience, asked).await
}

/// One request whose answer may be long: handed on as it comes, or what is answered in its place. It is given up when nothing
/// comes for as long as `silence`.
///
/// # Errors
/// When there is no answer, it breaks off, or it is not taken.
pub(crate) async fn pour(
    instance: &Instance,
    question: &Question<'_>,
    silence: Duration,
    to: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<Option<Answer>, NoAnswer> {
    let mut opened = within(silence, open(instance, question)).await?;
    if !opened.answer.status().is_success() {
        return within(silence, opened.whole()).await.map(Some);
    }
    loop {
        let came = async { Ok(opened.answer.body_mut().frame().await) };
        let Some(frame) = within(silence, came).await? else { return Ok(None) };
        let data = frame.map_err(strange)?.into_data().unwrap_or_default();
        to(&data).map_err(NoAnswer::NotTaken)?;
    }
}

async fn within<T>(patience: Duration, asked: impl Future<Output = Result<T, NoAnswer>>) -> Result<T, NoAnswer> {
    tokio::time::timeout(patience, asked).await.unwrap_or(Err(NoAnswer::Strange("no answer in time".to_owned())))
}

fn strange(error: impl fmt::Display) -> NoAnswer {
    NoAnswer::Strange(error.to_string())
}

/// An answer whose body is still to come, and what drives its connection.
struct Opened {
    answer: hyper::Response<Incoming>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn open(instance: &Instance, question: &Question<'_>) -> Result<Opened, NoAnswer> {
    let stream = TcpStream::connect(&instance.address).await.map_err(|_| NoAnswer::NotRunning)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(strange)?;
    let driver = tokio::spawn(connection);
    let request = signed(instance, question).map_err(strange)?;
    let answer = sender.send_request(request).await.map_err(strange)?;
    Ok(Opened { answer, driver })
}

impl Opened {
    async fn whole(mut self) -> Result<Answer, NoAnswer> {
        let (status, fields) = (self.answer.status(), self.answer.headers().clone());
        let body = Limited::new(self.answer.body_mut(), LONGEST).collect().await.map_err(strange)?.to_bytes();
        Ok(Answer { status, fields, body })
    }
}

/// What comes of asking for a stream.
pub(crate) enum Followed {
    Events(Events),
    Refused(Answer),
}

/// A stream of server-sent events.
pub(crate) struct Events {
    opened: Opened,
    /// What has come of the next.
    text: Vec<u8>,
}

impl Events {
    /// The next: its kind and its data. None at the end.
    ///
    /// # Errors
    /// When nothing comes for as long as `silence`, or what comes is no event.
    pub(crate) async fn next(&mut self, silence: Duration) -> Result<Option<(String, Value)>, NoAnswer> {
        loop {
            while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(event) = event(&String::from_utf8_lossy(&block))? {
                    return Ok(Some(event));
                }
            }
            let came = async { Ok(self.opened.answer.body_mut().frame().await) };
            match within(silence, came).await? {
                None => return Ok(None),
                Some(frame) => {
                    let data = frame.map_err(strange)?.into_data().unwrap_or_default();
                    self.text.extend_from_slice(&data);
                }
            }
            if self.text.len() > LONGEST {
                return Err(strange("an event that does not end"));
            }
        }
    }
}

/// One event; none for a comment, which only says that the other end lives.
fn event(block: &str) -> Result<Option<(String, Value)>, NoAnswer> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (Some(kind), Some(data)) = (field("event"), field("data")) else { return Ok(None) };
    Ok(Some((kind.to_owned(), serde_json::from_str(data).map_err(strange)?)))
}

fn signed(instance: &Instance, question: &Question<'_>) -> Result<Request<Full<Bytes>>, http::Error> {
    let body = question.body.as_ref().map(|sent| sent.bytes.clone()).unwrap_or_default();
    let mut fields: Vec<(String, String)> = vec![("host".to_owned(), instance.address.clone())];
    fields.extend(question.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    if let Some(Sent { media, .. }) = question.body {
        fields.push(("content-type".to_owned(), media.to_owned()));
    }
    if let Some(Credentials { key, secret, token }) = &instance.credentials {
        let (path, query) = question.path.split_once('?').unwrap_or((question.path, ""));
        let method = question.method.as_str();
        // what takes files wants to know what comes before it comes
        fields.push(("x-amz-content-sha256".to_owned(), content_hash(&body)));
        let presented = Presented { method, path, query, fields: &fields, body: Payload::Declared };
        let added = sign(&presented, key, secret, token.as_deref(), unix_now());
        fields.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    let request = Request::builder().method(question.method.clone()).uri(question.path);
    fields.iter().fold(request, |request, (name, value)| request.header(name, value)).body(Full::from(body))
}
