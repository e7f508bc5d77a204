//! Changes to an input that are likely to matter to an HTTP reader. Seeded: one number gives one run.

/// Pseudo-random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(24) + 1)
    }
}

const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b":",
    b",",
    b";",
    b"\x0b",
    b"\x0c",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\r\n\r\n",
    b"\r\n ",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b" HTTP/",
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"OPTIONS ",
    b"/",
    b"*",
    b"?",
    b"#",
    b"%",
    b"http://",
    b"https://h",
    b"[::1]",
    b":80",
    b"@",
    b"Host: a\r\n",
    b"\r\nContent-Length: 5",
    b"\r\nContent-Length: 6",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding: gzip",
    b"chunked",
    b"identity",
    b"gzip",
    b"\r\nConnection: ",
    b"close",
    b"keep-alive",
    b"Upgrade",
    b"\r\nUpgrade: websocket",
    b"\r\nTransfer-Encoding : ",
    b"\r\nContent_Length: ",
    b"Transfer-Encod\xc4\xb1ng",
    b"\r\nX-Amzn-Trace-Id: ",
    b"Root=",
    b"Self=",
    b"\r\nX-Forwarded-For: ",
    b"\r\nExpect: 100-continue",
    b"0\r\n",
    b"0\r\nCookie: a\r\n",
    b";a=\"b\"",
    b"1\r\n",
    b"fffffffffffffff",
    b"00000000",
    b"9223372036854775807",
    b"18446744073709551616",
    b"-",
    b"+",
    b"h2c",
    b";q=0.5",
    b";q=0",
    b"br",
    b"*",
    b"\r\nContent-Type: text/html",
    b"\r\nContent-Encoding: br",
    b"\r\nVary: Accept-Encoding",
    b"\r\nETag: \"a\"",
];

/// Changes `input` a few times; `other` is another input to take pieces of.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let length = input.len();
        match random.below(8) {
            0 if length > 0 => input[random.below(length)] ^= 1 << random.below(8),
            1 if length > 0 => input[random.below(length)] = random.below(256) as u8,
            2 => {
                input.drain(random.range(length));
            }
            3 => {
                let copy = input[random.range(length)].to_vec();
                let at = random.below(length + 1);
                input.splice(at..at, copy);
            }
            4 => {
                let piece = &other[random.range(other.len())];
                input.splice(random.range(length), piece.iter().copied());
            }
            5 => {
                // a whole line of the other
                let lines: Vec<_> = other.split_inclusive(|b| *b == b'\n').collect();
                let at = input.iter().position(|b| *b == b'\n').map_or(length, |i| i + 1);
                if !lines.is_empty() {
                    input.splice(at..at, lines[random.below(lines.len())].iter().copied());
                }
            }
            _ => put_word(input, WORDS[random.below(WORDS.len())], random),
        }
        input.truncate(limit);
    }
}

/// Puts a word somewhere, before what is there or in its place.
pub fn put_word(input: &mut Vec<u8>, word: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = if random.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
    input.splice(at..end, word.iter().copied());
}
