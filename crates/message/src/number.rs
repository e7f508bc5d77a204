//! Numbers as text, appended to a buffer.

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

/// Appends `n` in decimal.
pub fn put_decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while n >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
        n /= 100;
    }
    if n > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + n as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// The low `DIGITS` decimal digits of `n`, with leading zeros.
pub fn padded<const DIGITS: usize>(mut n: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for pair in digits.rchunks_mut(2) {
        let [tens, ones] = PAIRS[(n % 100) as usize];
        n /= 100;
        match pair {
            [first, second] => (*first, *second) = (tens, ones),
            [only] => *only = ones,
            _ => {}
        }
    }
    digits
}

/// The low digits of `n` in lower-case hexadecimal, with leading zeros.
pub fn hex<const DIGITS: usize>(n: u64) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    for (i, digit) in digits.iter_mut().rev().enumerate() {
        let nibble = (n >> (4 * i)) as u8 & 15;
        // arithmetic, not a table: this way all digits are made at once
        *digit = nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        let check = |n: u64| {
            let mut out = Vec::new();
            put_decimal(&mut out, n);
            assert_eq!(String::from_utf8_lossy(&out), n.to_string());
            assert_eq!(padded::<6>(n), format!("{:06}", n % 1_000_000).as_bytes(), "{n}");
            assert_eq!(padded::<3>(n), format!("{:03}", n % 1_000).as_bytes(), "{n}");
            assert_eq!(hex::<16>(n), format!("{n:016x}").as_bytes(), "{n}");
            assert_eq!(hex::<2>(n), format!("{:02x}", n & 0xff).as_bytes(), "{n}");
        };
        for n in 0..20_000 {
            check(n);
        }
        for exponent in 0..64 {
            for n in [1u64 << exponent, (1 << exponent) - 1, u64::MAX >> exponent] {
                check(n);
            }
        }
    }
}
