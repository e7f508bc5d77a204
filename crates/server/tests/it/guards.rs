//! Who may connect: security groups, network ACLs and limits, decided when a connection begins.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use headworks_testkit::frames::flag::END_STREAM;
use headworks_testkit::frames::{frame, headers, kind, request};
use headworks_testkit::program::filled;
use headworks_testkit::stream::End;
use headworks_testkit::{Ask, Client, Headworks, Origin, ask, check, wait};

use crate::{HEADWORKS, start};

/// How long silence lasts before it counts as silence. Loopback answers in microseconds.
const SILENCE: Duration = Duration::from_millis(300);

/// A listener that answers by itself, with further lines for load balancer and listener in flow style.
fn answering(address: &str, balancer: &str, listener: &str, rest: &str) -> String {
    format!(
        "workers: 2\nload_balancers:\n  shop: {{ listeners: {{ http: {{ {address}, default: {{ fixed_response: \
         {{ status: 204 }} }}{listener} }} }}{balancer} }}\n{rest}"
    )
}

const ON_LOOPBACK: &str = "address: 127.0.0.1:0";

/// What becomes of a connection from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Served,
    /// No answer to the first segment.
    Silence,
    /// Ended as soon as it was there.
    Refused,
}

/// Connects from an address and asks; what it was met with, and the connection that was served.
fn meet(from: &str, to: SocketAddr) -> (Met, Option<Client>) {
    match Client::try_connect_from(from, to, SILENCE) {
        Err(error) if error.kind() == ErrorKind::TimedOut => (Met::Silence, None),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (Met::Refused, None),
        Err(error) => panic!("{from} to {to}: {error}"),
        Ok(mut client) => match client.send_anyway(ask("GET", "/").bytes()).try_response_to("GET") {
            Ok(_) => (Met::Served, Some(client)),
            Err(End::Reset | End::Closed) => (Met::Refused, None),
            Err(end) => panic!("{from} to {to}: {end}"),
        },
    }
}

fn met(from: &str, to: SocketAddr) -> Met {
    meet(from, to).0
}

fn refusals(headworks: &Headworks, reason: &str) -> f64 {
    headworks.metrics().sum("headworks_refused_connections_total", &[("reason", reason)])
}

