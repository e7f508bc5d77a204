//! The configuration as run: what every worker reads and none writes.

use std::sync::Arc;
use std::time::Duration;

use headworks_balance::{Algorithm, Criticality, Hedge, Keyring};
use headworks_message::encoding::{ContentCoding, Offer};
use headworks_model::action::{GroupStickiness, Redirect, Scheme};
use headworks_model::compression::{Compression, CompressionAlgorithm};
use headworks_model::config::Config;
use headworks_model::load_balancer::{DesyncMitigation, XffHeaderProcessing};
use headworks_model::target_group::TargetGroup;
use headworks_route::{CompiledTransforms, FlowTable, Table};
use ipnet::IpNet;

use super::attributes::Attributes;
use crate::challenge::Challenges;
use crate::guard::Guard;
use crate::observe::access_log::LogTarget;
use crate::observe::counters::{Count, ListenerCounters};
use crate::runtime::pace::Demand;
use crate::tls::listener::TlsListener;
use crate::tls::told::ToldAs;
use crate::upstream::group::GroupShared;

/// Everything that workers run, swapped as one.
pub(crate) struct Plan {
    pub(crate) listeners: Vec<Arc<ListenerPlan>>,
    pub(crate) groups: Vec<Arc<GroupPlan>>,
    /// As it was declared, for those who ask why.
    pub(crate) config: Arc<Config>,
    /// Some targets are told of their clients by the PROXY protocol.
    pub(crate) announces: bool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) challenges: Arc<Challenges>,
}

/// Identity of a listener: the names of its load balancer and its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ListenerKey {
    pub(crate) load_balancer: Arc<str>,
    pub(crate) listener: Arc<str>,
}

/// A listener, compiled.
pub(crate) struct ListenerPlan {
    pub(crate) key: ListenerKey,
    /// What it speaks, in the word of the file.
    pub(crate) protocol: &'static str,
    /// `app/<load balancer>/<16 hex>`, as logs name it.
    pub(crate) label: String,
    /// What a JSON line of the access log says of load balancer and listener.
    pub(crate) json_names: String,
    pub(crate) scheme: Scheme,
    /// The port it is bound to, also when 0 was asked for.
    pub(crate) port: u16,
    pub(crate) idle_timeout: Duration,
    pub(crate) header_timeout: Duration,
    /// How fast clients must bring and take what they do.
    pub(crate) demand: Demand,
    pub(crate) client_keep_alive: Duration,
    pub(crate) desync: DesyncMitigation,
    pub(crate) drop_invalid_header_fields: bool,
    pub(crate) xff: XffHeaderProcessing,
    pub(crate) xff_client_port: bool,
    /// `:port`, to be added to a Host without one.
    pub(crate) host_port: Option<Vec<u8>>,
    /// `X-Forwarded-Proto` and `X-Forwarded-Port` as whole lines.
    pub(crate) forwarded_lines: Vec<u8>,
    /// What clients are met with, where TLS is spoken.
    pub(crate) tls: Option<Arc<TlsListener>>,
    /// Bounds of connections over QUIC, where HTTP/3 is spoken.
    pub(crate) http3: Option<Arc<quinn::TransportConfig>>,
    /// Targets are told version and cipher of the client's connection (H6).
    pub(crate) tells_cipher: bool,
    /// What the fields about TLS and client certificates are called.
    pub(crate) told: ToldAs,
    /// The proxies whose clients are served, and nobody else; none where clients connect themselves.
    pub(crate) proxied_from: Option<Box<[IpNet]>>,
    pub(crate) log: Option<LogTarget>,
    pub(crate) attributes: Option<Attributes>,
    pub(crate) compression: Option<CompressionPlan>,
    /// Who may connect.
    pub(crate) guard: Guard,
    /// Present on a listener that carries bytes; what is said here of requests is not asked then.
    pub(crate) flows: Option<FlowPlan>,
    /// Which rule a request meets; shared with the plans before and after, as long as rules are the same, as what follows is.
    pub(crate) table: Arc<Table>,
    pub(crate) rules: Arc<Vec<RulePlan>>,
    pub(crate) hits: Arc<Hits>,
    pub(crate) default: RulePlan,
    /// By worker; shared with the plans before and after.
    pub(crate) counters: Arc<Vec<ListenerCounters>>,
}

/// How often rules were met.
pub(crate) struct Hits {
    /// By worker, then by rule, the default last.
    pub(crate) workers: Vec<Box<[Count]>>,
    /// Those of the same rules under earlier plans.
    pub(crate) earlier: Vec<u64>,
}

/// How a listener carries bytes.
pub(crate) struct FlowPlan {
    pub(crate) protocol: FlowProtocol,
    /// How long a flow of datagrams may be silent.
    pub(crate) silence: Duration,
    pub(crate) table: FlowTable,
}

/// What of a flow is looked at before its bytes are carried. TLS that ends here is [`ListenerPlan::tls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowProtocol {
    /// Nothing.
    Tcp,
    /// A ClientHello.
    TlsPassthrough,
}

/// What is compressed, and how.
pub(crate) struct CompressionPlan {
    pub(crate) offer: Offer,
    /// By [`ContentCoding`].
    levels: [u8; ContentCoding::ALL.len()],
}

