//! Parsing of HTTP/1.1 request heads (RFC 9112), with the tiers of [`crate::desync`].
//!
//! The usual head takes one pass and no branch that it does not need; whatever is not by the grammar leaves for
//! [`crate::odd`], where leniency is spelled out case by case.

use std::fmt;

pub use crate::bytes::is_authority;
use crate::bytes::{decimal, is_token, list, skip_target, trimmed};
use crate::desync::{Imitates, Reason, Tier, Verdict, imitates};
use crate::fields::{self, Line};
use crate::framing::Framing;
use crate::head::{ConnectionOptions, Field, Fitness, Known, RequestHead, Span, Version};
use crate::odd;

/// Longest request line (H2).
pub const REQUEST_LINE_LIMIT: usize = 16 * 1024;
/// Longest header line (H2).
pub const FIELD_LIMIT: usize = 16 * 1024;
/// Longest request head (H2).
pub const HEAD_LIMIT: usize = 64 * 1024;
/// Most field names in Connection. Each is compared with each field: a head full of both would cost a second of work.
pub(crate) const LISTED_LIMIT: usize = 32;

/// What came of parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is whole.
    Complete,
    /// It is not; nothing read so far is wrong.
    Incomplete,
}

/// A request that gets an answer of our own and a closed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 414, 501 or 505.
    pub status: u16,
    /// Why; every refusal of the parser is of the tier [`Tier::Severe`].
    pub reason: Reason,
}

impl Refusal {
    pub(crate) const fn bad(reason: Reason) -> Refusal {
        Refusal { status: 400, reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason)
    }
}

impl std::error::Error for Refusal {}

/// Parses the request head at the start of `bytes` into `head`, which is cleared first. Empty lines before the request line
/// are gone over (RFC 9112 section 2.2) and count into `head.len`.
///
/// # Errors
/// As soon as what is there cannot become a head that may be forwarded.
pub fn parse(bytes: &[u8], head: &mut RequestHead) -> Result<Parsed, Refusal> {
    let mut fields = std::mem::take(&mut head.fields);
    fields.clear();
    *head = RequestHead { fields, is_text: true, ..RequestHead::default() };
    let mut verdict = Verdict::default();

    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
        if at > 8 {
            return Err(Refusal::bad(Reason::BadMethod));
        }
    }
    let Some(mut at) = request_line(bytes, at, head, &mut verdict)? else {
        return Ok(Parsed::Incomplete);
    };
    loop {
        match fields::line(bytes, at, &mut head.fields) {
            Line::Field(next) => {
                if next - at > FIELD_LIMIT {
                    return Err(Refusal::bad(Reason::BadHeader));
                }
                at = next;
            }
            Line::End(end) => {
                head.len = end;
                break;
            }
            Line::Incomplete => return incomplete(bytes, at, FIELD_LIMIT, Reason::BadHeader),
            Line::Odd => match odd::field(bytes, at, &mut verdict)? {
                Some((_, next)) if next - at > FIELD_LIMIT => return Err(Refusal::bad(Reason::BadHeader)),
                Some((field, next)) => {
                    head.fields.push(field);
                    at = next;
                }
                None => return incomplete(bytes, at, FIELD_LIMIT, Reason::BadHeader),
            },
        }
    }
    if head.len > HEAD_LIMIT {
        return Err(Refusal::bad(Reason::BadHeader));
    }
    meaning(bytes, head, &mut verdict)?;
    head.tier = verdict.tier;
    head.reason = verdict.reason;
    Ok(Parsed::Complete)
}

/// Whether parsing `bytes` anew is worth it, whose first `scanned` bytes were an incomplete head: they hold the end of a
/// head now, or something that no head may hold. A cheap look, so that a head that comes byte by byte costs no square, and
/// is refused as soon as one that comes at once.
pub fn may_be_whole(bytes: &[u8], scanned: usize) -> bool {
    let from = scanned.saturating_sub(3);
    let tail = bytes.get(from..).unwrap_or(&[]);
    let decides = |i: usize| match tail.get(i..) {
        Some([b'\n', b'\n', ..] | [b'\n', b'\r', b'\n', ..] | [0, ..]) => true,
        Some([b'\n', ..]) => i > 0 && tail.get(i - 1) != Some(&b'\r'),
        Some([b'\r', next, ..]) => *next != b'\n',
        _ => false,
    };
    bytes.len() > HEAD_LIMIT || memchr::memchr3_iter(b'\n', b'\r', 0, tail).any(decides)
}

