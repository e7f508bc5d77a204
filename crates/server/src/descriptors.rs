//! Descriptors: as many as the system allows, and what they are enough for.
//!
//! A connection takes one, and another to its target. The data plane stops accepting before there are none left, so that
//! what is open goes on; new connections wait in the kernel meanwhile.

use headworks_model::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For listeners, targets' idle connections, files, and the admin address; a tenth of all, where that is more.
const RESERVE: u64 = 128;
/// Connections at once that any instance should have room for.
const FEW: usize = 1000;
/// What to do about it.
const RAISE: &str = "raise the limit (ulimit -n, LimitNOFILE=)";

/// Raises the limit of this process as far as it may; how many it has then.
pub(crate) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many this process could have.
pub(crate) fn most() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// What is not for connections of clients and their targets, of so many descriptors.
fn reserve(descriptors: u64) -> u64 {
    RESERVE.max(descriptors / 10)
}

/// Connections of clients that so many descriptors are enough for.
pub(crate) fn connections(descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(reserve(descriptors));
    usize::try_from(left / 2).unwrap_or(usize::MAX).max(1)
}

/// Workers, unless a configuration says otherwise: one for each core.
pub(crate) fn workers(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.workers.map_or_else(cores, |n| usize::from(n.get()))
}

/// What to say when descriptors are too few for what a configuration declares, or for anybody.
pub(crate) fn shortage(config: &Config, descriptors: u64) -> impl Iterator<Item = String> {
    let possible = connections(descriptors);
    let declared: u64 = config.listeners().map(|(.., listener)| u64::from(listener.limits.connections)).sum();
    let connections = (declared > possible as u64).then(|| {
        format!(
            "limits of listeners allow {declared} connections in all, {descriptors} open files are enough for {possible}: {RAISE}"
        )
    });
    let few = (connections.is_none() && possible < FEW)
        .then(|| format!("{descriptors} open files are enough for {possible} connections only: {RAISE}"));
    let carriers: usize = config.listeners().map(|(.., listener)| listener.carriers().len()).sum();
    let sockets = carriers * workers(config);
    // half of it is for everything else
    let crowded = (sockets as u64 > reserve(descriptors) / 2).then(|| {
        format!("listeners take {sockets} sockets, one for each worker, and {descriptors} open files leave few for them: {RAISE}")
    });
    [connections, few, crowded].into_iter().flatten()
}
