//! Bounds of what is in flight and of what waits: per target, and per group.

use std::time::Duration;

use crate::declared::{Cx, Factor, Fields, Lasts, Within, declared};

declared! {
    /// Bounds of what is in flight, and of who waits for a place; 0: none. Over them: 503 at once.
    #[derive(Clone, Debug, PartialEq)]
    #[check = check_limits]
    pub struct TargetLimits {
        /// Requests, or flows, in flight to one target, over all workers; and connections of HTTP/1.1 to it, of which idle
        /// ones are closed for those that are needed.
        pub max_connections: u32 = 0,
        /// Requests in flight to the whole group, over all workers.
        pub max_requests: u32 = 0,
        /// Requests that wait for one of those places, for each target that may be chosen; the oldest is served first.
        pub max_pending: u32 = 0,
        /// How long a request waits at most; 10 ms to 1 h, default 5 s.
        #[via = Lasts<10, 3_600_000>]
        pub pending_timeout: Duration = Duration::from_secs(5),
        /// Finds out by itself how many requests the group can have in flight; absent: only what is declared holds.
        pub adaptive: Option<Adaptive> = None,
    }
}

impl Default for TargetLimits {
    fn default() -> Self {
        Self {
            max_connections: 0,
            max_requests: 0,
            max_pending: 0,
            pending_timeout: Duration::from_secs(5),
            adaptive: None,
        }
    }
}

impl TargetLimits {
    /// Whether anything is bounded.
    pub fn is_any(&self) -> bool {
        self.max_connections > 0 || self.bounds_group()
    }

    /// Whether what the whole group has in flight is bounded.
    pub fn bounds_group(&self) -> bool {
        self.max_requests > 0 || self.adaptive.is_some()
    }
}

declared! {
    /// Adaptive concurrency: more in flight while answers take as long as usual, fewer when they take longer.
    #[derive(Clone, Debug, PartialEq)]
    #[check = check_adaptive]
    pub struct Adaptive {
        /// Never fewer; default 10.
        #[via = Within<1, 1_000_000>]
        pub minimum: u32 = 10,
        /// Never more; default 1000.
        #[via = Within<1, 1_000_000>]
        pub maximum: u32 = 1000,
        /// How many times the usual latency still counts as usual; 1 to 1,000, default 2.
        #[via = Factor]
        pub tolerance: f64 = 2.0,
    }
}

fn check_limits<'a>(limits: &TargetLimits, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if limits.max_pending > 0
        && !limits.is_any()
        && let Some(node) = fields.get("max_pending")
    {
        cx.warn(
            node.mark,
            "nobody waits: neither max_connections nor max_requests nor adaptive bounds what is in flight",
        );
    }
    if limits.max_pending == 0 && limits.pending_timeout != TargetLimits::default().pending_timeout {
        fields.only_with("pending_timeout", "it with max_pending only", cx);
    }
}

fn check_adaptive<'a>(adaptive: &Adaptive, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if adaptive.minimum > adaptive.maximum {
        fields.wrong("minimum", "is more than maximum", "a number of at most maximum", cx);
    }
}
