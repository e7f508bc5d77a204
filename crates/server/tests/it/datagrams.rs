//! Network load balancers over UDP (N1, N2): flows of datagrams, and the target that each gets and keeps. With NSD, a name
//! server, and dnsperf, which asks it more than any people would.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use headworks_testkit::{Client, Headworks, Machine, Origin, ask as ask_for, check, free_port, wait};
use rustix::process::Signal;
use serde_json::Value;

use crate::{HEADWORKS, start};

/// One listener of this protocol in front of the group `web`, with further lines for the load balancer, the listener and the
/// group in flow style.
fn network(protocol: &str, targets: &[SocketAddr], balancer: &str, listener: &str, group: &str) -> String {
    let targets: Vec<_> = targets.iter().map(|target| format!("\"{target}\"")).collect();
    let address = if listener.contains("port:") { "" } else { "address: 127.0.0.1:0, " };
    format!(
        "workers: 2\nload_balancers:\n  net: {{ type: network, access_log: access.log, listeners: {{ names: {{ {address}\
         protocol: {protocol}, default: {{ forward: web }}{listener} }} }}{balancer} }}\ntarget_groups:\n  web: \
         {{ protocol: udp, targets: [{}], health_check: {{ protocol: none }}{group} }}\n",
        targets.join(", ")
    )
}

