//! MariaDB behind a network load balancer: logins, and hosts that stay welcome.

use headworks_testkit::database::Mariadb;
use headworks_testkit::{Client, wait};

use crate::databases::{FULL, LOGIN_REFUSED, LOGIN_UNKNOWN, checked, expect_all};
use crate::start;

#[test]
fn logins() {
    let server = Mariadb::start(&[]);
    server.run(
        "CREATE USER monitor@'%' IDENTIFIED BY 'hunter2'; CREATE USER empty@'%' IDENTIFIED BY ''; \
         CREATE USER crowded@'%' IDENTIFIED BY 'hunter2' WITH MAX_USER_CONNECTIONS -1; \
         INSTALL SONAME 'auth_ed25519'; CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('hunter2')",
    );
    let rows = [
        ("", "healthy"),
        (", user: monitor, password: hunter2", "healthy"),
        (", user: empty", "healthy"),
        (", user: monitor, password: hunter3", LOGIN_REFUSED),
        (", user: monitor", LOGIN_REFUSED),
        (", user: nobody, password: hunter2", LOGIN_REFUSED),
        (", user: modern, password: hunter2", LOGIN_UNKNOWN),
        (", user: crowded, password: hunter2", FULL),
    ];
    let checks = rows.map(|(check, _)| (server.address().to_string(), format!("protocol: mysql{check}")));
    expect_all(&checks, rows.iter().map(|(_, expected)| *expected));
}

/// A server counts handshakes that are broken off against their machine, until it talks to it no more.
#[test]
fn handshakes_are_finished() {
    let server = Mariadb::start(&[]);
    server.run("CREATE USER monitor@'%' IDENTIFIED BY 'hunter2'");
    let target = server.address().to_string();
    let checks = ["", ", user: monitor, password: hunter2", ", user: monitor, password: hunter3"];
    let checks = checks.map(|check| (target.clone(), format!("protocol: mysql{check}")));
    let _headworks = start(&checked(&checks), &[]);
    let denied = |said: &str| said.matches("Access denied for user 'headworks'").count();
    wait::until("some checks", || (denied(&server.said()) > 3).then_some(()));
    const BROKEN_OFF: &str = "user: 'unauthenticated'";
    assert!(!server.said().contains(BROKEN_OFF), "{}", server.said());
    // this is what it says of one that is not
    drop(Client::connect(server.address()));
    wait::until("what it says of that", || server.said().contains(BROKEN_OFF).then_some(()));
}
