//! Names of targets to addresses, again and again as their time to live runs out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// A name is not asked for more often than this, whatever its time to live.
const SHORTEST: Duration = Duration::from_secs(1);
/// Nor less often than this: a record with a day's time to live would outlast most moves.
const LONGEST: Duration = Duration::from_secs(60);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// The system's resolver: `/etc/hosts`, then the servers of `/etc/resolv.conf`.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<TokioResolver>);

/// What a name stands for, and for how long.
pub(crate) struct Resolved {
    /// Empty when the name does not resolve.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) valid: Duration,
    pub(crate) error: Option<String>,
}

impl Resolver {
    /// With the system's settings; without any, only `/etc/hosts` is there.
    pub(crate) fn new() -> Result<Resolver, hickory_resolver::net::NetError> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no usable resolver settings, names come from the hosts file only");
            TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
        });
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.options_mut().timeout = Duration::from_secs(2);
        Ok(Resolver(Arc::new(builder.build()?)))
    }

    /// Looks a name up.
    pub(crate) async fn resolve(&self, host: &str) -> Resolved {
        match self.0.lookup_ip(host).await {
            Ok(found) => {
                let valid = found.valid_until().saturating_duration_since(Instant::now());
                let mut addresses: Vec<IpAddr> = found.iter().collect();
                addresses.sort();
                addresses.dedup();
                Resolved { addresses, valid: valid.clamp(SHORTEST, LONGEST), error: None }
            }
            Err(error) => Resolved { addresses: Vec::new(), valid: AGAIN, error: Some(error.to_string()) },
        }
    }
}
