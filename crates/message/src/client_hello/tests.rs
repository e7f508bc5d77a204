use super::*;

/// As OpenSSL 3.0 sends it: `s_client -servername db.example.com -alpn postgresql,h2`.
const MODERN: &str = "160301014f0100014b03033950e92cec49214f0925f8b6f42f8e275b1c6d7360bebca266efa7fc04c83aa120afdbed822e6e\
ca16f5428b7ababc742446a92e1d3abc9fcef08b5fe08d7a381f003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023\
c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff010000c400000013001100000e64622e6578616d706c652e636f6d000b00\
0403000102000a00160014001d0017001e00190018010001010102010301040023000000100010000e0a706f737467726573716c0268320016000000\
170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602002b000908030403030302\
0301002d00020101003300260024001d0020b7fee8bae4a1be95831477261ac26268296faa84017ec9164ea80027e36b2e05";

/// The same with `-tls1_2 -noservername`.
const NAMELESS: &str = "16030100830100007f0303190439d78f2406a05c26c2e9ac53f32027c01e54a951583f9132b187c1411a19000004c02f00ff\
01000052000b000403000102000a000c000a001d0017001e00190018002300000016000000170000000d002a00280403050306030807080808\
09080a080b080408050806040105010601030303010302040205020602";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The message of a hello that came in one record.
fn message(hello: &[u8]) -> Vec<u8> {
    hello[RECORD_HEADER..].to_vec()
}

/// A message in records of at most `size` bytes.
fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| {
        let [high, low] = (piece.len() as u16).to_be_bytes();
        [&[CONTENT_HANDSHAKE, 3, 1, high, low], piece].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

/// A hello with these extensions, type and content.
fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let prefixed = |content: &[u8]| [&(content.len() as u16).to_be_bytes()[..], content].concat();
    let all = extensions.iter().map(|(kind, content)| [&kind.to_be_bytes()[..], &prefixed(content)].concat());
    let all: Vec<u8> = all.collect::<Vec<_>>().concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &prefixed(&all)].concat();
    let length = (body.len() as u32).to_be_bytes();
    in_records(&[&[TYPE_CLIENT_HELLO], &length[1..], &body].concat(), RECORD)
}

fn name(of: &[u8]) -> Vec<u8> {
    let length = of.len() as u16;
    [&(length + 3).to_be_bytes()[..], &[NAME_HOST], &length.to_be_bytes(), of].concat()
}

fn read(bytes: &[u8]) -> Result<Option<ClientHello>, Malformed> {
    Reader::default().read(bytes)
}

#[track_caller]
fn check(bytes: &[u8], server_name: Option<&str>, protocols: &[&str]) {
    let expected = ClientHello {
        server_name: server_name.map(Into::into),
        protocols: protocols.iter().map(|name| name.as_bytes().into()).collect(),
    };
    assert_eq!(read(bytes), Ok(Some(expected)));
}

#[test]
fn hellos_of_openssl() {
    check(&bytes(MODERN), Some("db.example.com"), &["postgresql", "h2"]);
    check(&bytes(NAMELESS), None, &[]);
    // what follows is not its reader's business
    check(&[bytes(MODERN), b"\x17\x03\x03early data".to_vec()].concat(), Some("db.example.com"), &["postgresql", "h2"]);
}

/// Records of every size, and each arriving byte by byte.
#[test]
fn however_it_is_cut() {
    for hello in [MODERN, NAMELESS] {
        let whole = read(&bytes(hello)).unwrap().unwrap();
        let message = message(&bytes(hello));
        for size in (1..=message.len()).filter(|size| *size < 8 || size % 7 == 0) {
            let records = in_records(&message, size);
            let mut reader = Reader::default();
            for end in 0..records.len() {
                assert_eq!(reader.read(&records[..end]), Ok(None), "{end} bytes in records of {size}");
            }
            assert_eq!(reader.read(&records), Ok(Some(whole.clone())), "records of {size}");
        }
    }
}

#[test]
fn names_and_protocols() {
    let of_name = |of: &[u8]| with_extensions(&[(0, &name(of))]);
    check(&with_extensions(&[]), None, &[]);
    check(&of_name(b"A.Example.COM"), Some("a.example.com"), &[]);
    check(&with_extensions(&[(16, b"\0\x03\x02h2"), (43, b"\x02\x03\x04")]), None, &["h2"]);
    for wrong in [&b""[..], b"a b", b"a\0b", b"a/b", b"\xc3\xa9", &[b'a'; 256]] {
        assert_eq!(read(&of_name(wrong)), Err(Malformed::Content), "{}", wrong.escape_ascii());
    }
    let twice = name(b"a");
    let rows: [&[(u16, &[u8])]; 11] = [
        &[(0, &twice), (0, &twice)],
        &[(16, b"\0\x02\x01a"), (16, b"\0\x02\x01a")],
        // a second name, another type of name, a length that lies, nothing at all
        &[(0, b"\0\x08\0\0\x01a\0\0\x01b")],
        &[(0, b"\0\x04\x01\0\x01a")],
        &[(0, b"\0\x05\0\0\x01a")],
        &[(0, b"\0\x04\0\0\x01ab")],
        &[(0, b"")],
        &[(16, b"\0\0")],
        &[(16, b"\0\x01\0")],
        &[(16, b"\0\x03\x03h2")],
        &[(16, b"")],
    ];
    for row in rows {
        assert_eq!(read(&with_extensions(row)), Err(Malformed::Content), "{row:?}");
    }
}

#[test]
fn what_is_none() {
    let hello = bytes(MODERN);
    let changed = |at: usize, to: u8| {
        let mut hello = hello.clone();
        hello[at] = to;
        hello
    };
    let long = |length: u32| [&[TYPE_CLIENT_HELLO][..], &length.to_be_bytes()[1..]].concat();
    let rows: Vec<(Vec<u8>, Malformed)> = vec![
        (b"GET / HTTP/1.1\r\n".to_vec(), Malformed::NotTls),
        (b"\x80\x2e\x01".to_vec(), Malformed::NotTls),
        (changed(0, 23), Malformed::NotTls),
        (changed(1, 2), Malformed::NotTls),
        (b"\x16\x03\x01\0\0".to_vec(), Malformed::Record),
        (b"\x16\x03\x01\x40\x01".to_vec(), Malformed::Record),
        (changed(5, 2), Malformed::NotHello),
        (b"\x16\x03\x01\0\x01\x02".to_vec(), Malformed::NotHello),
        (in_records(&long(16 * 1024), RECORD), Malformed::TooLong),
        // SSL 3.0, a session of 33 bytes, an odd number of bytes of ciphers, no compression
        (changed(9, 2), Malformed::Content),
        (changed(43, 33), Malformed::Content),
        (changed(77, 0x3d), Malformed::Content),
        (changed(140, 0), Malformed::Content),
        // a record with more than the hello
        ([&b"\x16\x03\x01\x01\x50"[..], &hello[5..], b"x"].concat(), Malformed::Content),
        // records of one byte: the hello itself would not be too long
        (in_records(&[long(8 * 1024), vec![0; 8 * 1024]].concat(), 1), Malformed::TooLong),
    ];
    for (bytes, why) in rows {
        assert_eq!(read(&bytes), Err(why), "{}", bytes[..bytes.len().min(60)].escape_ascii());
    }
    for end in 0..hello.len() {
        assert_eq!(read(&hello[..end]), Ok(None), "{end}");
    }
}
