//! Connections to a target whose number is bounded, over all workers: those that wait for a request give way to one that has
//! one. Servers that have a process for each connection would leave it waiting else, behind connections on which nothing comes.

use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::target::{TargetLocal, TargetShared};

/// The connections of HTTP/1.1 that are open to a target, where they are bounded.
#[derive(Default)]
pub(crate) struct Sockets {
    open: AtomicU32,
    most: AtomicU32,
    /// There are too many: whoever has one that is idle is to close it.
    crowded: Notify,
}

/// A connection that counts while this lives.
pub(crate) struct Counted(Arc<TargetShared>);

impl Sockets {
    /// Whether there are more than there may be.
    pub(super) fn is_crowded(&self) -> bool {
        self.open.load(Ordering::SeqCst) > self.most.load(Ordering::Relaxed)
    }

    /// Has everybody look who [gives way](give_way).
    pub(super) fn call(&self) {
        self.crowded.notify_waiters();
    }
}

impl Counted {
    /// A connection is to be opened, of which there may be `most`: an idle one is closed for it, whichever worker has it. None
    /// where there may be any number, 0.
    pub(crate) fn new(target: &Arc<TargetShared>, most: u32) -> Option<Counted> {
        if most == 0 {
            return None;
        }
        let sockets = &target.sockets;
        sockets.most.store(most, Ordering::Relaxed);
        sockets.open.fetch_add(1, Ordering::SeqCst);
        if sockets.is_crowded() {
            sockets.call();
        }
        Some(Counted(target.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.sockets.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Closes idle connections of one worker whenever there are too many, until nobody has the target any more.
pub(super) async fn give_way(shared: Arc<TargetShared>, target: Weak<TargetLocal>) {
    loop {
        let mut called = pin!(shared.sockets.crowded.notified());
        // whoever calls from here on is heard
        called.as_mut().enable();
        let Some(target) = target.upgrade() else { return };
        target.give_way();
        drop::<Rc<TargetLocal>>(target);
        called.await;
    }
}