/// 1.16: numbered rules, lowest first, then deny; security groups allow only. What is denied gets no answer at all.
#[test]
fn who_gets_in() {
    use Met::{Refused, Served, Silence};
    let acl = ", network_acl: office";
    let group = ", security_groups: [web]";
    // what it is; address, lines for the load balancer, for the listener, and besides; who is met with what
    type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [(&'static str, Met)]);
    let rows: [Row; 11] = [
        (
            "a network ACL",
            ON_LOOPBACK,
            "",
            acl,
            "network_acls: { office: { inbound: [ { rule: 200, action: allow, from: [127.0.0.0/29] }, { rule: 100, action: deny, from: [127.0.0.3/32] } ] } }",
            &[("127.0.0.2", Served), ("127.0.0.3", Silence), ("127.0.0.7", Served), ("127.0.0.8", Silence)],
        ),
        ("an ACL without rules", ON_LOOPBACK, "", acl, "network_acls: { office: {} }", &[("127.0.0.1", Silence)]),
        (
            "a security group",
            ON_LOOPBACK,
            group,
            "",
            "security_groups: { web: { inbound: [ { protocol: tcp, from: [127.0.0.2/32, 127.0.0.4/31] } ] } }",
            &[("127.0.0.2", Served), ("127.0.0.1", Silence), ("127.0.0.5", Served), ("127.0.0.6", Silence)],
        ),
        (
            "several groups: any is enough",
            ON_LOOPBACK,
            ", security_groups: [web, more]",
            "",
            "security_groups: { web: { inbound: [ { from: [127.0.0.2/32] } ] }, more: { inbound: [ { from: [127.0.0.3/32] } ] } }",
            &[("127.0.0.2", Served), ("127.0.0.3", Served), ("127.0.0.4", Silence)],
        ),
        (
            "other ports and protocols",
            ON_LOOPBACK,
            group,
            "",
            "security_groups: { web: { inbound: [ { ports: [1], from: [127.0.0.2/32] }, { protocol: udp, from: [127.0.0.3/32] }, { protocol: tcp, ports: \"1024-65535\", from: [127.0.0.4/32] } ] } }",
            &[("127.0.0.2", Silence), ("127.0.0.3", Silence), ("127.0.0.4", Served)],
        ),
        ("a group without rules", ON_LOOPBACK, group, "", "security_groups: { web: {} }", &[("127.0.0.1", Silence)]),
        (
            "who is denied is told",
            ON_LOOPBACK,
            "",
            ", network_acl: office, deny: reset",
            "network_acls: { office: { inbound: [ { rule: 1, action: allow, from: [127.0.0.2/31] } ] } }",
            &[("127.0.0.2", Served), ("127.0.0.4", Refused)],
        ),
        (
            "who is in no group is told",
            ON_LOOPBACK,
            group,
            ", deny: reset",
            "security_groups: { web: { inbound: [ { from: [127.0.0.2/32] } ] } }",
            &[("127.0.0.2", Served), ("127.0.0.1", Refused)],
        ),
        (
            "both doors",
            ON_LOOPBACK,
            group,
            acl,
            "security_groups: { web: { inbound: [ { from: [127.0.0.0/30] } ] } }\nnetwork_acls: { office: { inbound: [ { rule: 1, action: allow, from: [127.0.0.2/31] } ] } }",
            &[("127.0.0.1", Silence), ("127.0.0.2", Served), ("127.0.0.3", Served), ("127.0.0.4", Silence)],
        ),
        (
            "IPv4 on a socket of both families",
            "port: 0",
            group,
            "",
            "security_groups: { web: { inbound: [ { from: [127.0.0.2/32, \"::1/128\"] } ] } }",
            &[("127.0.0.2", Served), ("127.0.0.1", Silence), ("::1", Served)],
        ),
        (
            "IPv6",
            "port: 0",
            "",
            acl,
            "network_acls: { office: { inbound: [ { rule: 1, action: deny, from: [\"::/64\"] }, { rule: 2, action: allow, from: [\"::/0\", 0.0.0.0/0] } ] } }",
            &[("::1", Silence), ("127.0.0.1", Served)],
        ),
    ];
    check(
        rows,
        |row| row.0,
        |(_, address, balancer, listener, rest, from)| {
            let headworks = start(&answering(address, balancer, listener, rest), &[]);
            let port = headworks.address().port();
            for (from, expected) in *from {
                let to = if from.contains(':') { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") };
                assert_eq!(met(from, to.parse().unwrap()), *expected, "from {from}");
            }
        },
    );
}

/// A list that is too long for a filter in the kernel is held to all the same; what it denies is reset, and counted.
#[test]
fn long_lists_are_held_to() {
    let networks: Vec<String> = (0..5000).map(|i| format!("127.{}.{}.0/25", 16 + i / 250, i % 250)).collect();
    let rest = format!(
        "network_acls: {{ office: {{ inbound: [ {{ rule: 7, action: allow, from: [{}] }} ] }} }}",
        networks.join(", ")
    );
    let headworks = start(&answering(ON_LOOPBACK, "", ", network_acl: office", &rest), &[]);
    for i in [0, 1, 2500, 4999] {
        let place = format!("127.{}.{}", 16 + i / 250, i % 250);
        assert_eq!(met(&format!("{place}.127"), headworks.address()), Met::Served);
        assert_eq!(met(&format!("{place}.128"), headworks.address()), Met::Refused);
    }
    assert_eq!(refusals(&headworks, "network_acl"), 4.0);
    assert_eq!(
        headworks.status()["load_balancers"]["shop"]["listeners"]["http"]["refused_connections"]["network_acl"],
        4
    );
}

/// What the kernel drops by a listener's filter is no secret.
#[test]
fn what_the_kernel_drops_is_counted() {
    let rest = "security_groups: { web: { inbound: [ { from: [127.0.0.2/32] } ] } }";
    let headworks = start(&answering(ON_LOOPBACK, ", security_groups: [web]", "", rest), &[]);
    let told = || headworks.status()["load_balancers"]["shop"]["listeners"]["http"]["dropped_packets"].as_u64();
    assert_eq!((met("127.0.0.2", headworks.address()), told()), (Met::Served, Some(0)));
    assert_eq!(met("127.0.0.3", headworks.address()), Met::Silence);
    wait::until("the count of what was dropped", || (told() >= Some(1)).then_some(()));
    assert!(headworks.metrics().sum("headworks_dropped_packets_total", &[("listener", "http")]) >= 1.0);
}

/// A change is for new connections; those that are open stay.
#[test]
fn changes_are_for_new_connections() {
    let with = |from: &str| {
        let rest = format!("security_groups: {{ web: {{ inbound: [ {{ from: [{from}] }} ] }} }}");
        answering(ON_LOOPBACK, ", security_groups: [web]", "", &rest)
    };
    let mut headworks = start(&with("127.0.0.2/32"), &[]);
    let to = headworks.address();
    let (first, open) = meet("127.0.0.2", to);
    assert_eq!((first, met("127.0.0.3", to)), (Met::Served, Met::Silence));
    headworks.reload(&with("127.0.0.3/32"), &[]);
    assert_eq!(met("127.0.0.2", to), Met::Silence);
    assert_eq!(met("127.0.0.3", to), Met::Served);
    let mut open = open.unwrap();
    assert_eq!(open.exchange(&ask("GET", "/")).status, 204, "it was let in before");
    headworks.reload(&answering(ON_LOOPBACK, "", "", ""), &[]);
    assert_eq!((met("127.0.0.2", to), met("127.0.0.4", to)), (Met::Served, Met::Served));
    assert_eq!(open.exchange(&ask("GET", "/")).status, 204);
}

/// Members of a group are the targets and the load balancers that carry it, as they are now.
#[test]
fn groups_refer_to_their_members() {
    let with = |targets: &str| {
        format!(
            r"
workers: 2
load_balancers:
  inner:
    security_groups: [inner]
    listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ fixed_response: {{ status: 204 }} }} }} }}
  outer:
    security_groups: [outer]
    listeners: {{ http: {{ address: 127.0.0.9:0, default: {{ forward: app }} }} }}
