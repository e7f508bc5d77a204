//! What a kind of resource is called: in paths, in names of actions, in names of resources.

use headworks_model::Kind;

/// `target-groups`, as in `/v1/target-groups`.
pub(crate) fn segment(kind: Kind) -> String {
    kind.collection().replace('_', "-")
}

/// `target-group`, as in `hrn:headworks:target-group/web`.
pub(crate) fn word(kind: Kind) -> String {
    kind.called().to_ascii_lowercase().replace(' ', "-")
}

/// `TargetGroup`, as in `headworks:PutTargetGroup`.
pub(crate) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Certificate => "Certificate",
        Kind::SecurityGroup => "SecurityGroup",
        Kind::NetworkAcl => "NetworkAcl",
        Kind::TargetGroup => "TargetGroup",
        Kind::LoadBalancer => "LoadBalancer",
    }
}

/// A number that names something, in its one spelling: another would be another name for what is permitted or denied.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

/// `headworks:PutTargetGroup`.
pub(crate) fn action(name: &str) -> String {
    format!("headworks:{name}")
}

/// `hrn:headworks:target-group/web`.
pub(crate) fn hrn(rest: &str) -> String {
    format!("hrn:headworks:{rest}")
}

/// The name of a declared resource.
pub(crate) fn hrn_of(kind: Kind, name: &str) -> String {
    hrn(&format!("{}/{name}", word(kind)))
}
