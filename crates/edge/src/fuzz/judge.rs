//! What must hold of the bytes on both sides of the program, whatever came in on the other: they are read by the strict reader of
//! the tests, which knows nothing of the program's own.

use std::collections::BTreeMap;

use headworks_message::hpack::Decoder;
use headworks_message::section::FieldSection;
use headworks_testkit::frames::{PREFACE, flag, kind};
use headworks_testkit::wire::{self, Response};

use super::whole::Told;

/// Answers as a client reads them that has asked with these methods in turn: for each answer those that it may be to. None of
/// them may be cut off but the last.
///
/// # Errors
/// Where they cannot be read.
pub(super) fn answers<'m>(
    bytes: &[u8],
    methods: &dyn Fn(usize) -> &'m [&'m str],
    number: usize,
) -> Result<Vec<Response>, String> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut why = format!("answer {number}: nobody asked for it");
    for method in methods(number) {
        match wire::response_of(bytes, method) {
            Ok(Some((response, taken))) => {
                let rest = bytes.get(taken..).unwrap_or_default();
                let is_interim = (100..200).contains(&response.status) && response.status != 101;
                // behind another protocol's beginning is what that has
                let next = if response.status == 101 { &[] } else { rest };
                match answers(next, methods, if is_interim { number } else { number + 1 }) {
                    Ok(mut others) => {
                        others.insert(0, response);
                        return Ok(others);
                    }
                    Err(fault) => why = fault,
                }
            }
            Ok(None) => return Ok(Vec::new()),
            Err(fault) => why = format!("answer {number} to {method}: {fault}"),
        }
    }
    Err(why)
}

/// How many requests a target was sent on a connection. The last one may lack some of its body.
///
/// # Panics
/// When it was sent anything else.
pub(super) fn requests(bytes: &[u8]) -> usize {
    if bytes.starts_with(&PREFACE[..bytes.len().min(PREFACE.len())]) {
        // its frames are those of the `h2` crate
        return 0;
    }
    let (mut rest, mut count) = (bytes, 0);
    while !rest.is_empty() {
        match wire::request_of(rest) {
            Ok(Some((_, taken))) => rest = &rest[taken..],
            Ok(None) => {
                assert!(rest.windows(4).any(|end| end == b"\r\n\r\n"), "half a head: {}", rest.escape_ascii());
                rest = &[];
            }
            Err(why) => panic!("the target was sent no request, {why}: {}", rest.escape_ascii()),
        }
        count += 1;
    }
    count
}

/// The frames that a client of HTTP/2 was sent, in short, and the answers that were whole to it.
///
/// # Panics
/// When no client could read them.
pub(super) fn frames(bytes: &[u8]) -> (String, Vec<Told>) {
    let mut reader = Reader::default();
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        assert!(length <= 16_384, "a frame of {length} bytes");
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        // a connection that breaks off may do so inside a frame
        let Some((payload, next)) = behind.split_at_checked(length) else { break };
        reader.take(head[3], head[4], stream, payload);
        rest = next;
    }
    (reader.said, reader.whole)
}

#[derive(Default)]
struct Reader {
    decoder: Decoder,
    said: String,
    frames: usize,
    /// A head that goes on in the next frame: of which stream, and what there is of it.
    head: Option<(u32, bool, Vec<u8>)>,
    /// Streams whose head has come, and those that have ended.
    begun: BTreeMap<u32, Told>,
    ended: Vec<u32>,
    /// Answers that have ended as they should.
    whole: Vec<Told>,
}

impl Reader {
    fn take(&mut self, what: u8, flags: u8, stream: u32, payload: &[u8]) {
        assert!(self.frames > 0 || what == kind::SETTINGS, "the first frame is of type {what}");
        assert!(self.head.is_none() || what == kind::CONTINUATION, "type {what} inside a head");
        self.frames += 1;
        let is_of_stream = matches!(what, kind::DATA | kind::HEADERS | kind::RST_STREAM | kind::CONTINUATION);
        assert!(!is_of_stream || stream % 2 == 1, "type {what} on stream {stream}");
        let has_ended = self.ended.contains(&stream);
        match what {
            kind::HEADERS => {
                assert!(
                    !has_ended && flags & (flag::PADDED | flag::PRIORITY) == 0,
                    "a head on {stream}, flags {flags:x}"
                );
                self.head = Some((stream, flags & flag::END_STREAM != 0, payload.to_vec()));
            }
            kind::CONTINUATION => {
                let head = self.head.as_mut().filter(|head| head.0 == stream).expect("a head that goes on");
                head.2.extend_from_slice(payload);
            }
            kind::DATA => {
                let begun = self.begun.get_mut(&stream).filter(|_| !has_ended);
                let Some(begun) = begun else { panic!("content of {stream}, which has no head, or an end") };
                begun.content.extend_from_slice(payload);
                self.end(flags, stream);
            }
            kind::RST_STREAM => {
                assert_eq!(payload.len(), 4);
                self.ended.push(stream);
                self.said += &format!("R{} ", payload[3]);
            }
            kind::SETTINGS => assert!(stream == 0 && payload.len().is_multiple_of(6)),
            kind::PING => assert!(stream == 0 && payload.len() == 8),
            kind::GOAWAY => {
                assert!(stream == 0 && payload.len() >= 8);
                self.said += &format!("G{} ", payload[7]);
            }
            kind::WINDOW_UPDATE => assert!(payload.len() == 4 && payload != [0; 4]),
            what => panic!("a frame of type {what}"),
        }
        if matches!(what, kind::HEADERS | kind::CONTINUATION) && flags & flag::END_HEADERS != 0 {
            self.take_head();
        }
    }

    fn take_head(&mut self) {
        let Some((stream, ends, block)) = self.head.take() else { return };
        let mut section = FieldSection::default();
        let decoded = self.decoder.decode(&block, 1 << 20, &mut section);
        assert!(decoded.is_ok(), "{decoded:?}: {}", block.escape_ascii());
        let status = section.iter().find(|(name, _)| *name == b":status").map(|(_, value)| value.to_vec());
        let is_trailers = self.begun.contains_key(&stream);
        assert!(is_trailers != status.is_some(), "a head on {stream} with the status {status:?}");
        for (name, value) in section.iter() {
            assert!(!name.iter().any(u8::is_ascii_uppercase), "{}", name.escape_ascii());
            assert!(!value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')), "{}", value.escape_ascii());
        }
        let is_interim = status.as_deref().is_some_and(|status| status.starts_with(b"1"));
        assert!(!is_interim || !ends, "an interim answer with which {stream} ends");
        if !is_interim && !is_trailers {
            let mut told = Told { place: stream.into(), ..Told::default() };
            section.iter().for_each(|(name, value)| told.take_field(name, value));
            self.begun.insert(stream, told);
        }
        self.said += &format!("{} ", status.as_deref().unwrap_or(b"T").escape_ascii());
        self.end(if ends { flag::END_STREAM } else { 0 }, stream);
    }

    fn end(&mut self, flags: u8, stream: u32) {
        if flags & flag::END_STREAM != 0 {
            self.ended.push(stream);
            self.whole.extend(self.begun.get(&stream).cloned());
        }
    }
}
