//! What databases say to health checks: a server says this, whatever it is asked.
//!
//! However it comes in, it means the same; it is a success only when the letter of the protocol says so; and a server is told
//! neither much nor, by MySQL's protocol, the password.

use std::io;
use std::time::Duration;

use headworks_balance::{Outcome, Unfit};
use headworks_model::Config;
use headworks_model::resolve::Nothing;
use headworks_model::target_group::{HealthCheck, HealthProtocol, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::hunt::keep_shape;
use super::mutate::{Random, mutate};
use crate::upstream::probe;

const PASSWORD: &str = "hunter2-is-long";
/// Longer than any check may take.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A server that has waited so long for a question answers it all the same.
const THINKING: Duration = Duration::from_secs(1);
/// Bytes that a server is told at most.
const MOST_SAID: usize = 4096;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    static POSTGRES: Vec<HealthCheck> = checks(HealthProtocol::Postgres);
    static MYSQL: Vec<HealthCheck> = checks(HealthProtocol::Mysql);
    static REDIS: Vec<HealthCheck> = checks(HealthProtocol::Redis);
}

fn checks(protocol: HealthProtocol) -> Vec<HealthCheck> {
    let password = format!("password: {PASSWORD}");
    let rows = match protocol {
        HealthProtocol::Postgres => vec![
            "protocol: postgres".to_owned(),
            format!("protocol: postgres, user: a, {password}, role: replica, max_lag: 5s"),
            "protocol: postgres, user: a, role: primary".to_owned(),
        ],
        HealthProtocol::Mysql => vec!["protocol: mysql".to_owned(), format!("protocol: mysql, user: a, {password}")],
        _ => vec![
            "protocol: redis".to_owned(),
            "protocol: redis, role: primary".to_owned(),
            format!("protocol: redis, {password}, role: replica"),
        ],
    };
    let read = |row: String| {
        let yaml = format!("target_groups: {{ db: {{ protocol: tcp, health_check: {{ {row} }} }} }}");
        let parsed = Config::parse("t", &yaml, &Nothing).unwrap_or_else(|faults| panic!("{faults}"));
        parsed.config.target_groups.into_values().next().expect("a group").health_check
    };
    rows.into_iter().map(read).collect()
}

/// The first byte chooses the check, and whether the server hangs up when it has said the rest.
fn chosen<'a, 'b>(checks: &'a [HealthCheck], bytes: &'b [u8]) -> (&'a HealthCheck, bool, &'b [u8]) {
    let (first, says) = bytes.split_first().unwrap_or((&0, &[]));
    (&checks[usize::from(first >> 1) % checks.len()], first & 1 == 0, says)
}

/// What a check makes of what a server says, and what that is told; none when it has waited for more in vain.
fn outcome(
    check: &HealthCheck,
    says: &[u8],
    piece: usize,
    ends: bool,
) -> Option<(Result<Outcome, io::ErrorKind>, Vec<u8>)> {
    let (greeting, answer) = says.split_at(greeting(check, says));
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            let server = async {
                let mut heard = Vec::new();
                say(&mut theirs, greeting, piece).await;
                while !answer.is_empty() && !has(&heard, b"SELECT") {
                    let more = timeout(THINKING, theirs.read_buf(&mut heard)).await;
                    if !matches!(more, Ok(Ok(1..))) {
                        break;
                    }
                }
                say(&mut theirs, answer, piece).await;
                if ends {
                    let _ = theirs.shutdown().await;
                }
                let _ = theirs.read_to_end(&mut heard).await;
                heard
            };
            let asked = async { probe::converse(ours, check).await.map_err(|error| error.kind()) };
            timeout(PATIENCE, async { tokio::join!(asked, server) }).await.ok()
        })
    })
}

