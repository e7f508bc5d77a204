//! Network load balancers over TCP (N1, N2, N5 to N8): the target that a flow gets and keeps, and how long.

use std::collections::{BTreeMap, HashMap};
use std::process::{Child, Command, Stdio};
use std::thread;

use headworks_testkit::stream::End;
use headworks_testkit::{Client, Door, Headworks, Origin, Step, Walled, check, echo, wait};
use rustix::process::Signal;
use serde_json::Value;

use crate::start;

/// One tcp listener in front of the group `web` of these targets, with further lines for the load balancer, the listener
/// and the group in flow style.
pub(crate) fn network(targets: &[&str], balancer: &str, listener: &str, group: &str) -> String {
    let check = if group.contains("health_check") { "" } else { ", health_check: { protocol: none }" };
    format!(
        "workers: 2\nload_balancers:\n  net: {{ type: network, access_log: access.log, listeners: {{ tcp: {{ address: \
         127.0.0.1:0, protocol: tcp, default: {{ forward: web }}{listener} }} }}{balancer} }}\ntarget_groups:\n  web: \
         {{ protocol: tcp, targets: [{}]{check}{group} }}\n",
        targets.join(", ")
    )
}

/// The same with one target.
pub(crate) fn one(door: &Door, balancer: &str, listener: &str, group: &str) -> Headworks {
    start(&network(&[&door.to_string()], balancer, listener, group), &[])
}

/// A flow through: its client, and its target's side.
pub(crate) fn flow(headworks: &Headworks, door: &Door) -> (Client, Client) {
    (headworks.client(), door.accept())
}

/// Exchanges a few bytes both ways.
#[track_caller]
pub(crate) fn expect_open((client, target): &mut (Client, Client)) {
    assert_eq!(target_gets(client, target, b"ping"), b"ping");
    target.send(b"pong");
    assert_eq!(client.bytes(4), b"pong");
}

fn target_gets(client: &mut Client, target: &mut Client, bytes: &[u8]) -> Vec<u8> {
    client.send(bytes);
    target.bytes(bytes.len())
}

/// A client is let in, and reset before anything else.
#[track_caller]
fn expect_refused(headworks: &Headworks) {
    if let Ok(mut client) = Client::try_connect(headworks.address()) {
        assert_eq!(client.rest(), (Vec::new(), End::Reset));
    }
}

pub(crate) fn wait_ended(headworks: &Headworks, reason: &str, count: f64) {
    let _ = headworks.wait_metrics("headworks_flows_ended_total", &[("reason", reason)], count);
}

pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// N2: nothing has moved in either direction; then both sides are reset.
#[test]
fn idle_flows_are_reset() {
    let door = Door::open();
    for (balancer, listener) in [(", idle_timeout: 300ms", ""), ("", ", idle_timeout: 300ms")] {
        let headworks = one(&door, balancer, listener, "");
        let mut flow = flow(&headworks, &door);
        expect_open(&mut flow);
        let (mut client, mut target) = flow;
        assert_eq!(client.rest(), (Vec::new(), End::Reset));
        assert_eq!(target.rest(), (Vec::new(), End::Reset));
        let metrics = headworks.wait_metrics("headworks_tcp_resets_total", &[("by", "headworks")], 1.0);
        assert_eq!(metrics.sum("headworks_flows_ended_total", &[("reason", "idle_timeout")]), 1.0);
    }
}

/// N2: either direction keeps both alive.
#[test]
fn one_direction_keeps_a_flow_alive() {
    let door = Door::open();
    let headworks = one(&door, ", idle_timeout: 1s", "", "");
    let (mut client, mut target) = flow(&headworks, &door);
    let began = std::time::Instant::now();
    while began.elapsed().as_millis() < 2500 {
        target.send(b".");
        assert_eq!(client.bytes(1), b".");
        thread::park_timeout(std::time::Duration::from_millis(100));
    }
    assert_eq!(target_gets(&mut client, &mut target, b"!"), b"!");
}