target_groups:
  app: {{ targets: [{targets}], security_groups: app, health_check: {{ protocol: none }}, deregistration_delay: 0s }}
security_groups:
  inner: {{ inbound: [ {{ protocol: tcp, from: [outer, app] }} ] }}
  outer: {{ inbound: [ {{ from: [127.0.0.0/8] }} ] }}
  app: {{ inbound: [ {{ from: [outer] }} ] }}
"
        )
    };
    let mut headworks = start(&with("127.0.0.5:1"), &[]);
    let to = headworks.listener("inner/http");
    let who = |from: [&str; 4]| from.map(|from| met(from, to));
    use Met::{Served, Silence};
    let asked = ["127.0.0.5", "127.0.0.6", "127.0.0.9", "127.0.0.1"];
    assert_eq!(who(asked), [Served, Silence, Served, Silence]);
    headworks.reload(&with("127.0.0.6:1, 127.0.0.7:1"), &[]);
    assert_eq!(who(["127.0.0.6", "127.0.0.7", "127.0.0.9", "127.0.0.1"]), [Served, Served, Served, Silence]);
    // the one that is gone has left when its deregistration is over, without another reload
    wait::until("a member to leave", || (met("127.0.0.5", to) == Silence).then_some(()));
}

/// Opens connections until one is refused; those that were served.
fn fill(from: &str, to: SocketAddr) -> Vec<Client> {
    std::iter::from_fn(|| meet(from, to).1).take(100).collect()
}

