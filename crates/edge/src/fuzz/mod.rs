//! Whole connections, fuzzed: a client's, and a target's, with bytes that are nearly right in pieces of any size, against the code
//! that serves them. It is here because that code has no door for others; hunt and mutations are those of the `fuzz` crate.
//!
//! Whatever comes: nothing panics; the connection ends in bounded time, which passes only while nobody has anything to do; what
//! the client is sent can be read in one way only, and answers what it asked; an answer that the target has not given whole is not
//! told as if it were; a target is sent nothing but requests; neither tasks nor descriptors are left over.

mod checks;
mod databases;
mod frames;
mod http3;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/hunt.rs"]
mod hunt;
mod judge;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/mutate.rs"]
mod mutate;
mod pieces;
mod seeds;
mod whole;
mod world;

use headworks_balance::hash64;
use headworks_testkit::frames::PREFACE;

use self::hunt::{Target, keep_shape, last_shape};
use self::mutate::mutate;
use self::world::{Says, World};

/// How long each is hunted in a run of all tests.
const SECONDS: u64 = 3;

thread_local! {
    static WORLD: World = World::new();
}

/// The same bytes are always played in the same way.
fn seed_of(bytes: &[u8]) -> u64 {
    hash64(1, bytes)
}

/// A client says this. Its target answers as it should.
fn client(bytes: &[u8]) {
    let seed = seed_of(bytes);
    let says = Says { bytes: bytes.to_vec(), ends: seed.is_multiple_of(2) };
    let seen = WORLD.with(|world| world.play(&says, world::Target::Answers, seed));
    let asked: usize = seen.target.iter().map(|bytes| judge::requests(bytes)).sum();
    if bytes.starts_with(PREFACE) {
        keep_shape(format!("{asked} {}", judge::frames(&seen.client).0));
        return;
    }
    // what was asked is for the program to say: it may be anything
    let methods: &[&str] = if bytes.windows(4).any(|word| word == b"HEAD") { &["GET", "HEAD"] } else { &["GET"] };
    let answers = judge::answers(&seen.client, &|_| methods, 1);
    let answers = answers.unwrap_or_else(|why| panic!("{why}: {}", seen.client.escape_ascii()));
    let numbers: Vec<u32> = answers.iter().filter_map(|a| a.field("X-Number")?.parse().ok()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.len() <= asked, "answers {numbers:?} to {asked} requests");
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).take(6).collect();
    keep_shape(format!("{asked} {statuses:?} {:?}", answers.last().map(|answer| answer.framing)));
}

/// What a client asks of a target that says anything, and the methods of that.
const ASKS: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n\
                      POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                      HEAD /c HTTP/1.1\r\nHost: a\r\n\r\nGET /d HTTP/1.1\r\nHost: a\r\n\r\n";
const METHODS: [&[&str]; 4] = [&["GET"], &["POST"], &["HEAD"], &["GET"]];

/// What clients ask with: which versions those speak, as seeds decide.
#[derive(Clone, Copy)]
enum Asks {
    Http1,
    Http2,
    Http3,
}

/// A client asks below this path, of a target that says this: what it came to, and nobody is told that an answer is whole that is
/// not among those that the target has `said` whole.
fn ask(with: Asks, below: &str, says: Says, said: &[Vec<u8>], seed: u64) {
    let ends = seed.is_multiple_of(3);
    let (bytes, target) = (says.bytes.clone(), world::Target::Says(says));
    let (shape, told, head) = match with {
        Asks::Http1 => {
            let seen = WORLD.with(|world| world.play(&Says { bytes: ASKS.to_vec(), ends }, target, seed));
            let asked: usize = seen.target.iter().map(|bytes| judge::requests(bytes)).sum();
            let answers =
                judge::answers(&seen.client, &|number| METHODS.get(number - 1).copied().unwrap_or_default(), 1);
            let answers = answers.unwrap_or_else(|why| panic!("{why}: {}", seen.client.escape_ascii()));
            let shapes: Vec<_> = answers.iter().map(|answer| (answer.status, answer.framing)).take(6).collect();
            (format!("{asked} {shapes:?}"), whole::of_connection(&answers), 3)
        }
        Asks::Http2 => {
            let seen = WORLD.with(|world| world.play(&Says { bytes: seeds::http2_asks(below), ends }, target, seed));
            let (shape, told) = judge::frames(&seen.client);
            (shape, told, 5)
        }
        Asks::Http3 => {
            let asks = http3::asks(below);
            let seen = WORLD.with(|world| world.play_http3(&bytes, asks, target, seed));
            let asked = seen.target.iter().map(|bytes| judge::requests(bytes)).sum();
            let (shape, told) = http3::judge(&seen, asked);
            (shape, told, 2)
        }
    };
    keep_shape(shape);
    whole::check(&told, head, said);
}

/// A target says this to whatever it is asked.
fn target(bytes: &[u8]) {
    let seed = seed_of(bytes);
    let says = Says { bytes: bytes.to_vec(), ends: seed.is_multiple_of(2) };
    let said = whole::of_http1(&says);
    let with = [Asks::Http1, Asks::Http1, Asks::Http1, Asks::Http2, Asks::Http3][(seed >> 8) as usize % 5];
    ask(with, "", says, &said, seed);
}

