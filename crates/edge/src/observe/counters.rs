//! Counters with one writer each: a worker adds, the admin address sums over workers when it reads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use headworks_balance::RetryReason;
use headworks_message::encoding::ContentCoding;

use super::flow::Ended;
use super::histogram::Histogram;
use crate::guard::reason::Reason;
use crate::listen::proxied::Refusal;
use crate::tls::failure::Failure;
use crate::tls::session::Session;

/// A counter or gauge that exactly one thread writes: an addition is a load and a store, no locked instruction.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of statuses 100 to 599; others count as 599. They take room from the first on: of a hundred thousand targets, most
/// have had no request yet.
#[derive(Default)]
pub(crate) struct Statuses(OnceLock<Box<[Count]>>);

impl Statuses {
    #[inline]
    pub(crate) fn add(&self, status: u16) {
        let slot = usize::from(status.clamp(100, 599) - 100);
        let counts = self.0.get_or_init(|| (100..600).map(|_| Count::default()).collect());
        if let Some(count) = counts.get(slot) {
            count.add(1);
        }
    }

    /// Those from 500 on.
    pub(crate) fn server_errors(&self) -> u64 {
        self.0.get().and_then(|counts| counts.get(400..)).into_iter().flatten().map(Count::read).sum()
    }

    /// (status, count) of those seen.
    pub(crate) fn seen(&self) -> impl Iterator<Item = (u16, u64)> {
        self.0.get().into_iter().flatten().enumerate().map(|(i, c)| (i as u16 + 100, c.read())).filter(|(_, n)| *n > 0)
    }
}

/// One worker's counters of one listener. They live as long as the listener is declared, over reloads.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct ListenerCounters {
    pub(crate) new_connections: Count,
    pub(crate) active_connections: Count,
    /// Connections that were refused, in the order of [`Reason::ALL`].
    refused: [Count; Reason::ALL.len()],
    /// Packets that the kernel dropped, as of the last look: what would have begun connections, and datagrams of flows.
    pub(crate) dropped_packets: Count,
    pub(crate) requests: Count,
    /// Requests for which a target was chosen (H13).
    pub(crate) routed_requests: Count,
    pub(crate) received_bytes: Count,
    pub(crate) sent_bytes: Count,
    /// Answers that came from a target.
    pub(crate) target_statuses: Statuses,
    /// Answers that the load balancer made.
    pub(crate) own_statuses: Statuses,
    pub(crate) latency: Histogram,
    /// Requests by desync tier, [`headworks_message::Tier`] as index.
    pub(crate) tiers: [Count; 4],
    pub(crate) dropped_invalid_headers: Count,
    pub(crate) forwarded_invalid_headers: Count,
    pub(crate) redirect_too_long: Count,
    pub(crate) upgrades: Count,
    pub(crate) access_log_dropped: Count,
    /// Requests refused because the program had too much to do: sheddable ones, then others.
    pub(crate) shed: [Count; 2],
    /// Faults that rules have injected: delays, then answers of our own.
    pub(crate) injected: [Count; 2],
    pub(crate) tls: TlsCounters,
    pub(crate) proxy_refusals: ProxyRefusals,
    pub(crate) flows: FlowCounters,
    /// By content coding.
    pub(crate) compressed: [CompressionCounters; ContentCoding::ALL.len()],
}

impl ListenerCounters {
    pub(crate) fn refused(&self, reason: Reason) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.add(1);
        }
    }

    /// (reason, count)
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(&self.refused).map(|(reason, count)| (reason, count.read()))
    }
}

/// Answers that were compressed in one coding.
#[derive(Default)]
pub(crate) struct CompressionCounters {
    pub(crate) responses: Count,
    /// Bytes of content before and after.
    pub(crate) content: Count,
    pub(crate) encoded: Count,
}

/// Connections that were closed for what they did not say of their client, in the order of [`Refusal::ALL`].
#[derive(Default)]
pub(crate) struct ProxyRefusals([Count; Refusal::ALL.len()]);

impl ProxyRefusals {
    pub(crate) fn add(&self, refusal: Refusal) {
        if let Some(count) = self.0.get(refusal as usize) {
            count.add(1);
        }
    }

    /// (reason, count)
    pub(crate) fn each(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(&self.0).map(|(refusal, count)| (refusal, count.read()))
    }
}

/// One worker's counters of how one listener's flows ended.
#[derive(Default)]
pub(crate) struct FlowCounters {
    /// In the order of [`Ended::ALL`].
    ended: [Count; Ended::ALL.len()],
    /// Datagrams from clients, and to them, that were sent on.
    pub(crate) received_datagrams: Count,
    pub(crate) sent_datagrams: Count,
    /// Those that could not be.
    pub(crate) lost_to_target: Count,
    pub(crate) lost_to_client: Count,
}

impl FlowCounters {
    pub(crate) fn ended(&self, ended: Ended) {
        if let Some(count) = self.ended.get(ended as usize) {
            count.add(1);
        }
    }

    pub(crate) fn count(&self, ended: Ended) -> u64 {
        self.ended.get(ended as usize).map_or(0, Count::read)
    }
}

