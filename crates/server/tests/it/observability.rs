//! What operators see: access logs in their three formats, metrics, status, health of the program itself.

use headworks_testkit::{Gate, Headworks, Origin, Step, ask, check, wait};
use rustix::process::Signal;
use serde_json::Value;

use crate::{proxy, start};

fn logging(format: &str, more: &str) -> String {
    format!("workers: 1\n{}", proxy(&format!(", access_log: {{ path: logs/access.log, format: {format}{more} }}"), ""))
}

fn json_lines(headworks: &Headworks, count: usize) -> Vec<Value> {
    let lines = headworks.log_lines("logs/access.log", count);
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_json_log() {
    let web = Origin::new("web").on("/503", [Step::answer(503, "theirs")]).on("/502", [Step::Close]).start();
    let headworks = start(&logging("json", ""), &[("web", &web)]);
    let mut client = headworks.client();
    let agent = "a \"quoted\" \\ agent \u{e9}";
    let first = client.exchange(
        &ask("POST", "/a?b=\"c")
            .with("Host: Shop.example.com")
            .with(&format!("User-Agent: {agent}"))
            .with("Referer: http://r/")
            .body("body"),
    );
    let trace = first.echo().fields.one("X-Amzn-Trace-Id").unwrap_or_default().to_owned();
    assert_eq!(client.exchange(&ask("GET", "/503")).status, 503);
    assert_eq!(client.exchange(&ask("GET", "/502")).status, 502);
    assert_eq!(headworks.ask(&ask("TRACE", "/")).status, 405);
    let lines = json_lines(&headworks, 4);
    let line = &lines[0];
    let expected = [
        ("client", client.local().to_string()),
        ("method", "POST".to_owned()),
        ("host", "Shop.example.com".to_owned()),
        ("target", "/a?b=\"c".to_owned()),
        ("version", "HTTP/1.1".to_owned()),
        ("listener", "http".to_owned()),
        ("rule", "default".to_owned()),
        ("action", "forward".to_owned()),
        ("target_group", "web".to_owned()),
        ("target_address", web.address().to_string()),
        ("referer", "http://r/".to_owned()),
    ];
    for (key, value) in expected {
        assert_eq!(line[key], value.as_str(), "{key} of {line:#}");
    }
    assert!(line["user_agent"].as_str().is_some_and(|said| said.starts_with("a \"quoted\" \\ agent ")), "{line:#}");
    assert!(line["load_balancer"].as_str().is_some_and(|name| name.contains("shop")), "{line:#}");
    assert_eq!((line["status"].as_u64(), line["target_status"].as_u64()), (Some(200), Some(200)), "{line:#}");
    assert!(line["received_bytes"].as_u64() > Some(80) && line["sent_bytes"].as_u64() > Some(200), "{line:#}");
    assert!(line["duration"].as_f64() >= line["target_duration"].as_f64(), "{line:#}");
    assert_eq!(line["trace"], trace.as_str(), "{line:#}");
    assert!(line["time"].as_str().is_some_and(is_recent_iso), "{line:#}");
    assert_eq!(line["error"], Value::Null);
    assert_eq!(
        (lines[1]["status"].as_u64(), lines[1]["target_status"].as_u64()),
        (Some(503), Some(503)),
        "{:#}",
        lines[1]
    );
    assert_eq!((lines[2]["status"].as_u64(), &lines[2]["target_status"]), (Some(502), &Value::Null), "{:#}", lines[2]);
    assert_eq!(lines[2]["error"], "TargetReset", "{:#}", lines[2]);
    assert_eq!((lines[3]["status"].as_u64(), &lines[3]["target_address"]), (Some(405), &Value::Null), "{:#}", lines[3]);
}

/// `2026-11-21T16:00:00.123456Z`, of this day or its neighbours.
fn is_recent_iso(text: &str) -> bool {
    let shape = text
        .bytes()
        .zip(b"0000-00-00T00:00:00".iter())
        .all(|(byte, like)| if *like == b'0' { byte.is_ascii_digit() } else { byte == *like });
    let year = 1970
        + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs() / 31_556_952;
    let recent = (year - 1..=year + 1).any(|year| text.starts_with(&year.to_string()));
    shape && recent && text.ends_with('Z') && text.len() > 20
}

/// The fields of a line of which some are in quotes.
fn alb_fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (field, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or_else(|| panic!("no end of quotes: {line}")),
            None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        fields.push(field.to_owned());
        rest = tail.strip_prefix(' ').unwrap_or(tail);
    }
    fields
}

