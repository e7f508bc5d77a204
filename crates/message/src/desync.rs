//! Tiers of requests that two HTTP readers could read differently (H8), after AWS's published request-desync cases.

/// How safely two readers would read the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// By the RFCs.
    #[default]
    Compliant,
    /// Not by the RFCs, but harmless.
    Acceptable,
    /// Readers may disagree; can be forwarded cleanly, but neither connection may be used again.
    Ambiguous,
    /// An attack or a broken sender.
    Severe,
}

/// Why a request is in its tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing to say.
    #[default]
    Compliant,
}
