//! Who may do what: principals, policies in the grammar of AWS and their evaluation, signatures, passwords, what is sealed.
//!
//! Pure: the time, random bytes and what is known of identities are arguments. Asking is the caller's, in one place.

pub mod condition;
pub mod decision;
mod denials;
pub mod directory;
pub mod document;
#[cfg(test)]
mod fuzz;
mod hex;
pub mod key;
pub mod managed;
pub mod password;
mod pattern;
pub mod percent;
pub mod request;
mod restored;
pub mod seal;
pub mod session;
pub mod sign_in;
pub mod sigv4;
pub mod throttle;
pub mod time;
pub mod totp;
pub mod trust;

pub use self::decision::{Decision, Matched, Reason};
pub use self::denials::Denials;
pub use self::directory::{Directory, Principal};
pub use self::document::{Document, Mistake};
pub use self::request::Request;