impl CompressionPlan {
    pub(crate) fn new(compression: &Compression) -> CompressionPlan {
        let coding = |algorithm: &CompressionAlgorithm| match algorithm {
            CompressionAlgorithm::Br => ContentCoding::Brotli,
            CompressionAlgorithm::Zstd => ContentCoding::Zstd,
            CompressionAlgorithm::Gzip => ContentCoding::Gzip,
        };
        CompressionPlan {
            offer: Offer {
                codings: compression.algorithms.iter().map(coding).collect(),
                types: compression.types.iter().map(|of| (**of).into()).collect(),
                minimum_size: compression.minimum_size,
            },
            levels: ContentCoding::ALL.map(|coding| match coding {
                ContentCoding::Brotli => compression.levels.br,
                ContentCoding::Zstd => compression.levels.zstd,
                ContentCoding::Gzip => compression.levels.gzip,
            }),
        }
    }

    pub(crate) fn level(&self, coding: ContentCoding) -> u8 {
        self.levels.get(coding as usize).copied().unwrap_or(1)
    }
}

/// A rule, compiled; its conditions are in the listener's table.
pub(crate) struct RulePlan {
    /// Its name, its number, or `default`.
    pub(crate) label: Arc<str>,
    pub(crate) action: ActionPlan,
    /// How much it matters that its requests are served while there is too much to do.
    pub(crate) criticality: Criticality,
    pub(crate) injection: Option<InjectionPlan>,
    pub(crate) transforms: Option<CompiledTransforms>,
}

/// What is done with a request.
pub(crate) enum ActionPlan {
    Forward(ForwardPlan),
    Redirect(Redirect),
    Fixed(Arc<Answer>),
}

/// An answer of our own.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<Arc<str>>,
    pub(crate) body: Box<[u8]>,
}

/// Forward, with groups by their place in [`Plan::groups`].
pub(crate) struct ForwardPlan {
    pub(crate) groups: Vec<WeightedPlace>,
    /// Sum of the weights.
    pub(crate) sum: u64,
    pub(crate) stickiness: Option<GroupStickiness>,
    /// In place of what a group does when it has nothing healthy.
    pub(crate) fallback: Option<FallbackPlan>,
    /// In place of the group's.
    pub(crate) hedge: Option<Hedge>,
    pub(crate) mirror: Option<MirrorPlan>,
}

/// Another group that a share of requests is sent to as well.
pub(crate) struct MirrorPlan {
    /// Its place in [`Plan::groups`].
    pub(crate) group: usize,
    pub(crate) share: Share,
    /// Bytes of head and body up to which requests with bodies are sent.
    pub(crate) buffer: usize,
}

/// A share of requests, as the random numbers below it.
#[derive(Clone, Copy)]
pub(crate) struct Share(u64);

impl Share {
    pub(crate) fn new(share: f64) -> Share {
        Share(if share >= 1.0 { u64::MAX } else { (share.max(0.0) * u64::MAX as f64) as u64 })
    }

    /// Whether a request is among them; `random` is 64 fresh random bits.
    pub(crate) fn takes(self, random: u64) -> bool {
        self.0 == u64::MAX || random < self.0
    }
}

/// Faults that a rule injects.
pub(crate) struct InjectionPlan {
    pub(crate) delay: Option<(Duration, Share)>,
    pub(crate) abort: Option<(u16, Share)>,
}

/// A group and its share.
#[derive(Clone, Copy)]
pub(crate) struct WeightedPlace {
    pub(crate) group: usize,
    pub(crate) weight: u16,
}

/// A target group, compiled.
pub(crate) struct GroupPlan {
    pub(crate) settings: TargetGroup,
    pub(crate) algorithm: Algorithm,
    pub(crate) fallback: FallbackPlan,
    pub(crate) hedge: Option<Hedge>,
    /// Retries and hedges may be at most this share of requests; none where there are none.
    pub(crate) budget: Option<f64>,
    pub(crate) shared: Arc<GroupShared>,
    /// Its targets are the admin address: what is the console's own goes there.
    pub(crate) is_console: bool,
}

/// When nothing is healthy.
pub(crate) enum FallbackPlan {
    /// What the group does by itself: its roster tells.
    Own,
    Group(usize),
    Answer(Arc<Answer>),
    Refuse,
}

impl ListenerPlan {
    /// Whether clients have to begin with a ClientHello.
    pub(crate) fn awaits_hellos(&self) -> bool {
        let passes_through = |flows: &FlowPlan| flows.protocol == FlowProtocol::TlsPassthrough;
        self.tls.is_some() || self.flows.as_ref().is_some_and(passes_through)
    }

    /// `http` or `https`.
    pub(crate) fn scheme_text(&self) -> &'static str {
        match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The rule at `index`, or the default.
    pub(crate) fn rule(&self, index: Option<usize>) -> &RulePlan {
        index.and_then(|i| self.rules.get(i)).unwrap_or(&self.default)
    }
}

impl ListenerPlan {
    /// Hits of each rule, the default last, over workers and earlier plans.
    pub(crate) fn total_hits(&self) -> Vec<u64> {
        let mut total = self.hits.earlier.clone();
        for worker in &self.hits.workers {
            total.iter_mut().zip(worker).for_each(|(sum, count)| *sum += count.read());
        }
        total
    }
}
