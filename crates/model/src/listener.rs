//! A listener: an address, a protocol, rules.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::acme::NameSet;
use crate::action::Action;
use crate::certificate::Certificate;
use crate::check::at;
use crate::declared::{
    Cidr, Codec, Cx, Declared, Defs, Fields, Lasts, NonEmpty, OneOrMore, Optional, Referable as _, Section, Shape,
    Step, To, Within, choice, declared, doc, unknown,
};
pub use crate::default_action::DefaultAction;
use crate::guard::{Carrier, NetworkAcl};
use crate::load_balancer::LoadBalancerKind;
use crate::primitive::{Bind, Name};
use crate::request_headers::RequestHeaders;
use crate::response_headers::ResponseHeaders;
use crate::rule::Rule;
use crate::tls_policy::TlsPolicy;
use crate::yaml::{Node, NodeValue, Scalar};

declared! {
    /// A listener of a load balancer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[inspect = inspect_listener]
    pub struct Listener {
        /// On all addresses of the machine, IPv4 and IPv6; or `address` in its place. 0 lets the system choose.
        #[key = "port"]
        #[also = "address"]
        #[via = PortOrAddress]
        pub bind: Bind,
        /// What it speaks; default `http`.
        #[note = note_protocol]
        pub protocol: ListenerProtocol = ListenerProtocol::Http,
        /// Also HTTP/3 on UDP, announced by Alt-Svc; with `https` only.
        pub http3: bool = false,
        /// Certificates, the default one first, the rest by SNI.
        #[via = OneOrMore]
        pub certificates: Vec<CertificateRef> = Vec::new(),
        /// TLS versions and ciphers offered: `modern` (TLS 1.3), `intermediate` (1.2 and up, the default), or the name of a
        /// policy of Elastic Load Balancing.
        pub tls_policy: TlsPolicy = TlsPolicy::intermediate(),
        /// What a `tls` listener agrees on by ALPN; default `None`: nothing (N9).
        pub alpn_policy: AlpnPolicy = AlpnPolicy::None,
        /// Client certificates.
        pub mutual_authentication: Option<MutualAuthentication> = None,
        /// Fields of every answer.
        pub response_headers: Option<ResponseHeaders> = None,
        /// Names of the request fields about TLS.
        pub request_headers: Option<RequestHeaders> = None,
        /// Numbered allow and deny list.
        #[via = Optional<To<NetworkAcl>>]
        pub network_acl: Option<Name> = None,
        /// What a connection is met with that security groups or the network ACL deny: `drop`, as if nobody were there (the
        /// default), or `reset`, so that who is denied need not wait.
        pub deny: Denial = Denial::Drop,
        /// `{ from: [networks] }`: the PROXY protocol is accepted from these peers only, and required of them.
        #[via = ProxyFrom]
        pub proxy_protocol: Vec<IpNet> = Vec::new(),
        /// On a listener that carries bytes: both directions have been still for so long; default the load balancer's (N2).
        #[via = Optional<Lasts<100, 604_800_000>>]
        pub idle_timeout: Option<Duration> = None,
        /// Bounds against abuse.
        #[via = Section]
        pub limits: ListenerLimits,
        // shared between copies of the listener: there may be very many
        /// In order of priority; first match wins. No name twice.
        pub rules: Arc<Vec<Rule>> = Arc::default(),
        /// What happens when no rule matches.
        pub default: DefaultAction,
    }
}

choice! {
    /// What a listener speaks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ListenerProtocol {
        /// HTTP without TLS.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
        /// TCP as it is.
        Tcp = "tcp",
        /// TLS terminated, then TCP.
        Tls = "tls",
        /// Datagrams.
        Udp = "udp",
        /// TCP and UDP on one port.
        TcpUdp = "tcp_udp",
        /// TLS never decrypted, routed by SNI.
        TlsPassthrough = "tls_passthrough",
    }
}

impl ListenerProtocol {
    /// Whether it reads requests; else it carries bytes or datagrams.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether it shows a certificate.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether it listens on TCP.
    pub fn has_tcp(self) -> bool {
        self != Self::Udp
    }

    /// Whether it carries datagrams.
    pub fn has_udp(self) -> bool {
        matches!(self, Self::Udp | Self::TcpUdp)
    }
}

/// A certificate of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateRef {
    /// One of `certificates:`.
    Named(Name),
    /// Issued by ACME for these names.
    Acme(NameSet),
}

