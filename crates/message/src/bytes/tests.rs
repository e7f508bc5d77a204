use proptest::prelude::*;

use super::*;

/// What a scan finds is what looking at each byte finds, from every offset.
fn check(bytes: &[u8]) {
    let naive =
        |from: usize, stops: fn(u8) -> bool| (from..bytes.len()).find(|i| stops(bytes[*i])).unwrap_or(bytes.len());
    for from in 0..=bytes.len() {
        assert_eq!(find_control(bytes, from), naive(from, is_control), "{from} {}", bytes.escape_ascii());
        assert_eq!(skip_plain_name(bytes, from), naive(from, |b| !is_plain_name(b)), "{from} {}", bytes.escape_ascii());
        assert_eq!(skip_target(bytes, from), naive(from, |b| !is_target(b)), "{from} {}", bytes.escape_ascii());
    }
}

#[test]
fn each_byte_is_found_at_each_place() {
    for byte in 0..=255 {
        for filler in [b'a', 0xff, b'\t', b'~', b' ', 0] {
            for place in 0..40 {
                let mut bytes = [filler; 41];
                bytes[place] = byte;
                check(&bytes[..]);
            }
        }
    }
}

#[test]
fn scans_begin_behind_the_end() {
    assert_eq!(find_control(b"abc", 4), 4);
}

proptest! {
    #[test]
    fn scans_agree_with_a_look_at_each_byte(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(b'\t'), 0x1eu8..0x22, 0x7du8..0x82], 0..90)
    ) {
        check(&bytes);
    }
}

#[test]
fn decimal_is_digits_within_64_bits() {
    let cases: [(&str, Option<u64>); 9] = [
        ("0", Some(0)),
        ("007", Some(7)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("", None),
        ("+1", None),
        ("-1", None),
        ("1 ", None),
        ("0x1", None),
    ];
    for (text, number) in cases {
        assert_eq!(decimal(text.as_bytes()), number, "{text}");
    }
}

#[test]
fn authority_is_a_host_and_perhaps_a_port() {
    let good = ["a", "a.example:80", "a:", "[::1]", "[::1]:8080", "[v1.x]", "1.2.3.4", "a%20b", "a_b", "*.a", "a,b"];
    let bad = [
        "", ":80", "a:b", "a:80:80", "[::1", "::1", "[::1]80", "a b", "a/b", "u@a", "a\x01", "\u{e9}", "[]x", "a#",
        "[]", "a]",
    ];
    for (text, expected) in good.map(|t| (t, true)).into_iter().chain(bad.map(|t| (t, false))) {
        assert_eq!(is_authority(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn lists_are_trimmed_of_spaces_and_tabs_only() {
    assert!(list(b" a ,\tb\t,,\x0cc ").eq([&b"a"[..], b"b", b"", b"\x0cc"]));
}

#[cfg(target_arch = "x86_64")]
proptest! {
    #[test]
    fn eight_at_once_are_as_sixteen(bytes in any::<[u8; 16]>(), low in 0u8..0x7f, span in 0u8..0x40) {
        use super::lanes::{Lanes, word};
        let high = low.saturating_add(span).min(0x7f);
        let wide = Lanes::at(&bytes, 0).unwrap();
        let (first, second) = (word::Lanes::at(&bytes, 0).unwrap(), word::Lanes::at(&bytes, 8).unwrap());
        let both = |a: Option<usize>, b: Option<usize>| a.or(b.map(|i| i + word::Lanes::WIDTH));
        prop_assert_eq!(
            wide.within(low, high).first(),
            both(first.within(low, high).first(), second.within(low, high).first())
        );
        for from in 0..8 {
            let bytes = [&bytes[..8], &bytes[..8]].concat();
            let doubled = Lanes::at(&bytes, 0).unwrap().within(low, high).first_from(from + 8).map(|i| i - 8);
            prop_assert_eq!(doubled, first.within(low, high).first_from(from));
        }
        prop_assert_eq!((!wide.is(low)).first(), both((!first.is(low)).first(), (!second.is(low)).first()));
        let lower = |l: word::Lanes| (l.lower().is(b'k') | l.within(0, 3) & !l.is(2)).first();
        prop_assert_eq!(
            (wide.lower().is(b'k') | wide.within(0, 3) & !wide.is(2)).first(),
            both(lower(first), lower(second))
        );
    }
}

#[test]
fn quotable_is_printable_without_quotes_and_backslashes() {
    for byte in 0..=255u8 {
        let text = [&[b'a'; 20][..], &[byte], &[b'b'; 20]].concat();
        let stops = !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
        assert_eq!(find_unquotable(&text), if stops { 20 } else { 41 }, "{byte}");
    }
}
