//! Starting a program in the place of this one, because somebody has asked for it: as the same user, in the same control
//! group, under the same limits and with the same environment. Whoever asks may be somebody else, somewhere else.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::message::Upgraded;
use super::wire::Link;

/// For an answer to somebody who is still there.
const PATIENCE: Duration = Duration::from_secs(5);
/// For a program that has been told that it does not take over, to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program that was started to take over.
pub(crate) struct Spawned {
    pub(crate) pid: u32,
    /// Takes what comes of it: it serves, or why it does not.
    done: oneshot::Sender<Result<(), String>>,
}

/// What is to be started.
pub(crate) struct Order {
    pub(crate) program: PathBuf,
    pub(crate) file: PathBuf,
    /// `--watch`
    pub(crate) watch: bool,
    /// Where the program complains until it is ready.
    pub(crate) errors: OwnedFd,
}

impl Order {
    fn start(self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(&self.file).arg("--successor-of").arg(std::process::id().to_string());
        if self.watch {
            command.arg("--watch");
        }
        // of sockets it gets ours; and its watchdog is its own
        for name in ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(self.errors.try_clone()?).stderr(self.errors);
        command.spawn()
    }

    /// Starts it, and tells whoever is at the other end of `link` what comes of it; none when it cannot be started. What
    /// speaks against it goes to `doubts`: that it has ended, that it is not ready within `ready_within`, that nobody waits
    /// for it any more.
    pub(crate) async fn run(
        self,
        mut link: Link,
        ready_within: Duration,
        doubts: mpsc::Sender<String>,
    ) -> Option<Spawned> {
        let program = self.program.clone();
        let child = match self.start() {
            Ok(child) => child,
            Err(error) => {
                let reason = format!("cannot start {}: {error}", program.display());
                tracing::error!("{reason}");
                answer(&mut link, &Upgraded::Failed { status: None, reason }).await;
                return None;
            }
        };
        let pid = child.id().unwrap_or_default();
        tracing::info!(pid, program = %program.display(), "started a program that is to take over");
        let (done, outcome) = oneshot::channel();
        tokio::spawn(watch(child, pid, link, Watching { outcome, doubts, ready_within }));
        Some(Spawned { pid, done })
    }
}

struct Watching {
    outcome: oneshot::Receiver<Result<(), String>>,
    doubts: mpsc::Sender<String>,
    ready_within: Duration,
}

impl Spawned {
    /// It serves.
    pub(crate) fn serves(self) {
        let _ = self.done.send(Ok(()));
    }

    /// It does not: it is put an end to.
    pub(crate) fn failed(self, reason: &str) {
        let _ = self.done.send(Err(reason.to_owned()));
    }
}

/// Tells the control loop of all that speaks against the new process, and leaves it to that to decide: it may serve already.
async fn watch(mut child: Child, pid: u32, mut link: Link, mut watching: Watching) {
    let doubt = tokio::select! {
        biased;
        outcome = &mut watching.outcome => return conclude(child, pid, link, outcome).await,
        status = child.wait() => ended(&status),
        () = tokio::time::sleep(watching.ready_within) => {
            format!("it was not ready within {} s", watching.ready_within.as_secs_f64())
        }
        () = link.closed() => "whoever asked for it is gone".to_owned(),
    };
    let _ = watching.doubts.send(doubt).await;
    let outcome = watching.outcome.await;
    conclude(child, pid, link, outcome).await;
}

async fn conclude(
    mut child: Child,
    pid: u32,
    mut link: Link,
    outcome: Result<Result<(), String>, oneshot::error::RecvError>,
) {
    let reason = match outcome {
        Ok(Ok(())) => return answer(&mut link, &Upgraded::Serving { pid, replaced: std::process::id() }).await,
        Ok(Err(reason)) => reason,
        Err(_) => "the running instance stops".to_owned(),
    };
    // what ends by itself says why by its status
    let status = match timeout(LAST_WORDS, child.wait()).await {
        Ok(status) => status.ok().and_then(|status| status.code()),
        Err(_) => {
            let _ = child.kill().await;
            None
        }
    };
    answer(&mut link, &Upgraded::Failed { status, reason }).await;
}

fn ended(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("it ended before it was ready ({status})"),
        Err(error) => format!("it cannot be waited for ({error})"),
    }
}

async fn answer(link: &mut Link, answer: &Upgraded) {
    let _ = timeout(PATIENCE, link.send(answer, &[])).await;
}
