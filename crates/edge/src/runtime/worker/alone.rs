//! A worker without a thread of its own, for tests: it lives on the runtime of whoever made it, by that one's clock.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::{LogWriter, Plan, Pressure, Secrets, TICK, Worker};
use crate::listen::slot::ListenerSlot;

impl Worker {
    /// One that runs this plan, and the place in it of each of the plan's listeners, to which nobody connects.
    pub(crate) fn alone(plan: &Arc<Plan>) -> (Rc<Worker>, Vec<Rc<ListenerSlot>>) {
        let log = LogWriter::start().expect("a writer of logs");
        let secrets = Secrets::new().expect("random numbers");
        let worker = Rc::new(Worker::new(0, log, usize::MAX, secrets, Arc::new(Pressure::new(1)), Arc::default()));
        worker.apply(plan, Vec::new());
        let tables = worker.tables.borrow().clone().expect("tables");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 80));
        let slot = |listener| ListenerSlot::new(nowhere, 0, worker.table(listener, &tables));
        let slots = plan.listeners.iter().map(slot).collect();
        (worker, slots)
    }

    /// Moves its clock, for ever.
    pub(crate) async fn live(self: Rc<Worker>) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    /// Closes what is idle towards targets, as if its time was over.
    pub(crate) fn close_idle(&self) {
        let tables = self.tables.borrow();
        tables.iter().flat_map(|tables| &tables.groups).for_each(|group| group.sweep(u32::MAX, self.clock.now()));
    }
}
