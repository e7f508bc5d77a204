//! Another process takes over (`headworks upgrade`, `run --replace`): nobody notices, or nothing has happened.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

use headworks_testkit::origin::Health;
use headworks_testkit::{Authority, Caller, Client, Gate, Headworks, Origin, Step, ask, wait};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::http3::quic::{self, frame, request};
use crate::load::{Load, Speaks};
use crate::tls::{folder, secure};
use crate::{HEADWORKS, proxy, start};

const NAME: &str = "shop.example.com";

/// Ten times in a row, under load: no request fails, whatever its client speaks.
#[test]
fn ten_times_under_load() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&[NAME]).place(folder.path(), "a");
    let web = Origin::echo("web");
    let mut yaml = secure(folder.path(), &["a"], "", "");
    yaml = yaml.replace("listeners: {", "listeners: { http: { address: 127.0.0.1:0, default: { forward: web } },");
    let mut headworks = start(&format!("workers: 2\n{yaml}"), &[("web", &web)]);
    let (plain, secured) = (headworks.listener("shop/http"), headworks.listener("shop/https"));
    let caller = Caller::trusting(&authority).protocols(&["http/1.1"]).build();
    let loads = [
        Load::start(plain, 4, &Speaks::Plain),
        Load::start(secured, 2, &Speaks::Tls(caller, NAME)),
        Load::start(plain, 2, &Speaks::Http2),
    ];
    let mut pids = vec![headworks.pid()];
    for _ in 0..10 {
        loads.iter().for_each(|load| load.wait_more(20));
        headworks.upgrade();
        assert_eq!((headworks.listener("shop/http"), headworks.listener("shop/https")), (plain, secured));
        pids.push(headworks.pid());
        assert_eq!(headworks.status()["pid"], headworks.pid());
    }
    loads.iter().for_each(|load| load.wait_more(20));
    let asked: usize = loads.into_iter().map(Load::finish).sum();
    assert!(asked > 600, "{asked}");
    pids.dedup();
    assert_eq!(pids.len(), 11);
    assert!(headworks.wait_exit().success(), "{}", headworks.said());
}

/// What clients hold of the old process is good at the new one: tickets, and stickiness cookies.
#[test]
fn what_clients_hold_is_good() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&[NAME]).place(folder.path(), "a");
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let yaml = secure(folder.path(), &["a"], "", "")
        .replace("targets: [<web>]", "targets: [<a>, <b>], stickiness: { type: lb_cookie, duration: 1d }");
    let mut headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let callers =
        [&rustls::version::TLS12, &rustls::version::TLS13].map(|v| Caller::trusting(&authority).versions(&[v]).build());
    let ask_it = |caller: &Caller, headworks: &Headworks, cookie: &str| {
        let mut client = caller.connect(headworks.address(), NAME);
        let response = client.exchange(&ask("GET", "/").with(&format!("Cookie: {cookie}")));
        let cookies = response.fields.all("Set-Cookie");
        let cookie = cookies.iter().find_map(|c| c.strip_prefix("AWSALB=")?.split(';').next());
        let cookie = format!("AWSALB={}", cookie.unwrap_or_else(|| panic!("no cookie:\n{response}")));
        (client.agreed().resumed, response.echo().origin, cookie)
    };
    let first: Vec<_> = callers.iter().map(|caller| ask_it(caller, &headworks, "x=1")).collect();
    assert!(first.iter().all(|(resumed, ..)| !resumed));
    for _ in 0..2 {
        headworks.upgrade();
        for (caller, (_, origin, cookie)) in callers.iter().zip(&first) {
            let (resumed, same, _) = ask_it(caller, &headworks, cookie);
            assert!(resumed, "the ticket is worth nothing at the new process");
            assert_eq!(same, *origin);
        }
    }
}

fn target(status: &Value, address: SocketAddr) -> Option<&Value> {
    let targets = status["target_groups"]["web"]["targets"].as_array()?;
    targets.iter().find(|target| target["address"] == address.to_string())
}

