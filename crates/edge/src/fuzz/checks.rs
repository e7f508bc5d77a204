//! What targets say to health checks over HTTP, in both versions, and to calls of gRPC.
//!
//! However it comes in, it means the same; it is a success, or another code, only when the answer says so; and a check is over in
//! its time.

use std::time::Duration;

use headworks_balance::Outcome;
use headworks_message::hpack::Decoder;
use headworks_message::section::FieldSection;
use headworks_message::{Parsed, ResponseHead, response};
use headworks_model::Config;
use headworks_model::resolve::Nothing;
use headworks_model::target_group::{HealthCheck, HealthProtocol, HttpVersion};
use headworks_testkit::frames::{flag, kind};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::frames::mutate_frames;
use super::hunt::keep_shape;
use super::mutate::{Random, mutate};
use crate::tls::dial::Dial;
use crate::upstream::connect::Endpoint;
use crate::upstream::probe;

/// A target that has waited so long for a question answers it all the same.
const THINKING: Duration = Duration::from_secs(1);
/// Bytes that a target is told at most.
const MOST_SAID: usize = 4096;
/// The default of health checks.
const PATIENCE: Duration = Duration::from_secs(5);

const CHECKS: [(&str, HttpVersion); 4] = [
    ("protocol: http, path: /well, matcher: \"200-299\"", HttpVersion::Http1),
    ("protocol: http, path: /well, matcher: \"200,204\"", HttpVersion::Http2),
    ("protocol: grpc, matcher: \"0-12\"", HttpVersion::Http2),
    ("protocol: grpc, path: /grpc.health.v1.Health/Check, matcher: \"0\"", HttpVersion::Http2),
];

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    static TARGET: Target = RUNTIME.with(|runtime| runtime.block_on(async { Target::new() }));
}

/// Where the target is, and how it is asked.
struct Target {
    listener: UnixListener,
    endpoint: Endpoint,
    checks: Vec<HealthCheck>,
    dial: Dial,
    _folder: TempDir,
}

impl Target {
    fn new() -> Target {
        let folder = TempDir::with_prefix("headworks-fuzz-").expect("a folder");
        let path = folder.path().join("target");
        let read = |(row, _): (&str, HttpVersion)| {
            let group = if row.contains("grpc") { "grpc" } else { "http" };
            let yaml = format!("target_groups: {{ a: {{ protocol: {group}, health_check: {{ {row} }} }} }}");
            let parsed = Config::parse("t", &yaml, &Nothing).unwrap_or_else(|faults| panic!("{faults}"));
            parsed.config.target_groups.into_values().next().expect("a group").health_check
        };
        Target {
            listener: UnixListener::bind(&path).expect("a target"),
            endpoint: Endpoint::Unix(path),
            checks: CHECKS.map(read).to_vec(),
            dial: Dial::default(),
            _folder: folder,
        }
    }

    /// What the check of this number makes of what a target says, and what that is told.
    async fn asked(&self, number: usize, says: &[u8], piece: usize, ends: bool) -> (Outcome, Vec<u8>) {
        let (check, version) = (&self.checks[number], CHECKS[number].1);
        let served = async {
            let (stream, _) = self.listener.accept().await.expect("a connection");
            serve(stream, says, piece, ends).await
        };
        let probed = probe::probe(&self.endpoint, None, check, version, &self.dial);
        let (outcome, heard) = timeout(PATIENCE * 3, async { tokio::join!(probed, served) }).await.expect("its time");
        (outcome, heard)
    }
}

