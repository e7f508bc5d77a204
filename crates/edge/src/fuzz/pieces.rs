//! What comes in beside HTTP, each read by itself: certificates of clients, datagrams of QUIC before anybody has decrypted them and
//! on their way between processes, stickiness cookies.

use headworks_balance::{GroupKey, Keyring, Kind, Sticky, TargetKey};
use headworks_message::{Fitness, Parsed, RequestHead, RequestView, Tier, request};
use headworks_model::listener::MutualMode;
use rustls::pki_types::CertificateDer;

use super::hunt::keep_shape;
use crate::quic::{identity, relay};
use crate::tls::client;
use crate::tls::told::ToldAs;

/// A certificate in DER, made once: `CN=fuzz, O="a+b, c"`, no alternative names.
pub(super) const CERTIFICATES: &[&[u8]] = &[include_bytes!("certificate.der"), b"\x30\x03\x02\x01\x01", b""];

/// What a target is told of a client's certificate is whole fields that nobody reads otherwise, whatever is in the certificate.
pub(super) fn certificate(bytes: &[u8]) {
    let (told, der) = (ToldAs::new(None), CertificateDer::from(bytes));
    let mut shape = String::new();
    for mode in [MutualMode::Passthrough, MutualMode::Verify] {
        let lines = client::lines(mode, Some(std::slice::from_ref(&der)), &told);
        let count = lines.split(|byte| *byte == b'\n').count() - 1;
        let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines.as_slice(), b"\r\n"].concat();
        let mut head = RequestHead::default();
        assert_eq!(request::parse(&bytes, &mut head), Ok(Parsed::Complete), "{}", bytes.escape_ascii());
        assert_eq!((head.tier, head.fields.len()), (Tier::Compliant, 1 + count), "{}", bytes.escape_ascii());
        let view = RequestView { bytes: &bytes, head: &head };
        for field in &view.head.fields {
            let value = field.value.of(&bytes);
            assert!(field.fitness == Fitness::Clean && value.is_ascii(), "{}", value.escape_ascii());
        }
        let lengths: Vec<_> = head.fields.iter().map(|field| field.value.len.min(40)).take(5).collect();
        shape += &format!("{lengths:?}");
    }
    keep_shape(shape);
}

/// A short head with an identity, a long one, a client's first, and a message between processes: 46 bytes and a payload.
pub(super) const DATAGRAMS: &[&[u8]] = &[
    b"\x400123456789abcdefpayload",
    b"\xe0\0\0\0\x01\x100123456789abcdefpayload",
    b"\xc0\0\0\0\x01\x0801234567payload",
    b"\0\x03\x01\x2c\x02\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04\0\x05\0\0\0\0\
\x06\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x02payload",
];

/// An identity is where a datagram says it is; a message between processes that can be read says the same when it is sent again.
pub(super) fn datagram(bytes: &[u8]) {
    let destination = identity::destination(bytes);
    if let Some(found) = destination {
        assert_eq!(found.len(), identity::LENGTH);
        let start = if bytes[0] & 0x80 == 0 { 1 } else { 6 };
        assert_eq!(found, &bytes[start..start + identity::LENGTH]);
    }
    let decoded = relay::decode(bytes);
    let families =
        decoded.as_ref().map(|(_, _, datagram)| (datagram.from.is_ipv4(), datagram.to.map(|to| to.is_ipv4())));
    let ecn = decoded.as_ref().map(|(_, _, datagram)| datagram.ecn);
    keep_shape(format!("{} {families:?} {ecn:?} {}", destination.is_some(), bytes.len().min(48)));
    if let Some((listener, place, datagram)) = decoded {
        let again = relay::encode(listener, place, &datagram);
        assert_eq!(again.len(), bytes.len());
        assert_eq!(relay::decode(&again), Some((listener, place, datagram)));
    }
}

/// One that this program has made, in its form and in others.
pub(super) const COOKIES: &[&[u8]] =
    &[b"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", b"\x05x", b""];

/// No text is a cookie that was not sealed: not what a client makes up, and not what it makes of one of ours.
pub(super) fn cookie(bytes: &[u8]) {
    let keyring = Keyring::new([7; 32], 0).expect("a keyring");
    let text = String::from_utf8_lossy(bytes);
    let kinds = [Kind::Target, Kind::Group, Kind::Application { cookie: 5 }, Kind::Explain];
    let found = kinds.map(|kind| keyring.open(kind, &text, 5));
    assert!(found.iter().all(Result::is_err), "{text}");
    keep_shape(format!("{:?} {}", found[0], text.len().min(100)));
    let sticky = Sticky { target: TargetKey(1), group: GroupKey(2), issued: 1, expires: 100 };
    let sealed = keyring.seal(Kind::Target, &sticky, [3; 12]).expect("a sealed text");
    assert_eq!(keyring.open(Kind::Target, &sealed, 5), Ok(sticky));
    // the text takes the place of a part of it
    let Some(at) = bytes.first().map(|byte| usize::from(*byte) % sealed.len()) else { return };
    let rest = text.get(1..).unwrap_or_default();
    let end = (at + rest.len()).min(sealed.len());
    let forged = format!("{}{rest}{}", &sealed[..at], &sealed[end..]);
    for kind in kinds {
        let opened = keyring.open(kind, &forged, 5);
        assert!(opened.is_err() || forged == sealed && kind == Kind::Target, "{forged} is taken");
    }
}