/// A target that sends back what it gets, behind its name.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Echo {
    fn start(name: &str) -> Echo {
        Echo::at(name, "127.0.0.1:0")
    }

    fn at(name: &str, address: &str) -> Echo {
        let socket = socket(address);
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap_or_else(|error| panic!("{error}"));
        let address = socket.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let (stop, name) = (Arc::new(AtomicBool::new(false)), name.to_owned());
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut room = vec![0; 1 << 16];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
                // what does not fit behind the name goes back as it is
                let named = [name.as_bytes(), &room[..length]].concat();
                let answer = if named.len() > 65_000 { &room[..length] } else { &named };
                let _ = socket.send_to(answer, from);
            }
        });
        Echo { address, stop, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn socket(at: &str) -> UdpSocket {
    UdpSocket::bind(at).unwrap_or_else(|error| panic!("no socket at {at}: {error}"))
}

/// A client, which hears from one address only.
fn client(to: SocketAddr) -> UdpSocket {
    let socket = socket(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" });
    socket.connect(to).unwrap_or_else(|error| panic!("{error}"));
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap_or_else(|error| panic!("{error}"));
    socket
}

/// Sends, and waits for the answer.
#[track_caller]
fn ask(client: &UdpSocket, bytes: &[u8]) -> Vec<u8> {
    client.send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    hear(client)
}

#[track_caller]
fn hear(client: &UdpSocket) -> Vec<u8> {
    let mut room = vec![0; 1 << 16];
    let length = client.recv(&mut room).unwrap_or_else(|error| panic!("no answer: {error}"));
    room.truncate(length);
    room
}

fn wait_ended(headworks: &Headworks, reason: &str, count: f64) {
    let _ = headworks.wait_metrics("headworks_flows_ended_total", &[("reason", reason)], count);
}

#[test]
fn a_flow_keeps_its_target() {
    let echoes = ["a", "b", "c"].map(Echo::start);
    let headworks = start(&network("udp", &echoes.each_ref().map(|echo| echo.address), "", "", ""), &[]);
    let mut shares: BTreeMap<u8, u32> = BTreeMap::new();
    // all at once: a port that was given back may be given out again, and its flow goes on
    let clients: Vec<_> = (0..60).map(|_| client(headworks.address())).collect();
    for client in &clients {
        let first = ask(client, b"x");
        for _ in 0..3 {
            assert_eq!(ask(client, b"x"), first);
        }
        *shares.entry(first[0]).or_default() += 1;
    }
    // by a hash: none is left out, and shares are about even
    assert!(shares.len() == 3 && shares.values().all(|share| *share >= 6), "{shares:?}");
    // the last answer may have come before it was counted
    let _ = headworks.wait_metrics("headworks_datagrams_total", &[("direction", "to_client")], 240.0);
    let metrics = headworks.metrics();
    assert_eq!(metrics.sum("headworks_new_flows_total", &[]), 60.0);
    for direction in ["to_target", "to_client"] {
        assert_eq!(metrics.sum("headworks_datagrams_total", &[("direction", direction)]), 240.0);
    }
    assert_eq!(metrics.sum("headworks_processed_bytes_total", &[("direction", "to_target")]), 240.0);
}

#[test]
fn a_source_keeps_its_target() {
    let echoes = ["a", "b", "c"].map(Echo::start);
    let yaml = network("udp", &echoes.each_ref().map(|echo| echo.address), "", "", ", stickiness: { type: source_ip }");
    let headworks = start(&yaml, &[]);
    let answers: BTreeSet<_> = (0..20).map(|_| ask(&client(headworks.address()), b"x")).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// Every length goes through, in pieces where the network has none as large; many at once stay apart.
#[test]
fn lengths_and_bursts() {
    let echo = Echo::start("");
    let headworks = start(&network("udp", &[echo.address], "", "", ""), &[]);
    let client = client(headworks.address());
    check([0, 1, 100, 1200, 1472, 1473, 9000, 65_000, 65_507], ToString::to_string, |length| {
        let sent: Vec<u8> = (0..*length).map(|i| (i % 251) as u8).collect();
        assert!(ask(&client, &sent) == sent, "another answer");
    });
    for round in 0..20_u8 {
        let sent: BTreeSet<Vec<u8>> = (0..16_u8).map(|n| vec![n ^ round; 100 + usize::from(n)]).collect();
        for datagram in &sent {
            client.send(datagram).unwrap_or_else(|error| panic!("cannot send: {error}"));
        }
        let heard: BTreeSet<Vec<u8>> = (0..16).map(|_| hear(&client)).collect();
        assert!(heard == sent, "round {round}");
    }
}

/// Between machines as well, whose network takes 1500 bytes at a time: both ways, and of both families.
#[test]
fn lengths_between_machines() {
    let [near, far] = ["near", "far"].map(Machine::new);
    near.cable(&["10.97.1.1/24", "fd97:1::1/64"], &far, &["10.97.1.2/24", "fd97:1::2/64"]);
    for (own, other) in [("10.97.1.1", "10.97.1.2"), ("[fd97:1::1]", "[fd97:1::2]")] {
        let echo = far.within(|| Echo::at("", &format!("{other}:0")));
        let headworks = near.within(|| start(&network("udp", &[echo.address], "", ", port: 0", ""), &[]));
        let port = headworks.address().port();
        let client = far.within(|| socket(&format!("{other}:0")));
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap_or_else(|error| panic!("{error}"));
        client.connect(format!("{own}:{port}")).unwrap_or_else(|error| panic!("{error}"));
        for length in [1000, 1452, 1453, 1472, 1473, 4000, 20_000] {
            let sent: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            assert!(ask(&client, &sent) == sent, "{own}: {length}");
        }
    }
}

/// Answers come from the address that was asked, of all that the machine has; or the client would not hear them.
#[test]
fn answers_come_from_where_was_asked() {
    let echo = Echo::start("");
    let headworks = start(&network("udp", &[echo.address], "", ", port: 0", ""), &[]);
    let port = headworks.address().port();
    for to in ["127.0.0.1", "127.0.0.2", "127.1.2.3", "::1"] {
        let to = SocketAddr::new(to.parse().unwrap_or_else(|_| panic!("{to}")), port);
        assert_eq!(ask(&client(to), b"x"), b"x", "{to}");
    }
}

/// A flow that is silent for the idle timeout is forgotten; whatever follows is another (N2).
#[test]
fn silence_ends_a_flow() {
    let echo = Echo::start("");
    let headworks = start(&network("udp", &[echo.address], "", ", idle_timeout: 500ms", ""), &[]);
    let client = client(headworks.address());
    assert_eq!(ask(&client, b"x"), b"x");
    wait_ended(&headworks, "silent", 1.0);
    assert_eq!(headworks.metrics().sum("headworks_active_flows", &[]), 0.0);
    assert_eq!(ask(&client, b"y"), b"y");
    wait_ended(&headworks, "silent", 2.0);
    let line = headworks.log_lines("access.log", 2).remove(0);
    let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let address = client.local_addr().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(line["client"], address.to_string());
    assert_eq!((&line["received_bytes"], &line["sent_bytes"]), (&1.into(), &1.into()));
    assert_eq!((&line["ended"], &line["target_address"]), (&"silent".into(), &echo.address.to_string().into()));
    assert_eq!(headworks.metrics().sum("headworks_tcp_resets_total", &[]), 0.0, "nothing was reset");
}

/// Flows of datagrams have descriptors of their own: however many begin, connections are accepted, and the other way round.
#[test]
fn flows_and_connections_leave_room_for_each_other() {
    const DESCRIPTORS: u32 = 400;
    // of (400 - 128) / 2 connections, a quarter is given up for twice as many flows
    const FLOWS: usize = 68;
    const CONNECTIONS: usize = 102;
    let (echo, web) = (Echo::start(""), Origin::echo("web"));
    let yaml = format!(
        "workers: 1\nload_balancers:\n  net: {{ type: network, listeners: {{\n    names: {{ address: 127.0.0.1:0, protocol: udp, \
         default: {{ forward: names }} }},\n    other: {{ address: 127.0.0.1:0, protocol: udp, default: {{ forward: names }} }} \
         }} }}\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\ntarget_groups:\n  \
         names: {{ protocol: udp, targets: [\"{}\"], health_check: {{ protocol: none }} }}\n  web: {{ targets: [<web>] }}\n",
        echo.address
    );
    let headworks = HEADWORKS.start_with_descriptors(&yaml, &[("web", &web)], DESCRIPTORS);
    let names = || client(headworks.listener("net/names"));
    let flood: Vec<UdpSocket> = (0..3 * FLOWS).map(|_| names()).collect();
    for client in &flood {
        assert_eq!(ask(client, b"x"), b"x");
    }
    wait_ended(&headworks, "too_many_flows", (2 * FLOWS) as f64);
    // all at once: answers of those that give way at once are lost
    flood.iter().for_each(|client| assert!(client.send(b"x").is_ok()));
    let shop = headworks.listener("shop/http");
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| Client::connect(shop)).collect();
    for client in &mut clients {
        assert_eq!(client.exchange(&ask_for("GET", "/")).status, 200);
    }
    wait::until("no more flows than may be", || {
        let active = headworks.metrics().sum("headworks_active_flows", &[]);
        (active <= FLOWS as f64).then_some(())
    });
    // a listener whose flows are not the many gets its share
    let others: Vec<_> = (0..FLOWS / 4).map(|_| client(headworks.listener("net/other"))).collect();
    for other in others.iter().chain(&others) {
        assert_eq!(ask(other, b"x"), b"x");
    }
    assert_eq!(headworks.metrics().sum("headworks_new_flows_total", &[("listener", "other")]), others.len() as f64);
    let mut late = Client::connect(shop);
    late.ask(&ask_for("GET", "/"));
    assert_eq!(ask(&names(), b"x"), b"x");
    assert!(!late.arrived(), "there was room for another connection");
    drop(clients);
    assert_eq!(late.response().status, 200);
    let said = headworks.said();
    assert!(!said.contains("cannot accept") && !said.contains("Too many open files"), "{said}");
}

/// What cannot be sent on is not counted as carried: over IPv6 more fits into one than IPv4 takes.
#[test]
fn what_is_too_long_is_lost() {
    let echo = Echo::start("");
    let headworks = start(&network("udp", &[echo.address], "", ", port: 0", ""), &[]);
    let client = client(SocketAddr::from((Ipv6Addr::LOCALHOST, headworks.address().port())));
    client.send(&[b'x'; 65_520]).unwrap_or_else(|error| panic!("cannot send: {error}"));
    let _ = headworks.wait_metrics("headworks_lost_datagrams_total", &[("direction", "to_target")], 1.0);
    assert_eq!(ask(&client, b"y"), b"y");
    let _ = headworks.wait_metrics("headworks_datagrams_total", &[("direction", "to_client")], 1.0);
    let metrics = headworks.metrics();
    for (direction, lost) in [("to_target", 1.0), ("to_client", 0.0)] {
        assert_eq!(metrics.sum("headworks_lost_datagrams_total", &[("direction", direction)]), lost, "{direction}");
        assert_eq!(metrics.sum("headworks_datagrams_total", &[("direction", direction)]), 1.0, "{direction}");
        assert_eq!(metrics.sum("headworks_processed_bytes_total", &[("direction", direction)]), 1.0, "{direction}");
    }
}

/// A machine has so many ports and no more towards one target; that they are used up is told apart from targets that fail (N8).
#[test]
fn no_port_is_left() {
    let [near, far] = ["near", "far"].map(Machine::new);
    near.cable(&["10.97.1.1/24"], &far, &["10.97.1.2/24"]);
    let few = near.within(|| std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "50000 50019"));
    assert!(few.is_ok(), "{few:?}");
    let to = SocketAddr::from(([10, 97, 1, 1], 7000));
    for protocol in ["udp", "tcp", "http"] {
        let echo = far.within(|| Echo::at("", "10.97.1.2:0"));
        let door = far.within(|| TcpListener::bind(echo.address)).unwrap_or_else(|error| panic!("{error}"));
        let mut yaml = network(protocol, &[echo.address], "", ", port: 7000", "");
        yaml = yaml.replace("protocol: udp, targets", &format!("protocol: {protocol}, targets"));
        if protocol == "http" {
            yaml = yaml.replace("type: network, ", "");
        }
        let headworks = near.within(|| start(&yaml, &[]));
        let _clients: Vec<Box<dyn Any + Send>> = far.within(|| {
            let client = |_| -> Box<dyn Any + Send> {
                if protocol == "udp" {
                    let client = socket("10.97.1.2:0");
                    client.send_to(b"x", to).unwrap_or_else(|error| panic!("{error}"));
                    return Box::new(client);
                }
                // one that finds no port may be reset before its client knows that it is connected
                let mut client = Client::try_connect(to).ok();
                if let Some(client) = &mut client {
                    client.send_anyway(ask_for("GET", "/").bytes());
                }
                Box::new(client)
            };
            (0..40).map(client).collect()
        });
        wait::until("no port to be left", || {
            let metrics = near.within(|| headworks.metrics());
            let errors = metrics.sum("headworks_port_allocation_errors_total", &[("target_group", "web")]);
            let ended = metrics.sum("headworks_flows_ended_total", &[("reason", "no_port_left")]);
            (errors >= 20.0 && (ended >= 20.0 || protocol == "http")).then_some(())
        });
        if protocol == "http" {
            let mut told = far.within(|| Client::connect(to));
            assert_eq!(told.exchange(&ask_for("GET", "/")).status, 503);
        }
        drop(door);
    }
}

/// A target that is not there says so by ICMP, which is heard when more is sent; what follows begins a flow anew.
#[test]
fn a_target_that_is_not_there() {
    let gone = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let headworks = start(&network("udp", &[gone], "", "", ""), &[]);
    let client = client(headworks.address());
    for count in [1.0, 2.0] {
        wait::until("a refusal", || {
            client.send(b"x").ok()?;
            let refused = headworks.metrics().sum("headworks_flows_ended_total", &[("reason", "target_refused")]);
            (refused >= count).then_some(())
        });
    }
}

/// A listener may have another name, and speak something else, where one stood before: a reload finds no port taken by itself.
#[test]
fn what_stands_at_a_port_may_change() {
    let echo = Echo::start("");
    let yaml = |name: &str, protocol: &str, address: &str| {
        let yaml = network(protocol, &[echo.address], "", "", "").replace("127.0.0.1:0,", &format!("{address},"));
        let yaml = yaml.replace("{ names: {", &format!("{{ {name}: {{"));
        if protocol == "tcp" { yaml.replace("protocol: udp, targets", "protocol: tcp, targets") } else { yaml }
    };
    let stands = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut headworks = start(&yaml("names", "udp", &stands.to_string()), &[]);
    let rows = [
        ("names", "udp"),
        ("other", "udp"),
        ("other", "tcp_udp"),
        ("other", "udp"),
        ("other", "tcp"),
        ("names", "tcp"),
    ];
    for (name, protocol) in rows.into_iter().chain([("names", "tcp_udp"), ("other", "tcp"), ("other", "udp")]) {
        headworks.reload(&yaml(name, protocol, &stands.to_string()), &[]);
        assert_eq!(headworks.address(), stands, "{name}, {protocol}");
        if protocol != "tcp" {
            let client = client(stands);
            client.set_read_timeout(Some(Duration::from_millis(100))).unwrap_or_else(|error| panic!("{error}"));
            // the kernel may still give some to what has just gone
            wait::until("an answer", || {
                client.send(b"x").ok()?;
                client.recv(&mut [0; 8]).is_ok().then_some(())
            });
        }
        let connected = std::net::TcpStream::connect(stands);
        assert_eq!(connected.is_ok(), protocol != "udp", "{name}, {protocol}: {connected:?}");
    }
}

/// The flows of a listener that is gone end with it; those of one that stays know nothing of a reload.
#[test]
fn reloads() {
    let (one, other) = (Echo::start("1"), Echo::start("2"));
    let address = format!("127.0.0.1:{},", free_port());
    let yaml = |target: &Echo| network("udp", &[target.address], "", "", "").replace("127.0.0.1:0,", &address);
    let mut headworks = start(&yaml(&one), &[]);
    let before = client(headworks.address());
    assert_eq!(ask(&before, b"x"), b"1x");
    headworks.reload(&yaml(&other), &[]);
    assert_eq!(ask(&before, b"x"), b"1x", "its target has been deregistered, and is not cut");
    assert_eq!(ask(&client(headworks.address()), b"x"), b"2x");
    headworks.reload(&yaml(&other).replace("protocol: udp, default", "protocol: tcp_udp, default"), &[]);
    wait_ended(&headworks, "stopping", 2.0);
    assert_eq!(ask(&client(headworks.address()), b"x"), b"2x");
}

/// What has begun goes on while the program stops, as long as it does not pause.
#[test]
fn stopping() {
    let echo = Echo::start("");
    let mut headworks = start(&network("udp", &[echo.address], "", "", ""), &[]);
    let old = client(headworks.address());
    assert_eq!(ask(&old, b"x"), b"x");
    let to = headworks.address();
    headworks.signal(Signal::TERM);
    for _ in 0..20 {
        assert_eq!(ask(&old, b"x"), b"x");
    }
    // nobody new is taken
    wait::until("no more flows", || {
        let new = client(to);
        new.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
        assert_eq!(ask(&old, b"x"), b"x");
        new.send(b"x").ok();
        let heard = new.recv(&mut [0; 9]);
        heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)).then_some(())
    });
    assert!(headworks.wait_exit().success());
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A name server.
fn nsd(folder: &std::path::Path) -> (Killed, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let place = folder.display();
    let zone =
        "$TTL 60\n@ SOA ns.shop.test. admin.shop.test. 1 60 60 60 60\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n";
    let settings = format!(
        "server:\n  ip-address: 127.0.0.1@{}\n  username: \"\"\n  zonesdir: {place}\n  database: \"\"\n  \
         pidfile: {place}/nsd.pid\n  xfrdfile: {place}/xfrd.state\n  zonelistfile: {place}/zone.list\n  logfile: \
         {place}/nsd.log\n  tcp-count: 200\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\nzone:\n  name: \
         shop.test\n  zonefile: shop.zone\n",
        address.port()
    );
    for (name, text) in [("shop.zone", zone), ("nsd.conf", &settings)] {
        std::fs::write(folder.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let mut command = Command::new("nsd");
    command.arg("-d").arg("-c").arg(folder.join("nsd.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Killed(command.spawn().unwrap_or_else(|error| panic!("nsd: {error}; `make packages` installs it")));
    wait::until("the name server", || std::net::TcpStream::connect(address).ok());
    (server, address)
}

/// Names are asked for by datagrams and over connections, on one port.
#[test]
fn a_name_server_behind_it() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let (_server, names) = nsd(folder.path());
    let headworks = start(&network("tcp_udp", &[names], "", "", ""), &[]);
    let queries = folder.path().join("queries");
    std::fs::write(&queries, "www.shop.test A\nns.shop.test A\n").unwrap_or_else(|error| panic!("{error}"));
    check(["udp", "tcp"], ToString::to_string, |mode| {
        let mut command = Command::new("dnsperf");
        command.args(["-m", mode, "-s", "127.0.0.1", "-p", &headworks.address().port().to_string()]);
        command.args(["-c", "20", "-T", "2", "-n", "5000", "-q", "50", "-d"]).arg(&queries);
        let said = command.output().unwrap_or_else(|error| panic!("dnsperf: {error}; `make packages` installs it"));
        let said = String::from_utf8_lossy(&said.stdout);
        assert!(said.contains("Queries completed:    10000 (100.00%)"), "{said}");
        assert!(said.contains("NOERROR 10000 (100.00%)"), "{said}");
    });
    let metrics = headworks.metrics();
    assert!(metrics.sum("headworks_datagrams_total", &[("direction", "to_client")]) >= 10_000.0);
    assert_eq!(metrics.sum("headworks_new_flows_total", &[]), 40.0, "20 flows of each kind");
}
