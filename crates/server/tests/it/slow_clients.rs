//! Many clients that are slow on purpose, as slowhttptest makes them, and one among them that is not: it is answered all
//! the while, and those are closed, each for its own reason, at a bounded cost.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use headworks_testkit::wait::PATIENCE;
use headworks_testkit::{Client, Headworks, Origin, Step, ask, wait};
use serde_json::Value;

use crate::body::resident;
use crate::start;

/// A listener for each kind, so that metrics tell them apart.
const SLOW: &str = "workers: 2\nload_balancers:\n  shop:\n    access_log: access.log\n    listeners:\n      \
                    heads: { address: 127.0.0.1:0, limits: { header_timeout: 4s }, default: { forward: web } }\n      \
                    bodies: { address: 127.0.0.1:0, limits: { minimum_rate: 1000 }, default: { forward: web } }\n      \
                    answers: { address: 127.0.0.1:0, limits: { minimum_rate: 1000 }, default: { forward: web } }\n\
                    target_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n";

/// Nobody is hurried.
const PATIENT: &str = "workers: 2\nload_balancers:\n  shop:\n    listeners:\n      \
                       http: { address: 127.0.0.1:0, default: { forward: web } }\n\
                       target_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n";

/// More than the kernel takes of an answer for a client that reads none of it: 4 MiB, what `tcp_wmem` allows at most.
const ANSWER: usize = 8 << 20;

/// What one slow connection may cost the program: a buffer for each direction and each side, and its state.
const EACH: u64 = 80;

/// The listener for those who are slow to read.
const ANSWERS: &str = "answers";

/// One kind of slowness.
struct Kind {
    listener: &'static str,
    /// What slowhttptest is told, but for where and for how long.
    arguments: &'static [&'static str],
    connections: u32,
    /// What each is told before it is closed: of an answer on its way, nothing can be taken back.
    status: u16,
}

static KINDS: [Kind; 3] = [
    // a line of a head each second
    Kind { listener: "heads", arguments: &["-H", "-i", "1", "-x", "24"], connections: 200, status: 408 },
    // a piece of a body each second, in the grace of 5 s and after it
    Kind { listener: "bodies", arguments: &["-B", "-i", "1", "-x", "24", "-s", "8192"], connections: 200, status: 408 },
    // five bytes of an answer each second. Fewer: the kernel holds megabytes for each
    Kind { listener: ANSWERS, arguments: &["-X", "-n", "1", "-z", "5"], connections: 40, status: 200 },
];

/// slowhttptest at work. It ends by itself when none of its connections is left; slow to read, it does not see that they end.
struct Slow {
    kind: &'static Kind,
    child: Option<Child>,
}

