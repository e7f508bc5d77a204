//! What the control loop keeps of those that want to take over from this process: who is at the door, the program that was
//! started for it, and the one that it is handing over to. One at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::claim::Claim;
use super::door::{Asked, Door};
use super::message::Upgraded;
use super::spawn::{Order, Spawned};
use super::successor::{Outcome, refuse, succeed};
use super::wire::Link;

/// See the module's description.
pub(crate) struct Succession {
    door: Option<Door>,
    attending: Option<AbortHandle>,
    asks: mpsc::Receiver<Asked>,
    spawned: Option<Spawned>,
    session: Option<Session>,
    outcomes: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
    doubts: (mpsc::Sender<String>, mpsc::Receiver<String>),
}

/// A process that is taking over.
struct Session {
    pid: u32,
    task: AbortHandle,
    /// The claim to serve, from when the process is given leave.
    claim: Arc<OnceLock<Claim>>,
}

/// What has happened.
pub(crate) enum Event {
    Asked(Asked),
    Outcome(Outcome),
    /// What speaks against the program that was started.
    Doubt(String),
}

impl Succession {
    /// Attends at a door; nobody ever takes over from a process without.
    pub(crate) fn new(door: Option<Door>) -> Succession {
        let (asks, asked) = mpsc::channel(4);
        let attending = door.as_ref().and_then(|door| match door.duplicate() {
            Ok(listener) => Some(tokio::spawn(Door::attend(listener, asks)).abort_handle()),
            Err(error) => {
                tracing::error!(%error, "nobody can take over from this process");
                None
            }
        });
        Succession {
            door,
            attending,
            asks: asked,
            spawned: None,
            session: None,
            outcomes: mpsc::channel(1),
            doubts: mpsc::channel(1),
        }
    }

    /// Opens the door of a data folder, or says why there is none.
    pub(crate) fn door(data: &Path) -> Option<Door> {
        let opened = Door::open(data);
        opened.inspect_err(|error| tracing::warn!(%error, "nobody can take over from this process while it runs")).ok()
    }

