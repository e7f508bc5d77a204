//! Building the plan: names become places, rules a table, addresses bound sockets.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use headworks_balance::{Algorithm, Criticality, Hedge, HedgeAfter, Keyring, hash64};
use headworks_model::acme::ChallengeChoice;
use headworks_model::action::{Action, Forward, Scheme};
use headworks_model::config::Config;
use headworks_model::injection::Injection;
use headworks_model::listener::{CertificateRef, Listener, ListenerProtocol};
use headworks_model::load_balancer::{LoadBalancer, LoadBalancerKind};
use headworks_model::overload;
use headworks_model::primitive::Name;
use headworks_model::rule::Rule;
use headworks_model::target_group::{self, Fallback, HashOn, ProxyProtocolVersion, Retry, Stickiness, TargetGroup};
use headworks_model::tls_policy::TlsVersion;
use headworks_route::{CompiledTransforms, FlowTable, Table};

use super::answers;
use super::attributes::Attributes;
use super::plan::{
    ActionPlan, Answer, CompressionPlan, FallbackPlan, FlowPlan, FlowProtocol, ForwardPlan, GroupPlan, Hits,
    InjectionPlan, ListenerKey, ListenerPlan, MirrorPlan, Plan, RulePlan, Share, WeightedPlace,
};
use crate::challenge::Challenges;
use crate::guard::Guard;
use crate::guard::door::{AccessLists, Doors};
use crate::observe::access_log::{self, LogTarget};
use crate::observe::counters::{Count, ListenerCounters};
use crate::quic;
use crate::runtime::pace::{Demand, GRACE};
use crate::tls::listener::TlsListener;
use crate::tls::ticket::Tickets;
use crate::tls::told::ToldAs;
use crate::tls::vault::Vault;
use crate::upstream::group::GroupShared;

/// Something in a valid configuration that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotRun {
    /// Where in the configuration, as `load_balancers.shop.listeners.http.protocol`.
    pub path: String,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

impl std::error::Error for CannotRun {}

/// How the targets of a group are chosen; `source_ip` stickiness is a consistent hash of the address.
pub(crate) fn algorithm(settings: &TargetGroup) -> Algorithm {
    match (&settings.stickiness, settings.algorithm) {
        (Some(Stickiness::SourceIp), _)
        | (_, target_group::Algorithm::ConsistentHash | target_group::Algorithm::FlowHash) => Algorithm::ConsistentHash,
        (_, target_group::Algorithm::RoundRobin) => Algorithm::RoundRobin,
        (_, target_group::Algorithm::LeastOutstandingRequests | target_group::Algorithm::LeastConnections) => {
            Algorithm::LeastOutstandingRequests
        }
        (_, target_group::Algorithm::WeightedRandom) => Algorithm::WeightedRandom,
    }
}

/// Listeners with HTTP/3 whose policy leaves out the only TLS that it knows (RFC 9001 section 4.2).
pub(crate) fn unspeakable(config: &Config) -> Vec<CannotRun> {
    let cannot = |listener: &Listener| listener.http3 && !listener.tls_policy.has(TlsVersion::Tls13);
    let found = config.listeners().filter(|(.., listener)| cannot(listener)).map(|(balancer, name, _)| CannotRun {
        path: format!("load_balancers.{balancer}.listeners.{name}.tls_policy"),
        what: "http3 needs a policy with TLS 1.3".to_owned(),
    });
    found.collect()
}

