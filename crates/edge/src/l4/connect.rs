//! Choosing a target and connecting to it; another one when that fails, for no byte has left by then.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headworks_balance::RetryReason;
use headworks_model::target_group::TargetGroup;
use tokio::io::AsyncWriteExt;

use super::end::Target;
use super::flow::{Flow, Spoken, Stopped};
use super::route::Route;
use super::source;
use crate::error::Kind;
use crate::observe::flow::Ended;
use crate::runtime::datagrams::Datagrams;
use crate::runtime::socket::{Connecting, First};
use crate::tls::dial::ClientSide;
use crate::upstream::connect::Endpoint;
use crate::upstream::gate::Permit;
use crate::upstream::group::{Chosen, GroupLocal, Wish};
use crate::upstream::target::{InFlight, TargetLocal};

/// The longest that a TLS handshake with a target may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Targets that are tried unless `retry` says otherwise.
const ATTEMPTS: u8 = 2;

/// A connection to a target.
pub(super) struct Connected {
    pub(super) end: Target,
    pub(super) through: Through,
}

/// The target that a flow goes through.
pub(super) struct Through {
    pub(super) target: Rc<TargetLocal>,
    /// How often flows through it had been reset when this one began.
    resets: u32,
    _in_flight: InFlight,
}

impl Through {
    pub(super) fn new(target: &Rc<TargetLocal>, permit: Option<Permit>) -> Through {
        let resets = target.shared.resets.load(Ordering::Relaxed);
        Through { target: target.clone(), resets, _in_flight: InFlight::new(target, permit) }
    }

    /// Why the flow is to be reset, if it is.
    pub(super) fn cut(&self) -> Option<Ended> {
        if self.target.is_cut() {
            return Some(Ended::Deregistered);
        }
        let is_reset = self.target.shared.resets.load(Ordering::Relaxed) != self.resets;
        is_reset.then_some(Ended::TargetUnhealthy)
    }
}

/// Connects to a target of the route's group, and shakes hands with it if the group speaks TLS to its targets. What is to be said
/// on it must follow at once, or be [acknowledged](crate::runtime::socket::Socket::acknowledge): most clients speak first, and have spoken by then.
///
/// # Errors
/// When there is none, or none that can be connected to.
pub(super) async fn run(flow: &mut Flow, route: &Route, spoken: &Spoken) -> Result<Connected, Ended> {
    let (plan, group) = route.group()?;
    let settings = &plan.settings;
    let attempts = settings.retry.as_ref().map_or(ATTEMPTS, |retry| retry.attempts);
    group.count_request(flow.worker.clock.now());
    let mut tried = Vec::new();
    loop {
        let Chosen { place, target, permit } = choose(flow, group, settings, route.hash, &tried)?;
        flow.record.target = Some(target.clone());
        target.counters().requests.add(1);
        let through = Through::new(&target, permit);
        let ended = match attempt(flow, group, settings, &target, spoken).await {
            Ok(end) => {
                target.counters().new_connections.add(1);
                target.count_outcome(true);
                return Ok(Connected { end, through });
            }
            Err(Ended::Stopping) => return Err(Ended::Stopping),
            Err(ended) => ended,
        };
        target.counters().connect_failures.add(1);
        // the machine's own want of ports is not to put all targets out
        if ended != Ended::NoPortLeft {
            target.count_outcome(false);
        }
        group.counters().connect_failures.add(1);
        tried.push(place);
        let others = group.published().roster.has_others(&tried);
        if !others || tried.len() >= usize::from(attempts) {
            return Err(ended);
        }
        group.counters().retried(RetryReason::Connect);
        flow.record.retries += 1;
    }
}

/// A target of datagrams, and the way to it.
pub(super) struct Towards {
    pub(super) socket: Datagrams,
    pub(super) address: SocketAddr,
    pub(super) through: Through,
}

