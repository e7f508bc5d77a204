//! The names by which this crate knows targets and groups: 64-bit hashes of what the operator calls them.
//!
//! They are hashes and not indices because stickiness cookies carry them across restarts, reloads and machines.

use serde::{Deserialize, Serialize};

use crate::hash::hash64;

/// A target within its group: stable for as long as the target is the same address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct TargetKey(pub u64);

impl TargetKey {
    /// The key of the target known by `name`, such as `10.0.0.7:8080`. The same in every process and release.
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        Self(hash64(0x7461_7267_6574, name.as_ref()))
    }
}

/// A target group, as stickiness cookies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(pub u64);

impl GroupKey {
    /// The key of the target group known by `name`. The same in every process and release.
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        Self(hash64(0x67_726f_7570, name.as_ref()))
    }
}
