//! Tiers of requests that two HTTP readers could read differently (H8), after AWS's published request-desync cases.
//!
//! The parser classifies while it parses; what a mode does with a tier is the edge's business.

use std::fmt;

/// How safely two readers would read the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// By the RFCs.
    #[default]
    Compliant,
    /// Not by the RFCs, but harmless.
    Acceptable,
    /// Readers may disagree; can be forwarded cleanly, but neither connection may be used again.
    Ambiguous,
    /// An attack or a broken sender.
    Severe,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a request is in its tier: the reason codes of an Application Load Balancer's access log.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Reason {
            /// Nothing to say.
            #[default]
            Compliant,
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// The documented code.
            pub fn as_str(self) -> &'static str {
                match self {
                    Reason::Compliant => "Compliant",
                    $(Reason::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    /// The target has control characters.
    AmbiguousUri,
    /// Content-Length is no number of 64 bits.
    BadContentLength,
    /// A field has NUL, CR or LF inside, is folded, or has no colon.
    BadHeader,
    /// The method is no token.
    BadMethod,
    /// Transfer-Encoding has a coding nobody knows, or chunked is not its last.
    BadTransferEncoding,
    /// The target has NUL, CR or LF inside, or is of no form that RFC 9112 section 3.2 knows.
    BadUri,
    /// The version is no HTTP version.
    BadVersion,
    /// Transfer-Encoding and Content-Length together.
    BothTeClPresent,
    /// Content-Length twice with one value.
    DuplicateContentLength,
    /// A field without a name.
    EmptyHeader,
    /// GET or HEAD with `Content-Length: 0`.
    GetHeadZeroContentLength,
    /// Content-Length more than once with different values.
    MultipleContentLength,
    /// Chunked applied more than once.
    MultipleTransferEncodingChunked,
    /// A field name or value outside of RFC 9110's grammar.
    NonCompliantHeader,
    /// No version, HTTP/0.9, HTTP/1.2 and up, or white space after it.
    NonCompliantVersion,
    /// An unescaped space in the target.
    SpaceInUri,
    /// A field that imitates Transfer-Encoding or Content-Length.
    SuspiciousHeader,
    /// GET or HEAD with a body, or HTTP/0.9 with a Content-Length.
    UndefinedContentLengthSemantics,
    /// GET or HEAD with Transfer-Encoding, or Transfer-Encoding in HTTP/1.0 or before.
    UndefinedTransferEncodingSemantics,
    /// The request line has no target.
    MissingUri,
    /// Host is missing, repeated, or no host.
    BadHost,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The worst finding so far; the first of a tier is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) tier: Tier,
    pub(crate) reason: Reason,
}

impl Verdict {
    pub(crate) fn raise(&mut self, tier: Tier, reason: Reason) {
        if tier > self.tier {
            *self = Verdict { tier, reason };
        }
    }
}

/// A framing field that a name imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Imitates {
    TransferEncoding,
    ContentLength,
}

/// Whether `name`, read by its letters alone, spells a framing field. `ſ` and `ı` count as `s` and `i`: some readers
/// fold them so.
pub(crate) fn imitates(name: &[u8]) -> Option<Imitates> {
    fn spells(name: &[u8], word: &[u8]) -> bool {
        let mut rest = name;
        let mut word = word.iter();
        loop {
            let letter = match rest {
                [] => return word.next().is_none(),
                [0xc5, 0xbf, tail @ ..] => (rest = tail, b's').1,
                [0xc4, 0xb1, tail @ ..] => (rest = tail, b'i').1,
                [byte, tail @ ..] => (rest = tail, byte.to_ascii_lowercase()).1,
            };
            if letter.is_ascii_alphanumeric() && word.next() != Some(&letter) {
                return false;
            }
        }
    }
    if spells(name, b"transferencoding") {
        Some(Imitates::TransferEncoding)
    } else if spells(name, b"contentlength") {
        Some(Imitates::ContentLength)
    } else {
        None
    }
}