/// What issuing certificates by ACME needs elsewhere in the configuration, and does not find.
pub(crate) fn unissuable(config: &Config) -> Vec<CannotRun> {
    let Some(acme) = &config.acme else {
        let asking = config.listeners().flat_map(|(balancer, name, listener)| {
            let places = listener.certificates.iter().enumerate();
            let places = places.filter(|(_, certificate)| matches!(certificate, CertificateRef::Acme(_)));
            places.map(move |(i, _)| format!("load_balancers.{balancer}.listeners.{name}.certificates[{i}]"))
        });
        let what = "needs the section acme, with terms_agreed: true";
        return asking.map(|path| CannotRun { path, what: what.to_owned() }).collect();
    };
    let needs_http = acme.challenge == ChallengeChoice::Http01 && !config.acme_names().is_empty();
    if needs_http && !config.listeners().any(|(.., listener)| listener.protocol == ListenerProtocol::Http) {
        let what = "http-01 is answered by http listeners, and there is none".to_owned();
        return vec![CannotRun { path: "acme.challenge".to_owned(), what }];
    }
    Vec::new()
}

/// What of a configuration is not what can be run, before anything of it has been built.
pub(crate) fn unfit(config: &Config) -> Vec<CannotRun> {
    let mut found = unspeakable(config);
    found.extend(unissuable(config));
    found.extend(answers::unreadable(config));
    found
}

/// What stands in the way of running a configuration, as far as that can be told without touching the machine.
pub fn validate(config: &Config) -> Vec<CannotRun> {
    let mut found = unfit(config);
    Vault::default().load(config, &mut found);
    for (balancer, name, listener) in config.listeners() {
        let at = format!("load_balancers.{balancer}.listeners.{name}.rules");
        if let Err(error) = Table::compile(&listener.rules) {
            found.push(CannotRun { path: format!("{at}[{}]", error.rule), what: error.fault.to_string() });
        }
        for (i, rule) in listener.rules.iter().enumerate() {
            if let Err(fault) = CompiledTransforms::compile(&rule.transforms) {
                found.push(CannotRun { path: format!("{at}[{i}].transforms"), what: fault.to_string() });
            }
        }
    }
    found
}

/// Names of groups that some rule forwards to (T5), fallbacks of such groups included.
pub(crate) fn groups_in_use(config: &Config) -> Vec<Name> {
    let mut used: Vec<Name> = config.load_balancers.values().flat_map(|b| config.forwarded_to(b)).cloned().collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// Names of groups that some rule, or they themselves, hedge by the latency of their answers.
pub(crate) fn groups_hedged_by_latency(config: &Config) -> HashSet<&Name> {
    groups_hedged(config, |hedge| hedge.after == target_group::HedgeAfter::P95)
}

/// Names of groups that some rule, or they themselves, hedge like that.
fn groups_hedged(config: &Config, fits: impl Fn(&target_group::Hedge) -> bool) -> HashSet<&Name> {
    let fits = |hedge: &Option<target_group::Hedge>| hedge.as_ref().is_some_and(&fits);
    let actions = config.listeners().flat_map(|(.., listener)| listener.actions());
    let by_rules = actions.filter_map(|action| match action {
        Action::Forward(forward) if fits(&forward.hedge) => Some(&forward.groups),
        _ => None,
    });
    let by_rules = by_rules.flatten().map(|group| &group.name);
    let own = config.target_groups.iter().filter(|(_, group)| fits(&group.hedge)).map(|(name, _)| name);
    by_rules.chain(own).collect()
}

/// How long a ClientHello may take that is looked at on its way, unless the listener says otherwise.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a request's head; less where the idle timeout is.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes a second that nobody is too slow for who means well.
const USUAL_RATE: u32 = 100;
/// How long a flow of datagrams may be silent, unless the listener says otherwise (N2).
const SILENCE: Duration = Duration::from_secs(120);
/// Hash seed of the identifier in a load balancer's label.
const LABEL_SEED: u64 = 0x6170_7070;

/// How fast a listener's clients must be. What is carried as it is may be read as slowly as anybody likes, unless it is said:
/// who holds what a database sends may be at work on it.
fn demand(listener: &Listener, idle_timeout: Duration) -> Demand {
    match listener.limits.minimum_rate {
        Some(rate) => Demand { rate, grace: GRACE, is_usual: false },
        None if listener.protocol.is_http() => Demand { rate: USUAL_RATE, grace: idle_timeout, is_usual: true },
        None => Demand { rate: 0, grace: GRACE, is_usual: true },
    }
}

/// What building needs besides the configuration.
pub(crate) struct Context<'a> {
    pub(crate) groups: &'a HashMap<Name, Arc<GroupShared>>,
    pub(crate) ports: &'a HashMap<ListenerKey, u16>,
    pub(crate) before: Option<&'a Plan>,
    /// The groups are those of the plan before, so that each has the place that it had.
    pub(crate) has_same_groups: bool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) vault: &'a Vault,
    pub(crate) tickets: &'a Tickets,
    pub(crate) challenges: &'a Arc<Challenges>,
    pub(crate) workers: usize,
}

