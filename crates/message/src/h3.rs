//! What HTTP/3 is made of on the wire (RFC 9114): frames, settings, error codes.

/// Error codes (RFC 9114 section 8.1, RFC 9204 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Code {
    NoError = 0x100,
    GeneralProtocolError = 0x101,
    InternalError = 0x102,
    StreamCreationError = 0x103,
    ClosedCriticalStream = 0x104,
    FrameUnexpected = 0x105,
    FrameError = 0x106,
    ExcessiveLoad = 0x107,
    IdError = 0x108,
    SettingsError = 0x109,
    MissingSettings = 0x10a,
    RequestRejected = 0x10b,
    RequestCancelled = 0x10c,
    RequestIncomplete = 0x10d,
    MessageError = 0x10e,
    QpackDecompressionFailed = 0x200,
    QpackEncoderStreamError = 0x201,
    QpackDecoderStreamError = 0x202,
}

/// Types of unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2).
pub mod stream {
    /// Settings, and what concerns the connection.
    pub const CONTROL: u64 = 0x00;
    /// A promised answer; only servers may open it.
    pub const PUSH: u64 = 0x01;
    /// Instructions for the other side's dynamic table.
    pub const QPACK_ENCODER: u64 = 0x02;
    /// What came of them.
    pub const QPACK_DECODER: u64 = 0x03;
}

/// The greatest number that [`put_integer`] can say.
pub const INTEGER_MAX: u64 = (1 << 62) - 1;

/// The variable-length integer at the start of `bytes` and its length (RFC 9000 section 16); none while it is incomplete.
pub fn integer(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = 1 << (bytes.first()? >> 6);
    let (first, rest) = bytes.get(..length)?.split_first()?;
    Some((rest.iter().fold(u64::from(first & 0x3f), |sum, byte| sum << 8 | u64::from(*byte)), length))
}

