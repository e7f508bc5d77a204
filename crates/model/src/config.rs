//! The whole of a configuration file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use crate::certificate::Certificate;
use crate::guard::{NetworkAcl, SecurityGroup};
use crate::load_balancer::LoadBalancer;
use crate::primitive::Name;
use crate::target_group::TargetGroup;

/// Everything that is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Data-plane threads; absent (`auto`): one per core.
    pub workers: Option<NonZeroU16>,
    /// The admin address and what is behind it.
    pub admin: Admin,
    /// How the program stops.
    pub shutdown: Shutdown,
    /// By name.
    pub load_balancers: BTreeMap<Name, LoadBalancer>,
    /// By name.
    pub target_groups: BTreeMap<Name, TargetGroup>,
    /// By name.
    pub certificates: BTreeMap<Name, Certificate>,
    /// By name.
    pub security_groups: BTreeMap<Name, SecurityGroup>,
    /// By name.
    pub network_acls: BTreeMap<Name, NetworkAcl>,
}

/// The admin address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Default 127.0.0.1:9080.
    pub address: SocketAddr,
    /// `none` only on loopback.
    pub auth: AdminAuth,
    /// Where state lives; default `state/`. Relative paths start at the file's folder.
    pub data: PathBuf,
}

/// Who may use the admin address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminAuth {
    /// Anyone on this machine.
    None,
    /// Signed calls and sessions.
    Required,
}

/// How the program stops on SIGTERM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Between `/readyz` saying no and the listeners closing; default 0 s.
    pub readiness_delay: Duration,
    /// After this, what is still open is closed; default 60 s.
    pub deadline: Duration,
}
