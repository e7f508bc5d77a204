//! One-time codes by time: RFC 6238 with SHA-1, six digits, 30 seconds, as authenticator apps have it.

use aws_lc_rs::hmac;

/// Bytes of a secret.
pub const SECRET: usize = 20;
const STEP: u64 = 30;

/// The secret as apps take it: base32.
pub fn base32(secret: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = String::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in secret {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            let letter = LETTERS.get((bits >> count & 31) as usize).copied().unwrap_or(b'A');
            out.push(char::from(letter));
        }
    }
    if count > 0 {
        let letter = LETTERS.get((bits << (5 - count) & 31) as usize).copied().unwrap_or(b'A');
        out.push(char::from(letter));
    }
    out
}

/// The code of a step.
pub fn code(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = bytes.last().map_or(0, |last| usize::from(last & 15));
    let word = bytes.get(offset..offset + 4).unwrap_or_default();
    let number = word.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The step that a code is of, if it is of this one or one beside it, and newer than `used`: a code is good once.
pub fn step_of(secret: &[u8], given: &str, now: u64, used: u64) -> Option<u64> {
    let step = now / STEP;
    [step, step.saturating_sub(1), step + 1].into_iter().find(|step| *step > used && code(secret, *step) == given)
}

#[cfg(test)]
mod tests {
    use super::{base32, code, step_of};

    /// RFC 6238, appendix B, the last six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (seconds, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            assert_eq!(code(secret, seconds / 30), expected);
            assert_eq!(step_of(secret, expected, seconds, 0), Some(seconds / 30));
            assert_eq!(step_of(secret, expected, seconds, seconds / 30), None, "a code is good once");
            assert_eq!(step_of(secret, expected, seconds + 90, 0), None);
        }
        assert_eq!(base32(secret), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
