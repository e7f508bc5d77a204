//! Redis behind a network load balancer: logins, roles, and a failover.

use headworks_testkit::database::Redis;
use headworks_testkit::stream::End;
use headworks_testkit::{Client, Headworks, wait};

use crate::databases::{
    LOGIN_NEEDED, LOGIN_REFUSED, NOT_PRIMARY, NOT_REPLICA, QUICK, UNLINKED, by_role, expect_all, fitness,
};
use crate::start;

#[test]
fn logins() {
    let (open, locked) = (
        Redis::start(&[]),
        Redis::start(&["--requirepass", "hunter2", "--user", "monitor", "on", ">hunter3", "+ping", "+role"]),
    );
    let rows = [
        (&open, "", "healthy"),
        (&open, ", password: hunter2", LOGIN_REFUSED),
        (&open, ", role: primary", "healthy"),
        (&open, ", role: replica", NOT_REPLICA),
        (&locked, "", LOGIN_NEEDED),
        (&locked, ", password: hunter2, role: primary", "healthy"),
        (&locked, ", password: hunter3", LOGIN_REFUSED),
        (&locked, ", user: monitor, password: hunter3, role: primary", "healthy"),
        (&locked, ", user: monitor, password: hunter2", LOGIN_REFUSED),
    ];
    let checks = rows.map(|(server, check, _)| (server.address().to_string(), format!("protocol: redis{check}")));
    expect_all(&checks, rows.iter().map(|(.., expected)| *expected));
}

fn wait_fitness(headworks: &Headworks, group: &str, server: &Redis, expected: &str) {
    headworks.wait_status(&format!("{group}: {expected}"), |status| {
        fitness(status, group, &server.address().to_string()).filter(|found| found == expected)
    });
}

fn client(headworks: &Headworks, listener: &str) -> Client {
    Client::connect(headworks.listener(&format!("db/{listener}")))
}

#[test]
fn writers_follow_a_failover() {
    let first = Redis::start(&[]);
    let mut second =
        Redis::start(&["--replicaof", &first.address().ip().to_string(), &first.address().port().to_string()]);
    let targets = format!("targets: [\"{}\", \"{}\"]", first.address(), second.address());
    let group = |role: &str| format!("{targets}, health_check: {{ {QUICK}, protocol: redis, role: {role} }}");
    let headworks = start(&by_role(&group("primary"), &group("replica")), &[]);
    wait_fitness(&headworks, "writers", &first, "healthy");
    wait_fitness(&headworks, "writers", &second, NOT_PRIMARY);
    wait_fitness(&headworks, "readers", &first, NOT_REPLICA);
    wait_fitness(&headworks, "readers", &second, "healthy");
    let mut writer = client(&headworks, "writers");
    assert_eq!(writer.send("SET k v\r\n").bytes(5), b"+OK\r\n");
    let mut reader = client(&headworks, "readers");
    assert!(reader.send("SET k w\r\n").bytes(9).starts_with(b"-READONLY"));
    // both change places: what clients have open with the old primary is cut, new ones come to the new
    let (host, port) = (second.address().ip().to_string(), second.address().port().to_string());
    assert!(second.says(&["REPLICAOF NO ONE"]).starts_with("+OK"));
    assert!(first.says(&[&format!("REPLICAOF {host} {port}")]).starts_with("+OK"));
    assert_eq!(writer.rest().1, End::Reset);
    assert_eq!(reader.rest().1, End::Reset);
    wait_fitness(&headworks, "writers", &first, NOT_PRIMARY);
    wait_fitness(&headworks, "writers", &second, "healthy");
    wait_fitness(&headworks, "readers", &first, "healthy");
    assert_eq!(client(&headworks, "writers").send("SET later v\r\n").bytes(5), b"+OK\r\n");
    wait::until("the write to be replicated", || {
        (client(&headworks, "readers").send("EXISTS later\r\n").bytes(4) == b":1\r\n").then_some(())
    });
    // a replica alone: nobody to write to, and nobody whose data is known to be new
    second.stop();
    wait_fitness(&headworks, "readers", &first, UNLINKED);
    for listener in ["writers", "readers"] {
        let ended = Client::try_connect(headworks.listener(&format!("db/{listener}"))).map(|mut client| client.rest());
        assert!(ended.is_err() || ended.is_ok_and(|ended| ended == (Vec::new(), End::Reset)), "{listener}");
    }
}
