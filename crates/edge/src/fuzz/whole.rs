//! What is whole: the answers that a target's bytes have from beginning to end, and that nobody is told that there are others
//! (RFC 9112 section 8, RFC 9113 section 8.1.1).

use std::collections::BTreeMap;
use std::io::Read;

use headworks_message::hpack::Decoder;
use headworks_message::section::FieldSection;
use headworks_message::{Body, Framing, Parsed, ResponseHead, response};
use headworks_testkit::frames::{flag, kind};
use headworks_testkit::wire::Response;

use super::world::Says;

/// An answer that its client was told is whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Where it was asked for: a stream, or a turn on a connection.
    pub(super) place: u64,
    /// The program's own.
    pub(super) is_own: bool,
    pub(super) is_gzip: bool,
    pub(super) content: Vec<u8>,
}

impl Told {
    /// The field of a head, by its name in any case.
    pub(super) fn take_field(&mut self, name: &[u8], value: &[u8]) {
        self.is_own |= name.eq_ignore_ascii_case(b"server") && value == b"headworks";
        self.is_gzip |= name.eq_ignore_ascii_case(b"content-encoding") && value == b"gzip";
    }
}

/// Those of a connection of HTTP/1.1, by the number of the request that each may be to.
pub(super) fn of_connection(answers: &[Response]) -> Vec<Told> {
    let finals = answers.iter().filter(|answer| answer.status >= 200);
    let told = |(place, answer): (u64, &Response)| {
        let mut told = Told { place, content: answer.body.content.clone(), ..Told::default() };
        answer.fields.0.iter().for_each(|(name, value)| told.take_field(name.as_bytes(), value.as_bytes()));
        told
    };
    (1..).zip(finals).map(told).collect()
}

/// Nobody was told that an answer is whole that the target has not given whole. One to HEAD, whose place is `head`, has nothing that
/// could be missing.
///
/// # Panics
/// When somebody was.
pub(super) fn check(told: &[Told], head: u64, said: &[Vec<u8>]) {
    for told in told.iter().filter(|told| !told.is_own && told.place != head) {
        let decoded = told.is_gzip.then(|| decoded(&told.content));
        let is_said = |content: &&Vec<u8>| **content == told.content || decoded.as_ref() == Some(*content);
        assert!(said.iter().any(|content| is_said(&content)), "{told:?} is not whole: {said:?}");
    }
}

fn decoded(content: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let read = flate2::read::GzDecoder::new(content).read_to_end(&mut decoded);
    if read.is_ok() { decoded } else { content.to_vec() }
}

/// The contents of the answers that are whole in what a target of HTTP/1.1 says, whatever it was asked.
pub(super) fn of_http1(says: &Says) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    let (mut starts, mut tried) = (vec![0], 0);
    while let Some(start) = starts.get(tried).copied() {
        tried += 1;
        let bytes = says.bytes.get(start..).unwrap_or_default();
        let mut head = ResponseHead::default();
        if !matches!(response::parse(bytes, &mut head), Ok(Parsed::Complete)) {
            continue;
        }
        let (mut next, body) = (vec![start + head.len], &bytes[head.len..]);
        // one to HEAD ends with its head, as an interim one does
        if let Some((content, length)) = (!head.is_interim()).then(|| content(&head, body, says.ends)).flatten() {
            said.push(content);
            next.push(start + head.len + length);
        }
        next.retain(|start| !starts.contains(start));
        starts.append(&mut next);
    }
    said
}

/// The content that follows a head, and its length on the wire, if all of it is there.
fn content(head: &ResponseHead, bytes: &[u8], ends: bool) -> Option<(Vec<u8>, usize)> {
    let framing = head.framing(false);
    let (mut body, mut content, mut length) = (Body::new(framing), Vec::new(), 0);
    while let Some(rest) = bytes.get(length..).filter(|rest| !rest.is_empty() && !body.is_done()) {
        let taken = body.take_decoded(rest, &mut content).ok().filter(|taken| *taken > 0)?;
        length += taken;
    }
    (body.is_done() || framing == Framing::UntilClose && ends).then_some((content, length))
}

/// An answer of a target of HTTP/2 as it comes.
#[derive(Default)]
struct Coming {
    status: Option<u16>,
    length: Option<usize>,
    content: Vec<u8>,
    is_over: bool,
}

/// The contents of the answers that are whole in what a target of HTTP/2 says.
pub(super) fn of_http2(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    let mut decoder = Decoder::default();
    let mut streams = BTreeMap::<u32, Coming>::new();
    let mut block = Vec::new();
    let mut ends_with_block = false;
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, next)) = behind.split_at_checked(length) else { break };
        rest = next;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let coming = streams.entry(stream).or_default();
        let (what, flags) = (head[3], head[4]);
        let Some(payload) = unpadded(what, flags, payload) else { break };
        match what {
            kind::DATA => {
                coming.content.extend_from_slice(payload);
                coming.end(flags & flag::END_STREAM != 0, &mut said);
            }
            kind::HEADERS | kind::CONTINUATION => {
                if what == kind::HEADERS {
                    block.clear();
                    ends_with_block = flags & flag::END_STREAM != 0;
                }
                block.extend_from_slice(payload);
                if flags & flag::END_HEADERS != 0 {
                    let mut section = FieldSection::default();
                    if decoder.decode(&block, 1 << 20, &mut section).is_err() {
                        break;
                    }
                    coming.take_head(&section);
                    coming.end(ends_with_block, &mut said);
                }
            }
            kind::RST_STREAM => coming.is_over = true,
            _ => {}
        }
    }
    said
}

/// A payload without padding and priority. None when there is less than these say.
pub(super) fn unpadded(what: u8, flags: u8, payload: &[u8]) -> Option<&[u8]> {
    let is_padded = matches!(what, kind::DATA | kind::HEADERS) && flags & flag::PADDED != 0;
    let has_priority = what == kind::HEADERS && flags & flag::PRIORITY != 0;
    let (padding, payload) = match payload.split_first() {
        Some((length, rest)) if is_padded => (usize::from(*length), rest),
        None if is_padded => return None,
        _ => (0, payload),
    };
    let end = payload.len().checked_sub(padding)?;
    payload.get(if has_priority { 5 } else { 0 }..end)
}

impl Coming {
    fn take_head(&mut self, section: &FieldSection) {
        if self.status.is_some_and(|status| status >= 200) {
            // trailers
            return;
        }
        let number = |wanted: &[u8]| {
            let found = section.iter().find(|(name, _)| *name == wanted);
            found.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok())
        };
        self.status = number(b":status").map(|status| status as u16);
        self.length = number(b"content-length");
    }

    /// `ends`: by this frame. What its length says is whole without that.
    fn end(&mut self, ends: bool, said: &mut Vec<Vec<u8>>) {
        let Some(status) = self.status.filter(|status| *status >= 200 && !self.is_over) else { return };
        let promised = if matches!(status, 204 | 304) { Some(0) } else { self.length };
        let is_whole = match promised {
            Some(length) => self.content.len() >= length,
            None => ends,
        };
        if is_whole {
            said.push(self.content[..promised.unwrap_or(self.content.len())].to_vec());
        }
        self.is_over |= ends;
    }
}