    /// The door of the process before.
    pub(crate) fn taken_over(door: OwnedFd, data: &Path) -> Option<Door> {
        let taken = Door::taken_over(door, data);
        taken.inspect_err(|error| tracing::warn!(%error, "nobody can take over from this process while it runs")).ok()
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(outcome) = self.outcomes.1.recv() => Event::Outcome(outcome),
            Some(doubt) = self.doubts.1.recv() => Event::Doubt(doubt),
            Some(asked) = self.asks.recv() => Event::Asked(asked),
            else => std::future::pending().await,
        }
    }

    /// Whether a process has been handed what there is: until it is clear what comes of that, nothing must change.
    pub(crate) fn is_under_way(&self) -> bool {
        self.session.is_some()
    }

    /// Another descriptor of the door.
    ///
    /// # Errors
    /// When there is none, or no more descriptors.
    pub(crate) fn duplicate_door(&self) -> io::Result<OwnedFd> {
        self.door.as_ref().ok_or(io::ErrorKind::NotFound)?.duplicate()
    }

    /// Starts a program that is to take over.
    pub(crate) async fn start(&mut self, order: Order, mut link: Link, ready_within: Duration) {
        if let Some(pid) = self.spawned.as_ref().map(|s| s.pid).or(self.session.as_ref().map(|s| s.pid)) {
            let reason = format!("process {pid} is about to take over already");
            let _ = link.send(&Upgraded::Failed { status: None, reason }, &[]).await;
            return;
        }
        self.spawned = order.run(link, ready_within, self.doubts.0.clone()).await;
    }

    /// Whether a process may take over now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn admit(&self, pid: u32) -> Result<(), String> {
        let others = [self.session.as_ref().map(|s| s.pid), self.spawned.as_ref().map(|s| s.pid).filter(|p| *p != pid)];
        match others.into_iter().flatten().next() {
            Some(other) => Err(format!("process {other} is about to take over already")),
            None => Ok(()),
        }
    }

    /// Hands everything to a process; what comes of it is an event.
    pub(crate) fn offer(
        &mut self,
        pid: u32,
        link: Link,
        estate: io::Result<(Value, Vec<OwnedFd>)>,
        ready_within: Duration,
    ) {
        let (estate, sockets) = match estate {
            Ok(estate) => estate,
            Err(error) => {
                tracing::error!(%error, "nothing can be handed over");
                tokio::spawn(refuse(link, format!("nothing can be handed over ({error})")));
                return;
            }
        };
        tracing::info!(pid, "a process is about to take over");
        let (outcomes, claim) = (self.outcomes.0.clone(), Arc::new(OnceLock::new()));
        let place = claim.clone();
        let task = tokio::spawn(async move {
            let _ = outcomes.send(succeed(link, (estate, sockets), ready_within, &place).await).await;
        });
        self.session = Some(Session { pid, task: task.abort_handle(), claim });
    }

    /// The process that is taking over.
    pub(crate) fn pid(&self) -> u32 {
        self.session.as_ref().map_or(0, |session| session.pid)
    }

    /// Who comes to the door from now on waits for the new process.
    pub(crate) fn stop_attending(&mut self) {
        self.attending.take().inspect(AbortHandle::abort);
    }

    /// The new process serves, and whoever has asked for it is told: which one.
    pub(crate) fn serves(&mut self) -> u32 {
        let pid = self.session.take().map_or(0, |session| session.pid);
        if let Some(spawned) = self.spawned.take() {
            spawned.serves();
        }
        // its path is the new one's
        self.door = None;
        pid
    }

    /// Something speaks against the new process: it does not take over, unless it has claimed to serve already. That may accept by
    /// now, and what it has accepted is its to answer: its link tells what comes of it.
    pub(crate) fn doubt(&mut self, reason: &str) {
        let claim = self.session.as_ref().and_then(|session| session.claim.get());
        if claim.is_none_or(Claim::take) {
            self.give_up(reason);
        }
    }

    /// Nobody takes over for now, for this reason.
    pub(crate) fn give_up(&mut self, reason: &str) {
        let session = self.session.take().inspect(|session| session.task.abort()).map(|session| session.pid);
        let spawned = self.spawned.take();
        let Some(pid) = session.or(spawned.as_ref().map(|spawned| spawned.pid)) else { return };
        tracing::error!(pid, reason, "the new process does not take over, this one goes on");
        if let Some(spawned) = spawned {
            spawned.failed(reason);
        }
    }

    /// The instance ends, and nobody goes on with it.
    pub(crate) fn close(mut self) {
        self.give_up("the running instance stops");
        self.stop_attending();
        if let Some(door) = self.door.take() {
            door.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::UnixStream;

    use super::super::message::{Offer, Step};
    use super::super::predecessor::permitted;
    use super::*;

    /// A doubt comes up before, or after, the new process has claimed to serve: whether that then accepts.
    async fn doubted(is_claimed: bool) -> bool {
        let (old, new) = UnixStream::pair().unwrap();
        let (old, mut new) = (Link::new(old), Link::new(new));
        let mut succession = Succession::new(None);
        succession.offer(7, old, Ok((json!({}), Vec::new())), Duration::from_secs(60));
        let Ok((Offer::Estate { .. }, _)) = new.receive().await else { panic!("no estate") };
        new.send(&Step::Ready, &[]).await.unwrap();
        let (said, descriptors) = new.receive::<Step>().await.unwrap();
        if !is_claimed {
            succession.doubt("whoever asked for it is gone");
            assert!(!succession.is_under_way());
            return permitted(said, descriptors).is_ok();
        }
        let accepts = permitted(said, descriptors).is_ok();
        succession.doubt("whoever asked for it is gone");
        assert!(succession.is_under_way());
        new.send(&Step::Serving, &[]).await.unwrap();
        assert!(matches!(succession.next().await, Event::Outcome(Outcome::Serving(_))));
        accepts
    }

    #[tokio::test]
    async fn a_doubt_comes_too_late_for_one_that_has_claimed_to_serve() {
        assert!(doubted(true).await);
        assert!(!doubted(false).await);
    }
}
