//! From a rule's forward action to a target group and the head that its target is sent.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use headworks_balance::{Hedge, Supply, TargetKey, Tried, hash64};
use headworks_message::encoding::{self, Asked};
use headworks_message::number::hex;
use headworks_message::send::{self, ForwardedFor, Host, Outgoing};
use headworks_message::{Framing, RequestView, Version};
use headworks_model::config::SESSION_COOKIE;
use headworks_model::load_balancer::XffHeaderProcessing;
use headworks_model::target_group::{HashOn, HttpVersion, TargetGroup, TargetProtocol};
use headworks_route::{Rewritten, transform};

use super::connect::Caller;
use super::deadline::{self, Deadline, Deadlines};
use super::sticky;
use crate::compile::plan::{Answer, FallbackPlan, ForwardPlan, GroupPlan, ListenerPlan, MirrorPlan, RulePlan};
use crate::error::{Kind, ProxyError};
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::listen::slot::{ListenerTable, Tables};
use crate::observe::record::Record;
use crate::runtime::pool::Scratch;
use crate::runtime::random::Random;
use crate::runtime::worker::Worker;
use crate::upstream::group::{Chosen, GroupLocal, Wish};
use crate::upstream::target::TargetLocal;

/// A request that is ready to be sent to a target of one group.
pub(super) struct Prepared<'t> {
    pub(super) listener: &'t ListenerPlan,
    pub(super) plan: &'t GroupPlan,
    pub(super) group: &'t Rc<GroupLocal>,
    pub(super) wish: Wish,
    /// Stickiness cookies to be set on the answer.
    pub(super) cookies: sticky::Cookies,
    /// RFC 9110 section 9.2.2.
    pub(super) idempotent: bool,
    /// How long the target may take to answer, and what it is when it takes longer.
    pub(super) response_timeout: Duration,
    pub(super) late: Kind,
    /// How long may pass between two reads of the answer.
    pub(super) read_timeout: Duration,
    /// How long an attempt may take until the answer's head.
    pub(super) attempt_timeout: Option<Duration>,
    /// When the request must have been answered.
    pub(super) deadline: Option<Deadline>,
    /// What is answered in place of targets, of which none is healthy.
    pub(super) answer: Option<&'t Answer>,
    /// Where it is sent as well.
    pub(super) mirror: Option<&'t MirrorPlan>,
    /// Up to this many bytes of head and body are kept to be sent again.
    pub(super) kept: usize,
    /// Whether it may be sent to several targets at once, and when.
    pub(super) hedge: Option<Hedge>,
    /// The client asks for another protocol on this connection.
    pub(super) upgrade: bool,
    /// What the answer's content may be encoded as.
    pub(super) asked: Asked,
}

/// Hash seed of `consistent_hash`: the same in every worker and process, so that all agree.
const HASH_SEED: u64 = 0x6861_7368_5f6f_6e21;

