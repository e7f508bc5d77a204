//! Content codings: which one a request asks for, whether an answer may be sent in it, and what its head says then
//! (RFC 9110 sections 8.4 and 12.5.3).
//!
//! Decisions only, for every version of HTTP alike. Deliberately absent: encoders, and `deflate`, which two camps read as
//! two formats.

use crate::bytes::{list, trimmed};
use crate::framing::Framing;
use crate::head::{Known, RequestView, ResponseHead, Version};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the coding of that name")]
pub enum ContentCoding {
    Brotli,
    Zstd,
    Gzip,
}

impl ContentCoding {
    /// All there are.
    pub const ALL: [ContentCoding; 3] = [ContentCoding::Brotli, ContentCoding::Zstd, ContentCoding::Gzip];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Zstd => "zstd",
            ContentCoding::Gzip => "gzip",
        }
    }

    fn named(name: &[u8]) -> Option<ContentCoding> {
        // RFC 9110 section 8.4.1.3: x-gzip is gzip
        let is = |coding: &ContentCoding| name.eq_ignore_ascii_case(coding.name().as_bytes());
        let old = name.eq_ignore_ascii_case(b"x-gzip").then_some(ContentCoding::Gzip);
        ContentCoding::ALL.into_iter().find(is).or(old)
    }
}

/// What is encoded, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// In order of preference among those that a client likes equally.
    pub codings: Vec<ContentCoding>,
    /// Media types in lower case, `text/html` or `text/*`.
    pub types: Vec<Box<str>>,
    /// Answers known to be shorter are not worth it.
    pub minimum_size: u64,
}

impl Offer {
    fn covers(&self, content_type: &[u8]) -> bool {
        let essence = trimmed(content_type.split(|b| *b == b';').next().unwrap_or(content_type));
        self.types.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => {
                essence.get(..start.len()).is_some_and(|e| e.eq_ignore_ascii_case(start.as_bytes()))
                    && essence.len() > start.len()
            }
            None => essence.eq_ignore_ascii_case(known.as_bytes()),
        })
    }
}

/// What a request allows its answer to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The coding that the client likes best.
    pub coding: Option<ContentCoding>,
    /// It asks whether something changed of which it holds a weak entity tag, which may be one that was weakened here.
    pub holds_weak: bool,
}

/// What the request allows. HEAD is answered without a body, and a client of HTTP/1.0 could not be told where one ends.
pub fn asked(view: RequestView<'_>, offer: &Offer) -> Asked {
    let values = |name: &'static str| {
        view.fields().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    };
    let bodiless = view.method() == b"HEAD" || view.head.version == Version::Http10;
    // RFC 9111 section 5.2.1.6: the client may forbid it, too
    let forbidden = bodiless || values("cache-control").any(forbids);
    Asked {
        coding: if forbidden { None } else { negotiate(values("accept-encoding"), &offer.codings) },
        holds_weak: values("if-none-match").flat_map(list).any(|tag| tag.starts_with(b"W/")),
    }
}

fn forbids(cache_control: &[u8]) -> bool {
    list(cache_control).any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// The coding of `offered` that Accept-Encoding gives the highest weight, the first among equals; none when the client likes
/// the content as it is better, or did not say anything. What is not by the grammar counts as a refusal of that coding, and
/// of several members with one name the least inviting counts.
pub fn negotiate<'v>(
    accept_encoding: impl IntoIterator<Item = &'v [u8]>,
    offered: &[ContentCoding],
) -> Option<ContentCoding> {
    let (mut named, mut identity, mut any) = ([None; ContentCoding::ALL.len()], None, None);
    for member in accept_encoding.into_iter().flat_map(list) {
        let (name, weight) = match member.iter().position(|b| *b == b';') {
            Some(at) => (trimmed(&member[..at]), weight(trimmed(&member[at + 1..]))),
            None => (member, MOST),
        };
        let place: &mut Option<u16> = match ContentCoding::named(name) {
            Some(coding) => &mut named[coding as usize],
            None if name.eq_ignore_ascii_case(b"identity") => &mut identity,
            None if name == b"*" => &mut any,
            None => continue,
        };
        *place = Some(place.map_or(weight, |before: u16| before.min(weight)));
    }
    let weight_of = |coding: ContentCoding| named[coding as usize].or(any).unwrap_or(0);
    let mut best: Option<ContentCoding> = None;
    for coding in offered.iter().copied().filter(|coding| weight_of(*coding) > 0) {
        if best.is_none_or(|best| weight_of(best) < weight_of(coding)) {
            best = Some(coding);
        }
    }
    best.filter(|best| identity.is_none_or(|identity| identity <= weight_of(*best)))
}

/// A weight of 1, in thousandths.
const MOST: u16 = 1000;

/// `q=0.5` in thousandths (RFC 9110 section 12.4.2); 0 when it is none.
fn weight(text: &[u8]) -> u16 {
    let [b'q' | b'Q', b'=', value @ ..] = text else { return 0 };
    let (whole, rest) = match value {
        [b'0', rest @ ..] => (0, rest),
        [b'1', rest @ ..] => (MOST, rest),
        _ => return 0,
    };
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return 0,
    };
    let scales = [100, 10, 1];
    let fraction: u16 = digits.iter().zip(scales).map(|(digit, scale)| u16::from(digit - b'0') * scale).sum();
    if whole == MOST && fraction > 0 { 0 } else { whole + fraction }
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shaped<E> {
    /// What encodes it.
    pub encoder: Option<E>,
    /// Names of the target's fields that are left out, for [`crate::send::Answer::removed`].
    pub removed: &'static [&'static str],
}

