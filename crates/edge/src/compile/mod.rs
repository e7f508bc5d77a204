//! From a configuration as validated to the plan as run. Everything is built, every error collected, before anything is
//! changed.

pub(crate) mod answers;
pub(crate) mod attributes;
pub(crate) mod build;
pub(crate) mod examined;
pub(crate) mod permission;
pub(crate) mod plan;
