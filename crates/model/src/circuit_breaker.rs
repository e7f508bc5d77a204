//! Passive ejection of a failing target, by what its requests meet.

use std::time::Duration;

use crate::declared::{Cx, Factor, Fields, Lasts, Optional, Ratio, Within, declared};

const MINIMUM_REQUESTS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

declared! {
    /// Passive ejection of a failing target: closed, open for a while, half-open until a few requests have succeeded.
    #[derive(Clone, Debug, PartialEq)]
    #[check = check_breaker]
    pub struct CircuitBreaker {
        /// Failures in a row; default 5; 0: however many.
        #[via = Within<0, 1_000_000>]
        pub consecutive_failures: u32 = 5,
        /// This share of failures within `window`, of at least `minimum_requests`; absent: however great.
        #[via = Optional<Ratio>]
        pub error_ratio: Option<f64> = None,
        /// Answers whose median is so many times as long as that of the other targets, over a `window` with at least
        /// `minimum_requests`; 1 to 1,000. It takes three targets to tell. Absent: however slow.
        #[via = Optional<Factor>]
        pub latency_factor: Option<f64> = None,
        /// Default 20.
        #[via = Within<1, 1_000_000>]
        pub minimum_requests: u32 = MINIMUM_REQUESTS,
        /// 1 s to 1 h, default 10 s.
        #[via = Lasts<1000, 3_600_000>]
        pub window: Duration = WINDOW,
        /// How long a target stays out; default 10 s. It doubles each time, up to 32 times, and starts over after ten times this
        /// without an ejection.
        #[via = Lasts<100, 86_400_000>]
        pub open_for: Duration = Duration::from_secs(10),
        /// Then a target has to answer so many requests without a failure; from each worker it gets no more than that. 1 to 100,
        /// default 3.
        #[via = Within<1, 100>]
        pub probes: u32 = 3,
        /// At most this share of the group is out; default 0.5. Never the last target that can be used.
        #[via = Ratio]
        pub max_ejected: f64 = 0.5,
    }
}

fn check_breaker<'a>(breaker: &CircuitBreaker, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if breaker.error_ratio == Some(0.0) {
        fields.wrong("error_ratio", "is reached without a failure", "a number above 0", cx);
    }
    let judges = breaker.error_ratio.is_some() || breaker.latency_factor.is_some();
    if breaker.consecutive_failures == 0 && !judges {
        let what = "opens it never, and there is neither error_ratio nor latency_factor";
        fields.wrong("consecutive_failures", what, "a number above 0, or one of those", cx);
    }
    for (key, is_set) in
        [("minimum_requests", breaker.minimum_requests != MINIMUM_REQUESTS), ("window", breaker.window != WINDOW)]
    {
        if is_set && !judges {
            fields.only_with(key, "it with error_ratio or latency_factor only", cx);
        }
    }
}
