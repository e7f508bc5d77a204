//! The way to a target: a connection that waits for a request, or a new one.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use headworks_model::target_group::{HttpVersion, TargetGroup};

use super::deadline::Deadlines;
use crate::error::{Kind, ProxyError};
use crate::l7::connection::Peer;
use crate::listen::slot::ListenerSlot;
use crate::runtime::deadline::Timer;
use crate::runtime::socket::First;
use crate::runtime::worker::Worker;
use crate::upstream::connect::{Connection as TargetConnection, Transport, connect_socket, no_port_left, secure};
use crate::upstream::group::GroupLocal;
use crate::upstream::multiplex::Taken;
use crate::upstream::sockets::Counted;
use crate::upstream::target::TargetLocal;

/// The longest that a TLS handshake with a target may take (H1); less where an answer has less time than that.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Whether the connection to the target had carried a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Idle,
    New,
}

/// A connection to a target.
pub(super) struct Way {
    pub(super) stream: TargetConnection,
    pub(super) which: Which,
    /// How targets were spoken to when it was opened.
    pub(super) epoch: u64,
    /// Who it was announced for to the target, and who alone may use it then.
    pub(super) owner: Option<Rc<Peer>>,
}

/// On whose behalf a target is asked.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) slot: &'a ListenerSlot,
    pub(super) peer: &'a Rc<Peer>,
}

/// What bounds the steps of a way.
pub(super) struct Patience<'a> {
    pub(super) timer: &'a mut Timer,
    pub(super) deadlines: Deadlines,
}

/// A connection to this target that waits for a request, if there is one.
pub(super) fn idle(target: &TargetLocal, group: &GroupLocal, settings: &TargetGroup, peer: &Rc<Peer>) -> Option<Way> {
    let epoch = group.shared.epoch();
    let owner = settings.proxy_protocol.is_sent().then(|| peer.clone());
    let stream = target.take_idle(epoch, owner.as_ref())?;
    Some(Way { stream, which: Which::Idle, epoch, owner })
}

/// A connection to this target: one that is idle, unless a new one is wanted, a stream of one that is open, or a new one,
/// announced and secured as the group has it.
///
/// # Errors
/// When none can be made, or not in time.
pub(super) async fn to(
    target: &TargetLocal,
    group: &GroupLocal,
    settings: &TargetGroup,
    caller: Caller<'_>,
    mut patience: Patience<'_>,
    wanted: Which,
) -> Result<Way, ProxyError> {
    if wanted == Which::Idle
        && let Some(way) = idle(target, group, settings, caller.peer)
    {
        return Ok(way);
    }
    let epoch = group.shared.epoch();
    let dial = group.shared.dial();
    // as it is dialled now, which another thread may have changed since the plan was made
    let owner = dial.announces.is_sent().then(|| caller.peer.clone());
    let turn = match settings.version {
        HttpVersion::Http1 => None,
        HttpVersion::Http2 => {
            patience.begin(settings.connect_timeout);
            let waiting = pin!(target.multiplexed.take_or_wait(epoch, owner.as_ref()));
            match patience.wait(waiting, caller.worker, Kind::ConnectFailed, Kind::ConnectTimeout).await? {
                Taken::Stream(stream) => {
                    let stream = TargetConnection::Stream(stream);
                    return Ok(Way { stream, which: Which::Idle, epoch, owner: owner.clone() });
                }
                Taken::Turn(turn) => Some(turn),
            }
        }
    };
    let counted = match settings.version {
        HttpVersion::Http1 => Counted::new(&target.shared, settings.limits.max_connections),
        HttpVersion::Http2 => None,
    };
    patience.begin(settings.connect_timeout);
    let header = caller.peer.announcement(caller.slot, dial.announces);
    let connecting = pin!(connect_socket(&target.shared.endpoint, header, First::Here));
    let connected = patience.wait(connecting, caller.worker, Kind::ConnectFailed, Kind::ConnectTimeout).await;
    let socket = connected.map_err(|error| of_connecting(error, group))?;
    let transport = match dial.client().filter(|_| dial.is_secured) {
        None => Transport::Plain(socket),
        Some(client) => {
            patience.begin(HANDSHAKE.min(settings.response_timeout));
            let shaking = pin!(secure(socket, &target.shared.endpoint, target.shared.host.as_deref(), client));
            patience.wait(shaking, caller.worker, Kind::HandshakeFailed, Kind::HandshakeTimeout).await?
        }
    };
    let stream = match turn {
        None => TargetConnection::Direct(transport, counted),
        Some(turn) => {
            let beginning = pin!(target.multiplexed.begin(transport, epoch, owner.as_ref(), turn));
            let begun = patience.wait(beginning, caller.worker, Kind::ConnectFailed, Kind::ConnectTimeout).await?;
            TargetConnection::Stream(Box::new(begun))
        }
    };
    target.counters().new_connections.add(1);
    Ok(Way { stream, which: Which::New, epoch, owner: owner.clone() })
}

/// That there is no port left is no fault of the target's.
#[cold]
fn of_connecting(error: ProxyError, group: &GroupLocal) -> ProxyError {
    if !error.source.as_ref().is_some_and(no_port_left) {
        return error;
    }
    group.counters().port_allocation_errors.add(1);
    ProxyError { kind: Kind::NoPortLeft, ..error }
}

impl Patience<'_> {
    /// The next step may take so long.
    fn begin(&mut self, wait: Duration) {
        self.deadlines.arm(self.timer, wait);
    }

    /// Waits for a step towards a target, as long as the timer allows.
    async fn wait<T>(
        &mut self,
        mut step: impl Future<Output = io::Result<T>> + Unpin,
        worker: &Worker,
        failed: Kind,
        late: Kind,
    ) -> Result<T, ProxyError> {
        poll_fn(|cx| match Pin::new(&mut step).poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|error| ProxyError::new(failed, error))),
            Poll::Pending if worker.is_stopping() => Poll::Ready(Err(Kind::Stopping.into())),
            Poll::Pending if self.timer.poll_expired(cx) => Poll::Ready(Err(self.deadlines.passed(late).into())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}