/// The documented fields of an Application Load Balancer, in the documented order.
#[test]
fn the_alb_log() {
    let web = Origin::new("web").on("/502", [Step::Close]).start();
    let yaml = r"
workers: 1
load_balancers:
  shop:
    access_log: { path: logs/access.log, format: alb }
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/r] }, then: { redirect: { host: b.example.com, port: 80, status: 301 } } }
          - { if: { path: [/f] }, then: { fixed_response: { status: 200 } } }
        default: { forward: web }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
";
    let headworks = start(yaml, &[("web", &web)]);
    let mut client = headworks.client();
    let ask = |path: &str| ask("GET", path).with("Host: a.example.com").with("User-Agent: test \"1\"");
    for (path, status) in [("/x?y=1", 200), ("/r", 301), ("/f", 200), ("/502", 502)] {
        assert_eq!(client.exchange(&ask(path)).status, status);
    }
    // suspicious in the eyes of H8, and forwarded
    client.send("GET /t HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let lines: Vec<Vec<String>> =
        headworks.log_lines("logs/access.log", 5).iter().map(|line| alb_fields(line)).collect();
    let port = headworks.address().port();
    let (origin, local) = (web.address().to_string(), client.local().to_string());
    let line = &lines[0];
    assert!(line.len() >= 30, "{} fields: {line:?}", line.len());
    assert!(lines.iter().all(|other| other.len() == line.len()), "{lines:#?}");
    assert_eq!(line[0], "http");
    assert!(is_recent_iso(&line[1]), "{line:?}");
    assert!(line[2].starts_with("app/shop/"), "{line:?}");
    assert_eq!((line[3].as_str(), line[4].as_str()), (local.as_str(), origin.as_str()));
    for time in &line[5..8] {
        assert!(time.parse::<f64>().is_ok_and(|time| (0.0..10.0).contains(&time)), "{line:?}");
    }
    assert_eq!((line[8].as_str(), line[9].as_str()), ("200", "200"));
    assert!(line[10].parse::<u64>().is_ok_and(|n| n > 50) && line[11].parse::<u64>().is_ok_and(|n| n > 50), "{line:?}");
    assert_eq!(line[12], format!("GET http://a.example.com:{port}/x?y=1 HTTP/1.1"));
    assert!(line[13].starts_with("test ") && !line[13].contains('"'), "{line:?}");
    assert_eq!((line[14].as_str(), line[15].as_str()), ("-", "-"));
    assert!(line[16].contains("web"), "{line:?}");
    assert!(line[17].starts_with("Root=1-"), "{line:?}");
    assert_eq!((line[18].as_str(), line[19].as_str()), ("a.example.com", "-"));
    assert_eq!(line[20], "0", "the default rule");
    assert!(is_recent_iso(&line[21]), "{line:?}");
    assert_eq!([&line[22], &line[23], &line[24]], ["forward", "-", "-"]);
    assert_eq!((line[25].as_str(), line[26].as_str()), (origin.as_str(), "200"));
    assert_eq!((line[27].as_str(), line[28].as_str()), ("-", "-"));
    let redirect = &lines[1];
    assert_eq!([&redirect[4], &redirect[8], &redirect[9], &redirect[20]], ["-", "301", "-", "1"]);
    assert_eq!([&redirect[5], &redirect[6], &redirect[7]], ["-1", "-1", "-1"], "no target was asked");
    assert_eq!([redirect[22].as_str(), redirect[23].as_str()], ["redirect", "http://b.example.com/r"]);
    assert_eq!([&lines[2][8], &lines[2][20], &lines[2][22]], ["200", "2", "fixed-response"]);
    assert_eq!([&lines[3][8], &lines[3][9]], ["502", "-"]);
    assert_ne!(lines[3][24], "-", "an error has its reason");
    assert_eq!([&lines[4][27], &lines[4][28]], ["Acceptable", "GetHeadZeroContentLength"]);
}

