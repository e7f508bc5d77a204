//! What a client of HTTP/3 says, as bytes; and what must hold of what it is told.
//!
//! An input is records: a stream's number and what becomes of it in one byte, a length in two, and so many bytes for it. Streams
//! from [`ONE_WAY`] on are unidirectional. QUIC itself is the `quinn` crate's, and spoken by it on both sides.

use headworks_message::h3::{self, FrameHead, FrameKind, Settings, integer, stream};
use headworks_message::qpack;
use headworks_message::section::FieldSection;
use quinn::ConnectionError;

use super::mutate::{Random, mutate};
use super::whole::Told;
use super::world::{Given, SeenHttp3};

/// The first stream that goes one way, of the sixteen that a record can name.
const ONE_WAY: u8 = 8;
const STREAM: u8 = 0x0f;
const HEAD: usize = 3;

/// What a client does on a stream when it has said a record's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoesOn,
    Ends,
    IsCutOff,
    /// Where the stream begins with it.
    WantsNoAnswer,
}

/// A record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stream: u8,
    pub(super) then: Then,
    pub(super) payload: Vec<u8>,
}

impl Record {
    pub(super) fn is_request(&self) -> bool {
        self.stream < ONE_WAY
    }
}

/// The records that bytes are: the last one has what there is.
pub(super) fn records(bytes: &[u8]) -> Vec<Record> {
    let record = |bytes: Vec<u8>| Record {
        stream: bytes[0] & STREAM,
        then: [Then::GoesOn, Then::Ends, Then::IsCutOff, Then::WantsNoAnswer][usize::from(bytes[0] >> 4 & 3)],
        payload: bytes[HEAD..].to_vec(),
    };
    split(bytes).into_iter().map(record).collect()
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let length = usize::from(u16::from_be_bytes([head[1], head[2]])).min(rest.len());
        let (record, next) = bytes.split_at(HEAD + length);
        records.push(record.to_vec());
        bytes = next;
    }
    records
}

/// What a client asks, below this path, of a target that says anything.
pub(super) fn asks(below: &str) -> Vec<Record> {
    let ask = |stream, method: &str, name: &str, content: &[u8]| {
        let (mut section, mut payload) = (Vec::new(), Vec::new());
        let path = format!("{below}/{name}");
        qpack::begin(&mut section);
        for (name, value) in [(":method", method), (":scheme", "https"), (":authority", "a"), (":path", &path)] {
            qpack::put(&mut section, name.as_bytes(), value.as_bytes());
        }
        h3::put_headers(&mut payload, &section);
        if !content.is_empty() {
            h3::put_data_head(&mut payload, content.len());
            payload.extend_from_slice(content);
        }
        Record { stream, then: Then::Ends, payload }
    };
    vec![ask(0, "GET", "a", b""), ask(1, "POST", "b", b"hello"), ask(2, "HEAD", "c", b"")]
}

/// Changes records such that most of what comes of them are records still, and what is in them often frames.
pub(super) fn mutate_records(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let mut own = split(input);
    let others = split(other);
    if own.is_empty() || others.is_empty() || random.below(16) == 0 {
        return mutate(input, other, limit, random);
    }
    for _ in 0..=random.below(3) {
        let at = random.below(own.len());
        match random.below(8) {
            0 if own.len() > 1 => drop(own.remove(at)),
            1 => {
                let with = random.below(own.len());
                own.swap(at, with);
            }
            2 => own.insert(at, own[random.below(own.len())].clone()),
            3 => own.insert(at, others[random.below(others.len())].clone()),
            4 => own[at][0] = random.below(64) as u8,
            // the first frame's type, or that of the stream
            5 if own[at].len() > HEAD => {
                own[at][HEAD] = [0, 1, 2, 3, 4, 5, 7, 0x0d, 0x21, 0x40, 0xff][random.below(11)];
            }
            _ => {
                let mut payload = own[at].split_off(HEAD);
                let with = &others[random.below(others.len())];
                match random.below(3) {
                    0 => mutate(&mut payload, &with[HEAD..], limit, random),
                    _ => mutate_frame(&mut payload, &with[HEAD..], limit, random),
                }
                own[at].append(&mut payload);
            }
        }
    }
    for record in &mut own {
        let length = (record.len() - HEAD).min(usize::from(u16::MAX)) as u16;
        record[1..HEAD].copy_from_slice(&length.to_be_bytes());
    }
    *input = own.concat();
    input.truncate(limit);
}

/// Changes what is in one frame, and its length with it, where it is one that a byte can say.
fn mutate_frame(payload: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some((head, length)) = payload.get(at..).and_then(FrameHead::parse) {
        let end = at + length + usize::try_from(head.length).unwrap_or(usize::MAX - at - length).min(payload.len());
        if length == 2 && end <= payload.len() {
            starts.push((at, end));
        }
        at = end;
    }
    if starts.is_empty() {
        return mutate(payload, other, limit, random);
    }
    let (start, end) = starts[random.below(starts.len())];
    let mut content = payload[start + 2..end].to_vec();
    mutate(&mut content, other, 63, random);
    payload[start + 1] = content.len() as u8;
    payload.splice(start + 2..end, content);
}

