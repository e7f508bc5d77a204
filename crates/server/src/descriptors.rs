//! Descriptors: as many as the system allows, and what they are enough for.
//!
//! A connection takes one, and another to its target. The data plane stops accepting before there are none left, so that
//! what is open goes on; new connections wait in the kernel meanwhile.

use headworks_model::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For listeners, targets' idle connections, files, and the admin address; a tenth of all, where that is more.
const RESERVE: u64 = 128;

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

/// Connections of clients that so many descriptors are enough for.
pub(crate) fn connections(descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(RESERVE.max(descriptors / 10));
    usize::try_from(left / 2).unwrap_or(usize::MAX).max(1)
}

/// What to say when descriptors are too few for the connections that a configuration declares.
pub(crate) fn shortage(config: &Config, descriptors: u64) -> Option<String> {
    let declared: u64 = config.listeners().map(|(.., listener)| u64::from(listener.limits.connections)).sum();
    let possible = connections(descriptors);
    (declared > possible as u64).then(|| {
        format!(
            "limits of listeners allow {declared} connections in all, {descriptors} open files are enough for {possible}: \
             raise the limit (ulimit -n, LimitNOFILE=)"
        )
    })
}
