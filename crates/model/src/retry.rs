//! When a request is sent again, or sent twice at once.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::declared::{
    Codec, Cx, Declared, Defs, Fields, Lasts, OneOrMore, Optional, Ratio, Size, Within, declared, parse_duration,
    parsed,
};
use crate::yaml::Node;

declared! {
    /// When a request is sent again: to another target, where there is one.
    #[derive(Clone, Debug, PartialEq)]
    #[check = check_retry]
    pub struct Retry {
        /// Attempts in all, the first included; 1 to 10, default 2.
        #[via = Within<1, 10>]
        pub attempts: u8 = Retry::default().attempts,
        /// What is tried again; default `connect_failure` and `reset_before_response`.
        #[via = OneOrMore]
        pub when: Vec<RetryWhen> = Retry::default().when,
        /// Retries and hedges may be at most this share of live requests; default 0.2.
        #[via = Ratio]
        pub budget: f64 = Retry::default().budget,
        /// From the choice of a target to the head of its answer; an attempt that takes longer is given up. Absent: as long as
        /// `connect_timeout` and `response_timeout` allow.
        #[via = Optional<Lasts<10, 604_800_000>>]
        pub per_try_timeout: Option<Duration> = None,
        /// A wait before each further attempt; absent: none.
        pub backoff: Option<Backoff> = None,
        /// Up to this size, the body of a request is kept until its answer has begun, so that it can be sent again; 0B to 16MiB.
        /// Default 0B: only requests of which nothing has left, and those without a body, are sent again.
        #[via = Size<0, 16_777_216>]
        pub buffer: u64 = 0,
        /// Also requests whose methods are not idempotent (RFC 9110 section 9.2.2), such as POST, although a target may have acted
        /// on them; default false.
        pub non_idempotent: bool = false,
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            when: vec![RetryWhen::ConnectFailure, RetryWhen::ResetBeforeResponse],
            budget: 0.2,
            per_try_timeout: None,
            backoff: None,
            buffer: 0,
            non_idempotent: false,
        }
    }
}

declared! {
    /// Exponential back-off with full jitter: a further attempt waits for a random part of a bound that doubles each time.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[check = check_backoff]
    pub struct Backoff {
        /// The bound before the first further attempt; 1 ms to 1 min, default 25 ms.
        #[via = Lasts<1, 60_000>]
        pub base: Duration = Duration::from_millis(25),
        /// The bound grows no further than this; 1 ms to 1 min, default 250 ms.
        #[via = Lasts<1, 60_000>]
        pub maximum: Duration = Duration::from_millis(250),
    }
}

declared! {
    /// Hedging: a GET or HEAD without a body that has no answer yet is sent to another target as well; the first answer is taken,
    /// and the others are called off.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[short = "after"]
    pub struct Hedge {
        /// How long an answer is waited for; `p95`: as long as 95 of 100 answers of the group have taken of late.
        pub after: HedgeAfter,
        /// How many requests are sent beside the first, one after each wait; 1 to 3, default 1.
        #[via = Within<1, 3>]
        pub attempts: u8 = 1,
    }
}

/// How long an answer is waited for before the request is sent again beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// So long.
    Fixed(Duration),
    /// As long as 95 of 100 answers take.
    P95,
}

/// A reason to send a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryWhen {
    /// No connection could be made.
    ConnectFailure,
    /// The connection ended before the first byte of a response.
    ResetBeforeResponse,
    /// The response head did not come in time.
    Timeout,
    /// This status, 500 to 599, written `status_503`.
    Status(u16),
    /// Any status from 500 to 599, written `status_5xx`.
    ServerError,
}

fn check_retry<'a>(retry: &Retry, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if retry.per_try_timeout.is_some() && !retry.when.contains(&RetryWhen::Timeout) {
        let what = "gives up attempts that nothing follows: timeout is not among what is tried again";
        fields.wrong("per_try_timeout", what, "timeout in when", cx);
    }
    if retry.non_idempotent && retry.buffer == 0 {
        let what = "such requests have bodies, and none is kept to be sent again";
        fields.wrong("non_idempotent", what, "buffer: 64KiB beside it, or false", cx);
    }
    if retry.attempts == 1 {
        for (key, is_set) in [
            ("backoff", retry.backoff.is_some()),
            ("buffer", retry.buffer > 0),
            ("non_idempotent", retry.non_idempotent),
        ] {
            if is_set {
                fields.only_with(key, "it with attempts of 2 or more only", cx);
            }
        }
    }
}

fn check_backoff<'a>(backoff: &Backoff, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if backoff.base > backoff.maximum {
        fields.wrong("base", "is longer than maximum", "a duration of at most maximum", cx);
    }
}

impl Declared for HedgeAfter {
    fn expected() -> String {
        format!("p95, or {}", <Lasts<1, 60_000> as Codec<Duration>>::expected())
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let bounds = Duration::from_millis(1)..=Duration::from_secs(60);
        let after = match node.as_text() {
            Some("p95") => Some(Self::P95),
            text => text.and_then(parse_duration).filter(|wait| bounds.contains(wait)).map(Self::Fixed),
        };
        if after.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        after
    }

    fn write(&self) -> Value {
        match self {
            Self::P95 => "p95".into(),
            Self::Fixed(wait) => Lasts::<1, 60_000>::write(wait),
        }
    }

    fn schema(defs: &mut Defs) -> Value {
        json!({ "anyOf": [{ "const": "p95" }, Lasts::<1, 60_000>::schema(defs)] })
    }
}

impl fmt::Display for RetryWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectFailure => f.write_str("connect_failure"),
            Self::ResetBeforeResponse => f.write_str("reset_before_response"),
            Self::Timeout => f.write_str("timeout"),
            Self::ServerError => f.write_str("status_5xx"),
            Self::Status(status) => write!(f, "status_{status}"),
        }
    }
}

impl Declared for RetryWhen {
    fn expected() -> String {
        "one of connect_failure, reset_before_response, timeout, status_5xx, status_500 to status_599".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let status =
            |text: &str| text.strip_prefix("status_")?.parse().ok().filter(|status| (500..=599).contains(status));
        parsed(node, Self::expected, cx, |text| match text {
            "connect_failure" => Ok(Self::ConnectFailure),
            "reset_before_response" => Ok(Self::ResetBeforeResponse),
            "timeout" => Ok(Self::Timeout),
            "status_5xx" => Ok(Self::ServerError),
            text => status(text).map(Self::Status).ok_or("is no reason to try again"),
        })
    }

    fn write(&self) -> Value {
        self.to_string().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "anyOf": [
            { "enum": ["connect_failure", "reset_before_response", "timeout", "status_5xx"] },
            { "type": "string", "pattern": "^status_5[0-9][0-9]$" },
        ] })
    }
}
