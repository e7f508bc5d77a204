//! The whole of a configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::acme::{Acme, NameSet};
use crate::certificate::Certificate;
use crate::check::check_config;
use crate::declared::{Codec, Cx, Defs, Fields, Lasts, Optional, Section, Within, choice, declared};
use crate::guard::{NetworkAcl, SecurityGroup};
use crate::listener::{CertificateRef, Listener};
use crate::load_balancer::LoadBalancer;
use crate::overload::Overload;
use crate::primitive::Name;
use crate::target_group::TargetGroup;
use crate::yaml::Node;

declared! {
    /// Everything that is declared: load balancers, and what they refer to.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[check = check_config]
    pub struct Config {
        /// Data-plane threads; `auto`: one per core.
        #[via = Workers]
        pub workers: Option<NonZeroU16> = None,
        /// The admin address and what is behind it.
        #[via = Section]
        pub admin: Admin,
        /// How the program stops.
        #[via = Section]
        pub shutdown: Shutdown,
        /// What the program has for itself.
        #[via = Section]
        pub overload: Overload,
        /// How another process takes over from this one.
        #[via = Section]
        pub upgrade: Upgrade,
        /// Who issues the certificates that listeners ask for by `{ acme: [names] }`.
        pub acme: Option<Acme> = None,
        /// By name.
        pub certificates: BTreeMap<Name, Certificate> = BTreeMap::new(),
        /// By name. Allow only; what no rule allows is refused.
        pub security_groups: BTreeMap<Name, SecurityGroup> = BTreeMap::new(),
        /// By name. Numbered allow and deny, lowest number first, then deny.
        pub network_acls: BTreeMap<Name, NetworkAcl> = BTreeMap::new(),
        /// By name. Read before the load balancers, which forward to them.
        pub target_groups: BTreeMap<Name, TargetGroup> = BTreeMap::new(),
        /// By name.
        pub load_balancers: BTreeMap<Name, LoadBalancer> = BTreeMap::new(),
    }
}

impl Config {
    /// All listeners, in order, each behind its load balancer's name and its own.
    pub fn listeners(&self) -> impl Iterator<Item = (&Name, &Name, &Listener)> {
        self.load_balancers.iter().flat_map(|(balancer, declared)| {
            declared.listeners.iter().map(move |(name, listener)| (balancer, name, listener))
        })
    }

    /// The sets of names that listeners ask certificates by ACME for, each once.
    pub fn acme_names(&self) -> BTreeSet<&NameSet> {
        let certificates = self.listeners().flat_map(|(.., listener)| &listener.certificates);
        certificates
            .filter_map(|certificate| match certificate {
                CertificateRef::Acme(names) => Some(names),
                CertificateRef::Named(_) => None,
            })
            .collect()
    }
}

declared! {
    /// The admin address: REST API, console, metrics, readiness.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[check = check_admin]
    pub struct Admin {
        /// Default 127.0.0.1:9080.
        pub address: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9080)),
        /// `none` only on loopback.
        pub auth: AdminAuth = AdminAuth::None,
        /// Where state lives; default `state/`. Relative paths start at the file's folder.
        pub data: PathBuf = PathBuf::from("state/"),
        /// The key that secrets are sealed with, where it is not to lie beside them: 32 bytes, or as many in base64, in a file
        /// that others cannot read, such as a mounted secret. Default: `control.key` in the data folder, made when there is none.
        pub key_file: Option<PathBuf> = None,
        /// How long the audit trail is kept; default for ever. That something left it is an entry of the trail.
        #[via = Optional<Lasts<86_400_000, 315_360_000_000>>]
        pub audit_retention: Option<Duration> = None,
    }
}

/// The cookie of who has signed in to the console. Browsers send it to every port of a host name; the data plane takes it out of
/// what goes to targets.
pub const SESSION_COOKIE: &str = "headworks_session";

choice! {
    /// Who may use the admin address.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum AdminAuth {
        /// Anyone on this machine.
        None = "none",
        /// Signed calls and sessions.
        Required = "required",
    }
}

declared! {
    /// How the program stops on SIGTERM.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Shutdown {
        /// Between `/readyz` saying no and the listeners closing; default 0 s.
        #[via = Lasts<0, 3_600_000>]
        pub readiness_delay: Duration = Duration::ZERO,
        /// After this, what is still open is closed; default 60 s.
        #[via = Lasts<0, 604_800_000>]
        pub deadline: Duration = Duration::from_secs(60),
    }
}

declared! {
    /// How another process takes over (`headworks upgrade`).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Upgrade {
        /// A new process that is not ready after this is given up, and the old one goes on; default 60 s.
        #[via = Lasts<100, 3_600_000>]
        pub ready_within: Duration = Duration::from_secs(60),
        /// What is still open in the old process after this ends as by `shutdown`; default 1 h.
        #[via = Lasts<0, 604_800_000>]
        pub deadline: Duration = Duration::from_secs(3600),
    }
}

fn check_admin<'a>(admin: &Admin, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if admin.auth == AdminAuth::None && !admin.address.ip().to_canonical().is_loopback() {
        let what = format!("{} can be reached from other machines, and auth is none", admin.address);
        fields.wrong("address", what, "a loopback address such as 127.0.0.1:9080, or auth: required", cx);
    }
}

/// `auto`, or how many.
struct Workers;

impl Codec<Option<NonZeroU16>> for Workers {
    fn expected() -> String {
        "auto or a whole number from 1 to 1024".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Option<NonZeroU16>> {
        if node.as_text() == Some("auto") {
            return Some(None);
        }
        let number = node.as_scalar().and_then(|scalar| scalar.as_whole()).filter(|number| *number <= 1024);
        let number = number.and_then(|number| u16::try_from(number).ok()).and_then(NonZeroU16::new);
        if number.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        number.map(Some)
    }

    fn write(value: &Option<NonZeroU16>) -> Value {
        value.map_or_else(|| "auto".into(), |number| number.get().into())
    }

    fn schema(defs: &mut Defs) -> Value {
        json!({ "anyOf": [{ "const": "auto" }, <Within<1, 1024> as Codec<u16>>::schema(defs)] })
    }
}
