//! What HTTP/2 is made of on the wire (RFC 9113): frames, settings, error codes.

/// What a client begins with (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest payload of a frame, as long as nobody says otherwise (section 4.2), and we do not.
pub const FRAME_LIMIT: usize = 16 * 1024;
/// Windows as long as nobody says otherwise (section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;
/// The greatest window (section 6.9.1) and the greatest stream identifier (section 5.1.1).
pub const GREATEST: u32 = 0x7fff_ffff;

/// Error codes (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Code {
    NoError = 0x0,
    ProtocolError = 0x1,
    InternalError = 0x2,
    FlowControlError = 0x3,
    SettingsTimeout = 0x4,
    StreamClosed = 0x5,
    FrameSizeError = 0x6,
    RefusedStream = 0x7,
    Cancel = 0x8,
    CompressionError = 0x9,
    EnhanceYourCalm = 0xb,
}

/// Kinds of frames (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum FrameKind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// To be gone over (section 5.5).
    Unknown,
}

/// Flags of frames (section 6); what one means depends on the kind.
pub mod flag {
    /// Of DATA and HEADERS: nothing follows on the stream.
    pub const END_STREAM: u8 = 0x1;
    /// Of SETTINGS and PING: an answer.
    pub const ACK: u8 = 0x1;
    /// Of HEADERS and CONTINUATION: the field block is whole.
    pub const END_HEADERS: u8 = 0x4;
    /// Of DATA and HEADERS.
    pub const PADDED: u8 = 0x8;
    /// Of HEADERS.
    pub const PRIORITY: u8 = 0x20;
}

/// What a frame begins with (section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Its type.
    pub kind: FrameKind,
    /// Of [`flag`].
    pub flags: u8,
    /// The stream's identifier, 0 for the connection.
    pub stream: u32,
    /// Bytes of its payload.
    pub length: usize,
}

/// Bytes of a frame's head.
pub const FRAME_HEAD: usize = 9;

impl FrameHead {
    /// The head at the start of `bytes`; none while it is incomplete.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<FrameHead> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<FRAME_HEAD>()?;
        let kind = match kind {
            0 => FrameKind::Data,
            1 => FrameKind::Headers,
            2 => FrameKind::Priority,
            3 => FrameKind::RstStream,
            4 => FrameKind::Settings,
            5 => FrameKind::PushPromise,
            6 => FrameKind::Ping,
            7 => FrameKind::GoAway,
            8 => FrameKind::WindowUpdate,
            9 => FrameKind::Continuation,
            _ => FrameKind::Unknown,
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        Some(FrameHead { kind, flags, stream: u32::from_be_bytes(stream) & GREATEST, length })
    }

    /// Whether a flag is set.
    #[inline]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether a frame of its kind may be of its length: of those whose length is fixed, no other (section 4.2).
    pub fn is_of_fit_length(&self) -> bool {
        let length = self.length;
        match self.kind {
            FrameKind::Data => length >= usize::from(self.has(flag::PADDED)),
            FrameKind::Headers => {
                length >= usize::from(self.has(flag::PADDED)) + if self.has(flag::PRIORITY) { 5 } else { 0 }
            }
            FrameKind::Priority => length == 5,
            FrameKind::Settings if self.has(flag::ACK) => length == 0,
            FrameKind::Settings => length.is_multiple_of(6),
            FrameKind::Ping => length == 8,
            FrameKind::GoAway => length >= 8,
            FrameKind::RstStream | FrameKind::WindowUpdate => length == 4,
            FrameKind::PushPromise | FrameKind::Continuation | FrameKind::Unknown => true,
        }
    }
}

/// A payload of DATA or HEADERS without its padding (section 6.1), and the stream that HEADERS says it depends on, which
/// means nothing any more but must not be the stream itself (section 5.3).
///
/// # Errors
/// `ProtocolError` when the padding is longer than the payload.
pub fn content<'a>(head: &FrameHead, payload: &'a [u8]) -> Result<(&'a [u8], Option<u32>), Code> {
    let (padding, mut rest) = match payload.split_first() {
        Some((padding, rest)) if head.has(flag::PADDED) => (usize::from(*padding), rest),
        _ => (0, payload),
    };
    let mut depends = None;
    if head.kind == FrameKind::Headers && head.has(flag::PRIORITY) {
        depends = number(rest);
        rest = rest.get(5..).unwrap_or(&[]);
    }
    let length = rest.len().checked_sub(padding).ok_or(Code::ProtocolError)?;
    Ok((rest.get(..length).unwrap_or(&[]), depends))
}