/// Chooses a target of the route's group, and opens a socket towards it. Whether anybody is there shows only later.
///
/// # Errors
/// When there is none, or no socket.
pub(super) fn datagrams(flow: &mut Flow, route: &Route) -> Result<Towards, Ended> {
    let (plan, group) = route.group()?;
    group.count_request(flow.worker.clock.now());
    let Chosen { target, permit, .. } = choose(flow, group, &plan.settings, route.hash, &[])?;
    flow.record.target = Some(target.clone());
    target.counters().requests.add(1);
    let through = Through::new(&target, permit);
    let opened = match &target.shared.endpoint {
        Endpoint::Ip(to) => {
            let opened = source::open(flow, group, &plan.settings, *to, |from| Datagrams::connected(*to, from));
            opened.map(|socket| (socket, *to))
        }
        Endpoint::Unix(_) => Err(Ended::ConnectFailed),
    };
    let (socket, address) = opened.inspect_err(|_| {
        target.counters().connect_failures.add(1);
        group.counters().connect_failures.add(1);
    })?;
    target.counters().new_connections.add(1);
    Ok(Towards { socket, address, through })
}

fn choose(
    flow: &Flow,
    group: &GroupLocal,
    settings: &TargetGroup,
    hash: u64,
    tried: &[usize],
) -> Result<Chosen, Ended> {
    let wish = Wish { hash, ..Wish::default() };
    group.choose(settings, wish, flow.worker.random.next(), tried).map_err(|kind| match kind {
        Kind::Overloaded => {
            group.counters().overloaded.add(1);
            Ended::Overloaded
        }
        _ => {
            group.counters().no_target.add(1);
            Ended::NoTarget
        }
    })
}

async fn attempt(
    flow: &mut Flow,
    group: &GroupLocal,
    settings: &TargetGroup,
    target: &TargetLocal,
    spoken: &Spoken,
) -> Result<Target, Ended> {
    let endpoint = &target.shared.endpoint;
    let dial = group.shared.dial();
    let header = flow.announcement(&dial.announces, spoken);
    let connecting = match endpoint {
        Endpoint::Ip(to) => source::open(flow, group, settings, *to, |from| Connecting::tcp(*to, from, First::Here))?,
        Endpoint::Unix(path) => Connecting::unix(path).map_err(|_| Ended::ConnectFailed)?,
    };
    flow.arm(settings.connect_timeout);
    let told = async {
        let mut socket = connecting.done().await?;
        if let Some(header) = header {
            // what follows is not to wait until this is acknowledged; not over TCP it does not
            let _ = socket.send_at_once();
            socket.write_all(&header).await?;
        }
        Ok(socket)
    };
    let socket = flow.in_time(pin!(told)).await.map_err(|stopped| match stopped {
        Stopped::Failed(_) => Ended::ConnectFailed,
        Stopped::TimedOut => Ended::ConnectTimeout,
        Stopped::Stopping => Ended::Stopping,
    })?;
    // a hello that goes through as it is brings the client's own TLS
    let client = dial.client().filter(|_| dial.is_secured && spoken.hello().is_none());
    let Some(client) = client else { return Ok(Target::Plain(socket)) };
    let offered: Option<ClientSide> = match spoken {
        Spoken::Tls { protocol: Some(protocol), .. } => Some(client.offering(protocol)),
        _ => None,
    };
    let client = offered.as_ref().unwrap_or(client);
    socket.send_at_once().map_err(|_| Ended::ConnectFailed)?;
    flow.arm(HANDSHAKE);
    // in a box: most flows have no handshake, and it is large
    let mut shaking = Box::pin(client.secure(socket, endpoint, target.shared.host.as_deref()));
    let shaken = flow.in_time(shaking.as_mut()).await.map_err(|stopped| match stopped {
        Stopped::Failed(error) => {
            tracing::debug!(target = target.display(), %error, "no handshake with a target");
            Ended::HandshakeFailed
        }
        Stopped::TimedOut => Ended::HandshakeTimeout,
        Stopped::Stopping => Ended::Stopping,
    })?;
    Ok(Target::Tls(Box::new(shaken)))
}
