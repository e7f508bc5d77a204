//! `preserve_client_ip` (N3): targets on other machines, and on this one, see their clients' own addresses and ports, by the
//! routes that the documentation asks for.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use headworks_testkit::stream::End;
use headworks_testkit::{Authority, Caller, Client, Door, Headworks, Machine, Program, check, wait};
use rustix::process::Signal;

use crate::tls::folder;
use crate::{HEADWORKS, start};

/// What docs/configuration.md says for targets on other machines.
const ANSWERS: &str = "table inet headworks-answers {
  chain prerouting {
    type filter hook prerouting priority mangle
    socket transparent 1 meta mark set 1
  }
}
";

/// The machine of clients, the one that Headworks runs on, and the one of targets, whose gateway that is.
struct Machines {
    client: Machine,
    headworks: Machine,
    target: Machine,
}

impl Machines {
    fn new() -> Machines {
        let [client, headworks, target] = ["client", "headworks", "target"].map(Machine::new);
        headworks.cable(&["10.98.1.1/24", "fd98:1::1/64"], &client, &["10.98.1.2/24", "fd98:1::2/64"]);
        headworks.cable(&["10.98.2.1/24", "fd98:2::1/64"], &target, &["10.98.2.2/24", "fd98:2::2/64"]);
        target.ip("route add default via 10.98.2.1");
        target.ip("-6 route add default via fd98:2::1");
        let folder = folder();
        let rules = folder.path().join("answers.nft");
        let written = std::fs::write(&rules, ANSWERS);
        assert!(written.is_ok(), "{written:?}");
        headworks.run(&format!("nft -f {}", rules.display()));
        for family in ["-4", "-6"] {
            headworks.ip(&format!("{family} rule add fwmark 1 lookup 100"));
            headworks.ip(&format!("{family} route add local default dev lo table 100"));
        }
        Machines { client, headworks, target }
    }

    fn door(&self, ip: &str) -> Door {
        self.target.within(|| Door::open_at(address(ip)))
    }

    fn connect(&self, to: SocketAddr) -> Client {
        self.client.within(|| Client::connect(to))
    }

    fn connect_from(&self, from: SocketAddr, to: SocketAddr) -> Client {
        self.client.within(|| Client::connect_from(&from.to_string(), to))
    }
}

fn expect_open(client: &mut Client, target: &mut Client) {
    client.send(b"ping").finish();
    assert_eq!(target.rest(), (b"ping".to_vec(), End::Closed));
    target.send(b"pong").finish();
    assert_eq!(client.rest(), (b"pong".to_vec(), End::Closed));
}

fn address(ip: &str) -> IpAddr {
    ip.parse().unwrap_or_else(|error| panic!("{ip}: {error}"))
}

fn of_datagrams(at: &str) -> UdpSocket {
    let open = || {
        let socket = UdpSocket::bind(at)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        io::Result::Ok(socket)
    };
    open().unwrap_or_else(|error| panic!("{at}: {error}"))
}

/// Sends a datagram and answers it; who the target has it from.
fn asked(client: &UdpSocket, target: &UdpSocket) -> SocketAddr {
    let mut room = [0; 16];
    let mut ask = || {
        client.send(b"ping")?;
        let (length, from) = target.recv_from(&mut room)?;
        assert_eq!(&room[..length], b"ping");
        target.send_to(b"pong", from)?;
        let length = client.recv(&mut room)?;
        assert_eq!(&room[..length], b"pong");
        io::Result::Ok(from)
    };
    ask().unwrap_or_else(|error| panic!("no datagram, or no answer: {error}"))
}

/// Listeners in flow style in front of the group `web` of these targets, with further lines for it.
fn network(listeners: &str, targets: &str, group: &str) -> String {
    let check = if group.contains("health_check") { "" } else { ", health_check: { protocol: none }" };
    format!(
        "workers: 2\nload_balancers:\n  net: {{ type: network, listeners: {{ {listeners} }} }}\ntarget_groups:\n  web: \
         {{ preserve_client_ip: true, targets: [{targets}]{check}{group} }}\n"
    )
}

/// A tcp listener for all addresses.
const TCP: &str = "tcp: { port: 0, protocol: tcp, default: { forward: web } }";

/// Where clients reach a listener.
fn at(headworks: &Headworks, listener: &str, ip: &str) -> SocketAddr {
    SocketAddr::new(address(ip), headworks.listener(&format!("net/{listener}")).port())
}

