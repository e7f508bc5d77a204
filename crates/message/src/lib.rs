//! The one parsed request and response head, the HTTP/1.1 codec, and the header rules.
//!
//! Sans-I/O: this crate has never seen a socket. Bytes come in as slices, messages go out as bytes appended to a buffer;
//! the same input gives the same output however it is split.

mod bytes;
pub mod chunked;
pub mod client_hello;
pub mod desync;
pub mod encoding;
pub mod fields;
pub mod framing;
pub mod h2;
pub mod h3;
pub mod head;
pub mod hpack;
pub mod number;
mod odd;
pub mod proxy_protocol;
pub mod qpack;
pub mod request;
pub mod response;
pub mod section;
pub mod send;
pub mod trailers;

pub use bytes::find_unquotable;
pub use desync::{Reason, Tier};
pub use framing::{Body, Framing, Taken};
pub use head::{ConnectionOptions, Field, Fitness, Known, RequestHead, RequestView, ResponseHead, Span, Version};
pub use request::Parsed;
