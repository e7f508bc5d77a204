//! The load generator: one run of wrk, and what it counted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::folder::Folder;
use super::origin::{Body, CALL, HOST};
use super::process::{LOAD_CORE, pinned, wait};
use super::proxy::secret::Secret;
use super::trouble::{Trouble, io};

/// Prints what wrk counted as one line of JSON. It defines neither `request` nor `response`, so that wrk stays on its
/// fast path.
const REPORT: &str = r#"function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\n{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"max":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// A message of gRPC without content, not compressed: flag and length.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// wrk and h2load, ready to be used.
pub(crate) struct Generator {
    wrk: PathBuf,
    h2load: PathBuf,
    script: PathBuf,
    /// Where h2load writes what each request took.
    times: PathBuf,
    /// What is sent in a call.
    message: PathBuf,
    /// What all proxies show.
    certificate: PathBuf,
}

/// What is asked of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) body: Body,
    pub(crate) connections: u32,
    pub(crate) talk: Talk,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// HTTP/1.1 on connections that stay open.
    Plain,
    /// The same over TLS 1.3.
    Secure,
    /// Over TLS 1.3, a full handshake for each request.
    Handshakes,
    /// The same, each handshake resuming the session of an earlier one.
    Resumed,
    /// HTTP/2 over TLS 1.3, 16 streams at once on each connection.
    Http2,
    /// The same, calls of gRPC.
    Grpc,
    /// HTTP/3, 16 streams at once on each connection.
    Http3,
    /// As [`Talk::Plain`], through a door that carries bytes and does not know it.
    Carried,
    /// The same, a connection for each request.
    CarriedOnce,
    /// As [`Talk::Plain`], so many requests a second.
    Steady(u32),
    /// Datagrams, a few under way on each socket at any time; a request is one and its answer.
    Datagrams,
}

impl Talk {
    /// Whether it is over TLS.
    fn is_secure(self) -> bool {
        matches!(self, Talk::Secure | Talk::Handshakes | Talk::Resumed | Talk::Http2 | Talk::Grpc)
    }
}

impl Work {
    /// HTTP/1.1 without TLS.
    pub(crate) fn plain(body: Body, connections: u32) -> Work {
        Work { body, connections, talk: Talk::Plain }
    }
}

/// What one run counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    /// Answers, of any status.
    pub(crate) requests: u64,
    /// How long it lasted.
    pub(crate) duration: Duration,
    /// Median of the latencies.
    pub(crate) p50: Duration,
    /// Their 99th percentile.
    pub(crate) p99: Duration,
    /// Connection errors, timeouts, and answers that are neither 2xx nor 3xx.
    pub(crate) failed: u64,
}

impl Generator {
    /// Puts wrk's script in place, and the message of calls.
    pub(crate) fn new(folder: &Folder, wrk: PathBuf, h2load: PathBuf, secret: &Secret) -> Result<Generator, Trouble> {
        Ok(Generator {
            wrk,
            h2load,
            script: folder.write("report.lua", REPORT)?,
            times: folder.at("h2load.times"),
            message: folder.write("message", EMPTY_MESSAGE)?,
            certificate: secret.certificate.clone(),
        })
    }

    /// Loads `address` with connections each of which asks again once it is answered.
    ///
    /// `length` is rounded to whole seconds, the generators' unit.
    pub(crate) fn run(&self, address: SocketAddr, work: Work, length: Duration) -> Result<Counted, Trouble> {
        match work.talk {
            Talk::Http2 | Talk::Grpc => self.h2load(address, work, length),
            Talk::Resumed => self.own("resume", address, work, length),
            Talk::Steady(_) => self.own("steady", address, work, length),
            Talk::Http3 => self.own("http3", address, work, length),
            Talk::Datagrams => self.own("datagrams", address, work, length),
            _ => self.wrk(address, work, length),
        }
    }

    fn wrk(&self, address: SocketAddr, work: Work, length: Duration) -> Result<Counted, Trouble> {
        let Work { body, connections, talk } = work;
        let mut command = pinned(LOAD_CORE, &self.wrk);
        command
            .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", length.as_secs().max(1)), "--latency"])
            .args(["--timeout", "5s", "-H", &format!("Host: {HOST}"), "-s"])
            .arg(&self.script);
        if matches!(talk, Talk::Handshakes | Talk::CarriedOnce) {
            command.args(["-H", "Connection: close"]);
        }
        let scheme = if talk.is_secure() { "https" } else { "http" };
        let said =
            finished(command.arg(format!("{scheme}://{address}{}", body.path())), "wrk", length, Overtime::Fault)?;
        counted(&said).ok_or_else(|| Trouble::Invalid(format!("wrk reports nothing: {said}")))
    }