/// Fields that an encoded answer has no longer, or has otherwise. Those that are left out of other answers, too, come first.
const REMOVED: &[&str] = &[
    "Vary",
    "ETag",
    "Accept-Ranges",
    // not passed on, because chunks are made anew
    "Trailer",
    // of the bytes as they were
    "Content-MD5",
    "Content-Digest",
    "Repr-Digest",
    "Digest",
];

/// What of a target's head matters here.
#[derive(Default)]
struct Traits<'a> {
    content_type: Option<&'a [u8]>,
    is_fixed: bool,
    tag: Option<&'a [u8]>,
    varies: Vary,
}

/// What Vary says about Accept-Encoding.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Vary {
    /// It is not there.
    #[default]
    Absent,
    /// It names other fields.
    Others,
    /// It names it, or everything.
    Names,
}

impl<'a> Traits<'a> {
    fn of(bytes: &'a [u8], head: &ResponseHead) -> Traits<'a> {
        // a target that takes fields of its own away with Connection is not second-guessed
        let mut traits = Traits { is_fixed: head.connection.lists_fields, ..Traits::default() };
        for field in head.fields.iter().filter(|f| f.known == Known::Other) {
            let value = field.value.of(bytes);
            let name = field.name.of(bytes);
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"etag") => traits.tag = Some(value),
                4 if name.eq_ignore_ascii_case(b"vary") => {
                    let names = list(value).any(|n| n == b"*" || n.eq_ignore_ascii_case(b"accept-encoding"));
                    if names || traits.varies == Vary::Names {
                        traits.varies = Vary::Names;
                    } else {
                        traits.varies = Vary::Others;
                    }
                }
                12 if name.eq_ignore_ascii_case(b"content-type") => {
                    traits.is_fixed |= traits.content_type.is_some();
                    traits.content_type = Some(value);
                }
                13 if name.eq_ignore_ascii_case(b"cache-control") => traits.is_fixed |= forbids(value),
                13 if name.eq_ignore_ascii_case(b"content-range") => traits.is_fixed = true,
                16 if name.eq_ignore_ascii_case(b"content-encoding") => traits.is_fixed = true,
                _ => {}
            }
        }
        traits
    }

    /// Whether the answer is sent encoded to those who ask for it.
    fn may_be_encoded(&self, head: &ResponseHead, offer: &Offer) -> bool {
        !self.is_fixed
            && !matches!(head.status, 100..=199 | 204..=206 | 304)
            && head.content_length.is_none_or(|length| length >= offer.minimum_size.max(1))
            && self.content_type.is_some_and(|of| offer.covers(of))
    }
}

/// Decides how the answer is sent, and appends to `lines` what it says of that, each line with CRLF. `begin` gives an
/// encoder, or none when there is none to be had; it is asked only when one is needed.
///
/// An answer that others get encoded says `Vary: Accept-Encoding`; one that is encoded has a weak entity tag, because its
/// bytes are not those that the strong one stands for. A 304 to a request with a weak tag gets it weakened likewise, or no
/// cache would find what it is about.
pub fn shape<E>(
    bytes: &[u8],
    head: &ResponseHead,
    framing: Framing,
    offer: &Offer,
    asked: Asked,
    lines: &mut Vec<u8>,
    begin: impl FnOnce(ContentCoding) -> Option<E>,
) -> Shaped<E> {
    let traits = Traits::of(bytes, head);
    let encodable = traits.may_be_encoded(head, offer);
    let is_unchanged = head.status == 304;
    let coding = asked.coding.filter(|_| encodable && framing != Framing::None);
    let encoder = coding.and_then(begin);
    // a 304 that lists other fields would have a cache forget what the 200 said
    let varies = match traits.varies {
        Vary::Absent if encodable => {
            lines.extend_from_slice(b"Vary: Accept-Encoding\r\n");
            false
        }
        Vary::Others if encodable || is_unchanged => {
            put_vary(bytes, head, lines);
            true
        }
        _ => false,
    };
    if let (Some(coding), Some(_)) = (coding, &encoder) {
        lines.extend_from_slice(b"Content-Encoding: ");
        lines.extend_from_slice(coding.name().as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    let weakened = encoder.is_some() || is_unchanged && asked.holds_weak && traits.tag.is_some();
    if weakened && let Some(tag) = traits.tag {
        put_weak(tag, lines);
    }
    let from = usize::from(!varies);
    let to = if encoder.is_some() { REMOVED.len() } else { 1 + usize::from(weakened) };
    Shaped { encoder, removed: REMOVED.get(from..to).unwrap_or(&[]) }
}

fn put_vary(bytes: &[u8], head: &ResponseHead, lines: &mut Vec<u8>) {
    lines.extend_from_slice(b"Vary: ");
    let fields = head.fields.iter().filter(|f| f.name.of(bytes).eq_ignore_ascii_case(b"vary"));
    for name in fields.flat_map(|f| list(f.value.of(bytes))).filter(|name| !name.is_empty()) {
        lines.extend_from_slice(name);
        lines.extend_from_slice(b", ");
    }
    lines.extend_from_slice(b"Accept-Encoding\r\n");
}

/// The weak form of an entity tag (RFC 9110 section 8.8.3); nothing of what is none.
fn put_weak(tag: &[u8], lines: &mut Vec<u8>) {
    let start: &[u8] = match tag {
        [b'W', b'/', b'"', .., b'"'] => b"ETag: ",
        [b'"', .., b'"'] => b"ETag: W/",
        _ => return,
    };
    lines.extend_from_slice(start);
    lines.extend_from_slice(tag);
    lines.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