/// N1: a flow is one target's, and its ends say whose; a target that goes takes no others' flows along. The same ports
/// again, so that the same flows come again.
#[test]
fn flows_by_hash() {
    let doors: Vec<Door> = (0..4).map(|_| Door::open()).collect();
    let names: Vec<String> = doors.iter().map(Door::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut headworks = start(&network(&names, "", "", ""), &[]);
    // which door took it, by the client's own address
    let visit = |headworks: &Headworks, from: &str| -> usize {
        let _client = Client::connect_from(from, headworks.address());
        wait::until("some door", || doors.iter().position(|door| door.try_accept().is_some()))
    };
    let spread: Vec<usize> = (0..200).map(|_| visit(&headworks, "127.0.0.1")).collect();
    let mut shares = BTreeMap::new();
    spread.iter().for_each(|door| *shares.entry(*door).or_insert(0) += 1);
    assert!(shares.len() == 4 && shares.values().all(|share| *share >= 25), "{shares:?}");
    // N5: by the address alone, whatever the port
    headworks.reload(&network(&names, "", "", ", stickiness: { type: source_ip }"), &[]);
    let clients: Vec<String> = (1..=60).map(|n| format!("127.0.1.{n}")).collect();
    let first: HashMap<&str, usize> = clients.iter().map(|c| (c.as_str(), visit(&headworks, c))).collect();
    for client in &clients {
        assert_eq!(visit(&headworks, client), first[client.as_str()], "{client}");
    }
    // Maglev: without the last target only its own clients move, but for very few
    headworks.reload(&network(&names[..3], "", "", ", stickiness: { type: source_ip }"), &[]);
    let moved = clients.iter().filter(|client| {
        let now = visit(&headworks, client);
        assert_ne!(now, 3);
        first[client.as_str()] != 3 && now != first[client.as_str()]
    });
    let moved = moved.count();
    // by another hash it would be two thirds of them
    assert!(moved <= 6, "{moved} of {} clients moved without need", clients.len());
}

/// What `algorithm` says instead.
#[test]
fn other_algorithms() {
    let doors = [Door::open(), Door::open()];
    let names = [doors[0].to_string(), doors[1].to_string()];
    let names = [names[0].as_str(), names[1].as_str()];
    for algorithm in ["round_robin", "least_connections"] {
        let yaml = network(&names, "", "", &format!(", algorithm: {algorithm}")).replace("workers: 2", "workers: 1");
        let headworks = start(&yaml, &[]);
        let open: Vec<(Client, Client)> = (0..10)
            .map(|_| {
                let client = headworks.client();
                (client, wait::until("some door", || doors.iter().find_map(Door::try_accept)))
            })
            .collect();
        let status = headworks.status();
        let in_flight = |n: usize| status["target_groups"]["web"]["targets"][n]["in_flight"].as_u64();
        assert_eq!((in_flight(0), in_flight(1)), (Some(5), Some(5)), "{algorithm}");
        drop(open);
    }
}

/// A connection that is refused has carried nothing: another target is tried. With none left the client is reset.
#[test]
fn another_target_is_tried() {
    let (door, wall, other) = (Door::open(), Walled::up(), Walled::up());
    let (door_name, wall_name, other_name) = (door.to_string(), wall.to_string(), other.to_string());
    let headworks = start(&network(&[&door_name, &wall_name], "", "", ", algorithm: round_robin"), &[]);
    for _ in 0..6 {
        let mut flow = flow(&headworks, &door);
        expect_open(&mut flow);
    }
    let metrics = headworks.wait_metrics("headworks_active_flows", &[], 0.0);
    let failures = metrics.sum("headworks_target_group_connection_errors_total", &[]);
    assert!(failures >= 2.0, "{failures}");
    assert_eq!(metrics.sum("headworks_target_connection_errors_total", &[("target", &wall_name)]), failures);
    let headworks = start(&network(&[&wall_name, &other_name], "", "", ""), &[]);
    expect_refused(&headworks);
    let lines = headworks.log_lines("access.log", 1);
    assert!(lines[0].contains("\"retries\":1,\"ended\":\"target_connection_error\""), "{lines:?}");
    let headworks = start(&network(&[], "", "", ""), &[]);
    expect_refused(&headworks);
    wait_ended(&headworks, "no_target", 1.0);
}

/// `limits.max_connections` is each target's: over it another one, over all nobody.
#[test]
fn a_limit_per_target() {
    let doors = [Door::open(), Door::open()];
    let names = [doors[0].to_string(), doors[1].to_string()];
    let headworks = start(&network(&[&names[0], &names[1]], "", "", ", limits: { max_connections: 1 }"), &[]);
    let mut open: Vec<(Client, Client)> = (0..2)
        .map(|_| {
            let client = headworks.client();
            (client, wait::until("some door", || doors.iter().find_map(Door::try_accept)))
        })
        .collect();
    open.iter_mut().for_each(expect_open);
    expect_refused(&headworks);
    wait_ended(&headworks, "target_limit", 1.0);
    let (client, _target) = open.remove(0);
    client.reset();
    wait_ended(&headworks, "client_reset", 1.0);
    let _client = headworks.client();
    wait::until("some door", || doors.iter().find_map(Door::try_accept));
}

/// N6: the flows of a target that becomes unhealthy are reset, unless that is not wanted.
#[test]
fn unhealthy_targets() {
    let rows: [(&str, Option<&str>); 3] = [
        ("", Some("target_unhealthy")),
        (", unhealthy_connection_termination: false, unhealthy_draining_interval: 1s", Some("target_unhealthy")),
        (", unhealthy_connection_termination: false", None),
    ];
    check(
        rows,
        |(group, _)| group.to_string(),
        |(group, ended)| {
            let (door, judge) = (Door::open(), Origin::echo("judge"));
            let health = format!(
                ", health_check: {{ protocol: http, port: {}, interval: 100ms, timeout: 1s, unhealthy_threshold: 1 }}",
                judge.address().port()
            );
            let headworks = one(&door, "", "", &format!("{health}{group}"));
            let state = |state: &str| {
                let at = |status: &Value| {
                    let now = &status["target_groups"]["web"]["targets"][0]["state"];
                    now.as_str().is_some_and(|now| now.starts_with(state)).then_some(())
                };
                headworks.wait_status(state, at);
            };
            state("healthy");
            let mut flow = flow(&headworks, &door);
            expect_open(&mut flow);
            judge.set_health(headworks_testkit::origin::Health::Status(500));
            state("unhealthy");
            match ended {
                Some(reason) => {
                    assert_eq!(flow.0.rest(), (Vec::new(), End::Reset));
                    assert_eq!(flow.1.rest(), (Vec::new(), End::Reset));
                    wait_ended(&headworks, reason, 1.0);
                }
                None => expect_open(&mut flow),
            }
        },
    );
}

/// N7: flows of a deregistered target go on; with `deregistration_connection_termination`, until its delay is over.
#[test]
fn deregistered_targets() {
    for (termination, goes_on) in [("", true), (", deregistration_connection_termination: true", false)] {
        let (door, other) = (Door::open(), Door::open());
        let group = format!(", deregistration_delay: 1s{termination}");
        let mut headworks = one(&door, "", "", &group);
        let mut before = flow(&headworks, &door);
        expect_open(&mut before);
        headworks.reload(&network(&[&other.to_string()], "", "", &group), &[]);
        // new flows are the other's, the one before goes on while its target drains
        let mut after = flow(&headworks, &other);
        expect_open(&mut after);
        expect_open(&mut before);
        let gone = |status: &Value| {
            let targets = status["target_groups"]["web"]["targets"].as_array()?;
            (targets.len() == 1).then_some(())
        };
        headworks.wait_status("the end of the delay", gone);
        if goes_on {
            expect_open(&mut before);
        } else {
            assert_eq!(before.0.rest(), (Vec::new(), End::Reset));
            assert_eq!(before.1.rest(), (Vec::new(), End::Reset));
            wait_ended(&headworks, "target_deregistered", 1.0);
        }
        expect_open(&mut after);
    }
}

/// Flows outlive reloads, also of a listener that is gone by then, and a program that stops waits for them.
#[test]
fn reloads_and_stops() {
    let door = Door::open();
    let name = door.to_string();
    let mut headworks = one(&door, "", "", "");
    let mut kept = flow(&headworks, &door);
    expect_open(&mut kept);
    headworks.reload(&network(&[&name], ", idle_timeout: 100s", "", ", algorithm: round_robin"), &[]);
    expect_open(&mut kept);
    headworks.reload(&network(&[&name], "", "", "").replace("tcp: {", "moved: {"), &[]);
    expect_open(&mut kept);
    let mut moved = flow(&headworks, &door);
    expect_open(&mut moved);
    headworks.signal(Signal::TERM);
    wait::until("its stop", || headworks.said().contains("draining").then_some(()));
    for flow in [&mut kept, &mut moved] {
        expect_open(flow);
        flow.0.finish();
        assert_eq!(flow.1.rest(), (Vec::new(), End::Closed));
        flow.1.finish();
        flow.0.expect_closed();
    }
    assert!(headworks.wait_exit().success());
}

/// What is still open when the deadline of a stop is over is reset.
#[test]
fn a_stop_has_an_end() {
    let door = Door::open();
    let yaml = format!("shutdown: {{ deadline: 300ms }}\n{}", network(&[&door.to_string()], "", "", ""));
    let mut headworks = start(&yaml, &[]);
    let mut flow = flow(&headworks, &door);
    expect_open(&mut flow);
    headworks.signal(Signal::TERM);
    assert_eq!(flow.0.rest(), (Vec::new(), End::Reset));
    assert_eq!(flow.1.rest(), (Vec::new(), End::Reset));
    let _ = headworks.wait_exit();
}

/// Targets are also names and sockets in the file system; nothing healthy means another group.
#[test]
fn other_targets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("target.sock");
    let mirror = [Step::Mirror];
    let unix = Origin::new("unix").at_path(&path).at_accept(mirror.clone()).start();
    let tcp = Origin::new("tcp").at_accept(mirror).start();
    let (unix_name, named) = (unix.to_string(), format!("localhost:{}", tcp.address().port()));
    for target in [unix_name.as_str(), named.as_str()] {
        let headworks = start(&network(&[target], "", "", ""), &[]);
        let mut client = headworks.client();
        assert_eq!(client.send(b"hello").bytes(5), b"hello");
        let bulk = noise(4 << 20, 4);
        let (mut writer, sent) = (client.twin(), bulk.clone());
        let sender = thread::spawn(move || drop(writer.try_send(sent)));
        assert_eq!(echo::hash(&client.bytes(bulk.len())), echo::hash(&bulk));
        sender.join().unwrap();
        client.finish();
        assert_eq!(client.rest(), (Vec::new(), End::Closed));
    }
    let wall = Walled::up();
    let sick = format!(
        "{}  spare: {{ protocol: tcp, targets: [{named}], health_check: {{ protocol: none }} }}\n",
        network(
            &[&wall.to_string()],
            "",
            "",
            ", fallback: { forward: spare }, health_check: { interval: 100ms, unhealthy_threshold: 1 }"
        )
    );
    let headworks = start(&sick, &[]);
    headworks.wait_status("the wall to be known", |status| status.to_string().contains("\"unhealthy\"").then_some(()));
    let mut client = headworks.client();
    assert_eq!(client.send(b"hello").bytes(5), b"hello");
}