#[test]
fn connections_come_from_their_clients() {
    let machines = Machines::new();
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let path = folder.path().join("a").display().to_string();
    let listeners = format!("{TCP}, tls: {{ port: 0, protocol: tls, certificates: [a], default: {{ forward: web }} }}");
    let certificates = format!("certificates: {{ a: {{ certificate: {path}.pem, key: {path}.key }} }}\n");
    machines.headworks.within(|| {
        for (ip, own) in [("10.98.2.2", "10.98.1.1"), ("fd98:2::2", "fd98:1::1")] {
            let [door, checked] = [ip, ip].map(|ip| machines.door(ip));
            let port = checked.address().port();
            let group = format!(", protocol: tcp, health_check: {{ protocol: tcp, port: {port}, interval: 5s }}");
            let headworks = start(&(network(&listeners, &format!("\"{door}\""), &group) + &certificates), &[]);
            let mut client = machines.connect(at(&headworks, "tcp", own));
            let mut target = door.accept();
            assert_eq!(target.peer(), client.local());
            expect_open(&mut client, &mut target);
            let caller = Caller::trusting(&authority).build();
            let to = at(&headworks, "tls", own);
            let mut client = machines.client.within(|| caller.connect(to, "a.example.com"));
            let mut target = door.accept();
            assert_eq!(target.peer(), client.local());
            expect_open(&mut client, &mut target);
            // health is asked for by ourselves
            assert_eq!(checked.accept().peer().ip().to_string(), own.replace("98.1", "98.2").replace("98:1", "98:2"));
            let metrics = headworks.metrics();
            assert_eq!(metrics.sum("headworks_target_group_replaced_client_addresses_total", &[]), 0.0);
            assert_eq!(metrics.sum("headworks_target_group_replaced_client_ports_total", &[]), 0.0);
        }
    });
}

#[test]
fn datagrams_come_from_their_clients() {
    let machines = Machines::new();
    let listeners = "udp: { port: 0, protocol: udp, default: { forward: web } }";
    machines.headworks.within(|| {
        for (ip, own, from) in
            [("10.98.2.2", "10.98.1.1", "10.98.1.2:0"), ("[fd98:2::2]", "fd98:1::1", "[fd98:1::2]:0")]
        {
            let target = machines.target.within(|| of_datagrams(&format!("{ip}:0")));
            let address = target.local_addr().unwrap();
            let headworks = start(&network(listeners, &format!("\"{address}\""), ", protocol: udp"), &[]);
            let client = machines.client.within(|| of_datagrams(from));
            client.connect(at(&headworks, "udp", own)).unwrap();
            for _ in 0..3 {
                assert_eq!(asked(&client, &target), client.local_addr().unwrap());
            }
            // that nobody is there comes back by the same way
            drop(target);
            wait::until("the end of a flow to nobody", || {
                client.send(b"anybody?").unwrap();
                let ended = headworks.metrics().sum("headworks_flows_ended_total", &[("reason", "target_refused")]);
                (ended >= 1.0).then_some(())
            });
        }
    });
}

/// The client is the one that a proxy speaks for; and targets are told of it besides, if they like.
#[test]
fn clients_of_proxies() {
    let machines = Machines::new();
    // what the proxy says, and where the target has the flow from; without a port, not from the client's
    let rows = [
        ("PROXY TCP4 192.0.2.7 10.98.1.1 41000 443\r\n", "192.0.2.7:41000"),
        ("PROXY TCP4 192.0.2.8 10.98.1.1 999 443\r\n", "192.0.2.8"),
        // IPv6 is no address for a target of IPv4, and some are nobody's
        ("PROXY TCP6 2001:db8::7 2001:db8::1 41000 443\r\n", "10.98.2.1"),
        ("PROXY TCP4 0.0.0.0 10.98.1.1 41001 443\r\n", "10.98.2.1"),
        ("PROXY TCP4 224.0.0.1 10.98.1.1 41001 443\r\n", "10.98.2.1"),
        ("PROXY TCP4 127.0.0.1 10.98.1.1 41001 443\r\n", "10.98.2.1"),
        ("PROXY TCP4 10.98.2.2 10.98.1.1 41001 443\r\n", "10.98.2.1"),
    ];
    machines.headworks.within(|| {
        let door = machines.door("10.98.2.2");
        let listener = TCP.replace("protocol: tcp", "protocol: tcp, proxy_protocol: { from: [10.98.1.0/24] }");
        let yaml = network(&listener, &door.to_string(), ", protocol: tcp, proxy_protocol: v1");
        // this capability and no other, so that low ports are not its own
        let only = ["--bounding-set=-all,+net_admin", "--inh-caps=-all"];
        let headworks = HEADWORKS.start_under("setpriv", &only, &yaml, &[]);
        check(
            rows,
            |(header, _)| header.to_string(),
            |(header, from)| {
                let mut client = machines.connect(at(&headworks, "tcp", "10.98.1.1"));
                client.send(header);
                let mut target = door.accept();
                let peer = target.peer();
                match from.parse() {
                    Ok(from) => assert_eq!(peer, from),
                    Err(_) => assert_eq!(peer.ip().to_string(), *from),
                }
                assert_eq!(target.bytes(header.len()), header.as_bytes());
                expect_open(&mut client, &mut target);
            },
        );
        let (metrics, group) = (headworks.metrics(), [("target_group", "web")]);
        assert_eq!(metrics.sum("headworks_target_group_replaced_client_addresses_total", &group), 5.0);
        assert_eq!(metrics.sum("headworks_target_group_replaced_client_ports_total", &group), 1.0);
        assert_eq!(headworks.said().matches("a client's address is not kept").count(), 1, "{}", headworks.said());
    });
}