/// Says this once it has been asked, and hears the rest.
async fn serve(mut stream: UnixStream, says: &[u8], piece: usize, ends: bool) -> Vec<u8> {
    /// A head on the first stream, with a body behind it and without.
    const HEADS: [&[u8]; 2] = [b"\x01\x04\0\0\0\x01", b"\x01\x05\0\0\0\x01"];
    let mut heard = Vec::new();
    let is_asked = |heard: &[u8]| {
        let is_text = heard.starts_with(b"GET") && heard.ends_with(b"\r\n\r\n");
        is_text || HEADS.iter().any(|head| heard.windows(head.len()).any(|found| found == *head))
    };
    while !is_asked(&heard) {
        let more = timeout(THINKING, stream.read_buf(&mut heard)).await;
        if !matches!(more, Ok(Ok(1..))) {
            break;
        }
    }
    for piece in says.chunks(piece.max(1)) {
        if stream.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    if ends {
        let _ = stream.shutdown().await;
    }
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

/// A target that is checked. The first byte chooses the check, and whether the target hangs up when it has said the rest.
pub(super) fn check(bytes: &[u8]) {
    let (first, says) = bytes.split_first().unwrap_or((&0, &[]));
    let (number, ends) = (usize::from(first >> 1) % CHECKS.len(), first & 1 == 0);
    let play =
        |piece| TARGET.with(|target| RUNTIME.with(|runtime| runtime.block_on(target.asked(number, says, piece, ends))));
    let (outcome, heard) = play(says.len());
    for piece in [1, 7, 40] {
        assert_eq!(play(piece).0, outcome, "in pieces of {piece}");
    }
    assert!(heard.len() <= MOST_SAID, "{} bytes for a target", heard.len());
    assert!(!ends || outcome != Outcome::Timeout, "a check goes on with a target that is gone");
    let check = TARGET.with(|target| target.checks[number].clone());
    let fits = |code: u16| check.matcher.iter().any(|(low, high)| (*low..=*high).contains(&code));
    let codes = if number == 0 { status(says).into_iter().collect() } else { codes(&check, says) };
    match outcome {
        Outcome::Success => {
            assert!(codes.iter().any(|code| fits(*code)), "{codes:?}");
            let is_health = number == 3;
            assert!(!is_health || says.windows(2).any(|two| two == b"\x08\x01"), "nothing says that it serves");
        }
        Outcome::CodeMismatch(code) => assert!(codes.contains(&code) && !fits(code), "{code} of {codes:?}"),
        Outcome::Unfit(unfit) => panic!("{unfit:?}"),
        Outcome::Timeout | Outcome::Failed => {
            let is_answer = number == 0 && !codes.is_empty();
            assert!(!is_answer, "{outcome:?}, answered with {codes:?}");
        }
    }
    keep_shape(format!("{number} {outcome:?} {codes:?} {ends}"));
}

/// The status of the answer that text begins with, behind interim ones.
fn status(mut says: &[u8]) -> Option<u16> {
    loop {
        let mut head = ResponseHead::default();
        match response::parse(says, &mut head) {
            Ok(Parsed::Complete) if head.is_interim() => says = &says[head.len..],
            Ok(Parsed::Complete) => return Some(head.status),
            _ => return None,
        }
    }
}

/// The codes that heads in frames say: statuses, or those of gRPC.
fn codes(check: &HealthCheck, mut says: &[u8]) -> Vec<u16> {
    let wanted: &[u8] = if check.protocol == HealthProtocol::Grpc { b"grpc-status" } else { b":status" };
    let (mut decoder, mut block, mut codes) = (Decoder::default(), Vec::new(), Vec::new());
    while let Some((head, behind)) = says.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, next)) = behind.split_at_checked(length) else { break };
        says = next;
        let Some(payload) = super::whole::unpadded(head[3], head[4], payload) else { break };
        if head[3] == kind::HEADERS {
            block.clear();
        }
        if matches!(head[3], kind::HEADERS | kind::CONTINUATION) {
            block.extend_from_slice(payload);
            let mut section = FieldSection::default();
            if head[4] & flag::END_HEADERS != 0 && decoder.decode(&block, 1 << 20, &mut section).is_ok() {
                let found = section.iter().filter(|(name, _)| *name == wanted);
                codes.extend(found.filter_map(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u16>().ok()));
            }
        }
    }
    codes
}

/// Changes frames, or text.
pub(super) fn mutate_answer(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let Some((first, rest)) = input.split_first() else { return mutate(input, other, limit, random) };
    let (mut first, mut rest) = (*first, rest.to_vec());
    let other = other.get(1..).unwrap_or_default();
    match usize::from(first >> 1) % CHECKS.len() {
        0 => mutate(&mut rest, other, limit, random),
        _ => mutate_frames(&mut rest, other, limit, random),
    }
    if random.below(8) == 0 {
        first = random.below(8) as u8;
    }
    *input = [&[first], rest.as_slice()].concat();
}
