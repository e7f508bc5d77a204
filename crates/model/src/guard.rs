//! Security groups and network ACLs: who may open a connection.

use std::collections::HashSet;

use headworks_guard::{AccessList, Action, Allowance, Networks, NumberedRule};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::config::Config;
use crate::declared::{
    Cidr, Codec, Cx, Declared, Defs, NonEmpty, OneOrMore, Referable, Step, To, Within, choice, declared,
};
use crate::load_balancer::LoadBalancer;
use crate::primitive::Name;
use crate::yaml::Node;

declared! {
    /// Allow-list attached to load balancers; what no rule allows is refused.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SecurityGroup {
        /// Any is enough.
        pub inbound: Vec<InboundRule> = Vec::new(),
    }
}

declared! {
    /// One allowance.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct InboundRule {
        /// `tcp`, `udp` or `all`; default `all`.
        #[via = ProtocolWord]
        pub protocol: String = "all".to_owned(),
        /// Inclusive ranges, `8080` or `"8000-8999"`; absent: all.
        #[via = OneOrMore<PortRange>]
        pub ports: Vec<(u16, u16)> = Vec::new(),
        /// Networks, or names of other security groups.
        #[via = NonEmpty]
        pub from: Vec<Source>,
    }
}

/// How clients come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// By connections.
    Tcp,
    /// By datagrams.
    Udp,
}

/// Whom the security groups of a load balancer let in at one port.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Whoever comes from here,
    pub networks: Networks,
    /// and the members of these groups; in order, each once.
    pub groups: Vec<Name>,
}

impl Config {
    /// Whom the security groups of a load balancer let in at `port`; none when it has no groups, and all may come.
    pub fn allowed(&self, balancer: &LoadBalancer, port: u16, carrier: Carrier) -> Option<Allowed> {
        if balancer.security_groups.is_empty() {
            return None;
        }
        let groups = balancer.security_groups.iter().filter_map(|name| self.security_groups.get(name));
        let rules = groups.flat_map(|group| &group.inbound);
        let rules: Vec<&InboundRule> = rules.filter(|rule| rule.is_about(port, carrier)).collect();
        let sources = rules.iter().flat_map(|rule| &rule.from);
        let networks = sources.filter_map(|source| match source {
            Source::Net(network) => Some(*network),
            Source::Group(_) => None,
        });
        let mut groups: Vec<Name> = rules.iter().flat_map(|rule| rule.groups()).cloned().collect();
        groups.sort_unstable();
        groups.dedup();
        Some(Allowed { networks: networks.collect(), groups })
    }
}

/// Where a connection may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A network.
    Net(IpNet),
    /// The members of another security group.
    Group(Name),
}

declared! {
    /// Numbered allow and deny rules, lowest first, then deny. Attached to listeners.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NetworkAcl {
        /// By number.
        #[via = ByNumber]
        pub inbound: Vec<AclRule> = Vec::new(),
    }
}

declared! {
    /// One rule of a network ACL.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AclRule {
        /// 1 to 32766; no number twice.
        #[via = Within<1, 32_766>]
        pub rule: u16,
        /// Allow or deny.
        #[key = "action"]
        #[via = AllowOrDeny]
        pub allow: bool,
        /// Networks.
        #[via = NonEmpty<Cidr>]
        pub from: Vec<IpNet>,
    }
}

impl InboundRule {
    /// Whether it is about clients that come this way.
    pub fn is_about(&self, port: u16, carrier: Carrier) -> bool {
        self.carries(carrier)
            && (self.ports.is_empty() || self.ports.iter().any(|(first, last)| (*first..=*last).contains(&port)))
    }

    fn carries(&self, carrier: Carrier) -> bool {
        let other = match carrier {
            Carrier::Tcp => Transport::Udp,
            Carrier::Udp => Transport::Tcp,
        };
        self.protocol != other.word()
    }

    /// The groups that it refers to.
    pub fn groups(&self) -> impl Iterator<Item = &Name> {
        self.from.iter().filter_map(|source| match source {
            Source::Net(_) => None,
            Source::Group(name) => Some(name),
        })
    }

    /// The rule as one that addresses are compared with.
    pub fn allowance(&self) -> Allowance {
        let network = |source: &Source| match source {
            Source::Net(network) => Some(*network),
            Source::Group(_) => None,
        };
        Allowance {
            tcp: self.carries(Carrier::Tcp),
            udp: self.carries(Carrier::Udp),
            ports: self.ports.clone(),
            from: self.from.iter().filter_map(network).collect(),
            groups: self.groups().map(|name| name.as_str().to_owned()).collect(),
        }
    }
}

