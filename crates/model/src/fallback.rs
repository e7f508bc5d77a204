//! What is done when a group has nothing healthy: of a group, and of a rule, which comes first.

use std::path::PathBuf;
use std::sync::Arc;

use crate::action::FixedResponse;
use crate::declared::{To, choice, declared};
use crate::fixed_response::{ContentType, FixedStatus};
use crate::listener::inspect_answer;
use crate::primitive::Name;
use crate::target_group::TargetGroup;

choice! {
    /// What is done when nothing is healthy (T6).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Fallback {
        /// All targets count as healthy.
        FailOpen = "fail_open",
        /// No target is chosen: requests get 503, flows are reset.
        Refuse = "refuse",
        /// Another group.
        Forward(#[via = To<TargetGroup>] Name) = "forward",
        /// An answer of our own.
        FixedResponse(FixedResponse) = "fixed_response",
        /// A file.
        File(FileResponse) = "file",
    }
}

declared! {
    /// A file as an answer: read at the start and at each reload, at most 1 MiB; or its path alone.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[short = "path"]
    #[inspect = inspect_answer]
    pub struct FileResponse {
        /// Relative paths start at the configuration file's folder.
        pub path: PathBuf,
        /// 200 to 299, 400 to 599; default 503.
        #[via = FixedStatus]
        pub status: u16 = 503,
        /// Default `text/html; charset=utf-8`.
        #[via = ContentType]
        pub content_type: Option<Arc<str>> = Some("text/html; charset=utf-8".into()),
    }
}