/// What the old process knows of targets, the new one knows: it asks nobody first.
#[test]
fn what_is_known_of_targets_is_known() {
    let (well, ill) = (Origin::echo("well"), Origin::echo("ill"));
    ill.set_health(Health::Status(503));
    let yaml = "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, default: { forward: web } } } }\n\
                target_groups:\n  web: { targets: [<well>, <ill>], health_check: { interval: 2s, timeout: 1900ms, unhealthy_threshold: 2 } }\n";
    let mut headworks = start(yaml, &[("well", &well), ("ill", &ill)]);
    headworks.wait_status("both to be judged", |status| {
        let is = |origin: &Origin, state| target(status, origin.address()).is_some_and(|t| t["state"] == state);
        (is(&ill, "unhealthy") && is(&well, "healthy")).then_some(())
    });
    let before = target(&headworks.status(), ill.address()).cloned();
    // from now on nobody answers probes: whatever the new one knows, it was told
    for origin in [&well, &ill] {
        origin.set_health(Health::Silent);
    }
    headworks.upgrade();
    let status = headworks.status();
    let after = target(&status, ill.address()).cloned();
    for what in ["state", "reason", "description"] {
        assert_eq!(after.as_ref().map(|t| &t[what]), before.as_ref().map(|t| &t[what]));
    }
    assert_eq!(target(&status, well.address()).map(|t| &t["state"]), Some(&json!("healthy")));
    for _ in 0..4 {
        assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "well");
    }
}

#[test]
fn an_ejected_target_stays_ejected() {
    let (good, bad) = (Origin::echo("good"), Origin::new("bad").on("/", [Step::answer(500, "")]).start());
    let breaker = ", circuit_breaker: { consecutive_failures: 1, open_for: 1h, max_ejected: 0.5 }";
    let yaml = proxy("", breaker).replace("[<web>]", "[<good>, <bad>]");
    let mut headworks = start(&yaml, &[("good", &good), ("bad", &bad)]);
    headworks.wait_status("an ejection", |status| {
        let _ = headworks.ask(&ask("GET", "/"));
        target(status, bad.address()).filter(|target| target["ejected"] == true).map(drop)
    });
    headworks.upgrade();
    assert_eq!(target(&headworks.status(), bad.address()).map(|target| &target["ejected"]), Some(&json!(true)));
    for _ in 0..6 {
        assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
    }
}

/// What requests have earned for retries is not lost: the new process may have to pay for them at once.
#[test]
fn the_budget_of_retries_goes_on() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ", retry: { budget: 1 }"), &[("web", &web)]);
    let left = |headworks: &Headworks| headworks.metrics().sum("headworks_target_group_retry_budget", &[]);
    wait::until("a budget", || {
        (0..20).for_each(|_| assert_eq!(headworks.ask(&ask("GET", "/")).status, 200));
        (left(&headworks) >= 30.0).then_some(())
    });
    headworks.upgrade();
    assert!(left(&headworks) >= 20.0, "{} left after it", left(&headworks));
}

/// The old process finishes what it has, and ends after that; what is idle may ask once more.
#[test]
fn the_old_process_ends_after_its_last_connection() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let (mut held, mut idle) = (headworks.client(), headworks.client());
    held.ask(&ask("GET", "/held"));
    assert_eq!(idle.exchange(&ask("GET", "/")).status, 200);
    web.wait_heads(2);
    let old = headworks.pid();
    headworks.upgrade();
    assert_ne!(headworks.status()["pid"], old);
    // an idle connection is not closed under a client that is about to use it
    let last = idle.exchange(&ask("GET", "/"));
    assert_eq!((last.status, last.field("Connection")), (200, Some("close")));
    idle.expect_closed();
    assert!(std::path::Path::new(&format!("/proc/{old}")).exists(), "a request is still in flight");
    gate.open();
    let answer = held.response();
    assert_eq!((answer.text().as_str(), answer.field("Connection")), ("late", Some("close")));
    assert!(headworks.wait_exit().success());
    assert!(headworks.said().contains("replaced"), "{}", headworks.said());
}

