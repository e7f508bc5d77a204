//! Stickiness: to a group (R14), to a target by our cookie (T10), by the application's (T11).

use std::collections::BTreeSet;

use headworks_testkit::{Ask, Client, Headworks, Origin, Response, Step, ask, check};

use crate::start;

/// A cookie as a response sets it: its value and its attributes.
fn cookie(response: &Response, name: &str) -> Option<(String, Vec<String>)> {
    let prefix = format!("{name}=");
    let mut set = response.fields.all("Set-Cookie").into_iter().filter_map(|line| line.strip_prefix(&prefix));
    let line = set.next()?;
    assert!(set.next().is_none(), "{name} is set twice:\n{response}");
    let mut parts = line.split("; ").map(str::to_owned);
    Some((parts.next().unwrap_or_default(), parts.collect()))
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn unix(date: &str) -> i64 {
    let words: Vec<&str> = date.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = words[..] else { panic!("no date: {date}") };
    let number = |text: &str| text.parse::<i64>().unwrap_or_else(|_| panic!("no date: {date}"));
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(month).unwrap_or_else(|| panic!("no month: {date}")) as i64 / 3 + 1;
    // days since 1970 of a civil date, with years that begin in March
    let (year, month) = if month > 2 { (number(year), month - 3) } else { (number(year) - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + number(day) - 1 - 719_468;
    ((days * 24 + number(hour)) * 60 + number(minute)) * 60 + number(second)
}

fn expect_cookie(response: &Response, name: &str) -> String {
    cookie(response, name).unwrap_or_else(|| panic!("{name} is not set:\n{response}")).0
}

fn with_cookies(cookies: &[(&str, &str)]) -> Ask {
    let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    ask("GET", "/").with(&format!("Cookie: {}", pairs.join("; ")))
}

/// The origins that answer some requests of different clients.
fn answered(headworks: &Headworks, ask: &Ask) -> BTreeSet<String> {
    (0..20).map(|_| headworks.ask(ask).field("X-Origin").unwrap_or("-").to_owned()).collect()
}

fn two(group: &str) -> String {
    format!(
        "load_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
         target_groups:\n  web: {{ targets: [<a>, <b>], health_check: {{ protocol: none }}, {group} }}\n"
    )
}

/// T10: the cookie and its twin, their attributes, and that they bind.
#[test]
fn lb_cookie() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let yaml = two("stickiness: { type: lb_cookie, duration: 1d }");
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    assert_eq!(answered(&headworks, &ask("GET", "/")).len(), 2, "without a cookie, clients are spread");
    let first = headworks.ask(&ask("GET", "/"));
    let origin = first.echo().origin;
    let (value, attributes) = cookie(&first, "AWSALB").unwrap_or_else(|| panic!("no AWSALB:\n{first}"));
    let (twin, twin_attributes) = cookie(&first, "AWSALBCORS").unwrap_or_else(|| panic!("no AWSALBCORS:\n{first}"));
    assert_eq!(value, twin, "{first}");
    let has = |attributes: &[String], what: &str| attributes.iter().any(|attribute| attribute == what);
    for attributes in [&attributes, &twin_attributes] {
        assert!(has(attributes, "Path=/"), "{first}");
        let expires = attributes.iter().find_map(|attribute| attribute.strip_prefix("Expires="));
        let days = expires.map(|date| (unix(date) - now()) as f64 / 86_400.0);
        assert!(days.is_some_and(|days| (6.9..7.1).contains(&days)), "in {days:?} days, not in 7\n{first}");
        assert!(!attributes.iter().any(|attribute| attribute.starts_with("Max-Age")), "{first}");
    }
    assert!(has(&twin_attributes, "SameSite=None") && has(&twin_attributes, "Secure"), "{first}");
    assert!(!has(&attributes, "SameSite=None"), "{first}");
    let address = if origin == "a" { a.address() } else { b.address() };
    assert!(!value.contains(&address.port().to_string()), "the cookie tells who the target is: {value}");
    // it binds, and is set again on every response
    let bound = with_cookies(&[("AWSALB", &value)]);
    assert_eq!(answered(&headworks, &bound), BTreeSet::from([origin.clone()]));
    let again = expect_cookie(&headworks.ask(&bound), "AWSALB");
    assert_eq!(answered(&headworks, &with_cookies(&[("x", "1"), ("AWSALB", &again)])), BTreeSet::from([origin]));
    // what the target sees is what the client sent
    let echo = headworks.ask(&bound).echo();
    assert_eq!(echo.fields.one("Cookie"), Some(format!("AWSALB={value}").as_str()));
}

/// T10: a cookie that is not ours, or is ours and changed, binds to nothing and is replaced.
#[test]
fn cookies_that_do_not_bind() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let yaml = two("stickiness: { type: lb_cookie }");
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let good = expect_cookie(&headworks.ask(&ask("GET", "/")), "AWSALB");
    let flipped: String = good
        .chars()
        .rev()
        .enumerate()
        .map(|(i, c)| if i == 5 { if c == 'A' { 'B' } else { 'A' } } else { c })
        .collect();
    let flipped: String = flipped.chars().rev().collect();
    let rows = [
        ("empty", String::new()),
        ("nonsense", "nonsense".to_owned()),
        ("one character changed", flipped),
        ("cut short", good[..good.len() - 4].to_owned()),
        ("extended", format!("{good}AAAA")),
        ("very long", "A".repeat(8000)),
        ("not base64", "%%%%".to_owned()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, value)| {
            let ask = with_cookies(&[("AWSALB", value)]);
            assert_eq!(answered(&headworks, &ask).len(), 2, "it binds");
            assert!(cookie(&headworks.ask(&ask), "AWSALB").is_some(), "it is not replaced");
        },
    );
}

/// T10: a reload keeps the keys, and with them every session; a target that is gone loses its own.
#[test]
fn cookies_outlive_a_reload() {
    let (a, b, c) = (Origin::echo("a"), Origin::echo("b"), Origin::echo("c"));
    let yaml = two("stickiness: { type: lb_cookie }, deregistration_delay: 0s");
    let mut headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let first = headworks.ask(&ask("GET", "/"));
    let (origin, value) = (first.echo().origin, expect_cookie(&first, "AWSALB"));
    let bound = with_cookies(&[("AWSALB", &value)]);
    let (stays, goes) = if origin == "a" { (&a, &b) } else { (&b, &a) };
    headworks.reload(&yaml, &[("a", stays), ("b", &c)]);
    assert_eq!(answered(&headworks, &bound), BTreeSet::from([origin]));
    headworks.reload(&yaml, &[("a", goes), ("b", &c)]);
    let moved = headworks.ask(&bound);
    let now = moved.echo().origin;
    let rebound = with_cookies(&[("AWSALB", &expect_cookie(&moved, "AWSALB"))]);
    assert_eq!(answered(&headworks, &rebound), BTreeSet::from([now]));
}

/// T10: a target that has become unhealthy loses its clients, to a target that then keeps them.
#[test]
fn cookies_of_unhealthy_targets() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let check = "{ interval: 100ms, timeout: 100ms, healthy_threshold: 2, unhealthy_threshold: 2 }";
    let yaml = two("stickiness: { type: lb_cookie }").replace("{ protocol: none }", check);
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let wait_for = |state: &str, origin: &Origin| {
        headworks.wait_status(state, |status| {
            let targets = status["target_groups"]["web"]["targets"].as_array()?;
            let address = origin.address().to_string();
            targets.iter().find(|t| t["address"] == address.as_str() && t["state"] == state).map(|_| ())
        });
    };
    wait_for("healthy", &a);
    wait_for("healthy", &b);
    let first = headworks.ask(&ask("GET", "/"));
    let (origin, value) = (first.echo().origin, expect_cookie(&first, "AWSALB"));
    let (down, up) = if origin == "a" { (&a, "b") } else { (&b, "a") };
    down.set_health(headworks_testkit::origin::Health::Status(500));
    wait_for("unhealthy", down);
    let bound = with_cookies(&[("AWSALB", &value)]);
    let moved = headworks.ask(&bound);
    assert_eq!(moved.echo().origin, up);
    assert!(headworks.metrics().sum("headworks_target_group_non_sticky_requests_total", &[]) >= 1.0);
    // back again, the old target does not get back who was moved
    let rebound = with_cookies(&[("AWSALB", &expect_cookie(&moved, "AWSALB"))]);
    down.set_health(headworks_testkit::origin::Health::Status(200));
    wait_for("healthy", down);
    assert_eq!(answered(&headworks, &rebound), BTreeSet::from([up.to_owned()]));
}