impl Listener {
    /// What is done with requests: by each rule in order, then by default.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.rules.iter().map(|rule| &rule.action).chain([&self.default.action])
    }

    /// How its clients come.
    pub fn carriers(&self) -> &'static [Carrier] {
        match self.protocol {
            ListenerProtocol::Udp => &[Carrier::Udp],
            ListenerProtocol::TcpUdp => &[Carrier::Tcp, Carrier::Udp],
            ListenerProtocol::Https if self.http3 => &[Carrier::Tcp, Carrier::Udp],
            _ => &[Carrier::Tcp],
        }
    }
}

choice! {
    /// What a connection that is denied is met with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Denial {
        /// Silence, as from a security group of AWS.
        Drop = "drop",
        /// A reset.
        Reset = "reset",
    }
}

choice! {
    /// What a `tls` listener agrees on by ALPN, in the words of a Network Load Balancer (N9).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum AlpnPolicy {
        /// HTTP/1 only.
        Http1Only = "HTTP1Only",
        /// HTTP/2 only.
        Http2Only = "HTTP2Only",
        /// HTTP/1 rather than HTTP/2.
        Http2Optional = "HTTP2Optional",
        /// HTTP/2 rather than HTTP/1.
        Http2Preferred = "HTTP2Preferred",
        /// Nothing is agreed on.
        None = "None",
    }
}

impl AlpnPolicy {
    /// The protocols (RFC 7301 section 6) that are taken, preferred first.
    pub fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1Only => &[b"http/1.1", b"http/1.0"],
            Self::Http2Only => &[b"h2"],
            Self::Http2Optional => &[b"http/1.1", b"http/1.0", b"h2"],
            Self::Http2Preferred => &[b"h2", b"http/1.1", b"http/1.0"],
            Self::None => &[],
        }
    }
}

declared! {
    /// Client certificates (S4).
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[check = check_mutual]
    pub struct MutualAuthentication {
        /// `none`, `passthrough` or `verify`.
        pub mode: MutualMode,
        /// PEM file of the authorities that `verify` trusts; required by it.
        pub trust_store: Option<PathBuf> = None,
        /// PEM file of revocation lists; with `verify`.
        pub crl: Option<PathBuf> = None,
        /// Let certificates pass that have expired; with `verify`.
        pub ignore_expiry: bool = false,
    }
}

choice! {
    /// What is done about client certificates (S4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum MutualMode {
        /// None is asked for.
        None = "none",
        /// One is asked for and handed to the target, whoever issued it.
        Passthrough = "passthrough",
        /// One of a trusted issuer is required.
        Verify = "verify",
    }
}

declared! {
    /// Bounds of one listener; 0 means none.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ListenerLimits {
        /// Connections open at once; default 0.
        pub connections: u32 = 0,
        /// Connections open at once from one client: an IPv4 address, or a /64 of IPv6. Default 20000, which is more than
        /// a large office or a carrier has behind one address, and less than one address can open.
        pub connections_per_client: u32 = 20_000,
        /// New connections in any second; default 0.
        pub new_connections_per_second: u32 = 0,
        /// New connections a second of one client; as many may come at once after a second without one. Default 0.
        pub new_connections_per_client: u32 = 0,
        /// TLS handshakes under way, and hellos that are waited for, at once; default 4096. A client has an eighth of them at
        /// most.
        pub handshakes: u32 = 4096,
        /// From the first byte of a head to its end; default the idle timeout, at most 60 s; 10 s for a ClientHello that is
        /// waited for.
        #[via = Optional<Lasts<100, 86_400_000>>]
        pub header_timeout: Option<Duration> = None,
        /// Bytes a second that a client must send while it is waited for inside a head or a body, and take of what it is
        /// sent; measured after a grace of 5 s. Of a client whose bytes are only carried: take. Default, over HTTP: 100, of
        /// answers and of bodies with a declared length, after a grace of the idle timeout.
        pub minimum_rate: Option<u32> = None,
        /// Clients that go over `connections_per_client`, or are too slow, again and again are refused for a while.
        /// Absent: none is.
        pub block: Option<Block> = None,
    }
}

declared! {
    /// When a client is refused for a while.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Block {
        /// Offences; default 10.
        #[via = Within<1, 1_000_000>]
        pub after: u32 = 10,
        /// From the first to the last of them; default 1 min.
        #[via = Lasts<1_000, 86_400_000>]
        pub within: Duration = Duration::from_secs(60),
        /// How long it is refused; default 10 min.
        #[key = "for"]
        #[via = Lasts<1_000, 604_800_000>]
        pub lasts: Duration = Duration::from_secs(600),
    }
}

