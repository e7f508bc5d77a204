//! The flows of one listener in one worker, by who sends them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::l4::connect::Towards;
use crate::observe::flow::Ended;
use crate::runtime::datagrams::{Datagrams, Train};
use crate::runtime::worker::Worker;

/// Flows at once of one listener in one worker, where there are descriptors for as many. A sender that makes addresses up
/// must not take every one of those; the flow that gives way is one that has been silent for long.
const MOST: usize = 65_536;
/// Flows that are looked at to find one that gives way: the most silent of so many is among the most silent of all.
const LOOKED_AT: usize = 8;

/// What tells flows of a listener apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) client: SocketAddr,
    /// The address that was asked, of a listener on all.
    pub(super) local: Option<IpAddr>,
}

/// A flow.
pub(super) struct DatagramFlow {
    pub(super) key: Key,
    /// The target group that it goes to.
    pub(super) group: Option<Rc<str>>,
    pub(super) towards: Towards,
    /// Tick of the last datagram, either way.
    pub(super) moved: Cell<u32>,
    /// Bytes from the client.
    pub(super) received: Cell<u64>,
    /// It must end, and why.
    pub(super) ending: Cell<Option<Ended>>,
    waker: RefCell<Option<Waker>>,
}

impl DatagramFlow {
    /// Sends what the client has sent on.
    ///
    /// # Errors
    /// Where there is no room, and it is lost; or that nobody receives what was sent before, which ends the flow.
    pub(super) fn forward(&self, train: &Train<'_>, tick: u32) -> io::Result<()> {
        self.moved.set(tick);
        self.received.set(self.received.get() + train.bytes.len() as u64);
        self.towards.socket.send(train, self.towards.address).inspect_err(|error| {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                self.end(Ended::TargetRefused);
            }
        })
    }

    /// Has its task end it.
    pub(super) fn end(&self, how: Ended) {
        // the first reason is the reason
        self.ending.set(self.ending.get().or(Some(how)));
        self.wake();
    }

    /// Wakes its task, so that it looks whether it may go on.
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Has its task woken by [`DatagramFlow::wake`].
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// All flows of a listener in a worker.
pub(crate) struct Flows {
    /// Towards clients.
    pub(super) socket: Rc<Datagrams>,
    /// The socket among those of its listener.
    pub(super) place: u16,
    places: RefCell<HashMap<Key, usize>>,
    /// In no order; a flow that ends leaves its place to the last.
    all: RefCell<Vec<Rc<DatagramFlow>>>,
    /// The flow that was found last: trains of one often follow each other.
    last: RefCell<Option<Rc<DatagramFlow>>>,
    /// Woken when the last flow ends.
    waker: RefCell<Option<Waker>>,
}

impl Flows {
    pub(super) fn new(socket: Rc<Datagrams>, place: u16) -> Rc<Flows> {
        Rc::new(Flows {
            socket,
            place,
            places: RefCell::default(),
            all: RefCell::default(),
            last: RefCell::default(),
            waker: RefCell::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    pub(super) fn find(&self, key: Key) -> Option<Rc<DatagramFlow>> {
        if let Some(last) = self.last.borrow().as_ref().filter(|last| last.key == key) {
            return Some(last.clone());
        }
        let place = *self.places.borrow().get(&key)?;
        let found = self.all.borrow().get(place).cloned()?;
        self.last.replace(Some(found.clone()));
        Some(found)
    }

    /// Takes a flow in; where there are too many, another one gives way.
    pub(super) fn insert(
        &self,
        key: Key,
        group: Option<Rc<str>>,
        towards: Towards,
        worker: &Worker,
    ) -> Rc<DatagramFlow> {
        let flow = Rc::new(DatagramFlow {
            key,
            group,
            towards,
            moved: Cell::new(worker.clock.tick()),
            received: Cell::default(),
            ending: Cell::default(),
            waker: RefCell::default(),
        });
        if self.len() >= MOST {
            self.give_way(worker);
        } else if worker.datagram_flows.get() >= worker.most_datagram_flows() {
            // of another listener, if that is the one that has so many
            worker.busiest_flows().map_or_else(|| self.give_way(worker), |flows| flows.give_way(worker));
        }
        worker.datagram_flows.set(worker.datagram_flows.get() + 1);
        let mut all = self.all.borrow_mut();
        self.places.borrow_mut().insert(key, all.len());
        all.push(flow.clone());
        flow
    }

    /// Ends one that has been silent for long.
    fn give_way(&self, worker: &Worker) {
        let all = self.all.borrow();
        let draw = |_| (worker.random.next() as usize).checked_rem(all.len());
        let drawn = (0..LOOKED_AT).filter_map(draw).filter_map(|place| all.get(place));
        // one that gives way already makes no room for another
        let silent = drawn.filter(|flow| flow.ending.get().is_none()).min_by_key(|flow| flow.moved.get());
        if let Some(silent) = silent {
            silent.end(Ended::TooManyFlows);
        }
    }

    /// Lets a flow go.
    pub(super) fn remove(&self, flow: &DatagramFlow, worker: &Worker) {
        self.last.borrow_mut().take_if(|last| last.key == flow.key);
        let mut places = self.places.borrow_mut();
        let Some(place) = places.remove(&flow.key) else { return };
        worker.datagram_flows.set(worker.datagram_flows.get().saturating_sub(1));
        let mut all = self.all.borrow_mut();
        if place < all.len() {
            all.swap_remove(place);
        }
        if let Some(moved) = all.get(place) {
            places.insert(moved.key, place);
        }
        if all.is_empty()
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// Wakes this task when the last flow ends.
    pub(super) fn listen_for_end(&self, cx: &Context<'_>) {
        self.waker.replace(Some(cx.waker().clone()));
    }

    /// What there is, in no order.
    pub(super) fn all(&self) -> Vec<Rc<DatagramFlow>> {
        self.all.borrow().clone()
    }

    /// Ends every flow.
    pub(super) fn close(&self) {
        self.all.borrow().iter().for_each(|flow| flow.end(Ended::Stopping));
    }
}
