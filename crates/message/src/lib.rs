//! The one parsed request and response head, the HTTP/1.1 codec, and the header rules.
//!
//! Sans-I/O: this crate has never seen a socket. Bytes come in as slices, messages go out as bytes appended to a buffer;
//! the same input gives the same output however it is split.

pub mod desync;
pub mod framing;
pub mod head;
pub mod request;

pub use desync::{Reason, Tier};
pub use framing::Framing;
pub use head::{ConnectionOptions, Field, Fitness, Known, RequestHead, RequestView, Span, Version};
