//! The one parsed head: spans over the bytes that were received.
//!
//! Routing, firewall, cache key and the upstream writer all read this and nothing else, so that no two of them can see
//! different requests. HTTP/2 and HTTP/3 heads are laid out the same way (see [`RequestHead::lay_out`]).
//! Deliberately absent: owned strings, a map of headers, anything allocated per field.

use crate::desync::{Reason, Tier};
use crate::framing::Framing;

/// A piece of the head's bytes: offset and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// From offset `start` to offset `end`, exclusive.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, len: end.saturating_sub(start) as u32 }
    }

    /// The bytes this span names; empty when it lies outside of `bytes`.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..(self.start + self.len) as usize).unwrap_or(&[])
    }

    /// Whether it names no byte.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Header fields that the proxy itself reads or writes; everything else is [`Known::Other`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Known {
    #[default]
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Te,
    Trailer,
    Http2Settings,
    Upgrade,
    Expect,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    XForwardedFor,
    XForwardedProto,
    XForwardedPort,
    XAmznTraceId,
    /// `X-Amzn-Mtls-...`: what we alone may say of a client's certificate.
    XAmznMtls,
    /// `x-amzn-tls-version` and `x-amzn-tls-cipher-suite`.
    XAmznTls,
    /// `X-Headworks-Explain`: asks for the decision, by a token of ours.
    XHeadworksExplain,
    Cookie,
    SetCookie,
    UserAgent,
    Referer,
    Server,
    Date,
}

/// One header field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The name as received.
    pub name: Span,
    /// The value without surrounding white space.
    pub value: Span,
    /// Which field it is, when the proxy cares.
    pub known: Known,
    /// Whether, and how, it may be sent on.
    pub fitness: Fitness,
}

/// Whether a field may be sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Fitness {
    /// As it is: the name is `[-A-Za-z0-9]+`, the value has no control characters.
    #[default]
    Clean,
    /// A token by RFC 9110, but not `[-A-Za-z0-9]+`: `drop_invalid_header_fields` decides.
    UnusualName,
    /// The value has control characters, which are sent on as spaces (RFC 9110 section 5.5).
    ControlInValue,
    /// Never: the name is no token, or it imitates a framing field.
    Unfit,
}

/// HTTP version of a message as the proxy treats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the versions'")]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
    Http3,
}

/// A parsed request head. Reused from request to request: parsing clears and fills it.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// Method, a token.
    pub method: Span,
    /// Request target as received.
    pub target: Span,
    /// Path of the target, without query; `*` for the asterisk form, empty for the authority form.
    pub path: Span,
    /// Query without its `?`.
    pub query: Option<Span>,
    /// Host and port, of the target when it has them, else of the Host field.
    pub authority: Span,
    /// Host without port (brackets of an IPv6 literal included).
    pub host: Span,
    /// Version.
    pub version: Version,
    /// Fields in the order received.
    pub fields: Vec<Field>,
    /// The bytes are HTTP/1.1 text, so that a run of lines can be sent on as it is.
    pub is_text: bool,
    /// Bytes of the whole head with its empty line.
    pub len: usize,
    /// How the body is delimited.
    pub framing: Framing,
    /// What the client and its intermediaries asked of the connection.
    pub connection: ConnectionOptions,
    /// `Expect: 100-continue` was given.
    pub expects_continue: bool,
    /// The target has bytes that are sent on percent-encoded.
    pub target_unclean: bool,
    /// `X-Headworks-Explain` is among the fields.
    pub asks_why: bool,
    /// Codings besides chunked stand in Transfer-Encoding.
    pub extra_codings: bool,
    /// How safely two readers would read the same (H8).
    pub tier: Tier,
    /// What put it into its tier.
    pub reason: Reason,
}

/// What the Connection field and the version say about a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// The connection may serve another message after this one.
    pub keep_alive: bool,
    /// `close` was among the options.
    pub close: bool,
    /// `upgrade` was among the options, and the message has an Upgrade field.
    pub upgrade: bool,
    /// Options other than `close`, `keep-alive` and `upgrade` name fields that must not be sent on.
    pub lists_fields: bool,
}

/// A request head together with the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The bytes the spans point into.
    pub bytes: &'a [u8],
    /// The parsed head.
    pub head: &'a RequestHead,
}

