//! The codec from outside: invariants over any bytes, and AWS's published desync cases.

#![expect(clippy::unwrap_used, reason = "a test that is written wrongly should fail")]

mod desync;
mod invariants;
mod properties;
