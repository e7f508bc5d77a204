//! What the program has for itself, and which requests it gives up first when that runs out.

use std::time::Duration;

use crate::declared::{Lasts, Optional, Size, choice, declared};

declared! {
    /// When the program itself has too much to do: what counts as all that there is. Near it, requests are refused, those of
    /// sheddable rules first.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Overload {
        /// Memory, 1MiB to 16384GiB; default what the system allows the program (cgroup), if it says.
        #[via = Optional<Size<1_048_576, 17_592_186_044_416>>]
        pub memory: Option<u64> = None,
        /// How long what a worker could do at once may wait, for a second on end; 1 ms to 1 min, default 200 ms.
        #[via = Lasts<1, 60_000>]
        pub lag: Duration = Duration::from_millis(200),
    }
}

choice! {
    /// How much it matters that a request is served while the program has too much to do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Criticality {
        /// Refused first.
        Sheddable = "sheddable",
        /// Refused when that is not enough.
        Normal = "normal",
        /// Never refused.
        Critical = "critical",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that declares the enum takes no #[default]")]
impl Default for Criticality {
    fn default() -> Self {
        Self::Normal
    }
}
