//! The small words every resource is made of: names, addresses, patterns.
//!
//! Each is parsed once and keeps its text; matching and resolving are for the crates that use them.

mod address;
mod name;
mod pattern;
mod regex;

pub use self::address::{Address, AddressError, Bind};
pub use self::name::{Name, NameError};
pub use self::pattern::{Pattern, PatternError, PatternToken, TextMatch};
pub use self::regex::{Regex, RegexError};
