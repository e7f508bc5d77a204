//! What happened, for people and for machines: counters, access log, metrics, status.

pub(crate) mod access_log;
pub(crate) mod counters;
pub(crate) mod flow;
pub(crate) mod histogram;
pub(crate) mod log_line;
pub mod meter;
pub mod metrics;
pub(crate) mod record;
pub mod status;
mod time;
