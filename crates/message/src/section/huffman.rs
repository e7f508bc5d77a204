//! The Huffman code of header strings (RFC 7541 appendix B, which RFC 9204 section 4.1.2 takes over).
//!
//! The code is canonical: of two symbols, the one with the shorter code comes first, then the smaller one, and codes are
//! counted up. So the lengths are all that has to be written down.

/// Length in bits of the code of each byte.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];
const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;
/// Bits that are looked up at once: those of every character that is common in header fields.
const QUICK: u32 = 8;

/// Codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first of them.
    first: u32,
    count: u32,
    /// Where their symbols begin in [`Code::symbols`].
    at: u32,
}

/// What decoding needs.
struct Code {
    rows: [Row; LONGEST as usize + 1],
    /// By code.
    symbols: [u8; 256],
    /// By the next [`QUICK`] bits: a symbol and the length of its code; 0 where the code is longer.
    quick: [(u8, u8); 1 << QUICK],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut made = Code {
        rows: [Row { first: 0, count: 0, at: 0 }; LONGEST as usize + 1],
        symbols: [0; 256],
        quick: [(0, 0); 1 << QUICK],
    };
    let (mut length, mut next, mut at) = (SHORTEST, 0u32, 0u32);
    while length <= LONGEST {
        made.rows[length as usize] = Row { first: next, count: 0, at };
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == length {
                made.symbols[at as usize] = symbol as u8;
                made.rows[length as usize].count += 1;
                if length <= QUICK {
                    let mut fill = 0;
                    while fill < 1 << (QUICK - length) {
                        made.quick[((next << (QUICK - length)) + fill) as usize] = (symbol as u8, length as u8);
                        fill += 1;
                    }
                }
                next += 1;
                at += 1;
            }
            symbol += 1;
        }
        next <<= 1;
        length += 1;
    }
    made
}

/// Appends what `coded` stands for. False when it is no string of this code: a code that means the end of strings, or
/// padding that is too long or not all ones.
pub(crate) fn decode(coded: &[u8], out: &mut Vec<u8>) -> bool {
    // bits that have come and are not decoded, at the top
    let (mut bits, mut have) = (0u64, 0u32);
    let mut rest = coded.iter();
    loop {
        while have <= 56
            && let Some(byte) = rest.next()
        {
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
        }
        // ones behind the last bit: padding reads as the beginning of the code that nobody may send
        let window = bits | u64::MAX.checked_shr(have).unwrap_or(0);
        let (symbol, length) = match CODE.quick[(window >> (64 - QUICK)) as usize] {
            (_, 0) => match long(window) {
                Some(found) => found,
                None => return have < 8,
            },
            (symbol, length) => (symbol, u32::from(length)),
        };
        if length > have {
            return false;
        }
        out.push(symbol);
        bits <<= length;
        have -= length;
    }
}

/// The symbol at the top of `window` whose code is longer than [`QUICK`] bits.
fn long(window: u64) -> Option<(u8, u32)> {
    (QUICK + 1..=LONGEST).find_map(|length| {
        let row = CODE.rows[length as usize];
        let offset = ((window >> (64 - length)) as u32).checked_sub(row.first)?;
        (offset < row.count).then(|| (CODE.symbols[(row.at + offset) as usize], length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of each byte, as RFC 7541 lists them.
    fn codes() -> Vec<(u32, u32)> {
        (0..=255u8)
            .map(|symbol| {
                let length = u32::from(LENGTHS[symbol as usize]);
                let row = CODE.rows[length as usize];
                let place = (row.at..row.at + row.count).find(|at| CODE.symbols[*at as usize] == symbol).unwrap();
                (row.first + place - row.at, length)
            })
            .collect()
    }

    fn encode(text: &[u8], padding: bool) -> Vec<u8> {
        let codes = codes();
        let mut bits: Vec<bool> = Vec::new();
        for byte in text {
            let (code, length) = codes[*byte as usize];
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push(padding);
        }
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        let codes = codes();
        let rows = [
            (0, 0x1ff8, 13),
            (b' ', 0x14, 6),
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b'z', 0x7b, 7),
            (b'~', 0x1ffd, 13),
            (127, 0xffffffc, 28),
            (249, 0xffffffe, 28),
            (22, 0x3ffffffe, 30),
            (255, 0x3ffffee, 26),
        ];
        for (symbol, code, length) in rows {
            assert_eq!(codes[usize::from(symbol)], (code, length), "{symbol}");
        }
    }

    #[test]
    fn strings() {
        let long: Vec<u8> = (0..=255).cycle().take(2000).collect();
        for text in [&b""[..], b"0", b"www.example.com", b"no-cache", &[0], &[22, 22], &[255; 9], &long] {
            let mut out = b"before".to_vec();
            assert!(decode(&encode(text, true), &mut out));
            assert_eq!(out.strip_prefix(b"before"), Some(text));
        }
        // RFC 7541 appendix C.4.1
        let mut out = Vec::new();
        assert!(decode(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], &mut out));
        assert_eq!(out, b"www.example.com");
    }

    #[test]
    fn what_is_no_string() {
        let mut padded = encode(b"a", true);
        padded.push(0xff);
        let rows: [&[u8]; 7] = [
            &padded,
            &encode(b"a", false),
            &[0xff],
            &[0xff, 0xff, 0xff, 0xff],
            // the end of strings, then more
            &[0xff, 0xff, 0xff, 0xfc, 0x07],
            &[0xff, 0xff],
            &[0b1111_1110],
        ];
        for coded in rows {
            assert!(!decode(coded, &mut Vec::new()), "{coded:x?}");
        }
    }
}
