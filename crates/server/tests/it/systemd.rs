//! What systemd does, done by the test: sockets from descriptor 3 on, and a socket on which the program says how it is.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headworks_testkit::{Client, Headworks, Origin, ask, wait};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::Signal;

use crate::python::program;
use crate::{HEADWORKS, proxy, start};

/// Has the program started with these sockets from descriptor 3 on, under these names.
fn activate(command: &mut Command, sockets: &[(&str, BorrowedFd<'_>)]) -> Vec<OwnedFd> {
    let mut script = String::new();
    let mut kept = Vec::new();
    for (place, (_, socket)) in sockets.iter().enumerate() {
        // out of the way of the numbers that they are to have
        let socket = fcntl_dupfd_cloexec(socket, 100).unwrap_or_else(|error| panic!("no descriptor: {error}"));
        fcntl_setfd(&socket, FdFlags::empty()).unwrap_or_else(|error| panic!("{error}"));
        script += &format!("exec {}<&{} {}<&-; ", place + 3, socket.as_raw_fd(), socket.as_raw_fd());
        kept.push(socket);
    }
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    script += "LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command.args(["-c", &script, HEADWORKS.0]);
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    kept
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"))
}

fn address(socket: &TcpListener) -> SocketAddr {
    socket.local_addr().unwrap_or_else(|error| panic!("no address: {error}"))
}

/// Sockets are used in place of binding, by their names or by their addresses, by all workers; they go from process to
/// process, and what waits in them when there is none is not lost.
#[test]
fn socket_activation() {
    let (named, addressed, admin) = (listen(), listen(), listen());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no socket: {error}"));
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no socket: {error}"));
    let echo_address = echo.local_addr().unwrap_or_else(|error| panic!("{error}"));
    let yaml = "workers: 3\nadmin: { address: <admin> }\nload_balancers:\n\
                \x20 shop: { listeners: { by-name: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: a } } }, \
                by-address: { address: <addressed>, default: { fixed_response: { status: 200, body: b } } } } }\n\
                \x20 net: { type: network, listeners: { in: { address: 127.0.0.1:0, protocol: udp, default: { forward: echo } } } }\n\
                target_groups:\n  echo: { protocol: udp, targets: [<echo>], health_check: { protocol: none } }\n";
    let parts: &headworks_testkit::program::Parts<'_> =
        &[("admin", &address(&admin)), ("addressed", &address(&addressed)), ("echo", &echo_address)];
    // somebody connects before there is a program
    let mut early = Client::connect(address(&named));
    early.ask(&ask("GET", "/"));
    let sockets: [(&str, BorrowedFd<'_>); 4] = [
        ("shop/by-name", named.as_fd()),
        ("whatever", addressed.as_fd()),
        ("net/in", datagrams.as_fd()),
        ("unknown", admin.as_fd()),
    ];
    let mut kept = Vec::new();
    let mut headworks = HEADWORKS.start_by(yaml, parts, |command, _| kept = activate(command, &sockets));
    assert_eq!(early.response().text(), "a");
    assert_eq!(headworks.admin(), address(&admin));
    let expect = |headworks: &Headworks| {
        for (name, socket, body) in [("by-name", &named, "a"), ("by-address", &addressed, "b")] {
            assert_eq!(headworks.listener(&format!("shop/{name}")), address(socket));
            for _ in 0..8 {
                assert_eq!(Client::connect(address(socket)).exchange(&ask("GET", "/")).text(), body);
            }
        }
        let client = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no socket: {error}"));
        for socket in [&client, &echo] {
            socket.set_read_timeout(Some(wait::PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
        }
        client.send_to(b"x", headworks.listener("net/in")).unwrap_or_else(|error| panic!("{error}"));
        let (length, from) = echo.recv_from(&mut [0; 8]).unwrap_or_else(|error| panic!("nothing arrives: {error}"));
        echo.send_to(b"y", from).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((length, client.recv(&mut [0; 8]).ok()), (1, Some(1)));
    };
    expect(&headworks);
    headworks.upgrade();
    expect(&headworks);
    headworks.upgrade();
    expect(&headworks);
    let ready = |headworks: &Headworks| headworks.beside(&["ready", "-c", "headworks.yaml"]);
    let said = ready(&headworks);
    assert!(said.status.success() && said.stdout == b"serving\n", "{said:?}");
    headworks.signal(Signal::TERM);
    headworks.wait_successor_exit();
    // the service manager has its sockets still: nobody is refused
    let mut late = Client::connect(address(&named));
    late.ask(&ask("GET", "/"));
    let again = HEADWORKS.start_by(yaml, parts, |command, _| kept = activate(command, &sockets));
    assert_eq!(late.response().text(), "a");
    drop(again);
}

/// Where the program says how it is.
struct Manager(UnixDatagram);

impl Manager {
    fn start(yaml: &str, web: &Origin, environment: &[(&str, &str)]) -> (Manager, Headworks) {
        let mut manager = None;
        let headworks = HEADWORKS.start_by(yaml, &[("web", web)], |command, folder: &Path| {
            let path = folder.join("notify.sock");
            let socket = UnixDatagram::bind(&path).unwrap_or_else(|error| panic!("no socket: {error}"));
            socket.set_read_timeout(Some(wait::PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
            manager = Some(Manager(socket));
            command.args(["-c", "exec \"$0\" \"$@\"", HEADWORKS.0]).env("NOTIFY_SOCKET", path);
            command.envs(environment.iter().copied());
        });
        (manager.unwrap_or_else(|| panic!("not started")), headworks)
    }

    /// How often `what` is said within some time.
    fn count(&self, what: &str, within: Duration) -> usize {
        let (begin, mut room, mut count) = (Instant::now(), [0; 1024], 0);
        while let Some(left) = within.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            self.0.set_read_timeout(Some(left)).unwrap_or_else(|error| panic!("{error}"));
            let message = self.0.recv(&mut room).map(|length| String::from_utf8_lossy(&room[..length]).into_owned());
            count += usize::from(message.is_ok_and(|message| message.lines().any(|line| line.starts_with(what))));
        }
        self.0.set_read_timeout(Some(wait::PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
        count
    }

    /// The next message that says something of `what`.
    fn hear(&self, what: &str) -> String {
        let mut room = [0; 1024];
        loop {
            let length = self.0.recv(&mut room).unwrap_or_else(|error| panic!("waited in vain for {what}: {error}"));
            let message = String::from_utf8_lossy(&room[..length]).into_owned();
            if message.lines().any(|line| line.starts_with(what)) {
                return message;
            }
        }
    }
}

/// `Type=notify`: ready, reloading, another main process, stopping.
#[test]
fn notifications() {
    let web = Origin::echo("web");
    let (manager, mut headworks) = Manager::start(&proxy("", ""), &web, &[]);
    let ready = manager.hear("READY=1");
    assert!(ready.contains("STATUS=serving, 1 listener"), "{ready}");
    headworks.signal(Signal::HUP);
    let reloading = manager.hear("RELOADING=1");
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
    assert!(since.is_some_and(|since| since > 0), "{reloading}");
    manager.hear("READY=1");
    headworks.save("nonsense: [", &[]);
    headworks.signal(Signal::HUP);
    manager.hear("RELOADING=1");
    assert!(manager.hear("READY=1").contains("refused"));
    headworks.save(&proxy("", ""), &[("web", &web)]);
    headworks.upgrade();
    let main = manager.hear("MAINPID=");
    assert!(main.contains(&format!("MAINPID={}\n", headworks.pid())), "{main}");
    manager.hear("READY=1");
    assert!(headworks.wait_exit().success());
    headworks.signal(Signal::TERM);
    manager.hear("STOPPING=1");
    headworks.wait_successor_exit();
}

/// The watchdog is told while the program moves; also when another process is the program.
#[test]
fn watchdog() {
    let web = Origin::echo("web");
    let (manager, mut headworks) = Manager::start(&proxy("", ""), &web, &[("WATCHDOG_USEC", "1000000")]);
    for _ in 0..2 {
        manager.hear("WATCHDOG=1");
    }
    headworks.upgrade();
    manager.hear("MAINPID=");
    manager.hear("READY=1");
    for _ in 0..2 {
        manager.hear("WATCHDOG=1");
    }
    headworks.expect_alive();
}

/// A thread of the program that does not move, as one does that waits for ever; it goes on when this is dropped.
struct Hung(Child);

impl Hung {
    fn thread(headworks: &Headworks, name: &str) -> Hung {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", headworks.pid()));
        let tasks = tasks.unwrap_or_else(|error| panic!("no threads: {error}")).flatten();
        let mut is_it = tasks
            .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name));
        let task = is_it.next().unwrap_or_else(|| panic!("no thread {name}"));
        let mut python = program("python");
        python.args(["-c", include_str!("systemd/hang.py")]).arg(task.file_name());
        let child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut hung = Hung(child.unwrap_or_else(|error| panic!("no python: {error}")));
        let mut said = String::new();
        let _ = hung.0.stdout.take().map(|output| BufReader::new(output).read_line(&mut said));
        assert_eq!(said, "stopped\n", "{name} is not to be stopped");
        hung
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// One worker of several that hangs, while the control loop and the others go on, is not covered up; nor is it held against
/// the program when it moves again.
#[test]
fn watchdog_of_a_worker_that_hangs() {
    let web = Origin::echo("web");
    let yaml = format!("workers: 2\n{}", proxy("", ""));
    let (manager, headworks) = Manager::start(&yaml, &web, &[("WATCHDOG_USEC", "1000000")]);
    manager.hear("WATCHDOG=1");
    let hung = Hung::thread(&headworks, "worker-1");
    // the worker may have moved since it was last looked at, and what was said already may not have been heard yet
    manager.count("WATCHDOG=1", Duration::from_secs(1));
    headworks.expect_alive();
    assert_eq!(manager.count("WATCHDOG=1", Duration::from_secs(3)), 0, "a second without it, and systemd acts");
    headworks.expect_alive();
    drop(hung);
    for _ in 0..2 {
        manager.hear("WATCHDOG=1");
    }
}

/// Without a service manager, nothing is said, and nobody is missed.
#[test]
fn without_a_service_manager() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
    assert!(!headworks.said().contains("service manager"), "{}", headworks.said());
}
