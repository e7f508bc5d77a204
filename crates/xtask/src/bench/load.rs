//! The load generator: one run of wrk, and what it counted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::folder::Folder;
use super::origin::{Body, HOST};
use super::process::{LOAD_CORE, pinned, wait};
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

/// wrk, ready to be used.
pub(crate) struct Generator {
    wrk: PathBuf,
    script: PathBuf,
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
    /// Puts wrk's script in place.
    pub(crate) fn new(folder: &Folder, wrk: PathBuf) -> Result<Generator, Trouble> {
        Ok(Generator { wrk, script: folder.write("report.lua", REPORT)? })
    }

    /// Loads `address` with `connections` keep-alive connections, each of which asks again once it is answered.
    ///
    /// `length` is rounded to whole seconds, wrk's unit.
    pub(crate) fn run(
        &self,
        address: SocketAddr,
        body: Body,
        connections: u32,
        length: Duration,
    ) -> Result<Counted, Trouble> {
        let mut command = pinned(LOAD_CORE, &self.wrk);
        command
            .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", length.as_secs().max(1)), "--latency"])
            .args(["--timeout", "5s", "-H", &format!("Host: {HOST}"), "-s"])
            .arg(&self.script)
            .arg(format!("http://{address}{}", body.path()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(io("wrk"))?;
        if !wait(&mut child, length + Duration::from_secs(15)).map_err(io("wrk"))? {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Trouble::Invalid("wrk did not end in time".to_owned()));
        }
        let output = child.wait_with_output().map_err(io("wrk"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        counted(&said).ok_or_else(|| {
            Trouble::Invalid(format!("wrk reports nothing: {said}{}", String::from_utf8_lossy(&output.stderr)))
        })
    }
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
    fn the_report_is_the_last_line() {
        let said = "Running 1s test\n\n{\"requests\":10,\"micros\":1000000,\"p50\":1000,\"p99\":2000,\"max\":3,\"failed\":1}\n";
        let counted = counted(said).unwrap();
        assert_eq!((counted.requests, counted.failed), (10, 1));
        assert_eq!((counted.p50, counted.p99), (Duration::from_millis(1), Duration::from_millis(2)));
    }
}
