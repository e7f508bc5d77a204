//! A target: what all workers share of it, and what each has of its own.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use headworks_balance::TargetKey;
use tokio::sync::Notify;

use super::connect::{Connection, Endpoint};
use super::gate::Permit;
use super::multiplex::Multiplexed;
use super::sockets::{self, Sockets};
use crate::l7::connection::Peer;
use crate::observe::counters::TargetCounters;
use crate::runtime::worker::POOL_SWEEP;

/// Idle connections kept to one target by one worker.
const IDLE_LIMIT: usize = 1024;
/// Ticks an idle connection is kept: just under a minute, because the keep-alive of most servers is that or longer.
/// Those that close earlier are noticed at the latest when a connection is taken.
const IDLE_TICKS: u32 = 4 * 55;
/// The same in sweeps.
const IDLE_SWEEPS: u32 = IDLE_TICKS / POOL_SWEEP;

/// What all workers share of a target.
pub(crate) struct TargetShared {
    pub(crate) key: TargetKey,
    /// As declared; with the resolved address when it was a name.
    pub(crate) display: String,
    pub(crate) endpoint: Endpoint,
    /// The name it is declared by, if it is one.
    pub(crate) host: Option<Arc<str>>,
    /// By worker.
    pub(crate) counters: Vec<TargetCounters>,
    /// Its deregistration delay is over: requests in flight end with 502.
    pub(crate) cut: AtomicBool,
    /// Moves when the flows through it are to be reset.
    pub(crate) resets: AtomicU32,
    /// Places taken, where the group declares limits.
    pub(crate) places: AtomicU32,
    /// Connections open, likewise.
    pub(crate) sockets: Sockets,
    /// Told when its breaker should look at what requests have met: one for all targets of a group.
    pub(crate) noted: Arc<Notify>,
}

impl TargetShared {
    pub(crate) fn new(
        key: TargetKey,
        display: String,
        endpoint: Endpoint,
        host: Option<Arc<str>>,
        workers: usize,
        noted: Arc<Notify>,
    ) -> TargetShared {
        let counters = (0..workers).map(|_| TargetCounters::default()).collect();
        TargetShared {
            key,
            display,
            endpoint,
            host,
            counters,
            cut: AtomicBool::default(),
            resets: AtomicU32::default(),
            places: AtomicU32::default(),
            sockets: Sockets::default(),
            noted,
        }
    }

    /// Places taken, where places are bounded.
    pub(crate) fn places(&self) -> u32 {
        self.places.load(Ordering::SeqCst)
    }

    /// Requests in flight, over all workers.
    pub(crate) fn in_flight(&self) -> u32 {
        self.counters.iter().map(|c| c.in_flight.load(Ordering::Relaxed)).sum()
    }
}

/// What one worker has of a target.
pub(crate) struct TargetLocal {
    pub(crate) shared: Arc<TargetShared>,
    pub(crate) worker: usize,
    idle: RefCell<Vec<Idle>>,
    /// Connections of HTTP/2.
    pub(crate) multiplexed: Multiplexed,
    retired: Cell<bool>,
    /// Idle connections are closed when there are too many.
    gives_way: Cell<bool>,
    /// The trial that its half-open breaker is in, 0 for none, and the requests that this worker has sent in it.
    trial: Cell<(u32, u32)>,
}

struct Idle {
    connection: Connection,
    /// Who it was announced for to the target: nobody else's requests may go over it.
    owner: Option<Weak<Peer>>,
    epoch: u64,
    expires: u32,
}

impl TargetLocal {
    pub(crate) fn new(shared: Arc<TargetShared>, worker: usize) -> Rc<TargetLocal> {
        let (idle, multiplexed) = (RefCell::default(), Multiplexed::default());
        let (retired, gives_way, trial) = (Cell::new(false), Cell::new(false), Cell::new((0, 0)));
        Rc::new(TargetLocal { shared, worker, idle, multiplexed, retired, gives_way, trial })
    }

    pub(crate) fn display(&self) -> &str {
        &self.shared.display
    }

    #[expect(clippy::indexing_slicing, reason = "made with one entry a worker")]
    pub(crate) fn counters(&self) -> &TargetCounters {
        &self.shared.counters[self.worker]
    }

    /// What a request met at it. Its breaker is told at once of what may open or close it.
    pub(crate) fn count_outcome(&self, success: bool) {
        self.counters().outcome(success);
        if !success || self.is_on_trial() {
            self.shared.noted.notify_one();
        }
    }