/// What was seen, in short, and the answers that were whole to the client.
///
/// # Panics
/// When a client could not read it, or it is no end for a connection.
pub(super) fn judge(seen: &SeenHttp3, asked: usize) -> (String, Vec<Told>) {
    let mut said = format!("{asked} ");
    let mut numbers = Vec::new();
    let mut whole = Vec::new();
    for (place, given) in seen.answers.iter().enumerate() {
        let answer = answer(given);
        said += &answer.said;
        numbers.extend(answer.number);
        if given.end.is_ok() {
            whole.push(Told { place: place as u64, ..answer.told });
        }
    }
    numbers.sort_unstable();
    let answered = numbers.len();
    numbers.dedup();
    assert!(answered == numbers.len() && answered <= asked, "answers {numbers:?} to {asked} requests");
    assert!(seen.told.len() <= 1, "{} streams of the program's own", seen.told.len());
    seen.told.iter().for_each(|given| said += &control(&given.bytes));
    said += &match &seen.closed {
        ConnectionError::LocallyClosed => "bye".to_owned(),
        ConnectionError::ApplicationClosed(close) => {
            let code = close.error_code.into_inner();
            assert!((0x100..=0x110).contains(&code) || (0x200..=0x202).contains(&code), "closed with {code:x}");
            format!("{code:x}")
        }
        other => panic!("the connection ended by {other:?}"),
    };
    (said, whole)
}

#[derive(Default)]
struct Answer {
    said: String,
    /// What the target has numbered it.
    number: Option<u32>,
    status: Option<u16>,
    length: Option<u64>,
    told: Told,
    has_trailers: bool,
}

/// Reads an answer frame by frame (RFC 9114 section 4.1).
fn answer(given: &Given) -> Answer {
    let mut answer = Answer::default();
    let mut rest = given.bytes.as_slice();
    while let Some((head, length)) = FrameHead::parse(rest) {
        let behind = &rest[length..];
        let whole = usize::try_from(head.length).ok().and_then(|length| behind.split_at_checked(length));
        let Some((payload, next)) = whole else { break };
        assert!(!answer.has_trailers, "{:?} behind trailers", head.kind);
        match head.kind {
            FrameKind::Headers => take_head(&mut answer, payload),
            FrameKind::Data => {
                assert!(answer.status.is_some(), "content without a head");
                answer.told.content.extend_from_slice(payload);
            }
            kind => panic!("{kind:?} in an answer"),
        }
        rest = next;
    }
    match given.end {
        Ok(()) => {
            assert!(rest.is_empty(), "ends inside a frame: {}", rest.escape_ascii());
            assert!(answer.status.is_some(), "ends without an answer: {}", given.bytes.escape_ascii());
            let content = answer.told.content.len() as u64;
            let is_cut_off = answer.length.is_some_and(|length| length != content) && content > 0;
            assert!(!is_cut_off, "{content} bytes of {:?}", answer.length);
            answer.said += ". ";
        }
        Err(code) => answer.said += &format!("{:x} ", code.unwrap_or_default()),
    }
    answer
}

fn take_head(answer: &mut Answer, encoded: &[u8]) {
    let mut section = FieldSection::default();
    let decoded = qpack::decode(encoded, 1 << 20, &mut section);
    assert!(decoded.is_ok(), "{decoded:?}: {}", encoded.escape_ascii());
    let value = |wanted: &[u8]| {
        let found = section.iter().find(|(name, _)| *name == wanted);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u64>().ok())
    };
    for (name, value) in section.iter() {
        assert!(!name.iter().any(u8::is_ascii_uppercase), "{}", name.escape_ascii());
        assert!(!value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')), "{}", value.escape_ascii());
        let of_http1: [&[u8]; 4] = [b"connection", b"transfer-encoding", b"keep-alive", b"upgrade"];
        assert!(!of_http1.contains(&name), "{}", name.escape_ascii());
    }
    let status = value(b":status").map(|status| status as u16);
    match (answer.status, status) {
        (None, Some(status @ 100..200)) => answer.said += &format!("{status} "),
        (None, Some(status)) => {
            answer.status = Some(status);
            section.iter().for_each(|(name, value)| answer.told.take_field(name, value));
            answer.length = value(b"content-length");
            answer.number = value(b"x-number").map(|number| number as u32);
            answer.said += &format!("{status} ");
        }
        (Some(_), None) => {
            answer.has_trailers = true;
            answer.said += "T ";
        }
        (before, now) => panic!("a head with status {now:?} after {before:?}"),
    }
}

/// Reads the program's control stream (section 6.2.1): settings, then where it goes away, ever earlier.
fn control(bytes: &[u8]) -> String {
    let Some((kind, length)) = integer(bytes) else { return String::new() };
    assert_eq!(kind, stream::CONTROL);
    let (mut rest, mut said) = (&bytes[length..], String::new());
    let (mut is_first, mut last) = (true, u64::MAX);
    while let Some((head, length)) = FrameHead::parse(rest) {
        let Some((payload, next)) = rest[length..].split_at_checked(head.length as usize) else { break };
        assert_eq!(is_first, head.kind == FrameKind::Settings);
        match head.kind {
            FrameKind::Settings => assert!(Settings::parse(payload).is_ok(), "{}", payload.escape_ascii()),
            FrameKind::GoAway => {
                let (id, length) = integer(payload).expect("the number of a stream");
                assert!(length == payload.len() && id <= last && id % 4 == 0, "GOAWAY {id} after {last}");
                last = id;
                said += "G ";
            }
            kind => panic!("{kind:?} on the control stream"),
        }
        is_first = false;
        rest = next;
    }
    said
}