/// The 31 bits that a payload begins with: a stream, or an increment.
pub fn number(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*payload.first_chunk()?) & GREATEST)
}

/// Settings of the other side that are of use here (section 6.5.2). What they say of a dynamic table never is: see
/// [`hpack`](crate::hpack).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes that may be sent on a new stream.
    pub initial_window: u32,
    /// The longest payload of a frame.
    pub max_frame_size: usize,
    /// The longest field section, counted as [`FIELD_OVERHEAD`](crate::section::FIELD_OVERHEAD) says.
    pub max_header_list_size: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { initial_window: DEFAULT_WINDOW, max_frame_size: FRAME_LIMIT, max_header_list_size: u32::MAX }
    }
}

/// Names of settings (section 6.5.2, RFC 8441 section 3).
mod setting {
    pub(super) const ENABLE_PUSH: u16 = 0x2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(super) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
}

impl Settings {
    /// Takes a frame's payload in, in its order.
    ///
    /// # Errors
    /// When a value is out of range; the code is the setting's own.
    pub fn update(&mut self, payload: &[u8]) -> Result<(), Code> {
        for pair in payload.as_chunks::<6>().0 {
            let [a, b, value @ ..] = *pair;
            let value = u32::from_be_bytes(value);
            match u16::from_be_bytes([a, b]) {
                setting::ENABLE_PUSH | setting::ENABLE_CONNECT_PROTOCOL if value > 1 => {
                    return Err(Code::ProtocolError);
                }
                setting::INITIAL_WINDOW_SIZE if value > GREATEST => return Err(Code::FlowControlError),
                setting::INITIAL_WINDOW_SIZE => self.initial_window = value,
                setting::MAX_FRAME_SIZE if !(FRAME_LIMIT as u32..1 << 24).contains(&value) => {
                    return Err(Code::ProtocolError);
                }
                setting::MAX_FRAME_SIZE => self.max_frame_size = value as usize,
                setting::MAX_HEADER_LIST_SIZE => self.max_header_list_size = value,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Streams that may be open at once.
    pub concurrent_streams: u32,
    /// Bytes that may be sent on a new stream.
    pub initial_window: u32,
    /// The longest field section.
    pub header_list: u32,
}

impl Offer {
    /// Appends a SETTINGS frame, with which extended CONNECT is offered too (RFC 8441 section 3).
    pub fn put(&self, out: &mut Vec<u8>) {
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, self.concurrent_streams),
            (setting::INITIAL_WINDOW_SIZE, self.initial_window),
            (setting::MAX_HEADER_LIST_SIZE, self.header_list),
            (setting::ENABLE_CONNECT_PROTOCOL, 1),
        ];
        put_frame_head(out, FrameKind::Settings, 0, 0, settings.len() * 6);
        for (name, value) in settings {
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends a frame's head.
#[inline]
pub fn put_frame_head(out: &mut Vec<u8>, kind: FrameKind, flags: u8, stream: u32, length: usize) {
    out.extend_from_slice(&frame_head(kind, flags, stream, length));
}

#[inline]
fn frame_head(kind: FrameKind, flags: u8, stream: u32, length: usize) -> [u8; FRAME_HEAD] {
    debug_assert!(kind != FrameKind::Unknown && length < 1 << 24);
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind as u8, flags, d, e, f, g]
}

/// Appends a field block that `write` appends, in a HEADERS frame and as many CONTINUATION frames as it needs (section 6.10).
pub fn put_headers(out: &mut Vec<u8>, stream: u32, ends: bool, limit: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    write(out);
    let length = out.len() - start - FRAME_HEAD;
    let of_stream = if ends { flag::END_STREAM } else { 0 };
    let (mut first, is_whole) = (length.min(limit), length <= limit);
    let flags = of_stream | if is_whole { flag::END_HEADERS } else { 0 };
    if let Some(head) = out.get_mut(start..start + FRAME_HEAD) {
        head.copy_from_slice(&frame_head(FrameKind::Headers, flags, stream, first));
    }
    if is_whole {
        return;
    }
    first += start + FRAME_HEAD;
    let rest = out.split_off(first);
    let mut pieces = rest.chunks(limit).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        put_frame_head(out, FrameKind::Continuation, flags, stream, piece.len());
        out.extend_from_slice(piece);
    }
}

/// Appends a RST_STREAM frame.
pub fn put_reset(out: &mut Vec<u8>, stream: u32, code: Code) {
    put_frame_head(out, FrameKind::RstStream, 0, stream, 4);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

/// Appends a WINDOW_UPDATE frame.
pub fn put_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    put_frame_head(out, FrameKind::WindowUpdate, 0, stream, 4);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// Appends a PING frame, or the answer to one.
pub fn put_ping(out: &mut Vec<u8>, is_answer: bool, payload: &[u8]) {
    put_frame_head(out, FrameKind::Ping, if is_answer { flag::ACK } else { 0 }, 0, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a GOAWAY frame: streams above `last` are not taken (section 6.8).
pub fn put_goaway(out: &mut Vec<u8>, last: u32, code: Code) {
    put_frame_head(out, FrameKind::GoAway, 0, 0, 8);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let mut out = Vec::new();
        put_ping(&mut out, true, b"12345678");
        let head = FrameHead::parse(&out).unwrap();
        assert_eq!(head, FrameHead { kind: FrameKind::Ping, flags: flag::ACK, stream: 0, length: 8 });
        assert!(FrameHead::parse(&out[..8]).is_none());
        // the reserved bit means nothing
        let head = FrameHead::parse(&[1, 2, 3, 77, 0xff, 0x80, 0, 0, 5]).unwrap();
        assert_eq!(head, FrameHead { kind: FrameKind::Unknown, flags: 0xff, stream: 5, length: 0x0001_0203 });
    }

    #[test]
    fn payloads() {
        type Row<'a> = (FrameKind, u8, &'a [u8], Result<(&'a [u8], Option<u32>), Code>);
        let rows: [Row<'_>; 7] = [
            (FrameKind::Data, 0, b"abc", Ok((b"abc", None))),
            (FrameKind::Data, flag::PADDED, b"\x01abc", Ok((b"ab", None))),
            (FrameKind::Data, flag::PADDED, b"\x03abc", Ok((b"", None))),
            (FrameKind::Data, flag::PADDED, b"\x04abc", Err(Code::ProtocolError)),
            (FrameKind::Headers, flag::PRIORITY, b"\x80\0\0\x07\x10ab", Ok((b"ab", Some(7)))),
            (FrameKind::Headers, flag::PRIORITY | flag::PADDED, b"\x01\0\0\0\x07\x10ab", Ok((b"a", Some(7)))),
            (FrameKind::Headers, flag::PRIORITY | flag::PADDED, b"\x03\0\0\0\x07\x10ab", Err(Code::ProtocolError)),
        ];
        for (kind, flags, payload, expected) in rows {
            let head = FrameHead { kind, flags, stream: 1, length: payload.len() };
            assert!(head.is_of_fit_length());
            assert_eq!(content(&head, payload), expected, "{payload:x?}");
        }
    }

    #[test]
    fn settings() {
        let one = |name: u16, value: u32| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let rows = [
            (vec![], Ok(Settings::default())),
            (
                [one(4, 7), one(5, 20_000), one(6, 100), one(99, 1), one(4, 8)].concat(),
                Ok(Settings { initial_window: 8, max_frame_size: 20_000, max_header_list_size: 100 }),
            ),
            (one(2, 2), Err(Code::ProtocolError)),
            (one(4, 1 << 31), Err(Code::FlowControlError)),
            (one(5, 16_383), Err(Code::ProtocolError)),
            (one(5, 1 << 24), Err(Code::ProtocolError)),
            (one(8, 2), Err(Code::ProtocolError)),
        ];
        for (payload, expected) in rows {
            let mut settings = Settings::default();
            assert_eq!(settings.update(&payload).map(|()| settings), expected, "{payload:x?}");
        }
    }

    /// A block longer than a frame goes on in others.
    #[test]
    fn blocks() {
        for length in [0_usize, 1, 9, 10, 11, 20, 21, 1000] {
            let block: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut out = b"before".to_vec();
            put_headers(&mut out, 3, true, 10, |out| out.extend_from_slice(&block));
            let (mut rest, mut read, mut kinds) = (&out[6..], Vec::new(), Vec::new());
            while let Some(head) = FrameHead::parse(rest) {
                read.extend_from_slice(&rest[FRAME_HEAD..FRAME_HEAD + head.length]);
                rest = &rest[FRAME_HEAD + head.length..];
                assert_eq!((head.stream, head.has(flag::END_HEADERS)), (3, rest.is_empty()));
                kinds.push((head.kind, head.flags & flag::END_STREAM));
            }
            assert_eq!(read, block);
            assert_eq!(kinds[0], (FrameKind::Headers, flag::END_STREAM));
            assert!(kinds[1..].iter().all(|kind| *kind == (FrameKind::Continuation, 0)));
            assert!(kinds.len() == length.div_ceil(10).max(1));
        }
    }
}
