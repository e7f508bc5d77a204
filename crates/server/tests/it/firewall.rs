//! `headworks firewall`: the ruleset in a network of its own, with the kernel that takes it and connections that meet it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use headworks_testkit::{Client, Machine};

use crate::HEADWORKS;

/// What a connection attempt is met with.
fn knock(from: &str, to: &str) -> &'static str {
    let to: SocketAddr = to.parse().unwrap_or_else(|_| panic!("{to} is no address"));
    match Client::try_connect_from(from, to, Duration::from_millis(400)) {
        Ok(_) => "open",
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => "closed",
        Err(error) if error.kind() == ErrorKind::TimedOut => "silent",
        Err(error) => panic!("{from} to {to}: {error}"),
    }
}

#[test]
fn the_kernel_takes_it_and_holds_to_it() {
    const CONFIG: &str = r#"
admin: { address: 127.0.0.1:0 }
load_balancers:
  shop:
    security_groups: [web]
    listeners:
      http: { port: 8080, default: { forward: app } }
      inner: { address: 10.99.0.1:8081, default: { forward: app } }
      office: { port: 8082, network_acl: office-only, default: { forward: app } }
  open:
    listeners:
      list: { port: 8083, network_acl: office-only, default: { forward: app } }
      none: { port: 8084, default: { forward: app } }
      told: { port: 8087, network_acl: office-only, deny: reset, default: { forward: app } }
      nowhere: { port: 0, network_acl: nobody, default: { forward: app } }
  # names that are one when they are put together
  a_b: { listeners: { c: { port: 8085, network_acl: nobody, default: { forward: app } } } }
  a: { listeners: { b_c: { port: 8086, network_acl: office-only, default: { forward: app } } } }
target_groups:
  app: { targets: [10.99.0.4:9001, "localhost:9001"], security_groups: app }
security_groups:
  web:
    inbound:
      - { protocol: tcp, ports: [8080, 8082], from: [10.99.0.2/31, "fd99::2/128"] }
      - { ports: [8081], from: [app] }
  app: { inbound: [ { from: [0.0.0.0/0, "::/0"] } ] }
network_acls:
  office-only:
    inbound:
      - { rule: 100, action: deny, from: [10.99.0.3/32] }
      - { rule: 200, action: allow, from: [0.0.0.0/0, "::/0"] }
  nobody: {}
"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("headworks.yaml"), CONFIG).unwrap();
    let output = HEADWORKS.run(folder.path(), &["firewall", "--nftables", "-c", "headworks.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("open/nowhere has no port of its own"), "{said}");
    let rules = folder.path().join("rules.nft");
    std::fs::write(&rules, &output.stdout).unwrap();

    let theirs = ["10.99.0.2/24", "10.99.0.3/24", "10.99.0.4/24", "10.99.0.5/24", "fd99::2/64", "fd99::3/64"];
    let [guarded, outside] = ["guarded", "outside"].map(Machine::new);
    guarded.cable(&["10.99.0.1/24", "fd99::1/64"], &outside, &theirs);
    // the second time it replaces what the first has left
    guarded.run(&format!("nft -f {}", rules.display()));
    let listeners: Vec<TcpListener> = guarded.within(|| {
        ["[::]:8080", "10.99.0.1:8081", "[::]:8082", "[::]:8083", "[::]:8084", "[::]:8085", "[::]:8086", "[::]:8087"]
            .map(|address| TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")))
            .into()
    });
    let rows = [
        ("10.99.0.2", "10.99.0.1:8080", "open"),
        ("10.99.0.3", "10.99.0.1:8080", "open"),
        ("10.99.0.4", "10.99.0.1:8080", "silent"),
        ("fd99::2", "[fd99::1]:8080", "open"),
        ("fd99::3", "[fd99::1]:8080", "silent"),
        // members of a group that is referred to
        ("10.99.0.4", "10.99.0.1:8081", "open"),
        ("10.99.0.2", "10.99.0.1:8081", "silent"),
        // the access list first, then the group
        ("10.99.0.2", "10.99.0.1:8082", "open"),
        ("10.99.0.3", "10.99.0.1:8082", "silent"),
        ("10.99.0.5", "10.99.0.1:8082", "silent"),
        ("10.99.0.3", "10.99.0.1:8083", "silent"),
        ("10.99.0.5", "10.99.0.1:8083", "open"),
        ("fd99::3", "[fd99::1]:8083", "open"),
        ("10.99.0.5", "10.99.0.1:8085", "silent"),
        ("10.99.0.3", "10.99.0.1:8086", "silent"),
        ("10.99.0.5", "10.99.0.1:8086", "open"),
        ("10.99.0.3", "10.99.0.1:8087", "closed"),
        ("10.99.0.5", "10.99.0.1:8087", "open"),
        // ports that nobody guards are nobody's business
        ("10.99.0.3", "10.99.0.1:8084", "open"),
        ("10.99.0.3", "10.99.0.1:9999", "closed"),
    ];
    let met: Vec<&str> = outside.within(|| rows.iter().map(|(from, to, _)| knock(from, to)).collect());
    for ((from, to, expected), met) in rows.iter().zip(met) {
        assert_eq!(met, *expected, "{from} to {to}");
    }
    // what is open stays open when the rules change, and they can be put in place again
    let mut open = outside.within(|| TcpStream::connect("10.99.0.1:8084").unwrap());
    guarded.run(&format!("nft -f {}", rules.display()));
    // behind the one that knocked before
    let (_, (mut accepted, _)) = (listeners[4].accept().unwrap(), listeners[4].accept().unwrap());
    std::io::Write::write_all(&mut open, b"x").unwrap();
    std::io::Read::read_exact(&mut accepted, &mut [0]).unwrap();
    // datagrams are not what these listeners take
    let datagram = outside.within(|| {
        let socket = UdpSocket::bind("10.99.0.4:0").unwrap();
        socket.connect("10.99.0.1:8080").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send(b"x").unwrap();
        socket.recv(&mut [0]).unwrap_err().kind()
    });
    assert_eq!(datagram, ErrorKind::ConnectionRefused);
}