/// Chooses the group, writes the head into `scratch.to_target`, and consumes the request's head.
///
/// # Errors
/// When the rule's weights are all 0, or its transforms make no request.
pub(super) fn request<'t, C: Client>(
    connection: &mut Connection<C>,
    table: &'t ListenerTable,
    rule: &RulePlan,
    forward: &'t ForwardPlan,
    scratch: &mut Scratch,
) -> Result<Prepared<'t>, ProxyError> {
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let tables = &table.tables;
    let (chosen, group_cookie) = choose_group(connection, table, forward, view)?;
    let Standing { plan, group, answer } = standing(tables, forward, chosen)
        .inspect_err(|_| scratch.record.group = tables.group(chosen).map(|(_, group)| group.name.clone()))?;
    scratch.record.is_grpc_call = plan.settings.protocol == TargetProtocol::Grpc && is_grpc_call(view);
    if !versions_meet(view, &plan.settings) {
        return Err(Kind::VersionMismatch.into());
    }
    let (sticky, mut cookies) = sticky::read(connection, &tables.plan.keyring, plan, group, forward, view);
    cookies.group = group_cookie;
    let wish =
        Wish { sticky, hash: hash_of(&plan.settings.hash_on, view, connection.peer.address.ip()), ..Wish::default() };
    let settings = &plan.settings;
    let started = || scratch.record.started.unwrap_or_else(Instant::now);
    let deadline = deadline::of(view, settings, connection.peer.address.ip(), started);
    let mirror = forward
        .mirror
        .as_ref()
        .filter(|mirror| !view.head.connection.upgrade && mirror.share.takes(connection.worker.random.next()));
    let retried = settings.retry.as_ref().map_or(0, |retry| retry.buffer as usize);
    let prepared = Prepared {
        listener: &table.plan,
        plan,
        group,
        wish,
        cookies,
        idempotent: is_idempotent(view),
        answer,
        response_timeout: settings.response_timeout,
        late: Kind::TargetTimeout,
        read_timeout: settings.read_timeout.unwrap_or(settings.response_timeout),
        attempt_timeout: settings.retry.as_ref().and_then(|retry| retry.per_try_timeout),
        deadline,
        kept: retried.max(mirror.map_or(0, |mirror| mirror.buffer)),
        hedge: forward.hedge.or(plan.hedge).filter(|_| may_hedge(view)),
        mirror,
        upgrade: view.head.connection.upgrade,
        asked: match &table.plan.compression {
            None => Asked::default(),
            Some(compression) => encoding::asked(view, &compression.offer),
        },
    };
    if group.published().roster.supply == Supply::FailOpen {
        group.counters().fail_open_requests.add(1);
    }
    scratch.record.group = Some(group.name.clone());
    let trailers = plan.settings.version == HttpVersion::Http2;
    let told = deadline::told(&plan.settings, Deadlines::of(deadline).left());
    // a mirror is sent what the target is
    let is_console = |group: usize| tables.group(group).is_some_and(|(plan, _)| plan.is_console);
    let withheld_cookie = match plan.is_console && mirror.is_none_or(|mirror| is_console(mirror.group)) {
        true => None,
        false => Some(SESSION_COOKIE.as_bytes()),
    };
    let onward = Onward { withheld_cookie, trailers, told: &told };
    write_head(connection, table, rule, &onward, scratch)?;
    connection.client.buffer.consume(scratch.request.len, &connection.worker.pool);
    Ok(prepared)
}

/// The group that is asked, or what is answered in its place.
struct Standing<'t> {
    plan: &'t GroupPlan,
    group: &'t Rc<GroupLocal>,
    answer: Option<&'t Answer>,
}

/// The chosen group, or what stands in for it while it has nothing healthy: by the rule, or else by itself.
fn standing<'t>(tables: &'t Tables, forward: &'t ForwardPlan, chosen: usize) -> Result<Standing<'t>, Kind> {
    let (plan, group) = tables.group(chosen).ok_or(Kind::NoTarget)?;
    let own = Standing { plan, group, answer: None };
    if !group.is_short(&plan.settings) {
        return Ok(own);
    }
    match forward.fallback.as_ref().unwrap_or(&plan.fallback) {
        FallbackPlan::Own => Ok(own),
        FallbackPlan::Answer(answer) => Ok(Standing { answer: Some(answer), ..own }),
        FallbackPlan::Refuse => {
            group.counters().no_target.add(1);
            Err(Kind::NoTarget)
        }
        // one step only: the file is checked for loops, and what is short itself then does what it does without another
        FallbackPlan::Group(other) => {
            let (plan, group) = tables.group(*other).ok_or(Kind::NoTarget)?;
            let answer = match &plan.fallback {
                FallbackPlan::Answer(answer) if group.is_short(&plan.settings) => Some(&**answer),
                _ => None,
            };
            Ok(Standing { plan, group, answer })
        }
    }
}

/// Whether the target group can be asked in its version what was asked in the client's (H3, 464).
fn versions_meet(view: RequestView<'_>, group: &TargetGroup) -> bool {
    let by_streams = view.head.version >= Version::Http2;
    let is_grpc = || {
        let content_type = view.fields().find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
        content_type.is_some_and(|(_, value)| value.starts_with(b"application/grpc"))
    };
    match (group.protocol, group.version) {
        (TargetProtocol::Grpc, _) => by_streams && view.method() == b"POST",
        // a tunnel is asked for in HTTP/1.1 only
        (_, HttpVersion::Http2) => by_streams && !view.head.connection.upgrade,
        (_, HttpVersion::Http1) => !by_streams || !is_grpc(),
    }
}

