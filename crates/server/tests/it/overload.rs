//! What is given up when the program itself has too much to do (`overload`, `criticality`): whatever runs out, the least critical
//! goes first, and what is open, what is critical, health checks and the admin address go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use headworks_testkit::{Client, Gate, Headworks, Origin, Step, ask, wait};

use crate::limits::expect_refused;
use crate::{HEADWORKS, start};

/// Rules of each criticality in front of `<web>`, whose health is looked at; further lines of the top, and further listeners.
fn yaml(top: &str, listeners: &str) -> String {
    format!(
        "
workers: 1
{top}
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - {{ if: {{ path: [/reports/*] }}, criticality: sheddable, then: {{ forward: web }} }}
          - {{ if: {{ path: [/pay/*] }}, criticality: critical, then: {{ forward: web }} }}
          - {{ if: {{ path: [/fixed] }}, criticality: sheddable, then: {{ fixed_response: {{ status: 200 }} }} }}
        default: {{ forward: web }}{listeners}
target_groups:
  web: {{ targets: [<web>], health_check: {{ interval: 100ms }} }}
"
    )
}

fn http(headworks: &Headworks) -> Client {
    Client::connect(headworks.listener("shop/http"))
}

/// The statuses of requests that are asked one right after the other.
fn statuses(client: &mut Client, target: &str) -> Vec<u16> {
    client.send(ask("GET", target).bytes().repeat(40));
    (0..40).map(|_| client.response().status).collect()
}

/// Waits until this is used up so far that all that is sheddable is refused.
fn wait_pressure(headworks: &Headworks, resource: &str) {
    headworks.wait_status(&format!("pressure on {resource}"), |status| {
        (status["overload"][resource].as_f64()? >= 0.9).then_some(())
    });
}

/// The order in which requests are given up, on a connection that was open before; and that nothing else suffers.
fn expect_shedding(headworks: &Headworks, client: &mut Client, web: &Origin, resource: &str) {
    wait_pressure(headworks, resource);
    // a worker looks at what is published four times a second
    wait::until("refusals", || (client.exchange(&ask("GET", "/reports/a")).status == 503).then_some(()));
    assert_eq!(statuses(client, "/reports/a"), [503; 40]);
    assert_eq!(statuses(client, "/pay/a"), [200; 40]);
    assert_eq!(statuses(client, "/fixed"), [200; 40], "what costs nothing is not refused");
    expect_refused(&client.exchange(&ask("GET", "/reports/a")));
    headworks.expect_alive();
    web.wait_probes(web.probes().len() + 2);
    let metrics = headworks.metrics();
    assert_eq!(metrics.sum("headworks_shed_requests_total", &[("criticality", "critical")]), 0.0);
    assert!(metrics.sum("headworks_shed_requests_total", &[("criticality", "sheddable")]) >= 41.0);
    // what a worker's time is used up by is not the same at any two looks
    let pressure = || headworks.metrics().sum("headworks_overload_pressure", &[("resource", resource)]);
    wait::until("the metric of it", || (pressure() >= 0.9).then_some(()));
    let healthy = &headworks.status()["target_groups"]["web"]["targets"][0]["state"];
    assert_eq!(healthy, "healthy", "{:#}", headworks.status());
}

/// Serving goes on as before, once there is enough of everything again.
fn expect_recovery(client: &mut Client) {
    wait::until("the end of it", || (client.exchange(&ask("GET", "/reports/a")).status == 200).then_some(()));
    wait::until("the end of it all", || (statuses(client, "/reports/a") == [200; 40]).then_some(()));
}

/// No memory is left.
#[test]
fn memory() {
    let web = Origin::echo("web");
    let headworks = start(&yaml("overload: { memory: 1MiB }", ""), &[("web", &web)]);
    let mut client = http(&headworks);
    expect_shedding(&headworks, &mut client, &web, "memory");
    // three times what is allowed, and more: even then some of what is normal goes through
    let normal = statuses(&mut client, "/");
    assert!(normal.iter().filter(|status| **status == 503).count() > 20, "{normal:?}");
    assert_eq!(headworks.status()["overload"]["descriptors"].as_f64().map(|used| used < 0.8), Some(true));
}

/// Requests that no rule takes may matter less than those of rules, or more.
#[test]
fn of_a_default() {
    let web = Origin::echo("web");
    let yaml = yaml("overload: { memory: 1MiB }", "");
    let of = |criticality| {
        yaml.replace("default: { forward: web }", &format!("default: {{ forward: web, criticality: {criticality} }}"))
    };
    let mut headworks = start(&of("sheddable"), &[("web", &web)]);
    let mut client = http(&headworks);
    wait::until("refusals", || (client.exchange(&ask("GET", "/")).status == 503).then_some(()));
    assert_eq!(statuses(&mut client, "/"), [503; 40]);
    assert_eq!(statuses(&mut client, "/pay/a"), [200; 40]);
    headworks.reload(&of("critical"), &[("web", &web)]);
    assert_eq!(statuses(&mut client, "/"), [200; 40]);
    assert_eq!(statuses(&mut client, "/reports/a"), [503; 40]);
}

/// Hardly a descriptor is left: as many clients as there is room for, each with a request at its target.
#[test]
fn descriptors() {
    const DESCRIPTORS: u32 = 400;
    // (400 - 128) / 2
    const ROOM: usize = 136;
    let gate = Gate::new();
    let web = Origin::new("web").on("/pay/held", [Step::Wait(gate.clone()), Step::answer(200, "held")]).start();
    let spare = |number| {
        format!("\n      spare-{number}: {{ address: 127.0.0.1:0, default: {{ fixed_response: {{ status: 200 }} }} }}")
    };
    let spare: String = (0..40).map(spare).collect();
    let headworks = HEADWORKS.start_with_descriptors(&yaml("", &spare), &[("web", &web)], DESCRIPTORS);
    let mut before = http(&headworks);
    assert_eq!(before.exchange(&ask("GET", "/reports/a")).status, 200);
    let mut held: Vec<Client> = (1..ROOM).map(|_| http(&headworks)).collect();
    for client in &mut held {
        client.ask(&ask("GET", "/pay/held"));
    }
    // what is refused meanwhile is none of these
    web.wait_heads(ROOM);
    expect_shedding(&headworks, &mut before, &web, "descriptors");
    let mut late = http(&headworks);
    late.ask(&ask("GET", "/pay/late"));
    assert_eq!(statuses(&mut before, "/pay/a"), [200; 40]);
    assert!(!late.arrived(), "there was room for another connection");
    gate.open();
    for client in &mut held {
        assert_eq!(client.response().status, 200);
    }
    drop(held);
    assert_eq!(late.response().status, 200);
    expect_recovery(&mut before);
    let said = headworks.said();
    assert!(!said.contains("cannot accept") && !said.contains("Too many open files"), "{said}");
}

/// A worker is behind with its work: clients that ask again and again without waiting for answers.
#[test]
fn time() {
    let web = Origin::echo("web");
    let headworks = start(&yaml("overload: { lag: 1ms }", ""), &[("web", &web)]);
    let mut client = http(&headworks);
    assert_eq!(client.exchange(&ask("GET", "/pay/a")).status, 200);
    let flood = Flood::start(headworks.listener("shop/http"));
    expect_shedding(&headworks, &mut client, &web, "time");
    flood.stop();
    expect_recovery(&mut client);
}

/// Connections on which a batch of requests follows as soon as the one before is answered: those of the others wait meanwhile.
struct Flood {
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    const CONNECTIONS: usize = 24;
    const BATCH: usize = 25;

    fn start(to: SocketAddr) -> Flood {
        let request = ask("GET", "/fixed");
        let first = Client::connect(to).exchange(&request);
        let answers = (first.raw.len() + first.body.content.len()) * Flood::BATCH;
        let batch = request.bytes().repeat(Flood::BATCH);
        let mut clients: Vec<Client> = (0..Flood::CONNECTIONS).map(|_| Client::connect(to)).collect();
        for client in &mut clients {
            client.send(&batch);
        }
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                for client in &mut clients {
                    client.bytes(answers);
                    client.send(&batch);
                }
            }
        });
        Flood { over, thread }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| panic!("the flood broke off"));
    }
}