fn note_protocol(protocol: Option<&ListenerProtocol>, cx: &mut Cx<'_>) {
    cx.listener = protocol.copied();
}

fn check_mutual<'a>(mutual: &MutualAuthentication, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if mutual.mode == MutualMode::Passthrough && cx.listener.is_some_and(|listener| !listener.is_http()) {
        fields.wrong("mode", "passthrough tells targets in header fields, and there are none", "verify or none", cx);
    }
    if mutual.mode != MutualMode::Verify {
        fields.only_with("crl", "it with mode: verify only", cx);
        if mutual.ignore_expiry {
            fields.only_with("ignore_expiry", "it with mode: verify only", cx);
        }
    } else if mutual.trust_store.is_none() && !fields.has("trust_store") {
        fields.missing("trust_store", "a PEM file of the authorities that verify trusts", cx);
    }
}

/// A rule is changed, permitted and counted by its name.
fn inspect_names<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let rules = fields.get("rules").map(Node::items).unwrap_or_default();
    let mut known = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        let Some((place, name)) = rule.get("name").and_then(|place| Some((place, place.as_text()?))) else { continue };
        if let Some(before) = known.insert(name, index) {
            let what = format!("rules[{before}] has the name {name} as well");
            cx.within(Step::Key("rules"), |cx| {
                cx.within(Step::Index(index), |cx| {
                    at(&["name"], cx, |cx| cx.wrong(place, what, "a name of its own in its listener"));
                });
            });
        }
    }
}

fn inspect_listener<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    inspect_names(fields, cx);
    let Some(protocol) = cx.listener else { return };
    let (fits, words) = match cx.load_balancer {
        Some(LoadBalancerKind::Network) => (!protocol.is_http(), "tcp, tls, udp, tcp_udp or tls_passthrough"),
        Some(LoadBalancerKind::Application) => (protocol.is_http(), "http or https"),
        None => (true, ""),
    };
    if !fits {
        let kind = cx.load_balancer.map(|kind| kind.word()).unwrap_or_default();
        let what = format!("{} is not for a load balancer of type {kind}", protocol.word());
        fields.wrong("protocol", what, words, cx);
    }
    let wants_http3 = fields.get("http3").and_then(Node::as_scalar).and_then(Scalar::as_bool) == Some(true);
    if wants_http3 && protocol != ListenerProtocol::Https {
        fields.wrong("http3", "needs TLS", "false or protocol: https", cx);
    }
    if wants_http3 && fields.get("proxy_protocol").is_some_and(|node| node.as_map().is_some()) {
        let what = "does not go with proxy_protocol: no proxy speaks for who comes over UDP";
        fields.wrong("http3", what, "one of them", cx);
    }
    if protocol.is_tls() {
        if !has_items(fields.get("certificates")) {
            fields.missing("certificates", "at least one", cx);
        }
    } else {
        if has_items(fields.get("certificates")) {
            fields.only_with("certificates", "certificates on https and tls listeners only", cx);
        }
        if fields.get("tls_policy").and_then(Node::as_text) != Some(TlsPolicy::intermediate().name()) {
            fields.only_with("tls_policy", "it on https and tls listeners only", cx);
        }
        fields.only_with("mutual_authentication", "it on https and tls listeners only", cx);
    }
    if protocol.is_http() {
        fields.only_with("idle_timeout", "it on listeners of a network load balancer only", cx);
    } else {
        fields.only_with("response_headers", "it on http and https listeners only", cx);
    }
    if protocol != ListenerProtocol::Tls
        && fields.get("alpn_policy").and_then(Node::as_text) != Some(AlpnPolicy::None.word())
    {
        fields.only_with("alpn_policy", "it on tls listeners only", cx);
    }
    if protocol != ListenerProtocol::Https {
        fields.only_with("request_headers", "it on https listeners only", cx);
    }
    if protocol == ListenerProtocol::Udp {
        fields.only_with("proxy_protocol", "it on listeners that accept connections", cx);
        if fields.get("deny").and_then(Node::as_text) != Some(Denial::Drop.word()) {
            fields.only_with("deny", "it on listeners that accept connections", cx);
        }
    }
}

/// Redirects and fixed responses are HTTP; a listener that reads none has no other action than to forward.
pub(crate) fn inspect_answer<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if let Some(listener) = cx.listener.filter(|listener| !listener.is_http()) {
        let what = format!("cannot be answered on a {} listener", listener.word());
        cx.fault(fields.mark(), what, Some("forward".to_owned()));
    }
}