/// How much a server says before it has been asked: all of it, but where a login is followed by a question.
fn greeting(check: &HealthCheck, says: &[u8]) -> usize {
    const READY: &[u8] = b"Z\0\0\0\x05";
    let asks = check.protocol == HealthProtocol::Postgres && check.user.is_some();
    let ready = says.windows(READY.len()).position(|found| found == READY).filter(|_| asks);
    ready.map_or(says.len(), |at| (at + READY.len() + 1).min(says.len()))
}

async fn say(stream: &mut DuplexStream, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece) {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn play(checks: &[HealthCheck], bytes: &[u8]) -> Option<(HealthCheck, Outcome, Vec<u8>)> {
    let (check, ends, says) = chosen(checks, bytes);
    let whole = outcome(check, says, says.len().max(1), ends);
    // what the client of the `tokio-postgres` crate makes of an error depends on what it finds behind it
    let is_others = check.protocol == HealthProtocol::Postgres && check.user.is_some();
    for piece in [1, 3, 50].into_iter().filter(|_| !is_others) {
        let other = outcome(check, says, piece, ends);
        let of = |played: &Option<(Result<Outcome, _>, _)>| played.as_ref().map(|(found, _)| *found);
        assert_eq!(of(&other), of(&whole), "in pieces of {piece}");
    }
    assert!(whole.is_some() || !ends, "a check goes on with a server that is gone");
    keep_shape(format!("{:?} {:?}", check.role, whole.as_ref().map(|(found, heard)| (found, heard.len()))));
    let (found, heard) = whole?;
    assert!(heard.len() <= MOST_SAID, "{} bytes for a server", heard.len());
    Some((check.clone(), found.ok()?, heard))
}

/// Whether `text` has this somewhere.
fn has(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|found| found == wanted)
}

/// PostgreSQL, or what says that it is.
pub(super) fn postgres(bytes: &[u8]) {
    let played = POSTGRES.with(|checks| play(checks, bytes));
    let says = bytes.get(1..).unwrap_or_default();
    let Some((check, found, _)) = played else { return };
    match (found, &check.user) {
        (Outcome::Success, None) => assert!(says.starts_with(b"R") || says.starts_with(b"E") && has(says, b"C28")),
        // authentication is over, and a row has come
        (Outcome::Success, Some(_)) => assert!(has(says, b"R\0\0\0\x08\0\0\0\0") && has(says, b"D\0\0\0")),
        (Outcome::Unfit(Unfit::NotPrimary), _) => assert!(check.role == Some(Role::Primary) && has(says, b"\x01t")),
        (Outcome::Unfit(Unfit::NotReplica), _) => assert!(check.role == Some(Role::Replica) && has(says, b"\x01f")),
        _ => {}
    }
}

