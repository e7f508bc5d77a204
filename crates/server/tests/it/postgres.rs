//! PostgreSQL behind a network load balancer: logins, roles, lag, and a promotion while clients wait.

use std::time::{Duration, Instant};

use headworks_testkit::database::{Postgres, psql};
use headworks_testkit::stream::End;
use headworks_testkit::{Client, Headworks, wait};

use crate::databases::{FULL, LOGIN_NEEDED, LOGIN_REFUSED, NOT_PRIMARY, NOT_REPLICA, by_role, expect_all, fitness};
use crate::start;

/// Who health checks are, and who clients are.
const USERS: &str = "CREATE ROLE monitor LOGIN PASSWORD 'hunter2'; CREATE ROLE trusted LOGIN; \
    CREATE ROLE crowded LOGIN CONNECTION LIMIT 0 PASSWORD 'hunter2'; SET password_encryption = md5; \
    CREATE ROLE legacy LOGIN PASSWORD 'hunter2'";

#[test]
fn logins() {
    let server = Postgres::primary();
    server.run(USERS);
    let rows = [
        ("", "healthy"),
        (", user: monitor, password: hunter2", "healthy"),
        (", user: monitor, password: hunter2, role: primary", "healthy"),
        (", user: monitor, password: hunter2, database: template1", "healthy"),
        (", user: legacy, password: hunter2", "healthy"),
        (", user: trusted, role: primary", "healthy"),
        (", user: trusted, role: replica", NOT_REPLICA),
        (", user: trusted, role: replica, max_lag: 1s", NOT_REPLICA),
        (", user: monitor, password: hunter3", LOGIN_REFUSED),
        (", user: nobody, password: hunter2", LOGIN_REFUSED),
        (", user: monitor", LOGIN_NEEDED),
        (", user: monitor, password: hunter2, database: none", "the server has no database of that name"),
        (", user: crowded, password: hunter2", FULL),
    ];
    let checks = rows.map(|(check, _)| (server.address().to_string(), format!("protocol: postgres{check}")));
    expect_all(&checks, rows.iter().map(|(_, expected)| *expected));
}

/// A primary, its replica, and what stands in front of both.
struct Pair {
    first: Postgres,
    second: Postgres,
    headworks: Headworks,
}

impl Pair {
    fn start() -> Pair {
        let first = Postgres::primary();
        first.run(USERS);
        first.run("CREATE TABLE written (n int); GRANT SELECT ON written TO monitor");
        let second = first.replica();
        // what a replica has never replayed has no age
        first.run("INSERT INTO written VALUES (0)");
        wait::until("the row", || second.run("SELECT count(*) FROM written").eq("1").then_some(()));
        let targets = format!("targets: [\"{}\", \"{}\"]", first.address(), second.address());
        // a role needs no second check, whatever the thresholds
        let check = "protocol: postgres, user: monitor, password: hunter2, interval: 250ms, timeout: 3s";
        let writers = format!("{targets}, health_check: {{ {check}, role: primary }}");
        let readers =
            format!("{targets}, health_check: {{ {check}, role: replica, max_lag: 1s, healthy_threshold: 1 }}");
        let pair = Pair { first, second, headworks: start(&by_role(&writers, &readers), &[]) };
        pair.wait_fitness("writers", 1, "healthy");
        pair.wait_fitness("writers", 2, NOT_PRIMARY);
        pair.wait_fitness("readers", 1, NOT_REPLICA);
        pair.wait_fitness("readers", 2, "healthy");
        pair
    }

    fn wait_fitness(&self, group: &str, server: usize, expected: &str) {
        let address = if server == 1 { self.first.address() } else { self.second.address() }.to_string();
        let mut last = None;
        let found = wait::within(wait::PATIENCE, || {
            last = fitness(&self.headworks.status(), group, &address);
            last.as_deref().filter(|last| last.starts_with(expected)).map(drop)
        });
        assert!(found.is_some(), "{group}, server {server}: {last:?} instead of {expected}");
    }

    /// What clients of a listener are answered.
    fn ask(&self, listener: &str, sql: &str) -> Result<String, String> {
        psql(self.headworks.listener(&format!("db/{listener}")), "monitor", "hunter2", sql)
    }

    /// A client that has begun to log in, and waits.
    fn waiting(&self, listener: &str) -> Client {
        let mut client = Client::connect(self.headworks.listener(&format!("db/{listener}")));
        client.send(b"\0\0\0\x16\0\x03\0\0user\0monitor\0\0");
        assert_eq!(client.bytes(1), b"R");
        client
    }
}

const IS_REPLICA: &str = "SELECT pg_is_in_recovery()";

#[test]
fn writers_follow_a_promotion() {
    let mut pair = Pair::start();
    assert_eq!(pair.ask("writers", IS_REPLICA).as_deref(), Ok("f"));
    assert_eq!(pair.ask("readers", IS_REPLICA).as_deref(), Ok("t"));
    let mut reader = pair.waiting("readers");
    pair.first.stop();
    // nobody is the primary now: a client is turned away rather than given to the replica
    pair.wait_fitness("writers", 1, "Health checks failed");
    let refused = pair.ask("writers", IS_REPLICA).expect_err("a replica is no primary");
    assert!(!refused.contains("password"), "{refused}");
    assert_eq!(pair.headworks.status()["target_groups"]["writers"]["fail_open"], false);
    pair.second.promote();
    let promoted = Instant::now();
    let answer = wait::until("the new primary", || pair.ask("writers", IS_REPLICA).ok());
    let took = promoted.elapsed();
    assert_eq!(answer, "f");
    // an interval of 250 ms, and what the machine that tests needs besides
    assert!(took < Duration::from_secs(3), "{took:?}");
    // who read from what is no replica any more is sent away, and nobody else is one
    assert_eq!(reader.rest().1, End::Reset);
    pair.wait_fitness("readers", 2, NOT_REPLICA);
    assert!(pair.ask("readers", IS_REPLICA).is_err());
}

#[test]
fn readers_leave_what_lags() {
    let pair = Pair::start();
    pair.second.run("SELECT pg_wal_replay_pause()");
    pair.first.run("INSERT INTO written VALUES (1)");
    pair.wait_fitness("readers", 2, "the replica lags by ");
    assert!(pair.ask("readers", IS_REPLICA).is_err());
    assert_eq!(pair.ask("writers", IS_REPLICA).as_deref(), Ok("f"));
    let told = |said: &str| said.matches("the replica lags by").count();
    pair.second.run("SELECT pg_wal_replay_resume()");
    pair.wait_fitness("readers", 2, "healthy");
    assert_eq!(pair.ask("readers", "SELECT max(n) FROM written").as_deref(), Ok("1"));
    assert_eq!(told(&pair.headworks.said()), 1, "however often the number changes");
}

/// A replica that nobody sends anything to is behind by as much as its latest transaction is old.
#[test]
fn readers_leave_what_is_cut_off() {
    let mut pair = Pair::start();
    pair.first.stop();
    pair.wait_fitness("readers", 2, "the replica lags by ");
}
