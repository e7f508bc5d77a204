//! gRPC with the library that most of its users have: Python's grpcio as server and client.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use headworks_testkit::program::Parts;
use headworks_testkit::{Authority, Origin, ask, check, wait};
use http::{HeaderMap, Method};

use crate::http2_targets::{self, connect, request, run};
use crate::python::program;
use crate::tls::folder;
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
        Service::with(name, &[])
    }

    /// Over TLS, with what stands in this folder under this name.
    fn secured(name: &str, folder: &Path, certificate: &str) -> Service {
        let file = |kind: &str| folder.join(format!("{certificate}.{kind}"));
        Service::with(name, &[file("pem"), file("key")])
    }

    fn with(name: &str, files: &[PathBuf]) -> Service {
        let mut command = program("python");
        command.arg(script("server.py")).arg(name).args(files).stdin(Stdio::piped()).stdout(Stdio::piped());
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
    calls_of_every_shape(CHECKED, &[("one", &one.address), ("two", &two.address)]);
}

/// By ALPN, with the targets' certificates verified; the health checks, too.
#[test]
fn every_call_shape_over_tls() {
    let folder = folder();
    let authority = Authority::new("Targets");
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    authority.issue(&["calls.internal"]).place(folder.path(), "a");
    let (one, two) = (Service::secured("one", folder.path(), "a"), Service::secured("two", folder.path(), "a"));
    let tls = format!("protocol: grpc\n    tls: {{ verify: true, ca: {ca}, server_name: calls.internal }}");
    let yaml = CHECKED.replace("protocol: grpc", &tls);
    calls_of_every_shape(&yaml, &[("one", &one.address), ("two", &two.address)]);
}

fn calls_of_every_shape(yaml: &str, parts: &Parts<'_>) {
    let headworks = start(yaml, parts);
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

/// What a client sees of a call that never reached its service, or that was not answered: a code and a message, as if the
/// service had said so, and in the log the status besides.
#[test]
fn errors_of_our_own() {
    let folder = folder();
    let (authority, strangers) = (Authority::new("Targets"), Authority::new("Strangers"));
    let known = authority.place(folder.path(), "ca.pem").display().to_string();
    let unknown = strangers.place(folder.path(), "strangers.pem").display().to_string();
    authority.issue(&["calls.internal"]).place(folder.path(), "a");
    let (plain, secured) = (Service::start("plain"), Service::secured("secured", folder.path(), "a"));
    let tls = |ca: &str, name: &str| format!(", tls: {{ verify: true, ca: {ca}, server_name: {name} }}");
    let (gateway, timeout) = ("UNAVAILABLE 502 Bad Gateway", "UNAVAILABLE 504 Gateway Timeout");
    let rows = [
        ("no target", String::new(), None, "Unary", "UNAVAILABLE 503 Service Unavailable", "503", "NoTarget"),
        (
            "another authority",
            tls(&unknown, "calls.internal"),
            Some(&secured),
            "Unary",
            gateway,
            "502",
            "TargetTlsError",
        ),
        ("another name", tls(&known, "other.internal"), Some(&secured), "Unary", gateway, "502", "TargetTlsError"),
        (
            "plain, where TLS is asked for",
            ", tls: {}".to_owned(),
            Some(&plain),
            "Unary",
            gateway,
            "502",
            "TargetTlsError",
        ),
        ("slow", ", response_timeout: 300ms".to_owned(), Some(&plain), "Never", timeout, "504", "TargetTimeout"),
    ];
    check(
        rows,
        |(what, ..)| (*what).to_owned(),
        |(_, group, service, method, expected, status, error)| {
            let targets = service.map_or(String::new(), |service| service.address.clone());
            let headworks = start(&unchecked(group), &[("targets", &targets)]);
            let mut command = program("python");
            command.arg(script("failure.py")).arg(headworks.address().to_string()).args([method, "10"]);
            let said = command.output().unwrap_or_else(|error| panic!("cannot call: {error}"));
            assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), *expected);
            let lines = headworks.log_lines("access.log", 1);
            for part in [format!("\"status\":{status},"), "\"grpc_status\":14".into(), format!("\"error\":\"{error}\"")]
            {
                assert!(lines[0].contains(&part), "{part} in {lines:?}");
            }
            let labels = [("target_group", "calls"), ("grpc_status", "14")];
            let _ = headworks.wait_metrics("headworks_target_group_grpc_calls_total", &labels, 1.0);
        },
    );
}

