use std::io::Read;

use headworks_message::Framing;

use super::*;

const LEVELS: std::ops::RangeInclusive<u8> = 1..=9;

/// Text that a coding can make shorter, but not to nothing.
fn text(length: usize) -> Vec<u8> {
    let mut seed = 7u64;
    let words = ["balancer ", "target ", "listener ", "rule ", "<p>", "</p>\n", "0123 "];
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        text.extend_from_slice(words[(seed >> 33) as usize % words.len()].as_bytes());
    }
    text.truncate(length);
    text
}

/// The content of chunks that have been sent so far; whether the last one was among them.
fn unchunked(mut sent: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Body::new(Framing::Chunked);
    let mut content = Vec::new();
    let taken = body.take_decoded(sent, &mut content).unwrap();
    sent = &sent[taken..];
    assert!(sent.is_empty());
    (content, body.is_done())
}

/// What of a coded body can be read, though its end may be missing.
fn decoded(coding: ContentCoding, coded: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut reader: Box<dyn Read> = match coding {
        ContentCoding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
        ContentCoding::Zstd => Box::new(zstd::stream::read::Decoder::new(coded).unwrap()),
        ContentCoding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
    };
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut piece) {
        content.extend_from_slice(&piece[..n]);
    }
    content
}

/// In pieces of any size, at any level, what comes out is what went in.
#[test]
fn content_comes_back() {
    let home = Rc::new(Encoders::default());
    for coding in ContentCoding::ALL {
        for (level, length) in LEVELS.zip([0, 1, 100, 5000, 32 * 1024, 32 * 1024 + 1, 100_000, 200_000, 400_000]) {
            let content = text(length);
            for size in [1000, 32 * 1024] {
                for known in [None, Some(length as u64)] {
                    let mut encoder = home.begin(coding, level, known).unwrap();
                    let mut out = Vec::new();
                    let mut body = Body::UntilClose;
                    for piece in content.chunks(size) {
                        assert_eq!(encoder.take(&mut body, piece, &mut out).ok(), Some(piece.len()));
                    }
                    encoder.end(&mut out).unwrap();
                    let (coded, ended) = unchunked(&out);
                    assert!(ended);
                    let tally = encoder.tally();
                    assert_eq!((tally.content, tally.encoded), (length as u64, coded.len() as u64));
                    assert!(decoded(coding, &coded) == content, "{coding:?} {level} {length} {size}");
                    assert!(length < 5000 || coded.len() < length / 2, "{coding:?} {level} {length} {}", coded.len());
                }
            }
        }
    }
}

/// What has been flushed can be read, with nothing behind it.
#[test]
fn flushed_content_can_be_read() {
    let home = Rc::new(Encoders::default());
    for coding in ContentCoding::ALL {
        for level in LEVELS {
            let mut encoder = home.begin(coding, level, None).unwrap();
            let (mut out, mut sent, mut body) = (Vec::new(), Vec::new(), Body::UntilClose);
            for (i, size) in [1, 20, 70_000, 3].into_iter().enumerate() {
                let piece = text(size);
                sent.extend_from_slice(&piece);
                encoder.take(&mut body, &piece, &mut out).ok().unwrap();
                assert!(encoder.flush(&mut out).unwrap());
                let (coded, ended) = unchunked(&out);
                assert!(!ended);
                assert!(decoded(coding, &coded) == sent, "{coding:?} {level}, flush {i}");
                // nothing new, nothing to be sent
                let length = out.len();
                assert!(!encoder.flush(&mut out).unwrap());
                assert_eq!(out.len(), length);
            }
        }
    }
}

/// The end of a body that says itself where it is comes with its last bytes.
#[test]
fn bodies_that_know_their_end() {
    let home = Rc::new(Encoders::default());
    for coding in ContentCoding::ALL {
        let content = text(50_000);
        let mut chunked = format!("{:x};a=b\r\n", content.len()).into_bytes();
        chunked.extend_from_slice(&content);
        chunked.extend_from_slice(b"\r\n0\r\nX-Trailer: 1\r\n\r\n");
        for (framing, bytes) in [(Framing::Length(50_000), &content), (Framing::Chunked, &chunked)] {
            let mut encoder = home.begin(coding, 3, None).unwrap();
            let (mut body, mut out) = (Body::new(framing), Vec::new());
            for piece in bytes.chunks(7000) {
                let mut at = 0;
                while at < piece.len() {
                    at += encoder.take(&mut body, &piece[at..], &mut out).ok().filter(|n| *n > 0).unwrap();
                }
            }
            let (coded, ended) = unchunked(&out);
            assert!(ended && body.is_done());
            assert!(decoded(coding, &coded) == content, "{coding:?} {framing:?}");
        }
        let mut encoder = home.begin(coding, 3, None).unwrap();
        let broken = encoder.take(&mut Body::new(Framing::Chunked), b"zz\r\n", &mut Vec::new());
        assert_eq!(broken, Err(EncodeError::Malformed));
    }
}

#[test]
fn their_number_is_bounded() {
    let home = Rc::new(Encoders::default());
    let mut lent: Vec<_> = std::iter::from_fn(|| home.begin(ContentCoding::Gzip, 1, None)).collect();
    assert_eq!(lent.len(), MOST);
    lent.pop();
    assert!(home.begin(ContentCoding::Zstd, 1, None).is_some());
    drop(lent);
    assert_eq!((home.idle.borrow().len(), home.lent.get()), (KEPT, 0));
    drop(home.begin(ContentCoding::Zstd, 1, None));
    let kinds: Vec<_> = home.idle.borrow().iter().map(|(kind, _)| kind.coding).collect();
    assert_eq!(kinds.last(), Some(&ContentCoding::Zstd));
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// An encoder holds no more than [`MOST`] says, and what it is fed does not change that.
#[test]
fn their_memory_is_bounded() {
    const EACH: u64 = 8;
    let content = text(400_000);
    for (coding, level) in ContentCoding::ALL.into_iter().flat_map(|coding| [(coding, 3), (coding, 9)]) {
        let home = Rc::new(Encoders::default());
        let before = resident();
        let mut lent: Vec<_> = (0..EACH).map(|_| home.begin(coding, level, None).unwrap()).collect();
        let mut out = Vec::new();
        for encoder in &mut lent {
            for piece in content.chunks(32 * 1024) {
                encoder.take(&mut Body::UntilClose, piece, &mut out).ok().unwrap();
                out.clear();
            }
        }
        let each = resident().saturating_sub(before) / EACH;
        assert!(each < 6 * 1024, "{coding:?} at {level}: {each} KiB");
    }
}