/// W11: exact over all workers, whichever of them a connection meets.
#[test]
fn connections_at_once() {
    let headworks = start(&answering(ON_LOOPBACK, "", ", limits: { connections: 7 }", ""), &[]);
    let to = headworks.address();
    // all at once: nobody may slip in between looking and counting
    let connect = |_| Client::try_connect_from("127.0.0.1", to, wait::PATIENCE).ok();
    let mut clients: Vec<Client> = (0..40).filter_map(connect).collect();
    for client in &mut clients {
        client.send_anyway(ask("GET", "/").bytes());
    }
    let mut served: Vec<Client> =
        clients.into_iter().filter_map(|mut client| client.try_response_to("GET").is_ok().then_some(client)).collect();
    assert_eq!(served.len(), 7);
    assert_eq!(refusals(&headworks, "connections"), 33.0);
    served.truncate(4);
    let _ = headworks.wait_metrics("headworks_active_connections", &[], 4.0);
    let more = fill("127.0.0.1", to);
    assert_eq!(more.len(), 3);
    served.iter_mut().for_each(|client| assert_eq!(client.exchange(&ask("GET", "/")).status, 204));
}

/// A client over its limit is refused, and takes nothing from others.
#[test]
fn connections_of_one_client() {
    let limits = ", limits: { connections: 8, connections_per_client: 3, new_connections_per_second: 1000 }";
    let mut headworks = start(&answering(ON_LOOPBACK, "", limits, ""), &[]);
    let to = headworks.address();
    let first = fill("127.0.0.2", to);
    assert_eq!(first.len(), 3);
    for _ in 0..20 {
        assert_eq!(met("127.0.0.2", to), Met::Refused);
    }
    let others: Vec<Client> = ["127.0.0.3", "127.0.0.4"].iter().flat_map(|from| fill(from, to)).collect();
    assert_eq!(others.len(), 5, "what is left of 8");
    assert_eq!(refusals(&headworks, "connections_per_client"), 22.0);
    assert_eq!(headworks.said().matches("connections are refused").count(), 1, "{}", headworks.said());
    assert_eq!(refusals(&headworks, "connections"), 1.0);
    let status = headworks.status();
    let top = &status["load_balancers"]["shop"]["listeners"]["http"]["top_clients"];
    assert_eq!((&top[0]["client"], &top[1]["client"]), (&"127.0.0.2".into(), &"127.0.0.3".into()));
    assert_eq!(top[0]["connections"], serde_json::json!({ "active": 3, "total": 3, "refused": 21 }));
    // what is open counts under limits that are new
    headworks.reload(&answering(ON_LOOPBACK, "", ", limits: { connections_per_client: 4 }", ""), &[]);
    assert_eq!(fill("127.0.0.2", to).len(), 1);
    drop(first);
    headworks.reload(&answering(ON_LOOPBACK, "", ", limits: { connections_per_client: 0 }", ""), &[]);
    assert_eq!(fill("127.0.0.2", to).len(), 100);
}

/// Never more than so many in any second; the next second takes new ones.
#[test]
fn new_connections_in_a_second() {
    let headworks = start(&answering(ON_LOOPBACK, "", ", limits: { new_connections_per_second: 5 }", ""), &[]);
    let started = Instant::now();
    let served = (0..30).filter(|_| met("127.0.0.1", headworks.address()) == Met::Served).count() as u64;
    let most = 5 * (started.elapsed().as_secs() + 1);
    assert!((5..=most).contains(&served), "{served} of at most {most}");
    assert_eq!(refusals(&headworks, "new_connections_per_second"), (30 - served) as f64);
    wait::until("the next second", || (met("127.0.0.1", headworks.address()) == Met::Served).then_some(()));
}

