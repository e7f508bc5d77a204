//! Looking fields up in a static table.

/// Buckets of [`Places`]; a prime, so that lengths and letters spread.
const BUCKETS: usize = 127;
/// No entry.
const NONE: u8 = u8::MAX;

/// Where the fields of a table are: the first entry of a name by its hash. Entries of one name are not all neighbours, so each
/// knows the next.
pub(crate) struct Places<const N: usize> {
    first: [u8; BUCKETS],
    next: [u8; N],
}

/// What a table has of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Name and value.
    Field(u8),
    /// The name.
    Name(u8),
    Nothing,
}

impl<const N: usize> Places<N> {
    pub(crate) const fn of(table: &[(&str, &str); N]) -> Places<N> {
        let (mut first, mut next) = ([NONE; BUCKETS], [NONE; N]);
        let mut index = N;
        while index > 0 {
            index -= 1;
            let at = bucket(table[index].0.as_bytes());
            next[index] = first[at];
            first[at] = index as u8;
        }
        Places { first, next }
    }

    /// Looks a field up in the table that these are the places of; its name may be written in any case.
    pub(crate) fn find(&self, table: &[(&str, &str); N], name: &[u8], value: &[u8]) -> Found {
        let mut found = Found::Nothing;
        let mut index = self.first[bucket(name)];
        while index != NONE {
            let (known, with) = table[usize::from(index)];
            if name.eq_ignore_ascii_case(known.as_bytes()) {
                if value == with.as_bytes() {
                    return Found::Field(index);
                }
                if found == Found::Nothing {
                    found = Found::Name(index);
                }
            }
            index = self.next[usize::from(index)];
        }
        found
    }
}

const fn bucket(name: &[u8]) -> usize {
    let (first, last) = match name {
        [first, .., last] => (*first | 0x20, *last | 0x20),
        [only] => (*only | 0x20, 0),
        [] => (0, 0),
    };
    let middle = if name.len() > 8 { name[name.len() / 2] | 0x20 } else { 0 };
    (name.len() * 31 + first as usize * 7 + last as usize * 3 + middle as usize) % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hpack, qpack};

    #[test]
    fn each_entry_is_found() {
        check(&qpack::table::STATIC, qpack::table::find);
        check(&hpack::table::STATIC, hpack::table::find);
    }

    fn check(table: &[(&str, &str)], find: fn(&[u8], &[u8]) -> Found) {
        for (index, (name, value)) in table.iter().enumerate() {
            let found = find(name.to_uppercase().as_bytes(), value.as_bytes());
            assert_eq!(found, Found::Field(index as u8), "{name}: {value}");
            let first = table.iter().position(|(other, _)| other == name).unwrap();
            assert_eq!(find(name.as_bytes(), b"something else"), Found::Name(first as u8), "{name}");
        }
        for name in [&b""[..], b"x", b"content-lengti", b":statuss"] {
            assert_eq!(find(name, b""), Found::Nothing);
        }
    }
}