/// One worker's counters of one listener's handshakes.
#[derive(Default)]
pub(crate) struct TlsCounters {
    pub(crate) under_way: Count,
    full: [Count; 2],
    resumed: [Count; 2],
    /// In the order of [`Failure::ALL`].
    failures: [Count; Failure::ALL.len()],
    /// Clients over QUIC that had to prove their address first.
    pub(crate) validations: Count,
    /// Datagrams of QUIC that came to a worker for another.
    pub(crate) handed_on: Count,
}

impl TlsCounters {
    const VERSIONS: [&'static str; 2] = ["TLSv1.2", "TLSv1.3"];

    pub(crate) fn succeeded(&self, session: &Session) {
        let counts = if session.resumed { &self.resumed } else { &self.full };
        let count = counts.iter().zip(Self::VERSIONS).find(|(_, version)| *version == session.version);
        if let Some((count, _)) = count {
            count.add(1);
        }
    }

    pub(crate) fn failed(&self, failure: Failure) {
        if let Some(count) = self.failures.get(failure as usize) {
            count.add(1);
        }
    }

    /// (version, whether resumed, count)
    pub(crate) fn successes(&self) -> impl Iterator<Item = (&'static str, bool, u64)> {
        let of = |counts: &[Count; 2], resumed| {
            std::array::from_fn::<_, 2, _>(|i| {
                (Self::VERSIONS.get(i).copied().unwrap_or("-"), resumed, counts.get(i).map_or(0, Count::read))
            })
        };
        of(&self.full, false).into_iter().chain(of(&self.resumed, true))
    }

    /// (reason, count)
    pub(crate) fn failures(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.into_iter().zip(&self.failures).map(|(failure, count)| (failure, count.read()))
    }
}

/// One worker's counters of one target.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct TargetCounters {
    pub(crate) in_flight: AtomicU32,
    pub(crate) requests: Count,
    pub(crate) new_connections: Count,
    pub(crate) connect_failures: Count,
    pub(crate) retries: Count,
    /// Responses below 500, and requests without a response or with one of 500 and up.
    pub(crate) successes: Count,
    pub(crate) failures: Count,
    pub(crate) consecutive_failures: AtomicU32,
    pub(crate) statuses: Statuses,
    pub(crate) latency: Histogram,
    pub(crate) idle_connections: Count,
}

impl TargetCounters {
    /// One more request in flight. Single writer, as everything here.
    #[inline]
    pub(crate) fn begin(&self) {
        self.in_flight.store(self.in_flight.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn end(&self) {
        self.in_flight.store(self.in_flight.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    pub(crate) fn outcome(&self, success: bool) {
        if success {
            self.successes.add(1);
            if self.consecutive_failures.load(Ordering::Relaxed) != 0 {
                self.consecutive_failures.store(0, Ordering::Relaxed);
            }
        } else {
            self.failures.add(1);
            let failures = self.consecutive_failures.load(Ordering::Relaxed);
            self.consecutive_failures.store(failures.saturating_add(1), Ordering::Relaxed);
        }
    }
}

/// Codes of gRPC, OK (0) to UNAUTHENTICATED (16).
pub(crate) const GRPC_STATUSES: usize = 17;

/// One worker's counters of one target group.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct GroupCounters {
    pub(crate) requests: Count,
    pub(crate) fail_open_requests: Count,
    pub(crate) no_target: Count,
    pub(crate) overloaded: Count,
    /// Requests that had to wait for a place, and those of them that waited in vain.
    pub(crate) queued: Count,
    pub(crate) pending_timeouts: Count,
    pub(crate) retries: Count,
    /// In the order of [`RetryReason::ALL`].
    retries_by_reason: [Count; RetryReason::ALL.len()],
    pub(crate) retries_over_budget: Count,
    /// Retries and hedges that the budget has left, as of the last sweep.
    pub(crate) budget_left: Count,
    /// Requests that were sent beside another, and those of them that were answered first.
    pub(crate) hedges: Count,
    pub(crate) hedges_won: Count,
    /// Copies of other groups' requests: sent, not sent because too many were under way, and sent in vain.
    pub(crate) mirrored: Count,
    pub(crate) mirror_dropped: Count,
    pub(crate) mirror_failed: Count,
    /// Connections of flows that could not be opened.
    pub(crate) connect_failures: Count,
    /// Times that there was no port left to connect from.
    pub(crate) port_allocation_errors: Count,
    /// Flows whose client's address, or port, could not be kept towards the target.
    pub(crate) replaced_addresses: Count,
    pub(crate) replaced_ports: Count,
    pub(crate) non_sticky_requests: Count,
    /// gRPC calls by what they ended with; codes that nobody has defined count as UNKNOWN (2).
    pub(crate) grpc_statuses: [Count; GRPC_STATUSES],
}

impl GroupCounters {
    pub(crate) fn retried(&self, reason: RetryReason) {
        self.retries.add(1);
        if let Some(count) = self.retries_by_reason.get(reason as usize) {
            count.add(1);
        }
    }

    /// (reason, count)
    pub(crate) fn retries_by_reason(&self) -> impl Iterator<Item = (RetryReason, u64)> {
        RetryReason::ALL.into_iter().zip(&self.retries_by_reason).map(|(reason, count)| (reason, count.read()))
    }

    pub(crate) fn grpc(&self, status: u16) {
        const UNKNOWN: usize = 2;
        if let Some(count) = self.grpc_statuses.get(usize::from(status)).or(self.grpc_statuses.get(UNKNOWN)) {
            count.add(1);
        }
    }
}
