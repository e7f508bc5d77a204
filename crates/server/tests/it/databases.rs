//! Health checks of databases, answered by script: what counts as an answer, and what is said of those that do not.

use headworks_testkit::{Origin, Step, check};
use serde_json::Value;

use crate::start;

/// Two listeners: one in front of the group `writers`, one of `readers`, which are the rest of each group in flow style.
pub(crate) fn by_role(writers: &str, readers: &str) -> String {
    let listener =
        |group: &str| format!("{group}: {{ address: 127.0.0.1:0, protocol: tcp, default: {{ forward: {group} }} }}");
    format!(
        "load_balancers:\n  db: {{ type: network, listeners: {{ {}, {} }} }}\ntarget_groups:\n  \
         writers: {{ protocol: tcp, {writers} }}\n  readers: {{ protocol: tcp, {readers} }}\n",
        listener("writers"),
        listener("readers")
    )
}

/// For each of these a group of one target with this health check in flow style, named `g0`, `g1` and so on, and a listener
/// in front of it.
pub(crate) fn checked(targets_and_checks: &[(String, String)]) -> String {
    let mut listeners = Vec::new();
    let mut groups = String::new();
    for (n, (target, check)) in targets_and_checks.iter().enumerate() {
        listeners.push(format!("l{n}: {{ address: 127.0.0.1:0, protocol: tcp, default: {{ forward: g{n} }} }}"));
        let check = format!("health_check: {{ {QUICK}, {check} }}");
        groups.push_str(&format!("  g{n}: {{ protocol: tcp, targets: [{target}], {check} }}\n"));
    }
    let listeners = listeners.join(", ");
    format!("load_balancers: {{ db: {{ type: network, listeners: {{ {listeners} }} }} }}\ntarget_groups:\n{groups}")
}

/// Waits for what the groups of [`checked`] find, and compares it.
pub(crate) fn expect_all<'a>(targets_and_checks: &[(String, String)], expected: impl Iterator<Item = &'a str>) {
    let headworks = start(&checked(targets_and_checks), &[]);
    let rows = targets_and_checks.iter().zip(expected).enumerate();
    check(
        rows,
        |(_, ((_, check), _))| check.clone(),
        |(n, ((address, _), expected))| {
            let found = headworks.wait_status("a verdict", |status| {
                fitness(status, &format!("g{n}"), address).filter(|found| found != "initial")
            });
            assert_eq!(found, *expected);
        },
    );
}

/// A check that is quick enough for a test.
pub(crate) const QUICK: &str = "interval: 200ms, timeout: 2s, unhealthy_threshold: 1, healthy_threshold: 2";

/// `healthy`, `initial`, or what is said of a target that is unhealthy, without the words that all have.
pub(crate) fn fitness(status: &Value, group: &str, address: &str) -> Option<String> {
    let targets = status["target_groups"][group]["targets"].as_array()?;
    let target = targets.iter().find(|target| target["address"] == address)?;
    let text = if target["state"] == "unhealthy" { &target["description"] } else { &target["state"] };
    let text = text.as_str()?;
    Some(text.strip_prefix("Health checks failed: ").unwrap_or(text).to_owned())
}

const FAILED: &str = "Health checks failed";
const SILENT: &str = "Request timed out";
pub(crate) const FULL: &str = "the server has too many connections";
pub(crate) const LOGIN_NEEDED: &str = "the server asks for a login, and health_check has no user or password";
pub(crate) const LOGIN_REFUSED: &str = "the server refuses the login of health_check";
pub(crate) const LOGIN_UNKNOWN: &str = "the server asks for a way of logging in that health checks do not have; they have \
                             passwords, of MySQL mysql_native_password and caching_sha2_password";
const NOT_ALLOWED: &str = "the user of health_check may not ask for this";
pub(crate) const NOT_PRIMARY: &str = "the server is not the primary";
const NOT_READY: &str = "the server is starting, stopping or reading its data";
pub(crate) const NOT_REPLICA: &str = "the server is not a replica";
pub(crate) const UNLINKED: &str = "the replica is not connected to its primary";

/// Speaks first, or after so many bytes; then reads on.
fn says(after: usize, bytes: impl AsRef<[u8]>) -> Vec<Step> {
    let wait = if after > 0 { vec![Step::Read(after)] } else { Vec::new() };
    [wait, vec![Step::send(bytes), Step::ReadToEnd]].concat()
}

/// The same, and ends.
fn ends(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::send(bytes), Step::Close]
}

/// Health checks, what they are answered, and what that is found to be.
fn table(rows: &[(&str, Vec<Step>, &str)]) {
    let origin = |script: &Vec<Step>| Origin::new("database").at_accept(script.clone()).start();
    let origins: Vec<Origin> = rows.iter().map(|(_, script, _)| origin(script)).collect();
    let checks =
        origins.iter().zip(rows).map(|(origin, (check, ..))| (origin.address().to_string(), (*check).to_owned()));
    expect_all(&checks.collect::<Vec<_>>(), rows.iter().map(|(.., expected)| *expected));
}

