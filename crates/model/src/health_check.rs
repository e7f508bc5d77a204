//! How the health of targets is found out (T2, T3). What is not said follows from what the targets speak.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::credentials::Identifier;
pub use crate::credentials::Password;
use crate::declared::{Codec, Cx, Defs, Fields, Lasts, Optional, Plain, Within, choice, declared, parsed};
use crate::target_group::TargetProtocol;
use crate::yaml::Node;

declared! {
    /// How health is found out (T2, T3).
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[check = check_health]
    pub struct HealthCheck {
        /// What the probe speaks; default the group's protocol, `tcp` for `udp`.
        #[via = ByProbe<Plain>]
        #[note = note_probe]
        pub protocol: HealthProtocol,
        /// Path of an HTTP probe; default `/`. Of a gRPC probe the method; default `/AWS.ALB/healthcheck`.
        #[via = ProbePath]
        pub path: Arc<str> => default_path(protocol),
        /// `traffic`, the default, or a port.
        #[via = ProbePort]
        pub port: Option<u16> = None,
        /// Default 30 s.
        #[via = Lasts<100, 86_400_000>]
        pub interval: Duration = Duration::from_secs(30),
        /// Default 5 s, 10 s when no HTTP is spoken; of groups that speak no HTTP, 6 s when HTTP is, and 10 s over TLS.
        #[via = ByProbe<Lasts<100, 86_400_000>>]
        pub timeout: Duration,
        /// Successes in a row that make an unhealthy target healthy; default 5.
        #[via = Within<1, 1000>]
        pub healthy_threshold: u16 = 5,
        /// Failures in a row that make a target unhealthy; default 2.
        #[via = Within<1, 1000>]
        pub unhealthy_threshold: u16 = 2,
        /// Statuses that count as success: `200`, `"200-299"`, `"200,202"`; default 200, of groups that speak
        /// no HTTP 200-399. Of gRPC codes; default 12.
        #[via = ByProbe<Statuses>]
        pub matcher: Vec<(u16, u16)>,
        /// Who logs in; of postgres, mysql and redis. Without it, an answer is enough.
        #[via = Optional<Identifier>]
        pub user: Option<Arc<str>> = None,
        /// What with; of redis also without `user`.
        pub password: Option<Password> = None,
        /// Which database is logged in to; of postgres with `user`. Default `postgres`.
        #[via = Optional<Identifier>]
        pub database: Option<Arc<str>> = None,
        /// What a target must be; of postgres with `user`, and of redis.
        pub role: Option<Role> = None,
        /// How far a replica of postgres may be behind, 1 s to 1 d; absent: any.
        #[via = Optional<Lasts<1_000, 86_400_000>>]
        pub max_lag: Option<Duration> = None,
    }
}

/// Where it is in the canonical form, below the group: a secret however it was written.
pub(crate) const SECRET: &str = "health_check.password";

choice! {
    /// What a probe speaks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum HealthProtocol {
        /// A GET, and the status of its answer.
        Http = "http",
        /// The same over TLS.
        Https = "https",
        /// A unary call, and its gRPC status.
        Grpc = "grpc",
        /// A connection.
        Tcp = "tcp",
        /// A TLS handshake.
        Tls = "tls",
        /// PostgreSQL's startup; with `user`, a login and a query.
        Postgres = "postgres",
        /// MySQL's or MariaDB's greeting and login.
        Mysql = "mysql",
        /// Redis' PING; with `role`, its ROLE.
        Redis = "redis",
        /// Never probed, always healthy.
        None = "none",
    }
}

impl HealthProtocol {
    /// Whether it is a database's.
    pub fn is_database(self) -> bool {
        matches!(self, Self::Postgres | Self::Mysql | Self::Redis)
    }
}

choice! {
    /// What a database is to the others that hold the same data.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Role {
        /// The one that is written to.
        Primary = "primary",
        /// One that follows it.
        Replica = "replica",
    }
}

fn default_path(protocol: Option<HealthProtocol>) -> Arc<str> {
    if protocol == Some(HealthProtocol::Grpc) { "/AWS.ALB/healthcheck".into() } else { "/".into() }
}

fn note_probe(protocol: Option<&HealthProtocol>, cx: &mut Cx<'_>) {
    cx.probe = protocol.copied();
}

/// Whether what is probed is no web server to its clients: a Network Load Balancer has defaults of its own.
fn is_of_network(cx: &Cx<'_>) -> bool {
    cx.group_protocol.is_some_and(|group| !group.is_http())
}

fn check_health<'a>(health: &HealthCheck, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    check_login(health, fields, cx);
    check_role(health, fields, cx);
    let (what, range) = match health.protocol {
        HealthProtocol::Http | HealthProtocol::Https => ("statuses from 200 to 599", 200..=599),
        HealthProtocol::Grpc => ("gRPC codes from 0 to 99", 0..=99),
        _ => {
            for key in ["path", "matcher"] {
                // What `to_json` writes must read back.
                if fields.get(key).and_then(Node::as_text) != Some(default_text(key)) {
                    fields.only_with(key, "it with protocol http, https or grpc only", cx);
                }
            }
            return;
        }
    };
    if let Some((first, last)) =
        health.matcher.iter().find(|(first, last)| !range.contains(first) || !range.contains(last))
    {
        fields.wrong("matcher", format!("has {}", range_text(*first, *last)), what, cx);
    }
}