/// A client that connects too fast is refused, and takes nothing from others; the next second takes it again.
#[test]
fn new_connections_of_one_client() {
    let limits = ", limits: { new_connections_per_client: 4 }";
    let headworks = start(&answering(ON_LOOPBACK, "", limits, ""), &[]);
    let (started, to) = (Instant::now(), headworks.address());
    let served = (0..30).filter(|_| met("127.0.0.2", to) == Met::Served).count();
    // four at once, and four more in each second that this has taken
    let most = 4 + (started.elapsed().as_secs_f64() * 4.0) as usize;
    assert!((4..=most).contains(&served), "{served} of at most {most}");
    assert_eq!(met("127.0.0.3", to), Met::Served);
    assert_eq!(refusals(&headworks, "new_connections_per_client"), (30 - served) as f64);
    wait::until("its share of the next second", || (met("127.0.0.2", to) == Met::Served).then_some(()));
}

/// Of the handshakes that there may be one client has an eighth, and whoever comes when all are under way is closed.
#[test]
fn handshakes_at_once() {
    let yaml = "workers: 1\nload_balancers:\n  net: { type: network, listeners: { tls: { address: 127.0.0.1:0, protocol: \
                tls_passthrough, limits: { handshakes: 16 }, default: { forward: web } } } }\n\
                target_groups:\n  web: { protocol: tls, targets: [<web>], health_check: { protocol: none } }\n";
    let web = Origin::new("web").start();
    let headworks = start(yaml, &[("web", &web)]);
    let to = headworks.address();
    let too_many = |count: f64| {
        let labels = [("reason", "too_many_handshakes")];
        let _ = headworks.wait_metrics("headworks_flows_ended_total", &labels, count);
    };
    let under_way = |count: usize| {
        let _ = headworks.wait_metrics("headworks_tls_handshakes_in_flight", &[], count as f64);
    };
    let mut open: Vec<Client> = Vec::new();
    for of in 2..10 {
        let from = format!("127.0.0.{of}");
        for _ in 0..2 {
            open.push(Client::connect_from(&from, to));
            under_way(open.len());
        }
        if of == 2 {
            Client::connect_from(&from, to).expect_ended();
            too_many(1.0);
        }
    }
    Client::connect_from("127.0.0.20", to).expect_ended();
    too_many(2.0);
    // whoever goes leaves room
    open.pop();
    under_way(open.len());
    let mut late = Client::connect_from("127.0.0.20", to);
    under_way(16);
    assert!(!late.arrived());
    late.send("no hello").expect_ended();
}

/// Who goes over the limits again and again is refused altogether, for a while.
#[test]
fn repeat_offenders_are_kept_out() {
    let limits = ", limits: { connections_per_client: 2, block: { after: 3, within: 1m, for: 2s } }";
    let headworks = start(&answering(ON_LOOPBACK, "", limits, ""), &[]);
    let to = headworks.address();
    let open = fill("127.0.0.2", to);
    assert_eq!((open.len(), met("127.0.0.2", to), met("127.0.0.2", to)), (2, Met::Refused, Met::Refused));
    let status = headworks.status();
    let top = &status["load_balancers"]["shop"]["listeners"]["http"]["top_clients"];
    assert_eq!((&top[0]["client"], &top[0]["blocked"]), (&"127.0.0.2".into(), &true.into()));
    let metrics = headworks.metrics();
    let labels = [("load_balancer", "shop"), ("listener", "http"), ("client", "127.0.0.2")];
    assert_eq!(metrics.sum("headworks_top_client_connections", &labels), 2.0);
    assert_eq!(metrics.sum("headworks_blocked_clients", &labels[..2]), 1.0);
    drop(open);
    let _ = headworks.wait_metrics("headworks_active_connections", &[], 0.0);
    let _ = headworks.wait_metrics("headworks_top_client_connections", &[], 0.0);
    assert_eq!((met("127.0.0.2", to), met("127.0.0.3", to)), (Met::Refused, Met::Served));
    assert_eq!(refusals(&headworks, "blocked"), 1.0);
    wait::until("the while to be over", || (met("127.0.0.2", to) == Met::Served).then_some(()));
}

