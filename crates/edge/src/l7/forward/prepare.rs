//! From a rule's forward action to a target group and the head that its target is sent.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use headworks_balance::{Supply, hash64};
use headworks_message::encoding::{self, Asked};
use headworks_message::number::hex;
use headworks_message::send::{self, ForwardedFor, Host, Outgoing};
use headworks_message::{RequestView, Version};
use headworks_model::load_balancer::XffHeaderProcessing;
use headworks_model::target_group::{HashOn, HttpVersion, TargetGroup, TargetProtocol};
use headworks_route::{Rewritten, transform};

use super::sticky;
use crate::compile::plan::{FallbackPlan, ForwardPlan, GroupPlan, ListenerPlan, RulePlan};
use crate::error::{Kind, ProxyError};
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::listen::slot::ListenerTable;
use crate::runtime::pool::Scratch;
use crate::runtime::random::Random;
use crate::upstream::group::{GroupLocal, Wish};

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
    forward: &ForwardPlan,
    scratch: &mut Scratch,
) -> Result<Prepared<'t>, ProxyError> {
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let tables = &table.tables;
    let (chosen, group_cookie) = choose_group(connection, table, forward, view)?;
    let (mut plan, mut group) = tables.group(chosen).ok_or(Kind::NoTarget)?;
    // one step only: the file is checked for loops, and what is short itself then does what it does without another
    if group.published().roster.supply.is_short()
        && let FallbackPlan::Group(other) = &plan.fallback
    {
        (plan, group) = tables.group(*other).ok_or(Kind::NoTarget)?;
    }
    scratch.record.is_grpc_call = plan.settings.protocol == TargetProtocol::Grpc && is_grpc_call(view);
    if !versions_meet(view, &plan.settings) {
        return Err(Kind::VersionMismatch.into());
    }
    let (sticky, mut cookies) = sticky::read(connection, &tables.plan.keyring, plan, group, forward, view);
    cookies.group = group_cookie;
    let wish = Wish { sticky, hash: hash_of(&plan.settings.hash_on, view, connection.peer.address.ip()) };
    let (response_timeout, late) = response_timeout(view, &plan.settings);
    let prepared = Prepared {
        listener: &table.plan,
        plan,
        group,
        wish,
        cookies,
        idempotent: matches!(view.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE"),
        response_timeout,
        late,
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
    write_head(connection, table, rule, trailers, scratch)?;
    connection.client.buffer.consume(scratch.request.len, &connection.worker.pool);
    Ok(prepared)
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

/// How long the target may take: what is declared, or what a gRPC client waits at most, if that is less.
fn response_timeout(view: RequestView<'_>, group: &TargetGroup) -> (Duration, Kind) {
    let declared = (group.response_timeout, Kind::TargetTimeout);
    if group.protocol != TargetProtocol::Grpc {
        return declared;
    }
    let asked = view.fields().find(|(name, _)| name.eq_ignore_ascii_case(b"grpc-timeout"));
    let asked = asked.and_then(|(_, value)| grpc_timeout(value)).filter(|asked| *asked < group.response_timeout);
    asked.map_or(declared, |asked| (asked, Kind::DeadlineExceeded))
}

/// At most eight digits and a unit, as gRPC over HTTP/2 has it.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let n: u64 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(n * 3600)),
        b'M' => Some(Duration::from_secs(n * 60)),
        b'S' => Some(Duration::from_secs(n)),
        b'm' => Some(Duration::from_millis(n)),
        b'u' => Some(Duration::from_micros(n)),
        b'n' => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

impl<'t> Prepared<'t> {
    /// What the group wants done when nothing is healthy, if nothing is.
    pub(super) fn fallback(&self) -> Option<&'t FallbackPlan> {
        self.group.published().roster.supply.is_short().then_some(&self.plan.fallback)
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

fn write_head<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    rule: &RulePlan,
    trailers: bool,
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
        trace: &trace,
        trailers,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_digits_and_a_unit() {
        let cases: [(&str, Option<Duration>); 12] = [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("+1S", None),
            ("1s", None),
            ("1 S", None),
        ];
        for (value, expected) in cases {
            assert_eq!(grpc_timeout(value.as_bytes()), expected, "{value}");
        }
    }
}