    /// Its breaker is in this trial now, or in none.
    pub(crate) fn enter_trial(&self, number: u32) {
        if self.trial.get().0 != number {
            self.trial.set((number, 0));
        }
    }

    pub(crate) fn is_on_trial(&self) -> bool {
        self.trial.get().0 != 0
    }

    /// Requests that this worker has sent in the trial.
    pub(crate) fn tried(&self) -> u32 {
        self.trial.get().1
    }

    /// A request is sent to it.
    pub(crate) fn count_trial(&self) {
        if let (number @ 1.., sent) = self.trial.get() {
            self.trial.set((number, sent.saturating_add(1)));
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.shared.cut.load(Ordering::Relaxed)
    }

    /// An idle connection of this epoch, the one used last first: it is the warmest, and the others get to expire. With an
    /// `owner`, one that was announced for it; without, one that was announced for nobody.
    pub(crate) fn take_idle(&self, epoch: u64, owner: Option<&Rc<Peer>>) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let mut entry = match owner {
                None => idle.pop()?,
                Some(owner) => {
                    let place = idle.iter().rposition(|entry| is_of(entry.owner.as_ref(), Some(owner)))?;
                    idle.remove(place)
                }
            };
            self.counters().idle_connections.sub(1);
            if entry.epoch == epoch && is_of(entry.owner.as_ref(), owner) && entry.connection.is_quiet() {
                return Some(entry.connection);
            }
        }
    }

    /// Keeps a connection for the next request; `owner` is who it was announced for.
    pub(crate) fn give_idle(self: &Rc<Self>, connection: Connection, epoch: u64, now: u32, owner: Option<&Rc<Peer>>) {
        if connection.is_counted() {
            if self.shared.sockets.is_crowded() {
                return;
            }
            if !self.gives_way.replace(true) {
                tokio::task::spawn_local(sockets::give_way(self.shared.clone(), Rc::downgrade(self)));
            }
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_LIMIT && !self.retired.get() {
            let owner = owner.map(Rc::downgrade);
            idle.push(Idle { connection, owner, epoch, expires: now + IDLE_TICKS });
            self.counters().idle_connections.add(1);
        }
    }

    /// Closes what has been idle for long, what the target has closed, and what was announced for clients that are gone.
    pub(crate) fn sweep(&self, now: u32) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        self.multiplexed.sweep(IDLE_SWEEPS);
        idle.retain_mut(|entry| {
            let is_owned = entry.owner.as_ref().is_none_or(|owner| owner.strong_count() > 0);
            is_owned && entry.expires > now && entry.connection.is_quiet()
        });
        self.counters().idle_connections.sub((before - idle.len()) as u64);
    }

    /// Closes idle connections, the coldest first, while there are too many over all workers.
    pub(super) fn give_way(&self) {
        let mut idle = self.idle.borrow_mut();
        while self.shared.sockets.is_crowded() && !idle.is_empty() {
            drop(idle.remove(0));
            self.counters().idle_connections.sub(1);
        }
    }

    /// No request will come any more: idle connections are closed.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.multiplexed.retire();
        let closed = self.idle.borrow_mut().drain(..).count();
        self.counters().idle_connections.sub(closed as u64);
    }
}

impl Drop for TargetLocal {
    fn drop(&mut self) {
        if self.gives_way.get() {
            // who looks for it finds that it is gone
            self.shared.sockets.call();
        }
    }
}

/// Whether a connection that was announced for `owner`, or for nobody, may carry what is `wanted` for someone, or anyone.
pub(super) fn is_of(owner: Option<&Weak<Peer>>, wanted: Option<&Rc<Peer>>) -> bool {
    match (owner, wanted) {
        (None, None) => true,
        // what a weak reference points to is not used anew while there is one
        (Some(owner), Some(wanted)) => owner.as_ptr() == Rc::as_ptr(wanted),
        _ => false,
    }
}

/// Counts a request as in flight while it lives, and has its place where places are bounded.
pub(crate) struct InFlight {
    pub(crate) target: Rc<TargetLocal>,
    _permit: Option<Permit>,
}

impl InFlight {
    pub(crate) fn new(target: &Rc<TargetLocal>, permit: Option<Permit>) -> InFlight {
        target.counters().begin();
        InFlight { target: target.clone(), _permit: permit }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.target.counters().end();
    }
}