/// Who floods a connection of HTTP/2, or lets a head of it drip in, does so a few times only.
#[test]
fn offences_over_http2() {
    let limits = ", limits: { header_timeout: 500ms, block: { after: 3, within: 1m, for: 1m } }";
    let headworks = start(&answering(ON_LOOPBACK, "", limits, ""), &[]);
    let to = headworks.address();
    let malformed = |n: u32| headers(END_STREAM, 2 * n + 1, request("/", &["connection: x"]));
    let rows: [(&str, &str, Vec<u8>); 3] = [
        ("floods", "127.0.0.2", (0..300).flat_map(malformed).collect()),
        ("a head that does not end", "127.0.0.3", frame(kind::HEADERS, END_STREAM, 1, request("/", &[]))),
        ("half a frame", "127.0.0.4", malformed(0)[..12].to_vec()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, from, bytes)| {
            for _ in 0..3 {
                let mut client = Client::connect_from(from, to);
                client.begin_http2(&[]).send_anyway(bytes);
                while client.frame().is_ok() {}
            }
            assert_eq!((met(from, to), met("127.0.0.9", to)), (Met::Refused, Met::Served));
        },
    );
}

/// So is whoever opens flows that never say where to, or say what cannot be understood.
#[test]
fn offences_before_a_flow() {
    let yaml = "load_balancers:\n  net: { type: network, listeners: { tls: { address: 127.0.0.1:0, protocol: tls_passthrough, limits: \
                { header_timeout: 500ms, block: { after: 3, within: 1m, for: 1m } }, default: { forward: web } } } }\n\
                target_groups:\n  web: { protocol: tls, targets: [<web>], health_check: { protocol: none } }\n";
    let web = Origin::new("web").start();
    let headworks = start(yaml, &[("web", &web)]);
    let rows: [(&str, &str, &[u8]); 3] = [
        ("silence", "127.0.0.2", b""),
        ("half a hello", "127.0.0.3", b"\x16\x03\x01\x02\0\x01"),
        ("no hello", "127.0.0.4", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    check(
        rows,
        |row| row.0,
        |(_, from, bytes)| {
            for _ in 0..3 {
                let mut client = Client::connect_from(from, headworks.address());
                client.send_anyway(bytes);
                client.expect_ended();
            }
            let refused = refusals(&headworks, "blocked");
            // the reset may be there before the client knows that it is connected
            let late = Client::try_connect_from(from, headworks.address(), Duration::from_secs(5));
            late.into_iter().for_each(|mut client| client.expect_ended());
            wait::until("a refusal", || (refusals(&headworks, "blocked") == refused + 1.0).then_some(()));
        },
    );
    assert_eq!(headworks.metrics().sum("headworks_blocked_clients", &[]), 3.0);
}

/// Heads that drip in end in time; nobody else waits for them, and who does it often is kept out.
#[test]
fn slow_heads() {
    let web = Origin::new("web").start();
    let limits = "limits: { header_timeout: 500ms, block: { after: 20, within: 1m, for: 1m } }";
    let yaml = format!(
        "load_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, {limits}, default: {{ forward: web }} }} }} }}\n\
         target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }} }}\n"
    );
    let headworks = start(&yaml, &[("web", &web)]);
    let to = headworks.address();
    let mut slow: Vec<Client> = (0..20).map(|_| Client::connect_from("127.0.0.2", to)).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHost: shop\r\nX-A: ");
    }
    let mut quick = Client::connect(to);
    for _ in 0..50 {
        assert_eq!(quick.exchange(&Ask::parse("GET /")).status, 200);
    }
    for client in &mut slow {
        assert_eq!(client.response().status, 408);
        client.expect_ended();
    }
    assert_eq!(met("127.0.0.2", to), Met::Refused);
    assert_eq!(quick.exchange(&ask("GET", "/")).status, 200);
    assert_eq!(refusals(&headworks, "blocked"), 1.0);
}

/// `headworks check` says what is of no effect, and who reaches whom; none of it is an error.
#[test]
fn what_check_says_of_guards() {
    let yaml = r"
load_balancers:
  shop:
    security_groups: [edge]
    listeners: { http: { port: 8080, network_acl: office, default: { forward: app } } }
target_groups: { app: { targets: [192.0.2.1:9001, 192.0.2.2:9002], security_groups: [app] } }
security_groups:
  edge: { inbound: [ { ports: 8080, from: [0.0.0.0/0] } ] }
  app: { inbound: [ { ports: 9001, from: [edge] } ] }
network_acls:
  office: { inbound: [ { rule: 1, action: allow, from: [0.0.0.0/0] }, { rule: 2, action: deny, from: [192.0.2.0/24] } ] }
";
    let folder = tempfile::tempdir().unwrap();
    let text = filled(yaml, &[]);
    std::fs::write(folder.path().join("headworks.yaml"), text).unwrap();
    let output = HEADWORKS.run(folder.path(), &["check", "-c", "headworks.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    let warned = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        warned.lines().collect::<Vec<_>>(),
        [
            "warning: headworks.yaml:7:85: target_groups.app.security_groups: no rule lets load balancer shop reach port 9002",
            "warning: headworks.yaml:12:71: network_acls.office.inbound[1]: rule 2 never matches: all of it is taken by rule 1 (line 12)",
        ]
    );
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("shop reaches port 9001 of app: app allows members of edge\n"), "{said}");
}

/// Connections wait in the kernel rather than fail for want of descriptors, and what is open goes on.
#[test]
fn more_connections_than_descriptors() {
    let web = Origin::new("web").start();
    let yaml = "workers: 1\nload_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, limits: { connections: 1000 }, \
                default: { forward: web } } } }\ntarget_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n";
    let headworks = HEADWORKS.start_with_descriptors(yaml, &[("web", &web)], 228);
    // (228 - 128) / 2
    let (room, asked) = (50, 120);
    let mut clients: Vec<Client> = (0..asked).map(|_| Client::connect(headworks.address())).collect();
    for client in &mut clients {
        client.ask(&ask("GET", "/"));
    }
    let mut waiting = clients.split_off(room);
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert!(waiting.iter().all(|client| !client.arrived()));
    assert_eq!(clients[0].exchange(&ask("GET", "/")).status, 200, "what is open has its way to targets");
    drop(clients);
    for client in waiting.iter_mut().take(room) {
        assert_eq!(client.response().status, 200);
    }
    let said = headworks.said();
    assert!(said.contains("as many connections as there are descriptors for"), "{said}");
    assert!(
        said.contains("limits of listeners allow 1000 connections in all, 228 open files are enough for 50"),
        "{said}"
    );
    assert!(!said.contains("cannot accept"), "{said}");
    // without a limit that is declared, and with more listeners than there is room for
    let none = yaml.replace("limits: { connections: 1000 }, ", "");
    let listener = "address: 127.0.0.1:0, default: { fixed_response: { status: 204 } }";
    let many: String = (0..70).map(|n| format!("l{n}: {{ {listener} }}, ")).collect();
    for (yaml, expected) in [
        (&none, "228 open files are enough for 50 connections only: raise the limit"),
        (
            &none.replace("listeners: { ", &format!("listeners: {{ {many}")),
            "listeners take 71 sockets, one for each worker",
        ),
    ] {
        let said = HEADWORKS.start_with_descriptors(yaml, &[("web", &web)], 228).said();
        assert!(said.contains(expected), "{said}");
    }
}
