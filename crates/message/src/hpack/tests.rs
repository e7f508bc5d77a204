//! What the RFC's examples say, and what must not be.

use super::*;

fn lines(section: &FieldSection) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    section.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// RFC 7541 appendix C: blocks of one connection after the other, and what they say, a field to the line.
#[test]
fn examples_of_the_rfc() {
    let get = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com";
    let second = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache";
    let third =
        ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value";
    let answers = [
        ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com",
        ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com",
        ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\n\
         content-encoding: gzip\nset-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    type Row<'a> = (&'a str, u64, Vec<(&'a str, &'a str)>);
    let rows: [Row<'_>; 4] = [
        (
            "C.3",
            4096,
            vec![
                ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", get),
                ("8286 84be 5808 6e6f 2d63 6163 6865", second),
                ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", third),
            ],
        ),
        (
            "C.4",
            4096,
            vec![
                ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", get),
                ("8286 84be 5886 a8eb 1064 9cbf", second),
                ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", third),
            ],
        ),
        (
            "C.5",
            256,
            vec![
                (
                    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
                     3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                    answers[0],
                ),
                ("4803 3330 37c1 c0bf", answers[1]),
                (
                    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
                     7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
                     6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                    answers[2],
                ),
            ],
        ),
        (
            "C.6",
            256,
            vec![
                (
                    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
                     1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                    answers[0],
                ),
                ("4883 640e ffc1 c0bf", answers[1]),
                (
                    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
                     e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                    answers[2],
                ),
            ],
        ),
    ];
    for (name, size, blocks) in rows {
        let mut decoder = Decoder::default();
        assert!(decoder.dynamic.resize(size));
        let mut section = FieldSection::default();
        for (block, expected) in blocks {
            assert_eq!(decoder.decode(&hex(block), 10_000, &mut section), Ok(()), "{name}");
            let said: Vec<String> = lines(&section).iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(said.join("\n"), expected, "{name}");
        }
    }
}

#[test]
fn what_is_put_is_read() {
    let long = "v".repeat(300);
    let fields = [
        (":status", "200"),
        (":status", "418"),
        ("Content-Type", "text/html"),
        ("X-Unknown", ""),
        ("x-a-name-that-is-longer-than-fifteen", &long),
    ];
    let mut block = Vec::new();
    begin(&mut block);
    fields.iter().for_each(|(name, value)| put(&mut block, name.as_bytes(), value.as_bytes()));
    let expected: Vec<_> = fields.iter().map(|(n, v)| (n.to_lowercase(), (*v).to_owned())).collect();
    let mut section = FieldSection::default();
    assert_eq!(Decoder::default().decode(&block, 10_000, &mut section), Ok(()));
    assert_eq!(lines(&section), expected);
    for cut in 1..block.len() {
        // cut between fields is a shorter section, anywhere else it is none
        let _ = Decoder::default().decode(&block[..cut], 10_000, &mut section);
    }
}

/// What does not fit changes the table all the same: the next block counts on it.
#[test]
fn too_large() {
    let mut decoder = Decoder::default();
    let mut section = FieldSection::default();
    let field = |name: u8| [&[0x40, 1, name, 100][..], &[b'v'; 100]].concat();
    let block = [field(b'a'), field(b'b'), field(b'c')].concat();
    assert_eq!(decoder.decode(&block, 133 * 2, &mut section), Err(Fault::TooLarge));
    assert_eq!(section.iter().count(), 2);
    assert_eq!(decoder.decode(&[0xbe, 0xc0], 1000, &mut section), Ok(()));
    let names: Vec<_> = lines(&section).into_iter().map(|line| line.0).collect();
    assert_eq!(names, ["c", "a"]);
    // one byte, and a hundred of memory: not for long
    assert_eq!(decoder.decode(&[0xbe; 1000], 1000, &mut section), Err(Fault::Undecodable));
}

/// The table never holds more than it may, whatever is put in, and its text does not grow.
#[test]
fn tables_are_bounded() {
    let mut decoder = Decoder::default();
    let mut section = FieldSection::default();
    for round in 0..2000_usize {
        let length = round * 7 % 120;
        let block = [&[0x40, 1, b'a' + (round % 26) as u8, length as u8][..], &vec![b'v'; length]].concat();
        assert_eq!(decoder.decode(&block, 10_000, &mut section), Ok(()));
        let newest = lines(&section);
        assert_eq!(decoder.decode(&[0xbe], 10_000, &mut section), Ok(()));
        assert_eq!(lines(&section), newest);
        assert!(decoder.dynamic.capacity() < 32 * 1024);
    }
    // as long as the whole table: it is emptied, and this is no error
    let block = [&[0x40, 1, b'x', 0x7f, 0x81, 0x1f][..], &vec![b'v'; 4096]].concat();
    assert_eq!(decoder.decode(&block, 10_000, &mut section), Ok(()));
    assert_eq!(decoder.decode(&[0xbe], 10_000, &mut section), Err(Fault::Undecodable));
    // a smaller table lets the oldest go
    assert_eq!(decoder.decode(b"\x40\x01a\x01b\x40\x01c\x01d", 10_000, &mut section), Ok(()));
    assert_eq!(decoder.decode(&[0x3f, 34 - 31, 0xbe], 10_000, &mut section), Ok(()));
    assert_eq!(lines(&section), [("c".to_owned(), "d".to_owned())]);
    assert_eq!(decoder.decode(&[0xbf], 10_000, &mut section), Err(Fault::Undecodable));
}
