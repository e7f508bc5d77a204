//! Base64url without padding (RFC 4648, section 5), strict: what decodes would be encoded the same way again, so a cookie
//! has one spelling only.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Encodes a length that is a multiple of three, as our cookies are; a shorter rest is left out.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let (blocks, _) = bytes.as_chunks::<3>();
    blocks
        .iter()
        .flat_map(|[a, b, c]| {
            let word = u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c);
            [18, 12, 6, 0].map(|shift| letter(word >> shift))
        })
        .collect()
}

fn letter(bits: u32) -> char {
    ALPHABET.get((bits & 63) as usize).copied().map_or('A', char::from)
}

/// Decodes into exactly `N` bytes, a multiple of three; nothing if the text has another length or a foreign character.
/// Looks at every character of a text of the right length, whatever it holds.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (blocks, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() || blocks.len() * 3 != N {
        return None;
    }
    let mut bytes = [0; N];
    let mut foreign = false;
    for (to, block) in bytes.as_chunks_mut::<3>().0.iter_mut().zip(blocks) {
        let mut word = 0;
        for character in block {
            let bits = value(*character);
            foreign |= bits > 63;
            word = word << 6 | u32::from(bits & 63);
        }
        let [_, a, b, c] = word.to_be_bytes();
        *to = [a, b, c];
    }
    (!foreign).then_some(bytes)
}

fn value(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(encode(b"foobar"), "Zm9vYmFy");
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(decode::<6>("Zm9vYmFy"), Some(*b"foobar"));
        let all: [u8; 255] = std::array::from_fn(|index| index as u8);
        assert_eq!(decode::<255>(&encode(&all)), Some(all));
    }

    #[test]
    fn refusals() {
        for text in ["", "Zm9v", "Zm9vYmF", "Zm9vYmFyZm9v", "Zm9vYmF=", "Zm9vYm+y", "Zm9vYm/y", "Zm9vYm y", "Zm9vYmä"]
        {
            assert_eq!(decode::<6>(text), None, "{text:?}");
        }
    }
}