/// CONFIG: `cookie_name`.
#[test]
fn a_cookie_by_another_name() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let yaml = two("stickiness: { type: lb_cookie, cookie_name: SHOP, duration: 10s }");
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let first = headworks.ask(&ask("GET", "/"));
    let value = expect_cookie(&first, "SHOP");
    assert_eq!(expect_cookie(&first, "SHOPCORS"), value);
    assert!(cookie(&first, "AWSALB").is_none(), "{first}");
    assert_eq!(answered(&headworks, &with_cookies(&[("SHOP", &value)])).len(), 1);
    assert_eq!(answered(&headworks, &with_cookies(&[("AWSALB", &value)])).len(), 2);
}

/// T11: bound when the application sets its cookie, by both cookies together.
#[test]
fn app_cookie() {
    let script = |name: &str| {
        let line = format!("Set-Cookie: SESSION={name}-1; Path=/; HttpOnly");
        let origin = format!("X-Origin: {name}");
        Origin::new(name).on("/login", [Step::answer_with(200, &[&line, &origin], "in")]).start()
    };
    let (a, b) = (script("a"), script("b"));
    let yaml = two("stickiness: { type: app_cookie, name: SESSION }, deregistration_delay: 0s");
    let mut headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let plain = headworks.ask(&ask("GET", "/"));
    assert!(plain.fields.all("Set-Cookie").is_empty(), "nothing to bind yet:\n{plain}");
    let login = headworks.ask(&ask("GET", "/login"));
    let origin = login.field("X-Origin").unwrap_or_default().to_owned();
    let session = expect_cookie(&login, "SESSION");
    let value = expect_cookie(&login, "AWSALBAPP-0");
    // the shards that are not needed are set too, so that a client forgets older ones
    for shard in ["AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3"] {
        assert!(cookie(&login, shard).is_some(), "{login}");
    }
    let both = with_cookies(&[("SESSION", &session), ("AWSALBAPP-0", &value)]);
    assert_eq!(answered(&headworks, &both), BTreeSet::from([origin.clone()]));
    assert_eq!(answered(&headworks, &with_cookies(&[("AWSALBAPP-0", &value)])).len(), 2, "ours alone binds");
    assert_eq!(answered(&headworks, &with_cookies(&[("SESSION", &session)])).len(), 2, "theirs alone binds");
    let others = with_cookies(&[("SESSION", "other"), ("AWSALBAPP-0", &value)]);
    assert_eq!(answered(&headworks, &others).len(), 2, "ours binds with another session");
    // a session whose target is gone moves, and then stays where it has moved to
    let (c, stays) = (Origin::echo("c"), if origin == "a" { &b } else { &a });
    headworks.reload(&yaml, &[("a", stays), ("b", &c)]);
    let moved = headworks.ask(&both);
    let (now_at, value) = (moved.echo().origin, expect_cookie(&moved, "AWSALBAPP-0"));
    let both = with_cookies(&[("SESSION", &session), ("AWSALBAPP-0", &value)]);
    assert_eq!(answered(&headworks, &both), BTreeSet::from([now_at]));
}

