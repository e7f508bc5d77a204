//! Bytes from and to sockets: buffers, one direction of an exchange, its content coding.

pub(crate) mod buffer;
pub(crate) mod encode;
pub(crate) mod flow;
pub(crate) mod frames;
pub(crate) mod link;
pub(crate) mod translate;