/// A real server that speaks no HTTP, pipelined, in bulk, and pushing by itself.
#[test]
fn redis_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&path)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn();
    let _server = Killed(server.unwrap_or_else(|error| panic!("redis-server: {error}; `make packages` installs it")));
    wait::until("redis", || std::os::unix::net::UnixStream::connect(&path).ok());
    let headworks = start(&network(&[&format!("\"unix:{}\"", path.display())], "", "", ""), &[]);
    let mut client = headworks.client();
    let value = vec![b'v'; 1 << 20];
    client.send(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n");
    client.send(&value).send(b"\r\nGET k\r\nSUBSCRIBE news\r\n");
    let told = b"+PONG\r\n+OK\r\n$1048576\r\n";
    assert_eq!(client.bytes(told.len()), told);
    assert_eq!(echo::hash(&client.bytes(value.len())), echo::hash(&value));
    assert_eq!(client.bytes(2), b"\r\n");
    let subscribed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    assert_eq!(client.bytes(subscribed.len()), subscribed);
    let mut other = headworks.client();
    assert_eq!(other.send(b"PUBLISH news hello\r\n").bytes(4), b":1\r\n");
    let message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n";
    assert_eq!(client.bytes(message.len()), message);
    other.send(b"QUIT\r\n");
    assert_eq!(other.rest(), (b"+OK\r\n".to_vec(), End::Closed));
}

/// What a proxy in front says of its client is what the target is told, before anything else (N3, N4).
#[test]
fn clients_that_are_told_of() {
    let door = Door::open();
    let from = ", proxy_protocol: { from: [127.0.0.0/8] }";
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n";
    let headworks = one(&door, "", from, ", proxy_protocol: v1");
    let mut client = headworks.client();
    client.send(header).send(b"hello");
    let mut target = door.accept();
    assert_eq!(target.bytes(header.len()), header);
    assert_eq!(target.bytes(5), b"hello");
    target.send(b"bye").finish();
    assert_eq!(client.rest(), (b"bye".to_vec(), End::Closed));
    client.finish();
    let line: Value = serde_json::from_str(&headworks.log_lines("access.log", 1).remove(0)).unwrap();
    assert_eq!(line["client"], "192.0.2.1:1000");
    let mut stranger = headworks.client();
    stranger.send(b"hello, who is there?\r\n");
    let (said, _) = stranger.rest();
    assert_eq!(said, b"");
    let _ = headworks.wait_metrics("headworks_proxy_protocol_refusals_total", &[("reason", "missing")], 1.0);
    assert_eq!(headworks.metrics().sum("headworks_new_flows_total", &[]), 1.0);
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
