//! Workers: one thread, one runtime, one set of listeners each; nothing shared on the hot path.

pub(crate) mod aside;
pub(crate) mod clock;
pub(crate) mod datagrams;
pub(crate) mod deadline;
pub(crate) mod dropped;
pub(crate) mod pace;
pub(crate) mod pipe;
pub(crate) mod pool;
pub(crate) mod pressure;
pub(crate) mod random;
pub(crate) mod socket;
pub(crate) mod transparent;
pub(crate) mod worker;