fn incomplete(bytes: &[u8], at: usize, limit: usize, reason: Reason) -> Result<Parsed, Refusal> {
    if bytes.len() - at > limit || bytes.len() > HEAD_LIMIT {
        return Err(Refusal::bad(reason));
    }
    Ok(Parsed::Incomplete)
}

/// Reads the request line at `at`; the offset behind it, or none while it is incomplete.
fn request_line(
    bytes: &[u8],
    at: usize,
    head: &mut RequestHead,
    verdict: &mut Verdict,
) -> Result<Option<usize>, Refusal> {
    let mut i = at;
    while bytes.get(i).is_some_and(|b| is_token(*b)) {
        i += 1;
    }
    head.method = Span::new(at, i);
    let start = i + 1;
    if i > at && bytes.get(i) == Some(&b' ') {
        let end = skip_target(bytes, start);
        if end > start && end - at < REQUEST_LINE_LIMIT - 11 {
            let version = match bytes.get(end..end + 11) {
                Some(b" HTTP/1.1\r\n") => Some(Version::Http11),
                Some(b" HTTP/1.0\r\n") => Some(Version::Http10),
                _ => None,
            };
            if let Some(version) = version {
                head.version = version;
                head.set_target(bytes, start, end);
                return Ok(Some(end + 11));
            }
        }
    }
    odd::request_line(bytes, at, head, verdict)
}

/// What the fields say together: framing, host, connection.
fn meaning(bytes: &[u8], head: &mut RequestHead, verdict: &mut Verdict) -> Result<(), Refusal> {
    let mut framing = FramingFields::default();
    let (mut hosts, mut listed) = (0, 0);
    let mut connection =
        ConnectionOptions { keep_alive: head.version >= Version::Http11, ..ConnectionOptions::default() };
    let mut upgrade = None;
    for i in 0..head.fields.len() {
        let Some(field) = head.fields.get(i).copied() else { break };
        let value = field.value.of(bytes);
        match field.known {
            Known::Other => {
                if let Some(imitated) = imitation(field, bytes) {
                    framing.imitation(imitated, value, verdict)?;
                    verdict.raise(Tier::Ambiguous, Reason::SuspiciousHeader);
                    if let Some(field) = head.fields.get_mut(i) {
                        field.fitness = Fitness::Unfit;
                    }
                }
            }
            _ if field.fitness == Fitness::Unfit => {}
            Known::Host => {
                hosts += 1;
                if hosts > 1 || !(value.is_empty() || is_authority(value)) {
                    return Err(Refusal::bad(Reason::BadHost));
                }
                head.authority = field.value;
            }
            Known::ContentLength => framing.content_length(value, verdict)?,
            Known::TransferEncoding => framing.transfer_encoding(value)?,
            Known::Connection => {
                listed += connection_options(value, &mut connection);
                if listed > LISTED_LIMIT {
                    return Err(Refusal::bad(Reason::BadHeader));
                }
            }
            Known::XHeadworksExplain => head.asks_why = true,
            Known::Upgrade => upgrade = Some(upgrade.unwrap_or(true) && may_upgrade(field, value)),
            // RFC 9110 section 10.1.1: not from HTTP/1.0
            Known::Expect if head.version >= Version::Http11 => {
                head.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            _ => {}
        }
    }
    connection.upgrade &= upgrade == Some(true) && head.version == Version::Http11;
    head.connection = connection;
    if hosts == 0 && head.version == Version::Http11 {
        return Err(Refusal::bad(Reason::BadHost));
    }
    target_form(bytes, head)?;
    head.framing = framing.conclude(bytes, head, verdict)?;
    Ok(())
}

/// Origin, absolute, asterisk or authority form (RFC 9112 section 3.2).
fn target_form(bytes: &[u8], head: &mut RequestHead) -> Result<(), Refusal> {
    let target = head.target.of(bytes);
    let method = head.method.of(bytes);
    match target {
        _ if method == b"CONNECT" => {
            // the port is not optional (RFC 9112 section 3.2.3)
            if !is_authority(target) || host_length(target) + 1 >= target.len() {
                return Err(Refusal::bad(Reason::BadUri));
            }
            head.authority = head.target;
            head.path = Span::default();
            head.query = None;
        }
        [b'/', ..] | [] => {}
        b"*" if method == b"OPTIONS" => {}
        _ => absolute_form(target, head)?,
    }
    let authority = head.authority.of(bytes);
    let start = head.authority.start as usize;
    head.host = Span::new(start, start + host_length(authority));
    Ok(())
}

fn absolute_form(target: &[u8], head: &mut RequestHead) -> Result<(), Refusal> {
    let scheme = match target {
        _ if starts_without_case(target, b"http://") => 7,
        _ if starts_without_case(target, b"https://") => 8,
        _ => return Err(Refusal::bad(Reason::BadUri)),
    };
    let rest = &target[scheme..];
    let length = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..length];
    // user information is an error in http URIs (RFC 9110 section 4.2.4), and '@' is no host character
    if !is_authority(authority) {
        return Err(Refusal::bad(Reason::BadUri));
    }
    let start = head.target.start as usize + scheme;
    head.authority = Span::new(start, start + length);
    let end = (head.target.start + head.target.len) as usize;
    let path_end = head.query.map_or(end, |q| q.start as usize - 1);
    // an empty path is sent as "/" (RFC 9112 section 3.2.1); an empty span says so
    head.path = Span::new(start + length, path_end.max(start + length));
    head.target = Span::new(start + length, end);
    Ok(())
}

