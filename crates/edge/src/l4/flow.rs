//! A flow: what lives as long as the client's connection, and what is told of it at its end.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use headworks_message::client_hello::ClientHello;
use headworks_model::target_group::ProxyProtocolVersion;

use crate::guard::Admission;
use crate::l7::connection::Open;
use crate::listen::arrival::{Arrival, Known, canonical};
use crate::listen::slot::ListenerSlot;
use crate::observe::flow::{Ended, FlowRecord, Names};
use crate::runtime::deadline::Timer;
use crate::runtime::worker::Worker;
use crate::tls::session::Session;
use crate::upstream::announce;

/// From here on the coarse clock is sharp enough to wait by.
const ROUGH_FROM: Duration = Duration::from_secs(1);

/// A flow.
pub(super) struct Flow {
    pub(super) worker: Rc<Worker>,
    pub(super) slot: Rc<ListenerSlot>,
    pub(super) peer: SocketAddr,
    /// What targets may be told of the client.
    pub(super) known: Option<Box<Known>>,
    pub(super) timer: Timer,
    /// As it was when the flow began.
    pub(super) idle_timeout: Duration,
    pub(super) record: FlowRecord,
    open: Open,
    admission: Admission,
}

/// What the client has said before its first byte is carried.
pub(super) enum Spoken {
    Nothing,
    /// Its ClientHello, which goes on to the target.
    Hello(ClientHello),
    /// Its TLS ends here; and what was agreed on by ALPN.
    Tls {
        session: Box<Session>,
        protocol: Option<Box<[u8]>>,
    },
}

impl Spoken {
    pub(super) fn hello(&self) -> Option<&ClientHello> {
        match self {
            Spoken::Hello(hello) => Some(hello),
            Spoken::Nothing | Spoken::Tls { .. } => None,
        }
    }
}

/// How a wait ended without what was waited for.
pub(super) enum Stopped {
    Failed(io::Error),
    TimedOut,
    /// The program stops.
    Stopping,
}

impl Flow {
    pub(super) fn open(arrival: Arrival, slot: Rc<ListenerSlot>, worker: Rc<Worker>) -> Flow {
        let Arrival { peer, known, admission } = arrival;
        let plan = &slot.table().plan;
        let record = FlowRecord { started: plan.log.is_some().then(Instant::now), ..FlowRecord::default() };
        let (open, timer, idle_timeout) = (Open::new(&slot, &worker), Timer::new(&worker), plan.idle_timeout);
        Flow { worker, slot, peer, known, timer, idle_timeout, record, open, admission }
    }

    /// Keeps what the log will want of what the client has said.
    pub(super) fn remember(&mut self, spoken: &Spoken) {
        if self.record.started.is_none() {
            return;
        }
        match spoken {
            Spoken::Nothing => {}
            Spoken::Hello(hello) => self.record.server_name = hello.server_name.clone(),
            Spoken::Tls { session, protocol } => {
                self.record.server_name = session.server_name.clone();
                self.record.tls = Some((session.version, session.cipher));
                self.record.protocol = protocol.clone();
            }
        }
    }

    /// What a target is told of the client first, if it is told.
    pub(super) fn announcement(&self, version: ProxyProtocolVersion, spoken: &Spoken) -> Option<Vec<u8>> {
        let local = self.known.as_ref().map_or(self.slot.address, |known| known.local);
        let records = self.known.as_ref().map_or(&[][..], |known| &known.records);
        let session = match spoken {
            Spoken::Tls { session, .. } => Some(&**session),
            Spoken::Nothing | Spoken::Hello(_) => None,
        };
        let server_name = spoken.hello().and_then(|hello| hello.server_name.as_deref());
        let local = canonical(local);
        let client = announce::Client { address: self.peer, local, session, server_name, records };
        announce::header(version, Some(&client))
    }

    /// The client did what it is kept out for when it does so again and again.
    pub(super) fn offended(&self) {
        self.slot.table().plan.guard.offended(&self.admission);
    }

    /// Bounds a wait.
    pub(super) fn arm(&mut self, wait: Duration) {
        if wait < ROUGH_FROM {
            self.timer.arm(wait);
        } else {
            self.timer.arm_roughly(wait);
        }
    }

    /// Waits as long as the timer allows.
    pub(super) async fn in_time<T>(
        &mut self,
        mut future: Pin<&mut impl Future<Output = io::Result<T>>>,
    ) -> Result<T, Stopped> {
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(Stopped::Failed)),
            Poll::Pending if self.worker.is_stopping() => Poll::Ready(Err(Stopped::Stopping)),
            Poll::Pending if self.timer.poll_expired(cx) => Poll::Ready(Err(Stopped::TimedOut)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Writes the access log's line and adds to the counters: the flow's one event.
    pub(super) fn finish(self, ended: Ended) {
        // whoever sees that it has ended does not find it among those that are active
        drop(self.open);
        let counters = self.slot.counters();
        counters.flows.ended(ended);
        let table = self.slot.table();
        let Some(log) = &table.plan.log else { return };
        if log.sample.is_some_and(|below| self.worker.random.next() >= below) {
            return;
        }
        let names = Names { json: &table.plan.json_names, client: self.peer };
        let dropped = self.worker.log.borrow_mut().add_flow(log, &self.record, &names, ended);
        counters.access_log_dropped.add(dropped);
    }
}
