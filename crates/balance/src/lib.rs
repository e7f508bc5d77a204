//! Choosing a target, and how often and how hard to try: health, draining, slow start, ejection, the routing algorithms,
//! stickiness, retries, hedging, limits and what gives way when there is too much to do.
//!
//! One [`Group`] per target group lives in a control thread. Probes and workers report to it, it ticks once a second, and
//! it publishes an immutable [`Roster`]. Every worker holds a [`Picker`] per group and feeds it each new roster.
//!
//! Nothing here reads a clock, opens a socket or draws a random number: `now`, randomness and input are arguments, the
//! decision is the return value. That is what lets the whole of it be simulated in virtual time.

mod anomaly;
mod backoff;
mod base64url;
mod breaker;
pub mod budget;
pub mod cookie;
mod gradient;
pub mod group;
pub mod hash;
pub mod health;
mod hedge;
pub mod imf_date;
mod kept;
mod key;
pub mod keyring;
mod least_outstanding;
mod maglev;
mod member;
mod outlier;
pub mod overload;
pub mod pick;
pub mod queue;
mod report;
mod retry;
pub mod roster;
mod round_robin;
pub mod settings;
mod slow_start;
pub mod status;
pub mod stickiness;
mod tally;
mod tried;
mod unfit;
mod weighted_random;
mod window;

pub use backoff::Backoff;
pub use breaker::Fault;
pub use budget::RetryBudget;
pub use gradient::{Adaptive, Gradient, Sample};
pub use group::Group;
pub use hash::hash64;
pub use health::{Outcome, TargetHealth, Thresholds, Verdict};
pub use hedge::{Hedge, HedgeAfter};
pub use kept::Kept;
pub use key::{GroupKey, TargetKey};
pub use keyring::Keyring;
pub use outlier::Latency;
pub use overload::{Criticality, Overload};
pub use pick::{Algorithm, Choice, Picker};
pub use queue::Queue;
pub use report::{Changes, TargetReport, Transition};
pub use retry::{AttemptEnd, Attempts, RetryReason, RetryRules, Standing};
pub use roster::{Entry, Roster, Supply};
pub use settings::{CircuitBreaker, HealthCheck, Settings};
pub use status::{Reason, State, Status};
pub use stickiness::{Kind, Sticky, StickyError};
pub use tally::{ObservedOutcome, Tally};
pub use tried::Tried;
pub use unfit::Unfit;

/// A moment: the time since an epoch the caller chose once and never changes. It must not go backwards.
pub type Moment = std::time::Duration;

/// A wall-clock time in whole seconds since 1970-01-01T00:00:00Z. Cookies carry it, because they outlive the process.
pub type UnixSeconds = u64;