impl NetworkAcl {
    /// The list as one set of addresses, and what became of each rule.
    pub fn compile(&self) -> AccessList {
        let action = |allow| if allow { Action::Allow } else { Action::Deny };
        let rules: Vec<NumberedRule<'_>> =
            self.inbound.iter().map(|rule| NumberedRule { action: action(rule.allow), from: &rule.from }).collect();
        AccessList::compile(&rules)
    }
}

impl Referable for SecurityGroup {
    const COLLECTION: &'static str = "security_groups";
    const CALLED: &'static str = "security group";
}

impl Referable for NetworkAcl {
    const COLLECTION: &'static str = "network_acls";
    const CALLED: &'static str = "network ACL";
}

/// A network when it looks like one, else a name.
impl Declared for Source {
    fn expected() -> String {
        format!("{}, or the name of a security group", Cidr::expected())
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let is_name = |text: &str| Name::new(text).is_ok() && text.parse::<std::net::IpAddr>().is_err();
        if node.as_text().is_some_and(is_name) {
            return To::<SecurityGroup>::read(node, cx).map(Self::Group);
        }
        Cidr::read(node, cx).map(Self::Net)
    }

    fn write(&self) -> Value {
        match self {
            Self::Net(net) => Cidr::write(net),
            Self::Group(name) => name.write(),
        }
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string" })
    }
}

choice! {
    /// What a rule of a network ACL does.
    enum Verdict {
        /// Let it in.
        Allow = "allow",
        /// Refuse it.
        Deny = "deny",
    }
}

struct AllowOrDeny;

impl Codec<bool> for AllowOrDeny {
    fn expected() -> String {
        Verdict::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<bool> {
        Verdict::read(node, cx).map(|verdict| matches!(verdict, Verdict::Allow))
    }

    fn write(value: &bool) -> Value {
        if *value { Verdict::Allow } else { Verdict::Deny }.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        Verdict::schema(defs)
    }
}

choice! {
    /// Transport protocols of a security group's rule.
    enum Transport {
        /// Connections.
        Tcp = "tcp",
        /// Datagrams.
        Udp = "udp",
        /// Both.
        All = "all",
    }
}

struct ProtocolWord;

impl Codec<String> for ProtocolWord {
    fn expected() -> String {
        Transport::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<String> {
        Transport::read(node, cx).map(|transport| transport.word().to_owned())
    }

    fn write(value: &String) -> Value {
        value.as_str().into()
    }

    fn schema(defs: &mut Defs) -> Value {
        Transport::schema(defs)
    }
}

/// A port, or `"first-last"`.
struct PortRange;

impl Codec<(u16, u16)> for PortRange {
    fn expected() -> String {
        "a port from 1 to 65535, or a range such as \"8000-8999\"".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<(u16, u16)> {
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let range = node.as_scalar().and_then(|scalar| match scalar.text.split_once('-') {
            Some((first, last)) => port(first).zip(port(last)).filter(|(first, last)| first <= last),
            None => port(&scalar.text).map(|port| (port, port)),
        });
        if range.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        range
    }

    fn write((first, last): &(u16, u16)) -> Value {
        if first == last { (*first).into() } else { format!("{first}-{last}").into() }
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 65535 },
            { "type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$" },
        ] })
    }
}

/// Rules sorted by number, no number twice.
struct ByNumber;

impl Codec<Vec<AclRule>> for ByNumber {
    fn expected() -> String {
        Vec::<AclRule>::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<AclRule>> {
        let mut rules = Vec::<AclRule>::read(node, cx)?;
        let mut seen = HashSet::new();
        for (index, item) in node.items().iter().enumerate() {
            let number = item.get("rule").and_then(|number| Some((number, number.as_scalar()?.as_whole()?)));
            if let Some((place, number)) = number
                && !seen.insert(number)
            {
                cx.within(Step::Index(index), |cx| {
                    cx.within(Step::Key("rule"), |cx| {
                        cx.wrong(place, format!("the number {number} is there twice"), "a number for each rule");
                    });
                });
            }
        }
        rules.sort_by_key(|rule| rule.rule);
        Some(rules)
    }

    fn write(value: &Vec<AclRule>) -> Value {
        value.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        Vec::<AclRule>::schema(defs)
    }
}