/// A file that is wrong, or cannot be run, leaves the old process serving; what is wrong is said with its place.
#[test]
fn a_broken_file_changes_nothing() {
    let web = Origin::echo("web");
    let good = proxy("", "");
    let mut headworks = start(&good, &[("web", &web)]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let taken = (taken.local_addr().unwrap_or_else(|error| panic!("no address: {error}")), taken);
    let more = format!("listeners: {{ more: {{ address: {}, default: {{ forward: web }} }},", taken.0);
    let rows = [
        ("listners", good.replace("listeners:", "listners:"), "headworks.yaml:3:"),
        (
            "dangling",
            good.replace("{ forward: web }", "{ forward: nowhere }"),
            "load_balancers.shop.listeners.http.default",
        ),
        ("taken", good.replace("listeners: {", &more), "load_balancers.shop.listeners.more.address"),
    ];
    let pid = headworks.pid();
    for (what, yaml, place) in rows {
        headworks.save(&yaml, &[("web", &web)]);
        let output = headworks.beside(&["upgrade", "-c", "headworks.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{what}: {output:?}");
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(complained.contains(place) && complained.contains("headworks.yaml:"), "{what}: {complained}");
        assert_eq!(headworks.status()["pid"], pid, "{what}");
        assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "web", "{what}");
    }
    // it still reloads, and a file that is right again is taken
    headworks.reload(&good, &[("web", &web)]);
    headworks.upgrade();
    assert_ne!(headworks.status()["pid"], pid);
}

#[test]
fn without_an_instance_there_is_nothing_to_replace() {
    let folder = folder();
    let yaml = "admin: { address: 127.0.0.1:1 }\n";
    assert!(std::fs::write(folder.path().join("headworks.yaml"), yaml).is_ok());
    let ready = HEADWORKS.run(folder.path(), &["ready", "-c", "headworks.yaml"]);
    assert!(ready.status.code() == Some(1) && ready.stdout.is_empty(), "{ready:?}");
    let output = HEADWORKS.run(folder.path(), &["upgrade", "-c", "headworks.yaml"]);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complained}");
    assert!(
        complained.contains("no instance is running") && complained.contains("state/run/upgrade.sock"),
        "{complained}"
    );
}

/// More workers, fewer workers: no connection waits where nobody accepts.
#[test]
fn other_numbers_of_workers() {
    let web = Origin::echo("web");
    let yaml = |workers: usize| format!("workers: {workers}\n{}", proxy("", ""));
    let mut headworks = start(&yaml(2), &[("web", &web)]);
    let load = Load::start(headworks.address(), 4, &Speaks::Plain);
    for workers in [4, 1, 3, 2] {
        headworks.save(&yaml(workers), &[("web", &web)]);
        headworks.upgrade();
        assert_eq!(headworks.status()["workers"], workers);
        // the kernel deals them out to all sockets there are
        for _ in 0..64 {
            assert_eq!(headworks.ask(&ask("GET", "/").with("Connection: close")).status, 200, "{workers} workers");
        }
        load.wait_more(20);
    }
    load.finish();
}

/// Listeners that are new are bound, those that are gone end with the old process, and one with another name keeps its address.
#[test]
fn other_listeners() {
    let listener = |name: &str, address: &str, body: &str| {
        format!("{name}: {{ address: {address}, default: {{ fixed_response: {{ status: 200, body: {body} }} }} }}")
    };
    let file =
        |listeners: &[String]| format!("load_balancers:\n  shop: {{ listeners: {{ {} }} }}\n", listeners.join(", "));
    let any = "127.0.0.1:0";
    let mut headworks =
        start(&file(&[listener("one", any, "old"), listener("gone", any, "old"), listener("named", any, "old")]), &[]);
    let [one, gone, named] = ["one", "gone", "named"].map(|name| headworks.listener(&format!("shop/{name}")));
    let now =
        [listener("one", any, "now"), listener("more", any, "now"), listener("renamed", &named.to_string(), "now")];
    headworks.save(&file(&now), &[]);
    headworks.upgrade();
    assert_eq!((headworks.listener("shop/one"), headworks.listener("shop/renamed")), (one, named));
    for address in [one, named, headworks.listener("shop/more")] {
        assert_eq!(Client::connect(address).exchange(&ask("GET", "/")).text(), "now");
    }
    wait::until("a listener that is gone", || std::net::TcpStream::connect(gone).is_err().then_some(()));
    assert!(headworks.wait_exit().success());
    // and the new process is one like any other
    headworks.reload(&file(&[listener("one", any, "later")]), &[]);
    assert_eq!(Client::connect(one).exchange(&ask("GET", "/")).text(), "later");
    wait::until("another that is gone", || std::net::TcpStream::connect(named).is_err().then_some(()));
    headworks.signal(Signal::TERM);
    headworks.wait_successor_exit();
    assert!(std::net::TcpStream::connect(one).is_err());
    assert!(!headworks.path("state/run/upgrade.sock").exists(), "the door is left behind");
}