/// A group of gRPC whose targets are `<targets>`, with further lines.
fn unchecked(group: &str) -> String {
    format!(
        "load_balancers:\n  shop: {{ access_log: {{ path: access.log, format: json }}, listeners: {{ http: {{ address: \
         127.0.0.1:0, default: {{ forward: calls }} }} }} }}\ntarget_groups:\n  calls: {{ protocol: grpc, targets: \
         [<targets>], health_check: {{ protocol: none }}{group} }}\n"
    )
}

/// A call's own deadline that runs out here, and who is told in gRPC's words at all.
#[test]
fn deadlines_of_calls() {
    // connections to it are made, and nobody is there to answer
    let silent = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let address = silent.local_addr().unwrap_or_else(|error| panic!("{error}"));
    let headworks = start(&unchecked(""), &[("targets", &address)]);
    let said = |content_type: &str| {
        let mut call = request(Method::POST, "/test.Echo/Never");
        let fields: [(&str, &str); 3] = [("content-type", content_type), ("te", "trailers"), ("grpc-timeout", "200m")];
        for (name, value) in fields {
            let name = http::HeaderName::try_from(name).unwrap_or_else(|error| panic!("{error}"));
            call.headers_mut().insert(name, value.parse().unwrap_or_else(|error| panic!("{error}")));
        }
        let answer = run(async {
            let mut send = connect(headworks.address()).await;
            http2_targets::ask(&mut send, call, Some(&[0; 5])).await
        });
        let field = |fields: &HeaderMap, name: &str| {
            fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
        };
        let [kind, code, message] =
            ["content-type", "grpc-status", "grpc-message"].map(|name| field(&answer.fields, name));
        (answer.status.as_u16(), kind, code, message, answer.body.is_empty())
    };
    let owned = |kind: &str, code: &str, message: &str| (kind.to_owned(), code.to_owned(), message.to_owned());
    check(
        ["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"],
        |content_type| (*content_type).to_owned(),
        |content_type| {
            let (kind, code, message) = owned("application/grpc", "4", "504 Gateway Timeout");
            assert_eq!(said(content_type), (200, kind, code, message, true));
        },
    );
    check(
        ["application/grpc-web", "application/json"],
        |content_type| (*content_type).to_owned(),
        |content_type| {
            let (kind, code, message) = owned("text/html; charset=utf-8", "", "");
            assert_eq!(said(content_type), (504, kind, code, message, false));
        },
    );
    let lines = headworks.log_lines("access.log", 5);
    assert!(lines.iter().all(|line| line.contains("\"error\":\"GrpcDeadlineExceeded\"")), "{lines:?}");
}

/// A call that is answered with 200 and ends with UNAVAILABLE is a failure of its target's, and one with the call's own fault
/// is not.
#[test]
fn calls_that_fail_open_the_breaker() {
    let [one, two] = ["one", "two"].map(Service::start);
    let breaker = ", circuit_breaker: { consecutive_failures: 3, open_for: 1h }";
    let yaml = unchecked(breaker).replace("<targets>", "<one>, <two>");
    let headworks = start(&yaml, &[("one", &one.address), ("two", &two.address)]);
    let call = |method: &str| {
        let mut call = request(Method::POST, &format!("/test.Echo/{method}"));
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
            call.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        run(async {
            let mut send = connect(headworks.address()).await;
            http2_targets::ask(&mut send, call, Some(&[0; 5])).await.status.as_u16()
        })
    };
    let ejected = || headworks.metrics().sum("headworks_target_ejected", &[]);
    for _ in 0..12 {
        assert_eq!(call("Fail"), 200);
    }
    assert_eq!(ejected(), 0.0);
    wait::until("the ejection", || {
        assert_eq!(call("Down"), 200);
        (ejected() == 1.0).then_some(())
    });
}