/// A message of PostgreSQL: its letter, its length, what is in it.
fn postgres(letter: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32 + 4).to_be_bytes();
    [&[letter], length.as_slice(), content].concat()
}

#[test]
fn what_postgres_says() {
    let scram = postgres(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let gss = postgres(b'R', b"\0\0\0\x07");
    let endless = [&scram, postgres(b'N', &[b'x'; 1 << 20]).as_slice()].concat();
    let error = |code: &str| postgres(b'E', format!("SFATAL\0C{code}\0Msome words\0\0").as_bytes());
    let (bare, user) = ("protocol: postgres", "protocol: postgres, user: monitor, password: hunter2");
    table(&[
        (bare, says(8, &scram), "healthy"),
        (bare, says(8, &gss), "healthy"),
        (bare, says(8, postgres(b'R', &[0; 4])), "healthy"),
        (bare, says(8, error("28P01")), "healthy"),
        (bare, says(8, error("28000")), "healthy"),
        (bare, says(8, error("57P03")), NOT_READY),
        (bare, says(8, error("53300")), FULL),
        (bare, says(8, error("XX000")), FAILED),
        (bare, says(8, postgres(b'E', b"Msome words\0\0")), FAILED),
        (bare, says(8, postgres(b'Z', b"I")), FAILED),
        (bare, says(0, "HTTP/1.1 400 Bad Request\r\n\r\n"), FAILED),
        (bare, says(0, [b'E', 0, 0, 0, 3]), FAILED),
        // a length that nobody means, and bytes without an end
        (bare, says(0, [&[b'R', 0x7f, 0xff, 0xff, 0xff], [0; 1 << 20].as_slice()].concat()), FAILED),
        (bare, ends(&scram[..7]), FAILED),
        (bare, ends(""), FAILED),
        (bare, vec![Step::Reset], FAILED),
        (bare, vec![Step::ReadToEnd], SILENT),
        (user, says(8, &scram[..7]), SILENT),
        (user, says(8, &gss), LOGIN_UNKNOWN),
        ("protocol: postgres, user: monitor", says(8, &scram), LOGIN_NEEDED),
        (user, says(8, error("28P01")), LOGIN_REFUSED),
        (user, says(8, error("57P03")), NOT_READY),
        (user, says(8, &endless), FAILED),
        (user, ends("garbage, and no end of it"), FAILED),
    ]);
}

#[test]
fn what_redis_says() {
    let bare = "protocol: redis";
    let (primary, replica) = ("protocol: redis, role: primary", "protocol: redis, role: replica");
    let user = "protocol: redis, user: u, password: p, role: primary";
    let role = |words: &str| says(14, format!("+PONG\r\n{words}"));
    let slave = |state: &str| {
        role(&format!("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n${}\r\n{state}\r\n:14\r\n", state.len()))
    };
    let master = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    table(&[
        (bare, says(14, "+PONG\r\n"), "healthy"),
        (bare, says(14, "+PONG\n"), FAILED),
        (bare, says(14, "+PING\r\n"), FAILED),
        (bare, says(14, "$4\r\nPONG\r\n"), FAILED),
        (bare, says(14, "-LOADING Redis is loading the dataset in memory\r\n"), NOT_READY),
        (bare, says(14, "-NOAUTH Authentication required.\r\n"), LOGIN_NEEDED),
        (bare, says(14, "-DENIED Redis is running in protected mode\r\n"), "the server does not talk to this machine"),
        (bare, ends("-ERR max number of clients reached\r\n"), FULL),
        (bare, says(14, "-MASTERDOWN Link with MASTER is down\r\n"), UNLINKED),
        (bare, says(14, "-ERR something else\r\n"), FAILED),
        (bare, says(14, "-\r\n"), FAILED),
        (bare, says(14, "\r\n"), FAILED),
        (bare, says(14, "+".repeat(1 << 20)), FAILED),
        (bare, says(14, [0xff; 64]), SILENT),
        (bare, ends("+PO"), FAILED),
        (bare, ends(""), FAILED),
        (primary, role(master), "healthy"),
        (replica, role(master), NOT_REPLICA),
        (primary, slave("connected"), NOT_PRIMARY),
        (replica, slave("connected"), "healthy"),
        (replica, slave("sync"), UNLINKED),
        (replica, role("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n$9\r\nconnected\r\n"), FAILED),
        (primary, role("*1\r\n$8\r\nsentinel\r\n"), FAILED),
        (primary, role("*1\r\n$-1\r\n"), FAILED),
        (primary, role("*1\r\n$99999999\r\n"), FAILED),
        (primary, role("*1\r\n$6\r\nmaster"), SILENT),
        (primary, role("-NOPERM this user has no permissions to run the 'role' command\r\n"), NOT_ALLOWED),
        (user, says(14, format!("+OK\r\n+PONG\r\n{master}")), "healthy"),
        (user, says(14, "-WRONGPASS invalid username-password pair\r\n-NOAUTH\r\n-NOAUTH\r\n"), LOGIN_REFUSED),
        (user, says(14, "-ERR AUTH <password> called without any password configured\r\n+PONG\r\n"), LOGIN_REFUSED),
    ]);
}

#[test]
fn what_mysql_says() {
    let packet = |number: u8, content: &[u8]| {
        let length = (content.len() as u32).to_le_bytes();
        [&length[..3], &[number], content].concat()
    };
    let greeting_of = |capabilities: u32, scramble: &[u8], method: &str| {
        let [low, high] = [capabilities as u16, (capabilities >> 16) as u16].map(u16::to_le_bytes);
        let (first, rest) = scramble.split_at(8);
        let fixed =
            [b"\x0a8.4.0\0\x07\0\0\0".as_slice(), first, &[0], &low, &[45, 2, 0], &high, &[21], &[0; 10]].concat();
        packet(0, &[&fixed, rest, method.as_bytes(), &[0]].concat())
    };
    let scramble = b"abcdefghijklmnopqrst\0";
    let greeting = greeting_of(0x0008_8201, scramble, "caching_sha2_password");
    let error = |number: u8, code: u16, words: &str| {
        packet(number, &[&[0xff], &code.to_le_bytes()[..], words.as_bytes()].concat())
    };
    // behind the greeting comes the login of at least so many bytes, with the number 1
    let then = |packets: &[Vec<u8>]| {
        let mut steps = vec![Step::send(&greeting), Step::Read(36)];
        steps.extend(packets.iter().map(Step::send));
        steps.push(Step::ReadToEnd);
        steps
    };
    let ok = |number: u8| packet(number, b"\0\0\0\x02\0\0\0");
    let denied = error(2, 1045, "#28000Access denied for user");
    let switch = |method: &str| packet(2, &[b"\xfe".as_slice(), method.as_bytes(), b"\0", scramble].concat());
    let (bare, user) = ("protocol: mysql", "protocol: mysql, user: monitor, password: hunter2");
    table(&[
        (bare, then(&[ok(2)]), "healthy"),
        (bare, then(std::slice::from_ref(&denied)), "healthy"),
        (bare, then(&[switch("mysql_native_password"), error(4, 1045, "#28000Access denied")]), "healthy"),
        (bare, then(&[switch("auth_gssapi_client"), error(4, 1045, "#28000Access denied")]), "healthy"),
        (bare, then(&[error(2, 1040, "#08004Too many connections")]), FULL),
        (bare, ends(error(0, 1040, "Too many connections")), FULL),
        (bare, ends(error(0, 1129, "Host is blocked")), "the server does not talk to this machine"),
        (bare, ends(error(0, 1130, "Host is not allowed")), "the server does not talk to this machine"),
        (bare, then(&[error(2, 1053, "#08S01Server shutdown in progress")]), NOT_READY),
        (bare, ends(error(0, 2000, "something else")), FAILED),
        (bare, says(0, &greeting), SILENT),
        (bare, ends(&greeting), FAILED),
        (bare, ends(&greeting[..40]), FAILED),
        (bare, ends(packet(0, &greeting[4..40])), FAILED),
        (bare, ends(packet(1, &greeting[4..])), FAILED),
        (bare, ends(packet(0, b"")), FAILED),
        (bare, ends(packet(0, b"\x09ancient\0")), FAILED),
        (bare, ends(packet(0, &[b'x'; 5000])), FAILED),
        (bare, ends(greeting_of(0x0008_8001, scramble, "caching_sha2_password")), FAILED),
        (bare, ends(greeting_of(0x0008_8201, b"abcdefghijklmnopqrstuvwxyz", "caching_sha2_password")), FAILED),
        (bare, says(0, "HTTP/1.1 400 Bad Request\r\n\r\n"), FAILED),
        (bare, says(0, [0xff; 1 << 16]), FAILED),
        (bare, then(&[packet(2, b"what?")]), FAILED),
        (bare, vec![Step::ReadToEnd], SILENT),
        (user, then(&[ok(2)]), "healthy"),
        (user, then(&[packet(2, &[1, 3]), ok(3)]), "healthy"),
        (user, then(&[switch("mysql_native_password"), ok(4)]), "healthy"),
        (user, then(&[denied]), LOGIN_REFUSED),
        (user, then(&[switch("client_ed25519"), error(4, 1045, "#28000Access denied")]), LOGIN_UNKNOWN),
        (user, then(&[packet(2, &[0xfe]), error(4, 1045, "#28000Access denied")]), LOGIN_UNKNOWN),
        (user, then(&[packet(2, &[1, 4]), packet(4, b"\x01no key")]), FAILED),
        (user, then(&(2..40).map(|n| packet(n, &[1, 3])).collect::<Vec<_>>()), FAILED),
    ]);
}