fn starts_without_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Whether a field that is not a framing field looks like one.
#[inline]
fn imitation(field: Field, bytes: &[u8]) -> Option<Imitates> {
    let name = field.name.of(bytes);
    // most names end here: a clean one imitates only when it is about as long as the real one
    if matches!(field.fitness, Fitness::Clean | Fitness::ControlInValue)
        && (name.len() < 13 || !matches!(name.first()? | 0x20, b't' | b'c' | b'-'))
    {
        return None;
    }
    imitates(name)
}

/// Length of the host in `authority`, without `:port`.
pub fn host_length(authority: &[u8]) -> usize {
    match authority {
        [b'[', ..] => authority.iter().position(|b| *b == b']').map_or(authority.len(), |i| i + 1),
        _ => authority.iter().position(|b| *b == b':').unwrap_or(authority.len()),
    }
}

/// Whether an Upgrade field may be passed on. Never to HTTP/2: what the client says after that would reach the target
/// unread.
fn may_upgrade(field: Field, value: &[u8]) -> bool {
    let is_h2c = |protocol: &[u8]| protocol.get(..3).is_some_and(|p| p.eq_ignore_ascii_case(b"h2c"));
    field.fitness == Fitness::Clean && !value.is_empty() && !list(value).any(is_h2c)
}

/// Reads one Connection field into `options`, and counts the fields that it names.
pub(crate) fn connection_options(value: &[u8], options: &mut ConnectionOptions) -> usize {
    // what nearly all say
    if value.eq_ignore_ascii_case(b"keep-alive") {
        options.keep_alive = !options.close;
        return 0;
    }
    let mut listed = 0;
    for option in list(value) {
        if option.eq_ignore_ascii_case(b"close") {
            options.keep_alive = false;
            options.close = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            options.keep_alive = !options.close;
        } else if option.eq_ignore_ascii_case(b"upgrade") {
            options.upgrade = true;
        } else if !option.is_empty() {
            options.lists_fields = true;
            listed += 1;
        }
    }
    listed
}

/// What the framing fields of a request add up to (RFC 9112 section 6.3).
#[derive(Default)]
struct FramingFields {
    length: Option<u64>,
    /// Any Transfer-Encoding field, with a coding other than identity or without.
    encoded: bool,
    /// A coding other than chunked and identity.
    extra: bool,
    chunked: bool,
    /// Any Transfer-Encoding, real or imitated, applied chunked.
    any_chunked: bool,
    any_length: Option<u64>,
}

