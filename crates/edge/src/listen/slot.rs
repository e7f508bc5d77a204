//! A listener as one worker sees it: a place whose table is exchanged when the configuration is.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use headworks_guard::filter::Instruction;
use headworks_route::weighted;
use socket2::SockFilter;

use crate::compile::plan::{ForwardPlan, GroupPlan, ListenerKey, ListenerPlan, Plan};
use crate::guard::reason::Reason;
use crate::l4::first_words::Habit;
use crate::observe::counters::ListenerCounters;
use crate::runtime::datagrams::Datagrams;
use crate::runtime::dropped::Dropped;
use crate::runtime::socket::Acceptor;
use crate::upstream::group::GroupLocal;

/// The plan, with what this worker has of each group.
pub(crate) struct Tables {
    pub(crate) plan: Arc<Plan>,
    /// In the order of [`Plan::groups`].
    pub(crate) groups: Vec<Rc<GroupLocal>>,
}

impl Tables {
    pub(crate) fn group(&self, place: usize) -> Option<(&GroupPlan, &Rc<GroupLocal>)> {
        Some((self.plan.groups.get(place)?, self.groups.get(place)?))
    }
}

/// What a request is handled by; a request keeps the one it started with.
pub(crate) struct ListenerTable {
    pub(crate) plan: Arc<ListenerPlan>,
    pub(crate) tables: Rc<Tables>,
    ticket: Cell<u64>,
}

impl ListenerTable {
    pub(crate) fn new(plan: Arc<ListenerPlan>, tables: Rc<Tables>, start: u64) -> ListenerTable {
        ListenerTable { plan, tables, ticket: Cell::new(start) }
    }

    /// The next number of a sequence that fills 0 to 2^64 evenly (Weyl, with the golden ratio).
    fn next_ticket(&self) -> u64 {
        let ticket = self.ticket.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.ticket.set(ticket);
        ticket
    }

    /// The place of one of a forward's groups, by weight; none when all weights are 0.
    pub(crate) fn by_weight(&self, forward: &ForwardPlan) -> Option<usize> {
        // a sequence that fills the circle evenly: shares are right after few requests, not only after many
        let ticket = (u128::from(self.next_ticket()) * u128::from(forward.sum)) >> 64;
        let place = weighted::pick(forward.groups.iter().map(|g| g.weight), ticket as u64)?;
        forward.groups.get(place).map(|chosen| chosen.group)
    }

    /// Counts a match of the rule at `index`, or of the default.
    #[inline]
    pub(crate) fn hit(&self, worker: usize, index: Option<usize>) {
        let place = index.unwrap_or(self.plan.rules.len());
        if let Some(count) = self.plan.hits.workers.get(worker).and_then(|hits| hits.get(place)) {
            count.add(1);
        }
    }
}

/// A listener of one worker.
pub(crate) struct ListenerSlot {
    pub(crate) key: ListenerKey,
    pub(crate) address: SocketAddr,
    worker: usize,
    table: RefCell<Rc<ListenerTable>>,
    local_host: String,
    counters: Arc<Vec<ListenerCounters>>,
    /// Of its flows.
    pub(crate) habit: Habit,
    closing: Cell<bool>,
    /// The sockets, for as long as it listens by them: usually one.
    sockets: RefCell<Vec<Weak<Acceptor>>>,
    /// What the kernel drops of what comes for it.
    dropped_connections: RefCell<Vec<Dropped<Acceptor>>>,
    dropped_datagrams: RefCell<Vec<Dropped<Datagrams>>>,
    /// Woken when the listener closes, so that it stops accepting; whoever waits has looked whether it has.
    pub(crate) closed: tokio::sync::Notify,
    /// Woken when its table is another, and when it closes; likewise.
    pub(crate) changed: tokio::sync::Notify,
}

impl ListenerSlot {
    pub(crate) fn new(address: SocketAddr, worker: usize, table: Rc<ListenerTable>) -> Rc<ListenerSlot> {
        Rc::new(ListenerSlot {
            key: table.plan.key.clone(),
            address,
            worker,
            local_host: address.ip().to_canonical().to_string(),
            counters: table.plan.counters.clone(),
            table: RefCell::new(table),
            habit: Habit::default(),
            closing: Cell::new(false),
            sockets: RefCell::default(),
            dropped_connections: RefCell::default(),
            dropped_datagrams: RefCell::default(),
            closed: tokio::sync::Notify::new(),
            changed: tokio::sync::Notify::new(),
        })
    }

    pub(crate) fn table(&self) -> Rc<ListenerTable> {
        self.table.borrow().clone()
    }

    pub(crate) fn exchange(&self, table: Rc<ListenerTable>) {
        *self.table.borrow_mut() = table;
        self.changed.notify_waiters();
    }

    /// Whether connections over QUIC come to an end here.
    pub(crate) fn has_left_http3(&self) -> bool {
        self.is_closing() || self.table.borrow().plan.http3.is_none()
    }

    /// This is what it listens by, too.
    pub(crate) fn listens_by(&self, socket: &Rc<Acceptor>) {
        self.sockets.borrow_mut().push(Rc::downgrade(socket));
        self.dropped_connections.borrow_mut().push(Dropped::by(socket));
    }

    /// Flows of datagrams come in by this.
    pub(crate) fn receives_by(&self, socket: &Rc<Datagrams>) {
        self.dropped_datagrams.borrow_mut().push(Dropped::by(socket));
    }

    /// Counts what the kernel has dropped since the last look.
    pub(crate) fn look_at_drops(&self) {
        let connections: u64 = self.dropped_connections.borrow().iter().map(Dropped::look).sum();
        let datagrams: u64 = self.dropped_datagrams.borrow().iter().map(Dropped::look).sum();
        if connections + datagrams > 0 {
            self.counters().dropped_packets.add(connections + datagrams);
        }
    }

    /// Has the kernel drop, before they begin, the connections that would be refused for where they come from. What that
    /// misses is refused after all when it is accepted.
    pub(crate) fn follow_doors(&self) {
        let sockets: Vec<_> = self.sockets.borrow().iter().filter_map(Weak::upgrade).collect();
        if sockets.is_empty() {
            return;
        }
        let filter = self.table().plan.guard.filter().map(|filter| {
            let step = |i: Instruction| SockFilter::new(i.code, i.when_true, i.when_false, i.operand);
            filter.into_iter().map(step).collect::<Vec<_>>()
        });
        for socket in sockets {
            if let Err(error) = socket.set_filter(filter.as_deref()) {
                tracing::warn!(%error, listener = %self.address, "denied connections are reset, not dropped");
                // one that is out of date would drop what is allowed now
                let _ = socket.set_filter(None);
            }
        }
    }

    /// Counts a connection that is refused, and now and then says so.
    pub(crate) fn refuse(&self, peer: SocketAddr, reason: Reason) {
        self.counters().refused(reason);
        let (balancer, listener, why) = (&self.key.load_balancer, &self.key.listener, reason.as_str());
        if reason.is_limit() && self.table().plan.guard.state.may_tell() {
            tracing::warn!(%peer, %balancer, %listener, why, "connections are refused");
        } else {
            tracing::debug!(%peer, %balancer, %listener, why, "connection refused");
        }
    }

    /// Host for requests that name none.
    pub(crate) fn local_host(&self) -> &str {
        &self.local_host
    }

    #[expect(clippy::indexing_slicing, reason = "made with one entry a worker")]
    pub(crate) fn counters(&self) -> &ListenerCounters {
        &self.counters[self.worker]
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Stops accepting; connections end after the request they are in.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.closed.notify_waiters();
        self.changed.notify_waiters();
    }
}
