//! Targets: connections to them, the pools of idle ones, and how it is found out which are well.

pub(crate) mod announce;
pub(crate) mod connect;
pub(crate) mod gate;
pub(crate) mod group;
pub(crate) mod latency;
pub(crate) mod multiplex;
pub(crate) mod probe;
pub(crate) mod resolve;
pub(crate) mod sockets;
pub(crate) mod supervise;
pub(crate) mod target;