impl FramingFields {
    fn content_length(&mut self, value: &[u8], verdict: &mut Verdict) -> Result<(), Refusal> {
        let length = decimal(value).ok_or(Refusal::bad(Reason::BadContentLength))?;
        if self.any_length.is_some_and(|other| other != length) {
            return Err(Refusal::bad(Reason::MultipleContentLength));
        }
        if self.any_length.is_some() {
            verdict.raise(Tier::Ambiguous, Reason::DuplicateContentLength);
        }
        self.any_length = Some(length);
        self.length = Some(length);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.encoded = true;
        self.codings(value, |fields, coding| match coding {
            Coding::Chunked => fields.chunked = true,
            Coding::Other => fields.extra = true,
            Coding::Identity => {}
        })
    }

    fn imitation(&mut self, imitated: Imitates, value: &[u8], verdict: &mut Verdict) -> Result<(), Refusal> {
        match imitated {
            Imitates::TransferEncoding => self.codings(value, |_, _| {}),
            Imitates::ContentLength => {
                let real = self.length;
                self.content_length(value, verdict)?;
                self.length = real;
                Ok(())
            }
        }
    }

    fn codings(&mut self, value: &[u8], mut each: impl FnMut(&mut Self, Coding)) -> Result<(), Refusal> {
        for coding in list(value) {
            let coding = Coding::read(coding).ok_or(Refusal::bad(Reason::BadTransferEncoding))?;
            if self.any_chunked {
                return Err(Refusal::bad(match coding {
                    Coding::Chunked => Reason::MultipleTransferEncodingChunked,
                    _ => Reason::BadTransferEncoding,
                }));
            }
            self.any_chunked = coding == Coding::Chunked;
            each(self, coding);
        }
        Ok(())
    }

    fn conclude(&self, bytes: &[u8], head: &mut RequestHead, verdict: &mut Verdict) -> Result<Framing, Refusal> {
        let bodiless = matches!(head.method.of(bytes), b"GET" | b"HEAD");
        let old = head.version == Version::Http10;
        if self.encoded {
            if bodiless || old {
                verdict.raise(Tier::Ambiguous, Reason::UndefinedTransferEncodingSemantics);
            }
            if self.length.is_some() {
                verdict.raise(Tier::Ambiguous, Reason::BothTeClPresent);
            }
        }
        match (self.length, bodiless) {
            (Some(0), true) => verdict.raise(Tier::Acceptable, Reason::GetHeadZeroContentLength),
            (Some(_), true) => verdict.raise(Tier::Ambiguous, Reason::UndefinedContentLengthSemantics),
            (Some(_), false) if verdict.reason == Reason::NonCompliantVersion && old => {
                verdict.raise(Tier::Ambiguous, Reason::UndefinedContentLengthSemantics);
            }
            _ => {}
        }
        head.extra_codings = self.extra && self.chunked;
        match (self.chunked, self.extra, self.length) {
            (true, _, _) => Ok(Framing::Chunked),
            // said without need, and readers that take every GET for bodiless are none the wiser without it
            (false, _, Some(0)) if bodiless => Ok(Framing::None),
            // a coding that does not delimit itself: without a length there is no end (RFC 9112 section 6.3, H9)
            (false, true, None) => Err(Refusal { status: 501, reason: Reason::BadTransferEncoding }),
            (false, _, Some(length)) => Ok(Framing::Length(length)),
            (false, false, None) => Ok(Framing::None),
        }
    }
}

/// A transfer coding of the registry (RFC 9112 section 7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Chunked,
    Identity,
    Other,
}

impl Coding {
    /// Reads one member of a Transfer-Encoding list; parameters are let go.
    pub(crate) fn read(text: &[u8]) -> Option<Coding> {
        let name = trimmed(text.split(|b| *b == b';').next()?);
        let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
        let parameters_fit = text.iter().all(|b| (0x20..0x7f).contains(b) || *b == b'\t');
        match () {
            () if !parameters_fit => None,
            () if is(b"chunked") => Some(Coding::Chunked),
            () if is(b"identity") => Some(Coding::Identity),
            () if is(b"gzip") || is(b"x-gzip") || is(b"deflate") || is(b"compress") || is(b"x-compress") => {
                Some(Coding::Other)
            }
            () => None,
        }
    }
}

#[cfg(test)]
mod tests;
