//! Another process takes over: what it is given, and what is left to do here.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::Ordering;

use headworks_edge::legacy::Legacy;
use serde_json::Value;

use super::{Control, End, Signals};
use crate::systemd;
use crate::takeover::door::Asked;
use crate::takeover::message::{Ask, Estate, Upgraded};
use crate::takeover::spawn::Order;
use crate::takeover::succession::{Event, Succession};
use crate::takeover::successor::{self, Outcome};
use crate::takeover::wire::Link;

impl Control {
    /// Does what somebody who wants to take over asks for. The new process, once it serves.
    pub(super) async fn follow(&mut self, event: Event, succession: &mut Succession, watch: bool) -> Option<Link> {
        let ready_within = self.loaded.config.upgrade.ready_within;
        match event {
            Event::Outcome(Outcome::Serving(link)) => return Some(link),
            Event::Outcome(Outcome::GivenUp(reason)) => succession.give_up(&reason),
            Event::Doubt(reason) => succession.doubt(&reason),
            Event::Asked(Asked { ask: Ask::Upgrade { program, file }, descriptors, mut link }) => {
                let Some(errors) = descriptors.into_iter().next() else {
                    let reason = "it was not said where complaints go".to_owned();
                    let _ = link.send(&Upgraded::Failed { status: None, reason }, &[]).await;
                    return None;
                };
                succession.start(Order { program, file, watch, errors }, link, ready_within).await;
            }
            Event::Asked(Asked { ask: Ask::TakeOver { protocol, version, pid }, link, .. }) => {
                let refused = successor::mismatch(protocol, &version).or_else(|| succession.admit(pid).err());
                if let Some(reason) = refused {
                    tracing::warn!(pid, reason, "a process does not take over");
                    tokio::spawn(successor::refuse(link, reason));
                    return None;
                }
                let estate = self.estate(succession).await;
                succession.offer(pid, link, estate, ready_within);
            }
        }
        None
    }

    /// Everything that the new process is given.
    async fn estate(&self, succession: &Succession) -> io::Result<(Value, Vec<OwnedFd>)> {
        let mut sockets = vec![
            self.admin_socket.0.try_clone()?,
            succession.duplicate_door()?,
            io::stdout().as_fd().try_clone_to_owned()?,
            io::stderr().as_fd().try_clone_to_owned()?,
        ];
        for held in &self.held {
            sockets.push(held.try_clone()?);
        }
        let Legacy { known, sockets: of_edge } = self.edge.bequeath().await?;
        sockets.extend(of_edge);
        let estate = Estate {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            admin: self.loaded.config.admin.address,
            held: self.held.len(),
            edge: known,
        };
        Ok((serde_json::to_value(estate)?, sockets))
    }

    /// The new process serves. What is open is finished here, for as long as `upgrade.deadline` allows, then as if the
    /// program stopped.
    pub(super) async fn give_way(mut self, link: Link, mut succession: Succession, signals: &mut Signals) -> End {
        succession.stop_attending();
        let flows = self.edge.let_go().await;
        let (_, leave) = self.admin_socket;
        let _ = leave.send(());
        self.admin.ready.store(false, Ordering::Release);
        systemd::succeeded_by(succession.pid());
        successor::release(link, flows).await;
        let pid = succession.serves();
        // orders of certificates are the other's
        drop(self.acme);
        tracing::info!(pid, "another process serves, finishing what is open");
        let (upgrade, shutdown) = (&self.loaded.config.upgrade, &self.loaded.config.shutdown);
        let mut late = pin!(tokio::time::sleep(upgrade.deadline));
        let is_finished = loop {
            tokio::select! {
                () = self.edge.finished() => break true,
                () = &mut late => break false,
                _ = signals.terminate.recv() => break false,
                _ = signals.interrupt.recv() => break false,
                _ = signals.reopen.recv() => self.edge.reopen_logs(),
            }
        };
        if !is_finished {
            tokio::select! {
                clean = self.edge.drain(shutdown.deadline) => {
                    if !clean {
                        tracing::warn!("deadline is over, connections were cut off");
                    }
                }
                () = signals.stop_now() => tracing::warn!("stopped at once"),
            }
        }
        self.plane.settle().await;
        tracing::info!("replaced");
        End::Replaced
    }
}