impl<'a> Context<'a> {
    /// What a listener was before.
    fn before_of(&self, key: &ListenerKey) -> Option<&'a Arc<ListenerPlan>> {
        self.before?.listeners.iter().find(|listener| listener.key == *key)
    }

    /// Whether what was made of a listener's rules is what would be made of them now. They are the same only if they are shared:
    /// comparing them is for who reads them. A file may have changed, so that what is an answer is read again.
    fn is_ruled_alike(&self, before: &ListenerPlan, listener: &Listener) -> bool {
        let Some(plan) = self.before.filter(|_| self.has_same_groups) else { return false };
        let declared = plan.config.load_balancers.get(&*before.key.load_balancer);
        let declared = declared.and_then(|balancer| balancer.listeners.get(&*before.key.listener));
        declared.is_some_and(|declared| {
            Arc::ptr_eq(&declared.rules, &listener.rules)
                && declared.protocol.is_http() == listener.protocol.is_http()
                && !listener.rules.iter().any(|rule| answers::is_file(&rule.action))
        })
    }
}

/// Builds the plan. Listeners are those that have a port.
///
/// # Errors
/// All that stands in the way.
pub(crate) fn plan(config: &Arc<Config>, context: &Context<'_>) -> Result<Plan, Vec<CannotRun>> {
    let mut errors = Vec::new();
    let places: HashMap<&Name, usize> = config.target_groups.keys().enumerate().map(|(i, n)| (n, i)).collect();
    let hedged = groups_hedged(config, |_| true);
    let groups: Vec<_> = config
        .target_groups
        .iter()
        .filter_map(|(name, settings)| {
            let shared = context.groups.get(name)?.clone();
            let mut settings = settings.clone();
            if settings.stickiness == Some(Stickiness::SourceIp) {
                settings.hash_on = HashOn::SourceIp;
            }
            let fallback = match &settings.fallback {
                // its roster knows of it
                Fallback::Refuse => FallbackPlan::Own,
                other => fallback_plan(other, &places),
            };
            let hedge = settings.hedge.as_ref().map(hedge_plan);
            let budget = budget(&settings, hedged.contains(&name));
            let algorithm = algorithm(&settings);
            let is_console = context.vault.is_console(&settings);
            if is_console {
                settings.proxy_protocol = ProxyProtocolVersion::V2;
            }
            Some(Arc::new(GroupPlan { algorithm, fallback, hedge, budget, shared, is_console, settings }))
        })
        .collect();
    let access_lists = AccessLists::new(config);
    let mut listeners = Vec::new();
    for (balancer_name, balancer) in &config.load_balancers {
        let log = log_target(balancer_name, balancer, &mut errors);
        for (name, listener) in &balancer.listeners {
            let key = key(balancer_name, name);
            let Some(port) = context.ports.get(&key).copied() else { continue };
            let doors = |carrier| Doors::new(config, balancer, listener, port, carrier, &access_lists);
            let state = context.before_of(&key).map(|before| before.guard.state.clone());
            let guard = Guard::new(doors, listener, state.unwrap_or_default());
            let part = ListenerPart { key, balancer, listener, port, guard, log: log.clone() };
            match part.build(&places, context) {
                Ok(plan) => listeners.push(Arc::new(plan)),
                Err(found) => errors.extend(found),
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let announces = groups.iter().any(|group| group.settings.proxy_protocol.is_sent());
    let (config, keyring, challenges) = (config.clone(), context.keyring.clone(), context.challenges.clone());
    Ok(Plan { listeners, groups, config, announces, keyring, challenges })
}

/// What share of live requests retries and hedges may be; none where there are none.
pub(crate) fn budget(settings: &TargetGroup, is_hedged: bool) -> Option<f64> {
    let usual = || is_hedged.then(|| Retry::default().budget);
    settings.retry.as_ref().map(|retry| retry.budget).or_else(usual)
}

pub(crate) fn key(balancer: &Name, listener: &Name) -> ListenerKey {
    ListenerKey { load_balancer: balancer.as_str().into(), listener: listener.as_str().into() }
}

fn log_target(name: &Name, balancer: &LoadBalancer, errors: &mut Vec<CannotRun>) -> Option<LogTarget> {
    let log = balancer.access_log.as_ref()?;
    if let Err(error) = access_log::open(&log.path) {
        let what = format!("{} cannot be opened for appending ({error})", log.path.display());
        errors.push(CannotRun { path: format!("load_balancers.{name}.access_log.path"), what });
        return None;
    }
    let sample = (log.sample < 1.0).then(|| (log.sample.max(0.0) * u64::MAX as f64) as u64);
    Some(LogTarget { path: log.path.clone(), format: log.format, sample })
}

/// A listener in the making.
struct ListenerPart<'a> {
    key: ListenerKey,
    balancer: &'a LoadBalancer,
    listener: &'a Listener,
    port: u16,
    guard: Guard,
    log: Option<LogTarget>,
}

impl ListenerPart<'_> {
    fn build(self, places: &HashMap<&Name, usize>, context: &Context<'_>) -> Result<ListenerPlan, Vec<CannotRun>> {
        let ListenerPart { key, balancer, listener, port, guard, log } = self;
        let at = format!("load_balancers.{}.listeners.{}", key.load_balancer, key.listener);
        let before = context.before_of(&key);
        let Ruled { table, rules, hits } = match before.filter(|before| context.is_ruled_alike(before, listener)) {
            Some(before) => {
                Ruled { table: before.table.clone(), rules: before.rules.clone(), hits: before.hits.clone() }
            }
            None => ruled(&at, listener, before, places, context.workers)?,
        };
        let default = RulePlan {
            label: "default".into(),
            action: action_plan(&listener.default.action, places),
            criticality: criticality(listener.default.criticality),
            injection: listener.default.fault.as_ref().map(injection_plan),
            transforms: None,
        };
        let scheme = if listener.protocol == ListenerProtocol::Https { Scheme::Https } else { Scheme::Http };
        let (scheme_text, default_port) = match scheme {
            Scheme::Http => ("http", 80),
            Scheme::Https => ("https", 443),
        };
        let counters = before.map_or_else(
            || Arc::new((0..context.workers).map(|_| ListenerCounters::default()).collect()),
            |before| before.counters.clone(),
        );
        let terms = context.vault.terms(&key, context.tickets).transpose();
        let terms = terms.map_err(|error| {
            vec![CannotRun { path: format!("{at}.certificates"), what: format!("cannot be used ({error})") }]
        })?;
        let hash = hash64(LABEL_SEED, key.load_balancer.as_bytes());
        let kind = if balancer.kind == LoadBalancerKind::Network { "net" } else { "app" };
        let flows = flow_plan(listener);
        let usual_patience = if flows.is_some() { HELLO_PATIENCE } else { balancer.idle_timeout.min(HEAD_PATIENCE) };
        Ok(ListenerPlan {
            label: format!("{kind}/{}/{hash:016x}", key.load_balancer),
            protocol: listener.protocol.word(),
            json_names: format!(
                "\",\"load_balancer\":\"{}\",\"listener\":\"{}\",\"client\":\"",
                key.load_balancer, key.listener
            ),
            scheme,
            port,
            idle_timeout: listener.idle_timeout.unwrap_or(balancer.idle_timeout),
            header_timeout: listener.limits.header_timeout.unwrap_or(usual_patience),
            demand: demand(listener, balancer.idle_timeout),
            client_keep_alive: balancer.client_keep_alive,
            desync: balancer.desync_mitigation,
            drop_invalid_header_fields: balancer.drop_invalid_header_fields,
            xff: balancer.xff_header_processing,
            xff_client_port: balancer.xff_client_port,
            host_port: (!balancer.preserve_host_header && port != default_port)
                .then(|| format!(":{port}").into_bytes()),
            forwarded_lines: format!("X-Forwarded-Proto: {scheme_text}\r\nX-Forwarded-Port: {port}\r\n").into_bytes(),
            tls: terms.map(|terms| Arc::new(TlsListener::new(terms))),
            http3: listener.http3.then(|| quic::transport(balancer.idle_timeout)),
            tells_cipher: balancer.tls_version_and_cipher_headers,
            told: ToldAs::new(listener.request_headers.as_ref()),
            proxied_from: (!listener.proxy_protocol.is_empty()).then(|| listener.proxy_protocol.as_slice().into()),
            log,
            attributes: Attributes::new(listener.response_headers.as_ref(), listener.http3.then_some(port)),
            compression: balancer.compression.as_ref().map(CompressionPlan::new),
            guard,
            flows,
            table,
            rules,
            hits,
            default,
            counters,
            key,
        })
    }
}

/// What is made of a listener's rules.
struct Ruled {
    table: Arc<Table>,
    rules: Arc<Vec<RulePlan>>,
    hits: Arc<Hits>,
}

/// Compiles the rules of a listener, which is at `at`.
fn ruled(
    at: &str,
    listener: &Listener,
    before: Option<&Arc<ListenerPlan>>,
    places: &HashMap<&Name, usize>,
    workers: usize,
) -> Result<Ruled, Vec<CannotRun>> {
    let mut errors = Vec::new();
    let of_requests = if listener.protocol.is_http() { listener.rules.as_slice() } else { &[] };
    let table = Table::compile(of_requests).map_err(|error| {
        vec![CannotRun { path: format!("{at}.rules[{}]", error.rule), what: error.fault.to_string() }]
    })?;
    let mut rules = Vec::with_capacity(listener.rules.len());
    for (i, rule) in listener.rules.iter().enumerate() {
        match rule_plan(rule, i, places) {
            Ok(plan) => rules.push(plan),
            Err(what) => errors.push(CannotRun { path: format!("{at}.rules[{i}].transforms"), what }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let earlier = earlier_hits(before, &rules);
    let workers = (0..workers).map(|_| (0..=rules.len()).map(|_| Count::default()).collect()).collect();
    Ok(Ruled { table: table.into(), rules: rules.into(), hits: Hits { workers, earlier }.into() })
}

/// How a listener carries bytes, if it does.
fn flow_plan(listener: &Listener) -> Option<FlowPlan> {
    let protocol = match listener.protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => return None,
        ListenerProtocol::TlsPassthrough => FlowProtocol::TlsPassthrough,
        ListenerProtocol::Tcp | ListenerProtocol::Tls => FlowProtocol::Tcp,
        // connections, where there are any, as they are
        ListenerProtocol::TcpUdp | ListenerProtocol::Udp => FlowProtocol::Tcp,
    };
    let silence = listener.idle_timeout.unwrap_or(SILENCE);
    Some(FlowPlan { protocol, silence, table: FlowTable::compile(&listener.rules) })
}

/// Hits that rules of the same label had under the plan before; the default is last.
fn earlier_hits(before: Option<&Arc<ListenerPlan>>, rules: &[RulePlan]) -> Vec<u64> {
    let Some(before) = before else { return vec![0; rules.len() + 1] };
    let hits = before.total_hits();
    // nearly always most are where they were
    let is_alike = before.rules.len() == rules.len() && before.rules.iter().zip(rules).all(|(a, b)| a.label == b.label);
    if is_alike {
        return hits;
    }
    let known: HashMap<&str, u64> =
        before.rules.iter().chain([&before.default]).map(|rule| &*rule.label).zip(hits).collect();
    let label = |rule: &RulePlan| known.get(&*rule.label).copied().unwrap_or(0);
    rules.iter().map(label).chain([known.get("default").copied().unwrap_or(0)]).collect()
}

fn rule_plan(rule: &Rule, index: usize, places: &HashMap<&Name, usize>) -> Result<RulePlan, String> {
    let transforms = CompiledTransforms::compile(&rule.transforms).map_err(|fault| fault.to_string())?;
    Ok(RulePlan {
        label: rule.name.as_ref().map_or_else(|| (index + 1).to_string().into(), |name| name.as_str().into()),
        action: action_plan(&rule.action, places),
        criticality: criticality(rule.criticality),
        injection: rule.fault.as_ref().map(injection_plan),
        transforms: (!transforms.is_empty()).then_some(transforms),
    })
}

pub(crate) fn criticality(declared: overload::Criticality) -> Criticality {
    match declared {
        overload::Criticality::Sheddable => Criticality::Sheddable,
        overload::Criticality::Normal => Criticality::Normal,
        overload::Criticality::Critical => Criticality::Critical,
    }
}

fn injection_plan(fault: &Injection) -> InjectionPlan {
    InjectionPlan {
        delay: fault.delay.as_ref().map(|delay| (delay.length, Share::new(delay.share))),
        abort: fault.abort.as_ref().map(|abort| (abort.status, Share::new(abort.share))),
    }
}

fn action_plan(action: &Action, places: &HashMap<&Name, usize>) -> ActionPlan {
    match action {
        Action::Forward(forward) => ActionPlan::Forward(forward_plan(forward, places)),
        Action::Redirect(redirect) => ActionPlan::Redirect(redirect.clone()),
        Action::FixedResponse(fixed) => ActionPlan::Fixed(Answer::fixed(fixed)),
    }
}

fn forward_plan(forward: &Forward, places: &HashMap<&Name, usize>) -> ForwardPlan {
    let groups: Vec<WeightedPlace> = forward
        .groups
        .iter()
        .filter_map(|g| Some(WeightedPlace { group: *places.get(&g.name)?, weight: g.weight }))
        .collect();
    ForwardPlan {
        sum: groups.iter().map(|g| u64::from(g.weight)).sum(),
        groups,
        stickiness: forward.stickiness.clone(),
        fallback: forward.fallback.as_ref().map(|fallback| fallback_plan(fallback, places)),
        hedge: forward.hedge.as_ref().map(hedge_plan),
        mirror: forward.mirror.as_ref().and_then(|mirror| {
            let group = *places.get(&mirror.group)?;
            Some(MirrorPlan { group, share: Share::new(mirror.share), buffer: mirror.buffer as usize })
        }),
    }
}

fn fallback_plan(fallback: &Fallback, places: &HashMap<&Name, usize>) -> FallbackPlan {
    match fallback {
        Fallback::FailOpen => FallbackPlan::Own,
        Fallback::Refuse => FallbackPlan::Refuse,
        Fallback::Forward(other) => places.get(other).map_or(FallbackPlan::Own, |i| FallbackPlan::Group(*i)),
        Fallback::FixedResponse(fixed) => FallbackPlan::Answer(Answer::fixed(fixed)),
        Fallback::File(file) => FallbackPlan::Answer(Answer::file(file)),
    }
}

pub(crate) fn hedge_plan(hedge: &target_group::Hedge) -> Hedge {
    let after = match hedge.after {
        target_group::HedgeAfter::Fixed(wait) => HedgeAfter::Fixed(wait),
        target_group::HedgeAfter::P95 => HedgeAfter::P95,
    };
    Hedge { after, attempts: u32::from(hedge.attempts) }
}

#[cfg(test)]
mod tests;