fn check_login<'a>(health: &HealthCheck, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if !health.protocol.is_database() {
        for key in ["user", "password"] {
            fields.only_with(key, "it with protocol postgres, mysql or redis only", cx);
        }
    } else if health.protocol == HealthProtocol::Redis {
        if fields.has("user") && !fields.has("password") {
            fields.missing("password", "it, as Redis knows no user without one", cx);
        }
    } else if !fields.has("user") {
        fields.only_with("password", "it with user only", cx);
    }
    if health.protocol != HealthProtocol::Postgres {
        fields.only_with("database", "it with protocol postgres only", cx);
    } else if !fields.has("user") {
        fields.only_with("database", "it with user only", cx);
    }
}

fn check_role<'a>(health: &HealthCheck, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    match health.protocol {
        HealthProtocol::Postgres if fields.has("role") && !fields.has("user") => {
            fields.missing("user", "one who may log in, for a role is asked by a query", cx);
        }
        HealthProtocol::Postgres | HealthProtocol::Redis => {}
        _ => fields.only_with("role", "it with protocol postgres or redis only", cx),
    }
    if health.protocol != HealthProtocol::Postgres || health.role != Some(Role::Replica) {
        fields.only_with("max_lag", "it with protocol postgres and role replica only", cx);
    }
}

fn default_text(key: &str) -> &'static str {
    if key == "path" { "/" } else { "200" }
}

/// What `C` reads. What it is where nothing is said depends on what is around it.
struct ByProbe<C>(PhantomData<C>);

/// What has such a default.
trait Usual: Clone {
    fn usual(cx: &Cx<'_>) -> Self;
}

impl Usual for HealthProtocol {
    fn usual(cx: &Cx<'_>) -> Self {
        match cx.group_protocol {
            None | Some(TargetProtocol::Http) => HealthProtocol::Http,
            Some(TargetProtocol::Https) => HealthProtocol::Https,
            Some(TargetProtocol::Grpc) => HealthProtocol::Grpc,
            // A datagram that is not answered says nothing; AWS probes UDP groups by TCP too.
            Some(TargetProtocol::Tcp | TargetProtocol::Tls | TargetProtocol::Udp) => HealthProtocol::Tcp,
        }
    }
}

/// How long a probe takes at most.
impl Usual for Duration {
    fn usual(cx: &Cx<'_>) -> Self {
        Duration::from_secs(match cx.probe {
            Some(HealthProtocol::Http) if is_of_network(cx) => 6,
            Some(HealthProtocol::Https) if is_of_network(cx) => 10,
            None | Some(HealthProtocol::Http | HealthProtocol::Https | HealthProtocol::Grpc) => 5,
            Some(_) => 10,
        })
    }
}

/// What counts as success.
impl Usual for Vec<(u16, u16)> {
    fn usual(cx: &Cx<'_>) -> Self {
        match cx.probe {
            Some(HealthProtocol::Grpc) => vec![(12, 12)],
            Some(HealthProtocol::Http | HealthProtocol::Https) if is_of_network(cx) => vec![(200, 399)],
            _ => vec![(200, 200)],
        }
    }
}

impl<T: Usual, C: Codec<T>> Codec<T> for ByProbe<C> {
    const OPTIONAL: bool = true;

    fn expected() -> String {
        C::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T> {
        C::read(node, cx)
    }

    fn write(value: &T) -> Value {
        C::write(value)
    }

    fn schema(defs: &mut Defs) -> Value {
        C::schema(defs)
    }

    fn field<'a>(
        fields: &Fields<'a>,
        key: &'static str,
        _default: Option<&dyn Fn() -> T>,
        cx: &mut Cx<'a>,
    ) -> Option<T> {
        let usual = T::usual(cx);
        C::field(fields, key, Some(&|| usual.clone()), cx)
    }
}

/// What stands in the request line of a probe.
struct ProbePath;

impl Codec<Arc<str>> for ProbePath {
    fn expected() -> String {
        "a path that begins with /, of at most 1024 visible ASCII characters".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        parsed(node, Self::expected, cx, |text| {
            let fine = text.starts_with('/') && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic());
            if fine { Ok(text.into()) } else { Err("cannot be asked for") }
        })
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^/[!-~]{0,1023}$" })
    }
}

/// `traffic`, or a port.
struct ProbePort;

impl Codec<Option<u16>> for ProbePort {
    fn expected() -> String {
        "traffic or a port from 1 to 65535".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Option<u16>> {
        if node.as_text() == Some("traffic") {
            return Some(None);
        }
        let port = node.as_scalar().and_then(|scalar| scalar.as_whole());
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        if port.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        port.map(Some)
    }

    fn write(value: &Option<u16>) -> Value {
        value.map_or_else(|| "traffic".into(), Value::from)
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "anyOf": [{ "const": "traffic" }, { "type": "integer", "minimum": 1, "maximum": 65535 }] })
    }
}

/// `200`, `"200-299"`, `"200,202"` and mixtures.
struct Statuses;

impl Codec<Vec<(u16, u16)>> for Statuses {
    fn expected() -> String {
        "statuses such as \"200\", \"200-299\" or \"200,202\"".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<(u16, u16)>> {
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number <= 599);
        let one = |text: &str| match text.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).filter(|(first, last)| first <= last),
            None => number(text).map(|number| (number, number)),
        };
        let ranges = node.as_scalar().and_then(|scalar| scalar.text.split(',').map(one).collect::<Option<Vec<_>>>());
        if ranges.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        ranges
    }

    fn write(value: &Vec<(u16, u16)>) -> Value {
        let all: Vec<String> = value.iter().map(|(first, last)| range_text(*first, *last)).collect();
        all.join(",").into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 599 },
            { "type": "string", "pattern": "^[0-9]+(-[0-9]+)?(, *[0-9]+(-[0-9]+)?)*$" },
        ] })
    }
}

fn range_text(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