/// A target of HTTP/2 says this. What comes over connections of HTTP/1.1 does not get there.
fn target_http2(bytes: &[u8]) {
    let seed = seed_of(bytes);
    let says = Says { bytes: bytes.to_vec(), ends: seed.is_multiple_of(2) };
    let said = whole::of_http2(&says.bytes);
    let with = [Asks::Http2, Asks::Http2, Asks::Http2, Asks::Http3][(seed >> 8) as usize % 4];
    ask(with, "/h2", says, &said, seed);
}

/// A client of HTTP/3 does this on its streams. Its target answers as it should.
fn client_http3(bytes: &[u8]) {
    let seed = seed_of(bytes);
    let seen = WORLD.with(|world| world.play_http3(bytes, http3::records(bytes), world::Target::Answers, seed));
    let asked = seen.target.iter().map(|bytes| judge::requests(bytes)).sum();
    keep_shape(http3::judge(&seen, asked).0);
}

/// A target with what earlier hunts have left.
macro_rules! target {
    ($name:literal, $run:expr, $mutate:expr, $seeds:expr) => {
        Target {
            name: $name,
            run: $run,
            shape: last_shape,
            mutate: $mutate,
            seeds: $seeds,
            corpus: include_str!(concat!("../../../../fuzz/corpus/", $name)),
        }
    };
}

const CLIENT: Target = target!("a_client", client, mutate, seeds::CLIENT);
const TARGET: Target = target!("a_target", target, mutate, seeds::TARGET);
const CLIENT_HTTP2: Target = target!("a_client_http2", client, frames::mutate_behind_preface, seeds::CLIENT_HTTP2);
const TARGET_HTTP2: Target = target!("a_target_http2", target_http2, frames::mutate_frames, seeds::TARGET_HTTP2);
const CLIENT_HTTP3: Target = target!("a_client_http3", client_http3, http3::mutate_records, seeds::CLIENT_HTTP3);
const POSTGRES: Target = target!("a_postgres", databases::postgres, databases::mutate_postgres, seeds::POSTGRES);
const MYSQL: Target = target!("a_mysql", databases::mysql, databases::mutate_mysql, seeds::MYSQL);
const REDIS: Target = target!("a_redis", databases::redis, mutate, seeds::REDIS);
const HEALTH_CHECK: Target = target!("a_health_check", checks::check, checks::mutate_answer, seeds::HEALTH_CHECK);
const CERTIFICATE: Target = target!("a_certificate", pieces::certificate, mutate, pieces::CERTIFICATES);
const DATAGRAM: Target = target!("a_datagram", pieces::datagram, mutate, pieces::DATAGRAMS);
const COOKIE: Target = target!("a_cookie", pieces::cookie, mutate, pieces::COOKIES);

fn hunt_for(target: &Target) {
    hunt::test(target, SECONDS, "headworks-edge");
}

/// An answer that is encoded and stops inside a trailer: there is nothing to do until it goes on.
#[test]
fn nothing_to_encode_is_nothing_to_do() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let asks = Says { bytes: ASKS.to_vec(), ends: false };
    for rest in ["0\r\nX-Trail", "0\r\nX: y\r", "5", "5\r\nhel", ""] {
        // some of them on either listener
        for seed in 0..16 {
            let says = Says { bytes: format!("{head}{rest}").into_bytes(), ends: false };
            WORLD.with(|world| world.play(&asks, world::Target::Says(says), seed));
        }
    }
}

/// A client of HTTP/3 that cuts off what it asks, before its head is whole or in the midst of content, and waits for the answer:
/// that is cut off as well. To end would be to say that it is whole.
#[test]
fn what_is_not_asked_to_its_end_has_no_answer_that_ends() {
    let head = b"\x01\x0e\0\0\xd4\xd7\x51\x02/a\x50\x01a\x54\x019";
    for length in 0..=head.len() {
        let record = http3::Record { stream: 0, then: http3::Then::IsCutOff, payload: head[..length].to_vec() };
        let seen = WORLD.with(|world| world.play_http3(head, vec![record], world::Target::Answers, 1));
        assert!(seen.answers.iter().all(|answer| answer.end.is_err()), "{length} bytes: {seen:?}");
    }
}

#[test]
fn a_client() {
    hunt_for(&CLIENT);
}

#[test]
fn a_target() {
    hunt_for(&TARGET);
}

#[test]
fn a_client_http2() {
    hunt_for(&CLIENT_HTTP2);
}

#[test]
fn a_target_http2() {
    hunt_for(&TARGET_HTTP2);
}

#[test]
fn a_client_http3() {
    hunt_for(&CLIENT_HTTP3);
}

#[test]
fn a_postgres() {
    hunt_for(&POSTGRES);
}

#[test]
fn a_mysql() {
    hunt_for(&MYSQL);
}

#[test]
fn a_redis() {
    hunt_for(&REDIS);
}

#[test]
fn a_health_check() {
    hunt_for(&HEALTH_CHECK);
}

#[test]
fn a_certificate() {
    hunt_for(&CERTIFICATE);
}

#[test]
fn a_datagram() {
    hunt_for(&DATAGRAM);
}

#[test]
fn a_cookie() {
    hunt_for(&COOKIE);
}
