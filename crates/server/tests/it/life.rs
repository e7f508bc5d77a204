//! The life of the program: reloads that nobody notices, files that are wrong, the end in good order, and starting without
//! a file.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use headworks_testkit::stream::End;
use headworks_testkit::{Client, Gate, Origin, Step, ask, free_port, wait};
use rustix::process::Signal;
use serde_json::Value;

use crate::api::NOBODY;
use crate::load::{Load, Speaks};
use crate::{HEADWORKS, proxy, start};

const TWO: &str = "
load_balancers:
  shop: { listeners: { http: { address: 127.0.0.1:0, rules: [{ if: { path: [/v] }, then: { fixed_response: { status: 200, body: \"<version>\" } } }], default: { forward: web } } } }
target_groups:
  web: { targets: [<a>, <b>], health_check: { protocol: none }, deregistration_delay: 10s }
";

#[test]
fn reloads_under_load() {
    let (a, b, c) = (Origin::echo("a"), Origin::echo("b"), Origin::echo("c"));
    let mut headworks = start(TWO, &[("a", &a), ("b", &b), ("version", &"0")]);
    let address = headworks.address();
    let load = Load::start(headworks.address(), 4, &Speaks::Plain);
    for version in 1..=8 {
        load.wait_more(40);
        // targets come and go, and rules change, all the while
        let (one, two) = match version % 3 {
            0 => (&a, &b),
            1 => (&b, &c),
            _ => (&c, &a),
        };
        headworks.reload(TWO, &[("a", one), ("b", two), ("version", &version)]);
        assert_eq!(headworks.address(), address, "the listener was bound anew");
        // when the reload is done, it is done in all workers
        for _ in 0..6 {
            assert_eq!(headworks.ask(&ask("GET", "/v")).text(), version.to_string());
        }
    }
    load.wait_more(40);
    load.finish();
    let status = headworks.status();
    assert_eq!(status["configuration"]["reloads"]["applied"], 9, "{:#}", status["configuration"]);
}

/// A request keeps the table that it started with, and listeners that are no longer declared finish what they have.
#[test]
fn reloads_do_not_touch_what_is_in_flight() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let two = "load_balancers:\n  shop: { listeners: { one: { address: 127.0.0.1:0, default: { forward: web } }, two: { address: 127.0.0.1:0, default: { forward: web } } } }\ntarget_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n";
    let mut headworks = start(two, &[("web", &web)]);
    let (one, gone) = (headworks.listener("shop/one"), headworks.listener("shop/two"));
    let mut clients = [Client::connect(one), Client::connect(gone)];
    for client in &mut clients {
        client.ask(&ask("GET", "/held"));
    }
    web.wait_heads(2);
    let mut idle = Client::connect(gone);
    assert_eq!(idle.exchange(&ask("GET", "/")).status, 200);
    let left = "load_balancers:\n  shop: { listeners: { one: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: new } } } } }\n";
    headworks.reload(left, &[]);
    let more = left.replace(
        "listeners: {",
        "listeners: { new: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: more } } },",
    );
    headworks.reload(&more, &[]);
    assert_eq!(Client::connect(headworks.listener("shop/new")).exchange(&ask("GET", "/")).text(), "more");
    assert_eq!(headworks.listener("shop/one"), one);
    assert_eq!(Client::connect(one).exchange(&ask("GET", "/")).text(), "new");
    wait::until("a listener that is gone", || std::net::TcpStream::connect(gone).is_err().then_some(()));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "late");
    }
    // the connection that is kept has the new rules, those of the listener that is gone end
    assert_eq!(clients[0].exchange(&ask("GET", "/")).text(), "new");
    clients[1].expect_closed();
    idle.expect_closed();
}

/// A broken file leaves everything as it is, and says so: in the log, in the status, by the exit status of `reload`.
#[test]
fn a_broken_file_changes_nothing() {
    let web = Origin::echo("web");
    let good = proxy("", "");
    let mut headworks = start(&good, &[("web", &web)]);
    // the same file with the admin address as it came out, for commands that look for the running instance
    let aside = headworks_testkit::program::filled(&good, &[("web", &web)])
        .replace("address: 127.0.0.1:0 }\nload", &format!("address: {} }}\nload", headworks.admin()));
    let written = std::fs::write(headworks.path("aside.yaml"), &aside);
    assert!(written.is_ok() && aside.contains(&headworks.admin().to_string()));
    let broken = [
        ("syntax", good.replace("shop:", "shop: [")),
        ("unknown key", good.replace("listeners:", "listners:")),
        ("dangling reference", good.replace("forward: web", "forward: nowhere")),
        ("a log that cannot be written", proxy(", access_log: { path: /proc/no/such.log }", "")),
    ];
    for (number, (what, yaml)) in broken.iter().enumerate() {
        let parts: &headworks_testkit::program::Parts<'_> = &[("web", &web)];
        headworks.save(yaml, parts);
        headworks.signal(Signal::HUP);
        let last = headworks.wait_status("a refused reload", |status| {
            let configuration = &status["configuration"];
            (configuration["reloads"]["refused"].as_u64() > Some(2 * number as u64))
                .then(|| configuration["last_reload"].clone())
        });
        assert_eq!(last["result"], "refused", "{what}: {last:#}");
        assert!(last["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{what}: {last:#}");
        let reload = headworks.beside(&["reload", "-c", "aside.yaml"]);
        assert_eq!(reload.status.code(), Some(2), "{what}: {reload:?}");
        assert!(!reload.stderr.is_empty(), "{what}: {reload:?}");
        assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "web", "{what}");
    }
    assert_eq!(headworks.metrics().sum("headworks_reloads_total", &[("result", "refused")]), 8.0);
    // and a file that is right again is applied
    headworks.reload(&good, &[("web", &web)]);
    let reload = headworks.beside(&["reload", "-c", "aside.yaml"]);
    assert_eq!(reload.status.code(), Some(0), "{reload:?}");
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "web");
}

/// What a reload cannot do, it does not half do: an address that is taken leaves even the rest of the file unapplied.
#[test]
fn a_reload_is_all_or_nothing() {
    let taken = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let takes = TcpListener::bind(taken).unwrap_or_else(|error| panic!("cannot listen: {error}"));
    let listener = |name: &str, address: &str, body: &str| {
        format!("{name}: {{ address: {address}, default: {{ fixed_response: {{ status: 200, body: {body} }} }} }}")
    };
    let file = |listeners: &str| format!("load_balancers:\n  shop: {{ listeners: {{ {listeners} }} }}\n");
    let mut headworks = start(&file(&listener("one", "127.0.0.1:0", "old")), &[]);
    let one = headworks.address();
    let both = [listener("one", "127.0.0.1:0", "new"), listener("two", &taken.to_string(), "new")].join(", ");
    headworks.save(&file(&both), &[]);
    headworks.signal(Signal::HUP);
    let errors = headworks.wait_status("a refused reload", |status| {
        let last = &status["configuration"]["last_reload"];
        (last["result"] == "refused").then(|| last["errors"].to_string())
    });
    assert!(errors.contains("load_balancers.shop.listeners.two") && errors.contains(&taken.to_string()), "{errors}");
    assert_eq!(Client::connect(one).exchange(&ask("GET", "/")).text(), "old");
    drop(takes);
    headworks.reload(&file(&both), &[]);
    assert_eq!(Client::connect(one).exchange(&ask("GET", "/")).text(), "new");
    assert_eq!(Client::connect(headworks.listener("shop/two")).exchange(&ask("GET", "/")).text(), "new");
}

/// `--watch`: a saved file is applied, a broken one is not.
#[test]
fn watching_the_file() {
    let yaml = "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: \"<v>\" } } } } }\n";
    let headworks = HEADWORKS.start_with(yaml, &[("v", &"one")], &["--watch"]);
    assert_eq!(headworks.ask(&ask("GET", "/")).text(), "one");
    headworks.save(yaml, &[("v", &"two")]);
    wait::until("the saved file to be applied", || (headworks.ask(&ask("GET", "/")).text() == "two").then_some(()));
    headworks.save("nonsense: [", &[]);
    headworks.wait_status("a refused file", |status| {
        (status["configuration"]["last_reload"]["result"] == "refused").then_some(())
    });
    assert_eq!(headworks.ask(&ask("GET", "/")).text(), "two");
    // written in place, as some editors do
    let text = headworks_testkit::program::filled(yaml, &[("v", &"three")]);
    assert!(std::fs::write(headworks.path("headworks.yaml"), text).is_ok());
    wait::until("the saved file to be applied", || (headworks.ask(&ask("GET", "/")).text() == "three").then_some(()));
    // who has the machine is who did it; a write is seen once or twice, and what is the same is no change
    let trail = wait::until("the last in the trail", || {
        let trail = NOBODY.get(&headworks, "/v1/audit?action=headworks:ReloadConfiguration");
        trail["entries"][0].to_string().contains("three").then_some(trail)
    });
    let entries = trail["entries"].as_array().unwrap();
    let who = |entry: &Value| (entry["source"].to_string(), entry["principal"].to_string());
    let watched = ("\"headworks run --watch\"".to_owned(), "\"hrn:headworks:local\"".to_owned());
    assert!(entries.iter().all(|entry| who(entry) == watched), "{trail:#}");
    let has = |status: u16, part: &str| {
        entries.iter().any(|entry| entry["status"] == status && entry.to_string().contains(part))
    };
    assert!(has(200, "two") && has(200, "three") && has(422, "why"), "{trail:#}");
}

/// Scenario 13: readiness first, then no new connections, then what is in flight finishes, then exit 0.
#[test]
fn the_end_in_good_order() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let (address, admin) = (headworks.address(), headworks.admin());
    let mut held = headworks.client();
    held.ask(&ask("GET", "/held"));
    web.wait_heads(1);
    let mut idle = headworks.client();
    assert_eq!(idle.exchange(&ask("GET", "/")).status, 200);
    headworks.signal(Signal::TERM);
    wait::until("readyz to say no", || {
        let response = Client::connect(admin)
            .exchange(&ask("GET", "/readyz").with(&format!("Host: {admin}")).with("Connection: close"));
        (response.status == 503).then_some(())
    });
    wait::until("no new connections", || std::net::TcpStream::connect(address).is_err().then_some(()));
    // a request that was on its way on a connection that was open is answered, or the connection is closed in good order
    idle.expect_closed();
    gate.open();
    let last = held.response();
    assert_eq!((last.text().as_str(), last.field("Connection")), ("late", Some("close")), "{last}");
    held.expect_closed();
    let status = headworks.wait_exit();
    assert_eq!(status.code(), Some(0), "{}", headworks.said());
}

#[test]
fn keep_alive_ends_with_the_program() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut client = headworks.client();
    assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
    headworks.signal(Signal::TERM);
    // requests go on until the program says, on the connection, that it leaves
    let end = wait::until("the end of a connection in use", || {
        match client.send_anyway(ask("GET", "/").bytes()).try_response_to("GET") {
            Ok(response) => {
                assert_eq!(response.status, 200, "{response}");
                (response.field("Connection") == Some("close")).then_some(End::Closed)
            }
            Err(end) => Some(end),
        }
    });
    assert_eq!(end, End::Closed);
    assert_eq!(headworks.wait_exit().code(), Some(0), "{}", headworks.said());
}

/// What was answered is logged, also when the program ends right behind it.
#[test]
fn the_last_lines_of_the_log() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy(", access_log: access.log", ""), &[("web", &web)]);
    for number in 0..50 {
        assert_eq!(headworks.ask(&ask("GET", &format!("/{number}"))).status, 200);
    }
    headworks.signal(Signal::TERM);
    assert_eq!(headworks.wait_exit().code(), Some(0), "{}", headworks.said());
    let log = std::fs::read_to_string(headworks.path("access.log")).unwrap_or_default();
    assert_eq!(log.lines().count(), 50, "{log}");
}