    /// By this program itself: the others resume no session, keep to no rate, speak no HTTP/3, and send no datagrams.
    fn own(&self, name: &str, address: SocketAddr, work: Work, length: Duration) -> Result<Counted, Trouble> {
        let own = std::env::current_exe().map_err(io("xtask"))?;
        let mut command = pinned(LOAD_CORE, &own);
        command.arg(name).arg(address.to_string());
        match work.talk {
            Talk::Datagrams => &mut command,
            Talk::Steady(_) => command.arg(work.body.path()),
            _ => command.arg(&self.certificate).arg(work.body.path()),
        };
        command.arg(work.connections.to_string());
        if let Talk::Steady(rate) = work.talk {
            command.arg(rate.to_string());
        }
        command.arg(length.as_secs().max(1).to_string());
        let said = finished(&mut command, name, length, Overtime::Fault)?;
        counted(&said).ok_or_else(|| Trouble::Invalid(format!("xtask {name} reports nothing: {said}")))
    }

    /// The duration is that of the requests' own times: h2load's includes the connecting.
    fn h2load(&self, address: SocketAddr, work: Work, length: Duration) -> Result<Counted, Trouble> {
        let Work { body, connections, talk } = work;
        // h2load appends
        let _ = std::fs::remove_file(&self.times);
        let mut command = pinned(LOAD_CORE, &self.h2load);
        command
            .args(["-t1", &format!("-c{connections}"), "-m16", &format!("-D{}", length.as_secs().max(1))])
            .args(["-H", &format!(":authority: {HOST}")])
            .arg(format!("--log-file={}", self.times.display()));
        let path = match talk {
            Talk::Grpc => {
                // without a content type of gRPC, which would have errors told in a way that h2load cannot see
                command.args(["-H", "te: trailers"]);
                command.arg(format!("--data={}", self.message.display()));
                CALL.to_owned()
            }
            _ => body.path(),
        };
        command.arg(format!("https://{address}{path}"));
        // at times it waits forever for nginx to end a connection; its log is complete by then
        let said = finished(&mut command, "h2load", length, Overtime::Ended)?;
        let times = std::fs::read_to_string(&self.times).map_err(io(self.times.display()))?;
        counted_by_line(&times).ok_or_else(|| Trouble::Invalid(format!("h2load reports nothing: {said}")))
    }
}

/// What it means that a generator goes on after its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overtime {
    /// It cannot be trusted.
    Fault,
    /// Nothing: what it has counted is written down as it goes.
    Ended,
}

/// Runs a generator, and says what it has said.
fn finished(command: &mut Command, name: &str, length: Duration, overtime: Overtime) -> Result<String, Trouble> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(io(name))?;
    let grace = Duration::from_secs(if overtime == Overtime::Fault { 15 } else { 3 });
    if !wait(&mut child, length + grace).map_err(io(name))? {
        let _ = child.kill();
        if overtime == Overtime::Fault {
            let _ = child.wait();
            return Err(Trouble::Invalid(format!("{name} did not end in time")));
        }
    }
    let output = child.wait_with_output().map_err(io(name))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// Of lines of a start in microseconds since 1970, a status and a time in microseconds.
fn counted_by_line(lines: &str) -> Option<Counted> {
    let (mut begun, mut ended, mut failed) = (u64::MAX, 0, 0);
    let mut times = Vec::new();
    for line in lines.lines() {
        let mut parts = line.split('\t');
        let start: u64 = parts.next()?.parse().ok()?;
        let status: i32 = parts.next()?.parse().ok()?;
        let time: u64 = parts.next()?.parse().ok()?;
        begun = begun.min(start);
        ended = ended.max(start + time);
        failed += u64::from(!(200..400).contains(&status));
        times.push(time);
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().map(Duration::from_micros);
    Some(Counted {
        requests: times.len() as u64,
        duration: Duration::from_micros(ended.checked_sub(begun)?),
        p50: at(50)?,
        p99: at(99)?,
        failed,
    })
}

fn counted(said: &str) -> Option<Counted> {
    let line = said.lines().rev().find(|line| line.starts_with('{'))?;
    let report: Value = serde_json::from_str(line).ok()?;
    let number = |name: &str| report.get(name)?.as_u64();
    let micros = |name: &str| number(name).map(Duration::from_micros);
    Some(Counted {
        requests: number("requests")?,
        duration: micros("micros")?,
        p50: micros("p50")?,
        p99: micros("p99")?,
        failed: number("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_h2load_are_counted() {
        let counted = counted_by_line("1000\t200\t50\n1010\t200\t30\n1020\t503\t10\n").unwrap();
        assert_eq!((counted.requests, counted.failed), (3, 1));
        assert_eq!((counted.duration, counted.p50), (Duration::from_micros(50), Duration::from_micros(30)));
        assert!(counted_by_line("").is_none());
        assert!(counted_by_line("1000 200 50").is_none());
    }

    #[test]
    fn the_report_is_the_last_line() {
        let said = "Running 1s test\n\n{\"requests\":10,\"micros\":1000000,\"p50\":1000,\"p99\":2000,\"max\":3,\"failed\":1}\n";
        let counted = counted(said).unwrap();
        assert_eq!((counted.requests, counted.failed), (10, 1));
        assert_eq!((counted.p50, counted.p99), (Duration::from_millis(1), Duration::from_millis(2)));
    }
}
