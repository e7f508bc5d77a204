//! A copy of requests for another group, whose answers nobody gets.

use crate::declared::{Ratio, Size, To, declared};
use crate::primitive::Name;
use crate::target_group::TargetGroup;

declared! {
    /// Mirroring: a share of the requests is sent to another group as well, whose answers are thrown away; or the name of the group.
    #[derive(Clone, Debug, PartialEq)]
    #[short = "group"]
    pub struct Mirror {
        /// Another target group than those that answer.
        #[via = To<TargetGroup>]
        pub group: Name,
        /// Share of the requests, from 0 to 1; default 1.
        #[via = Ratio]
        pub share: f64 = 1.0,
        /// Requests with bodies are mirrored up to this size, head and body together; 0B to 16MiB. Default 0B: only those without a
        /// body.
        #[via = Size<0, 16_777_216>]
        pub buffer: u64 = 0,
    }
}

impl Eq for Mirror {}