#[test]
fn interrupts() {
    // once: the same as SIGTERM
    let web = Origin::new("web").on("/held", [Step::ReadToEnd]).start();
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    headworks.signal(Signal::INT);
    assert_eq!(headworks.wait_exit().code(), Some(0), "{}", headworks.said());
    // twice: at once, whatever is in flight
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut held = headworks.client();
    held.ask(&ask("GET", "/held"));
    web.wait_heads(1);
    let admin = headworks.admin();
    headworks.signal(Signal::INT);
    wait::until("the first interrupt to be seen", || {
        let asked = ask("GET", "/readyz").with(&format!("Host: {admin}")).with("Connection: close");
        (Client::connect(admin).exchange(&asked).status == 503).then_some(())
    });
    headworks.signal(Signal::INT);
    headworks.wait_exit();
}

/// CONFIG: `headworks proxy --from --to --to`.
#[test]
fn a_load_balancer_without_a_file() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let (one, two) = (a.address().to_string(), b.address().to_string());
    let mut headworks = HEADWORKS.start_bare(&["proxy", "--from", "127.0.0.1:0", "--to", &one, "--to", &two]);
    let mut seen: Vec<_> = (0..20).map(|_| headworks.ask(&ask("GET", "/")).echo().origin).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["a", "b"]);
    headworks.signal(Signal::TERM);
    assert_eq!(headworks.wait_exit().code(), Some(0), "{}", headworks.said());
    let wrong = HEADWORKS.run(&std::env::temp_dir(), &["proxy", "--from", "127.0.0.1:0", "--to", "nonsense"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

/// Two instances cannot have one address; the second says so and leaves the first alone.
#[test]
fn an_address_that_is_taken() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let yaml = headworks_testkit::program::filled(&proxy("", ""), &[("web", &web)])
        .replace("http: { address: 127.0.0.1:0", &format!("http: {{ address: {}", headworks.address()));
    assert!(std::fs::write(headworks.path("second.yaml"), yaml).is_ok());
    let second = headworks.beside(&["run", "-c", "second.yaml"]);
    assert_ne!(second.status.code(), Some(0), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&headworks.address().to_string()), "{said}");
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "web");
}

/// `headworks demo`: a shop behind a load balancer, up within moments, and gone with the program.
#[test]
fn the_demo() {
    let mut headworks = HEADWORKS.start_bare(&["demo", "--port", "0", "--admin-port", "0"]);
    let shop = headworks.address();
    let page = wait::until("the shop's front page", || {
        let page = Client::connect(shop).exchange(&ask("GET", "/").with(&format!("Host: {shop}")));
        (page.status == 200).then_some(page)
    });
    assert!(page.text().contains("<html"), "{page}");
    let status = headworks.status();
    let groups = status["target_groups"].as_object().map(|groups| groups.len()).unwrap_or_default();
    assert!(groups >= 2, "{status:#}");
    headworks.signal(Signal::INT);
    assert_eq!(headworks.wait_exit().code(), Some(0), "{}", headworks.said());
}