/// CONFIG: `source_ip` stickiness: one client, one target; many clients, all targets.
#[test]
fn source_ip() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let yaml = two("stickiness: { type: source_ip }");
    let headworks = start(&yaml, &[("a", &a), ("b", &b)]);
    let mut all = BTreeSet::new();
    for client in 1..=16 {
        let from = format!("127.0.1.{client}");
        let ask_once = || Client::connect_from(&from, headworks.address()).exchange(&ask("GET", "/")).echo().origin;
        let origins: BTreeSet<_> = (0..4).map(|_| ask_once()).collect();
        assert_eq!(origins.len(), 1, "{from} went to {origins:?}");
        all.extend(origins);
    }
    assert_eq!(all.len(), 2);
}

const GROUPS: &str = r"
load_balancers:
  shop: { listeners: { http: { address: 127.0.0.1:0, default: { forward: { groups: { one: 1, two: 1 }, stickiness: 1h } } } } }
target_groups:
  one: { targets: [<a>], health_check: { protocol: none } }
  two: { targets: [<b>], health_check: { protocol: none } }
";

/// R14.
#[test]
fn group_stickiness() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let mut headworks = start(GROUPS, &[("a", &a), ("b", &b)]);
    assert_eq!(answered(&headworks, &ask("GET", "/")).len(), 2);
    let first = headworks.ask(&ask("GET", "/"));
    let origin = first.echo().origin;
    let value = expect_cookie(&first, "AWSALBTG");
    let (twin, attributes) = cookie(&first, "AWSALBTGCORS").unwrap_or_else(|| panic!("no AWSALBTGCORS:\n{first}"));
    assert_eq!(twin, value);
    assert!(attributes.iter().any(|a| a == "SameSite=None") && attributes.iter().any(|a| a == "Secure"), "{first}");
    assert!(cookie(&first, "AWSALB").is_none(), "{first}");
    let bound = with_cookies(&[("AWSALBTG", &value)]);
    assert_eq!(answered(&headworks, &bound), BTreeSet::from([origin.clone()]));
    let tampered = with_cookies(&[("AWSALBTG", &value.replace(|c: char| c.is_ascii_lowercase(), "x"))]);
    assert_eq!(answered(&headworks, &tampered).len(), 2);
    // weight 0 takes no new client, and keeps the ones it has
    let weights = if origin == "a" { "one: 0, two: 1" } else { "one: 1, two: 0" };
    headworks.reload(&GROUPS.replace("one: 1, two: 1", weights), &[("a", &a), ("b", &b)]);
    assert_eq!(answered(&headworks, &bound), BTreeSet::from([origin.clone()]));
    let others = answered(&headworks, &ask("GET", "/"));
    assert!(!others.contains(&origin), "weight 0 took new clients");
}

/// R14: group and target stickiness together keep the client with one target of one group.
#[test]
fn group_and_target_stickiness() {
    let origins = [Origin::echo("a"), Origin::echo("b"), Origin::echo("c"), Origin::echo("d")];
    let sticky = "health_check: { protocol: none }, stickiness: { type: lb_cookie }";
    let yaml = GROUPS.replace("[<a>], health_check: { protocol: none }", &format!("[<a>, <b>], {sticky}")).replace(
        "two: { targets: [<b>], health_check: { protocol: none }",
        &format!("two: {{ targets: [<c>, <d>], {sticky}"),
    );
    let [a, b, c, d] = &origins;
    let headworks = start(&yaml, &[("a", a), ("b", b), ("c", c), ("d", d)]);
    assert_eq!(answered(&headworks, &ask("GET", "/")).len(), 4);
    let first = headworks.ask(&ask("GET", "/"));
    let (group, target) = (expect_cookie(&first, "AWSALBTG"), expect_cookie(&first, "AWSALB"));
    let both = with_cookies(&[("AWSALBTG", &group), ("AWSALB", &target)]);
    assert_eq!(answered(&headworks, &both), BTreeSet::from([first.echo().origin]));
}
