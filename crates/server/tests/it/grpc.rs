//! gRPC with the library that most of its users have: Python's grpcio as server and client.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use headworks_testkit::{Origin, ask, check};

use crate::python::program;
use crate::{proxy, start};

fn script(name: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    PathBuf::from(folder).join("tests/it/grpc").join(name)
}

/// A running service; ends with its standard input.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(name: &str) -> Service {
        let mut command = program("python");
        command.arg(script("server.py")).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start the service: {error}"));
        let said = child.stdout.take().unwrap_or_else(|| panic!("no output"));
        let mut port = String::new();
        BufReader::new(said).read_line(&mut port).unwrap_or_else(|error| panic!("the service says nothing: {error}"));
        Service { child, address: format!("127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CHECKED: &str = "load_balancers:
  shop:
    access_log: { path: access.log, format: json }
    listeners: { http: { address: 127.0.0.1:0, default: { forward: calls } } }
target_groups:
  calls:
    protocol: grpc
    targets: [<one>, <two>]
    health_check: { path: /grpc.health.v1.Health/Check, matcher: \"0\", interval: 100ms, timeout: 5s }
";

#[test]
fn every_call_shape() {
    let (one, two) = (Service::start("one"), Service::start("two"));
    let headworks = start(CHECKED, &[("one", &one.address), ("two", &two.address)]);
    let _ = headworks.wait_metrics("headworks_target_group_healthy_targets", &[("target_group", "calls")], 2.0);
    let mut command = program("python");
    command.arg(script("client.py")).arg(headworks.address().to_string());
    let said = command.output().unwrap_or_else(|error| panic!("cannot call: {error}"));
    let lines: Vec<String> = String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect();
    let expected = [
        // one connection from the client, and yet every call is balanced
        "unary [(b'one:hi', 10), (b'two:hi', 10)]",
        "trailers ['served-by']",
        "server stream [b'0:s', b'1:s', b'2:s', b'3:s', b'4:s']",
        "client stream b'a|b|c'",
        "both stream [b'echo:a', b'echo:b', b'echo:c']",
        "large 3000004",
        "Fail FAILED_PRECONDITION",
        "Missing UNIMPLEMENTED",
        "Never DEADLINE_EXCEEDED",
    ];
    assert_eq!(lines, expected, "{}", String::from_utf8_lossy(&said.stderr));
    let calls = |status: &str, count| {
        let labels = [("target_group", "calls"), ("grpc_status", status)];
        headworks.wait_metrics("headworks_target_group_grpc_calls_total", &labels, count)
    };
    calls("0", 24.0);
    calls("9", 1.0);
    calls("12", 1.0);
    // many calls, few connections
    assert!(headworks.metrics().sum("headworks_target_connections_total", &[("target_group", "calls")]) <= 2.0);
    let lines = headworks.log_lines("access.log", 27);
    assert!(lines.iter().any(|line| line.contains("/test.Echo/Fail") && line.contains("\"grpc_status\":9")));
}

/// What an Application Load Balancer probes by default: a method that nobody has.
#[test]
fn the_default_check_expects_an_unknown_method() {
    let one = Service::start("one");
    let yaml = CHECKED.replace(", <two>", "").replace("path: /grpc.health.v1.Health/Check, matcher: \"0\", ", "");
    let headworks = start(&yaml, &[("one", &one.address)]);
    let _ = headworks.wait_metrics("headworks_target_group_healthy_targets", &[("target_group", "calls")], 1.0);
    let wrong = CHECKED.replace(", <two>", "").replace("matcher: \"0\"", "matcher: \"12\"");
    let headworks = start(&wrong, &[("one", &one.address)]);
    let _ = headworks.wait_metrics("headworks_target_group_unhealthy_targets", &[("target_group", "calls")], 1.0);
}

/// 464: what the client speaks cannot be said to the group (H3).
#[test]
fn versions_that_cannot_meet() {
    let web = Origin::echo("web");
    check(
        [", protocol: grpc", ", version: http2"],
        |group| (*group).to_owned(),
        |group| {
            let headworks = start(&proxy("", group), &[("web", &web)]);
            assert_eq!(headworks.ask(&ask("POST", "/a.B/C")).status, 464);
            assert_eq!(web.connections(), 0, "nobody was asked");
        },
    );
}
