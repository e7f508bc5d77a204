//! Flows over TCP from their first words to their last (N1): bytes as they are, ends as ends, resets as resets, and what is told
//! of them.

use std::thread;

use headworks_testkit::stream::End;
use headworks_testkit::{Client, Door, echo, wait};
use rustix::process::Signal;
use serde_json::Value;

use crate::network::{expect_open, flow, network, noise, one, wait_ended};
use crate::start;

#[test]
fn bytes_ends_and_what_is_told_of_them() {
    let door = Door::open();
    let headworks = one(&door, "", "", "");
    let (mut client, mut target) = flow(&headworks, &door);
    // who speaks first is not ours to say
    target.send(b"220 ready\r\n");
    assert_eq!(client.bytes(11), b"220 ready\r\n");
    let status = headworks.status();
    let listener = &status["load_balancers"]["net"]["listeners"]["tcp"];
    assert_eq!((&listener["protocol"], &listener["connections"]["active"]), (&"tcp".into(), &1.into()), "{status:#}");
    assert_eq!(status["target_groups"]["web"]["targets"][0]["in_flight"], 1);
    // the client has said its last; the other direction goes on
    client.send(b"last words").finish();
    assert_eq!(target.rest(), (b"last words".to_vec(), End::Closed));
    target.send(b"still here").finish();
    assert_eq!(client.rest(), (b"still here".to_vec(), End::Closed));
    let (mut client, mut target) = flow(&headworks, &door);
    target.send(b"bye").finish();
    assert_eq!(client.rest(), (b"bye".to_vec(), End::Closed));
    client.send(b"one more thing").finish();
    assert_eq!(target.rest(), (b"one more thing".to_vec(), End::Closed));
    let lines = headworks.log_lines("access.log", 2);
    // of two workers, either may have written first
    let line = lines.iter().find(|line| line.contains("\"received_bytes\":10,")).unwrap_or_else(|| panic!("{lines:?}"));
    let line: Value = serde_json::from_str(line).unwrap();
    let expected = [
        ("load_balancer", Value::from("net")),
        ("listener", "tcp".into()),
        ("rule", "default".into()),
        ("target_group", "web".into()),
        ("target_address", door.to_string().into()),
        ("received_bytes", 10.into()),
        ("sent_bytes", 21.into()),
        ("ended", "closed".into()),
    ];
    for (key, value) in expected {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    assert!(line["duration"].as_f64().unwrap() > 0.0 && line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    let metrics = headworks.wait_metrics("headworks_flows_ended_total", &[("reason", "closed")], 2.0);
    for (name, labels, value) in [
        ("headworks_new_flows_total", &[][..], 2.0),
        ("headworks_active_flows", &[], 0.0),
        ("headworks_processed_bytes_total", &[("direction", "to_target")], 24.0),
        ("headworks_processed_bytes_total", &[("direction", "to_client")], 24.0),
        ("headworks_tcp_resets_total", &[], 0.0),
        ("headworks_target_group_requests_total", &[], 2.0),
    ] {
        assert_eq!(metrics.sum(name, labels), value, "{name} {labels:?}");
    }
}

#[test]
fn resets_are_passed_on() {
    let door = Door::open();
    let headworks = one(&door, "", "", "");
    let (client, mut target) = flow(&headworks, &door);
    client.reset();
    assert_eq!(target.rest(), (Vec::new(), End::Reset));
    let (mut client, target) = flow(&headworks, &door);
    target.reset();
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
    // also of a side that has said its last already
    let (mut client, mut target) = flow(&headworks, &door);
    client.finish();
    assert_eq!(target.rest(), (Vec::new(), End::Closed));
    client.reset();
    wait_ended(&headworks, "client_reset", 2.0);
    wait::until("the reset", || target.try_send(b"x").is_err().then_some(()));
    let (mut client, mut target) = flow(&headworks, &door);
    target.finish();
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
    target.reset();
    let metrics = headworks.wait_metrics("headworks_flows_ended_total", &[("reason", "target_reset")], 2.0);
    let by = |who| metrics.sum("headworks_tcp_resets_total", &[("by", who)]);
    assert_eq!((by("client"), by("target"), by("headworks")), (2.0, 2.0, 0.0));
}

/// What a side says at its end, of which all is there when it is looked: the other gets each byte, and the same end.
#[test]
fn last_words() {
    let door = Door::open();
    let headworks = one(&door, "", "", "");
    type Says = fn(&mut Client);
    let cases: [(&str, Says); 3] = [
        ("bytes", |side| _ = side.send(b"the last")),
        // a read stops at the place of urgent data, and what is behind it comes with the next
        ("urgent data between", |side| _ = side.send(b"the ").urge(b'!').send(b"last")),
        ("urgent data at the end", |side| _ = side.send(b"the last").urge(b'!')),
    ];
    for (name, says) in cases {
        for (of_client, is_reset) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut sides = flow(&headworks, &door);
            expect_open(&mut sides);
            let (client, target) = sides;
            let (mut side, mut other) = if of_client { (client, target) } else { (target, client) };
            headworks.signal(Signal::STOP);
            says(&mut side);
            if is_reset {
                side.reset();
            } else {
                side.finish();
            }
            headworks.signal(Signal::CONT);
            let (got, end) = other.rest();
            let expected = if is_reset { End::Reset } else { End::Closed };
            assert_eq!(end, expected, "{name}, of the client: {of_client}");
            // a reset may overtake bytes
            assert!(is_reset || got == b"the last", "{name}, of the client: {of_client}: {got:?}");
        }
    }
}

/// A target that speaks first is heard at a listener whose clients have always done so.
#[test]
fn who_speaks_first_may_change() {
    let door = Door::open();
    let yaml = network(&[&door.to_string()], "", "", "").replace("workers: 2", "workers: 1");
    let headworks = start(&yaml, &[]);
    for _ in 0..300 {
        expect_open(&mut flow(&headworks, &door));
    }
    for _ in 0..2 {
        let (mut client, mut target) = flow(&headworks, &door);
        target.send(b"220 ready\r\n");
        assert_eq!(client.bytes(11), b"220 ready\r\n");
    }
}

/// Both ways at once, in bulk and in small pieces, to the last byte: the kernel moves the bulk by itself.
#[test]
fn large_transfers() {
    let door = Door::open();
    let headworks = one(&door, "", "", "");
    for (up, down, piece) in [(10 << 20, 10 << 20, 1 << 20), (10 << 20, 1 << 10, 60_000), (0, 4 << 20, 300)] {
        let (client, target) = flow(&headworks, &door);
        let (to_target, to_client) = (noise(up, 1), noise(down, 2));
        let send = |side: &Client, bytes: Vec<u8>| {
            let mut side = side.twin();
            thread::spawn(move || {
                for piece in bytes.chunks(piece) {
                    side.send(piece);
                }
                side.finish();
            })
        };
        let read = |mut side: Client| thread::spawn(move || side.rest());
        let senders = [send(&client, to_target.clone()), send(&target, to_client.clone())];
        let [at_client, at_target] = [read(client), read(target)].map(|reader| reader.join().unwrap());
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        for ((got, end), sent) in [(at_client, to_client), (at_target, to_target)] {
            assert_eq!((got.len(), end), (sent.len(), End::Closed));
            assert_eq!(echo::hash(&got), echo::hash(&sent));
        }
    }
}

/// Whoever does not read slows the other down: memory stays bounded, and nothing is lost.
#[test]
fn what_is_not_read_is_not_taken() {
    let door = Door::open();
    let headworks = one(&door, "", "", "");
    let (client, mut target) = flow(&headworks, &door);
    let bytes = noise(64 << 20, 3);
    let hash = echo::hash(&bytes);
    let mut writer = client.twin();
    let sender = thread::spawn(move || {
        writer.send(bytes).finish();
    });
    // it gets stuck, far from its end
    let sent = || headworks.metrics().sum("headworks_processed_bytes_total", &[("direction", "to_target")]);
    let mut before = -1.0;
    wait::until("no more to be taken", || {
        let now = sent();
        std::mem::replace(&mut before, now).eq(&now).then_some(()).filter(|()| now > 0.0)
    });
    assert!(before < f64::from(32 << 20), "{before} bytes are on their way");
    let (got, end) = target.rest();
    assert_eq!((got.len(), end, echo::hash(&got)), (64 << 20, End::Closed, hash));
    sender.join().unwrap();
}
