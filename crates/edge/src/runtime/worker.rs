//! A worker: one thread with everything it owns, and the commands it takes.

use std::cell::{Cell, RefCell};
use std::net::{TcpListener as StdListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use headworks_balance::{Criticality, Overload};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use super::clock::{Clock, TICK};
use super::datagrams::{Batch, Datagrams};
use super::deadline::Deadlines;
use super::pool::Pool;
use super::pressure::Pressure;
use super::random::Random;
use super::socket::Acceptor;
use crate::compile::plan::{ListenerKey, Plan};
use crate::l4::udp;
use crate::listen::accept;
use crate::listen::slot::{ListenerSlot, ListenerTable, Tables};
use crate::observe::access_log::{Lines, LogWriter};
use crate::quic::steer::Mouth;
use crate::quic::{Secrets, endpoint};
use crate::tls::under_way::UnderWay;
use crate::upstream::group::GroupLocal;

/// Idle connections to targets are gone over every so many ticks.
pub(crate) const POOL_SWEEP: u32 = 8;

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
    /// Client connections open.
    pub(crate) connections: Cell<usize>,
    /// As many as there are descriptors for.
    most_connections: usize,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new connections; requests in flight are finished.
    Draining,
    /// Nothing is waited for any more.
    Stopping,
}

/// Sockets of a listener for one worker: those that are new.
pub(crate) struct Handover {
    pub(crate) key: ListenerKey,
    /// Where connections come in.
    pub(crate) connections: Option<StdListener>,
    /// Where datagrams do.
    pub(crate) datagrams: Option<DatagramsIn>,
}

/// A socket for datagrams, and what is spoken in them.
pub(crate) enum DatagramsIn {
    Quic(Mouth),
    /// Nothing that is looked at.
    Flows(UdpSocket),
}

/// What the control thread asks of a worker.
pub(crate) enum Command {
    /// Run this plan from now on. Sockets are those of new listeners; listeners that the plan does not have are closed.
    Apply { plan: Arc<Plan>, sockets: Vec<Handover>, done: oneshot::Sender<()> },
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
        let runtime = move || Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || match runtime() {
            Ok(runtime) => runtime.block_on(run(index, log, most_connections, secrets, pressure, inbox)),
            Err(error) => tracing::error!(%error, index, "cannot start the runtime of a worker"),
        })?;
        Ok(WorkerHandle { commands, thread: Some(thread) })
    }

    /// Hands over a command; one to a worker that has ended is lost.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Whether its thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished)
    }
}

impl Worker {
    pub(crate) fn is_draining(&self) -> bool {
        self.phase.get() >= Phase::Draining
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.phase.get() == Phase::Stopping
    }

    /// Whether there are no descriptors for another connection. To accept it would leave none for targets.
    pub(crate) fn is_full(&self) -> bool {
        let is_full = self.connections.get() >= self.most_connections;
        if is_full != self.was_full.replace(is_full) && is_full {
            tracing::warn!(
                connections = self.most_connections,
                worker = self.index,
                "as many connections as there are descriptors for, more have to wait"
            );
        }
        is_full
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
        let mut old: Vec<Rc<GroupLocal>> = before.map(|t| t.groups.clone()).unwrap_or_default();
        let groups = plan
            .groups
            .iter()
            .map(|group| {
                let kept = old.iter().position(|g| Arc::ptr_eq(&g.shared, &group.shared)).map(|i| old.swap_remove(i));
                let local = kept.unwrap_or_else(|| GroupLocal::new(group.shared.clone(), group.algorithm, self.index));
                local.configure(group.algorithm, group.budget);
                local
            })
            .collect();
        let tables = Rc::new(Tables { plan: plan.clone(), groups });
        let mut slots = self.slots.borrow_mut();
        let mut closes = false;
        slots.retain(|slot| {
            let is_new = |s: &Handover| s.connections.is_some() || matches!(s.datagrams, Some(DatagramsIn::Flows(_)));
            let moves = sockets.iter().any(|s| s.key == slot.key && is_new(s));
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
        for Handover { key, connections, datagrams } in sockets {
            if let Some(listener) = plan.listeners.iter().find(|l| l.key == key)
                && let Err(error) = self.listen(&mut slots, connections, datagrams, || self.table(listener, &tables))
            {
                tracing::error!(%error, listener = %key.listener, "cannot listen");
            }
        }
        drop(slots);
        *self.tables.borrow_mut() = Some(tables);
        old.iter().for_each(|group| group.retire());
        if closes {
            self.deadlines.wake_all();
        }
    }

    /// Takes in the sockets of a listener, which is among `slots` if it was there before.
    fn listen(
        self: &Rc<Self>,
        slots: &mut Vec<Rc<ListenerSlot>>,
        connections: Option<StdListener>,
        datagrams: Option<DatagramsIn>,
        table: impl Fn() -> Rc<ListenerTable>,
    ) -> io::Result<()> {
        let table = table();
        let address = match (&connections, &datagrams) {
            (Some(socket), _) => Some(socket.local_addr()?),
            (None, Some(DatagramsIn::Flows(socket))) => Some(socket.local_addr()?),
            (None, _) => None,
        };
        if let Some(address) = address {
            slots.push(ListenerSlot::new(address, self.index, table.clone()));
        }
        let Some(slot) = slots.iter().find(|slot| slot.key == table.plan.key) else { return Ok(()) };
        if let Some(socket) = connections {
            let socket = Rc::new(Acceptor::new(socket)?);
            slot.listens_by(&socket);
            slot.follow_doors();
            tokio::task::spawn_local(accept::run(socket, slot.clone(), self.clone()));
        }
        match datagrams {
            Some(DatagramsIn::Quic(mouth)) => {
                let endpoint = endpoint::open(mouth, &self.secrets, self.index, &table.plan)?;
                tokio::task::spawn_local(endpoint::run(endpoint, self.secrets.clone(), slot.clone(), self.clone()));
            }
            Some(DatagramsIn::Flows(socket)) => {
                tokio::task::spawn_local(udp::run(Datagrams::new(socket)?, slot.clone(), self.clone()));
            }
            None => {}
        }
        Ok(())
    }

    fn table(&self, listener: &Arc<crate::compile::plan::ListenerPlan>, tables: &Rc<Tables>) -> Rc<ListenerTable> {
        Rc::new(ListenerTable::new(listener.clone(), tables.clone(), self.random.next()))
    }

    fn tick(&self) {
        self.clock.advance();
        let now = self.clock.tick();
        self.deadlines.sweep(now);
        let dropped = self.log.borrow_mut().tick();
        if dropped > 0 {
            tracing::warn!(lines = dropped, "access log is behind, lines were dropped");
        }
        if now.is_multiple_of(POOL_SWEEP)
            && let Some(tables) = self.tables.borrow().as_ref()
        {
            tables.groups.iter().for_each(|group| group.sweep(now));
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
    mut inbox: mpsc::UnboundedReceiver<Command>,
) {
    let worker = Rc::new(Worker {
        index,
        clock: Clock::new(),
        pool: Pool::default(),
        deadlines: Deadlines::default(),
        random: Random::new(),
        batch: RefCell::default(),
        log: RefCell::new(Lines::new(log)),
        connections: Cell::new(0),
        most_connections,
        was_full: Cell::new(false),
        handshakes: UnderWay::default(),
        pressure,
        waits: Cell::default(),
        overload: Cell::default(),
        secrets,
        phase: Cell::new(Phase::Serving),
        tables: RefCell::new(None),
        slots: RefCell::default(),
    });
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