/// Appends a variable-length integer of up to [`INTEGER_MAX`] in the shortest form.
pub fn put_integer(out: &mut Vec<u8>, n: u64) {
    debug_assert!(n <= INTEGER_MAX);
    match n {
        0..0x40 => out.push(n as u8),
        0x40..0x4000 => out.extend_from_slice(&(n as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(n as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(n | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Kinds of frames (RFC 9114 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum FrameKind {
    Data,
    Headers,
    CancelPush,
    Settings,
    PushPromise,
    GoAway,
    MaxPushId,
    /// One of HTTP/2 that must not be sent (section 7.2.8).
    Forbidden,
    /// To be gone over (section 9).
    Unknown,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Its type.
    pub kind: FrameKind,
    /// Bytes of its payload.
    pub length: u64,
}

/// The longest frame head.
pub const FRAME_HEAD_LIMIT: usize = 16;

impl FrameHead {
    /// The head at the start of `bytes` and its own length; none while it is incomplete.
    pub fn parse(bytes: &[u8]) -> Option<(FrameHead, usize)> {
        let (kind, kind_length) = integer(bytes)?;
        let (length, length_length) = integer(bytes.get(kind_length..)?)?;
        let kind = match kind {
            0x00 => FrameKind::Data,
            0x01 => FrameKind::Headers,
            0x03 => FrameKind::CancelPush,
            0x04 => FrameKind::Settings,
            0x05 => FrameKind::PushPromise,
            0x07 => FrameKind::GoAway,
            0x0d => FrameKind::MaxPushId,
            0x02 | 0x06 | 0x08 | 0x09 => FrameKind::Forbidden,
            _ => FrameKind::Unknown,
        };
        Some((FrameHead { kind, length }, kind_length + length_length))
    }
}

/// Appends the head of a DATA frame.
pub fn put_data_head(out: &mut Vec<u8>, length: usize) {
    out.push(0x00);
    put_integer(out, length as u64);
}

/// Appends a HEADERS frame.
pub fn put_headers(out: &mut Vec<u8>, section: &[u8]) {
    out.push(0x01);
    put_integer(out, section.len() as u64);
    out.extend_from_slice(section);
}

/// Appends a GOAWAY frame: requests on this stream and later ones are not taken (section 5.2).
pub fn put_goaway(out: &mut Vec<u8>, stream: u64) {
    let mut id = Vec::with_capacity(8);
    put_integer(&mut id, stream);
    out.push(0x07);
    put_integer(out, id.len() as u64);
    out.extend_from_slice(&id);
}

/// Settings that are of use here (RFC 9114 section 7.2.4.1, RFC 9220 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The longest field section that its sender takes; none said, none.
    pub max_field_section_size: Option<u64>,
    /// Whether a request may carry another protocol.
    pub enable_connect_protocol: bool,
}

const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;
/// Settings that a frame may hold. There is no need for more, and comparing each with all must stay cheap.
const SETTINGS_LIMIT: usize = 64;

impl Settings {
    /// Reads a frame's payload.
    ///
    /// # Errors
    /// `FrameError` when it is cut off, `SettingsError` when it says something twice or what it must not.
    pub fn parse(mut payload: &[u8]) -> Result<Settings, Code> {
        let mut settings = Settings::default();
        let mut seen = Vec::new();
        while !payload.is_empty() {
            let mut next = || {
                let (value, length) = integer(payload).ok_or(Code::FrameError)?;
                payload = payload.get(length..).unwrap_or(&[]);
                Ok(value)
            };
            let (id, value) = (next()?, next()?);
            if seen.contains(&id) || seen.len() == SETTINGS_LIMIT {
                return Err(Code::SettingsError);
            }
            seen.push(id);
            match id {
                MAX_FIELD_SECTION_SIZE => settings.max_field_section_size = Some(value),
                ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Code::SettingsError),
                ENABLE_CONNECT_PROTOCOL => settings.enable_connect_protocol = value == 1,
                // those of HTTP/2 (section 7.2.4.1)
                0x00 | 0x02..=0x05 => return Err(Code::SettingsError),
                _ => {}
            }
        }
        Ok(settings)
    }

    /// Appends a whole frame.
    pub fn put(&self, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        if let Some(size) = self.max_field_section_size {
            put_integer(&mut payload, MAX_FIELD_SECTION_SIZE);
            put_integer(&mut payload, size);
        }
        if self.enable_connect_protocol {
            put_integer(&mut payload, ENABLE_CONNECT_PROTOCOL);
            put_integer(&mut payload, 1);
        }
        out.push(0x04);
        put_integer(out, payload.len() as u64);
        out.extend_from_slice(&payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        // RFC 9000 appendix A.1
        let rows: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in rows {
            assert_eq!(integer(bytes), Some((value, bytes.len())));
            assert_eq!(integer(&bytes[..bytes.len() - 1]), None);
        }
        for n in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, INTEGER_MAX] {
            let mut out = Vec::new();
            put_integer(&mut out, n);
            assert_eq!(integer(&out), Some((n, out.len())));
        }
    }

    #[test]
    fn settings() {
        let ours = Settings { max_field_section_size: Some(65_536), enable_connect_protocol: true };
        let mut frame = Vec::new();
        ours.put(&mut frame);
        let (head, length) = FrameHead::parse(&frame).unwrap();
        assert_eq!(head, FrameHead { kind: FrameKind::Settings, length: (frame.len() - length) as u64 });
        let rows: [(&[u8], Result<Settings, Code>); 7] = [
            (&frame[length..], Ok(ours)),
            (&[], Ok(Settings::default())),
            // one nobody knows
            (&[0x21, 0x05], Ok(Settings::default())),
            (&[0x06], Err(Code::FrameError)),
            (&[0x06, 0x00, 0x06, 0x01], Err(Code::SettingsError)),
            (&[0x02, 0x00], Err(Code::SettingsError)),
            (&[0x08, 0x02], Err(Code::SettingsError)),
        ];
        for (payload, expected) in rows {
            assert_eq!(Settings::parse(payload), expected, "{payload:x?}");
        }
    }
}