/// Whether who asks understands an answer in the words of gRPC: `application/grpc`, alone or with the messages' format
/// behind it, over HTTP/2. What begins with it otherwise, such as `application/grpc-web`, is another protocol.
fn is_grpc_call(view: RequestView<'_>) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let content_type = view.fields().find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    view.head.version >= Version::Http2
        && content_type
            .and_then(|(_, value)| value.split_at_checked(TYPE.len()))
            .is_some_and(|(name, rest)| name.eq_ignore_ascii_case(TYPE) && matches!(rest, [] | [b'+' | b';', ..]))
}

/// Whether a request may be asked twice by its method (RFC 9110 section 9.2.2).
pub(crate) fn is_idempotent(view: RequestView<'_>) -> bool {
    matches!(view.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE")
}

/// Whether a request may be sent to several targets at once: one that changes nothing and has no body.
pub(crate) fn may_hedge(view: RequestView<'_>) -> bool {
    matches!(view.method(), b"GET" | b"HEAD")
        && view.head.framing == Framing::None
        && !view.head.connection.upgrade
        && !view.head.expects_continue
}

impl<'t> Prepared<'t> {
    /// A target for the next attempt, which goes before those that wait, or not.
    ///
    /// # Errors
    /// When there is none, or none has room.
    pub(super) fn choose(&self, worker: &Worker, tried: &Tried, goes_first: bool) -> Result<Chosen, Kind> {
        self.choose_besides(worker, tried, &[], Wish { goes_first, ..self.wish })
    }

    /// One more target, besides those that are being asked now.
    ///
    /// # Errors
    /// When there is none, or none has room, or others wait for it.
    pub(super) fn choose_beside(&self, worker: &Worker, tried: &Tried, now: &[TargetKey]) -> Result<Chosen, Kind> {
        self.choose_besides(worker, tried, now, self.wish)
    }

    fn choose_besides(&self, worker: &Worker, tried: &Tried, now: &[TargetKey], wish: Wish) -> Result<Chosen, Kind> {
        let choose = |out: &[usize]| self.group.choose(&self.plan.settings, wish, worker.random.next(), out);
        if tried.is_empty() && now.is_empty() {
            return choose(&[]);
        }
        // by where they are now: a roster may be another with each attempt
        let (mut out, last) = {
            let published = self.group.published();
            (tried.out(&published.roster, now), tried.last(&published.roster))
        };
        let count = out.len();
        out.extend(last);
        let chosen = choose(&out);
        if chosen.is_ok() || out.len() == count {
            return chosen;
        }
        out.truncate(count);
        choose(&out)
    }

    /// Whether there is a target that may be asked, besides those of `now`.
    pub(super) fn has_others(&self, tried: &Tried, now: &[TargetKey]) -> bool {
        tried.leaves_any(&self.group.published().roster, now)
    }

    /// Counts a request, or an attempt, for which there was no target.
    pub(super) fn count_refusal(&self, kind: Kind) {
        let counters = self.group.counters();
        match kind {
            Kind::Overloaded => counters.overloaded.add(1),
            Kind::PendingTimeout => counters.pending_timeouts.add(1),
            Kind::NoTarget => counters.no_target.add(1),
            _ => {}
        }
    }

    /// Counts an attempt on this target, and with the first one the request.
    pub(super) fn count_attempt(&self, target: &TargetLocal, caller: Caller<'_>, record: &Record) {
        if record.chosen.is_none() {
            caller.slot.counters().routed_requests.add(1);
            self.group.count_request(caller.worker.clock.now());
        } else {
            target.counters().retries.add(1);
        }
    }
}

/// The group of a forward action: the one the client's cookie names, else by weight (R13, R14).
fn choose_group<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    forward: &ForwardPlan,
    view: RequestView<'_>,
) -> Result<(usize, Option<sticky::GroupCookie>), Kind> {
    if let ([only], None) = (forward.groups.as_slice(), &forward.stickiness) {
        return Ok((only.group, None));
    }
    let kept = sticky::group(connection, table, forward, view);
    let chosen = match kept {
        Some(group) => group,
        None => table.by_weight(forward).ok_or(Kind::NoTarget)?,
    };
    let cookie = forward.stickiness.as_ref().and_then(|s| sticky::group_cookie(connection, table, s, chosen));
    Ok((chosen, cookie))
}

