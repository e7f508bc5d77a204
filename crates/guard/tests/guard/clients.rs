//! Who counts as one client, what a full table does, and who is kept out.

use std::hash::RandomState;
use std::net::IpAddr;
use std::time::Duration;

use headworks_guard::{Block, ClientKey, ClientLimits, Clients, Refusal};

const NONE: Duration = Duration::ZERO;

fn key(address: &str) -> ClientKey {
    address.parse::<IpAddr>().unwrap().into()
}

/// So many connections at once.
fn open(open: u32) -> ClientLimits {
    ClientLimits { open, ..ClientLimits::default() }
}

fn clients(capacity: usize) -> Clients<RandomState> {
    Clients::new(capacity, RandomState::new())
}

#[test]
fn who_is_one_client() {
    let rows = [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("0.0.0.0", "0.0.0.0"),
    ];
    for (address, client) in rows {
        assert_eq!(key(address).to_string(), client);
    }
    assert_ne!(key("::1"), key("0.0.0.0"));
}

#[test]
fn a_client_has_as_many_connections_as_it_may() {
    let mut table = clients(10);
    let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
    assert_eq!(
        [(); 4].map(|()| table.admit(one, open(3), NONE)),
        [Ok(true), Ok(true), Ok(true), Err(Refusal::TooMany)]
    );
    assert_eq!(table.admit(other, open(3), NONE), Ok(true), "it takes nothing from others");
    table.release(one);
    assert_eq!(table.admit(one, open(3), NONE), Ok(true));
    assert_eq!(table.admit(one, open(0), NONE), Ok(true), "no limit");
    table.take_back(one);
    assert_eq!(table.admit(one, open(4), NONE), Ok(true));
    let known = table.iter().find(|(client, _)| *client == one).map(|(_, client)| *client).unwrap();
    assert_eq!((known.open, known.admitted, known.refused), (4, 5, 2));
}

#[test]
fn a_clients_connections_come_as_fast_as_they_may() {
    let at = Duration::from_millis;
    // how many a second, when they come, and whether each is let in
    let rows: [(u32, &[(u64, bool)]); 4] = [
        (0, &[(0, true), (0, true), (0, true)]),
        (1, &[(0, true), (0, false), (999, false), (1000, true), (1001, false)]),
        (2, &[(0, true), (0, true), (0, false), (499, false), (500, true), (999, false), (1000, true)]),
        // refused ones do not put it off, and what was not used is no reserve for more than a second
        (2, &[(0, true), (0, true), (100, false), (400, false), (9000, true), (9000, true), (9000, false)]),
    ];
    for (per_second, course) in rows {
        let (mut table, one) = (clients(10), key("192.0.2.1"));
        let limits = ClientLimits { per_second, ..ClientLimits::default() };
        for (n, (when, is_let_in)) in course.iter().enumerate() {
            let expected = if *is_let_in { Ok(true) } else { Err(Refusal::TooFast) };
            assert_eq!(table.admit(one, limits, at(*when)), expected, "{per_second} a second, connection {n}");
            assert_eq!(table.admit(key("192.0.2.2"), open(0), at(*when)), Ok(true), "it takes nothing from others");
        }
    }
}

#[test]
fn a_full_table_makes_room_or_lets_in_uncounted() {
    let mut table = clients(3);
    let at = Duration::from_millis;
    let numbered = |n: u32| ClientKey::V4(n);
    for n in 0..3 {
        assert_eq!(table.admit(numbered(n), open(1), at(0)), Ok(true));
    }
    assert_eq!(table.admit(numbered(3), open(1), at(0)), Ok(false), "all are connected");
    assert_eq!(table.admit(numbered(0), open(1), at(0)), Err(Refusal::TooMany), "who is known is held to the limit");
    table.release(numbered(1));
    assert_eq!(table.admit(numbered(3), open(1), at(500)), Ok(false), "it has been looked through just now");
    assert_eq!(table.admit(numbered(3), open(1), at(1000)), Ok(true));
    assert_eq!(table.iter().count(), 3);
    // not counted, not given back
    table.release(numbered(77));
    assert_eq!(table.iter().count(), 3);
}

#[test]
fn repeat_offenders_are_kept_out_for_a_while() {
    let block = Some(Block { after: 3, within: Duration::from_secs(60), lasts: Duration::from_secs(600) });
    let at = Duration::from_secs;
    let mut table = clients(2);
    let one = key("2001:db8::1");
    assert_eq!(table.admit(one, ClientLimits { block, ..open(1) }, at(0)), Ok(true));
    assert!(!table.offend(one, block, at(0)));
    assert!(!table.offend(one, block, at(61)), "the first is too long ago");
    assert_eq!(table.admit(one, ClientLimits { block, ..open(1) }, at(70)), Err(Refusal::TooMany));
    assert_eq!(table.admit(one, ClientLimits { block, ..open(1) }, at(80)), Err(Refusal::TooMany));
    table.release(one);
    assert_eq!(table.admit(one, ClientLimits { block, ..open(1) }, at(81)), Err(Refusal::Blocked));
    assert_eq!(table.admit(key("2001:db8:0:1::"), ClientLimits { block, ..open(1) }, at(81)), Ok(true));
    assert_eq!(
        table.admit(key("2001:db8:0:2::"), ClientLimits { block, ..open(1) }, at(82)),
        Ok(false),
        "who is kept out is not forgotten"
    );
    assert_eq!(table.admit(one, open(1), at(83)), Ok(true), "nobody is, once it is not declared any more");
    table.release(one);
    assert_eq!(table.admit(one, ClientLimits { block, ..open(1) }, at(679)), Err(Refusal::Blocked));
    assert_eq!(table.admit(one, ClientLimits { block, ..open(1) }, at(681)), Ok(true));
    assert!(!table.offend(one, block, at(682)), "it begins anew");
    assert!(!table.offend(key("192.0.2.9"), block, at(682)), "nobody knows it");
}
