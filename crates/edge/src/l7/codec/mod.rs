//! Bytes from and to sockets: buffers, one direction of an exchange, and the reading of heads.

pub(crate) mod buffer;
pub(crate) mod flow;
pub(crate) mod frames;
pub(crate) mod link;
pub(crate) mod translate;