/// MySQL.
pub(super) fn mysql(bytes: &[u8]) {
    let played = MYSQL.with(|checks| play(checks, bytes));
    let says = bytes.get(1..).unwrap_or_default();
    let Some((check, found, heard)) = played else { return };
    assert!(!has(&heard, PASSWORD.as_bytes()), "the password in full: {}", heard.escape_ascii());
    if found == Outcome::Success {
        // what is not the first packet says so
        let (mut rest, mut firsts) = (says, Vec::new());
        while let Some((head, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
            let Some((packet, next)) = behind.split_at_checked(length) else { break };
            firsts.push(packet.first().copied());
            rest = next;
        }
        assert_eq!(firsts.first(), Some(&Some(10)));
        let is_told_so = check.user.is_none() && has(says, b"#28000");
        assert!(firsts[1..].contains(&Some(0)) || is_told_so, "{firsts:?}");
    }
}

/// Redis.
pub(super) fn redis(bytes: &[u8]) {
    let played = REDIS.with(|checks| play(checks, bytes));
    let says = bytes.get(1..).unwrap_or_default();
    let Some((check, found, heard)) = played else { return };
    assert!(has(&heard, b"PING"));
    let rest = if check.password.is_some() { says.strip_prefix(b"+OK\r\n") } else { Some(says) };
    let rest = rest.and_then(|rest| rest.strip_prefix(b"+PONG\r\n"));
    let role = rest.filter(|rest| rest.starts_with(b"*")).and_then(|rest| {
        let end = rest.iter().position(|b| *b == b'\n')?;
        rest.get(end + 1..)
    });
    match (found, check.role) {
        (Outcome::Success, None) => assert!(rest.is_some()),
        (Outcome::Success, Some(Role::Primary)) => {
            assert!(role.is_some_and(|role| role.starts_with(b"$") && has(role, b"\r\nmaster\r\n")));
        }
        (Outcome::Success, Some(Role::Replica)) => {
            assert!(role.is_some_and(|role| has(role, b"\r\nslave\r\n") && has(role, b"\r\nconnected\r\n")));
        }
        (Outcome::Unfit(Unfit::NotPrimary), _) => assert!(role.is_some_and(|role| has(role, b"\r\nslave\r\n"))),
        (Outcome::Unfit(Unfit::NotReplica), _) => assert!(role.is_some_and(|role| has(role, b"\r\nmaster\r\n"))),
        _ => {
            let is_success = rest.is_some() && check.role.is_none();
            assert!(!is_success, "{found:?}");
        }
    }
}

/// How the packets of a protocol begin.
#[derive(Clone, Copy)]
struct Framing {
    /// Bytes before the content.
    head: usize,
    length: fn(&[u8]) -> usize,
    set_length: fn(&mut [u8], usize),
}

const OF_MYSQL: Framing = Framing {
    head: 4,
    length: |head| u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize,
    set_length: |head, length| head[..3].copy_from_slice(&(length as u32).to_le_bytes()[..3]),
};
const OF_POSTGRES: Framing = Framing {
    head: 5,
    length: |head| (u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize).saturating_sub(4),
    set_length: |head, length| head[1..].copy_from_slice(&(length as u32 + 4).to_be_bytes()),
};

/// Changes packets of MySQL.
pub(super) fn mutate_mysql(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    mutate_packets(OF_MYSQL, input, other, limit, random);
}

/// Changes messages of PostgreSQL.
pub(super) fn mutate_postgres(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    mutate_packets(OF_POSTGRES, input, other, limit, random);
}

fn mutate_packets(framing: Framing, input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let (first, mut packets) = split(framing, input);
    let (_, others) = split(framing, other);
    if packets.is_empty() || others.is_empty() || random.below(8) == 0 {
        return mutate(input, other, limit, random);
    }
    for _ in 0..=random.below(3) {
        let at = random.below(packets.len());
        match random.below(6) {
            0 if packets.len() > 1 => drop(packets.remove(at)),
            1 => packets.insert(at, others[random.below(others.len())].clone()),
            // a type, or a number
            2 => packets[at][if framing.head == 4 { 3 } else { 0 }] = others[random.below(others.len())][0],
            _ => {
                let mut content = packets[at].split_off(framing.head);
                mutate(&mut content, &others[random.below(others.len())][framing.head..], limit, random);
                (framing.set_length)(&mut packets[at], content.len());
                packets[at].append(&mut content);
            }
        }
    }
    if framing.head == 4 && random.below(4) > 0 {
        // most are in order: the client's answers have numbers of their own
        packets.iter_mut().enumerate().for_each(|(number, packet)| packet[3] = number as u8 * 2);
    }
    *input = vec![if random.below(8) == 0 { random.below(8) as u8 } else { first }];
    input.extend(packets.concat());
    input.truncate(limit);
}

fn split(framing: Framing, bytes: &[u8]) -> (u8, Vec<Vec<u8>>) {
    let Some((first, mut rest)) = bytes.split_first() else { return (0, Vec::new()) };
    let mut packets = Vec::new();
    while rest.len() >= framing.head {
        let length = (framing.length)(rest).saturating_add(framing.head).min(rest.len());
        let (packet, next) = rest.split_at(length);
        packets.push(packet.to_vec());
        rest = next;
    }
    (*first, packets)
}