/// Hash of what `consistent_hash` hashes in a request from `peer`.
pub(crate) fn hash_of(on: &HashOn, view: RequestView<'_>, peer: IpAddr) -> u64 {
    let of = |bytes: &[u8]| hash64(HASH_SEED, bytes);
    let peer = || match peer {
        IpAddr::V4(ip) => of(&ip.octets()),
        IpAddr::V6(ip) => of(&ip.octets()),
    };
    match on {
        HashOn::SourceIp => peer(),
        HashOn::Path => of(view.path()),
        HashOn::Header(name) => {
            let value = view.fields().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v);
            value.map_or_else(peer, of)
        }
        HashOn::Cookie(name) => view.cookie(name.as_bytes()).map_or_else(peer, of),
    }
}

/// `1-{8 hex of the time}-{24 hex}` (H5).
fn trace(root: [u8; 8], random: &Random) -> [u8; 35] {
    let mut trace = *b"1-00000000-000000000000000000000000";
    if let Some(place) = trace.get_mut(2..10) {
        place.copy_from_slice(&root);
    }
    if let Some((high, low)) = trace.get_mut(11..).and_then(|t| t.split_at_mut_checked(8)) {
        high.copy_from_slice(&hex::<8>(random.next()));
        low.copy_from_slice(&hex::<16>(random.next()));
    }
    trace
}

/// What a head depends on of the group that it goes to.
struct Onward<'a> {
    /// The cookie that does not go on.
    withheld_cookie: Option<&'a [u8]>,
    /// The target may answer with trailers.
    trailers: bool,
    /// Fields that tell how much time is left.
    told: &'a [(&'a [u8], Option<Vec<u8>>)],
}

fn write_head<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    rule: &RulePlan,
    onward: &Onward<'_>,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    let plan = &table.plan;
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let mut rewritten = Rewritten::default();
    let mut host = match &plan.host_port {
        _ if view.head.authority.is_empty() => Host::Replace(connection.slot.local_host().as_bytes()),
        Some(port) if view.head.host.len == view.head.authority.len => Host::AddPort(port),
        _ => Host::Keep,
    };
    let mut target = None;
    if let Some(transforms) = &rule.transforms {
        let authority = view.head.authority.of(view.bytes);
        transform::apply(transforms, authority, view.head.target.of(view.bytes), &mut rewritten)
            .map_err(|_| Kind::TransformFailed)?;
        scratch.record.transformed = true;
        if rewritten.host != authority {
            host = Host::Replace(&rewritten.host);
        }
        target = Some(rewritten.target.as_slice());
    }
    let trace = trace(connection.worker.clock.trace_root(), &connection.worker.random);
    let session = connection.peer.session.as_deref();
    let outgoing = Outgoing {
        target,
        host,
        drop_unusual_names: plan.drop_invalid_header_fields,
        forwarded_for: match plan.xff {
            XffHeaderProcessing::Append => ForwardedFor::Append(connection.peer.forwarded.as_bytes()),
            XffHeaderProcessing::Preserve => ForwardedFor::Preserve,
            XffHeaderProcessing::Remove => ForwardedFor::Remove,
        },
        forwarded_lines: &plan.forwarded_lines,
        certificate_lines: session.map_or(&[], |session| &session.certificate_lines),
        cipher_lines: plan.tells_cipher.then(|| session.map_or(&[][..], |session| &session.cipher_lines)),
        reserved: &plan.told.reserved,
        renewed: &onward.told.iter().map(|(name, value)| (*name, value.as_deref())).collect::<Vec<_>>(),
        withheld_cookie: onward.withheld_cookie,
        trace: &trace,
        trailers: onward.trailers,
    };
    scratch.to_target.clear();
    send::request(view, &outgoing, &mut scratch.to_target);
    if plan.log.is_some() {
        let mut line = *b"Root=1-00000000-000000000000000000000000";
        if let Some(place) = line.get_mut(5..) {
            place.copy_from_slice(&trace);
        }
        scratch.record.remember_trace(&line);
    }
    Ok(())
}
