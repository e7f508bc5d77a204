//! Health checks: one connection, one question, one answer in time (T2, T3).

mod http2;
mod mysql;
mod postgres;
mod redis;

use std::io;
use std::time::Duration;

use headworks_balance::Outcome;
use headworks_message::{Parsed, ResponseHead, response};
use headworks_model::target_group::{HealthCheck, HealthProtocol, HttpVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::announce;
use super::connect::{Endpoint, Transport, connect};
use crate::tls::dial::Dial;

/// As an Application Load Balancer names itself, for what targets make of it.
const AGENT: &str = "ELB-HealthChecker/2.0";
/// As databases are told who asks.
const USER: &str = "headworks";
/// Most that is read of a database in one check.
const CONVERSATION_LIMIT: u64 = 16 * 1024;

/// Asks a target how it is; `host` is the name it is declared by. The timeout bounds the whole check, whatever part of it
/// stalls.
pub(crate) async fn probe(
    endpoint: &Endpoint,
    host: Option<&str>,
    check: &HealthCheck,
    version: HttpVersion,
    dial: &Dial,
) -> Outcome {
    let is_tls = match check.protocol {
        HealthProtocol::Https | HealthProtocol::Tls => true,
        HealthProtocol::Grpc => dial.is_secured,
        protocol => protocol.is_database() && dial.is_secured,
    };
    let asked = async {
        let header = announce::header(&dial.announces, None);
        let connection = connect(endpoint, host, dial.client().filter(|_| is_tls), header).await?;
        match (check.protocol, version) {
            (HealthProtocol::Http | HealthProtocol::Https, HttpVersion::Http1) => {
                http(connection, endpoint, check).await
            }
            (HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Grpc, _) => {
                http2::ask(connection, endpoint, check).await
            }
            (HealthProtocol::Postgres | HealthProtocol::Mysql | HealthProtocol::Redis, _) => {
                converse(connection, check).await
            }
            (HealthProtocol::Tcp | HealthProtocol::Tls | HealthProtocol::None, _) => Ok(Outcome::Success),
        }
    };
    match tokio::time::timeout(check.timeout, asked).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Outcome::Timeout,
        Ok(Err(_)) => Outcome::Failed,
        Err(_) => Outcome::Timeout,
    }
}

/// Asks a database in its own words.
///
/// # Errors
/// When no answer can be had, or it is none.
pub(crate) async fn converse(stream: impl AsyncRead + AsyncWrite, check: &HealthCheck) -> io::Result<Outcome> {
    match check.protocol {
        HealthProtocol::Postgres => postgres::ask(bounded(stream), check).await,
        HealthProtocol::Mysql => mysql::ask(bounded(stream), check).await,
        HealthProtocol::Redis => redis::ask(bounded(stream), check).await,
        _ => Err(broken()),
    }
}

/// Where the check goes: the target's own port, or the one declared for checks.
pub(crate) fn endpoint(target: &Endpoint, check: &HealthCheck) -> Endpoint {
    match (target, check.port) {
        (Endpoint::Ip(address), Some(port)) => Endpoint::Ip((address.ip(), port).into()),
        _ => target.clone(),
    }
}

/// GET, with `Host: ip:port`, on a connection of its own (T3).
async fn http(mut stream: Transport, endpoint: &Endpoint, check: &HealthCheck) -> io::Result<Outcome> {
    let host = host(endpoint);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nAccept-Encoding: gzip, compressed\r\n\
         Connection: close\r\n\r\n",
        check.path
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::with_capacity(1024);
    let mut head = ResponseHead::default();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(Outcome::Failed);
        }
        loop {
            match response::parse(&bytes, &mut head) {
                Ok(Parsed::Complete) if head.is_interim() => drop(bytes.drain(..head.len)),
                Ok(Parsed::Complete) => {
                    return Ok(judge(check, head.status));
                }
                Ok(Parsed::Incomplete) => break,
                Err(_) => return Ok(Outcome::Failed),
            }
        }
    }
}

/// What a check's Host says.
fn host(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Ip(address) => address.to_string(),
        Endpoint::Unix(_) => "localhost".to_owned(),
    }
}

/// What the matcher says of a status or a gRPC code.
fn judge(check: &HealthCheck, code: u16) -> Outcome {
    let fits = check.matcher.iter().any(|(low, high)| (*low..=*high).contains(&code));
    if fits { Outcome::Success } else { Outcome::CodeMismatch(code) }
}

/// The same stream, which ends early for a server that does not stop talking.
fn bounded(stream: impl AsyncRead + AsyncWrite) -> impl AsyncRead + AsyncWrite + Unpin {
    let (read, write) = tokio::io::split(stream);
    tokio::io::join(read.take(CONVERSATION_LIMIT), write)
}

/// What a server says is not what its protocol has.
fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Spreads the checks of many targets over the interval; the first is at once.
pub(crate) fn offset(key: u64, interval: Duration) -> Duration {
    interval.mul_f64((key >> 40) as f64 / (1u64 << 24) as f64)
}