#[test]
fn the_combined_log() {
    let web = Origin::echo("web");
    let headworks = start(&logging("combined", ""), &[("web", &web)]);
    headworks.client().exchange(&ask("GET", "/a?b").with("Referer: http://r/").with("User-Agent: test/1"));
    headworks.client().exchange(&ask("GET", "/c"));
    let lines = headworks.log_lines("logs/access.log", 2);
    let (start, rest) = lines[0].split_once(" [").unwrap_or_else(|| panic!("{lines:?}"));
    let (time, rest) = rest.split_once("] ").unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(start, "127.0.0.1 - -");
    let shape: String = time
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '0'
            } else if c.is_alphabetic() {
                'a'
            } else {
                c
            }
        })
        .collect();
    assert!(shape == "00/aaa/0000:00:00:00 +0000", "{time}");
    assert!(rest.starts_with("\"GET /a?b HTTP/1.1\" 200 "), "{rest}");
    assert!(rest.ends_with(" \"http://r/\" \"test/1\""), "{rest}");
    assert!(lines[1].ends_with(" \"-\" \"-\""), "{lines:?}");
}

/// Bytes of a request cannot make a line of their own.
#[test]
fn log_injection() {
    let web = Origin::echo("web");
    for format in ["json", "alb", "combined"] {
        let headworks = start(&logging(format, ""), &[("web", &web)]);
        let mut client = headworks.client();
        client.send(b"GET /\x7f\x1b[31m\" HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x1b[2J\x08\"\xff\xfe \\\r\n\r\n");
        client.response();
        assert_eq!(headworks.ask(&ask("GET", "/end")).status, 200);
        let lines = headworks.log_lines("logs/access.log", 2);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.bytes().all(|b| (0x20..0x7f).contains(&b))), "{lines:?}");
        if format == "json" {
            json_lines(&headworks, 2);
        }
        if format == "alb" {
            assert_eq!(alb_fields(&lines[0]).len(), alb_fields(&lines[1]).len(), "{lines:?}");
        }
    }
}

