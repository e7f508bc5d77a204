//! Asking a running instance on its admin address.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::check::{REFUSED, complain, validated};

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
) -> Result<(SocketAddr, StatusCode, Value), ExitCode> {
    let loaded = validated(file).map_err(|refused| {
        complain(refused);
        ExitCode::from(REFUSED)
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        complain(error);
        ExitCode::FAILURE
    })?;
    let admin = loaded.config.admin.address;
    match runtime.block_on(ask(admin, method, path, patience)) {
        Ok((status, answer)) => Ok((admin, status, answer)),
        Err(error) => {
            complain(format_args!("{admin}: {error}"));
            Err(ExitCode::FAILURE)
        }
    }
}

/// One request without a body, one JSON answer.
///
/// # Errors
/// When there is none within `patience`.
pub(crate) async fn ask(
    admin: SocketAddr,
    method: Method,
    path: &str,
    patience: Duration,
) -> Result<(StatusCode, Value), NoAnswer> {
    exchange(admin, method, path, Bytes::new(), patience).await
}

/// The same with JSON for a body.
///
/// # Errors
/// When there is no answer within `patience`.
pub(crate) async fn put(
    admin: SocketAddr,
    method: Method,
    path: &str,
    body: &Value,
    patience: Duration,
) -> Result<(StatusCode, Value), NoAnswer> {
    exchange(admin, method, path, body.to_string().into(), patience).await
}

async fn exchange(
    admin: SocketAddr,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> Result<(StatusCode, Value), NoAnswer> {
    let asked = async {
        let stream = TcpStream::connect(admin).await.map_err(|_| NoAnswer::NotRunning)?;
        let strange = |e: &dyn fmt::Display| NoAnswer::Strange(e.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| strange(&e))?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", admin.to_string())
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|e| strange(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| strange(&e))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|e| strange(&e))?.to_bytes();
        driver.abort();
        let value = serde_json::from_slice(&body).map_err(|e| strange(&e))?;
        Ok((status, value))
    };
    tokio::time::timeout(patience, asked).await.unwrap_or(Err(NoAnswer::Strange("no answer in time".to_owned())))
}