impl<'a> RequestView<'a> {
    /// The method.
    pub fn method(&self) -> &'a [u8] {
        self.head.method.of(self.bytes)
    }

    /// Host without port, as received; empty when the request named none.
    pub fn host(&self) -> &'a [u8] {
        self.head.host.of(self.bytes)
    }

    /// The path without query, as received.
    pub fn path(&self) -> &'a [u8] {
        self.head.path.of(self.bytes)
    }

    /// The query without its `?`, as received.
    pub fn query(&self) -> Option<&'a [u8]> {
        self.head.query.map(|q| q.of(self.bytes))
    }

    /// Every field that may be seen by rules, none that only we may set among them, as (name, value) in the order received.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.head
            .fields
            .iter()
            .filter(|f| f.fitness != Fitness::Unfit && f.known != Known::XAmznMtls)
            .map(move |f| (f.name.of(bytes), f.value.of(bytes)))
    }

    /// The value of the first field of that known name.
    pub fn known(&self, known: Known) -> Option<&'a [u8]> {
        self.head.fields.iter().find(|f| f.known == known).map(|f| f.value.of(self.bytes))
    }

    /// The value of the cookie `name`, from any Cookie field (RFC 6265 section 4.2.1).
    pub fn cookie(&self, name: &[u8]) -> Option<&'a [u8]> {
        let bytes = self.bytes;
        let fields = self.head.fields.iter().filter(|f| f.known == Known::Cookie);
        fields.flat_map(|f| cookies(f.value.of(bytes))).find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// A parsed response head. Reused like [`RequestHead`].
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase, may be empty.
    pub reason: Span,
    /// Version.
    pub version: Version,
    /// Fields in the order received.
    pub fields: Vec<Field>,
    /// Bytes of the whole head with its empty line.
    pub len: usize,
    /// Content-Length, when there is one.
    pub content_length: Option<u64>,
    /// It came more than once, with one value.
    pub repeated_length: bool,
    /// Transfer-Encoding ends in chunked.
    pub chunked: bool,
    /// What the target asked of the connection.
    pub connection: ConnectionOptions,
}

/// The pairs of a Cookie field's value.
pub fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|b| *b == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let eq = pair.iter().position(|b| *b == b'=')?;
        Some((&pair[..eq], &pair[eq + 1..]))
    })
}

impl RequestHead {
    /// The target stands from `start` to `end`; its path and query are found in it.
    #[inline]
    pub(crate) fn set_target(&mut self, bytes: &[u8], start: usize, end: usize) {
        self.target = Span::new(start, end);
        let question = memchr::memchr(b'?', self.target.of(bytes)).map(|i| start + i);
        self.path = Span::new(start, question.unwrap_or(end));
        self.query = question.map(|q| Span::new(q + 1, end));
    }

    /// Lays a head out in `bytes` (both cleared first) as the HTTP/1.1 parser would have found it, for heads that did not
    /// come as HTTP/1.1 text; version and framing are for the caller to say. `method` is a token, `target` in origin form; `host` may carry a port. Names and values may be
    /// anything: those that could be read as more than one HTTP/1.1 line are marked as the parser marks them.
    pub fn lay_out<'f>(
        &mut self,
        bytes: &mut Vec<u8>,
        method: &[u8],
        target: &[u8],
        host: &[u8],
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) {
        fn put(bytes: &mut Vec<u8>, piece: &[u8]) -> Span {
            let start = bytes.len();
            bytes.extend_from_slice(piece);
            Span::new(start, bytes.len())
        }
        bytes.clear();
        let mut kept = std::mem::take(&mut self.fields);
        kept.clear();
        *self = RequestHead { method: put(bytes, method), fields: kept, ..RequestHead::default() };
        let start = put(bytes, target).start as usize;
        self.set_target(bytes, start, bytes.len());
        self.target_unclean = !target.iter().all(|b| crate::bytes::is_target(*b));
        self.authority = put(bytes, host);
        let at = self.authority.start as usize;
        self.host = Span::new(at, at + crate::request::host_length(host));
        self.connection.keep_alive = true;
        for (name, value) in fields {
            let field = Field { name: put(bytes, name), value: put(bytes, value), ..Field::default() };
            let (known, fitness) = crate::fields::judge(name, value);
            self.asks_why |= known == Known::XHeadworksExplain;
            self.fields.push(Field { known, fitness, ..field });
        }
        self.len = bytes.len();
    }
}
