//! Listening sockets: bound by the control thread, so that a configuration that cannot be bound is refused as a whole, and
//! accepted from by every worker on its own.

pub(crate) mod accept;
pub(crate) mod arrival;
pub(crate) mod bind;
pub(crate) mod bound;
pub(crate) mod proxied;
pub(crate) mod slot;
