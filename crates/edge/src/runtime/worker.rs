//! A worker: one thread with everything it owns, and the commands it takes.

#[cfg(test)]
mod alone;

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use headworks_balance::{Criticality, Overload};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use super::clock::{Clock, TICK};
use super::datagrams::Batch;
use super::deadline::Deadlines;
use super::pool::Pool;
use super::pressure::Pressure;
use super::random::Random;
use super::socket::Acceptor;
use crate::compile::plan::{ListenerKey, Plan};
use crate::l4::udp;
use crate::l4::udp::legacy::{self, FlowLegacy};
use crate::listen::accept;
use crate::listen::slot::{ListenerSlot, ListenerTable, Tables};
use crate::observe::access_log::{Lines, LogWriter};
use crate::quic::steer::Mouth;
use crate::quic::{Secrets, endpoint};
use crate::tls::under_way::UnderWay;
use crate::upstream::group::GroupLocal;

/// Idle connections to targets are gone over every so many ticks.
pub(crate) const POOL_SWEEP: u32 = 8;
/// Ticks between looks at what the kernel has dropped.
const DROPS_LOOK: u32 = 4;

/// Flows of datagrams may have one of so many descriptors, where there is a listener for them: whoever can send from
/// addresses that he makes up begins as many as he likes.
const OF_DATAGRAMS: usize = 4;
/// Ticks of a second, about.
const WAITS: usize = 4;
/// The pressure from which the log says that requests are refused.
const SHEDS_FROM: f64 = 0.9;

/// What a worker owns. Never shared with another thread.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) clock: Clock,
    pub(crate) pool: Pool,
    pub(crate) deadlines: Deadlines,
    pub(crate) random: Random,
    /// What datagrams are received into.
    pub(crate) batch: RefCell<Batch>,
    pub(crate) log: RefCell<Lines>,
    /// Client connections open, flows of datagrams among them.
    pub(crate) connections: Cell<usize>,
    /// As many as there are descriptors for.
    most_connections: usize,
    /// Flows of datagrams alone.
    pub(crate) datagram_flows: Cell<usize>,
    was_full: Cell<bool>,
    pub(crate) handshakes: UnderWay,
    pressure: Arc<Pressure>,
    /// The last waits of what could have been done at once, the oldest first.
    waits: Cell<[Duration; WAITS]>,
    overload: Cell<Overload>,
    secrets: Secrets,
    phase: Cell<Phase>,
    tables: RefCell<Option<Rc<Tables>>>,
    slots: RefCell<Vec<Rc<ListenerSlot>>>,
    /// Another process has taken over, and reads what comes in by sockets for datagrams.
    let_go: Arc<AtomicBool>,
    pulse: Arc<AtomicU32>,
    /// Flows of datagrams, behind where their listeners are bound.
    flows: RefCell<Vec<(SocketAddr, Weak<udp::Flows>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Another process has the listeners now; what is open is finished here, however long it takes.
    Replaced,
    /// No new connections; requests in flight are finished.
    Draining,
    /// Nothing is waited for any more.
    Stopping,
}

/// Sockets of a listener for one worker: those that are new.
pub(crate) struct Handover {
    pub(crate) key: ListenerKey,
    /// Where connections come in: one, but where there were more workers once.
    pub(crate) connections: Vec<StdListener>,
    /// Where datagrams do, likewise.
    pub(crate) datagrams: Vec<DatagramsIn>,
}

impl Handover {
    /// Whether it brings more than QUIC beside connections.
    fn moves(&self) -> bool {
        let flows = |datagrams: &DatagramsIn| matches!(datagrams, DatagramsIn::Flows(_));
        !self.connections.is_empty() || self.datagrams.iter().any(flows)
    }
}

/// A socket for datagrams, and what is spoken in them.
pub(crate) enum DatagramsIn {
    Quic(Mouth),
    /// Nothing that is looked at.
    Flows(udp::Mouth),
}

/// What the control thread asks of a worker.
pub(crate) enum Command {
    /// Run this plan from now on. Sockets are those of new listeners; listeners that the plan does not have are closed.
    Apply { plan: Arc<Plan>, sockets: Vec<Handover>, done: oneshot::Sender<()> },
    /// Take in sockets for datagrams that another process has read until now, for listeners of the plan that runs.
    TakeOver { sockets: Vec<Handover>, done: oneshot::Sender<()> },
    /// Another process accepts now, and reads datagrams: what is open is finished here, but for flows of datagrams, which
    /// are answered.
    LetGo { done: oneshot::Sender<Vec<FlowLegacy>> },
    /// A target was cut off: requests in flight look whether it is theirs.
    Look,
    /// Members of security groups have come or gone.
    FollowMembers,
    /// Stop accepting, finish what is in flight.
    Drain,
    /// End what is still there.
    Stop,
}