#[test]
fn rotation() {
    let web = Origin::echo("web");
    let headworks = start(&logging("json", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.exchange(&ask("GET", "/1"));
    headworks.log_lines("logs/access.log", 1);
    let renamed = std::fs::rename(headworks.path("logs/access.log"), headworks.path("logs/access.log.1"));
    assert!(renamed.is_ok());
    // until it is told, the program writes to the file it has
    client.exchange(&ask("GET", "/2"));
    assert_eq!(headworks.log_lines("logs/access.log.1", 2).len(), 2);
    headworks.signal(Signal::USR1);
    let mut asked = 2;
    wait::until("lines in a new file", || {
        asked += 1;
        client.exchange(&ask("GET", &format!("/{asked}")));
        headworks.path("logs/access.log").exists().then_some(())
    });
    // nothing is lost between the two
    let total = wait::within(wait::PATIENCE, || {
        let count = |name: &str| std::fs::read_to_string(headworks.path(name)).unwrap_or_default().lines().count();
        let total = count("logs/access.log") + count("logs/access.log.1");
        (total == asked).then_some(total)
    });
    assert_eq!(total, Some(asked));
}

/// CONFIG `access_log.sample`.
#[test]
fn samples() {
    let web = Origin::echo("web");
    let headworks = start(&logging("json", ", sample: 0.25"), &[("web", &web)]);
    let mut client = headworks.client();
    for number in 0..400 {
        client.exchange(&ask("GET", &format!("/{number}")));
    }
    // lines are handed over together, so that what there is after a pause of a tick is all there is
    let mut before = 0;
    wait::until("a log that no longer grows", || {
        std::thread::sleep(std::time::Duration::from_millis(1200));
        let lines = std::fs::read_to_string(headworks.path("logs/access.log")).unwrap_or_default().lines().count();
        let settled = lines > 0 && lines == before;
        before = lines;
        settled.then_some(())
    });
    // five standard deviations of the binomial
    assert!((56..=144).contains(&before), "{before} of 400");
}

#[test]
fn metrics() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let http = [("load_balancer", "shop"), ("listener", "http")];
    let mut client = headworks.client();
    for _ in 0..5 {
        client.exchange(&ask("POST", "/").body("0123456789"));
    }
    let mut held = headworks.client();
    held.ask(&ask("GET", "/held"));
    web.wait_heads(6);
    let now = headworks.wait_metrics("headworks_requests_total", &http, 5.0);
    let rows = [
        ("headworks_routed_requests_total", 6.0),
        ("headworks_connections_total", 2.0),
        ("headworks_active_connections", 2.0),
        ("headworks_request_duration_seconds_count", 5.0),
    ];
    check(rows, |row| row.0, |(name, value)| assert_eq!(now.sum(name, &http), *value));
    assert_eq!(now.sum("headworks_responses_total", &[("origin", "target"), ("status", "200")]), 5.0);
    assert!(now.sum("headworks_received_bytes_total", &http) > 5.0 * 60.0);
    assert!(now.sum("headworks_sent_bytes_total", &http) > 5.0 * 200.0);
    assert_eq!(now.sum("headworks_target_requests_total", &[("target_group", "web")]), 6.0);
    assert_eq!(now.sum("headworks_target_in_flight_requests", &[("target_group", "web")]), 1.0);
    assert_eq!(now.sum("headworks_target_response_time_seconds_count", &[("target_group", "web")]), 5.0);
    assert_eq!(now.sum("headworks_target_healthy", &[("target_group", "web")]), 1.0);
    assert_eq!(now.sum("headworks_reloads_total", &[("result", "applied")]), 1.0);
    assert_eq!(now.sum("headworks_rule_hits_total", &[("rule", "default")]), 6.0);
    // the buckets of a histogram are usable: cumulative, and the last has them all
    let buckets: Vec<f64> = now
        .0
        .iter()
        .filter(|sample| sample.name == "headworks_request_duration_seconds_bucket")
        .map(|sample| sample.value)
        .collect();
    assert!(buckets.len() > 10 && buckets.is_sorted() && buckets.last() == Some(&5.0), "{buckets:?}");
    gate.open();
    held.response();
    drop((client, held));
    wait::until("no open connections", || {
        (headworks.metrics().sum("headworks_active_connections", &http) == 0.0).then_some(())
    });
    assert_eq!(headworks.metrics().sum("headworks_target_in_flight_requests", &[("target_group", "web")]), 0.0);
}

#[test]
fn status() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    for _ in 0..3 {
        assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
    }
    let status = headworks.wait_status("three requests", |status| {
        (status["load_balancers"]["shop"]["listeners"]["http"]["requests"] == 3).then(|| status.clone())
    });
    assert_eq!(status["pid"].as_u64(), Some(headworks.pid().into()), "{status:#}");
    let listener = &status["load_balancers"]["shop"]["listeners"]["http"];
    assert_eq!(listener["address"], headworks.address().to_string().as_str(), "{status:#}");
    assert_eq!(listener["statuses"]["target"]["200"], 3, "{status:#}");
    assert!(listener["latency_ms"]["p50"].is_number() && listener["latency_ms"]["p99"].is_number(), "{status:#}");
    let rule = &listener["rules"][0];
    assert_eq!((&rule["rule"], &rule["hits"]), (&"default".into(), &3.into()), "{status:#}");
    let group = &status["target_groups"]["web"];
    let target = &group["targets"][0];
    assert_eq!(target["address"], web.address().to_string().as_str(), "{status:#}");
    assert_eq!((target["requests"].as_u64(), target["in_flight"].as_u64()), (Some(3), Some(0)), "{status:#}");
    assert_eq!(target["weight"], 1, "{status:#}");
}

#[test]
fn the_admin_address() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(headworks.admin_get(path).status, 200, "{path}");
    }
    assert_eq!(headworks.admin_get("/nonsense").status, 404);
    let metrics = headworks.admin_get("/metrics");
    let kind = metrics.field("Content-Type").unwrap_or_default();
    assert!(
        kind.starts_with("text/plain; version=0.0.4") || kind.starts_with("application/openmetrics-text"),
        "{kind}"
    );
    // a name that someone has pointed at loopback is not this machine
    let mut client = headworks_testkit::Client::connect(headworks.admin());
    let foreign = client.exchange(&ask("GET", "/v1/status").with("Host: evil.example.com").with("Connection: close"));
    assert_eq!(foreign.status, 403, "{foreign}");
}
