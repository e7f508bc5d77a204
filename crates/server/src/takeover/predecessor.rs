//! The new process's end: it meets the one that runs, takes what that has, and takes its place.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use headworks_edge::legacy::{FlowLegacy, Legacy};
use serde::Deserialize;
use tokio::time::timeout;

use super::claim::Claim;
use super::door;
use super::message::{Ask, Estate, Offer, PROTOCOL, Step};
use super::wire::Link;

/// The process that runs answers at once, unless it is in the midst of a reload.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a process to end that has hung up, and how often it is looked.
const ENDING: Duration = Duration::from_secs(5);
const LOOKS: u32 = 100;

/// Why there is nothing to take over.
#[derive(Debug)]
pub(crate) enum NoEstate {
    /// Nobody runs with this data folder.
    NotRunning(PathBuf),
    /// Somebody does, and refuses.
    Refused(String),
    /// Somebody does, and cannot be talked to.
    Io(PathBuf, io::Error),
}

impl fmt::Display for NoEstate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoEstate::NotRunning(path) => {
                write!(f, "no instance is running with this data folder: nobody answers at {}", path.display())
            }
            NoEstate::Refused(reason) => write!(f, "the running instance is not replaced: {reason}"),
            NoEstate::Io(path, error) => {
                write!(f, "the running instance is not replaced: {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for NoEstate {}

impl NoEstate {
    pub(crate) fn of(data: &Path, error: io::Error) -> NoEstate {
        let path = door::path(data);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NoEstate::NotRunning(path),
            _ => NoEstate::Io(path, error),
        }
    }
}

/// The process that runs, which has handed everything over and waits.
pub(crate) struct Predecessor {
    link: Link,
    path: PathBuf,
    /// Its admin address as it was declared, and what listens there.
    pub(crate) admin: (SocketAddr, OwnedFd),
    pub(crate) door: OwnedFd,
    /// Standard output and error.
    pub(crate) output: [OwnedFd; 2],
    pub(crate) held: Vec<OwnedFd>,
    pub(crate) pid: u32,
    pub(crate) version: String,
}

impl Predecessor {
    /// Asks the instance with this data folder for everything that it has.
    ///
    /// # Errors
    /// When there is none, or it does not hand over.
    pub(crate) async fn meet(data: &Path) -> Result<(Predecessor, Legacy), NoEstate> {
        let met = timeout(PATIENCE, Predecessor::ask(data)).await;
        met.unwrap_or_else(|_| Err(NoEstate::Refused("it does not answer".to_owned())))
    }

    async fn ask(data: &Path) -> Result<(Predecessor, Legacy), NoEstate> {
        let failed = |error| NoEstate::of(data, error);
        let unreadable =
            |what: &dyn fmt::Display| NoEstate::Refused(format!("what it hands over is not understood ({what})"));
        let mut link = door::knock(data).map_err(failed)?;
        let (version, pid) = (env!("CARGO_PKG_VERSION").to_owned(), std::process::id());
        link.send(&Ask::TakeOver { protocol: PROTOCOL, version, pid }, &[]).await.map_err(failed)?;
        let (offer, sockets) = link.receive().await.map_err(failed)?;
        let estate = match offer {
            Offer::Refused { reason } => return Err(NoEstate::Refused(reason)),
            Offer::Estate { estate } => Estate::deserialize(estate).map_err(|error| unreadable(&error))?,
        };
        let mut sockets = sockets.into_iter();
        let mut one = || sockets.next().ok_or_else(|| unreadable(&"descriptors are missing"));
        let (admin, door, output) = ((estate.admin, one()?), one()?, [one()?, one()?]);
        let held = (0..estate.held).map(|_| one()).collect::<Result<_, _>>()?;
        let path = door::path(data);
        let legacy = Legacy { known: estate.edge, sockets: sockets.collect() };
        let Estate { pid, version, .. } = estate;
        Ok((Predecessor { link, path, admin, door, output, held, pid, version }, legacy))
    }

    /// Says that nothing can fail any more, and waits for leave to take over. A process that is gone cannot refuse it.
    ///
    /// # Errors
    /// When it has given up waiting.
    pub(crate) async fn permission(&mut self) -> Result<(), NoEstate> {
        let asked = async {
            self.link.send(&Step::Ready, &[]).await?;
            self.link.receive().await
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok((step, descriptors))) => permitted(step, descriptors).map_err(NoEstate::Refused),
            // one that has given up may have hung up without a word: it goes on then
            Ok(Err(error)) if is_gone(&error) && has_ended(self.pid).await => {
                tracing::warn!(pid = self.pid, "the process before has ended on its own");
                Ok(())
            }
            Ok(Err(error)) => Err(NoEstate::Io(self.path.clone(), error)),
            Err(_) => Err(NoEstate::Refused("it does not answer".to_owned())),
        }
    }

    /// Says that this process serves, and waits until the other one has let go: of which flows of datagrams. Whatever comes
    /// of it, this one is the one that serves.
    pub(crate) async fn succeed(&mut self) -> Vec<FlowLegacy> {
        let asked = async {
            self.link.send(&Step::Serving, &[]).await?;
            self.link.receive().await
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok((Step::Released { flows }, sockets))) => {
                let flows = flows.into_iter().zip(sockets);
                flows.map(|(known, socket)| FlowLegacy { known, socket }).collect()
            }
            Ok(Ok((step, _))) => {
                tracing::error!(?step, "the process before does not say what it should");
                Vec::new()
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the process before has ended too early");
                Vec::new()
            }
            Err(_) => {
                tracing::error!("the process before does not let go");
                Vec::new()
            }
        }
    }
}

/// Whether what was said is leave to take over: the claim, where one comes with it, is taken by this.
///
/// # Errors
/// Why not.
pub(super) fn permitted(said: Step, descriptors: Vec<OwnedFd>) -> Result<(), String> {
    match (said, descriptors.into_iter().next().map(Claim::of)) {
        (Step::Go, None) => Ok(()),
        (Step::Go, Some(claim)) if claim.take() => Ok(()),
        (Step::Go, Some(_)) => Err("it has waited too long, and goes on".to_owned()),
        (Step::GivenUp { reason }, _) => Err(reason),
        (step, _) => Err(format!("it says {step:?}")),
    }
}

/// Whether a process that has hung up ends, which closes its links first.
async fn has_ended(pid: u32) -> bool {
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // behind the name, which is in brackets and may have some itself
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    };
    let mut looks = 0;
    while is_there() && looks < LOOKS {
        looks += 1;
        tokio::time::sleep(ENDING / LOOKS).await;
    }
    !is_there()
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
