//! Faults that a rule injects into a share of its requests, for testing what depends on their answers.

use std::time::Duration;

use crate::declared::{Cx, Fields, Lasts, Ratio, declared};
use crate::fixed_response::FixedStatus;

declared! {
    /// Fault injection: delays, and answers of our own in place of a target's.
    #[derive(Clone, Debug, PartialEq)]
    #[check = check_injection]
    pub struct Injection {
        /// Requests that are held back for a while.
        pub delay: Option<Delay> = None,
        /// Requests that are answered with a status.
        pub abort: Option<Abort> = None,
    }
}

impl Eq for Injection {}

declared! {
    /// A delay before anything is done with a request.
    #[derive(Clone, Debug, PartialEq)]
    #[short = "for"]
    pub struct Delay {
        /// 1 ms to 1 h.
        #[key = "for"]
        #[via = Lasts<1, 3_600_000>]
        pub length: Duration,
        /// Share of the requests, from 0 to 1; default 1.
        #[via = Ratio]
        pub share: f64 = 1.0,
    }
}

declared! {
    /// An answer of our own in place of a target's.
    #[derive(Clone, Debug, PartialEq)]
    #[short = "status"]
    pub struct Abort {
        /// 200 to 299, 400 to 599.
        #[via = FixedStatus]
        pub status: u16,
        /// Share of the requests, from 0 to 1; default 1.
        #[via = Ratio]
        pub share: f64 = 1.0,
    }
}

fn check_injection<'a>(injection: &Injection, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let is_empty = injection.delay.is_none() && injection.abort.is_none();
    if is_empty && !fields.has("delay") && !fields.has("abort") {
        cx.fault(fields.mark(), "injects nothing", Some("delay, abort or both".to_owned()));
    }
}
