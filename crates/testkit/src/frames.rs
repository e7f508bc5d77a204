//! Frames of HTTP/2 (RFC 9113), written byte by byte as a test wants them, however wrong, and read back one by one.
//!
//! Heads are written as HPACK literals without indexing or Huffman coding; of a head that is read only the status is
//! made out, which needs no table as long as the reader has forbidden the dynamic one.

use crate::client::Client;
use crate::stream::End;

/// What every client says first (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types (section 6).
pub mod kind {
    #![expect(missing_docs, reason = "the RFC's names")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags (section 6).
pub mod flag {
    #![expect(missing_docs, reason = "the RFC's names")]
    pub const NONE: u8 = 0;
    pub const ACK: u8 = 0x1;
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
    /// A head that is whole, and all there is.
    pub const WHOLE: u8 = END_STREAM | END_HEADERS;
}

/// Settings (section 6.5.2).
pub mod setting {
    #![expect(missing_docs, reason = "the RFC's names")]
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// Error codes (section 7).
pub mod code {
    #![expect(missing_docs, reason = "the RFC's names")]
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// A frame as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or any other.
    pub kind: u8,
    /// Of [`flag`], or any other.
    pub flags: u8,
    /// 0 for the connection.
    pub stream: u32,
    /// Behind the nine bytes.
    pub payload: Vec<u8>,
}

/// The bytes of a frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A SETTINGS frame.
#[must_use]
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let one = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat();
    frame(kind::SETTINGS, flag::NONE, 0, settings.iter().flat_map(one).collect::<Vec<u8>>())
}

/// A HEADERS frame that holds a whole block, with END_STREAM or without.
#[must_use]
pub fn headers(flags: u8, stream: u32, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, block)
}

/// A DATA frame.
#[must_use]
pub fn data(flags: u8, stream: u32, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::DATA, flags, stream, bytes)
}

/// A RST_STREAM frame.
#[must_use]
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, flag::NONE, stream, code.to_be_bytes())
}

/// A WINDOW_UPDATE frame.
#[must_use]
pub fn window(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, flag::NONE, stream, increment.to_be_bytes())
}

/// A PING frame.
#[must_use]
pub fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(kind::PING, flag::NONE, 0, payload)
}

/// A header block (RFC 7541 section 6.2.2), `name: value` a field; a name may begin with its own colon.
#[must_use]
pub fn block(fields: &[&str]) -> Vec<u8> {
    let mut block = Vec::new();
    for line in fields {
        let split = line.get(1..).and_then(|rest| rest.split_once(": "));
        let (name, value) = split.unwrap_or_else(|| panic!("{line:?} is no field"));
        block.push(0);
        put_text(&mut block, &[&line.as_bytes()[..1], name.as_bytes()].concat());
        put_text(&mut block, value.as_bytes());
    }
    block
}

/// The block of `GET /` with further fields.
#[must_use]
pub fn request(path: &str, more: &[&str]) -> Vec<u8> {
    let path = format!(":path: {path}");
    let usual = [":method: GET", ":scheme: http", ":authority: test.example", path.as_str()];
    block(&[&usual, more].concat())
}

/// A string literal without Huffman coding (RFC 7541 section 5.2).
fn put_text(block: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        short @ 0..127 => block.push(short as u8),
        long => {
            block.push(127);
            let mut left = long - 127;
            while left >= 128 {
                block.push((left % 128) as u8 | 128);
                left /= 128;
            }
            block.push(left as u8);
        }
    }
    block.extend(text);
}

impl Frame {
    /// Whether the stream ends here.
    #[must_use]
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// The status, when this is a HEADERS frame with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let mut block = self.payload.as_slice();
        while let Some((0x20..0x40, rest)) = block.split_first() {
            block = rest;
        }
        match (self.kind, block) {
            (kind::HEADERS, [index @ 0x88..=0x8e, ..]) => {
                [200, 204, 206, 304, 400, 404, 500].get(usize::from(index - 0x88)).copied()
            }
            (kind::HEADERS, [0x08 | 0x48 | 0x18, length, rest @ ..]) => {
                let text = rest.get(..usize::from(length & 127))?;
                if length & 128 == 0 { std::str::from_utf8(text).ok()?.parse().ok() } else { digits(text) }
            }
            _ => None,
        }
    }

    /// The error code of RST_STREAM or GOAWAY.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        let from = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(from..from + 4)?.try_into().ok()?))
    }
}

/// Three digits in Huffman coding (RFC 7541 appendix B): `0` to `2` in five bits, the others in six.
fn digits(text: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number: u16, bit| number * 2 + u16::from(*bit));
    let (mut at, mut value) = (0, 0);
    for _ in 0..3 {
        let short = number(bits.get(at..at + 5)?);
        let (digit, length) = if short <= 2 { (short, 5) } else { (number(bits.get(at..at + 6)?) - 0x19 + 3, 6) };
        value = value * 10 + digit;
        at += length;
    }
    Some(value)
}

impl Client {
    /// Says the preface and settings, which forbid the dynamic table.
    pub fn begin_http2(&mut self, more: &[(u16, u32)]) -> &mut Client {
        let ours = settings(&[&[(setting::HEADER_TABLE_SIZE, 0)], more].concat());
        self.send([PREFACE, &ours, &frame(kind::SETTINGS, flag::ACK, 0, "")].concat())
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// How the connection ended instead.
    pub fn frame(&mut self) -> Result<Frame, End> {
        let head = self.wire.take(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload: self.wire.take(length)? })
    }

    /// Reads frames until one is `wanted`, and returns that one.
    ///
    /// # Panics
    /// When the connection ends before, with what came.
    pub fn frame_until(&mut self, what: &str, mut wanted: impl FnMut(&Frame) -> bool) -> Frame {
        let mut seen = Vec::new();
        loop {
            match self.frame() {
                Ok(frame) if wanted(&frame) => return frame,
                Ok(frame) => seen.push(frame),
                Err(end) => panic!("waited for {what}, the connection is {end}; there came {seen:x?}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let status = |block: &[u8]| {
            let frame = Frame { kind: kind::HEADERS, flags: 0, stream: 1, payload: block.to_vec() };
            frame.status()
        };
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8c, 0x82]), Some(400));
        assert_eq!(status(b"\x08\x03431"), Some(431));
        // RFC 7541 appendix C.6.1: 302
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(status(&[]), None);
    }
}