/// The control thread's door to a worker.
pub(crate) struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    /// Moves with every tick of the worker.
    pulse: Arc<AtomicU32>,
    thread: Option<thread::JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts a worker without listeners.
    ///
    /// # Errors
    /// When no thread or runtime can be made.
    pub(crate) fn start(
        index: usize,
        log: LogWriter,
        most_connections: usize,
        secrets: Secrets,
        pressure: Arc<Pressure>,
    ) -> io::Result<WorkerHandle> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let pulse = Arc::new(AtomicU32::default());
        let of_worker = pulse.clone();
        let runtime = move || Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || match runtime() {
            Ok(runtime) => runtime.block_on(run(index, log, most_connections, secrets, pressure, of_worker, inbox)),
            Err(error) => tracing::error!(%error, index, "cannot start the runtime of a worker"),
        })?;
        Ok(WorkerHandle { commands, pulse, thread: Some(thread) })
    }

    /// Hands over a command; one to a worker that has ended is lost.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// A number that moves while the worker does.
    pub(crate) fn pulse(&self) -> u32 {
        self.pulse.load(Ordering::Relaxed)
    }

    /// Whether its thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }
}

impl Worker {
    /// One that listens nowhere yet.
    fn new(
        index: usize,
        log: LogWriter,
        most_connections: usize,
        secrets: Secrets,
        pressure: Arc<Pressure>,
        pulse: Arc<AtomicU32>,
    ) -> Worker {
        Worker {
            index,
            clock: Clock::new(),
            pool: Pool::default(),
            deadlines: Deadlines::default(),
            random: Random::new(),
            batch: RefCell::default(),
            log: RefCell::new(Lines::new(log)),
            connections: Cell::new(0),
            most_connections,
            datagram_flows: Cell::new(0),
            was_full: Cell::new(false),
            handshakes: UnderWay::default(),
            pressure,
            waits: Cell::default(),
            overload: Cell::default(),
            secrets,
            phase: Cell::new(Phase::Serving),
            tables: RefCell::new(None),
            slots: RefCell::default(),
            let_go: Arc::default(),
            pulse,
            flows: RefCell::default(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase.get() >= Phase::Replaced
    }

    /// Whether what is idle is not waited for as long as ever.
    pub(crate) fn is_hurried(&self) -> bool {
        self.phase.get() >= Phase::Draining
    }

    /// Whether another process has taken over.
    pub(crate) fn has_let_go(&self) -> bool {
        self.let_go.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.phase.get() == Phase::Stopping
    }

    /// Whether there are no descriptors for another connection. To accept it would leave none for targets. What flows of
    /// datagrams may have is theirs, however few there are; and however many there are, they do not have the rest.
    pub(crate) fn is_full(&self) -> bool {
        let of_flows = if self.has_datagrams() { self.most_connections / OF_DATAGRAMS } else { 0 };
        let most = self.most_connections.saturating_sub(of_flows).max(1);
        let is_full = self.connections.get().saturating_sub(self.datagram_flows.get()) >= most;
        if is_full != self.was_full.replace(is_full) && is_full {
            tracing::warn!(
                connections = most,
                worker = self.index,
                "as many connections as there are descriptors for, more have to wait"
            );
        }
        is_full
    }

    /// Flows of datagrams that there are descriptors for: each takes one, where a connection takes one more for its target.
    pub(crate) fn most_datagram_flows(&self) -> usize {
        (2 * (self.most_connections / OF_DATAGRAMS)).max(1)
    }

    fn has_datagrams(&self) -> bool {
        self.flows.borrow().iter().any(|(_, flows)| flows.strong_count() > 0)
    }

    /// The socket for datagrams by which most flows go on.
    pub(crate) fn busiest_flows(&self) -> Option<Rc<udp::Flows>> {
        self.flows.borrow().iter().filter_map(|(_, flows)| flows.upgrade()).max_by_key(|flows| flows.len())
    }

    /// What is used up of what the program has.
    pub(crate) fn pressure(&self) -> Arc<Pressure> {
        self.pressure.clone()
    }

    /// Whether a request of this criticality is given up, because there is too much to do.
    #[inline]
    pub(crate) fn sheds(&self, criticality: Criticality) -> bool {
        let overload = self.overload.get();
        overload.is_high() && overload.refuses(criticality, self.random.next())
    }

    /// Finds out how long what could be done at once waits here, and how much is used up of everything else. The shortest wait
    /// of the last second counts: there always is a longer one.
    async fn feel_pressure(&self) {
        let asked = Instant::now();
        // behind all that is ready now
        let _ = tokio::task::spawn_local(std::future::ready(())).await;
        let mut waits = self.waits.get();
        waits.rotate_left(1);
        if let Some(last) = waits.last_mut() {
            *last = asked.elapsed();
        }
        self.waits.set(waits);
        self.pressure.has_tasks(self.index, Handle::current().metrics().num_alive_tasks());
        self.pressure.waited(self.index, waits.into_iter().min().unwrap_or_default());
        let mut overload = self.overload.get();
        let before = overload.pressure();
        overload.update(&self.pressure.of_worker(self.index), self.clock.now());
        self.overload.set(overload);
        if before < SHEDS_FROM && overload.pressure() >= SHEDS_FROM {
            let [time, memory, descriptors] = self.pressure.of_worker(self.index);
            tracing::warn!(worker = self.index, time, memory, descriptors, "too much to do, requests are refused");
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(self.phase.get().max(phase));
        self.slots.borrow().iter().for_each(|slot| slot.close());
        self.deadlines.wake_all();
    }

    /// Builds this worker's tables for the plan, then exchanges them all at once.
    fn apply(self: &Rc<Self>, plan: &Arc<Plan>, sockets: Vec<Handover>) {
        let before = self.tables.borrow_mut().take();
        let old = before.map(|tables| tables.groups.clone()).unwrap_or_default();
        let (groups, gone) = self.groups(plan, old);
        let tables = Rc::new(Tables { plan: plan.clone(), groups });
        let mut slots = self.slots.borrow_mut();
        let mut closes = false;
        slots.retain(|slot| {
            let moves = sockets.iter().any(|s| s.key == slot.key && s.moves());
            let kept = plan.listeners.iter().find(|l| l.key == slot.key && !moves);
            match kept {
                Some(listener) => {
                    closes |= listener.http3.is_none() && !slot.has_left_http3();
                    slot.exchange(self.table(listener, &tables));
                    slot.follow_doors();
                }
                None => {
                    slot.close();
                    closes = true;
                }
            }
            kept.is_some()
        });
        self.listen_by(&mut slots, sockets, &tables);
        drop(slots);
        *self.tables.borrow_mut() = Some(tables);
        gone.iter().for_each(|group| group.retire());
        if closes {
            self.deadlines.wake_all();
        }
    }

    /// What this worker has of the groups of a plan, and those that the plan does not have. Both are in the order of their names:
    /// of a thousand, none is looked for.
    fn groups(&self, plan: &Plan, old: Vec<Rc<GroupLocal>>) -> (Vec<Rc<GroupLocal>>, Vec<Rc<GroupLocal>>) {
        let (mut old, mut gone) = (old.into_iter().peekable(), Vec::new());
        let mut groups = Vec::with_capacity(plan.groups.len());
        for group in &plan.groups {
            while let Some(other) = old.next_if(|other| other.shared.name < group.shared.name) {
                gone.push(other);
            }
            let kept = old.next_if(|other| Arc::ptr_eq(&other.shared, &group.shared));
            let local = kept.unwrap_or_else(|| GroupLocal::new(group.shared.clone(), group.algorithm, self.index));
            local.configure(group.algorithm, group.budget, self.clock.now());
            groups.push(local);
        }
        gone.extend(old);
        (groups, gone)
    }

    /// Takes in sockets for datagrams that another process has read until now.
    fn take_over(self: &Rc<Self>, sockets: Vec<Handover>) {
        let Some(tables) = self.tables.borrow().clone() else { return };
        self.listen_by(&mut self.slots.borrow_mut(), sockets, &tables);
    }

    /// Leaves the listeners to another process: nothing is accepted any more, and flows of datagrams go on there.
    fn let_go(&self) -> Vec<FlowLegacy> {
        self.let_go.store(true, Ordering::Relaxed);
        let flows = self.flows.take();
        let flows = flows.iter().filter_map(|(listener, flows)| Some((listener, flows.upgrade()?)));
        let legacy = flows.flat_map(|(listener, flows)| legacy::let_go(&flows, *listener)).collect();
        self.enter(Phase::Replaced);
        legacy
    }

    fn listen_by(self: &Rc<Self>, slots: &mut Vec<Rc<ListenerSlot>>, sockets: Vec<Handover>, tables: &Rc<Tables>) {
        for handover in sockets {
            let key = handover.key.clone();
            if let Some(listener) = tables.plan.listeners.iter().find(|l| l.key == key)
                && let Err(error) = self.listen(slots, handover, || self.table(listener, tables))
            {
                tracing::error!(%error, listener = %key.listener, "cannot listen");
            }
        }
    }

    /// Takes in the sockets of a listener, which is among `slots` if it was there before.
    fn listen(
        self: &Rc<Self>,
        slots: &mut Vec<Rc<ListenerSlot>>,
        sockets: Handover,
        table: impl Fn() -> Rc<ListenerTable>,
    ) -> io::Result<()> {
        let Handover { key, connections, datagrams } = sockets;
        let slot = match slots.iter().find(|slot| slot.key == key) {
            Some(slot) => slot.clone(),
            None => {
                let flows = datagrams.iter().find_map(|datagrams| match datagrams {
                    DatagramsIn::Flows(mouth) => Some(mouth.socket.local_addr()),
                    DatagramsIn::Quic(_) => None,
                });
                let Some(address) = connections.first().map(StdListener::local_addr).or(flows).transpose()? else {
                    return Ok(());
                };
                let slot = ListenerSlot::new(address, self.index, table());
                slots.push(slot.clone());
                slot
            }
        };
        for socket in connections {
            let socket = Rc::new(Acceptor::new(socket)?);
            slot.listens_by(&socket);
            slot.follow_doors();
            tokio::task::spawn_local(accept::run(socket, slot.clone(), self.clone()));
        }
        for socket in datagrams {
            match socket {
                DatagramsIn::Quic(mouth) => {
                    let plan = slot.table().plan.clone();
                    let endpoint = endpoint::open(mouth, &self.secrets, self.index, &self.let_go, &plan)?;
                    tokio::task::spawn_local(endpoint::run(endpoint, self.secrets.clone(), slot.clone(), self.clone()));
                }
                DatagramsIn::Flows(mouth) => {
                    let flows = udp::open(mouth, &slot, self)?;
                    self.remember(slot.address, &flows);
                    tokio::task::spawn_local(udp::run(flows, slot.clone(), self.clone()));
                }
            }
        }
        Ok(())
    }

    fn remember(&self, listener: SocketAddr, flows: &Rc<udp::Flows>) {
        let mut all = self.flows.borrow_mut();
        all.retain(|(_, flows)| flows.strong_count() > 0);
        all.push((listener, Rc::downgrade(flows)));
    }

    fn table(&self, listener: &Arc<crate::compile::plan::ListenerPlan>, tables: &Rc<Tables>) -> Rc<ListenerTable> {
        Rc::new(ListenerTable::new(listener.clone(), tables.clone(), self.random.next()))
    }

    fn tick(&self) {
        self.pulse.fetch_add(1, Ordering::Relaxed);
        self.clock.advance();
        let now = self.clock.tick();
        self.deadlines.sweep(now);
        let dropped = self.log.borrow_mut().tick();
        if dropped > 0 {
            tracing::warn!(lines = dropped, "access log is behind, lines were dropped");
        }
        if now.is_multiple_of(DROPS_LOOK) {
            self.slots.borrow().iter().for_each(|slot| slot.look_at_drops());
        }
        if now.is_multiple_of(POOL_SWEEP)
            && let Some(tables) = self.tables.borrow().as_ref()
        {
            tables.groups.iter().for_each(|group| group.sweep(now, self.clock.now()));
        }
    }

    /// Everything that was accepted has ended, and nothing more is accepted.
    fn is_done(&self) -> bool {
        self.is_draining() && self.connections.get() == 0
    }
}

/// A worker's life: commands and ticks; connections are tasks of their own.
async fn run(
    index: usize,
    log: LogWriter,
    most_connections: usize,
    secrets: Secrets,
    pressure: Arc<Pressure>,
    pulse: Arc<AtomicU32>,
    mut inbox: mpsc::UnboundedReceiver<Command>,
) {
    let worker = Rc::new(Worker::new(index, log, most_connections, secrets, pressure, pulse));
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let command = tokio::select! {
            biased;
            command = inbox.recv() => match command {
                Some(command) => command,
                // the control thread is gone
                None => break,
            },
            _ = ticks.tick() => {
                worker.tick();
                worker.feel_pressure().await;
                if worker.is_done() {
                    break;
                }
                continue;
            }
        };
        match command {
            Command::Apply { plan, sockets, done } => {
                worker.apply(&plan, sockets);
                let _ = done.send(());
            }
            Command::TakeOver { sockets, done } => {
                worker.take_over(sockets);
                let _ = done.send(());
            }
            Command::LetGo { done } => {
                let _ = done.send(worker.let_go());
                // queued connections are taken in by their accept tasks before anything is judged to be over
                tokio::task::yield_now().await;
            }
            Command::Look => worker.deadlines.wake_all(),
            Command::FollowMembers => worker.slots.borrow().iter().for_each(|slot| slot.follow_doors()),
            Command::Drain => {
                worker.enter(Phase::Draining);
                // queued connections are taken in by their accept tasks before anything is judged to be over
                tokio::task::yield_now().await;
                ticks = tokio::time::interval(Duration::from_millis(20));
            }
            Command::Stop => {
                worker.enter(Phase::Stopping);
                ticks = tokio::time::interval(Duration::from_millis(20));
            }
        }
    }
    worker.log.borrow_mut().tick();
}