/// One port of a client may have flows to one target by two listeners. The target cannot tell them apart: the second has another
/// port, and the address still.
#[test]
fn ports_that_are_taken() {
    let machines = Machines::new();
    let from: SocketAddr = "10.98.1.2:41000".parse().unwrap();
    let listeners = |protocol: &str| {
        let one = |name: &str, group: &str| {
            format!("{name}: {{ port: 0, protocol: {protocol}, default: {{ forward: {group} }} }}")
        };
        [one("one", "web"), one("other", "web"), one("elsewhere", "elsewhere")].join(", ")
    };
    let elsewhere = |protocol: &str, target: SocketAddr| {
        format!(
            "  elsewhere: {{ protocol: {protocol}, preserve_client_ip: true, targets: [{target}], health_check: {{ \
             protocol: none }} }}\n"
        )
    };
    let expect_counted = |headworks: &Headworks, count: f64| {
        let metrics = headworks.metrics();
        assert_eq!(metrics.sum("headworks_target_group_replaced_client_ports_total", &[]), count);
        assert_eq!(metrics.sum("headworks_target_group_replaced_client_addresses_total", &[]), 0.0);
    };
    machines.headworks.within(|| {
        let [door, other] = ["10.98.2.2"; 2].map(|ip| machines.door(ip));
        let web = network(&listeners("tcp"), &door.to_string(), ", protocol: tcp");
        let headworks = start(&(web + &elsewhere("tcp", other.address())), &[]);
        let mut flows = [("one", &door, true), ("other", &door, false), ("elsewhere", &other, true)].map(
            |(listener, door, is_kept)| {
                let client = machines.connect_from(from, at(&headworks, listener, "10.98.1.1"));
                let target = door.accept();
                assert_eq!((target.peer().ip(), target.peer() == from), (from.ip(), is_kept), "{listener}");
                (client, target)
            },
        );
        flows.iter_mut().for_each(|(client, target)| expect_open(client, target));
        expect_counted(&headworks, 1.0);

        let [target, other] = [0; 2].map(|_| machines.target.within(|| of_datagrams("10.98.2.2:0")));
        let [to, elsewhere_to] = [&target, &other].map(|target| target.local_addr().unwrap());
        let web = network(&listeners("udp"), &to.to_string(), ", protocol: udp");
        let headworks = start(&(web + &elsewhere("udp", elsewhere_to)), &[]);
        let client = machines.client.within(|| of_datagrams(&from.to_string()));
        // of datagrams, to one target or not
        for (listener, target, is_kept) in
            [("one", &target, true), ("other", &target, false), ("elsewhere", &other, false)]
        {
            client.connect(at(&headworks, listener, "10.98.1.1")).unwrap();
            let seen = asked(&client, target);
            assert_eq!((seen.ip(), seen == from), (from.ip(), is_kept), "{listener}");
        }
        expect_counted(&headworks, 2.0);
    });
}

/// Targets of this machine answer by loopback, with the rules that the documentation has for them. What a client of this machine
/// has for an address is kept as well, though not its port.
#[test]
fn targets_of_this_machine() {
    let machines = Machines::new();
    machines.headworks.ip("-4 rule add from 127.0.0.1 iif lo lookup 100");
    machines.headworks.ip("-6 rule add from ::1 iif lo lookup 100");
    machines.headworks.within(|| {
        for (ip, own) in [("127.0.0.1", "10.98.1.1"), ("::1", "fd98:1::1"), ("10.98.2.1", "10.98.1.1")] {
            let door = Door::open_at(ip.parse().unwrap());
            if ip == "10.98.2.1" {
                let port = door.address().port();
                machines.headworks.ip(&format!("rule add from {ip} ipproto tcp sport {port} iif lo lookup 100"));
            }
            let headworks = start(&network(TCP, &format!("\"{door}\""), ", protocol: tcp"), &[]);
            let mut client = machines.connect(at(&headworks, "tcp", own));
            let mut target = door.accept();
            assert_eq!(target.peer(), client.local());
            expect_open(&mut client, &mut target);
        }
        let door = Door::open();
        let headworks = start(&network(TCP, &door.to_string(), ", protocol: tcp"), &[]);
        let mut client = Client::connect_from("127.0.0.9", at(&headworks, "tcp", "127.0.0.1"));
        let mut target = door.accept();
        assert_eq!(target.peer().ip(), client.local().ip());
        expect_open(&mut client, &mut target);
        let target = of_datagrams("127.0.0.1:0");
        let listener = "udp: { port: 0, protocol: udp, default: { forward: web } }";
        let headworks = start(&network(listener, &target.local_addr().unwrap().to_string(), ", protocol: udp"), &[]);
        let client = machines.client.within(|| of_datagrams("10.98.1.2:0"));
        client.connect(at(&headworks, "udp", "10.98.1.1")).unwrap();
        assert_eq!(asked(&client, &target), client.local_addr().unwrap());
    });
}

