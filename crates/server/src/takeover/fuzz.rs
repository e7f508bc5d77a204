//! What the two processes say to each other, fuzzed: a process of another version, or none at all, says this at the door.
//!
//! Whatever comes, in whatever pieces: it is heard or refused, and hearing ends with who speaks; what is understood is the same when
//! it is said again, and when a newer version says more; and nothing but leave to take over is taken for that.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::message::{Ask, Estate, Offer, Step, Upgraded};
use super::predecessor::permitted;
use super::wire::Link;
use crate::fuzz::hunt::{self, Target, keep_shape, last_shape};
use crate::fuzz::mutate::{Random, mutate};
use crate::fuzz::values::pick;

/// How long it is hunted in a run of all tests.
const SECONDS: u64 = 2;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
}

/// The first byte says whether what follows is a message's content, or all there is on the wire.
const SEEDS: &[&[u8]] = &[
    br#"c{"ask":"upgrade","program":"/usr/bin/headworks","file":"/etc/h.yaml"}"#,
    br#"c{"ask":"take_over","protocol":1,"version":"1.0.0","pid":7}"#,
    br#"c{"answer":"serving","pid":7,"replaced":6}"#,
    br#"c{"answer":"failed","status":null,"reason":"no"}"#,
    br#"c{"answer":"refused","reason":"no"}"#,
    br#"c{"answer":"estate","estate":{"version":"1.0.0","pid":7,"admin":"127.0.0.1:9080","held":1,"edge":{"tickets":{"current":{"name":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"key":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"made":5},"previous":null},"quic":{"reset":[1,2],"token":[3],"identity":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"generation":3},"listeners":[{"load_balancer":"a","listener":"b","declared":{"port":80},"address":"[::]:80","connections":2,"datagrams":0}],"predecessors":[{"generation":2,"listeners":["1.2.3.4:443"]}],"groups":{"g":{"clock":{"secs":5,"nanos":0},"targets":[{"key":1}],"gradient":null}}}}}"#,
    br#"c{"step":"ready"}"#,
    br#"c{"step":"go"}"#,
    br#"c{"step":"given_up","reason":"late"}"#,
    br#"c{"step":"serving"}"#,
    br#"c{"step":"released","flows":[{"listener":"0.0.0.0:53","place":0,"client":"1.2.3.4:5","local":null,"group":"g","target":1}]}"#,
    b"w\0\0\0\x02\0\0\0\0{}",
    b"w\x7f\xff\xff\xff\0\0\0\0",
    b"w\0\0\0\x10\0\0\0\x02{\"step\":\"ready\"}p",
];

/// What one end hears when the other says these bytes, in pieces, and hangs up.
fn heard<T: DeserializeOwned>(bytes: &[u8], piece: usize) -> io::Result<T> {
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair()?;
            let mut link = Link::new(ours);
            let said = async move {
                let mut theirs = theirs;
                for piece in bytes.chunks(piece) {
                    if theirs.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = theirs.shutdown().await;
                theirs
            };
            let hearing = timeout(Duration::from_secs(60), link.receive::<T>());
            let (heard, _theirs) = tokio::join!(hearing, said);
            let (heard, descriptors) = heard.expect("hearing ends with who speaks")?;
            assert!(descriptors.is_empty());
            Ok::<T, io::Error>(heard)
        })
    })
}

/// What a message is on the wire.
fn framed(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_be_bytes()[..], &[0; 4], content].concat()
}

/// Hears it as one kind of message. What it says, if it is one.
fn hear<T: DeserializeOwned + Serialize>(wire: &[u8]) -> Option<(T, Value)> {
    let whole = heard::<T>(wire, wire.len().max(1));
    let pieces = heard::<T>(wire, 5);
    let text = |heard: &io::Result<T>| heard.as_ref().ok().map(|heard| serde_json::to_value(heard).expect("JSON"));
    assert_eq!(text(&pieces), text(&whole), "in pieces");
    let (heard, said) = (whole.ok()?, text(&pieces)?);
    let mut more = said.clone();
    more["a_field_of_tomorrow"] = Value::Bool(true);
    for again in [&said, &more] {
        let again = framed(&serde_json::to_vec(again).expect("JSON"));
        assert_eq!(text(&self::heard::<T>(&again, again.len())), Some(said.clone()), "said again");
    }
    Some((heard, said))
}

fn check(bytes: &[u8]) {
    let wire = match bytes.split_first() {
        Some((b'c', content)) => framed(content),
        Some((_, wire)) => wire.to_vec(),
        None => Vec::new(),
    };
    let kinds = [hear::<Ask>(&wire).is_some(), hear::<Upgraded>(&wire).is_some()];
    let mut shape = format!("{kinds:?}");
    if let Some((step, said)) = hear::<Step>(&wire) {
        shape += &format!(" {:?}", said["step"]);
        let may = permitted(step, Vec::new());
        assert_eq!(may.is_ok(), said["step"] == "go", "{said}");
    }
    if let Some((Offer::Estate { estate }, _)) = hear::<Offer>(&wire) {
        let read = Estate::deserialize(estate);
        shape += &read.as_ref().map_or_else(|error| error.to_string(), |estate| format!("held {}", estate.held.min(9)));
        if let Ok(estate) = read {
            let said = serde_json::to_value(&estate).expect("JSON");
            let again = Estate::deserialize(said.clone()).expect("what was said by this version");
            assert_eq!(serde_json::to_value(&again).expect("JSON"), said);
        }
    }
    keep_shape(shape);
}

/// Changes a value or a key somewhere in a message, or bytes.
fn mutate_message(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let value = input.strip_prefix(b"c").and_then(|content| serde_json::from_slice::<Value>(content).ok());
    let Some(mut value) = value.filter(|_| random.below(3) > 0) else { return mutate(input, other, limit, random) };
    let donor = other.strip_prefix(b"c").and_then(|content| serde_json::from_slice::<Value>(content).ok());
    *pick(&mut value, random) = match random.below(8) {
        0 => Value::Null,
        1 => u64::MAX.into(),
        2 => Value::from(-1),
        3 => "0.0.0.0:0".into(),
        4 => Value::Array(Vec::new()),
        5 => Value::from(1.5_f64),
        6 => donor.unwrap_or_default(),
        _ => random.below(70_000).into(),
    };
    let text = value.to_string();
    if text.len() < limit {
        *input = [b"c", text.as_bytes()].concat();
    }
}

#[test]
fn a_message() {
    let target = Target {
        name: "a_message",
        run: check,
        shape: last_shape,
        mutate: mutate_message,
        seeds: SEEDS,
        corpus: include_str!("../../../../fuzz/corpus/a_message"),
    };
    hunt::test(&target, SECONDS, "headworks-server");
}
