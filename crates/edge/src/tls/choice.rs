//! Which certificate a client is shown (S1): of those that are for the name it asks for and that it can verify, the best;
//! for another name, or none, the first that is declared.

use std::collections::HashMap;

/// How good a certificate is; greater is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) kind: KeyKind,
    pub(crate) hash: Hash,
    /// Length of the key.
    pub(crate) bits: u32,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
}

impl Rank {
    /// Of a certificate that any other is preferred to.
    pub(crate) const LOWEST: Rank = Rank { kind: KeyKind::Rsa, hash: Hash::Md5, bits: 0, not_after: i64::MIN };
}

/// The kind of its key, worse first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyKind {
    Rsa,
    /// Or Ed25519.
    Ecdsa,
}

/// The hash of its signature, worse first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hash {
    Md5,
    Sha,
}

/// Certificates by the names they are for; each is known by its place in the order of declaration.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Places by name, the best first. A name may start with `*.`.
    by_name: HashMap<Box<str>, Vec<(Rank, usize)>>,
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) place: usize,
    /// It is for the name that was asked for.
    pub(crate) matches: bool,
}

impl Names {
    /// Of certificates in order of declaration, each with its names in lower case and its rank.
    pub(crate) fn new<'a>(certificates: impl IntoIterator<Item = (&'a [String], Rank)>) -> Names {
        let mut by_name: HashMap<Box<str>, Vec<(Rank, usize)>> = HashMap::new();
        for (place, (names, rank)) in certificates.into_iter().enumerate() {
            for name in names {
                by_name.entry(name.as_str().into()).or_default().push((rank, place));
            }
        }
        for places in by_name.values_mut() {
            // of equals the one declared first
            places.sort_by_key(|(rank, place)| (std::cmp::Reverse(*rank), *place));
        }
        Names { by_name }
    }

    /// Chooses for a client that asks for `name` in lower case; `fits` says whether it can verify the one at a place.
    pub(crate) fn choose(&self, name: Option<&str>, fits: impl Fn(usize) -> bool) -> Chosen {
        let default = Chosen { place: 0, matches: false };
        let Some(name) = name else { return default };
        let best = |name: &str| self.by_name.get(name)?.iter().find(|(_, place)| fits(*place)).copied();
        // a wildcard stands for exactly one label (RFC 6125 section 6.4.3)
        let wildcard = name.split_once('.').and_then(|(_, parent)| best(&format!("*.{parent}")));
        let found = match (best(name), wildcard) {
            (Some(exact), Some(wild)) if wild.0 > exact.0 => Some(wild),
            (exact, wild) => exact.or(wild),
        };
        found.map_or(default, |(_, place)| Chosen { place, matches: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rank(kind: KeyKind, hash: Hash, bits: u32, not_after: i64) -> Rank {
        Rank { kind, hash, bits, not_after }
    }

    const ECDSA: Rank = rank(KeyKind::Ecdsa, Hash::Sha, 256, 10);
    const RSA: Rank = rank(KeyKind::Rsa, Hash::Sha, 2048, 10);

    /// Certificates as (names, rank), and the places at which the client can verify one.
    fn check(certificates: &[(&str, Rank)], fits: &[usize], name: Option<&str>, expected: (usize, bool)) {
        let split: Vec<(Vec<String>, Rank)> =
            certificates.iter().map(|(names, rank)| (names.split(' ').map(str::to_owned).collect(), *rank)).collect();
        let names = Names::new(split.iter().map(|(names, rank)| (names.as_slice(), *rank)));
        let chosen = names.choose(name, |place| fits.contains(&place));
        assert_eq!((chosen.place, chosen.matches), expected, "{name:?} of {certificates:?} with {fits:?}");
    }

    #[test]
    fn by_name() {
        let certificates =
            [("a.example.com", RSA), ("b.example.com *.b.example.com", RSA), ("*.example.com", RSA), ("*.c.d", RSA)];
        let all = [0, 1, 2, 3];
        for (name, expected) in [
            (None, (0, false)),
            (Some("a.example.com"), (0, true)),
            (Some("b.example.com"), (1, true)),
            (Some("x.b.example.com"), (1, true)),
            (Some("z.example.com"), (2, true)),
            // one label, not two, not none
            (Some("y.x.b.example.com"), (0, false)),
            (Some("example.com"), (0, false)),
            (Some("c.d"), (0, false)),
            (Some("x.c.d"), (3, true)),
            (Some("localhost"), (0, false)),
            (Some(""), (0, false)),
        ] {
            check(&certificates, &all, name, expected);
        }
    }

    #[test]
    fn the_best_of_those_that_fit() {
        let name = "a.b.c";
        let long = Rank { bits: 4096, ..RSA };
        let late = Rank { not_after: 11, ..RSA };
        let md5 = Rank { hash: Hash::Md5, bits: 8192, not_after: 99, ..RSA };
        type Row<'a> = (&'a [(&'a str, Rank)], &'a [usize], usize);
        let rows: [Row<'_>; 9] = [
            (&[("x.y", RSA), (name, RSA), (name, ECDSA)], &[0, 1, 2], 2),
            (&[("x.y", RSA), (name, RSA), (name, ECDSA)], &[0, 1], 1),
            (&[(name, md5), (name, RSA)], &[0, 1], 1),
            (&[(name, RSA), (name, long)], &[0, 1], 1),
            (&[(name, RSA), (name, late)], &[0, 1], 1),
            (&[(name, late), (name, long)], &[0, 1], 1),
            // equals: the one declared first
            (&[("x.y", RSA), (name, RSA), (name, RSA)], &[0, 1, 2], 1),
            // exact and wildcard are both matches, the better is chosen, of equals the exact one
            (&[("*.b.c", ECDSA), (name, RSA)], &[0, 1], 0),
            (&[("*.b.c", RSA), (name, RSA)], &[0, 1], 1),
        ];
        for (certificates, fits, place) in rows {
            check(certificates, fits, Some(name), (place, true));
        }
        // none that it can verify: the default, which the handshake then fails with
        check(&[("x.y", RSA), (name, ECDSA)], &[0], Some(name), (0, false));
    }
}