fn network(protocol: &str) -> String {
    format!(
        "workers: 2\nload_balancers:\n  net: {{ type: network, listeners: {{ in: {{ address: 127.0.0.1:0, protocol: {protocol}, \
         default: {{ forward: web }} }} }} }}\ntarget_groups:\n  web: {{ protocol: {protocol}, targets: [<web>], \
         health_check: {{ protocol: none }} }}\n"
    )
}

/// Flows of TCP go on in the old process.
#[test]
fn flows_go_on() {
    let web = Origin::new("web").at_accept([Step::Mirror]).start();
    let mut headworks = start(&network("tcp"), &[("web", &web)]);
    let mut flow = headworks.client();
    flow.send("one");
    assert_eq!(flow.bytes(3), b"one");
    headworks.upgrade();
    headworks.upgrade();
    flow.send("two");
    assert_eq!(flow.bytes(3), b"two");
    let mut another = headworks.client();
    another.send("new");
    assert_eq!(another.bytes(3), b"new");
    flow.finish();
    flow.expect_ended();
    assert!(headworks.wait_exit().success());
}

/// Flows of datagrams go on in the new one: their target sees the same address, and no datagram is lost.
#[test]
fn flows_of_datagrams_move() {
    let target = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no socket: {error}"));
    let address = target.local_addr().unwrap_or_else(|error| panic!("{error}"));
    let mut headworks = start(&network("udp"), &[("web", &address)]);
    target.set_read_timeout(Some(wait::PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
    let clients: Vec<UdpSocket> = (0..40)
        .map(|_| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no socket: {error}"));
            client.connect(headworks.address()).unwrap_or_else(|error| panic!("{error}"));
            client.set_read_timeout(Some(wait::PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
            client
        })
        .collect();
    // there and back; who the target saw
    let exchange = |client: &UdpSocket, what: &[u8]| {
        let mut room = [0; 64];
        client.send(what).unwrap_or_else(|error| panic!("{error}"));
        let (length, from) = target.recv_from(&mut room).unwrap_or_else(|error| panic!("nothing arrives: {error}"));
        assert_eq!(&room[..length], what);
        target.send_to(b"back", from).unwrap_or_else(|error| panic!("{error}"));
        let length = client.recv(&mut room).unwrap_or_else(|error| panic!("nothing comes back: {error}"));
        assert_eq!(&room[..length], b"back");
        from
    };
    let before: Vec<SocketAddr> = clients.iter().map(|client| exchange(client, b"one")).collect();
    for workers in [2, 1, 3] {
        headworks.save(&network("udp").replace("workers: 2", &format!("workers: {workers}")), &[("web", &address)]);
        // one that is sent while nobody may be reading waits
        headworks.upgrade();
        let after: Vec<SocketAddr> = clients.iter().map(|client| exchange(client, b"two")).collect();
        assert_eq!(after, before, "{workers} workers");
        let metrics = headworks.metrics();
        assert_eq!(metrics.sum("headworks_active_flows", &[]), 40.0);
    }
    // nothing holds the old process
    assert!(headworks.wait_exit().success());
}

/// Connections over QUIC stay in the old process, and their datagrams find it through any number of newer ones.
#[test]
fn connections_over_quic_go_on() {
    let folder = folder();
    Authority::new("Test Authority").issue(&[quic::NAME]).place(folder.path(), "a");
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::Body, Step::answer(200, "late")]).start();
    let yaml = format!("workers: 2\n{}", secure(folder.path(), &["a"], "", ", http3: true"));
    let mut headworks = start(&yaml, &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    // enough that all workers have some
    let mut held: Vec<_> = (0..6)
        .map(|_| {
            let client = quic::Client::greet(&caller, headworks.address());
            let exchange = client.begin(&request("POST", "/held", &[]), false);
            (client, exchange.unwrap_or_else(|refused| panic!("{refused:?}")))
        })
        .collect();
    web.wait_heads(6);
    let body = vec![b'x'; 200_000];
    for workers in [1, 3] {
        headworks.save(&yaml.replace("workers: 2", &format!("workers: {workers}")), &[("web", &web)]);
        headworks.upgrade();
        for (client, exchange) in &mut held {
            client.add(exchange, &frame(0, &body), false);
        }
        let client = quic::Client::greet(&caller, headworks.address());
        let answer = client.ask(&request("GET", "/", &[])).unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(answer.status, 200);
        assert!(headworks.metrics().sum("headworks_quic_datagrams_handed_on_total", &[]) > 0.0);
    }
    gate.open();
    for (client, mut exchange) in held {
        client.add(&mut exchange, b"", true);
        let answer = client.answer(exchange).unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"late"[..]));
        // the old process says goodbye; H3_NO_ERROR
        assert_eq!(client.ended(), Some(0x100));
    }
    for received in web.received().iter().filter(|received| received.request.path() == "/held") {
        assert_eq!(received.body.as_ref().map(|body| body.content.len()), Some(400_000));
    }
    assert!(headworks.wait_exit().success());
}

