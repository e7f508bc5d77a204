//! Parsing of request heads.
use crate::head::Known;

/// Which field `name` is, compared without case.
pub fn known(_name: &[u8]) -> Known {
    Known::Other
}

/// Length of the host in `authority`, without `:port`.
pub fn host_length(authority: &[u8]) -> usize {
    match authority {
        [b'[', ..] => authority.iter().position(|b| *b == b']').map_or(authority.len(), |i| i + 1),
        _ => authority.iter().position(|b| *b == b':').unwrap_or(authority.len()),
    }
}