/// A target that refuses is followed by another; a reload concerns new flows. Answers that go astray are answers that never come.
#[test]
fn other_targets_and_reloads() {
    let machines = Machines::new();
    machines.headworks.within(|| {
        let door = machines.door("10.98.2.2");
        let gone = machines.door("10.98.2.2").to_string();
        let targets = format!("{door}, \"{gone}\"");
        let group = ", protocol: tcp, algorithm: round_robin";
        let mut headworks = start(&network(TCP, &targets, group), &[]);
        let to = at(&headworks, "tcp", "10.98.1.1");
        wait::until("a flow that was refused first", || {
            let mut client = machines.connect(to);
            let mut target = door.accept();
            assert_eq!(target.peer(), client.local());
            expect_open(&mut client, &mut target);
            (headworks.metrics().sum("headworks_target_group_retries_total", &[]) >= 1.0).then_some(())
        });
        let mut early = machines.connect(to);
        let mut target = door.accept();
        let preserving = network(TCP, &door.to_string(), group);
        for (yaml, is_kept) in [
            (preserving.replace("preserve_client_ip: true", "preserve_client_ip: false"), false),
            (preserving.clone(), true),
        ] {
            headworks.reload(&yaml, &[]);
            let mut client = machines.connect(at(&headworks, "tcp", "10.98.1.1"));
            let mut target = door.accept();
            assert_eq!(target.peer().ip(), if is_kept { client.local().ip() } else { "10.98.2.1".parse().unwrap() });
            assert_eq!(target.peer() == client.local(), is_kept);
            expect_open(&mut client, &mut target);
        }
        expect_open(&mut early, &mut target);
        machines.headworks.run("nft delete table inet headworks-answers");
        headworks.reload(&preserving.replace("algorithm", "connect_timeout: 200ms, algorithm"), &[]);
        assert_eq!(machines.connect(at(&headworks, "tcp", "10.98.1.1")).rest(), (Vec::new(), End::Reset));
        let reason = [("reason", "target_connection_timeout")];
        let _ = headworks.wait_metrics("headworks_flows_ended_total", &reason, 1.0);
    });
}

/// Without the privilege, nothing begins or changes; `check` says so and leaves it to the machine that runs it.
#[test]
fn without_the_privilege() {
    const WITHOUT: [&str; 2] = ["--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw"];
    let door = Door::open();
    let preserving = network(
        "tcp: { address: 127.0.0.1:0, protocol: tcp, default: { forward: web } }",
        &door.to_string(),
        ", protocol: tcp",
    );
    let told = ["target_groups.web.preserve_client_ip: ", "CAP_NET_ADMIN", "proxy_protocol: v2"];
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("admin: {{ address: 127.0.0.1:0 }}\n{preserving}");
    std::fs::write(folder.path().join("headworks.yaml"), yaml).unwrap();
    for (command, status, starts) in [("run", 2, "headworks.yaml:6:"), ("check", 0, "warning: headworks.yaml:6:")] {
        let arguments = [&WITHOUT[..], &[HEADWORKS.0, command, "-c", "headworks.yaml"]].concat();
        let output = Program("setpriv").run(folder.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{command}: {said}");
        let is_told = |line: &str| line.starts_with(starts) && told.iter().all(|what| line.contains(what));
        assert!(said.lines().any(is_told), "{command}: {said}");
    }
    let plain = preserving.replace("preserve_client_ip: true", "preserve_client_ip: false");
    let headworks = HEADWORKS.start_under("setpriv", &WITHOUT, &plain, &[]);
    headworks.save(&preserving, &[]);
    headworks.signal(Signal::HUP);
    let refused = || headworks.said().contains("configuration refused").then(|| headworks.said());
    let said = wait::until("the refusal", refused);
    assert!(told.iter().all(|what| said.contains(what)), "{said}");
    let (mut client, mut target) = (headworks.client(), door.accept());
    expect_open(&mut client, &mut target);
    // with it, nothing is to be said
    let output = HEADWORKS.run(folder.path(), &["check", "-c", "headworks.yaml"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