/// `run --replace` takes over in the foreground, and starts anew where nobody runs.
#[test]
fn replacing_in_the_foreground() {
    let web = Origin::echo("web");
    let mut headworks = HEADWORKS.start_with(&proxy("", ""), &[("web", &web)], &["--replace"]);
    let load = Load::start(headworks.address(), 2, &Speaks::Plain);
    headworks.forget_ready();
    let mut second = Command::new(HEADWORKS.0);
    second.args(["run", "-c", "headworks.yaml", "--replace"]).current_dir(headworks.path("")).stdin(Stdio::null());
    second.env("HEADWORKS_READY_FILE", headworks.path("ready.json")).stderr(Stdio::null());
    let mut second = second.spawn().unwrap_or_else(|error| panic!("cannot start: {error}"));
    headworks.took_over(Pid::from_child(&second));
    load.wait_more(20);
    load.finish();
    assert_eq!(headworks.status()["pid"], second.id());
    assert!(headworks.wait_exit().success());
    headworks.signal(Signal::TERM);
    let ended = wait::until("its end", || second.try_wait().ok().flatten());
    assert!(ended.success(), "{ended}");
}

/// The demo in the foreground ends; its shop goes on with whoever has taken over, and ends with that.
#[test]
fn the_demo_goes_on() {
    let mut headworks = HEADWORKS.start_bare(&["demo", "--port", "0", "--admin-port", "0", "--data", "."]);
    let targets = |headworks: &Headworks| -> Vec<SocketAddr> {
        let status = headworks.status();
        let groups = status["target_groups"].as_object().into_iter().flatten();
        let targets = groups.flat_map(|(_, group)| group["targets"].as_array().cloned().unwrap_or_default());
        targets.filter_map(|target| target["address"].as_str()?.parse().ok()).collect()
    };
    let shop = targets(&headworks);
    for _ in 0..2 {
        headworks.upgrade();
        assert_eq!(targets(&headworks), shop);
        assert_eq!(headworks.ask(&ask("GET", "/").with("Host: localhost")).status, 200);
    }
    assert!(headworks.wait_exit().success());
    headworks.signal(Signal::TERM);
    headworks.wait_successor_exit();
    for instance in shop {
        wait::until("the shop to close", || std::net::TcpStream::connect(instance).is_err().then_some(()));
    }
}