impl Slow {
    fn start(kind: &'static Kind, to: SocketAddr) -> Slow {
        let path = if kind.listener == ANSWERS { "/big" } else { "/" };
        let mut command = Command::new("slowhttptest");
        command.args(kind.arguments).args(["-c", &kind.connections.to_string(), "-r", "200", "-l", "30"]);
        command.args(["-p", "3", "-u", &format!("http://{to}{path}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("slowhttptest: {error}; `make packages` installs it"));
        Slow { kind, child: Some(child) }
    }

    fn is_over(&mut self, headworks: &Headworks) -> bool {
        let ended = self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
        (ended || self.kind.listener == ANSWERS) && cut(headworks, self.kind) >= self.kind.connections as usize
    }

    /// What it says at its end, without colours.
    fn said(mut self) -> String {
        let output = self.child.take().and_then(|child| child.wait_with_output().ok());
        let said = output.unwrap_or_else(|| panic!("slowhttptest says nothing")).stdout;
        let mut plain = String::new();
        for piece in String::from_utf8_lossy(&said).split('\u{1b}') {
            plain +=
                piece.split_once('m').filter(|(colour, _)| colour.starts_with('[')).map_or(piece, |(_, text)| text);
        }
        plain
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How many of these the access log knows as clients that were too slow.
fn cut(headworks: &Headworks, kind: &Kind) -> usize {
    let log = std::fs::read_to_string(headworks.path("access.log")).unwrap_or_default();
    let whole = log.rfind('\n').and_then(|end| log.get(..end)).unwrap_or_default();
    let lines = whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    let is_cut = |line: &Value| {
        line["listener"] == kind.listener && line["error"] == "ClientTimeout" && line["status"] == kind.status
    };
    lines.filter(is_cut).count()
}

/// A head of which little has come holds little, and is read as any other when the rest comes.
#[test]
fn heads_that_wait_hold_little() {
    /// KiB that each may cost: HAProxy 2.6 takes 6, nginx 1.22 takes 10.
    const EACH: u64 = 8;
    const HEADS: usize = 1000;
    let web = Origin::new("web").start();
    let headworks = start(PATIENT, &[("web", &web)]);
    let to = headworks.address();
    let active = || headworks.metrics().sum("headworks_active_connections", &[]);
    // what the first ones cost is there for all that follow
    assert_eq!(Client::connect(to).exchange(&ask("GET", "/")).status, 200);
    let before = resident(headworks.pid());
    let mut clients: Vec<Client> = (0..HEADS).map(|_| Client::connect(to)).collect();
    for client in &mut clients {
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\nX-First: ");
    }
    wait::until("all to be open", || (active() >= HEADS as f64).then_some(()));
    for client in &mut clients {
        client.send("1\r\nX-Second: ");
    }
    let grown = wait::until("what was sent to be read", || {
        let grown = resident(headworks.pid()).saturating_sub(before);
        (unread(to) == 0).then_some(grown)
    });
    assert!(grown < HEADS as u64 * EACH, "{grown} KiB for {HEADS} heads that wait");
    for client in clients.iter_mut().step_by(100) {
        client.send("2\r\n\r\n");
        assert_eq!(client.response_to("GET").status, 200);
    }
    let whole = web.received().iter().filter(|received| received.request.fields.one("X-Second") == Some("2")).count();
    assert_eq!(whole, HEADS / 100);
}

/// Bytes that have come to a port of this machine and that nobody has read.
fn unread(to: SocketAddr) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{:04X}", to.port());
    let queued = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let queues = fields.nth(2)?;
        (local.ends_with(&port)).then(|| u64::from_str_radix(queues.split_once(':')?.1, 16).ok()).flatten()
    });
    queued.sum()
}

#[test]
fn slow_clients_go_and_others_do_not_notice() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n");
    let big = [head.as_bytes(), &vec![b'x'; ANSWER]].concat();
    let web = Origin::new("web").on("/big", [Step::Send(big)]).start();
    let headworks = start(SLOW, &[("web", &web)]);
    let address = |kind: &Kind| headworks.listener(&format!("shop/{}", kind.listener));
    let open = |kind: &Kind| headworks.metrics().sum("headworks_active_connections", &[("listener", kind.listener)]);
    let before = resident(headworks.pid());
    let mut kept: Vec<Client> = KINDS.iter().map(|kind| Client::connect(address(kind))).collect();
    let mut slow: Vec<Slow> = KINDS.iter().map(|kind| Slow::start(kind, address(kind))).collect();
    let (mut answered, mut memory, mut most) = (0, 0, [0.0_f64; 3]);
    let over = wait::within(PATIENCE * 3, || {
        for (kind, kept) in KINDS.iter().zip(&mut kept) {
            assert_eq!(kept.exchange(&ask("GET", "/")).status, 200, "{}", kind.listener);
            assert_eq!(Client::connect(address(kind)).exchange(&ask("GET", "/")).status, 200, "{}", kind.listener);
            answered += 2;
        }
        memory = memory.max(resident(headworks.pid()));
        for (kind, most) in KINDS.iter().zip(&mut most) {
            *most = most.max(open(kind));
        }
        slow.iter_mut().all(|slow| slow.is_over(&headworks)).then_some(())
    });
    let left = || KINDS.iter().map(|kind| (kind.listener, open(kind), cut(&headworks, kind))).collect::<Vec<_>>();
    assert!(over.is_some(), "slow clients are still there: {:?}", left());
    drop(kept);
    assert!(answered >= 60, "the other client was asked for {answered} answers only");
    for (slow, most) in slow.into_iter().zip(most) {
        let Kind { listener, connections, .. } = slow.kind;
        assert!(most >= f64::from(*connections) / 2.0, "{listener}: no more than {most} were open at once");
        assert_eq!(cut(&headworks, slow.kind), *connections as usize, "{listener}");
        wait::until("all to be closed", || (open(slow.kind) == 0.0).then_some(()));
        if *listener == ANSWERS {
            continue;
        }
        // it would have gone on, were a connection left; and its own probes are answered
        let said = slow.said();
        assert!(said.contains("No open connections left"), "{listener}: {said}");
        assert!(!said.contains("service available:   NO"), "{listener}: {said}");
    }
    let slow: u32 = KINDS.iter().map(|kind| kind.connections).sum();
    let grown = memory.saturating_sub(before);
    assert!(grown < u64::from(slow) * EACH, "{grown} KiB for {slow} slow connections");
}
