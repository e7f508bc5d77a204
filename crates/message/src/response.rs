//! Parsing of HTTP/1.1 response heads (RFC 9112 section 4).
//!
//! Strict: a target that answers anything else is broken, and its client gets a 502 instead of a guess.

use std::fmt;

use crate::bytes::{decimal, find_control};
use crate::fields::{self, Line};
use crate::framing::Framing;
use crate::head::{ConnectionOptions, Known, ResponseHead, Span, Version};
use crate::request::{Coding, LISTED_LIMIT, Parsed, connection_options};

/// Longest response head (H2).
pub const HEAD_LIMIT: usize = 32 * 1024;

/// What is wrong with a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadResponse {
    /// The status line is none.
    StatusLine,
    /// A field line is not by the grammar.
    Field,
    /// The framing fields contradict each other or themselves.
    Framing,
    /// It is longer than [`HEAD_LIMIT`].
    TooLong,
}

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadResponse::StatusLine => "malformed status line",
            BadResponse::Field => "malformed header field",
            BadResponse::Framing => "contradictory framing",
            BadResponse::TooLong => "response head over 32 KiB",
        })
    }
}

impl std::error::Error for BadResponse {}

/// Parses the response head at the start of `bytes` into `head`, which is cleared first.
///
/// # Errors
/// As soon as what is there cannot become a head that may be sent on.
pub fn parse(bytes: &[u8], head: &mut ResponseHead) -> Result<Parsed, BadResponse> {
    let mut fields = std::mem::take(&mut head.fields);
    fields.clear();
    *head = ResponseHead { fields, ..ResponseHead::default() };
    let Some(mut at) = status_line(bytes, head)? else {
        return incomplete(bytes);
    };
    loop {
        match fields::line(bytes, at, &mut head.fields) {
            Line::Field(next) => at = next,
            Line::End(end) => {
                head.len = end;
                break;
            }
            Line::Incomplete => return incomplete(bytes),
            Line::Odd => return Err(BadResponse::Field),
        }
    }
    if head.len > HEAD_LIMIT {
        return Err(BadResponse::TooLong);
    }
    meaning(bytes, head)?;
    Ok(Parsed::Complete)
}

fn incomplete(bytes: &[u8]) -> Result<Parsed, BadResponse> {
    if bytes.len() > HEAD_LIMIT { Err(BadResponse::TooLong) } else { Ok(Parsed::Incomplete) }
}

fn status_line(bytes: &[u8], head: &mut ResponseHead) -> Result<Option<usize>, BadResponse> {
    const START: &[u8] = b"HTTP/1.";
    let prefix = bytes.len().min(START.len());
    if bytes.get(..prefix) != START.get(..prefix) {
        return Err(BadResponse::StatusLine);
    }
    // "HTTP/1.1 200": the reason phrase, and by usage even the space before it, may be absent
    let Some(line) = bytes.get(..12) else { return Ok(None) };
    head.version = match line.get(7) {
        Some(b'0') => Version::Http10,
        Some(b'1'..=b'9') => Version::Http11,
        _ => return Err(BadResponse::StatusLine),
    };
    head.status = match line.get(8..12) {
        Some([b' ', code @ ..]) => decimal(code).map_or(0, |n| n as u16),
        _ => 0,
    };
    if head.status < 100 {
        return Err(BadResponse::StatusLine);
    }
    let end = find_control(bytes, 12);
    match (bytes.get(12), bytes.get(end), bytes.get(end + 1)) {
        (None, _, _) | (_, None, _) | (_, Some(b'\r'), None) => Ok(None),
        (Some(b' ' | b'\r'), Some(b'\r'), Some(b'\n')) => {
            head.reason = Span::new((13).min(end), end);
            Ok(Some(end + 2))
        }
        _ => Err(BadResponse::StatusLine),
    }
}

fn meaning(bytes: &[u8], head: &mut ResponseHead) -> Result<(), BadResponse> {
    let mut connection =
        ConnectionOptions { keep_alive: head.version == Version::Http11, ..ConnectionOptions::default() };
    let mut upgrade_field = false;
    let mut listed = 0;
    for field in &head.fields {
        let value = field.value.of(bytes);
        match field.known {
            Known::ContentLength => {
                let length = decimal(value).ok_or(BadResponse::Framing)?;
                if head.content_length.is_some_and(|other| other != length) {
                    return Err(BadResponse::Framing);
                }
                head.repeated_length = head.content_length.is_some();
                head.content_length = Some(length);
            }
            Known::TransferEncoding => {
                for coding in crate::bytes::list(value) {
                    match Coding::read(coding) {
                        Some(Coding::Identity) if !head.chunked => {}
                        Some(Coding::Chunked) if !head.chunked => head.chunked = true,
                        // any other coding would have to be undone for a client that did not ask for it
                        _ => return Err(BadResponse::Framing),
                    }
                }
            }
            Known::Connection => {
                listed += connection_options(value, &mut connection);
                if listed > LISTED_LIMIT {
                    return Err(BadResponse::Field);
                }
            }
            Known::Upgrade => upgrade_field = true,
            _ => {}
        }
    }
    connection.upgrade &= upgrade_field;
    head.connection = connection;
    let sends_none = matches!(head.status, 100..=199 | 204);
    // whether bytes follow is anybody's guess in each of these, so that the connection is not used again
    if head.chunked && (head.content_length.is_some() || head.version == Version::Http10)
        || sends_none && (head.chunked || head.content_length.is_some_and(|n| n > 0))
    {
        head.connection.keep_alive = false;
    }
    if head.chunked {
        // Transfer-Encoding overrides (RFC 9112 section 6.3)
        head.content_length = None;
    }
    Ok(())
}

impl ResponseHead {
    /// How the body is delimited, given what was asked (RFC 9112 section 6.3).
    pub fn framing(&self, to_head_request: bool) -> Framing {
        match self.status {
            _ if to_head_request => Framing::None,
            100..=199 | 204 | 304 => Framing::None,
            _ if self.chunked => Framing::Chunked,
            _ => self.content_length.map_or(Framing::UntilClose, Framing::Length),
        }
    }

    /// An interim response; the final one is yet to come. 101 is none: it ends HTTP on its connection.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

#[cfg(test)]
mod tests;