fn has_items(node: Option<&Node>) -> bool {
    node.is_some_and(|node| !node.is_null() && !matches!(&node.value, NodeValue::List(nodes) if nodes.is_empty()))
}

/// `port` or `address`, exactly one.
struct PortOrAddress;

impl PortOrAddress {
    const PORT: &'static str = "a port, or address: ip:port";

    fn port<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Bind> {
        <Within<0, 65_535> as Codec<u16>>::read(node, cx).map(Bind::Any)
    }
}

impl Codec<Bind> for PortOrAddress {
    fn expected() -> String {
        Self::PORT.to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Bind> {
        Self::port(node, cx)
    }

    fn write(value: &Bind) -> Value {
        match value {
            Bind::Any(port) => (*port).into(),
            Bind::Address(address) => address.write(),
        }
    }

    fn schema(defs: &mut Defs) -> Value {
        <Within<0, 65_535> as Codec<u16>>::schema(defs)
    }

    fn field<'a>(
        fields: &Fields<'a>,
        key: &'static str,
        _default: Option<&dyn Fn() -> Bind>,
        cx: &mut Cx<'a>,
    ) -> Option<Bind> {
        let given = |key| fields.get(key).filter(|node| !node.is_null());
        match (given(key), given("address")) {
            (Some(port), address) => {
                let bind = cx.within(Step::Key(key), |cx| Self::port(port, cx));
                if address.is_some() {
                    fields.wrong("address", "is given besides port", "one of the two", cx);
                }
                bind
            }
            (None, Some(address)) => {
                cx.within(Step::Key("address"), |cx| Declared::read(address, cx)).map(Bind::Address)
            }
            (None, None) => {
                fields.missing(key, Self::PORT, cx);
                None
            }
        }
    }

    fn put(value: &Bind, key: &'static str, into: &mut Map<String, Value>) {
        let key = if matches!(value, Bind::Any(_)) { key } else { "address" };
        into.insert(key.to_owned(), Self::write(value));
    }

    fn describe(key: &'static str, text: &str, _default: Option<Value>, into: &mut Shape, defs: &mut Defs) {
        let mut port = Self::schema(defs);
        let mut address = std::net::SocketAddr::schema(defs);
        for (schema, text) in [(&mut port, doc(&[text])), (&mut address, "On this address; or `port`.".to_owned())] {
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), text.into());
            }
        }
        into.properties.insert(key.to_owned(), port);
        into.properties.insert("address".to_owned(), address);
        // One of the two is; a schema says that elsewhere, and less clearly than the fault does.
        into.required.retain(|required| required != key);
    }
}

impl Declared for CertificateRef {
    fn expected() -> String {
        "the name of a certificate, or { acme: [names] }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        match node.as_map() {
            None => To::<Certificate>::read(node, cx).map(Self::Named),
            Some([entry]) if entry.key == "acme" => {
                cx.within(Step::Key("acme"), |cx| NameSet::read(&entry.node, cx)).map(Self::Acme)
            }
            Some([entry]) => {
                unknown(entry, &["acme"], cx);
                None
            }
            Some(_) => {
                cx.wrong_kind(node, Self::expected());
                None
            }
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Named(name) => name.write(),
            Self::Acme(names) => json!({ "acme": names.write() }),
        }
    }

    fn schema(defs: &mut Defs) -> Value {
        let mut names = NameSet::schema(defs);
        if let Some(names) = names.as_object_mut() {
            names.insert("description".to_owned(), "Issued by ACME for these names.".into());
        }
        json!({ "anyOf": [
            { "type": "string", "description": format!("One of {}.", Certificate::COLLECTION) },
            { "type": "object", "properties": { "acme": names }, "required": ["acme"], "additionalProperties": false },
        ] })
    }
}

declared! {
    /// Peers that speak the PROXY protocol.
    struct ProxyPeers {
        /// Networks.
        #[via = NonEmpty<Cidr>]
        from: Vec<IpNet>,
    }
}

/// `{ from: [networks] }`; left out when there are none.
struct ProxyFrom;

impl Codec<Vec<IpNet>> for ProxyFrom {
    fn expected() -> String {
        ProxyPeers::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<IpNet>> {
        ProxyPeers::read(node, cx).map(|peers| peers.from)
    }

    fn write(value: &Vec<IpNet>) -> Value {
        if value.is_empty() { Value::Null } else { ProxyPeers { from: value.clone() }.write() }
    }

    fn schema(defs: &mut Defs) -> Value {
        ProxyPeers::schema(defs)
    }
}
